package cases

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"

	"attls"
	"attls/conformance/scenario"
	"attls/extensions"
	"attls/handshake/authenticator"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/internal/rule"
	"attls/negotiation"
)

// Exported authenticators (RFC 9261) over the connection of a run in memory. The end that
// checks is the engine's; what it is shown comes from a peer that follows no rule.

// proofs is the connection after its handshake.
type proofs struct {
	r     *scenario.Result
	asker attls.Role                // the end that checks
	own   *authenticator.Connection // its authenticators
	peer  *authenticator.Connection // the peer's
	shown *authenticator.Shown
}

// authority certifies what the cases show.
var authority = sync.OnceValues(scenario.NewDemoAuthority)

// shownWith are identities with a key of either type.
var shownWith = map[scenario.KeyType]func() (*authenticator.Shown, error){
	scenario.KeyP256: sync.OnceValues(func() (*authenticator.Shown, error) { return showing(scenario.KeyP256) }),
	scenario.KeyRSA:  sync.OnceValues(func() (*authenticator.Shown, error) { return showing(scenario.KeyRSA) }),
}

func showing(t scenario.KeyType) (*authenticator.Shown, error) {
	a, err := authority()
	if err != nil {
		return nil, err
	}
	c, err := a.Issue(t, "localhost")
	if err != nil {
		return nil, err
	}
	return c.Shown(), nil
}

// schemesOfProofs are those that every request lists.
var schemesOfProofs = []attls.SignatureScheme{attls.ECDSA_SECP256R1_SHA256, attls.ED25519,
	attls.RSA_PSS_RSAE_SHA256}

func newProofs(r *scenario.Result, asker attls.Role) (p *proofs, err error) {
	p = &proofs{r: r, asker: asker}
	if p.shown, err = shownWith[scenario.KeyP256](); err != nil {
		return nil, err
	}
	if p.own, err = r.Pair.Engine(asker).Authenticators(); err != nil {
		return nil, err
	}
	p.peer, err = p.liar(asker.Peer(), nil, nil)
	return p, err
}

// liar is an end of the connection that does not obey the rules of authenticators, and
// changes what it sends of a kind of message. values replaces its exporter; nil: none.
func (p *proofs) liar(role attls.Role, change *edited, values authenticator.Exporter) (*authenticator.Connection, error) {
	e := p.r.Pair.Engine(role)
	suite, ok := provider.Real().Suite(e.State().CipherSuite)
	if !ok {
		return nil, fmt.Errorf("no suite %v", e.State().CipherSuite)
	}
	if values == nil {
		values = e.Export
	}
	c := &authenticator.Config{Role: role, Version: attls.VersionTLS13, HandshakeComplete: true, Hash: suite.Hash, Export: values,
		ClientHello: &authenticator.ClientHello{Schemes: schemesOfProofs}}
	if change != nil {
		c.Tap = *change
	}
	for _, r := range []rule.Rule{rule.AuthenticatorContext, rule.AuthenticatorOnce, rule.AuthenticatorAsked} {
		c = rule.Without(c, r)
	}
	return authenticator.New(c)
}

// edited replaces the messages of a kind that an end sends, before they are hashed.
type edited struct {
	kind attls.MessageKind
	with func(m *message.Raw) []byte
}

// Message implements authenticator.Tap, as Derived does.
func (e edited) Message(sent bool, m *message.Raw) authenticator.Plan {
	if !sent || m.Kind != e.kind {
		return authenticator.Plan{}
	}
	return authenticator.Plan{Replace: e.with(m)}
}

func (edited) Derived(_ string, value []byte) []byte { return value }

// change makes the peer one that changes its messages, or its exporter values.
func (p *proofs) change(e *edited, values authenticator.Exporter) (err error) {
	p.peer, err = p.liar(p.asker.Peer(), e, values)
	return err
}

// request is a request of an end with a context; nil: a random one.
func request(c *authenticator.Connection, context []byte) ([]byte, error) {
	return c.Request(&authenticator.Request{Context: context, Wanted: negotiation.Wanted{Schemes: schemesOfProofs}})
}

// ask has the end that checks ask, and the peer receive.
func (p *proofs) ask() (*authenticator.Received, error) {
	octets, err := request(p.own, nil)
	if err != nil {
		return nil, err
	}
	return p.peer.Receive(octets)
}

