package attestation

import (
	"context"
	"crypto"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"attls"
	"attls/extensions/profile"
	"attls/negotiation"

	"github.com/veraison/ear"
)

// Reading is Evidence taken apart, without a judgement: nothing in it is verified.
type Reading struct {
	// Challenges are the places that must hold the challenge; none where the
	// Evidence has no room for one.
	Challenges []Challenge
	// Key is the key that the Evidence itself names; nil: none.
	Key crypto.PublicKey
	// Claim returns a value that a profile wants besides the challenge, nil where
	// the Evidence does not have it. Nil where the format cannot carry such values.
	Claim func(name string) ([]byte, *attls.Error)
	// Instance is the identifier of the one device: a ueid, CHIP_ID, PPID. Nil: the
	// Evidence has none.
	Instance []byte
	// Links are values by which Evidence of another format can be shown to come from
	// the same machine; see Link.
	Links []Link
	// Critical is why who does not understand a part of the Evidence must not process
	// it, by its own words (crit of a COSE header); nil: it may be processed.
	Critical *attls.Error
	// Platform is what the Evidence says in the words of a Reference.
	Platform Platform
	// Fields lists what the octets say, by name, for people; in the order of the
	// octets. Nil: nothing is shown.
	Fields func() []Field
	// Parts are those of composite Evidence: what it says of the challenge and the key is
	// in them.
	Parts []Part
	// Statement is for the Policy of the format.
	Statement any
}

// Challenge is a place of Evidence that holds a challenge.
type Challenge struct {
	Where string // empty where there is only one such place
	// Values are the whole fields, as they are there, padding included. Several: one
	// of them has to be the challenge, as in an eat_nonce that is an array.
	Values [][]byte
}

// Link is a value that two formats on one machine have in common: one of them holds
// it as its own identity, another vouches for it. Kinds are compared as text.
type Link struct {
	Kind  string // for example "key" (DER SubjectPublicKeyInfo), "chip-id"
	Value []byte
}

// Field is a named part of Evidence.
type Field struct {
	Name  string `json:"name"`            // as the specification calls it; parts of a part after a dot
	Start int    `json:"start,omitempty"` // the first octet, in the CMW's value
	End   int    `json:"end,omitempty"`   // before which octet it ends; both 0: it has no place of its own
	Text  string `json:"value"`           // for people
	// Unsigned: no signature covers these octets. A change of them need not be
	// noticed.
	Unsigned bool `json:"unsigned,omitempty"`
}

// Policy judges Evidence of one format. It is what Format.Policy makes of a section
// in a verifier's file, or a value that a program fills in. It must be safe for
// concurrent use.
type Policy interface {
	// Judge checks signatures, the chain to what is trusted and what the platform
	// claims, and notes each step with Appraisal.Check. The challenge, the key of the
	// handshake and further claims are compared by who calls it, over the whole of
	// what Reading gives.
	Judge(ctx context.Context, a *Appraisal)
}

// Appraisal is one Evidence on its way to a verdict.
type Appraisal struct {
	Format   *Format
	Type     profile.Format // of the CMW; zero for a collection
	Reading  *Reading
	Attester attls.Role
	// SPKI is the key of the handshake as DER SubjectPublicKeyInfo; nil where the
	// Evidence is the whole credential and must name the key.
	SPKI []byte
	// Bound is whether the challenge is computed over the key of the handshake, as the
	// profile says: Evidence that holds the challenge then attests the key as well.
	Bound bool
	// Endorsements and References are those of the Verifier's file.
	Endorsements []Endorsement
	References   []Reference
	// At is the time of the appraisal, Skew by how much clocks may differ.
	At   time.Time
	Skew time.Duration

	// Vector is what the verdict says. Claims that are left at zero say nothing; if
	// all are, nothing is affirmed.
	Vector ear.TrustVector
	// Until is the first moment at which the Evidence, or what it was judged by, does
	// not hold any more: the earliest end of a certificate, a CRL, an exp. Zero: no
	// end.
	Until time.Time

	// Instance is for a policy that finds out which device it is by judging, where the
	// Evidence does not say it (Reading.Instance).
	Instance []byte
	// AcceptUnattested is for a policy that accepts a key of the handshake which
	// nothing attests (UnattestedKey).
	AcceptUnattested bool

	prefix    string // of the names of checks, in a part of composite Evidence
	verifier  *Verifier
	verdict   *negotiation.Verdict
	unchecked []string
}

// Check notes a step under a name. A nil error says that it succeeded, and text what
// was seen; otherwise the error is shown, and the first one decides the verdict. It
// reports whether the step succeeded.
func (a *Appraisal) Check(name string, err *attls.Error, text string) bool {
	if err != nil {
		text = reason(err)
		if a.verdict.Failure == "" {
			a.verdict.Failure, a.verdict.Reason = err.Failure, text
		}
	}
	a.verdict.Checks = append(a.verdict.Checks, negotiation.Check{Name: a.prefix + name, OK: err == nil, Text: text})
	return err == nil
}

// Unchecked notes what could not be checked, and why. The verdict lists it and is
// not affirming.
func (a *Appraisal) Unchecked(name, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	a.verdict.Checks = append(a.verdict.Checks, negotiation.Check{Name: a.prefix + name, Text: "not checked: " + text})
	a.unchecked = append(a.unchecked, a.prefix+text)
}

