package profile

import (
	"maps"
	"slices"

	"attls"
	"attls/extensions"
	"attls/internal/rule"
)

func init() {
	rule.Register((*Profile).without)
	rule.Obeys = func(p any, r rule.Rule) bool { return p.(*Profile).obeys(r) }
}

// obeys reports whether a rule is in force; it is unless without turned it off.
// A nil profile obeys every rule.
func (p *Profile) obeys(r rule.Rule) bool { return p == nil || p.off != r }

// without returns a copy of the profile under which one rule is not enforced. It
// is a tool for proving that cases check the rules they name: only this module
// reaches it, and no file, option or flag leads here. Rules that are
// parameters of the profile are set to what permits everything; a failure that
// its alert alone decides is accepted, as under the alert none; for the others
// the engine asks rule.Obeys where it enforces them. A nil profile is None.
func (p *Profile) without(r rule.Rule) *Profile {
	if p == nil {
		p = None()
	}
	q := *p
	q.off = r
	if f, ok := lets[r]; ok {
		q.Alerts = maps.Clone(p.Alerts)
		if q.Alerts == nil {
			q.Alerts = map[attls.Failure]AlertAction{}
		}
		q.Alerts[f] = AlertAction{None: true}
	}
	if change := parameters[r]; change != nil {
		change(&q)
	}
	if c, ok := p.codec.(*codec); ok {
		q.codec = c.under(&q)
	}
	return &q
}

// lets are the failures that pass when a rule is off.
var lets = map[rule.Rule]attls.Failure{
	rule.NoEvidence:       attls.FailNoSchemeEvidence,
	rule.NoResults:        attls.FailNoSchemeResults,
	rule.NothingOffered:   attls.FailNothingOffered,
	rule.Unwilling:        attls.FailUnwilling,
	rule.DemandByServer:   attls.FailDemandedByServer,
	rule.DemandByClient:   attls.FailDemandedByClient,
	rule.ChoiceOffered:    attls.FailChoiceNotOffered,
	rule.ChoiceOne:        attls.FailTwoChoices,
	rule.ChoiceRequest:    attls.FailChoiceWithoutRequest,
	rule.ChoiceSome:       attls.FailChoiceNone,
	rule.GrammarComplete:  attls.FailAttestationExtension,
	rule.OfferUnchanged:   attls.FailOfferChanged,
	rule.TypeAgreed:       attls.FailCertTypeMismatch,
	rule.CredentialThere:  attls.FailMissing,
	rule.CredentialChosen: attls.FailNotChosen,
	rule.CredentialFirst:  attls.FailMisplaced,
	rule.KeyUsable:        attls.FailAttestationKey,
	rule.BinderDefined:    attls.FailBinderUndefined,
	rule.BinderCompared:   attls.FailBinderMismatch,
	rule.KeyCompared:      attls.FailTIKMismatch,
	rule.Appraised:        attls.FailAppraisal,
	rule.WellFormed:       attls.FailMalformedCMW,
	rule.FormatCompared:   attls.FailFormatMismatch,
	rule.IssuerCompared:   attls.FailVerifierMismatch,
	rule.VerdictNeeded:    attls.FailVerifierUnreachable,
}

