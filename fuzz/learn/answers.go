package learn

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"attls"
)

// AnswersFormat is the version of a file of answers.
const AnswersFormat = "attls-answers 1"

// Answers are the words that a peer was asked, with what it answered. What is known of a word is known
// of its beginnings, and of what follows the end of its connection.
type Answers struct {
	Inputs []string
	root   *node
}

// node is a word that was asked, with its answer.
type node struct {
	out  string
	over bool // what follows is answered with Closed, up to Reconnect
	next map[string]*node
}

func newNode(out string, over bool) *node { return &node{out, over, map[string]*node{}} }

// NewAnswers returns answers to words of these inputs, of which none is known.
func NewAnswers(inputs []string) *Answers { return &Answers{inputs, newNode("", false)} }

// after is the node after an input; nil: it is not known. Nothing changes a connection that is over.
func (n *node) after(input string) (next *node, out string) {
	if n.over && input != inputReconnect {
		return n, Closed
	}
	if next = n.next[input]; next != nil {
		out = next.out
	}
	return next, out
}

// Known returns what a word is answered, if that is known.
func (a *Answers) Known(word []string) (out []string, ok bool) {
	at := a.root
	if at == nil {
		return nil, false
	}
	for _, x := range word {
		next, y := at.after(x)
		if next == nil {
			return nil, false
		}
		at, out = next, append(out, y)
	}
	return out, true
}

// answered is what a word was answered, and where it was over.
type answered struct {
	out  []string
	over []bool
	err  error
}

// run asks a system a word.
func run(ctx context.Context, s System, word []string) (r answered) {
	if r.err = ctx.Err(); r.err != nil {
		return r
	}
	if r.err = s.Reset(); r.err != nil {
		return r
	}
	ending, _ := s.(Ending)
	for _, x := range word {
		y, err := s.Step(x)
		if err == nil {
			err = ctx.Err() // programs that were ended with the run have answered nothing
		}
		if err != nil {
			r.err = err
			return r
		}
		r.out, r.over = append(r.out, y), append(r.over, ending != nil && ending.Over())
	}
	return r
}

// add takes what a word was answered. It returns how much of the word it was up to an answer that is
// another than the one known before; 0: there is none.
func (a *Answers) add(word []string, r answered) (conflict int) {
	at := a.root
	for i, x := range word {
		next, y := at.after(x)
		switch {
		case next == nil:
			next = newNode(r.out[i], r.over[i])
			at.next[x] = next
		case y != r.out[i]:
			return i + 1
		}
		at = next
	}
	return 0
}

// correct has another answer count. What was known behind the first input whose answer changes is
// forgotten.
func (a *Answers) correct(word []string, r answered) {
	at := a.root
	for i, x := range word {
		next, y := at.after(x)
		if next == nil || y != r.out[i] {
			next = newNode(r.out[i], r.over[i])
			at.over = at.over && x == inputReconnect
			at.next[x] = next
		}
		at = next
	}
}

// ask runs a word, unless it was asked before, and returns what it was answered.
func (l *learner) ask(word []string) ([]string, error) {
	if out, ok := l.answers.Known(word); ok {
		return out, nil
	}
	err := l.askAll([][]string{word})
	out, _ := l.answers.Known(word)
	return out, err
}

// askAll runs words that were not asked before, several at the same time, and compares each with
// what is known of its beginnings.
func (l *learner) askAll(words [][]string) error {
	words = l.unknown(words)
	for part := range slices.Chunk(words, chunk) {
		results := make([]answered, len(part))
		tasks := make(chan int)
		var workers sync.WaitGroup
		for _, s := range l.systems[:min(len(l.systems), len(part))] {
			workers.Go(func() {
				for i := range tasks {
					results[i] = run(l.ctx, s, part[i])
				}
			})
		}
		for i := range part {
			tasks <- i
		}
		close(tasks)
		workers.Wait()
		if err := l.take(part, results); err != nil {
			return err
		}
	}
	return nil
}

// take adds the answers that came, also if some did not.
func (l *learner) take(words [][]string, results []answered) (err error) {
	var conflict error
	for i, r := range results {
		if r.err != nil {
			err = cmpErr(err, r.err)
			continue
		}
		l.stats.Queries++
		l.stats.Inputs += len(words[i])
		if n := l.answers.add(words[i], r); n > 0 && conflict == nil {
			conflict = l.settle(words[i][:n], r.out[:n])
		}
	}
	if l.o.Progress != nil {
		l.o.Progress(l.stats.Queries, len(l.access))
	}
	return cmpErr(err, conflict)
}

