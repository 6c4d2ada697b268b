package authenticator_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"attls"
	"attls/extensions"
	"attls/handshake/authenticator"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/internal/rule"
	"attls/negotiation"
)

// edit is a tap that changes the messages of a kind that its end sends.
type edit struct {
	kind attls.MessageKind
	plan func(*message.Raw) authenticator.Plan
	// values, when set, changes exporter values.
	values func(label string, value []byte) []byte
}

func (e edit) Message(sent bool, m *message.Raw) authenticator.Plan {
	if !sent || m.Kind != e.kind || e.plan == nil {
		return authenticator.Plan{}
	}
	return e.plan(m)
}

func (e edit) Derived(label string, value []byte) []byte {
	if e.values == nil {
		return value
	}
	return e.values(label, value)
}

// replace is an edit whose result is signed and hashed as if it were the original.
func replace(kind attls.MessageKind, with func(*message.Raw) []byte) *edit {
	return &edit{kind: kind, plan: func(m *message.Raw) authenticator.Plan { return authenticator.Plan{Replace: with(m)} }}
}

// certificateWith is an edit of Certificate.
func certificateWith(change func(*message.Certificate)) *edit {
	return replace(attls.KindCertificate, func(m *message.Raw) []byte {
		var ct message.Certificate
		if err := ct.Unmarshal(m.Body()); err != nil {
			panic(err)
		}
		change(&ct)
		return ct.Append(nil)
	})
}

// requestWith is an edit of a request, as another message where kind says so.
func requestWith(sender attls.Role, change func(*message.CertificateRequest)) *edit {
	kind := attls.KindCertificateRequest
	if sender == attls.RoleClient {
		kind = attls.KindClientCertificateRequest
	}
	return replace(kind, func(m *message.Raw) []byte {
		var cr message.CertificateRequest
		if err := cr.Unmarshal(m.Body()); err != nil {
			panic(err)
		}
		change(&cr)
		if kind == attls.KindClientCertificateRequest {
			return (*message.ClientCertificateRequest)(&cr).Append(nil)
		}
		return cr.Append(nil)
	})
}

// fault is something that an end does wrong, and what the other finds.
type fault struct {
	name string
	rule rule.Rule // "": none that can be turned off
	want attls.Failure
	at   attls.MessageKind
	// asker is the end that asks; the other answers. Nil: either.
	askers []attls.Role
	// request and answer are taps of the end that makes them.
	request, answer func(asker attls.Role) *edit
	// act, when set, takes the place of what an exchange does with the authenticator.
	act func(t *testing.T, x *exchange) error
}

// exchange is one connection with a request that is answered.
type exchange struct {
	ends     two
	asker    attls.Role
	received *authenticator.Received
	proof    []byte
	shown    *authenticator.Shown
	off      rule.Rule
}

// without turns the rule of the exchange off in a configuration.
func (x *exchange) without(c *authenticator.Config) *authenticator.Config {
	if x.off == "" {
		return c
	}
	c.Extensions = rule.Without(extensions.RFC8446(), x.off)
	return rule.Without(c, x.off)
}

// another is a pair of ends of another connection.
func (x *exchange) another(t *testing.T, name string) two {
	var ends two
	for _, role := range attls.Roles() {
		ends[role] = open(t, x.without(config(role, name)))
	}
	return ends
}

func (x *exchange) validate(octets []byte) error {
	_, err := x.ends[x.asker].Validate(octets, any509)
	return err
}

