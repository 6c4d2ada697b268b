package handshake

import (
	"time"

	"attls"
	"attls/extensions"
	"attls/extensions/profile"
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
	// early data needs the very suite.
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
	Profile    string // under which it was said; it counts under no other
	Model      profile.Model
	Credential profile.CredentialKind
	Format     profile.Format // of the Evidence
	Verifier   []byte         // of the Attestation Results
	Wire       []byte         // the scheme as it stood on the wire
	SPKI       []byte         // the key of which it was said, as DER SubjectPublicKeyInfo
	Status     string         // of the verdict
	ValidUntil time.Time
}

// complete reports whether an attestation says all that it can be judged by later.
func (a *AttestedPeer) complete() bool {
	return a.Profile != "" && len(a.Wire) > 0 && len(a.SPKI) > 0 && a.Status == negotiation.StatusAffirming && !a.ValidUntil.IsZero()
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
	// Standing is how the attestation that the session keeps stands.
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
	sessionVersion   = 4
	sessionKeyless   = 3
	sessionGroupless = 2
)

// Marshal writes a session. Whoever reads the octets can pass for either end,
// so they are to be encrypted, as TicketKeys does.
//
//	struct {
//	    uint8 version = 4;
//	    uint8 external;
//	    CipherSuite suite;
//	    NamedGroup group;                        // not in version 2
//	    uint32 lifetime, age_add, max_early_data;
//	    int64 created, valid_until;              // Unix milliseconds; 0: none
//	    int64 not_after;                         // in version 4
//	    opaque identity<0..2^16-1>, secret<0..2^16-1>, alpn<0..2^16-1>, server_name<0..2^16-1>;
//	    uint8 certificate_type;
//	    SignatureScheme scheme;
//	    opaque ocsp<0..2^24-1>, sct<0..2^16-1>;
//	    uint8 attested, model, credential;
//	    opaque wire<0..2^16-1>, status<0..2^16-1>;
//	    uint16 content_format;                   // in version 4
//	    opaque media_type<0..2^16-1>, verifier<0..2^16-1>, spki<0..2^24-1>; // in version 4
//	    opaque chain<0..2^24-1> ... to the end;
//	} Session;
func (s *Session) Marshal() []byte {
	w := sessionWriter{make([]byte, 0, 256)}
	w.number(sessionVersion, 1)
	w.flag(s.External)
	w.number(uint64(s.Suite), 2)
	w.number(uint64(s.Group), 2)
	w.number(uint64(s.Lifetime), 4)
	w.number(uint64(s.AgeAdd), 4)
	w.number(uint64(s.MaxEarlyData), 4)
	w.time(s.Created)
	a := s.Attestation
	attested := a != nil && a.complete()
	if !attested {
		a = &AttestedPeer{}
	}
	w.time(a.ValidUntil)
	w.time(s.NotAfter)
	w.vector(s.Identity, 2)
	w.vector(s.Secret, 2)
	w.vector([]byte(s.ALPN), 2)
	w.vector([]byte(s.ServerName), 2)
	w.number(uint64(s.Type), 1)
	w.number(uint64(s.Scheme), 2)
	w.vector(s.OCSP, 3)
	w.vector(s.SCT, 2)
	w.flag(attested)
	w.vector([]byte(a.Profile), 2)
	w.number(uint64(a.Model), 1)
	w.number(uint64(a.Credential), 1)
	w.vector(a.Wire, 2)
	w.vector([]byte(a.Status), 2)
	w.number(uint64(a.Format.ContentFormat), 2)
	w.vector([]byte(a.Format.MediaType), 2)
	w.vector(a.Verifier, 2)
	w.vector(a.SPKI, 3)
	for _, der := range s.Chain {
		w.vector(der, 3)
	}
	return w.b
}

// ParseSession reads what Marshal wrote, in earlier versions as well; the octets are
// copied. An attestation that does not say all of its scheme, its status and its end
// of validity, or of which key it was said, is left out: the session counts as
// unattested.
func ParseSession(b []byte) (*Session, *attls.Error) {
	r := sessionReader{b: append([]byte(nil), b...)}
	version := r.number(1)
	if r.err == nil && (version < sessionGroupless || version > sessionVersion) {
		return nil, attls.Errorf(attls.Malformed, attls.FailDecode, "a session of version %d", version)
	}
	s := &Session{External: r.number(1) == 1, Suite: attls.CipherSuite(r.number(2))}
	if version != sessionGroupless {
		s.Group = attls.NamedGroup(r.number(2))
	}
	s.Lifetime, s.AgeAdd, s.MaxEarlyData, s.Created = uint32(r.number(4)), uint32(r.number(4)), uint32(r.number(4)), r.time()
	a := &AttestedPeer{ValidUntil: r.time()}
	if version > sessionKeyless {
		s.NotAfter = r.time()
	}
	s.Identity, s.Secret = r.vector(2), r.vector(2)
	s.ALPN, s.ServerName = string(r.vector(2)), string(r.vector(2))
	s.Type, s.Scheme = attls.CertificateType(r.number(1)), attls.SignatureScheme(r.number(2))
	s.OCSP, s.SCT = r.vector(3), r.vector(2)
	attested := r.number(1) == 1
	a.Profile = string(r.vector(2))
	a.Model, a.Credential = profile.Model(r.number(1)), profile.CredentialKind(r.number(1))
	a.Wire, a.Status = r.vector(2), string(r.vector(2))
	if version > sessionKeyless {
		a.Format = profile.Format{ContentFormat: uint16(r.number(2)), MediaType: string(r.vector(2))}
		a.Verifier, a.SPKI = r.vector(2), r.vector(3)
	}
	if attested && version > sessionKeyless && a.complete() {
		s.Attestation = a
	}
	for r.err == nil && len(r.b) > 0 {
		s.Chain = append(s.Chain, r.vector(3))
	}
	return s, r.err
}

type sessionWriter struct{ b []byte }

func (w *sessionWriter) number(v uint64, width int) {
	for i := width - 1; i >= 0; i-- {
		w.b = append(w.b, byte(v>>(8*i)))
	}
}

func (w *sessionWriter) flag(on bool) {
	if on {
		w.number(1, 1)
	} else {
		w.number(0, 1)
	}
}

func (w *sessionWriter) time(t time.Time) {
	if t.IsZero() {
		w.number(0, 8)
	} else {
		w.number(uint64(t.UnixMilli()), 8)
	}
}

func (w *sessionWriter) vector(v []byte, width int) {
	w.number(uint64(len(v)), width)
	w.b = append(w.b, v...)
}

// sessionReader takes values off the front of b and remembers the first failure.
type sessionReader struct {
	b   []byte
	err *attls.Error
}

func (r *sessionReader) take(n int) []byte {
	if r.err == nil && n > len(r.b) {
		r.err = attls.Errorf(attls.Malformed, attls.FailDecode, "a session that ends early: %d octets where %d are needed", len(r.b), n)
	}
	if r.err != nil {
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *sessionReader) number(width int) uint64 {
	var v uint64
	for _, o := range r.take(width) {
		v = v<<8 | uint64(o)
	}
	return v
}

func (r *sessionReader) time() time.Time {
	ms := int64(r.number(8))
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func (r *sessionReader) vector(width int) []byte {
	v := r.take(int(r.number(width)))
	if len(v) == 0 {
		return nil
	}
	return v
}

// identity is how a session is offered.
func (p *PSK) identity() extensions.PSKIdentity {
	return extensions.PSKIdentity{Identity: p.Session.Identity, ObfuscatedTicketAge: p.ObfuscatedAge}
}
