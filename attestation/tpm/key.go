package tpm

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// PEMType is that of a PEM block with a key that only its TPM can use, as the providers
// of OpenSSL write and read it ("ASN.1 Specification for TPM 2.0 Key Files").
const PEMType = "TSS2 PRIVATE KEY"

// loadable is the type of such a file whose key TPM2_Load takes.
var loadable = asn1.ObjectIdentifier{2, 23, 133, 10, 1, 3}

// keyFile is TPMKey of that specification. A key with a policy or a wrapping secret
// is not supported.
type keyFile struct {
	Type      asn1.ObjectIdentifier
	EmptyAuth bool `asn1:"optional,explicit,tag:0"`
	Parent    int64
	Public    []byte // TPM2B_PUBLIC
	Private   []byte // TPM2B_PRIVATE
}

// hierarchies can have the storage key of a key in a file.
var hierarchies = []tpm2.TPMHandle{tpm2.TPMRHOwner, tpm2.TPMRHEndorsement, tpm2.TPMRHPlatform, tpm2.TPMRHNull}

// storage makes the parent of keys in files, a primary key of the owner: that of the
// TCG's template for P-256, with an empty field unique, as the providers of OpenSSL make
// it.
func storage() tpm2.TPMTPublic {
	t := tpm2.ECCSRKTemplate
	t.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{})
	return t
}

// object is a key in a TPM: persistent, or loaded from what the TPM has encrypted.
type object struct {
	persistent tpm2.TPMHandle // 0: it is loaded
	parent     tpm2.TPMHandle // of one that is loaded: a hierarchy, or a persistent key
	private    []byte
	area       *tpm2.TPMTPublic
	name       tpm2.TPM2BName
	public     *ecdsa.PublicKey
	// saved is the key as it was loaded last, which is quicker to load than what is
	// under a parent. The TPM forgets it when it is reset.
	saved *tpm2.TPMSContext
}

// objectOf completes a key with what its public area says.
func objectOf(o *object, area *tpm2.TPMTPublic) (*object, error) {
	key, failure := keyOf(area)
	if failure != nil {
		return nil, failure
	}
	name, err := tpm2.ObjectName(area)
	if err != nil {
		return nil, err
	}
	o.area, o.name, o.public = area, *name, key.(*ecdsa.PublicKey)
	return o, nil
}

// parseKeyFile reads the DER of a key.
func parseKeyFile(der []byte) (o *object, err error) {
	defer func() {
		if p := recover(); p != nil {
			o, err = nil, fmt.Errorf("the key of a TPM: %v", p)
		}
	}()
	var f keyFile
	if rest, err := asn1.Unmarshal(der, &f); err != nil || len(rest) > 0 {
		return nil, errors.New("not the key of a TPM, or one with a policy, which is not supported")
	}
	switch {
	case !f.Type.Equal(loadable):
		return nil, fmt.Errorf("a file of the type %v; only keys that can be loaded (%v) are supported", f.Type, loadable)
	case !f.EmptyAuth:
		return nil, errors.New("the key has a password, and attls asks for none")
	}
	parent := tpm2.TPMHandle(uint32(f.Parent))
	switch {
	case slices.Contains(hierarchies, parent):
	case parent >= firstPersistent && parent <= lastPersistent && (f.Parent>>32 == 0 || f.Parent>>32 == -1):
	default:
		return nil, fmt.Errorf("the parent %#x is neither a hierarchy nor a persistent key", f.Parent)
	}
	var public, private, left cryptobyte.String
	in := cryptobyte.String(f.Public)
	if !in.ReadUint16LengthPrefixed(&public) || !in.Empty() {
		return nil, errors.New("pubkey is not a TPM2B_PUBLIC")
	}
	left = f.Private
	if !left.ReadUint16LengthPrefixed(&private) || !left.Empty() || private.Empty() {
		return nil, errors.New("privkey is not a TPM2B_PRIVATE")
	}
	area, failure := structure[tpm2.TPMTPublic](public, "pubkey")
	if failure != nil {
		return nil, failure
	}
	return objectOf(&object{parent: parent, private: bytes.Clone(private)}, area)
}

// der writes the key as parseKeyFile reads it.
func (o *object) der() ([]byte, error) {
	var b cryptobyte.Builder
	prefixed := func(octets []byte) []byte {
		var b cryptobyte.Builder
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(octets) })
		return b.BytesOrPanic()
	}
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(loadable)
		b.AddASN1(cbasn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) { b.AddASN1Boolean(true) })
		b.AddASN1Int64(int64(o.parent))
		b.AddASN1OctetString(prefixed(tpm2.Marshal(*o.area)))
		b.AddASN1OctetString(prefixed(o.private))
	})
	return b.Bytes()
}

