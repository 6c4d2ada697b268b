package corim

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"attls/attestation"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/corim/comid"
	"github.com/veraison/corim/corim"
	"github.com/veraison/go-cose"
)

// Export is a policy as manifests.
type Export struct {
	// Parts are the manifests, one for each profile that is needed.
	Parts []Part
	// Missing lists what the policy says and no manifest can say.
	Missing []string
}

// Part is a manifest that was written.
type Part struct {
	// Name tells the parts of one policy apart; empty where there is only one.
	Name    string
	Profile string
	// Octets are those of the file.
	Octets []byte

	comids []*comid.Comid
}

// ExportOptions say how manifests are written.
type ExportOptions struct {
	// Key signs them; nil: they are not signed.
	Key crypto.Signer
	// Signer is the name of the signer in a signed manifest.
	Signer string
	// NotAfter is when they end; zero: they do not say.
	NotAfter time.Time
}

// Write writes the policy of a root of trust as manifests. The same policy gives the
// same octets, except for signatures.
func Write(root string, v *attestation.Verifier, o ExportOptions) (*Export, error) {
	r, err := rowNamed(root)
	if err != nil {
		return nil, err
	}
	if r.policy != nil && v.Policies[root] == nil {
		return nil, fmt.Errorf("there is no policy of %s (section roots.%s)", root, root)
	}
	e := &Export{}
	e.missing(v.AcceptUnattested, "unattested_key")
	if err := r.export(v, e); err != nil {
		return nil, err
	}
	if len(e.Parts) == 0 {
		return nil, fmt.Errorf("nothing in the policy of %s can be said in a manifest: %s", root, e.Missing)
	}
	for i := range e.Parts {
		p := &e.Parts[i]
		if p.Octets, err = p.write(&o); err != nil {
			return nil, fmt.Errorf("%s: %w", p.Profile, err)
		}
	}
	return e, nil
}

// missing notes what cannot be said, where it is there.
func (e *Export) missing(there bool, format string, args ...any) {
	if there {
		e.Missing = append(e.Missing, fmt.Sprintf(format, args...))
	}
}

// part adds a manifest with its CoMIDs; those without a triple are left out.
func (e *Export) part(name, profile string, comids ...*comid.Comid) {
	p := Part{Name: name, Profile: profile}
	for _, c := range comids {
		if c.Triples.ReferenceValues != nil && !c.Triples.ReferenceValues.IsEmpty() || c.Triples.AttestVerifKeys != nil {
			p.comids = append(p.comids, c)
		}
	}
	if p.comids != nil {
		e.Parts = append(e.Parts, p)
	}
}

func (p *Part) write(o *ExportOptions) ([]byte, error) {
	b, err := p.unsigned(o)
	if err != nil || o.Key == nil {
		return b, err
	}
	return sign(b, o)
}

// uuid is an identifier that follows from contents (version 8 of RFC 9562).
func uuid(contents ...[]byte) []byte {
	sum := sha256.Sum256(bytes.Join(contents, nil))
	id := sum[:16]
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	return id
}

// unsigned writes a tagged unsigned-corim-map.
func (p *Part) unsigned(o *ExportOptions) ([]byte, error) {
	c := corim.NewUnsignedCorim()
	if c.SetProfile(p.Profile) == nil {
		return nil, errors.New("the library does not take the profile")
	}
	contents := [][]byte{[]byte(p.Profile)} // services refuse another manifest with an identifier that they have
	for i, id := range p.comids {
		triples, err := id.Triples.MarshalCBOR()
		if err != nil {
			return nil, err
		}
		contents = append(contents, triples)
		if id.SetTagIdentity(uuid([]byte(p.Profile), triples), 0) == nil {
			return nil, errors.New("the library does not take the identifier of a CoMID")
		}
		if err := id.Valid(); err != nil {
			return nil, fmt.Errorf("CoMID %d: %w", i, err)
		}
		if c.AddComid(id) == nil {
			return nil, fmt.Errorf("CoMID %d cannot be encoded", i)
		}
	}
	if c.SetID(uuid(contents...)) == nil {
		return nil, errors.New("the library does not take the identifier of a CoRIM")
	}
	if !o.NotAfter.IsZero() && c.SetRimValidity(o.NotAfter, nil) == nil {
		return nil, errors.New("the library does not take the end of the validity")
	}
	b, err := c.ToCBOR()
	if err != nil {
		return nil, err
	}
	return retag(b)
}

// retag gives the profile of a manifest the tag of a URI, which the library leaves out.
func retag(b []byte) ([]byte, error) {
	var members map[int64]cbor.RawMessage
	if err := decoding.Unmarshal(b[len(corim.UnsignedCorimTag):], &members); err != nil {
		return nil, err
	}
	tagged, err := encoding.Marshal(cbor.RawTag{Number: tagURI, Content: members[keyProfile]})
	if err != nil {
		return nil, err
	}
	members[keyProfile] = tagged
	plain, err := encoding.Marshal(members)
	return append(bytes.Clone(corim.UnsignedCorimTag), plain...), err
}

// sign makes a signed-corim (COSE_Sign1, tag 18).
func sign(payload []byte, o *ExportOptions) ([]byte, error) {
	alg, err := attestation.COSEAlgorithm(o.Key.Public())
	if err != nil {
		return nil, err
	}
	signer, err := cose.NewSigner(alg, o.Key)
	if err != nil {
		return nil, err
	}
	meta := corim.NewMeta().SetSigner(o.Signer, nil)
	if meta == nil {
		return nil, errors.New("the signer has no name")
	}
	header, err := meta.ToCBOR()
	if err != nil {
		return nil, err
	}
	msg := cose.NewSign1Message()
	msg.Payload = payload
	msg.Headers.Protected.SetAlgorithm(alg)
	msg.Headers.Protected[cose.HeaderLabelContentType] = corim.ContentType
	msg.Headers.Protected[labelMeta] = header
	if err := msg.Sign(rand.Reader, corim.NoExternalData, signer); err != nil {
		return nil, err
	}
	return msg.MarshalCBOR()
}

// The functions below make what the library writes.

// newMeasurement is a measurement of an element that is named by a text.
func newMeasurement(element string) *comid.Measurement {
	return comid.MustNewMeasurement(element, comid.StringType)
}

// newKey is a key as pkix-base64-key.
func newKey(pub crypto.PublicKey) (*comid.CryptoKey, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, err
	}
	text := bytes.TrimSpace(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	return comid.NewPKIXBase64Key(string(text))
}

// sorted are the names of reference values, in order.
func sorted(m map[string][]attestation.Octets) []string { return slices.Sorted(maps.Keys(m)) }
