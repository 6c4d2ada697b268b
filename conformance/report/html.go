package report

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/internal/gate"
)

//go:embed page.html page.css page.js roots.html roots.css placement.html placement.css
var files embed.FS

// page is the template without what indents it, which would be a third of a page.
var page = template.Must(template.New("page.html").Funcs(template.FuncMap{
	"seconds": seconds, "outcomeName": outcomeName, "reasonName": reasonName, "noteName": noteName, "rowName": rowName,
	"percent": percent, "sizeName": SizeName,
}).Parse(indentation.ReplaceAllString(text("page.html"), "\n")))

var indentation = regexp.MustCompile(`\n\s+`)

// text is one of our own files, which are the same for every report.
func text(name string) string {
	blob, err := files.ReadFile(name)
	if err != nil {
		panic(err) // it is compiled in
	}
	return string(blob)
}

// WriteHTML writes the report as a page that needs no other file. The same
// report gives the same octets. Text of peers is made printable, and shortened to
// 2000 octets; lists of a run end after 500 elements.
func (r *Report) WriteHTML(w io.Writer) error {
	short, shortened := r.bounded()
	return page.Execute(gate.New(w), view{Report: short, shortened: shortened, CSS: template.CSS(text("page.css")),
		JS: template.JS(text("page.js"))})
}

// view is what the template reads.
type view struct {
	*Report
	shortened map[int]bool // runs of which the page does not have everything
	CSS       template.CSS
	JS        template.JS
}

// ScriptHash is what the page's policy (Content Security Policy, 2.3.1) calls its one
// script. No other one runs, whatever comes into the page.
func (v view) ScriptHash() string {
	sum := sha256.Sum256([]byte(v.JS))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// blockRuns is the number of runs that share a block.
const blockRuns = 64

func (v view) BlockRuns() int { return blockRuns }

// Blocks are what is shown when a run is opened, for all runs in their order:
// arrays of HTML in JSON, compressed, in base64. They are alike, so a page has a
// tenth of the size, and a browser has only the rows to lay out.
func (v view) Blocks() (list []template.HTML, err error) {
	for runs := range slices.Chunk(v.Shown(), blockRuns) {
		bodies := make([]string, len(runs))
		for i := range runs {
			var b strings.Builder
			if err := page.ExecuteTemplate(&b, "body", runs[i]); err != nil {
				return nil, err
			}
			bodies[i] = attls.PrintableLines(b.String())
		}
		block, err := compress(bodies)
		if err != nil {
			return nil, err
		}
		list = append(list, block)
	}
	return list, nil
}

func compress(bodies []string) (template.HTML, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return "", err
	}
	if err := errors.Join(json.NewEncoder(z).Encode(bodies), z.Close()); err != nil {
		return "", err
	}
	return template.HTML(base64.StdEncoding.EncodeToString(b.Bytes())), nil // base64 has no markup
}

// Part says which shards the report has, where that is not all.
func (v view) Part() string {
	if len(v.Shards) == 0 || v.Shards[0].Count == 1 || len(v.Shards) == v.Shards[0].Count {
		return ""
	}
	var list []string
	for _, s := range v.Shards {
		list = append(list, s.String())
	}
	return "shard " + strings.Join(list, ", ")
}

// Notices are what a reader has to know of the whole.
func (v view) Notices() []string { return slices.Concat(v.Missing(), v.Idle(), v.Mixed()) }

// Reasons are why runs deviate, could not be made, or passed unlike other releases of a
// stack, by outcome.
func (v view) Reasons() (list []reasons) {
	for _, o := range []Outcome{Deviation, Passed, Limit, Skipped} {
		all := reasons{Outcome: o}
		for i := range v.Runs {
			if v.Runs[i].Outcome == o && v.Runs[i].Reason != "" {
				all.add(v.Runs[i].Reason)
			}
		}
		if all.Runs > 0 {
			list = append(list, all)
		}
	}
	return list
}

// reasons are those of the runs of an outcome.
type reasons struct {
	Outcome Outcome
	Runs    int
	Texts   []reason
}

type reason struct {
	Text string
	Runs int
}

func (r *reasons) add(text string) {
	r.Runs++
	at := slices.IndexFunc(r.Texts, func(known reason) bool { return known.Text == text })
	if at < 0 {
		at = len(r.Texts)
		r.Texts = append(r.Texts, reason{Text: text})
	}
	r.Texts[at].Runs++
}

// group is the requirements of one document.
type group struct {
	Document  string
	Receivers []Receiver
	Rows      []Covered
	Sent      int // rows
	counts    counts
}

// Tallies counts the rows by what became of them at the receiver that did worst.
func (g group) Tallies() []Tally { return g.counts.tallies() }

// Groups are the requirements by document.
func (v view) Groups() (list []group) {
	receivers := v.Receivers()
	for _, row := range v.Coverage() {
		if row.First {
			list = append(list, group{Document: row.Document, Receivers: receivers})
		}
		g := &list[len(list)-1]
		g.Rows = append(g.Rows, row)
		if o := row.Worst(); o != "" {
			g.Sent++
			g.counts.add(o)
		}
	}
	return list
}

// rowName says what a number of rows is.
func rowName(o Outcome) string {
	return map[Outcome]string{Passed: "held", Deviation: "with deviations", Failed: "failed", Limit: "beyond a peer",
		Skipped: "skipped"}[o]
}