// run makes an exchange with a fault, and returns what the end that is wronged says.
func (f *fault) run(t *testing.T, asker attls.Role, off rule.Rule) error {
	x := &exchange{asker: asker, shown: shown(t), off: off}
	for _, role := range attls.Roles() {
		c := config(role, "connection")
		if role == asker && f.request != nil {
			c.Tap = f.request(asker)
		}
		if role == asker.Peer() && f.answer != nil {
			c.Tap = f.answer(asker)
		}
		x.ends[role] = open(t, x.without(c))
	}
	octets, err := x.ends[asker].Request(&authenticator.Request{Wanted: negotiation.Wanted{Schemes: all}})
	if err != nil {
		t.Fatal(err)
	}
	if x.received, err = x.ends[asker.Peer()].Receive(octets); err != nil {
		return err
	}
	d, err := x.ends[asker.Peer()].Start(x.received, x.shown)
	if err != nil {
		return err
	}
	signature, err := provider.Sign(x.shown.Signer, d.Scheme, d.Content)
	if err != nil {
		t.Fatal(err)
	}
	if x.proof, err = d.Finish(signature); err != nil {
		t.Fatal(err)
	}
	if f.act != nil {
		return f.act(t, x)
	}
	return x.validate(x.proof)
}

var client, server = []attls.Role{attls.RoleClient}, []attls.Role{attls.RoleServer}

func entryWith(l ...extensions.Extension) func(attls.Role) *edit {
	return func(attls.Role) *edit {
		return certificateWith(func(ct *message.Certificate) { ct.Entries[0].Extensions = l })
	}
}

func verifyWith(change func(*message.CertificateVerify)) func(attls.Role) *edit {
	return func(attls.Role) *edit {
		return replace(attls.KindCertificateVerify, func(m *message.Raw) []byte {
			var cv message.CertificateVerify
			if err := cv.Unmarshal(m.Body()); err != nil {
				panic(err)
			}
			cv.Signature = bytes.Clone(cv.Signature)
			change(&cv)
			return cv.Append(nil)
		})
	}
}

// values changes exporter values by their labels.
func values(change func(label string) (of string)) func(attls.Role) *edit {
	return func(attls.Role) *edit {
		return &edit{values: func(label string, value []byte) []byte {
			return must(exporter("connection")(change(label), nil, len(value)))
		}}
	}
}

func otherRole(label string) string {
	return map[string]string{authenticator.LabelClientFinished: authenticator.LabelServerFinished,
		authenticator.LabelServerFinished: authenticator.LabelClientFinished}[label]
}

const unknown = attls.ExtensionType(0xff80)

