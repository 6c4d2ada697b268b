package campaign

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"fmt"
	"math/big"
	"sync"

	"attls"
	"attls/attestation"
	"attls/conformance/scenario"
	"attls/conformance/tamper"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/internal/provider"
	"attls/negotiation"
)

// world is what the connections of one worker have around them. Keys, certificates, time
// and Evidence are the same in every process. What takes time and depends on its inputs
// alone is kept: chains judged, Evidence made, payloads appraised.
type world struct {
	real     bool // cryptography
	env      *scenario.Environment
	spkis    map[crypto.Signer][]byte
	chains   map[string]judged
	evidence map[string]attested
	verdicts map[string]*negotiation.Verdict
	// Certificates that an attacker may show: of a trusted name whose key it does not
	// hold, and of an authority that nobody trusts.
	stolen, unknown *handshake.Credential
	// ed25519 are certificates of the ends' that the authority issued, p256 others that claim
	// to go with any scheme.
	ed25519, p256 [2]*handshake.Credential
	// unfit are certificates of the authority for keys of the attacker's own, by what is wrong
	// with the certificate, or by the type of the key.
	unfit    map[string]*handshake.Credential
	spoilt   map[string]negotiation.Attester
	reissues map[string][]byte
	pathsOf  map[string][]string
	fields   map[fieldKey]*tamper.FieldEdit
	spare    []*run // of connections that are over, to be used again
}

// fieldKey is a path under a profile.
type fieldKey struct {
	p    *profile.Profile
	path string
}

type judged struct {
	answer handshake.Answer
	err    *attls.Error
}

type attested struct {
	evidence *negotiation.Evidence
	err      error
}

// mostKept bounds each of the maps of a world.
const mostKept = 1 << 12

func keep[K comparable, V any](m map[K]V, k K, v V) V {
	if len(m) >= mostKept {
		clear(m)
	}
	m[k] = v
	return v
}

// fixed makes keys and certificates once: each takes long.
var fixed = sync.OnceValues(func() (w struct {
	stolen, unknown *handshake.Credential
	ed25519, p256   [2]*handshake.Credential
	unfit           map[string]*handshake.Credential
}, err error) {
	authority, err := scenario.NewFixedAuthority()
	if err != nil {
		return w, err
	}
	key, err := attestation.DeriveKeyOn(elliptic.P256(), scenario.DemoSeed, "a key that no end holds")
	if err != nil {
		return w, err
	}
	if w.stolen, err = authority.Certify(key, "localhost"); err != nil {
		return w, err
	}
	for _, r := range attls.Roles() {
		seed := sha256.Sum256([]byte("an Ed25519 key of the " + r.String()))
		own := ed25519.NewKeyFromSeed(seed[:])
		if w.ed25519[r], err = authority.Certify(&own, "localhost"); err != nil { // a pointer is the key of a map
			return w, err
		}
		key, err := attestation.DeriveKeyOn(elliptic.P256(), scenario.DemoSeed, "another key of the "+r.String())
		if err != nil {
			return w, err
		}
		if w.p256[r], err = authority.Certify(key, "localhost"); err != nil {
			return w, err
		}
		w.p256[r].Schemes = append(w.p256[r].Schemes, attls.ED25519)
	}
	own, err := attestation.DeriveKeyOn(elliptic.P256(), scenario.DemoSeed, "a key of the attacker's own")
	if err != nil {
		return w, err
	}
	if w.unknown, err = selfIssued(own); err != nil {
		return w, err
	}
	w.unfit = map[string]*handshake.Credential{}
	for _, x := range unfitness {
		if w.unfit[x.answer], err = authority.CertifyAs(own, x.change, x.name); err != nil {
			return w, err
		}
	}
	for _, x := range keyTypes {
		key, err := x.key()
		if err != nil {
			return w, err
		}
		if w.unfit[x.answer], err = authority.Certify(key, "localhost"); err != nil {
			return w, err
		}
	}
	return w, nil
})

type keyType struct {
	answer string
	key    func() (crypto.Signer, error)
}

// keyTypes are answers of an edit of a credential whose certificate is good, and whose key is
// of another type than others in the campaign.
var keyTypes = []keyType{
	{"a key on secp384r1", func() (crypto.Signer, error) {
		return attestation.DeriveKeyOn(elliptic.P384(), scenario.DemoSeed, "a larger key of the attacker's own")
	}},
	{"an Ed25519 key", func() (crypto.Signer, error) {
		seed := sha256.Sum256([]byte("an Ed25519 key of the attacker's own"))
		key := ed25519.NewKeyFromSeed(seed[:])
		return &key, nil // a pointer is the key of a map
	}},
	{rsaAnswer, fixedRSA},
}

// rsaAnswer names the RSA key among those.
const rsaAnswer = "an RSA key"

// fixedRSA is an RSA key of 2048 bits that is the same everywhere, as no other key of a
// campaign may differ between processes.
func fixedRSA() (crypto.Signer, error) {
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{E: 65537}}
	e, one := big.NewInt(65537), big.NewInt(1)
	key.N = big.NewInt(1)
	order := big.NewInt(1)
	for _, name := range []string{"p", "q"} {
		b, err := hkdf.Key(sha256.New, scenario.DemoSeed, nil, "attls fuzz RSA "+name, 128)
		if err != nil {
			return nil, err
		}
		b[0] |= 0xc0
		p := new(big.Int).SetBytes(b)
		for p.SetBit(p, 0, 1); ; p.Add(p, big.NewInt(2)) {
			less := new(big.Int).Sub(p, one)
			if new(big.Int).GCD(nil, nil, less, e).Cmp(one) == 0 && p.ProbablyPrime(0) {
				order.Mul(order, less)
				break
			}
		}
		key.N.Mul(key.N, p)
		key.Primes = append(key.Primes, p)
	}
	key.D = new(big.Int).ModInverse(e, order)
	key.Precompute()
	return key, key.Validate()
}

