package handshake

import (
	"crypto/cipher"
	"strconv"
	"strings"

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
	kdf *provider.KDF
	own *provider.KDF // the last one made; see hkdf
	tap Tap
	log func(SecretName, []byte) // the key log; nil: none

	exporter          secret
	epochs            bool // extended key update was negotiated
	*handshakeSecrets      // nil where nothing after the handshake needs them
}

// handshakeSecrets are those that lead to the secrets of an established connection.
type handshakeSecrets struct {
	handshake, main                  secret
	clientHandshake, serverHandshake secret
	clientTraffic, serverTraffic     secret
	early                            secret
	epochExporter                    secret // exporter_secret_0 of extended key update
	ecdhe                            []byte // kept only when a binder may ask for it
}

const labelPrefix = "tls13 "

func (k *schedule) expand(out *secret, base []byte, label string, context []byte) {
	out.n = len(k.kdf.ExpandLabel(out.b[:0], base, labelPrefix, label, context, k.kdf.Suite().HashLen))
}

// named lets a tap see and replace a secret, and the key log see it.
func (k *schedule) named(name SecretName, s *secret) {
	if k.tap != nil {
		s.n = copy(s.b[:], k.tap.Derived(name, s.bytes()))
	}
	if k.log != nil {
		k.log(name, s.bytes())
	}
}

// zeros is where RFC 8446 section 7.1 has Hash.length zero octets.
var zeros [maxHash]byte

// hkdf returns a KDF of a suite, made once for the binder and what follows it.
func (k *schedule) hkdf(suite *provider.Suite) *provider.KDF {
	if k.own == nil || k.own.Suite() != suite {
		k.own = suite.KDF()
	}
	return k.own
}

// start derives Early Secret from a pre-shared key, or from none.
func (k *schedule) start(suite *provider.Suite, psk []byte) {
	k.kdf = k.hkdf(suite)
	if psk == nil {
		psk = zeros[:suite.HashLen]
	}
	k.early.n = len(k.kdf.Extract(k.early.b[:0], nil, psk))
	k.named(SecretEarly, &k.early)
}

// extract runs the two steps from Early Secret to Main Secret. A nil shared
// secret stands for a key exchange without (EC)DHE.
func (k *schedule) extract(suite *provider.Suite, shared []byte, keepECDHE bool) {
	if k.early.n == 0 { // no key was offered, or none is used
		k.start(suite, nil)
	}
	if shared == nil {
		shared = zeros[:suite.HashLen]
	}
	var empty [maxHash]byte
	var derived secret
	hash := k.kdf.Hash(empty[:0], nil)
	k.expand(&derived, k.early.bytes(), "derived", hash)
	if k.tap != nil {
		shared = k.tap.Derived(SecretECDHE, shared)
	}
	if keepECDHE {
		k.ecdhe = append([]byte(nil), shared...)
	}
	k.handshake.n = len(k.kdf.Extract(k.handshake.b[:0], derived.bytes(), shared))
	k.named(SecretHandshake, &k.handshake)
	k.expand(&derived, k.handshake.bytes(), "derived", hash)
	k.main.n = len(k.kdf.Extract(k.main.b[:0], derived.bytes(), zeros[:suite.HashLen]))
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
	if k.epochs {
		k.expand(&k.epochExporter, k.main.bytes(), "exporter eku", hash)
		k.named(SecretEpochExporter, &k.epochExporter)
	}
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

// trafficKey makes the AEAD and IV of a traffic secret (RFC 8446 section 7.3);
// the IV is valid until the KDF is used again.
func trafficKey(kdf *provider.KDF, traffic []byte) (aead cipher.AEAD, iv []byte, _ *attls.Error) {
	aead, iv, err := kdf.TrafficKey(traffic, labelPrefix)
	if err != nil {
		return nil, nil, attls.Errorf(attls.Local, attls.FailInternal, "%v: %v", kdf.Suite().ID, err)
	}
	return aead, iv, nil
}

// setReadKey switches the reading side to a traffic secret.
func (e *Engine) setReadKey(s *secret) *attls.Error {
	aead, iv, err := trafficKey(e.keys.kdf, s.bytes())
	if err != nil {
		return err
	}
	return e.in.SetKey(aead, iv)
}

// setWriteKey switches the writing side to a traffic secret.
func (e *Engine) setWriteKey(s *secret) *attls.Error {
	aead, iv, err := trafficKey(e.keys.kdf, s.bytes())
	if err != nil {
		return err
	}
	e.out.SetKey(aead, iv)
	return nil
}

// update moves a traffic secret to its next generation (RFC 8446 section 7.2).
func update(suite *provider.Suite, s *secret, t Tap, name SecretName) (cipher.AEAD, []byte, *attls.Error) {
	k := schedule{kdf: suite.KDF(), tap: t}
	var next secret
	k.expand(&next, s.bytes(), "traffic upd", nil)
	k.named(name, &next)
	*s = next
	return trafficKey(k.kdf, s.bytes())
}

// trafficName names a generation of a sender's application traffic secret.
func trafficName(sender attls.Role, generation int) SecretName {
	first := SecretClientTraffic
	if sender == attls.RoleServer {
		first = SecretServerTraffic
	}
	return SecretName(strings.TrimSuffix(string(first), "0") + strconv.Itoa(generation))
}

// maxGeneration is the last generation of a sending key: application data starts
// in epoch 3, and no sender goes beyond epoch 2^48-1 (RFC 9846 section 4.7.3).
const maxGeneration = 1<<48 - 1 - 3
