package handshake_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"attls"
	"attls/conformance/pair"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/enginetest"
	"attls/negotiation"
)

// attesting is an Attester whose payload nobody looks into and an Appraiser
// that calls judge.
type attesting struct {
	source
	judge func(context.Context) (*negotiation.Verdict, error)
}

func (attesting) Attest(context.Context, *negotiation.EvidenceRequest) (*negotiation.Evidence, error) {
	return &negotiation.Evidence{CMW: []byte("payload")}, nil
}

func (attesting) Nonce(context.Context, int) ([]byte, error) { return nil, nil }

func (a attesting) Appraise(ctx context.Context, _ *negotiation.AppraisalRequest) (*negotiation.Verdict, error) {
	return a.judge(ctx)
}

// attested are two Conns over TCP: the server attests beside its certificate,
// the client relies on it. The verdict is due as said.
func attested(t *testing.T, due profile.VerdictBefore, ca, sa *handshake.Answerer) (client, server *handshake.Conn, p *profile.Profile) {
	t.Helper()
	loaded, err := profile.Load("early-attestation-06", profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	changed := *loaded
	changed.Rules.Verdict = due
	scheme := profile.Scheme{Model: profile.ModelEvidence, Credential: profile.KindX509, Format: profile.Format{ContentFormat: 263}}
	cc := &handshake.Config{Profile: &changed, Policy: negotiation.Policy{Accept: []negotiation.Scheme{scheme}, Demand: true}}
	sc := &handshake.Config{Profile: &changed, Policy: negotiation.Policy{Produce: []negotiation.Scheme{scheme}}, CanAuthenticate: true}
	ca.Trust.InsecureSkipVerify = true
	sa.Credentials = trusting("server").Credentials
	a, b := loopback(t)
	client, server = conns(t, a, b, cc, sc, ca, sa)
	return client, server, &changed
}

var accept = &negotiation.Verdict{Status: "affirming"}

// TestVerdicts lets a verdict come when it is due, and checks what went on before.
func TestVerdicts(t *testing.T) {
	for name, due := range map[string]profile.VerdictBefore{"certificate_verify": profile.BeforeCertificateVerify, "finished": profile.BeforeFinished,
		"application_data": profile.BeforeApplicationData, "later": profile.BeforeNothing} {
		t.Run(name, func(t *testing.T) {
			asked, release := make(chan struct{}), make(chan struct{})
			judge := func(context.Context) (*negotiation.Verdict, error) {
				close(asked)
				<-release
				return accept, nil
			}
			client, server, _ := attested(t, due, &handshake.Answerer{Appraiser: attesting{judge: judge}}, &handshake.Answerer{Attester: attesting{}})
			served := make(chan error, 1)
			go func() {
				_, err := server.Write([]byte("data"))
				served <- err
			}()
			got := make(chan error, 1)
			go func() {
				_, err := io.ReadFull(client, make([]byte, 4))
				got <- err
			}()
			within(t, asked, "the question for a verdict")
			finish := func(c chan error, who string) {
				t.Helper()
				if err := within(t, c, "the end of the "+who); err != nil {
					t.Fatalf("%s: %v", who, err)
				}
			}
			switch due { // what does not wait for the verdict
			case profile.BeforeNothing:
				finish(served, "server")
				finish(got, "client")
				if v := client.ConnectionState().Attestation[0].Verdict; v != nil {
					t.Error("a verdict before it was given")
				}
				close(release)
			case profile.BeforeApplicationData:
				finish(served, "server")
				close(release)
				finish(got, "client")
			default:
				close(release)
				finish(served, "server")
				finish(got, "client")
			}
			if err := client.Settled(t.Context()); err != nil {
				t.Fatal(err)
			}
			if s := client.ConnectionState().Attestation; len(s) != 1 || s[0].Verdict != accept || string(s[0].Payload) != "payload" {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestVerdictOnAnotherKey: a verdict that names a key other than that of the
// certificate accepts nothing, whatever else it says.
func TestVerdictOnAnotherKey(t *testing.T) {
	_, other := enginetest.ECDSA()
	for name, due := range map[string]profile.VerdictBefore{"finished": profile.BeforeFinished, "later": profile.BeforeNothing} {
		t.Run(name, func(t *testing.T) {
			var key []byte
			judge := func(context.Context) (*negotiation.Verdict, error) {
				return &negotiation.Verdict{Status: "affirming", SPKI: key}, nil
			}
			connect := func() (*handshake.Conn, error) {
				client, server, _ := attested(t, due, &handshake.Answerer{Appraiser: attesting{judge: judge}}, &handshake.Answerer{Attester: attesting{}})
				ce, _ := both(client, server)
				if ce == nil {
					ce = client.Settled(t.Context())
				}
				return client, ce
			}
			client, err := connect()
			if err != nil {
				t.Fatal(err)
			}
			key = client.ConnectionState().PeerSPKI
			if _, err := connect(); err != nil {
				t.Errorf("the certificate's key: %v", err)
			}
			key = other
			client, err = connect()
			var failure *attls.Error
			if errors.As(err, &failure); due == profile.BeforeFinished && (failure == nil || failure.Failure != attls.FailTIKMismatch) {
				t.Errorf("another key: %v", err)
			}
			if v := client.ConnectionState().Attestation[0].Verdict; v.Failure != attls.FailTIKMismatch {
				t.Errorf("another key: %+v", v)
			}
		})
	}
}

// TestVerdictAfterwards lets a verdict that blocks nothing be a refusal, or
// stay out: the connection goes on and the state tells.
func TestVerdictAfterwards(t *testing.T) {
	refusal := &negotiation.Verdict{Failure: attls.FailAppraisal, Reason: "not today"}
	tests := map[attls.Failure]func(context.Context) (*negotiation.Verdict, error){
		attls.FailAppraisal:           func(context.Context) (*negotiation.Verdict, error) { return refusal, nil },
		attls.FailVerifierUnreachable: func(context.Context) (*negotiation.Verdict, error) { return nil, errors.New("no answer") },
	}
	for want, judge := range tests {
		ca := &handshake.Answerer{Appraiser: attesting{judge: judge}}
		client, server, _ := attested(t, profile.BeforeNothing, ca, &handshake.Answerer{Attester: attesting{}})
		if ce, se := both(client, server); ce != nil || se != nil {
			t.Fatal(ce, se)
		}
		if err := client.Settled(t.Context()); err != nil {
			t.Fatal(err)
		}
		if v := client.ConnectionState().Attestation[0].Verdict; v == nil || v.Failure != want {
			t.Errorf("verdict %+v, want %s", v, want)
		}
		if err := transfer(client, server, 10); err != nil {
			t.Error(err)
		}
	}
}

// TestSeveralWaits needs two slow answers at once: each waits for the other.
func TestSeveralWaits(t *testing.T) {
	chain, payload := make(chan struct{}), make(chan struct{})
	ca := &handshake.Answerer{Appraiser: attesting{judge: func(context.Context) (*negotiation.Verdict, error) {
		close(payload)
		<-chain
		return accept, nil
	}}}
	ca.Trust.Verify = func(context.Context, attls.Role, [][]byte) error {
		close(chain)
		<-payload
		return nil
	}
	client, server, _ := attested(t, profile.BeforeFinished, ca, &handshake.Answerer{Attester: attesting{}})
	if ce, se := both(client, server); ce != nil || se != nil {
		t.Error(ce, se)
	}
}

// TestTimeouts checks that an answer that stays out becomes the profile's alert.
func TestTimeouts(t *testing.T) {
	soon := map[handshake.WaitKind]time.Duration{handshake.WaitEvidence: time.Millisecond, handshake.WaitAppraisal: time.Millisecond}
	tests := []struct {
		name   string
		ca, sa *handshake.Answerer
		victim attls.Role // whose source is silent
		want   attls.Failure
	}{
		{"Attester", &handshake.Answerer{}, &handshake.Answerer{Attester: source{}, Timeouts: soon}, attls.RoleServer, attls.FailAttesterUnavailable},
		{"Appraiser", &handshake.Answerer{Appraiser: silentJudge{}, Timeouts: soon}, &handshake.Answerer{Attester: attesting{}}, attls.RoleClient, attls.FailVerifierUnreachable},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			client, server, p := attested(t, profile.BeforeFinished, test.ca, test.sa)
			var errs [2]error
			errs[attls.RoleClient], errs[attls.RoleServer] = both(client, server)
			var e *attls.Error
			if !errors.As(errs[test.victim], &e) || e.Failure != test.want {
				t.Errorf("%v", errs[test.victim])
			}
			alert := p.AlertFor(test.want).Alert
			if err := errs[test.victim.Peer()]; !errors.As(err, &e) || e.Failure != attls.FailPeerAlert || e.Alert != alert {
				t.Errorf("the peer: %v, want the alert %v", err, alert)
			}
		})
	}
}

// silentJudge gives nonces and never a verdict.
type silentJudge struct{ source }

func (silentJudge) Nonce(context.Context, int) ([]byte, error) { return nil, nil }

// TestConnPostHandshakeAttestation attests in the handshake and, asked on the
// running connection, once more.
func TestConnPostHandshakeAttestation(t *testing.T) {
	for name, p := range map[string]*profile.Profile{
		"without a nonce":                   loaded(t, "early-attestation-07", nil),
		"with a nonce in each request":      noncePlaces[0].load(t, ""),
		"with the nonce of the handshake":   noncePlaces[3].load(t, ""),
		"with a nonce beside a choice kept": noncePlaces[5].load(t, ""),
	} {
		t.Run(name, func(t *testing.T) { connPostHandshakeAttestation(t, newLaterAttesting(p).o) })
	}
}

func connPostHandshakeAttestation(t *testing.T, o pair.Options) {
	second := &negotiation.Verdict{Status: "affirming", Reason: "the second"}
	asked := 0
	ca, sa := trusting("client"), trusting("server")
	ca.Attester = attesting{}
	sa.Appraiser = attesting{judge: func(context.Context) (*negotiation.Verdict, error) {
		if asked++; asked == 2 {
			return second, nil
		}
		return accept, nil
	}}
	a, b := loopback(t)
	client, server := conns(t, a, b, o.Client, o.Server, ca, sa)
	if ce, se := both(client, server); ce != nil || se != nil {
		t.Fatal(ce, se)
	}
	if err := server.RequestAuthentication(); err != nil {
		t.Fatal(err)
	}
	say(t, server, client, "and now?")
	// The answer comes in front of the client's next line, or after it.
	for server.ConnectionState().Attestation[0].Verdict != second {
		say(t, client, server, "well")
	}
	if err := server.Settled(t.Context()); err != nil || asked != 2 {
		t.Errorf("%d verdicts: %v", asked, err)
	}
}
