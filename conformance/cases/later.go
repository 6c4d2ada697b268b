package cases

import (
	"context"
	"errors"

	"attls"
	"attls/conformance/scenario"
	"attls/conformance/tamper"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/internal/rule"
	"attls/negotiation"
)

// laterRows are about attestation in exported authenticators alone. What an end can do wrong
// with any authenticator is in authenticatorRows.
var laterRows = []Row{
	later("request-stripped", rule.CredentialThere, "A tap takes the extension out of the request: the attester shows a certificate alone.",
		Reject{Failure: attls.FailMissing}, tryRequestStripped),
	later("refused", rule.AuthenticatorEmpty, "The attester answers with the empty authenticator, and the relying party demands attestation.",
		Reject{Failure: attls.FailEmptyAuthenticator}, tryRefused),
	later("binder-of-another-request", rule.BinderCompared, "The attester's Evidence is bound to another context than that of the request.",
		Reject{Failure: attls.FailBinderMismatch}, tryOtherContext),
	later("flag-unset", rule.FlagAgreed, "A tap takes the TLS flag of the profile out of the message of the peer: the relying party asks for nothing, and demands attestation.",
		Reject{Failure: attls.FailMissing}, tryFlagUnset),
	later("no-ticket", rule.TicketBounded, "A server that could issue tickets sends none.", Observe{}, tryNoTicket),
}

// later is a row about exported authenticators.
func later(id string, r rule.Rule, does string, e Expect, try func(*Context) *Change) Row {
	return Row{ID: "authenticator-" + id, Rule: string(r), Does: does, Later: true, Expect: e,
		Try: func(c *Context) *Change {
			if i := c.laterSlot(); i < 0 || c.Profile.Later[i].Phase != profile.PhaseAuthenticator {
				return nil
			}
			return try(c)
		}}
}

// tapCertificate changes the first Certificate that an end sends; of exported authenticators,
// each that has the payload.
func (c *Context) tapCertificate(change func(*message.Certificate)) handshake.Tap {
	i := c.laterSlot()
	if i < 0 {
		return tamper.Certificate(change)
	}
	carrier := c.Profile.Later[i].Extension
	return tamper.Messages(func(m *message.Raw, _ int, p *handshake.Plan) {
		var v message.Certificate
		if m.Kind != attls.KindCertificate || v.Unmarshal(m.Body()) != nil || len(v.Entries) == 0 {
			return
		}
		if _, there := v.Entries[0].Extensions.Find(carrier); there {
			change(&v)
			p.Replace = v.Append(nil)
		}
	})
}

func tryFlagUnset(c *Context) *Change {
	if c.Profile.Authenticator.FlagName == "" {
		return nil
	}
	message := attls.KindEncryptedExtensions
	if c.Attester == attls.RoleClient {
		message = attls.KindClientHello
	}
	return &Change{Expect: Reject{By: c.Attester.Peer(), At: attls.KindEncryptedExtensions}, Apply: func(set *scenario.Setup) {
		set.Tap(c.Attester, tamper.Extensions(message, 0, func(l extensions.List) extensions.List {
			return tamper.Without(l, func(t attls.ExtensionType) bool { return t == attls.ExtTLSFlags })
		}))
	}}
}

func tryRequestStripped(c *Context) *Change {
	s := &c.Profile.Later[c.laterSlot()]
	if s.Every {
		return nil
	}
	return &Change{AtReceiver: true, Expect: Reject{By: c.Attester.Peer(), At: attls.KindCertificate},
		Apply: c.editsRequest(strippedOf(s.Offer.Extension))}
}

func strippedOf(t attls.ExtensionType) func(extensions.List) extensions.List {
	return func(l extensions.List) extensions.List {
		return tamper.Without(l, func(x attls.ExtensionType) bool { return x == t })
	}
}

// editsRequest changes the extensions of the requests of the relying party.
func (c *Context) editsRequest(edit func(extensions.List) extensions.List) func(*scenario.Setup) {
	return func(set *scenario.Setup) {
		set.Tap(c.Attester.Peer(), tamper.Messages(func(m *message.Raw, _ int, p *handshake.Plan) {
			if m.Kind == attls.KindClientCertificateRequest {
				var v message.ClientCertificateRequest
				if v.Unmarshal(m.Body()) == nil {
					v.Extensions = edit(v.Extensions)
					p.Replace = v.Append(nil)
				}
				return
			}
			var v message.CertificateRequest
			if m.Kind == attls.KindCertificateRequest && v.Unmarshal(m.Body()) == nil {
				v.Extensions = edit(v.Extensions)
				p.Replace = v.Append(nil)
			}
		}))
	}
}

func tryRefused(c *Context) *Change {
	return &Change{Expect: Reject{By: c.Attester.Peer(), At: attls.KindFinished}, Apply: func(s *scenario.Setup) {
		s.Ends[c.Attester].Exported.Refuse = true
	}}
}

// tryOtherContext has the attester show Evidence for another challenge, as one that was made
// for another request has.
func tryOtherContext(c *Context) *Change {
	name := c.challengeName(c.Profile)
	if name == "" || c.Profile.Binder.Program == nil || !c.Profile.Binder.Program.Depends(name, c.Attester).Context {
		return nil
	}
	return &Change{Expect: Reject{By: c.Attester.Peer(), At: attls.KindCertificate}, Apply: func(s *scenario.Setup) {
		end := s.Ends[c.Attester]
		end.Attester = stale{Attester: end.Attester}
	}}
}

func tryNoTicket(c *Context) *Change {
	if c.Profile.Resumption.Tickets != "never" {
		return nil
	}
	return observing(func(s *scenario.Setup) {
		s.Resumable(&handshake.ServerSessions{}, &handshake.ClientSessions{})
	}, soundAnd(func(r *scenario.Result) error {
		if sentBy(r, attls.RoleServer, attls.KindNewSessionTicket) != nil {
			return errors.New("the server sent a ticket")
		}
		return attested(r)
	}))
}

// stale is an Attester whose Evidence is for another challenge.
type stale struct{ negotiation.Attester }

func (a stale) Attest(ctx context.Context, r *negotiation.EvidenceRequest) (*negotiation.Evidence, error) {
	other := *r
	other.Challenge = make([]byte, len(r.Challenge))
	return a.Attester.Attest(ctx, &other)
}
