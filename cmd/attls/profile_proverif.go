package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"attls"
	"attls/conformance/model"
	"attls/extensions/profile"
)

// proverifFlags are the flags of "profile proverif".
type proverifFlags struct {
	profile profileFlags

	attester, goal, capabilities string
	model, credential, mutant    string
	output                       string
	pinned, run, asJSON          bool
	limit                        model.Limits
}

func proverifCommand() *cobra.Command {
	var f proverifFlags
	c := &cobra.Command{
		Use:   "proverif PROFILE|FILE",
		Short: "Write a profile as a model for ProVerif, and run it",
		Long: `proverif writes a model for ProVerif 2.05: a handshake of TLS 1.3 with the offer, the
nonce, the Evidence and the binder of the profile, for one attester, one security goal
and the capabilities of the attacker. The binder is translated from its expressions, so
that a changed draft gives a changed model. Each model also asks whether honest ends can
finish; "proved" is printed only if they can. docs/proverif.md says what is modelled.

With --run the program is run, and the answer is "proved", "attack found" with the
trace, or "not decided" with the reason. The exit status is 0 for each of the three.

--mutant no-binder leaves out what binds the Evidence: a goal that the binder reaches
is not proved then.

Goals: ` + goalList() + `.
Capabilities besides the network: ` + capabilityList() + `.`,
		Example: `  attls profile proverif early-attestation-06 -o model.pv
  attls profile proverif early-attestation-06 --goal g3 --capabilities tik,hs --run
  attls profile proverif mine.yaml --attester client --goal 4.1 --capabilities tik --run`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.FixedCompletions(profile.Names(), cobra.ShellCompDirectiveDefault),
		RunE:              f.execute,
	}
	flags := c.Flags()
	f.profile.registerAdjustments(c)
	flags.StringVar(&f.attester, "attester", "", "the end that attests: server or client (default: the server, if it can)")
	flags.StringVar(&f.goal, "goal", string(model.GoalBinding), "the security goal")
	flags.StringVar(&f.capabilities, "capabilities", "", "what the attacker can do besides controlling the network")
	flags.StringVar(&f.model, "model", "evidence", "what the attester hands over: evidence or results")
	flags.StringVar(&f.credential, "credential", "", "x509 or alone (default: x509, if the profile has it)")
	flags.StringVar(&f.mutant, "mutant", "", "no-binder: nothing binds the Evidence")
	flags.BoolVar(&f.pinned, "pinned", false, "the relying party accepts only the platform that it expects")
	flags.StringVarP(&f.output, "output", "o", "-", "file to write; -: standard output")
	flags.BoolVar(&f.run, "run", false, "run ProVerif and print the answer")
	flags.DurationVar(&f.limit.Time, "limit", model.DefaultTime, "with --run: time that ProVerif has")
	flags.BoolVar(&f.asJSON, "json", false, "with --run: print a JSON object")
	return c
}

func goalList() string {
	list := make([]string, len(model.Goals))
	for i := range model.Goals {
		list[i] = string(model.Goals[i].Goal)
	}
	return strings.Join(list, ", ")
}

func capabilityList() string {
	var list []string
	for _, c := range model.Capabilities[1:] {
		list = append(list, string(c))
	}
	return strings.Join(list, ", ")
}

// options reads the flags that say which model is wanted.
func (f *proverifFlags) options(p *profile.Profile) (o model.Options, err error) {
	switch f.attester {
	case "":
		o.Attester = attls.RoleServer
		if list := model.Attesters(p); len(list) > 0 {
			o.Attester = list[0]
		}
	case "server":
		o.Attester = attls.RoleServer
	case "client":
		o.Attester = attls.RoleClient
	default:
		return o, usage("--attester takes server or client, not %q", f.attester)
	}
	goal, ok := model.FindGoal(f.goal)
	if !ok {
		return o, usage("--goal takes one of %s, not %q", goalList(), f.goal)
	}
	o.Goal = goal
	if o.Capabilities, err = model.ParseCapabilities(f.capabilities); err != nil {
		return o, usage("--capabilities: %w", err)
	}
	if o.Model, ok = profile.ParseModel(f.model); !ok {
		return o, usage("--model takes evidence or results, not %q", f.model)
	}
	if f.credential != "" {
		k, ok := profile.ParseCredentialKind(f.credential)
		if !ok {
			return o, usage("--credential takes x509 or alone, not %q", f.credential)
		}
		o.Credential = &k
	}
	switch f.mutant {
	case "", "no-binder":
		o.NoBinder = f.mutant != ""
	default:
		return o, usage("--mutant takes no-binder, not %q", f.mutant)
	}
	o.Pinned = f.pinned
	return o, nil
}

func (f *proverifFlags) execute(c *cobra.Command, args []string) error {
	numbers, err := parseCodePoints(f.profile.codePoints)
	if err != nil {
		return usage("%w", err)
	}
	p, err := profile.Load(args[0], profile.Options{Readings: f.profile.readings, CodePoints: numbers})
	if err != nil {
		return usage("%w", err)
	}
	o, err := f.options(p)
	if err != nil {
		return err
	}
	text, err := model.Generate(p, o)
	if err != nil {
		return usage("%w", err)
	}
	if !f.run {
		if f.output == "-" {
			_, err = c.OutOrStdout().Write(text)
			return unavailable(err)
		}
		return unavailable(os.WriteFile(f.output, text, 0o644))
	}
	if f.output != "-" {
		if err := os.WriteFile(f.output, text, 0o644); err != nil {
			return unavailable(err)
		}
	}
	return f.prove(c, text)
}

// prove runs the model and prints the answer.
func (f *proverifFlags) prove(c *cobra.Command, text []byte) error {
	if f.limit.Time <= 0 {
		return usage("--limit takes a time above zero, not %v", f.limit.Time)
	}
	program, err := model.Find()
	if err != nil {
		return unavailable(err)
	}
	outcome, err := model.Run(c.Context(), program, text, f.limit)
	if c.Context().Err() != nil {
		return unavailable(err)
	}
	if err != nil {
		return failed("%w", err)
	}
	if f.asJSON {
		return writeJSON(c.OutOrStdout(), outcome)
	}
	w := c.OutOrStdout()
	line := string(outcome.Verdict)
	if outcome.Reason != "" {
		line += ": " + outcome.Reason
	}
	fmt.Fprintln(w, line)
	if outcome.Acceptance != nil {
		fmt.Fprintln(w, outcome.Acceptance)
	}
	if outcome.Counterexample != "" {
		fmt.Fprintf(w, "\n%s\n", outcome.Counterexample)
	}
	return nil
}
