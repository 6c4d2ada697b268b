package attestation

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"time"

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

// Check looks for a certificate in the newest of the CRLs of its issuer. It returns the
// moment from which that CRL does not hold any more. There must be such a CRL
// (RFC 5280 section 6.3).
func (c CRLs) Check(x, issuer *x509.Certificate, at time.Time, skew time.Duration) (time.Time, *attls.Error) {
	const rule = "RFC 5280 6.3"
	var newest *x509.RevocationList
	for _, crl := range c {
		if crl.CheckSignatureFrom(issuer) == nil && (newest == nil || crl.ThisUpdate.After(newest.ThisUpdate)) {
			newest = crl
		}
	}
	switch {
	case newest == nil:
		return time.Time{}, Refuse(rule, "no CRL is signed by %q, the issuer of %q", issuer.Subject, x.Subject)
	case newest.ThisUpdate.After(at.Add(skew)) || newest.NextUpdate.IsZero() || !at.Before(newest.NextUpdate):
		return time.Time{}, Refuse(rule, "the CRL of %q holds from %v to %v", newest.Issuer, newest.ThisUpdate,
			newest.NextUpdate)
	}
	for _, e := range newest.RevokedCertificateEntries {
		if e.SerialNumber.Cmp(x.SerialNumber) == 0 {
			return time.Time{}, Refuse(rule, "%q was revoked at %v", x.Subject, e.RevocationTime)
		}
	}
	return newest.NextUpdate, nil
}

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
			return s.Fail(member, "nothing that is measured is called %q; there are %s", name, strings.Join(names,
				", "))
		}
		for _, v := range values {
			if len(v) != n {
				return s.Fail(member, "%s: %d octets; it has %d", name, len(v), n)
			}
		}
	}
	return nil
}
