// Package profile loads, checks and compiles draft profiles, and holds them in
// the form that the engine reads.
//
// A profile is one YAML file that makes a draft revision data: structures in
// TLS presentation language, code points, placement, rules with their
// parameters, the binder, alerts, and the meaning that ties wire fields to the
// engine's fixed vocabulary (offer, choice, nonce, payload). The engine reads
// the compiled Profile only; it knows no revision by name.
package profile

import (
	"slices"

	"attls"
	"attls/extensions"
	"attls/extensions/profile/binder"
	"attls/extensions/schema"
	"attls/internal/rule"
)

// Model is one of the two models of RFC 9334 section 5.
type Model uint8

// The models, by what the attester hands over.
const (
	ModelEvidence Model = iota // background-check model: Evidence
	ModelResults               // passport model: Attestation Results
)

func (m Model) String() string {
	if m == ModelResults {
		return "results"
	}
	return "evidence"
}

// CredentialKind says whether the payload accompanies an X.509 certificate.
type CredentialKind uint8

// The kinds of credential.
const (
	KindAlone CredentialKind = iota // the CMW replaces the certificate
	KindX509                        // the CMW accompanies an X.509 certificate
)

func (k CredentialKind) String() string {
	if k == KindX509 {
		return "x509"
	}
	return "alone"
}

// Format names what a CMW contains: a CoAP content format or a media type.
// MediaType is empty for a content format.
type Format struct {
	ContentFormat uint16
	MediaType     string
}

// Scheme is one element of an attestation list in the words of policy.
type Scheme struct {
	Model      Model
	Credential CredentialKind
	Format     Format // of the Evidence
	Verifier   []byte // of the Attestation Results (verifier_identity)
	Wire       []byte // the element as sent; set by decoding and by Profile.EncodeScheme
}

// AddedMessage is a handshake message that a profile adds, in a place of Gaps. It is
// sent whenever it has something to say: the payload of an attester whose scheme was
// chosen, a choice, or a nonce.
type AddedMessage struct {
	Name   string
	Type   attls.HandshakeType
	After  attls.MessageKind // KindNone: Before says it alone
	Before attls.MessageKind // KindNone: After says it alone
	At     [2]binder.Point   // by the sender; PointNone: this end does not send it
	Later  binder.Point      // in post-handshake authentication; PointNone: not there
}

// Slot is one attester role and one list: where schemes are offered, where one
// is chosen, and where the nonce for it travels.
type Slot struct {
	Name         string
	Attester     attls.Role
	Offer        Place
	Choice       Place
	Nonce        Place      // Message is KindNone where the slot has no nonce
	NonceField   NonceField // how it is written, where the field is an RFC's
	NoncePath    string     // message.extension.field of the nonce, as the profile says it
	NonceMin     int        // bounds of the grammar, octets
	NonceMax     int
	NonceDefault int          // octets requested from a nonce source that does not say how many it wants
	nonceAt      binder.Point // of a nonce in an added message
	Models       []Model
	Kinds        []CredentialKind
	// Always says that nothing is offered or chosen: the attester attests in every handshake
	// in which it shows a certificate, and, where the slot has a nonce, was sent one.
	Always bool
	// Flagged says that a flag negotiates the one model and credential of the slot: FlagValue
	// in a field, or, where that is empty, the presence of the extension. Choice repeats it.
	Flagged   bool
	FlagValue []byte
	// PostHandshake says that the slot is of post-handshake authentication, and nobody attests
	// in it in the handshake.
	PostHandshake bool
	Apart         bool     // the payload travels in Own, not where those of its kind do
	Own           Carriage // with Apart
}

// Unoffered reports whether the client offers nothing of the slot: it attests when it shows a
// certificate, or when a request asks for it.
func (s *Slot) Unoffered() bool {
	return s.Always || s.PostHandshake && s.Offer.Message == attls.KindNone
}

// Place is a message and the extension in it that holds a field. For KindAdded it
// is the message Profile.Messages[Added].
type Place struct {
	Message   attls.MessageKind
	Extension attls.ExtensionType
	Random    bool // the field is random of ClientHello, and Extension says nothing
	Added     int
}

// Carrier says where the payload of a credential kind travels.
type Carrier uint8

