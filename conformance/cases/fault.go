package cases

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"attls"
	"attls/attestation"
	"attls/conformance/scenario"
	"attls/conformance/tamper"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
	"attls/handshake"
	"attls/handshake/message"
	"attls/internal/rule"
	"attls/negotiation"
)

// protocolFaults are what an end can do wrong under a profile, besides a payload that is bad.
var protocolFaults = []Row{
	breach("no-scheme-evidence", rule.NoEvidence, attls.FailNoSchemeEvidence, "The server knows only an Evidence format that the client did not list.",
		tryNoScheme(profile.ModelEvidence)),
	breach("no-scheme-results", rule.NoResults, attls.FailNoSchemeResults, "The server knows only a Verifier that the client did not list.",
		tryNoScheme(profile.ModelResults)),
	breach("nothing-offered", rule.NothingOffered, attls.FailNothingOffered, "A tap empties every list of the client's offer.",
		tryNothingOffered),
	breach("unwilling", rule.Unwilling, attls.FailUnwilling, "The server knows the profile and wants attestation of no role.",
		tryUnwilling),
	breach("demanded-by-client", rule.DemandByClient, attls.FailDemandedByClient, "The client demands attestation and the server does not know the profile.",
		tryDemandedByClient),
	breach("demanded-by-server", rule.DemandByServer, attls.FailDemandedByServer, "The server demands attestation and the client does not know the profile.",
		tryDemandedByServer),
	breach("choice-not-offered", rule.ChoiceOffered, attls.FailChoiceNotOffered, "A tap replaces the server's choice by a scheme that the client did not offer.",
		tryChoiceNotOffered),
	breach("two-choices", rule.ChoiceOne, attls.FailTwoChoices, "A tap adds a second choice for the same attester.",
		tryTwoChoices),
	breach("choice-none", rule.ChoiceSome, attls.FailChoiceNone, "The client offers to attest and the server does not know the profile.",
		tryChoiceNone),
	breach("choice-without-request", rule.ChoiceRequest, attls.FailChoiceWithoutRequest, "A tap drops the server's CertificateRequest although a client scheme was chosen.",
		tryChoiceWithoutRequest),
	breach("not-chosen", rule.CredentialChosen, attls.FailNotChosen, "A tap adds a payload to the Certificate of a server for which nothing was chosen.",
		tryNotChosen),
	breach("offer-changed", rule.OfferUnchanged, attls.FailOfferChanged, "After HelloRetryRequest a tap adds a scheme to the offer of the second ClientHello.",
		tryOfferChanged),
	breach("misplaced", rule.CredentialFirst, attls.FailMisplaced, "A tap moves the payload from the first CertificateEntry to the second.",
		tryMisplaced),
	breach("missing", rule.CredentialThere, attls.FailMissing, "A tap leaves the payload of the chosen scheme out.",
		tryMissing),
	breach("nonce-size", rule.NonceBound, attls.FailNonceSize, "A tap lets the server send a nonce that is longer than the profile accepts.",
		tryNonceSize(attls.RoleClient)),
	breach("nonce-size-server", rule.NonceBound, attls.FailNonceSize, "A tap lets the client send a nonce that is longer than the profile accepts.",
		tryNonceSize(attls.RoleServer)),
	breach("malformed-extension", rule.GrammarComplete, attls.FailAttestationExtension, "A tap cuts the last octet off the profile's extension in ClientHello.",
		tryMalformedExtension),
	breach("certificate-type-mismatch", rule.TypeAgreed, attls.FailCertTypeMismatch, "A tap takes the certificate type out of EncryptedExtensions.",
		tryCertificateType),
	breach("binder-undefined", rule.BinderDefined, attls.FailBinderUndefined, "The attester's certificate holds an RSA key, for which the profile's binder is not defined.",
		tryBinderUndefined),
	breach("nonce-unbindable", rule.BinderDefined, attls.FailBinderUndefined, "A tap lets the relying party send a nonce that the grammar allows and the binder does not.",
		tryNonceUnbindable),
	breach("nonce-missing-client", rule.BinderDefined, attls.FailBinderUndefined, "A tap takes the extension out that holds the server's nonce and nothing else.",
		tryNonceMissing(attls.RoleClient)),
	breach("nonce-missing-server", rule.BinderDefined, attls.FailBinderUndefined, "A tap takes the extension out that holds the client's nonce and nothing else.",
		tryNonceMissing(attls.RoleServer)),
	breach("key-unusable", rule.KeyUsable, attls.FailAttestationKey, "The verdict names a key that cannot verify a CertificateVerify.",
		tryKeyUnusable),
	breach("verifier-unreachable", rule.VerdictNeeded, attls.FailVerifierUnreachable, "The relying party's Verifier does not answer.",
		tryVerifierUnreachable),
	breach("answer-dropped", rule.DemandByClient, attls.FailDemandedByClient, "A tap drops the server's choice for its own attestation.",
		tryAnswerDropped),
	breach("unsolicited", rule.ExtensionSolicited, attls.FailUnsolicited, "A tap adds an answer to an extension that the client did not send.",
		tryUnsolicited),
	breach("code-point", rule.ExtensionKnown, attls.FailUnsolicited, "A tap gives the extension with the server's choice another number.",
		tryCodePoint),
	breach("wrong-message", rule.ExtensionInPlace, attls.FailWrongMessage, "A tap adds the extension with the server's choice to a message in which it has no place.",
		tryWrongMessage),
	breach("empty-list", rule.GrammarBounds, attls.FailAttestationExtension, "A tap empties a list that must not be empty.",
		tryEmptyList),
	breach("short-nonce", rule.GrammarBounds, attls.FailAttestationExtension, "A tap shortens the nonce below the floor of the grammar.",
		tryShortNonce),
	breach("second-entry", rule.CredentialFirst, attls.FailMisplaced, "A tap puts the payload into the second CertificateEntry as well.",
		trySecondEntry),
	breach("message-early", rule.AddedInPlace, attls.FailUnexpectedMessage, "A tap moves the added message in front of the message that it follows.",
		tryMessageEarly),
	breach("message-twice", rule.AddedInPlace, attls.FailUnexpectedMessage, "A tap sends the added message of the profile twice.",
		tryMessageTwice),
	breach("message-unasked", rule.AddedInPlace, attls.FailUnexpectedMessage, "A tap adds the message of the profile where no scheme was chosen.",
		tryMessageUnasked),
	breach("key-type", rule.KeyPermitted, attls.FailAttestationKey, "The attested key is of a type that the profile does not permit.",
		tryKeyType),
	breach("verdict-status", rule.VerdictAccepts, attls.FailAppraisal, "The relying party's Appraiser names no failure and gives the status warning.",
		tryVerdict("verdict-status")),
	breach("verdict-expired", rule.VerdictAccepts, attls.FailAppraisal, "The relying party's Appraiser gives a verdict whose validity is over.",
		tryVerdict("verdict-expired")),
	breach("verdict-key", rule.KeyCompared, attls.FailTIKMismatch, "The relying party's Appraiser gives a verdict on another key than that of the certificate.",
		tryVerdictKey),
	breach("attester-unavailable", "", attls.FailAttesterUnavailable, "The Attester has no Evidence to give.",
		tryAttesterUnavailable),
}

