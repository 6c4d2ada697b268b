package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"

	"attls"
	"attls/internal/columns"
	"attls/internal/gate"
)

// Chart is a picture of stacked bars. The same chart gives the same octets.
type Chart struct {
	Title string
	Text  string // what somebody who does not see it has to know
	// Parts name what bars are made of, from the left: as many as there are chartColours.
	Parts  []string
	Unit   string // of the values, such as ms
	Panels []Panel
}

// Panel is a group of bars with a scale of its own.
type Panel struct {
	Title string
	Bars  []Bar
}

// Bar is one bar: a value for each of the Parts. What is below 0, or not a number, is 0.
type Bar struct {
	Label  string
	Values []float64
}

func (b *Bar) value(part int) float64 {
	if part >= len(b.Values) || !(b.Values[part] > 0) || math.IsInf(b.Values[part], 0) {
		return 0
	}
	return b.Values[part]
}

func (b *Bar) sum() (sum float64) {
	for i := range b.Values {
		sum += b.value(i)
	}
	return sum
}

// chartColours are those of the parts, in the light and in the dark theme. They differ in
// lightness, so that the chart says the same in grey.
var chartColours = []struct{ light, dark string }{
	{"#1f5f9e", "#7db4ea"}, {"#d9a036", "#fbe7b4"}, {"#6d3a96", "#a982d0"}, {"#c3cad2", "#4a515c"},
}

// What a chart shows at most.
const (
	maxLabel = 44  // columns of a text
	maxBars  = 500 // of a panel
)

// Heights in the picture, in pixels. All widths are parts of its width, so that text has
// the same size however wide it is.
const (
	chartTop, legendHeight, panelHeight, barHeight = 28, 20, 34, 38
	chartWidth                                     = 760 // of a picture that is a file of its own
)

// WriteSVG writes the chart as a picture of its own, for light and dark pages.
func (c *Chart) WriteSVG(w io.Writer) error {
	const head = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	_, err := io.WriteString(gate.New(w), head+c.svg(fmt.Sprint(chartWidth), true))
	return err
}

// svg is the chart as an element, of a width as SVG has it. ground is whether it has a
// background of its own.
func (c *Chart) svg(width string, ground bool) string {
	var b strings.Builder
	height := chartTop + legendHeight*((len(c.Parts)+1)/2) + 8
	for i := range c.Panels {
		height += panelHeight + barHeight*min(len(c.Panels[i].Bars), maxBars)
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" `+
		`aria-labelledby="chart-title chart-text" width="%s" height="%d">`+"\n", width, height)
	fmt.Fprintf(&b, "<title id=\"chart-title\">%s</title>\n<desc id=\"chart-text\">%s</desc>\n",
		escaped(c.Title), escaped(c.Text))
	b.WriteString("<style>" + chartStyle() + "</style>\n")
	if ground {
		b.WriteString(`<rect class="ground" width="100%" height="100%"/>` + "\n")
	}
	fmt.Fprintf(&b, "<text class=\"head\" x=\"0\" y=\"18\">%s</text>\n", label(c.Title, maxLabel))
	y := chartTop
	for i, part := range c.Parts {
		x := 50 * (i % 2)
		fmt.Fprintf(&b, "<rect class=\"part%d\" x=\"%d%%\" y=\"%d\" width=\"12\" height=\"12\"/>"+
			"<text x=\"%d%%\" dx=\"18\" y=\"%d\">%s</text>\n", i, x, y+2, x, y+12, label(part, maxLabel/2))
		if i%2 == 1 || i == len(c.Parts)-1 {
			y += legendHeight
		}
	}
	for i := range c.Panels {
		y = c.panel(&b, &c.Panels[i], y)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// panel draws a panel and returns where the next one begins.
func (c *Chart) panel(b *strings.Builder, p *Panel, y int) int {
	fmt.Fprintf(b, "<text class=\"panel\" x=\"0\" y=\"%d\">%s</text>\n", y+24, label(p.Title, maxLabel))
	y += panelHeight
	bars := p.Bars[:min(len(p.Bars), maxBars)]
	longest := 0.0
	for i := range bars {
		longest = max(longest, bars[i].sum())
	}
	for i := range bars {
		bar := &bars[i]
		fmt.Fprintf(b, "<text x=\"0\" y=\"%d\">%s</text><text class=\"value\" x=\"100%%\" y=\"%d\">%s</text>\n", y+12,
			label(bar.Label, maxLabel), y+12, escaped(c.amount(bar.sum())))
		at := 0.0
		for part, name := range c.Parts {
			v := bar.value(part)
			if v == 0 || longest == 0 {
				continue
			}
			long := 100 * v / longest
			fmt.Fprintf(b, "<rect class=\"part%d\" x=\"%.3f%%\" y=\"%d\" width=\"%.3f%%\" height=\"14\">"+
				"<title>%s: %s</title></rect>\n", part, at, y+17, long, escaped(name), escaped(c.amount(v)))
			at += long
		}
		y += barHeight
	}
	return y
}

// amount spells a value with its unit, with three digits or more.
func (c *Chart) amount(v float64) string {
	decimals := 0
	for limit := 100.0; v < limit && decimals < 2; limit /= 10 {
		decimals++
	}
	return fmt.Sprintf("%.*f %s", decimals, v, attls.Printable(c.Unit))
}

// label is a text of at most so many columns, as XML has it.
func label(text string, most int) string { return escaped(columns.Cut(attls.Printable(text), most)) }

// escaped is text as XML has it.
func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(attls.Printable(text))) // a Builder takes everything
	return b.String()
}

// chartStyle are the colours. A printed chart is light, as a page is.
func chartStyle() string {
	var light, dark strings.Builder
	for i, c := range chartColours {
		fmt.Fprintf(&light, ".chart .part%d{fill:%s}", i, c.light)
		fmt.Fprintf(&dark, ".chart .part%d{fill:%s}", i, c.dark)
	}
	return `.chart{font:13px system-ui,"Segoe UI",Roboto,"Helvetica Neue","DejaVu Sans",sans-serif}` +
		`.chart text{fill:#1d2127}.chart .ground{fill:#fbfaf8}.chart .head,.chart .panel{font-weight:650}` +
		`.chart .value{text-anchor:end;font-variant-numeric:tabular-nums}` + light.String() +
		`@media screen and (prefers-color-scheme:dark){.chart text{fill:#e4e7eb}.chart .ground{fill:#14171b}` +
		dark.String() + `}`
}
