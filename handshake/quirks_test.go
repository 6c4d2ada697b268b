package handshake_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"slices"
	"strings"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/enginetest"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/record"
)

// watch notes what its engine sends and receives.
type watch struct {
	handshake.NopTap
	messages [2][]message.Raw // by direction
	records  [2][]record.Raw
	alerts   [2][]attls.AlertDescription
}

func (w *watch) Fork() handshake.Tap { return &watch{} }

func (w *watch) Message(d handshake.Direction, m *message.Raw, _ *handshake.Plan) {
	w.messages[d] = append(w.messages[d], message.Raw{Kind: m.Kind, Type: m.Type, Bytes: slices.Clone(m.Bytes)})
}

func (w *watch) Record(d handshake.Direction, r *record.Raw, _ *record.Plan) {
	w.records[d] = append(w.records[d], record.Raw{Type: r.Type, Payload: slices.Clone(r.Payload), Protected: r.Protected, Sequence: r.Sequence})
}

func (w *watch) Alert(d handshake.Direction, a attls.AlertDescription) {
	w.alerts[d] = append(w.alerts[d], a)
}

// sent returns the n-th message of a kind that was sent.
func (w *watch) sent(t *testing.T, k attls.MessageKind) message.Raw {
	t.Helper()
	for _, m := range w.messages[handshake.Sent] {
		if m.Kind == k {
			return m
		}
	}
	t.Fatalf("no %v was sent", k)
	return message.Raw{}
}

// ecdsaCredential has a P-256 key that depends on the name alone.
func ecdsaCredential(t *testing.T, name string) *handshake.Credential {
	t.Helper()
	seed := make([]byte, 32)
	enginetest.Random(name).Fill(handshake.UseKey, 0, seed)
	seed[0] &= 0x7f
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed)
	if err != nil {
		t.Fatal(err)
	}
	return &handshake.Credential{Chain: [][]byte{enginetest.SelfSigned(name, key)}, Signer: key,
		Schemes: []attls.SignatureScheme{attls.ECDSA_SECP256R1_SHA256}}
}

// quirky is a mutual handshake in which both ends have a profile with these
// quirks and nothing else, and what each end sent.
func quirky(t *testing.T, client, server profile.Quirks) (*pair.Pair, [2]*watch, error) {
	t.Helper()
	taps := [2]*watch{{}, {}}
	o := direct(func(c, s *handshake.Config) {
		c.Profile, s.Profile = &profile.Profile{ID: "quirks", Quirks: client}, &profile.Profile{ID: "quirks", Quirks: server}
		c.Tap, s.Tap = taps[0], taps[1]
	})
	o.Answer = [2]pair.Answer{enginetest.Answer(ecdsaCredential(t, "client")), enginetest.Answer(ecdsaCredential(t, "server"))}
	o.KeepWire = true
	p, err := pair.New(o)
	if err != nil {
		return nil, taps, err
	}
	return p, taps, p.Run()
}

// bothQuirky runs quirky with the same quirks at both ends.
func bothQuirky(t *testing.T, q profile.Quirks) (*pair.Pair, [2]*watch) {
	t.Helper()
	p, taps, err := quirky(t, q, q)
	if err != nil {
		t.Fatal(err)
	}
	return p, taps
}

func signature(t *testing.T, w *watch) (attls.SignatureScheme, []byte) {
	t.Helper()
	var v message.CertificateVerify
	m := w.sent(t, attls.KindCertificateVerify)
	if err := v.Unmarshal(m.Body()); err != nil {
		t.Fatal(err)
	}
	return v.Scheme, v.Signature
}

// TestNoQuirk: a profile that turns none changes nothing on the wire.
func TestNoQuirk(t *testing.T) {
	p, _ := bothQuirky(t, profile.Quirks{})
	o := direct(nil)
	o.Answer = [2]pair.Answer{enginetest.Answer(ecdsaCredential(t, "client")), enginetest.Answer(ecdsaCredential(t, "server"))}
	o.KeepWire = true
	q, err := pair.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Run(); err != nil {
		t.Fatal(err)
	}
	for r := attls.RoleClient; r <= attls.RoleServer; r++ {
		if !bytes.Equal(p.Wire(r), q.Wire(r)) {
			t.Errorf("the %v sends other octets with an empty profile", r)
		}
	}
}