// breach is a row about a connection under a profile, in which something must be rejected.
func breach(id string, r rule.Rule, f attls.Failure, does string, try func(*Context) *Change) Row {
	return Row{ID: id, Rule: string(r), Does: does, Expect: Reject{Failure: f}, Try: try}
}

// credential is the row of the scenario's credential kind, for the slot of its attester.
func (c *Context) credential() *profile.Credential {
	if i := c.laterSlot(); i >= 0 {
		return &profile.Credential{Kind: profile.KindX509, Carriage: c.Profile.Later[i].Carriage, PKIX: true}
	}
	row, _ := c.Profile.CredentialFor(c.slot(), c.Kind)
	return row
}

// laterSlot is the slot of exported authenticators in which the attester shows its payload
// where it has none in the handshake; -1: there is none.
func (c *Context) laterSlot() int {
	if c.slot() >= 0 || c.Kind != profile.KindX509 {
		return -1
	}
	return c.Profile.LaterSlot(c.Attester)
}

// challengeName is the expression of the challenge; "": nothing is bound.
func (c *Context) challengeName(p *profile.Profile) string {
	if c.laterSlot() >= 0 {
		return p.Binder.Authenticator[c.Model]
	}
	return p.Binder.Challenge[c.Model][c.Kind]
}

// always reports whether nothing is negotiated for the scenario's attester.
func (c *Context) always() bool { i := c.slot(); return i >= 0 && c.Profile.Slots[i].Always }

// added is where the message stands that carries the payload of the scenario.
func (c *Context) added() binder.Point {
	return c.Profile.Messages[c.credential().Message].At[c.Attester]
}

// slot is the slot of the scenario's attester; -1 when there is none.
func (c *Context) slot() int { return findSlot(c.Profile, c.Attester, c.Model, c.Kind) }

func findSlot(p *profile.Profile, attester attls.Role, m profile.Model, k profile.CredentialKind) int {
	return slices.IndexFunc(p.Slots, func(s profile.Slot) bool {
		return s.Attester == attester && !s.PostHandshake && slices.Contains(s.Models, m) && slices.Contains(s.Kinds, k)
	})
}

// carrierMessage is the message in which the payload of a credential travels.
func carrierMessage(c *profile.Credential) attls.MessageKind {
	switch c.Carrier {
	case profile.CarrierMessage:
		return attls.KindAdded
	case profile.CarrierFrame:
		return attls.KindNone
	}
	return attls.KindCertificate
}

func tryNoScheme(m profile.Model) func(*Context) *Change {
	return func(c *Context) *Change {
		if c.always() || c.flagged() || c.Model != m || c.Profile.Rules.NoSchemeThen != profile.ThenAbort || m == profile.ModelResults && !c.tellsModel() {
			return nil
		}
		return &Change{Expect: Reject{By: attls.RoleServer, At: attls.KindClientHello}, Apply: func(s *scenario.Setup) {
			policy := &s.Ends[attls.RoleServer].Config.Policy
			for _, list := range []*[]profile.Scheme{&policy.Produce, &policy.Accept} {
				for i := range *list {
					(*list)[i], _ = otherScheme(s.Profile, c.slot(), (*list)[i])
				}
			}
		}}
	}
}

// scheme is the one under which the scenario attests in a model, with the credential of
// the context.
func (c *Context) scheme(m profile.Model) profile.Scheme {
	return c.Scenario.Scheme(c.Profile, m, c.Kind)
}

// tellsModel reports whether an element of the slot's list says which model it is of.
func (c *Context) tellsModel() bool {
	evidence, _ := c.Profile.EncodeScheme(c.slot(), c.scheme(profile.ModelEvidence))
	results, _ := c.Profile.EncodeScheme(c.slot(), c.scheme(profile.ModelResults))
	return !bytes.Equal(evidence.Wire, results.Wire)
}

