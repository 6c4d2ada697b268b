package attestation

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"attls"
	"attls/extensions/profile"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"
)

// The algorithms of RFC 9864 that name the curve as well. The library knows those
// of RFC 9053 only, which sign the same octets in the same way.
const (
	algESP256  cose.Algorithm = -9
	algESP384  cose.Algorithm = -51
	algESP512  cose.Algorithm = -52
	algEd25519 cose.Algorithm = -19
)

// algorithms lists what signatures of tokens are verified with, and the names of
// RFC 9864 by those of RFC 9053.
var algorithms = map[cose.Algorithm]struct {
	name    string
	library cose.Algorithm
}{
	cose.AlgorithmES256: {"ES256", cose.AlgorithmES256},
	cose.AlgorithmES384: {"ES384", cose.AlgorithmES384},
	cose.AlgorithmES512: {"ES512", cose.AlgorithmES512},
	algESP256:           {"ESP256", cose.AlgorithmES256},
	algESP384:           {"ESP384", cose.AlgorithmES384},
	algESP512:           {"ESP512", cose.AlgorithmES512},
	cose.AlgorithmEdDSA: {"EdDSA", cose.AlgorithmEdDSA},
	algEd25519:          {"Ed25519", cose.AlgorithmEdDSA},
	cose.AlgorithmPS256: {"PS256", cose.AlgorithmPS256},
	cose.AlgorithmPS384: {"PS384", cose.AlgorithmPS384},
	cose.AlgorithmPS512: {"PS512", cose.AlgorithmPS512},
}

func algorithmName(alg cose.Algorithm) string {
	if a, ok := algorithms[alg]; ok {
		return a.name
	}
	return fmt.Sprintf("algorithm %d", int64(alg))
}

// algorithmNamed reads the value of an alg parameter.
func algorithmNamed(raw []byte) (cose.Algorithm, error) {
	var n int64
	if isNull(raw) || decoding.Unmarshal(shortest(raw), &n) != nil {
		return 0, errors.New("an algorithm is named by an integer here")
	}
	alg := cose.Algorithm(n)
	if _, ok := algorithms[alg]; !ok {
		return 0, fmt.Errorf("algorithm %d is not supported; supported are %s", n, supportedAlgorithms)
	}
	return alg, nil
}

var supportedAlgorithms = func() string {
	var names []string
	for _, alg := range slices.SortedFunc(maps.Keys(algorithms), func(a, b cose.Algorithm) int { return int(b - a) }) {
		names = append(names, fmt.Sprintf("%s (%d)", algorithms[alg].name, int64(alg)))
	}
	return strings.Join(names, ", ")
}()

// suits reports whether a key can be used with an algorithm. Each curve has one
// hash, as JOSE has it (RFC 7518 section 3.4) and RFC 9864 for COSE.
func suits(alg cose.Algorithm, pub crypto.PublicKey) bool {
	own, err := algorithmOf(pub)
	if err != nil {
		return false
	}
	library := algorithms[alg].library
	if _, ok := pub.(*rsa.PublicKey); ok {
		return library == cose.AlgorithmPS256 || library == cose.AlgorithmPS384 || library == cose.AlgorithmPS512
	}
	return library == own
}

// describeKey says what kind of key it is.
func describeKey(pub crypto.PublicKey) string {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		return "a key on " + k.Params().Name
	case ed25519.PublicKey:
		return "an Ed25519 key"
	case *rsa.PublicKey:
		return "an RSA key"
	}
	return fmt.Sprintf("a key of type %T", pub)
}

// COSEAlgorithm is the algorithm under which a key signs (RFC 9053 section 2, RFC 8230
// section 2): one for each curve, PS256 for RSA. Other keys and RSA keys that are too
// short are an error.
func COSEAlgorithm(pub crypto.PublicKey) (cose.Algorithm, error) { return algorithmOf(pub) }

// algorithmOf is the COSE algorithm with which a key signs here: one per type of
// key.
func algorithmOf(pub crypto.PublicKey) (cose.Algorithm, error) {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return cose.AlgorithmES256, nil
		case elliptic.P384():
			return cose.AlgorithmES384, nil
		case elliptic.P521():
			return cose.AlgorithmES512, nil
		}
	case ed25519.PublicKey:
		return cose.AlgorithmEdDSA, nil
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSA {
			return 0, fmt.Errorf("an RSA key of %d bits; at least %d are needed (RFC 8230 2)", k.N.BitLen(), minRSA)
		}
		return cose.AlgorithmPS256, nil
	}
	return 0, fmt.Errorf("no COSE algorithm for a key of type %T", pub)
}

