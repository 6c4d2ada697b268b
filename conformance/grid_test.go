package conformance

import (
	"context"
	"errors"
	"strings"
	"testing"

	"attls/extensions/profile"
)

// load loads an embedded profile.
func load(t *testing.T, name string) *profile.Profile {
	t.Helper()
	p, err := profile.Load(name, profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestGrid runs every combination that each profile allows over a real
// connection and has the others refused with a sentence.
func TestGrid(t *testing.T) {
	for _, name := range profile.Names() {
		t.Run(name, func(t *testing.T) {
			p := load(t, name)
			allowed := 0
			for _, c := range Combinations(p) {
				s := Scenario{Profile: name, Compiled: p, Attester: c.Attester, Model: c.Model, Credential: c.Credential}
				if c.Reason != "" {
					var forbidden *ForbiddenError
					if r := Run(context.Background(), s); !errors.As(r.Err, &forbidden) || !strings.HasSuffix(r.Err.Error(), ".") {
						t.Errorf("%v: %v; want a sentence that forbids it", s, r.Err)
					}
					continue
				}
				allowed++
				r := Run(context.Background(), s)
				if r.Err != nil {
					t.Errorf("%v: %v", s, r.Err)
					continue
				}
				compareClaims(t, &r)
			}
			if allowed == 0 {
				t.Error("no combination is allowed")
			}
		})
	}
}

// compareClaims holds what both ends claim against each other.
func compareClaims(t *testing.T, r *Result) {
	t.Helper()
	client, server := &r.Claims[0], &r.Claims[1]
	if client.TranscriptHash == "" || client.TranscriptHash != server.TranscriptHash {
		t.Errorf("%v: transcript hashes %q and %q", r.Scenario, client.TranscriptHash, server.TranscriptHash)
	}
	if client.PeerKey != server.OwnKey || server.PeerKey != client.OwnKey {
		t.Errorf("%v: the ends disagree on their keys", r.Scenario)
	}
	if client.Suite != server.Suite || client.Group != server.Group || client.HelloRetry != server.HelloRetry {
		t.Errorf("%v: the ends disagree on suite, group or HelloRetryRequest", r.Scenario)
	}
	if want := len(r.Scenario.Attester.Roles()); len(client.Attestation) != want || len(server.Attestation) != want {
		t.Fatalf("%v: %d and %d attesters; want %d", r.Scenario, len(client.Attestation), len(server.Attestation), want)
	}
	for i := range client.Attestation {
		a, b := client.Attestation[i], server.Attestation[i]
		if a.Verdict == nil && b.Verdict == nil {
			t.Errorf("%v: no verdict on the %s", r.Scenario, a.Attester)
		}
		a.Verdict, b.Verdict = nil, nil
		if a != b {
			t.Errorf("%v: the ends claim %+v and %+v", r.Scenario, a, b)
		}
	}
}