func TestQuirkSignatureEncoding(t *testing.T) {
	for _, raw := range []attls.Role{attls.RoleClient, attls.RoleServer} {
		var q profile.Quirks
		q.SignatureEncoding[raw] = profile.SignatureRaw
		_, taps := bothQuirky(t, q)
		if _, sig := signature(t, taps[raw]); len(sig) != 64 {
			t.Errorf("raw signature of the %v has %d octets", raw, len(sig))
		}
		_, sig := signature(t, taps[raw.Peer()])
		if _, err := provider.RawFromDER(sig, attls.ECDSA_SECP256R1_SHA256); err != nil {
			t.Errorf("the %v signs otherwise than in DER: %v", raw.Peer(), err)
		}
		// An end that does not know of it cannot read the signature.
		known := [2]profile.Quirks{}
		known[raw] = q
		p, _, err := quirky(t, known[attls.RoleClient], known[attls.RoleServer])
		if e := p.Engine(raw.Peer()).Err(); e == nil || e.Failure != attls.FailSignature {
			t.Errorf("%v, %v; want a signature that does not verify", err, e)
		}
	}
}

func TestQuirkSignatureSchemes(t *testing.T) {
	// The key could sign under the first of these only; the server is told to
	// use another, which the client refuses unless it is told so too.
	pinned := func(r attls.Role, s ...attls.SignatureScheme) (q profile.Quirks) {
		q.SignatureSchemes[r] = s
		return q
	}
	for _, r := range []attls.Role{attls.RoleClient, attls.RoleServer} {
		_, taps := bothQuirky(t, pinned(r, attls.ECDSA_SECP256R1_SHA256))
		if scheme, _ := signature(t, taps[r]); scheme != attls.ECDSA_SECP256R1_SHA256 {
			t.Errorf("the %v signs under %v", r, scheme)
		}
		var quirks [2]profile.Quirks
		quirks[r.Peer()] = pinned(r, attls.ED25519) // what the checking end accepts
		p, _, _ := quirky(t, quirks[0], quirks[1])
		if e := p.Engine(r.Peer()).Err(); e == nil || e.Failure != attls.FailIllegalParameter || e.Field != "algorithm" {
			t.Errorf("the %v accepts only Ed25519 and gets ECDSA: %v", r.Peer(), e)
		}
		quirks = [2]profile.Quirks{}
		quirks[r] = pinned(r, attls.RSA_PKCS1_SHA256) // what the signing end uses, and nobody accepts
		if _, _, err := quirky(t, quirks[0], quirks[1]); err == nil {
			t.Errorf("the %v signs under a scheme that nobody offers", r)
		}
	}
}

func TestQuirkNoCCS(t *testing.T) {
	ccs := func(p *pair.Pair, r attls.Role) (n int) {
		wire := p.Wire(r)
		for _, i := range recordStarts(wire) {
			if attls.ContentType(wire[i]) == attls.ContentTypeChangeCipherSpec {
				n++
			}
		}
		return n
	}
	for _, no := range []attls.Role{attls.RoleClient, attls.RoleServer} {
		var quirks [2]profile.Quirks
		quirks[no].NoCCS = true
		p, taps, err := quirky(t, quirks[0], quirks[1])
		if err != nil {
			t.Fatal(err)
		}
		if ccs(p, no) != 0 || ccs(p, no.Peer()) != 1 {
			t.Errorf("no_ccs at the %v: it sends %d and the other end %d", no, ccs(p, no), ccs(p, no.Peer()))
		}
		var ch message.ClientHello
		m := taps[attls.RoleClient].sent(t, attls.KindClientHello)
		if ch.Unmarshal(m.Body()) != nil || len(ch.SessionID) != 32 {
			t.Errorf("the session id has %d octets", len(ch.SessionID))
		}
	}
}

