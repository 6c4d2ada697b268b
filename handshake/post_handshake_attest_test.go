package handshake_test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"maps"
	"slices"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/enginetest"
	"attls/handshake/message"
	"attls/internal/rule"
	"attls/negotiation"
)

// laterAttesting is a pair whose client attests beside its certificate in the
// handshake and may be asked again. Its payload is the challenge, which the
// server's Appraiser compares with its own.
type laterAttesting struct {
	o          pair.Options
	seen       *flow
	challenges [2][][]byte           // that each end worked with, by role
	credential *handshake.Credential // the client's
	attests    []bool                // what the client was told when it was asked for one
	payload    func(challenge []byte) []byte
	verdict    func() *negotiation.Verdict
	unable     *attls.Error // of the server's, to judge: payload or certificate

	anyChallenge bool // the server compares none
}

// flow is a tap that keeps every message in the order of the connection.
type flow struct {
	handshake.NopTap
	messages []message.Raw
}

func (f *flow) Fork() handshake.Tap { return &flow{} }

func (f *flow) Message(_ handshake.Direction, m *message.Raw, _ *handshake.Plan) {
	f.messages = append(f.messages, message.Raw{Kind: m.Kind, Bytes: slices.Clone(m.Bytes)})
}

// of returns the messages of a kind.
func (f *flow) of(k attls.MessageKind) (list []message.Raw) {
	for _, m := range f.messages {
		if m.Kind == k {
			list = append(list, m)
		}
	}
	return list
}

