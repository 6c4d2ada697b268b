package handshake

import (
	"io"
	"slices"
	"sync"

	"attls"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/internal/rule"
	"attls/negotiation"
	"attls/record"
)

// ClientAuthentication is a server's wish for a client's certificate.
type ClientAuthentication uint8

const (
	NoClientCertificate       ClientAuthentication = iota // no CertificateRequest
	OptionalClientCertificate                             // an empty Certificate is accepted
	RequireClientCertificate                              // an empty Certificate is certificate_required
)

// Retry is a server's policy on HelloRetryRequest.
type Retry struct {
	// Always asks for a second ClientHello even when a usable share was sent:
	// a group is then named only if one without a share is in common, and a
	// cookie is sent otherwise (RFC 8446 section 4.1.4 requires a change).
	Always bool
	// Cookie adds a cookie to every HelloRetryRequest.
	Cookie bool
	// Preferred asks for our first group in common even when a share of another
	// was sent.
	Preferred bool
	// Secrets make the cookie carry what the server would otherwise keep, so that
	// any server with one of them can take the second ClientHello; every
	// HelloRetryRequest then has a cookie. The first secret protects new cookies.
	// A cookie is good for as long as its secret is among them.
	Secrets [][32]byte
	// CookieSize is the length of a cookie in octets. 0: 32.
	CookieSize uint16
}

// maxCookie keeps a cookie within one record.
const maxCookie = 1 << 14

// maxTickets bounds the tickets after one handshake.
const maxTickets = 64

func (r *Retry) cookieSize() int {
	if r.CookieSize == 0 {
		return 32
	}
	return int(r.CookieSize)
}

