package attestation

import (
	"bytes"
	"crypto/x509"
	"testing"

	"attls/negotiation"
)

// TestOpaque: Evidence of exactly the size, for the challenge and key only.
func TestOpaque(t *testing.T) {
	challenge, key := []byte("challenge"), []byte("a key")
	for _, size := range []int{1, 31, 32, 33, 70000} {
		o := Opaque{Size: size}
		for _, spki := range [][]byte{key, nil} {
			ev, err := o.Attest(t.Context(), &negotiation.EvidenceRequest{Challenge: challenge, SPKI: spki})
			if err != nil || len(ev.CMW) != size || (ev.Signer == nil) != (spki != nil) {
				t.Fatalf("%d octets, signer %v, %v", len(ev.CMW), ev.Signer, err)
			}
			r := negotiation.AppraisalRequest{Challenge: challenge, SPKI: spki, CMW: ev.CMW}
			v, err := o.Appraise(t.Context(), &r)
			if err != nil || v.Failure != "" || v.Status != "affirming" {
				t.Fatalf("%+v, %v", v, err)
			}
			if spki == nil {
				if public, err := x509.MarshalPKIXPublicKey(ev.Signer.Public()); err != nil || !bytes.Equal(public, v.SPKI) {
					t.Errorf("the verdict is about another key: %v", err)
				}
			}
			other := bytes.Clone(ev.CMW)
			other[size-1] ^= 1
			for name, spoil := range map[string]func(r *negotiation.AppraisalRequest){
				"octet":  func(r *negotiation.AppraisalRequest) { r.CMW = other },
				"short":  func(r *negotiation.AppraisalRequest) { r.CMW = r.CMW[:size-1] },
				"long":   func(r *negotiation.AppraisalRequest) { r.CMW = append(bytes.Clone(r.CMW), 0) },
				"nonce":  func(r *negotiation.AppraisalRequest) { r.Challenge = []byte("another") },
				"subkey": func(r *negotiation.AppraisalRequest) { r.SPKI = []byte("another") },
			} {
				spoilt := r
				spoil(&spoilt)
				if v, err := o.Appraise(t.Context(), &spoilt); size > 1 && (err != nil || v.Failure == "") {
					t.Errorf("%s of %d octets: %+v, %v", name, size, v, err)
				}
			}
		}
	}
}
