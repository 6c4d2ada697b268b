package attestation_test

import (
	"testing"

	"attls/attestation"
	"attls/attestation/roottest"
)

// TestSoftwareRoot runs the suite of roots of trust on the software one.
func TestSoftwareRoot(t *testing.T) {
	roottest.Run(t, attestation.SoftwareFormats()[0], roottest.Options{})
}
