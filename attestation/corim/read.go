package corim

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"time"

	"attls/attestation"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/corim/comid"
	"github.com/veraison/corim/corim"
	"github.com/veraison/go-cose"
)

// MaxSize is the size of the largest manifest that is read, in octets.
const MaxSize = 1 << 20

// Further limits of a manifest.
const (
	maxTags    = 64   // CoMIDs
	maxTriples = 1024 // of all CoMIDs
	maxValues  = 4096 // measurements of all triples
	maxItems   = 4096 // of one array
	maxMembers = 64   // of one map
	maxDepth   = 24   // nesting of arrays, maps and tags
)

// Tags of draft-ietf-rats-corim, and of COSE and CBOR (RFC 9052, RFC 8949).
const (
	tagURI      = 32
	tagOID      = 111
	tagSign1    = 18
	tagCoRIM    = 500 // of older revisions
	tagUnsigned = 501
	tagSigned   = 502 // of older revisions
	tagCoMID    = 506
)

// decoding reads what is not from a device and may be written by hand: it accepts
// indefinite lengths, and bounds everything.
var decoding = must(cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF,
	MaxNestedLevels: maxDepth, MaxArrayElements: maxItems, MaxMapPairs: maxMembers}.DecMode())

// encoding is the core deterministic encoding of RFC 8949 section 4.2.1.
var encoding = must(cbor.CoreDetEncOptions().EncMode())

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // a mistake in this file
	}
	return v
}

// Options say how a manifest is judged before it is believed.
type Options struct {
	// Key is that of who signed the manifest. Nil: it is not signed, and one that is
	// signed is refused.
	Key crypto.PublicKey
	// Clock tells the time at which the manifest must be valid; nil: time.Now.
	Clock func() time.Time
}

// Manifest is a CoRIM that was read.
type Manifest struct {
	// Root is the name of the root of trust, as in the section `roots` of a verifier's
	// file.
	Root string
	// Profile is the identifier of its profile.
	Profile string
	// Signer is the name that the signer of a signed manifest has; empty: not signed.
	Signer string
	// NotAfter is when the manifest ends; zero: it does not say.
	NotAfter time.Time

	row        *row
	values     int // measurements of all triples
	references []reference
	keys       []key
}

// reference is a reference-triple-record.
type reference struct {
	where string
	*comid.ValueTriple
}

// key is an attest-key-triple-record.
type key struct {
	where string
	*comid.KeyTriple
}

// Read reads a manifest: an unsigned-corim (tag 501), or a signed-corim (COSE_Sign1,
// tag 18) whose signature the key verifies. Errors name the place in the manifest.
func Read(b []byte, o Options) (m *Manifest, err error) {
	defer caught(&err)
	if len(b) > MaxSize {
		return nil, fmt.Errorf("the manifest has %d octets; at most %d are read", len(b), MaxSize)
	}
	at := time.Now
	if o.Clock != nil {
		at = o.Clock
	}
	m = &Manifest{}
	payload, err := m.open(b, o.Key, at())
	if err != nil {
		return nil, err
	}
	return m, m.read(payload, at())
}

// caught makes an error of a panic of the library.
func caught(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the manifest: the library failed on it: %v", p)
	}
}

// open returns the tagged unsigned-corim-map.
func (m *Manifest) open(b []byte, key crypto.PublicKey, at time.Time) ([]byte, error) {
	var outer cbor.RawTag
	if err := decoding.Unmarshal(b, &outer); err != nil {
		return nil, fmt.Errorf("the manifest does not have a CBOR tag at its begin: %w", err)
	}
	switch {
	case outer.Number == tagUnsigned && key != nil:
		return nil, errors.New("the manifest is not signed, and a key is given that must have signed it")
	case outer.Number == tagUnsigned:
		return b, nil
	case outer.Number == tagCoRIM || outer.Number == tagSigned:
		return nil, fmt.Errorf("the manifest has the tag %d, which is of older revisions of the draft", outer.Number)
	case outer.Number != tagSign1:
		return nil, fmt.Errorf("the manifest has the tag %d; a CoRIM has %d, or %d where it is signed", outer.Number,
			tagUnsigned, tagSign1)
	case key == nil:
		return nil, errors.New("the manifest is signed, and no key is given that must have signed it")
	}
	payload, err := m.verify(b, key, at)
	if err != nil {
		return nil, fmt.Errorf("the signed manifest: %w", err)
	}
	return payload, nil
}

// labelMeta is the header parameter corim-meta.
const labelMeta = int64(8)

