package campaign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Replays is an input that was run once with each of two stacks.
type Replays struct {
	Apart []Apart
	// Ends are what each did, in the order in which the stacks were given, which Stacks has.
	Ends   [2]*Abroad
	Stacks [2]StackName
}

// ReplayApart runs an input with two stacks, each with more time than in a campaign. w gets both
// connections as a pcapng file; nil: they are not kept.
func ReplayApart(ctx context.Context, in *Input, x, y *Remote, w io.Writer) (*Replays, error) {
	s, err := in.between(ctx, x, y)
	if err != nil {
		return nil, err
	}
	defer s.closeLinks()
	file, err := captureOf(w)
	if err != nil {
		return nil, err
	}
	s = s.patiently()
	local, err := s.local(in)
	if err != nil {
		return nil, err
	}
	r, err := s.dial(in, local, file)
	if err != nil {
		return nil, err
	}
	other, err := s.facing(&s.rivals[0]).dial(in, local, file)
	if err != nil {
		return nil, err
	}
	r.told.rivals = []*run{other}
	out := &Replays{Apart: r.apart(), Stacks: [2]StackName{x.StackName(), y.StackName()}}
	for i, end := range []*run{r, other} {
		_, does := end.conduct()
		out.Ends[i] = &Abroad{Ladder: end.traces[end.attacker].Steps(), Outcome: does, Local: end.told.own(end),
			Sent: end.changed(), Came: end.came(), Says: end.told.says}
	}
	return out, errors.Join(ctx.Err(), file.Flush())
}

// between is the connection of an input with a stack as the honest end, and others to compare.
func (in *Input) between(ctx context.Context, x *Remote, against ...*Remote) (*subject, error) {
	s, err := in.subject(nil, true)
	if err != nil {
		return nil, err
	}
	t, err := in.target()
	if err != nil {
		return nil, err
	}
	honest := in.role().Peer()
	for i, r := range append([]*Remote{x}, against...) {
		if !slices.Contains(r.Roles, honest) {
			s.closeLinks()
			return nil, fmt.Errorf("in this input the stack is the %v, and %v is not that end", honest, r)
		}
		end := s
		l := r.link(ctx)
		if i > 0 {
			s.rivals = append(s.rivals, rival{link: l})
			end = s.facing(&s.rivals[i-1])
		}
		end.link, end.abroadAs[honest] = l, true
		if i > 0 {
			s.rivals[i-1].as = end.abroadAs
		}
		if err := l.trust(t, []*subject{end}, honest); err != nil {
			s.closeLinks()
			return nil, err
		}
	}
	return s, nil
}

// closeLinks stops the programs of a subject that has its links for itself.
func (s *subject) closeLinks() {
	if s.link != nil {
		s.link.connector.Close()
	}
	for _, x := range s.rivals {
		x.link.connector.Close()
	}
}

// MinimizeAbroad makes an input as small as it can while it breaks its law with a stack, or, where
// there are others, while two do otherwise as they did.
func MinimizeAbroad(ctx context.Context, in *Input, x *Remote, against ...*Remote) (*Input, error) {
	s, err := in.between(ctx, x, against...)
	if err != nil {
		return nil, err
	}
	defer s.closeLinks()
	r, err := s.run(in)
	if err != nil {
		return nil, err
	}
	if s.rivals == nil {
		return s.minimizeAs(in, in.violations(r))
	}
	list := r.apart()
	if len(list) == 0 {
		return nil, fmt.Errorf("%v and %v do not differ", x, remoteNames(against))
	}
	cause := list[0].cause(in)
	small := smaller(in, func(c *Input) bool {
		r, err := s.run(c)
		if err != nil {
			return false
		}
		for _, b := range r.apart() {
			if b.cause(c) == cause ||
				len(c.Edits) < len(in.Edits) && b.Violation.cause(c, true) == list[0].Violation.cause(in, true) {
				list[0] = b
				return true
			}
		}
		return false
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	small.note(&list[0])
	return small, nil
}

func remoteNames(list []*Remote) string {
	var out []string
	for _, x := range list {
		out = append(out, x.String())
	}
	return strings.Join(out, ", ")
}

// note writes a difference into the input that shows it.
func (in *Input) note(a *Apart) {
	in.Law, in.Says = a.Law, fmt.Sprintf("the %v %s", a.Role, a.Says)
	in.Peer, in.Against = a.Stacks[0].String(), a.Stacks[1].String()
	if a.Law == lawCrash {
		in.Against = ""
	}
}

// minimizeAs makes an input smaller that breaks its law, or any if it names none.
func (s *subject) minimizeAs(in *Input, list []Violation) (*Input, error) {
	if len(list) == 0 {
		return nil, errors.New("the input breaks no law")
	}
	v := list[0]
	for _, x := range list {
		if x.Law == in.Law {
			v = x
		}
	}
	small := s.minimize(in, &v)
	small.Law, small.Says = v.Law, fmt.Sprintf("the %v %s", v.Role, v.Says)
	return small, nil
}

// Check replays the inputs of the entries of a list about two stacks with them, and tells each of an
// entry and of what is wrong with it; "": it is needed. It returns how many entries are about them.
func (k *Known) Check(ctx context.Context, x, y *Remote, tell func(e *KnownEntry, wrong string)) (n int, err error) {
	if k == nil {
		return 0, nil
	}
	for _, e := range k.Known {
		if !k.Between(e, x.StackName(), y.StackName()) {
			continue
		}
		in := e.Input()
		if in == nil {
			n++
			tell(e, "it names no input that shows it")
			continue
		}
		honest := in.role().Peer()
		if !slices.Contains(x.Roles, honest) || !slices.Contains(y.Roles, honest) {
			continue
		}
		n++
		r, err := ReplayApart(ctx, in, x, y, nil)
		if err != nil {
			return n, err
		}
		tell(e, k.wrong(e, r, x, y))
	}
	return n, nil
}

// wrong says why the replay of an entry's input does not show what it explains.
func (k *Known) wrong(e *KnownEntry, r *Replays, x, y *Remote) string {
	for i := range r.Apart {
		if e.explains(k.Peer, &r.Apart[i]) {
			return ""
		}
	}
	if len(r.Apart) > 0 {
		return "its input shows something else: the " + r.Apart[0].Role.String() + " " + r.Apart[0].Says
	}
	return fmt.Sprintf("its input shows no difference: %v %s, %v %s; attls %s", x, r.Ends[0].Outcome, y, r.Ends[1].Outcome,
		r.Ends[0].Local)
}

// Draft is an entry, for the list of one of the two stacks, about a difference that nobody has explained:
// it has no reason yet, so that a list with it is refused. nil: the finding is about one stack.
func (f *Finding) Draft(of StackName) *KnownEntry {
	a := f.Apart
	if a == nil || a.Law == lawCrash {
		return nil
	}
	x, y := 0, 1
	if a.Stacks[1] == of {
		x, y = 1, 0
	}
	mine, other := a.Stacks[x].Version, a.Stacks[y].Version
	e := &KnownEntry{Law: a.Law, Role: a.Role.String(), First: mine, Last: mine, Does: a.Does[x],
		Against: []KnownAgainst{{Stack: stackFamily(a.Stacks[y].Name), First: other, Last: other, Does: a.Does[y]}},
		Shows:   &KnownInput{Connection: f.Input.Connection, Attacker: f.Input.Attacker, Edits: f.Input.Edits}}
	if strings.HasPrefix(a.Own, "refuses") {
		e.Says = strings.TrimSpace(a.Own)
	} else {
		e.Edits = a.Edits
	}
	return e
}
