package campaign

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"attls"
)

// rival is a stack that a subject's inputs go to as well, to be compared with the first one.
type rival struct {
	link *link
	as   [2]bool // the ends as which it completes the connection without edits
}

// Apart is where two stacks do otherwise with the same input.
type Apart struct {
	// Violation has the law: lawDifference, lawOtherAlert or lawCrash.
	Violation
	// Stacks are the two, in an order that does not depend on which of them is the peer; of a
	// crash, the first is the one that crashed.
	Stacks [2]StackName
	// Does says what each did, Own what attls does.
	Does [2]string
	Own  string
	// Edits are those of the input, without octets.
	Edits string
}

// StackName is a stack with its version.
type StackName struct{ Name, Version string }

// String is the name with the version.
func (n StackName) String() string { return strings.TrimSpace(n.Name + " " + n.Version) }

// StackName is that of a stack.
func (x *Remote) StackName() StackName { return StackName{x.Name, x.Version} }

// Family is the name of a stack without the release that the names of some adapters end with: lists
// of known findings have it.
func (x *Remote) Family() string { return stackFamily(x.Name) }

// way is how an end came out of a connection, seen from outside.
type way int

// The ways, in the order in which a text names those who took them.
const (
	wentOn  way = iota // it completed the handshake
	fell               // it did, and then sent a fatal alert
	waited             // it waits for more, as attls does, or did not answer in time
	closed             // it ended the connection without an alert
	refuses            // it sent a fatal alert
	broke              // its program ended
	unknown            // the attacker cannot tell
)

// conduct is the way of the honest end in words.
func (r *run) conduct() (way, string) {
	honest, t := r.attacker.Peer(), r.told
	theirs, own := r.errs[honest], r.errs[r.attacker]
	switch {
	case t.crash != "":
		return broke, "is ended by a signal: " + t.crash
	case t.ended:
		return broke, "ends, as a server that should take further connections"
	case r.done[honest] && theirs != nil:
		return fell, fmt.Sprintf("completes the handshake and then sends %v", theirs.Alert)
	case r.done[honest]:
		return wentOn, "completes the handshake"
	case theirs != nil:
		return refuses, fmt.Sprintf("refuses with %v", theirs.Alert)
	case t.unclear:
		return unknown, "answers under keys that the attacker does not have"
	case own != nil && own.Class != attls.FromPeer && own.Class != attls.Local:
		return unknown, fmt.Sprintf("sends %v, which the attacker refuses", own.Message)
	case t.silent && t.local.waits(honest):
		return waited, "waits for more"
	case t.silent:
		return waited, "does not answer in time"
	}
	return closed, "ends the connection without an alert"
}

// own says what attls does in the place of the honest end.
func (t *told) own(r *run) string {
	honest, local := r.attacker.Peer(), t.local
	switch e := local.errs[honest]; {
	case !r.alike(local), e != nil && local.got(honest, e.Message) && !r.got(honest, e.Message):
		return "is asked something else"
	case e != nil && e.HasAlert:
		return fmt.Sprintf("refuses with %v (%s) at %v: %s %s", e.Alert, e.Failure, e.Message, e.Field, e.Detail)
	case e != nil:
		return fmt.Sprintf("refuses (%s) at %v: %s %s", e.Failure, e.Message, e.Field, e.Detail)
	case local.done[honest]:
		return "completes the handshake"
	}
	return "waits for more"
}

// got reports whether an end received a message of a kind.
func (r *run) got(role attls.Role, k attls.MessageKind) bool {
	return slices.ContainsFunc(r.log, func(x entry) bool {
		return x.role == role && !x.sent && x.raw != nil && x.kind == k
	})
}

// apart lists where the stacks that got an input do otherwise than the first one, and those whose
// programs ended.
func (r *run) apart() (list []Apart) {
	honest := r.attacker.Peer()
	runs := append([]*run{r}, r.told.rivals...)
	for _, x := range runs {
		if x == nil {
			continue
		}
		if w, does := x.conduct(); w == broke {
			name := x.s.link.StackName()
			list = append(list, Apart{Violation: Violation{lawCrash, honest, fmt.Sprintf("of %v %s", name, does)},
				Stacks: [2]StackName{name, name}, Does: [2]string{does, does}, Own: r.told.own(r),
				Edits: editsOf(r.agents[r.attacker].edits)})
		}
	}
	for _, x := range runs[1:] {
		if x != nil {
			list = append(list, r.besides(x)...)
		}
	}
	return list
}

