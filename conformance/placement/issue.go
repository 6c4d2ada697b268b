package placement

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"attls/internal/gate"
)

// Issue is a page about one group of findings, for the authors of a stack.
type Issue struct {
	Stack   *Stacked
	Group   *Group
	Version string // of attls
	Command string // that repeats the case
	Capture string // the file of the capture, next to the page; empty: there is none
}

// Example is the name of the case that shows a group with the fewest octets.
func (g *Group) Example(s *Stacked) string {
	best, name := -1, ""
	for _, c := range g.Cases {
		if l := s.Find(c); l != nil && (best < 0 || len(l.Octets) < best) {
			best, name = len(l.Octets), c
		}
	}
	return name
}

// FileName is the page's name, without an ending.
func (i *Issue) FileName() string {
	name := []string{i.Stack.Name, i.Group.Role, i.Group.Message, string(i.Group.Kind)}
	if i.Group.Asked {
		name = append(name, "asked")
	}
	if i.Group.Known {
		name = append(name, "known")
	}
	name = append(name, i.Group.Want, i.Group.Got)
	s := strings.Join(name, "-")
	s = strings.Trim(strings.ReplaceAll(strings.ReplaceAll(fileWord(s), "/", "-"), "_", "-"), "-")
	return s[:min(len(s), maxFileName)]
}

// maxFileName bounds the name of a page, in octets.
const maxFileName = 180

// Write writes the page as Markdown.
func (i *Issue) Write(w io.Writer) error {
	g, s := i.Group, i.Stack
	l := s.Find(g.Example(s))
	if l == nil {
		return fmt.Errorf("no result is called %q", g.Example(s))
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# %s: %s", s.Name, g.Title())
	line("")
	if g.Kind.Private() {
		line("**Report privately.** A program that ends by a signal may be a matter of memory safety.")
		line("")
	}
	switch {
	case g.Deviation != "":
		line("Known: %s%s", g.Deviation, after(". Upstream: ", g.Upstream))
	default:
		line("Not known before.")
	}
	line("")
	line("| | |")
	line("|---|---|")
	line("| Stack | %s %s, as a %s |", s.Name, s.Version, g.Role)
	line("| Tested with | attls %s |", i.Version)
	line("| Kind | %s |", g.Kind)
	line("| Rule | %s: %s |", g.Reference, g.Rule)
	line("| Expected | %s |", g.Want)
	line("| Observed | %s |", g.Got)
	line("")
	line("## Smallest example")
	line("")
	line("%s (%d) in %s. Its number, the length of extension_data, and that:", l.Extension, l.Type, l.Message)
	line("")
	line("%s", strings.TrimRight(fmt.Sprintf("    %04x %04x %s", l.Type, len(l.Octets)/2, l.Octets), " "))
	line("")
	line("The connection is otherwise a full TLS 1.3 handshake with a certificate, and nothing else in it was changed.%s",
		after(" ", neededBody(g, s, l)))
	line("")
	line("The whole message as it was sent, with its header (%d octets):", len(l.Sent)/2)
	line("")
	for _, row := range hexRows(l.Sent) {
		line("    %s", row)
	}
	line("")
	line("## What came back")
	line("")
	switch {
	case l.Alert != "":
		line("The fatal alert %s.", l.Alert)
	case len(l.Came) > 0:
		line("The handshake went on: %s.", strings.Join(l.Came, ", "))
	default:
		line("%s.", l.Outcome)
	}
	if l.After != "" {
		line("")
		line("After the alert, records with these octets: %s", l.After)
	}
	if l.Known && l.KnownBy != "" {
		line("")
		line("The stack knows the extension: %s.", l.KnownBy)
	}
	line("")
	line("## All %d cases", len(g.Cases))
	line("")
	line("%s.", g.Short(maxShort))
	line("")
	line("## Repeat it")
	line("")
	line("    %s", i.Command)
	if i.Capture != "" {
		line("")
		line("Capture, with its secrets in the file: [%s](%s)", i.Capture, i.Capture)
	}
	_, err := io.WriteString(gate.New(w), b.String())
	return err
}

// maxShort bounds the extensions that a page lists.
const maxShort = 100

func after(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

// neededBody says what of the body the finding needs.
func neededBody(g *Group, s *Stacked, l *Line) string {
	for _, c := range g.Cases {
		if o := s.Find(c); o != nil && o.Extension == l.Extension && o.Body != l.Body {
			return "The body does not matter: others of the same extension have the same result."
		}
	}
	if l.Body == Empty {
		return "The body is empty."
	}
	return ""
}

// hexRows are rows of 32 octets.
func hexRows(text string) (rows []string) {
	const width = 64
	if _, err := hex.DecodeString(text); err != nil {
		return nil
	}
	for len(text) > width {
		rows, text = append(rows, text[:width]), text[width:]
	}
	return append(rows, text)
}
