package provider

import (
	"crypto/ecdh"
	"errors"

	"github.com/cloudflare/circl/dh/x25519"
	"github.com/cloudflare/circl/kem"
	"github.com/cloudflare/circl/kem/mlkem/mlkem1024"
	"github.com/cloudflare/circl/kem/mlkem/mlkem768"

	"attls"
)

// ErrSeed reports a seed that makes no key of a group; the caller takes fresh
// octets and tries again.
var ErrSeed = errors.New("provider: the seed makes no key of this group")

// realGroups is what Real implements.
var realGroups = map[attls.NamedGroup]Group{
	attls.GroupX25519:    x25519Group{},
	attls.GroupSecp256r1: secp256r1,
	attls.GroupSecp384r1: secp384r1,
	attls.GroupSecp521r1: secp521r1,
	// The order of the parts is that of draft-ietf-tls-ecdhe-mlkem section 4.
	attls.GroupX25519MLKEM768: hybrid{attls.GroupX25519MLKEM768, mlkem768Part, x25519Group{}, mlkem768.PublicKeySize,
		mlkem768.CiphertextSize},
	attls.GroupSecP256r1MLKEM768: hybrid{attls.GroupSecP256r1MLKEM768, secp256r1, mlkem768Part, secp256r1.shareLen(),
		secp256r1.shareLen()},
	attls.GroupSecP384r1MLKEM1024: hybrid{attls.GroupSecP384r1MLKEM1024, secp384r1, mlkem1024Part, secp384r1.shareLen(),
		secp384r1.shareLen()},
}

func illegalShare(rule, format string, args ...any) *attls.Error {
	return attls.Errorf(attls.Violation, attls.FailIllegalParameter, format, args...).Under("key_exchange").By(rule)
}

// respondByGenerating is Respond for groups in which both halves are alike.
func respondByGenerating(g Group, seed, clientShare []byte) (share, secret []byte, err error) {
	k, err := g.Generate(seed)
	if err != nil {
		return nil, nil, err
	}
	if secret, err = k.Finish(clientShare); err != nil {
		return nil, nil, err
	}
	return k.Share(), secret, nil
}

// x25519Group is X25519 (RFC 7748), by circl, which takes the seed as it is.
type x25519Group struct{}

func (x25519Group) ID() attls.NamedGroup { return attls.GroupX25519 }
func (x25519Group) SeedLen() int         { return x25519.Size }
func (x25519Group) RespondSeedLen() int  { return x25519.Size }

func (x25519Group) Generate(seed []byte) (PrivateKey, error) {
	if len(seed) != x25519.Size {
		return nil, ErrSeed
	}
	k := new(x25519Key)
	copy(k.private[:], seed)
	x25519.KeyGen(&k.public, &k.private)
	return k, nil
}

func (g x25519Group) Respond(seed, clientShare []byte) (share, secret []byte, err error) {
	return respondByGenerating(g, seed, clientShare)
}

type x25519Key struct{ private, public x25519.Key }

func (k *x25519Key) Share() []byte { return k.public[:] }

func (k *x25519Key) Finish(share []byte) ([]byte, error) {
	var theirs, secret x25519.Key
	if len(share) != len(theirs) {
		return nil, illegalShare("RFC 8446 4.2.8.2", "a share of %d octets instead of %d", len(share), len(theirs))
	}
	copy(theirs[:], share)
	// Shared reports the points of small order, which are those that give zero.
	if !x25519.Shared(&secret, &k.private, &theirs) || secret == (x25519.Key{}) {
		return nil, illegalShare("RFC 8446 7.4.2", "the shared secret is all zero")
	}
	return secret[:], nil
}

// nistGroup is ECDH over a NIST curve with uncompressed points
// (RFC 8446 section 4.2.8.2).
type nistGroup struct {
	id    attls.NamedGroup
	curve ecdh.Curve
	bits  int
}

var (
	secp256r1 = nistGroup{attls.GroupSecp256r1, ecdh.P256(), 256}
	secp384r1 = nistGroup{attls.GroupSecp384r1, ecdh.P384(), 384}
	secp521r1 = nistGroup{attls.GroupSecp521r1, ecdh.P521(), 521}
)

func (g nistGroup) ID() attls.NamedGroup { return g.id }
func (g nistGroup) SeedLen() int         { return (g.bits + 7) / 8 }
func (g nistGroup) RespondSeedLen() int  { return g.SeedLen() }
func (g nistGroup) shareLen() int        { return 1 + 2*g.SeedLen() }

// Generate takes the seed as the private scalar, big-endian; bits above the
// order's length are ignored, or hardly any seed of secp521r1 were usable.
func (g nistGroup) Generate(seed []byte) (PrivateKey, error) {
	if len(seed) != g.SeedLen() {
		return nil, ErrSeed
	}
	var b [66]byte
	scalar := b[:copy(b[:], seed)]
	if over := g.bits % 8; over != 0 {
		scalar[0] &= 1<<over - 1
	}
	private, err := g.curve.NewPrivateKey(scalar)
	if err != nil {
		return nil, ErrSeed
	}
	return &nistKey{g, private, private.PublicKey().Bytes()}, nil
}

func (g nistGroup) Respond(seed, clientShare []byte) (share, secret []byte, err error) {
	return respondByGenerating(g, seed, clientShare)
}

type nistKey struct {
	group   nistGroup
	private *ecdh.PrivateKey
	share   []byte
}

func (k *nistKey) Share() []byte { return k.share }