// besides compares two stacks that got the same input.
func (r *run) besides(x *run) []Apart {
	honest := r.attacker.Peer()
	a, aDoes := r.conduct()
	b, bDoes := x.conduct()
	law := lawDifference
	switch {
	case a == unknown || b == unknown || a == broke || b == broke || aDoes == bDoes:
		return nil
	case !r.alike(x):
		return nil
	case a == refuses && b == refuses, min(a, b) == closed && max(a, b) == refuses:
		if !r.single() {
			return nil
		}
		law = lawOtherAlert
	}
	for _, y := range []*run{r, x} {
		if e := y.errs[honest]; e != nil && e.Alert == attls.AlertNoApplicationProtocol {
			return nil // a matter of what it was started with
		}
	}
	if r.ofTrust() && r.s.link.verifies[honest] != x.s.link.verifies[honest] {
		return nil // of what they were told to do with chains
	}
	d := Apart{Stacks: [2]StackName{r.s.link.StackName(), x.s.link.StackName()}, Does: [2]string{aDoes, bDoes},
		Own: r.told.own(r), Edits: editsOf(r.agents[r.attacker].edits)}
	if cmp.Or(cmp.Compare(a, b), cmp.Compare(d.Stacks[0].String(), d.Stacks[1].String())) > 0 {
		slices.Reverse(d.Stacks[:])
		slices.Reverse(d.Does[:])
	}
	d.Violation = Violation{law, honest, fmt.Sprintf("of %v %s, that of %v %s; attls %s", d.Stacks[0], d.Does[0],
		d.Stacks[1], d.Does[1], d.Own)}
	return []Apart{d}
}

// ofTrust reports whether an input is about the chain or the key of a certificate, which programs
// judge as they were told to.
func (r *run) ofTrust() bool {
	if e := r.told.local.errs[r.attacker.Peer()]; e != nil && ofCertificate(e.Failure) {
		return true
	}
	return slices.ContainsFunc(r.agents[r.attacker].edits, func(e Edit) bool {
		return e.Do == "credential" || e.Do == "scheme" || e.Message == attls.KindCertificate.String()
	})
}

// editsOf names edits without octets and places.
func editsOf(list []Edit) string {
	var parts []string
	for i := range list {
		e := list[i]
		e.Octets, e.From, e.At = nil, "", 0
		parts = append(parts, e.String())
	}
	return strings.Join(parts, "; ")
}

// cause is the same for differences that belong together: where attls refuses, those of one rule,
// and else those of one edit.
func (a *Apart) cause(in *Input) string {
	text := a.Violation.cause(in, true)
	if strings.HasPrefix(a.Own, "refuses") {
		return text
	}
	return text + " [" + plainText(a.Edits) + "]"
}

// facing is the subject with a rival in the place of the stack.
func (s *subject) facing(x *rival) *subject {
	c := *s
	c.link, c.abroadAs, c.rivals = x.link, x.as, nil
	return &c
}

// patiently is the subject with more time for every stack.
func (s *subject) patiently() *subject {
	c := *s
	c.link = s.link.patient()
	c.rivals = slices.Clone(s.rivals)
	for i := range c.rivals {
		c.rivals[i].link = c.rivals[i].link.patient()
	}
	return &c
}

// besides runs an input with the stack and with each of its rivals.
func (s *subject) besides(in *Input, local *run) (*run, error) {
	honest := in.role().Peer()
	r, err := s.dial(in, local, nil)
	if err != nil {
		return nil, err
	}
	for i := range s.rivals {
		var x *run
		if s.rivals[i].as[honest] {
			if x, err = s.facing(&s.rivals[i]).dial(in, local, nil); err != nil {
				return nil, err
			}
		}
		r.told.rivals = append(r.told.rivals, x)
	}
	return r, nil
}

