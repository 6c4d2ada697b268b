package attestation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"attls"
	"attls/extensions/profile"
	"attls/negotiation"

	"github.com/veraison/ear"
)

// Service is a kind of Verifier that people run: what its results look like, and what
// it compares.
type Service struct {
	Name    string // as files write it
	Schemes []ServiceScheme
}

// ServiceScheme is how a service appraises one kind of Evidence.
type ServiceScheme struct {
	Name  string   // as the service calls it
	Types []string // media types of the Evidence, as the service writes them
	// Unread are those of the Types whose tokens the service takes and cannot read: its
	// results on them are contraindicated.
	Unread []string
	// Appraisals are the names of the appraisals (submods) in a result, all of them,
	// in ascending order.
	Appraisals []string
	// Challenge is the field that the service compares with the nonce of a session; the
	// nonce is the whole field.
	Challenge ChallengeField
	// ComparesChallenge is whether the service compares it at all. Where it does not, the
	// eat_nonce of a result says what was asked, and nothing of the Evidence.
	ComparesChallenge bool
	// AttestsKey is whether a result has the attested key (akpub).
	AttestsKey bool
}

// Veraison is the service of the Veraison project, as of August 2026. Its scheme RIOT
// is not here: such Evidence holds no challenge and no key.
func Veraison() *Service {
	field := func(name string, sizes ...int) ChallengeField {
		return ChallengeField{Name: name, Rule: "Veraison", Sizes: sizes, Min: minNonce, Max: maxNonce,
			Padding: name != "psa-nonce"}
	}
	return &Service{Name: "veraison", Schemes: []ServiceScheme{
		{Name: "ARM_CCA", ComparesChallenge: true, Challenge: field("cca-realm-challenge", 64),
			Appraisals: []string{"CCA_REALM", "CCA_SSD_PLATFORM"},
			Types:      []string{`application/eat-collection; profile="http://arm.com/CCA-SSD/1.0.0"`}},
		{Name: "PARSEC_CCA", AttestsKey: true, Challenge: field("nonce"), Appraisals: []string{"PARSEC_CCA"},
			Types: []string{"application/vnd.parallaxsecond.key-attestation.cca"}},
		{Name: "PARSEC_TPM", AttestsKey: true, Challenge: field("extraData"), Appraisals: []string{"PARSEC_TPM"},
			Types: []string{"application/vnd.parallaxsecond.key-attestation.tpm"}},
		{Name: "PSA_IOT", ComparesChallenge: true, Challenge: field("psa-nonce", 32, 48, 64),
			Appraisals: []string{"PSA_IOT"},
			Types: []string{
				`application/eat+cwt; eat_profile="tag:psacertified.org,2023:psa#tfm"`,
				`application/eat+cwt; eat_profile="tag:psacertified.org,2019:psa#legacy"`,
				"application/psa-attestation-token",
				`application/eat-cwt; profile="http://arm.com/psa/2.0.0"`,
			},
			// It knows the profiles before RFC 9783, and looks for one of them under this type too.
			Unread: []string{`application/eat+cwt; eat_profile="tag:psacertified.org,2023:psa#tfm"`}},
		{Name: "SEVSNP", ComparesChallenge: true, Challenge: field("REPORT_DATA", 64), Appraisals: []string{"SEVSNP"},
			Types: []string{
				"application/vnd.veraison.tsm-report+cbor", "application/vnd.veraison.tsm-report+json",
				`application/eat+cwt; eat_profile="tag:github.com,2025:veraison/ratsd/cmw"`,
			}},
		{Name: "TPM_ENACTTRUST", Challenge: field("extraData"), Appraisals: []string{"TPM_ENACTTRUST"},
			Types: []string{"application/vnd.enacttrust.tpm-evidence"}},
	}}
}

// serviceNamed is the service that a file names; nil where it names none.
func serviceNamed(name string) (*Service, error) {
	v := Veraison()
	switch name {
	case "":
		return nil, nil
	case v.Name:
		return v, nil
	}
	return nil, fmt.Errorf("no service is called %q; there is %s", name, v.Name)
}

// Scheme is the scheme that appraises Evidence of a type; nil: none does.
func (s *Service) Scheme(typ profile.Format) *ServiceScheme {
	for i := range s.Schemes {
		for _, t := range s.Schemes[i].Types {
			if Matches(profile.Format{MediaType: t}, typ, profile.MatchEqual) == nil {
				return &s.Schemes[i]
			}
		}
	}
	return nil
}