// Config configures engines. It is not changed after the first engine was made
// from it and may be shared. The zero value is usable for a client that offers
// the defaults below.
type Config struct {
	// Random supplies every random octet. Nil: SystemRandom.
	Random Random
	// ServerName is sent as server_name and given to the CertificateVerdict
	// wait, both without the dot at the end of an absolute name. A name outside
	// ASCII is given as A-labels (RFC 5890). Empty, or an IP address: the extension
	// is not sent.
	ServerName string
	// ALPN lists protocols in order of preference. Empty: not negotiated.
	ALPN []string
	// CipherSuites in order of preference. Nil: AES-128-GCM, AES-256-GCM, ChaCha20-Poly1305.
	CipherSuites []attls.CipherSuite
	// ClientSuites lets a server take the first of the client's cipher suites
	// that it has enabled, not the first of its own.
	ClientSuites bool
	// Groups in order of preference. Nil: x25519, X25519MLKEM768, secp256r1, secp384r1, secp521r1.
	Groups []attls.NamedGroup
	// KeyShares are the groups for which a client sends a share at once; they are
	// sent in the order of Groups. Nil: the group of the session that is offered
	// first, so that the server need not ask for another share and early data can
	// be accepted (RFC 8446 section 4.2.10), and without a session, or when its
	// group is not among Groups, the first of Groups. An empty non-nil slice sends
	// none and so asks for a HelloRetryRequest.
	KeyShares []attls.NamedGroup
	// SignatureSchemes are accepted in the peer's CertificateVerify. Nil: every
	// scheme implemented, ECDSA first.
	SignatureSchemes []attls.SignatureScheme
	// SignatureSchemesCert are accepted in certificates. Nil: the extension is not sent.
	SignatureSchemesCert []attls.SignatureScheme
	// CertificateAuthorities are DER distinguished names. Nil: not sent.
	CertificateAuthorities [][]byte
	// ServerCertificateTypes and ClientCertificateTypes are the types of
	// certificates (RFC 7250) that an end can show, or takes from the other, in
	// order of preference. Nil: X.509. Types that a profile adds are added by
	// themselves.
	ServerCertificateTypes, ClientCertificateTypes []attls.CertificateType
	// RequestOCSP and RequestSCT ask the peer for an OCSP response and for signed
	// certificate timestamps beside its certificate.
	RequestOCSP, RequestSCT bool
	// CertificateCompression are the algorithms for certificates (RFC 8879), both
	// ways, in order of preference. Nil: none.
	CertificateCompression []CertificateCompressor
	// ClientAuthentication is a server's. A profile under which a client is to
	// attest raises NoClientCertificate to OptionalClientCertificate.
	ClientAuthentication ClientAuthentication
	// PostHandshakeAuthentication lets a client be asked for a certificate after
	// the handshake, and a server ask (RFC 8446 section 4.6.2).
	PostHandshakeAuthentication bool
	// RecordSizeLimit is the largest protected record accepted, content type
	// octet included (RFC 8449). Early data, which a client sends before it knows a
	// server's limit, may come in records of any size. 0: the extension is not sent.
	RecordSizeLimit uint16
	// NoMiddleboxCompatibility turns off the session id and the dummy
	// change_cipher_spec of RFC 8446 appendix D.4.
	NoMiddleboxCompatibility bool
	// MaxFragment bounds the content of the records that are sent, in octets. 0: 16384.
	MaxFragment int
	// MessagesPerRecord bounds how many handshake messages share a record. 0: as
	// many as fit.
	MessagesPerRecord int
	// PadTo pads TLSInnerPlaintext to a multiple of so many octets. 0: no padding.
	PadTo int
	// Retry is a server's policy on HelloRetryRequest.
	Retry Retry
	// AcknowledgeServerName makes a server answer server_name in
	// EncryptedExtensions, except where it resumes a session (RFC 6066 section 3).
	// A client takes the answer in both.
	AcknowledgeServerName bool
	// AcceptReorderedHello makes a server accept a second ClientHello that has the
	// extensions of the first in another order, as wolfSSL sends it; RFC 8446
	// section 4.1.2 has it unchanged.
	AcceptReorderedHello bool
	// AnnounceGroups makes a server list its groups in EncryptedExtensions
	// (RFC 8446 section 4.2.7).
	AnnounceGroups bool
	// PadClientHello brings a ClientHello of 256 to 511 octets to 512 with the
	// padding extension, as RFC 7685 section 3 wants for servers that hang on such a one.
	PadClientHello bool
	// GREASE puts reserved values (RFC 8701) among what a client offers, and an
	// extension of such a type into the tickets of a server.
	GREASE bool
	// ExtensionOrder lists extension types in the order in which they are to
	// stand in every message that this end sends; others follow.
	ExtensionOrder []attls.ExtensionType
	// ExtraExtensions are sent as they are, by a client in ClientHello and by a
	// server in EncryptedExtensions. One of a type that the engine sends itself
	// takes the place of the engine's.
	ExtraExtensions []profile.RawExtension
	// PSK lets a client ask for pre-shared keys to offer, and a server for the
	// key behind one that is offered (the PSK wait). It is also what makes
	// sessions of tickets, and tickets of sessions. False: neither.
	PSK bool
	// PSKModes are the modes of key exchange that go with a pre-shared key, in
	// order of preference. Nil: psk_dhe_ke.
	PSKModes []attls.PSKKeyExchangeMode
	// Tickets is how many tickets a server with PSK issues after a handshake.
	Tickets int
	// MaxEarlyData is how many octets of 0-RTT data a client may send, and how
	// many a server announces in its tickets and takes. Of early data that it
	// rejects, a server skips as many; a client that sends more has broken RFC 8446
	// section 4.2.10. A server's Conn keeps what it takes until the handshake is
	// complete. Early data can be replayed. 0: none is announced or taken, and what
	// fits in one record of 16384 octets is skipped.
	MaxEarlyData uint32
	// Limits bound what a peer can make us hold.
	Limits record.Settings
	// MaxCertificates bounds the entries of a Certificate message; more end the
	// connection with internal_error, as the peer has broken no rule. 0: 100.
	MaxCertificates int

	// Profile adds a draft's extensions, messages and rules. Nil: none.
	Profile *profile.Profile
	// Policy says what this end can attest with and have appraised.
	Policy negotiation.Policy
	// CanAuthenticate says that the Credential wait will yield a certificate;
	// a client that offers to attest beside one needs it.
	CanAuthenticate bool
	// AttesterSize and AppraiserSize are the lengths, in octets, that the
	// challenge fields of our Attester and of the peer's (as our Appraiser
	// knows it) want. 0: no wish.
	AttesterSize, AppraiserSize int

	// KeyLog receives the secrets of every Conn in the NSS key log format (RFC
	// 9850), a line at a time, for tools that decrypt recordings. Whoever reads
	// them reads the connection. Nil: none.
	KeyLog io.Writer
	// Tap sees and may change everything. Nil: none.
	Tap Tap
	// Provider is the cryptography; its type is internal, so only this module
	// can set it. Nil: the real one.
	Provider provider.Provider

	logging sync.Mutex // one line of KeyLog at a time

	once  sync.Once
	table *extensions.Table
	err   *attls.Error
}

