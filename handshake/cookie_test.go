package handshake_test

import (
	"bytes"
	"slices"
	"testing"

	"attls"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
	"attls/handshake"
	"attls/handshake/enginetest"
	"attls/handshake/message"
)

// statelessly makes the client's two ClientHellos and lets an engine of its own
// handle each; it returns the client, and the second server before it has seen
// anything.
func statelessly(t *testing.T, change func(c *handshake.Config, first, second *handshake.Config)) (client, server *handshake.Engine) {
	t.Helper()
	make1 := func() *handshake.Config {
		return &handshake.Config{Groups: []attls.NamedGroup{attls.GroupSecp256r1}, ALPN: []string{"attls"}, Retry: handshake.Retry{Secrets: [][32]byte{{1}}}}
	}
	cc, first, second := &handshake.Config{ServerName: "server", ALPN: []string{"attls"}}, make1(), make1()
	if change != nil {
		change(cc, first, second)
	}
	client, err := handshake.NewClient(cc)
	if err != nil {
		t.Fatal(err)
	}
	one, err := handshake.NewServer(first)
	if err != nil {
		t.Fatal(err)
	}
	move(client, one)
	if server, err = handshake.NewServer(second); err != nil {
		t.Fatal(err)
	}
	move(one, client)
	return client, server
}

// move delivers everything that one engine has to send.
func move(from, to *handshake.Engine) {
	b := bytes.Clone(from.Output())
	from.Wrote(len(b))
	copy(to.Reserve(len(b)), b)
	to.Commit(len(b))
}

// conclude answers waits and moves octets until both are done or one has failed.
func conclude(client, server *handshake.Engine) {
	for range 10 {
		for _, e := range []*handshake.Engine{client, server} {
			answer := enginetest.Answer(serverCredential)
			for ev, ok := e.Next(); ok; ev, ok = e.Next() {
				if ev.Kind == handshake.EventWait {
					a, _ := answer(ev.Wait)
					e.Answer(ev.Wait.ID, a)
				}
			}
		}
		move(client, server)
		move(server, client)
	}
}