// Reads reports whether the service can read the tokens of a type of the scheme, as it
// writes the type.
func (s *ServiceScheme) Reads(typ string) bool { return !slices.Contains(s.Unread, typ) }

func (s *ServiceScheme) name() string {
	if s == nil {
		return "none"
	}
	return s.Name
}

// relayable says why a result that the peer relays says too little: nobody compared
// the challenge with the Evidence, and the relying party does not have it.
func (s *ServiceScheme) relayable(service *Service) *attls.Error {
	if s.ComparesChallenge {
		return nil
	}
	return refused(attls.FailAppraisal, "RFC 9334 10", "%s does not compare the challenge in Evidence of the "+
		"scheme %s, so a result that the peer relays does not show that its Evidence is fresh; have the Evidence "+
		"itself sent", service.Name, s.Name)
}

// scheme is the one whose appraisals a result has, exactly. A nil service: any will
// do. Where the caller knows the scheme, it is that one.
func (r *result) scheme(service *Service, own *ServiceScheme) (*ServiceScheme, *attls.Error) {
	if service == nil {
		return nil, nil
	}
	names := slices.Sorted(maps.Keys(r.Submods))
	if own != nil {
		if slices.Equal(names, own.Appraisals) {
			return own, nil
		}
		return own, refused(attls.FailAppraisal, ruleEAR, "the result has the appraisals %s; the scheme %s has %s",
			strings.Join(names, ", "), own.Name, strings.Join(own.Appraisals, ", "))
	}
	for i := range service.Schemes {
		if slices.Equal(names, service.Schemes[i].Appraisals) {
			return &service.Schemes[i], nil
		}
	}
	return nil, refused(attls.FailAppraisal, ruleEAR, "the result has the appraisals %s; no scheme of %s has "+
		"exactly these",
		strings.Join(names, ", "), service.Name)
}

// checkResultKey compares the key of a result with that of the handshake. A scheme
// without one leaves it to the challenge.
func (a *appraisal) checkResultKey(r *result, t *TrustedVerifier, scheme *ServiceScheme) []byte {
	named := slices.ContainsFunc(slices.Collect(maps.Values(r.Submods)),
		func(x *ear.Appraisal) bool { return x.VeraisonKeyAttestation != nil })
	if t.Service == nil || scheme == nil || scheme.AttestsKey || named {
		return a.checkKey(r.key())
	}
	if a.r.SPKI == nil {
		a.check(CheckKey, refused(attls.FailTIKMismatch, ruleEAR,
			"results of the scheme %s name no key, so they cannot be the whole credential", scheme.Name), "")
		return nil
	}
	own, err := scheme.Challenge.Place(keyChallenge(a.r.SPKI), profile.FitPadRight)
	switch {
	case a.r.KeyBound && a.r.Challenge != nil:
		a.check(CheckKey, nil, "the result names no key; the challenge is computed over the key of the handshake")
	case err == nil && contains(r.nonces, own):
		a.check(CheckKey, nil, "the result names no key; its nonce is SHA-256 of the key")
	case a.AcceptUnattested:
		a.check(CheckKey, nil, "nothing in this result attests the key of the handshake, which the policy accepts "+
			"(unattested_key)")
	default:
		a.check(CheckKey, refused(attls.FailTIKMismatch, ruleEAR,
			"nothing in this result attests the key of the handshake: the scheme %s names none, and the challenge is not "+
				"computed over it",
			scheme.Name), "")
		return nil
	}
	return a.r.SPKI
}

// AppraiseAnswer judges the result, a JWT, with which a service answered Evidence that
// the caller has read and compared itself: that it holds the challenge and, where it
// names one, the key. Challenge of the request is the nonce that the service was asked
// with. Only the clock, the ages, the audiences and
// AcceptUnattested of the Verifier count.
func (v *Verifier) AppraiseAnswer(jwt []byte, t *TrustedVerifier, scheme *ServiceScheme,
	r *negotiation.AppraisalRequest) *negotiation.Verdict {
	request := *r
	request.Scheme = negotiation.Scheme{Model: profile.ModelResults, Verifier: t.Identity}
	a := &appraisal{Verifier: v, r: &request, at: v.now(), verdict: &negotiation.Verdict{Status: negotiation.StatusNone}}
	a.result(jwt, openJWT, []TrustedVerifier{*t}, scheme)
	return a.verdict
}