// otherFormats are Evidence formats of which some are not a scenario's; a profile may be
// able to express only some of them.
var otherFormats = []profile.Format{{ContentFormat: 65000},
	{MediaType: "application/vnd.parallaxsecond.key-attestation.tpm"}, {ContentFormat: attestation.FormatCWT}}

// otherScheme is an element of a slot's list with the model and credential of s
// that nobody offers; false when the profile cannot express one.
func otherScheme(p *profile.Profile, slot int, s profile.Scheme) (profile.Scheme, bool) {
	own, _ := p.EncodeScheme(slot, s)
	candidates := otherFormats
	if s.Model == profile.ModelResults {
		candidates = []profile.Format{s.Format}
		s.Verifier = []byte("another-verifier.example")
	}
	for _, f := range candidates {
		s.Format = f
		if other, ok := p.EncodeScheme(slot, s); ok && !bytes.Equal(other.Wire, own.Wire) {
			return other, true
		}
	}
	return s, false
}

func tryNothingOffered(c *Context) *Change {
	if c.always() || c.flagged() || c.Profile.Rules.OfferAtLeast == 0 || !c.emptyOffer() {
		return nil
	}
	return &Change{Expect: Reject{By: attls.RoleServer, At: attls.KindClientHello}, Apply: func(s *scenario.Setup) {
		s.Tap(attls.RoleClient, tamper.Fields(s.Profile, attls.KindClientHello, 0, attls.RoleClient, func(f *profile.Fields) {
			clear(f.Offers)
		}))
	}}
}

// emptyOffer reports whether the grammar allows the slot's list to be empty.
func (c *Context) emptyOffer() bool {
	f := c.Profile.NewFields()
	f.Offered[c.slot()] = true
	_, err := c.Profile.Encode(attls.KindClientHello, attls.RoleClient, f)
	return err == nil
}

func tryUnwilling(c *Context) *Change {
	if c.always() || !c.Profile.Rules.UnwillingAbort {
		return nil
	}
	return &Change{Expect: Reject{By: attls.RoleServer, At: attls.KindClientHello}, Apply: func(s *scenario.Setup) {
		s.Ends[attls.RoleServer].Config.Policy = negotiation.Policy{}
	}}
}

// unaware makes an end a plain TLS 1.3 peer.
func unaware(s *scenario.Setup, r attls.Role) {
	s.Ends[r].Config.Profile = nil
	s.Ends[r].Config.Policy = negotiation.Policy{}
}

func tryDemandedByClient(c *Context) *Change {
	if c.Scenario.Attester != scenario.AttestServer {
		return nil
	}
	return &Change{Expect: c.undemanded(attls.RoleClient, attls.KindCertificate), Rule: c.undemandedRule(), Apply: func(s *scenario.Setup) {
		s.Ends[attls.RoleClient].Config.Policy.Demand = true
		unaware(s, attls.RoleServer)
	}}
}

// undemanded is how an end refuses a peer without the profile: where nothing is
// negotiated, at the Certificate without the payload.
func (c *Context) undemanded(by attls.Role, at attls.MessageKind) Reject {
	if c.always() {
		return Reject{Failure: attls.FailMissing, By: by, At: attls.KindCertificate}
	}
	return Reject{By: by, At: at}
}

// undemandedRule is the rule by which it does, or "" for the row's.
func (c *Context) undemandedRule() string {
	if c.always() {
		return string(rule.CredentialThere)
	}
	return ""
}

func tryDemandedByServer(c *Context) *Change {
	if c.Scenario.Attester != scenario.AttestClient {
		return nil
	}
	return &Change{Expect: c.undemanded(attls.RoleServer, attls.KindClientHello), Rule: c.undemandedRule(), Apply: func(s *scenario.Setup) {
		s.Ends[attls.RoleServer].Config.Policy.Demand = true
		unaware(s, attls.RoleClient)
	}}
}

func tryChoiceNone(c *Context) *Change {
	if !c.Profile.Rules.AnswerNoneAbort {
		return nil
	}
	return &Change{Expect: Reject{By: attls.RoleClient, At: attls.KindCertificate}, Apply: func(s *scenario.Setup) {
		s.Ends[attls.RoleClient].Config.Policy.Demand = false
		unaware(s, attls.RoleServer)
	}}
}

func tryChoiceNotOffered(c *Context) *Change {
	if c.always() || c.flagged() {
		return nil
	}
	i := c.slot()
	at := c.Profile.Slots[i].Choice.Message
	return &Change{Expect: Reject{By: attls.RoleClient, At: at}, Apply: func(s *scenario.Setup) {
		s.Tap(attls.RoleServer, tamper.Fields(s.Profile, at, 0, attls.RoleServer, func(f *profile.Fields) {
			if f.Choices[i] != nil {
				if other, ok := otherScheme(s.Profile, i, *f.Choices[i]); ok {
					f.Choices[i] = &other
				}
			}
		}))
	}}
}

func tryTwoChoices(c *Context) *Change {
	if c.always() || !c.Profile.Rules.OnePerAttester || c.Scenario.Attester == scenario.AttestBoth {
		return nil
	}
	first := c.slot()
	second := findSlot(c.Profile, c.Attester, 1-c.Model, c.Kind)
	if second < 0 || first == second || c.Profile.Slots[first].Choice.Message != c.Profile.Slots[second].Choice.Message {
		return nil
	}
	at := attls.KindCertificate // parameters are complete with CertificateRequest, else with Certificate
	if c.Attester == attls.RoleClient {
		at = attls.KindCertificateRequest
	}
	return &Change{Expect: Reject{By: attls.RoleClient, At: at}, Apply: func(s *scenario.Setup) {
		scheme := s.Scheme(1-c.Model, c.Kind)
		policy := &s.Ends[attls.RoleClient].Config.Policy
		list := &policy.Accept
		if c.Attester == attls.RoleClient {
			list = &policy.Produce
		}
		*list = append(*list, scheme)
		s.Tap(attls.RoleServer, tamper.Fields(s.Profile, s.Profile.Slots[second].Choice.Message, 0, attls.RoleServer, func(f *profile.Fields) {
			if other, ok := s.Profile.EncodeScheme(second, scheme); ok && f.Choices[first] != nil {
				f.Choices[second] = &other
				if n := &s.Profile.Slots[second]; n.Nonce.Message == n.Choice.Message {
					f.Nonces[second] = f.Nonces[first]
				}
			}
		}))
	}}
}

