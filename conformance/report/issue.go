package report

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"attls/conformance/claims"
	"attls/internal/gate"
)

// Issue is a page about what a stack did with a fault, or in a scenario, for its authors.
type Issue struct {
	Stack   Receiver
	Version string
	Run     *Run // the example, with the shortest name
	Cases   []string
}

// Issues are the failures and deviations of a report, those of one kind together: the same
// stack, role, fault and reason. Failures come first.
func (r *Report) Issues() (list []Issue) {
	type key struct {
		to            Receiver
		fault, reason string
	}
	at := map[key]int{}
	for i := range r.Runs {
		run := &r.Runs[i]
		if run.Outcome != Failed && run.Outcome != Deviation {
			continue
		}
		to, ok := run.Receiver()
		if !ok {
			to = Receiver{run.other(), ""}
		}
		k := key{to: to, reason: run.Reason}
		if run.Fault != nil {
			k.fault = run.Fault.ID
		}
		n, seen := at[k]
		if !seen {
			n = len(list)
			at[k] = n
			list = append(list, Issue{Stack: to, Version: r.versionOf(to.Stack), Run: run})
		}
		if len(run.ID) < len(list[n].Run.ID) {
			list[n].Run = run
		}
		list[n].Cases = append(list[n].Cases, run.ID)
	}
	slices.SortStableFunc(list, func(a, b Issue) int {
		return cmp.Compare(slices.Index(Outcomes, a.Run.Outcome), slices.Index(Outcomes, b.Run.Outcome))
	})
	return list
}

// other is the stack of a run that is not this one.
func (r *Run) other() string {
	if strings.HasPrefix(r.Client, "attls") {
		return r.Server
	}
	return r.Client
}

func (r *Report) versionOf(stack string) string {
	for _, s := range r.Stacks {
		if s.Name == stack {
			return s.Version
		}
	}
	return ""
}

// Private reports whether the issue may be a matter of security, which is reported to the
// stack's authors alone: something that authenticates was not checked, or a program crashed.
func (i *Issue) Private() bool {
	mine := i.claims()
	if mine != nil && mine.Error != nil {
		if slices.ContainsFunc(crashes, func(c string) bool { return strings.Contains(mine.Error.Detail, c) }) {
			return true
		}
	}
	f := i.Run.Fault
	if f == nil || f.Rejects == "" || mine == nil || mine.Error != nil || mine.AlertSent != nil {
		return false
	}
	about, _, _ := strings.Cut(string(f.Failure), ".")
	return slices.Contains([]string{"authentication", "psk", "certificate", "attestation", "authenticator"}, about)
}

// crashes are what a program says, or is said of it, that did not end by itself.
var crashes = []string{"signal: segmentation fault", "signal: aborted", "signal: bus error", "AddressSanitizer"}

// claims are those of the stack.
func (i *Issue) claims() *claims.Claims {
	if i.Stack.Role == "client" || i.Stack.Role == "" && i.Run.Client == i.Stack.Stack {
		return i.Run.ClientClaims
	}
	return i.Run.ServerClaims
}

// FileName is the page's name, without an ending. number tells pages of the same kind apart.
func (i *Issue) FileName(number int) string {
	name := fmt.Sprintf("%03d-%s", number, i.Stack.Stack)
	if i.Stack.Role != "" {
		name += "-" + i.Stack.Role
	}
	if i.Run.Fault != nil {
		name += "-" + i.Run.Fault.ID
	}
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' {
			return c
		}
		return '-'
	}, name)
}

// WriteIssue writes the page of an issue as Markdown. program is what repeats a run, with the run's
// arguments behind it; capture is a file next to the page, empty: there is none.
func (r *Report) WriteIssue(i *Issue, program, capture string, w io.Writer) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	run, f := i.Run, i.Run.Fault
	what := run.Reason
	if f != nil {
		what = f.Does
	}
	line("# %s: %s", i.Stack.Stack, what)
	line("")
	if i.Private() {
		line("**Report privately.** Something that authenticates the peer was not checked, or a program crashed.")
		line("")
	}
	if run.Outcome == Deviation {
		line("Known: %s.", run.Reason)
	} else {
		line("Not known before: %s.", run.Reason)
	}
	line("")
	line("| | |")
	line("|---|---|")
	role := ""
	if i.Stack.Role != "" {
		role = ", as a " + i.Stack.Role
	}
	line("| Stack | %s %s%s |", i.Stack.Stack, i.Version, role)
	line("| Tested with | attls %s |", r.Version)
	if f != nil {
		line("| Sent | %s |", f.Does)
		line("| Expected | %s |", wanted(run))
	}
	line("| Observed | %s |", observed(i.claims()))
	for _, id := range run.Requirements {
		if k := slices.IndexFunc(r.Requirements, func(q Requirement) bool { return q.ID == id }); k >= 0 {
			line("| Rule %s | %s: %s |", id, r.Requirements[k].Document, r.Requirements[k].Text)
		}
	}
	line("")
	if len(run.Ladder) > 0 {
		line("## The connection")
		line("")
		for k := range run.Ladder {
			s := &run.Ladder[k]
			broken := ""
			if s.Broken != nil {
				broken = fmt.Sprintf(" ← %s, field %s: %s", s.Broken.Failure, cmp.Or(s.Broken.Field, "none"), s.Broken.Detail)
			}
			line("    %s: %s, %d octets%s", s.From, s.What, s.Octets, broken)
		}
		line("")
		for k := range run.Ladder {
			if s := &run.Ladder[k]; s.Broken != nil && s.Raw != "" {
				line("%s as it was sent, with its header:", s.What)
				line("")
				for text := s.Raw; text != ""; text = text[min(len(text), hexRow):] {
					line("    %s", text[:min(len(text), hexRow)])
				}
				line("")
			}
		}
	}
	line("## All %d cases", len(i.Cases))
	line("")
	line("The example is the one with the least that is unusual: `%s`. In all:", run.ID)
	line("")
	for k, id := range i.Cases {
		if k == maxCases {
			line("* and %d more", len(i.Cases)-maxCases)
			break
		}
		line("* `%s`", id)
	}
	line("")
	line("## Repeat it")
	line("")
	line("    %s %s", program, run.Command)
	if capture != "" {
		line("")
		line("Capture, with its secrets in the file: [%s](%s)", filepath.Base(capture), filepath.Base(capture))
	}
	_, err := io.WriteString(gate.New(w), b.String())
	return err
}

// hexRow is the length of a row of octets in hexadecimal, and maxCases bounds the cases that
// a page lists.
const (
	hexRow   = 64
	maxCases = 50
)

// wanted is what must follow a fault.
func wanted(r *Run) string {
	switch f := r.Fault; {
	case f.Takes != "":
		return "the connection goes on"
	case f.Alert == nil:
		return "it is refused"
	case f.AnyAlert:
		return "it is refused with an alert"
	default:
		return "it is refused with " + f.Alert.Name
	}
}

// observed is what the stack claims of the end.
func observed(c *claims.Claims) string {
	switch {
	case c == nil:
		return "it claims nothing"
	case c.AlertSent != nil:
		return "the alert " + c.AlertSent.Name
	case c.Error != nil:
		return "it ended: " + c.Error.Detail
	}
	return "it went on"
}
