// Package nitro makes, reads and judges attestation documents of AWS Nitro Enclaves.
package nitro

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"attls"
	"attls/attestation"

	"github.com/fxamacker/cbor/v2"
)

// Name is that of the format in the table.
const Name = "nitro"

// MediaType is the type of a CMW with an attestation document. No registry and no text
// has one; this name is used here alone.
const MediaType = "application/vnd.attls.nitro-attestation-document+cbor"

const rule = "AWS Nitro Enclaves, attestation process"

// Lengths of the AWS documentation, in octets.
const (
	maxNonce       = 512
	maxUserData    = 512
	maxPublicKey   = 1024
	maxCertificate = 1024
	maxModule      = 256
	maxPCRs        = 32
	maxChain       = 16 // certificates of a cabundle: a bound of ours
)

// Format is the row of Nitro.
func Format() attestation.Format {
	return attestation.Format{
		Name:      Name,
		Title:     "AWS Nitro Enclaves: attestation document",
		Source:    rule,
		Types:     []attestation.Type{{MediaType: MediaType, Note: "not registered, and in no text: a name of this project"}},
		Challenge: attestation.ChallengeField{Name: "nonce", Rule: rule, Min: 1, Max: maxNonce},
		Key:       attestation.KeyNaming{Named: true, How: "the field public_key, as DER SubjectPublicKeyInfo"},
		Says:      []string{"instance-identity", "configuration", "executables", "hardware"},
		Unsigned:  "the unprotected header, which must be empty",
		Read:      read,
		Policy:    policyOf,
		Open:      open,
		Emulate:   emulate,
	}
}

// document is an attestation document.
type document struct {
	sign1
	octets      []byte // all of it
	module      string
	at          time.Time
	pcrs        map[uint64][]byte
	certificate *x509.Certificate
	bundle      []*x509.Certificate // the root first, as it is sent
	key         crypto.PublicKey
	nonce       []byte
}

// sign1 is an untagged COSE_Sign1 (RFC 9052 section 4.2).
type sign1 struct {
	_           struct{} `cbor:",toarray"`
	Protected   []byte
	Unprotected cbor.RawMessage
	Payload     []byte
	Signature   []byte
}

// array4 is the initial octet of a CBOR array of 4.
const array4 = 0x84

// strict refuses what two readers could understand differently.
var strict = must(cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden,
	MaxArrayElements: 32, MaxMapPairs: 64}.DecMode())

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// The protected header {1: -35}, ECDSA with SHA-384, in its one deterministic form.
var protected = []byte{0xa1, 0x01, 0x38, 0x22}

// read reads an attestation document.
func read(c *attestation.CMW) (*attestation.Reading, *attls.Error) {
	if c.IsCollection() {
		return nil, attestation.Malformed(-1, rule, "an attestation document is one record, not a collection")
	}
	if len(c.Value) == 0 || c.Value[0] != array4 {
		return nil, attestation.Malformed(0, rule, "a COSE_Sign1 without a tag is expected, an array of 4")
	}
	d := &document{octets: c.Value}
	if err := strict.Unmarshal(c.Value, &d.sign1); err != nil {
		return nil, attestation.Malformed(-1, rule, "the COSE_Sign1: %v", err)
	}
	if !bytes.Equal(d.Protected, protected) {
		return nil, attestation.Malformed(-1, rule, "the protected header is %x; only ES384 (%x) is used", d.Protected,
			protected).Under("protected")
	}
	if !bytes.Equal(d.Unprotected, []byte{0xa0}) {
		return nil, attestation.Malformed(-1, rule, "the header is not empty").Under("unprotected")
	}
	if err := d.decode(); err != nil {
		return nil, err.Under("payload")
	}
	r := &attestation.Reading{
		Key:       d.key,
		Instance:  []byte(d.module),
		Fields:    func() []attestation.Field { return d.fields(c.Value) },
		Statement: d,
	}
	if d.nonce != nil {
		r.Challenges = []attestation.Challenge{{Values: [][]byte{d.nonce}}}
	}
	return r, nil
}

// decode reads the payload.
func (d *document) decode() *attls.Error {
	c, err := attestation.ParseClaims(d.Payload)
	if err != nil {
		return err
	}
	var digest string
	var milliseconds uint64
	for _, x := range []struct {
		name string
		v    any
	}{{"module_id", &d.module}, {"digest", &digest}, {"timestamp", &milliseconds}, {"pcrs", &d.pcrs}} {
		if there, err := c.Read(x.name, x.v); err != nil {
			return err
		} else if !there {
			return attestation.Malformed(-1, rule, "the field is missing").Under(x.name)
		}
	}
	switch {
	case digest != "SHA384":
		return attestation.Malformed(-1, rule, "%q; only SHA384 is used", digest).Under("digest")
	case d.module == "" || len(d.module) > maxModule:
		return attestation.Malformed(-1, rule, "%d octets; 1 to %d are allowed", len(d.module), maxModule).Under("module_id")
	case milliseconds == 0 || milliseconds > uint64(1)<<53:
		return attestation.Malformed(-1, rule, "%d milliseconds", milliseconds).Under("timestamp")
	case len(d.pcrs) == 0 || len(d.pcrs) > maxPCRs:
		return attestation.Malformed(-1, rule, "%d registers; 1 to %d are allowed", len(d.pcrs), maxPCRs).Under("pcrs")
	}
	d.at = time.UnixMilli(int64(milliseconds))
	for i, v := range d.pcrs {
		if n := len(v); i >= maxPCRs || n != 32 && n != 48 && n != 64 {
			return attestation.Malformed(-1, rule, "register %d has %d octets; registers 0 to %d have 32, 48 or 64", i, n,
				maxPCRs-1).Under("pcrs")
		}
	}
	if err := d.chain(c); err != nil {
		return err
	}
	return d.optional(c)
}