// The carriers.
const (
	CarrierCertData    Carrier = iota // cert_data of the CertificateEntry
	CarrierExtension                  // an extension of a CertificateEntry
	CarrierMessage                    // an added handshake message
	CarrierCertificate                // a field of the end-entity certificate
	CarrierFrame                      // a frame of the application
)

// Carriage is where a payload travels, and how much room it has there.
type Carriage struct {
	Carrier    Carrier
	Extension  attls.ExtensionType // CarrierExtension
	Message    int                 // CarrierMessage: index into Profile.Messages
	Path       string              // of the field in it
	Field      int                 // CarrierCertificate: index into Profile.X509
	MaxPayload int                 // octets; the tightest bound around the field
}

// Same reports whether two payloads travel in one field.
func (c *Carriage) Same(o *Carriage) bool {
	return c.Carrier == o.Carrier && c.Extension == o.Extension && c.Message == o.Message && c.Path == o.Path &&
		c.Field == o.Field
}

// KeySource says where the key that verifies CertificateVerify comes from.
type KeySource uint8

// The sources of the key.
const (
	KeyFromX509      KeySource = iota // the end-entity certificate
	KeyFromAppraisal                  // the Verdict of the appraisal
)

// Credential is one credential kind that a profile allows.
type Credential struct {
	Kind CredentialKind
	Carriage
	Entries         extensions.Entries // KindAlone: EntriesFirst means exactly one entry
	CertificateType attls.CertificateType
	Negotiated      bool // RFC 7250 extensions must agree on the type as well
	KeyFrom         KeySource
	PKIX            bool     // X.509 path validation is required
	EmptyContext    bool     // certificate_request_context is sent empty whatever was asked
	Keys            []string // permitted keys: secp256r1, secp384r1, …; empty: any
}

// NoSchemeScope says over what a failure to agree is counted.
type NoSchemeScope uint8

// What has to fail before the handshake has no scheme: one slot, all slots of a model, or all.
const (
	ScopeSlot NoSchemeScope = iota
	ScopeModel
	ScopeAll
)

// NoSchemeThen says what a server does when nothing is in common.
type NoSchemeThen uint8

// A server ends the handshake, leaves its answer out, or sends an answer that chooses nothing.
const (
	ThenAbort NoSchemeThen = iota
	ThenOmit
	ThenNullChoice
)

// FormatMatch says how the type inside a CMW is held against the chosen format.
type FormatMatch uint8

// The type has to be equal to the chosen format, may have more parameters, or is not looked at.
const (
	MatchEqual FormatMatch = iota
	MatchWithParameters
	MatchIgnore
)

// VerdictBefore says how far a relying party goes without a verdict.
type VerdictBefore uint8

// The messages before which the verdict has to be there.
const (
	BeforeCertificateVerify VerdictBefore = iota
	BeforeFinished
	BeforeApplicationData
	BeforeNothing // the verdict is an application event
)

// Rules are the parameters of the rules that package negotiation implements.
type Rules struct {
	OfferEmptyList           bool // offer.when_empty: empty_list (else omit)
	OfferAtLeast             int  // schemes over all slots
	ClientSlotsNeedCert      bool
	OfferFirst               *Scheme // must be first in the client's list
	ServerOrder              bool    // choose.order: server's preference decides
	OnePerAttester           bool    // choose.per_attester: 1
	NoScheme                 NoSchemeScope
	NoSchemeThen             NoSchemeThen
	NullChoice               *Scheme // answered under ThenNullChoice
	UnwillingAbort           bool
	AnswerNoneAbort          bool
	ClientChoiceNeedsRequest bool
	Match                    FormatMatch
	Verdict                  VerdictBefore
	NonceReceiveAtMost       int    // octets; 0: the grammar's bound
	NonceFixed               []byte // nonce.default: sent instead of a fresh one
}

// ChallengeFit says how a challenge enters a field of another size.
type ChallengeFit uint8

// The ways to make a challenge fit: zero octets at an end, its SHA-512 digest, or not at all.
const (
	FitPadRight ChallengeFit = iota // value first, zero octets after
	FitPadLeft
	FitSHA512
	FitExact // no change allowed
)

// Claim is a value that Evidence carries besides the challenge.
type Claim struct {
	Name        string // tik_pub, tik_pub_hash
	Expr        string // name of the binder expression
	InChallenge bool   // implied by the challenge; not a separate claim
}

