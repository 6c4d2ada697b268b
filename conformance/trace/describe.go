package trace

import (
	"attls/attestation"
	"crypto/x509"
	"fmt"
	"strings"
)

// DescribeCMW says in a few words what a payload is.
func DescribeCMW(b []byte) string {
	c, err := attestation.ParseCMW(b, attestation.Limits{})
	if err != nil {
		return fmt.Sprintf("%d octets", len(b))
	}
	return fmt.Sprintf("CMW, %d octets: %s", len(b), describeCMW(c))
}

var formNames = map[attestation.Form]string{attestation.CBORRecord: "CBOR record", attestation.CBORTag: "CBOR tag",
	attestation.CBORCollection: "CBOR collection", attestation.JSONRecord: "JSON record",
	attestation.JSONCollection: "JSON collection"}

func describeCMW(c *attestation.CMW) string {
	if len(c.Members) == 0 {
		return fmt.Sprintf("%s of %s, %d octets", formNames[c.Form], attestation.FormatString(c.Format), len(c.Value))
	}
	var members []string
	for _, m := range c.Members {
		members = append(members, fmt.Sprintf("%v: %s", m.Label, describeCMW(m.CMW)))
	}
	return fmt.Sprintf("%s (%s)", formNames[c.Form], strings.Join(members, "; "))
}

// describeCertificate says in a few words what a certificate is; empty when the
// octets are none.
func describeCertificate(der []byte) string {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return ""
	}
	subject := c.Subject.CommonName
	if len(c.DNSNames) > 0 {
		subject = c.DNSNames[0]
	}
	if c.IsCA {
		subject = "authority"
	}
	return fmt.Sprintf("X.509 %s, %v, %d octets", subject, c.PublicKeyAlgorithm, len(der))
}
