// Package negotiation holds pure functions from an offer and a policy to a
// choice and its reason: version, cipher suite, group, signature scheme,
// certificate type, attestation scheme. It also holds the credential model and
// the interfaces through which a handshake asks for Evidence and for verdicts.
package negotiation

import (
	"context"
	"crypto"
	"time"

	"attls"
	"attls/extensions/profile"
)

// Scheme is an attestation scheme in the words of policy.
type Scheme = profile.Scheme

// Policy is what one end can do and wants of attestation. Its zero value takes
// no part in attestation.
type Policy struct {
	// Produce lists what this end can attest with, in order of preference.
	Produce []Scheme
	// Accept lists what this end can have appraised, in order of preference.
	Accept []Scheme
	// Demand makes the handshake fail unless the peer attests and is accepted,
	// even where the profile accepts a failure. A verdict that by the profile
	// blocks nothing counts as accepted here. A session meets the demand while the
	// verdict that it keeps holds, under a scheme of Accept; who authenticates
	// after the handshake with another key has to be accepted as well.
	Demand bool
}

// Slots is one end's view of all slots, indexed like Profile.Slots.
type Slots struct {
	Present []bool // the slot's list was (or is to be) sent
	Offers  [][]Scheme
	Choices []*Scheme
}

// EvidenceRequest asks an Attester for a credential payload.
type EvidenceRequest struct {
	Profile   string
	Attester  attls.Role
	Slot      string // of the profile, under which the scheme was chosen
	Scheme    Scheme
	Challenge []byte // what the Evidence must carry as its nonce; nil when the profile binds nothing
	Fit       profile.ChallengeFit
	Claims    []ClaimValue // further values the Evidence must carry
	SPKI      []byte       // the TIK as DER SubjectPublicKeyInfo; nil for KindAlone, where the Attester supplies the key
	KeyBound  bool         // the challenge is computed over that key
}

// ClaimValue is a named value that Evidence carries besides the challenge.
type ClaimValue struct {
	Name  string // tik_pub, tik_pub_hash
	Value []byte
}

// Evidence is an Attester's answer.
type Evidence struct {
	CMW    []byte
	Signer crypto.Signer // KindAlone: the key for CertificateVerify
	SPKI   []byte        // KindAlone: its public half as DER SubjectPublicKeyInfo
}

// AppraisalRequest asks an Appraiser for a verdict on a received payload.
type AppraisalRequest struct {
	Profile   string
	Attester  attls.Role
	Slot      string // of the profile, under which the scheme was chosen
	Scheme    Scheme
	CMW       []byte
	Challenge []byte // expected; nil when the profile binds nothing
	Fit       profile.ChallengeFit
	Match     profile.FormatMatch
	Claims    []ClaimValue      // expected
	HandOver  map[string][]byte // values the profile hands over besides
	SPKI      []byte            // the end-entity key; nil for KindAlone
	KeyBound  bool              // the challenge is computed over the attester's key, as the profile says
}

// Check is one step of an appraisal.
type Check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Text string `json:"text,omitempty"`
}

// The values of Verdict.Status: the trust tiers of an EAR (draft-ietf-rats-ear).
const (
	StatusAffirming       = "affirming"
	StatusWarning         = "warning"
	StatusContraindicated = "contraindicated"
	StatusNone            = "none"
)

// Verdict is an Appraiser's answer. It accepts the peer only if it says so: with
// an empty Failure, the status affirming and an end of validity, where it has
// one, that is still to come. Its zero value is a refusal; see Refusal.
type Verdict struct {
	Failure attls.Failure
	Reason  string
	Status  string // StatusAffirming, StatusWarning, StatusContraindicated or StatusNone
	SPKI    []byte // the attested key as DER SubjectPublicKeyInfo, where there is one
	// ValidUntil is the first moment at which the verdict does not hold any more.
	// Zero: the Appraiser gives no end. Such a verdict counts for the connection
	// for which it was asked and for no later one.
	ValidUntil time.Time
	Checks     []Check
	Result     []byte // the Attestation Result itself (an EAR as JWT), where there is one
}

// Refusal says why a verdict does not accept the peer at a moment: the failure
// and, for people, the reason. Both are empty when it does. A status other than
// affirming, or none, is FailAppraisal, as in the answer of an appraiser command,
// and so is a validity that is over. A zero moment means that nobody knows the
// time: a verdict with an end of validity is refused then.
func (v *Verdict) Refusal(now time.Time) (attls.Failure, string) {
	reason := v.Reason
	or := func(text string) (attls.Failure, string) {
		if reason != "" {
			text += " (" + reason + ")"
		}
		return attls.FailAppraisal, text
	}
	switch {
	case v.Failure != "":
		return v.Failure, v.Reason
	case v.Status == "":
		return or("the verdict has no status; only " + StatusAffirming + " accepts")
	case v.Status != StatusAffirming:
		return or("the status is " + v.Status)
	case v.ValidUntil.IsZero():
		return "", ""
	case now.IsZero():
		return or("the verdict is valid until " + timestamp(v.ValidUntil) +
			", and the answer does not say what time it is (Answer.Time)")
	case !now.Before(v.ValidUntil):
		return or("the verdict was valid until " + timestamp(v.ValidUntil) + ", and it is " + timestamp(now))
	}
	return "", ""
}

func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Attester makes Evidence or relays Attestation Results.
type Attester interface {
	// Schemes lists what can be produced for a peer, in order of preference; the
	// Credential field of each is left for the policy to fill.
	Schemes() []Scheme
	// ChallengeSize is the length the challenge field wants, in octets; 0: any.
	ChallengeSize() int
	Attest(ctx context.Context, r *EvidenceRequest) (*Evidence, error)
}

// Appraiser judges Evidence or Attestation Results.
type Appraiser interface {
	Schemes() []Scheme
	ChallengeSize() int
	// Nonce supplies a nonce of about size octets, or nil where random octets will do.
	Nonce(ctx context.Context, size int) ([]byte, error)
	Appraise(ctx context.Context, r *AppraisalRequest) (*Verdict, error)
}
