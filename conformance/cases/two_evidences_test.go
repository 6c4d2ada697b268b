package cases

import (
	"context"
	"testing"
	"time"

	"attls"
	"attls/conformance/scenario"
	"attls/conformance/tamper"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/negotiation"
)

// twoEvidences is a server that attests twice in one Certificate.
func twoEvidences(t *testing.T, change func(*scenario.Setup)) *scenario.Result {
	t.Helper()
	s := scenario.Scenario{Profile: "../../extensions/profile/testdata/changed/two-evidences.yaml", Attester: scenario.AttestServer, Model: "evidence", Credential: "x509"}
	p, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	set, err := scenario.NewSetup(p, &s)
	if err != nil {
		t.Fatal(err)
	}
	change(set)
	r, err := set.RunInMemory()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// slotVerdict changes the verdict on the payload of one slot.
type slotVerdict struct {
	negotiation.Appraiser
	slot   string
	change func(*negotiation.Verdict)
}

func (a slotVerdict) Appraise(ctx context.Context, r *negotiation.AppraisalRequest) (*negotiation.Verdict, error) {
	v, err := a.Appraiser.Appraise(ctx, r)
	if err == nil && r.Slot == a.slot {
		a.change(v)
	}
	return v, err
}

// TestEachVerdictCounts: of two payloads either may refuse the server, and either one is missed.
func TestEachVerdictCounts(t *testing.T) {
	for _, slot := range []string{"server_attester", "device"} {
		r := twoEvidences(t, func(s *scenario.Setup) {
			end := s.Ends[attls.RoleClient]
			end.Appraiser = slotVerdict{end.Appraiser, slot, func(v *negotiation.Verdict) {
				*v = negotiation.Verdict{Failure: attls.FailAppraisal, Reason: "refused"}
			}}
		})
		if err := r.Pair.Engine(attls.RoleClient).Err(); err == nil || err.Failure != attls.FailAppraisal {
			t.Errorf("the verdict on %s is refused: %v", slot, err)
		}
		r = twoEvidences(t, func(s *scenario.Setup) {
			gone := attls.ExtensionType(0)
			for i := range s.Profile.Slots {
				if c, ok := s.Profile.CredentialFor(i, profile.KindX509); ok && s.Profile.Slots[i].Name == slot {
					gone = c.Extension
				}
			}
			s.Tap(attls.RoleServer, tamper.Certificate(func(m *message.Certificate) {
				for i := range m.Entries {
					m.Entries[i].Extensions = tamper.Without(m.Entries[i].Extensions, func(t attls.ExtensionType) bool { return t == gone })
				}
			}))
		})
		if err := r.Pair.Engine(attls.RoleClient).Err(); err == nil || err.Failure != attls.FailMissing {
			t.Errorf("without the payload of %s: %v", slot, err)
		}
	}
}

// TestEarliestEndOfValidity: of two verdicts the one that ends first bounds what is kept.
func TestEarliestEndOfValidity(t *testing.T) {
	for _, slot := range []string{"server_attester", "device"} {
		var early time.Time
		r := twoEvidences(t, func(s *scenario.Setup) {
			end := s.Ends[attls.RoleClient]
			end.Appraiser = slotVerdict{end.Appraiser, slot, func(v *negotiation.Verdict) {
				v.ValidUntil = v.ValidUntil.Add(-time.Minute)
				early = v.ValidUntil
			}}
			s.Resumable(&handshake.ServerSessions{}, &handshake.ClientSessions{})
		})
		a := r.Pair.Engine(attls.RoleClient).State().Attested
		if a == nil || early.IsZero() || !a.ValidUntil.Equal(early) || len(a.Others) != 1 {
			t.Fatalf("%s ends at %v: %+v", slot, early, a)
		}
		if r.Session == nil || r.Session.Attestation == nil || !r.Session.Attestation.ValidUntil.Equal(early) {
			t.Errorf("%s ends at %v; the session has %+v", slot, early, r.Session)
		}
	}
}