// Must says what has to follow a fault.
func (s shown) Must() string {
	f := s.Fault
	at := ""
	if f.At != "" {
		at = " at " + f.At
	}
	switch {
	case f.Takes != "":
		return "The " + f.Takes + " must take it."
	case f.MayPass:
		return "The " + f.Rejects + " may reject it" + at + "."
	case f.AnyAlert:
		return "The " + f.Rejects + " must reject it" + at + "."
	case f.Alert == nil:
		return "The " + f.Rejects + " must reject it" + at + " without an alert."
	}
	return "The " + f.Rejects + " must reject it" + at + " with " + f.Alert.Name + "."
}

// To is the end that has to deal with the fault.
func (s shown) To() string {
	to, _ := s.Receiver()
	return to.String()
}

// Shown are the runs in the order of the page: by outcome, then as they are.
func (v view) Shown() []shown {
	var list []shown
	for _, o := range Outcomes {
		for i := range v.Runs {
			if v.Runs[i].Outcome == o {
				list = append(list, shown{&v.Runs[i], len(list), v.Report, v.shortened[i]})
			}
		}
	}
	return list
}

// shown is a run on the page.
type shown struct {
	*Run
	N         int
	report    *Report
	Shortened bool
}

func (s shown) Profile() string { return profileOf(s.Run) }

// Repeat is the command that repeats the run.
func (s shown) Repeat() string { return s.report.repeat(s.Run) }

// What says in a few words how the run attests.
func (s shown) What() string {
	c := &s.Scenario
	if c.Attester == "" || c.Attester == scenario.AttestNone {
		return "nobody attests"
	}
	who := map[scenario.Attesters]string{scenario.AttestClient: "client attests", scenario.AttestServer: "server attests",
		scenario.AttestBoth: "both attest"}[c.Attester]
	what := map[string]string{claims.ModelEvidence: "Evidence", claims.ModelResults: "Results"}[c.Model]
	how := map[string]string{claims.CredentialX509: "with X.509", claims.CredentialAttestation: "alone"}[c.Credential]
	return strings.TrimSpace(who + ", " + what + " " + how)
}

// Tags are the wishes of the scenario.
func (s shown) Tags() (tags []string) {
	c := &s.Scenario
	for _, t := range []struct {
		on   bool
		text string
	}{
		{c.Suite != "", strings.TrimPrefix(c.Suite, "TLS_")}, {c.Group != "", c.Group}, {c.HelloRetry, "HelloRetryRequest"},
		{c.Cookie, "cookie"},
		{c.ALPN != "", "ALPN " + c.ALPN}, {c.Resumption != "", "resumption " + string(c.Resumption)},
		{c.Fragment > 0, fmt.Sprintf("fragment %d", c.Fragment)}, {c.Split > 0, fmt.Sprintf("split %d", c.Split)},
		{c.Fail != "", "fault: " + c.Fail}, {c.Tolerate != "", "to be taken: " + c.Tolerate},
	} {
		if t.on {
			tags = append(tags, t.text)
		}
	}
	return tags
}

// Errors are the ends that found something wrong, and what.
func (s shown) Errors() (list []endError) {
	for _, c := range []*claims.Claims{s.ClientClaims, s.ServerClaims} {
		if c != nil && c.Error != nil {
			list = append(list, endError{c.Role, c.Error})
		}
	}
	return list
}

type endError struct {
	Role string
	*claims.ErrorClaim
}

// Agreements compare the claims of both ends; none when one is missing.
func (s shown) Agreements() []claims.Agreement {
	if s.ClientClaims == nil || s.ServerClaims == nil {
		return nil
	}
	return claims.Agreements(s.ClientClaims, s.ServerClaims)
}

// claim is a row of the table of claims.
type claim struct {
	claims.Agreement
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
	for _, c := range []*claims.Claims{s.ClientClaims, s.ServerClaims} {
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
	*claims.VerdictClaim
}

// Rows are the requirements of the run, for the script of the page.
func (s shown) Rows() string { return strings.Join(s.Requirements, "|") }

// Words are what the filter of the page looks through beside the row.
func (s shown) Words() string {
	words := []string{s.ID}
	for _, e := range s.Errors() {
		words = append(words, e.Failure, e.Rule)
	}
	for i := range s.Findings {
		words = append(words, s.Findings[i].Failure, s.Findings[i].Rule)
	}
	words = append(words, s.Requirements...)
	slices.Sort(words[1:])
	return strings.ToLower(strings.Join(slices.Compact(words), " "))
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

// reasonName heads the reasons of an outcome.
func reasonName(o Outcome) string {
	if o == Passed {
		return "mended"
	}
	return outcomeName(o)
}

// noteName is a short name after a number.
func noteName(t Tally) string {
	if (t.Outcome == Deviation || t.Outcome == Limit) && t.Count != 1 {
		return string(t.Outcome) + "s"
	}
	return string(t.Outcome)
}

func seconds(s float64) string {
	switch d := time.Duration(s * float64(time.Second)); {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", s)
	default:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
}

func percent(n, of int) string {
	return fmt.Sprintf("%.3f%%", 100*float64(n)/float64(max(of, 1)))
}
