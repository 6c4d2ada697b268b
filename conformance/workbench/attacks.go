package workbench

import (
	"context"
	"fmt"
	"strings"

	"attls/conformance/lab"
	"attls/extensions/profile"
)

// Attack is a script of the laboratory.
type Attack struct {
	Name         string           `json:"name"`
	Title        string           `json:"title"`
	Summary      string           `json:"summary"`
	Capabilities []lab.Capability `json:"capabilities"` // what the attacker has
	Published    string           `json:"published,omitempty"`
}

func attackOf(s *lab.Script) Attack {
	return Attack{s.Name, s.Title, s.Summary, s.Capabilities, s.Published}
}

// attacks lists the scripts.
func (e *Engine) attacks(*Request) ([]Attack, error) {
	scripts, err := lab.All()
	if err != nil {
		return nil, err
	}
	list := []Attack{}
	for _, s := range scripts {
		list = append(list, attackOf(s))
	}
	return list, nil
}

// Cell is an attack on one way to attest, and how it ended.
type Cell struct {
	Key     string `json:"key"`
	Ways    string `json:"ways"` // who attests, model, credential, and the readings that differ
	Outcome string `json:"outcome"`
	Told    string `json:"told"`
	// Base is how the attack on the base as it is ended, where that is stored; Changed says that
	// it was otherwise.
	Base    string `json:"base,omitempty"`
	Changed bool   `json:"changed,omitempty"`
	OK      bool   `json:"ok"` // the cell ran and its control ended as required
}

// inapplicable is the outcome of a cell that is about something else than the profile has.
const inapplicable = "not applicable"

// attack runs a script, Name, against every way to attest of the profile.
func (e *Engine) attack(r *Request) ([]Cell, error) {
	cells, _, err := e.mount(r, false)
	if err != nil {
		return nil, err
	}
	before, err := e.outcomes()
	if err != nil {
		return nil, err
	}
	base, _ := profile.Overrides(FileName, []byte(r.Text))
	list := []Cell{}
	for _, c := range cells {
		x := Cell{Key: c.Key(), Ways: strings.TrimSpace(c.Combo.String() + " " + c.Variant), Told: c.Told(),
			OK: c.Error == ""}
		switch {
		case c.Inapplicable != "":
			x.Outcome = inapplicable
		case c.Result != nil:
			x.Outcome = string(c.Result.Outcome)
		default:
			x.Outcome, x.Told = "error", c.Error
		}
		if base != "" {
			same := *c
			same.Profile, same.Readings = base, "" // the base as it is
			x.Base = before.Outcome(same.Key())
			x.Changed = x.Base != "" && x.Base != x.Told
		}
		list = append(list, x)
	}
	return list, nil
}

// Mounted is a cell with everything that happened in it.
type Mounted struct {
	Attack Attack      `json:"attack"`
	Cell   *lab.Cell   `json:"cell"`
	Told   string      `json:"told"`
	Detail *lab.Detail `json:"detail,omitempty"`
	Inputs []lab.Input `json:"inputs,omitempty"`
}

// cell runs one cell, Cell, of a script, Name.
func (e *Engine) cell(r *Request) (*Mounted, error) {
	if r.Cell == "" {
		return nil, fmt.Errorf("no cell of %s is named", r.Name)
	}
	cells, script, err := e.mount(r, true)
	if err != nil {
		return nil, err
	}
	if len(cells) != 1 {
		return nil, fmt.Errorf("%s has no cell %q", r.Name, r.Cell)
	}
	m := &Mounted{Attack: attackOf(script), Cell: cells[0], Told: cells[0].Told()}
	if cells[0].Result != nil && cells[0].Result.Detailed != nil {
		m.Detail = cells[0].Result.Detailed
		m.Inputs = m.Detail.Inputs()
	}
	return m, nil
}

// mount runs the cells of a script, or the one that the request names.
func (e *Engine) mount(r *Request, detailed bool) ([]*lab.Cell, *lab.Script, error) {
	p, err := e.load(r)
	if err != nil {
		return nil, nil, err
	}
	scripts, err := lab.All()
	if err != nil {
		return nil, nil, err
	}
	for _, s := range scripts { // by name, and not by file as lab.Load would
		if s.Name != r.Name {
			continue
		}
		cells, err := lab.Run(context.Background(), lab.Options{Scripts: []*lab.Script{s}, Profiles: []*profile.Profile{p},
			Foreign: []string{p.ID}, Parallel: 1, Detailed: detailed, Only: r.Cell})
		return cells, s, err
	}
	return nil, nil, fmt.Errorf("no attack is called %q", r.Name)
}

// outcomes are the stored ones of the laboratory.
func (e *Engine) outcomes() (*lab.Stored, error) {
	var err error
	if e.stored == nil {
		e.stored, err = lab.ReadStored("")
	}
	return e.stored, err
}
