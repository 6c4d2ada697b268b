package attestation

import (
	"fmt"
	"slices"
	"strings"

	"attls"
	"attls/extensions/profile"
	"attls/negotiation"
)

// Fitness is what a profile makes of a format: under which scheme Evidence can be
// negotiated, and what has to be said about it.
type Fitness struct {
	Scheme negotiation.Scheme
	// Notes say, a sentence each, what the profile's fields do to the format's
	// Evidence: that nothing in it attests the key, how the challenge enters its field.
	Notes []string
}

// Under tells how Evidence of the format is negotiated and bound in a profile, for an
// attester, a model and a credential. The error says in a sentence why it cannot be.
// With results, the scheme names no Verifier.
func (f *Format) Under(p *profile.Profile, attester attls.Role, m profile.Model,
	k profile.CredentialKind) (*Fitness, error) {
	out := &Fitness{}
	later := laterUnder(p, attester, m, k)
	if !later && !slices.ContainsFunc(p.Slots, func(s profile.Slot) bool {
		return s.Attester == attester && slices.Contains(s.Models, m) && slices.Contains(s.Kinds, k)
	}) {
		return nil, fmt.Errorf("%s has no %v of the %v with the credential %v", p.ID, m, attester, k)
	}
	if k == profile.KindAlone && !f.Key.Named {
		return nil, fmt.Errorf("in %s with the attestation in the certificate's place, %s", p.ID, f.keyless())
	}
	bound, challenge := p.Binder.OverKey(m, k, attester), p.Binder.Challenge[m][k]
	if later {
		bound, challenge = p.Binder.OverKeyLater(m, attester), p.Binder.Authenticator[m]
	}
	if m == profile.ModelResults {
		if !f.Key.Named && !bound && challenge != "" {
			return nil, fmt.Errorf(
				"in %s the challenge of results is not computed over the key, and %s Evidence names none: a Verifier cannot say "+
					"whose the Result is",
				p.ID,
				f.Name,
			)
		}
		scheme, err := f.resultsUnder(p, attester, k)
		if err != nil {
			return nil, err
		}
		out.Scheme = scheme
	} else {
		scheme, err := f.schemeUnder(p, attester, k)
		if err != nil {
			return nil, err
		}
		out.Scheme = scheme
	}
	if err := f.placedUnder(p, m, challenge, out); err != nil {
		return nil, err
	}
	if !f.Key.Named && m == profile.ModelResults {
		out.Notes = append(
			out.Notes,
			fmt.Sprintf(
				"%s Evidence names no key; a Verifier that gives no nonce is shown Evidence whose challenge is SHA-256 of the key",
				f.Name,
			),
		)
	} else if !f.Key.Named {
		note := fmt.Sprintf("%s Evidence names no key; in %s its challenge is computed over the key of the handshake",
			f.Name, p.ID)
		if !bound {
			note = fmt.Sprintf(
				"nothing in this Evidence attests the key of the handshake: %s names no key, and in %s the challenge is not "+
					"computed over it",
				f.Name,
				p.ID,
			)
		}
		out.Notes = append(out.Notes, note)
	}
	for _, c := range p.Binder.Claims {
		if m == profile.ModelEvidence && k == profile.KindX509 && !c.InChallenge && !f.FurtherClaims {
			out.Notes = append(out.Notes,
				fmt.Sprintf("%s wants the claim %s in Evidence, and %s has no such claim", p.ID, c.Name, f.Name))
		}
	}
	return out, nil
}

// resultsUnder is the scheme of results on Evidence of the format. Results are tokens
// whatever the Evidence is, and a profile that names a format in every scheme names that
// one.
func (f *Format) resultsUnder(p *profile.Profile, attester attls.Role,
	k profile.CredentialKind) (negotiation.Scheme, error) {
	list := append(f.Schemes(), negotiation.Scheme{Format: profile.Format{ContentFormat: FormatCWT}})
	if laterUnder(p, attester, profile.ModelResults, k) { // where no scheme is negotiated
		s := list[0]
		s.Model, s.Credential = profile.ModelResults, k
		return s, nil
	}
	for i := range p.Slots {
		for _, s := range list {
			s.Model, s.Credential, s.Verifier = profile.ModelResults, k, []byte(DemoVerifier)
			if _, ok := p.EncodeScheme(i, s); ok && p.Slots[i].Attester == attester {
				s.Verifier = nil
				return s, nil
			}
		}
	}
	return negotiation.Scheme{}, fmt.Errorf("the schemes of %s cannot name results on Evidence of the format %s",
		p.ID, f.Name)
}

