package handshake_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/enginetest"
	"attls/handshake/message"
)

// The tests of this file let one end send something wrong, through a tap, and
// look at what the other end makes of it: failure, alert and message.

// at names one message of a handshake: the n-th (from 0) of a kind.
type at struct {
	sender attls.Role
	kind   attls.MessageKind
	n      int
}

func (a at) String() string {
	s := fmt.Sprintf("%v of the %v", a.kind, a.sender)
	if a.n > 0 {
		s += fmt.Sprintf(" (%d)", a.n+1)
	}
	return s
}

// every lists the messages of a mutual handshake with HelloRetryRequest.
var every = []at{
	{attls.RoleClient, attls.KindClientHello, 0}, {attls.RoleServer, attls.KindHelloRetryRequest, 0}, {attls.RoleClient, attls.KindClientHello, 1},
	{attls.RoleServer, attls.KindServerHello, 0}, {attls.RoleServer, attls.KindEncryptedExtensions, 0},
	{attls.RoleServer, attls.KindCertificateRequest, 0}, {attls.RoleServer, attls.KindCertificate, 0},
	{attls.RoleServer, attls.KindCertificateVerify, 0}, {attls.RoleServer, attls.KindFinished, 0},
	{attls.RoleClient, attls.KindCertificate, 0}, {attls.RoleClient, attls.KindCertificateVerify, 0},
	{attls.RoleClient, attls.KindFinished, 0},
}

// planTap changes one message that its engine sends.
type planTap struct {
	handshake.NopTap
	at   at
	plan func(m *message.Raw, p *handshake.Plan)
	seen int
	hit  *bool
}

func (t *planTap) Fork() handshake.Tap { f := *t; return &f }

func (t *planTap) Message(d handshake.Direction, m *message.Raw, p *handshake.Plan) {
	if d != handshake.Sent || m.Kind != t.at.kind {
		return
	}
	if t.seen++; t.seen == t.at.n+1 {
		*t.hit = true
		t.plan(m, p)
	}
}

// full is a mutual handshake with HelloRetryRequest and every extension that
// the engine knows to send. change, if any, sees the configurations first.
func full(change func(client, server *handshake.Config)) pair.Options {
	o := pair.Options{
		Client: &handshake.Config{ServerName: "server", ALPN: []string{"h2", "attls"}, RecordSizeLimit: 4096,
			Groups:               []attls.NamedGroup{attls.GroupX25519, attls.GroupSecp256r1},
			SignatureSchemesCert: []attls.SignatureScheme{attls.ED25519}, CertificateAuthorities: [][]byte{{0x30, 0}},
			Random: enginetest.Random("client")},
		Server: &handshake.Config{ALPN: []string{"attls"}, RecordSizeLimit: 4096, AcknowledgeServerName: true, AnnounceGroups: true,
			Groups:               []attls.NamedGroup{attls.GroupSecp256r1},
			SignatureSchemesCert: []attls.SignatureScheme{attls.ED25519}, CertificateAuthorities: [][]byte{{0x30, 0}},
			Retry: handshake.Retry{Cookie: true}, ClientAuthentication: handshake.RequireClientCertificate,
			Random: enginetest.Random("server")},
		Answer: [2]pair.Answer{enginetest.Answer(clientCredential), enginetest.Answer(serverCredential)},
		Send:   [2][]byte{[]byte("from client"), []byte("from server")},
	}
	if change != nil {
		change(o.Client, o.Server)
	}
	return o
}

// direct is full without HelloRetryRequest.
func direct(change func(client, server *handshake.Config)) pair.Options {
	o := full(change)
	o.Server.Retry = handshake.Retry{}
	o.Client.KeyShares = o.Server.Groups
	return o
}

var clientCredential, serverCredential = enginetest.Credential("client"), enginetest.Credential("server")

// outcome is what the other end must make of a change. The zero value: nothing.
type outcome struct {
	failure attls.Failure
	alert   attls.AlertDescription
	message attls.MessageKind
	field   string // part of the path
}

// disturb runs a handshake in which a message is changed and checks the
// outcome at the end that receives it.
func disturb(t *testing.T, o pair.Options, a at, plan func(*message.Raw, *handshake.Plan), want outcome) {
	t.Helper()
	hit := false
	tap := &planTap{at: a, plan: plan, hit: &hit}
	if a.sender == attls.RoleClient {
		o.Client.Tap = tap
	} else {
		o.Server.Tap = tap
	}
	p, err := pair.New(o)
	if err != nil {
		t.Fatal(err)
	}
	runErr := p.Run()
	if !hit {
		t.Fatalf("%v was not sent", a)
	}
	checkOutcome(t, p, a.sender.Peer(), runErr, want)
}

