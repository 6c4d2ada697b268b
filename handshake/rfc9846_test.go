package handshake_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"attls"
	"attls/conformance/pair"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/enginetest"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/record"
)

// What RFC 9846 asks for and RFC 8446 does not.

// shares returns the public values that an end has sent, those of a second
// ClientHello included.
func shares(t *testing.T, w *watch, r attls.Role) (list [][]byte) {
	t.Helper()
	for _, m := range w.messages[handshake.Sent] {
		switch m.Kind {
		case attls.KindClientHello:
			var ch message.ClientHello
			if err := ch.Unmarshal(m.Body()); err != nil {
				t.Fatal(err)
			}
			x, _ := ch.Extensions.Find(attls.ExtKeyShare)
			all, err := extensions.ParseKeyShares(x.Body)
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range all.All() {
				list = append(list, bytes.Clone(key))
			}
		case attls.KindServerHello:
			var sh message.ServerHello
			if err := sh.Unmarshal(m.Body()); err != nil {
				t.Fatal(err)
			}
			x, _ := sh.Extensions.Find(attls.ExtKeyShare)
			s, err := extensions.ParseKeyShareEntry(x.Body)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, bytes.Clone(s.Key))
		}
	}
	if len(list) == 0 {
		t.Fatalf("the %v sent no share", r)
	}
	return list
}

// TestEveryConnectionHasSharesOfItsOwn: no share is used again, neither in
// another connection nor in the second ClientHello (RFC 9846 section 4.3.8).
func TestEveryConnectionHasSharesOfItsOwn(t *testing.T) {
	for _, g := range []attls.NamedGroup{attls.GroupX25519, attls.GroupX25519MLKEM768, attls.GroupSecp256r1, attls.GroupSecp384r1, attls.GroupSecp521r1} {
		for name, retry := range map[string]bool{"": false, ", HelloRetryRequest": true} {
			t.Run(g.String()+name, func(t *testing.T) {
				var all [2][][]byte
				for range 3 {
					p, taps := established(t, func(c, s *handshake.Config) {
						c.Random, s.Random = nil, nil
						c.Groups, s.Groups = []attls.NamedGroup{g}, []attls.NamedGroup{g}
						c.KeyShares, s.Retry.Always = c.Groups, retry
					})
					if p.Engine(attls.RoleClient).State().Group != g {
						t.Fatalf("the group is %v", p.Engine(attls.RoleClient).State().Group)
					}
					for _, r := range []attls.Role{attls.RoleClient, attls.RoleServer} {
						all[r] = append(all[r], shares(t, taps[r], r)...)
					}
				}
				distinct(t, all[attls.RoleClient], len(all[attls.RoleClient]))
				distinct(t, all[attls.RoleServer], 3)
			})
		}
	}
}

// TestRepeatedShareOfThePeer: either end takes a share that the peer has used in
// an earlier connection (RFC 9846 section 4.3.8).
func TestRepeatedShareOfThePeer(t *testing.T) {
	for _, r := range []attls.Role{attls.RoleClient, attls.RoleServer} {
		t.Run(r.String(), func(t *testing.T) {
			var all [][]byte
			for range 2 {
				_, taps := established(t, func(c, s *handshake.Config) {
					c.Random, s.Random = nil, nil
					[]*handshake.Config{c, s}[r.Peer()].Random = enginetest.Random("the same again")
				})
				all = append(all, shares(t, taps[r.Peer()], r.Peer())[0])
			}
			if !bytes.Equal(all[0], all[1]) {
				t.Error("the peer has sent another share")
			}
		})
	}
}

// TestNoRequestUnderAnExternalKey: a server that an external key authenticates
// asks for no certificate, neither in the handshake nor after it (RFC 9846
// section 4.4.2).
func TestNoRequestUnderAnExternalKey(t *testing.T) {
	m := newMeeting()
	key := &handshake.Session{Identity: []byte("key"), Secret: []byte("secret"), External: true, Suite: attls.TLS_AES_128_GCM_SHA256}
	m.clients.External, m.servers.External = []*handshake.Session{key}, []*handshake.Session{key}
	taps := &watch{}
	p, used := m.mustMeet(t, func(c, s *handshake.Config) {
		c.PostHandshakeAuthentication, s.PostHandshakeAuthentication = true, true
		s.ClientAuthentication = handshake.RequireClientCertificate
		s.Tap = taps
	})
	if !used {
		t.Fatal("the key was not used")
	}
	var e *attls.Error
	if err := p.Engine(attls.RoleServer).RequestAuthentication(); !errors.As(err, &e) || e.Failure != attls.FailConfiguration || e.Rule != "RFC 9846 4.4.2" {
		t.Errorf("a request after the handshake: %v", err)
	}
	for _, m := range taps.messages[handshake.Sent] {
		if m.Kind == attls.KindCertificateRequest {
			t.Error("CertificateRequest was sent")
		}
	}
}