func loaded(t *testing.T, name string, readings map[string]string) *profile.Profile {
	t.Helper()
	p, err := profile.Load(name, profile.Options{Readings: readings})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newLaterAttesting(p *profile.Profile) *laterAttesting {
	scheme := negotiation.Scheme{Model: profile.ModelEvidence, Credential: profile.KindX509, Format: profile.Format{ContentFormat: 263}}
	l := &laterAttesting{seen: &flow{}, credential: clientCredential, payload: slices.Clone[[]byte], verdict: func() *negotiation.Verdict { return accept }}
	l.o = direct(func(c, s *handshake.Config) {
		c.PostHandshakeAuthentication, s.PostHandshakeAuthentication = true, true
		s.ClientAuthentication = handshake.NoClientCertificate
		c.CipherSuites = []attls.CipherSuite{attls.TLS_AES_128_GCM_SHA256}
		c.Profile, s.Profile, c.CanAuthenticate = p, p, true
		c.Policy.Produce, s.Policy.Accept = []negotiation.Scheme{scheme}, []negotiation.Scheme{scheme}
		c.Tap = l.seen
	})
	l.o.Answer = [2]pair.Answer{attls.RoleClient: l.client, attls.RoleServer: l.server}
	return l
}

func (l *laterAttesting) client(w *handshake.Wait) (handshake.Answer, *attls.Error) {
	if w.Kind == handshake.WaitEvidence {
		l.challenges[attls.RoleClient] = append(l.challenges[attls.RoleClient], w.Evidence.Challenge)
		return handshake.Answer{Evidence: &negotiation.Evidence{CMW: l.payload(w.Evidence.Challenge)}}, nil
	}
	if w.Kind == handshake.WaitCredential {
		l.attests = append(l.attests, w.Credential.Attests)
	}
	return enginetest.Answer(l.credential)(w)
}

func (l *laterAttesting) server(w *handshake.Wait) (handshake.Answer, *attls.Error) {
	if l.unable != nil && (w.Kind == handshake.WaitAppraisal) == l.unable.Failure.Attestation() {
		return handshake.Answer{}, l.unable
	}
	if w.Kind == handshake.WaitAppraisal {
		l.challenges[attls.RoleServer] = append(l.challenges[attls.RoleServer], w.Appraisal.Challenge)
		if !l.anyChallenge && !bytes.Equal(w.Appraisal.CMW, w.Appraisal.Challenge) {
			return handshake.Answer{Verdict: &negotiation.Verdict{Failure: attls.FailBinderMismatch, Reason: "another challenge"}}, nil
		}
		return handshake.Answer{Verdict: l.verdict()}, nil
	}
	return enginetest.Answer(serverCredential)(w)
}

// connect completes the handshake.
func (l *laterAttesting) connect(t *testing.T) *pair.Pair {
	t.Helper()
	p, err := pair.New(l.o)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	return p
}

// request lets the server ask once more.
func request(t *testing.T, p *pair.Pair) {
	t.Helper()
	if err := p.Engine(attls.RoleServer).RequestAuthentication(); err != nil {
		t.Fatal(err)
	}
}

// laterChallenge is the challenge by hand (draft-fossati-seat-early-attestation-05
// section 5): the messages end where base does.
func laterChallenge(t *testing.T, spki []byte, messages ...message.Raw) []byte {
	t.Helper()
	var transcript []byte
	for _, m := range messages {
		transcript = append(transcript, m.Bytes...)
	}
	hash := sha256.Sum256(transcript)
	return updateChallenge(t, spki, hash[:])
}

// updateChallenge is the challenge over a transcript hash.
func updateChallenge(t *testing.T, spki, hash []byte) []byte {
	t.Helper()
	expand := func(secret []byte, label string, context [32]byte) []byte {
		label = "tls13 " + label
		info := append([]byte{0, 32, byte(len(label))}, label...)
		out, err := hkdf.Expand(sha256.New, secret, string(append(append(info, 32), context[:]...)), 32)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	base := expand(make([]byte, 32), "attestation base", [32]byte(hash))
	return expand(base, "attestation", sha256.Sum256(spki))
}

// TestPostHandshakeAttestation asks a client that has attested twice more: under
// every reading it attests again, bound to what the reading says.
func TestPostHandshakeAttestation(t *testing.T) {
	for _, test := range []struct {
		profile  string
		readings map[string]string
		again    bool // the request carries the choice
		same     bool // the binder is that of the handshake
	}{
		{profile: "early-attestation-04"},
		{profile: "early-attestation-04", readings: map[string]string{"pha_base": "same"}, same: true},
		{profile: "early-attestation-05", again: true},
		{profile: "early-attestation-06", readings: map[string]string{"pha_base": "same"}, again: true, same: true},
		{profile: "early-attestation-08pre", again: true},
		{profile: "early-attestation-07", readings: map[string]string{"pha_choice": "carried_over"}},
		{profile: "early-attestation-07", readings: map[string]string{"pha_choice": "carried_over", "pha_base": "same"}, same: true},
	} {
		name := test.profile
		for k, v := range test.readings {
			name += " " + k + "=" + v
		}
		t.Run(name, func(t *testing.T) {
			l := newLaterAttesting(loaded(t, test.profile, test.readings))
			p := l.connect(t)
			first := slices.Clone(l.seen.messages)
			request(t, p)
			request(t, p)
			if n := len(authenticated(p)); n != 2 || p.Err() != nil {
				t.Fatalf("%d answers: %v", n, p.Err())
			}
			if !slices.Equal(l.attests, []bool{true, true, true}) {
				t.Errorf("the client attests beside its certificates: %v", l.attests)
			}
			requests := l.seen.of(attls.KindCertificateRequest)
			spki := p.Engine(attls.RoleServer).State().PeerSPKI
			want := [][]byte{laterChallenge(t, spki, first[:2]...)}
			for _, cr := range requests[1:] {
				whole := append(slices.Clone(first[:1+slices.IndexFunc(first, func(m message.Raw) bool {
					return m.Kind == attls.KindCertificateVerify && bytes.Equal(m.Bytes, l.seen.of(attls.KindCertificateVerify)[1].Bytes)
				})]), l.seen.of(attls.KindFinished)[1], cr)
				if test.same {
					whole = first[:2]
				}
				want = append(want, laterChallenge(t, spki, whole...))
				if carries := bytes.Contains(cr.Bytes, []byte{0xff, 0x06}); carries != test.again {
					t.Errorf("the request carries a choice: %v", carries)
				}
			}
			for _, r := range []attls.Role{attls.RoleClient, attls.RoleServer} {
				if got := l.challenges[r]; !slices.EqualFunc(got, want, bytes.Equal) {
					t.Errorf("the %v works with\n%x, want\n%x", r, got, want)
				}
				s := p.Engine(r).State().Attestation
				if len(s) != 1 || s[0].Attester != attls.RoleClient || !bytes.Equal(s[0].Payload, want[2]) || !bytes.Equal(s[0].Challenge, want[2]) {
					t.Errorf("the %v shows %+v", r, s)
				}
			}
		})
	}
}

// TestPostHandshakeAttestationAnotherKey: a client may show another certificate
// than in the handshake; its payload and the verdict are then about that one.
func TestPostHandshakeAttestationAnotherKey(t *testing.T) {
	l := newLaterAttesting(loaded(t, "early-attestation-07", nil))
	p := l.connect(t)
	l.credential = enginetest.Credential("another client")
	cert, err := x509.ParseCertificate(l.credential.Chain[0])
	if err != nil {
		t.Fatal(err)
	}
	l.verdict = func() *negotiation.Verdict {
		return &negotiation.Verdict{Status: "affirming", SPKI: cert.RawSubjectPublicKeyInfo}
	}
	request(t, p)
	if n := len(authenticated(p)); n != 1 || p.Err() != nil {
		t.Fatalf("%d answers: %v", n, p.Err())
	}
	if !bytes.Equal(p.Engine(attls.RoleServer).State().PeerSPKI, cert.RawSubjectPublicKeyInfo) {
		t.Error("the server knows another key")
	}
}

// TestPostHandshakeAttestationRules breaks the rules of a profile after the handshake.
func TestPostHandshakeAttestationRules(t *testing.T) {
	const failed = attls.AlertDescription(226)
	client, server := attls.RoleClient, attls.RoleServer
	certificate := func(change func(*message.Certificate)) func(*message.Raw, *handshake.Plan) {
		return func(m *message.Raw, p *handshake.Plan) {
			var ct message.Certificate
			if err := ct.Unmarshal(m.Body()); err != nil {
				t.Error(err)
			}
			change(&ct)
			p.Replace = ct.Append(nil)
		}
	}
	add := certificate(func(ct *message.Certificate) {
		ct.Entries[0].Extensions = append(ct.Entries[0].Extensions, extensions.Extension{Type: 0xff06, Body: []byte{0, 0, 1, 7}})
	})
	withhold := func(l *laterAttesting) { l.o.Client.Profile = rule.Without(l.o.Client.Profile, rule.CredentialSent) }
	for name, test := range map[string]struct {
		at       at
		plan     func(*message.Raw, *handshake.Plan)
		readings map[string]string
		change   func(l *laterAttesting) // before the handshake
		after    func(l *laterAttesting) // it
		victim   attls.Role
		want     outcome
	}{
		"another challenge": {change: func(l *laterAttesting) {
			l.payload = func([]byte) []byte { return l.challenges[client][0] } // that of the handshake
		}, victim: server, want: outcome{attls.FailBinderMismatch, failed, attls.KindCertificate, ""}},
		"refused": {after: func(l *laterAttesting) {
			l.verdict = func() *negotiation.Verdict { return &negotiation.Verdict{Failure: attls.FailAppraisal} }
		}, victim: server, want: outcome{attls.FailAppraisal, failed, attls.KindCertificate, ""}},
		"another key": {after: func(l *laterAttesting) {
			_, spki := enginetest.ECDSA()
			l.verdict = func() *negotiation.Verdict { return &negotiation.Verdict{Status: "affirming", SPKI: spki} }
		}, victim: server, want: outcome{attls.FailTIKMismatch, failed, attls.KindCertificate, ""}},
		"no verdict": {after: func(l *laterAttesting) { l.verdict = func() *negotiation.Verdict { return nil } },
			victim: server, want: outcome{attls.FailVerifierUnreachable, attls.AlertInternalError, attls.KindCertificate, ""}},
		"no payload": {after: withhold,
			victim: server, want: outcome{attls.FailMissing, failed, attls.KindCertificate, ""}},
		"no payload, tolerated but demanded": {readings: map[string]string{"missing": "tolerate"},
			change: func(l *laterAttesting) { l.o.Server.Policy.Demand = true },
			after:  withhold,
			victim: server, want: outcome{attls.FailDemandedByServer, attls.AlertHandshakeFailure, attls.KindNone, ""}},
		"payload that was not chosen": {readings: map[string]string{"unwilling": "omit"},
			after: func(l *laterAttesting) { l.o.Server.Policy.Accept = nil },
			at:    at{client, attls.KindCertificate, 1}, plan: add,
			victim: server, want: outcome{attls.FailNotChosen, attls.AlertIllegalParameter, attls.KindCertificate, ""}},
		"payload that nothing asked for": {change: func(l *laterAttesting) { l.o.Client.Profile, l.o.Client.Policy = nil, negotiation.Policy{} },
			at: at{client, attls.KindCertificate, 0}, plan: add,
			victim: server, want: outcome{attls.FailUnsolicited, attls.AlertUnsupportedExtension, attls.KindCertificate, ""}},
		"choice that was not offered": {at: at{server, attls.KindCertificateRequest, 1}, plan: func(m *message.Raw, p *handshake.Plan) {
			p.Replace = bytes.Replace(m.Bytes, []byte{0xff, 6, 0, 4, 0, 0, 1, 7}, []byte{0xff, 6, 0, 4, 0, 0, 1, 8}, 1)
		}, victim: client, want: outcome{attls.FailChoiceNotOffered, attls.AlertIllegalParameter, attls.KindCertificateRequest, ""}},
		"no certificate, but demanded": {change: func(l *laterAttesting) { l.o.Server.Policy.Demand = true },
			at: at{client, attls.KindCertificate, 1}, plan: certificate(func(ct *message.Certificate) { ct.Entries = nil }),
			victim: server, want: outcome{attls.FailMissing, failed, attls.KindCertificate, ""}},
		"certificate refused": {after: func(l *laterAttesting) { l.unable = attls.Errorf(attls.Refused, attls.FailUnknownCA, "unknown") },
			victim: server, want: outcome{attls.FailUnknownCA, attls.AlertUnknownCA, attls.KindCertificate, ""}},
		"nobody to judge": {after: func(l *laterAttesting) { l.unable = attls.Errorf(attls.Local, attls.FailVerifierUnreachable, "away") },
			victim: server, want: outcome{attls.FailVerifierUnreachable, attls.AlertInternalError, attls.KindCertificate, ""}},
		"payload too long": {after: func(l *laterAttesting) { l.payload = func([]byte) []byte { return make([]byte, 65530) } },
			victim: client, want: outcome{attls.FailTooLarge, attls.AlertInternalError, attls.KindCertificate, ""}},
		"no certificate to go beside": {after: func(l *laterAttesting) { l.credential = nil },
			victim: client, want: outcome{attls.FailAttesterUnavailable, attls.AlertInternalError, attls.KindCertificate, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLaterAttesting(loaded(t, "early-attestation-07", test.readings))
			hit := test.plan == nil
			if test.change != nil {
				test.change(l)
			}
			if tap := (&planTap{at: test.at, plan: test.plan, hit: &hit}); test.plan != nil && test.at.sender == client {
				l.o.Client.Tap = tap
			} else if test.plan != nil {
				l.o.Server.Tap = tap
			}
			p := l.connect(t)
			if test.after != nil {
				test.after(l)
			}
			request(t, p)
			p.Run()
			if !hit {
				t.Fatal("the message was not sent")
			}
			checkPost(t, p, test.victim, test.want)
		})
	}
}

// TestPostHandshakeVerdict lets the verdict on an answer come late: what it is
// due before waits for it.
func TestPostHandshakeVerdict(t *testing.T) {
	for name, test := range map[string]struct {
		due   profile.VerdictBefore
		waits bool
	}{
		"certificate_verify": {profile.BeforeCertificateVerify, true},
		"finished":           {profile.BeforeFinished, true},
		"application_data":   {profile.BeforeApplicationData, true},
		"later":              {profile.BeforeNothing, false},
	} {
		t.Run(name, func(t *testing.T) {
			changed := *loaded(t, "early-attestation-07", nil)
			changed.Rules.Verdict = test.due
			l := newLaterAttesting(&changed)
			l.o.Server.Policy.Demand = true
			l.o.Delay = func(_ attls.Role, w *handshake.Wait) int {
				if w.Kind == handshake.WaitAppraisal {
					return pair.WhenIdle
				}
				return 0
			}
			p := l.connect(t)
			second := &negotiation.Verdict{Status: "affirming", Reason: "the second"}
			l.verdict = func() *negotiation.Verdict { return second }
			request(t, p)
			var order []string
			for s, ok := p.Step(); ok; s, ok = p.Step() {
				switch {
				case s.Event.Kind == handshake.EventAuthenticated:
					order = append(order, "authenticated")
				case s.Action == pair.Answered && s.Wait.Kind == handshake.WaitAppraisal:
					order = append(order, "verdict")
				}
			}
			want := []string{"authenticated", "verdict"}
			if test.waits {
				slices.Reverse(want)
			}
			if !slices.Equal(order, want) || p.Err() != nil {
				t.Errorf("%v, want %v: %v", order, want, p.Err())
			}
			if s := p.Engine(attls.RoleServer).State().Attestation; len(s) != 1 || s[0].Verdict != second {
				t.Errorf("the server shows %+v", s)
			}
		})
	}
}

// TestPostHandshakeVerdictTolerated goes on where the profile lets it pass that
// nobody judges.
func TestPostHandshakeVerdictTolerated(t *testing.T) {
	changed := *loaded(t, "early-attestation-07", nil)
	changed.Alerts = maps.Clone(changed.Alerts)
	changed.Alerts[attls.FailVerifierUnreachable] = profile.AlertAction{None: true}
	l := newLaterAttesting(&changed)
	p := l.connect(t)
	l.unable = attls.Errorf(attls.Local, attls.FailVerifierUnreachable, "away")
	request(t, p)
	if n := len(authenticated(p)); n != 1 || p.Err() != nil {
		t.Fatalf("%d answers: %v", n, p.Err())
	}
	if s := p.Engine(attls.RoleServer).State().Attestation; s[0].Verdict == nil || s[0].Verdict.Failure != attls.FailVerifierUnreachable {
		t.Errorf("the server shows %+v", s[0].Verdict)
	}
}

// TestPostHandshakeAttestationOff leaves everything as it is where the profile
// has no such rule, and where its client does not attest.
func TestPostHandshakeAttestationOff(t *testing.T) {
	off := *loaded(t, "early-attestation-07", nil)
	off.PostHandshake = profile.PostHandshake{}
	for name, change := range map[string]func(l *laterAttesting){
		"no rule":           func(l *laterAttesting) { l.o.Client.Profile, l.o.Server.Profile = &off, &off },
		"nothing in common": func(l *laterAttesting) { l.o.Server.Profile, l.o.Server.Policy.Accept = nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLaterAttesting(loaded(t, "early-attestation-07", nil))
			change(l)
			p := l.connect(t)
			before := len(l.challenges[attls.RoleClient])
			request(t, p)
			if n := len(authenticated(p)); n != 1 || p.Err() != nil {
				t.Fatalf("%d answers: %v", n, p.Err())
			}
			if n := len(l.challenges[attls.RoleClient]); n != before {
				t.Errorf("the client attests after the handshake (%d)", n-before)
			}
		})
	}
}

// TestPostHandshakeAttestationFork forks both ends at every step of an answer;
// both halves come to the same end.
func TestPostHandshakeAttestationFork(t *testing.T) {
	for name, due := range map[string]profile.VerdictBefore{"finished": profile.BeforeFinished, "later": profile.BeforeNothing} {
		t.Run(name, func(t *testing.T) { forkLaterAttestation(t, due) })
	}
}

func forkLaterAttestation(t *testing.T, due profile.VerdictBefore) {
	changed := *loaded(t, "early-attestation-07", nil)
	changed.Rules.Verdict = due
	l := newLaterAttesting(&changed)
	p := l.connect(t)
	second := &negotiation.Verdict{Status: "affirming", Reason: "the second"}
	l.verdict = func() *negotiation.Verdict { return second }
	request(t, p)
	var want []byte
	for step := 0; ; step++ {
		f, err := p.Fork([2]handshake.ForkOptions{})
		if err != nil {
			t.Fatal(err)
		}
		f.Run()
		s := f.Engine(attls.RoleServer).State().Attestation
		if f.Err() != nil || len(s) != 1 || s[0].Verdict != second {
			t.Fatalf("forked at step %d: %v, %+v", step, f.Err(), s)
		}
		if want == nil {
			want = s[0].Payload
		}
		if !bytes.Equal(s[0].Payload, want) {
			t.Errorf("forked at step %d: %x, want %x", step, s[0].Payload, want)
		}
		if _, ok := p.Step(); !ok {
			break
		}
	}
	if first := l.challenges[attls.RoleClient][0]; bytes.Equal(want, first) {
		t.Error("the payload of the handshake is shown")
	}
}

// TestPostHandshakeAttestationResumed: a resumed connection has no choice of its
// own, so a client attests in it only where the request chooses again.
func TestPostHandshakeAttestationResumed(t *testing.T) {
	for choice, attests := range map[string]bool{"in_request": true, "carried_over": false} {
		t.Run(choice, func(t *testing.T) {
			m := newMeeting()
			connect := func() (*laterAttesting, *pair.Pair) {
				l := newLaterAttesting(loaded(t, "early-attestation-07", map[string]string{"pha_choice": choice}))
				l.o.Client.PSK, l.o.Server.PSK, l.o.Server.Tickets = true, true, 1
				for r, plain := range l.o.Answer {
					l.o.Answer[r] = func(w *handshake.Wait) (handshake.Answer, *attls.Error) {
						if w.Kind == handshake.WaitPSK || w.Kind == handshake.WaitTicket {
							return m.answers(attls.Role(r), nil)(w)
						}
						return plain(w)
					}
				}
				p, err := pair.New(l.o)
				if err != nil {
					t.Fatal(err)
				}
				for s, ok := p.Step(); ok; s, ok = p.Step() {
					if s.Event.Kind == handshake.EventTicket {
						m.clients.Put(s.Event.Session)
					}
				}
				return l, p
			}
			connect()
			l, p := connect()
			if p.Err() != nil || p.Engine(attls.RoleServer).State().Session == nil {
				t.Fatalf("not resumed: %v", p.Err())
			}
			request(t, p)
			if n := len(authenticated(p)); n != 1 || p.Err() != nil {
				t.Fatalf("%d answers: %v", n, p.Err())
			}
			for _, r := range []attls.Role{attls.RoleClient, attls.RoleServer} {
				if s := p.Engine(r).State().Attestation; len(l.challenges[r]) == 1 != attests || len(s) == 1 != attests {
					t.Errorf("the %v worked with %x and shows %+v", r, l.challenges[r], s)
				}
			}
		})
	}
}
