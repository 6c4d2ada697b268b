package bench

import (
	"context"
	"crypto/tls"
	"net/http"
	"time"

	"attls/attestation"
	"attls/attestation/veraison"
	"attls/negotiation"
)

// VeraisonVerifier asks a Veraison, which somebody runs and has provisioned with what
// trusts the emulators (scenario.DemoSeed). Its key, its time-outs and its transport are
// those of the options; the rest of them is set here. The Link counts the requests of one
// appraisal, but the way to the service is as long as it is.
func VeraisonVerifier(o veraison.Options) RootVerifier {
	clock := o.Clock
	if clock == nil {
		clock = time.Now
	}
	open := func(ctx context.Context, v *attestation.Verifier, l *Link) (negotiation.Appraiser, func(), error) {
		mine := o
		mine.Clock, mine.Table, mine.AcceptUnattested = clock, v.Table, v.AcceptUnattested
		mine.Identity = attestation.DemoVerifier
		next := http.DefaultTransport
		if o.RootCAs != nil {
			own := next.(*http.Transport).Clone()
			own.TLSClientConfig = &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12}
			next, mine.RootCAs = own, nil
		}
		if o.HTTPClient != nil && o.HTTPClient.Transport != nil {
			next = o.HTTPClient.Transport
		}
		mine.HTTPClient = &http.Client{Transport: l.RoundTripper(next)}
		asked, err := veraison.New(ctx, mine)
		return asked, func() {}, err
	}
	return RootVerifier{Name: "veraison", Checks: true, Clock: clock, Open: open}
}
