package bench

import (
	"crypto/cipher"
	"crypto/rand"
	"crypto/x509"
	"fmt"

	"attls"
	"attls/handshake"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/record"
)

// derivations count HKDF and HMAC of both ends of one handshake (RFC 8446
// sections 4.2.11.2, 4.4.4 and 7.1 to 7.3).
type derivations struct{ extracts, expands, macs int }

// fullDerivation is without a PSK.
var fullDerivation = derivations{
	extracts: 2 * 3, // Early, Handshake and Main Secret
	// Two "derived", four traffic secrets, the exporter secret; key and iv of
	// each of four traffic secrets; the two Finished keys.
	expands: 2 * (2 + 4 + 1 + 4*2 + 2),
	macs:    2 * 2, // each Finished is computed at both ends
}

// resumedDerivation has the binder besides: its key, the Finished key of that, the
// MAC; and resumption_secret, as the next session may be wanted.
var resumedDerivation = derivations{extracts: fullDerivation.extracts, expands: fullDerivation.expands + 2*3,
	macs: fullDerivation.macs + 2}

// aeadKeys counts the keys of both ends: each seals and opens under handshake and
// application traffic keys.
const aeadKeys = 2 * 4

// recordSizes collects the sizes of the protected records of a handshake.
type recordSizes struct {
	handshake.NopTap
	sizes *[]int
}

func (t recordSizes) Record(d handshake.Direction, r *record.Raw, _ *record.Plan) {
	if d == handshake.Sent && r.Protected {
		*t.sizes = append(*t.sizes, len(r.Payload)+1)
	}
}
func (t recordSizes) Message(handshake.Direction, *message.Raw, *handshake.Plan) {}
func (t recordSizes) Fork() handshake.Tap                                        { return t }

// protectedSizes runs one handshake and returns the sizes of TLSInnerPlaintext.
func protectedSizes(c Case, a *handshake.Answerer) ([]int, error) {
	var sizes []int
	ends := c.configs()
	for _, end := range ends {
		end.Tap = recordSizes{sizes: &sizes}
	}
	_, err := ends.pair(a)
	return sizes, err
}

// primitives lists what any implementation of the handshake must compute, by
// the same functions that the engine calls.
func primitives(c Case, id *identity) ([]*subject, error) {
	p := provider.Real()
	suite, _ := p.Suite(c.Suite)
	group, ok := p.Group(c.Group)
	if !ok || suite == nil {
		return nil, fmt.Errorf("bench: %v or %v is not implemented", c.Group, c.Suite)
	}
	exchange, err := keyExchange(group)
	if err != nil {
		return nil, err
	}
	authentication, err := authentication(c, id)
	if err != nil {
		return nil, err
	}
	sizes, err := protectedSizes(c, &id.answerer)
	if err != nil {
		return nil, err
	}
	protection, err := protection(suite, sizes)
	if err != nil {
		return nil, err
	}
	list := append(exchange, authentication...)
	return append(append(list, derivation(suite, fullDerivation)...), protection...), nil
}

func keyExchange(group provider.Group) ([]*subject, error) {
	seed, respondSeed := make([]byte, group.SeedLen()), make([]byte, group.RespondSeedLen())
	rand.Read(seed)
	rand.Read(respondSeed)
	key, err := group.Generate(seed)
	if err != nil {
		return nil, err
	}
	share, _, err := group.Respond(respondSeed, key.Share())
	if err != nil {
		return nil, err
	}
	return []*subject{
		newSubject("key generation, client", 1, func() error { _, err := group.Generate(seed); return err }),
		newSubject("key generation and agreement, server", 1, func() error {
			_, _, err := group.Respond(respondSeed, key.Share())
			return err
		}),
		newSubject("key agreement, client", 1, func() error { _, err := key.Finish(share); return err }),
	}, nil
}

// authentication is signing, and what the other end does with it.
func authentication(c Case, id *identity) ([]*subject, error) {
	p := provider.Real()
	content := make([]byte, 64+33+1+32)
	signature, err := provider.Sign(id.signer, id.scheme, content)
	if err != nil {
		return nil, err
	}
	spki, bad := provider.SPKIFromCertificate(id.chain[0])
	if bad != nil {
		return nil, bad
	}
	key, err := p.ParseSPKI(spki)
	if err != nil {
		return nil, err
	}
	n := 1
	if c.Mutual {
		n = 2
	}
	chain, err := chainVerification(id, n)
	if err != nil {
		return nil, err
	}
	return append([]*subject{
		newSubject("signature", n, func() error { _, err := provider.Sign(id.signer, id.scheme, content); return err }),
		newSubject("signature verification", n, func() error { return p.Verify(key, id.scheme, content, signature) }),
	}, chain...), nil
}

// chainVerification is what a relying party does with n chains.
func chainVerification(id *identity, n int) ([]*subject, error) {
	leaf, err := x509.ParseCertificate(id.chain[0])
	if err != nil {
		return nil, err
	}
	return []*subject{
		newSubject("certificate parsing", n, func() error { _, err := x509.ParseCertificate(id.chain[0]); return err }),
		newSubject("chain verification", n, func() error { return id.verify(leaf, attls.RoleServer) }),
	}, nil
}

func derivation(suite *provider.Suite, n derivations) []*subject {
	kdf, secret, context := suite.KDF(), make([]byte, suite.HashLen), make([]byte, suite.HashLen)
	var out [64]byte
	return []*subject{
		newSubject("HKDF-Extract", n.extracts, func() error { kdf.Extract(out[:0], secret, context); return nil }),
		newSubject("HKDF-Expand-Label", n.expands, func() error {
			kdf.ExpandLabel(out[:0], secret, "tls13 ", "c hs traffic", context, suite.HashLen)
			return nil
		}),
		newSubject("Finished HMAC", n.macs, func() error { kdf.Extract(out[:0], secret, context); return nil }),
	}
}

// protection is the AEAD with its keys and the records of the handshake.
func protection(suite *provider.Suite, sizes []int) ([]*subject, error) {
	key := make([]byte, suite.KeyLen)
	aead, err := suite.AEAD(key)
	if err != nil {
		return nil, err
	}
	list := []*subject{newSubject("AEAD key set-up", aeadKeys, func() error { _, err := suite.AEAD(key); return err })}
	for _, n := range sizes {
		list = append(list, sealing(aead, n), opening(aead, n))
	}
	return list, nil
}

func sealing(aead cipher.AEAD, n int) *subject {
	nonce, ad := make([]byte, aead.NonceSize()), make([]byte, 5)
	buf := make([]byte, n, n+aead.Overhead())
	return newSubject(fmt.Sprintf("AEAD seal, %d octets", n), 1, func() error {
		aead.Seal(buf[:0], nonce, buf, ad)
		return nil
	})
}

func opening(aead cipher.AEAD, n int) *subject {
	nonce, ad := make([]byte, aead.NonceSize()), make([]byte, 5)
	sealed := aead.Seal(nil, nonce, make([]byte, n), ad)
	buf := make([]byte, len(sealed))
	return newSubject(fmt.Sprintf("AEAD open, %d octets", n), 1, func() error {
		copy(buf, sealed)
		_, err := aead.Open(buf[:0], nonce, buf, ad)
		return err
	})
}