var faults = []fault{
	{name: "a request with the message of the other role", rule: rule.AuthenticatorDirection, want: attls.FailUnexpectedMessage,
		at: attls.KindNone, request: func(asker attls.Role) *edit {
			kind, other := attls.KindCertificateRequest, attls.TypeClientCertificateRequest
			if asker == attls.RoleClient {
				kind, other = attls.KindClientCertificateRequest, attls.TypeCertificateRequest
			}
			return replace(kind, func(m *message.Raw) []byte { return append([]byte{byte(other)}, m.Bytes[1:]...) })
		}},
	{name: "a request without signature_algorithms", rule: rule.RequestAlgorithms, want: attls.FailMissingExtension,
		at: attls.KindClientCertificateRequest, request: func(asker attls.Role) *edit {
			return requestWith(asker, func(cr *message.CertificateRequest) { cr.Extensions = nil })
		}},
	{name: "server_name in a CertificateRequest", rule: rule.AuthenticatorName, want: attls.FailWrongMessage, askers: server,
		at: attls.KindCertificateRequest, request: func(asker attls.Role) *edit {
			return requestWith(asker, func(cr *message.CertificateRequest) {
				cr.Extensions = append(slices.Clone(cr.Extensions), extensions.Extension{Type: attls.ExtServerName,
					Body: extensions.AppendServerName(nil, "name")})
			})
		}},
	{name: "an extension of another message in a request", rule: rule.ExtensionInPlace, want: attls.FailWrongMessage,
		at: attls.KindClientCertificateRequest, request: func(asker attls.Role) *edit {
			return requestWith(asker, func(cr *message.CertificateRequest) {
				cr.Extensions = append(slices.Clone(cr.Extensions), extensions.Extension{Type: attls.ExtKeyShare})
			})
		}},
	{name: "a body that must be empty", rule: rule.BodyEmpty, want: attls.FailTrailing,
		at: attls.KindClientCertificateRequest, request: func(asker attls.Role) *edit {
			return requestWith(asker, func(cr *message.CertificateRequest) {
				cr.Extensions = append(slices.Clone(cr.Extensions), extensions.Extension{Type: attls.ExtStatusRequest, Body: []byte{1}})
			})
		}},
	{name: "a request with a context that was used", rule: rule.AuthenticatorContext, want: attls.FailRequestContext,
		at: attls.KindClientCertificateRequest, act: func(t *testing.T, x *exchange) error {
			octets := must(x.another(t, "connection")[x.asker].Request(&authenticator.Request{Context: x.received.Context,
				Wanted: negotiation.Wanted{Schemes: all}}))
			_, err := x.ends[x.asker.Peer()].Receive(octets)
			return err
		}},
	{name: "a request answered twice", rule: rule.AuthenticatorOnce, want: attls.FailRequestContext, at: attls.KindNone,
		act: func(t *testing.T, x *exchange) error {
			_, err := x.ends[x.asker.Peer()].Refuse(x.received)
			return err
		}},
	{name: "an authenticator that comes twice", rule: rule.AuthenticatorContext, want: attls.FailRequestContext,
		at: attls.KindCertificate, act: func(t *testing.T, x *exchange) error {
			if err := x.validate(x.proof); err != nil {
				t.Fatal(err)
			}
			return x.validate(x.proof)
		}},
	{name: "an authenticator of another connection", rule: rule.SignatureVerified, want: attls.FailSignature,
		at: attls.KindCertificateVerify, act: func(t *testing.T, x *exchange) error {
			there := x.another(t, "another connection")
			octets := must(there[x.asker].Request(&authenticator.Request{Context: x.received.Context, Wanted: negotiation.Wanted{Schemes: all}}))
			there[x.asker.Peer()] = open(t, config(x.asker.Peer(), "another connection"))
			r := must(there[x.asker.Peer()].Receive(octets))
			return x.validate(there.answers(t, r, x.asker.Peer(), x.shown))
		}},
	{name: "an authenticator in the other direction", rule: rule.SignatureVerified, want: attls.FailSignature,
		at: attls.KindCertificateVerify, act: func(t *testing.T, x *exchange) error {
			// The end that answered asks under the same context, and gets back what it sent.
			ends := x.another(t, "connection")
			if _, err := ends[x.asker.Peer()].Request(&authenticator.Request{Context: x.received.Context, Wanted: negotiation.Wanted{Schemes: all}}); err != nil {
				t.Fatal(err)
			}
			_, err := ends[x.asker.Peer()].Validate(x.proof, any509)
			return err
		}},
	{name: "an authenticator for another request", rule: rule.AuthenticatorAsked, want: attls.FailRequestContext, askers: server,
		at: attls.KindCertificate, act: func(t *testing.T, x *exchange) error {
			x.ends[x.asker].Forget(x.received.Context)
			ends := x.another(t, "connection")
			_, r := ends.asks(t, x.asker, authenticator.Request{})
			return x.validate(ends.answers(t, r, x.asker.Peer(), x.shown))
		}},
	{name: "a context that is not the request's", rule: rule.SignatureVerified, want: attls.FailSignature, askers: client,
		at: attls.KindCertificateVerify, answer: func(attls.Role) *edit {
			return certificateWith(func(ct *message.Certificate) { ct.Context = []byte("another") })
		}},
	{name: "a context that is not the request's, of a client", rule: rule.AuthenticatorAsked, want: attls.FailRequestContext,
		askers: server, at: attls.KindCertificate, answer: func(attls.Role) *edit {
			return certificateWith(func(ct *message.Certificate) { ct.Context = []byte("another") })
		}},
	{name: "an extension that nobody asked for", rule: rule.ExtensionSolicited, want: attls.FailUnsolicited, at: attls.KindCertificate,
		answer: entryWith(extensions.Extension{Type: attls.ExtSignedCertificateTimestamp, Body: []byte{0, 3, 0, 1, 7}})},
	{name: "an unknown extension that nobody asked for", rule: rule.ExtensionKnown, want: attls.FailUnsolicited,
		at: attls.KindCertificate, answer: entryWith(extensions.Extension{Type: unknown})},
	{name: "an extension of the ClientHello that the request lacks", rule: rule.ExtensionSolicited, want: attls.FailUnsolicited,
		at: attls.KindCertificate, answer: entryWith(extensions.Extension{Type: attls.ExtStatusRequest,
			Body: extensions.AppendCertificateStatus(nil, []byte("response"))})},
	{name: "an extension of another message in Certificate", rule: rule.ExtensionInPlace, want: attls.FailWrongMessage,
		at: attls.KindCertificate, answer: entryWith(extensions.Extension{Type: attls.ExtSignatureAlgorithms, Body: []byte{0, 2, 4, 3}})},
	{name: "no certificate", want: attls.FailDecode, at: attls.KindCertificate, answer: func(attls.Role) *edit {
		return certificateWith(func(ct *message.Certificate) { ct.Entries = nil })
	}},
	{name: "what is not a certificate", want: attls.FailBadCertificate, at: attls.KindCertificate, answer: func(attls.Role) *edit {
		return certificateWith(func(ct *message.Certificate) { ct.Entries[0].Data = []byte("raw public key") })
	}},
	{name: "more certificates than we take", want: attls.FailCapacity, at: attls.KindCertificate, answer: func(attls.Role) *edit {
		return certificateWith(func(ct *message.Certificate) {
			for range 100 {
				ct.Entries = append(ct.Entries, message.CertificateEntry{Data: []byte{1}})
			}
		})
	}},
	{name: "a scheme that the request lacks", rule: rule.SchemeOffered, want: attls.FailIllegalParameter, at: attls.KindCertificateVerify,
		answer: verifyWith(func(cv *message.CertificateVerify) { cv.Scheme = attls.ECDSA_SECP384R1_SHA384 })},
	{name: "a scheme of TLS 1.2", rule: rule.SchemeOffered, want: attls.FailIllegalParameter, at: attls.KindCertificateVerify,
		answer: verifyWith(func(cv *message.CertificateVerify) { cv.Scheme = attls.RSA_PKCS1_SHA256 })},
	{name: "a scheme that does not fit the key", rule: rule.SchemeFits, want: attls.FailIllegalParameter, at: attls.KindCertificateVerify,
		answer: verifyWith(func(cv *message.CertificateVerify) { cv.Scheme = attls.ED25519 })},
	{name: "a broken signature", rule: rule.SignatureVerified, want: attls.FailSignature, at: attls.KindCertificateVerify,
		answer: verifyWith(func(cv *message.CertificateVerify) { cv.Signature[20] ^= 1 })},
	{name: "a Finished of the wrong role", rule: rule.FinishedVerified, want: attls.FailFinished, at: attls.KindFinished,
		answer: values(func(label string) string {
			if other := otherRole(label); other != "" {
				return other
			}
			return label
		})},
	{name: "a Finished that is too short", want: attls.FailDecode, at: attls.KindFinished, answer: func(attls.Role) *edit {
		return replace(attls.KindFinished, func(m *message.Raw) []byte {
			f := message.Finished{VerifyData: m.Body()[1:]}
			return f.Append(nil)
		})
	}},
	{name: "the messages in another order", want: attls.FailUnexpectedMessage, at: attls.KindNone, act: func(t *testing.T, x *exchange) error {
		list := messages(x.proof)
		return x.validate(slices.Concat(list[1], list[0], list[2]))
	}},
	{name: "no CertificateVerify", want: attls.FailUnexpectedMessage, at: attls.KindNone, act: func(t *testing.T, x *exchange) error {
		list := messages(x.proof)
		return x.validate(slices.Concat(list[0], list[2]))
	}},
	{name: "no Finished", want: attls.FailDecode, at: attls.KindFinished, act: func(t *testing.T, x *exchange) error {
		list := messages(x.proof)
		return x.validate(slices.Concat(list[0], list[1]))
	}},
	{name: "a message after Finished", rule: rule.AuthenticatorMessages, want: attls.FailUnexpectedMessage, at: attls.KindNone,
		act: func(t *testing.T, x *exchange) error {
			return x.validate(append(bytes.Clone(x.proof), byte(attls.TypeKeyUpdate), 0, 0, 1, 0))
		}},
	{name: "nothing", want: attls.FailDecode, at: attls.KindCertificate, act: func(t *testing.T, x *exchange) error { return x.validate(nil) }},
	{name: "more octets than we take", want: attls.FailCapacity, at: attls.KindNone, act: func(t *testing.T, x *exchange) error {
		return x.validate(make([]byte, 1<<17+1))
	}},
	{name: "an empty authenticator of the wrong role", want: attls.FailFinished, at: attls.KindFinished, act: func(t *testing.T, x *exchange) error {
		c := config(x.asker.Peer(), "connection")
		c.Tap = values(otherRoleOf)(x.asker)
		liar := open(t, c)
		ends := x.another(t, "connection")
		ends[x.asker.Peer()] = liar
		_, r := ends.asks(t, x.asker, authenticator.Request{})
		_, err := ends[x.asker].Validate(must(liar.Refuse(r)), any509)
		return err
	}},
	{name: "an empty authenticator", rule: rule.AuthenticatorEmpty, want: attls.FailEmptyAuthenticator, at: attls.KindFinished,
		act: func(t *testing.T, x *exchange) error {
			_, r := x.ends.asks(t, x.asker, authenticator.Request{})
			return x.validate(must(x.ends[x.asker.Peer()].Refuse(r)))
		}},
	{name: "an empty authenticator where nothing was asked", want: attls.FailUnexpectedMessage, at: attls.KindFinished,
		act: func(t *testing.T, x *exchange) error {
			_, r := x.ends.asks(t, x.asker, authenticator.Request{})
			refusal := must(x.ends[x.asker.Peer()].Refuse(r))
			x.ends[x.asker].Forget(r.Context)
			x.ends[x.asker].Forget(x.received.Context)
			return x.validate(refusal)
		}},
	{name: "a spontaneous authenticator of a client", rule: rule.AuthenticatorAsked, want: attls.FailRequestContext, askers: server,
		at: attls.KindCertificate, act: func(t *testing.T, x *exchange) error {
			liar := open(t, rule.Without(config(attls.RoleClient, "connection"), rule.AuthenticatorAsked))
			return x.validate(must(liar.Spontaneous(nil, x.shown)))
		}},
	{name: "a client that would make one", rule: rule.AuthenticatorAsked, want: attls.FailConfiguration, askers: server,
		at: attls.KindNone, act: func(t *testing.T, x *exchange) error {
			_, err := x.ends[attls.RoleClient].Spontaneous(nil, x.shown)
			return err
		}},
	{name: "a spontaneous authenticator with a context that was used", rule: rule.AuthenticatorContext, want: attls.FailRequestContext,
		askers: client, at: attls.KindCertificate, act: func(t *testing.T, x *exchange) error {
			if err := x.validate(x.proof); err != nil {
				t.Fatal(err)
			}
			return x.validate(must(x.another(t, "connection")[attls.RoleServer].Spontaneous(x.received.Context, x.shown)))
		}},
	{name: "a spontaneous authenticator that comes twice", rule: rule.AuthenticatorContext, want: attls.FailRequestContext, askers: client,
		at: attls.KindCertificate, act: func(t *testing.T, x *exchange) error {
			proof := must(x.ends[attls.RoleServer].Spontaneous(nil, x.shown))
			if err := x.validate(proof); err != nil {
				t.Fatal(err)
			}
			return x.validate(proof)
		}},
	{name: "a spontaneous authenticator of another connection", rule: rule.SignatureVerified, want: attls.FailSignature, askers: client,
		at: attls.KindCertificateVerify, act: func(t *testing.T, x *exchange) error {
			return x.validate(must(x.another(t, "another connection")[attls.RoleServer].Spontaneous(nil, x.shown)))
		}},
	{name: "a spontaneous authenticator with what the ClientHello did not offer", rule: rule.ExtensionSolicited, want: attls.FailUnsolicited,
		askers: client, at: attls.KindCertificate, act: func(t *testing.T, x *exchange) error {
			c := config(attls.RoleServer, "connection")
			c.Tap = entryWith(extensions.Extension{Type: attls.ExtSignedCertificateTimestamp, Body: []byte{0, 3, 0, 1, 7}})(x.asker)
			return x.validate(must(open(t, c).Spontaneous(nil, x.shown)))
		}},
	{name: "a spontaneous authenticator under a scheme that the ClientHello lacks", rule: rule.SchemeOffered,
		want: attls.FailIllegalParameter, askers: client, at: attls.KindCertificateVerify, act: func(t *testing.T, x *exchange) error {
			c := config(attls.RoleServer, "connection")
			c.Tap = verifyWith(func(cv *message.CertificateVerify) { cv.Scheme = attls.ECDSA_SECP384R1_SHA384 })(x.asker)
			return x.validate(must(open(t, c).Spontaneous(nil, x.shown)))
		}},
}