func tryChoiceWithoutRequest(c *Context) *Change {
	i := findSlot(c.Profile, attls.RoleClient, c.Model, c.Kind)
	if !c.Profile.Rules.ClientChoiceNeedsRequest || c.Scenario.Attester != scenario.AttestClient || c.Profile.Slots[i].Choice.Message == attls.KindCertificateRequest {
		return nil
	}
	return &Change{Expect: Reject{By: attls.RoleClient, At: attls.KindCertificate}, Apply: func(s *scenario.Setup) {
		s.Tap(attls.RoleServer, tamper.Drop(attls.KindCertificateRequest))
	}}
}

// tryNotChosen lets a server that attests nothing send a payload all the same.
// Where a wholly unwilling server must abort, it takes part for the client's.
func tryNotChosen(c *Context) *Change {
	row := c.credential()
	serverSlot := findSlot(c.Profile, attls.RoleServer, c.Model, c.Kind)
	if row.Carrier != profile.CarrierExtension || serverSlot < 0 {
		return nil
	}
	if (c.Profile.Rules.UnwillingAbort || c.Profile.Rules.AnswerNoneAbort) && c.Scenario.Attester != scenario.AttestBoth {
		return nil // a server that attests nothing would end the handshake, or the client
	}
	if want := scenario.AttestServer; !c.Profile.Rules.AnswerNoneAbort && c.Profile.Rules.UnwillingAbort && c.Scenario.Attester != scenario.AttestBoth || !c.Profile.Rules.UnwillingAbort && c.Scenario.Attester != want {
		return nil
	}
	return &Change{Expect: Reject{By: attls.RoleClient, At: attls.KindCertificate}, Apply: func(s *scenario.Setup) {
		s.Ends[attls.RoleClient].Config.Policy.Demand = false
		s.Ends[attls.RoleServer].Config.Policy.Produce = nil
		s.Tap(attls.RoleServer, tamper.Certificate(func(m *message.Certificate) {
			f := s.Profile.NewFields()
			s.Profile.SetPayload(serverSlot, f, oneOctetCMW)
			list, err := s.Profile.Encode(attls.KindCertificate, attls.RoleServer, f)
			if err != nil || len(m.Entries) == 0 {
				return
			}
			for _, x := range list {
				m.Entries[0].Extensions = append(m.Entries[0].Extensions, extensions.Extension{Type: x.Type, Body: x.Body})
			}
		}))
	}}
}

func tryOfferChanged(c *Context) *Change {
	if c.always() || c.flagged() {
		return nil
	}
	i := c.slot()
	c.Scenario.HelloRetry = true
	return &Change{Expect: Reject{By: attls.RoleServer, At: attls.KindClientHello}, Apply: func(s *scenario.Setup) {
		s.Tap(attls.RoleClient, tamper.Fields(s.Profile, attls.KindClientHello, 1, attls.RoleClient, func(f *profile.Fields) {
			if len(f.Offers[i]) == 0 {
				return
			}
			if other, ok := otherScheme(s.Profile, i, f.Offers[i][0]); ok {
				f.Offers[i] = append(f.Offers[i], other)
			}
		}))
	}}
}

func tryMisplaced(c *Context) *Change {
	row := c.credential()
	if !c.firstEntryOnly() {
		return nil
	}
	return &Change{Expect: Reject{By: c.Attester.Peer(), At: attls.KindCertificate}, Apply: func(s *scenario.Setup) {
		s.Tap(c.Attester, c.tapCertificate(func(m *message.Certificate) {
			if row.Carrier == profile.CarrierCertData {
				m.Entries = append(m.Entries, m.Entries...)
				return
			}
			if len(m.Entries) == 1 {
				m.Entries = append(m.Entries, message.CertificateEntry{Data: m.Entries[0].Data})
			}
			m.Entries[1].Extensions, m.Entries[0].Extensions = m.Entries[0].Extensions, nil
		}))
	}}
}

// firstEntryOnly reports whether the payload may stand in the first
// CertificateEntry alone.
func (c *Context) firstEntryOnly() bool {
	row := c.credential()
	switch row.Carrier {
	case profile.CarrierCertData:
		return row.Entries == extensions.EntriesFirst
	case profile.CarrierExtension:
		x, ok := c.Profile.Extension(row.Extension)
		if c.laterSlot() >= 0 {
			x, ok = c.Profile.LaterExtension(row.Extension)
		}
		return ok && slices.ContainsFunc(x.Placements, func(l extensions.Placement) bool {
			return l.Message == attls.KindCertificate && l.Entries == extensions.EntriesFirst
		})
	}
	return false
}