// pem writes the key as a PEM block.
func (o *object) pem() ([]byte, error) {
	der, err := o.der()
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: PEMType, Bytes: der}), nil
}

// Persistent keys have handles in this range (TPM 2.0 Library, Part 2, 7.2).
const (
	firstPersistent tpm2.TPMHandle = 0x81000000
	lastPersistent  tpm2.TPMHandle = 0x81ffffff
)

// persistentKey is a key that is in the TPM already.
func persistentKey(t transport.TPM, handle tpm2.TPMHandle) (*object, error) {
	r, err := tpm2.ReadPublic{ObjectHandle: handle}.Execute(t)
	if err != nil {
		return nil, fmt.Errorf("the key %#x: %w", uint32(handle), err)
	}
	area, err := r.OutPublic.Contents()
	if err != nil {
		return nil, fmt.Errorf("the key %#x: %w", uint32(handle), err)
	}
	return objectOf(&object{persistent: handle}, area)
}

// parentOf gives the parent of a key: what it is, and what removes it.
func parentOf(t transport.TPM, parent tpm2.TPMHandle) (tpm2.AuthHandle, func(), error) {
	if parent >= firstPersistent {
		r, err := tpm2.ReadPublic{ObjectHandle: parent}.Execute(t)
		if err != nil {
			return tpm2.AuthHandle{}, nil, fmt.Errorf("the parent %#x: %w", uint32(parent), err)
		}
		return tpm2.AuthHandle{Handle: parent, Name: r.Name, Auth: tpm2.PasswordAuth(nil)}, func() {}, nil
	}
	r, err := tpm2.CreatePrimary{PrimaryHandle: parent, InPublic: tpm2.New2B(storage())}.Execute(t)
	if err != nil {
		return tpm2.AuthHandle{}, nil, fmt.Errorf("the storage key: %w", err)
	}
	h := tpm2.AuthHandle{Handle: r.ObjectHandle, Name: r.Name, Auth: tpm2.PasswordAuth(nil)}
	return h, func() { flush(t, r.ObjectHandle) }, nil
}

// flush removes what is loaded.
func flush(t transport.TPM, handle tpm2.TPMHandle) {
	_, _ = tpm2.FlushContext{FlushHandle: handle}.Execute(t) // what is not there any more need not be removed
}

// load makes the key usable, and returns what removes it.
func (o *object) load(t transport.TPM) (tpm2.AuthHandle, func(), error) {
	h := tpm2.AuthHandle{Handle: o.persistent, Name: o.name, Auth: tpm2.PasswordAuth(nil)}
	if o.persistent != 0 {
		return h, func() {}, nil
	}
	if o.saved != nil {
		if r, err := (tpm2.ContextLoad{Context: *o.saved}).Execute(t); err == nil {
			h.Handle = r.LoadedHandle
			return h, func() { flush(t, h.Handle) }, nil
		}
		o.saved = nil
	}
	parent, remove, err := parentOf(t, o.parent)
	if err != nil {
		return h, nil, err
	}
	r, err := tpm2.Load{ParentHandle: parent, InPrivate: tpm2.TPM2BPrivate{Buffer: o.private},
		InPublic: tpm2.New2B(*o.area)}.Execute(t)
	remove()
	if err != nil {
		return h, nil, fmt.Errorf("the key is not one of this TPM: %w", err)
	}
	if !bytes.Equal(r.Name.Buffer, o.name.Buffer) {
		flush(t, r.ObjectHandle)
		return h, nil, errors.New("the key that was loaded has another name")
	}
	if s, err := (tpm2.ContextSave{SaveHandle: r.ObjectHandle}).Execute(t); err == nil {
		o.saved = &s.Context
	}
	h.Handle = r.ObjectHandle
	return h, func() { flush(t, h.Handle) }, nil
}

// Attributes of keys that are made here.
var made = tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true,
	SignEncrypt: true}

// template is that of a signing key on P-256. A restricted one signs only what the TPM
// has made, with ECDSA and SHA-256.
func template(attributes tpm2.TPMAObject) tpm2.TPMTPublic {
	scheme := tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgNull}
	if attributes.Restricted {
		scheme = tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgECDSA,
			Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256})}
	}
	return tpm2.TPMTPublic{Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256, ObjectAttributes: attributes,
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{CurveID: tpm2.TPMECCNistP256, Scheme: scheme,
			Symmetric: tpm2.TPMTSymDefObject{Algorithm: tpm2.TPMAlgNull}, KDF: tpm2.TPMTKDFScheme{Scheme: tpm2.TPMAlgNull}}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{})}
}