var (
	defaultSuites  = []attls.CipherSuite{attls.TLS_AES_128_GCM_SHA256, attls.TLS_AES_256_GCM_SHA384, attls.TLS_CHACHA20_POLY1305_SHA256}
	defaultGroups  = []attls.NamedGroup{attls.GroupX25519, attls.GroupX25519MLKEM768, attls.GroupSecp256r1, attls.GroupSecp384r1, attls.GroupSecp521r1}
	defaultSchemes = []attls.SignatureScheme{
		attls.ECDSA_SECP256R1_SHA256, attls.ECDSA_SECP384R1_SHA384, attls.ECDSA_SECP521R1_SHA512, attls.ED25519,
		attls.RSA_PSS_RSAE_SHA256, attls.RSA_PSS_RSAE_SHA384, attls.RSA_PSS_RSAE_SHA512,
		attls.RSA_PSS_PSS_SHA256, attls.RSA_PSS_PSS_SHA384, attls.RSA_PSS_PSS_SHA512,
		attls.ED448, attls.MLDSA65, attls.MLDSA44, attls.MLDSA87,
	}
)

func (c *Config) random() Random {
	if c.Random == nil {
		return SystemRandom{}
	}
	return c.Random
}

func (c *Config) provider() provider.Provider {
	if c.Provider == nil {
		return provider.Real()
	}
	return c.Provider
}

func (c *Config) suites() []attls.CipherSuite {
	if c.CipherSuites == nil {
		return defaultSuites
	}
	return c.CipherSuites
}

func (c *Config) groups() []attls.NamedGroup {
	if c.Groups == nil {
		return defaultGroups
	}
	return c.Groups
}

// keyShares returns the groups to send shares of, in the order of Groups, as RFC
// 8446 section 4.2.8 requires.
func (c *Config) keyShares() []attls.NamedGroup {
	if c.KeyShares == nil {
		return c.groups()[:1]
	}
	shares := slices.Clone(c.KeyShares)
	slices.SortStableFunc(shares, func(a, b attls.NamedGroup) int {
		return slices.Index(c.groups(), a) - slices.Index(c.groups(), b)
	})
	return shares
}

// sharesWith returns the groups to send shares of beside some keys on offer.
func (c *Config) sharesWith(psks []PSK) []attls.NamedGroup {
	if c.KeyShares == nil && len(psks) > 0 && slices.Contains(c.groups(), psks[0].Session.Group) {
		return []attls.NamedGroup{psks[0].Session.Group}
	}
	return c.keyShares()
}

func (c *Config) signatureSchemes() []attls.SignatureScheme {
	if c.SignatureSchemes == nil {
		return defaultSchemes
	}
	return c.SignatureSchemes
}

func (c *Config) maxFragment() int {
	if c.MaxFragment == 0 {
		return record.MaxPlaintext
	}
	return c.MaxFragment
}

