package learn

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"attls"
)

// Format is the version of a machine as JSON.
const Format = "attls-machine 1"

// What a machine may have when it is read.
const (
	maxStates = 10000
	maxInputs = 100
	maxFile   = 1 << 24
)

// Machine is a Mealy machine; state 0 is the first.
type Machine struct {
	Format string   `json:"format"`
	Peer   string   `json:"peer"`
	Role   string   `json:"role"` // of the peer
	Inputs []string `json:"inputs"`
	// Outputs and Next are indexed by state and input.
	Outputs [][]string `json:"outputs"`
	Next    [][]int    `json:"next"`
}

// Run returns what the machine answers to a word.
func (m *Machine) Run(word []string) (out []string) {
	state := 0
	for _, x := range word {
		i := slices.Index(m.Inputs, x)
		if i < 0 {
			return out
		}
		out = append(out, m.Outputs[state][i])
		state = m.Next[state][i]
	}
	return out
}

// Mute reports whether the machine never answers anything.
func (m *Machine) Mute() bool {
	return !slices.ContainsFunc(m.Outputs, func(list []string) bool {
		return slices.ContainsFunc(list, func(o string) bool { return o != Nothing })
	})
}

// Read reads a machine.
func Read(r io.Reader) (*Machine, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("more than %d octets", maxFile)
	}
	m := &Machine{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, err
	}
	if m.Format != Format {
		return nil, fmt.Errorf("the file says %q, and this program reads %q", attls.Printable(m.Format), Format)
	}
	n := len(m.Outputs)
	if n == 0 || n > maxStates || len(m.Next) != n || len(m.Inputs) == 0 || len(m.Inputs) > maxInputs {
		return nil, fmt.Errorf("%d states with outputs, %d with successors, %d inputs", n, len(m.Next), len(m.Inputs))
	}
	for i := range n {
		if len(m.Outputs[i]) != len(m.Inputs) || len(m.Next[i]) != len(m.Inputs) {
			return nil, fmt.Errorf("state %d does not have an answer to each input", i)
		}
		for _, next := range m.Next[i] {
			if next < 0 || next >= n {
				return nil, fmt.Errorf("state %d leads to %d; there are %d states", i, next, n)
			}
		}
	}
	return m, nil
}

// Write writes a machine as JSON.
func (m *Machine) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(m)
}

// Difference is a word to which two machines answer differently, at its last input.
type Difference struct {
	Word []string `json:"word"`
	A    string   `json:"a"`
	B    string   `json:"b"`
}

// maxDifferences bounds a list of them.
const maxDifferences = 64

// Diff lists the shortest words that tell two machines apart: one for each pair of states
// that both reach with equal answers, and each input on which these differ.
func Diff(a, b *Machine) ([]Difference, error) {
	if !slices.Equal(a.Inputs, b.Inputs) {
		return nil, errors.New("the machines have different inputs")
	}
	type pair struct{ a, b int }
	type step struct {
		pair
		word []string
	}
	seen := map[pair]bool{{}: true}
	var list []Difference
	for queue := []step{{}}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for i, input := range a.Inputs {
			word := append(slices.Clone(at.word), input)
			x, y := a.Outputs[at.a][i], b.Outputs[at.b][i]
			if x != y {
				if list = append(list, Difference{word, x, y}); len(list) == maxDifferences {
					return list, nil
				}
				continue
			}
			next := pair{a.Next[at.a][i], b.Next[at.b][i]}
			if !seen[next] {
				seen[next] = true
				queue = append(queue, step{next, word})
			}
		}
	}
	return list, nil
}

// over reports whether a state is the end of a connection: nothing but another connection
// leads out of it.
func (m *Machine) over(state int) bool {
	for i, input := range m.Inputs {
		if input != inputReconnect && (m.Next[state][i] != state || m.Outputs[state][i] != Closed) {
			return false
		}
	}
	return true
}
