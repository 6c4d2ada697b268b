package learn

import (
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
)

// arrow is all that leads from one state to another with the same answer.
type arrow struct {
	from, to int
	inputs   []string
	output   string
	differs  bool // another machine answers otherwise
}

func (a *arrow) label() string {
	return strings.Join(a.inputs, ", ") + " / " + a.output
}

// arrows are those of a machine, without the ones from the end of a connection to itself.
func (m *Machine) arrows(against *Machine) (list []arrow) {
	other := m.differing(against)
	for from := range m.Next {
		for i, to := range m.Next[from] {
			if m.over(from) && to == from {
				continue
			}
			x := arrow{from, to, []string{m.Inputs[i]}, m.Outputs[from][i], other[[2]int{from, i}]}
			at := slices.IndexFunc(list, func(y arrow) bool {
				return y.from == x.from && y.to == x.to && y.output == x.output && y.differs == x.differs
			})
			if at >= 0 {
				list[at].inputs = append(list[at].inputs, x.inputs[0])
			} else {
				list = append(list, x)
			}
		}
	}
	return list
}

// differing are the states and inputs whose answers differ from those of another machine that came there
// by the same word, with the same answers.
func (m *Machine) differing(other *Machine) map[[2]int]bool {
	found := map[[2]int]bool{}
	if other == nil || !slices.Equal(m.Inputs, other.Inputs) {
		return found
	}
	seen := map[[2]int]bool{{}: true}
	for queue := [][2]int{{}}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for i := range m.Inputs {
			if m.Outputs[at[0]][i] != other.Outputs[at[1]][i] {
				found[[2]int{at[0], i}] = true
				continue
			}
			if next := [2]int{m.Next[at[0]][i], other.Next[at[1]][i]}; !seen[next] {
				seen[next] = true
				queue = append(queue, next)
			}
		}
	}
	return found
}

// layers are how many inputs lead to each state at least, and the input that does so last. A state
// that nothing leads to is in none (-1).
func (m *Machine) layers() (depth []int, last []string) {
	depth, last = make([]int, len(m.Next)), make([]string, len(m.Next))
	for i := range depth {
		depth[i] = -1
	}
	depth[0] = 0
	for queue := []int{0}; len(queue) > 0; queue = queue[1:] {
		for i, to := range m.Next[queue[0]] {
			if depth[to] < 0 {
				depth[to], last[to] = depth[queue[0]]+1, m.Inputs[i]
				queue = append(queue, to)
			}
		}
	}
	return depth, last
}

// name is what a picture calls a state: its number, and what led to it.
func (m *Machine) name(state int) string {
	_, last := m.layers()
	switch {
	case m.over(state):
		return fmt.Sprintf("%d closed", state)
	case state == 0:
		return "0 start"
	}
	return fmt.Sprintf("%d after %s", state, last[state])
}

// refusal is the answer with which most inputs end the connection in a state; empty: none does.
func (m *Machine) refusal(state int) string {
	counts := map[string]int{}
	most := ""
	for i, to := range m.Next[state] {
		if out := m.Outputs[state][i]; m.over(to) && to != state {
			if counts[out]++; counts[out] > counts[most] {
				most = out
			}
		}
	}
	if counts[most] < 2 {
		return ""
	}
	return most
}