// create makes a key in the TPM, under the storage key of the owner.
func create(t transport.TPM, restricted bool) (*object, error) {
	parent, remove, err := parentOf(t, tpm2.TPMRHOwner)
	if err != nil {
		return nil, err
	}
	defer remove()
	attributes := made
	attributes.Restricted = restricted
	r, err := tpm2.Create{ParentHandle: parent, InPublic: tpm2.New2B(template(attributes))}.Execute(t)
	if err != nil {
		return nil, fmt.Errorf("a new key: %w", err)
	}
	area, err := r.OutPublic.Contents()
	if err != nil {
		return nil, fmt.Errorf("a new key: %w", err)
	}
	return objectOf(&object{parent: tpm2.TPMRHOwner, private: r.OutPrivate.Buffer}, area)
}

// Key is a key inside a TPM, which signs there.
type Key struct {
	tpm *TPM
	*object
}

var _ crypto.Signer = (*Key)(nil)

// ParseKey reads the DER of a PEM block of the type PEMType. The TPM is not asked yet.
func ParseKey(t *TPM, der []byte) (*Key, error) {
	o, err := parseKeyFile(der)
	if err != nil {
		return nil, err
	}
	if a := o.area.ObjectAttributes; !a.SignEncrypt || a.Restricted {
		return nil, errors.New("the key may not sign what comes from outside its TPM")
	}
	return &Key{t, o}, nil
}

// NewKey makes a key on P-256 that cannot leave the TPM.
func (t *TPM) NewKey(ctx context.Context) (*Key, error) {
	k := &Key{tpm: t}
	err := t.use(ctx, func(l transport.TPM) (err error) {
		k.object, err = create(l, false)
		return err
	})
	if err != nil {
		return nil, err
	}
	return k, nil
}

// Public implements crypto.Signer: an *ecdsa.PublicKey.
func (k *Key) Public() crypto.PublicKey { return k.public }

// PEM writes the key for ParseKey, and for OpenSSL.
func (k *Key) PEM() ([]byte, error) { return k.pem() }

// Sign implements crypto.Signer. It takes no longer than a use of the TPM may.
func (k *Key) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.SignContext(context.Background(), digest, opts)
}

// hashes are the digests that a key signs.
var hashes = map[crypto.Hash]tpm2.TPMAlgID{crypto.SHA256: tpm2.TPMAlgSHA256, crypto.SHA384: tpm2.TPMAlgSHA384,
	crypto.SHA512: tpm2.TPMAlgSHA512}

// SignContext signs a digest of SHA-256, SHA-384 or SHA-512 with ECDSA, within a
// context. The signature is the DER of Ecdsa-Sig-Value (RFC 3279 section 2.2.3).
func (k *Key) SignContext(ctx context.Context, digest []byte, opts crypto.SignerOpts) (der []byte, err error) {
	h := opts.HashFunc()
	alg, ok := hashes[h]
	if !ok || len(digest) != h.Size() {
		return nil, fmt.Errorf("a digest of %d octets (%v); the TPM signs those of SHA-256, SHA-384 and SHA-512",
			len(digest), h)
	}
	err = k.tpm.use(ctx, func(t transport.TPM) error {
		handle, remove, err := k.load(t)
		if err != nil {
			return err
		}
		defer remove()
		r, err := tpm2.Sign{KeyHandle: handle, Digest: tpm2.TPM2BDigest{Buffer: digest}, InScheme: scheme(alg),
			Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck, Hierarchy: tpm2.TPMRHNull}}.Execute(t)
		if err != nil {
			return err
		}
		der, err = ecdsaDER(&r.Signature)
		return err
	})
	return der, err
}

func scheme(hash tpm2.TPMAlgID) tpm2.TPMTSigScheme {
	return tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgECDSA,
		Details: tpm2.NewTPMUSigScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSchemeHash{HashAlg: hash})}
}

// ecdsaDER writes r and s as the rest of the world does.
func ecdsaDER(s *tpm2.TPMTSignature) ([]byte, error) {
	sig, err := s.Signature.ECDSA()
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(new(big.Int).SetBytes(sig.SignatureR.Buffer))
		b.AddASN1BigInt(new(big.Int).SetBytes(sig.SignatureS.Buffer))
	})
	return b.Bytes()
}
