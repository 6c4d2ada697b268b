package campaign

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"attls"
)

func target(t *testing.T, name string) *Target {
	t.Helper()
	x, err := NewTarget(name)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// TestSoundConnections: without edits, every connection of these targets obeys all laws.
func TestSoundConnections(t *testing.T) {
	w, err := newWorld()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{TLS, "early-attestation-06", "tls-attestation-07", "mbedtls-poc", "deployed-dstack"} {
		list, left, err := target(t, name).subjects(w, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range left {
			t.Errorf("%s: left out: %s", name, text)
		}
		for _, s := range list {
			for _, v := range s.base.Sound() {
				t.Errorf("%s, %v: %v", name, s.conn, &v)
			}
		}
	}
}

func bugs(t *testing.T) map[string]*Plant {
	t.Helper()
	all, err := Plants()
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]*Plant{}
	for i := range all {
		m[all[i].Name] = &all[i]
	}
	return m
}

// hunt runs a campaign with a planted bug until the first finding.
func hunt(t *testing.T, p *Plant, dir string) *Report {
	t.Helper()
	name := p.Profile
	if name == "" {
		name = TLS
	}
	r, err := Run(t.Context(), Options{Targets: []*Target{target(t, name)}, Executions: 20000, Seed: 3, Plant: p, FirstOnly: true,
		Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestPlantedBugsAreFound: what a campaign is for, and by the law that it is about.
func TestPlantedBugsAreFound(t *testing.T) {
	all := bugs(t)
	for name, law := range map[string]string{"signature-verified": "signature", "finished-verified": "finished",
		"verdict-binder": "verdict", "credential-first-entry": "extension-in-place", "padding-255": "tolerates",
		"key-shares-33": "panic", "choose-answered": "completes"} {
		t.Run(name, func(t *testing.T) {
			r := hunt(t, all[name], "")
			if !slices.ContainsFunc(r.Found, func(f *Finding) bool { return f.Law == law || f.Law == "later-"+law }) {
				t.Errorf("not found by the law %s in %d connections: %v", law, r.Executions, r.Found)
			}
		})
	}
}

// TestNothingIsFoundWithoutABug, and the same seed makes the same connections.
func TestNothingIsFoundWithoutABug(t *testing.T) {
	var before *Report
	for range 2 {
		r, err := Run(t.Context(), Options{Targets: []*Target{target(t, TLS), target(t, "early-attestation-06")},
			Executions: 150, Seed: 9, Workers: 2})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.Found {
			t.Errorf("%s: %v", f.Cause, f.Input.Edits)
		}
		if r.Executions != 600 || r.Reached < 100 || r.Rules.Triggered < 10 {
			t.Errorf("%d connections reached %d outcomes and triggered %d rules", r.Executions, r.Reached, r.Rules.Triggered)
		}
		if before != nil && len(before.Outcomes) != len(r.Outcomes) {
			t.Errorf("%d outcomes, and %d with the same seed", len(before.Outcomes), len(r.Outcomes))
		}
		for text := range r.Outcomes {
			if before != nil && before.Outcomes[text] == 0 {
				t.Errorf("another outcome with the same seed: %s", text)
			}
		}
		before = r
	}
}

// TestFindingsAreFiles: a finding can be read, replayed, minimized, put together with others
// and shown on a page, and the corpus is read again.
func TestFindingsAreFiles(t *testing.T) {
	plant, dir := bugs(t)["signature-verified"], t.TempDir()
	r := hunt(t, plant, dir)
	if len(r.Found) == 0 {
		t.Fatal("nothing is found")
	}
	in, err := ReadFile(r.Found[0].File)
	if err != nil {
		t.Fatal(err)
	}
	var pcap bytes.Buffer
	shown, err := Replay(in, plant, &pcap)
	if err != nil {
		t.Fatal(err)
	}
	if len(shown.Violations) == 0 || len(shown.Real) == 0 || len(shown.Ladder) < 4 || pcap.Len() < 500 {
		t.Errorf("%v, with the real cryptography %v; %d steps, a capture of %d octets", shown.Violations, shown.Real,
			len(shown.Ladder), pcap.Len())
	}
	if sound, err := Replay(in, nil, nil); err != nil || len(sound.Violations)+len(sound.Real) > 0 {
		t.Errorf("without the bug: %v, %+v", err, sound)
	}
	in.Edits = append(in.Edits, Edit{Do: "pad", Number: 6, At: 9})
	small, err := Minimize(in, plant)
	if err != nil || len(small.Edits) != 1 {
		t.Errorf("minimized to %+v, %v", small, err)
	}
	groups, unread, err := Triage(dir)
	if err != nil || len(groups) != len(r.Found) || len(unread) > 0 {
		t.Errorf("%d groups of %d findings, %v, %v", len(groups), len(r.Found), unread, err)
	}
	if err := r.WriteSummary(dir); err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	if err := WriteHTML(&page, dir); err != nil || !strings.Contains(page.String(), groups[0].Least.Law) {
		t.Errorf("%v: %s", err, page.String())
	}
	old := filepath.Join(dir, "corpus", "old.yaml")
	if err := os.WriteFile(old, []byte("format: attls-fuzz-input 0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	again, err := Run(t.Context(), Options{Targets: []*Target{target(t, TLS)}, Executions: 50, Seed: 4, Dir: dir, Resume: true})
	if err != nil || len(again.Unread) != 1 || !strings.Contains(again.Unread[0], "attls-fuzz-input 0") {
		t.Errorf("%v, not read: %v", err, again.Unread)
	}
}

// TestAnInterruptKeepsTheCorpus.
func TestAnInterruptKeepsTheCorpus(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dir := t.TempDir()
	r, err := Run(ctx, Options{Targets: []*Target{target(t, TLS)}, Executions: 1 << 30, Seed: 1, Dir: dir,
		Progress: func(s Stats) {
			if s.Corpus > 0 {
				cancel()
			}
		}})
	cancel()
	if err != nil || !r.Stopped || r.Corpus == 0 {
		t.Fatalf("%v: %+v", err, r)
	}
	files, err := filepath.Glob(filepath.Join(dir, "corpus", "*.yaml"))
	if err != nil || len(files) != r.Corpus {
		t.Errorf("%d files of %d inputs, %v", len(files), r.Corpus, err)
	}
}

// TestHostileInputs: a file that is no input is refused with the reason.
func TestHostileInputs(t *testing.T) {
	head := "format: " + Format + "\nattacker: client\nconnection: {}\n"
	for text, want := range map[string]string{
		"":                                "reads",
		"format: attls-fuzz-input 2\n":    "attls-fuzz-input 2",
		"format: [\n":                     "yaml",
		head + "more: 1\n":                "more",
		head + "edits: [{do: explode}]\n": `"explode"`,
		head + "edits: [{do: drop, number: -1}]\n":                       "negative",
		head + "edits: [{do: body, octets: 0g}]\n":                       "line 4",
		head + "edits: [{do: pad, at: 70000}]\n":                         "70000",
		"format: " + Format + "\nattacker: nobody\n":                     "nobody",
		head + strings.Repeat("#", maxFile):                              "octets",
		head + "edits:\n" + strings.Repeat("- {do: drop}\n", maxEdits+1): "edits",
	} {
		if _, err := ReadInput(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %v; want %s", text, err, want)
		}
	}
	in := &Input{Format: Format, Attacker: "server", Profile: "early-attestation-06", Connection: Connection{Attester: "server",
		Model: "evidence", Credential: "x509", HelloRetry: true}, Edits: []Edit{{Do: "extension-add", Message: "ServerHello",
		Extension: attls.ExtALPN, Octets: Octets{1, 2}, At: 1}}}
	var b bytes.Buffer
	if err := in.Write(&b); err != nil {
		t.Fatal(err)
	}
	back, err := ReadInput(&b)
	if err != nil || back.digest() != in.digest() || back.Edits[0].String() != in.Edits[0].String() {
		t.Errorf("%+v, %v", back, err)
	}
}

// TestEachOperationDoesSomething: an edit of each operation changes what the peer sees.
func TestEachOperationDoesSomething(t *testing.T) {
	w, err := newWorld()
	if err != nil {
		t.Fatal(err)
	}
	x := target(t, "early-attestation-06")
	s, err := newSubject(w, x.Name, x.Profile, Connection{Attester: "server", Model: "evidence", Credential: "x509"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ee, ct := "EncryptedExtensions", "Certificate"
	edits := map[string]Edit{
		"drop": {Message: ee}, "repeat": {Message: ee}, "defer": {Message: ee},
		"insert": {Message: ee, Octets: Octets{8, 0, 0, 2, 0, 0}}, "append": {Message: ee, Octets: Octets{8, 0, 0, 2, 0, 0}},
		"body": {Message: ee, Octets: Octets{0, 0}}, "flip": {Message: ee, At: 3}, "truncate": {Message: ee, At: 3},
		"extend": {Message: ee, Octets: Octets{0}}, "length": {Message: ee, At: 1},
		"extension-remove": {Message: ee, Extension: attls.ExtALPN}, "extension-repeat": {Message: ee, Extension: attls.ExtALPN},
		"extension-add":  {Message: ee, Extension: 0xfefe},
		"extension-body": {Message: ee, Extension: attls.ExtALPN}, "extension-swap": {Message: ee, Extension: attls.ExtALPN, At: 9},
		"field": {Message: ct, Path: "certificate.certificate_request_context", Octets: Octets{1}},
		"pad":   {Number: 3, At: 77}, "split": {Number: 3, At: 9}, "record": {Number: 1, At: 21, Octets: Octets{2, 80}},
		"evidence": {Answer: "binder"}, "verdict": {}, "credential": {Answer: "unknown authority"}, "signature": {},
		"disobey": {Answer: "evidence-bound"}, "scheme": {At: 0x0503},
	}
	for _, o := range Operations {
		if slices.Contains([]string{"early", "reissue", "frame", "authenticator"}, o.Do) { // in later_test.go and proof_test.go
			continue
		}
		e, ok := edits[o.Do]
		if !ok {
			t.Errorf("%s is not tried", o.Do)
			continue
		}
		e.Do = o.Do
		r, err := s.run(&Input{Format: Format, Profile: x.Name, Connection: s.conn, Attacker: "server", Edits: []Edit{e}})
		if err != nil {
			t.Errorf("%s: %v", o.Do, err)
			continue
		}
		if v := r.Judge(); len(v) > 0 {
			t.Errorf("%s: %v", o.Do, v)
		}
		wholesome := o.Do == "pad" || o.Do == "split" || o.Do == "extension-swap"
		if wholesome != (r.live() == "") {
			t.Errorf("%s: %q", o.Do, r.live())
		}
	}
}