// proof is the peer's answer to a new request.
func (p *proofs) proof() ([]byte, error) {
	r, err := p.ask()
	if err != nil {
		return nil, err
	}
	octets, shown, err := p.peer.Answer(r, p.shown)
	if err == nil && shown == nil {
		err = errors.New("the peer refused")
	}
	return octets, err
}

func (p *proofs) validate(octets []byte) error {
	_, err := p.own.Validate(octets, func(*authenticator.Identity) error { return nil })
	return err
}

// answered is what the end that checks says of the answer of a peer.
func (p *proofs) answered(e *edited, values authenticator.Exporter) error {
	if err := p.change(e, values); err != nil {
		return err
	}
	octets, err := p.proof()
	if err != nil {
		return err
	}
	return p.validate(octets)
}

// unproven is a row per end that checks an authenticator or a request which the peer has
// got wrong: refused, with a failure.
func unproven(id string, r rule.Rule, does string, f attls.Failure, act func(*proofs) error, checks ...attls.Role) (rows []Row) {
	if checks == nil {
		checks = []attls.Role{client, server}
	}
	for _, role := range checks {
		rows = append(rows, proving(fmt.Sprintf("%s-%v", id, role), r, does, role, func(p *proofs) error {
			err := act(p)
			var named *attls.Error
			switch {
			case err == nil:
				return fmt.Errorf("the %v did not reject", role)
			case !errors.As(err, &named) || named.Failure != f:
				return fmt.Errorf("the %v failed otherwise than with %s: %w", role, f, err)
			}
			return nil
		}))
	}
	return rows
}

// proving is a row that looks at authenticators over a sound connection.
func proving(id string, r rule.Rule, does string, checks attls.Role, judge func(*proofs) error) Row {
	return Row{ID: "authenticator-" + id, Rule: string(r), Does: does, Plain: true, Expect: Observe{},
		Try: func(*Context) *Change {
			return &Change{Judge: soundAnd(func(r *scenario.Result) error {
				p, err := newProofs(r, checks)
				if err != nil {
					return err
				}
				return judge(p)
			})}
		}}
}

// flippedValues are those of another connection.
func flippedValues(e authenticator.Exporter) authenticator.Exporter {
	return func(label string, context []byte, length int) ([]byte, error) {
		value, err := e(label, context, length)
		value = bytes.Clone(value)
		for i := range value {
			value[i] ^= 0xff
		}
		return value, err
	}
}

// otherKey swaps the Finished MAC Keys of the roles.
func otherKey(e authenticator.Exporter) authenticator.Exporter {
	return func(label string, context []byte, length int) ([]byte, error) {
		switch label {
		case authenticator.LabelClientFinished:
			label = authenticator.LabelServerFinished
		case authenticator.LabelServerFinished:
			label = authenticator.LabelClientFinished
		}
		return e(label, context, length)
	}
}

func (p *proofs) peersExporter() authenticator.Exporter {
	return p.r.Pair.Engine(p.asker.Peer()).Export
}

// certificateExtension adds an extension to the first CertificateEntry.
func certificateExtension(t attls.ExtensionType, body []byte) *edited {
	return &edited{attls.KindCertificate, func(m *message.Raw) []byte {
		var ct message.Certificate
		if ct.Unmarshal(m.Body()) != nil {
			return m.Bytes
		}
		ct.Entries[0].Extensions = append(ct.Entries[0].Extensions, extensions.Extension{Type: t, Body: body})
		return ct.Append(nil)
	}}
}

// verifyChanged changes CertificateVerify.
func verifyChanged(change func(*message.CertificateVerify)) *edited {
	return &edited{attls.KindCertificateVerify, func(m *message.Raw) []byte {
		var cv message.CertificateVerify
		if cv.Unmarshal(m.Body()) != nil {
			return m.Bytes
		}
		cv.Signature = bytes.Clone(cv.Signature)
		change(&cv)
		return cv.Append(nil)
	}}
}