// messagesPerRecord is the bound, or that of the profile's peers.
func (c *Config) messagesPerRecord() int {
	if c.MessagesPerRecord == 0 {
		return c.quirks().MessagesPerRecord
	}
	return c.MessagesPerRecord
}

// limits are Limits with what is known of the lengths of messages.
func (c *Config) limits() record.Settings {
	s := c.Limits
	s.Overlong = message.Overlong
	return s
}

func (c *Config) quirks() *profile.Quirks {
	if c.Profile == nil {
		return &noQuirks
	}
	return &c.Profile.Quirks
}

var noQuirks profile.Quirks

func (c *Config) maxCertificates() int {
	if c.MaxCertificates == 0 {
		return 100
	}
	return c.MaxCertificates
}

// tableRules are the rules that the table itself enforces.
var tableRules = []rule.Rule{rule.UnknownIgnored, rule.ExtensionKnown, rule.ExtensionInPlace, rule.ExtensionSolicited, rule.PSKLast, rule.BodyEmpty, rule.GREASERefused}

// placement returns RFC 8446's table with the profile's rows, made once.
func (c *Config) placement() (*extensions.Table, *attls.Error) {
	c.once.Do(func() {
		c.table = extensions.RFC8446()
		if c.Profile == nil {
			return
		}
		for _, r := range tableRules {
			if !c.Profile.Obeys(r) {
				c.table = c.table.Without(r)
			}
		}
		rows := make([]extensions.Row, 0, len(c.Profile.Extensions))
		for _, x := range c.Profile.Extensions {
			row := extensions.Row{Type: x.Type, Name: x.Name}
			for _, p := range x.Placements {
				to := extensions.Placement{Message: p.Message, Unsolicited: p.Unsolicited,
					FirstEntryOnly: p.Entries == profile.EntriesFirst, PostHandshake: p.PostHandshake}
				for role, offers := range p.OfferedBy {
					for _, o := range offers {
						to.OfferedBy[role] = append(to.OfferedBy[role], extensions.Offer(o))
					}
				}
				row.Placements = append(row.Placements, to)
			}
			rows = append(rows, row)
		}
		table, err := c.table.With(rows...)
		if err != nil {
			c.err = attls.Errorf(attls.Local, attls.FailConfiguration, "profile %s: %v", c.Profile.ID, err)
			return
		}
		c.table = table
	})
	return c.table, c.err
}

// duplicate returns a value that stands twice in a list.
func duplicate[T comparable](list []T) (T, bool) {
	for i, v := range list {
		if slices.Contains(list[:i], v) {
			return v, true
		}
	}
	var none T
	return none, false
}

// Check refuses what cannot work, as NewClient and NewServer do, and names the
// field. The Config may not change afterwards.
func (c *Config) Check() error {
	if err := c.check(); err != nil {
		return err
	}
	return nil
}

// unexpressed is the first scheme of a list of the policy of which no slot of the
// profile can express any; nil: there is none.
func (c *Config) unexpressed() (field string, _ *negotiation.Scheme) {
	cannot := func(list []negotiation.Scheme) bool {
		return c.Profile != nil && len(list) > 0 && !slices.ContainsFunc(list, c.expresses)
	}
	switch {
	case cannot(c.Policy.Produce):
		return "Produce", &c.Policy.Produce[0]
	case cannot(c.Policy.Accept):
		return "Accept", &c.Policy.Accept[0]
	}
	return "", nil
}

// expresses reports whether some slot of the profile can express a scheme.
func (c *Config) expresses(s negotiation.Scheme) bool {
	for i := range c.Profile.Slots {
		if _, ok := c.Profile.EncodeScheme(i, s); ok {
			return true
		}
	}
	return false
}

