package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"attls/extensions/profile"
)

// diffFlags are the flags of "profile diff".
type diffFlags struct {
	readings [2]map[string]string
	asJSON   bool
}

// jsonDiff is what "profile diff --json" prints.
type jsonDiff struct {
	A profileSummary `json:"a"`
	B profileSummary `json:"b"`
	profile.Difference
}

func diffCommand() *cobra.Command {
	var f diffFlags
	c := &cobra.Command{
		Use:   "diff A B",
		Short: "Compare two profiles: structures, numbers, placement, rules, binder, alerts",
		Long: `diff compares what two profiles say, as their readings settle it, and how many
octets their extensions take in each message.`,
		Example: `  attls profile diff early-attestation-04 early-attestation-05
  attls profile diff early-attestation-06 mine.yaml
  attls profile diff early-attestation-06 early-attestation-06 --reading-b hrr=b`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: cobra.FixedCompletions(profile.Names(), cobra.ShellCompDirectiveDefault),
		RunE: func(c *cobra.Command, args []string) error {
			var p [2]*profile.Profile
			for i := range p {
				var err error
				if p[i], err = profile.Load(args[i], profile.Options{Readings: f.readings[i]}); err != nil {
					return usage("%w", err)
				}
			}
			d := jsonDiff{A: summary(p[0]), B: summary(p[1]), Difference: profile.Diff(p[0], p[1])}
			if f.asJSON {
				return writeJSON(c.OutOrStdout(), d)
			}
			newPainter(c.OutOrStdout()).difference(&d)
			return nil
		},
	}
	c.Flags().StringToStringVar(&f.readings[0], "reading-a", nil, "reading of an ambiguity of A, as switch=value")
	c.Flags().StringToStringVar(&f.readings[1], "reading-b", nil, "reading of an ambiguity of B")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print a JSON object")
	return c
}

func (p *painter) difference(d *jsonDiff) {
	p.line(p.in(red, "--- "+d.A.ID), p.in(faint, "  "+d.A.Date))
	p.line(p.in(green, "+++ "+d.B.ID), p.in(faint, "  "+d.B.Date))
	section := ""
	for _, c := range d.Changes {
		if c.Section != section {
			section = c.Section
			p.line()
			p.line(p.in(bold, section))
		}
		p.line("  ", p.in(cyan, c.Path))
		p.change(c.A, c.B)
	}
	if len(d.Changes) == 0 {
		p.line()
		p.line("They say the same.")
	}
	p.octets(d)
}

// change shows two texts, of longer ones only the lines that differ and those
// around.
func (p *painter) change(a, b string) {
	for _, l := range compareLines(splitLines(a), splitLines(b)) {
		colour := map[byte]style{'-': red, '+': green}[l.mark]
		for _, part := range wrap("    "+string(l.mark)+" "+l.text, p.width, "        ") {
			p.line(p.in(colour, part))
		}
	}
}

func splitLines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// markedLine is a line of the one text (-), the other (+) or both.
type markedLine struct {
	mark byte
	text string
}

// compareLines aligns two texts along their longest common subsequence of lines.
func compareLines(a, b []string) []markedLine {
	common := make([][]int, len(a)+1) // length of that of a[i:] and b[k:]
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for k := len(b) - 1; k >= 0; k-- {
			if a[i] == b[k] {
				common[i][k] = common[i+1][k+1] + 1
			} else {
				common[i][k] = max(common[i+1][k], common[i][k+1])
			}
		}
	}
	var lines []markedLine
	i, k := 0, 0
	for i < len(a) || k < len(b) {
		switch {
		case i < len(a) && k < len(b) && a[i] == b[k]:
			lines = append(lines, markedLine{' ', a[i]})
			i, k = i+1, k+1
		case k == len(b) || i < len(a) && common[i+1][k] >= common[i][k+1]:
			lines = append(lines, markedLine{'-', a[i]})
			i++
		default:
			lines = append(lines, markedLine{'+', b[k]})
			k++
		}
	}
	return lines
}

// octets is the table of sizes; the rows that differ stand out.
func (p *painter) octets(d *jsonDiff) {
	if len(d.Octets) == 0 {
		return
	}
	p.line()
	p.line(p.in(bold, "octets of the profile's extensions or message, besides the payload"))
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  attester\tmodel\tcredential\tmessage\t%s\t%s\n", d.A.ID, d.B.ID)
	for _, o := range d.Octets {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s\n", o.Attester, o.Model, o.Credential, o.Message, size(o.A), size(o.B))
	}
	t.Flush()
	for i, l := range strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n") {
		if i > 0 && d.Octets[i-1].A != d.Octets[i-1].B {
			l = p.in(yellow, l)
		}
		p.line(l)
	}
}

func size(n int) string {
	if n < 0 {
		return "-"
	}
	return fmt.Sprint(n)
}