// DOT writes the machine for Graphviz. The answer with which most inputs end the connection in a state is in
// the state.
func (m *Machine) DOT(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "digraph %q {\n  rankdir=TB; node [shape=box, fontname=\"sans-serif\"]; "+
		"edge [fontname=\"sans-serif\"];\n", m.Peer+" "+m.Role)
	for i := range m.Next {
		name := m.name(i)
		if out := m.refusal(i); out != "" && !m.over(i) {
			name += "\nall else: " + out
		}
		more := ""
		if m.over(i) {
			more = ", color=gray, fontcolor=gray"
		}
		fmt.Fprintf(&b, "  s%d [label=%q%s];\n", i, name, more)
	}
	for _, e := range m.arrows(nil) {
		if m.over(e.to) && e.output == m.refusal(e.from) {
			continue
		}
		more := ""
		if m.over(e.to) {
			more = ", color=gray, fontcolor=gray"
		}
		fmt.Fprintf(&b, "  s%d -> s%d [label=%q%s];\n", e.from, e.to, strings.Join(wrap(e.label(), 40), "\n"), more)
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// wrap breaks a text at spaces into lines of so many octets, where that is possible.
func wrap(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}

// Measures of a picture, in pixels.
const (
	boxWidth   = 330
	boxGap     = 50
	lineHeight = 15
	margin     = 24
	titleRoom  = 62
	boxColumns = 50 // characters in a line of a box
	tagColumns = 34 // and of what leads to another box
)

// Colours: of what goes on, of what ends the connection, and of what differs from another machine.
const (
	inkPlain  = "#1b1f24"
	inkEnds   = "#8a9099"
	inkDiffer = "#b3261e"
	inkLine   = "#1f5f9e"
)

type inkedLine struct{ text, ink string }

// box is a state in a picture.
type box struct {
	state        int
	x, y, height int
	lines        []inkedLine
}

// picture is a machine as it is drawn.
type picture struct {
	m       *Machine
	boxes   map[int]*box
	rows    [][]int
	down    [][]arrow // from each row to the next one
	aside   []arrow   // the others
	width   int
	height  int
	channel []int // the y at which the room under a row begins
}

// SVG draws the machine: a row for each number of inputs that lead to a state, what leads from a state to
// itself or ends the connection inside its box, and the end of the connection not at all. against is a machine
// with the same inputs, from which answers that differ are marked; nil: there is none.
func (m *Machine) SVG(w io.Writer, against *Machine) error {
	p := &picture{m: m, boxes: map[int]*box{}}
	p.place(against)
	var b strings.Builder
	title := fmt.Sprintf("%s, as %s: %d states", m.Peer, m.Role, len(m.Next))
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" `+
		`font-family="system-ui, sans-serif" font-size="11.5"><title>%s</title><defs><marker id="a" viewBox="0 0 8 8" `+
		`refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" fill="%s"/></marker>`+
		`</defs><rect width="100%%" height="100%%" fill="#ffffff"/>`, p.width, p.height, p.width, p.height,
		html.EscapeString("State machine of "+title), inkLine)
	fmt.Fprintf(&b, `<text x="%d" y="26" font-size="16" fill="%s">%s</text>`, margin, inkPlain, html.EscapeString(title))
	legend := "input / answer; “-” means silence. Grey: ends the connection."
	if against != nil {
		legend += " Red: differs from " + against.Peer + "."
	}
	fmt.Fprintf(&b, `<text x="%d" y="44" fill="%s">%s</text>`, margin, inkEnds, html.EscapeString(legend))
	p.drawAside(&b)
	p.drawDown(&b)
	for _, row := range p.rows {
		for _, state := range row {
			p.boxes[state].draw(&b, m.name(state))
		}
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// place says where everything goes.
func (p *picture) place(against *Machine) {
	depth, _ := p.m.layers()
	for state, d := range depth {
		if d < 0 || p.m.over(state) && state != 0 {
			continue
		}
		for len(p.rows) <= d {
			p.rows = append(p.rows, nil)
		}
		p.rows[d] = append(p.rows[d], state)
		p.boxes[state] = &box{state: state}
	}
	p.down = make([][]arrow, len(p.rows))
	for _, a := range p.m.arrows(against) {
		from := p.boxes[a.from]
		switch {
		case from == nil:
		case p.boxes[a.to] == nil || a.to == a.from:
			from.inside(p.m, a)
		case depth[a.to] == depth[a.from]+1:
			p.down[depth[a.from]] = append(p.down[depth[a.from]], a)
		default:
			from.add(fmt.Sprintf("→ %d: %s", a.to, a.label()), ink(a.differs, inkPlain))
			p.aside = append(p.aside, a)
		}
	}
	widest := 0
	for _, row := range p.rows {
		widest = max(widest, len(row))
	}
	p.width = 2*margin + widest*(boxWidth+boxGap) + 40
	y := titleRoom
	for d, row := range p.rows {
		x := margin + (widest-len(row))*(boxWidth+boxGap)/2
		tallest := 0
		for _, state := range row {
			b := p.boxes[state]
			b.x, b.y, b.height = x, y, 26+lineHeight*len(b.lines)+min(6, 6*len(b.lines))
			x, tallest = x+boxWidth+boxGap, max(tallest, b.height)
		}
		y += tallest
		p.channel = append(p.channel, y)
		for _, a := range p.down[d] {
			y += lineHeight*len(wrap(a.label(), tagColumns)) + 6
		}
		y += 30
	}
	p.height = y
}

func ink(differs bool, otherwise string) string {
	if differs {
		return inkDiffer
	}
	return otherwise
}

// inside adds what stays in a state or ends the connection.
func (b *box) inside(m *Machine, a arrow) {
	switch {
	case a.to == a.from:
		b.add("stays: "+a.label(), ink(a.differs, inkPlain))
	case a.output == m.refusal(a.from) && !a.differs:
		b.add("all else: "+a.output, inkEnds)
	default:
		b.add("ends: "+a.label(), ink(a.differs, inkEnds))
	}
}

func (b *box) add(text, ink string) {
	for i, line := range wrap(text, boxColumns) {
		if i > 0 {
			line = "\u2003" + line
		}
		b.lines = append(b.lines, inkedLine{line, ink})
	}
}

func (b *box) draw(w *strings.Builder, name string) {
	fmt.Fprintf(w, `<rect x="%d" y="%d" width="%d" height="%d" rx="6" fill="#eef3f9" stroke="%s"/>`, b.x, b.y, boxWidth,
		b.height, inkLine)
	fmt.Fprintf(w, `<text x="%d" y="%d" font-size="13" font-weight="600" fill="%s">%s</text>`, b.x+10, b.y+18, inkPlain,
		html.EscapeString(name))
	for i, l := range b.lines {
		fmt.Fprintf(w, `<text x="%d" y="%d" fill="%s">%s</text>`, b.x+10, b.y+35+lineHeight*i, l.ink,
			html.EscapeString(l.text))
	}
}

// drawDown draws what leads to the next row. Each label has lines of its own between the rows, so that none
// covers another.
func (p *picture) drawDown(w *strings.Builder) {
	for d, list := range p.down {
		var tags strings.Builder
		out, in := map[int]int{}, map[int]int{}
		total, into := map[int]int{}, map[int]int{}
		for _, a := range list {
			total[a.from]++
			into[a.to]++
		}
		y := p.channel[d] + 14
		for _, a := range list {
			from, to := p.boxes[a.from], p.boxes[a.to]
			out[a.from]++
			in[a.to]++
			x1 := from.x + boxWidth*out[a.from]/(total[a.from]+1)
			x2 := to.x + boxWidth*in[a.to]/(into[a.to]+1)
			y1, y2 := from.y+from.height, to.y
			fmt.Fprintf(w, `<path d="M%d %dL%d %d" fill="none" stroke="%s" marker-end="url(#a)"/>`, x1, y1, x2, y2,
				ink(a.differs, inkLine))
			lines := wrap(a.label(), tagColumns)
			at := x1
			if y2 > y1 {
				at = x1 + (x2-x1)*(y+lineHeight*len(lines)/2-y1)/(y2-y1)
			}
			width := 0
			for _, l := range lines {
				width = max(width, len(l))
			}
			room := width*6 + 12
			at = min(max(at, margin+room/2), p.width-margin-room/2)
			fmt.Fprintf(&tags, `<rect x="%d" y="%d" width="%d" height="%d" rx="3" fill="#ffffff" fill-opacity="0.9"/>`,
				at-room/2, y-2, room, lineHeight*len(lines)+3)
			for k, l := range lines {
				fmt.Fprintf(&tags, `<text x="%d" y="%d" text-anchor="middle" fill="%s">%s</text>`, at, y+10+lineHeight*k,
					ink(a.differs, inkPlain), html.EscapeString(l))
			}
			y += lineHeight*len(lines) + 6
		}
		w.WriteString(tags.String())
	}
}

// drawAside draws what leads back, or past a row, at the side of the boxes; what it is is in the box.
func (p *picture) drawAside(w *strings.Builder) {
	drawn := map[[2]int]bool{}
	for _, a := range p.aside {
		key := [2]int{a.from, a.to}
		if drawn[key] {
			continue
		}
		drawn[key] = true
		from, to := p.boxes[a.from], p.boxes[a.to]
		x1, x2 := from.x+boxWidth, to.x+boxWidth
		y1, y2 := from.y+from.height/2, to.y+min(to.height/2, 14)
		bend := max(x1, x2) + 30
		fmt.Fprintf(w, `<path d="M%d %dC%d %d %d %d %d %d" fill="none" stroke="%s" stroke-dasharray="4 3" `+
			`marker-end="url(#a)"/>`, x1, y1, bend, y1, bend, y2, x2, y2, inkLine)
	}
}
