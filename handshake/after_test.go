package handshake_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
	"attls/handshake"
	"attls/handshake/message"
	"attls/record"
)

// established is a pair after the handshake, with what its ends send noted.
func established(t *testing.T, change func(client, server *handshake.Config)) (*pair.Pair, [2]*watch) {
	t.Helper()
	taps := [2]*watch{{}, {}}
	o := direct(func(c, s *handshake.Config) {
		c.Tap, s.Tap = taps[0], taps[1]
		if change != nil {
			change(c, s)
		}
	})
	p, err := pair.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	return p, taps
}

// updates counts the KeyUpdates that an end sent, and those of them that ask
// for another.
func updates(w *watch) (n, requests int) {
	for _, m := range w.messages[handshake.Sent] {
		if m.Kind == attls.KindKeyUpdate {
			n++
			requests += int(m.Bytes[4])
		}
	}
	return n, requests
}

// TestKeyUpdate changes keys in both directions and goes on sending
// (RFC 8446 sections 4.6.3 and 7.2, RFC 9846 section 4.7.3).
func TestKeyUpdate(t *testing.T) {
	for _, r := range []attls.Role{attls.RoleClient, attls.RoleServer} {
		for name, test := range map[string]struct {
			ask           []bool // each KeyUpdate, all before the peer sees any
			own, answers  int
			requests      int
			fromPeerFirst bool
		}{
			"one":            {ask: []bool{false}, own: 1},
			"with a request": {ask: []bool{true}, own: 1, answers: 1, requests: 1},
			"three":          {ask: []bool{false, false, false}, own: 3},
			"asked twice":    {ask: []bool{true, true}, own: 2, answers: 1, requests: 1},
			// The answer that is owed goes out before the next data, of which there is none.
			"both at once":    {ask: []bool{true}, own: 1, answers: 2, requests: 1, fromPeerFirst: true},
			"asked and other": {ask: []bool{true, false}, own: 2, answers: 1, requests: 1},
		} {
			t.Run(fmt.Sprintf("%s, %v", name, r), func(t *testing.T) {
				p, taps := established(t, nil)
				e, peer := p.Engine(r), p.Engine(r.Peer())
				if test.fromPeerFirst {
					if err := peer.KeyUpdate(true); err != nil {
						t.Fatal(err)
					}
				}
				for _, request := range test.ask {
					if err := e.KeyUpdate(request); err != nil {
						t.Fatal(err)
					}
				}
				e.Write([]byte("ping"))
				if err := p.Run(); err != nil {
					t.Fatal(err)
				}
				peer.Write([]byte("pong"))
				if err := p.Run(); err != nil {
					t.Fatal(err)
				}
				if !bytes.HasSuffix(p.Received(r.Peer()), []byte("ping")) || !bytes.HasSuffix(p.Received(r), []byte("pong")) {
					t.Errorf("received %q and %q", p.Received(r.Peer()), p.Received(r))
				}
				n, requests := updates(taps[r])
				if n != test.own || requests != test.requests {
					t.Errorf("%d sent, %d of them with a request; want %d and %d", n, requests, test.own, test.requests)
				}
				if n, _ := updates(taps[r.Peer()]); n != test.answers {
					t.Errorf("%d came from the other end, want %d", n, test.answers)
				}
			})
		}
	}
}

