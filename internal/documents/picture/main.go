// Command picture reads what "attls demo" prints and writes the picture of
// README.md: the ladder and the verdict, as SVG. "make picture" runs it.
package main

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"unicode/utf8"
)

func main() {
	if err := draw(os.Stdout, os.Stdin); err != nil {
		log.Fatal(err)
	}
}

const (
	column  = 7.2 // pixels
	line    = 15
	margin  = 12
	columns = 96
)

const style = `text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;` +
	`fill:#24292f;white-space:pre}` +
	`rect{fill:#f6f8fa;stroke:#d0d7de}.m{fill:#0550ae;font-weight:bold}.a{fill:#116329}.d{fill:#57606a}` +
	`@media(prefers-color-scheme:dark){text{fill:#e6edf3}rect{fill:#0d1117;stroke:#30363d}` +
	`.m{fill:#79c0ff}.a{fill:#7ee787}.d{fill:#9198a1}}`

// draw writes the lines of a demonstration, except those that explain the binder.
func draw(w io.Writer, r io.Reader) error {
	var lines []string
	skipping := false
	for in := bufio.NewScanner(r); in.Scan(); {
		l := in.Text()
		switch {
		case strings.HasPrefix(l, "Challenge of "):
			skipping = true
		case strings.HasPrefix(l, "Verdict of "):
			skipping = false
			l, _, _ = strings.Cut(l, ", valid until")
		case strings.HasPrefix(l, "  2") || strings.HasPrefix(l, "client: ") || strings.HasPrefix(l, "server: "):
			continue
		}
		if !skipping {
			lines = append(lines, l)
		}
	}
	if len(lines) < 20 {
		return fmt.Errorf("%d lines: this is not what attls demo prints", len(lines))
	}
	fmt.Fprintf(w,
		`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %d" role="img" `+
			`aria-label="A connection in which the server attests: its messages, and the verdict of the client">`+
			`<style>%s</style>`,
		columns*column+2*margin, len(lines)*line+2*margin, style)
	fmt.Fprintf(w, `<rect x="0.5" y="0.5" width="%.0f" height="%d" rx="6"/>`+"\n", columns*column+2*margin-1,
		len(lines)*line+2*margin-1)
	for i, l := range lines {
		if strings.TrimSpace(l) == "" {
			continue
		}
		fmt.Fprintf(w, `<text x="%d" y="%d" class="%s" textLength="%.1f" xml:space="preserve">`, margin, margin+line*(i+1)-4,
			class(l), column*float64(utf8.RuneCountInString(l)))
		if err := xml.EscapeText(w, []byte(l)); err != nil {
			return err
		}
		fmt.Fprintln(w, "</text>")
	}
	_, err := fmt.Fprintln(w, "</svg>")
	return err
}

// class is the colour of a line: messages, what attestation adds, and the rest.
func class(l string) string {
	switch {
	case strings.Contains(l, "▶") || strings.Contains(l, "◀"):
		return "m"
	case strings.Contains(l, "ttest") || strings.Contains(l, "ayload") || strings.Contains(l, "KAT") ||
		strings.Contains(l, "kat") || strings.Contains(l, "✓") || strings.Contains(l, "Verdict"):
		return "a"
	}
	return "d"
}
