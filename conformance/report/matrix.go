package report

import "slices"

// Tally is a number of runs of an outcome.
type Tally struct {
	Outcome Outcome
	Count   int
}

// Tallies counts the outcomes that occur.
func (r *Report) Tallies() []Tally {
	var t counts
	for i := range r.Runs {
		t.add(r.Runs[i].Outcome)
	}
	return t.tallies()
}

// counts has a number for each of Outcomes.
type counts [5]int

func (c *counts) add(o Outcome) {
	if i := slices.Index(Outcomes, o); i >= 0 {
		c[i]++
	}
}

func (c *counts) tallies() (list []Tally) {
	for i, n := range c {
		if n > 0 {
			list = append(list, Tally{Outcomes[i], n})
		}
	}
	return list
}

// Cell is what a pair of stacks came to under a profile.
type Cell struct {
	Pair, Profile string
	Total         int // with those that could not be made
	counts        counts
}

// Count counts the runs of an outcome.
func (c *Cell) Count(o Outcome) int { return c.counts[slices.Index(Outcomes, o)] }

// Tallies counts the outcomes that occur.
func (c *Cell) Tallies() []Tally { return c.counts.tallies() }

// Worst is the outcome to look at first.
func (c *Cell) Worst() Outcome {
	for _, t := range c.Tallies() {
		return t.Outcome
	}
	return ""
}

// Colour is that of the cell: what is known of a stack does not colour all that
// passed.
func (c *Cell) Colour() Outcome {
	if c.Count(Failed) == 0 && c.Count(Passed) > 0 {
		return Passed
	}
	return c.Worst()
}

// Notes are the outcomes other than a pass.
func (c *Cell) Notes() []Tally {
	return slices.DeleteFunc(c.Tallies(), func(t Tally) bool { return t.Outcome == Passed })
}

// Passed counts the runs that passed; expected deviations are counted apart, as in the report's
// last line.
func (c *Cell) Passed() int { return c.Count(Passed) }

// Runs counts those that were made.
func (c *Cell) Runs() int { return c.Passed() + c.Count(Deviation) + c.Count(Failed) }

// Row is one pair of stacks in the matrix.
type Row struct {
	Client, Server string
	Cells          []Cell // one for each of Profiles
}

const plainTLS = "plain TLS"

func profileOf(r *Run) string {
	if r.Scenario.Profile == "" {
		return plainTLS
	}
	return r.Scenario.ProfileName()
}

func pairOf(r *Run) string { return r.Client + " → " + r.Server }

// Profiles are the columns of the matrix.
func (r *Report) Profiles() (list []string) {
	for i := range r.Runs {
		list = append(list, profileOf(&r.Runs[i]))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Matrix is what every pair of stacks came to under every profile.
func (r *Report) Matrix() (rows []Row) {
	columns := r.Profiles()
	at := map[string]int{}
	for i := range r.Runs {
		run := &r.Runs[i]
		n, ok := at[pairOf(run)]
		if !ok {
			n = len(rows)
			at[pairOf(run)] = n
			row := Row{Client: run.Client, Server: run.Server}
			for _, c := range columns {
				row.Cells = append(row.Cells, Cell{Pair: pairOf(run), Profile: c})
			}
			rows = append(rows, row)
		}
		column, _ := slices.BinarySearch(columns, profileOf(run))
		cell := &rows[n].Cells[column]
		cell.Total++
		cell.counts.add(run.Outcome)
	}
	return rows
}