func TestQuirkNeverFragment(t *testing.T) {
	// A limit of the peer's that Certificate does not fit into.
	run := func(q profile.Quirks) *pair.Pair {
		o := direct(func(c, s *handshake.Config) {
			c.RecordSizeLimit = 200
			s.Profile = &profile.Profile{ID: "quirks", Quirks: q}
		})
		p, err := pair.New(o)
		if err != nil {
			t.Fatal(err)
		}
		p.Run()
		return p
	}
	if err := run(profile.Quirks{}).Err(); err != nil {
		t.Errorf("without the quirk: %v", err)
	}
	e := run(profile.Quirks{NeverFragment: true}).Engine(attls.RoleServer).Err()
	if e == nil || e.Class != attls.Local || e.Failure != attls.FailTooLarge || e.Alert != attls.AlertInternalError {
		t.Errorf("%v; want a local error that names the limit", e)
	}
	// Messages that fit are not cut, though they share a flight.
	_, taps := bothQuirky(t, profile.Quirks{NeverFragment: true})
	for r, w := range taps {
		for _, rec := range w.records[handshake.Sent] {
			if rec.Type == attls.ContentTypeHandshake && !wholeMessages(rec.Payload) {
				t.Errorf("the %v cuts a message", attls.Role(r))
			}
		}
	}
}

func wholeMessages(b []byte) bool {
	for len(b) >= 4 {
		n := 4 + int(b[1])<<16 + int(b[2])<<8 + int(b[3])
		if n > len(b) {
			return false
		}
		b = b[n:]
	}
	return len(b) == 0
}

func TestQuirkMessagesPerRecord(t *testing.T) {
	count := func(w *watch) (n int) {
		for _, rec := range w.records[handshake.Sent] {
			if rec.Type == attls.ContentTypeHandshake {
				n++
			}
		}
		return n
	}
	_, taps := bothQuirky(t, profile.Quirks{})
	if c, s := count(taps[0]), count(taps[1]); c != 2 || s != 2 {
		t.Errorf("without the quirk %d and %d records", c, s)
	}
	_, taps = bothQuirky(t, profile.Quirks{MessagesPerRecord: 1})
	if c, s := count(taps[0]), count(taps[1]); c != 4 || s != 6 {
		t.Errorf("one message each: %d and %d records, want 4 and 6", c, s)
	}
	_, taps = bothQuirky(t, profile.Quirks{MessagesPerRecord: 2})
	if c, s := count(taps[0]), count(taps[1]); c != 3 || s != 4 {
		t.Errorf("two messages each: %d and %d records, want 3 and 4", c, s)
	}
}

func TestQuirkPadTo(t *testing.T) {
	p, _ := bothQuirky(t, profile.Quirks{PadTo: 16})
	for r := attls.RoleClient; r <= attls.RoleServer; r++ {
		wire := p.Wire(r)
		for _, i := range recordStarts(wire) {
			if n := int(wire[i+3])<<8 + int(wire[i+4]); attls.ContentType(wire[i]) == attls.ContentTypeApplicationData && (n-16)%16 != 0 {
				t.Errorf("a record of the %v with %d octets", r, n)
			}
		}
	}
}

func TestQuirkEmptySessionID(t *testing.T) {
	p, taps := bothQuirky(t, profile.Quirks{EmptySessionID: true})
	var ch message.ClientHello
	m := taps[attls.RoleClient].sent(t, attls.KindClientHello)
	if ch.Unmarshal(m.Body()) != nil || len(ch.SessionID) != 0 {
		t.Errorf("the session id has %d octets", len(ch.SessionID))
	}
	// The client still sends change_cipher_spec; a server has nothing to answer.
	for r, want := range [2]bool{true, false} {
		if got := bytes.Contains(p.Wire(attls.Role(r)), []byte{20, 3, 3, 0, 1, 1}); got != want {
			t.Errorf("change_cipher_spec of the %v: %v", attls.Role(r), got)
		}
	}
}