// TestTicketsEndAfterSevenDays: a client uses no ticket for longer, whatever its
// ticket_lifetime says (RFC 9846 section 4.7.1).
func TestTicketsEndAfterSevenDays(t *testing.T) {
	const week = 7 * 24 * time.Hour
	for age, offered := range map[time.Duration]int{week: 1, week + time.Second: 0} {
		m := newMeeting()
		m.mustMeet(t, func(_, s *handshake.Config) {
			s.Tap = &replacing{kind: attls.KindNewSessionTicket,
				raw: (&message.NewSessionTicket{Lifetime: 1<<32 - 1, Ticket: []byte("ticket"), Nonce: []byte{1}}).Append(nil)}
		})
		m.now = m.now.Add(age)
		if n := len(m.clients.Offers(&handshake.PSKRequest{ServerName: "server"})); n != offered {
			t.Errorf("after %v: %d keys are offered, want %d", age, n, offered)
		}
	}
}

// alerting makes an end send an alert before the record of data whose number is
// set in n.
func alerting(level byte, a attls.AlertDescription) *recordTap {
	return &recordTap{typ: attls.ContentTypeApplicationData, n: -1,
		plan: insert(record.Raw{Type: attls.ContentTypeAlert, Payload: []byte{level, byte(a)}, Protected: true})}
}

// TestUserCanceledEndsNothing: whatever its level, what follows is read until
// close_notify comes (RFC 9846 section 6.1).
func TestUserCanceledEndsNothing(t *testing.T) {
	for _, r := range []attls.Role{attls.RoleClient, attls.RoleServer} {
		for _, level := range []byte{1, 2} {
			tap := alerting(level, attls.AlertUserCanceled)
			p, _ := established(t, func(c, s *handshake.Config) { []*handshake.Config{c, s}[r.Peer()].Tap = tap })
			peer := p.Engine(r.Peer())
			tap.n = tap.seen
			for _, text := range []string{"before", "behind"} {
				if err := peer.Write([]byte(text)); err != nil {
					t.Fatal(err)
				}
			}
			peer.CloseNotify()
			err := p.Run()
			if err != nil || tap.n+1 > tap.seen || !p.Closed(r) || !bytes.HasSuffix(p.Received(r), []byte("beforebehind")) {
				t.Errorf("%v, level %d: %v, closed: %v, received %q", r, level, err, p.Closed(r), p.Received(r))
			}
		}
	}
}

// TestGeneralError: the alert 117 is one of a name that ends the connection (RFC
// 9846 section 6.2).
func TestGeneralError(t *testing.T) {
	tap := alerting(2, attls.AlertGeneralError)
	p, _ := established(t, func(_, s *handshake.Config) { s.Tap = tap })
	tap.n = tap.seen
	if err := p.Engine(attls.RoleServer).Write([]byte("data")); err != nil {
		t.Fatal(err)
	}
	p.Run()
	err := p.Engine(attls.RoleClient).Err()
	if err == nil || err.Class != attls.FromPeer || err.Alert != 117 || err.Alert.String() != "general_error" {
		t.Errorf("%v", err)
	}
}

