package report

import "slices"

// Requirement is a row of the registry of requirements.
type Requirement struct {
	ID       string `json:"id"`
	Document string `json:"document"`
	Text     string `json:"text"`
	// Unsent says why no fault of the row is sent to another stack.
	Unsent string `json:"unsent,omitempty"`
}

// Receiver is a stack that has to deal with faults, in a role.
type Receiver struct{ Stack, Role string }

func (r Receiver) String() string { return r.Stack + " as " + r.Role }

// Receiver is the end that has to deal with the fault of a run; false without one.
func (r *Run) Receiver() (Receiver, bool) {
	if r.Fault == nil {
		return Receiver{}, false
	}
	role := r.Fault.Rejects + r.Fault.Takes // one of them is empty
	if role == "client" {
		return Receiver{r.Client, role}, true
	}
	return Receiver{r.Server, role}, true
}

// Receivers are the stacks and roles that had to deal with a fault, in their order.
func (r *Report) Receivers() (list []Receiver) {
	for i := range r.Runs {
		if to, ok := r.Runs[i].Receiver(); ok && !slices.Contains(list, to) {
			list = append(list, to)
		}
	}
	return list
}

// Covered is a requirement and the outcome of what was sent of it.
type Covered struct {
	*Requirement
	Cells []RequirementCell // one for each of Receivers
	First bool              // of its document
}

// RequirementCell is what a receiver made of a requirement.
type RequirementCell struct {
	ID       string // of the requirement
	Receiver Receiver
	counts   counts
}

// Sent counts the runs that were made.
func (c *RequirementCell) Sent() int { return c.count(Passed) + c.count(Deviation) + c.count(Failed) }

// Total counts those that could not be made too.
func (c *RequirementCell) Total() int { return c.Sent() + c.count(Limit) + c.count(Skipped) }

// Held counts the runs in which the rule was held.
func (c *RequirementCell) Held() int { return c.count(Passed) }

// Outcome is the one to look at first; "" without runs.
func (c *RequirementCell) Outcome() Outcome {
	for _, t := range c.counts.tallies() {
		return t.Outcome
	}
	return ""
}

func (c *RequirementCell) count(o Outcome) int { return c.counts[slices.Index(Outcomes, o)] }

// Coverage is the outcome of each requirement at each receiver.
func (r *Report) Coverage() []Covered {
	receivers := r.Receivers()
	list := make([]Covered, len(r.Requirements))
	at := map[string]int{}
	for i := range r.Requirements {
		q := &r.Requirements[i]
		list[i] = Covered{Requirement: q, First: i == 0 || r.Requirements[i-1].Document != q.Document}
		for _, to := range receivers {
			list[i].Cells = append(list[i].Cells, RequirementCell{ID: q.ID, Receiver: to})
		}
		at[q.ID] = i
	}
	for i := range r.Runs {
		to, ok := r.Runs[i].Receiver()
		if !ok {
			continue
		}
		column := slices.Index(receivers, to)
		for _, id := range r.Runs[i].Requirements {
			if row, ok := at[id]; ok {
				list[row].Cells[column].counts.add(r.Runs[i].Outcome)
			}
		}
	}
	return list
}

// Worst is the outcome to look at first, of all receivers; "" without runs.
func (c *Covered) Worst() Outcome {
	var all counts
	for i := range c.Cells {
		for o, n := range c.Cells[i].counts {
			all[o] += n
		}
	}
	for _, t := range all.tallies() {
		return t.Outcome
	}
	return ""
}

// Summary counts the requirements of a receiver.
type Summary struct {
	Receiver                       Receiver
	Sent, Held, Deviations, Failed int
	// Limits are rows of which it could be sent nothing.
	Limits int
}

// Summaries counts for each receiver.
func Summaries(receivers []Receiver, list []Covered) []Summary {
	all := make([]Summary, len(receivers))
	for column, to := range receivers {
		s := &all[column]
		s.Receiver = to
		for i := range list {
			c := &list[i].Cells[column]
			if c.Sent() > 0 {
				s.Sent++
			}
			switch c.Outcome() {
			case Passed:
				s.Held++
			case Deviation:
				s.Deviations++
			case Failed:
				s.Failed++
			case Limit, Skipped:
				s.Limits++
			}
		}
	}
	return all
}