func tryMissing(c *Context) *Change {
	row := c.credential()
	relying := c.Attester.Peer()
	switch row.Carrier {
	case profile.CarrierExtension:
		return &Change{Expect: Reject{By: relying, At: attls.KindCertificate}, Apply: func(s *scenario.Setup) {
			s.Tap(c.Attester, c.tapCertificate(func(m *message.Certificate) {
				for i := range m.Entries {
					m.Entries[i].Extensions = tamper.Without(m.Entries[i].Extensions, func(t attls.ExtensionType) bool { return t == row.Extension })
				}
			}))
		}}
	case profile.CarrierCertificate:
		return missingField(c)
	case profile.CarrierMessage:
		return &Change{Expect: Reject{By: relying, At: c.behind()}, Apply: func(s *scenario.Setup) {
			s.Tap(c.Attester, onAdded(s.Profile, row.Message, func(_ *message.Raw, p *handshake.Plan) { p.Drop = true }))
		}}
	case profile.CarrierCertData:
		if c.Attester == attls.RoleClient { // a server must never send an empty Certificate
			return &Change{Expect: Reject{By: relying, At: attls.KindCertificate}, Apply: func(s *scenario.Setup) {
				s.Ends[attls.RoleServer].Config.Policy.Demand = true
				s.Tap(c.Attester, tamper.Certificate(func(m *message.Certificate) { m.Entries = nil }))
			}}
		}
	}
	return nil
}

// tryNonceSize makes the nonce longer than nonce.receive_at_most, by hand:
// nothing that encodes a profile's fields would send it.
func tryNonceSize(attester attls.Role) func(*Context) *Change {
	return func(c *Context) *Change {
		slot, most := &c.Profile.Slots[c.slot()], c.Profile.Rules.NonceReceiveAtMost
		if c.Attester != attester || slot.Nonce.Message == attls.KindNone || most == 0 || slot.NonceMax <= most {
			return nil
		}
		return &Change{Expect: Reject{By: attester, At: slot.Nonce.Message}, Apply: func(s *scenario.Setup) {
			s.Tap(attester.Peer(), tamper.Fields(s.Profile, slot.Nonce.Message, 0, attester.Peer(), func(f *profile.Fields) {
				f.Nonces[c.slot()] = bytes.Repeat([]byte{7}, most+1)
			}))
		}}
	}
}

// tryNonceMissing needs a challenge that takes the nonce, in an extension that
// carries nothing else.
func tryNonceMissing(attester attls.Role) func(*Context) *Change {
	return func(c *Context) *Change {
		i, name := c.slot(), c.Profile.Binder.Challenge[c.Model][c.Kind]
		slot := &c.Profile.Slots[i]
		if c.Attester != attester || c.Scenario.Attester == scenario.AttestBoth || slot.Nonce.Random || slot.Nonce.Message == attls.KindNone || name == "" || c.Profile.Rules.NonceFixed != nil {
			return nil
		}
		for k := range c.Profile.Slots {
			other := &c.Profile.Slots[k]
			if other.Offer == slot.Nonce || other.Choice == slot.Nonce || k != i && other.Nonce == slot.Nonce {
				return nil
			}
		}
		if _, err := c.Profile.Binder.Program.Eval(name, c.Attester, noNonce{}); err == nil {
			return nil
		}
		expect, r := c.unasked()
		return &Change{Expect: expect, Rule: r, AtReceiver: expect.By != attester, Apply: func(s *scenario.Setup) {
			if slot.Nonce.Message == attls.KindAdded {
				s.Tap(attester.Peer(), onAdded(s.Profile, slot.Nonce.Added, func(_ *message.Raw, p *handshake.Plan) { p.Drop = true }))
				return
			}
			s.Tap(attester.Peer(), tamper.Extensions(slot.Nonce.Message, 0, func(l extensions.List) extensions.List {
				return tamper.Without(l, func(t attls.ExtensionType) bool { return t == slot.Nonce.Extension })
			}))
		}}
	}
}

// unasked is what follows where an attester does not see its nonce: it cannot compute the binder;
// or, where nothing is negotiated, nobody has asked it to attest, and the relying party misses the
// payload.
func (c *Context) unasked() (expect Reject, r string) {
	at := carrierMessage(c.credential())
	if c.always() {
		return Reject{Failure: attls.FailMissing, By: c.Attester.Peer(), At: at}, string(rule.CredentialThere)
	}
	return Reject{Failure: attls.FailBinderUndefined, By: c.Attester, At: at}, string(rule.BinderDefined)
}

func tryMalformedExtension(c *Context) *Change {
	if s := &c.Profile.Slots[c.slot()]; s.Flagged && len(s.FlagValue) == 0 {
		return nil // an empty body is never too short
	}
	if !slices.ContainsFunc(c.Profile.Extensions, func(x extensions.Row) bool {
		codec := c.Profile.Codec(attls.KindClientHello, attls.RoleClient, x.Type)
		return codec != nil && codec.TypeName() != "opaque" // which is never too short
	}) {
		return nil
	}
	return &Change{Expect: Reject{By: attls.RoleServer, At: attls.KindClientHello}, Apply: func(s *scenario.Setup) {
		s.Tap(attls.RoleClient, tamper.Extensions(attls.KindClientHello, 0, func(l extensions.List) extensions.List {
			for i := range l {
				if _, ok := s.Profile.Extension(l[i].Type); ok && len(l[i].Body) > 0 {
					l[i].Body = l[i].Body[:len(l[i].Body)-1]
				}
			}
			return l
		}))
	}}
}

func tryCertificateType(c *Context) *Change {
	if !c.credential().Negotiated {
		return nil
	}
	return &Change{Expect: Reject{By: attls.RoleClient, At: attls.KindEncryptedExtensions}, Apply: func(s *scenario.Setup) {
		s.Tap(attls.RoleServer, tamper.Extensions(attls.KindEncryptedExtensions, 0, func(l extensions.List) extensions.List {
			return tamper.Without(l, func(t attls.ExtensionType) bool {
				return t == attls.ExtServerCertificateType || t == attls.ExtClientCertificateType
			})
		}))
	}}
}

