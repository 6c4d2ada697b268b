package peers

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"attls/conformance/report"
)

// release is the version of a stack: three numbers, and a fourth that is negative for
// what came before a release (an alpha, a candidate), and positive for a letter behind
// the numbers.
type release [4]int

var releasePattern = regexp.MustCompile(`(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?[-.~]?([a-z]*)`)

// parseRelease finds the version in what a program says of itself, such as
// "OpenSSL 3.0.17 1 Jul 2025"; numbers that are not there are 0.
func parseRelease(text string) (r release, ok bool) {
	m := releasePattern.FindStringSubmatch(text)
	if m == nil {
		return r, false
	}
	for i := range 3 {
		r[i], _ = strconv.Atoi(m[i+1]) // at most six digits, or none
	}
	switch word := m[4]; {
	case slices.ContainsFunc([]string{"alpha", "beta", "rc", "pre", "dev"}, func(p string) bool {
		return strings.HasPrefix(word, p)
	}):
		r[3] = -1
	case len(word) == 1:
		r[3] = int(word[0])
	}
	return r, true
}

// HasVersion reports whether a stack's version, as Identify has it, is one.
func HasVersion(said string) bool {
	_, ok := parseRelease(said)
	return ok && !strings.HasPrefix(said, unknownVersion)
}

func (r release) compare(other release) int { return slices.Compare(r[:], other[:]) }

// Releases are the versions of a stack in which something was seen, both included. The
// zero value is every version.
type Releases struct {
	First, Last string
	// Tried are versions that were tried, so that it is known of those outside First to
	// Last that it is not so there. Of a version with no such version between itself and
	// First to Last nothing is known: it may be so or not.
	Tried []string
}

// String says which they are.
func (r *Releases) String() string {
	switch r.First {
	case "":
		return "every release"
	case r.Last:
		return r.First
	}
	return r.First + " to " + r.Last
}

// standing is what is known of a version with regard to Releases.
type standing uint8

const (
	within  standing = iota
	before           // it is older than the first, and was or is known not to do it
	mended           // it is newer than the last, and was or is known not to do it
	untried          // nothing is known
)

// standing finds what is known of the version that a stack says it is.
func (r *Releases) standing(version string) standing {
	if r.First == "" {
		return within
	}
	v, known := parseRelease(version)
	first, ok1 := parseRelease(r.First)
	last, ok2 := parseRelease(r.Last)
	if !known || !ok1 || !ok2 {
		return untried
	}
	if v.compare(first) >= 0 && v.compare(last) <= 0 {
		return within
	}
	for _, text := range r.Tried {
		switch t, _ := parseRelease(text); {
		case t.compare(last) > 0 && t.compare(v) <= 0:
			return mended
		case t.compare(first) < 0 && t.compare(v) >= 0:
			return before
		}
	}
	return untried
}

// versions remembers which version each stack says it is.
type versions struct {
	mu   sync.Mutex
	said map[string]string // by the stack's name
}

// of asks a stack once. A stack that cannot say has no version.
func (v *versions) of(ctx context.Context, p Peer) string {
	i, ok := p.(Identifier)
	if !ok {
		return ""
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if text, asked := v.said[p.Name()]; asked {
		return text
	}
	text, _, err := i.Identify(context.WithoutCancel(ctx)) // the end of one case is none of the others'
	if err != nil {
		text = ""
	}
	if v.said == nil {
		v.said = map[string]string{}
	}
	v.said[p.Name()] = text
	return text
}

// judgeDeviations is the status of a case whose end in a role is known to deviate: in
// these ways, in some of its releases. version is what the stack says it is. right is
// whether the case ended as it has to, and shows whether the claims show a deviation. ok
// is false where nothing that is known fits, and why says what comes nearest.
func judgeDeviations(stack, version string, list []Deviant, right bool,
	shows func(*Deviant) bool) (status, why string, ok bool) {
	name := cmp.Or(version, stack+" of an unknown version")
	for i := range list {
		d := &list[i]
		where := d.Releases.standing(version)
		switch {
		case right && where == within:
			return Failed, "an expected deviation did not occur in " + name + ": " + d.Does, true
		case right && where == before:
			why = "right in " + name + ", unlike " + d.Releases.String() + ": " + d.Does
		case right:
			why = "mended in " + name + ", a deviation of " + d.Releases.String() + ": " + d.Does
		case !shows(d):
		case where == within || where == untried:
			return Deviation, report.ExpectedDeviation + stack + ": " + d.Does, true
		default:
			why = name + " does what only " + d.Releases.String() + " is known to do: " + d.Does
		}
	}
	return Passed, why, right
}
