package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"attls/conformance/requirements"
)

func specCommand() *cobra.Command {
	var name string
	var asJSON bool
	c := &cobra.Command{
		Use:   "spec",
		Short: "Print the registry of requirements: what is enforced where, and what checks it",
		Long: `spec prints one row for each normative statement of the texts that are held in the
registry: enforced by our code, a duty of an Attester or a Verifier, or not
implemented, with the place and the cases that check it. SPEC.md holds the same.`,
		Example: `  attls spec
  attls spec --profile early-attestation-06 --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := requirements.Load()
			if err != nil {
				return failed("%w", err)
			}
			if name != "" {
				all = slices.DeleteFunc(all, func(d requirements.Document) bool { return d.Profile != name })
				if len(all) == 0 {
					return usage("the registry holds no statements of %q", name)
				}
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), all)
			}
			p := newPainter(c.OutOrStdout())
			for _, d := range all {
				n := d.Count()
				p.line(p.in(bold, d.Profile), fmt.Sprintf("  %d enforced, %d duties, %d later", n[requirements.Enforced], n[requirements.Duty], n[requirements.Later]))
				for i := range d.Rows {
					p.requirement(&d.Rows[i])
				}
				p.line()
			}
			return nil
		},
	}
	c.Flags().StringVarP(&name, "profile", "p", "", "the statements of one profile's text")
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	return c
}

func (p *painter) requirement(r *requirements.Row) {
	for i, l := range wrap(pad(r.ID, 4)+r.Text, p.width-2, "      ") {
		if i == 0 {
			l = p.in(cyan, l[:4]) + l[4:]
		}
		p.line("  ", l)
	}
	text := string(r.Class) + ": " + r.Reason
	if r.Class != requirements.Later {
		text = fmt.Sprintf("%s in %s:", r.Class, r.Where)
		for _, s := range r.Cases {
			text += " " + s
		}
	}
	for _, l := range wrap("      "+text, p.width, "        ") {
		p.line(p.in(faint, l))
	}
}
