package conformance

import (
	"attls"
	"attls/extensions/profile/binder"
	"crypto/sha256"
)

// largeKey is a handshake whose end-entity keys have 294 octets as
// SubjectPublicKeyInfo, as an RSA key of 2048 bits has.
type largeKey struct{}

func (largeKey) Hash() string { return "SHA-256" }
func (largeKey) Secret(binder.Secret) ([]byte, bool) {
	return make([]byte, sha256.Size), true
}
func (largeKey) Transcript(binder.Range) ([]byte, bool)   { return make([]byte, sha256.Size), true }
func (largeKey) SPKI(attls.Role) ([]byte, bool)           { return make([]byte, 294), true }
func (largeKey) Certificate(attls.Role) ([]byte, bool)    { return make([]byte, 512), true }
func (largeKey) Nonce(attls.Role) ([]byte, bool)          { return make([]byte, 32), true }
func (largeKey) RequestContext(attls.Role) ([]byte, bool) { return nil, true }
func (largeKey) AttesterSize(attls.Role) (int, bool)      { return 32, true }
func (largeKey) Later(binder.Later) ([]byte, bool)        { return make([]byte, sha256.Size), true }

// longNonce is a handshake with small keys and a nonce of 65 octets.
type longNonce struct{ largeKey }

func (longNonce) SPKI(attls.Role) ([]byte, bool)        { return make([]byte, 91), true }
func (longNonce) Certificate(attls.Role) ([]byte, bool) { return make([]byte, 91), true }
func (longNonce) Nonce(attls.Role) ([]byte, bool)       { return unbindable, true }

// noNonce is a handshake with small keys in which no nonce was sent.
type noNonce struct{ longNonce }

func (noNonce) Nonce(attls.Role) ([]byte, bool) { return nil, false }

var _ binder.Inputs = largeKey{}
