package learn

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// System answers words: Reset begins a new connection, Step sends a message and returns
// what came back.
type System interface {
	Inputs() []string
	Reset() error
	Step(input string) (output string, err error)
}

// Patient is a System that can be given more time for its answers.
type Patient interface {
	// Patience has the connections that follow be waited for so many times longer than usual.
	Patience(times int)
}

// patience is how many times longer an answer is waited for that was given in two ways: one of
// them may be an answer that came too late.
const patience = 4

// Options say how a machine is learned.
type Options struct {
	Seed uint64
	// Words are the random words that must agree before a machine counts as learned. 0: 1000.
	Words int
	// Longest is the number of inputs of a random word at most. 0: 12.
	Longest int
	// Shallow leaves out the words of the W-method, which are most of the work. What neither Ask
	// nor the random words show stays hidden then.
	Shallow bool
	// Ask are words that must agree as well, such as those in which another machine differs.
	Ask [][]string
	// Repeat is how often a word is asked again that was answered in two ways. The answer of more
	// than half of these times counts, and the word joins Statistics.Doubts. 0: the run ends.
	Repeat int
	// MaxStates ends a run that finds no end. 0: 100.
	MaxStates int
	// Progress is called after each query.
	Progress func(queries, states int)
}

// Nondeterminism says that a peer answered the same word differently.
type Nondeterminism struct {
	Word          []string
	First, Second []string
}

func (e *Nondeterminism) Error() string {
	return fmt.Sprintf("the peer answers %s first with %s and then with %s", strings.Join(e.Word, ", "),
		strings.Join(e.First, ", "), strings.Join(e.Second, ", "))
}

// Statistics count what learning cost.
type Statistics struct {
	Queries, Inputs int
	Rounds          int
	// Doubts are the words that were answered in two ways, with the answer that did not count.
	Doubts []Nondeterminism
}

// maxDoubts bounds Statistics.Doubts: a peer with more of them cannot be learned.
const maxDoubts = 50

// node is a word that was asked, with its answer.
type node struct {
	out  string
	next map[string]*node
}

type learner struct {
	s       System
	o       Options
	ctx     context.Context
	inputs  []string
	root    *node
	stats   Statistics
	access  [][]string // words that lead to the states
	suffix  [][]string // words that tell states apart
	machine *Machine
}

// Learn learns the machine of a system: L* with all suffixes of a counterexample, and as a
// check the words of the W-method for one more state than was found, and random words.
func Learn(ctx context.Context, s System, o Options) (*Machine, Statistics, error) {
	if o.Words == 0 {
		o.Words = 1000
	}
	if o.Longest == 0 {
		o.Longest = 12
	}
	if o.MaxStates == 0 {
		o.MaxStates = 100
	}
	l := &learner{s: s, o: o, ctx: ctx, inputs: s.Inputs(), root: &node{next: map[string]*node{}}}
	for _, x := range l.inputs {
		l.suffix = append(l.suffix, []string{x})
	}
	l.access = [][]string{{}}
	r := rand.New(rand.NewPCG(o.Seed, 0))
	for {
		l.stats.Rounds++
		err := l.hypothesis()
		var word []string
		if err == nil {
			word, err = l.counterexample(r)
		}
		if errors.Is(err, errCorrected) {
			continue // what was made of the other answer is made again
		}
		if err != nil {
			return nil, l.stats, err
		}
		if word == nil {
			return l.machine, l.stats, nil
		}
		for i := range word {
			if suffix := slices.Clone(word[i:]); !slices.ContainsFunc(l.suffix, func(x []string) bool {
				return slices.Equal(x, suffix)
			}) {
				l.suffix = append(l.suffix, suffix)
			}
		}
	}
}

// ask runs a word, unless it was asked before, and returns what it was answered.
func (l *learner) ask(word []string) ([]string, error) {
	if out, ok := l.known(word); ok {
		return out, nil
	}
	return l.execute(word)
}

func (l *learner) known(word []string) (out []string, ok bool) {
	at := l.root
	for _, x := range word {
		if at = at.next[x]; at == nil {
			return nil, false
		}
		out = append(out, at.out)
	}
	return out, true
}

// execute runs a word and compares it with what is known of its beginnings.
func (l *learner) execute(word []string) (out []string, err error) {
	if err := l.ctx.Err(); err != nil {
		return nil, err
	}
	l.stats.Queries++
	l.stats.Inputs += len(word)
	if err := l.s.Reset(); err != nil {
		return nil, err
	}
	at := l.root
	for i, x := range word {
		y, err := l.s.Step(x)
		if err != nil {
			return nil, err
		}
		out = append(out, y)
		next := at.next[x]
		if next == nil {
			next = &node{out: y, next: map[string]*node{}}
			at.next[x] = next
		} else if next.out != y {
			return nil, l.settle(word[:i+1], out)
		}
		at = next
	}
	if l.o.Progress != nil {
		l.o.Progress(l.stats.Queries, len(l.access))
	}
	return out, nil
}

// errCorrected says that another answer counts now than before.
var errCorrected = errors.New("an answer was corrected")

