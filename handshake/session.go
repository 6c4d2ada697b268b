package handshake

import (
	"bytes"
	"slices"
	"time"

	"attls"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/internal/wire"
	"attls/negotiation"
)

// Session is what one connection leaves for the next: a pre-shared key and what
// has to be the same when it is used (RFC 8446 sections 2.2 and 4.6.1). An
// external key is a Session too, with External set and an Identity of its own.
// The engine makes sessions and knows no clock; Created is for their holders.
type Session struct {
	// Identity is what a client sends to name the key: a ticket, or the name of
	// an external key.
	Identity []byte
	// Secret is the pre-shared key itself.
	Secret []byte
	// External says that the key comes from outside and not from a connection.
	External bool
	// Suite is the cipher suite of the connection. Its hash goes with the key;
	// early data needs this suite.
	Suite attls.CipherSuite
	// Group is the group of the connection that the session comes from. A client
	// that offers the session sends a share of it (see Config.KeyShares), so that
	// the server need not ask for another one. 0: not known.
	Group attls.NamedGroup
	// Lifetime is how many seconds a ticket may be used for.
	Lifetime uint32
	// AgeAdd obscures the age of a ticket.
	AgeAdd uint32
	// MaxEarlyData is how many octets of early data may be sent. 0: none.
	MaxEarlyData uint32
	ALPN         string
	ServerName   string
	// Chain is what the peer has shown, DER, with the scheme it has signed
	// under. A raw public key is one entry of the type RawPublicKey.
	Chain  [][]byte
	Type   attls.CertificateType
	Scheme attls.SignatureScheme
	// OCSP and SCT are what came with the peer's certificate.
	OCSP, SCT []byte
	// Created is when the session was made or received.
	Created time.Time
	// Attestation is what an Appraiser has said of the key of Chain, or of its own
	// where there is no chain; nil: nothing.
	Attestation *AttestedPeer
	// NotAfter is the end of the session's use, where the profile or Policy.Demand
	// ties it to the validity of the verdict. Zero: Lifetime alone bounds it.
	NotAfter time.Time
}

// AttestedPeer is what a session keeps of the verdict on a peer. One without a
// scheme (Wire), a key (SPKI) or an end of validity, or with another status than
// affirming, counts as none: it meets no demand, State does not show it, and
// Marshal and ParseSession drop it.
type AttestedPeer struct {
	Profile string // under which it was said; it counts under no other
	AttestedScheme
	Others     []AttestedScheme // under which it was accepted as well, where a profile lets one end attest twice
	SPKI       []byte           // the key of which it was said, as DER SubjectPublicKeyInfo
	Status     string           // of the verdict
	ValidUntil time.Time        // of several verdicts the earliest end
}

// AttestedScheme is a scheme under which a peer was accepted.
type AttestedScheme struct {
	Model      profile.Model
	Credential profile.CredentialKind
	Format     profile.Format // of the Evidence
	Verifier   []byte         // of the Attestation Results
	Wire       []byte         // the scheme as sent
}

// scheme is the scheme in the words of policy.
func (s *AttestedScheme) scheme() *negotiation.Scheme {
	return &negotiation.Scheme{Model: s.Model, Credential: s.Credential, Format: s.Format, Verifier: s.Verifier,
		Wire: s.Wire}
}

// complete reports whether an attestation says all that it can be judged by later.
func (a *AttestedPeer) complete() bool {
	return a.Profile != "" && len(a.Wire) > 0 && len(a.SPKI) > 0 && a.Status == negotiation.StatusAffirming &&
		!a.ValidUntil.IsZero() &&
		!slices.ContainsFunc(a.Others, func(s AttestedScheme) bool { return len(s.Wire) == 0 })
}

// PSK is a pre-shared key in the answer to a PSK wait.
type PSK struct {
	Session *Session
	// ObfuscatedAge is a client's: the age of the ticket in milliseconds plus
	// its AgeAdd, modulo 2^32; 0 for an external key.
	ObfuscatedAge uint32
	// Index is a server's: which of the identities offered this is.
	Index int
	// EarlyData lets a client offer early data with the key, and tells a server
	// that the ticket's age is what it should be.
	EarlyData bool
	// Skew is a server's: how much older the client tells the ticket to be than it is.
	Skew time.Duration
	// Standing says whether the attestation that the session keeps is still valid.
	Standing negotiation.Standing
}

