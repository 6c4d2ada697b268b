package requirements

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"attls/conformance/cases"
)

// Proof is the outcome of one case of one enforced row: as it is, and with the
// rule that it checks turned off.
type Proof struct {
	Set     string   `json:"set"`               // the name of the first document that cites it
	Profile string   `json:"profile,omitempty"` // under which it ran; "" is TLS 1.3
	Rows    []string `json:"rows"`              // of the profile's own text, of every profile or of TLS 1.3
	Rule    string   `json:"rule"`
	Case    string   `json:"case"`
	Proven  bool     `json:"proven"`
	// Text says how the case failed without the rule, or what is wrong.
	Text string `json:"text"`
	// Place orders proofs as the registry does.
	Place int `json:"-"`
}

// unit is a case to run once, for all rows that cite it.
type unit struct {
	set     string
	profile string
	rows    []string
	c       *cases.Case
	place   int
}

// Prove runs every case of the enforced rows of a document, by its Name ("all"
// for everything), and of the rows that hold under every profile, turns the
// case's rule off and runs it again. A case that fails as it is, or passes
// without its rule, is not proven. report is called for each, in no order and
// from one goroutine at a time. An id leaves only the row of that name.
func Prove(ctx context.Context, all []Document, name, id string, report func(Proof)) error {
	units, err := units(all, name, id)
	if err != nil {
		return err
	}
	work := make(chan *unit)
	var wait sync.WaitGroup
	var mu sync.Mutex
	for range runtime.GOMAXPROCS(0) {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for u := range work {
				p := u.prove()
				mu.Lock()
				report(p)
				mu.Unlock()
			}
		}()
	}
	for i := range units {
		if ctx.Err() != nil {
			break
		}
		work <- units[i]
	}
	close(work)
	wait.Wait()
	return ctx.Err()
}

// Everything means all documents in Prove.
const Everything = "all"

// units lists what is to be proven.
func units(all []Document, name, id string) ([]*unit, error) {
	var list []*unit
	found := map[string]*unit{}
	add := func(set, under string, cases map[string]*cases.Case, d *Document) {
		for i := range d.Rows {
			r := &d.Rows[i]
			if r.Class != Enforced || id != "" && id != r.ID {
				continue
			}
			for _, s := range r.Cases {
				c := cases[s]
				if c == nil || c.Rule == "" { // package conformance runs those that no switch turns off
					continue
				}
				key := under + " " + s
				if found[key] == nil {
					found[key] = &unit{set: set, profile: under, c: c, place: len(list)}
					list = append(list, found[key])
				}
				found[key].rows = append(found[key].rows, d.rowName(r))
			}
		}
		for _, r := range d.Readings {
			for _, s := range r.Cases {
				key := under + " " + s
				if found[key] == nil && (id == "" || r.is(id)) {
					found[key] = &unit{set: set, profile: under, c: cases[s], rows: []string{r.AMB}, place: len(list)}
					list = append(list, found[key])
				}
			}
		}
	}
	common := slices.IndexFunc(all, func(d Document) bool { return d.Common })
	known := false
	for i := range all {
		d := &all[i]
		if d.Common || name != Everything && name != d.Name() {
			continue
		}
		known = true
		add(d.Name(), d.Profile, d.cases, d)
		if common >= 0 && d.Profile != "" {
			add(d.Name(), d.Profile, d.cases, &all[common])
		}
	}
	if !known {
		return nil, fmt.Errorf("the registry has no rows of %q whose cases could be proven; it has those of %v",
			name, Names(all))
	}
	if len(list) == 0 && id == "" {
		return nil, fmt.Errorf("no case of %s has a rule to turn off: only Go tests check its rows", name)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no enforced row is called %q, or none of its cases can be run here", id)
	}
	return list, nil
}

// prove runs a case with its rule and without it.
func (u *unit) prove() Proof {
	p := Proof{Set: u.set, Profile: u.profile, Rows: u.rows, Rule: u.c.Rule, Case: u.c.ID, Place: u.place}
	how, err := u.c.Prove()
	if err != nil {
		how = err.Error()
	}
	p.Proven, p.Text = err == nil, how
	return p
}
