package campaign

import (
	"bytes"
	"crypto/cipher"
	"iter"
	"slices"
	"sync"

	"attls"
	"attls/conformance/cases"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/internal/rule"
)

// Plant is a bug that is planted in the honest end.
type Plant struct {
	Name    string
	Profile string // under which; "" is TLS 1.3
	Role    attls.Role
	Text    string // says what the bug is
	Hidden  string // why no peer can see it; "": a peer can
	// Readings are those of the profile's text under which the rule holds.
	Readings map[string]string

	rule rule.Rule // not enforced
	// scenario is that of the case which shows the bug, without what is done in it.
	scenario scenario.Scenario

	// after says that it shows in exported authenticators alone.
	after bool

	tap      handshake.Tap                             // plants it in front of the engine
	provider func(provider.Provider) provider.Provider // or in its cryptography
}

// ends are those that obey rules whose cases only observe, and so name no end.
var ends = map[rule.Rule]attls.Role{
	rule.OfferProducible: attls.RoleClient, rule.OfferAppraisable: attls.RoleClient,
	rule.OfferOmitsEmpty: attls.RoleClient,
	rule.OfferOrder:      attls.RoleClient, rule.OfferAtLeast: attls.RoleClient,
	rule.OfferNeedsCertificate: attls.RoleClient,
	rule.OfferFirst:            attls.RoleClient, rule.KeyAttested: attls.RoleServer, rule.ChooseNull: attls.RoleServer,
	rule.ChooseAnswered: attls.RoleServer, rule.ChooseCommon: attls.RoleServer, rule.ChooseOrder: attls.RoleServer,
	rule.ChooseWanted: attls.RoleServer, rule.RequestSent: attls.RoleServer, rule.CredentialSent: attls.RoleServer,
	rule.CredentialPlaced: attls.RoleServer, rule.EvidenceBound: attls.RoleServer, rule.BinderFormula: attls.RoleServer,
	rule.RestrictedAnswer: attls.RoleServer, rule.SignatureRaw: attls.RoleServer, rule.NeverSent: attls.RoleServer,
	rule.NoCCS: attls.RoleServer, rule.OneMessage: attls.RoleServer, rule.Padded: attls.RoleServer,
	rule.NameUnanswered: attls.RoleServer, rule.TypeRepeated: attls.RoleServer,
}

// hidden are the rules that no peer can see broken, with the reasons.
var hidden = map[rule.Rule]string{
	rule.OfferProducible:       "what an end could attest with is its own affair until it is chosen",
	rule.OfferAppraisable:      "what an end could have appraised is its own affair",
	rule.OfferOrder:            "the order of preference is the end's own",
	rule.OfferAtLeast:          "the engine is made from a policy that has too little to offer",
	rule.OfferNeedsCertificate: "whether a client will have a certificate is its own affair",
	rule.ExporterApart:         "a name of the interface, not of the protocol",
	rule.ResumptionDue:         "depends on the clock of the end that holds the session",
	rule.ResumptionScheme:      "depends on a policy that changed after the first connection",
	rule.TicketBounded:         "depends on the clock of the end that issues the ticket",
	rule.ResumptionExternal:    "needs an external key that both ends hold, which no connection of the campaign has",
	rule.VerdictNeeded:         "depends on a Verifier that does not answer, not on the peer",
	rule.VerdictAccepts:        "depends on the status of a verdict, not on the peer",
	rule.DemandByClient:        "the rule on an unanswered offer refuses the same with the same alert",
}

// preferred are the profiles under which a rule is planted, the first that has it.
var preferred = []string{"", "early-attestation-06", "tls-attestation-07", "mbedtls-poc", "deployed-cmc",
	"deployed-privasys-v2"}

// Plants lists one bug for each rule that attls spec --prove can turn off in a
// connection, under the first profile that has a case of it, and those that are not rules.
// From the table of cases it takes where a rule holds and which end obeys it.
func Plants() ([]Plant, error) {
	list, err := plants()
	return slices.Clone(list), err
}