// TestRecordsUnderTheEarlyKey: no KeyUpdate replaces the key of early data, so
// its limit ends it (RFC 9846 section 5.5).
func TestRecordsUnderTheEarlyKey(t *testing.T) {
	m := newMeeting()
	early := func(c, s *handshake.Config) { c.MaxEarlyData, s.MaxEarlyData = 100, 100 }
	m.mustMeet(t, early)
	o := direct(early)
	o.Client.PSK, o.Server.PSK = true, true
	provider.Select(o.Client, tired{provider.Real(), 3})
	o.Answer = [2]pair.Answer{m.answers(attls.RoleClient, clientCredential), m.answers(attls.RoleServer, serverCredential)}
	p, err := pair.New(o)
	if err != nil {
		t.Fatal(err)
	}
	for s, ok := p.Step(); ; s, ok = p.Step() {
		if !ok {
			t.Fatalf("early data was not open: %v", p.Err())
		}
		if s.Event.Kind == handshake.EventEarlyData {
			break
		}
	}
	client := p.Engine(attls.RoleClient)
	for i := range 3 {
		if err := client.Write([]byte{byte(i)}); err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
	}
	var e *attls.Error
	if err := client.Write([]byte{3}); !errors.As(err, &e) || e.Failure != attls.FailLimit || e.Rule != "RFC 9846 5.5" {
		t.Errorf("one record more: %v", err)
	}
	if err := p.Run(); err != nil || !p.Done() {
		t.Errorf("%v, done: %v", err, p.Done())
	}
}

// TestReceiverCountsNoRecords: a peer may protect as many records under one key
// as it likes; the limit is the sender's (RFC 9846 section 5.5).
func TestReceiverCountsNoRecords(t *testing.T) {
	for _, r := range []attls.Role{attls.RoleClient, attls.RoleServer} {
		p, taps := established(t, func(c, s *handshake.Config) {
			provider.Select([]*handshake.Config{c, s}[r], tired{provider.Real(), 3})
		})
		for range 10 {
			if err := p.Engine(r.Peer()).Write([]byte("data")); err != nil {
				t.Fatal(err)
			}
		}
		err := p.Run()
		if n, _ := updates(taps[r.Peer()]); err != nil || n != 0 || !bytes.HasSuffix(p.Received(r), bytes.Repeat([]byte("data"), 10)) {
			t.Errorf("to the %v: %v, %d key updates, received %q", r, err, n, p.Received(r))
		}
	}
}

// TestPreSharedKeyAnywhereInServerHello: only in ClientHello does it have to be
// the last extension (RFC 9846 section 4.3).
func TestPreSharedKeyAnywhereInServerHello(t *testing.T) {
	for i := range 3 {
		m := newMeeting()
		m.mustMeet(t, nil)
		moved := false
		tap := &planTap{at: at{attls.RoleServer, attls.KindServerHello, 0}, hit: &moved,
			plan: editExtensions(t, func(l extensions.List) extensions.List {
				k := slices.IndexFunc(l, func(x extensions.Extension) bool { return x.Type == attls.ExtPreSharedKey })
				if k < 0 || len(l) != 3 {
					t.Fatalf("ServerHello has %d extensions, pre_shared_key at %d", len(l), k)
				}
				x := l[k]
				return slices.Insert(slices.Delete(slices.Clone(l), k, k+1), i, x)
			})}
		if _, resumed := m.mustMeet(t, func(_, s *handshake.Config) { s.Tap = tap }); !resumed || !moved {
			t.Errorf("in place %d: resumed %v, moved %v", i, resumed, moved)
		}
	}
}

// TestClosingAlertsAreWarnings: close_notify has the level warning, and so has
// user_canceled, which close_notify follows (RFC 9846 section 6.1).
func TestClosingAlertsAreWarnings(t *testing.T) {
	alerts := func(w *watch) (list [][]byte) {
		for _, r := range w.records[handshake.Sent] {
			if r.Type == attls.ContentTypeAlert {
				list = append(list, r.Payload)
			}
		}
		return list
	}
	for _, r := range []attls.Role{attls.RoleClient, attls.RoleServer} {
		p, taps := established(t, nil)
		p.Engine(r).CloseNotify()
		p.Run()
		if got := alerts(taps[r]); len(got) != 1 || !bytes.Equal(got[0], []byte{1, 0}) {
			t.Errorf("the %v closes with %v", r, got)
		}
		w := &watch{}
		p, err := pair.New(direct(func(c, s *handshake.Config) { []*handshake.Config{c, s}[r].Tap = w }))
		if err != nil {
			t.Fatal(err)
		}
		p.Engine(r).Abort(attls.Errorf(attls.Local, attls.FailCanceled, "enough"))
		p.Run()
		if got := alerts(w); len(got) != 2 || !bytes.Equal(got[0], []byte{1, 90}) || !bytes.Equal(got[1], []byte{1, 0}) {
			t.Errorf("the %v cancels with %v", r, got)
		}
	}
}