// verify checks the signature and returns the payload.
func (m *Manifest) verify(b []byte, key crypto.PublicKey, at time.Time) ([]byte, error) {
	var msg cose.Sign1Message
	if err := msg.UnmarshalCBOR(b); err != nil {
		return nil, err
	}
	alg, err := msg.Headers.Protected.Algorithm()
	if err != nil {
		return nil, err
	}
	if own, err := attestation.COSEAlgorithm(key); err != nil || own != alg {
		return nil, errors.Join(fmt.Errorf("the signature is made with %s, for which the given key (%T) is not one",
			alg, key), err)
	}
	v, err := cose.NewVerifier(alg, key)
	if err != nil {
		return nil, err
	}
	if err := msg.Verify(corim.NoExternalData, v); err != nil {
		return nil, fmt.Errorf("the given key does not verify it: %w", err)
	}
	if _, there := msg.Headers.Protected[cose.HeaderLabelCritical]; there {
		return nil, errors.New("it has critical header parameters (crit), none of which is understood")
	}
	for label := range msg.Headers.Unprotected {
		if label != cose.HeaderLabelKeyID && label != cose.HeaderLabelX5Chain {
			return nil, fmt.Errorf("the unprotected header has the parameter %v, which the signature does not cover", label)
		}
	}
	if v := msg.Headers.Protected[cose.HeaderLabelContentType]; v != corim.ContentType {
		return nil, fmt.Errorf("the content type is %v; that of a CoRIM is %s", v, corim.ContentType)
	}
	meta, ok := msg.Headers.Protected[labelMeta].([]byte)
	if !ok {
		return nil, errors.New("the protected header has no corim-meta")
	}
	return msg.Payload, m.meta(meta, at)
}

// meta reads corim-meta-map.
func (m *Manifest) meta(b []byte, at time.Time) error {
	const where = "corim-meta"
	var tree any
	if err := decoding.Unmarshal(b, &tree); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	if err := metaMap.check(where, tree); err != nil {
		return err
	}
	var meta corim.Meta
	if err := meta.FromCBOR(b); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	if err := meta.Valid(); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	m.Signer = meta.Signer.Name
	return m.within(where, meta.Validity, at)
}

