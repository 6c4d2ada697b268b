package campaign

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"slices"

	"attls"
	"attls/extensions/profile"
	"attls/handshake/message"
)

// reissueKind is a way in which the attester's certificate is issued again: the authority is the same,
// so that the chain is trusted, and what a profile has in the certificate is otherwise.
type reissueKind struct {
	How, Text string
	// failure is that of an end to which it is shown; "": it must take it all the same.
	failure attls.Failure
	// change changes the template of a certificate that has the field; false: it does not apply.
	change func(p *profile.Profile, field int, t *x509.Certificate) bool
}

// reissueKinds are the ways that there are.
var reissueKinds = []reissueKind{
	{"a field twice", "the X.509 extension is there twice", attls.FailMalformedCMW,
		ofExtension(func(_ *profile.CertificateField, t *x509.Certificate, i int) bool {
			t.ExtraExtensions = append(t.ExtraExtensions, t.ExtraExtensions[i])
			return true
		})},
	{"a critical field", "the critical flag of the extension is the other one, where the profile names one",
		attls.FailBadCertificate,
		ofExtension(func(f *profile.CertificateField, t *x509.Certificate, i int) bool {
			t.ExtraExtensions[i].Critical = !t.ExtraExtensions[i].Critical
			return f.Critical != profile.CriticalEither
		})},
	{"names twice", "two of the names have the same number", attls.FailMalformedCMW,
		ofNames(func(t *x509.Certificate, own []string) bool {
			t.DNSNames = append(t.DNSNames, own[0])
			return true
		})},
	{"a name less", "the first of the names is missing", attls.FailMalformedCMW,
		ofNames(func(t *x509.Certificate, own []string) bool {
			t.DNSNames = slices.DeleteFunc(t.DNSNames, func(s string) bool { return s == own[0] })
			return len(own) > 1
		})},
	{"names in another order", "the names are in the reverse order", "",
		ofNames(func(t *x509.Certificate, own []string) bool {
			slices.Reverse(t.DNSNames)
			return len(own) > 1
		})},
	{"another value", "one bit of a value that both ends compute is changed", attls.FailBinderMismatch, otherPart},
}

func reissueOf(how string) *reissueKind {
	if i := slices.IndexFunc(reissueKinds, func(r reissueKind) bool { return r.How == how }); i >= 0 {
		return &reissueKinds[i]
	}
	return nil
}

func ofExtension(change func(*profile.CertificateField, *x509.Certificate, int) bool) func(*profile.Profile, int,
	*x509.Certificate) bool {
	return func(p *profile.Profile, field int, t *x509.Certificate) bool {
		f := &p.X509[field]
		i := slices.IndexFunc(t.ExtraExtensions, func(x pkix.Extension) bool { return f.OID != nil && x.Id.Equal(f.OID) })
		return i >= 0 && change(f, t, i)
	}
}

func ofNames(change func(*x509.Certificate, []string) bool) func(*profile.Profile, int, *x509.Certificate) bool {
	return func(p *profile.Profile, field int, t *x509.Certificate) bool {
		f := &p.X509[field]
		if f.OID != nil {
			return false
		}
		own := slices.DeleteFunc(slices.Clone(t.DNSNames), func(s string) bool { return !f.Has(s) })
		return len(own) > 0 && change(t, own)
	}
}

// otherPart changes the last octet of the first value of the binder in a field.
func otherPart(p *profile.Profile, field int, t *x509.Certificate) bool {
	f := &p.X509[field]
	part := slices.IndexFunc(f.Parts, func(name string) bool { return name != "" })
	parts, err := p.ReadField(field, t.Raw)
	if part < 0 || err != nil || parts == nil || len(parts[part]) == 0 {
		return false
	}
	parts = slices.Clone(parts)
	parts[part] = bytes.Clone(parts[part])
	parts[part][len(parts[part])-1] ^= 1
	if f.OID == nil {
		names, failed := f.WriteNames(parts[0])
		t.DNSNames = append(slices.DeleteFunc(t.DNSNames, f.Has), names...)
		return failed == nil
	}
	i := slices.IndexFunc(t.ExtraExtensions, func(x pkix.Extension) bool { return x.Id.Equal(f.OID) })
	if i < 0 {
		return false
	}
	value, failed := f.Write(parts)
	t.ExtraExtensions[i].Value = value
	return failed == nil
}

// reissued is a Certificate message in which the first entry is issued again; as it was where
// that does not apply.
func (a *agent) reissued(how string, b []byte) []byte {
	r, s := reissueOf(how), a.run.s
	var m message.Certificate
	if r == nil || s.profile == nil || m.Unmarshal(b[4:]) != nil || len(m.Entries) == 0 {
		return b
	}
	key := s.profile.ID + " " + how + " " + string(m.Entries[0].Data)
	der, ok := s.w.reissues[key]
	if !ok {
		der = s.w.reissue(s.profile, r, m.Entries[0].Data)
		keep(s.w.reissues, key, der)
	}
	if der == nil {
		return b
	}
	m.Entries[0].Data = der
	a.run.ledger = append(a.run.ledger, deed{role: a.role, reissued: how, payload: der})
	return m.Append(nil)
}

// reissue issues a certificate again; nil: the change does not apply.
func (w *world) reissue(p *profile.Profile, r *reissueKind, der []byte) []byte {
	applies := false
	again, err := w.env.Authority.Remake(der, func(t *x509.Certificate) {
		for i := range p.X509 {
			applies = applies || r.change(p, i, t)
		}
	})
	if err != nil || !applies {
		return nil
	}
	return again
}

// shownAgain is the way in which the certificate that arrived was issued again; nil: it was not.
func (v *view) shownAgain() *reissueKind {
	ct := v.last(v.got, attls.KindCertificate)
	d := v.deeds(v.role.Peer(), func(d *deed) bool {
		return d.reissued != "" && ct != nil && bytes.Contains(ct.raw, d.payload)
	})
	if d == nil {
		return nil
	}
	return reissueOf(d.reissued)
}
