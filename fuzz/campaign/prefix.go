package campaign

import "attls/conformance/pair"

// maxPrefixes bounds the moments of a connection that are kept.
const maxPrefixes = 96

// prefix is a moment of the base connection from which others go on: in the handshake, behind it,
// or in an exchange of authenticators or frames, of which the run has what is in neither engine.
type prefix struct {
	pair *pair.Pair
	run  *run
}

// mark keeps the moment at hand, where the run is the base of others.
func (r *run) mark() {
	s := r.s
	if !r.marks || len(s.prefixes) >= maxPrefixes || s.unmarked != nil {
		return
	}
	copied := r.clone()
	f, err := r.pair.Fork(s.forks(copied))
	if err != nil {
		s.unmarked = err
		return
	}
	s.prefixes = append(s.prefixes, prefix{f, copied})
}

// latest is the last prefix before anything that an input edits was done; -1: there is
// none, since the first message is edited.
func (s *subject) latest(in *Input) int {
	best := len(s.prefixes) - 1
	role := in.role()
	for i := range in.Edits {
		e := &in.Edits[i]
		for best >= 0 && s.prefixes[best].run.agents[role].reached(e) {
			best--
		}
	}
	return best
}
