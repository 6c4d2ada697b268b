package cases

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"slices"

	"attls"
	"attls/conformance/scenario"
	"attls/conformance/tamper"
	"attls/extensions/profile"
	"attls/handshake/message"
	"attls/internal/rule"
)

// certificateFaults are what an attester can do wrong in the fields of its certificate,
// and what it may do otherwise.
var certificateFaults = []Row{
	breach("certificate-field-twice", rule.FieldOnce, attls.FailMalformedCMW,
		"The attester's certificate has the X.509 extension with the payload twice.",
		tryField(isExtension, func(t *x509.Certificate, f *profile.CertificateField) {
			t.ExtraExtensions = append(t.ExtraExtensions, *extensionOf(t, f))
		})),
	breach("certificate-field-wrapping", rule.WellFormed, attls.FailMalformedCMW,
		"The X.509 extension with the payload is wrapped otherwise than the profile says.",
		tryField(isWrapped, func(t *x509.Certificate, f *profile.CertificateField) {
			extensionOf(t, f).Value[0] ^= 0x20
		})),
	breach("certificate-field-trailing", rule.WellFormed, attls.FailMalformedCMW,
		"An octet follows the wrapped payload in the X.509 extension.",
		tryField(isWrapped, func(t *x509.Certificate, f *profile.CertificateField) {
			x := extensionOf(t, f)
			x.Value = append(x.Value, 0)
		})),
	breach("certificate-field-critical", rule.FieldCritical, attls.FailBadCertificate,
		"The critical flag of the X.509 extension with the payload is not the one that the profile says.",
		tryField(func(f *profile.CertificateField) bool { return isExtension(f) && f.Critical != profile.CriticalEither },
			func(t *x509.Certificate, f *profile.CertificateField) {
				x := extensionOf(t, f)
				x.Critical = !x.Critical
			})),
	breach("certificate-names-gap", rule.WellFormed, attls.FailMalformedCMW,
		"One of the names that hold the payload is not in subjectAltName.",
		tryField(isNames, func(t *x509.Certificate, f *profile.CertificateField) {
			i := slices.IndexFunc(t.DNSNames, f.Has)
			t.DNSNames = slices.Delete(t.DNSNames, i, i+1)
		})),
	breach("certificate-names-twice", rule.WellFormed, attls.FailMalformedCMW,
		"Two of the names that hold the payload have the same number.",
		tryField(isNames, func(t *x509.Certificate, f *profile.CertificateField) {
			t.DNSNames = append(t.DNSNames, t.DNSNames[slices.IndexFunc(t.DNSNames, f.Has)])
		})),
	{ID: "certificate-names-order", Rule: string(rule.FieldNumbered), Does: "The names that hold the payload are in another order than their numbers.",
		Expect: Accept{}, Try: tryNamesOrder},
	breach("certificate-field-value", rule.FieldBound, attls.FailBinderMismatch,
		"A value in the attester's certificate is not the one that the profile's binder gives.", tryFieldValue),
}

func isExtension(f *profile.CertificateField) bool { return f.OID != nil }
func isNames(f *profile.CertificateField) bool     { return f.OID == nil }
func isWrapped(f *profile.CertificateField) bool {
	return isExtension(f) && (f.OctetString || f.Tagged || f.Array)
}

// extensionOf is the field's extension in a template.
func extensionOf(t *x509.Certificate, f *profile.CertificateField) *pkix.Extension {
	i := slices.IndexFunc(t.ExtraExtensions, func(x pkix.Extension) bool { return x.Id.Equal(f.OID) })
	t.ExtraExtensions[i].Value = bytes.Clone(t.ExtraExtensions[i].Value)
	return &t.ExtraExtensions[i]
}

// field is the field of the certificate that the payload travels in, or nil.
func (c *Context) field() *profile.CertificateField {
	row := c.credential()
	if row == nil || row.Carrier != profile.CarrierCertificate {
		return nil
	}
	return &c.Profile.X509[row.Field]
}

// remade lets an attester show another certificate than the one that was made.
func remade(s *scenario.Setup, attester attls.Role, change func(*x509.Certificate)) {
	s.Tap(attester, tamper.Certificate(func(m *message.Certificate) {
		if len(m.Entries) == 0 {
			return
		}
		if der, err := s.Authority().Remake(m.Entries[0].Data, change); err == nil {
			m.Entries[0].Data = der
		}
	}))
}

func tryField(fits func(*profile.CertificateField) bool,
	change func(*x509.Certificate, *profile.CertificateField)) func(*Context) *Change {
	return func(c *Context) *Change {
		f := c.field()
		if f == nil || !fits(f) {
			return nil
		}
		return &Change{Expect: Reject{By: c.Attester.Peer(), At: attls.KindCertificate}, Apply: func(s *scenario.Setup) {
			remade(s, c.Attester, func(t *x509.Certificate) { change(t, f) })
		}}
	}
}

func tryNamesOrder(c *Context) *Change {
	f := c.field()
	if f == nil || !isNames(f) {
		return nil
	}
	return &Change{Expect: Accept{By: c.Attester.Peer()}, Apply: func(s *scenario.Setup) {
		remade(s, c.Attester, func(t *x509.Certificate) { slices.Reverse(t.DNSNames) })
	}}
}

// tryFieldValue changes the last octet of the first value of the binder.
func tryFieldValue(c *Context) *Change {
	if c.field() == nil {
		return nil
	}
	field, part := -1, -1
	for i := range c.Profile.X509 {
		for k, name := range c.Profile.X509[i].Parts {
			if name != "" && field < 0 {
				field, part = i, k
			}
		}
	}
	if field < 0 {
		return nil
	}
	f := &c.Profile.X509[field]
	return &Change{Expect: Reject{By: c.Attester.Peer(), At: attls.KindCertificate}, Apply: func(s *scenario.Setup) {
		remade(s, c.Attester, func(t *x509.Certificate) {
			parts, err := s.Profile.ReadField(field, t.Raw)
			if err != nil || parts == nil {
				return
			}
			parts = slices.Clone(parts)
			parts[part] = bytes.Clone(parts[part])
			parts[part][len(parts[part])-1] ^= 1
			if isNames(f) {
				t.DNSNames = slices.DeleteFunc(t.DNSNames, f.Has)
				names, _ := f.WriteNames(parts[0])
				t.DNSNames = append(t.DNSNames, names...)
				return
			}
			extensionOf(t, f).Value, _ = f.Write(parts)
		})
	}}
}

// missingField leaves the field with the payload out of the certificate.
func missingField(c *Context) *Change {
	f := c.field()
	return &Change{Expect: Reject{By: c.Attester.Peer(), At: attls.KindCertificate}, Apply: func(s *scenario.Setup) {
		remade(s, c.Attester, func(t *x509.Certificate) {
			t.DNSNames = slices.DeleteFunc(t.DNSNames, f.Has)
			t.ExtraExtensions = slices.DeleteFunc(t.ExtraExtensions, func(x pkix.Extension) bool { return x.Id.Equal(f.OID) })
		})
	}}
}
