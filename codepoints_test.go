package attls

import "testing"

func TestKindNames(t *testing.T) {
	for k := KindClientHello; k < KindAdded; k++ {
		if got, ok := KindByName(k.Name()); !ok || got != k {
			t.Errorf("KindByName(%q) = %v, %v", k.Name(), got, ok)
		}
	}
}

func TestEveryAttestationFailureIsNamed(t *testing.T) {
	for _, f := range AttestationFailures {
		if !f.Attestation() {
			t.Errorf("%s is in AttestationFailures and is not named attestation.*", f)
		}
	}
}
