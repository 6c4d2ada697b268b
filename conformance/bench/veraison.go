package bench

import (
	"context"
	"net/http"

	"attls/attestation"
	"attls/attestation/veraison"
	"attls/negotiation"
)

// VeraisonVerifier asks a Veraison, which somebody runs and has provisioned with what
// trusts the emulators (scenario.DemoSeed). Its key, its time-outs and its transport are
// those of the options; the rest of them is set here. The Link counts the requests of one
// appraisal, but the way to the service is as long as it is.
func VeraisonVerifier(o veraison.Options) RootVerifier {
	open := func(ctx context.Context, v *attestation.Verifier, l *Link) (negotiation.Appraiser, func(), error) {
		mine := o
		mine.Clock, mine.Table, mine.AcceptUnattested = v.Clock, v.Table, v.AcceptUnattested
		mine.Identity = attestation.DemoVerifier
		next := http.DefaultTransport
		if o.HTTPClient != nil && o.HTTPClient.Transport != nil {
			next = o.HTTPClient.Transport
		}
		mine.HTTPClient = &http.Client{Transport: l.RoundTripper(next)}
		asked, err := veraison.New(ctx, mine)
		return asked, func() {}, err
	}
	return RootVerifier{Name: "veraison", Checks: true, Open: open}
}
