package cases

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"attls"
	"attls/conformance/scenario"
	"attls/conformance/tamper"
	"attls/conformance/trace"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/internal/rule"
	"attls/negotiation"
)

// checks is the table of what must be seen of an end that follows the rules.
var checks = []Row{
	check("offer-own-evidence", rule.OfferProducible, "The client could have Evidence of a format appraised that it cannot produce, and does not offer to attest with it.",
		tryOfferLimited(attls.RoleClient, profile.ModelEvidence)),
	check("offer-own-results", rule.OfferProducible, "The client trusts a Verifier whose results it does not hold, and does not offer them.",
		tryOfferLimited(attls.RoleClient, profile.ModelResults)),
	check("offer-peer-evidence", rule.OfferAppraisable, "The client can produce Evidence of a format that it cannot have appraised, and does not ask for it.",
		tryOfferLimited(attls.RoleServer, profile.ModelEvidence)),
	check("offer-peer-results", rule.OfferAppraisable, "The client holds results of a Verifier that it does not trust, and does not ask for such.",
		tryOfferLimited(attls.RoleServer, profile.ModelResults)),
	check("omit-empty-client", rule.OfferOmitsEmpty, "Only the server attests: the client's lists are left out.",
		tryOmitsEmpty(scenario.AttestServer)),
	check("omit-empty-server", rule.OfferOmitsEmpty, "Only the client attests: the lists for the server are left out.",
		tryOmitsEmpty(scenario.AttestClient)),
	check("offer-order-evidence", rule.OfferOrder, "The client lists two formats in its order of preference.",
		tryOfferOrder(profile.ModelEvidence)),
	check("offer-order-results", rule.OfferOrder, "The client lists two Verifiers in its order of preference.",
		tryOfferOrder(profile.ModelResults)),
	check("offer-nothing", rule.OfferAtLeast, "A client with nothing to offer says so and sends nothing.",
		tryOfferNothing),
	check("offer-without-certificate", rule.OfferNeedsCertificate, "A client without a certificate does not offer to attest with one, and sends nothing.",
		tryOfferWithoutCertificate),
	check("offer-first", rule.OfferFirst, "The scheme that the profile puts first is first, whatever the client prefers.",
		tryOfferFirst),
	check("choose-order", rule.ChooseOrder, "Of two schemes in common, the one first in the order that decides is chosen.",
		tryChooseOrder),
	check("choose-unmatched-evidence", rule.ChooseCommon, "For the client no format is in common, for the server one is: the client's answer is left out.",
		tryChooseUnmatched(profile.ModelEvidence)),
	check("choose-unmatched-results", rule.ChooseCommon, "For the client no Verifier is in common, for the server one is: the client's answer is left out.",
		tryChooseUnmatched(profile.ModelResults)),
	check("choose-unwanted-client", rule.ChooseWanted, "The client offers to attest, the server does not want it: neither a choice nor a CertificateRequest.",
		tryChooseUnwanted(attls.RoleClient)),
	check("choose-unwanted-server", rule.ChooseWanted, "The client asks the server to attest, the server does not: no choice.",
		tryChooseUnwanted(attls.RoleServer)),
	check("choose-answer-client-evidence", rule.ChooseAnswered, "A server that wants the client's Evidence answers with one value of the client's list.",
		tryChooseAnswer(scenario.AttestClient, profile.ModelEvidence)),
	check("choose-answer-server-evidence", rule.ChooseAnswered, "A server that attests with Evidence answers with one value of the client's list.",
		tryChooseAnswer(scenario.AttestServer, profile.ModelEvidence)),
	check("choose-answer-client-results", rule.ChooseAnswered, "A server that wants the client's results answers with one value of the client's list.",
		tryChooseAnswer(scenario.AttestClient, profile.ModelResults)),
	check("choose-answer-server-results", rule.ChooseAnswered, "A server that attests with results answers with one value of the client's list.",
		tryChooseAnswer(scenario.AttestServer, profile.ModelResults)),
	check("null-choice", rule.ChooseNull, "Nothing is in common: the server sends the fixed answer that means no choice.",
		tryNullChoice),
	check("request-sent-evidence", rule.RequestSent, "A server that wants the client's Evidence sends CertificateRequest.",
		tryRequestSent(profile.ModelEvidence)),
	check("request-sent-results", rule.RequestSent, "A server that wants the client's results sends CertificateRequest.",
		tryRequestSent(profile.ModelResults)),
	{ID: "unaware-server", Rule: string(rule.UnknownIgnored), Does: "A server that does not know the profile ignores its extensions, and the handshake goes on.",
		Expect: Accept{By: server, Unattested: true}, Try: tryUnawareServer},
	check("credential-client", rule.CredentialSent, "A client for which a scheme was chosen sends the payload and is accepted.",
		tryCredential(scenario.AttestClient)),
	check("credential-server", rule.CredentialSent, "A server for which a scheme was chosen sends the payload and is accepted.",
		tryCredential(scenario.AttestServer)),
	check("credential-both", rule.CredentialSent, "Both ends attest, and both are accepted.",
		tryCredential(scenario.AttestBoth)),
	check("carrier-alone", rule.CredentialSent, "A payload that is the whole credential is in cert_data.",
		tryCarrier(profile.KindAlone)),
	check("carrier-x509", rule.CredentialPlaced, "A payload with a certificate is where the profile puts it.",
		tryCarrier(profile.KindX509)),
	check("bound-evidence", rule.EvidenceBound, "The attester's Evidence holds the challenge that both ends computed.",
		tryBound(profile.ModelEvidence)),
	check("binder-formula", rule.BinderFormula, "The challenge of both ends is the value of the profile's expression.",
		tryBinderFormula),
	check("exporter", rule.ExporterApart, "Both ends export the same value under the profile's exporter, and another one than TLS-Exporter gives.",
		tryExporter),
	check("not-resumed-due", rule.ResumptionDue, "The server wants a returning client to attest again: a full handshake.",
		tryNotResumed("unless_due", scenario.AttestClient, negotiation.StandingDue)),
	check("not-resumed-expired", rule.ResumptionDue, "The verdict on a client that comes back is valid no longer: a full handshake.",
		tryNotResumed("within_validity", scenario.AttestClient, negotiation.StandingExpired)),
	check("not-resumed-client-due", rule.ResumptionDue, "The text leaves resumption to policy, and the server wants a returning client to attest again: a full handshake.",
		tryNotResumed("policy", scenario.AttestClient, negotiation.StandingDue)),
	check("not-resumed-client-expired", rule.ResumptionDue, "The text leaves resumption to policy, and the verdict on a client that comes back is valid no longer: a full handshake.",
		tryNotResumed("policy", scenario.AttestClient, negotiation.StandingExpired)),
	check("not-resumed-server-due", rule.ResumptionDue, "A client that must have the server attested wants new Evidence: a full handshake.",
		tryNotResumed("", scenario.AttestServer, negotiation.StandingDue)),
	check("not-resumed-server-expired", rule.ResumptionDue, "The verdict on the server is valid no longer, and the client must have it attested: a full handshake.",
		tryNotResumed("", scenario.AttestServer, negotiation.StandingExpired)),
	check("not-resumed-scheme", rule.ResumptionScheme, "The server attested under another scheme than the client accepts now: a full handshake.",
		tryOtherScheme),
	check("later-key", rule.KeyAttested, "A client that attested in the handshake shows another key after it, without attestation: a server that demands attestation ends the connection.",
		tryLaterKey),
	check("external-key", rule.ResumptionExternal, "The ends have an external pre-shared key: a full handshake all the same.",
		tryExternalKey),
	check("ticket-lifetime", rule.TicketBounded, "A ticket may not be used for longer than the verdict on the client is valid.",
		tryTicketLifetime),
	check("raw-signature", rule.SignatureRaw, "The signature in CertificateVerify has 64 octets, r and s.",
		tryRawSignature),
	check("never-sent", rule.NeverSent, "A server that could issue tickets sends none.",
		tryNeverSent),
	check("no-ccs", rule.NoCCS, "No record of type change_cipher_spec is sent.",
		tryNoCCS),
	check("one-message-a-record", rule.OneMessage, "No record holds two handshake messages.",
		tryOneMessage),
	check("padded", rule.Padded, "Protected records are padded to a multiple.",
		tryPadded),
	check("restricted-answer", rule.RestrictedAnswer, "EncryptedExtensions holds only what the profile lists, no answer to server_name.",
		tryRestrictedAnswer),
}