// otherRoleOf swaps the labels of the two roles.
func otherRoleOf(label string) string {
	if other := otherRole(label); other != "" {
		return other
	}
	return map[string]string{authenticator.LabelClientContext: authenticator.LabelServerContext,
		authenticator.LabelServerContext: authenticator.LabelClientContext}[label]
}

// messages cuts an authenticator into its messages.
func messages(b []byte) (list [][]byte) {
	for len(b) >= 4 {
		n := 4 + int(b[1])<<16 + int(b[2])<<8 + int(b[3])
		list, b = append(list, b[:n]), b[n:]
	}
	return list
}

// TestFaults: what either end can do wrong, and the name of what the other finds. Each
// rule that can be turned off is: the fault is not found then, or as another.
func TestFaults(t *testing.T) {
	for i := range faults {
		f := &faults[i]
		askers := f.askers
		if askers == nil {
			askers = []attls.Role{attls.RoleClient, attls.RoleServer}
		}
		for _, asker := range askers {
			t.Run(fmt.Sprintf("%s, where the %v asks", f.name, asker), func(t *testing.T) {
				at := f.at
				if at == attls.KindClientCertificateRequest && asker == attls.RoleServer {
					at = attls.KindCertificateRequest
				}
				err := f.run(t, asker, "")
				named, ok := err.(*attls.Error)
				if !ok || named.Failure != f.want || named.Message != at || named.Detail == "" || named.Rule == "" && named.Class != attls.Local {
					t.Fatalf("%v in %v; want %s in %v", err, named, f.want, at)
				}
				if named.Failure == attls.FailRequestContext && at != attls.KindNone && named.Field != "certificate_request_context" {
					t.Errorf("the field is %q", named.Field)
				}
				if f.rule == "" {
					return
				}
				if err := f.run(t, asker, f.rule); failure(err) == f.want && err.Error() == named.Error() {
					t.Errorf("without the rule %s: %v", f.rule, err)
				}
			})
		}
	}
}

