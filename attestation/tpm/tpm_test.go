package tpm

import (
	"errors"
	"testing"

	"attls/attestation"
	"attls/attestation/roottest"
)

// emulated makes an emulation with swtpm, where it is installed.
func emulated(f func() attestation.Format) roottest.Options {
	return roottest.Options{Flips: 1200, Emulate: func(t *testing.T, o attestation.EmulatorOptions) *attestation.Emulation {
		t.Helper()
		e, err := f().Emulate(t.Context(), o)
		if errors.Is(err, ErrNoEmulator) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		return e
	}}
}

func TestRoot(t *testing.T)        { roottest.Run(t, Format(), emulated(Format)) }
func TestRootCertify(t *testing.T) { roottest.Run(t, CertifyFormat(), emulated(CertifyFormat)) }