// Failed reports whether a Check has failed so far.
func (a *Appraisal) Failed() bool { return a.verdict.Failure != "" }

// Ends makes the verdict end at a moment, if it does not end sooner.
func (a *Appraisal) Ends(t time.Time) {
	if !t.IsZero() && (a.Until.IsZero() || t.Before(a.Until)) {
		a.Until = t
	}
}

// Refuse is the error of a Check that the policy decides: FailAppraisal.
func Refuse(rule, format string, args ...any) *attls.Error {
	return refused(attls.FailAppraisal, rule, format, args...)
}

// Malformed is the error of octets that are not of the format: FailMalformedCMW. The
// offset is -1 where none can be named.
func Malformed(offset int, rule, format string, args ...any) *attls.Error {
	return malformed(offset, rule, format, args...)
}

// VectorClaims are the names of the claims of a trustworthiness vector
// (draft-ietf-rats-ar4si).
var VectorClaims = []string{"instance-identity", "configuration", "executables", "file-system", "hardware",
	"runtime-opaque", "storage-opaque", "sourced-data"}

// Endorsed finds the Endorsements whose key verifies a platform's statement and may
// speak for that platform.
func (a *Appraisal) Endorsed(p *Platform, verify func(crypto.PublicKey) error) ([]*Endorsement, *attls.Error) {
	var found []*Endorsement
	reason := fmt.Sprintf("the platform token verifies under none of %d endorsed keys", len(a.Endorsements))
	for i := range a.Endorsements {
		e := &a.Endorsements[i]
		if err := verify(e.Key); err != nil {
			if len(a.Endorsements) == 1 {
				reason += fmt.Sprintf(" (%v)", err)
			}
			continue
		}
		if why := e.speaksFor(p); why != "" {
			reason = fmt.Sprintf("the key that signed is endorsed (%q), but the endorsement %s", e.Name, why)
			continue
		}
		found = append(found, e)
	}
	if found == nil {
		return nil, refused(attls.FailAppraisal, ruleKAT, "%s", reason)
	}
	return found, nil
}

// Referenced finds a Reference that the platform meets, among those for which one of
// the Endorsements of its key is good; nil: any. The reason is that of the one that
// went furthest.
func (a *Appraisal) Referenced(p *Platform, endorsements []*Endorsement) *attls.Error {
	best, reason := -1, "there is none"
	for i := range a.References {
		ref := &a.References[i]
		passed, why := ref.admits(p)
		if why == "" && endorsements != nil && !slices.ContainsFunc(endorsements, func(e *Endorsement) bool {
			return e.References == nil || slices.Contains(e.References, ref.Name)
		}) {
			why = "the endorsement of the platform key does not list it"
		}
		if why == "" {
			return nil
		}
		if passed > best {
			best, reason = passed, fmt.Sprintf("%q: %s", ref.Name, why)
		}
	}
	return refused(attls.FailAppraisal, "RFC 9334 4.1", "no reference value matches: %s", reason)
}

// read takes a CMW apart with the function of its format. Whatever a library below
// does with the octets, a panic ends here.
func (f *Format) read(c *CMW) (r *Reading, err *attls.Error) {
	defer func() {
		if p := recover(); p != nil {
			r, err = nil, malformed(-1, f.Source, "the reader of %s gives up: %v", f.Name, p)
		}
	}()
	r, err = f.Read(c)
	if err == nil && r == nil {
		err = malformed(-1, f.Source, "the reader of %s reads nothing", f.Name)
	}
	return r, err
}

// judge lets a policy judge. A panic is a refusal.
func (a *Appraisal) judge(ctx context.Context, p Policy) {
	defer func() {
		if r := recover(); r != nil {
			a.Check(CheckPlatform, refused(attls.FailAppraisal, a.Format.Source, "the appraisal of %s gives up: %v",
				a.Format.Name, r), "")
		}
	}()
	p.Judge(ctx, a)
}

// carries compares the challenge with every place of the Evidence that must hold it,
// the whole field.
func (f *Format) carries(r *Reading, challenge []byte, fit profile.ChallengeFit) *attls.Error {
	for _, p := range r.Parts {
		if err := p.Format.carries(p.Reading, challenge, fit); err != nil {
			return err.Under(p.Label)
		}
	}
	if r.Parts != nil {
		return nil
	}
	want, err := f.Challenge.Place(challenge, fit)
	if err != nil {
		return err
	}
	if len(r.Challenges) == 0 {
		return refused(attls.FailBinderMismatch, f.Challenge.Rule,
			"the Evidence holds no challenge, that of this connection is %x", want).Under(f.Challenge.Name)
	}
	for _, c := range r.Challenges {
		if contains(c.Values, want) {
			continue
		}
		err := refused(attls.FailBinderMismatch, f.Challenge.Rule, "%s is %s, the challenge of this connection is %x",
			f.Challenge.Name, nonceText(c.Values), want)
		if c.Where != "" {
			err = err.Under(c.Where)
		}
		return err
	}
	return nil
}

// OctetField is a field whose value is shown in hexadecimal. It begins at an octet of
// the CMW's value.
func OctetField(name string, start int, value []byte) Field {
	return Field{Name: name, Start: start, End: start + len(value), Text: hex.EncodeToString(value)}
}