// TestPostHandshake is what may come after the handshake, in a record of its own.
func TestPostHandshake(t *testing.T) {
	ticket := func(list extensions.List) []byte {
		return (&message.NewSessionTicket{Lifetime: 1, Ticket: []byte{1}, Extensions: list}).Append(nil)
	}
	update := func(n int, b ...byte) []byte {
		return bytes.Repeat(append([]byte{byte(attls.TypeKeyUpdate), 0, 0, byte(len(b))}, b...), n)
	}
	unexpected := outcome{attls.FailUnexpectedMessage, attls.AlertUnexpectedMessage, attls.KindNone, ""}
	decode := outcome{attls.FailDecode, attls.AlertDecodeError, attls.KindNone, ""}
	for name, test := range map[string]struct {
		octets []byte
		want   [2]outcome // by the role that receives
	}{
		"KeyUpdate, empty":          {update(1), [2]outcome{decode, decode}},
		"KeyUpdate, two octets":     {update(1, 0, 0), [2]outcome{{attls.FailTrailing, attls.AlertDecodeError, attls.KindKeyUpdate, ""}, {attls.FailTrailing, attls.AlertDecodeError, attls.KindKeyUpdate, ""}}},
		"KeyUpdate, value 2":        {update(1, 2), [2]outcome{illegal(attls.KindKeyUpdate, "request_update"), illegal(attls.KindKeyUpdate, "request_update")}},
		"two KeyUpdates, a record":  {update(2, 0), [2]outcome{{attls.FailMessageBoundary, attls.AlertUnexpectedMessage, attls.KindNone, ""}, {attls.FailMessageBoundary, attls.AlertUnexpectedMessage, attls.KindNone, ""}}},
		"ticket":                    {ticket(nil), [2]outcome{{}, unexpected}},
		"two tickets, a record":     {append(ticket(nil), ticket(nil)...), [2]outcome{{}, unexpected}},
		"ticket, unknown extension": {ticket(extensions.List{{Type: 0x7a7a}}), [2]outcome{{}, unexpected}},
		"ticket, early_data":        {ticket(extensions.List{{Type: attls.ExtEarlyData, Body: []byte{0, 0, 4, 0}}}), [2]outcome{{}, unexpected}},
		"ticket, key_share": {ticket(extensions.List{{Type: attls.ExtKeyShare}}),
			[2]outcome{{attls.FailWrongMessage, attls.AlertIllegalParameter, attls.KindNewSessionTicket, "key_share"}, unexpected}},
		"ticket, empty":       {[]byte{4, 0, 0, 0}, [2]outcome{decode, unexpected}},
		"ClientHello":         {[]byte{1, 0, 0, 0}, [2]outcome{unexpected, unexpected}},
		"HelloRequest":        {[]byte{0, 0, 0, 0}, [2]outcome{unexpected, unexpected}},
		"CertificateRequest":  {[]byte{13, 0, 0, 0}, [2]outcome{unexpected, unexpected}},
		"Finished":            {[]byte{20, 0, 0, 0}, [2]outcome{unexpected, unexpected}},
		"EncryptedExtensions": {[]byte{8, 0, 0, 2, 0, 0}, [2]outcome{unexpected, unexpected}},
	} {
		for _, to := range []attls.Role{attls.RoleClient, attls.RoleServer} {
			t.Run(fmt.Sprintf("%s, to the %v", name, to), func(t *testing.T) {
				tap := &recordTap{typ: attls.ContentTypeApplicationData, n: 1,
					plan: insert(record.Raw{Type: attls.ContentTypeHandshake, Payload: test.octets})}
				p, _ := established(t, func(c, s *handshake.Config) {
					if to == attls.RoleClient {
						s.Tap = tap
					} else {
						c.Tap = tap
					}
				})
				p.Engine(to.Peer()).Write([]byte("x"))
				err := p.Run()
				want := test.want[to]
				checkRecordOutcome(t, p, to, err, want, want.failure != "")
			})
		}
	}
}

// TestKeyUpdateFlood: KeyUpdates that carry nothing end the connection at some
// number; data between them does not.
func TestKeyUpdateFlood(t *testing.T) {
	run := func(n int, data bool) *attls.Error {
		p, _ := established(t, nil)
		for range n {
			p.Engine(attls.RoleClient).KeyUpdate(false)
			if data {
				p.Engine(attls.RoleClient).Write([]byte("x"))
			}
		}
		p.Run()
		return p.Engine(attls.RoleServer).Err()
	}
	if err := run(32, false); err != nil {
		t.Errorf("32 in a row: %v", err)
	}
	if err := run(33, false); err == nil || err.Failure != attls.FailLimit {
		t.Errorf("33 in a row: %v", err)
	}
	if err := run(100, true); err != nil {
		t.Errorf("100 with data between: %v", err)
	}
}