func checkOutcome(t *testing.T, p *pair.Pair, victim attls.Role, runErr error, want outcome) {
	t.Helper()
	if want.failure == "" {
		if runErr != nil {
			t.Errorf("%v; want none", runErr)
		}
		return
	}
	got := p.Engine(victim).Err()
	if got == nil {
		t.Fatalf("the %v finds no fault, want %s (%v)", victim, want.failure, runErr)
	}
	if got.Failure != want.failure || got.Alert != want.alert || !got.HasAlert {
		t.Errorf("%v\nwant %s, alert %v", got, want.failure, want.alert)
	}
	if want.message != attls.KindNone && got.Message != want.message {
		t.Errorf("%v\nis told of %v, want %v", got, got.Message, want.message)
	}
	if !strings.Contains(got.Field, want.field) {
		t.Errorf("%v\nhas field %q, want %q in it", got, got.Field, want.field)
	}
	if got.Alert != attls.DefaultAlert(got.Failure) {
		t.Errorf("%v\nthe default alert is %v", got, attls.DefaultAlert(got.Failure))
	}
	other := p.Engine(victim.Peer()).Err()
	if other == nil || other.Class != attls.FromPeer || other.Alert != want.alert {
		t.Errorf("the other end: %v, want the alert %v", other, want.alert)
	}
	if p.Engine(victim).Done() && victim == attls.RoleServer {
		t.Error("the handshake was completed all the same")
	}
}

// replace changes the octets of a message, header included.
func replace(f func(b []byte) []byte) func(*message.Raw, *handshake.Plan) {
	return func(m *message.Raw, p *handshake.Plan) { p.Replace = f(slices.Clone(m.Bytes)) }
}

// fixLength puts the right length into a message's header.
func fixLength(b []byte) []byte { return message.End(b, 0) }

// TestEveryMessage damages each message of a handshake in the ways that need no
// knowledge of it.
func TestEveryMessage(t *testing.T) {
	const (
		trailing  = "octet too much"
		truncated = "octet too little"
		empty     = "empty body"
		twice     = "twice"
		dropped   = "left out"
	)
	decode := func(a at) outcome { return outcome{attls.FailDecode, attls.AlertDecodeError, a.kind, ""} }
	for i, a := range every {
		tests := map[string]struct {
			plan func(*message.Raw, *handshake.Plan)
			want outcome
		}{
			trailing: {replace(func(b []byte) []byte { return fixLength(append(b, 0)) }),
				outcome{attls.FailTrailing, attls.AlertDecodeError, a.kind, ""}},
			truncated: {replace(func(b []byte) []byte { return fixLength(b[:len(b)-1]) }), decode(a)},
			empty:     {replace(func(b []byte) []byte { return fixLength(b[:4]) }), decode(a)},
			twice: {func(m *message.Raw, p *handshake.Plan) {
				p.After, p.TranscriptOriginal = [][]byte{slices.Clone(m.Bytes)}, true
			},
				outcome{attls.FailUnexpectedMessage, attls.AlertUnexpectedMessage, a.kind, ""}},
			dropped: {func(m *message.Raw, p *handshake.Plan) { p.Drop = true },
				outcome{attls.FailUnexpectedMessage, attls.AlertUnexpectedMessage, attls.KindNone, ""}},
		}
		for name, test := range tests {
			want := test.want
			switch {
			case a.kind == attls.KindFinished && name == trailing:
				want = decode(a) // its length is Hash.length and nothing else
			case a.kind == attls.KindFinished && name == twice, a.kind == attls.KindServerHello && name == twice,
				a == every[2] && name == twice:
				// The second one comes where the keys change.
				want = outcome{attls.FailMessageBoundary, attls.AlertUnexpectedMessage, attls.KindNone, "record"}
			case a == every[1] && name == empty: // a ServerHello without its Random is no HelloRetryRequest
				want.message = attls.KindServerHello
			case name == dropped && (i+1 == len(every) || every[i+1].sender != a.sender):
				continue // nothing follows that would be noticed
			case name == dropped && a.kind == attls.KindServerHello:
				// What follows is protected, under keys that the client does not have.
				want.failure, want.field = attls.FailUnexpectedRecord, "record"
			case name == dropped && a.kind == attls.KindCertificateRequest:
				want = outcome{} // the client may well not be asked
			case name == twice && (a == every[0] || a == every[1]):
				// The sender has not seen yet what the other end makes of the first.
				want = outcome{attls.FailMessageBoundary, attls.AlertUnexpectedMessage, a.kind, ""}
			}
			t.Run(a.String()+"/"+name, func(t *testing.T) {
				o := full(nil)
				if name == dropped && a.kind == attls.KindCertificateRequest {
					o.Server.Tap = nil
					want = outcome{attls.FailUnexpectedMessage, attls.AlertUnexpectedMessage, attls.KindFinished, ""}
					// The client sends no Certificate, and the server wants one.
					disturbAt(t, o, a, test.plan, attls.RoleServer, want)
					return
				}
				disturb(t, o, a, test.plan, want)
			})
		}
	}
}

