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
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/conformance/tamper"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/internal/rule"
	"attls/negotiation"
)

// Fault is one way in which an end can behave wrongly or oddly, with what must
// follow: the other end rejects it, or, where Takes is set, takes it as it is.
type Fault struct {
	Name    string        `json:"name"`
	Failure attls.Failure `json:"failure,omitempty"`
	// Does says in one sentence what is done.
	Does string `json:"does"`
	// Rejects is the end that must reject, At the message at which it does; ""
	// where a record is what it rejects.
	Rejects string             `json:"rejects,omitempty"`
	At      string             `json:"at,omitempty"`
	Alert   *claims.AlertClaim `json:"alert,omitempty"` // nil: the connection is closed without one
	// AnyAlert says that the text names no alert; the one given is ours.
	AnyAlert bool `json:"any_alert,omitempty"`
	// MayPass says that the text lets the receiver go without the check.
	MayPass bool `json:"may_pass,omitempty"`
	// Takes is the end that must go on as if nothing were unusual. Nothing is
	// rejected then.
	Takes string `json:"takes,omitempty"`
	// Unattested says that nobody attests in a connection that is taken.
	Unattested bool `json:"unattested,omitempty"`

	Scenario scenario.Scenario `json:"scenario"`

	rejects attls.Role
	at      attls.MessageKind
	action  profile.AlertAction
	rule    rule.Rule
	apply   func(*scenario.Setup)
}

// attempt is a fault as it is written down: nil apply means that it cannot be
// provoked in the scenario.
type attempt struct {
	rejects attls.Role
	at      attls.MessageKind
	apply   func(*scenario.Setup)
	failure attls.Failure // where it is another than the row's
}

// faultKind is one row of the table of faults. try may adapt the scenario where
// it leaves something open; it returns no attempt where the profile leaves no
// room for the fault.
type faultKind struct {
	failure attls.Failure
	name    string    // "": the failure's, without its subject
	rule    rule.Rule // "": the one whose breach is the failure
	does    string
	try     func(c *circumstance) *attempt
}

// circumstance is the scenario in which a fault is tried.
type circumstance struct {
	p        *profile.Profile
	s        *scenario.Scenario
	attester attls.Role // the first that attests
	model    profile.Model
	kind     profile.CredentialKind
}

// credential is the row of the scenario's credential kind.
func (c *circumstance) credential() *profile.Credential {
	row, _ := c.p.Credential(c.kind)
	return row
}

// slot is the slot of the scenario's attester; -1 when there is none.
func (c *circumstance) slot() int { return findSlot(c.p, c.attester, c.model, c.kind) }

func findSlot(p *profile.Profile, attester attls.Role, m profile.Model, k profile.CredentialKind) int {
	return slices.IndexFunc(p.Slots, func(s profile.Slot) bool {
		return s.Attester == attester && slices.Contains(s.Models, m) && slices.Contains(s.Kinds, k)
	})
}

// carrierMessage is the message in which the payload of a credential travels.
func carrierMessage(c *profile.Credential) attls.MessageKind {
	if c.Carrier == profile.CarrierMessage {
		return attls.KindAdded
	}
	return attls.KindCertificate
}

// Faults lists what can be provoked under a profile. A scenario that leaves
// attester, model or credential open lets each fault choose; one that sets them
// keeps only the faults that fit. Without a profile they are those of TLS 1.3 itself.
func Faults(p *profile.Profile, s scenario.Scenario) []Fault {
	if p == nil {
		return TLSFaults(s)
	}
	var list []Fault
	for _, k := range allFaults() {
		if f, ok := k.fault(p, s); ok {
			list = append(list, f)
		}
	}
	return list
}

// FindFault looks a fault up by its name or by its failure, whose subject may be
// left out: binder, attestation.binder_mismatch, binder_mismatch. Without a
// profile it is one of TLS 1.3 itself.
func FindFault(p *profile.Profile, s scenario.Scenario, name string) (*Fault, error) {
	if p == nil {
		return findTLSFault(s, name)
	}
	open := s
	open.Attester, open.Model, open.Credential = "", "", ""
	if strings.HasPrefix(name, readingPrefix) {
		return findReadingFault(p, s, name)
	}
	for _, f := range Tolerances(p, s) {
		if f.Name == name {
			return &f, nil
		}
	}
	var other *Fault
	for _, k := range allFaults() {
		if !k.named(name) {
			continue
		}
		if f, ok := k.fault(p, s); ok {
			return &f, nil
		}
		if f, ok := k.fault(p, open); ok && other == nil {
			other = &f
		}
	}
	if other != nil {
		return nil, fmt.Errorf("%s needs another combination than the one asked for, such as attester %s, model %s, credential %s",
			other.Name, other.Scenario.Attester, other.Scenario.Model, other.Scenario.Credential)
	}
	return nil, fmt.Errorf("nothing called %q can be provoked under %s", name, p.ID)
}

