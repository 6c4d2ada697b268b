package report

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"attls/conformance"
)

//go:embed page.html page.css page.js
var files embed.FS

var page = template.Must(template.New("page.html").Funcs(template.FuncMap{
	"short": short, "seconds": seconds, "outcomeName": outcomeName, "percent": percent,
}).ParseFS(files, "page.html"))

// WriteHTML writes the report as a page that needs no other file. The same
// report gives the same octets.
func (r *Report) WriteHTML(w io.Writer) error {
	css, err := files.ReadFile("page.css")
	if err != nil {
		return err
	}
	js, err := files.ReadFile("page.js")
	if err != nil {
		return err
	}
	return page.Execute(w, view{Report: r, CSS: template.CSS(css), JS: template.JS(js)}) // our own files, the same for every report
}

// view is what the template reads.
type view struct {
	*Report
	CSS template.CSS
	JS  template.JS
}

// Deviations are the reasons of expected deviations, with their runs.
func (v view) Deviations() (list []deviation) {
	for i := range v.Runs {
		r := &v.Runs[i]
		if r.Outcome != Deviation {
			continue
		}
		at := slices.IndexFunc(list, func(d deviation) bool { return d.Reason == r.Reason })
		if at < 0 {
			at = len(list)
			list = append(list, deviation{Reason: r.Reason})
		}
		list[at].Runs = append(list[at].Runs, r.ID)
	}
	return list
}

type deviation struct {
	Reason string
	Runs   []string
}

// Shown are the runs in the order of the page: by outcome, then as they are.
func (v view) Shown() []shown {
	var list []shown
	for _, o := range Outcomes {
		for i := range v.Runs {
			if v.Runs[i].Outcome == o {
				list = append(list, shown{&v.Runs[i], len(list)})
			}
		}
	}
	return list
}

// shown is a run on the page.
type shown struct {
	*Run
	N int
}

func (s shown) Pair() string    { return pairOf(s.Run) }
func (s shown) Profile() string { return profileOf(s.Run) }

// What says in a few words how the run attests.
func (s shown) What() string {
	c := &s.Scenario
	if c.Attester == "" || c.Attester == conformance.AttestNone {
		return "nobody attests"
	}
	who := map[conformance.Attesters]string{conformance.AttestClient: "client attests", conformance.AttestServer: "server attests", conformance.AttestBoth: "both attest"}[c.Attester]
	what := map[string]string{conformance.ModelEvidence: "Evidence", conformance.ModelResults: "Results"}[c.Model]
	how := map[string]string{conformance.CredentialX509: "beside X.509", conformance.CredentialAttestation: "alone"}[c.Credential]
	return strings.TrimSpace(who + ", " + what + " " + how)
}

// Tags are the wishes of the scenario.
func (s shown) Tags() (tags []string) {
	c := &s.Scenario
	for _, t := range []struct {
		on   bool
		text string
	}{
		{c.Suite != "", strings.TrimPrefix(c.Suite, "TLS_")}, {c.Group != "", c.Group}, {c.HelloRetry, "HelloRetryRequest"}, {c.Cookie, "cookie"},
		{c.ALPN != "", "ALPN " + c.ALPN}, {c.Split > 0, fmt.Sprintf("split %d", c.Split)}, {c.Fail != "", "fault: " + c.Fail},
	} {
		if t.on {
			tags = append(tags, t.text)
		}
	}
	return tags
}

// Errors are the ends that found something wrong, and what.
func (s shown) Errors() (list []endError) {
	for _, c := range []*conformance.Claims{s.ClientClaims, s.ServerClaims} {
		if c != nil && c.Error != nil {
			list = append(list, endError{c.Role, c.Error})
		}
	}
	return list
}

type endError struct {
	Role string
	*conformance.ErrorClaim
}

// Agreements compare the claims of both ends; none when one is missing.
func (s shown) Agreements() []conformance.Agreement {
	if s.ClientClaims == nil || s.ServerClaims == nil {
		return nil
	}
	return conformance.Agreements(s.ClientClaims, s.ServerClaims)
}

// claim is a row of the table of claims.
type claim struct {
	conformance.Agreement
	Group string // the heading above the row, where one begins
	Name  string // what is claimed, without its group
}

// Claims are the agreements with those of one attester under a heading.
func (s shown) Claims() (rows []claim) {
	last := ""
	for _, a := range s.Agreements() {
		group, name, ok := strings.Cut(a.What, ": ")
		if !ok {
			group, name = "", a.What
		}
		row := claim{Agreement: a, Name: name}
		if group != last {
			row.Group, last = group, group
		}
		if group == "" && len(rows) > 0 && rows[len(rows)-1].What != rows[len(rows)-1].Name {
			row.Group = "connection"
		}
		rows = append(rows, row)
	}
	return rows
}

// Differences counts what the ends disagree about. With a fault in it a run ends
// before both know the same.
func (s shown) Differences() (n int) {
	if s.Fault != nil {
		return 0
	}
	for _, a := range s.Agreements() {
		if a.Differs() {
			n++
		}
	}
	return n
}

// Verdicts are what each relying party found.
func (s shown) Verdicts() (list []verdict) {
	for _, c := range []*conformance.Claims{s.ClientClaims, s.ServerClaims} {
		if c == nil {
			continue
		}
		for i := range c.Attestation {
			if a := &c.Attestation[i]; a.Verdict != nil {
				list = append(list, verdict{c.Role, a.Attester, a.Verdict})
			}
		}
	}
	return list
}

type verdict struct {
	By, On string
	*conformance.VerdictClaim
}

// Search is what the filter of the page looks through.
func (s shown) Search() string {
	text := []string{s.ID, s.Reason, s.What(), strings.Join(s.Tags(), " ")}
	for _, e := range s.Errors() {
		text = append(text, e.Failure, e.Rule)
	}
	for i := range s.Findings {
		text = append(text, s.Findings[i].Failure, s.Findings[i].Rule)
	}
	return strings.ToLower(strings.Join(text, " "))
}

func outcomeName(o Outcome) string {
	switch o {
	case Deviation:
		return "expected deviation"
	case Limit:
		return "peer limit"
	}
	return string(o)
}

// short keeps the ends of a long hexadecimal value.
func short(s string) string {
	const longest = 32
	if len(s) <= longest || strings.Trim(s, "0123456789abcdef") != "" {
		return s
	}
	return s[:16] + "…" + s[len(s)-8:]
}

func seconds(s float64) string {
	if s < 1 {
		return fmt.Sprintf("%.0f ms", 1000*s)
	}
	return fmt.Sprintf("%.1f s", s)
}

func percent(n, of int) string {
	return fmt.Sprintf("%.3f%%", 100*float64(n)/float64(max(of, 1)))
}
