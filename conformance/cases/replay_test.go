package cases

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/pair"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/handshake"
)

// everyRun lists the allowed combinations of a profile and its faults.
func everyRun(p *profile.Profile, name string) []scenario.Scenario {
	var all []scenario.Scenario
	for _, c := range scenario.Combinations(p) {
		if c.Reason == "" {
			all = append(all, scenario.Scenario{Profile: name, Attester: c.Attester, Model: c.Model, Credential: c.Credential})
		}
	}
	for _, f := range rejected(p, scenario.Scenario{Profile: name}) {
		all = append(all, f.Scenario)
	}
	return all
}

// replayed are the profiles that differ in how a connection goes.
var replayed = []string{"tls-attestation-07", "early-attestation-06", "early-attestation-00", "mbedtls-poc"}

// TestReplay repeats every run of the four designs, through a file, and expects
// the same octets.
func TestReplay(t *testing.T) {
	for _, name := range replayed {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, s := range everyRun(load(t, name), name) {
				if s.Fail != "" && s.Updates() > 0 {
					continue // what an end has written when it learns of a failure there depends on time
				}
				first := scenario.Run(context.Background(), s, scenario.Find(Find))
				if first.Err != nil {
					t.Errorf("%v: %v", s, first.Err)
					continue
				}
				file := filepath.Join(dir, "run.json")
				if err := first.Recording().WriteFile(file); err != nil {
					t.Fatal(err)
				}
				rec, err := scenario.ReadRecording(file)
				if err != nil {
					t.Fatal(err)
				}
				again, err := scenario.Replay(context.Background(), rec, scenario.Find(Find))
				if err != nil {
					t.Errorf("%v: %v", s, err)
					continue
				}
				for _, role := range attls.Roles() {
					if len(first.Sent[role]) == 0 || !bytes.Equal(first.Sent[role], again.Sent[role]) {
						t.Errorf("%v: the %v sent other octets", s, role)
					}
					a, b := comparable(t, first.Claims[role]), comparable(t, again.Claims[role])
					if !bytes.Equal(a, b) {
						t.Errorf("%v: the %v claims\n%s\nand then\n%s", s, role, a, b)
					}
				}
			}
		})
	}
}

// comparable are claims without what depends on how TCP cuts the stream: a
// handshake that fails may or may not have seen the peer's CertificateVerify.
func comparable(t *testing.T, c claims.Claims) []byte {
	t.Helper()
	if c.Error != nil {
		c.PeerSignature = ""
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestReplayDiffers changes one octet of what was recorded.
func TestReplayDiffers(t *testing.T) {
	r := scenario.Run(context.Background(), scenario.Scenario{Profile: "early-attestation-06"}, scenario.Find(Find))
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	for _, role := range attls.Roles() {
		rec := *r.Recording()
		end := rec.End(role)
		sent, err := end.Octets()
		if err != nil {
			t.Fatal(err)
		}
		const at = 30
		sent[at] ^= 1
		end.Sent = scenario.Lines(sent)
		_, err = scenario.Replay(context.Background(), &rec, scenario.Find(Find))
		var d *scenario.Difference
		if !errors.As(err, &d) || d.Offset != at || d.Sender != role.String() {
			t.Errorf("%v: %v; want the difference in octet %d", role, err, at)
		}
		sent[at] ^= 1
		end.Sent = scenario.Lines(sent)
	}
	rec := *r.Recording()
	rec.Server.Answers = rec.Server.Answers[:1]
	if _, err := scenario.Replay(context.Background(), &rec, scenario.Find(Find)); err == nil {
		t.Error("a recording that lacks answers is replayed")
	}
}

// TestForks forks every demonstration of every profile, and every fault of the
// four designs, at every event; the fork must end like the original, octet for
// octet.
func TestForks(t *testing.T) {
	for _, name := range profile.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := load(t, name)
			for _, c := range scenario.Combinations(p) {
				if c.Reason == "" {
					forkEverywhere(t, scenario.Scenario{Profile: name, Compiled: p, Attester: c.Attester, Model: c.Model, Credential: c.Credential})
				}
			}
			if !slices.Contains(replayed, name) {
				return
			}
			for _, f := range rejected(p, scenario.Scenario{Profile: name, Compiled: p}) {
				if f.Scenario.Updates() > 0 {
					continue // the application begins them, and a fork has none
				}
				forkEverywhere(t, f.Scenario)
			}
		})
	}
}

func seeded() [2]handshake.Random {
	return [2]handshake.Random{handshake.SeededRandom{Seed: [32]byte{1}}, handshake.SeededRandom{Seed: [32]byte{2}}}
}

func forkEverywhere(t *testing.T, s scenario.Scenario) {
	t.Helper()
	in, err := scenario.NewInProcess(s, seeded(), scenario.Find(Find))
	if err != nil {
		t.Fatal(err)
	}
	original, err := pair.New(in.Options)
	if err != nil {
		t.Fatal(err)
	}
	var forks []*pair.Pair
	for {
		step, ok := original.Step()
		if !ok {
			break
		}
		if step.Action != pair.Happened {
			continue
		}
		f, err := original.Fork([2]handshake.ForkOptions{})
		if err != nil {
			t.Fatal(err)
		}
		f.Run()
		forks = append(forks, f)
	}
	if err := original.Err(); (err != nil) != (s.Fail != "") {
		t.Fatalf("%v: %v", s, err)
	}
	if len(forks) < 2 {
		t.Fatalf("%v: %d events", s, len(forks))
	}
	for i, f := range forks {
		for _, role := range attls.Roles() {
			if !bytes.Equal(f.Wire(role), original.Wire(role)) || !bytes.Equal(f.Received(role), original.Received(role)) {
				t.Errorf("%v: fork %d: the %v ends with other octets", s, i, role)
			}
			if a, b := f.Engine(role).StateName(), original.Engine(role).StateName(); a != b {
				t.Errorf("%v: fork %d: the %v ends in %s, not in %s", s, i, role, a, b)
			}
		}
	}
	if s.Fail != "" {
		return
	}
	if got := string(original.Received(attls.RoleServer)); got != scenario.Request {
		t.Errorf("%v: the server received %q", s, got)
	}
}
