package corim

import (
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strings"

	"attls/attestation"

	"github.com/veraison/corim/comid"
	"go.yaml.in/yaml/v3"
)

// row is a root of trust whose policy can be read from manifests of some profiles, and
// written as such.
type row struct {
	root     string
	profiles []string
	// policy reads the section of a verifier's file; nil: the root of trust is judged
	// by endorsements and references.
	policy func(n *yaml.Node) (attestation.Policy, error)
	// add puts what a manifest says into the policy of its root of trust.
	add func(m *Manifest, v *attestation.Verifier, c *Changes) error
	// export writes a policy: one manifest for each profile that is needed.
	export func(v *attestation.Verifier, e *Export) error
}

// rows are the roots of trust that manifests are read and written for.
var rows []*row

func init() { rows = []*row{psaRow, ccaRow, parsecRow, snpRow, tpmRow} }

// unsupported are the roots of trust for which there is none, with the reason.
var unsupported = map[string]string{
	"eat":         "there is no profile for the tokens of the software root of trust",
	"nitro":       "AWS has defined no profile for Nitro Enclaves",
	"tpm-certify": "a policy of it has no reference values; its keys are endorsed as those of tpm",
	"tdx": "Intel's profile describes the platform (SEAM module, quoting and provisioning enclaves); a policy " +
		"of tdx describes the TD, and takes the platform's state from Intel's collateral",
}

// intel is the arc of Intel's profiles (2.16.840.1.113741.1.16).
const intel = "2.16.840.1.113741.1.16."

// rowOf finds the row of a profile.
func rowOf(profile string) (*row, error) {
	var known []string
	for _, r := range rows {
		if slices.Contains(r.profiles, profile) {
			return r, nil
		}
		known = append(known, r.profiles...)
	}
	if strings.HasPrefix(profile, intel) {
		return nil, fmt.Errorf("%q: %s", profile, unsupported["tdx"])
	}
	return nil, fmt.Errorf("%q is not known; known are %s", profile, strings.Join(known, ", "))
}

// rowNamed finds the row of a root of trust.
func rowNamed(root string) (*row, error) {
	for _, r := range rows {
		if r.root == root {
			return r, nil
		}
	}
	if why := unsupported[root]; why != "" {
		return nil, fmt.Errorf("no manifest can be made for the root of trust %s: %s", root, why)
	}
	return nil, fmt.Errorf("no manifest can be made for the root of trust %q; there are %s", root,
		strings.Join(Roots(), ", "))
}

// Roots lists the names of the roots of trust that manifests are read and written for.
func Roots() (list []string) {
	for _, r := range rows {
		list = append(list, r.root)
	}
	return list
}

// Changes are what an import does to a policy.
type Changes struct {
	// Added lists what the policy accepts now and did not before.
	Added []string
	// Known lists what it accepted already.
	Known []string
	// Notes list what the manifest says and is not compared.
	Notes []string

	seen map[string]bool
}

func (c *Changes) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(c.Notes, text) {
		c.Notes = append(c.Notes, text)
	}
}

// octets adds a value to a list.
func (c *Changes) octets(list []attestation.Octets, v []byte, what, where string) []attestation.Octets {
	text := fmt.Sprintf("%s: %x", what, v)
	known := contains(list, v)
	if !known {
		list = append(list, v)
	}
	if c.seen[text] { // more than one triple says it
		return list
	}
	if c.seen == nil {
		c.seen = map[string]bool{}
	}
	c.seen[text] = true
	text = fmt.Sprintf("%s (%s)", text, where)
	if known {
		c.Known = append(c.Known, text)
	} else {
		c.Added = append(c.Added, text)
	}
	return list
}

func contains(list []attestation.Octets, v []byte) bool {
	return slices.ContainsFunc(list, func(x attestation.Octets) bool { return string(x) == string(v) })
}

// The functions below take values out of what the library has read, and refuse what
// is not there in this form.

// hashes are the algorithms of digests (IANA Named Information registry) by length in
// octets, of those that measurements are made with.
var hashes = map[int]uint64{32: 1, 48: 7, 64: 8}

