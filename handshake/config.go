package handshake

import (
	"io"
	"reflect"
	"slices"
	"strings"
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

// ClientAuthentication says whether a server asks for a client's certificate.
type ClientAuthentication uint8

// The choices of Config.ClientAuthentication; the zero value asks for nothing.
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
	// certificate timestamps with its certificate.
	RequestOCSP, RequestSCT bool
	// RequestTickets is how many tickets a client asks for (RFC 9149): after a full
	// handshake, and after one that resumes a session. A server issues no more than a
	// client asks for, and no more than Tickets. Nil: it does not ask.
	RequestTickets *extensions.TicketCounts
	// CertificateCompression are the algorithms for certificates (RFC 8879), both
	// ways, in order of preference. Nil: none.
	CertificateCompression []CertificateCompressor
	// ClientAuthentication is a server's. A profile under which a client is to
	// attest raises NoClientCertificate to OptionalClientCertificate.
	ClientAuthentication ClientAuthentication
	// PostHandshakeAuthentication lets a client be asked for a certificate after
	// the handshake, and a server ask (RFC 8446 section 4.6.2).
	PostHandshakeAuthentication bool
	// ExtendedKeyUpdate offers Extended Key Update, and takes the offer, in which case
	// no ticket is issued, kept or used. Nil: neither.
	ExtendedKeyUpdate *ExtendedKeyUpdate
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
	// appear in every message that this end sends; others follow.
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
	// a client that offers to attest with one needs it.
	CanAuthenticate bool
	// AttesterSize and AppraiserSize are the lengths, in octets, that the
	// challenge fields of our Attester and of the peer's (as our Appraiser
	// knows it) need. 0: any.
	AttesterSize, AppraiserSize int

	// KeyLog receives the secrets of every Conn in the NSS key log format (RFC
	// 9850), a line at a time, for tools that decrypt recordings. Anyone who reads
	// them can read the connection. Nil: none.
	KeyLog io.Writer
	// Tap sees and may change everything. Nil: none.
	Tap Tap

	prov provider.Provider // nil: the real one; see provider.Select

	logging sync.Mutex // one line of KeyLog at a time

	once  sync.Once
	table *extensions.Table
	err   *attls.Error
}

var (
	defaultSuites = []attls.CipherSuite{attls.TLS_AES_128_GCM_SHA256, attls.TLS_AES_256_GCM_SHA384,
		attls.TLS_CHACHA20_POLY1305_SHA256}
	defaultGroups = []attls.NamedGroup{attls.GroupX25519, attls.GroupX25519MLKEM768, attls.GroupSecp256r1,
		attls.GroupSecp384r1, attls.GroupSecp521r1}
	defaultSchemes = []attls.SignatureScheme{
		attls.ECDSA_SECP256R1_SHA256, attls.ECDSA_SECP384R1_SHA384, attls.ECDSA_SECP521R1_SHA512, attls.ED25519,
		attls.RSA_PSS_RSAE_SHA256, attls.RSA_PSS_RSAE_SHA384, attls.RSA_PSS_RSAE_SHA512,
		attls.RSA_PSS_PSS_SHA256, attls.RSA_PSS_PSS_SHA384, attls.RSA_PSS_PSS_SHA512,
		attls.ED448, attls.MLDSA65, attls.MLDSA44, attls.MLDSA87,
	}
)

func init() {
	provider.Selectable(func(c *Config, p provider.Provider) { c.prov = p })
	rule.Register((*Config).without)
}

// without returns a copy of the configuration of an engine that does not enforce a
// rule.
func (c *Config) without(r rule.Rule) *Config {
	q := &Config{prov: c.prov}
	from, to := reflect.ValueOf(c).Elem(), reflect.ValueOf(q).Elem()
	for i := range to.NumField() {
		if to.Type().Field(i).IsExported() {
			to.Field(i).Set(from.Field(i))
		}
	}
	q.Profile = rule.Without(c.Profile, r)
	return q
}

// profile is Profile, or the one that adds nothing.
func (c *Config) profile() *profile.Profile {
	if c.Profile == nil {
		return profile.None()
	}
	return c.Profile
}

func (c *Config) random() Random {
	if c.Random == nil {
		return SystemRandom{}
	}
	return c.Random
}

func (c *Config) provider() provider.Provider {
	if c.prov == nil {
		return provider.Real()
	}
	return c.prov
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
	return &c.profile().Quirks
}

func (c *Config) maxCertificates() int {
	if c.MaxCertificates == 0 {
		return 100
	}
	return c.MaxCertificates
}

// tableRules are the rules that the table itself enforces.
var tableRules = []rule.Rule{rule.UnknownIgnored, rule.ExtensionKnown, rule.ExtensionInPlace, rule.ExtensionSolicited,
	rule.PSKLast, rule.BodyEmpty, rule.GREASERefused}

// placement returns RFC 8446's table with the profile's rows, made once.
func (c *Config) placement() (*extensions.Table, *attls.Error) {
	c.once.Do(func() {
		c.table = extensions.RFC8446()
		for _, r := range tableRules {
			if !rule.Obeys(c.profile(), r) {
				c.table = rule.Without(c.table, r)
			}
		}
		table, err := c.table.With(c.profile().Extensions...)
		if err != nil {
			c.err = attls.Errorf(attls.Local, attls.FailConfiguration, "profile %s: %v", c.profile().ID, err)
			return
		}
		c.table = table
	})
	return c.table, c.err
}

// serverName is ServerName as it is sent and compared: without the dot at the end
// that marks an absolute name, which has no place in server_name (RFC 6066 section 3).
func (c *Config) serverName() string { return strings.TrimSuffix(c.ServerName, ".") }

// stateless reports whether the cookie carries the state.
func (r *Retry) stateless() bool { return len(r.Secrets) > 0 }

// pskModes are the modes that this end takes part in.
func (c *Config) pskModes() []attls.PSKKeyExchangeMode {
	if c.PSKModes == nil {
		return defaultPSKModes
	}
	return c.PSKModes
}

var defaultPSKModes = []attls.PSKKeyExchangeMode{attls.PSKWithDHE}

// maxMessage bounds a handshake message without its header.
func (c *Config) maxMessage() int {
	if n := c.Limits.MaxHandshakeMessage; n != 0 {
		return n
	}
	return record.DefaultMaxHandshakeMessage
}

// tap is Config.Tap; nil without a Config, which newEngine refuses.
func (c *Config) tap() Tap {
	if c == nil {
		return nil
	}
	return c.Tap
}

// CertificateCompressor is an algorithm of RFC 8879. The engine brings none, so
// that it depends on no compressor.
type CertificateCompressor interface {
	// Algorithm is its number: 1 zlib, 2 brotli, 3 zstd.
	Algorithm() uint16
	Compress(message []byte) ([]byte, error)
	// Decompress must make no more than size octets of its input, whatever that
	// is, and give an error for anything but exactly size octets.
	Decompress(compressed []byte, size int) ([]byte, error)
}
