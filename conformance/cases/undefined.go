package cases

import (
	"crypto/sha256"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"attls"
	"attls/conformance/scenario"
	"attls/extensions/profile/binder"
)

// largeKey is a handshake whose end-entity keys have 294 octets as
// SubjectPublicKeyInfo, as an RSA key of 2048 bits has.
type largeKey struct{}

// largeSPKI and smallSPKI have the form of a SubjectPublicKeyInfo of 294 and of 91
// octets: a SEQUENCE of an empty algorithm and a BIT STRING.
var (
	largeSPKI = append([]byte{0x30, 0x82, 0x01, 0x22, 0x30, 0x00, 0x03, 0x82, 0x01, 0x1c}, make([]byte, 284)...)
	smallSPKI = append([]byte{0x30, 0x59, 0x30, 0x00, 0x03, 0x55}, make([]byte, 85)...)
)

// certificateOf has the fields of a certificate that binders name, and no signature.
func certificateOf(spki []byte) []byte {
	var b cryptobyte.Builder
	seq := asn1.SEQUENCE
	b.AddASN1(seq, func(b *cryptobyte.Builder) {
		b.AddASN1(seq, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(1)
			b.AddASN1(seq, func(*cryptobyte.Builder) {})
			b.AddASN1(seq, func(*cryptobyte.Builder) {})
			b.AddASN1(seq, func(b *cryptobyte.Builder) {
				b.AddASN1UTCTime(scenario.DemoEpoch)
				b.AddASN1UTCTime(scenario.DemoEpoch)
			})
			b.AddASN1(seq, func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) {
					b.AddASN1(seq, func(b *cryptobyte.Builder) {
						b.AddASN1ObjectIdentifier([]int{2, 5, 4, 3}) // commonName
						b.AddASN1(asn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte("x")) })
					})
				})
			})
			b.AddBytes(spki)
		})
	})
	return b.BytesOrPanic()
}

func (largeKey) Hash() string { return "SHA-256" }
func (largeKey) Secret(binder.Secret) ([]byte, bool) {
	return make([]byte, sha256.Size), true
}
func (largeKey) Transcript(binder.Range) ([]byte, bool)   { return make([]byte, sha256.Size), true }
func (largeKey) SPKI(attls.Role) ([]byte, bool)           { return largeSPKI, true }
func (largeKey) Certificate(attls.Role) ([]byte, bool)    { return certificateOf(largeSPKI), true }
func (largeKey) Nonce(attls.Role) ([]byte, bool)          { return make([]byte, 32), true }
func (largeKey) RequestContext(attls.Role) ([]byte, bool) { return nil, true }
func (largeKey) AttesterSize(attls.Role) (int, bool)      { return 32, true }
func (largeKey) Later(binder.Later) ([]byte, bool)        { return make([]byte, sha256.Size), true }

// longNonce is a handshake with small keys and a nonce of 65 octets.
type longNonce struct{ largeKey }

func (longNonce) SPKI(attls.Role) ([]byte, bool)        { return smallSPKI, true }
func (longNonce) Certificate(attls.Role) ([]byte, bool) { return certificateOf(smallSPKI), true }
func (longNonce) Nonce(attls.Role) ([]byte, bool)       { return unbindable, true }

// noNonce is a handshake with small keys in which no nonce was sent.
type noNonce struct{ longNonce }

func (noNonce) Nonce(attls.Role) ([]byte, bool) { return nil, false }

var _ binder.Inputs = largeKey{}