// TestEveryOctet: an authenticator and a request that are cut off anywhere, or have one
// octet changed or more octets than they should, are refused; then the true ones are taken.
func TestEveryOctet(t *testing.T) {
	for _, asker := range attls.Roles() {
		ends := pairOf(t, nil)
		request, _ := ends.asks(t, asker, authenticator.Request{})
		fresh := func() *authenticator.Connection { return open(t, config(asker.Peer(), "connection")) }
		for n := range request {
			if _, err := fresh().Receive(request[:n]); err == nil {
				t.Errorf("a request of %d octets is taken", n)
			}
		}
		if _, err := fresh().Receive(append(bytes.Clone(request), 0)); err == nil {
			t.Error("an octet behind a request is taken")
		}
		for name, make := range map[string]func(*authenticator.Received) []byte{
			"proof":   func(r *authenticator.Received) []byte { return ends.answers(t, r, asker.Peer(), shown(t)) },
			"refusal": func(r *authenticator.Received) []byte { return must(ends[asker.Peer()].Refuse(r)) },
		} {
			_, r := ends.asks(t, asker, authenticator.Request{})
			octets := make(r)
			refused := func(what string, b []byte) {
				_, err := ends[asker].Validate(b, any509)
				named, ok := err.(*attls.Error)
				if !ok || named.Failure == attls.FailEmptyAuthenticator || named.Class == attls.Local {
					t.Fatalf("%s, %s: %v", name, what, err)
				}
			}
			for n := range octets {
				refused(fmt.Sprintf("%d octets", n), octets[:n])
				for bit := range 8 {
					if bit != n%8 && n > 40 {
						continue // one of each octet of a signature is enough
					}
					changed := bytes.Clone(octets)
					changed[n] ^= 1 << bit
					refused(fmt.Sprintf("bit %d of octet %d", bit, n), changed)
				}
			}
			refused("an octet too many", append(bytes.Clone(octets), 0))
			refused("twice", append(bytes.Clone(octets), octets...))
			if _, err := ends[asker].Validate(octets, any509); err != nil && (name == "proof" || !authenticator.Refused(err)) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestHugeCounts: lengths and numbers that nothing stands behind cost nothing.
func TestHugeCounts(t *testing.T) {
	ends := pairOf(t, func(c *authenticator.Config) { c.Limits.Contexts = 20 })
	for name, octets := range map[string][]byte{
		"a message of 2^24 octets":  {11, 255, 255, 255},
		"a list of 2^24 octets":     {11, 0, 0, 4, 0, 255, 255, 255},
		"a context that is not":     {11, 0, 0, 1, 255},
		"many empty messages":       bytes.Repeat([]byte{20, 0, 0, 0}, 1<<15),
		"many messages of no type":  bytes.Repeat([]byte{99, 0, 0, 0}, 1<<15),
		"entries that end too soon": {11, 0, 0, 7, 0, 0, 0, 3, 255, 255, 255},
	} {
		for _, role := range attls.Roles() {
			if _, err := ends[role].Validate(octets, any509); err == nil {
				t.Errorf("%s: taken as an authenticator", name)
			}
			if _, err := ends[role].Receive(octets); err == nil {
				t.Errorf("%s: taken as a request", name)
			}
			if _, err := authenticator.Context(octets); err == nil && name != "many empty messages" {
				t.Errorf("%s: has a context", name)
			}
		}
	}
	for i := range 20 {
		octets := must(open(t, config(attls.RoleServer, "")).Request(&authenticator.Request{Wanted: negotiation.Wanted{Schemes: all}}))
		if _, err := ends[attls.RoleClient].Receive(octets); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	octets := must(open(t, config(attls.RoleServer, "")).Request(&authenticator.Request{Wanted: negotiation.Wanted{Schemes: all}}))
	if _, err := ends[attls.RoleClient].Receive(octets); failure(err) != attls.FailCapacity {
		t.Errorf("more contexts than Limits.Contexts: %v", err)
	}
}