// check is a row about what must be seen of a connection under a profile.
func check(id string, r rule.Rule, does string, try func(*Context) *Change) Row {
	return Row{ID: id, Rule: string(r), Does: does, Expect: Observe{}, Try: try}
}

// observing is a change of both ends, with what must be seen then.
func observing(apply func(*scenario.Setup), judge func(*scenario.Result) error) *Change {
	return &Change{Apply: apply, Judge: judge}
}

// sent finds the message of a kind that an end sent first.
func sentBy(r *scenario.Result, from attls.Role, k attls.MessageKind) *trace.Step {
	for i := range r.Ladder {
		if s := &r.Ladder[i]; s.Kind == k && s.From == from.String() {
			return s
		}
	}
	return nil
}

// fields is what the profile's extensions in a message mean; nil when the
// message was not sent or does not parse.
func fieldsOf(r *scenario.Result, p *profile.Profile, from attls.Role, k attls.MessageKind) *profile.Fields {
	s := sentBy(r, from, k)
	if s == nil {
		return nil
	}
	m, err := message.ParseRaw(s.Bytes())
	if err != nil {
		return nil
	}
	f := p.NewFields()
	if k == attls.KindAdded {
		return addedFieldsOf(r, p, from)
	}
	tamper.WithExtensions(&m, func(l extensions.List) extensions.List {
		for i := range l {
			if p.Reads(k, l[i].Type) && p.Decode(k, from, l[i].Type, l[i].Body, f) != nil {
				f = nil
				break
			}
		}
		return l
	})
	return f
}