// tryBinderUndefined needs a binder that takes the whole key where only 255
// octets fit: it evaluates the binder on such a key.
func tryBinderUndefined(c *Context) *Change {
	name := c.Profile.Binder.Challenge[c.Model][c.Kind]
	if c.Kind != profile.KindX509 || name == "" {
		return nil
	}
	if _, err := c.Profile.Binder.Program.Eval(name, c.Attester, largeKey{}); err == nil {
		return nil
	}
	return &Change{Expect: Reject{By: c.Attester, At: carrierMessage(c.credential())}, AtReceiver: true, Apply: func(s *scenario.Setup) { s.Ends[c.Attester].RSA = true }}
}

// tryNonceUnbindable needs a binder with narrower bounds for the nonce than the
// grammar has.
func tryNonceUnbindable(c *Context) *Change {
	name := c.Profile.Binder.Challenge[c.Model][c.Kind]
	if c.Kind != profile.KindX509 || name == "" || c.Scenario.Attester == scenario.AttestBoth {
		return nil
	}
	slot := &c.Profile.Slots[c.slot()]
	if most := c.Profile.Rules.NonceReceiveAtMost; slot.NonceMax < len(unbindable) || most > 0 && most < len(unbindable) {
		return nil
	}
	if _, err := c.Profile.Binder.Program.Eval(name, c.Attester, longNonce{}); err == nil {
		return nil
	}
	return &Change{Expect: Reject{By: c.Attester, At: carrierMessage(c.credential())}, Apply: func(s *scenario.Setup) {
		s.Tap(c.Attester.Peer(), tamper.Fields(s.Profile, slot.Nonce.Message, 0, c.Attester.Peer(), func(f *profile.Fields) {
			f.Nonces[c.slot()] = unbindable
		}))
	}}
}

// unbindable is a nonce of more octets than 64.
var unbindable = make([]byte, 65)

func tryKeyUnusable(c *Context) *Change {
	if c.credential().KeyFrom != profile.KeyFromAppraisal {
		return nil
	}
	return lying(c, "key-unusable")
}

func tryVerifierUnreachable(c *Context) *Change {
	relying := c.Attester.Peer()
	return &Change{Expect: Reject{By: relying, At: carrierMessage(c.credential())}, Apply: func(s *scenario.Setup) {
		end := s.Ends[relying]
		end.Appraiser = unreachable{end.Appraiser}
	}}
}

func tryAttesterUnavailable(c *Context) *Change {
	return &Change{Expect: Reject{By: c.Attester, At: carrierMessage(c.credential())}, Apply: func(s *scenario.Setup) {
		end := s.Ends[c.Attester]
		end.Attester = mute{end.Attester}
	}}
}

// changedVerdict alters the verdicts of an Appraiser.
type changedVerdict struct {
	negotiation.Appraiser
	change func(*negotiation.Verdict)
}

func (a changedVerdict) Appraise(ctx context.Context, r *negotiation.AppraisalRequest) (*negotiation.Verdict, error) {
	v, err := a.Appraiser.Appraise(ctx, r)
	if err != nil {
		return nil, err
	}
	changed := *v
	a.change(&changed)
	return &changed, nil
}

// unreachable is an Appraiser that cannot be reached.
type unreachable struct{ negotiation.Appraiser }

func (unreachable) Appraise(context.Context, *negotiation.AppraisalRequest) (*negotiation.Verdict, error) {
	return nil, errors.New("the Verifier cannot be reached")
}

// mute is an Attester without Evidence.
type mute struct{ negotiation.Attester }

func (mute) Attest(context.Context, *negotiation.EvidenceRequest) (*negotiation.Evidence, error) {
	return nil, errors.New("the root of trust gives no Evidence")
}

// tryAnswerDropped needs a client that sees only by the missing choice that the
// server will not attest.
func tryAnswerDropped(c *Context) *Change {
	if c.Scenario.Attester != scenario.AttestServer || c.always() {
		return nil
	}
	return &Change{Expect: Reject{By: attls.RoleClient, At: attls.KindCertificate}, Apply: func(s *scenario.Setup) {
		for i := range s.Profile.Slots {
			slot := &s.Profile.Slots[i]
			switch {
			case slot.Attester != attls.RoleServer:
			case slot.Choice.Message == attls.KindAdded:
				s.Tap(attls.RoleServer, onAdded(s.Profile, slot.Choice.Added, func(_ *message.Raw, p *handshake.Plan) { p.Drop = true }))
			default:
				s.Tap(attls.RoleServer, tamper.Extensions(slot.Choice.Message, 0, func(l extensions.List) extensions.List {
					return tamper.Without(l, func(t attls.ExtensionType) bool { return t == slot.Choice.Extension })
				}))
			}
		}
	}}
}

