package bench

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"fmt"

	"attls"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
	"attls/negotiation"
)

// payloadSize is the size of the payload of an attester, in octets: about that
// of a bundle of a platform's and a key's token with ECDSA signatures.
const payloadSize = 1200

// AttestationCase is a handshake in which one end attests under a profile.
type AttestationCase struct {
	Name       string
	Profile    string // as profile.Load takes it
	Attester   attls.Role
	Credential profile.CredentialKind
	Scheme     negotiation.Scheme // Credential counts instead of the one in it
}

// AttestationCases are the embedded profiles' ways to attest.
func AttestationCases() []AttestationCase {
	evidence := negotiation.Scheme{Format: profile.Format{ContentFormat: 263}} // application/eat+cwt
	return []AttestationCase{
		{Name: "tls-attestation-07, alone", Profile: "tls-attestation-07", Attester: attls.RoleServer, Scheme: evidence},
		{Name: "tls-attestation-07, with X.509", Profile: "tls-attestation-07", Attester: attls.RoleServer, Scheme: evidence,
			Credential: profile.KindX509},
		{Name: "early-attestation-06, with X.509", Profile: "early-attestation-06", Attester: attls.RoleServer,
			Scheme: evidence, Credential: profile.KindX509},
		{Name: "early-attestation-06, client, with X.509", Profile: "early-attestation-06", Attester: attls.RoleClient,
			Scheme: evidence, Credential: profile.KindX509},
		{Name: "early-attestation-00, with X.509", Profile: "early-attestation-00", Attester: attls.RoleServer,
			Scheme: evidence, Credential: profile.KindX509},
		{Name: "mbedtls-poc, client, alone", Profile: "mbedtls-poc", Attester: attls.RoleClient,
			Scheme: negotiation.Scheme{Format: profile.Format{ContentFormat: 1}}},
	}
}

// AttestationResult says what attestation adds to a handshake of both ends: the
// profile's codec, the rules, the binder, and the octets of the payload on their way.
// Nobody makes or judges Evidence; see Roots.
type AttestationResult struct {
	Case    string `json:"case"`
	With    Cost   `json:"with"`
	Without Cost   `json:"without"` // the same handshake and no profile
	// Added is With less Without, round by round.
	Added Cost `json:"added"`
	// Binder is the part of Added that is the binder's, at both ends.
	Binder Cost `json:"binder"`
	// ToPlain is the time with divided by the time without.
	ToPlain float64 `json:"to_plain"`
}

// Attestation measures one case.
func Attestation(c AttestationCase, o Options) (*AttestationResult, error) {
	with, without, binding, err := attestationSubjects(c)
	if err != nil {
		return nil, err
	}
	if err := interleave(o, []*subject{with, without, binding}); err != nil {
		return nil, err
	}
	r := &AttestationResult{Case: c.Name, With: with.cost(), Without: without.cost(), Binder: binding.cost(),
		ToPlain: ratio(with, without)}
	r.Added = Cost{difference(with, without), r.With.Allocations - r.Without.Allocations, r.With.Octets - r.Without.Octets}
	return r, nil
}

func attestationSubjects(c AttestationCase) (with, without, binding *subject, err error) {
	p, err := profile.Load(c.Profile, profile.Options{})
	if err != nil {
		return nil, nil, nil, err
	}
	// secp256r1 throughout, which every profile permits.
	hs := Case{Group: attls.GroupSecp256r1, Mutual: c.Attester == attls.RoleClient}.withDefaults()
	id, err := newIdentity(hs.Scheme)
	if err != nil {
		return nil, nil, nil, err
	}
	plain := hs.configs()
	attested, err := c.attested(hs, id, p)
	if err != nil {
		return nil, nil, nil, err
	}
	one, err := attested.pair(&id.answerer)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("bench: %s: %w", c.Name, err)
	}
	if s := one.ends[c.Attester].State().Attestation; len(s) != 1 || s[0].Attester != c.Attester {
		return nil, nil, nil, fmt.Errorf("bench: %s: the %v did not attest", c.Name, c.Attester)
	}
	with = newSubject("with attestation", 1, func() error { _, err := attested.pair(&id.answerer); return err })
	without = newSubject("without attestation", 1, func() error { _, err := plain.pair(&id.answerer); return err })
	return with, without, newSubject("binder", 2, c.bind(p, one)), nil
}

// attested configures both ends and gives them an Attester and an Appraiser.
func (c AttestationCase) attested(hs Case, id *identity, p *profile.Profile) (configs, error) {
	ends := hs.configs()
	scheme := c.Scheme
	scheme.Credential = c.Credential
	for _, end := range ends {
		end.Profile, end.CanAuthenticate = p, true
	}
	ends[c.Attester].Policy.Produce = []negotiation.Scheme{scheme}
	ends[c.Attester.Peer()].Policy.Accept = []negotiation.Scheme{scheme}
	leaf, err := x509.ParseCertificate(id.chain[0])
	if err != nil {
		return ends, err
	}
	canned := &canned{
		evidence: negotiation.Evidence{CMW: make([]byte, payloadSize)},
		verdict:  negotiation.Verdict{Status: negotiation.StatusAffirming},
	}
	rand.Read(canned.evidence.CMW)
	if c.Credential == profile.KindAlone {
		canned.evidence.Signer, canned.evidence.SPKI = id.signer, leaf.RawSubjectPublicKeyInfo
		canned.verdict.SPKI = leaf.RawSubjectPublicKeyInfo
		// What takes the certificate's place is compared with a certificate that
		// nobody judges either.
		id.answerer.Trust.InsecureSkipVerify = true
	}
	id.answerer.Attester, id.answerer.Appraiser = canned, canned
	id.answerer.Timeouts = untimed
	return ends, nil
}

// bind evaluates at either end in turn what Evidence is bound to.
func (c AttestationCase) bind(p *profile.Profile, pr *pair) func() error {
	name := p.Binder.Challenge[c.Scheme.Model][c.Credential]
	if p.Binder.Program == nil || name == "" {
		return func() error { return nil }
	}
	inputs := [2]binder.Inputs{pr.ends[0].Inputs(), pr.ends[1].Inputs()}
	turn := 0
	return func() error {
		turn = 1 - turn
		_, err := p.Binder.Program.Eval(name, c.Attester, inputs[turn])
		return err
	}
}

// canned is an Attester and an Appraiser that make and judge nothing.
type canned struct {
	evidence negotiation.Evidence
	verdict  negotiation.Verdict
}

func (c *canned) Schemes() []negotiation.Scheme              { return nil }
func (c *canned) ChallengeSize() int                         { return 0 }
func (c *canned) Nonce(context.Context, int) ([]byte, error) { return nil, nil }
func (c *canned) Attest(context.Context, *negotiation.EvidenceRequest) (*negotiation.Evidence, error) {
	return &c.evidence, nil
}
func (c *canned) Appraise(context.Context, *negotiation.AppraisalRequest) (*negotiation.Verdict, error) {
	return &c.verdict, nil
}
