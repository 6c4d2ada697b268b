package attestation

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"fmt"

	"attls"
	"attls/negotiation"
)

// Opaque is an Attester and an Appraiser for looking at sizes. Its Evidence is no
// CMW and has no format: Size octets that follow from the challenge and the
// attested key, so that both can tell whether they arrived, and nothing more. It
// proves nothing: the key that it attests where there is none is public.
type Opaque struct{ Size int }

var (
	_ negotiation.Attester  = Opaque{}
	_ negotiation.Appraiser = Opaque{}
)

// Schemes lists the formats that the Evidence passes for.
func (Opaque) Schemes() []negotiation.Scheme {
	var list []negotiation.Scheme
	for _, o := range DefaultOffers() {
		list = append(list, negotiation.Scheme{Format: o.Format})
	}
	return list
}

// ChallengeSize implements both interfaces: any.
func (Opaque) ChallengeSize() int { return 0 }

// Nonce implements negotiation.Appraiser: random octets will do.
func (Opaque) Nonce(context.Context, int) ([]byte, error) { return nil, nil }

// Attest implements negotiation.Attester.
func (o Opaque) Attest(_ context.Context, r *negotiation.EvidenceRequest) (*negotiation.Evidence, error) {
	ev := &negotiation.Evidence{}
	spki := r.SPKI
	if spki == nil {
		key, own, err := opaqueKey()
		if err != nil {
			return nil, err
		}
		spki, ev.SPKI, ev.Signer = own, own, key
	}
	ev.CMW = o.octets(r.Challenge, spki)
	return ev, nil
}

// Appraise implements negotiation.Appraiser.
func (o Opaque) Appraise(_ context.Context, r *negotiation.AppraisalRequest) (*negotiation.Verdict, error) {
	v := &negotiation.Verdict{Status: tiers[0], SPKI: r.SPKI}
	if v.SPKI == nil {
		var err error
		if _, v.SPKI, err = opaqueKey(); err != nil {
			return nil, err
		}
	}
	want := o.octets(r.Challenge, v.SPKI)
	switch {
	case len(r.CMW) != len(want):
		v.Reason = fmt.Sprintf("%d octets arrived, not %d", len(r.CMW), len(want))
	case !bytes.Equal(r.CMW, want):
		v.Reason = "the octets do not follow from the challenge and the key"
	default:
		return v, nil
	}
	v.Status, v.Failure = tiers[2], attls.FailAppraisal
	return v, nil
}

// octets are SHA-256 in counter mode over the challenge and the key.
func (o Opaque) octets(challenge, spki []byte) []byte {
	seed := sha256.Sum256(append(append([]byte("attls opaque Evidence"), challenge...), spki...))
	out := make([]byte, 0, o.Size+sha256.Size)
	for n := uint32(0); len(out) < o.Size; n++ {
		block := sha256.Sum256(binary.BigEndian.AppendUint32(seed[:], n))
		out = append(out, block[:]...)
	}
	return out[:o.Size]
}

// opaqueKey is the key that is attested where the Evidence is the whole
// credential.
func opaqueKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := deriveKey([]byte("attls opaque Evidence (its key is public)"), "key")
	if err != nil {
		return nil, nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	return key, spki, err
}