// BinderRules tie the binder program to the attestation.
type BinderRules struct {
	Program *binder.Program
	// Challenge[model][kind] names the expression whose value is handed to the
	// Attester and expected by the Appraiser; "" when nothing is.
	Challenge [2][2]string
	Claims    []Claim
	Fit       ChallengeFit
	HandOver  []string          // expressions handed to the Appraiser by value
	Exporters map[string]string // exporter name -> expression of its secret
	// PostHandshake is the program of post-handshake authentication; nil when it
	// is Program.
	PostHandshake *binder.Program
	// KeyUpdate is the program of attestation with an Extended Key Update; nil when it is
	// Program.
	KeyUpdate *binder.Program
	// Authenticator[model] names the expression of exported authenticators, likewise.
	Authenticator [2]string
}

// OverKey reports whether the challenge of a model and a credential is computed over
// the attester's key: from the key itself, from its certificate, or from a transcript
// that has its Certificate message. Evidence that carries such a challenge is tied to
// the key, whether it names one or not.
func (b *BinderRules) OverKey(m Model, k CredentialKind, attester attls.Role) bool {
	name := b.Challenge[m][k]
	if b.Program == nil || name == "" {
		return false
	}
	d := b.Program.Depends(name, attester)
	certificate := binder.PointServerCT
	if attester == attls.RoleClient {
		certificate = binder.PointClientCT
	}
	for _, r := range d.Ranges {
		// The certificate of post-handshake authentication comes after all of these.
		if r.End < binder.PointPostHandshakeCR && (r.End > certificate || r.End == certificate && !r.Exclusive) {
			return true
		}
	}
	exported := attester == attls.RoleServer && slices.Contains(d.Secrets, binder.ExporterSecret)
	return d.Key || exported
}

// OverKeyLater is OverKey for exported authenticators.
func (b *BinderRules) OverKeyLater(m Model, attester attls.Role) bool {
	return b.Program != nil && b.Authenticator[m] != "" && b.Program.Depends(b.Authenticator[m], attester).Key
}

// AlertAction is what a failure does to the connection.
type AlertAction struct {
	Alert attls.AlertDescription
	None  bool // go on as if nothing had happened
	Close bool // close without an alert
}

// SignatureEncoding is how an ECDSA signature is encoded in CertificateVerify.
type SignatureEncoding uint8

// The encodings: ECDSA-Sig-Value of RFC 8446 section 4.2.3, or what some programs send instead.
const (
	SignatureDER SignatureEncoding = iota
	SignatureRaw                   // r and s, each of the order's length
)

// Quirks are general switches of the engine that a profile turns.
type Quirks struct {
	SignatureEncoding           [2]SignatureEncoding // by the role of the signer
	SignatureSchemes            [2][]attls.SignatureScheme
	NoCCS                       bool // never send change_cipher_spec
	NeverFragment               bool // one handshake message never spans records
	MessagesPerRecord           int  // 0: as many as fit
	PadTo                       int  // TLSInnerPlaintext padded to a multiple
	RetainHandshakeReadKey      bool
	AcceptPlaintextAlerts       bool // also a server's, between its ServerHello and its first protected record
	NeverSend                   []attls.MessageKind
	EncryptedExtensionsOnly     []attls.ExtensionType // nil: no restriction
	RestrictEncryptedExtensions bool
	EmptySessionID              bool
	AcceptNewRandom             bool // in a second ClientHello, against RFC 8446 section 4.1.2
	AcceptReorderedHello        bool // likewise
}

// Resumption are the rules of `after.resumption`.
type Resumption struct {
	Accept      string // policy, unless_due, within_validity, never
	Refused     string // full_handshake, abort
	Tickets     string // allow, within_validity, never
	EarlyData   string // allow, within_validity, never
	Received    string // keep, discard
	ExternalPSK bool   // an external PSK alone may start a connection
}

// PostHandshake are the rules of `after.post_handshake`.
type PostHandshake struct {
	ClientAuthentication bool // a client attests in post-handshake authentication
	ChoiceCarriedOver    bool // the scheme of the handshake holds; else CertificateRequest chooses again
}

