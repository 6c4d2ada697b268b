package roots

import (
	"strings"
	"testing"
	"time"

	"attls"
	"attls/attestation"
	"attls/attestation/roottest"
	"attls/attestation/tsm"
	"attls/extensions/profile"
	"attls/negotiation"
)

// TestAll: the rows are complete and can be told apart.
func TestAll(t *testing.T) {
	for _, f := range All().All() {
		t.Log(f.Name, f.Types)
	}
}

// TestReportOfAnotherPlatform: the TSM report of one platform is not taken for that of
// another, although both have the same type.
func TestReportOfAnotherPlatform(t *testing.T) {
	clock := func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }
	for _, typ := range tsm.Types() {
		scheme := negotiation.Scheme{Format: profile.Format{MediaType: typ.MediaType}, Credential: profile.KindX509}
		evidence, emulations := map[string][]byte{}, map[string]*attestation.Emulation{}
		for _, f := range All().Of(scheme.Format) {
			e, err := f.Emulate(t.Context(), attestation.EmulatorOptions{Seed: []byte("seed"), Clock: clock})
			if err != nil {
				t.Fatal(err)
			}
			q := &negotiation.EvidenceRequest{Scheme: scheme, Challenge: make([]byte, 64), SPKI: []byte("key"), KeyBound: true}
			ev, err := e.Attester.Attest(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			evidence[f.Name], emulations[f.Name] = ev.CMW, e
		}
		if len(evidence) < 2 {
			t.Fatalf("one format alone has the type %s", typ)
		}
		for trusted, e := range emulations {
			v := roottest.Verifier(All(), trusted, e, clock)
			for made, payload := range evidence {
				verdict, err := v.Appraise(t.Context(), &negotiation.AppraisalRequest{Scheme: scheme, CMW: payload,
					Challenge: make([]byte, 64), SPKI: []byte("key"), KeyBound: true})
				if err != nil {
					t.Fatal(err)
				}
				failure, reason := verdict.Refusal(clock())
				if want := map[bool]attls.Failure{false: attls.FailFormatMismatch}[made == trusted]; failure != want ||
					want != "" && (!strings.Contains(reason, made) || !strings.Contains(reason, trusted)) {
					t.Errorf("%s: Evidence of %s where %s is trusted: %q (%s)", typ, made, trusted, failure, reason)
				}
			}
		}
	}
}