// usable refuses a key that its holder has not given.
func (p *PSK) usable() *attls.Error {
	switch {
	case p.Session == nil:
		return badField("Answer.PSKs", "there is no Session")
	case len(p.Session.Secret) == 0:
		return badField("Answer.PSKs", "the Session has no Secret")
	}
	return nil
}

// standing is what was said of the standing; an attestation of which nobody has
// said anything does not hold.
func (p *PSK) standing() negotiation.Standing {
	switch {
	case p.Standing != negotiation.StandingUnknown:
		return p.Standing
	case p.Session.Attestation != nil:
		return negotiation.StandingDue
	}
	return negotiation.StandingHolds
}

// The first octet of a marshalled session. Older releases wrote sessionGroupless or
// sessionKeyless, which did not say of which key an attestation was said; they are
// read without it.
const (
	sessionVersion   = 5
	sessionSingle    = 4 // of one scheme
	sessionKeyless   = 3
	sessionGroupless = 2
)

// Marshal writes a session. Anyone who reads the octets can pretend to be either end,
// so they are to be encrypted, as TicketKeys does.
//
//	struct {
//	    uint8 version = 5;
//	    uint8 external;
//	    CipherSuite suite;
//	    NamedGroup group;                        // not in version 2
//	    uint32 lifetime, age_add, max_early_data;
//	    int64 created, valid_until;              // Unix milliseconds; 0: none
//	    int64 not_after;                         // from version 4 on
//	    opaque identity<0..2^16-1>, secret<0..2^16-1>, alpn<0..2^16-1>, server_name<0..2^16-1>;
//	    uint8 certificate_type;
//	    SignatureScheme scheme;
//	    opaque ocsp<0..2^24-1>, sct<0..2^16-1>;
//	    uint8 attested;
//	    opaque profile<0..2^16-1>;
//	    uint8 model, credential;
//	    opaque wire<0..2^16-1>, status<0..2^16-1>;
//	    uint16 content_format;                   // from version 4 on
//	    opaque media_type<0..2^16-1>, verifier<0..2^16-1>, spki<0..2^24-1>; // from version 4 on
//	    struct {
//	        uint8 model, credential;
//	        opaque wire<0..2^16-1>;
//	        uint16 content_format;
//	        opaque media_type<0..2^16-1>, verifier<0..2^16-1>;
//	    } others<0..2^24-1>;                     // from version 5 on
//	    opaque chain<0..2^24-1> ... to the end;
//	} Session;
func (s *Session) Marshal() []byte {
	w := wire.Append(make([]byte, 0, 256))
	w.Uint8(sessionVersion)
	w.Flag(s.External)
	w.Uint16(uint16(s.Suite))
	w.Uint16(uint16(s.Group))
	w.Uint32(s.Lifetime)
	w.Uint32(s.AgeAdd)
	w.Uint32(s.MaxEarlyData)
	w.Uint64(milliseconds(wholeMillisecond(s.Created)))
	a := s.Attestation
	attested := a != nil && a.complete()
	if !attested {
		a = &AttestedPeer{}
	}
	w.Uint64(milliseconds(a.ValidUntil))
	w.Uint64(milliseconds(s.NotAfter))
	w.Vector(2, s.Identity)
	w.Vector(2, s.Secret)
	w.Text(2, s.ALPN)
	w.Text(2, s.ServerName)
	w.Uint8(uint8(s.Type))
	w.Uint16(uint16(s.Scheme))
	w.Vector(3, s.OCSP)
	w.Vector(2, s.SCT)
	w.Flag(attested)
	w.Text(2, a.Profile)
	w.Uint8(uint8(a.Model))
	w.Uint8(uint8(a.Credential))
	w.Vector(2, a.Wire)
	w.Text(2, a.Status)
	w.Uint16(a.Format.ContentFormat)
	w.Text(2, a.Format.MediaType)
	w.Vector(2, a.Verifier)
	w.Vector(3, a.SPKI)
	w.Vector(3, a.marshalOthers())
	for _, der := range s.Chain {
		w.Vector(3, der)
	}
	return w.Bytes()
}