// check refuses what cannot work before anything is sent.
func (c *Config) check() *attls.Error {
	if c == nil {
		return badField("Config", "is nil")
	}
	bad := func(field, format string, args ...any) *attls.Error {
		return badField("Config."+field, format, args...)
	}
	for _, check := range [...]func(*Config) *attls.Error{(*Config).checkHolders, (*Config).checkNumbers, (*Config).checkLists} {
		if err := check(c); err != nil {
			return err
		}
	}
	if len(c.suites()) == 0 {
		return bad("CipherSuites", "no cipher suite is enabled")
	}
	if len(c.groups()) == 0 {
		return bad("Groups", "no group is enabled")
	}
	if len(c.signatureSchemes()) == 0 {
		return bad("SignatureSchemes", "no signature scheme is enabled")
	}
	if s, twice := duplicate(c.suites()); twice {
		return bad("CipherSuites", "%v stands twice", s)
	}
	if g, twice := duplicate(c.groups()); twice {
		return bad("Groups", "%v stands twice", g)
	}
	if g, twice := duplicate(c.KeyShares); twice {
		return bad("KeyShares", "%v stands twice", g)
	}
	pr := c.provider()
	for _, s := range c.suites() {
		if _, ok := pr.Suite(s); !ok {
			return bad("CipherSuites", "%v is not implemented", s)
		}
	}
	for _, g := range c.groups() {
		if _, ok := pr.Group(g); !ok {
			return bad("Groups", "%v is not implemented", g)
		}
	}
	for _, g := range c.keyShares() {
		if !slices.Contains(c.groups(), g) {
			return bad("KeyShares", "%v is not among Groups", g)
		}
	}
	if c.RecordSizeLimit != 0 && c.RecordSizeLimit < 64 {
		return bad("RecordSizeLimit", "%d is below the 64 octets of RFC 8449 section 4", c.RecordSizeLimit)
	}
	for i, a := range c.CertificateCompression {
		if slices.ContainsFunc(c.CertificateCompression[:i], func(b CertificateCompressor) bool { return a.Algorithm() == b.Algorithm() }) {
			return bad("CertificateCompression", "algorithm %d stands twice", a.Algorithm())
		}
	}
	for _, m := range c.PSKModes {
		if m != attls.PSKOnly && m != attls.PSKWithDHE {
			return bad("PSKModes", "%v is not implemented", m)
		}
	}
	if c.PSK && len(c.pskModes()) == 0 {
		return bad("PSKModes", "no mode goes with the pre-shared keys")
	}
	if c.Tickets < 0 || c.Tickets > maxTickets {
		return bad("Tickets", "%d; 0 to %d are possible", c.Tickets, maxTickets)
	}
	if !c.PSK && (c.Tickets > 0 || c.MaxEarlyData > 0) {
		return bad("PSK", "tickets and early data need it")
	}
	if c.Profile == nil && (c.Policy.Demand || len(c.Policy.Produce) > 0 || len(c.Policy.Accept) > 0) {
		return bad("Policy", "attestation is configured, and there is no Profile under which it could take place")
	}
	if field, s := c.unexpressed(); s != nil {
		return bad("Policy."+field, "profile %s has no list with room for %s with the credential %s", c.Profile.ID, s.Model, s.Credential)
	}
	if c.Policy.Demand && len(c.Policy.Accept) == 0 {
		return bad("Policy.Demand", "the peer must attest, and Policy.Accept has nothing that could be appraised")
	}
	if c.Retry.stateless() && c.Profile != nil && c.Profile.Binder.Program != nil {
		return bad("Retry.Secrets", "profile %s binds to the first ClientHello's octets, which a cookie does not carry", c.Profile.ID)
	}
	if c.MaxFragment < 0 || c.MaxFragment > record.MaxPlaintext {
		return bad("MaxFragment", "%d octets; a record holds 1 to %d", c.MaxFragment, record.MaxPlaintext)
	}
	if c.MessagesPerRecord < 0 {
		return bad("MessagesPerRecord", "%d messages", c.MessagesPerRecord)
	}
	if err := checkServerName(c.ServerName); err != nil {
		return err.Under("Config.ServerName")
	}
	_, err := c.placement()
	return err
}