// Tolerances lists what an end must take although it is not as under the profile.
func Tolerances(p *profile.Profile, s scenario.Scenario) []Fault {
	for _, combination := range scenario.Combinations(p) {
		if combination.Reason != "" || !s.LeavesOpen(combination) {
			continue
		}
		_, tried := inCombination(p, s, combination)
		f := Fault{Name: "unaware-server", Does: "ClientHello holds the offer of a profile that the server does not know.", Takes: attls.RoleServer.String(),
			Unattested: true, Scenario: *tried, rejects: attls.RoleServer, rule: rule.UnknownIgnored, apply: unawareServer}
		f.Scenario.Tolerate, f.Scenario.Fail = f.Name, ""
		return []Fault{f}
	}
	return nil
}

func (k *faultKind) named(name string) bool {
	return name == k.title() || name == string(k.failure) || "attestation."+name == string(k.failure)
}

// title is the name under which the fault is listed.
func (k *faultKind) title() string {
	if k.name != "" {
		return k.name
	}
	return strings.TrimPrefix(string(k.failure), "attestation.")
}

// fault tries the combinations that the profile allows and the scenario leaves
// open, and takes the first in which the fault can be provoked.
func (k *faultKind) fault(p *profile.Profile, s scenario.Scenario) (Fault, bool) {
	for _, combination := range scenario.Combinations(p) {
		if combination.Reason != "" || !s.LeavesOpen(combination) {
			continue
		}
		tried := s
		tried.Attester, tried.Model, tried.Credential = combination.Attester, combination.Model, combination.Credential
		c := circumstance{p: p, s: &tried, attester: combination.Attester.Roles()[0]}
		c.model, _ = scenario.ParseModel(combination.Model)
		c.kind, _ = scenario.ParseCredential(combination.Credential)
		a := k.try(&c)
		if a == nil {
			continue
		}
		if a.failure == "" {
			a.failure = k.failure
		}
		action := p.AlertFor(a.failure)
		if action.None {
			continue // the profile lets it pass
		}
		f := Fault{Name: k.title(), Failure: a.failure, Does: k.does, Scenario: tried, rejects: a.rejects, at: a.at, rule: k.rule, apply: a.apply}
		f.expect(p, action)
		if f.rule == "" {
			f.rule = breaches[a.failure]
		}
		if a.at == attls.KindAdded {
			f.At = p.Messages[c.credential().Message].Name
		}
		f.Scenario.Fail = f.Name
		return f, true
	}
	return Fault{}, false
}

// expect says who must reject, where, and with which alert.
func (f *Fault) expect(p *profile.Profile, action profile.AlertAction) {
	f.Rejects, f.At, f.action = f.rejects.String(), f.at.String(), action
	if f.at == attls.KindNone {
		f.At = ""
	}
	if !action.Close {
		f.Alert = claims.MakeAlertClaim(p, &action.Alert)
	}
}