// cmpErr is the first error.
func cmpErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// unknown are the words that have to be asked: not those that another one begins with.
func (l *learner) unknown(words [][]string) (list [][]string) {
	seen := newNode("", false)
	for _, word := range words {
		if _, ok := l.answers.Known(word); ok {
			continue
		}
		at := seen
		for _, x := range word {
			if at.next[x] == nil {
				at.next[x] = newNode("", false)
			}
			at = at.next[x]
		}
	}
	done := newNode("", false)
	for _, word := range words {
		if _, ok := l.answers.Known(word); ok {
			continue
		}
		at, asked := seen, done
		for _, x := range word {
			at = at.next[x]
			if asked.next[x] == nil {
				asked.next[x] = newNode("", false)
			}
			asked = asked.next[x]
		}
		if len(at.next) == 0 && !asked.over {
			asked.over = true
			list = append(list, word)
		}
	}
	return list
}

// answersFile is what a file of answers holds: the words that no other begins with.
type answersFile struct {
	Format string      `json:"format"`
	Of     string      `json:"of"`
	Inputs []string    `json:"inputs"`
	Words  []savedWord `json:"words"`
}

type savedWord struct {
	Word []int    `json:"word"` // indices of inputs
	Out  []string `json:"out"`
	Over []int    `json:"over,omitempty"` // the lengths of the beginnings after which the connection is over
}

// Write writes the answers of a peer, which of names.
func (a *Answers) Write(w io.Writer, of string) error {
	f := answersFile{Format: AnswersFormat, Of: of, Inputs: a.Inputs, Words: []savedWord{}}
	var walk func(n *node, word savedWord)
	walk = func(n *node, word savedWord) {
		leaf := true
		for i, x := range a.Inputs {
			next := n.next[x]
			if next == nil {
				continue
			}
			leaf = false
			longer := savedWord{append(slices.Clone(word.Word), i), append(slices.Clone(word.Out), next.out),
				slices.Clone(word.Over)}
			if next.over {
				longer.Over = append(longer.Over, len(longer.Word))
			}
			walk(next, longer)
		}
		if leaf && len(word.Word) > 0 {
			f.Words = append(f.Words, word)
		}
	}
	if a.root != nil {
		walk(a.root, savedWord{})
	}
	var b bytes.Buffer
	b.WriteString("{")
	for i, x := range []struct {
		key   string
		value any
	}{{"format", f.Format}, {"of", f.Of}, {"inputs", f.Inputs}} {
		v, err := json.Marshal(x.value)
		if err != nil {
			return err
		}
		if i > 0 {
			b.WriteString(",\n ")
		}
		fmt.Fprintf(&b, "%q: %s", x.key, v)
	}
	b.WriteString(",\n \"words\": [")
	for i, x := range f.Words {
		v, err := json.Marshal(x)
		if err != nil {
			return err
		}
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString("\n  ")
		b.Write(v)
	}
	b.WriteString("]}\n")
	_, err := w.Write(b.Bytes())
	return err
}

// ReadAnswers reads the answers that Write has written. They have to be of the same peer, and to words of the
// same inputs.
func ReadAnswers(r io.Reader, of string, inputs []string) (*Answers, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxAnswersFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxAnswersFile {
		return nil, fmt.Errorf("more than %d octets", maxAnswersFile)
	}
	var f answersFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, err
	}
	switch {
	case f.Format != AnswersFormat:
		return nil, fmt.Errorf("the file says %q, and this program reads %q", attls.Printable(f.Format), AnswersFormat)
	case f.Of != of:
		return nil, fmt.Errorf("the answers are those of %s, not of %s", attls.Printable(f.Of), attls.Printable(of))
	case !slices.Equal(f.Inputs, inputs):
		return nil, errors.New("the answers are those to other inputs")
	}
	a := NewAnswers(inputs)
	for i, x := range f.Words {
		r := answered{out: x.Out, over: make([]bool, len(x.Word))}
		if len(x.Word) != len(x.Out) || len(x.Word) > maxWord {
			return nil, fmt.Errorf("word %d has %d inputs and %d answers", i+1, len(x.Word), len(x.Out))
		}
		for _, n := range x.Over {
			if n < 1 || n > len(x.Word) {
				return nil, fmt.Errorf("word %d of length %d is over after %d", i+1, len(x.Word), n)
			}
			r.over[n-1] = true
		}
		var word []string
		for _, k := range x.Word {
			if k < 0 || k >= len(inputs) {
				return nil, fmt.Errorf("word %d has input %d; there are %d", i+1, k, len(inputs))
			}
			word = append(word, inputs[k])
		}
		if a.add(word, r) > 0 {
			return nil, fmt.Errorf("word %d is answered in two ways", i+1)
		}
	}
	return a, nil
}

// What a file of answers may have.
const (
	maxAnswersFile = 1 << 28
	maxWord        = 1000
)