// disturbAt is disturb for a fault that the sender itself comes to notice.
func disturbAt(t *testing.T, o pair.Options, a at, plan func(*message.Raw, *handshake.Plan), victim attls.Role, want outcome) {
	t.Helper()
	hit := false
	o.Server.Tap = &planTap{at: a, plan: plan, hit: &hit}
	p, err := pair.New(o)
	if err != nil {
		t.Fatal(err)
	}
	checkOutcome(t, p, victim, p.Run(), want)
}

// TestEveryMessageInEveryState puts a message of each type before each message
// of a handshake.
func TestEveryMessageInEveryState(t *testing.T) {
	types := []attls.HandshakeType{0, attls.TypeClientHello, attls.TypeServerHello, attls.TypeNewSessionTicket, attls.TypeEndOfEarlyData,
		attls.TypeEncryptedExtensions, attls.TypeCertificateRequest, attls.TypeCertificate, attls.TypeCertificateVerify,
		attls.TypeFinished, attls.TypeKeyUpdate, 99, attls.TypeMessageHash}
	for _, a := range every {
		for _, typ := range types {
			t.Run(fmt.Sprintf("type %d before %v", typ, a), func(t *testing.T) {
				want := outcome{attls.FailUnexpectedMessage, attls.AlertUnexpectedMessage, typ.Kind(), ""}
				expected := typ.Kind() == a.kind || typ == attls.TypeServerHello && a.kind == attls.KindHelloRetryRequest ||
					typ == attls.TypeCertificate && a.kind == attls.KindCertificateRequest
				if expected {
					want = outcome{attls.FailDecode, attls.AlertDecodeError, typ.Kind(), ""}
				}
				plan := func(m *message.Raw, p *handshake.Plan) { p.Before = [][]byte{{byte(typ), 0, 0, 0}} }
				disturb(t, full(nil), a, plan, want)
			})
		}
	}
}