// tryUnsolicited needs a list that the client did not send and that is answered
// in an extension of its own.
func tryUnsolicited(c *Context) *Change {
	first := c.slot()
	if c.Scenario.Attester == scenario.AttestBoth || c.Profile.Rules.OfferEmptyList {
		return nil
	}
	second := slices.IndexFunc(c.Profile.Slots, func(s profile.Slot) bool {
		return s.Choice.Message == attls.KindEncryptedExtensions && s.Choice.Extension != c.Profile.Slots[first].Choice.Extension && slices.Contains(s.Kinds, c.Kind)
	})
	if second < 0 || c.unsolicited(c.Profile.Slots[second].Choice) {
		return nil
	}
	scheme, ok := c.Profile.EncodeScheme(second, c.scheme(c.Profile.Slots[second].Models[0]))
	if !ok {
		return nil
	}
	return &Change{Expect: Reject{By: attls.RoleClient, At: attls.KindEncryptedExtensions}, Apply: func(s *scenario.Setup) {
		s.Tap(attls.RoleServer, tamper.Fields(s.Profile, attls.KindEncryptedExtensions, 0, attls.RoleServer, func(f *profile.Fields) {
			f.Choices[second] = &scheme
			if s.Profile.Slots[second].Nonce.Message == attls.KindEncryptedExtensions {
				f.Nonces[second] = bytes.Repeat([]byte{7}, 32)
			}
		}))
	}}
}

// unsolicited reports whether an extension is accepted somewhere though nothing
// offered it.
func (c *Context) unsolicited(at profile.Place) bool {
	x, ok := c.Profile.Extension(at.Extension)
	return ok && slices.ContainsFunc(x.Placements, func(l extensions.Placement) bool { return l.Message == at.Message && l.Unsolicited })
}

func tryCodePoint(c *Context) *Change {
	slot := &c.Profile.Slots[c.slot()]
	if slot.Choice.Message != attls.KindEncryptedExtensions {
		return nil
	}
	return &Change{Expect: Reject{By: attls.RoleClient, At: attls.KindEncryptedExtensions}, Apply: func(s *scenario.Setup) {
		s.Tap(attls.RoleServer, tamper.Extensions(attls.KindEncryptedExtensions, 0, func(l extensions.List) extensions.List {
			for i := range l {
				if l[i].Type == slot.Choice.Extension {
					l[i].Type = tamper.Unknown
				}
			}
			return l
		}))
	}}
}

// tryWrongMessage needs a message of the server in which the extension has no place.
func tryWrongMessage(c *Context) *Change {
	if c.always() {
		return nil
	}
	slot := &c.Profile.Slots[c.slot()]
	x, ok := c.Profile.Extension(slot.Choice.Extension)
	if !ok {
		return nil
	}
	for _, k := range []attls.MessageKind{attls.KindServerHello, attls.KindEncryptedExtensions} {
		if x.In(k) != nil {
			continue
		}
		return &Change{Expect: Reject{By: attls.RoleClient, At: k}, Apply: func(s *scenario.Setup) {
			s.Tap(attls.RoleServer, tamper.Extensions(k, 0, func(l extensions.List) extensions.List {
				return append(l, extensions.Extension{Type: slot.Choice.Extension})
			}))
		}}
	}
	return nil
}

// tryEmptyList encodes what the grammar forbids with its bounds turned off.
func tryEmptyList(c *Context) *Change {
	if c.emptyOffer() {
		return nil
	}
	return &Change{Expect: Reject{By: attls.RoleServer, At: attls.KindClientHello}, Apply: func(s *scenario.Setup) {
		s.Tap(attls.RoleClient, tamper.Fields(rule.Without(s.Profile, rule.GrammarBounds), attls.KindClientHello, 0, attls.RoleClient, func(f *profile.Fields) {
			f.Offers[c.slot()] = nil
		}))
	}}
}

func tryShortNonce(c *Context) *Change {
	slot := &c.Profile.Slots[c.slot()]
	if slot.NonceMin == 0 || slot.NonceMin == slot.NonceMax {
		return nil // no length to shorten, or none that is told
	}
	return &Change{Expect: Reject{By: c.Attester, At: slot.Nonce.Message}, Apply: func(s *scenario.Setup) {
		s.Tap(c.Attester.Peer(), tamper.Fields(rule.Without(s.Profile, rule.GrammarBounds), slot.Nonce.Message, 0, c.Attester.Peer(), func(f *profile.Fields) {
			f.Nonces[c.slot()] = bytes.Repeat([]byte{7}, slot.NonceMin-1)
		}))
	}}
}

func trySecondEntry(c *Context) *Change {
	if c.credential().Carrier != profile.CarrierExtension || !c.firstEntryOnly() {
		return nil
	}
	return &Change{Expect: Reject{By: c.Attester.Peer(), At: attls.KindCertificate}, Apply: func(s *scenario.Setup) {
		s.Tap(c.Attester, c.tapCertificate(func(m *message.Certificate) {
			if len(m.Entries) == 1 {
				m.Entries = append(m.Entries, m.Entries[0])
			}
			m.Entries[1].Extensions = m.Entries[0].Extensions
		}))
	}}
}

// addedMessage is a message of the profile with a payload that nobody appraises.
func (c *Context) addedMessage(index int, sender attls.Role) []byte {
	p := c.Profile
	f := p.NewFields()
	f.Payload = oneOctetCMW
	for i := range f.Payloads {
		f.Payloads[i] = oneOctetCMW
	}
	body, err := p.EncodeMessage(index, sender, f)
	if err != nil {
		return nil
	}
	b, mark := message.Begin(nil, p.Messages[index].Type)
	return message.End(append(b, body...), mark)
}

// oneOctetCMW is a CMW of one octet.
var oneOctetCMW = []byte{0x82, 0x19, 0x01, 0x07, 0x41, 0x00}

// onAdded acts on one added message of a profile.
func onAdded(p *profile.Profile, index int, act func(*message.Raw, *handshake.Plan)) handshake.Tap {
	return tamper.Messages(func(m *message.Raw, _ int, plan *handshake.Plan) {
		if m.Kind == attls.KindAdded && m.Type == p.Messages[index].Type {
			act(m, plan)
		}
	})
}

