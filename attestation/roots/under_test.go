package roots

import (
	"strings"
	"testing"

	"attls"
	"attls/attestation"
	"attls/extensions/profile"
)

// TestUnder: under every profile each format can be negotiated, or a sentence says why
// not; and what is said of the key agrees with the profile's binder.
func TestUnder(t *testing.T) {
	for _, name := range profile.Names() {
		p, err := profile.Load(name, profile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range All().All() {
			for _, role := range attls.Roles() {
				for _, m := range []profile.Model{profile.ModelEvidence, profile.ModelResults} {
					for _, k := range []profile.CredentialKind{profile.KindAlone, profile.KindX509} {
						under(t, p, f, role, m, k)
					}
				}
			}
		}
	}
}

func under(t *testing.T, p *profile.Profile, f *attestation.Format, role attls.Role, m profile.Model,
	k profile.CredentialKind) {
	t.Helper()
	fit, err := f.Under(p, role, m, k)
	where := strings.Join([]string{p.ID, f.Name, role.String(), m.String(), k.String()}, "/")
	if err != nil {
		if len(strings.Fields(err.Error())) < 6 {
			t.Errorf("%s: %q is not a sentence", where, err)
		}
		if k == profile.KindAlone && !f.Key.Named && !strings.Contains(err.Error(), "CertificateVerify") &&
			!strings.Contains(err.Error(), " has no ") {
			t.Errorf("%s: %v", where, err)
		}
		return
	}
	if m == profile.ModelEvidence {
		expressed := p.LaterSlot(role) >= 0 // a request for an authenticator lists no schemes
		for i := range p.Slots {
			_, ok := p.EncodeScheme(i, fit.Scheme)
			expressed = expressed || ok && p.Slots[i].Attester == role
		}
		if !expressed {
			t.Errorf("%s: no list of the profile has room for %+v", where, fit.Scheme)
		}
	}
	over := p.Binder.OverKey(m, k, role)
	if p.LaterSlot(role) >= 0 {
		over = p.Binder.OverKeyLater(m, role)
	}
	unattested := m == profile.ModelEvidence && !f.Key.Named && !over
	if says := strings.Contains(strings.Join(fit.Notes, "\n"),
		"nothing in this Evidence attests the key"); says != unattested {
		t.Errorf("%s: %q, and the key is attested: %t", where, fit.Notes, !unattested)
	}
}

// TestKeyBound: which revisions compute the challenge over the attester's key.
func TestKeyBound(t *testing.T) {
	for name, want := range map[string]bool{"tls-attestation-03": true, "tls-attestation-06": true, "tls-attestation-07": false, "tls-attestation-09": false,
		"early-attestation-00": true, "early-attestation-04": true, "early-attestation-06": true} {
		p, err := profile.Load(name, profile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Binder.OverKey(profile.ModelEvidence, profile.KindX509, attls.RoleServer); got != want {
			t.Errorf("%s: the challenge is computed over the key: %t", name, got)
		}
	}
}

// TestOfferAll: several media types do not fit into a list of 255 octets, which is
// said.
func TestOfferAll(t *testing.T) {
	long := strings.Repeat("x", 120)
	stranger := func(name string) *attestation.Format {
		f := *All().All()[0]
		f.Name, f.Types, f.Collections = name, []attestation.Type{{MediaType: "application/vnd." + name + "." + long}}, nil
		return &f
	}
	one, two := stranger("one"), stranger("two")
	for name, small := range map[string]bool{"tls-attestation-07": true, "early-attestation-06": false} {
		p, err := profile.Load(name, profile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := attestation.OfferAll(p, attls.RoleServer, profile.KindX509, one); err != nil {
			t.Errorf("%s: one format: %v", name, err)
		}
		err = attestation.OfferAll(p, attls.RoleServer, profile.KindX509, one, two)
		if (err != nil) != small {
			t.Errorf("%s: two formats: %v", name, err)
		}
		if small && (err == nil || !strings.Contains(err.Error(), "2 formats do not fit into one list of "+p.ID)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
