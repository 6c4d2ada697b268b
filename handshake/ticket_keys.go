package handshake

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"

	"attls"
	"attls/internal/wire"
	"attls/negotiation"
)

// TicketKeys encrypts the sessions of a server into its tickets, so that it
// needs no storage for them (RFC 8446 section 8.1 says what it then cannot
// know: whether a ticket was used before). It makes a new key every so often and
// keeps the old ones as long as a ticket under them may live. It is safe for
// concurrent use; its zero value is ready.
//
//	struct {
//	    opaque key_name[16];
//	    opaque nonce[12];
//	    opaque encrypted_session[];  // AES-256-GCM; the key_name is authenticated too
//	} Ticket;
type TicketKeys struct {
	// Rotate is the age at which a key is replaced. 0: 24 hours.
	Rotate time.Duration
	// Now is the clock. Nil: time.Now.
	Now func() time.Time

	mu   sync.Mutex
	keys []ticketKey // the newest first
}

type ticketKey struct {
	name [ticketNameLen]byte
	aead cipher.AEAD
	made time.Time
	set  bool // by SetKeys
}

const (
	ticketNameLen  = 16
	ticketNonceLen = 12
	defaultRotate  = 24 * time.Hour
)

func newTicketKey(secret [32]byte, made time.Time) ticketKey {
	block, err := aes.NewCipher(secret[:])
	if err != nil {
		panic("attls: AES-256 refuses a key of 32 octets: " + err.Error())
	}
	k := ticketKey{made: made}
	if k.aead, err = cipher.NewGCM(block); err != nil {
		panic("attls: AES refuses GCM: " + err.Error())
	}
	name := sha256.Sum256(append([]byte("attls ticket key name"), secret[:]...))
	copy(k.name[:], name[:])
	return k
}

// SetKeys replaces all keys by ones that several servers share: the first
// encrypts, all decrypt. They are not rotated but by the next call.
func (t *TicketKeys) SetKeys(secrets ...[32]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keys = nil
	for _, s := range secrets {
		k := newTicketKey(s, time.Time{})
		k.set = true
		t.keys = append(t.keys, k)
	}
}

func (t *TicketKeys) now() time.Time {
	if t.Now != nil {
		return t.Now()
	}
	return time.Now()
}

// current returns the keys after rotation. The caller holds t.mu.
func (t *TicketKeys) current() []ticketKey {
	if len(t.keys) > 0 && t.keys[0].set {
		return t.keys
	}
	rotate := t.Rotate
	if rotate == 0 {
		rotate = defaultRotate
	}
	now := t.now()
	if len(t.keys) == 0 || now.Sub(t.keys[0].made) >= rotate {
		var secret [32]byte
		rand.Read(secret[:])
		t.keys = append([]ticketKey{newTicketKey(secret, now)}, t.keys...)
	}
	for n := len(t.keys); n > 1 && now.Sub(t.keys[n-1].made) > rotate+negotiation.MaxTicketLifetime; n = len(t.keys) {
		t.keys = t.keys[:n-1]
	}
	return t.keys
}

// Seal makes a ticket of a session. A session of which the peer's chain makes
// the ticket too long for a NewSessionTicket gives an error.
func (t *TicketKeys) Seal(s *Session) ([]byte, error) {
	t.mu.Lock()
	k := t.current()[0]
	t.mu.Unlock()
	plain := s.Marshal()
	b := make([]byte, ticketNameLen+ticketNonceLen, ticketNameLen+ticketNonceLen+len(plain)+k.aead.Overhead())
	copy(b, k.name[:])
	rand.Read(b[ticketNameLen:])
	b = k.aead.Seal(b, b[ticketNameLen:], plain, k.name[:])
	if len(b) > 1<<16-1 {
		return nil, attls.Errorf(attls.Local, attls.FailLimit, "a ticket of %d octets", len(b)).By("RFC 8446 4.6.1")
	}
	return b, nil
}

// Open returns the session behind a ticket, false when the ticket is none of
// ours or its key is gone.
func (t *TicketKeys) Open(ticket []byte) (*Session, bool) {
	r := wire.NewReader(ticket, 0)
	name, nonce, sealed := r.Octets("key_name", ticketNameLen), r.Octets("nonce", ticketNonceLen), r.Rest()
	if r.Err() != nil {
		return nil, false
	}
	t.mu.Lock()
	keys := t.current()
	t.mu.Unlock()
	for i := range keys {
		if string(keys[i].name[:]) != string(name) {
			continue
		}
		plain, err := keys[i].aead.Open(nil, nonce, sealed, name)
		if err != nil {
			return nil, false
		}
		s, failure := ParseSession(plain)
		return s, failure == nil
	}
	return nil, false
}