// within compares the time with a validity-map.
func (m *Manifest) within(where string, v *corim.Validity, at time.Time) error {
	if v == nil {
		return nil
	}
	switch {
	case v.NotAfter.IsZero():
		return fmt.Errorf("%s.validity has no not-after", where)
	case v.NotBefore != nil && at.Before(*v.NotBefore):
		return fmt.Errorf("%s.validity: the manifest is valid from %s on, and it is %s", where,
			stamp(*v.NotBefore), stamp(at))
	case !at.Before(v.NotAfter):
		return fmt.Errorf("%s.validity: the manifest was valid until %s, and it is %s", where, stamp(v.NotAfter), stamp(at))
	}
	if m.NotAfter.IsZero() || v.NotAfter.Before(m.NotAfter) {
		m.NotAfter = v.NotAfter
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// read reads the tagged unsigned-corim-map.
func (m *Manifest) read(b []byte, at time.Time) error {
	var outer cbor.RawTag
	if err := decoding.Unmarshal(b, &outer); err != nil {
		return fmt.Errorf("corim: %w", err)
	}
	if outer.Number != tagUnsigned {
		return fmt.Errorf("corim: the tag %d; that of an unsigned-corim-map is %d", outer.Number, tagUnsigned)
	}
	var tree any
	if err := decoding.Unmarshal(outer.Content, &tree); err != nil {
		return fmt.Errorf("corim: %w", err)
	}
	if err := corimMap.check("corim", tree); err != nil {
		return err
	}
	members := tree.(map[any]any)
	profile, err := profileOf(members[uint64(keyProfile)])
	if err != nil {
		return fmt.Errorf("corim.profile: %w", err)
	}
	m.Profile = profile
	if m.row, err = rowOf(profile); err != nil {
		return fmt.Errorf("corim.profile: %w", err)
	}
	m.Root = m.row.root
	c, err := parse(outer.Content, profile)
	if err != nil {
		return err
	}
	if err := m.within("corim", c.RimValidity, at); err != nil {
		return err
	}
	if n := len(c.Tags); n > maxTags {
		return fmt.Errorf("corim.tags: %d tags; at most %d are read", n, maxTags)
	}
	for i, t := range c.Tags {
		if err := m.tag(fmt.Sprintf("corim.tags[%d]", i), c, t); err != nil {
			return err
		}
	}
	return m.distinct()
}

// keyProfile is the member profile of corim-map.
const keyProfile = int64(3)

// profileOf reads profile-type-choice: uri, or tagged-oid-type.
func profileOf(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", errors.New("the manifest names none, so that nothing says what its values mean")
	case cbor.Tag:
		uri, isText := v.Content.(string)
		oid, isOctets := v.Content.([]byte)
		switch {
		case v.Number == tagURI && isText:
			return uri, nil
		case v.Number == tagOID && isOctets:
			id, err := comid.NewTaggedOID(oid)
			if err != nil {
				return "", err
			}
			return id.String(), nil
		}
		return "",
			fmt.Errorf("the tag %d around a value of type %T; a profile is a URI with the tag %d or an OID with the tag %d",
				v.Number, v.Content, tagURI, tagOID)
	case string:
		return "", fmt.Errorf("%q is a text without the tag %d of a URI, as tools for older revisions of the draft write it",
			v, tagURI)
	}
	return "", fmt.Errorf("a value of type %T; a profile is a URI with the tag %d or an OID with the tag %d",
		v, tagURI, tagOID)
}

// parse reads an unsigned-corim-map with the library, which takes the profile without
// its tag.
func parse(content []byte, profile string) (*corim.UnsignedCorim, error) {
	var members map[int64]cbor.RawMessage
	if err := decoding.Unmarshal(content, &members); err != nil {
		return nil, fmt.Errorf("corim: %w", err)
	}
	var err error
	if members[keyProfile], err = encoding.Marshal(profile); err != nil {
		return nil, fmt.Errorf("corim.profile: %w", err)
	}
	plain, err := encoding.Marshal(members)
	if err != nil {
		return nil, fmt.Errorf("corim: %w", err)
	}
	c, err := corim.UnmarshalUnsignedCorimFromCBOR(append(bytes.Clone(corim.UnsignedCorimTag), plain...))
	if err != nil {
		return nil, fmt.Errorf("corim: %w", err)
	}
	if err := c.Valid(); err != nil {
		return nil, fmt.Errorf("corim: %w", err)
	}
	return c, nil
}

// tag reads a concise-mid-tag.
func (m *Manifest) tag(where string, c *corim.UnsignedCorim, t corim.Tag) error {
	if t.Number != tagCoMID {
		return fmt.Errorf("%s: the tag %d; only CoMIDs (%d) are read", where, t.Number, tagCoMID)
	}
	var tree any
	if err := decoding.Unmarshal(t.Content, &tree); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	if err := comidMap.check(where, tree); err != nil {
		return err
	}
	id, err := corim.UnmarshalComidFromCBOR(t.Content, c.Profile)
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	if err := id.Valid(); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	if id.Triples.ReferenceValues != nil {
		for i := range id.Triples.ReferenceValues.Values {
			at := fmt.Sprintf("%s.triples.reference-triples[%d]", where, i)
			m.references = append(m.references, reference{at, &id.Triples.ReferenceValues.Values[i]})
			m.values += len(id.Triples.ReferenceValues.Values[i].Measurements.Values)
		}
	}
	if id.Triples.AttestVerifKeys != nil {
		for i := range *id.Triples.AttestVerifKeys {
			at := fmt.Sprintf("%s.triples.attest-key-triples[%d]", where, i)
			m.keys = append(m.keys, key{at, &(*id.Triples.AttestVerifKeys)[i]})
		}
	}
	if n := len(m.references) + len(m.keys); n > maxTriples || m.values > maxValues {
		return fmt.Errorf("%s: more than %d triples or %d measurements in the manifest", where, maxTriples, maxValues)
	}
	return nil
}

// distinct refuses two triples of one kind about the same environment: the draft does
// not say whether both must hold, or one of them.
func (m *Manifest) distinct() error {
	seen := map[string]string{}
	add := func(kind, where string, e *comid.Environment) error {
		b, err := e.ToCBOR()
		if err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
		id := kind + string(b)
		if first := seen[id]; first != "" {
			return fmt.Errorf("%s is about the same environment as %s; one triple of each kind is read about one", where, first)
		}
		seen[id] = where
		return nil
	}
	for _, r := range m.references {
		if err := add("reference", r.where, &r.Environment); err != nil {
			return err
		}
	}
	for _, k := range m.keys {
		if err := add("key", k.where, &k.Environment); err != nil {
			return err
		}
	}
	return nil
}
