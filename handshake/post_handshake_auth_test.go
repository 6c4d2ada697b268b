package handshake_test

import (
	"bytes"
	"slices"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/handshake"
	"attls/handshake/enginetest"
	"attls/handshake/message"
)

// afterwards is a pair whose client may be asked for a certificate later.
func afterwards(t *testing.T, client pair.Answer, change func(c, s *handshake.Config)) *pair.Pair {
	t.Helper()
	o := direct(func(c, s *handshake.Config) {
		c.PostHandshakeAuthentication, s.PostHandshakeAuthentication = true, true
		s.ClientAuthentication = handshake.NoClientCertificate
		if change != nil {
			change(c, s)
		}
	})
	o.Answer[attls.RoleClient] = client
	p, err := pair.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	return p
}

// authenticated runs a pair and returns the contexts of the answers that the
// server tells of.
func authenticated(p *pair.Pair) (contexts [][]byte) {
	for s, ok := p.Step(); ok; s, ok = p.Step() {
		if s.Event.Kind == handshake.EventAuthenticated {
			contexts = append(contexts, bytes.Clone(s.Event.Data))
		}
	}
	return contexts
}

// TestPostHandshakeAuthentication asks a client after the handshake, once and
// several times at once, with key updates and data between (RFC 8446 section 4.6.2).
func TestPostHandshakeAuthentication(t *testing.T) {
	for name, test := range map[string]struct {
		requests int
		client   *handshake.Credential
		change   func(c, s *handshake.Config)
		before   func(p *pair.Pair)
	}{
		"once":           {requests: 1, client: clientCredential},
		"three at once":  {requests: 3, client: clientCredential},
		"no certificate": {requests: 2},
		"compressed": {requests: 1, client: clientCredential, change: func(c, s *handshake.Config) {
			c.CertificateCompression = []handshake.CertificateCompressor{prefix{7}}
			s.CertificateCompression = []handshake.CertificateCompressor{prefix{7}}
		}},
		"after key updates": {requests: 1, client: clientCredential, before: func(p *pair.Pair) {
			p.Engine(attls.RoleClient).KeyUpdate(false)
			p.Engine(attls.RoleServer).KeyUpdate(true)
		}},
		"with data before": {requests: 2, client: clientCredential, before: func(p *pair.Pair) {
			p.Engine(attls.RoleClient).Write([]byte("more"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p := afterwards(t, enginetest.Answer(test.client), test.change)
			if test.before != nil {
				test.before(p)
			}
			server := p.Engine(attls.RoleServer)
			for range test.requests {
				if err := server.RequestAuthentication(); err != nil {
					t.Fatal(err)
				}
			}
			contexts := authenticated(p)
			if err := p.Err(); err != nil {
				t.Fatal(err)
			}
			if len(contexts) != test.requests || len(slices.CompactFunc(contexts, bytes.Equal)) != test.requests {
				t.Errorf("answers to %x, want %d", contexts, test.requests)
			}
			if chain := server.State().PeerChain; (len(chain) > 0) != (test.client != nil) {
				t.Errorf("the server knows %d certificates", len(chain))
			}
			server.Write([]byte("still well"))
			p.Engine(attls.RoleClient).Write([]byte("so it is"))
			if err := p.Run(); err != nil {
				t.Fatal(err)
			}
			if !bytes.HasSuffix(p.Received(attls.RoleClient), []byte("still well")) || !bytes.HasSuffix(p.Received(attls.RoleServer), []byte("so it is")) {
				t.Error("no data after the authentication")
			}
		})
	}
}

// TestPostHandshakeTicket issues a ticket after the client has authenticated;
// the resumed session knows it.
func TestPostHandshakeTicket(t *testing.T) {
	m := newMeeting()
	p, _ := m.mustMeet(t, func(c, s *handshake.Config) {
		c.PostHandshakeAuthentication, s.PostHandshakeAuthentication = true, true
		s.Tickets = 0
	})
	server := p.Engine(attls.RoleServer)
	if err := server.RequestAuthentication(); err != nil {
		t.Fatal(err)
	}
	if n := len(authenticated(p)); n != 1 {
		t.Fatalf("%d answers: %v", n, p.Err())
	}
	if err := server.IssueTicket(); err != nil {
		t.Fatal(err)
	}
	for s, ok := p.Step(); ok; s, ok = p.Step() {
		if s.Event.Kind == handshake.EventTicket {
			m.clients.Put(s.Event.Session)
		}
	}
	p, resumed := m.mustMeet(t, func(c, s *handshake.Config) { s.ClientAuthentication = handshake.RequireClientCertificate })
	if !resumed || len(p.Engine(attls.RoleServer).State().PeerChain) != 1 {
		t.Error("the session does not know the client's certificate")
	}
}

// TestPostHandshakeRules breaks the rules of RFC 8446 section 4.6.2.
func TestPostHandshakeRules(t *testing.T) {
	server, client := attls.RoleServer, attls.RoleClient
	certificate, verify, finished := at{client, attls.KindCertificate, 0}, at{client, attls.KindCertificateVerify, 0}, at{client, attls.KindFinished, 1}
	request := at{server, attls.KindCertificateRequest, 0}
	last := func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
	context := func(b []byte) []byte { b[6] ^= 1; return b } // the second octet of the context
	for name, test := range map[string]struct {
		at     at
		plan   func(*message.Raw, *handshake.Plan)
		change func(c, s *handshake.Config)
		answer pair.Answer
		want   outcome
	}{
		"context of no request": {at: certificate, plan: replace(context),
			want: outcome{attls.FailIllegalParameter, attls.AlertIllegalParameter, attls.KindCertificate, "context"}},
		"signature": {at: verify, plan: replace(last), want: outcome{attls.FailSignature, attls.AlertDecryptError, attls.KindCertificateVerify, ""}},
		"Finished":  {at: finished, plan: replace(last), want: outcome{attls.FailFinished, attls.AlertDecryptError, attls.KindFinished, ""}},
		"Finished too short": {at: finished, plan: replace(func(b []byte) []byte { return fixLength(b[:len(b)-1]) }),
			want: outcome{attls.FailDecode, attls.AlertDecodeError, attls.KindFinished, ""}},
		"no CertificateVerify": {at: verify, plan: func(_ *message.Raw, p *handshake.Plan) { p.Drop = true },
			want: outcome{attls.FailUnexpectedMessage, attls.AlertUnexpectedMessage, attls.KindFinished, ""}},
		"no Certificate": {at: certificate, plan: func(_ *message.Raw, p *handshake.Plan) { p.Drop = true },
			want: outcome{attls.FailUnexpectedMessage, attls.AlertUnexpectedMessage, attls.KindCertificateVerify, ""}},
		"Certificate twice": {at: certificate, plan: func(m *message.Raw, p *handshake.Plan) { p.After = [][]byte{slices.Clone(m.Bytes)} },
			want: outcome{attls.FailUnexpectedMessage, attls.AlertUnexpectedMessage, attls.KindCertificate, ""}},
		"KeyUpdate between": {at: verify, plan: func(_ *message.Raw, p *handshake.Plan) { p.Before = [][]byte{{24, 0, 0, 1, 0}} },
			want: outcome{attls.FailUnexpectedMessage, attls.AlertUnexpectedMessage, attls.KindKeyUpdate, ""}},
		"request without context": {at: request, plan: replace(func(b []byte) []byte {
			return fixLength(append(append(b[:4:4], 0), b[7:]...))
		}), want: outcome{attls.FailIllegalParameter, attls.AlertIllegalParameter, attls.KindCertificateRequest, "context"}},
		"request twice": {at: request, plan: func(m *message.Raw, p *handshake.Plan) { p.After = [][]byte{slices.Clone(m.Bytes)} },
			answer: func(*handshake.Wait) (handshake.Answer, *attls.Error) {
				return handshake.Answer{}, nil
			},
			want: outcome{attls.FailIllegalParameter, attls.AlertIllegalParameter, attls.KindCertificateRequest, "context"}},
		"certificate required": {at: certificate, plan: func(*message.Raw, *handshake.Plan) {}, answer: enginetest.Answer(nil),
			change: func(c, s *handshake.Config) { s.ClientAuthentication = handshake.RequireClientCertificate },
			want:   outcome{attls.FailCertificateRequired, attls.AlertCertificateRequired, attls.KindNone, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			hit := false
			tap := &planTap{at: test.at, plan: test.plan, hit: &hit}
			answer := test.answer
			if answer == nil {
				answer = enginetest.Answer(clientCredential)
			}
			o := direct(func(c, s *handshake.Config) {
				c.PostHandshakeAuthentication, s.PostHandshakeAuthentication = true, true
				s.ClientAuthentication = handshake.NoClientCertificate
				if test.at.sender == attls.RoleClient {
					c.Tap = tap
				} else {
					s.Tap = tap
				}
			})
			open := name == "request twice" // the first stays unanswered
			o.Answer[client] = func(w *handshake.Wait) (handshake.Answer, *attls.Error) {
				if w.Kind == handshake.WaitCertificateVerdict {
					return handshake.Answer{}, nil
				}
				return answer(w)
			}
			o.Delay = func(r attls.Role, w *handshake.Wait) int {
				if open && r == client && w.Kind == handshake.WaitCredential {
					return pair.WhenIdle
				}
				return 0
			}
			if test.change != nil {
				test.change(o.Client, o.Server)
			}
			if name == "certificate required" { // asked for after the handshake only
				o.Server.ClientAuthentication = handshake.NoClientCertificate
			}
			p, err := pair.New(o)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Run(); err != nil {
				t.Fatal(err)
			}
			if name == "certificate required" {
				o.Server.ClientAuthentication = handshake.RequireClientCertificate
			}
			if err := p.Engine(server).RequestAuthentication(); err != nil {
				t.Fatal(err)
			}
			p.Run()
			if !hit {
				t.Fatal("the message was not sent")
			}
			checkPost(t, p, test.at.sender.Peer(), test.want)
		})
	}
}

// checkPost is checkOutcome for a connection that was well before.
func checkPost(t *testing.T, p *pair.Pair, victim attls.Role, want outcome) {
	t.Helper()
	got := p.Engine(victim).Err()
	if got == nil || got.Failure != want.failure || got.Alert != want.alert || want.message != attls.KindNone && got.Message != want.message {
		t.Errorf("%v\nwant %s, alert %v, in %v", got, want.failure, want.alert, want.message)
	}
}

// TestPostHandshakeUnasked refuses what was not offered, at either end.
func TestPostHandshakeUnasked(t *testing.T) {
	p := afterwards(t, enginetest.Answer(clientCredential), func(c, s *handshake.Config) { c.PostHandshakeAuthentication = false })
	if err := p.Engine(attls.RoleServer).RequestAuthentication(); err == nil {
		t.Error("a client was asked that did not offer to answer")
	}
	if err := p.Engine(attls.RoleClient).RequestAuthentication(); err == nil {
		t.Error("a client asks")
	}
	p = afterwards(t, enginetest.Answer(clientCredential), nil) // no octet moves from here on
	server := p.Engine(attls.RoleServer)
	for i := range 17 {
		if err := server.RequestAuthentication(); (err != nil) != (i == 16) {
			t.Errorf("request %d: %v", i, err)
		}
	}
}

// TestPostHandshakeFork forks a client in the middle of its answer; both halves
// come to the same end.
func TestPostHandshakeFork(t *testing.T) {
	p := afterwards(t, enginetest.Answer(clientCredential), nil)
	if err := p.Engine(attls.RoleServer).RequestAuthentication(); err != nil {
		t.Fatal(err)
	}
	for step := 0; ; step++ {
		f, err := p.Fork([2]handshake.ForkOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(authenticated(f)) != 1 && step == 0 || f.Err() != nil || len(f.Engine(attls.RoleServer).State().PeerChain) != 1 {
			t.Fatalf("forked at step %d: %v", step, f.Err())
		}
		if _, ok := p.Step(); !ok {
			break
		}
	}
}