// addedFieldsOf is what the messages mean that an end added.
func addedFieldsOf(r *scenario.Result, p *profile.Profile, from attls.Role) *profile.Fields {
	f := p.NewFields()
	for i := range r.Ladder {
		s := &r.Ladder[i]
		if s.Kind != attls.KindAdded || s.From != from.String() {
			continue
		}
		for k := range p.Messages {
			if b := s.Bytes(); p.Messages[k].Type == attls.HandshakeType(b[0]) && p.DecodeMessage(k, from, b[4:], f) != nil {
				return nil
			}
		}
	}
	return f
}

// offer is what the client offered in its first ClientHello.
func offerOf(r *scenario.Result, p *profile.Profile) (*profile.Fields, error) {
	f := fieldsOf(r, p, attls.RoleClient, attls.KindClientHello)
	if f == nil {
		return nil, fmt.Errorf("the client sent no offer that can be read")
	}
	return f, nil
}

// wires lists schemes as they stand on the wire.
func wires(list []profile.Scheme) string {
	var out []string
	for _, s := range list {
		out = append(out, hex.EncodeToString(s.Wire))
	}
	return strings.Join(out, ", ")
}

func hasScheme(list []profile.Scheme, s profile.Scheme) bool {
	return slices.ContainsFunc(list, func(x profile.Scheme) bool { return bytes.Equal(x.Wire, s.Wire) })
}