// behind is the message of TLS that follows the added one of the scenario.
func (c *Context) behind() attls.MessageKind {
	for _, g := range profile.Gaps {
		if g.At != c.added() || g.Sender != c.Attester {
			continue
		}
		if g.Before == attls.KindCertificateRequest && !c.clientShows() {
			return attls.KindCertificate
		}
		return g.Before
	}
	return attls.KindNone
}

// clientShows reports whether the scenario's server asks for a certificate.
func (c *Context) clientShows() bool {
	return c.Scenario.ClientCertificate || slices.Contains(c.Scenario.Attester.Roles(), attls.RoleClient)
}

// tryMessageEarly moves the added message in front of the message that it follows.
func tryMessageEarly(c *Context) *Change {
	row := c.credential()
	if row.Carrier != profile.CarrierMessage || c.added() < binder.PointServerAfterCT || c.added() == binder.PointClientBeforeCT {
		return nil // what is in front of it there is of the peer's, or without the key
	}
	i := slices.IndexFunc(profile.Gaps, func(g profile.Gap) bool { return g.At == c.added() && g.Sender == c.Attester })
	after := profile.Gaps[i].After
	return &Change{Expect: Reject{By: c.Attester.Peer(), At: attls.KindAdded}, Apply: func(s *scenario.Setup) {
		s.Tap(c.Attester, tamper.Messages(func(m *message.Raw, _ int, p *handshake.Plan) {
			switch {
			case m.Kind == after:
				p.Before = [][]byte{c.addedMessage(row.Message, c.Attester)}
			case m.Kind == attls.KindAdded && m.Type == s.Profile.Messages[row.Message].Type:
				p.Drop = true
			}
		}))
	}}
}

// tryMessageTwice sends the added message again.
func tryMessageTwice(c *Context) *Change {
	row := c.credential()
	if row.Carrier != profile.CarrierMessage {
		return nil
	}
	return &Change{Expect: Reject{By: c.Attester.Peer(), At: attls.KindAdded}, Apply: func(s *scenario.Setup) {
		s.Tap(c.Attester, onAdded(s.Profile, row.Message, func(m *message.Raw, p *handshake.Plan) {
			p.After = [][]byte{slices.Clone(m.Bytes)}
		}))
	}}
}

func tryMessageUnasked(c *Context) *Change {
	row := c.credential()
	if row.Carrier != profile.CarrierMessage || c.Scenario.Attester != scenario.AttestClient ||
		!c.Profile.Messages[row.Message].Sent(attls.RoleServer) {
		return nil
	}
	at := c.Profile.Messages[row.Message].At[attls.RoleServer]
	i := slices.IndexFunc(profile.Gaps, func(g profile.Gap) bool { return g.At == at })
	after := profile.Gaps[i].After
	return &Change{Expect: Reject{By: attls.RoleClient, At: attls.KindAdded}, Apply: func(s *scenario.Setup) {
		s.Tap(attls.RoleServer, tamper.Messages(func(m *message.Raw, _ int, p *handshake.Plan) {
			if m.Kind == after {
				p.After = [][]byte{c.addedMessage(row.Message, attls.RoleServer)}
			}
		}))
	}}
}

func tryKeyType(c *Context) *Change {
	row := c.credential()
	if row.KeyFrom != profile.KeyFromAppraisal || len(row.Keys) == 0 || slices.Contains(row.Keys, "secp384r1") {
		return nil
	}
	return lying(c, "key-type")
}

func tryVerdictKey(c *Context) *Change {
	if c.credential().KeyFrom != profile.KeyFromX509 {
		return nil
	}
	return lying(c, "verdict-key")
}

func tryVerdict(lie string) func(*Context) *Change {
	return func(c *Context) *Change { return lying(c, lie) }
}

// lies are the faults that lie in what the rejecting end's own Appraiser says.
var lies = map[string]func(*negotiation.Verdict){
	"key-unusable": func(v *negotiation.Verdict) { v.SPKI = []byte{0x30, 0x00} },
	"key-type":     func(v *negotiation.Verdict) { v.SPKI = otherCurve() },
	"verdict-key":  func(v *negotiation.Verdict) { v.SPKI = otherCurve() },
	// The others are about what a verdict says of itself.
	"verdict-status":  func(v *negotiation.Verdict) { v.Status = negotiation.StatusWarning },
	"verdict-expired": func(v *negotiation.Verdict) { v.ValidUntil = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC) },
}

// Lies are the names of the faults that Lying can have an Appraiser commit.
func Lies() []string { return slices.Sorted(maps.Keys(lies)) }

// Lying is an Appraiser whose verdicts are wrong as the fault of this name wants
// them, for a relying party in another program.
func Lying(name string, a negotiation.Appraiser) (negotiation.Appraiser, error) {
	change, ok := lies[ID(name)]
	if !ok {
		return nil, fmt.Errorf("no lie is called %q; there are %s", name, strings.Join(Lies(), ", "))
	}
	return changedVerdict{a, change}, nil
}

func lying(c *Context, name string) *Change {
	relying := c.Attester.Peer()
	return &Change{Expect: Reject{By: relying, At: carrierMessage(c.credential())}, Apply: func(s *scenario.Setup) {
		end := s.Ends[relying]
		end.Appraiser = changedVerdict{end.Appraiser, lies[name]}
	}}
}

// otherCurve is a key of P-384, as DER SubjectPublicKeyInfo.
func otherCurve() []byte {
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P384(), append(make([]byte, 47), 1))
	if err != nil {
		return nil
	}
	spki, _ := x509.MarshalPKIXPublicKey(key.Public())
	return spki
}
