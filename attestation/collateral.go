package attestation

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"strings"

	"attls"

	"go.yaml.in/yaml/v3"
)

// CRLs are certificate revocation lists, as PEM in one text.
type CRLs []*x509.RevocationList

const pemCRL = "X509 CRL"

// UnmarshalYAML reads PEM: one list or more, and nothing else.
func (c *CRLs) UnmarshalYAML(n *yaml.Node) error {
	list, err := ParseCRLs([]byte(n.Value))
	if err != nil {
		return at(n, "%w", err)
	}
	*c = list
	return nil
}

// MarshalYAML writes PEM.
func (c CRLs) MarshalYAML() (any, error) {
	var out bytes.Buffer
	for _, x := range c {
		if err := pem.Encode(&out, &pem.Block{Type: pemCRL, Bytes: x.Raw}); err != nil {
			return nil, err
		}
	}
	return out.String(), nil
}

// ParseCRLs reads one list in DER, or lists in PEM and nothing else.
func ParseCRLs(b []byte) (CRLs, error) {
	if x, err := x509.ParseRevocationList(b); err == nil {
		return CRLs{x}, nil
	}
	var list CRLs
	for rest := bytes.TrimSpace(b); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != pemCRL {
			return nil, errCRLs
		}
		x, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, err
		}
		list = append(list, x)
	}
	if list == nil {
		return nil, errCRLs
	}
	return list, nil
}

var errCRLs = errors.New("CRLs are one in DER, or blocks of PEM of the type " + pemCRL + ", and nothing else")

// CompareMeasurements compares what Evidence measures with the reference values of a
// policy. Names without a reference value are not compared; a name with one must be
// in the Evidence.
func CompareMeasurements(rule string, references map[string][]Octets, measured map[string][]byte) *attls.Error {
	for name, values := range references {
		v, ok := measured[name]
		if !ok {
			return Refuse(rule, "the Evidence has no %s, for which there is a reference value", name)
		}
		if !slices.ContainsFunc(values, func(x Octets) bool { return bytes.Equal(x, v) }) {
			return Refuse(rule, "%x is not a reference value", v).Under(name)
		}
	}
	return nil
}

// CheckMeasurements is for reading a policy: the names of its reference values are
// among those of the lengths (in octets), and have these lengths. It reports the first
// that does not.
func CheckMeasurements(s *Section, member string, references map[string][]Octets, lengths map[string]int) error {
	for name, values := range references {
		n, ok := lengths[name]
		if !ok {
			var names []string
			for name := range lengths {
				names = append(names, name)
			}
			slices.Sort(names)
			return s.Fail(member, "nothing that is measured is called %q; there are %s", name, strings.Join(names, ", "))
		}
		for _, v := range values {
			if len(v) != n {
				return s.Fail(member, "%s: %d octets; it has %d", name, len(v), n)
			}
		}
	}
	return nil
}
