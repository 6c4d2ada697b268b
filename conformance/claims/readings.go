package claims

import (
	"bytes"
	"encoding/hex"

	"attls"
	"attls/attestation"
	"attls/attestation/roots"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
	"attls/handshake"
)

// maxNonce is the longest eat_nonce, in octets (RFC 9711 section 4.1).
const maxNonce = 64

// nameReadings tells, of a payload that carries another challenge than the
// expected one, which and under which readings it would have come out.
func nameReadings(p *profile.Profile, a *handshake.AttestationState, in binder.Inputs, v *VerdictClaim) {
	carried, ok := roots.All().CarriedChallenge(a.Payload, a.Scheme.Model)
	if !ok {
		return
	}
	v.PeerChallenge = hex.EncodeToString(carried)
	v.PeerReadings = PeerReadings(p, a.Attester, a.Scheme.Model, a.Scheme.Credential, in, carried)
}

// PeerReadings names the readings under which a challenge comes out that a peer's
// payload carries, of this profile first.
func PeerReadings(p *profile.Profile, attester attls.Role, m profile.Model, k profile.CredentialKind, in binder.Inputs,
	carried []byte) []profile.Match {
	return p.FindReadingsThat(attester, m, k, in, carries(carried))
}

// PeerReadingsLater is PeerReadings for an exported authenticator.
func PeerReadingsLater(p *profile.Profile, attester attls.Role, m profile.Model, in binder.Inputs,
	carried []byte) []profile.Match {
	return p.FindLaterReadingsThat(attester, m, in, carries(carried))
}

// carries compares a challenge with one that a payload carries.
func carries(carried []byte) func([]byte, profile.ChallengeFit) bool {
	return func(challenge []byte, fit profile.ChallengeFit) bool {
		placed, err := attestation.PlaceChallenge(challenge, min(len(carried), maxNonce), maxNonce, fit)
		return bytes.Equal(challenge, carried) || err == nil && bytes.Equal(placed, carried)
	}
}

// nameLaterReadings is nameReadings for an exported authenticator.
func nameLaterReadings(p *profile.Profile, a *handshake.AttestationState, in binder.Inputs, v *VerdictClaim) {
	carried, ok := roots.All().CarriedChallenge(a.Payload, a.Scheme.Model)
	if !ok {
		return
	}
	v.PeerChallenge = hex.EncodeToString(carried)
	v.PeerReadings = PeerReadingsLater(p, a.Attester, a.Scheme.Model, in, carried)
}

// nameUpdateReadings is nameReadings for an attestation with an extended key update.
func nameUpdateReadings(p *profile.Profile, a *handshake.Reattestation, v *VerdictClaim) {
	carried, ok := roots.All().CarriedChallenge(a.Payload, a.Scheme.Model)
	if !ok {
		return
	}
	v.PeerChallenge = hex.EncodeToString(carried)
	v.PeerReadings = p.FindUpdateReadingsThat(a.Attester, a.Scheme.Model, a.Inputs, carries(carried))
}

// BinderInputs is what binders ask of one handshake, for computing them again
// elsewhere. Values are hexadecimal. Secrets are in it: it is for experiments.
type BinderInputs struct {
	HashName     string            `json:"hash"`
	Secrets      map[string]string `json:"secrets,omitempty"`
	Transcripts  map[string]string `json:"transcripts,omitempty"` // by range and reading of HelloRetryRequest
	Keys         map[string]string `json:"spki,omitempty"`        // by role, as the next four
	Certificates map[string]string `json:"certificates,omitempty"`
	Nonces       map[string]string `json:"nonces,omitempty"`
	Contexts     map[string]string `json:"request_contexts,omitempty"`
	Sizes        map[string]int    `json:"attester_sizes,omitempty"`
}

var (
	_           binder.Inputs = (*BinderInputs)(nil)
	secretNames               = [...]string{"early_secret", "ecdhe", "handshake_secret", "main_secret", "exporter_secret"}
	variants                  = [...]string{"rfc8446", "ch1_sh", "as_sent", "ch2_sh"}
)