func (k *nistKey) Finish(share []byte) ([]byte, error) {
	if want := k.group.shareLen(); len(share) != want || share[0] != 4 {
		return nil, illegalShare("RFC 8446 4.2.8.2", "not an uncompressed point of %d octets", want)
	}
	theirs, err := k.group.curve.NewPublicKey(share)
	if err != nil {
		return nil, illegalShare("RFC 8446 4.2.8.2", "not a point of %v", k.group.id)
	}
	secret, err := k.private.ECDH(theirs)
	if err != nil {
		return nil, illegalShare("RFC 8446 7.4.2", "%v", err)
	}
	return secret, nil
}

const ruleMLKEM = "draft-ietf-tls-ecdhe-mlkem 4"

// mlkemPart is ML-KEM (FIPS 203) as a half of a hybrid, by circl, which takes
// the randomness of encapsulation as a seed.
type mlkemPart struct {
	id     attls.NamedGroup // draft-ietf-tls-mlkem
	scheme kem.Scheme
}

var (
	mlkem768Part  = mlkemPart{0x0201, mlkem768.Scheme()}
	mlkem1024Part = mlkemPart{0x0202, mlkem1024.Scheme()}
)

func (g mlkemPart) ID() attls.NamedGroup { return g.id }
func (g mlkemPart) SeedLen() int         { return g.scheme.SeedSize() }
func (g mlkemPart) RespondSeedLen() int  { return g.scheme.EncapsulationSeedSize() }

func (g mlkemPart) Generate(seed []byte) (PrivateKey, error) {
	if len(seed) != g.SeedLen() {
		return nil, ErrSeed
	}
	public, private := g.scheme.DeriveKeyPair(seed)
	share, err := public.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return &mlkemKey{g.scheme, private, share}, nil
}

func (g mlkemPart) Respond(seed, clientShare []byte) (share, secret []byte, err error) {
	if len(seed) != g.RespondSeedLen() {
		return nil, nil, ErrSeed
	}
	theirs, err := g.scheme.UnmarshalBinaryPublicKey(clientShare)
	if err != nil {
		return nil, nil, illegalShare(ruleMLKEM, "encapsulation key of %s: %v", g.scheme.Name(), err)
	}
	return g.scheme.EncapsulateDeterministically(theirs, seed)
}

type mlkemKey struct {
	scheme  kem.Scheme
	private kem.PrivateKey
	share   []byte
}

func (k *mlkemKey) Share() []byte { return k.share }

// Finish cannot tell a wrong ciphertext from a right one: ML-KEM then gives a
// secret that nobody else has (FIPS 203 section 6.3).
func (k *mlkemKey) Finish(ciphertext []byte) ([]byte, error) {
	secret, err := k.scheme.Decapsulate(k.private, ciphertext)
	if err != nil {
		return nil, illegalShare(ruleMLKEM, "ciphertext of %s: %v", k.scheme.Name(), err)
	}
	return secret, nil
}

// hybrid joins two groups: seeds, shares and secrets are concatenated in the
// same order (draft-ietf-tls-ecdhe-mlkem section 4). clientCut and serverCut
// are the lengths of the first part's shares.
type hybrid struct {
	id                   attls.NamedGroup
	first, second        Group
	clientCut, serverCut int
}

func (g hybrid) ID() attls.NamedGroup { return g.id }
func (g hybrid) SeedLen() int         { return g.first.SeedLen() + g.second.SeedLen() }
func (g hybrid) RespondSeedLen() int  { return g.first.RespondSeedLen() + g.second.RespondSeedLen() }

func (g hybrid) Generate(seed []byte) (PrivateKey, error) {
	if len(seed) != g.SeedLen() {
		return nil, ErrSeed
	}
	cut := g.first.SeedLen()
	a, err := g.first.Generate(seed[:cut])
	if err != nil {
		return nil, err
	}
	b, err := g.second.Generate(seed[cut:])
	if err != nil {
		return nil, err
	}
	return &hybridKey{a, b, join(a.Share(), b.Share()), g.serverCut}, nil
}

func (g hybrid) Respond(seed, clientShare []byte) (share, secret []byte, err error) {
	if len(seed) != g.RespondSeedLen() {
		return nil, nil, ErrSeed
	}
	if len(clientShare) < g.clientCut {
		return nil, nil, tooShort(clientShare, g.clientCut)
	}
	cut := g.first.RespondSeedLen()
	share1, secret1, err := g.first.Respond(seed[:cut], clientShare[:g.clientCut])
	if err != nil {
		return nil, nil, err
	}
	share2, secret2, err := g.second.Respond(seed[cut:], clientShare[g.clientCut:])
	if err != nil {
		return nil, nil, err
	}
	return join(share1, share2), join(secret1, secret2), nil
}

type hybridKey struct {
	first, second PrivateKey
	share         []byte
	cut           int
}

func (k *hybridKey) Share() []byte { return k.share }

func (k *hybridKey) Finish(share []byte) ([]byte, error) {
	if len(share) < k.cut {
		return nil, tooShort(share, k.cut)
	}
	a, err := k.first.Finish(share[:k.cut])
	if err != nil {
		return nil, err
	}
	b, err := k.second.Finish(share[k.cut:])
	if err != nil {
		return nil, err
	}
	return join(a, b), nil
}

func tooShort(share []byte, first int) *attls.Error {
	return illegalShare(ruleMLKEM, "a share of %d octets; its first part alone has %d", len(share), first)
}

func join(a, b []byte) []byte { return append(append(make([]byte, 0, len(a)+len(b)), a...), b...) }