// TestExporter: both ends get the same, bound to label, context and length
// (RFC 8446 section 7.5).
func TestExporter(t *testing.T) {
	p, _ := established(t, nil)
	export := func(r attls.Role, label, context string, n int) []byte {
		b, err := p.Engine(r).Export(label, []byte(context), n)
		if err != nil || len(b) != n {
			t.Fatalf("%d octets, %v", len(b), err)
		}
		return b
	}
	want := export(attls.RoleClient, "EXPORTER-a", "context", 48)
	if !bytes.Equal(want, export(attls.RoleServer, "EXPORTER-a", "context", 48)) {
		t.Error("the ends export different values")
	}
	for name, other := range map[string][]byte{"label": export(attls.RoleClient, "EXPORTER-b", "context", 48),
		"context": export(attls.RoleClient, "EXPORTER-a", "", 48), "length": export(attls.RoleClient, "EXPORTER-a", "context", 49)[:48]} {
		if bytes.Equal(other, want) {
			t.Errorf("another %s makes no difference", name)
		}
	}
	for _, bad := range []struct {
		label string
		n     int
	}{{string(make([]byte, 250)), 32}, {"a", 255*32 + 1}, {"a", -1}} {
		if _, err := p.Engine(attls.RoleClient).Export(bad.label, nil, bad.n); err == nil {
			t.Errorf("%d octets under a label of %d are exported", bad.n, len(bad.label))
		}
	}
	if _, err := p.Engine(attls.RoleClient).ExportNamed("handshake", "a", nil, 32); err == nil {
		t.Error("an exporter that no profile defines")
	}
	early, err := handshake.NewClient(&handshake.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := early.Export("a", nil, 32); err == nil {
		t.Error("a value before there is a secret")
	}
}

// TestNamedExporter uses an exporter of a profile's inside the handshake.
func TestNamedExporter(t *testing.T) {
	program, errs := binder.Compile([]binder.Definition{{Name: "hs", Text: `derive_secret(handshake_secret, "h exp master", CH..SH)`}}, binder.VariantRFC8446)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	with := &profile.Profile{ID: "exporter", Binder: profile.BinderRules{Program: program, Exporters: map[string]string{"handshake": "hs"}}}
	o := direct(func(c, s *handshake.Config) { c.Profile, s.Profile = with, with })
	p, failure := pair.New(o)
	if failure != nil {
		t.Fatal(failure)
	}
	client := p.Engine(attls.RoleClient)
	if _, err := client.ExportNamed("handshake", "label", []byte("context"), 32); err == nil {
		t.Error("a value before ServerHello")
	}
	for ok := true; ok && client.StateName() != "WAIT_CV"; {
		_, ok = p.Step()
	}
	inside, failure := client.ExportNamed("handshake", "label", []byte("context"), 32)
	if failure != nil {
		t.Fatal(failure)
	}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	for _, r := range []attls.Role{attls.RoleClient, attls.RoleServer} {
		if b, err := p.Engine(r).ExportNamed("handshake", "label", []byte("context"), 32); err != nil || !bytes.Equal(b, inside) {
			t.Errorf("the %v exports %x, %v; want %x", r, b, err, inside)
		}
		if b, _ := p.Engine(r).Export("label", []byte("context"), 32); bytes.Equal(b, inside) {
			t.Error("it is the value of RFC 8446's exporter")
		}
	}
}

// TestClosure tells close_notify, truncation and half-close apart (RFC 8446 section 6.1).
func TestClosure(t *testing.T) {
	t.Run("close_notify", func(t *testing.T) {
		p, _ := established(t, nil)
		p.Engine(attls.RoleClient).CloseNotify()
		if err := p.Run(); err != nil || !p.Closed(attls.RoleServer) || p.Closed(attls.RoleClient) {
			t.Errorf("%v, closed %v and %v", err, p.Closed(attls.RoleServer), p.Closed(attls.RoleClient))
		}
		if err := p.Engine(attls.RoleServer).InputEOF(); err != nil {
			t.Errorf("the end after close_notify: %v", err)
		}
		// The other direction goes on, and what follows close_notify is ignored.
		if err := p.Engine(attls.RoleServer).Write([]byte("still here")); err != nil {
			t.Fatal(err)
		}
		p.Inject(attls.RoleServer, []byte{23, 3, 3, 0, 1, 0})
		if err := p.Run(); err != nil || !bytes.HasSuffix(p.Received(attls.RoleClient), []byte("still here")) {
			t.Errorf("%v, received %q", err, p.Received(attls.RoleClient))
		}
		if err := p.Engine(attls.RoleClient).Write([]byte("x")); err == nil {
			t.Error("a write after close_notify")
		}
	})
	truncated := func(t *testing.T, err error) {
		t.Helper()
		var e *attls.Error
		if !errors.As(err, &e) || e.Failure != attls.FailTruncated || e.Class != attls.FromPeer || e.HasAlert {
			t.Errorf("%v, want truncation and no alert", err)
		}
	}
	t.Run("truncation", func(t *testing.T) {
		p, _ := established(t, nil)
		truncated(t, p.Engine(attls.RoleClient).InputEOF())
	})
	t.Run("truncation in the handshake", func(t *testing.T) {
		p, err := pair.New(direct(nil))
		if err != nil {
			t.Fatal(err)
		}
		truncated(t, p.Engine(attls.RoleClient).InputEOF())
	})
	t.Run("end during an open wait", func(t *testing.T) {
		// The client has sent everything and closed while the server still thinks
		// about its certificate: that is no truncation.
		o := direct(nil)
		answer := o.Answer[attls.RoleServer]
		var verdict *handshake.Wait
		o.Delay = func(r attls.Role, w *handshake.Wait) int {
			if r == attls.RoleServer && w.Kind == handshake.WaitCertificateVerdict {
				verdict = w
				return 1 << 20
			}
			return 0
		}
		p, err := pair.New(o)
		if err != nil {
			t.Fatal(err)
		}
		server := p.Engine(attls.RoleServer)
		for !p.Engine(attls.RoleClient).Done() {
			if _, ok := p.Step(); !ok {
				t.Fatalf("the handshake stands still: %v", p.Err())
			}
		}
		p.Engine(attls.RoleClient).CloseNotify()
		for verdict == nil || len(p.Engine(attls.RoleClient).Output()) > 0 {
			if _, ok := p.Step(); !ok {
				t.Fatal("the server does not wait")
			}
		}
		if err := server.InputEOF(); err != nil {
			t.Fatalf("while the wait is open: %v", err)
		}
		a, _ := answer(verdict)
		if err := server.Answer(verdict.ID, a); err != nil {
			t.Fatal(err)
		}
		p.Run()
		if err := server.Err(); err != nil || !server.Done() || !p.Closed(attls.RoleServer) {
			t.Errorf("%v, closed %v", err, p.Closed(attls.RoleServer))
		}
	})
	t.Run("user_canceled", func(t *testing.T) {
		taps := &watch{}
		o := direct(func(c, _ *handshake.Config) { c.Tap = taps })
		p, err := pair.New(o)
		if err != nil {
			t.Fatal(err)
		}
		p.Engine(attls.RoleClient).Abort(attls.Errorf(attls.Local, attls.FailCanceled, "enough"))
		p.Run()
		if got := taps.alerts[handshake.Sent]; len(got) != 2 || got[0] != attls.AlertUserCanceled || got[1] != attls.AlertCloseNotify {
			t.Errorf("sent %v", got)
		}
	})
}

// TestConfigurations are refused before anything is sent.
func TestConfigurations(t *testing.T) {
	long := string(make([]byte, 256))
	for field, c := range map[string]*handshake.Config{
		"CipherSuites: no":            {CipherSuites: []attls.CipherSuite{}},
		"CipherSuites: cipher suite":  {CipherSuites: []attls.CipherSuite{0x1306}},
		"CipherSuites: TLS":           {CipherSuites: []attls.CipherSuite{0x1301, 0x1301}},
		"Groups: no":                  {Groups: []attls.NamedGroup{}},
		"Groups: x25519 stands twice": {Groups: []attls.NamedGroup{0x1d, 0x1d}},
		"Groups: ":                    {Groups: []attls.NamedGroup{0x0100}},
		"KeyShares: ":                 {KeyShares: []attls.NamedGroup{0x0100}},
		"KeyShares: x25519":           {KeyShares: []attls.NamedGroup{0x1d, 0x1d}},
		"SignatureSchemes":            {SignatureSchemes: []attls.SignatureScheme{}},
		"RecordSizeLimit":             {RecordSizeLimit: 63},
		"ServerName":                  {ServerName: long},
		"ALPN: ":                      {ALPN: []string{""}},
		"ALPN: protocol":              {ALPN: []string{long}},
		"Retry.CookieSize":            {Retry: handshake.Retry{CookieSize: 1<<14 + 1}},
		"PSKModes: PSK":               {PSKModes: []attls.PSKKeyExchangeMode{2}},
		"PSKModes: no":                {PSK: true, PSKModes: []attls.PSKKeyExchangeMode{}},
		"PSK: ":                       {MaxEarlyData: 1},
		"Tickets":                     {PSK: true, Tickets: 65},
		"MaxFragment":                 {MaxFragment: 1<<14 + 1},
		"CertificateCompression":      {CertificateCompression: []handshake.CertificateCompressor{prefix{1}, prefix{1}}},
	} {
		_, err := handshake.NewClient(c)
		var e *attls.Error
		if !errors.As(err, &e) || e.Class != attls.Local || e.Failure != attls.FailConfiguration ||
			!bytes.Contains([]byte(e.Error()), []byte("Config."+field)) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// TestKeyShareOrder: shares stand in the order of the groups (RFC 8446 section 4.2.8).
func TestKeyShareOrder(t *testing.T) {
	tap := &watch{}
	_, err := handshake.NewClient(&handshake.Config{Tap: tap, KeyShares: []attls.NamedGroup{attls.GroupSecp256r1, attls.GroupX25519}})
	if err != nil {
		t.Fatal(err)
	}
	var ch message.ClientHello
	m := tap.sent(t, attls.KindClientHello)
	if err := ch.Unmarshal(m.Body()); err != nil {
		t.Fatal(err)
	}
	body, _ := ch.Extensions.Get(attls.ExtKeyShare)
	shares, _ := extensions.ParseKeyShares(body)
	var order []attls.NamedGroup
	for g := range shares.All() {
		order = append(order, g)
	}
	if len(order) != 2 || order[0] != attls.GroupX25519 || order[1] != attls.GroupSecp256r1 {
		t.Errorf("shares of %v", order)
	}
}
