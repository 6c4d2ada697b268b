package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"attls/conformance/cases"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/internal/columns"
)

// diffFlags are the flags of "profile diff".
type diffFlags struct {
	readings [2]map[string]string
	scheme   schemeFlags
	retry    bool
	run      bool
	asJSON   bool
}

// jsonDiff is what "profile diff --json" prints.
type jsonDiff struct {
	A profileSummary `json:"a"`
	B profileSummary `json:"b"`
	profile.Difference
	Run *scenario.RunDifference `json:"run,omitempty"`
}

func diffCommand() *cobra.Command {
	var f diffFlags
	c := &cobra.Command{
		Use:   "diff A B",
		Short: "Compare two profiles: structures, numbers, placement, rules, binder, alerts",
		Long: `diff compares what two profiles say, as their readings settle it, and how many
octets their extensions take in each message.

With --run it also makes one handshake under each, with the same recorded random
octets and certificates, and tells the first octet, field, secret and verdict in
which the two part, and the octets of every message.`,
		Example: `  attls profile diff early-attestation-04 early-attestation-05
  attls profile diff early-attestation-06 mine.yaml
  attls profile diff early-attestation-06 early-attestation-06 --reading-b hrr=b --run --hello-retry`,
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
			if f.run {
				var err error
				if d.Run, err = f.compare(p, args); err != nil {
					return err
				}
			}
			if f.asJSON {
				return writeJSON(c.OutOrStdout(), d)
			}
			w := newPainter(c.OutOrStdout())
			w.difference(&d)
			w.parting(&d)
			return nil
		},
	}
	c.Flags().StringToStringVar(&f.readings[0], "reading-a", nil, "reading of an ambiguity of A, as switch=value")
	c.Flags().StringToStringVar(&f.readings[1], "reading-b", nil, "reading of an ambiguity of B")
	c.Flags().BoolVar(&f.run, "run", false, "make a handshake under each, with the same random octets")
	c.Flags().BoolVar(&f.retry, "hello-retry", false, "with --run: let the server send HelloRetryRequest")
	f.scheme.register(c)
	c.Flags().BoolVar(&f.asJSON, "json", false, "print a JSON object")
	return c
}

// compare runs both profiles in the same combination: the one asked for, or the
// first that both allow.
func (f *diffFlags) compare(p [2]*profile.Profile, names []string) (*scenario.RunDifference, error) {
	s, err := f.scheme.scenario(&profileFlags{})
	if err != nil {
		return nil, err
	}
	for _, c := range scenario.Combinations(p[0]) {
		a, b := s, s
		a.Attester, a.Model, a.Credential = c.Attester, c.Model, c.Credential
		if c.Reason != "" || s.Attester != "" && s.Attester != a.Attester || s.Model != "" && s.Model != a.Model ||
			s.Credential != "" && s.Credential != a.Credential {
			continue
		}
		b.Attester, b.Model, b.Credential = a.Attester, a.Model, a.Credential
		a.Profile, a.Compiled, b.Profile, b.Compiled = names[0], p[0], names[1], p[1]
		a.HelloRetry, b.HelloRetry = f.retry, f.retry
		if b.Complete(p[1]) != nil {
			continue
		}
		d, err := scenario.CompareRuns(a, b, scenario.Find(cases.Find))
		if err != nil {
			return nil, failed("%w", err)
		}
		return d, nil
	}
	return nil, usage("no combination of attester, model and credential, or not the one asked for, is allowed by both")
}

// parting tells where two runs part.
func (p *painter) parting(d *jsonDiff) {
	r := d.Run
	if r == nil {
		return
	}
	p.line()
	p.line(p.in(bold, "run with the same random octets"))
	if r.Octet == nil {
		p.line("  Every octet is the same.")
	} else {
		p.sides(fmt.Sprintf("first octet: %d of the %s", r.Octet.Offset, r.Octet.Sender), r.Octet.Want, r.Octet.Got)
	}
	if f := r.Field; f != nil {
		title := fmt.Sprintf("first field: %s of the %s, octet %d", f.Message, f.From, f.Offset)
		if f.Field != "" {
			title += ", " + f.Field
		}
		p.sides(title, f.A, f.B)
	}
	if s := r.Secret; s != nil {
		p.sides("first secret: "+s.Name, s.A, s.B)
	}
	if v := r.Verdict; v != nil {
		p.sides("first verdict: "+v.Of, v.A, v.B)
	} else {
		p.line("  Both ends come to the same verdicts.")
	}
	t := columns.Table{Indent: "  "}
	t.Add("octets", "", d.A.ID, d.B.ID)
	for _, m := range r.Messages {
		t.Add(m.From, m.Message, strconv.Itoa(m.A), strconv.Itoa(m.B))
	}
	p.table(&t, everyRow(plain))
}

func (p *painter) sides(title, a, b string) {
	p.line("  ", p.in(cyan, title))
	p.change(a, b)
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
		p.flow(p.width, "    ", p.in(colour, "    "+string(l.mark)+" "+l.text))
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
	t := columns.Table{Indent: "  "}
	t.Add("attester", "model", "credential", "message", d.A.ID, d.B.ID)
	for _, o := range d.Octets {
		t.Add(string(o.Attester), o.Model, o.Credential, o.Message, size(o.A), size(o.B))
	}
	p.table(&t, func(row int) style {
		if o := &d.Octets[row-1]; o.A != o.B {
			return yellow
		}
		return plain
	})
}

func size(n int) string {
	if n < 0 {
		return "-"
	}
	return fmt.Sprint(n)
}
