package main

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"attls/internal/columns"
)

// progress counts on one line of a terminal; elsewhere, as in the log of a CI
// server, it writes a line after each tenth, if some time has passed.
type progress struct {
	p                   *painter
	done, total, failed int
	bad                 string // what a failure is called
	began, told         time.Time
	tenths              int // that were told
	now                 func() time.Time
}

// quiet is how long a log has no line at least.
const quiet = 5 * time.Second

func newProgress(w io.Writer, total int, bad string) *progress {
	g := &progress{p: newPainter(w), total: total, bad: bad, now: time.Now}
	g.began = g.now()
	g.told = g.began
	return g
}

// step counts a case.
func (g *progress) step(name string, failed bool) {
	if g.done++; failed {
		g.failed++
	}
	now := g.now()
	if g.p.terminal {
		g.p.measure() // somebody may have changed the size of the window
		fmt.Fprint(g.p.w, "\r\x1b[K", g.fitted(g.text(now), name))
		return
	}
	if tenths := 10 * g.done / g.total; tenths > g.tenths && now.Sub(g.told) >= quiet {
		g.tenths, g.told = tenths, now
		fmt.Fprintln(g.p.w, g.text(now))
	}
}

// fitted is a line that leaves the last column free, so that no terminal goes on to
// the next line, which \r would not bring back.
func (g *progress) fitted(text, name string) string {
	room := cmp.Or(g.p.limit, g.p.width) - 1
	if left := room - columns.Width(text) - 2; left >= 8 {
		text += "  " + cut(name, left)
	}
	return cut(text, room)
}

// text says how far it is.
func (g *progress) text(now time.Time) string {
	text := fmt.Sprintf("%d/%d, %d %s", g.done, g.total, g.failed, g.bad)
	took := now.Sub(g.began)
	if took < quiet || g.done == g.total {
		return text
	}
	left := took / time.Duration(g.done) * time.Duration(g.total-g.done)
	return fmt.Sprintf("%s, about %s left", text, about(left))
}

// about rounds a duration to what an estimate is worth.
func about(d time.Duration) string {
	switch {
	case d < 59*time.Second:
		return fmt.Sprintf("%d s", int(d.Seconds())+1)
	case d < 59*time.Minute:
		return fmt.Sprintf("%d min", int(d.Minutes())+1)
	}
	return fmt.Sprintf("%.1f h", d.Hours())
}

func (g *progress) clear() {
	if g.p.terminal {
		_, _ = io.WriteString(g.p.w, "\r\x1b[K")
	}
}
