package campaign

import (
	"cmp"
	"fmt"
	"html"
	"io"
	"math"
	"slices"
)

// WriteSVG writes survival curves: the share of the visible bugs that each campaign had not
// detected after so many connections, or seconds if time bounded the trials, on a logarithmic
// axis. A bug with several trials counts in parts.
func WriteSVG(w io.Writer, scores ...*Score) error {
	const width, height, left, bottom, top = 720, 380, 56, 44, 40
	unit, first, longest := "connections", 1.0, 10.0
	for _, s := range scores {
		if s.Connections == 0 {
			unit, first, longest = "seconds", 0.01, 1
		}
	}
	curves := make([][]step, len(scores))
	for i, s := range scores {
		curves[i] = s.steps(unit)
		longest = max(longest, s.limit(unit))
		for _, x := range curves[i] {
			longest = max(longest, x.at)
		}
	}
	x := func(t float64) float64 {
		return left + (width-left-24)*math.Log(max(t, first)/first)/math.Log(longest/first)
	}
	y := func(share float64) float64 { return top + (height-top-bottom)*(1-share) }
	p := func(format string, args ...any) error {
		_, err := fmt.Fprintf(w, format+"\n", args...)
		return err
	}
	if err := p(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" `+
		`font-family="system-ui, sans-serif" font-size="12">`, width, height, width, height); err != nil {
		return err
	}
	_ = p(`<title>Planted bugs that are not detected yet</title><rect width="100%%" height="100%%" fill="#ffffff"/>`)
	for _, share := range []float64{0, 0.1, 0.25, 0.5, 0.75, 1} {
		_ = p(`<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#d5dbe1"/>`+
			`<text x="%d" y="%.1f" text-anchor="end">%.0f %%</text>`,
			left, width-24, y(share), y(share), left-6, y(share)+4, 100*share)
	}
	for t := first; t <= longest*1.001; t *= 10 {
		_ = p(`<text x="%.1f" y="%d" text-anchor="middle">%g</text>`, x(t), height-bottom+18, t)
	}
	_ = p(`<text x="%d" y="%d">%s of a trial</text>`, left, height-8, unit)
	colours := []string{"#1f5f9e", "#b0461e", "#3b7a3b", "#6d3a96"}
	for i, s := range scores {
		visible, _, _, detected := s.Visible()
		path, share := fmt.Sprintf("M %.1f %.1f", x(first), y(1)), 1.0
		for _, k := range curves[i] {
			share -= k.share
			path += fmt.Sprintf(" H %.1f V %.1f", x(k.at), y(max(share, 0)))
		}
		path += fmt.Sprintf(" H %.1f", x(max(s.limit(unit), first)))
		c := colours[i%len(colours)]
		_ = p(`<path d="%s" fill="none" stroke="%s" stroke-width="2"/><text x="%d" y="%d" fill="%s">%s: %d of %d</text>`,
			path, c, left+8+i%2*300, 14+i/2*16, c, html.EscapeString(s.Kind), detected, visible)
	}
	return p("</svg>")
}

// limit is how long a trial was at most, in connections or seconds.
func (s *Score) limit(unit string) float64 {
	if unit == "seconds" {
		return s.Seconds
	}
	return float64(s.Connections)
}

// step says that a share of the bugs was detected at a moment.
type step struct{ at, share float64 }

// steps are those of the survival curve, in order.
func (s *Score) steps(unit string) (list []step) {
	visible, _, _, _ := s.Visible()
	for i := range s.Bugs {
		b := &s.Bugs[i]
		for _, t := range b.lengths(unit) {
			if !math.IsInf(t, 1) {
				list = append(list, step{t, 1 / float64(len(b.Tries)*visible)})
			}
		}
	}
	slices.SortFunc(list, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	return list
}
