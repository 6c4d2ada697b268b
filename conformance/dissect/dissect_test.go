package dissect_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"attls"
	"attls/conformance/capture"
	"attls/conformance/cases"
	"attls/conformance/dissect"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/internal/seeds"
)

// designs are one revision of each line of drafts.
var designs = []string{"early-attestation-06", "early-attestation-00", "tls-attestation-07", "mbedtls-poc"}

// record runs a scenario and reads its capture back.
func record(t *testing.T, s scenario.Scenario) (*capture.Connection, capture.KeyLog, scenario.Result) {
	t.Helper()
	var file bytes.Buffer
	w, err := capture.NewWriter(&file, nil)
	if err != nil {
		t.Fatal(err)
	}
	result := scenario.Run(context.Background(), s, scenario.Capture(w), scenario.Find(cases.Find))
	if result.Err != nil {
		t.Fatal(result.Err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	connections, keys, err := capture.ReadFile(&file)
	if err != nil || len(connections) != 1 {
		t.Fatalf("%d connections, %v", len(connections), err)
	}
	return connections[0], keys, result
}

func load(t *testing.T, name string) *profile.Profile {
	t.Helper()
	p, err := profile.Load(name, profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// unseen are the faults that a recording does not show: what an end can or
// wants, and what only a Verifier can tell. Those of one profile stand under
// profile/name.
var unseen = map[string]string{
	"update-attestation-dropped": "the order of key updates", "update-attestation-twice": "the order of key updates", "update-attestation-cut": "the form of what key updates carry",
	"no-scheme-evidence": "what the server can do", "no-scheme-results": "what the server can do", "unwilling": "what the server wants",
	"demanded-by-client": "what the client wants", "demanded-by-server": "what the server wants", "choice-none": "what the client wants",
	"verifier-unreachable": "an end's own trouble", "attester-unavailable": "an end's own trouble", "binder-undefined": "an end's own trouble",
	"key-unusable": "made by the verdict", "key-type": "made by the verdict",
	"signature": "trust", "endorsement": "trust", "reference-value": "trust", "debug": "trust", "profile": "trust", "expired": "trust",
	"critical": "trust", "algorithm": "trust", "vector": "trust",
	"status": "trust", "verifier": "trust", "no-key": "trust", "huge": "a limit of the Verifier",
}

// otherwise are faults that show as another failure to whoever knows less than
// the end that rejected.
var otherwise = map[string]attls.Failure{
	// That the client's attestation is demanded is not seen; what follows its
	// empty Certificate is.
	"mbedtls-poc/missing": attls.FailUnexpectedMessage,
	// That the server's attestation is demanded is not seen either; what it sends
	// although its choice was dropped is.
	"early-attestation-06/answer-dropped": attls.FailNotChosen,
	"tls-attestation-07/answer-dropped":   attls.FailNotChosen,
	"early-attestation-00/answer-dropped": attls.FailUnexpectedMessage,
}

// TestFaultsAreNamed records every fault that can be provoked under a design and
// expects its failure, at the end that rejected it, with the alert it sent.
func TestFaultsAreNamed(t *testing.T) {
	for _, name := range designs {
		p := load(t, name)
		for _, f := range cases.All().Faults(p, scenario.Scenario{Profile: name}) {
			if f.Rejects == "" || f.PerReading() {
				continue
			}
			t.Run(name+"/"+f.ID, func(t *testing.T) {
				c, keys, _ := record(t, f.Scenario)
				d := dissect.Dissect(c, keys, p)
				// Both ends write while a key update is under way; what comes behind a failure is not read.
				if !d.Complete && f.Scenario.Updates() == 0 || len(d.Ladder) < 2 {
					t.Fatalf("%d steps; %v", len(d.Ladder), d.Notes)
				}
				if unseen[f.ID] != "" || strings.HasPrefix(f.ID, "verdict-") { // what an appraiser says
					if len(d.Findings) != 0 {
						t.Errorf("%+v", d.Findings)
					}
					if f.Alert != nil && !strings.Contains(strings.Join(d.Notes, " "), "the connection with "+f.Alert.Name) {
						t.Errorf("no note names %s: %q", f.Alert.Name, d.Notes)
					}
					if f.At == "ClientHello" && len(d.Notes) != 1 {
						t.Errorf("%d notes on one message: %q", len(d.Notes), d.Notes)
					}
					return
				}
				want := f.Failure
				if other, ok := otherwise[name+"/"+f.ID]; ok {
					want = other
				}
				if len(d.Findings) != 1 {
					t.Fatalf("%d findings; %q", len(d.Findings), d.Notes)
				}
				got := &d.Findings[0]
				if got.Failure != string(want) || got.Receiver != f.Rejects || got.Sender == f.Rejects {
					t.Errorf("%s found by the %s; want %s by the %s", got.Failure, got.Receiver, want, f.Rejects)
				}
				if got.Step < 0 || d.Ladder[got.Step].Broken == nil || d.Ladder[got.Step].From != got.Sender {
					t.Errorf("step %d", got.Step)
				}
				if want == attls.FailBinderMismatch && !slices.ContainsFunc(d.Attestation, func(a dissect.Attestation) bool { return a.Comparison == dissect.Different && a.Reason != "" }) {
					t.Errorf("compared: %+v", d.Attestation)
				}
				if want == f.Failure && (f.Alert == nil) != (got.Answered == nil) || f.Alert != nil && *got.Answered != *f.Alert {
					t.Errorf("answered with %+v, want %+v", got.Answered, f.Alert)
				}
			})
		}
	}
}

// TestSoundConnections records every allowed combination and expects no finding,
// no note, and the binder that both ends had.
func TestSoundConnections(t *testing.T) {
	for _, name := range designs {
		p := load(t, name)
		for _, combination := range scenario.Combinations(p) {
			if combination.Reason != "" {
				continue
			}
			for _, retry := range []bool{false, true} {
				s := scenario.Scenario{Profile: name, Attester: combination.Attester, Model: combination.Model, Credential: combination.Credential,
					HelloRetry: retry, Cookie: retry, ALPN: "h2"}
				t.Run(s.String(), func(t *testing.T) {
					c, keys, result := record(t, s)
					d := dissect.Dissect(c, keys, p)
					if !d.Complete || len(d.Findings) != 0 || len(d.Notes) != 0 {
						t.Errorf("findings %+v, notes %q", d.Findings, d.Notes)
					}
					if len(d.Ladder) < len(result.Ladder) {
						t.Errorf("%d steps of %d", len(d.Ladder), len(result.Ladder))
					}
					compare(t, d, result)
				})
			}
		}
	}
}

func compare(t *testing.T, d *dissect.Dissection, result scenario.Result) {
	t.Helper()
	bound := map[string]string{}
	for _, b := range result.Binders {
		bound[b.Attester] = b.Value
	}
	if len(d.Attestation) != len(result.Scenario.Attester.Roles()) {
		t.Fatalf("%d attesters", len(d.Attestation))
	}
	for _, a := range d.Attestation {
		want, ok := bound[a.Attester]
		switch {
		case !ok && (a.Binder != nil || a.Comparison != dissect.NotComparing):
			t.Errorf("the %s: nothing is bound, found %+v", a.Attester, a)
		case ok && (a.Binder == nil || a.Binder.Value != want || a.Comparison != dissect.Equal):
			t.Errorf("the %s: %+v; want %s", a.Attester, a, want)
		}
		if a.Key == "" {
			t.Errorf("no key of the %s", a.Attester)
		}
	}
}

// TestOutOfReach takes the secrets that no other program logs from a key log.
func TestOutOfReach(t *testing.T) {
	s := scenario.Scenario{Profile: "tls-attestation-07", Attester: scenario.AttestServer, Model: "evidence", Credential: "x509"}
	c, keys, _ := record(t, s)
	for _, secrets := range keys {
		delete(secrets, capture.LabelHandshake)
	}
	d := dissect.Dissect(c, keys, load(t, s.Profile))
	if len(d.Findings) != 0 || len(d.Attestation) != 1 {
		t.Fatalf("%+v", d)
	}
	if a := d.Attestation[0]; a.Comparison != dissect.NotComparing || !strings.Contains(a.Reason, "Handshake Secret") || a.Challenge == "" {
		t.Errorf("%+v", a)
	}
}

// TestWithoutKeys shows what can be read without any secret.
func TestWithoutKeys(t *testing.T) {
	s := scenario.Scenario{Profile: "early-attestation-06"}
	c, _, _ := record(t, s)
	d := dissect.Dissect(c, capture.KeyLog{}, load(t, s.Profile))
	if d.Complete || len(d.Findings) != 0 || !strings.Contains(strings.Join(d.Notes, " "), "there is no key log") {
		t.Errorf("findings %+v, notes %q", d.Findings, d.Notes)
	}
	var seen []string
	for _, step := range d.Ladder {
		seen = append(seen, step.What)
	}
	if got := strings.Join(seen[:3], ", "); got != "ClientHello, ServerHello, protected records" {
		t.Errorf("%q", seen)
	}
}

// TestPrototype dissects what programs of others recorded.
func TestPrototype(t *testing.T) {
	for _, name := range []string{"648e-648e", "f4ac-85cc", "f4ac-ph"} {
		t.Run(name, func(t *testing.T) {
			file, err := os.Open("../capture/testdata/" + name + ".pcap")
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			connections, _, err := capture.ReadFile(file)
			if err != nil || len(connections) != 1 {
				t.Fatalf("%d connections, %v", len(connections), err)
			}
			log, err := os.Open("../capture/testdata/" + name + ".keys")
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			keys, _, err := capture.ReadKeyLog(name, log)
			if err != nil {
				t.Fatal(err)
			}
			if fits := dissect.Fitting(connections[0], keys); len(fits) != 1 || fits[0] != "mbedtls-poc" {
				t.Errorf("fits %v", fits)
			}
			d := dissect.Dissect(connections[0], keys, load(t, "mbedtls-poc"))
			if !d.Complete || len(d.Findings) != 0 || len(d.Attestation) != 1 {
				t.Fatalf("%+v", d)
			}
			if a := d.Attestation[0]; a.Comparison != dissect.Equal || a.Attester != "client" || a.Binder.Value != "0001020304050607" {
				t.Errorf("%+v", a)
			}
		})
	}
}

// TestProfilesAreSearchedInLinearTime counts how often connections are compared
// with profiles: never without a message, and else once with each profile.
func TestProfilesAreSearchedInLinearTime(t *testing.T) {
	c, keys, _ := record(t, scenario.Scenario{Profile: "early-attestation-06"})
	var s dissect.Search
	for range 2000 {
		s.Fitting(&capture.Connection{}, keys)
		s.Fitting(&capture.Connection{Pieces: []capture.Piece{{Data: []byte("GET / HTTP/1.1\r\n")}, {Sender: attls.RoleServer, Data: make([]byte, 100)}}}, keys)
	}
	if s.Compared != 0 {
		t.Errorf("connections without a message were compared %d times with a profile", s.Compared)
	}
	want := s.Fitting(c, keys)
	each := s.Compared
	if len(want) == 0 || each < len(want) || each > len(profile.Names()) {
		t.Fatalf("%d profiles fit, %d were compared", len(want), each)
	}
	for range 20 {
		if got := s.Fitting(c, keys); !slices.Equal(got, want) {
			t.Fatalf("%q, then %q", want, got)
		}
	}
	if s.Compared != 21*each {
		t.Errorf("%d comparisons for 21 connections, %d for one", s.Compared, each)
	}
}

// recordedFile and recordedKeys are a recording of conformance/capture.
func recordedFile(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := seeds.ReadTestdata("../capture/testdata/" + name + ".pcap")
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func recordedKeys(tb testing.TB, name string) capture.KeyLog {
	tb.Helper()
	b, err := seeds.ReadTestdata("../capture/testdata/" + name + ".keys")
	if err != nil {
		tb.Fatal(err)
	}
	keys, _, err := capture.ReadKeyLog(name, bytes.NewReader(b))
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

// prototype is the profile of those recordings.
func prototype(tb testing.TB) *profile.Profile {
	tb.Helper()
	p, err := profile.Load("mbedtls-poc", profile.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// FuzzDissectFile dissects any capture, with its own secrets and those of a
// recording: nothing may panic, and it comes to the same each time.
func FuzzDissectFile(f *testing.F) {
	p := seeds.Once(func() *profile.Profile { return prototype(f) })
	names := []string{"648e-648e", "f4ac-85cc", "f4ac-ph"}
	keys := seeds.Once(func() capture.KeyLog {
		keys := capture.KeyLog{}
		for _, name := range names {
			keys.Add(recordedKeys(f, name))
		}
		return keys
	})
	seeds.Add(f, func() {
		for _, name := range names {
			f.Add(recordedFile(f, name))
		}
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		seeds.Input(t, b)
		file, _ := capture.Read(bytes.NewReader(b))
		if file == nil {
			return
		}
		file.Keys.Add(keys)
		for _, c := range file.Connections {
			for _, p := range []*profile.Profile{p, nil} {
				first, err := json.Marshal(dissect.Dissect(c, file.Keys, p))
				if err != nil {
					t.Fatal(err)
				}
				if again, _ := json.Marshal(dissect.Dissect(c, file.Keys, p)); !bytes.Equal(first, again) {
					t.Errorf("first %s, then %s", first, again)
				}
			}
		}
	})
}

// FuzzDissect changes octets of what the ends of a recording sent, under the
// record protection where there is one: nothing may panic.
func FuzzDissect(f *testing.F) {
	file := seeds.Once(func() []byte { return recordedFile(f, "648e-648e") })
	keys := seeds.Once(func() capture.KeyLog { return recordedKeys(f, "648e-648e") })
	p := seeds.Once(func() *profile.Profile { return prototype(f) })
	seeds.Add(f, func() {
		f.Add(uint16(0), uint16(120), byte(1))
		f.Add(uint16(1), uint16(44), byte(0xff))
	})
	f.Fuzz(func(t *testing.T, piece, at uint16, with byte) {
		seeds.Input(t, piece, at, with)
		connections, _, err := capture.ReadFile(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		c := connections[0]
		data := c.Pieces[int(piece)%len(c.Pieces)].Data
		data[int(at)%len(data)] ^= with
		dissect.Dissect(c, keys, p)
		dissect.Dissect(c, keys, nil)
	})
}