// plants reads the table of cases of every profile, once.
var plants = sync.OnceValues(func() (list []Plant, err error) {
	for p, err := range planting() {
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return append(append(list, others()...), proofPlants()...), nil
})

// planting reads the table of cases, one profile after the other, which takes seconds for all.
func planting() iter.Seq2[Plant, error] {
	return func(yield func(Plant, error) bool) {
		have := map[rule.Rule]bool{}
		for _, name := range append(append([]string{}, preferred...), profile.Names()...) {
			var p *profile.Profile
			if name != "" {
				var err error
				if p, err = profile.Load(name, profile.Options{}); err != nil {
					yield(Plant{}, err)
					return
				}
			}
			all := cases.All().Cases(p)
			for i := range all {
				plant, ok := plantOf(&all[i], name, have)
				if ok && !yield(plant, nil) {
					return
				}
			}
		}
	}
}

// updating is the profile under which bugs of attestation with key updates are planted: there all
// that an update has is in its own messages, which is what the edits and the laws of updates know.
const updating = "early-attestation-08pre"

// updateRules are the rules that more profiles have.
var updateRules = []rule.Rule{rule.UpdateAttested, rule.UpdatePayloadDue}

// plantOf is the bug of a case, unless there is one of its rule.
func plantOf(c *cases.Case, name string, have map[rule.Rule]bool) (Plant, bool) {
	r := rule.Rule(c.Rule)
	if r == "" || have[r] || len(c.Rule) > 13 && c.Rule[:13] == "authenticator" {
		return Plant{}, false
	}
	if slices.Contains(updateRules, r) && name != updating {
		return Plant{}, false
	}
	role, ok := ends[r]
	switch {
	case c.Rejects != "":
		role, ok = roleOf(c.Rejects), true
	case c.Takes != "":
		role, ok = roleOf(c.Takes), true
	}
	if !ok && hidden[r] == "" {
		return Plant{}, false
	}
	have[r] = true
	where := c.Scenario
	where.Fail = ""
	return Plant{Name: c.Rule, Profile: name, Role: role, rule: r, scenario: where, Hidden: hidden[r],
		Readings: where.Readings,
		Text:     "the rule " + c.Rule + " is not enforced"}, true
}

func roleOf(name string) attls.Role {
	if name == attls.RoleServer.String() {
		return attls.RoleServer
	}
	return attls.RoleClient
}

// others are bugs that are not rules.
func others() []Plant {
	return []Plant{
		{Name: "padding-255", Role: attls.RoleClient, Text: "a record with more than 255 octets of padding is refused",
			provider: func(p provider.Provider) provider.Provider { return shortPadding{p} }},
		{Name: "padding-whole", Role: attls.RoleClient, Text: "a record of padding alone keeps its first octet",
			Hidden: "the record is refused with the same alert either way"},
		{Name: "key-shares-33", Role: attls.RoleServer, Text: "the thirty-third key share ends the program",
			tap: sharesTap{}},
	}
}

// sharesTap plants a panic at the thirty-third key share.
type sharesTap struct{ handshake.NopTap }

func (t sharesTap) Fork() handshake.Tap { return t }

func (sharesTap) Message(d handshake.Direction, m *message.Raw, _ *handshake.Plan) {
	if d != handshake.Received || m.Kind != attls.KindClientHello {
		return
	}
	x := &seen{kind: m.Kind, raw: m.Bytes}
	x.entries, x.parsed = extensionsOf(x.body(), x.kind)
	if len(shares(x)) >= 33 {
		panic("index out of range [32] with length 32")
	}
}

// shortPadding plants a reader of records that removes at most 255 octets of padding and
// takes the next one for the content type.
type shortPadding struct{ provider.Provider }

func (p shortPadding) Suite(id attls.CipherSuite) (*provider.Suite, bool) {
	s, ok := p.Provider.Suite(id)
	if !ok {
		return nil, false
	}
	c := *s
	c.AEAD = func(key []byte) (cipher.AEAD, error) {
		a, err := s.AEAD(key)
		return shortPaddingAEAD{a}, err
	}
	return &c, true
}

type shortPaddingAEAD struct{ cipher.AEAD }

func (a shortPaddingAEAD) Open(dst, nonce, sealed, ad []byte) ([]byte, error) {
	plain, err := a.AEAD.Open(dst, nonce, sealed, ad)
	if padding := len(plain) - len(bytes.TrimRight(plain, "\x00")); err == nil && padding > 255 {
		plain[len(plain)-1] = 0x7f // no content type
	}
	return plain, err
}
