package learn

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"slices"
	"strings"

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

// edge is all that leads from one state to another.
type edge struct {
	from, to int
	labels   []string
}

func (m *Machine) edges() (list []edge) {
	for from := range m.Next {
		for i, to := range m.Next[from] {
			label := m.Inputs[i] + " / " + m.Outputs[from][i]
			at := slices.IndexFunc(list, func(e edge) bool { return e.from == from && e.to == to })
			if at < 0 {
				list = append(list, edge{from, to, nil})
				at = len(list) - 1
			}
			list[at].labels = append(list[at].labels, label)
		}
	}
	return list
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

// name is what a picture calls a state.
func (m *Machine) name(state int) string {
	if m.over(state) {
		return strings.TrimPrefix(fmt.Sprintf("%d closed", state), fmt.Sprintf("%d ", m.onlyEnd(state)))
	}
	return fmt.Sprint(state)
}

// onlyEnd is the state itself where no other is the end of a connection; -1: one is.
func (m *Machine) onlyEnd(state int) int {
	for i := range m.Next {
		if i != state && m.over(i) {
			return -1
		}
	}
	return state
}

// DOT writes the machine for Graphviz. What leads to the end of the connection is left
// out if the peer says the same each time: an alert unexpected_message.
func (m *Machine) DOT(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "digraph %q {\n  rankdir=TB; node [shape=box, fontname=\"sans-serif\"]; "+
		"edge [fontname=\"sans-serif\"];\n",
		m.Peer+" "+m.Role)
	for i := range m.Next {
		fmt.Fprintf(&b, "  s%d [label=%q];\n", i, m.name(i))
	}
	for _, e := range m.edges() {
		if labels := m.shown(e); len(labels) > 0 {
			fmt.Fprintf(&b, "  s%d -> s%d [label=%q];\n", e.from, e.to, strings.Join(labels, "\n"))
		}
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// shown are the labels of an edge that a picture has.
func (m *Machine) shown(e edge) (list []string) {
	for _, l := range e.labels {
		if m.over(e.from) && strings.HasSuffix(l, "/ "+Closed) {
			continue
		}
		if !m.over(e.to) || !strings.HasSuffix(l, "/ alert unexpected_message") {
			list = append(list, l)
		}
	}
	return list
}

// SVG writes a picture of the machine: the states in a column, in the order in which they
// are reached, and what leads from one to another at its side.
func (m *Machine) SVG(w io.Writer) error {
	const left, box, line = 24, 90, 15
	var b strings.Builder
	heights, at := make([]int, len(m.Next)), make([]int, len(m.Next))
	rows := make([][]string, len(m.Next))
	for _, e := range m.edges() {
		for _, l := range m.shown(e) {
			to := "→ " + m.name(e.to)
			if e.to == e.from {
				to = "stays"
			}
			rows[e.from] = append(rows[e.from], to+":  "+l)
		}
	}
	y := 50
	for i := range m.Next {
		at[i], heights[i] = y, max(34, line*len(rows[i])+12)
		y += heights[i] + 18
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="900" height="%d" viewBox="0 0 900 %d" role="img" `+
		`font-family="system-ui, sans-serif" font-size="12"><title>%s</title>`+
		`<rect width="100%%" height="100%%" fill="#ffffff"/>`,
		y, y, html.EscapeString("State machine of "+m.Peer+" as "+m.Role))
	fmt.Fprintf(&b, `<text x="%d" y="28" font-size="15">%s, as %s: %d states. Every other input ends the connection with `+
		`unexpected_message.</text>`, left, html.EscapeString(m.Peer), html.EscapeString(m.Role), len(m.Next))
	for i := range m.Next {
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="28" rx="5" fill="#e8eef5" stroke="#1f5f9e"/>`+
			`<text x="%d" y="%d" text-anchor="middle">%s</text>`, left, at[i], box, left+box/2, at[i]+18, m.name(i))
		for k, l := range rows[i] {
			fmt.Fprintf(&b, `<text x="%d" y="%d">%s</text>`, left+box+20, at[i]+18+line*k, html.EscapeString(l))
		}
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}
