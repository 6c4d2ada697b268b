package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"attls"
	"attls/attestation"
	"attls/attestation/roots"
	"attls/attestation/veraison"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/negotiation"
)

// serviceFlags name a Veraison that judges in place of the embedded verifier.
type serviceFlags struct {
	url, key, ca, name string
	insecure           bool
	maxAge             time.Duration // of a result; 0: the usual one
}

func (f *serviceFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.url, "verifier-url", "", "URL of a Veraison that judges Evidence, in place of the embedded "+
		"verifier; "+
		"on the side that attests: whose results are relayed")
	f.registerTrust(flags)
	f.registerKey(flags)
	flags.DurationVar(&f.maxAge, "verifier-max-age", 0, "the greatest age of a result that is accepted (default: an hour)")
}

// registerKey registers how its results are trusted.
func (f *serviceFlags) registerKey(flags *pflag.FlagSet) {
	flags.StringVar(&f.key, "verifier-key", "", "PEM file with the public key of its results (default: the key that it "+
		"names itself, over verified HTTPS)")
}

// registerName registers how the service is called where its results are relayed.
func (f *serviceFlags) registerName(flags *pflag.FlagSet) {
	flags.StringVar(&f.name, "verifier-name", "", "the identity of the service of --verifier-url where its results are "+
		"relayed: both ends give it the same (default: "+attestation.DemoVerifier+")")
}

// identity is how the service is called.
func (f *serviceFlags) identity() string { return cmp.Or(f.name, attestation.DemoVerifier) }

// registerTrust registers how the service itself is trusted.
func (f *serviceFlags) registerTrust(flags *pflag.FlagSet) {
	flags.StringVar(&f.ca, "verifier-ca", "", "PEM file with the trust anchors of its certificate (default: the system's)")
	flags.BoolVar(&f.insecure, "verifier-insecure", false, "believe the key that it names itself without HTTPS, "+
		"too: for tests")
}

// given are the flags that are there.
func (f *serviceFlags) given() map[string]bool {
	return map[string]bool{"verifier-url": f.url != "", "verifier-key": f.key != "", "verifier-ca": f.ca != "",
		"verifier-insecure": f.insecure, "verifier-name": f.name != "", "verifier-max-age": f.maxAge != 0}
}

// check refuses flags that would do nothing, and a second verifier.
func (f *serviceFlags) check(appraiserCommand, verifierFile string) error {
	if f.url == "" {
		for name, given := range f.given() {
			if given {
				return usage("--%s is about the service of --verifier-url, which is not there", name)
			}
		}
		return nil
	}
	if appraiserCommand != "" {
		return usage("--verifier-url and --appraiser-cmd both say who judges; choose one")
	}
	if verifierFile != "" {
		return usage("--verifier-url and --verifier-file both say who judges; what the file lists, the service must be " +
			"provisioned with (attls evidence provision)")
	}
	return nil
}

// maxIdentity is the longest identity of a Verifier, in octets.
const maxIdentity = 255

// options are those of the service.
func (f *serviceFlags) options(warn io.Writer) (veraison.Options, error) {
	o := veraison.Options{URL: f.url, Insecure: f.insecure, Table: roots.All(), Identity: f.identity(),
		MaxAge: f.maxAge}
	if n := len(f.name); n > maxIdentity {
		return o, usage("--verifier-name has %d octets; an identity has 1 to %d", n, maxIdentity)
	}
	if f.key != "" {
		spki, err := readPublicKey(f.key)
		if err != nil {
			return o, unavailable(err)
		}
		if o.Key, err = x509.ParsePKIXPublicKey(spki); err != nil {
			return o, unavailable(fmt.Errorf("%s: %w", f.key, err))
		}
	}
	if f.ca != "" {
		pool, _, _, err := readAnchors(f.ca, warn)
		if err != nil {
			return o, unavailable(err)
		}
		o.RootCAs = pool
	}
	return o, nil
}

// connect asks the service what it takes. The time-out is that of one appraisal; 0: the
// usual one.
func (f *serviceFlags) connect(ctx context.Context, timeout time.Duration, demonstration bool) (*veraison.Verifier,
	error) {
	o, err := f.options(io.Discard)
	if err != nil {
		return nil, err
	}
	o.Timeout, o.AcceptUnattested = timeout, demonstration
	v, err := veraison.New(ctx, o)
	return v, unavailable(err)
}

// takes says that the service does not take the Evidence of a root of trust.
func takes(v *veraison.Verifier, f *attestation.Format) error {
	for _, s := range v.Schemes() {
		for _, own := range f.Schemes() {
			if s.Model == own.Model && attestation.Matches(s.Format, own.Format, profile.MatchEqual) == nil {
				return nil
			}
		}
	}
	return usage("--verifier-url: the service does not take Evidence of the root of trust %s; choose another with "+
		"--root-of-trust",
		f.Name)
}