// tryOfferLimited gives the client a scheme in the wrong half of its policy: one
// that it can have appraised in a list for its own attestation, or one that it
// can produce in a list for the server's.
func tryOfferLimited(attester attls.Role, m profile.Model) func(*Context) *Change {
	return func(c *Context) *Change {
		if c.Scenario.Attester == scenario.AttestBoth || c.Attester != attester || c.Model != m {
			return nil
		}
		other, ok := otherScheme(c.Profile, c.slot(), c.scheme(m))
		if !ok {
			return nil
		}
		return observing(func(s *scenario.Setup) {
			policy := &s.Ends[attls.RoleClient].Config.Policy
			if attester == attls.RoleClient {
				policy.Accept = append(policy.Accept, other)
			} else {
				policy.Produce = append(policy.Produce, other)
			}
		}, soundAnd(func(r *scenario.Result) error {
			f, err := offerOf(r, c.Profile)
			if err == nil && hasScheme(f.Offers[c.slot()], other) {
				err = fmt.Errorf("slot %s offers %x", c.Profile.Slots[c.slot()].Name, other.Wire)
			}
			return err
		}))
	}
}

func tryOmitsEmpty(a scenario.Attesters) func(*Context) *Change {
	return func(c *Context) *Change {
		absent := c.Attester.Peer()
		if c.Scenario.Attester != a || c.Profile.Rules.OfferEmptyList || !slices.ContainsFunc(c.Profile.Slots, func(s profile.Slot) bool { return s.Attester == absent }) {
			return nil
		}
		return observing(nil, soundAnd(func(r *scenario.Result) error {
			f, err := offerOf(r, c.Profile)
			if err != nil {
				return err
			}
			for i := range c.Profile.Slots {
				if c.Profile.Slots[i].Attester == absent && f.Offered[i] {
					return fmt.Errorf("slot %s has a list", c.Profile.Slots[i].Name)
				}
			}
			return attested(r)
		}))
	}
}

// two are the demonstration scheme of a slot and the same one in other words,
// for policies.
func (c *Context) two() (first, second profile.Scheme, ok bool) {
	first = c.scheme(c.Model)
	second = first
	second.Format = profile.Format{MediaType: "application/eat+cwt"}
	a, fits := c.Profile.EncodeScheme(c.slot(), first)
	b, also := c.Profile.EncodeScheme(c.slot(), second)
	return a, b, fits && also && !bytes.Equal(a.Wire, b.Wire)
}

func tryOfferOrder(m profile.Model) func(*Context) *Change {
	return func(c *Context) *Change {
		if c.Scenario.Attester == scenario.AttestBoth || c.Model != m || c.Profile.Rules.OfferFirst != nil {
			return nil
		}
		first := c.scheme(c.Model)
		second, ok := otherScheme(c.Profile, c.slot(), first)
		first, fits := c.Profile.EncodeScheme(c.slot(), first)
		if !ok || !fits {
			return nil
		}
		return observing(func(s *scenario.Setup) {
			policy := &s.Ends[attls.RoleClient].Config.Policy
			list := &policy.Accept
			if c.Attester == attls.RoleClient {
				list = &policy.Produce
			}
			*list = []negotiation.Scheme{first, second}
		}, soundAnd(func(r *scenario.Result) error {
			f, err := offerOf(r, c.Profile)
			if err != nil {
				return err
			}
			got := f.Offers[c.slot()]
			if len(got) != 2 || !bytes.Equal(got[0].Wire, first.Wire) || !bytes.Equal(got[1].Wire, second.Wire) {
				return fmt.Errorf("the list is %s", wires(got))
			}
			return attested(r)
		}))
	}
}

// localError is the judgement of a client that must see its own fault and send nothing.
func localError(r *scenario.Result) error {
	if e := r.Claims[attls.RoleClient].Error; e == nil || e.Failure != string(attls.FailConfiguration) {
		return fmt.Errorf("the client did not refuse its configuration")
	}
	if sentBy(r, attls.RoleClient, attls.KindClientHello) != nil {
		return fmt.Errorf("the client sent ClientHello")
	}
	return nil
}

func tryOfferNothing(c *Context) *Change {
	if c.Profile.Rules.OfferAtLeast == 0 {
		return nil
	}
	return observing(func(s *scenario.Setup) { s.Ends[attls.RoleClient].Config.Policy = negotiation.Policy{} }, localError)
}

func tryOfferWithoutCertificate(c *Context) *Change {
	if !c.Profile.Rules.ClientSlotsNeedCert || c.Scenario.Attester != scenario.AttestClient {
		return nil
	}
	return observing(func(s *scenario.Setup) { s.Ends[attls.RoleClient].Config.CanAuthenticate = false }, localError)
}

