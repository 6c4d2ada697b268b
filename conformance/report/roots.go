package report

import (
	"fmt"
	"html/template"
	"io"
	"strconv"
	"strings"
	"time"

	"attls"
	"attls/conformance/bench"
	"attls/internal/gate"
)

// RootsPage is a page about what attestation adds to a handshake, by root of trust.
type RootsPage struct {
	*bench.RootReport
	Version, Command string // of attls, and the one that repeats it; empty: unknown
}

// Model names a model as RFC 9334 section 5 calls the ways of Evidence and Results.
func Model(name string) string {
	switch name {
	case "evidence":
		return "background check"
	case "results":
		return "passport"
	}
	return name
}

// RootName names a row in a table or a chart.
func RootName(r *bench.RootRow) string {
	if r.Root == "" {
		return "without attestation"
	}
	text := r.Root
	for _, part := range []string{Model(r.Model), r.Verifier} {
		if part != "" {
			text += ", " + part
		}
	}
	return text
}

// RTTName spells a round-trip time.
func RTTName(rtt time.Duration) string {
	if rtt == 0 {
		return "0 ms"
	}
	return strconv.FormatFloat(float64(rtt)/float64(time.Millisecond), 'f', -1, 64) + " ms"
}

// RootsChart shows of what the latencies consist.
func RootsChart(r *bench.RootReport) *Chart {
	c := &Chart{Title: "Time until the first application data", Unit: "ms",
		Parts: []string{"making Evidence", "judging", "other handshake work", "network"},
		Text: "A bar for each root of trust, model and Verifier, and one without attestation, in a panel for each " +
			"round-trip time. The table has the same figures."}
	rows := append([]bench.RootRow{r.Plain}, r.Rows...)
	for _, rtt := range r.RTTs() {
		p := Panel{Title: "Round-trip time " + RTTName(rtt)}
		for i := range rows {
			row := &rows[i]
			l := row.Latency(rtt)
			if l == nil {
				continue
			}
			network := float64(row.Network(rtt))
			p.Bars = append(p.Bars, Bar{RootName(row), []float64{row.Make / 1e6, (row.Judge + row.Check) / 1e6,
				(l.Nanoseconds - network - row.Make - row.Judge - row.Check) / 1e6, network / 1e6}})
		}
		c.Panels = append(c.Panels, p)
	}
	return c
}

// Figures is a table of a page or of the terminal: numbers, and the name of the row.
type Figures struct {
	Title string
	Head  []string // the last one is that of the names
	Rows  [][]string
}

// RootsFigures are the figures of the rows that were measured, the plain handshake first:
// what it costs, and what is sent.
func RootsFigures(r *bench.RootReport) []Figures {
	const last = "root of trust"
	costs := Figures{Title: "Cost",
		Head: []string{"make µs", "judge µs", "check µs", "processor µs", "to plain", "allocations added", last}}
	sent := Figures{Title: "Octets, round trips and latency",
		Head: []string{"Evidence", "payload", "client sends", "server sends", "added", "round trips", "to the Verifier"}}
	for _, rtt := range r.RTTs() {
		sent.Head = append(sent.Head, "first data in ms, RTT "+RTTName(rtt))
	}
	sent.Head = append(sent.Head, last)
	rows := append([]bench.RootRow{r.Plain}, r.Rows...)
	for i := range rows {
		row := &rows[i]
		if !row.Measured() {
			continue
		}
		name, bare := RootName(row), row.Root == ""
		costs.Rows = append(costs.Rows, []string{micro(row.Make), micro(row.Judge), micro(row.Check),
			micro(row.Cost.Nanoseconds), fixed(row.ToPlain, 2), unless(bare, fixed(row.AddedAllocations, 0)), name})
		cells := []string{count(row.EvidenceOctets), count(row.PayloadOctets),
			count(row.Octets.Client), count(row.Octets.Server), unless(bare, strconv.Itoa(row.AddedOctets)),
			count(row.RoundTrips), unless(bare, strconv.Itoa(row.VerifierRoundTrips))}
		for _, rtt := range r.RTTs() {
			text := "-"
			if l := row.Latency(rtt); l != nil {
				text = fixed(l.Nanoseconds/1e6, 2)
			}
			cells = append(cells, text)
		}
		sent.Rows = append(sent.Rows, append(cells, name))
	}
	return []Figures{costs, sent}
}

