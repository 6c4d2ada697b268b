package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"attls/conformance/cases"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/internal/columns"
)

// gridFlags are the flags of "attls grid".
type gridFlags struct {
	profileFlags
	all, asJSON, verbose bool
	parallel             int
	root                 string
}

// jsonGrid is what "grid --json" prints.
type jsonGrid struct {
	OK       bool                `json:"ok"`
	Seconds  float64             `json:"seconds"`
	Profiles []cases.GridSummary `json:"profiles"`
	Results  []cases.GridResult  `json:"results"`
}

func gridCommand() *cobra.Command {
	var f gridFlags
	c := &cobra.Command{
		Use:   "grid",
		Short: "Run everything that a profile allows, and check that all else is refused",
		Long: `grid makes real connections for everything a profile says: each combination of
attester, model and credential that it allows must complete with both ends agreeing,
also under each reading of each switch; each that it forbids must be refused with a
reason; and each fault that can be provoked must be rejected by the right side with
the right alert at the right message. It exits 1 when anything is not as expected.`,
		Example: `  attls grid
  attls grid --profile mine.yaml
  attls grid --all --json > grid.json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			selected, err := f.cases()
			if err != nil {
				return err
			}
			started := time.Now()
			p := newProgress(c.ErrOrStderr(), len(selected), "not as expected")
			results := cases.All().RunGrid(c.Context(), selected, f.parallel, func(r *cases.GridResult) {
				p.step(r.String(), r.Error != "")
			})
			p.clear()
			took := time.Since(started)
			sums := cases.SummarizeGrid(results)
			bad := 0
			for _, s := range sums {
				bad += s.Failed
			}
			if f.asJSON {
				if err := writeJSON(c.OutOrStdout(), jsonGrid{bad == 0, took.Seconds(), sums, results}); err != nil {
					return unavailable(err)
				}
			} else {
				newPainter(c.OutOrStdout()).grid(results, sums, f.verbose)
			}
			if bad > 0 {
				return failed("%d of %d cases are not as expected", bad, len(selected))
			}
			if !f.asJSON {
				fmt.Fprintf(c.OutOrStdout(), "\n%d cases, all as expected, in %.1f s\n", len(selected), took.Seconds())
			}
			return nil
		},
	}
	f.register(c, defaultProfile)
	c.Flags().Lookup("profile").Usage = `profile: an id (see "attls profile list") or a YAML file`
	c.Flags().BoolVar(&f.all, "all", false, "every profile of this program")
	registerRoot(c, c.Flags(), &f.root)
	c.Flags().IntVar(&f.parallel, "parallel", 2, "connections at a time")
	c.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "list every case")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print a JSON object")
	c.MarkFlagsMutuallyExclusive("all", "profile")
	return c
}

// cases are those of all profiles that the flags name.
func (f *gridFlags) cases() ([]cases.GridCase, error) {
	names := []string{f.name}
	if f.all {
		names = profile.Names()
	}
	numbers, err := parseCodePoints(f.codePoints)
	if err != nil {
		return nil, usage("%w", err)
	}
	if err := checkRoot(f.root); err != nil {
		return nil, err
	}
	var selected []cases.GridCase
	for _, name := range names {
		list, err := cases.All().
			Grid(scenario.Scenario{Profile: name, Readings: f.readings, CodePoints: numbers, RootOfTrust: f.root})
		if err != nil {
			return nil, usage("%w", err)
		}
		selected = append(selected, list...)
	}
	return selected, nil
}

func (p *painter) grid(results []cases.GridResult, sums []cases.GridSummary, verbose bool) {
	for i := range results {
		r := &results[i]
		switch {
		case r.Error != "":
			p.line(p.in(red, "✗ "+r.String()))
			p.paragraph("    ", r.Error)
		case verbose:
			p.line(p.in(green, "✓ "), r.String())
			if r.Note != "" {
				p.paragraph("    ", r.Note)
			}
		}
	}
	t := columns.Table{Indent: "  ", Right: []bool{true}}
	t.Add("PROFILE")
	for _, k := range append(slices.Clone(cases.GridKinds), "not as expected") {
		t.Rows[0], t.Right = append(t.Rows[0], strings.ToUpper(string(k))), append(t.Right, true)
	}
	for _, s := range sums {
		cells := []string{s.Profile}
		for _, k := range cases.GridKinds {
			cells = append(cells, strconv.Itoa(s.Cases[k]))
		}
		t.Add(append(cells, strconv.Itoa(s.Failed))...)
	}
	p.table(&t, func(row int) style {
		if sums[row-1].Failed > 0 {
			return red
		}
		return plain
	})
}