func tryOfferFirst(c *Context) *Change {
	first := c.Profile.Rules.OfferFirst
	if first == nil {
		return nil
	}
	other, ok := otherScheme(c.Profile, c.slot(), c.scheme(c.Model))
	if !ok {
		return nil
	}
	return observing(func(s *scenario.Setup) {
		policy := &s.Ends[attls.RoleClient].Config.Policy
		policy.Produce = append([]negotiation.Scheme{other}, policy.Produce...)
	}, soundAnd(func(r *scenario.Result) error {
		f, err := offerOf(r, c.Profile)
		if err == nil && (len(f.Offers[c.slot()]) != 2 || !bytes.Equal(f.Offers[c.slot()][0].Wire, first.Wire)) {
			err = fmt.Errorf("the list is %s", wires(f.Offers[c.slot()]))
		}
		return err
	}))
}

func tryChooseOrder(c *Context) *Change {
	first, second, ok := c.two()
	if !ok || c.Scenario.Attester == scenario.AttestBoth || c.Model != profile.ModelEvidence || c.Profile.Rules.OfferFirst != nil {
		return nil
	}
	want := first
	if c.Profile.Rules.ServerOrder {
		want = second
	}
	return observing(func(s *scenario.Setup) {
		for _, role := range attls.Roles() {
			list := []negotiation.Scheme{first, second}
			if role == attls.RoleServer {
				list = []negotiation.Scheme{second, first}
			}
			policy := &s.Ends[role].Config.Policy
			if role == c.Attester {
				policy.Produce = list
			} else {
				policy.Accept = list
			}
		}
	}, soundAnd(func(r *scenario.Result) error {
		if a := r.Claims[0].Attestation; len(a) != 1 || a[0].Scheme != hex.EncodeToString(want.Wire) {
			return fmt.Errorf("chosen: %+v", a)
		}
		return attested(r)
	}))
}

// choice is the server's choice for a slot, or nil.
func choiceOf(r *scenario.Result, p *profile.Profile, slot int) *profile.Scheme {
	f := fieldsOf(r, p, attls.RoleServer, p.Slots[slot].Choice.Message)
	if f == nil || f.Choices[slot] == nil || negotiation.IsNullChoice(p, f.Choices[slot]) {
		return nil
	}
	return f.Choices[slot]
}

func requestedIn(r *scenario.Result) bool {
	return sentBy(r, attls.RoleServer, attls.KindCertificateRequest) != nil
}

// neither is the judgement that a role was not chosen and, for the client, not asked.
func neither(c *Context, role attls.Role) func(*scenario.Result) error {
	return func(r *scenario.Result) error {
		for i := range c.Profile.Slots {
			if s := &c.Profile.Slots[i]; s.Attester == role && choiceOf(r, c.Profile, i) != nil {
				return fmt.Errorf("slot %s is answered", s.Name)
			}
		}
		if role == attls.RoleClient && requestedIn(r) {
			return fmt.Errorf("the server sent CertificateRequest")
		}
		return nil
	}
}

func tryChooseUnmatched(m profile.Model) func(*Context) *Change {
	return func(c *Context) *Change {
		if c.Scenario.Attester != scenario.AttestBoth || c.Model != m {
			return nil
		}
		slot := findSlot(c.Profile, attls.RoleClient, c.Model, c.Kind)
		other, ok := otherScheme(c.Profile, slot, c.scheme(c.Model))
		if !ok {
			return nil
		}
		return observing(func(s *scenario.Setup) {
			policy := &s.Ends[attls.RoleServer].Config.Policy
			policy.Accept, policy.Demand = []negotiation.Scheme{other}, false
		}, soundAnd(neither(c, attls.RoleClient)))
	}
}

