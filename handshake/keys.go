package handshake

import (
	"crypto/cipher"

	"attls"
	"attls/internal/provider"
)

// secret holds a value of Hash.length octets.
type secret struct {
	b [maxHash]byte
	n int
}

func (s *secret) bytes() []byte { return s.b[:s.n] }

func (s *secret) wipe() { *s = secret{} }

// schedule is the key schedule of RFC 8446 section 7.1.
type schedule struct {
	suite *provider.Suite
	tap   Tap

	handshake, main                  secret
	clientHandshake, serverHandshake secret
	clientTraffic, serverTraffic     secret
	exporter                         secret
	early                            secret
	ecdhe                            []byte // kept only when a binder may ask for it
}

const labelPrefix = "tls13 "

func (k *schedule) expand(out *secret, base []byte, label string, context []byte) {
	out.n = len(k.suite.ExpandLabel(out.b[:0], base, labelPrefix, label, context, k.suite.HashLen))
}

// named lets a tap see and replace a secret.
func (k *schedule) named(name SecretName, s *secret) {
	if k.tap != nil {
		s.n = copy(s.b[:], k.tap.Derived(name, s.bytes()))
	}
}

// emptyHash is Transcript-Hash("").
func (k *schedule) emptyHash(b *[maxHash]byte) []byte { return k.suite.New().Sum(b[:0]) }

// extract runs the upper two steps: Early Secret (without a PSK) and
// Handshake Secret.
func (k *schedule) extract(suite *provider.Suite, shared []byte, keepECDHE bool) {
	k.suite = suite
	var zero, empty [maxHash]byte
	var derived secret
	k.early.n = len(suite.Extract(k.early.b[:0], nil, zero[:suite.HashLen]))
	k.named(SecretEarly, &k.early)
	hash := k.emptyHash(&empty)
	k.expand(&derived, k.early.bytes(), "derived", hash)
	if k.tap != nil {
		shared = k.tap.Derived(SecretECDHE, shared)
	}
	if keepECDHE {
		k.ecdhe = append([]byte(nil), shared...)
	}
	k.handshake.n = len(suite.Extract(k.handshake.b[:0], derived.bytes(), shared))
	k.named(SecretHandshake, &k.handshake)
	k.expand(&derived, k.handshake.bytes(), "derived", hash)
	k.main.n = len(suite.Extract(k.main.b[:0], derived.bytes(), zero[:suite.HashLen]))
	k.named(SecretMain, &k.main)
}

// handshakeTraffic derives both handshake traffic secrets from
// Transcript-Hash(ClientHello...ServerHello).
func (k *schedule) handshakeTraffic(hash []byte) {
	k.expand(&k.clientHandshake, k.handshake.bytes(), "c hs traffic", hash)
	k.named(SecretClientHandshake, &k.clientHandshake)
	k.expand(&k.serverHandshake, k.handshake.bytes(), "s hs traffic", hash)
	k.named(SecretServerHandshake, &k.serverHandshake)
}

// applicationTraffic derives the secrets that depend on
// Transcript-Hash(ClientHello...server Finished).
func (k *schedule) applicationTraffic(hash []byte) {
	k.expand(&k.clientTraffic, k.main.bytes(), "c ap traffic", hash)
	k.named(SecretClientTraffic, &k.clientTraffic)
	k.expand(&k.serverTraffic, k.main.bytes(), "s ap traffic", hash)
	k.named(SecretServerTraffic, &k.serverTraffic)
	k.expand(&k.exporter, k.main.bytes(), "exp master", hash)
	k.named(SecretExporter, &k.exporter)
}

// handshakeSecret is the handshake traffic secret under which a role sends.
func (k *schedule) handshakeSecret(sender attls.Role) *secret {
	if sender == attls.RoleServer {
		return &k.serverHandshake
	}
	return &k.clientHandshake
}

// trafficSecret is the first application traffic secret of a sender.
func (k *schedule) trafficSecret(sender attls.Role) *secret {
	if sender == attls.RoleServer {
		return &k.serverTraffic
	}
	return &k.clientTraffic
}

// export is TLS-Exporter (RFC 8446 section 7.5) over any exporter secret:
// HKDF-Expand-Label(Derive-Secret(secret, label, ""), "exporter", Hash(context), length).
func export(suite *provider.Suite, base []byte, label string, context []byte, length int) []byte {
	var empty, sum [maxHash]byte
	derived := suite.ExpandLabel(nil, base, labelPrefix, label, suite.New().Sum(empty[:0]), suite.HashLen)
	h := suite.New()
	h.Write(context)
	return suite.ExpandLabel(nil, derived, labelPrefix, "exporter", h.Sum(sum[:0]), length)
}

// trafficKey makes the AEAD and IV of a traffic secret (RFC 8446 section 7.3).
func trafficKey(suite *provider.Suite, traffic []byte) (aead cipher.AEAD, iv []byte, err *attls.Error) {
	var key [32]byte
	var ivb [16]byte
	a, cause := suite.AEAD(suite.ExpandLabel(key[:0], traffic, labelPrefix, "key", nil, suite.KeyLen))
	if cause != nil {
		return nil, nil, attls.Errorf(attls.Local, attls.FailInternal, "%v: %v", suite.ID, cause)
	}
	return a, suite.ExpandLabel(ivb[:0], traffic, labelPrefix, "iv", nil, suite.NonceLen), nil
}