// Find is FindFault as a scenario's runner wants it.
func Find(p *profile.Profile, s scenario.Scenario, name string) (scenario.Injection, error) {
	f, err := FindFault(p, s, name)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// FaultOf returns the fault of a run; nil when nothing of the table was injected.
func FaultOf(r *scenario.Result) *Fault {
	f, _ := r.Injected.(*Fault)
	return f
}

// Where returns the scenario in which the fault happens.
func (f *Fault) Where() scenario.Scenario { return f.Scenario }

// Apply changes the ends so that the fault happens.
func (f *Fault) Apply(s *scenario.Setup) { f.apply(s) }

// Receiver is the end that has to deal with the fault.
func (f *Fault) Receiver() attls.Role { return f.rejects }

// breaches are the rules whose breach a failure tells of.
var breaches = map[attls.Failure]rule.Rule{
	attls.FailNoSchemeEvidence:     rule.NoEvidence,
	attls.FailNoSchemeResults:      rule.NoResults,
	attls.FailNothingOffered:       rule.NothingOffered,
	attls.FailUnwilling:            rule.Unwilling,
	attls.FailDemandedByClient:     rule.DemandByClient,
	attls.FailDemandedByServer:     rule.DemandByServer,
	attls.FailChoiceNotOffered:     rule.ChoiceOffered,
	attls.FailTwoChoices:           rule.ChoiceOne,
	attls.FailChoiceNone:           rule.ChoiceSome,
	attls.FailChoiceWithoutRequest: rule.ChoiceRequest,
	attls.FailNotChosen:            rule.CredentialChosen,
	attls.FailOfferChanged:         rule.OfferUnchanged,
	attls.FailMisplaced:            rule.CredentialFirst,
	attls.FailMissing:              rule.CredentialThere,
	attls.FailNonceSize:            rule.NonceBound,
	attls.FailAttestationExtension: rule.GrammarComplete,
	attls.FailCertTypeMismatch:     rule.TypeAgreed,
	attls.FailBinderUndefined:      rule.BinderDefined,
	attls.FailAttestationKey:       rule.KeyUsable,
	attls.FailVerifierUnreachable:  rule.VerdictNeeded,
	attls.FailBinderMismatch:       rule.BinderCompared,
	attls.FailTIKMismatch:          rule.KeyCompared,
	attls.FailAppraisal:            rule.Appraised,
	attls.FailMalformedCMW:         rule.WellFormed,
	attls.FailFormatMismatch:       rule.FormatCompared,
	attls.FailVerifierMismatch:     rule.IssuerCompared,
	attls.FailSignature:            rule.SignatureVerified,
	attls.FailUnsolicited:          rule.ExtensionSolicited,
	attls.FailWrongMessage:         rule.ExtensionInPlace,
	attls.FailUnexpectedMessage:    rule.AddedInPlace,
}

// Judge says whether a run was rejected, or accepted, as expected; nil when it
// was.
func (f *Fault) Judge(r *scenario.Result) error {
	if f.Unattested {
		return good(r)
	}
	if f.Takes != "" {
		return goodAnd(attested)(r)
	}
	mine, theirs := &r.Claims[f.rejects], &r.Claims[f.rejects.Peer()]
	switch {
	case mine.Error == nil:
		return fmt.Errorf("the %v did not reject", f.rejects)
	case mine.Error.Failure != string(f.Failure):
		return fmt.Errorf("the %v failed with %s, not %s: %s", f.rejects, mine.Error.Failure, f.Failure, mine.Error.Detail)
	case mine.Error.Message != f.at.Name() && f.at != attls.KindNone:
		return fmt.Errorf("the %v rejected at %s, not at %s", f.rejects, orNone(mine.Error.Message), f.at.Name())
	case f.action.Close:
		if mine.AlertSent != nil {
			return fmt.Errorf("the %v sent %s; the profile closes without an alert", f.rejects, mine.AlertSent.Name)
		}
		return nil
	case mine.AlertSent == nil || mine.AlertSent.Code != uint8(f.action.Alert):
		return fmt.Errorf("the %v sent %s, not %s", f.rejects, alertOrNone(mine.AlertSent), claims.AlertName(r.Profile, f.action.Alert))
	case theirs.AlertReceived == nil || theirs.AlertReceived.Code != mine.AlertSent.Code:
		return fmt.Errorf("the %v received %s, not %s", f.rejects.Peer(), alertOrNone(theirs.AlertReceived), mine.AlertSent.Name)
	}
	return nil
}

func orNone(s string) string {
	if s == "" {
		return "no message"
	}
	return s
}

func alertOrNone(a *claims.AlertClaim) string {
	if a == nil {
		return "no alert"
	}
	return a.Name
}

// allFaults is the table; what spoils the payload itself follows.
func allFaults() []faultKind { return append(slices.Clip(protocolFaults), spoilFaults()...) }

var protocolFaults = []faultKind{
	{failure: attls.FailNoSchemeEvidence, does: "The server knows only an Evidence format that the client did not list.", try: tryNoScheme(profile.ModelEvidence)},
	{failure: attls.FailNoSchemeResults, does: "The server knows only a Verifier that the client did not list.", try: tryNoScheme(profile.ModelResults)},
	{failure: attls.FailNothingOffered, does: "A tap empties every list of the client's offer.", try: tryNothingOffered},
	{failure: attls.FailUnwilling, does: "The server knows the profile and wants attestation of no role.", try: tryUnwilling},
	{failure: attls.FailDemandedByClient, does: "The client demands attestation and the server does not know the profile.", try: tryDemandedByClient},
	{failure: attls.FailDemandedByServer, does: "The server demands attestation and the client does not know the profile.", try: tryDemandedByServer},
	{failure: attls.FailChoiceNotOffered, does: "A tap replaces the server's choice by a scheme that the client did not offer.", try: tryChoiceNotOffered},
	{failure: attls.FailTwoChoices, does: "A tap adds a second choice for the same attester.", try: tryTwoChoices},
	{failure: attls.FailChoiceNone, does: "The client offers to attest and the server does not know the profile.", try: tryChoiceNone},
	{failure: attls.FailChoiceWithoutRequest, does: "A tap drops the server's CertificateRequest although a client scheme was chosen.", try: tryChoiceWithoutRequest},
	{failure: attls.FailNotChosen, does: "A tap adds a payload to the Certificate of a server for which nothing was chosen.", try: tryNotChosen},
	{failure: attls.FailOfferChanged, does: "After HelloRetryRequest a tap adds a scheme to the offer of the second ClientHello.", try: tryOfferChanged},
	{failure: attls.FailMisplaced, does: "A tap moves the payload from the first CertificateEntry to the second.", try: tryMisplaced},
	{failure: attls.FailMissing, does: "A tap leaves the payload of the chosen scheme out.", try: tryMissing},
	{failure: attls.FailNonceSize, does: "A tap lets the server send a nonce that is longer than the profile accepts.", try: tryNonceSize(attls.RoleClient)},
	{failure: attls.FailNonceSize, name: "nonce-size.server", does: "A tap lets the client send a nonce that is longer than the profile accepts.", try: tryNonceSize(attls.RoleServer)},
	{failure: attls.FailAttestationExtension, does: "A tap cuts the last octet off the profile's extension in ClientHello.", try: tryMalformedExtension},
	{failure: attls.FailCertTypeMismatch, does: "A tap takes the certificate type out of EncryptedExtensions.", try: tryCertificateType},
	{failure: attls.FailBinderUndefined, does: "The attester's certificate holds an RSA key, for which the profile's binder is not defined.", try: tryBinderUndefined},
	{failure: attls.FailBinderUndefined, name: "nonce-unbindable", does: "A tap lets the relying party send a nonce that the grammar allows and the binder does not.", try: tryNonceUnbindable},
	{failure: attls.FailBinderUndefined, name: "nonce-missing.client", does: "A tap takes the extension out that holds the server's nonce and nothing else.", try: tryNonceMissing(attls.RoleClient)},
	{failure: attls.FailBinderUndefined, name: "nonce-missing.server", does: "A tap takes the extension out that holds the client's nonce and nothing else.", try: tryNonceMissing(attls.RoleServer)},
	{failure: attls.FailAttestationKey, does: "The verdict names a key that cannot verify a CertificateVerify.", try: tryKeyUnusable},
	{failure: attls.FailVerifierUnreachable, does: "The relying party's Verifier does not answer.", try: tryVerifierUnreachable},
	{failure: attls.FailDemandedByClient, name: "answer-dropped", does: "A tap drops the server's choice for its own attestation.", try: tryAnswerDropped},
	{failure: attls.FailUnsolicited, name: "unsolicited", does: "A tap adds an answer to an extension that the client did not send.", try: tryUnsolicited},
	{failure: attls.FailUnsolicited, name: "code-point", rule: rule.ExtensionKnown, does: "A tap gives the extension with the server's choice another number.", try: tryCodePoint},
	{failure: attls.FailWrongMessage, name: "wrong-message", does: "A tap moves the extension with the server's choice into ServerHello.", try: tryWrongMessage},
	{failure: attls.FailAttestationExtension, name: "empty-list", rule: rule.GrammarBounds, does: "A tap empties a list that must not be empty.", try: tryEmptyList},
	{failure: attls.FailAttestationExtension, name: "short-nonce", rule: rule.GrammarBounds, does: "A tap shortens the nonce below the floor of the grammar.", try: tryShortNonce},
	{failure: attls.FailMisplaced, name: "second-entry", does: "A tap puts the payload into the second CertificateEntry as well.", try: trySecondEntry},
	{failure: attls.FailUnexpectedMessage, name: "message-early", does: "A tap moves the added message before CertificateVerify.", try: tryMessageEarly},
	{failure: attls.FailUnexpectedMessage, name: "message-unasked", does: "A tap adds the message of the profile where no scheme was chosen.", try: tryMessageUnasked},
	{failure: attls.FailAttestationKey, name: "key-type", rule: rule.KeyPermitted, does: "The attested key is of a type that the profile does not permit.", try: tryKeyType},
	{failure: attls.FailAppraisal, name: "verdict-status", rule: rule.VerdictAccepts, does: "The relying party's Appraiser names no failure and gives the status warning.", try: tryVerdict("verdict-status")},
	{failure: attls.FailAppraisal, name: "verdict-expired", rule: rule.VerdictAccepts, does: "The relying party's Appraiser gives a verdict whose validity is over.", try: tryVerdict("verdict-expired")},
	{failure: attls.FailTIKMismatch, name: "verdict-key", does: "The relying party's Appraiser gives a verdict on another key than that of the certificate.", try: tryVerdictKey},
	{failure: attls.FailAttesterUnavailable, does: "The Attester has no Evidence to give.", try: tryAttesterUnavailable},
}

func tryNoScheme(m profile.Model) func(*circumstance) *attempt {
	return func(c *circumstance) *attempt {
		if c.model != m || c.p.Rules.NoSchemeThen != profile.ThenAbort || m == profile.ModelResults && !c.tellsModel() {
			return nil
		}
		return &attempt{rejects: attls.RoleServer, at: attls.KindClientHello, apply: func(s *scenario.Setup) {
			policy := &s.Ends[attls.RoleServer].Config.Policy
			for _, list := range []*[]profile.Scheme{&policy.Produce, &policy.Accept} {
				for i := range *list {
					(*list)[i], _ = otherScheme(s.Profile, c.slot(), (*list)[i])
				}
			}
		}}
	}
}

// tellsModel reports whether an element of the slot's list says which model it is of.
func (c *circumstance) tellsModel() bool {
	evidence, _ := c.p.EncodeScheme(c.slot(), scenario.DemoScheme(c.p, profile.ModelEvidence, c.kind))
	results, _ := c.p.EncodeScheme(c.slot(), scenario.DemoScheme(c.p, profile.ModelResults, c.kind))
	return !bytes.Equal(evidence.Wire, results.Wire)
}

// otherFormats are Evidence formats that nothing here produces; a profile may be
// able to express only some of them.
var otherFormats = []profile.Format{{ContentFormat: 65000}, {MediaType: "application/vnd.parallaxsecond.key-attestation.tpm"}}

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

func tryNothingOffered(c *circumstance) *attempt {
	if c.p.Rules.OfferAtLeast == 0 || !c.emptyOffer() {
		return nil
	}
	return &attempt{rejects: attls.RoleServer, at: attls.KindClientHello, apply: func(s *scenario.Setup) {
		s.Tap(attls.RoleClient, tamper.Fields(s.Profile, attls.KindClientHello, 0, attls.RoleClient, func(f *profile.Fields) {
			clear(f.Offers)
		}))
	}}
}

// emptyOffer reports whether the grammar allows the slot's list to be empty.
func (c *circumstance) emptyOffer() bool {
	f := c.p.NewFields()
	f.Offered[c.slot()] = true
	_, err := c.p.Encode(attls.KindClientHello, attls.RoleClient, f)
	return err == nil
}

func tryUnwilling(c *circumstance) *attempt {
	if !c.p.Rules.UnwillingAbort {
		return nil
	}
	return &attempt{rejects: attls.RoleServer, at: attls.KindClientHello, apply: func(s *scenario.Setup) {
		s.Ends[attls.RoleServer].Config.Policy = negotiation.Policy{}
	}}
}

// unaware makes an end a plain TLS 1.3 peer.
func unaware(s *scenario.Setup, r attls.Role) {
	s.Ends[r].Config.Profile = nil
	s.Ends[r].Config.Policy = negotiation.Policy{}
}

func tryDemandedByClient(c *circumstance) *attempt {
	if c.s.Attester != scenario.AttestServer {
		return nil
	}
	return &attempt{rejects: attls.RoleClient, at: attls.KindCertificate, apply: func(s *scenario.Setup) {
		s.Ends[attls.RoleClient].Config.Policy.Demand = true
		unaware(s, attls.RoleServer)
	}}
}

func tryDemandedByServer(c *circumstance) *attempt {
	if c.s.Attester != scenario.AttestClient {
		return nil
	}
	return &attempt{rejects: attls.RoleServer, at: attls.KindClientHello, apply: func(s *scenario.Setup) {
		s.Ends[attls.RoleServer].Config.Policy.Demand = true
		unaware(s, attls.RoleClient)
	}}
}

func tryChoiceNone(c *circumstance) *attempt {
	if !c.p.Rules.AnswerNoneAbort {
		return nil
	}
	return &attempt{rejects: attls.RoleClient, at: attls.KindCertificate, apply: func(s *scenario.Setup) {
		s.Ends[attls.RoleClient].Config.Policy.Demand = false
		unaware(s, attls.RoleServer)
	}}
}

func tryChoiceNotOffered(c *circumstance) *attempt {
	i := c.slot()
	at := c.p.Slots[i].Choice.Message
	return &attempt{rejects: attls.RoleClient, at: at, apply: func(s *scenario.Setup) {
		s.Tap(attls.RoleServer, tamper.Fields(s.Profile, at, 0, attls.RoleServer, func(f *profile.Fields) {
			if f.Choices[i] != nil {
				if other, ok := otherScheme(s.Profile, i, *f.Choices[i]); ok {
					f.Choices[i] = &other
				}
			}
		}))
	}}
}

func tryTwoChoices(c *circumstance) *attempt {
	if !c.p.Rules.OnePerAttester || c.s.Attester == scenario.AttestBoth {
		return nil
	}
	first := c.slot()
	second := findSlot(c.p, c.attester, 1-c.model, c.kind)
	if second < 0 || first == second || c.p.Slots[first].Choice.Message != c.p.Slots[second].Choice.Message {
		return nil
	}
	at := attls.KindCertificate // parameters are complete with CertificateRequest, else with Certificate
	if c.attester == attls.RoleClient {
		at = attls.KindCertificateRequest
	}
	return &attempt{rejects: attls.RoleClient, at: at, apply: func(s *scenario.Setup) {
		scheme := s.Scheme(1-c.model, c.kind)
		policy := &s.Ends[attls.RoleClient].Config.Policy
		list := &policy.Accept
		if c.attester == attls.RoleClient {
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

func tryChoiceWithoutRequest(c *circumstance) *attempt {
	i := findSlot(c.p, attls.RoleClient, c.model, c.kind)
	if !c.p.Rules.ClientChoiceNeedsRequest || c.s.Attester != scenario.AttestClient || c.p.Slots[i].Choice.Message == attls.KindCertificateRequest {
		return nil
	}
	return &attempt{rejects: attls.RoleClient, at: attls.KindCertificate, apply: func(s *scenario.Setup) {
		s.Tap(attls.RoleServer, tamper.Drop(attls.KindCertificateRequest))
	}}
}

// tryNotChosen lets a server that attests nothing send a payload all the same.
// Where a wholly unwilling server must abort, it takes part for the client's.
func tryNotChosen(c *circumstance) *attempt {
	row := c.credential()
	serverSlot := findSlot(c.p, attls.RoleServer, c.model, c.kind)
	if row.Carrier != profile.CarrierExtension || serverSlot < 0 {
		return nil
	}
	if (c.p.Rules.UnwillingAbort || c.p.Rules.AnswerNoneAbort) && c.s.Attester != scenario.AttestBoth {
		return nil // a server that attests nothing would end the handshake, or the client
	}
	if want := scenario.AttestServer; !c.p.Rules.AnswerNoneAbort && c.p.Rules.UnwillingAbort && c.s.Attester != scenario.AttestBoth || !c.p.Rules.UnwillingAbort && c.s.Attester != want {
		return nil
	}
	return &attempt{rejects: attls.RoleClient, at: attls.KindCertificate, apply: func(s *scenario.Setup) {
		s.Ends[attls.RoleClient].Config.Policy.Demand = false
		s.Ends[attls.RoleServer].Config.Policy.Produce = nil
		s.Tap(attls.RoleServer, tamper.Certificate(func(m *message.Certificate) {
			f := s.Profile.NewFields()
			f.Payload = oneOctetCMW
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

func tryOfferChanged(c *circumstance) *attempt {
	i := c.slot()
	c.s.HelloRetry = true
	return &attempt{rejects: attls.RoleServer, at: attls.KindClientHello, apply: func(s *scenario.Setup) {
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

func tryMisplaced(c *circumstance) *attempt {
	row := c.credential()
	if !c.firstEntryOnly() {
		return nil
	}
	return &attempt{rejects: c.attester.Peer(), at: attls.KindCertificate, apply: func(s *scenario.Setup) {
		s.Tap(c.attester, tamper.Certificate(func(m *message.Certificate) {
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
func (c *circumstance) firstEntryOnly() bool {
	row := c.credential()
	switch row.Carrier {
	case profile.CarrierCertData:
		return row.Entries == extensions.EntriesFirst
	case profile.CarrierExtension:
		x, ok := c.p.Extension(row.Extension)
		return ok && slices.ContainsFunc(x.Placements, func(l extensions.Placement) bool {
			return l.Message == attls.KindCertificate && l.Entries == extensions.EntriesFirst
		})
	}
	return false
}

func tryMissing(c *circumstance) *attempt {
	row := c.credential()
	relying := c.attester.Peer()
	switch row.Carrier {
	case profile.CarrierExtension:
		return &attempt{rejects: relying, at: attls.KindCertificate, apply: func(s *scenario.Setup) {
			s.Tap(c.attester, tamper.Certificate(func(m *message.Certificate) {
				for i := range m.Entries {
					m.Entries[i].Extensions = tamper.Without(m.Entries[i].Extensions, func(t attls.ExtensionType) bool { return t == row.Extension })
				}
			}))
		}}
	case profile.CarrierMessage:
		return &attempt{rejects: relying, at: attls.KindFinished, apply: func(s *scenario.Setup) { s.Tap(c.attester, tamper.Drop(attls.KindAdded)) }}
	case profile.CarrierCertData:
		if c.attester == attls.RoleClient { // a server must never send an empty Certificate
			return &attempt{rejects: relying, at: attls.KindCertificate, apply: func(s *scenario.Setup) {
				s.Ends[attls.RoleServer].Config.Policy.Demand = true
				s.Tap(c.attester, tamper.Certificate(func(m *message.Certificate) { m.Entries = nil }))
			}}
		}
	}
	return nil
}

// tryNonceSize makes the nonce longer than nonce.receive_at_most, by hand:
// nothing that encodes a profile's fields would send it.
func tryNonceSize(attester attls.Role) func(*circumstance) *attempt {
	return func(c *circumstance) *attempt {
		slot, most := &c.p.Slots[c.slot()], c.p.Rules.NonceReceiveAtMost
		if c.attester != attester || slot.Nonce.Message == attls.KindNone || most == 0 || slot.NonceMax <= most {
			return nil
		}
		return &attempt{rejects: attester, at: slot.Nonce.Message, apply: func(s *scenario.Setup) {
			s.Tap(attester.Peer(), tamper.Fields(s.Profile, slot.Nonce.Message, 0, attester.Peer(), func(f *profile.Fields) {
				f.Nonces[c.slot()] = bytes.Repeat([]byte{7}, most+1)
			}))
		}}
	}
}

// tryNonceMissing needs a challenge that takes the nonce, in an extension that
// carries nothing else.
func tryNonceMissing(attester attls.Role) func(*circumstance) *attempt {
	return func(c *circumstance) *attempt {
		i, name := c.slot(), c.p.Binder.Challenge[c.model][c.kind]
		slot := &c.p.Slots[i]
		if c.attester != attester || c.s.Attester == scenario.AttestBoth || slot.Nonce.Message == attls.KindNone || name == "" || c.p.Rules.NonceFixed != nil {
			return nil
		}
		for k := range c.p.Slots {
			other := &c.p.Slots[k]
			if other.Offer == slot.Nonce || other.Choice == slot.Nonce || k != i && other.Nonce == slot.Nonce {
				return nil
			}
		}
		if _, err := c.p.Binder.Program.Eval(name, c.attester, noNonce{}); err == nil {
			return nil
		}
		return &attempt{rejects: attester, at: attls.KindCertificate, apply: func(s *scenario.Setup) {
			s.Tap(attester.Peer(), tamper.Extensions(slot.Nonce.Message, 0, func(l extensions.List) extensions.List {
				return tamper.Without(l, func(t attls.ExtensionType) bool { return t == slot.Nonce.Extension })
			}))
		}}
	}
}

func tryMalformedExtension(c *circumstance) *attempt {
	return &attempt{rejects: attls.RoleServer, at: attls.KindClientHello, apply: func(s *scenario.Setup) {
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

func tryCertificateType(c *circumstance) *attempt {
	if !c.credential().Negotiated {
		return nil
	}
	return &attempt{rejects: attls.RoleClient, at: attls.KindEncryptedExtensions, apply: func(s *scenario.Setup) {
		s.Tap(attls.RoleServer, tamper.Extensions(attls.KindEncryptedExtensions, 0, func(l extensions.List) extensions.List {
			return tamper.Without(l, func(t attls.ExtensionType) bool {
				return t == attls.ExtServerCertificateType || t == attls.ExtClientCertificateType
			})
		}))
	}}
}

// tryBinderUndefined needs a binder that takes the whole key where only 255
// octets fit: it evaluates the binder on such a key.
func tryBinderUndefined(c *circumstance) *attempt {
	name := c.p.Binder.Challenge[c.model][c.kind]
	if c.kind != profile.KindX509 || name == "" {
		return nil
	}
	if _, err := c.p.Binder.Program.Eval(name, c.attester, largeKey{}); err == nil {
		return nil
	}
	return &attempt{rejects: c.attester, at: attls.KindCertificate, apply: func(s *scenario.Setup) { s.Ends[c.attester].RSA = true }}
}

// tryNonceUnbindable needs a binder with narrower bounds for the nonce than the
// grammar has.
func tryNonceUnbindable(c *circumstance) *attempt {
	name := c.p.Binder.Challenge[c.model][c.kind]
	if c.kind != profile.KindX509 || name == "" || c.s.Attester == scenario.AttestBoth {
		return nil
	}
	slot := &c.p.Slots[c.slot()]
	if most := c.p.Rules.NonceReceiveAtMost; slot.NonceMax < len(unbindable) || most > 0 && most < len(unbindable) {
		return nil
	}
	if _, err := c.p.Binder.Program.Eval(name, c.attester, longNonce{}); err == nil {
		return nil
	}
	return &attempt{rejects: c.attester, at: attls.KindCertificate, apply: func(s *scenario.Setup) {
		s.Tap(c.attester.Peer(), tamper.Fields(s.Profile, slot.Nonce.Message, 0, c.attester.Peer(), func(f *profile.Fields) {
			f.Nonces[c.slot()] = unbindable
		}))
	}}
}

// unbindable is a nonce of more octets than 64.
var unbindable = make([]byte, 65)

func tryKeyUnusable(c *circumstance) *attempt {
	if c.credential().KeyFrom != profile.KeyFromAppraisal {
		return nil
	}
	return lying(c, "key_unusable")
}

func tryVerifierUnreachable(c *circumstance) *attempt {
	relying := c.attester.Peer()
	return &attempt{rejects: relying, at: carrierMessage(c.credential()), apply: func(s *scenario.Setup) {
		end := s.Ends[relying]
		end.Appraiser = unreachable{end.Appraiser}
	}}
}

func tryAttesterUnavailable(c *circumstance) *attempt {
	return &attempt{rejects: c.attester, at: attls.KindCertificate, apply: func(s *scenario.Setup) {
		end := s.Ends[c.attester]
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
func tryAnswerDropped(c *circumstance) *attempt {
	if c.s.Attester != scenario.AttestServer {
		return nil
	}
	slot := &c.p.Slots[c.slot()]
	return &attempt{rejects: attls.RoleClient, at: attls.KindCertificate, apply: func(s *scenario.Setup) {
		s.Tap(attls.RoleServer, tamper.Extensions(slot.Choice.Message, 0, func(l extensions.List) extensions.List {
			return tamper.Without(l, func(t attls.ExtensionType) bool { return t == slot.Choice.Extension })
		}))
	}}
}

// tryUnsolicited needs a list that the client did not send and that is answered
// in an extension of its own.
func tryUnsolicited(c *circumstance) *attempt {
	first := c.slot()
	if c.s.Attester == scenario.AttestBoth || c.p.Rules.OfferEmptyList {
		return nil
	}
	second := slices.IndexFunc(c.p.Slots, func(s profile.Slot) bool {
		return s.Choice.Message == attls.KindEncryptedExtensions && s.Choice.Extension != c.p.Slots[first].Choice.Extension && slices.Contains(s.Kinds, c.kind)
	})
	if second < 0 || c.unsolicited(c.p.Slots[second].Choice) {
		return nil
	}
	scheme, ok := c.p.EncodeScheme(second, scenario.DemoScheme(c.p, c.p.Slots[second].Models[0], c.kind))
	if !ok {
		return nil
	}
	return &attempt{rejects: attls.RoleClient, at: attls.KindEncryptedExtensions, apply: func(s *scenario.Setup) {
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
func (c *circumstance) unsolicited(at profile.Place) bool {
	x, ok := c.p.Extension(at.Extension)
	return ok && slices.ContainsFunc(x.Placements, func(l extensions.Placement) bool { return l.Message == at.Message && l.Unsolicited })
}

func tryCodePoint(c *circumstance) *attempt {
	slot := &c.p.Slots[c.slot()]
	if slot.Choice.Message != attls.KindEncryptedExtensions {
		return nil
	}
	return &attempt{rejects: attls.RoleClient, at: attls.KindEncryptedExtensions, apply: func(s *scenario.Setup) {
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

func tryWrongMessage(c *circumstance) *attempt {
	slot := &c.p.Slots[c.slot()]
	return &attempt{rejects: attls.RoleClient, at: attls.KindServerHello, apply: func(s *scenario.Setup) {
		s.Tap(attls.RoleServer, tamper.Extensions(attls.KindServerHello, 0, func(l extensions.List) extensions.List {
			return append(l, extensions.Extension{Type: slot.Choice.Extension})
		}))
	}}
}

// tryEmptyList encodes what the grammar forbids with its bounds turned off.
func tryEmptyList(c *circumstance) *attempt {
	if c.emptyOffer() {
		return nil
	}
	return &attempt{rejects: attls.RoleServer, at: attls.KindClientHello, apply: func(s *scenario.Setup) {
		s.Tap(attls.RoleClient, tamper.Fields(rule.Without(s.Profile, rule.GrammarBounds), attls.KindClientHello, 0, attls.RoleClient, func(f *profile.Fields) {
			f.Offers[c.slot()] = nil
		}))
	}}
}

func tryShortNonce(c *circumstance) *attempt {
	slot := &c.p.Slots[c.slot()]
	if slot.NonceMin == 0 || slot.NonceMin == slot.NonceMax {
		return nil // no length to shorten, or none that is told
	}
	return &attempt{rejects: c.attester, at: slot.Nonce.Message, apply: func(s *scenario.Setup) {
		s.Tap(c.attester.Peer(), tamper.Fields(rule.Without(s.Profile, rule.GrammarBounds), slot.Nonce.Message, 0, c.attester.Peer(), func(f *profile.Fields) {
			f.Nonces[c.slot()] = bytes.Repeat([]byte{7}, slot.NonceMin-1)
		}))
	}}
}

func trySecondEntry(c *circumstance) *attempt {
	if c.credential().Carrier != profile.CarrierExtension || !c.firstEntryOnly() {
		return nil
	}
	return &attempt{rejects: c.attester.Peer(), at: attls.KindCertificate, apply: func(s *scenario.Setup) {
		s.Tap(c.attester, tamper.Certificate(func(m *message.Certificate) {
			if len(m.Entries) == 1 {
				m.Entries = append(m.Entries, m.Entries[0])
			}
			m.Entries[1].Extensions = m.Entries[0].Extensions
		}))
	}}
}

// addedMessage is a message of a profile with a payload that nobody appraises.
func addedMessage(p *profile.Profile, index int, sender attls.Role) []byte {
	f := p.NewFields()
	f.Payload = oneOctetCMW
	body, err := p.EncodeMessage(index, sender, f)
	if err != nil {
		return nil
	}
	b, mark := message.Begin(nil, p.Messages[index].Type)
	return message.End(append(b, body...), mark)
}

// oneOctetCMW is a CMW of one octet.
var oneOctetCMW = []byte{0x82, 0x19, 0x01, 0x07, 0x41, 0x00}

func tryMessageEarly(c *circumstance) *attempt {
	row := c.credential()
	if row.Carrier != profile.CarrierMessage {
		return nil
	}
	return &attempt{rejects: c.attester.Peer(), at: attls.KindAdded, apply: func(s *scenario.Setup) {
		s.Tap(c.attester, tamper.Messages(func(m *message.Raw, _ int, p *handshake.Plan) {
			switch m.Kind {
			case attls.KindCertificateVerify:
				p.Before = [][]byte{addedMessage(s.Profile, row.Message, c.attester)}
			case attls.KindAdded:
				p.Drop = true
			}
		}))
	}}
}

func tryMessageUnasked(c *circumstance) *attempt {
	row := c.credential()
	if row.Carrier != profile.CarrierMessage || c.s.Attester != scenario.AttestClient {
		return nil
	}
	return &attempt{rejects: attls.RoleClient, at: attls.KindAdded, apply: func(s *scenario.Setup) {
		s.Tap(attls.RoleServer, tamper.Messages(func(m *message.Raw, _ int, p *handshake.Plan) {
			if m.Kind == attls.KindCertificateVerify {
				p.After = [][]byte{addedMessage(s.Profile, row.Message, attls.RoleServer)}
			}
		}))
	}}
}

func tryKeyType(c *circumstance) *attempt {
	row := c.credential()
	if row.KeyFrom != profile.KeyFromAppraisal || len(row.Keys) == 0 || slices.Contains(row.Keys, "secp384r1") {
		return nil
	}
	return lying(c, "key-type")
}

func tryVerdictKey(c *circumstance) *attempt {
	if c.credential().KeyFrom != profile.KeyFromX509 {
		return nil
	}
	return lying(c, "verdict-key")
}

func tryVerdict(lie string) func(*circumstance) *attempt {
	return func(c *circumstance) *attempt { return lying(c, lie) }
}

// lies are the faults that lie in what the rejecting end's own Appraiser says.
var lies = map[string]func(*negotiation.Verdict){
	"key_unusable": func(v *negotiation.Verdict) { v.SPKI = []byte{0x30, 0x00} },
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
	change, ok := lies[name]
	if !ok {
		return nil, fmt.Errorf("no lie is called %q; there are %s", name, strings.Join(Lies(), ", "))
	}
	return changedVerdict{a, change}, nil
}

func lying(c *circumstance, name string) *attempt {
	relying := c.attester.Peer()
	return &attempt{rejects: relying, at: carrierMessage(c.credential()), apply: func(s *scenario.Setup) {
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