func TestQuirkEncryptedExtensionsOnly(t *testing.T) {
	types := func(taps [2]*watch) (list []attls.ExtensionType) {
		var v message.EncryptedExtensions
		m := taps[attls.RoleServer].sent(t, attls.KindEncryptedExtensions)
		if err := v.Unmarshal(m.Body()); err != nil {
			t.Fatal(err)
		}
		for _, x := range v.Extensions {
			list = append(list, x.Type)
		}
		return list
	}
	_, taps := bothQuirky(t, profile.Quirks{})
	all := types(taps)
	if len(all) != 4 {
		t.Errorf("without the quirk %v", all)
	}
	_, taps = bothQuirky(t, profile.Quirks{RestrictEncryptedExtensions: true, EncryptedExtensionsOnly: []attls.ExtensionType{attls.ExtALPN, attls.ExtSupportedGroups}})
	if got := types(taps); !slices.Equal(got, []attls.ExtensionType{attls.ExtALPN, attls.ExtSupportedGroups}) {
		t.Errorf("two are left: %v", got)
	}
	_, taps = bothQuirky(t, profile.Quirks{RestrictEncryptedExtensions: true})
	if got := types(taps); len(got) != 0 {
		t.Errorf("none is left: %v", got)
	}
}

func TestQuirkNeverSendKeyUpdate(t *testing.T) {
	var q profile.Quirks
	q.NeverSend = []attls.MessageKind{attls.KindKeyUpdate}
	for _, quiet := range []attls.Role{attls.RoleClient, attls.RoleServer} {
		var quirks [2]profile.Quirks
		quirks[quiet] = q
		p, taps, err := quirky(t, quirks[0], quirks[1])
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Engine(quiet).KeyUpdate(false); err == nil {
			t.Error("KeyUpdate is sent all the same")
		}
		if err := p.Engine(quiet.Peer()).KeyUpdate(true); err != nil {
			t.Fatal(err)
		}
		p.Engine(quiet).Write([]byte("more"))
		if err := p.Run(); err != nil {
			t.Fatal(err)
		}
		for _, m := range taps[quiet].messages[handshake.Sent] {
			if m.Kind == attls.KindKeyUpdate {
				t.Errorf("the %v answers a KeyUpdate", quiet)
			}
		}
		if !bytes.HasSuffix(p.Received(quiet.Peer()), []byte("more")) {
			t.Error("data after it is lost")
		}
	}
}

// lateAlert makes a server send an alert under its handshake key after its
// Finished, as a peer does that changes its sending key too late.
func lateAlert(t *testing.T, retain bool) *attls.Error {
	t.Helper()
	late := &recordTap{typ: attls.ContentTypeHandshake, n: 1, plan: func(_ *record.Raw, p *record.Plan) {
		p.After = []record.Raw{{Type: attls.ContentTypeAlert, Payload: []byte{2, byte(attls.AlertUnknownCA)}}}
	}}
	o := direct(func(c, s *handshake.Config) {
		c.Profile = &profile.Profile{ID: "quirks", Quirks: profile.Quirks{RetainHandshakeReadKey: retain}}
		s.Tap = late
	})
	p, err := pair.New(o)
	if err != nil {
		t.Fatal(err)
	}
	p.Run()
	return p.Engine(attls.RoleClient).Err()
}

func TestQuirkRetainHandshakeReadKey(t *testing.T) {
	if e := lateAlert(t, false); e == nil || e.Failure != attls.FailBadRecordMAC {
		t.Errorf("without the quirk: %v", e)
	} else if !strings.Contains(e.Detail, "alert unknown_ca") || !strings.Contains(e.Detail, "retain_handshake_read_key") {
		t.Errorf("the error does not say what the record is: %v", e)
	}
	if e := lateAlert(t, true); e == nil || e.Failure != attls.FailPeerAlert || e.Alert != attls.AlertUnknownCA {
		t.Errorf("with the quirk: %v", e)
	}
}