// schemeUnder finds a form of a type that a slot of the profile can express.
func (f *Format) schemeUnder(p *profile.Profile, attester attls.Role,
	k profile.CredentialKind) (negotiation.Scheme, error) {
	if first := p.Rules.OfferFirst; first != nil && !f.has(first.Format) {
		return negotiation.Scheme{}, fmt.Errorf(
			"%s requires %s first in every offer, and %s Evidence has another type (%s)", p.ID,
			FormatString(first.Format), f.Name, f.Types[0])
	}
	if all := f.SchemesUnder(p, attester, k); len(all) > 0 {
		return all[0], nil
	}
	var types []string
	for _, t := range f.Types {
		types = append(types, t.String())
	}
	return negotiation.Scheme{}, fmt.Errorf("the schemes of %s cannot name %s Evidence (%s)", p.ID, f.Name,
		strings.Join(types, ", "))
}

// SchemesUnder lists the types that a profile can name in the Evidence of an attester
// with a credential, in the order of the format.
func (f *Format) SchemesUnder(p *profile.Profile, attester attls.Role, k profile.CredentialKind) (
	list []negotiation.Scheme) {
	if laterUnder(p, attester, profile.ModelEvidence, k) { // where no scheme is negotiated
		list = f.Schemes()
		for i := range list {
			list[i].Credential = k
		}
		return list
	}
	for i := range p.Slots {
		slot := &p.Slots[i]
		if slot.Attester != attester || !slices.Contains(slot.Models, profile.ModelEvidence) ||
			!slices.Contains(slot.Kinds, k) {
			continue
		}
		for _, s := range f.Schemes() {
			s.Credential = k
			if _, ok := p.EncodeScheme(i, s); ok &&
				!slices.ContainsFunc(list, func(x negotiation.Scheme) bool { return x.Format == s.Format }) {
				list = append(list, s)
			}
		}
	}
	return list
}

// challengeSizes are the lengths of the binders of TLS 1.3, whose suites have SHA-256
// or SHA-384 (RFC 8446 appendix B.4), in octets.
var challengeSizes = []int{32, 48}

// laterUnder reports whether an attester shows its payload in exported authenticators only.
func laterUnder(p *profile.Profile, attester attls.Role, m profile.Model, k profile.CredentialKind) bool {
	i := p.LaterSlot(attester)
	return i >= 0 && k == profile.KindX509 && slices.Contains(p.Later[i].Models, m) &&
		!slices.ContainsFunc(p.Slots, func(s profile.Slot) bool { return s.Attester == attester })
}

// placedUnder tells what becomes of binders of both lengths in the challenge field.
func (f *Format) placedUnder(p *profile.Profile, m profile.Model, challenge string, out *Fitness) error {
	for _, part := range f.parts {
		if err := part.placedUnder(p, m, challenge, out); err != nil {
			return err
		}
	}
	if f.parts != nil {
		return nil
	}
	if challenge == "" {
		if m == profile.ModelEvidence {
			out.Notes = append(out.Notes, p.ID+" binds this Evidence to nothing: it can be replayed")
		}
		return nil
	}
	var refused error
	placed := 0
	for _, n := range challengeSizes {
		field, err := f.Challenge.Place(make([]byte, n), p.Binder.Fit)
		switch {
		case err != nil:
			refused = fmt.Errorf("in %s: %s", p.ID, reason(err))
			out.Notes = append(out.Notes, refused.Error())
		case len(field) > n && p.Binder.Fit != profile.FitSHA512:
			out.Notes = append(
				out.Notes,
				fmt.Sprintf("a challenge of %d octets is followed by %d zero octets in %s, all of which are compared",
					n, len(field)-n, f.Challenge.Name),
			)
		case len(field) != n:
			out.Notes = append(out.Notes,
				fmt.Sprintf("a challenge of %d octets is hashed (SHA-512) into %s", n, f.Challenge.Name))
		}
		if err == nil {
			placed++
		}
	}
	if placed == 0 {
		return refused
	}
	return nil
}

// OfferAll tells whether Evidence of several formats can be offered at once in a profile:
// whether all their types go into the list of one ClientHello, whose length is
// bounded. The formats are those of one attester with one credential.
func OfferAll(p *profile.Profile, attester attls.Role, k profile.CredentialKind, formats ...*Format) error {
	fields := p.NewFields()
	for _, f := range formats {
		fit, err := f.Under(p, attester, profile.ModelEvidence, k)
		if err != nil {
			return err
		}
		for i := range p.Slots {
			if s, ok := p.EncodeScheme(i, fit.Scheme); ok && p.Slots[i].Attester == attester {
				fields.Offered[i], fields.Offers[i] = true, append(fields.Offers[i], s)
				break
			}
		}
	}
	if _, err := p.Encode(attls.KindClientHello, attls.RoleClient, fields); err != nil {
		return fmt.Errorf("%d formats do not fit into one list of %s: %w", len(formats), p.ID, err)
	}
	return nil
}