// Reading is one ambiguity of a text and the reading in force.
type Reading struct {
	Switch  string
	AMB     string // the ambiguity's id
	Chosen  string
	Default string
	Options []string
	Why     string // why the default is the default
}

// Profile is a compiled profile; it is immutable and safe to share.
type Profile struct {
	ID               string
	DraftName        string
	Revision         string
	Date             string
	Status           string
	Note             string
	Extensions       []extensions.Row
	Messages         []AddedMessage
	X509             []CertificateField // of the attester's end-entity certificate
	Slots            []Slot
	Credentials      []Credential
	Rules            Rules
	Binder           BinderRules
	Alerts           map[attls.Failure]AlertAction
	AlertNames       map[attls.AlertDescription]string
	CertificateTypes map[attls.CertificateType]string
	Resumption       Resumption
	PostHandshake    PostHandshake
	Quirks           Quirks
	Readings         []Reading
	// Later are the slots of exported authenticators, with the extensions that appear there
	// alone, and Authenticator their rules.
	Later           []LaterSlot
	LaterExtensions []extensions.Row
	Authenticator   AuthenticatorRules
	// Objects are what frames contain, and what is around payloads; Frames are those of the
	// application, in the order of the exchange, and Exchange their rules.
	Objects  []Object
	Frames   []Frame
	Exchange ExchangeRules
	// Updates are the slots in which an end attests with each Extended Key Update, KeyUpdates
	// the subtypes of its message that the profile adds, and KeyUpdate their rules.
	Updates    []UpdateSlot
	KeyUpdates []UpdateMessage
	KeyUpdate  UpdateRules

	// Warnings are what the loader found and did not refuse.
	Warnings schema.Problems
	// Flaws are the defects of the text that the profile acknowledges.
	Flaws []Flaw

	remarks schema.Problems // for Lint
	dead    [][]string      // keys that are inherited and that a change left without effect
	unused  []*value        // items of inherited lists, likewise

	doc     *value // with its bases merged in
	settled *value // the same without switches
	codec   codecs // the compiled structures
	later   *codec // those of exported authenticators; nil: there are none

	off rule.Rule // not enforced; see without
}

// Source is the profile's document with its bases merged in, as YAML; it loads
// to the same profile.
func (p *Profile) Source() string {
	whole := p.doc.withoutDead()
	whole.remove("base") // or its null readings would delete those of the base
	return whole.print()
}

// Fields is what the profile's extensions (or added message) of one handshake
// message mean. The slices are indexed like Profile.Slots.
type Fields struct {
	Offered []bool // the slot's list is (to be) present
	Offers  [][]Scheme
	Choices []*Scheme
	Nonces  [][]byte
	Payload []byte // of the slots that share the field of their credential kind
	// Payloads are those of slots with a field of their own.
	Payloads [][]byte
}

// PayloadOf is the payload of a slot, wherever the profile puts it.
func (p *Profile) PayloadOf(slot int, f *Fields) []byte {
	if p.Slots[slot].Apart {
		return f.Payloads[slot]
	}
	return f.Payload
}

// SetPayload puts the payload of a slot where the profile has it.
func (p *Profile) SetPayload(slot int, f *Fields, payload []byte) {
	if p.Slots[slot].Apart {
		f.Payloads[slot] = payload
	} else {
		f.Payload = payload
	}
}

// NewFields returns Fields with room for every slot.
func (p *Profile) NewFields() *Fields {
	const usual = 4 // slots
	n := len(p.Slots)
	if n > usual {
		return &Fields{Offered: make([]bool, n), Offers: make([][]Scheme, n), Choices: make([]*Scheme, n),
			Nonces: make([][]byte, n), Payloads: make([][]byte, n)}
	}
	room := &struct { // all in one piece
		Fields
		offered  [usual]bool
		offers   [usual][]Scheme
		choices  [usual]*Scheme
		nonces   [usual][]byte
		payloads [usual][]byte
	}{}
	room.Fields = Fields{Offered: room.offered[:n:n], Offers: room.offers[:n:n], Choices: room.choices[:n:n],
		Nonces: room.nonces[:n:n], Payloads: room.payloads[:n:n]}
	return &room.Fields
}

// RawExtension is an extension with its body.
type RawExtension struct {
	Type attls.ExtensionType
	Body []byte
}