// TestRetainedKeyTakesNothingElse: under the key that should be gone only an
// alert is read, and not after the new key was used.
func TestRetainedKeyTakesNothingElse(t *testing.T) {
	for name, plan := range map[string]func(*record.Raw, *record.Plan){
		"data": func(_ *record.Raw, p *record.Plan) {
			p.After = []record.Raw{{Type: attls.ContentTypeApplicationData, Payload: []byte("x")}}
		},
		"message": func(_ *record.Raw, p *record.Plan) {
			p.After = []record.Raw{{Type: attls.ContentTypeHandshake, Payload: []byte{24, 0, 0, 1, 0}}}
		},
	} {
		o := direct(func(c, s *handshake.Config) {
			c.Profile = &profile.Profile{ID: "quirks", Quirks: profile.Quirks{RetainHandshakeReadKey: true}}
			s.Tap = &recordTap{typ: attls.ContentTypeHandshake, n: 1, plan: plan}
		})
		p, err := pair.New(o)
		if err != nil {
			t.Fatal(err)
		}
		p.Run()
		if e := p.Engine(attls.RoleClient).Err(); e == nil || e.Failure != attls.FailUnexpectedRecord {
			t.Errorf("%s under the old key: %v", name, e)
		}
	}
}

func TestQuirkAcceptPlaintextAlerts(t *testing.T) {
	plain := []byte{21, 3, 3, 0, 2, 2, byte(attls.AlertUnknownCA)}
	run := func(to attls.Role, state string, q profile.Quirks) *attls.Error {
		o := direct(func(c, s *handshake.Config) {
			c.Profile, s.Profile = &profile.Profile{ID: "quirks", Quirks: q}, &profile.Profile{ID: "quirks", Quirks: q}
		})
		o.Split = [2]pair.Split{pair.Octets(1), pair.Octets(1)} // one record at a time
		p, err := pair.New(o)
		if err != nil {
			t.Fatal(err)
		}
		e := p.Engine(to)
		for ok := true; ok && (e.StateName() != state || e.Buffered() > 0); {
			_, ok = p.Step()
		}
		if e.StateName() != state {
			t.Fatalf("state %s was not reached", state)
		}
		p.Inject(to, plain)
		p.Run()
		return e.Err()
	}
	read := func(e *attls.Error) bool {
		return e != nil && e.Failure == attls.FailPeerAlert && e.Alert == attls.AlertUnknownCA
	}
	refused := func(e *attls.Error) bool { return e != nil && e.Failure == attls.FailUnexpectedRecord }
	on, off := profile.Quirks{AcceptPlaintextAlerts: true}, profile.Quirks{}
	for name, test := range map[string]struct {
		to    attls.Role
		state string
		q     profile.Quirks
		want  func(*attls.Error) bool
	}{
		"before keys, off":                 {attls.RoleClient, "WAIT_SH", off, read},
		"after ServerHello, off":           {attls.RoleClient, "WAIT_EE", off, refused},
		"after ServerHello, on":            {attls.RoleClient, "WAIT_EE", on, read},
		"after the first record, on":       {attls.RoleClient, "CONNECTED", on, refused},
		"of a client that has no key, off": {attls.RoleServer, "WAIT_CERT", off, read},
		"of a client later, on":            {attls.RoleServer, "CONNECTED", on, refused},
	} {
		if e := run(test.to, test.state, test.q); !test.want(e) {
			t.Errorf("%s: %v", name, e)
		}
	}
}

// TestQuirkAcceptNewRandom: the second ClientHello may then have another random,
// and nothing else that is new.
func TestQuirkAcceptNewRandom(t *testing.T) {
	second := at{attls.RoleClient, attls.KindClientHello, 1}
	base := func(on bool) func(func(c, s *handshake.Config)) pair.Options {
		return func(change func(c, s *handshake.Config)) pair.Options {
			o := full(change)
			o.Server.Profile = &profile.Profile{ID: "quirks", Quirks: profile.Quirks{AcceptNewRandom: on}}
			return o
		}
	}
	random := clientHello(func(m *message.ClientHello) { m.Random = flipLast(m.Random) })
	mismatch := func(field string) outcome {
		return outcome{attls.FailRetryMismatch, attls.AlertIllegalParameter, attls.KindClientHello, field}
	}
	runFieldTests(t, base(false), []fieldTest{{name: "off", at: second, plan: random, want: mismatch("random")}})
	runFieldTests(t, base(true), []fieldTest{
		{name: "on", at: second, plan: random, want: outcome{}},
		{name: "session id", at: second, want: mismatch("legacy_session_id"),
			plan: clientHello(func(m *message.ClientHello) { m.SessionID = flipLast(m.SessionID) })},
	})
}
