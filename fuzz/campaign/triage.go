package campaign

import (
	"cmp"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// Group is findings of one cause.
type Group struct {
	Cause string
	Files []string
	// Least is the input with the fewest edits and octets.
	Least *Input
	File  string
}

// Triage puts the findings under a directory together by their cause: the profile, the end,
// the law and what it says without the octets. The files that could not be read come with
// their reasons.
func Triage(dir string) (list []*Group, unread []string, err error) {
	groups := map[string]*Group{}
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".yaml") {
			return err
		}
		in, err := ReadFile(name)
		if err != nil {
			unread = append(unread, err.Error())
			return nil
		}
		if in.Law == "" {
			return nil // an input of a corpus
		}
		key := cmp.Or(in.Profile, TLS) + ": " + in.Law + ": " + plainText(in.Says)
		if in.Against != "" {
			key += fmt.Sprintf(" (%s and %s)", in.Peer, in.Against)
			if !strings.Contains(in.Says, "; attls refuses") { // no rule says what belongs together
				key += " [" + plainText(editsOf(in.Edits)) + "]"
			}
		}
		g := groups[key]
		if g == nil {
			g = &Group{Cause: key}
			groups[key] = g
		}
		g.Files = append(g.Files, name)
		if g.Least == nil || in.size() < g.Least.size() {
			g.Least, g.File = in, name
		}
		return nil
	})
	for _, g := range groups {
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b *Group) int { return cmp.Compare(a.Cause, b.Cause) })
	return list, unread, err
}

// size orders inputs: edits first, then octets.
func (in *Input) size() int {
	n := len(in.Edits) << 20
	for i := range in.Edits {
		n += len(in.Edits[i].Octets)
	}
	return n
}
