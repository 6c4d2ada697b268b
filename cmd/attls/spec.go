package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"attls/conformance/requirements"
	"attls/internal/columns"
)

func specCommand() *cobra.Command {
	var name, set, row string
	var asJSON, prove, coverage bool
	c := &cobra.Command{
		Use:   "spec",
		Short: "Print the registry of requirements, or prove that its cases check it",
		Long: `spec prints one row for each normative statement of the texts in the
registry: enforced by our code, a duty of an Attester or a Verifier, or not
implemented, with the place, the rules and the cases that check it, and then how
many rows of each class there are. The ambiguities of a text are rows as well.
SPEC.md holds the same.

The texts are those of the profiles (--profile) and RFCs (--set): rfc8446, rfc9846
(where TLS 1.3 changed), rfc9261 (exported authenticators), rfc9850 (key logs),
rfc9999 (CMW), and common, the rows that hold under every profile.

With --prove it turns off the rule behind each case of each enforced row, one at
a time, at both ends of a connection in memory, and shows that the case then
fails. It exits 1 when a case fails as it is or still passes without its rule.`,
		Example: `  attls spec
  attls spec --coverage
  attls spec --profile early-attestation-06 --json
  attls spec --set rfc9846
  attls spec --prove
  attls spec --prove --profile early-attestation-06 --row R16`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := requirements.Load()
			if err != nil {
				return failed("%w", err)
			}
			if set != "" {
				name = set
			}
			if name != "" && !slices.Contains(requirements.Names(all), name) {
				return usage("the registry holds no statements of %q; it holds those of %s", name,
					strings.Join(requirements.Names(all), ", "))
			}
			if prove {
				return proveSpec(c.Context(), c.OutOrStdout(), all, name, row, asJSON)
			}
			if row != "" {
				return usage("--row goes with --prove")
			}
			if name != "" {
				all = slices.DeleteFunc(all, func(d requirements.Document) bool { return d.Name() != name })
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), all)
			}
			p := newPainter(c.OutOrStdout())
			for i := range all {
				if d := &all[i]; !coverage {
					p.document(d, name != "")
				}
			}
			p.coverage(all)
			return nil
		},
	}
	c.Flags().StringVarP(&name, "profile", "p", "", "the statements of one profile's text")
	c.Flags().StringVar(&set, "set", "", "the statements of one text, by its name: rfc9846, common, a profile's")
	c.MarkFlagsMutuallyExclusive("profile", "set")
	c.RegisterFlagCompletionFunc("set", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		all, _ := requirements.Statements()
		return requirements.Names(all), cobra.ShellCompDirectiveNoFileComp
	})
	c.Flags().StringVar(&row, "row", "", "with --prove: the rows of one id")
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	c.Flags().BoolVar(&prove, "prove", false, "turn off each enforced rule in turn and show that its cases fail")
	c.Flags().BoolVar(&coverage, "coverage", false, "count the rows only")
	return c
}

// coverage counts the rows of each class.
func (p *painter) coverage(all []requirements.Document) {
	t := columns.Table{}
	t.Add("TEXT", "ENFORCED", "PROVABLE", "DUTY", "LATER", "READINGS")
	for i := range all {
		d := &all[i]
		cells := []string{d.Title()}
		n := d.Count()
		for _, n := range []int{n[requirements.Enforced], d.Provable(), n[requirements.Duty], n[requirements.Later],
			len(d.Readings)} {
			cells = append(cells, strconv.Itoa(n))
		}
		t.Add(cells...)
	}
	p.table(&t, everyRow(plain))
}

// document lists the rows of a text; those of its base by their ids only, unless
// it is to be whole.
func (p *painter) document(d *requirements.Document, whole bool) {
	p.line(p.in(bold, d.Title()))
	p.flow(p.width, "", p.in(faint, "  "+d.Source))
	var shared []string
	for i := range d.Rows {
		r := &d.Rows[i]
		if r.Inherited() && !whole {
			shared = append(shared, r.ID)
			continue
		}
		p.requirement(r.ID, r.Text, consequence(r))
	}
	if len(shared) > 0 {
		p.flow(p.width, "    ", "  as in "+d.Base+": "+strings.Join(shared, " "))
	}
	for _, r := range d.Readings {
		text := fmt.Sprintf("switch %s: %s (default %s)", r.Switch, strings.Join(r.Options, ", "), r.Default)
		p.requirement(r.AMB, text, "because "+r.Why)
	}
	p.line()
}

// consequence says what becomes of a statement.
func consequence(r *requirements.Row) string {
	if r.Class == requirements.Later {
		return string(r.Class) + ": " + r.Reason
	}
	return fmt.Sprintf("%s in %s: %s", r.Class, r.Where, strings.Join(r.Cases, " "))
}

func (p *painter) requirement(id, text, consequence string) {
	p.flow(p.width, "      ", "  ", p.in(cyan, pad(id, max(4, columns.Width(id)+1))), text)
	p.flow(p.width, "  ", p.in(faint, "      "+consequence))
}

// proveSpec is "attls spec --prove".
func proveSpec(ctx context.Context, w io.Writer, all []requirements.Document, name, row string, asJSON bool) error {
	if name == "" {
		name = requirements.Everything
	}
	start := time.Now()
	var proofs []requirements.Proof
	err := requirements.Prove(ctx, all, name, row, func(p requirements.Proof) { proofs = append(proofs, p) })
	if err != nil {
		if errors.Is(err, ctx.Err()) {
			return failed("%w", err)
		}
		return usage("%w", err)
	}
	unproven := 0
	for _, p := range proofs {
		if !p.Proven {
			unproven++
		}
	}
	if asJSON {
		if err := writeJSON(w, proofs); err != nil {
			return err
		}
	} else {
		p := newPainter(w)
		printProofs(p, all, proofs)
		p.line(
			fmt.Sprintf("%d cases checked with and without their rules in %.1f s; %d do not check what they are cited for.",
				len(proofs), time.Since(start).Seconds(), unproven))
	}
	if unproven > 0 {
		return failed("%d of %d cases do not check the rule that they are cited for", unproven, len(proofs))
	}
	return nil
}

// printProofs lists the proofs by text, in the registry's order.
func printProofs(p *painter, all []requirements.Document, proofs []requirements.Proof) {
	for i := range all {
		d := &all[i]
		mine := slices.DeleteFunc(slices.Clone(proofs), func(x requirements.Proof) bool { return x.Set != d.Name() })
		if len(mine) == 0 {
			continue
		}
		slices.SortFunc(mine, func(a, b requirements.Proof) int { return a.Place - b.Place })
		p.line(p.in(bold, d.Title()))
		for _, x := range mine {
			mark, what := p.in(green, "proven"), "without "+string(x.Rule)+" "+x.Case+" fails: "+x.Text
			if !x.Proven {
				mark, what = p.in(red, "NOT PROVEN"), x.Case+", which checks "+string(x.Rule)+": "+x.Text
			}
			p.flow(p.width, "      ", mark, "  "+strings.Join(x.Rows, ", ")+": "+what)
		}
	}
}