// TakeBinderInputs asks a handshake for everything that the profile's binder, or
// that of an embedded profile, can ask for under any reading.
func TakeBinderInputs(p *profile.Profile, in binder.Inputs) *BinderInputs {
	b := &BinderInputs{HashName: in.Hash(), Secrets: map[string]string{}, Transcripts: map[string]string{},
		Keys:         map[string]string{},
		Certificates: map[string]string{}, Nonces: map[string]string{}, Contexts: map[string]string{},
		Sizes: map[string]int{}}
	t := &inputTaker{in, b}
	for _, attester := range attls.Roles() {
		if p.Binder.Program != nil {
			for _, name := range p.Binder.Program.Names() {
				p.Binder.Program.Explain(name, attester, t)
			}
		}
	}
	for _, m := range []profile.Model{profile.ModelEvidence, profile.ModelResults} {
		for _, k := range []profile.CredentialKind{profile.KindAlone, profile.KindX509} { // for both roles
			p.FindReadingsThat(attls.RoleServer, m, k, t, func([]byte, profile.ChallengeFit) bool { return false })
		}
		p.FindLaterReadingsThat(attls.RoleServer, m, t, func([]byte, profile.ChallengeFit) bool { return false })
	}
	return b
}

// inputTaker passes a handshake's values on and takes them down.
type inputTaker struct {
	in binder.Inputs
	to *BinderInputs
}

func take(m map[string]string, name string, b []byte, ok bool) ([]byte, bool) {
	if ok {
		m[name] = hex.EncodeToString(b)
	}
	return b, ok
}

func (t *inputTaker) Hash() string { return t.in.Hash() }

func (t *inputTaker) Secret(s binder.Secret) ([]byte, bool) {
	b, ok := t.in.Secret(s)
	return take(t.to.Secrets, secretNames[s], b, ok)
}

func rangeName(r binder.Range) string { return r.String() + " " + variants[r.Variant] }

func (t *inputTaker) Transcript(r binder.Range) ([]byte, bool) {
	b, ok := t.in.Transcript(r)
	return take(t.to.Transcripts, rangeName(r), b, ok)
}

func (t *inputTaker) SPKI(r attls.Role) ([]byte, bool) {
	b, ok := t.in.SPKI(r)
	return take(t.to.Keys, r.String(), b, ok)
}

func (t *inputTaker) Certificate(r attls.Role) ([]byte, bool) {
	b, ok := t.in.Certificate(r)
	return take(t.to.Certificates, r.String(), b, ok)
}

func (t *inputTaker) Nonce(r attls.Role) ([]byte, bool) {
	b, ok := t.in.Nonce(r)
	return take(t.to.Nonces, r.String(), b, ok)
}

func (t *inputTaker) RequestContext(r attls.Role) ([]byte, bool) {
	b, ok := t.in.RequestContext(r)
	return take(t.to.Contexts, r.String(), b, ok)
}

func (t *inputTaker) AttesterSize(r attls.Role) (int, bool) {
	n, ok := t.in.AttesterSize(r)
	if ok {
		t.to.Sizes[r.String()] = n
	}
	return n, ok
}

func (t *inputTaker) Later(l binder.Later) ([]byte, bool) { return t.in.Later(l) }

// give decodes a value; one that is not hexadecimal does not exist.
func give(m map[string]string, name string) ([]byte, bool) {
	s, ok := m[name]
	b, err := hex.DecodeString(s)
	return b, ok && err == nil
}

// Hash implements binder.Inputs, as the methods below do.
func (b *BinderInputs) Hash() string { return b.HashName }

// Secret returns a secret of the key schedule.
func (b *BinderInputs) Secret(s binder.Secret) ([]byte, bool) { return give(b.Secrets, secretNames[s]) }

// SPKI returns the SubjectPublicKeyInfo of the key that an end proves in CertificateVerify.
func (b *BinderInputs) SPKI(r attls.Role) ([]byte, bool) { return give(b.Keys, r.String()) }

// Nonce returns the nonce for the attestation of an end.
func (b *BinderInputs) Nonce(r attls.Role) ([]byte, bool) { return give(b.Nonces, r.String()) }

// Later returns nothing: claims know no key exchange after the handshake.
func (b *BinderInputs) Later(binder.Later) ([]byte, bool) { return nil, false }

// Certificate returns the end-entity certificate of an end, in DER.
func (b *BinderInputs) Certificate(r attls.Role) ([]byte, bool) {
	return give(b.Certificates, r.String())
}

// RequestContext returns the context of the CertificateRequest that an end answers.
func (b *BinderInputs) RequestContext(r attls.Role) ([]byte, bool) {
	return give(b.Contexts, r.String())
}

// AttesterSize returns how many octets the challenge of an end's Attester has.
func (b *BinderInputs) AttesterSize(r attls.Role) (int, bool) {
	n, ok := b.Sizes[r.String()]
	return n, ok && n > 0
}

// Transcript finds a range under its reading of HelloRetryRequest.
func (b *BinderInputs) Transcript(r binder.Range) ([]byte, bool) {
	return give(b.Transcripts, rangeName(r))
}
