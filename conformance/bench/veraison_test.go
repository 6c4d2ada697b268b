package bench

import (
	"context"
	"net/http"
	"testing"

	"attls/attestation"
	"attls/attestation/veraison"
	"attls/attestation/veraison/veraisontest"
	"attls/negotiation"
)

// TestVeraison: a root of trust that Veraison knows is measured with its double, by its
// requests, and the results that it issues are checked.
func TestVeraison(t *testing.T) {
	way := VeraisonVerifier(veraison.Options{})
	real := way.Open
	way.Open = func(ctx context.Context, v *attestation.Verifier, l *Link) (negotiation.Appraiser, func(), error) {
		double := veraisontest.Start(t, veraisontest.Switches{Verifier: v}) // with a clock of its own
		transport := &http.Transport{}
		t.Cleanup(transport.CloseIdleConnections)
		o := veraison.Options{URL: double.URL, Key: double.Key(), HTTPClient: &http.Client{Transport: transport}}
		return VeraisonVerifier(o).Open(ctx, v, l)
	}
	if _, _, err := real(t.Context(), &attestation.Verifier{}, &Link{}); err == nil {
		t.Error("a service without a URL was asked")
	}
	r, err := Roots(t.Context(), RootOptions{Count: 1, Names: []string{"psa", "cca"}, Verifiers: []RootVerifier{EmbeddedVerifier(), way}})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range r.Rows {
		requests := 0
		if row.Verifier == "veraison" {
			requests = 3 // a session, the Evidence, its deletion
		}
		if !row.Measured() || row.VerifierRoundTrips != requests || row.Judge <= 0 || (row.Check > 0) != (row.Model == "results") {
			t.Errorf("%+v", row)
		}
	}
}