// ParseSession reads what Marshal wrote, in earlier versions as well; the octets are
// copied. An attestation that does not say all of its scheme, its status and its end
// of validity, or of which key it was said, is left out: the session counts as
// unattested.
func ParseSession(b []byte) (*Session, *attls.Error) {
	r := sessionReader{wire.NewReader(bytes.Clone(b), 0)}
	version := r.Uint8("version")
	if r.Err() == nil && (version < sessionGroupless || version > sessionVersion) {
		return nil, attls.Errorf(attls.Malformed, attls.FailDecode, "a session of version %d", version)
	}
	s := &Session{External: r.Uint8("external") == 1, Suite: attls.CipherSuite(r.Uint16("suite"))}
	if version != sessionGroupless {
		s.Group = attls.NamedGroup(r.Uint16("group"))
	}
	s.Lifetime, s.AgeAdd, s.MaxEarlyData = r.Uint32("lifetime"), r.Uint32("age_add"), r.Uint32("max_early_data")
	s.Created = r.time("created")
	a := &AttestedPeer{ValidUntil: r.time("valid_until")}
	if version > sessionKeyless {
		s.NotAfter = r.time("not_after")
	}
	s.Identity, s.Secret = r.vector("identity", 2), r.vector("secret", 2)
	s.ALPN, s.ServerName = string(r.vector("alpn", 2)), string(r.vector("server_name", 2))
	s.Type, s.Scheme = attls.CertificateType(r.Uint8("certificate_type")), attls.SignatureScheme(r.Uint16("scheme"))
	s.OCSP, s.SCT = r.vector("ocsp", 3), r.vector("sct", 2)
	attested := r.Uint8("attested") == 1
	a.Profile = string(r.vector("profile", 2))
	a.Model, a.Credential = profile.Model(r.Uint8("model")), profile.CredentialKind(r.Uint8("credential"))
	a.Wire, a.Status = r.vector("wire", 2), string(r.vector("status", 2))
	if version > sessionKeyless {
		a.Format = profile.Format{ContentFormat: r.Uint16("content_format"), MediaType: string(r.vector("media_type", 2))}
		a.Verifier, a.SPKI = r.vector("verifier", 2), r.vector("spki", 3)
	}
	if version > sessionSingle {
		if err := a.parseOthers(r.vector("others", 3)); err != nil {
			return s, err.Under("session")
		}
	}
	if attested && version > sessionKeyless && a.complete() {
		s.Attestation = a
	}
	for r.More() {
		s.Chain = append(s.Chain, r.vector("chain", 3))
	}
	if err := r.Err(); err != nil {
		return s, err.Under("session")
	}
	return s, nil
}

func (a *AttestedPeer) marshalOthers() []byte {
	w := wire.Append(nil)
	for i := range a.Others {
		s := &a.Others[i]
		w.Uint8(uint8(s.Model))
		w.Uint8(uint8(s.Credential))
		w.Vector(2, s.Wire)
		w.Uint16(s.Format.ContentFormat)
		w.Text(2, s.Format.MediaType)
		w.Vector(2, s.Verifier)
	}
	return w.Bytes()
}

func (a *AttestedPeer) parseOthers(b []byte) *attls.Error {
	r := sessionReader{wire.NewReader(b, 0)}
	for r.More() {
		s := AttestedScheme{Model: profile.Model(r.Uint8("model")), Credential: profile.CredentialKind(r.Uint8("credential")),
			Wire: r.vector("wire", 2)}
		s.Format = profile.Format{ContentFormat: r.Uint16("content_format"), MediaType: string(r.vector("media_type", 2))}
		s.Verifier = r.vector("verifier", 2)
		a.Others = append(a.Others, s)
	}
	return r.Err()
}

// wholeMillisecond is the first whole millisecond from a time on. Rounded down, a ticket from a file
// would be older to the client than to the server, which may refuse early data for that.
func wholeMillisecond(t time.Time) time.Time {
	if whole := t.Truncate(time.Millisecond); whole.Before(t) {
		return whole.Add(time.Millisecond)
	}
	return t
}

// milliseconds is a time as a session has it.
func milliseconds(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixMilli())
}

// sessionReader reads a session.
type sessionReader struct{ wire.Reader }

func (r *sessionReader) time(field string) time.Time {
	ms := int64(r.Uint64(field))
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// vector is nil if it is empty.
func (r *sessionReader) vector(field string, width int) []byte {
	v := r.Vector(field, width, 0, wire.Max(width))
	if len(v) == 0 {
		return nil
	}
	return v
}

// identity is how a session is offered.
func (p *PSK) identity() extensions.PSKIdentity {
	return extensions.PSKIdentity{Identity: p.Session.Identity, ObfuscatedTicketAge: p.ObfuscatedAge}
}