// parameters are the rules that the compiled profile decides.
var parameters = map[rule.Rule]func(*Profile){
	rule.OfferOmitsEmpty:       func(p *Profile) { p.Rules.OfferEmptyList = !p.Rules.OfferEmptyList },
	rule.OfferAtLeast:          func(p *Profile) { p.Rules.OfferAtLeast = 0 },
	rule.OfferNeedsCertificate: func(p *Profile) { p.Rules.ClientSlotsNeedCert = false },
	rule.OfferFirst:            func(p *Profile) { p.Rules.OfferFirst = nil },
	rule.ChooseOrder:           func(p *Profile) { p.Rules.ServerOrder = !p.Rules.ServerOrder },
	rule.ChooseNull:            func(p *Profile) { p.Rules.NoSchemeThen = ThenOmit },
	rule.NonceBound:            func(p *Profile) { p.Rules.NonceReceiveAtMost = 0 },
	rule.ExporterApart:         func(p *Profile) { p.Binder.Exporters = nil },
	rule.BinderFormula: func(p *Profile) {
		p.Binder.Challenge, p.Binder.Authenticator = [2][2]string{}, [2]string{}
	},
	rule.CredentialFirst: func(p *Profile) {
		p.eachCredential(func(c *Credential) { c.Entries = extensions.EntriesAny })
		p.eachPlacement(func(l *extensions.Placement) { l.Entries = extensions.EntriesAny })
	},
	rule.CredentialPlaced: func(p *Profile) {
		p.eachCredential(func(c *Credential) { c.Carrier = CarrierCertData })
		p.Slots = slices.Clone(p.Slots)
		for i := range p.Slots {
			p.Slots[i].Apart = false
		}
	},
	rule.KeyPermitted:       func(p *Profile) { p.eachCredential(func(c *Credential) { c.Keys = nil }) },
	rule.ExtensionSolicited: func(p *Profile) { p.eachPlacement(func(l *extensions.Placement) { l.Unsolicited = true }) },
	rule.ExtensionInPlace: func(p *Profile) {
		p.Extensions = slices.Clone(p.Extensions)
		for i := range p.Extensions {
			x := &p.Extensions[i]
			x.Placements = slices.Clone(x.Placements)
			for _, k := range []attls.MessageKind{attls.KindServerHello, attls.KindEncryptedExtensions} {
				if x.In(k) == nil {
					x.Placements = append(x.Placements, extensions.Placement{Message: k, Unsolicited: true})
				}
			}
		}
	},
	rule.GrammarBounds: func(p *Profile) {
		p.Slots = slices.Clone(p.Slots)
		for i := range p.Slots {
			p.Slots[i].NonceMin = 0
		}
	},
	rule.ResumptionDue:      func(p *Profile) { p.Resumption.Accept = "" },
	rule.ResumptionExternal: func(p *Profile) { p.Resumption.ExternalPSK = true },
	rule.TicketBounded:      func(p *Profile) { p.Resumption.Tickets = "allow" },
	rule.SignatureRaw:       func(p *Profile) { p.Quirks.SignatureEncoding = [2]SignatureEncoding{} },
	rule.NeverSent:          func(p *Profile) { p.Quirks.NeverSend = nil },
	rule.NoCCS:              func(p *Profile) { p.Quirks.NoCCS = false },
	rule.OneMessage:         func(p *Profile) { p.Quirks.MessagesPerRecord = 0 },
	rule.Padded:             func(p *Profile) { p.Quirks.PadTo = 0 },
	rule.RestrictedAnswer:   func(p *Profile) { p.Quirks.RestrictEncryptedExtensions = false },
}

func (p *Profile) eachCredential(change func(*Credential)) {
	p.Credentials = slices.Clone(p.Credentials)
	for i := range p.Credentials {
		change(&p.Credentials[i])
	}
}

func (p *Profile) eachPlacement(change func(*extensions.Placement)) {
	for _, rows := range []*[]extensions.Row{&p.Extensions, &p.LaterExtensions} {
		*rows = slices.Clone(*rows)
		for i := range *rows {
			x := &(*rows)[i]
			x.Placements = slices.Clone(x.Placements)
			for k := range x.Placements {
				change(&x.Placements[k])
			}
		}
	}
}

// under is the codec of a copy of its profile, without the bounds of the grammar
// where they are off.
func (c *codec) under(p *Profile) *codec {
	n := *c
	n.p = p
	if p.obeys(rule.GrammarBounds) {
		return &n
	}
	relaxed := map[*body]*body{}
	for _, b := range c.order {
		r := *b
		r.codec = b.codec.WithoutBounds()
		relaxed[b] = &r
	}
	n.order, n.bodies = nil, map[site]*body{}
	for _, b := range c.order {
		n.order = append(n.order, relaxed[b])
	}
	for s, b := range c.bodies {
		n.bodies[s] = relaxed[b]
	}
	n.updates = nil
	for _, b := range c.updates {
		r := *b
		r.codec = b.codec.WithoutBounds()
		n.updates = append(n.updates, &r)
	}
	n.messages = nil
	for _, pair := range c.messages {
		n.messages = append(n.messages, [2]*body{relaxed[pair[0]], relaxed[pair[1]]})
	}
	return &n
}
