package attestation_test

import (
	"errors"
	"strings"
	"testing"

	"attls"
	"attls/attestation"
	"attls/attestation/roottest"
	"attls/negotiation"
)

// TestARootThatLacksAFieldMakesNothing: its zero value offers nothing, and the error
// names the field.
func TestARootThatLacksAFieldMakesNothing(t *testing.T) {
	f := roottest.Stranger()
	for want, r := range map[string]*attestation.Root{"Format": {}, "Maker": {Format: &f}} {
		if list := r.Schemes(); len(list) != 0 {
			t.Errorf("without a %s it offers %v", want, list)
		}
		r.ChallengeSize()
		var e *attls.Error
		_, err := r.Attest(t.Context(), &negotiation.EvidenceRequest{})
		if !errors.As(err, &e) || e.Failure != attls.FailAttesterUnavailable || !strings.Contains(err.Error(), want) {
			t.Errorf("without a %s: %v", want, err)
		}
	}
}