// compared finds out which connections rivals complete, and returns the subjects that the stack
// and one of them do.
func (w *worker) compared(t *Target, list []*subject) (sound []*subject, left []string, err error) {
	for _, l := range w.rivals {
		var copies []*subject
		for _, s := range list {
			copies = append(copies, s.facing(&rival{link: l}))
		}
		ends, more, err := l.controls(t, copies)
		left = append(left, more...)
		if err != nil {
			return nil, left, err
		}
		for _, c := range ends {
			at := slices.IndexFunc(list, func(s *subject) bool { return s.conn == c.conn })
			list[at].rivals = append(list[at].rivals, rival{l, c.abroadAs})
		}
	}
	for _, s := range list {
		for _, role := range attls.Roles() {
			s.abroadAs[role] = s.abroadAs[role] &&
				slices.ContainsFunc(s.rivals, func(x rival) bool { return x.as[role] })
		}
		if s.abroadAs[0] || s.abroadAs[1] {
			sound = append(sound, s)
		}
	}
	if len(sound) == 0 {
		return nil, left, fmt.Errorf("%v completes no connection that another stack completes: %v", w.link, left)
	}
	return sound, left, nil
}

// links are the ways to all stacks of a worker.
func (w *worker) links() []*link {
	if w.link == nil {
		return nil
	}
	return append([]*link{w.link}, w.rivals...)
}

func apartViolations(list []Apart) (out []Violation) {
	for i := range list {
		out = append(out, list[i].Violation)
	}
	return out
}

// shows reports whether an input shows something once more, with more time. An interrupt counts as
// if it did, so that nothing is lost.
func (s *subject) shows(in *Input, cause string) bool {
	again := s.patiently()
	r, err := again.run(in)
	if err != nil {
		return s.link.ctx.Err() != nil
	}
	if s.rivals != nil {
		list := r.apart()
		return slices.ContainsFunc(list, func(a Apart) bool { return a.cause(in) == cause })
	}
	return slices.ContainsFunc(in.violations(r), func(v Violation) bool { return v.cause(in, true) == cause })
}

// differ keeps a difference. Edits that have no part in it are left out before it is explained:
// they may be known to make another.
func (w *worker) differ(in *Input, a *Apart, s *subject) {
	first := a.cause(in)
	if cause, ok := w.same[first]; ok {
		w.c.again(cause, in, a)
		return
	}
	small := in
	if len(in.Edits) > 1 {
		small = fewer(in, func(x *Input) bool {
			r, err := s.run(x)
			return err == nil && slices.ContainsFunc(r.apart(), func(b Apart) bool {
				if b.Law != a.Law || b.Stacks != a.Stacks || b.Does != a.Does {
					return false
				}
				a = &b
				return true
			})
		})
	}
	if len(small.Edits) > 1 {
		small, a = s.alone(small, a)
	}
	cause := a.cause(small)
	w.same[first] = cause
	x := &sighting{in: small, Violation: a.Violation, cause: cause, apart: a, peer: a.Stacks[0].String(),
		against: a.Stacks[1].String(), known: explain(w.c.o.Remote, w.c.o.Against, a)}
	if a.Law == lawCrash {
		x.against = ""
	} else {
		x.again = func() bool {
			shows := s.shows(small, cause)
			if !shows {
				delete(w.same, first)
			}
			return shows
		}
	}
	x.shrink = func(in *Input) *Input {
		return smaller(in, func(x *Input) bool {
			r, err := s.run(x)
			return err == nil && slices.ContainsFunc(r.apart(), func(b Apart) bool { return b.cause(x) == cause })
		})
	}
	w.c.sighted(x)
}

// alone finds an edit of an input that makes a difference by itself, for which attls and one of the two
// stacks do the same as for the whole input; the rest is then beside the point.
func (s *subject) alone(in *Input, a *Apart) (*Input, *Apart) {
	for i := range in.Edits {
		x := in.clone()
		x.Edits = slices.Clone(in.Edits[i : i+1])
		r, err := s.run(x)
		if err != nil {
			continue
		}
		for _, b := range r.apart() {
			if b.Own == a.Own && b.Stacks == a.Stacks && (b.Does[0] == a.Does[0] || b.Does[1] == a.Does[1]) {
				return x, &b
			}
		}
	}
	return in, a
}

// again counts a cause that is known to a worker.
func (c *campaign) again(cause string, in *Input, a *Apart) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.causes[cause]
	if f == nil {
		return
	}
	f.Count++
	if f.Known != nil && in.size() < f.Input.size() {
		f.Input, f.Apart = in, a
	}
}

// explain finds the entry that explains a difference in the lists of the stacks; nil: it is new.
func explain(x *Remote, against []*Remote, a *Apart) *KnownEntry {
	for _, r := range append([]*Remote{x}, against...) {
		if k := r.Known.ExplainsApart(a); k != nil {
			return k
		}
	}
	return nil
}
