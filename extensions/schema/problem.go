package schema

import (
	"fmt"
	"strings"
)

// Position is a place in a text. Lines and columns (in characters) count from 1.
type Position struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

// String is file:line:column, or the file alone where a text has no lines, because it
// could not be read.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// ProblemKind names what is wrong with a text.
type ProblemKind string

// The kinds of problem.
const (
	ProblemSyntax      ProblemKind = "syntax"            // not the presentation language
	ProblemUnknownName ProblemKind = "unknown_name"      // a name that nothing defines
	ProblemDuplicate   ProblemKind = "duplicate"         // a name, number or case that appears twice
	ProblemCycle       ProblemKind = "cycle"             // a type that contains itself
	ProblemBounds      ProblemKind = "bounds"            // bounds that no value meets
	ProblemWidth       ProblemKind = "width"             // a number too big for its enum or its type
	ProblemNoNumber    ProblemKind = "no_number"         // an enumerator on the wire without a number
	ProblemAmbiguous   ProblemKind = "ambiguous"         // octets, or values, that can be read in two ways
	ProblemUnreachable ProblemKind = "unreachable"       // an arm that no value selects
	ProblemType        ProblemKind = "type"              // a construct that its type does not permit
	ProblemDepth       ProblemKind = "depth"             // nested too deep
	ProblemNoArm       ProblemKind = "no_arm"            // a select without an arm for the context
	ProblemParameter   ProblemKind = "parameter_not_set" // an outer parameter that the context does not give
)

// Problem is one finding about a text: what is wrong, where, and what to do
// about it. A Warning does not keep a Schema from being made.
type Problem struct {
	Pos     Position    `json:"position"`
	Kind    ProblemKind `json:"kind"`
	Text    string      `json:"text"`             // one sentence, no trailing period
	Advice  string      `json:"advice,omitempty"` // what to do about it
	Warning bool        `json:"warning"`
}

func (p *Problem) Error() string {
	s := ""
	if p.Pos != (Position{}) {
		s = p.Pos.String() + ": "
	}
	if p.Warning {
		s += "warning: "
	}
	s += p.Text
	if p.Advice != "" {
		s += "; " + p.Advice
	}
	return s
}

// Problems are findings in the order of the text.
type Problems []*Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Err returns the Problems that are not warnings as an error, nil when there are none.
func (ps Problems) Err() error {
	var errs Problems
	for _, p := range ps {
		if !p.Warning {
			errs = append(errs, p)
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return errs
}

// Warnings returns the Problems that are warnings.
func (ps Problems) Warnings() Problems {
	var w Problems
	for _, p := range ps {
		if p.Warning {
			w = append(w, p)
		}
	}
	return w
}

func problem(pos Position, kind ProblemKind, format string, args ...any) *Problem {
	return &Problem{Pos: pos, Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// Advise is for other packages: it sets what to do about the problem and returns it.
func (p *Problem) Advise(s string) *Problem {
	p.Advice = s
	return p
}

// advise sets what to do about the problem and returns it.
func (p *Problem) advise(format string, args ...any) *Problem {
	p.Advice = fmt.Sprintf(format, args...)
	return p
}

// suggest advises the name that is nearest to the one that was written.
func (p *Problem) suggest(name string, known []string) *Problem {
	if p.Advice != "" {
		return p
	}
	if s := Nearest(name, known); s != "" {
		return p.advise("did you mean %q?", s)
	}
	return p
}

// maxName is the longest name that is compared with others.
const maxName = 128

// Nearest returns the known name that is closest to the one given, "" when
// none is close enough to be meant. Ties go to the name that comes first.
func Nearest(name string, known []string) string {
	best, least := "", len(name)/3+2
	if len(name) > maxName {
		return ""
	}
	for _, k := range known {
		if len(k) > maxName {
			continue
		}
		if d := distance(strings.ToLower(name), strings.ToLower(k), least); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is the number of edits (an exchange of neighbours is one) between
// two names, or limit when it is not less than that.
func distance(a, b string, limit int) int {
	if abs(len(a)-len(b)) >= limit {
		return limit
	}
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return min(row[len(b)], limit)
}

// octets is a number of octets in words.
func octets[T int | uint64](n T) string {
	if n == 1 {
		return "1 octet"
	}
	return fmt.Sprintf("%d octets", n)
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}