// asked is what the end that checks says of a request of the peer, which is changed.
func (p *proofs) asked(change func(r *message.CertificateRequest), t attls.HandshakeType) error {
	octets, err := request(p.peer, nil)
	if err != nil {
		return err
	}
	var cr message.CertificateRequest
	if err := cr.Unmarshal(octets[4:]); err != nil {
		return err
	}
	change(&cr)
	octets = append([]byte{octets[0]}, cr.Append(nil)[1:]...)
	if t != 0 {
		octets[0] = byte(t)
	}
	_, received := p.own.Receive(octets)
	return received
}

func withExtension(t attls.ExtensionType, body []byte) func(*message.CertificateRequest) {
	return func(r *message.CertificateRequest) {
		r.Extensions = append(slices.Clone(r.Extensions), extensions.Extension{Type: t, Body: body})
	}
}

func unchanged(*message.CertificateRequest) {}

var sct = []byte{0, 3, 0, 1, 7}

// authenticatorRows are the rules of RFC 9261.
func authenticatorRows() []Row {
	return slices.Concat(
		[]Row{
			proving("sound-client", "", "A server answers a client's ClientCertificateRequest.", client, soundProof),
			proving("sound-server", "", "A client answers a server's CertificateRequest.", server, soundProof),
		},
		unproven("request-direction", rule.AuthenticatorDirection, "A request is the message of the other role.",
			attls.FailUnexpectedMessage, func(p *proofs) error {
				return p.asked(unchanged, map[attls.Role]attls.HandshakeType{client: attls.TypeClientCertificateRequest,
					server: attls.TypeCertificateRequest}[p.asker])
			}),
		unproven("request-algorithms", rule.RequestAlgorithms, "A request has no signature_algorithms.",
			attls.FailMissingExtension, func(p *proofs) error {
				return p.asked(func(r *message.CertificateRequest) { r.Extensions = nil }, 0)
			}),
		unproven("request-misplaced", rule.ExtensionInPlace, "A request has key_share.",
			attls.FailWrongMessage, func(p *proofs) error { return p.asked(withExtension(attls.ExtKeyShare, nil), 0) }),
		unproven("request-name", rule.AuthenticatorName, "A server's CertificateRequest has server_name.",
			attls.FailWrongMessage, func(p *proofs) error {
				return p.asked(withExtension(attls.ExtServerName, extensions.AppendServerName(nil, "localhost")), 0)
			}, client),
		unproven("request-again", rule.AuthenticatorContext, "A request has a context that was used before.",
			attls.FailRequestContext, func(p *proofs) error {
				octets, err := request(p.peer, nil)
				if err == nil {
					_, err = p.own.Receive(octets)
				}
				if err != nil {
					return fmt.Errorf("the first time: %v", err)
				}
				_, err = p.own.Receive(octets)
				return err
			}),
		unproven("answered-twice", rule.AuthenticatorOnce, "An application answers a request twice.",
			attls.FailRequestContext, answeredTwice),
		unproven("replayed", rule.AuthenticatorContext, "An authenticator comes twice.", attls.FailRequestContext, comesTwice, client),
		// That no request is open is enough for a server to refuse it.
		unproven("replayed", "", "An authenticator comes twice.", attls.FailRequestContext, comesTwice, server),
		unproven("other-connection", rule.SignatureVerified, "An authenticator was made for another connection.",
			attls.FailSignature, func(p *proofs) error { return p.answered(nil, flippedValues(p.peersExporter())) }),
		unproven("other-direction", rule.SignatureVerified, "An authenticator was made by the other end.",
			attls.FailSignature, otherDirection),
		unproven("unasked", rule.AuthenticatorAsked, "A client makes an authenticator that answers no request.",
			attls.FailRequestContext, func(p *proofs) error {
				octets, err := p.peer.Spontaneous(nil, p.shown)
				if err != nil {
					return err
				}
				return p.validate(octets)
			}, server),
		unproven("trailing", rule.AuthenticatorMessages, "A message follows Finished.",
			attls.FailUnexpectedMessage, func(p *proofs) error {
				octets, err := p.proof()
				if err != nil {
					return err
				}
				return p.validate((&message.KeyUpdate{}).Append(octets))
			}),
		unproven("empty", rule.AuthenticatorEmpty, "The peer refuses with the empty authenticator.",
			attls.FailEmptyAuthenticator, func(p *proofs) error {
				r, err := p.ask()
				if err != nil {
					return err
				}
				octets, err := p.peer.Refuse(r)
				if err != nil {
					return err
				}
				return p.validate(octets)
			}),
		unproven("unsolicited", rule.ExtensionSolicited, "An authenticator has an extension that the request lacks.",
			attls.FailUnsolicited, func(p *proofs) error {
				return p.answered(certificateExtension(attls.ExtSignedCertificateTimestamp, sct), nil)
			}),
		unproven("unknown-extension", rule.ExtensionKnown, "An authenticator has an unknown extension that the request lacks.",
			attls.FailUnsolicited, func(p *proofs) error { return p.answered(certificateExtension(0xff7e, nil), nil) }),
		unproven("spontaneous-unsolicited", rule.ExtensionSolicited, "A server's authenticator, without a request, has an extension that "+
			"the ClientHello lacks.", attls.FailUnsolicited, func(p *proofs) error {
			if err := p.change(certificateExtension(attls.ExtSignedCertificateTimestamp, sct), nil); err != nil {
				return err
			}
			octets, err := p.peer.Spontaneous(nil, p.shown)
			if err != nil {
				return err
			}
			return p.validate(octets)
		}, client),
		unproven("scheme-unasked", rule.SchemeOffered, "CertificateVerify has a scheme that the request lacks.",
			attls.FailIllegalParameter, func(p *proofs) (err error) {
				if p.shown, err = shownWith[scenario.KeyRSA](); err != nil {
					return err
				}
				return p.answered(verifyChanged(func(cv *message.CertificateVerify) { cv.Scheme = attls.RSA_PSS_RSAE_SHA384 }), nil)
			}),
		unproven("scheme-unfit", rule.SchemeFits, "CertificateVerify has a scheme that does not fit the key.",
			attls.FailIllegalParameter, func(p *proofs) error {
				return p.answered(verifyChanged(func(cv *message.CertificateVerify) { cv.Scheme = attls.ED25519 }), nil)
			}),
		unproven("signature", rule.SignatureVerified, "The signature is broken.",
			attls.FailSignature, func(p *proofs) error {
				return p.answered(verifyChanged(func(cv *message.CertificateVerify) { cv.Signature[20] ^= 1 }), nil)
			}),
		unproven("finished", rule.FinishedVerified, "Finished is made with the key of the other role.",
			attls.FailFinished, func(p *proofs) error { return p.answered(nil, otherKey(p.peersExporter())) }),
	)
}

