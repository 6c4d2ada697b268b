package lab

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"attls"
	"attls/attestation"
	"attls/extensions/profile"
	"attls/negotiation"
)

// Lax is one check that a relying party of the laboratory does not make; empty: it makes
// all.
type Lax string

// The checks that can be left out.
const (
	LaxNever       Lax = "V1"  // the expected report data is never compared
	LaxEmpty       Lax = "V2"  // nor where the expected value is empty
	LaxEnvelope    Lax = "V3"  // the binder is compared in the envelope, not in what is signed
	LaxAbsent      Lax = "V4"  // absent attestation passes although it is demanded
	LaxOtherLabel  Lax = "V5"  // the value for the other role is accepted as well
	LaxMachine     Lax = "V6"  // any machine with the right measurements
	LaxOneOf       Lax = "V7"  // one of several appraisals is looked at
	LaxKey         Lax = "V8"  // the key claim is not compared
	LaxStatus      Lax = "V9"  // a contraindicated status passes
	LaxFirstOctets Lax = "V10" // only the first octets are compared
	LaxEcho        Lax = "V11" // the nonce of the Evidence is ignored, and the echo of the Verifier trusted
)

// LaxParties lists them with what each leaves out.
var LaxParties = []struct {
	ID   Lax
	Text string
}{
	{LaxNever, "the expected challenge is never compared with the one in the Evidence"},
	{LaxEmpty, "the comparison is left out where the expected challenge is empty"},
	{LaxEnvelope, "the binder is compared in the unsigned envelope, not in what is signed"},
	{LaxAbsent, "absent attestation passes although the policy demands it"},
	{LaxOtherLabel, "the challenge of the other role is accepted as well"},
	{LaxMachine, "any machine with the right measurements is accepted, although one was pinned"},
	{LaxOneOf, "one of several appraisals is looked at"},
	{LaxKey, "the key that the Evidence names is not compared with that of the connection"},
	{LaxStatus, "a contraindicated status passes if there is a key with it"},
	{LaxFirstOctets, "only the first eight octets of the challenge are compared"},
	{LaxEcho, "the nonce of the Evidence is ignored, and the Verifier's echo trusted"},
}

// ParseLax reads the name of a lax party.
func ParseLax(name string) (Lax, error) {
	if name == "" {
		return "", nil
	}
	for _, l := range LaxParties {
		if string(l.ID) == name {
			return l.ID, nil
		}
	}
	return "", fmt.Errorf("there is no lax relying party %q; they are V1 to V11", name)
}

func (l Lax) is(other Lax) bool { return l == other }

// maxEnvelope bounds the challenge in the envelope of V3, in octets.
const maxEnvelope = 255

// wrap puts the challenge in front of what is signed, as the parties of V3 have it.
func (l Lax) wrap(ev *negotiation.Evidence, r *negotiation.EvidenceRequest) *negotiation.Evidence {
	if l != LaxEnvelope || ev == nil || len(r.Challenge) == 0 || len(r.Challenge) > maxEnvelope {
		return ev
	}
	c := *ev
	c.CMW = append(append([]byte{byte(len(r.Challenge))}, r.Challenge...), ev.CMW...)
	return &c
}

// unwrap is its inverse.
func unwrap(b []byte) (challenge, rest []byte) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return nil, b
	}
	return b[1 : 1+b[0]], b[1+b[0]:]
}

// appraise has the Verifier judge, without the check that is left out.
func (l Lax) appraise(ctx context.Context, v *attestation.Verifier, r *negotiation.AppraisalRequest,
	other func() []byte) (*negotiation.Verdict, error) {
	q := *r
	switch l {
	case LaxNever:
		q.Challenge, q.Claims = nil, nil
	case LaxEmpty:
		if len(r.Challenge) == 0 {
			q.Challenge = nil
		}
	case LaxEcho:
		if r.Scheme.Model == profile.ModelResults {
			q.Challenge = nil
		}
	case LaxEnvelope:
		if len(r.Challenge) > 0 {
			shown, rest := unwrap(r.CMW)
			if !bytes.Equal(shown, r.Challenge) {
				return &negotiation.Verdict{Status: negotiation.StatusContraindicated, Failure: attls.FailBinderMismatch,
					Reason: "the envelope has another binder"}, nil
			}
			q.CMW, q.Challenge, q.Claims = rest, nil, nil
		}
	}
	verdict, err := v.Appraise(ctx, &q)
	if err != nil {
		return nil, err
	}
	switch l {
	case LaxOtherLabel:
		if verdict.Failure == attls.FailBinderMismatch && other != nil {
			if b := other(); b != nil {
				q.Challenge = b
				return v.Appraise(ctx, &q)
			}
		}
	case LaxKey:
		if verdict.Failure == attls.FailTIKMismatch && r.SPKI != nil {
			return affirm(verdict), nil
		}
		if r.SPKI != nil {
			verdict.SPKI = nil
		}
	case LaxStatus:
		if verdict.Failure == attls.FailAppraisal {
			return affirm(verdict), nil
		}
	case LaxFirstOctets:
		if verdict.Failure == attls.FailBinderMismatch && firstOctets(&q) {
			q.Challenge = nil
			return v.Appraise(ctx, &q)
		}
	}
	return verdict, nil
}

// comparedOctets are those that LaxFirstOctets compares.
const comparedOctets = 8

// firstOctets reports whether the first eight octets of the challenge are somewhere in
// the Evidence, which is where its nonce is.
func firstOctets(q *negotiation.AppraisalRequest) bool {
	return len(q.Challenge) >= comparedOctets && binary.BigEndian.Uint64(q.Challenge) != 0 &&
		bytes.Contains(q.CMW, q.Challenge[:comparedOctets])
}

// beginning is a challenge of which those octets are right that LaxFirstOctets compares.
func beginning(challenge []byte) []byte {
	b := bytes.Clone(challenge)
	for i := comparedOctets; i < len(b); i++ {
		b[i] ^= 0xff
	}
	return b
}

// affirm is a verdict that accepts in spite of what was found.
func affirm(v *negotiation.Verdict) *negotiation.Verdict {
	c := *v
	c.Failure, c.Status, c.SPKI = "", negotiation.StatusAffirming, nil
	return &c
}