func tryChooseUnwanted(role attls.Role) func(*Context) *Change {
	return func(c *Context) *Change {
		if c.Scenario.Attester != scenario.AttestBoth {
			return nil
		}
		return observing(func(s *scenario.Setup) {
			s.Ends[role.Peer()].Config.Policy.Demand = false
			policy := &s.Ends[attls.RoleServer].Config.Policy
			if role == attls.RoleClient {
				policy.Accept = nil
			} else {
				policy.Produce = nil
			}
		}, soundAnd(neither(c, role)))
	}
}

func tryChooseAnswer(a scenario.Attesters, m profile.Model) func(*Context) *Change {
	return func(c *Context) *Change {
		if c.Scenario.Attester != a || c.Model != m {
			return nil
		}
		return observing(nil, soundAnd(func(r *scenario.Result) error {
			f, err := offerOf(r, c.Profile)
			if err != nil {
				return err
			}
			got := choiceOf(r, c.Profile, c.slot())
			if got == nil || !hasScheme(f.Offers[c.slot()], *got) {
				return fmt.Errorf("slot %s is not answered, or with what was not offered", c.Profile.Slots[c.slot()].Name)
			}
			return attested(r)
		}))
	}
}

func tryNullChoice(c *Context) *Change {
	null := c.Profile.Rules.NullChoice
	if null == nil {
		return nil
	}
	other, ok := otherScheme(c.Profile, c.slot(), c.scheme(c.Model))
	if !ok {
		return nil
	}
	return observing(func(s *scenario.Setup) {
		policy := &s.Ends[attls.RoleServer].Config.Policy
		policy.Accept, policy.Demand = []negotiation.Scheme{other}, false
	}, soundAnd(func(r *scenario.Result) error {
		slot := &c.Profile.Slots[c.slot()]
		f := fieldsOf(r, c.Profile, attls.RoleServer, slot.Choice.Message)
		if f == nil || f.Choices[c.slot()] == nil || !bytes.Equal(f.Choices[c.slot()].Wire, null.Wire) {
			return fmt.Errorf("slot %s has not the answer %x", slot.Name, null.Wire)
		}
		return nil
	}))
}

func tryRequestSent(m profile.Model) func(*Context) *Change {
	return func(c *Context) *Change {
		if c.Scenario.Attester != scenario.AttestClient || c.Model != m {
			return nil
		}
		return observing(nil, soundAnd(func(r *scenario.Result) error {
			if !requestedIn(r) {
				return fmt.Errorf("there is no CertificateRequest")
			}
			return attested(r)
		}))
	}
}

// unawareServer makes the server a plain one, for a client that demands nothing.
func unawareServer(s *scenario.Setup) {
	s.Ends[attls.RoleClient].Config.Policy.Demand = false
	unaware(s, attls.RoleServer)
}

func tryUnawareServer(c *Context) *Change {
	return observing(unawareServer, func(r *scenario.Result) error {
		if f, err := offerOf(r, c.Profile); err != nil || !slices.Contains(f.Offered, true) {
			return fmt.Errorf("the client offered nothing")
		}
		for i := range c.Profile.Slots {
			if choiceOf(r, c.Profile, i) != nil {
				return fmt.Errorf("slot %s is answered", c.Profile.Slots[i].Name)
			}
		}
		return nil
	})
}

func tryCredential(a scenario.Attesters) func(*Context) *Change {
	return func(c *Context) *Change {
		if c.Scenario.Attester != a {
			return nil
		}
		return observing(nil, soundAnd(attested))
	}
}

func tryCarrier(k profile.CredentialKind) func(*Context) *Change {
	return func(c *Context) *Change {
		if c.Kind != k {
			return nil
		}
		return observing(nil, soundAnd(func(r *scenario.Result) error {
			if err := c.carried(r); err != nil {
				return err
			}
			return attested(r)
		}))
	}
}