// soundProof is an authenticator without a fault, and a refusal.
func soundProof(p *proofs) error {
	octets, err := p.proof()
	if err != nil {
		return err
	}
	id, err := p.own.Validate(octets, func(*authenticator.Identity) error { return nil })
	if err != nil {
		return err
	}
	if id.Role != p.asker.Peer() || !bytes.Equal(id.Chain[0], p.shown.Chain[0]) {
		return fmt.Errorf("the authenticator proves %+v", id)
	}
	return nil
}

func comesTwice(p *proofs) error {
	octets, err := p.proof()
	if err == nil {
		err = p.validate(octets)
	}
	if err != nil {
		return fmt.Errorf("the first time: %v", err)
	}
	return p.validate(octets)
}

// answeredTwice has the end that checks answer a request of the peer's, twice.
func answeredTwice(p *proofs) error {
	octets, err := request(p.peer, nil)
	if err != nil {
		return err
	}
	r, err := p.own.Receive(octets)
	if err != nil {
		return err
	}
	if _, _, err := p.own.Answer(r, p.shown); err != nil {
		return fmt.Errorf("the first time: %v", err)
	}
	_, _, err = p.own.Answer(r, p.shown)
	return err
}

// otherDirection shows the end that checks what an end in its own role has made for a
// request under the same context.
func otherDirection(p *proofs) error {
	mirror, err := p.liar(p.asker, nil, nil)
	if err != nil {
		return err
	}
	context := []byte("both ends ask under this")
	theirs, err := request(p.peer, context)
	if err != nil {
		return err
	}
	r, err := mirror.Receive(theirs)
	if err != nil {
		return err
	}
	octets, _, err := mirror.Answer(r, p.shown)
	if err != nil {
		return err
	}
	if _, err := request(p.own, context); err != nil {
		return err
	}
	return p.validate(octets)
}
