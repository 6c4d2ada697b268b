package handshake_test

import (
	"bytes"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/conformance/tamper"
	"attls/extensions/profile"
	"attls/handshake"
)

const askedAfterwards = "../extensions/profile/testdata/changed/asked-afterwards.yaml"
const askedOnlyAfterwards = "../extensions/profile/testdata/changed/asked-only-afterwards.yaml"

// newAsked is newLaterAttesting with nonces, which the engine draws.
func newAsked(p *profile.Profile) *laterAttesting {
	l := newLaterAttesting(p)
	l.o.Answer[attls.RoleServer] = func(w *handshake.Wait) (handshake.Answer, *attls.Error) {
		if w.Kind == handshake.WaitNonce {
			return handshake.Answer{}, nil
		}
		return l.server(w)
	}
	return l
}

// TestAskedAfterwards asks a client twice in a slot of post-handshake authentication, behind a
// handshake in which it attests or cannot.
func TestAskedAfterwards(t *testing.T) {
	for file, slots := range map[string][]string{askedAfterwards: {"client_attester", "again"}, askedOnlyAfterwards: {"", "client"}} {
		for _, demand := range []bool{false, true} {
			l := newAsked(loaded(t, file, nil))
			l.o.Server.Policy.Demand = demand
			p := l.connect(t)
			attested := func() []handshake.AttestationState { return p.Engine(attls.RoleServer).State().Attestation }
			if got := attested(); slots[0] == "" && len(got) != 0 || slots[0] != "" && (len(got) != 1 || got[0].Slot != slots[0]) {
				t.Errorf("%s: %+v", file, got)
			}
			for range 2 {
				request(t, p)
				if n := len(authenticated(p)); n != 1 || p.Err() != nil {
					t.Fatalf("%s: %d answers, %v", file, n, p.Err())
				}
				if got := attested(); len(got) != 1 || got[0].Slot != slots[1] || got[0].Verdict != accept || len(got[0].Nonce) < 8 {
					t.Errorf("%s: %+v", file, got)
				}
			}
			want := 2
			if slots[0] != "" {
				want = 3
			}
			c := l.challenges[attls.RoleClient]
			if len(c) != want || len(l.challenges[attls.RoleServer]) != want {
				t.Fatalf("%s: %d challenges", file, len(c))
			}
			for i := range c {
				for k := range i {
					if bytes.Equal(c[i], c[k]) {
						t.Errorf("%s: challenges %d and %d are the same", file, k, i)
					}
				}
			}
		}
	}
}

// TestAskedAfterwardsRefused breaks the phase.
func TestAskedAfterwardsRefused(t *testing.T) {
	p := loaded(t, askedOnlyAfterwards, nil)
	const number = 0xff57
	nonce := append([]byte{8}, make([]byte, 8)...)
	for name, test := range map[string]struct {
		change  func(l *laterAttesting)
		asked   bool // after the handshake, before the failure
		failure attls.Failure
		at      attls.MessageKind
	}{
		"asked in the handshake": {func(l *laterAttesting) {
			l.o.Server.ClientAuthentication = handshake.RequireClientCertificate
			l.o.Server.Tap = tamper.Extensions(attls.KindCertificateRequest, 0, tamper.Add(number, nonce...))
		}, false, attls.FailWrongMessage, attls.KindCertificateRequest},
		"nobody attests": {func(l *laterAttesting) {
			l.o.Server.Policy.Demand, l.o.Client.Policy.Produce = true, nil
		}, true, attls.FailMissing, attls.KindCertificate},
		"not accepted": {func(l *laterAttesting) {
			l.payload = func(c []byte) []byte { return append(c[:0:0], make([]byte, len(c))...) }
		},
			true, attls.FailBinderMismatch, attls.KindCertificate},
		"nobody can judge": {func(l *laterAttesting) {
			l.o.Server.Policy.Accept = nil
			l.o.Server.Tap = tamper.Extensions(attls.KindCertificateRequest, 0, tamper.Add(number, nonce...))
		}, true, attls.FailUnsolicited, attls.KindCertificate},
	} {
		t.Run(name, func(t *testing.T) {
			l := newAsked(p)
			test.change(l)
			both, err0 := pair.New(l.o)
			if err0 != nil {
				t.Fatal(err0)
			}
			_ = both.Run()
			if test.asked {
				if !both.Done() {
					t.Fatal(both.Err())
				}
				request(t, both)
				_ = both.Run()
			}
			err := both.Engine(attls.RoleServer).Err()
			if !test.asked {
				err = both.Engine(attls.RoleClient).Err()
			}
			if err == nil || err.Failure != test.failure || err.Message != test.at {
				t.Errorf("%v, not %v at %v", err, test.failure, test.at)
			}
		})
	}
}
