package campaign

import "math/rand/v2"

// kept are the inputs of a worker that reached something, from which others are made.
type kept struct {
	list []*Input
	hot  []hot
}

// hot is an input that is to be drawn so many times more than others.
type hot struct {
	in   *Input
	left int
}

// The energy of an input: it is drawn so many times apart from those that are drawn by chance.
const (
	energyOutcome = 4  // an end came to something new
	energyRule    = 24 // a rule had to do with it, or refused, for the first time
)

func (k *kept) add(in *Input, energy int) {
	k.list = append(k.list, in)
	if energy > 0 {
		k.hot = append(k.hot, hot{in, energy})
	}
}

// draw takes one of the inputs: half of the time one that has energy left; nil: there is none.
func (k *kept) draw(r *rand.Rand) *Input {
	if len(k.list) == 0 {
		return nil
	}
	if len(k.hot) == 0 || r.IntN(2) == 0 {
		return pick(r, k.list)
	}
	i := r.IntN(len(k.hot))
	in := k.hot[i].in
	if k.hot[i].left--; k.hot[i].left == 0 {
		k.hot[i] = k.hot[len(k.hot)-1]
		k.hot = k.hot[:len(k.hot)-1]
	}
	return in
}