// TestStatelessRetry hands the second ClientHello to a server that has not seen
// the first (RFC 8446 section 4.2.2).
func TestStatelessRetry(t *testing.T) {
	group := attls.GroupSecp256r1
	for name, test := range map[string]struct {
		change  func(c, first, second *handshake.Config)
		second  func(*message.ClientHello) // changes it
		failure attls.Failure
		field   string
	}{
		"group": {},
		"cookie": {change: func(c, first, second *handshake.Config) {
			c.KeyShares, c.Groups = []attls.NamedGroup{group}, []attls.NamedGroup{group}
			first.Retry.Always = true
		}},
		"no session id": {change: func(c, first, second *handshake.Config) { c.NoMiddleboxCompatibility = true }},
		"older secret":  {change: func(c, first, second *handshake.Config) { second.Retry.Secrets = [][32]byte{{2}, {1}} }},
		"other secret":  {change: func(c, first, second *handshake.Config) { second.Retry.Secrets = [][32]byte{{2}} }, failure: attls.FailRetryMismatch, field: "cookie"},
		"other suite order": {change: func(c, first, second *handshake.Config) {
			second.CipherSuites = []attls.CipherSuite{attls.TLS_CHACHA20_POLY1305_SHA256}
		}},
		"random": {second: func(ch *message.ClientHello) { ch.Random = make([]byte, 32) }, failure: attls.FailRetryMismatch},
		"random that may be new": {change: func(c, first, second *handshake.Config) {
			first.Profile = &profile.Profile{ID: "quirks", Quirks: profile.Quirks{AcceptNewRandom: true}}
			second.Profile = first.Profile
		}, second: func(ch *message.ClientHello) { ch.Random = make([]byte, 32) }, failure: attls.FailPeerAlert},
		"session id":   {second: func(ch *message.ClientHello) { ch.SessionID = make([]byte, 32) }, failure: attls.FailRetryMismatch},
		"suites":       {second: func(ch *message.ClientHello) { ch.CipherSuites = ch.CipherSuites[:4] }, failure: attls.FailRetryMismatch},
		"extension":    {second: func(ch *message.ClientHello) { ch.Extensions = without(attls.ExtALPN)(ch.Extensions) }, failure: attls.FailRetryMismatch},
		"early_data":   {second: func(ch *message.ClientHello) { ch.Extensions = with(attls.ExtEarlyData, nil)(ch.Extensions) }, failure: attls.FailRetryMismatch, field: "early_data"},
		"padding":      {second: func(ch *message.ClientHello) { ch.Extensions = with(attls.ExtPadding, []byte{0})(ch.Extensions) }, failure: attls.FailPeerAlert},
		"cookie short": {second: func(ch *message.ClientHello) { ch.Extensions = body(attls.ExtCookie, 0, 1, 7)(ch.Extensions) }, failure: attls.FailRetryMismatch, field: "cookie"},
		"other group": {second: func(ch *message.ClientHello) {
			x, _ := ch.Extensions.Find(attls.ExtKeyShare)
			b := slices.Clone(x.Body)
			b[3] = 0x18
			x.Body = b
		}, failure: attls.FailRetryMismatch, field: "key_share"},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := statelessly(t, test.change)
			if test.second != nil {
				b := bytes.Clone(client.Output())
				client.Wrote(len(b))
				i := bytes.Index(b, []byte{22, 3}) // behind change_cipher_spec
				var ch message.ClientHello
				if err := ch.Unmarshal(b[i+9:]); err != nil {
					t.Fatal(err)
				}
				test.second(&ch)
				raw := ch.Append(nil)
				b = append(append([]byte{22, 3, 3}, byte(len(raw)>>8), byte(len(raw))), raw...)
				copy(server.Reserve(len(b)), b)
				server.Commit(len(b))
			}
			conclude(client, server)
			if test.failure == attls.FailPeerAlert { // allowed; only the client's transcript differs now
				if err := server.Err(); err == nil || err.Failure == attls.FailRetryMismatch {
					t.Errorf("%v", err)
				}
				return
			}
			if test.failure != "" {
				err := server.Err()
				if err == nil || err.Failure != test.failure || err.Alert != attls.AlertIllegalParameter || !bytes.Contains([]byte(err.Field), []byte(test.field)) {
					t.Errorf("%v, want %s in %q", err, test.failure, test.field)
				}
				return
			}
			if !client.Done() || !server.Done() {
				t.Fatalf("client: %v, server: %v", client.Err(), server.Err())
			}
			if s := server.State(); !s.HelloRetry || s.Group != group || s.ALPN != "attls" || s.ServerName != "server" {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestStatelessSelf lets the engine that has sent the cookie go on as well, and a
// session be resumed behind it.
func TestStatelessSelf(t *testing.T) {
	m := newMeeting()
	secrets := func(c, s *handshake.Config) { s.Retry = handshake.Retry{Always: true, Secrets: [][32]byte{{1}}} }
	m.mustMeet(t, secrets)
	if p, resumed := m.mustMeet(t, secrets); !resumed || !p.Engine(attls.RoleServer).State().HelloRetry {
		t.Error("not resumed behind a HelloRetryRequest")
	}
}

// TestStatelessRefused refuses a profile that needs the first ClientHello.
func TestStatelessRefused(t *testing.T) {
	p := &profile.Profile{ID: "binding", Binder: profile.BinderRules{Program: new(binder.Program)}}
	if _, err := handshake.NewServer(&handshake.Config{Profile: p, Retry: handshake.Retry{Secrets: [][32]byte{{1}}}}); err == nil {
		t.Error("a profile that binds to the first ClientHello is served without keeping it")
	}
}
