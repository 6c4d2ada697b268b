package columns

import "strings"

// Table is a table whose first row is its head.
type Table struct {
	Indent string
	Rows   [][]string
	// Right says of a column that it is aligned to the right; one that is not in the
	// list is aligned to the left.
	Right []bool
}

// Add adds a row.
func (t *Table) Add(cells ...string) { t.Rows = append(t.Rows, cells) }

// Line is a line of a table.
type Line struct {
	Row  int // in Rows
	Text string
}

const (
	gap     = 2    // between two columns of a table
	prose   = 20   // what a column keeps whose cells have several words
	narrow  = 12   // what a column keeps whose words are broken
	hanging = "  " // before the later lines of a row that is a list
)

// Lines lays the table out in a width; 0 means no limit. Where the table is too wide, its
// gaps shrink, then the cells of its widest columns are wrapped. Where even that is too
// wide, each row becomes a list of its cells, each after its head.
func (t *Table) Lines(width int) []Line {
	widths := t.natural()
	between := gap
	if width > 0 {
		if total(widths, between)+Width(t.Indent) > width {
			between = 1
		}
		if !t.shrink(widths, width-Width(t.Indent)-between*(len(widths)-1)) {
			return t.listed(width)
		}
	}
	var lines []Line
	for i, row := range t.Rows {
		for _, text := range t.row(row, widths, strings.Repeat(" ", between)) {
			lines = append(lines, Line{i, text})
		}
	}
	return lines
}

func total(widths []int, between int) int {
	n := between * (len(widths) - 1)
	for _, w := range widths {
		n += w
	}
	return n
}

func (t *Table) right(column int) bool { return column < len(t.Right) && t.Right[column] }

// natural are the widths of the columns that need no wrapping.
func (t *Table) natural() (widths []int) {
	for _, row := range t.Rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], Width(cell))
		}
	}
	return widths
}

// floors are widths that the columns keep. A number stays whole, and so do the words
// of the head.
func (t *Table) floors(columns int, broken bool) []int {
	floors := make([]int, columns)
	for r, row := range t.Rows {
		for i, cell := range row {
			n := Width(cell)
			word := Longest(strings.Fields(cell))
			switch {
			case r == 0:
				n = word
			case t.right(i):
			case word < n:
				n = min(n, max(word, prose))
			case broken:
				n = min(n, narrow)
			}
			floors[i] = max(floors[i], n)
		}
	}
	return floors
}

// shrink makes the widest column narrower until the columns take no more than width.
// Words are broken only where nothing else helps.
func (t *Table) shrink(widths []int, width int) bool {
	for _, broken := range []bool{false, true} {
		floors := t.floors(len(widths), broken)
		for total(widths, 0) > width {
			widest := -1
			for i, w := range widths {
				if w > floors[i] && (widest < 0 || w > widths[widest]) {
					widest = i
				}
			}
			if widest < 0 {
				break
			}
			widths[widest]--
		}
	}
	return total(widths, 0) <= width
}

// row is the lines of a row.
func (t *Table) row(cells []string, widths []int, between string) []string {
	wrapped := make([][]string, len(cells))
	height := 1
	for i, cell := range cells {
		wrapped[i] = Wrap(cell, max(1, widths[i]), "")
		height = max(height, len(wrapped[i]))
	}
	lines := make([]string, height)
	for y := range lines {
		var b strings.Builder
		b.WriteString(t.Indent)
		for i := range cells {
			text := ""
			if y < len(wrapped[i]) {
				text = wrapped[i][y]
			}
			if i > 0 {
				b.WriteString(between)
			}
			if t.right(i) {
				b.WriteString(strings.Repeat(" ", max(0, widths[i]-Width(text))) + text)
			} else {
				b.WriteString(Pad(text, widths[i]))
			}
		}
		lines[y] = strings.TrimRight(b.String(), " ")
	}
	return lines
}

// listed has each row as "HEAD cell; HEAD cell".
func (t *Table) listed(width int) (lines []Line) {
	for r, row := range t.Rows {
		if r == 0 {
			continue
		}
		var parts []string
		for i, cell := range row {
			if cell != "" {
				parts = append(parts, strings.TrimSpace(t.Rows[0][i]+" "+cell))
			}
		}
		for _, text := range Wrap(t.Indent+strings.Join(parts, "; "), width, t.Indent+hanging) {
			lines = append(lines, Line{r, text})
		}
	}
	return lines
}