// serve has the service judge, and its results relayed.
func (l *loaded) serve(ctx context.Context, f *serviceFlags, timeout time.Duration) error {
	v, err := f.connect(ctx, timeout, false)
	if err != nil {
		return err
	}
	if err := takes(v, l.format); err != nil {
		return err
	}
	l.appraiser, l.attester, l.format = v, relaying(v, f.identity(), l.attester), v.Format(l.format)
	return nil
}

// relaying is an Attester that relays the results of the service.
func relaying(v *veraison.Verifier, identity string, a negotiation.Attester) negotiation.Attester {
	a, ok := attestation.WithRelays(a, []attestation.Relay{{Identity: []byte(identity), Verifier: v}})
	if !ok {
		return a
	}
	return &attestation.Passport{Attester: a}
}

// serveDemo has the service judge a demonstration.
func (f *serviceFlags) serveDemo(ctx context.Context, root string) ([]scenario.Option, error) {
	if err := f.check("", ""); err != nil || f.url == "" {
		return nil, err
	}
	v, err := f.connect(ctx, 0, true)
	if err != nil {
		return nil, err
	}
	if root == "" {
		root = attestation.EAT
	}
	format, err := roots.All().Named(root)
	if err != nil {
		return nil, usage("--verifier-url: the service takes Evidence of one root of trust, not of %s", root)
	}
	return []scenario.Option{scenario.Change(func(s *scenario.Setup) {
		for role, end := range s.Ends {
			produce, accept := &end.Config.Policy.Produce, &end.Config.Policy.Accept
			if end.Exported != nil {
				produce, accept = &end.Exported.Produce, &end.Exported.Accept
			}
			if end.Attester != nil {
				end.Attester = relaying(v, f.identity(), end.Attester)
				retype(*produce, s.Profile, v.Format(format), attls.Role(role))
			}
			if end.Appraiser != nil {
				end.Appraiser = v
				retype(*accept, s.Profile, v.Format(format), attls.Role(role).Peer())
			}
		}
	})}, takes(v, format)
}

// retype puts the first type of a format that the profile can name in place of the one
// under which Evidence would be sent.
func retype(list []negotiation.Scheme, p *profile.Profile, f *attestation.Format, attester attls.Role) {
	for i := range list {
		if all := f.SchemesUnder(p, attester, list[i].Credential); list[i].Model == profile.ModelEvidence && len(all) > 0 {
			list[i] = all[0]
		}
	}
}

// fetch has the results that the endpoint will relay fetched before the first
// connection, where the profile binds none.
func (f *endpointFlags) fetch(e *endpoint) error {
	p, ok := e.answerer.Attester.(*attestation.Passport)
	produce := e.produces()
	if !ok || len(produce) == 0 {
		return nil
	}
	scheme, b := produce[0], &e.profile.Binder
	if scheme.Model != profile.ModelResults || b.Challenge[scheme.Model][scheme.Credential] != "" ||
		b.Authenticator[scheme.Model] != "" {
		return nil
	}
	for _, c := range e.answerer.Credentials {
		spki, err := spkiOf(c)
		if err == nil {
			err = p.Fetch(f.context, e.profile.ID, f.role, spki)
		}
		if err != nil {
			return unavailable(err)
		}
	}
	return nil
}

func provisionCommand() *cobra.Command {
	f := &serviceFlags{}
	var media string
	c := &cobra.Command{
		Use:   "provision FILE",
		Short: "Give a Veraison the endorsements and reference values of a CoRIM",
		Long: `provision sends a CoRIM to the provisioning service of a Veraison, which often is at
another port than the one that judges. Its media type follows from the octets (signed
or not) and from the profile that the CoRIM names. Exits 1 when the service does not
take it, which Veraison says with 200.`,
		Example: `  attls evidence provision --verifier-url https://localhost:9443 \
    --verifier-ca rootCA.pem endorsements.corim`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if f.url == "" {
				return usage("provision needs the URL of a provisioning service: --verifier-url")
			}
			corim, err := readFile(args[0], maxPayload)
			if err != nil {
				return unavailable(err)
			}
			if media == "" {
				if media, err = veraison.TypeOfCoRIM(corim); err != nil {
					return unavailable(fmt.Errorf("%s: %w", args[0], err))
				}
			}
			o, err := f.options(c.ErrOrStderr())
			if err != nil {
				return err
			}
			if err := veraison.Provision(c.Context(), o, media, corim); err != nil {
				return failed("%w", err)
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is provisioned with %s.\n", f.url, args[0])
			return nil
		},
	}
	c.Flags().StringVar(&f.url, "verifier-url", "", "URL of the provisioning service of a Veraison")
	f.registerTrust(c.Flags())
	c.Flags().StringVar(&media, "type", "", "media type of the CoRIM (default: by its octets)")
	return c
}