// editExtensions changes the extensions of a message, those of the first entry
// in a Certificate.
func editExtensions(t *testing.T, edit func(extensions.List) extensions.List) func(*message.Raw, *handshake.Plan) {
	return func(m *message.Raw, p *handshake.Plan) {
		body := m.Body()
		var err *attls.Error
		switch m.Kind {
		case attls.KindClientHello:
			var v message.ClientHello
			err = v.Unmarshal(body)
			v.Extensions = edit(v.Extensions)
			p.Replace = v.Append(nil)
		case attls.KindServerHello, attls.KindHelloRetryRequest:
			var v message.ServerHello
			err = v.Unmarshal(body)
			v.Extensions = edit(v.Extensions)
			p.Replace = v.Append(nil)
		case attls.KindEncryptedExtensions:
			var v message.EncryptedExtensions
			err = v.Unmarshal(body)
			v.Extensions = edit(v.Extensions)
			p.Replace = v.Append(nil)
		case attls.KindCertificateRequest:
			var v message.CertificateRequest
			err = v.Unmarshal(body)
			v.Extensions = edit(v.Extensions)
			p.Replace = v.Append(nil)
		case attls.KindCertificate:
			var v message.Certificate
			err = v.Unmarshal(body)
			v.Entries[0].Extensions = edit(v.Entries[0].Extensions)
			p.Replace = v.Append(nil)
		default:
			t.Fatalf("%v has no extensions", m.Kind)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// with adds an extension at the front, where pre_shared_key stands last still.
func with(x attls.ExtensionType, body []byte) func(extensions.List) extensions.List {
	return func(l extensions.List) extensions.List {
		return slices.Insert(slices.Clone(l), 0, extensions.Extension{Type: x, Body: body})
	}
}

// hasExtensions lists the messages that carry extensions.
var hasExtensions = func() []at {
	return slices.DeleteFunc(slices.Clone(every), func(a at) bool {
		return a.kind == attls.KindCertificateVerify || a.kind == attls.KindFinished
	})
}()

// own maps the extensions that each message of the full handshake has.
func own(t *testing.T) map[at]extensions.List {
	t.Helper()
	lists := map[at]extensions.List{}
	for _, a := range hasExtensions {
		plan := editExtensions(t, func(l extensions.List) extensions.List {
			for _, x := range l {
				lists[a] = append(lists[a], extensions.Extension{Type: x.Type, Body: slices.Clone(x.Body)})
			}
			return l
		})
		disturb(t, full(nil), a, plan, outcome{})
	}
	return lists
}

// TestEveryExtensionElsewhere puts each extension of the table, and one that
// nobody knows, into each message that has none of its type.
func TestEveryExtensionElsewhere(t *testing.T) {
	const unknown attls.ExtensionType = 0x7a7a
	lists := own(t)
	table := extensions.RFC8446()
	for _, a := range hasExtensions {
		for x := attls.ExtensionType(0); ; x++ {
			row, known := table.Lookup(x)
			if _, has := lists[a].Find(x); !has && (known || x == unknown) {
				response := a.kind != attls.KindClientHello && a.kind != attls.KindCertificateRequest
				want := outcome{message: a.kind, field: "extensions." + x.String()}
				allowed := known && slices.ContainsFunc(row.Placements, func(p extensions.Placement) bool { return p.Message == a.kind })
				offered := offers(lists, a, x)
				switch {
				case known && !allowed:
					want.failure, want.alert = attls.FailWrongMessage, attls.AlertIllegalParameter
				case response && !offered && x != attls.ExtCookie:
					want.failure, want.alert = attls.FailUnsolicited, attls.AlertUnsupportedExtension
				default:
					want = outcome{}
				}
				if want.failure != "" || x == unknown {
					t.Run(fmt.Sprintf("%v/%v", a, x), func(t *testing.T) {
						o := full(nil)
						if a == every[0] && want.failure == "" { // and then in the second as well
							o = direct(nil)
						}
						if a == every[2] { // a second ClientHello must not bring what the first did not
							if want.failure == "" {
								want = outcome{attls.FailRetryMismatch, attls.AlertIllegalParameter, a.kind, x.String()}
							}
						}
						disturb(t, o, a, editExtensions(t, with(x, nil)), want)
					})
				}
			}
			if x == 0xffff {
				break
			}
		}
	}
}

// offers reports whether the receiver of a message has sent an extension before.
func offers(lists map[at]extensions.List, a at, x attls.ExtensionType) bool {
	request := at{attls.RoleClient, attls.KindClientHello, 0}
	if a.sender == attls.RoleClient {
		request = at{attls.RoleServer, attls.KindCertificateRequest, 0}
	}
	_, ok := lists[request].Find(x)
	return ok
}

// TestEveryExtensionInPlace damages each extension of each message.
func TestEveryExtensionInPlace(t *testing.T) {
	lists := own(t)
	for _, a := range hasExtensions {
		for _, x := range lists[a] {
			edit := func(f func(body []byte) []byte) func(*message.Raw, *handshake.Plan) {
				return editExtensions(t, func(l extensions.List) extensions.List {
					for i := range l {
						if l[i].Type == x.Type {
							l[i].Body = f(slices.Clone(l[i].Body))
						}
					}
					return l
				})
			}
			path := "extensions." + x.Type.String()
			second := a == every[2]
			changed := second && x.Type != attls.ExtKeyShare && x.Type != attls.ExtCookie && x.Type != attls.ExtSupportedVersions
			decode := func(f attls.Failure) outcome {
				if changed {
					return outcome{attls.FailRetryMismatch, attls.AlertIllegalParameter, a.kind, path}
				}
				return outcome{f, attls.AlertDecodeError, a.kind, path}
			}
			t.Run(fmt.Sprintf("%v/%v twice", a, x.Type), func(t *testing.T) {
				disturb(t, full(nil), a, editExtensions(t, with(x.Type, x.Body)),
					outcome{attls.FailDuplicateExtension, attls.AlertIllegalParameter, a.kind, path})
			})
			t.Run(fmt.Sprintf("%v/%v with an octet more", a, x.Type), func(t *testing.T) {
				disturb(t, full(nil), a, edit(func(b []byte) []byte { return append(b, 0) }), decode(attls.FailTrailing))
			})
			if len(x.Body) > 0 {
				t.Run(fmt.Sprintf("%v/%v with an octet less", a, x.Type), func(t *testing.T) {
					disturb(t, full(nil), a, edit(func(b []byte) []byte { return b[:len(b)-1] }), decode(attls.FailDecode))
				})
				t.Run(fmt.Sprintf("%v/%v empty", a, x.Type), func(t *testing.T) {
					disturb(t, full(nil), a, edit(func([]byte) []byte { return nil }), decode(attls.FailDecode))
				})
			}
		}
	}
}