// deterministic makes ECDSA signatures a function of key and message (RFC
// 6979), so that Evidence can be made again octet by octet. Go does so when it
// is given no source of randomness; the libraries above it always give one.
type deterministic struct{ crypto.Signer }

func (d deterministic) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, ok := d.Public().(*ecdsa.PublicKey); !ok {
		return d.Signer.Sign(rand, digest, opts)
	}
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		if h.Size() == len(digest) {
			opts = h
		}
	}
	return d.Signer.Sign(nil, digest, opts)
}

// SignToken makes a COSE_Sign1 with the tag 18 over a payload (RFC 9052 section 4.2),
// for emulators of roots of trust: the same payload gives the same octets, except
// under an RSA key.
func SignToken(key crypto.Signer, payload []byte) ([]byte, error) {
	b, err := signToken(key, payload)
	if err != nil {
		return nil, err
	}
	return append([]byte{majorTag<<5 | tagSign1}, b...), nil
}

// signToken makes an untagged COSE_Sign1 over a payload.
func signToken(key crypto.Signer, payload []byte) ([]byte, error) {
	alg, err := algorithmOf(key.Public())
	if err != nil {
		return nil, err
	}
	return signUnder(key, claims{coseHeaderAlg: must(encoding.Marshal(alg))}.encode(), claims{}.encode(), payload)
}

// signUnder makes a COSE_Sign1 whose headers are as given, whatever they say.
func signUnder(key crypto.Signer, protected, unprotected, payload []byte) ([]byte, error) {
	alg, err := algorithmOf(key.Public())
	if err != nil {
		return nil, err
	}
	signer, err := cose.NewSigner(alg, deterministic{key})
	if err != nil {
		return nil, err
	}
	signature, err := signer.Sign(randomness, toBeSigned(protected, payload))
	if err != nil {
		return nil, err
	}
	return encoding.Marshal([]any{protected, cbor.RawMessage(unprotected), payload, signature})
}

// toBeSigned is the Sig_structure of RFC 9052 section 4.4 without external data.
func toBeSigned(protected, payload []byte) []byte {
	if protected == nil {
		protected = []byte{}
	}
	return must(encoding.Marshal([]any{"Signature1", protected, []byte{}, payload}))
}

// Labels of COSE header parameters (RFC 9052 section 3.1, RFC 9596, RFC 9597).
const (
	coseHeaderAlg         = cose.HeaderLabelAlgorithm
	coseHeaderCrit        = cose.HeaderLabelCritical
	coseHeaderContentType = cose.HeaderLabelContentType
	coseHeaderClaims      = cose.HeaderLabelCWTClaims
	coseHeaderType        = cose.HeaderLabelType
)

// token is a COSE_Sign1 taken apart, not yet verified.
type token struct {
	protected []byte // the octets of the protected header, as they were signed
	header    claims // the same, read
	payload   []byte
	signature []byte
	claims    claims
	// critical is why the token must not be processed further, though it can be read.
	critical *attls.Error
}

// Token is a COSE_Sign1 taken apart, not yet verified.
type Token = token

// ParseToken reads a COSE_Sign1 (RFC 9052 section 4.2), with its tag 18 or without,
// whose payload is a claims set, and nothing after it.
func ParseToken(b []byte) (*Token, *attls.Error) { return parseToken(b) }

// Payload is the octets of the claims set, Signature those of the signature. Both are
// parts of what was read.
func (t *token) Payload() []byte   { return t.payload }
func (t *token) Signature() []byte { return t.signature }

// Claims is the payload, read.
func (t *token) Claims() Claims { return t.claims }

// Critical is why who reads the token must not process it, although it can be read
// (crit, RFC 9052 section 3.1); nil: it may be processed.
func (t *token) Critical() *attls.Error { return t.critical }

// AlgorithmName is that of the algorithm that the protected header names.
func (t *token) AlgorithmName() string {
	alg, err := t.algorithm()
	if err != nil {
		return err.Error()
	}
	return algorithmName(alg)
}

