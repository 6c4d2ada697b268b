package campaign

import (
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Summary is what a campaign leaves in its directory as campaign.json.
type Summary struct {
	Format     string         `json:"format"`
	Targets    []string       `json:"targets"`
	Seed       uint64         `json:"seed"`
	Seconds    float64        `json:"seconds"`
	Executions int64          `json:"executions"`
	Corpus     int            `json:"corpus"`
	Growth     []Point        `json:"growth"`
	Rules      Coverage       `json:"rules"`
	Outcomes   map[string]int `json:"outcomes"`
	Stopped    bool           `json:"stopped,omitempty"`
	// Reach says of each rule how far the campaign came.
	Reach []RuleReach `json:"reach,omitempty"`
}

// SummaryFormat is the version of campaign.json.
const SummaryFormat = "attls-fuzz-campaign 1"

// WriteSummary writes campaign.json into the directory of a campaign.
func (r *Report) WriteSummary(dir string) error {
	s := Summary{Format: SummaryFormat, Targets: r.Targets, Seed: r.Seed, Seconds: r.Elapsed.Seconds(),
		Executions: r.Executions, Corpus: r.Corpus, Growth: r.Growth, Rules: r.Rules,
		Outcomes: r.Outcomes, Stopped: r.Stopped, Reach: r.Reach}
	b, err := json.MarshalIndent(&s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "campaign.json"), append(b, '\n'), 0o644)
}

// ReadSummary reads campaign.json.
func ReadSummary(dir string) (*Summary, error) {
	f, err := os.Open(filepath.Join(dir, "campaign.json"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := &Summary{}
	if err := json.NewDecoder(io.LimitReader(f, 1<<26)).Decode(s); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	if s.Format != SummaryFormat {
		return nil, fmt.Errorf("%s: %w", f.Name(), &VersionError{s.Format, SummaryFormat})
	}
	return s, nil
}

// WriteHTML writes a page about the campaign in a directory: what was reached over time,
// the findings with their edits, and every outcome. The page needs nothing from elsewhere.
func WriteHTML(w io.Writer, dir string) error {
	s, err := ReadSummary(dir)
	if err != nil {
		return err
	}
	groups, unread, err := Triage(filepath.Join(dir, "findings"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	covered, more, err := ReadCoverage(filepath.Join(dir, "coverage"))
	if err != nil {
		return err
	}
	unread = append(unread, more...)
	type row struct {
		Text  string
		Count int
	}
	var outcomes []row
	for text, n := range s.Outcomes {
		outcomes = append(outcomes, row{text, n})
	}
	slices.SortFunc(outcomes, func(a, b row) int { return strings.Compare(a.Text, b.Text) })
	return page.Execute(w, map[string]any{"S": s, "Groups": groups, "Unread": unread, "Outcomes": outcomes,
		"Took": (time.Duration(s.Seconds) * time.Second).String(), "Rate": int(float64(s.Executions) / max(s.Seconds, 0.001)),
		"Curve": curve(s.Growth), "Covered": covered})
}

// curve is the line of a growth as points of an SVG of 640 by 160.
func curve(growth []Point) string {
	if len(growth) < 2 {
		return ""
	}
	last := growth[len(growth)-1]
	most := 1
	for _, p := range growth {
		most = max(most, p.Value)
	}
	var b strings.Builder
	for _, p := range growth {
		fmt.Fprintf(&b, "%.1f,%.1f ", 640*p.Seconds/max(last.Seconds, 0.001), 160-155*float64(p.Value)/float64(most))
	}
	return strings.TrimSpace(b.String())
}

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"curve":   curve,
	"percent": func(of, all int) int { return CoveredPart{Units: all, Runs: of}.Percent() },
	"edits": func(in *Input) (list []string) {
		for i := range in.Edits {
			list = append(list, in.Edits[i].String())
		}
		return list
	},
}).Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>attls fuzz</title>
<style>
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1c2733;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}table{border-collapse:collapse;width:100%}
caption{text-align:left;font-weight:600}
td,th{text-align:left;padding:.3rem .6rem .3rem 0;border-bottom:1px solid #d5dbe1;vertical-align:top}
code{font-size:.9em;overflow-wrap:anywhere}svg{width:100%;height:auto}dt{font-weight:600}dd{margin:0 0 .8rem}
@media(prefers-color-scheme:dark){body{color:#dfe6ee;background:#12181f}td,th{border-color:#333d48}}
</style>
<header><h1>Campaign: {{range $i, $t := .S.Targets}}{{if $i}}, {{end}}{{$t}}{{end}}</h1>
<p>{{.S.Executions}} connections in {{.Took}}, {{.Rate}} a second, seed {{.S.Seed}}
{{if .S.Stopped}}; it was interrupted{{end}}.
Rules that refuse something: {{.S.Rules.Triggered}} of {{.S.Rules.Rules}} did,
and the messages of {{.S.Rules.Reached}} arrived.
The corpus has {{.S.Corpus}} inputs.</p></header><main>
{{if .Curve}}<h2>Different outcomes over time</h2>
<svg viewBox="0 -5 640 170" role="img" aria-label="different outcomes over time">
<polyline points="{{.Curve}}" fill="none" stroke="#1f5f9e" stroke-width="2"/></svg>{{end}}
{{range .Covered}}<h2>Code that was run, {{.Side}}: {{.Runs}} of {{.Units}} {{.Unit}} ({{percent .Runs .Units}} %)</h2>
{{with curve .Growth}}<svg viewBox="0 -5 640 170" role="img" aria-label="code that was run over time">
<polyline points="{{.}}" fill="none" stroke="#1f5f9e" stroke-width="2"/></svg>{{end}}
<details><summary>{{len .Parts}} files or packages</summary>
<table><caption>what was run</caption>
<tr><th scope="col">where</th><th scope="col">run</th><th scope="col">of</th><th scope="col">%</th></tr>
{{range .Parts}}<tr><td><code>{{.Name}}</code></td><td>{{.Runs}}</td><td>{{.Units}}</td><td>{{.Percent}}</td></tr>
{{end}}</table></details>
{{end}}<h2>Findings: {{len .Groups}}</h2>
{{if .Groups}}<dl>{{range .Groups}}<dt>{{.Cause}}</dt><dd>{{.Least.Connection}}; the {{.Least.Attacker}}:
<ul>{{range edits .Least}}<li><code>{{.}}</code></li>{{end}}</ul><code>attls fuzz replay {{.File}}</code>
{{if gt (len .Files) 1}}, and {{len .Files}} files in all{{end}}</dd>{{end}}</dl>{{else}}<p>There is none.</p>{{end}}
{{range .Unread}}<p>Not read: {{.}}</p>{{end}}
{{if .S.Reach}}<h2>Rules: {{len .S.Reach}}</h2>
<details><summary>how far the campaign came with each</summary>
<table><caption>rules</caption>
<tr><th scope="col">rule</th><th scope="col">profile</th><th scope="col">how far</th></tr>
{{range .S.Reach}}<tr><td><code>{{.Rule}}</code></td><td>{{.Profile}}</td><td>{{.Far}}</td></tr>
{{end}}</table></details>{{end}}
<h2>Outcomes: {{len .Outcomes}}</h2>
<table><caption>outcomes</caption><tr><th scope="col">outcome</th><th scope="col">inputs kept</th></tr>
{{range .Outcomes}}<tr><td><code>{{.Text}}</code></td><td>{{.Count}}</td></tr>{{end}}</table></main>
</html>
`))