// digest is the one digest of a measurement.
func digest(where string, v *comid.Mval) ([]byte, error) {
	if v.Digests == nil || len(*v.Digests) != 1 {
		n := 0
		if v.Digests != nil {
			n = len(*v.Digests)
		}
		return nil, fmt.Errorf("%s.digests: %d digests; exactly one can be compared", where, n)
	}
	d := (*v.Digests)[0]
	if hashes[len(d.HashValue)] != d.HashAlgID {
		return nil,
			fmt.Errorf("%s.digests: the algorithm %d with %d octets; there are sha-256 (1), sha-384 (7) and sha-512 (8)", where,
				d.HashAlgID, len(d.HashValue))
	}
	return d.HashValue, nil
}

// raw is the raw value of a measurement; the mask, where there is one, must cover all.
func raw(where string, v *comid.Mval) ([]byte, error) {
	if v.RawValue == nil {
		return nil, fmt.Errorf("%s.raw-value is missing", where)
	}
	b, err := v.RawValue.GetBytes()
	if err != nil || len(b) == 0 {
		return nil, fmt.Errorf("%s.raw-value: not octets, or none (%v)", where, err)
	}
	if v.RawValueMask == nil {
		return b, nil
	}
	mask := *v.RawValueMask
	if len(mask) != len(b) || slices.ContainsFunc(mask, func(x byte) bool { return x != 0xff }) {
		return nil,
			fmt.Errorf("%s.raw-value-mask: the mask %x; a policy compares whole values, so each of the %d octets must be ff",
				where, mask, len(b))
	}
	return b, nil
}

// only refuses values that a measurement has and that are not among those of its kind.
func only(where string, v *comid.Mval, names ...string) error {
	for _, x := range []struct {
		name  string
		there bool
	}{
		{"version", v.Ver != nil}, {"svn", v.SVN != nil}, {"digests", v.Digests != nil},
		{"flags", v.Flags != nil && v.Flags.AnySet()},
		{"raw-value", v.RawValue != nil}, {"raw-value-mask", v.RawValueMask != nil}, {"mac-addr", v.MACAddr != nil},
		{"ip-addr", v.IPAddr != nil}, {"serial-number", v.SerialNumber != nil}, {"ueid", v.UEID != nil},
		{"uuid", v.UUID != nil},
		{"name", v.Name != nil}, {"cryptokeys", v.CryptoKeys != nil}, {"integrity-registers", v.IntegrityRegisters != nil},
	} {
		if x.there && !slices.Contains(names, x.name) {
			return fmt.Errorf("%s.%s: a policy cannot say it of such a measurement", where, x.name)
		}
	}
	return nil
}

// mkey is the measured element, as text.
func mkey(where string, m *comid.Measurement) (string, error) {
	if m.Key == nil || !m.Key.IsSet() {
		return "", fmt.Errorf("%s.mkey is missing", where)
	}
	if m.Key.Type() != comid.StringType {
		return "", fmt.Errorf("%s.mkey: a value of type %s; it is a text", where, m.Key.Type())
	}
	return m.Key.Value.String(), nil
}

// class is the class id of an environment, of a type.
func class(where string, e *comid.Environment, typ string) ([]byte, error) {
	if e.Class == nil || e.Class.ClassID == nil {
		return nil, fmt.Errorf("%s.environment.class.class-id is missing", where)
	}
	if t := e.Class.ClassID.Type(); t != typ {
		return nil, fmt.Errorf("%s.environment.class.class-id: a value of type %s; it is of type %s", where, t, typ)
	}
	return e.Class.ClassID.Bytes(), nil
}

// instance is the instance id of an environment, of a type.
func instance(where string, e *comid.Environment, typ string) ([]byte, error) {
	if e.Instance == nil {
		return nil, fmt.Errorf("%s.environment.instance is missing", where)
	}
	if t := e.Instance.Type(); t != typ {
		return nil, fmt.Errorf("%s.environment.instance: a value of type %s; it is of type %s", where, t, typ)
	}
	return e.Instance.Bytes(), nil
}

// verificationKey is the one key of an attest-key triple.
func verificationKey(k key) (crypto.PublicKey, error) {
	if n := len(k.VerifKeys); n != 1 {
		return nil, fmt.Errorf("%s: %d keys; exactly one is read", k.where, n)
	}
	v := k.VerifKeys[0]
	if v == nil || v.Value == nil || v.Type() != comid.PKIXBase64KeyType {
		return nil, fmt.Errorf("%s: a key that is not a pkix-base64-key", k.where)
	}
	pub, err := v.PublicKey()
	if err == nil {
		_, err = attestation.COSEAlgorithm(pub)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.where, err)
	}
	return pub, nil
}

// sameKey compares public keys.
func sameKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

var errNothing = errors.New("the manifest has no triple")