// Verify checks the signature under a key with the algorithm that the protected header
// names, which must be one for such a key.
func (t *token) Verify(pub crypto.PublicKey) error { return t.verify(pub) }

const (
	tagSign1 = 18
	tagCWT   = 61

	ruleSign1  = "RFC 9052 4.2"
	ruleHeader = "RFC 9052 3.1"
)

// parseToken reads a COSE_Sign1. Untagged is the form of the formats carried
// here; tag 18, and tag 61 before it, are accepted (RFC 8392 section 6). Headers
// are read here and not by the library, which leaves crit to its callers.
func parseToken(b []byte) (*token, *attls.Error) {
	if err := wellFormed(b); err != nil {
		return nil, err
	}
	s := scanner{b: b}
	if err := s.tokenTags(); err != nil {
		return nil, err
	}
	at := s.off
	e, err := s.begin(majorArray)
	if err != nil {
		return nil, err.By(ruleSign1)
	}
	t := &token{}
	var unprotected []byte
	for _, read := range []func() *attls.Error{
		func() (err *attls.Error) { t.protected, err = s.bytes(); return under(err, "protected") },
		func() (err *attls.Error) { unprotected, err = s.item(0); return under(err, "unprotected") },
		func() (err *attls.Error) { t.payload, err = s.attached(); return under(err, "payload") },
		func() (err *attls.Error) { t.signature, err = s.bytes(); return under(err, "signature") },
	} {
		more, err := s.more(e)
		if err == nil && !more {
			err = malformed(at, "", "an array of %d elements; a COSE_Sign1 has four", e.read)
		}
		if err == nil {
			err = read()
		}
		if err != nil {
			return nil, err.By(ruleSign1)
		}
	}
	if more, err := s.more(e); err != nil || more {
		return nil, malformed(at, ruleSign1, "an array of more than four elements; a COSE_Sign1 has four")
	}
	if len(t.signature) == 0 {
		return nil, malformed(-1, ruleSign1, "an empty signature")
	}
	if t.claims, err = parseClaims(t.payload); err != nil {
		return nil, under(err, "payload")
	}
	return t, t.readHeaders(unprotected)
}

// tokenTags reads the tags before a COSE_Sign1.
func (s *scanner) tokenTags() *attls.Error {
	for want := []uint64{tagCWT, tagSign1}; s.peek() == majorTag; {
		at := s.off
		n, err := s.number(majorTag)
		if err != nil {
			return err
		}
		i := slices.Index(want, n)
		if i < 0 {
			return malformed(at, "RFC 8392 6", "tag %d; a token begins with %d, with %d before it, or with neither",
				n, tagSign1, tagCWT)
		}
		if want = want[i+1:]; n == tagCWT && s.peek() != majorTag {
			return malformed(at, "RFC 8392 6", "tag %d without the tag of a COSE message after it", tagCWT)
		}
	}
	return nil
}

// attached reads a payload that is in its place.
func (s *scanner) attached() ([]byte, *attls.Error) {
	if s.off < len(s.b) && isNull(s.b[s.off:s.off+1]) {
		return nil, malformed(s.off, "", "the payload is detached; a token holds its claims")
	}
	return s.bytes()
}

// readHeaders checks the two header maps of a token (RFC 9052 section 3).
func (t *token) readHeaders(unprotected []byte) (err *attls.Error) {
	t.header = claims{}
	if len(t.protected) > 0 {
		if t.header, err = parseClaims(t.protected); err != nil {
			return under(err, "protected").By("RFC 9052 3")
		}
	}
	open, err := parseClaims(unprotected)
	if err != nil {
		return under(err, "unprotected").By("RFC 9052 3")
	}
	for label := range open {
		if _, ok := t.header[label]; ok {
			return malformed(-1, "RFC 9052 3", "the parameter %v is in both headers", label)
		}
	}
	for _, label := range []int64{coseHeaderCrit, coseHeaderClaims} {
		if _, ok := open[label]; ok {
			return malformed(-1, ruleHeader, "the parameter %d belongs in the protected header", label).Under("unprotected")
		}
	}
	if err := validHeaders(t.header, open); err != nil {
		return malformed(-1, ruleHeader, "%v", err)
	}
	if raw, ok := t.header[coseHeaderCrit]; ok {
		t.critical = critical(raw).Under("protected")
	}
	for _, label := range []int64{coseHeaderContentType, coseHeaderType} {
		for _, h := range []claims{t.header, open} {
			if err := h.contentType(label); err != nil {
				return err
			}
		}
	}
	return under(t.replicated(), "protected")
}