func fixed(x float64, decimals int) string { return strconv.FormatFloat(x, 'f', decimals, 64) }

func unless(bare bool, text string) string {
	if bare {
		return "-"
	}
	return text
}

// micro spells nanoseconds as microseconds; 0 is what a row does not do.
func micro(ns float64) string { return unless(ns == 0, fixed(ns/1e3, 0)) }

func count(n int) string { return unless(n == 0, strconv.Itoa(n)) }

// RootsNotices say which rows have no figures and why, and that the measurement ended
// early. A reason that all rows of a root of trust have is said once.
func RootsNotices(r *bench.RootReport) (list []string) {
	if !r.Complete {
		list = append(list, "The measurement ended early: "+r.Ended+".")
	}
	rows, alike := map[string]int{}, map[[2]string]int{}
	for i := range r.Rows {
		rows[r.Rows[i].Root]++
		alike[[2]string{r.Rows[i].Root, unmeasured(&r.Rows[i])}]++
	}
	said := map[string]bool{}
	for i := range r.Rows {
		row := &r.Rows[i]
		why := unmeasured(row)
		switch {
		case why == "" || said[row.Root]:
			continue
		case alike[[2]string{row.Root, why}] == rows[row.Root]:
			said[row.Root] = true
			list = append(list, row.Root+": "+why)
		default:
			list = append(list, RootName(row)+": "+why)
		}
	}
	return list
}

// unmeasured says why a row has no figures; empty: it has them.
func unmeasured(row *bench.RootRow) string {
	switch {
	case row.Failed != "":
		return "failed: " + row.Failed
	case row.Skipped != "":
		return "skipped: " + row.Skipped
	}
	return ""
}

// rootsPage is the template of the page.
var rootsPage = template.Must(template.New("roots.html").Parse(indentation.ReplaceAllString(text("roots.html"), "\n")))

// WriteHTML writes a page that needs no other file. The same figures give the same
// octets. Texts are made printable, and shortened to 2000 octets.
func (p *RootsPage) WriteHTML(w io.Writer) error {
	var b bounder
	bound := func(text string) string { return b.text(attls.Printable(text)) }
	v := rootsView{Title: "What attestation adds to a handshake", Command: bound(p.Command),
		CSS:     template.CSS(text("page.css") + text("roots.css")),
		Chart:   template.HTML(RootsChart(p.RootReport).svg("100%", false)), // every text in it is escaped
		Figures: RootsFigures(p.RootReport)}
	for _, f := range v.Figures {
		for _, row := range f.Rows {
			row[len(row)-1] = bound(row[len(row)-1])
		}
	}
	about := []string{p.Profile, "the " + p.Attester + " attests, credential " + p.Credential, fmt.Sprint(p.Machine)}
	if p.Version != "" {
		about = append(about, "attls "+p.Version)
	}
	v.About = bound(strings.Join(about, " · "))
	for _, n := range RootsNotices(p.RootReport) {
		v.Notices = append(v.Notices, bound(n))
	}
	return rootsPage.Execute(gate.New(w), v)
}

type rootsView struct {
	Title, About, Command string
	CSS                   template.CSS
	Chart                 template.HTML
	Notices               []string
	Figures               []Figures
}

// Names is the column of the names, which begins the rows of the page.
func (f Figures) Names() string { return f.Head[len(f.Head)-1] }

// Numbers are the other columns.
func (f Figures) Numbers() []string { return f.Head[:len(f.Head)-1] }
