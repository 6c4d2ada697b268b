package campaign

import (
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"attls"
	"attls/internal/gate"
)

// Issue is a page about a finding in another stack, for its authors.
type Issue struct {
	Input  *Input
	Abroad *Abroad // the finding, replayed
	Stack  string  // with its version
	Tested string  // version of attls
	// Command repeats the finding. Capture is the file of the capture, next to the page; empty:
	// there is none.
	Command, Capture string
	// Why explains a known finding; empty: it is not known.
	Why string
}

// grave are the laws whose violation is a matter of authentication or memory safety.
var grave = []string{"peer-key", "signature", "finished", "transcript", "certificate-trusted", "message-boundary",
	"signature-fits", "signature-offered", lawCrash}

// unproven are the laws that compare a stack with attls alone, with what their findings need.
var unproven = map[string]string{
	lawDifference: "The stack and attls did not do the same. Where attls refuses, the rule that it follows is in " +
		"brackets below; where the stack refuses, it may be free to.",
	lawOtherAlert: "The alert that attls sends is the one of the rule in brackets below. Another one may be right " +
		"where another rule applies as well.",
}

// finding is the violation that the input was kept for, or the first one.
func (i *Issue) finding() *Violation {
	for k := range i.Abroad.Violations {
		if v := &i.Abroad.Violations[k]; v.Law == i.Input.Law {
			return v
		}
	}
	return &i.Abroad.Violations[0]
}

// FileName is the page's name, without an ending.
func (i *Issue) FileName() string { return i.finding().Law + "-" + i.Input.digest() }

// Write writes the page as Markdown. It fails if the replayed input broke no law.
func (i *Issue) Write(w io.Writer) error {
	if len(i.Abroad.Violations) == 0 {
		return fmt.Errorf("the input breaks no law with %s", i.Stack)
	}
	v := i.finding()
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# %s: the %v %s\n", i.Stack, v.Role, v.Says)
	if slices.Contains(grave, v.Law) {
		line("**Report privately.** It may be a matter of authentication or of memory safety.\n")
	}
	if text := unproven[v.Law]; text != "" {
		line("**To be judged before it is filed.** %s\n", text)
	}
	switch {
	case i.Why != "":
		line("Known: %s.\n", i.Why)
	default:
		line("Not known before.\n")
	}
	line("| | |\n|---|---|")
	line("| Stack | %s, as a %v |", i.Stack, v.Role)
	line("| Tested with | attls %s |", i.Tested)
	line("| Law | %s |", v.Law)
	line("| Rule | %s |", demandOf(v.Law))
	line("| Observed | the stack %s |", i.Abroad.Outcome)
	line("| attls, sent the same | %s |", i.Abroad.Local)
	tellSent(line, i.Input, i.Abroad.Sent, "")
	line("\n## What came back\n")
	line("%s.", cameBack(i.Abroad.Came))
	if i.Abroad.Says != "" {
		line("\nThe program printed at its end:\n")
		for text := range strings.Lines(i.Abroad.Says) {
			line("    %s", strings.TrimRight(text, "\r\n"))
		}
	}
	line("\n## Repeat it\n")
	line("    %s", i.Command)
	if i.Capture != "" {
		line("\nCapture, with its secrets in the file: [%s](%s)", i.Capture, i.Capture)
	}
	_, err := io.WriteString(gate.New(w), b.String())
	return err
}

// tellSent writes what the attacker sent; to says to whom, if there are several.
func tellSent(line func(string, ...any), in *Input, sent []SentMessage, to string) {
	line("\n## What was sent\n")
	line("The connection is a TLS 1.3 handshake (%v), in which the %s sends something else:\n", in.Connection, in.Attacker)
	for i := range in.Edits {
		line("* %s", in.Edits[i].String())
	}
	for _, m := range sent {
		line("\n%v as it was sent%s, with its header (%d octets):\n", m.Kind, to, len(m.Octets))
		for row := range slices.Chunk(m.Octets, 32) {
			line("    %s", hex.EncodeToString(row))
		}
	}
}

func cameBack(came []string) string {
	if len(came) == 0 {
		return "Nothing"
	}
	return strings.Join(came, ", ")
}

// sourceOf is the text that a law comes from.
func sourceOf(name string) string {
	for _, l := range Laws() {
		if l[0] == name {
			return l[1]
		}
	}
	return ""
}

// SentMessage is a message that the attacker changed, as it was sent.
type SentMessage struct {
	Kind   attls.MessageKind
	Octets []byte
}

// changed are the edited messages as the honest end received them.
func (r *run) changed() (list []SentMessage) {
	honest := r.attacker.Peer()
	count := map[string]int{}
	for i := range r.log {
		x := &r.log[i]
		if x.role != honest || x.sent || x.raw == nil {
			continue
		}
		name := x.kind.String()
		n := count[name]
		count[name]++
		if slices.ContainsFunc(r.agents[r.attacker].edits, func(e Edit) bool { return e.Message == name && e.Number == n }) {
			list = append(list, SentMessage{x.kind, x.raw})
		}
	}
	return list
}

// came names what the honest end sent, in order.
func (r *run) came() (list []string) {
	honest := r.attacker.Peer()
	for i := range r.log {
		x := &r.log[i]
		if x.role != honest || !x.sent || len(list) >= 32 {
			continue
		}
		switch {
		case x.alert != nil:
			list = append(list, "the alert "+x.alert.String())
		case x.raw != nil:
			list = append(list, x.kind.String())
		}
	}
	if r.told != nil && r.told.answered {
		list = append(list, "application data")
	}
	return list
}
