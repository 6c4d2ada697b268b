package main

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"attls/conformance/cases"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/extensions/profile"
)

// explainFlags are the flags of "profile explain".
type explainFlags struct {
	profile profileFlags
	scheme  schemeFlags

	retry              bool
	peerBinder, claims string
	asJSON             bool
}

func explainCommand() *cobra.Command {
	var f explainFlags
	c := &cobra.Command{
		Use:   "explain PROFILE",
		Short: "Show how the attestation binder of one handshake is computed",
		Long: `explain makes an attested connection and shows the challenge of each attester as a
tree: every definition, input, transcript checkpoint and output of HKDF, and what
comes out under the readings that are not in force.

With --from-claims it takes another connection: the claims of "attls client" or
"attls server" made with --json --binder-inputs. --peer-binder then names the
readings, of this profile and of all others, under which a peer would have got that
value: nonce or binder, key or its hash, the variant of HelloRetryRequest, the other
role, another revision.`,
		Example: `  attls profile explain early-attestation-06
  attls profile explain tls-attestation-07 --attester both --json
  attls client --json --binder-inputs </dev/null > claims.json
  attls profile explain early-attestation-06 --from-claims claims.json --peer-binder 33d8bde5…`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.FixedCompletions(profile.Names(), cobra.ShellCompDirectiveDefault),
		RunE:              f.run,
	}
	flags := c.Flags()
	f.scheme.register(c)
	f.profile.registerAdjustments(c)
	flags.BoolVar(&f.retry, "hello-retry", false, "let the server send HelloRetryRequest")
	flags.StringVar(&f.peerBinder, "peer-binder", "", "the value that a peer got, hexadecimal; needs --from-claims")
	flags.StringVar(&f.claims, "from-claims", "", "claims of the connection in question (- for standard input)")
	flags.BoolVar(&f.asJSON, "json", false, "print a JSON object")
	return c
}

func (f *explainFlags) run(c *cobra.Command, args []string) error {
	f.profile.name = args[0]
	s, err := f.scheme.scenario(&f.profile)
	if err != nil {
		return err
	}
	s.HelloRetry = f.retry
	var peer []byte
	if f.peerBinder != "" {
		if peer, err = hex.DecodeString(f.peerBinder); err != nil {
			return usage("--peer-binder: %w", err)
		}
		if f.claims == "" {
			return usage("--peer-binder is a value of one connection; name its claims with --from-claims")
		}
	}
	claims, err := f.take(c, s)
	if err != nil {
		return err
	}
	e, err := scenario.Explain(s, claims, peer)
	if err != nil {
		return usage("%w", err)
	}
	if f.asJSON {
		return writeJSON(c.OutOrStdout(), e)
	}
	newPainter(c.OutOrStdout()).explanation(e)
	return nil
}

// take reads the claims, or makes a connection of its own.
func (f *explainFlags) take(c *cobra.Command, s scenario.Scenario) (*claims.Claims, error) {
	if f.claims == "" {
		r := scenario.Run(c.Context(), s, scenario.KeepInputs(), scenario.Find(cases.Find))
		if r.Claims[0].Schema == "" {
			return nil, cannotRun(r.Err)
		}
		return &r.Claims[0], nil
	}
	var in io.Reader = c.InOrStdin()
	if f.claims != "-" {
		file, err := os.Open(f.claims)
		if err != nil {
			return nil, unavailable(err)
		}
		defer file.Close()
		in = file
	}
	claims, err := claims.ReadClaims(in)
	return claims, unavailable(err)
}

// inPhase says where an attestation is whose phase claims name.
var inPhase = map[string]string{
	profile.PhaseAuthenticator.String(): "in an exported authenticator",
	profile.PhaseFrame.String():         "in a frame of the application",
	profile.PhaseKeyUpdate.String():     "with an extended key update",
	profile.PhasePostHandshake.String(): "in post-handshake authentication",
}

func (p *painter) explanation(e *scenario.Explanation) {
	p.full = true
	for i := range e.Attesters {
		a := &e.Attesters[i]
		if i > 0 {
			p.line()
		}
		where := ""
		if a.Phase != "" {
			where = ", " + cmp.Or(inPhase[a.Phase], a.Phase)
		}
		p.line(p.in(bold, fmt.Sprintf("%s: the %s attests with %s, credential %s%s", e.Profile, a.Attester,
			a.Model, a.Credential, where)))
		p.line()
		if a.Challenge == nil {
			p.line("Nothing is bound to the connection.")
		} else {
			p.line("The challenge:")
			p.tree(a.Challenge, "", "")
		}
		p.named("A claim of the Evidence", a.Claims)
		p.named("Handed over to the Appraiser", a.HandOver)
		p.named("The secret of an exporter", a.Exporters)
		if len(a.Others) > 0 {
			p.line()
			p.line("Under other readings:")
		}
		for _, o := range a.Others {
			v := o.Value
			switch {
			case o.Error != "":
				v = "✗ " + o.Error
			case v == "":
				v = "nothing is bound"
			}
			p.paragraph("  ", fmt.Sprintf("%s=%s: %s", o.Switch, o.Reading, v))
		}
		p.matches(a)
	}
}

func (p *painter) named(title string, trees map[string]*claims.BinderNode) {
	for _, name := range slices.Sorted(maps.Keys(trees)) {
		p.line()
		p.line(title, ", ", p.in(bold, name), ":")
		p.tree(trees[name], "", "")
	}
}

func (p *painter) matches(a *scenario.AttesterExplained) {
	if a.Peer == "" {
		return
	}
	p.line()
	if len(a.Matches) == 0 {
		p.paragraph("", "No known reading of any profile gives the peer's value, "+a.Peer+".")
		return
	}
	p.line("The peer's value, ", strings.ToLower(a.Peer), ", comes out under")
	for _, m := range a.Matches {
		p.line("  ", p.in(yellow, m.String()))
	}
}