// chain reads the certificates.
func (d *document) chain(c attestation.Claims) *attls.Error {
	var der []byte
	var bundle [][]byte
	for _, x := range []struct {
		name string
		v    any
	}{{"certificate", &der}, {"cabundle", &bundle}} {
		if there, err := c.Read(x.name, x.v); err != nil {
			return err
		} else if !there {
			return attestation.Malformed(-1, rule, "the field is missing").Under(x.name)
		}
	}
	if len(bundle) == 0 || len(bundle) > maxChain {
		return attestation.Malformed(-1, rule, "%d certificates; 1 to %d are read", len(bundle), maxChain).Under("cabundle")
	}
	var err *attls.Error
	if d.certificate, err = certificateOf(der); err != nil {
		return err.Under("certificate")
	}
	if k, ok := d.certificate.PublicKey.(*ecdsa.PublicKey); !ok || k.Curve != elliptic.P384() {
		return attestation.Malformed(-1, rule, "the key is not on P-384, so nothing under ES384 can verify").
			Under("certificate")
	}
	for i, b := range bundle {
		x, err := certificateOf(b)
		if err != nil {
			return err.Under(fmt.Sprintf("cabundle[%d]", i))
		}
		d.bundle = append(d.bundle, x)
	}
	return nil
}

func certificateOf(der []byte) (*x509.Certificate, *attls.Error) {
	if n := len(der); n == 0 || n > maxCertificate {
		return nil, attestation.Malformed(-1, rule, "%d octets; 1 to %d are allowed", n, maxCertificate)
	}
	x, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, attestation.Malformed(-1, rule, "%v", err)
	}
	return x, nil
}

// optional reads what an enclave may put into the document.
func (d *document) optional(c attestation.Claims) *attls.Error {
	var key, data []byte
	for _, x := range []struct {
		name string
		v    *[]byte
		most int
	}{{"public_key", &key, maxPublicKey}, {"user_data", &data, maxUserData}, {"nonce", &d.nonce, maxNonce}} {
		if raw := c[x.name]; len(raw) == 0 || raw[0] == null {
			continue
		}
		b, err := c.Octets(x.name)
		if err != nil {
			return err
		}
		if len(b) > x.most {
			return attestation.Malformed(-1, rule, "%d octets; at most %d are allowed", len(b), x.most).Under(x.name)
		}
		*x.v = b
	}
	if len(key) == 0 {
		return nil
	}
	var err error
	if d.key, err = x509.ParsePKIXPublicKey(key); err != nil {
		return attestation.Malformed(-1, rule, "not a DER SubjectPublicKeyInfo: %v", err).Under("public_key")
	}
	return nil
}

// null is the octet by which CBOR says that there is nothing.
const null = 0xf6

var names = map[any]string{}

func init() {
	for _, name := range []string{"module_id", "timestamp", "digest", "pcrs", "certificate", "cabundle", "public_key",
		"user_data", "nonce"} {
		names[name] = name
	}
}

// fields names the parts of the document.
func (d *document) fields(value []byte) []attestation.Field {
	payload, signature := bytes.Index(value, d.Payload), bytes.LastIndex(value, d.Signature)
	if payload < 0 || signature < 0 || len(d.Signature) == 0 {
		return nil
	}
	list := []attestation.Field{{Name: "alg", Text: "ES384"}}
	list = append(list, attestation.ClaimFields(d.Payload, payload, "", names)...)
	var indexes []uint64
	for i := range d.pcrs {
		indexes = append(indexes, i)
	}
	slices.Sort(indexes)
	for _, i := range indexes {
		list = append(list, attestation.Field{Name: fmt.Sprintf("pcrs.%s", pcrName(i)), Text: fmt.Sprintf("%x", d.pcrs[i])})
	}
	return append(list,
		attestation.Field{Name: "time", Text: d.at.UTC().Format(time.RFC3339)},
		attestation.Field{Name: "signature", Start: signature, End: signature + len(d.Signature),
			Text: fmt.Sprintf("%x", d.Signature)})
}

func pcrName(i uint64) string { return fmt.Sprintf("pcr%d", i) }