// settle asks a word again that was answered otherwise before, until it is known which answer
// counts.
func (l *learner) settle(word, now []string) error {
	before, _ := l.known(word)
	twice := Nondeterminism{slices.Clone(word), before, slices.Clone(now)}
	if l.o.Repeat == 0 || len(l.stats.Doubts) == maxDoubts {
		return &twice
	}
	if p, ok := l.s.(Patient); ok {
		p.Patience(patience)
		defer p.Patience(1)
	}
	counts := map[string]int{}
	for range l.o.Repeat {
		if err := l.ctx.Err(); err != nil {
			return err
		}
		l.stats.Queries++
		l.stats.Inputs += len(word)
		if err := l.s.Reset(); err != nil {
			return err
		}
		var out []string
		for _, x := range word {
			y, err := l.s.Step(x)
			if err != nil {
				return err
			}
			out = append(out, y)
		}
		if counts[strings.Join(out, "\x00")]++; 2*counts[strings.Join(out, "\x00")] <= l.o.Repeat {
			continue
		}
		if slices.Equal(out, before) {
			twice.First, twice.Second = before, now
		} else {
			twice.First, twice.Second = out, before
			l.correct(word, out)
		}
		l.stats.Doubts = append(l.stats.Doubts, twice)
		return errCorrected
	}
	return &twice
}

// correct has another answer count. What was known behind the first input whose answer changes is
// forgotten.
func (l *learner) correct(word, out []string) {
	at := l.root
	for i, x := range word {
		next := at.next[x]
		if next == nil || next.out != out[i] {
			next = &node{out: out[i], next: map[string]*node{}}
			at.next[x] = next
		}
		at = next
	}
}

// row is what a word is followed by: the answers to each suffix after it.
func (l *learner) row(word []string) (string, error) {
	var b strings.Builder
	for _, s := range l.suffix {
		out, err := l.ask(slices.Concat(word, s))
		if err != nil {
			return "", err
		}
		b.WriteString(strings.Join(out[len(word):], "\x00"))
		b.WriteByte('\n')
	}
	return b.String(), nil
}

// hypothesis closes the table and makes the machine.
func (l *learner) hypothesis() error {
	rows := map[string]int{}
	l.access = l.access[:1]
	for i := 0; i < len(l.access); i++ { // the access words are found again in breadth-first order
		row, err := l.row(l.access[i])
		if err != nil {
			return err
		}
		if i == 0 {
			rows[row] = 0
		}
		for _, x := range l.inputs {
			word := append(slices.Clone(l.access[i]), x)
			next, err := l.row(word)
			if err != nil {
				return err
			}
			if _, ok := rows[next]; !ok {
				if len(l.access) >= l.o.MaxStates {
					return fmt.Errorf("more than %d states", l.o.MaxStates)
				}
				rows[next] = len(l.access)
				l.access = append(l.access, word)
			}
		}
	}
	m := &Machine{Format: Format, Inputs: l.inputs}
	for _, word := range l.access {
		var outputs []string
		var next []int
		for _, x := range l.inputs {
			longer := append(slices.Clone(word), x)
			out, err := l.ask(longer)
			if err != nil {
				return err
			}
			row, err := l.row(longer)
			if err != nil {
				return err
			}
			outputs, next = append(outputs, out[len(out)-1]), append(next, rows[row])
		}
		m.Outputs, m.Next = append(m.Outputs, outputs), append(m.Next, next)
	}
	l.machine = m
	return nil
}

// counterexample looks for a word that the machine answers otherwise than the system.
func (l *learner) counterexample(r *rand.Rand) ([]string, error) {
	differs := func(word []string) (bool, error) {
		out, err := l.ask(word)
		return err == nil && !slices.Equal(out, l.machine.Run(word)), err
	}
	for _, word := range l.o.Ask {
		if bad, err := differs(word); bad || err != nil {
			return word, err
		}
	}
	if !l.o.Shallow {
		if word, err := l.deeper(differs); word != nil || err != nil {
			return word, err
		}
	}
	for range l.o.Words {
		word := []string{}
		for range 1 + r.IntN(l.o.Longest) {
			word = append(word, l.inputs[r.IntN(len(l.inputs))])
		}
		if r.IntN(2) == 0 { // most random words end the connection at once
			word = slices.Concat(l.access[r.IntN(len(l.access))], word)
		}
		bad, err := differs(word)
		if bad || err != nil {
			return word, err
		}
	}
	return nil, nil
}

// deeper tries the words of the W-method for one more state than was found.
func (l *learner) deeper(differs func([]string) (bool, error)) ([]string, error) {
	for state, access := range l.access {
		if l.machine.over(state) {
			continue
		}
		for _, x := range l.inputs {
			if l.machine.over(l.machine.Next[state][slices.Index(l.inputs, x)]) {
				continue
			}
			for _, y := range l.inputs {
				for _, s := range l.suffix {
					word := slices.Concat(access, []string{x, y}, s)
					if bad, err := differs(word); bad || err != nil {
						return word, err
					}
				}
			}
		}
	}
	return nil, nil
}
