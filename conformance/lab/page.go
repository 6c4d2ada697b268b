package lab

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed" // the page's own files
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"attls"
	"attls/internal/gate"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string

	page = template.Must(template.New("page").Parse(pageHTML))
)

// WriteHTML writes the matrix and its runs as a page that needs no other file. The cells
// need details.
func (r *Report) WriteHTML(w io.Writer) error { return page.Execute(gate.New(w), &view{Report: r}) }

// view is what the template reads.
type view struct{ *Report }

// CSS is the page's own style.
func (v *view) CSS() template.CSS { return template.CSS(pageCSS) }

// JS is the page's one script.
func (v *view) JS() template.JS { return template.JS(pageJS) }

// ScriptHash is what the page's policy calls its script; no other one runs.
func (v *view) ScriptHash() string {
	sum := sha256.Sum256([]byte(pageJS))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// Profiles are the columns.
func (v *view) Profiles() (list []string) {
	for _, c := range v.Cells {
		if !slices.Contains(list, c.Profile) {
			list = append(list, c.Profile)
		}
	}
	return list
}

// square is one cell of the matrix in a box of the table.
type square struct {
	*Cell
	N int
}

// Class is the outcome for the style of the page.
func (s square) Class() string {
	switch {
	case s.Error != "":
		return "wrong"
	case s.Inapplicable != "":
		return "none"
	case s.Result == nil:
		return "wrong"
	}
	return map[Outcome]string{Accepted: "accepted", Rejected: "rejected", Unmounted: "unmounted",
		Measured: "measured"}[s.Result.Outcome]
}

// Letter is the outcome in grey.
func (s square) Letter() string {
	return map[string]string{"wrong": "!", "none": "–", "accepted": "A", "rejected": "R", "unmounted": "C",
		"measured": "M"}[s.Class()]
}

// row is one attack.
type row struct {
	*Script
	Boxes [][]square // by profile
}

// Rows are the attacks with their cells.
func (v *view) Rows() (list []row) {
	profiles := v.Profiles()
	for _, s := range v.Scripts {
		r := row{Script: s, Boxes: make([][]square, len(profiles))}
		any := false
		for n, c := range v.Cells {
			if c.Attack != s.Name {
				continue
			}
			i := slices.Index(profiles, c.Profile)
			r.Boxes[i] = append(r.Boxes[i], square{c, n})
			any = true
		}
		if any {
			list = append(list, r)
		}
	}
	return list
}

// count is a number of cells.
type count struct {
	Class, Name string
	N           int
}

// Counts are the cells by outcome.
func (v *view) Counts() []count {
	list := []count{{"accepted", "accepted", 0}, {"rejected", "rejected", 0}, {"unmounted", "cannot be mounted", 0},
		{"measured", "measured", 0}, {"none", "not applicable", 0}, {"wrong", "not as expected", 0}}
	for n, c := range v.Cells {
		class := square{c, n}.Class()
		for i := range list {
			if list[i].Class == class {
				list[i].N++
			}
		}
	}
	return list
}

// blockCells is the number of cells that share a block.
const blockCells = 64

// BlockCells is that number, for the script.
func (v *view) BlockCells() int { return blockCells }

// Blocks are what is shown when a cell is opened: arrays of HTML in JSON, compressed, in
// base64.
func (v *view) Blocks() (list []template.HTML, err error) {
	for cells := range slices.Chunk(v.Cells, blockCells) {
		bodies := make([]string, len(cells))
		for i, c := range cells {
			var b strings.Builder
			if err := page.ExecuteTemplate(&b, "run", &shownRun{c, v.Report}); err != nil {
				return nil, err
			}
			bodies[i] = attls.PrintableLines(b.String())
		}
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
		if err != nil {
			return nil, err
		}
		if err := errors.Join(json.NewEncoder(z).Encode(bodies), z.Close()); err != nil {
			return nil, err
		}
		list = append(list, template.HTML(base64.StdEncoding.EncodeToString(b.Bytes()))) // base64 has no markup
	}
	return list, nil
}

// shownRun is what the page shows of a cell.
type shownRun struct {
	*Cell
	report *Report
}

// Script is the cell's attack.
func (s *shownRun) Script() *Script {
	i := slices.IndexFunc(s.report.Scripts, func(x *Script) bool { return x.Name == s.Attack })
	return s.report.Scripts[i]
}

// Repeat is the command that repeats the run and keeps its capture.
func (s *shownRun) Repeat() string {
	attack, profile := s.Attack, s.Profile
	for _, f := range s.report.Files {
		switch {
		case f.Attack == s.Attack:
			attack = quoted(f.Given)
		case f.Profile == s.Profile:
			profile = quoted(f.Given) + f.Readings
		}
	}
	text := fmt.Sprintf("attls lab --attack %s --profile %s", attack, profile)
	if s.Lax != "" {
		text += " --lax " + string(s.Lax)
	}
	if s.Stack != "" {
		text += " --stack " + s.Stack
	}
	if s.Readings != "" {
		text += " --reading " + s.Readings
	}
	return text + " --pcap captures"
}

// quoted is a word for a shell.
func quoted(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./=+:@", r)
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// Capture is the file that the command writes.
func (s *shownRun) Capture() string { return "captures/" + s.FileName() + ".pcapng" }

// flowRow is a message between two lanes.
type flowRow struct {
	Flow
	Class string // of the two lanes, and the direction
}

// Flows are the messages.
func (s *shownRun) Flows() (list []flowRow) {
	if s.Result == nil || s.Result.Detailed == nil {
		return nil
	}
	for _, f := range s.Result.Detailed.Events {
		class := "left"
		lanes := map[string]int{"client": 0, "attacker": 1, "server": 2}
		from, to := lanes[f.From], lanes[f.To]
		if to > from {
			class = "right"
		}
		list = append(list, flowRow{f, fmt.Sprintf("%s l%d%d", class, min(from, to), max(from, to))})
	}
	return list
}

// Inputs are the two binders side by side, part by part.
func (s *shownRun) Inputs() []Input {
	if s.Result == nil {
		return nil
	}
	return s.Result.Detailed.Inputs()
}