// carried says why the payload is not where its credential kind puts it.
func (c *Context) carried(r *scenario.Result) error {
	row := c.credential()
	if row.Carrier == profile.CarrierMessage {
		if sentBy(r, c.Attester, attls.KindAdded) == nil {
			return fmt.Errorf("the message %s was not sent", c.Profile.Messages[row.Message].Name)
		}
		return nil
	}
	s := sentBy(r, c.Attester, attls.KindCertificate)
	if s == nil {
		return fmt.Errorf("there is no Certificate")
	}
	var ct message.Certificate
	if err := ct.Unmarshal(s.Bytes()[4:]); err != nil || len(ct.Entries) == 0 {
		return fmt.Errorf("the Certificate is empty or does not parse")
	}
	first := &ct.Entries[0]
	if _, ok := first.Extensions.Find(row.Extension); row.Carrier == profile.CarrierExtension && !ok {
		return fmt.Errorf("the first entry has no extension %v", row.Extension)
	}
	if row.Carrier == profile.CarrierCertData && (len(ct.Entries) != 1 || len(first.Data) != payloadOctets(r, c.Attester)) {
		return fmt.Errorf("cert_data has %d octets in %d entries", len(first.Data), len(ct.Entries))
	}
	return nil
}

func payloadOctets(r *scenario.Result, attester attls.Role) int {
	for _, a := range r.Claims[attester].Attestation {
		if a.Attester == attester.String() {
			return a.Octets
		}
	}
	return -1
}

func tryBound(m profile.Model) func(*Context) *Change {
	return func(c *Context) *Change {
		if c.Scenario.Attester == scenario.AttestBoth || c.Model != m || c.challengeName(c.Profile) == "" || prefersX509(c) {
			return nil
		}
		return observing(nil, soundAnd(func(r *scenario.Result) error {
			a, b := challengeOf(&r.Claims[0], c.Attester), challengeOf(&r.Claims[1], c.Attester)
			if a == "" || a != b {
				return fmt.Errorf("the challenges are %q and %q", a, b)
			}
			return attested(r)
		}))
	}
}

// prefersX509 reports whether another combination of the same profile shows
// more of the binder.
func prefersX509(c *Context) bool {
	return c.Kind != profile.KindX509 && c.Profile.Binder.Challenge[c.Model][profile.KindX509] != ""
}

func tryBinderFormula(c *Context) *Change {
	name := c.Profile.Binder.Challenge[c.Model][c.Kind]
	if c.Scenario.Attester == scenario.AttestBoth || name == "" || prefersX509(c) {
		return nil
	}
	return observing(nil, soundAnd(func(r *scenario.Result) error {
		for _, role := range attls.Roles() {
			want, err := c.Profile.Binder.Program.Eval(name, c.Attester, r.Pair.Engine(role).Inputs())
			if err != nil {
				return err
			}
			if got := challengeOf(&r.Claims[role], c.Attester); got != hex.EncodeToString(want) {
				return fmt.Errorf("the %v's challenge is %q, %s gives %x", role, got, name, want)
			}
		}
		return nil
	}))
}

func tryExporter(c *Context) *Change {
	if len(c.Profile.Binder.Exporters) == 0 {
		return nil
	}
	return observing(nil, soundAnd(func(r *scenario.Result) error {
		for name := range c.Profile.Binder.Exporters {
			var values [2][]byte
			for _, role := range attls.Roles() {
				var err error
				if values[role], err = r.Pair.Engine(role).ExportNamed(name, "attls check", nil, 32); err != nil {
					return err
				}
			}
			plain, err := r.Pair.Engine(attls.RoleClient).Export("attls check", nil, 32)
			if err != nil || !bytes.Equal(values[0], values[1]) || bytes.Equal(values[0], plain) {
				return fmt.Errorf("the exporter %s gives %x and %x, TLS-Exporter %x (%v)", name, values[0], values[1], plain, err)
			}
		}
		return nil
	}))
}

func tryRawSignature(c *Context) *Change {
	if c.Profile.Quirks.SignatureEncoding[c.Attester] != profile.SignatureRaw {
		return nil
	}
	return observing(nil, soundAnd(func(r *scenario.Result) error {
		var cv message.CertificateVerify
		s := sentBy(r, c.Attester, attls.KindCertificateVerify)
		if s == nil {
			return fmt.Errorf("there is no CertificateVerify")
		}
		if err := cv.Unmarshal(s.Bytes()[4:]); err != nil || len(cv.Signature) != 64 {
			return fmt.Errorf("a signature of %d octets", len(cv.Signature))
		}
		return nil
	}))
}

