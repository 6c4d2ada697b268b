package learn

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"attls"
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

// Ending is a System whose words can be over: whatever follows is answered with Closed, up to
// Reconnect, and need not be asked.
type Ending interface {
	// Over reports whether nothing but Reconnect has an effect after the last Step.
	Over() bool
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
	// Others are further connections with the same peer, or with others like it. They answer
	// words at the same time; which ones does not depend on how many there are.
	Others []System
	// Answers are known before, and those that come join them. Nil: none are.
	Answers *Answers
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
		attls.Printable(strings.Join(e.First, ", ")), attls.Printable(strings.Join(e.Second, ", ")))
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

type learner struct {
	systems []System
	o       Options
	ctx     context.Context
	inputs  []string
	answers *Answers
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
	l := &learner{systems: append([]System{s}, o.Others...), o: o, ctx: ctx, inputs: s.Inputs(), answers: o.Answers}
	if l.answers == nil {
		l.answers = NewAnswers(l.inputs)
	}
	if l.answers.root == nil {
		l.answers.root = newNode("", false)
	}
	if !slices.Equal(l.answers.Inputs, l.inputs) {
		return nil, l.stats, errors.New("the answers are those to other inputs")
	}
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

// errCorrected says that another answer counts now than before.
var errCorrected = errors.New("an answer was corrected")

// settle asks a word again that was answered otherwise before, until it is known which answer
// counts.
func (l *learner) settle(word, now []string) error {
	before, _ := l.answers.Known(word)
	twice := Nondeterminism{slices.Clone(word), before, slices.Clone(now)}
	if l.o.Repeat == 0 || len(l.stats.Doubts) == maxDoubts {
		return &twice
	}
	system := l.systems[0]
	if p, ok := system.(Patient); ok {
		p.Patience(patience)
		defer p.Patience(1)
	}
	counts := map[string]int{}
	for range l.o.Repeat {
		r := run(l.ctx, system, word)
		l.stats.Queries++
		l.stats.Inputs += len(word)
		if r.err != nil {
			return r.err
		}
		out := r.out
		if counts[strings.Join(out, "\x00")]++; 2*counts[strings.Join(out, "\x00")] <= l.o.Repeat {
			continue
		}
		if slices.Equal(out, before) {
			twice.First, twice.Second = before, now
		} else {
			twice.First, twice.Second = out, before
			l.answers.correct(word, r)
		}
		l.stats.Doubts = append(l.stats.Doubts, twice)
		return errCorrected
	}
	return &twice
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

// prepare asks what the rows of a state and its successors need, first which of them are over.
func (l *learner) prepare(access []string) error {
	var short, long [][]string
	for _, x := range l.inputs {
		short = append(short, append(slices.Clone(access), x))
	}
	if err := l.askAll(short); err != nil {
		return err
	}
	for _, s := range l.suffix {
		long = append(long, slices.Concat(access, s))
		for _, word := range short {
			long = append(long, slices.Concat(word, s))
		}
	}
	return l.askAll(long)
}

// hypothesis closes the table and makes the machine.
func (l *learner) hypothesis() error {
	rows := map[string]int{}
	l.access = l.access[:1]
	for i := 0; i < len(l.access); i++ { // the access words are found again in breadth-first order
		if err := l.prepare(l.access[i]); err != nil {
			return err
		}
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

// chunk is how many words are asked before their answers are looked at.
const chunk = 64

// differing returns the first of the words that the machine answers otherwise than the system; nil: none.
func (l *learner) differing(words [][]string) ([]string, error) {
	for part := range slices.Chunk(words, chunk) {
		if err := l.askAll(part); err != nil {
			return nil, err
		}
		for _, word := range part {
			if out, err := l.ask(word); err != nil || !slices.Equal(out, l.machine.Run(word)) {
				return word, err
			}
		}
	}
	return nil, nil
}

// counterexample looks for a word that the machine answers otherwise than the system.
func (l *learner) counterexample(r *rand.Rand) ([]string, error) {
	if word, err := l.differing(l.o.Ask); word != nil || err != nil {
		return word, err
	}
	if !l.o.Shallow {
		if word, err := l.differing(l.deeper()); word != nil || err != nil {
			return word, err
		}
	}
	var words [][]string
	for range l.o.Words {
		word := []string{}
		for range 1 + r.IntN(l.o.Longest) {
			word = append(word, l.inputs[r.IntN(len(l.inputs))])
		}
		if r.IntN(2) == 0 { // most random words end the connection at once
			word = slices.Concat(l.access[r.IntN(len(l.access))], word)
		}
		words = append(words, word)
	}
	return l.differing(words)
}

// deeper are the words of the W-method for one more state than was found.
func (l *learner) deeper() (words [][]string) {
	for state, access := range l.access {
		if l.machine.over(state) {
			continue
		}
		for i, x := range l.inputs {
			if l.machine.over(l.machine.Next[state][i]) {
				continue
			}
			for _, y := range l.inputs {
				for _, s := range l.suffix {
					words = append(words, slices.Concat(access, []string{x, y}, s))
				}
			}
		}
	}
	return words
}
