package campaign

import (
	"fmt"
	"io"
	"strings"

	"attls/internal/gate"
)

// ApartIssue is a page about a difference between two stacks.
type ApartIssue struct {
	Input   *Input
	Replays *Replays // the difference, replayed
	Tested  string   // version of attls
	// Command repeats the finding. Capture is the file of the captures, next to the page; empty:
	// there is none.
	Command, Capture string
	// Known explains the difference; nil: it is not known.
	Known *KnownEntry
}

// FileName is the page's name, without an ending.
func (i *ApartIssue) FileName() string { return i.Replays.Apart[0].Law + "-" + i.Input.digest() }

// Write writes the page as Markdown. It fails if the replayed input shows no difference.
func (i *ApartIssue) Write(w io.Writer) error {
	if len(i.Replays.Apart) == 0 {
		return fmt.Errorf("the two stacks do the same")
	}
	a := &i.Replays.Apart[0]
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# The %v %s\n", a.Role, strings.SplitN(a.Says, ";", 2)[0])
	if a.Law == lawCrash || i.Known == nil && a.Law == lawDifference && strings.HasPrefix(a.Own, "refuses") {
		line("**Report privately** unless it is certain that neither authentication nor memory safety is concerned.\n")
	}
	if i.Known != nil {
		line("Known: %s.\n", i.Known.Explanation())
	} else {
		line("Not known before.\n")
	}
	line("| | |\n|---|---|")
	for n := range i.Replays.Ends {
		line("| %v | %s |", a.Stacks[n], a.Does[n])
	}
	line("| attls %s, sent the same | %s |", i.Tested, strings.TrimSpace(a.Own))
	line("| Law | %s |", a.Law)
	tellSent(line, i.Input, i.Replays.Ends[0].Sent, " to one of them")
	line("\n## What came back\n")
	for n, end := range i.Replays.Ends {
		line("* %s: %s", i.Replays.Stacks[n], cameBack(end.Came))
		if end.Says != "" {
			line("\n  The program printed at its end:\n")
			for text := range strings.Lines(end.Says) {
				line("      %s", strings.TrimRight(text, "\r\n"))
			}
		}
	}
	line("\n## Repeat it\n")
	line("    %s", i.Command)
	if i.Capture != "" {
		line("\nCapture of both connections, with their secrets in the file: [%s](%s)", i.Capture, i.Capture)
	}
	_, err := io.WriteString(gate.New(w), b.String())
	return err
}
