package campaign

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"attls/conformance/placement"
)

// Explanation says what an entry explains, and which stack is right.
func (e *KnownEntry) Explanation() string {
	switch e.Right {
	case "peer":
		return e.Why + " (the list's stack is right)"
	case "against":
		return e.Why + " (the other stack is right)"
	case "both", "neither":
		return e.Why + " (" + e.Right + " right)"
	}
	return e.Why
}

// Shortest are the findings, known or not, with the smallest input for each two stacks.
func (r *Report) Shortest() (list []*Finding) {
	best := map[[2]StackName]*Finding{}
	for _, f := range slices.Concat(r.Found, r.Explained) {
		if f.Apart == nil || f.Apart.Law == lawCrash {
			continue
		}
		key := f.Apart.Stacks
		if key[0].String() > key[1].String() {
			key[0], key[1] = key[1], key[0]
		}
		if best[key] == nil || less(f.Input, best[key].Input) {
			best[key] = f
		}
	}
	for _, f := range best {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b *Finding) int { return cmp.Compare(a.Cause, b.Cause) })
	return list
}

// less orders inputs by their size, and those of one size by what they are.
func less(a, b *Input) bool {
	return cmp.Or(cmp.Compare(a.size(), b.size()), cmp.Compare(a.digest(), b.digest())) < 0
}

// unneeded counts the entries about two stacks of a campaign that explained nothing in it. Stacks of one family have
// the same list, each a copy of its own.
func (c *campaign) unneeded() (n int) {
	type place struct {
		list string
		at   int
	}
	x := c.o.Remote
	open := map[place]bool{}
	needed := map[*KnownEntry]bool{}
	for _, f := range c.causes {
		needed[f.Known] = true
	}
	var done []place
	for _, y := range append([]*Remote{x}, c.o.Against...) {
		if y.Known == nil {
			continue
		}
		for i, e := range y.Known.Known {
			at := place{y.Known.Peer, i}
			if needed[e] {
				done = append(done, at)
			}
			if slices.ContainsFunc(c.o.Against, func(z *Remote) bool {
				return y.Known.Between(e, x.StackName(), z.StackName())
			}) {
				open[at] = true
			}
		}
	}
	for _, at := range done {
		delete(open, at)
	}
	return len(open)
}

// KnownInputs are the inputs of all lists that are compiled in, each once.
func KnownInputs() (list []*Input, err error) {
	files, err := knownFiles.ReadDir("known")
	if err != nil {
		return nil, err
	}
	have := map[string]bool{}
	for _, f := range files {
		file, err := knownFiles.Open("known/" + f.Name())
		if err != nil {
			return nil, err
		}
		k, err := ReadKnown(file)
		if err = errors.Join(err, file.Close()); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		for _, e := range k.Known {
			if in := e.Input(); in != nil && !have[in.digest()] {
				have[in.digest()] = true
				list = append(list, in)
			}
		}
	}
	return list, nil
}

// Findings are those in the directory of a campaign; unread says why others are left out.
func Findings(dir string) (list []*Input, unread []string, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "findings", "*.yaml"))
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("%s: no findings/*.yaml", dir)
	}
	for _, name := range names {
		in, err := ReadFile(name)
		switch {
		case err != nil:
			unread = append(unread, err.Error())
		case in.Stack == "" && in.Profile == "":
			list = append(list, in)
		}
	}
	return list, unread, err
}

// Print is what stacks do with the same inputs.
type Print struct {
	Stacks []string
	Tried  int
	Rows   []PrintRow // inputs that are answered in more than one way
	// Chosen are the few of Rows that tell all apart that can be told, and Same the others.
	Chosen []int
	Same   [][2]string
}

// PrintRow is an input with what each stack does with it; "–": it is not that end, or the connection
// is none that it completes.
type PrintRow struct {
	Input *Input
	Does  []string
}

// none is what a stack does with an input that it cannot get.
const none = "–"

// Fingerprint runs inputs with each of the stacks.
func Fingerprint(ctx context.Context, inputs []*Input, stacks []*Remote) (*Print, error) {
	p := &Print{Tried: len(inputs)}
	for _, x := range stacks {
		p.Stacks = append(p.Stacks, x.String())
	}
	links := make([]*link, len(stacks))
	for i, x := range stacks {
		links[i] = x.link(ctx).patient()
		defer links[i].connector.Close()
	}
	for _, in := range inputs {
		row := PrintRow{Input: in}
		for _, l := range links {
			does, err := in.at(l)
			if err != nil {
				return nil, err
			}
			row.Does = append(row.Does, does)
		}
		if ways(row.Does) > 1 {
			p.Rows = append(p.Rows, row)
		}
	}
	p.choose()
	return p, nil
}

// at is what a stack does with an input.
func (in *Input) at(l *link) (string, error) {
	honest := in.role().Peer()
	if !slices.Contains(l.Roles, honest) {
		return none, nil
	}
	s, err := in.subject(nil, true)
	if err != nil {
		return "", err
	}
	s.link, s.abroadAs[honest] = l, true
	for _, edits := range [][]Edit{nil, in.Edits} {
		x := in.clone()
		x.Edits = edits
		r, err := s.abroad(x)
		var not *placement.NotConnected
		switch {
		case errors.As(err, &not):
			return none, nil
		case err != nil:
			return "", err
		case edits == nil && r.incomplete() != "":
			return none, nil
		case edits != nil:
			_, does := r.conduct()
			return does, nil
		}
	}
	return none, nil
}

// ways counts different answers.
func ways(list []string) int {
	have := map[string]bool{}
	for _, x := range list {
		if x != none {
			have[x] = true
		}
	}
	return len(have)
}

// choose takes rows as long as one tells more stacks apart than those that were taken.
func (p *Print) choose() {
	apart := func(x *PrintRow, i, j int) bool {
		return x.Does[i] != none && x.Does[j] != none && x.Does[i] != x.Does[j]
	}
	left := map[[2]int]bool{}
	for i := range p.Stacks {
		for j := range i {
			left[[2]int{j, i}] = true
		}
	}
	for {
		best, most := -1, 0
		for at := range p.Rows {
			n := 0
			for two := range left {
				if apart(&p.Rows[at], two[0], two[1]) {
					n++
				}
			}
			if n > most {
				best, most = at, n
			}
		}
		if best < 0 {
			break
		}
		p.Chosen = append(p.Chosen, best)
		for two := range left {
			if apart(&p.Rows[best], two[0], two[1]) {
				delete(left, two)
			}
		}
	}
	for i := range p.Stacks {
		for j := range i {
			if left[[2]int{j, i}] {
				p.Same = append(p.Same, [2]string{p.Stacks[j], p.Stacks[i]})
			}
		}
	}
}