func tryNeverSent(c *Context) *Change {
	if !slices.Contains(c.Profile.Quirks.NeverSend, attls.KindNewSessionTicket) {
		return nil
	}
	return observing(func(s *scenario.Setup) {
		s.Resumable(&handshake.ServerSessions{}, &handshake.ClientSessions{})
	}, soundAnd(func(r *scenario.Result) error {
		if sentBy(r, attls.RoleServer, attls.KindNewSessionTicket) != nil {
			return fmt.Errorf("the server sent NewSessionTicket")
		}
		return nil
	}))
}

// records lists the content types and lengths of what an end put on the network.
func records(b []byte) (list []wireRecord) {
	for len(b) >= 5 {
		n := int(b[3])<<8 | int(b[4])
		list = append(list, wireRecord{attls.ContentType(b[0]), n})
		b = b[min(5+n, len(b)):]
	}
	return list
}

type wireRecord struct {
	t      attls.ContentType
	octets int
}

func tryNoCCS(c *Context) *Change {
	if !c.Profile.Quirks.NoCCS {
		return nil
	}
	return observing(nil, soundAnd(func(r *scenario.Result) error {
		for _, role := range attls.Roles() {
			if slices.ContainsFunc(records(r.Sent[role]), func(x wireRecord) bool { return x.t == attls.ContentTypeChangeCipherSpec }) {
				return fmt.Errorf("the %v sent change_cipher_spec", role)
			}
		}
		return nil
	}))
}

func tryOneMessage(c *Context) *Change {
	if c.Profile.Quirks.MessagesPerRecord != 1 {
		return nil
	}
	return observing(nil, soundAnd(func(r *scenario.Result) error {
		for _, role := range attls.Roles() {
			messages := 0
			for _, s := range r.Ladder {
				if s.From == role.String() && s.Bytes() != nil {
					messages++
				}
			}
			carrying := 0
			for _, x := range records(r.Sent[role]) {
				if x.t != attls.ContentTypeChangeCipherSpec {
					carrying++
				}
			}
			if carrying-1 < messages { // the last one holds application data
				return fmt.Errorf("the %v sent %d messages in %d records", role, messages, carrying-1)
			}
		}
		return nil
	}))
}

func tryPadded(c *Context) *Change {
	n := c.Profile.Quirks.PadTo
	if n == 0 {
		return nil
	}
	const tag = 16
	return observing(nil, soundAnd(func(r *scenario.Result) error {
		for _, role := range attls.Roles() {
			for _, x := range records(r.Sent[role]) {
				if x.t == attls.ContentTypeApplicationData && (x.octets-tag)%n != 0 {
					return fmt.Errorf("the %v protected %d octets", role, x.octets-tag)
				}
			}
		}
		return nil
	}))
}

func tryRestrictedAnswer(c *Context) *Change {
	if !c.Profile.Quirks.RestrictEncryptedExtensions || slices.Contains(c.Profile.Quirks.EncryptedExtensionsOnly, attls.ExtServerName) {
		return nil
	}
	return observing(func(s *scenario.Setup) { s.Ends[attls.RoleServer].Config.AcknowledgeServerName = true }, soundAnd(func(r *scenario.Result) error {
		var ee message.EncryptedExtensions
		s := sentBy(r, attls.RoleServer, attls.KindEncryptedExtensions)
		if s == nil || ee.Unmarshal(s.Bytes()[4:]) != nil {
			return fmt.Errorf("there is no EncryptedExtensions")
		}
		for _, x := range ee.Extensions {
			if !slices.Contains(c.Profile.Quirks.EncryptedExtensionsOnly, x.Type) {
				return fmt.Errorf("EncryptedExtensions has %v", x.Type)
			}
		}
		return nil
	}))
}