// validHeaders has the library check the types of the parameters that it knows, but
// for media types, of which it does not take every one (see contentType).
func validHeaders(protected, unprotected claims) error {
	rest := func(c claims) []byte {
		c = maps.Clone(c)
		delete(c, coseHeaderContentType)
		delete(c, coseHeaderType)
		return shortest(c.encode())
	}
	var p cose.ProtectedHeader
	if err := p.UnmarshalCBOR(must(encoding.Marshal(rest(protected)))); err != nil {
		return err
	}
	var u cose.UnprotectedHeader
	return u.UnmarshalCBOR(rest(unprotected))
}

// critical refuses every crit: a token may only be processed by who understands
// the parameters that it lists, and none is understood here beyond those that
// nobody needs to list.
func critical(raw []byte) *attls.Error {
	var labels []any
	_ = decoding.Unmarshal(shortest(raw), &labels) // the library has checked it
	return refused(attls.FailAppraisal, ruleHeader, "crit lists the header parameters %v, which are not understood here",
		labels)
}

// tokenTypes are the types that the payload of a token, or the token, may say it
// has: an EAT, or what it is made of.
var tokenTypes = []string{MediaTypeCWT, "application/cwt", "application/cbor", "application/eat-ucs+cbor"}

// contentType compares the type that a header names.
func (c claims) contentType(label int64) *attls.Error {
	raw, ok := c[label]
	if !ok {
		return nil
	}
	var got any
	if err := decoding.Unmarshal(shortest(raw), &got); err != nil {
		return malformed(-1, ruleHeader, "%v", err)
	}
	f := profile.Format{}
	switch v := got.(type) {
	case string:
		f.MediaType = v
	case int64:
		if v < 0 || v > 0xffff {
			return malformed(-1, ruleHeader, "the content format %d does not fit 16 bits", v)
		}
		f.ContentFormat = uint16(v)
	default:
		return malformed(-1, ruleHeader, "a type is text or a number")
	}
	if k, err := kindOf(f); err == nil && slices.Contains(tokenTypes, k.name) {
		return nil
	}
	return attls.Errorf(attls.Violation, attls.FailFormatMismatch,
		"the header of the token says that it holds %s; a CWT is expected", FormatString(f)).By(ruleHeader)
}

// replicated compares the claims that the header repeats with those of the token
// (RFC 9597 section 2): they must be the same, so that no limit is set in one
// place only.
func (t *token) replicated() *attls.Error {
	raw, ok := t.header[coseHeaderClaims]
	if !ok {
		return nil
	}
	const rule = "RFC 9597 2"
	c, err := parseClaims(raw)
	if err != nil {
		return under(err, "CWT claims").By(rule)
	}
	for label, value := range c {
		own, ok := t.claims[label]
		if !ok || !bytes.Equal(shortest(own), shortest(value)) {
			return malformed(-1, rule, "the claim %v is not the one of the payload", label).Under("CWT claims")
		}
	}
	return nil
}

// algorithm is the one that the protected header names. RFC 9052 section 3.1
// wants it there, where the signature covers it.
func (t *token) algorithm() (cose.Algorithm, error) {
	raw, ok := t.header[coseHeaderAlg]
	if !ok {
		return 0, errors.New("the protected header names no algorithm (alg)")
	}
	return algorithmNamed(raw)
}

// verify checks the signature under a key with the algorithm that the header
// names, which must be one for such a key.
func (t *token) verify(pub crypto.PublicKey) error {
	alg, err := t.algorithm()
	if err != nil {
		return err
	}
	if !suits(alg, pub) {
		return fmt.Errorf("the header names %s, which is not for %s", algorithmName(alg), describeKey(pub))
	}
	v, err := cose.NewVerifier(algorithms[alg].library, pub)
	if err != nil {
		return err
	}
	return v.Verify(toBeSigned(t.protected, t.payload), t.signature)
}