// unfitness are answers of an edit of a credential. What is so of a client only concerns nobody.
var unfitness = []struct {
	answer, name string
	ofClients    bool // a server must not take it from a client either
	change       func(*x509.Certificate)
}{
	{"another name", "elsewhere", false, func(*x509.Certificate) {}},
	{"no longer valid", "localhost", true, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = scenario.DemoEpoch.AddDate(-2, 0, 0), scenario.DemoEpoch.AddDate(-1, 0, 0)
	}},
	{"for clients only", "localhost", false, func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}},
}

// selfIssued is a certificate that its own key vouches for.
func selfIssued(key *ecdsa.PrivateKey) (*handshake.Credential, error) {
	t := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "nobody"},
		DNSNames: []string{"localhost"}, NotBefore: scenario.DemoEpoch,
		NotAfter: scenario.DemoEpoch.AddDate(50, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(nil, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return handshake.NewCredential([][]byte{der}, key)
}

func newWorld() (*world, error) {
	env, err := scenario.NewFixedEnvironment()
	if err != nil {
		return nil, err
	}
	f, err := fixed()
	if err != nil {
		return nil, err
	}
	return &world{env: env, spkis: map[crypto.Signer][]byte{}, chains: map[string]judged{},
		evidence: map[string]attested{}, verdicts: map[string]*negotiation.Verdict{}, stolen: f.stolen,
		unknown: f.unknown, ed25519: f.ed25519, p256: f.p256, unfit: f.unfit, spoilt: map[string]negotiation.Attester{},
		reissues: map[string][]byte{}, pathsOf: map[string][]string{}, fields: map[fieldKey]*tamper.FieldEdit{}}, nil
}

// spki is the public half of a key.
func (w *world) spki(k crypto.Signer) []byte {
	if b, ok := w.spkis[k]; ok {
		return b
	}
	b, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		b = nil
	}
	return keep(w.spkis, k, b)
}

// sign signs as the symbolic provider verifies.
func (w *world) sign(k crypto.Signer, r *handshake.SignatureRequest) []byte {
	return provider.SymbolicSignature(w.spki(k), r.Scheme, r.Content)
}

// octetsKey adds octets to a key, so that no two lists give the same.
func octetsKey(key string, list ...[]byte) string {
	b := []byte(key)
	for _, x := range list {
		b = append(binary.AppendUvarint(b, uint64(len(x))), x...)
	}
	return string(b)
}

// judge asks whether a chain is trusted.
func (w *world) judge(a *handshake.Answerer, x *handshake.Wait) judged {
	r := x.Certificate
	// The chain that a profile asks to validate is judged for what it is; other fields vary little.
	key := fmt.Sprint(a.Trust.Roots != nil, r.Peer, r.Type, r.Resumed, r.Optional, r.ServerName)
	for _, c := range r.Chain {
		key = octetsKey(key, c)
	}
	if j, ok := w.chains[key]; ok {
		return j
	}
	answer, err := a.Answer(context.Background(), x)
	return keep(w.chains, key, judged{answer, err})
}

// attest makes Evidence, with an attester that may be bad in a way.
func (w *world) attest(by string, a negotiation.Attester,
	r *negotiation.EvidenceRequest) (*negotiation.Evidence, error) {
	small := *r // numbers in decimal take long where there are many
	small.Challenge, small.SPKI = nil, nil
	key := octetsKey(fmt.Sprintf("%s %+v", by, small), r.Challenge, r.SPKI)
	if x, ok := w.evidence[key]; ok {
		return x.evidence, x.err
	}
	ev, err := a.Attest(context.Background(), r)
	keep(w.evidence, key, attested{ev, err})
	return ev, err
}

// appraise judges a payload.
func (w *world) appraise(a negotiation.Appraiser, r *negotiation.AppraisalRequest) (*negotiation.Verdict, error) {
	small := *r
	small.CMW, small.Challenge, small.SPKI = nil, nil, nil
	key := octetsKey(fmt.Sprintf("%+v", small), r.CMW, r.Challenge, r.SPKI)
	if v, ok := w.verdicts[key]; ok {
		return v, nil
	}
	v, err := a.Appraise(context.Background(), r)
	if err == nil {
		keep(w.verdicts, key, v)
	}
	return v, err
}

// quick is randomness that depends on a name and costs little.
type quick uint64

func newQuick(name string) quick {
	sum := sha256.Sum256([]byte(name))
	return quick(binary.BigEndian.Uint64(sum[:]))
}

// Fill implements handshake.Random.
func (q quick) Fill(use handshake.Use, n uint32, dst []byte) {
	x := uint64(q) ^ uint64(use)<<56 ^ uint64(n)<<24
	for i := 0; i < len(dst); i += 8 {
		x += 0x9e3779b97f4a7c15
		z := (x ^ x>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		var block [8]byte
		binary.LittleEndian.PutUint64(block[:], z^z>>31)
		copy(dst[i:], block[:])
	}
}
