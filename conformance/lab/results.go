package lab

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Stored are the outcomes of an earlier run of the whole matrix. A cell that ends
// otherwise is a failure until the change is acknowledged with a reason.
type Stored struct {
	// Outcomes are by attack, profile and the rest of the cell's key.
	Outcomes map[string]map[string]map[string]string `json:"outcomes"`
	// Acknowledged are the changes since the file was begun, the last at the end.
	Acknowledged []Acknowledgement `json:"acknowledged,omitempty"`
}

// Acknowledgement says why outcomes changed.
type Acknowledgement struct {
	Reason string   `json:"reason"`
	Cells  []string `json:"cells"` // at most 20 of them are listed
	Count  int      `json:"count"`
}

//go:embed results.json
var stored []byte

// ReadStored reads a file of outcomes; "": those that come with this program.
func ReadStored(name string) (*Stored, error) {
	src := stored
	if name != "" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if src, err = io.ReadAll(io.LimitReader(f, maxStored+1)); err != nil {
			return nil, err
		}
		if len(src) > maxStored {
			return nil, fmt.Errorf("%s has more than %d octets", name, maxStored)
		}
	}
	s := &Stored{}
	if err := json.Unmarshal(src, s); err != nil {
		return nil, fmt.Errorf("outcomes in %s: %w", name, err)
	}
	return s, nil
}

// maxStored bounds a file of outcomes, in octets.
const maxStored = 16 << 20

// split is the key of a cell in three parts.
func split(key string) (attack, profile, rest string) {
	parts := strings.SplitN(key, "/", 3)
	return parts[0], parts[1], parts[2]
}

// Outcome is what is stored of a cell; empty: nothing is.
func (s *Stored) Outcome(key string) string {
	attack, profile, rest := split(key)
	return s.Outcomes[attack][profile][rest]
}

// Told is the outcome of a cell as it is stored.
func (c *Cell) Told() string {
	switch {
	case c.Inapplicable != "":
		return "not applicable"
	case c.Result == nil:
		return "error"
	case c.Result.Outcome == Unmounted:
		return fmt.Sprintf("cannot be mounted (step %d)", c.Result.Step)
	}
	return c.Result.String()
}

// Changes are the cells that ended otherwise than is stored. A cell of which nothing is
// stored counts where both its attack and its profile are known to the file. Foreign cells,
// and those of lax relying parties, other stacks and other readings, are not compared.
func (s *Stored) Changes(cells []*Cell) (list []*Cell) {
	for _, c := range cells {
		if c.foreign || c.special() {
			continue
		}
		attack, profile, _ := split(c.Key())
		known := s.Outcomes[attack] != nil && s.Outcomes[attack][profile] != nil
		if told := s.Outcome(c.Key()); known && told != c.Told() {
			list = append(list, c)
		}
	}
	return list
}

// special reports whether outcomes of the cell are never stored.
func (c *Cell) special() bool { return c.Lax != "" || c.Stack != "" || c.Readings != "" }

// Acknowledge takes the outcomes of cells over, with the reason.
func (s *Stored) Acknowledge(cells []*Cell, reason string) error {
	if strings.TrimSpace(reason) == "" {
		return errors.New("a change of stored outcomes needs a reason")
	}
	a := Acknowledgement{Reason: reason}
	if s.Outcomes == nil {
		s.Outcomes = map[string]map[string]map[string]string{}
	}
	for _, c := range cells {
		if c.special() || s.Outcome(c.Key()) == c.Told() {
			continue
		}
		attack, profile, rest := split(c.Key())
		if s.Outcomes[attack] == nil {
			s.Outcomes[attack] = map[string]map[string]string{}
		}
		if s.Outcomes[attack][profile] == nil {
			s.Outcomes[attack][profile] = map[string]string{}
		}
		s.Outcomes[attack][profile][rest] = c.Told()
		if a.Count++; len(a.Cells) < maxAcknowledged {
			a.Cells = append(a.Cells, c.Key())
		}
	}
	if a.Count > 0 {
		s.Acknowledged = append(s.Acknowledged, a)
	}
	return nil
}

const maxAcknowledged = 20

// WriteFile writes the file of outcomes.
func (s *Stored) WriteFile(name string) error {
	b, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(b, '\n'), 0o666)
}

// Summary counts the cells of one attack.
type Summary struct {
	Attack string         `json:"attack"`
	Counts map[string]int `json:"counts"` // by outcome, and "not applicable"
	Failed int            `json:"failed"` // whose control or bound did not end as required
}

// Summarize counts the cells by attack, in the order of their first cells.
func Summarize(cells []*Cell) (list []Summary) {
	at := map[string]int{}
	for _, c := range cells {
		i, ok := at[c.Attack]
		if !ok {
			i = len(list)
			at[c.Attack] = i
			list = append(list, Summary{Attack: c.Attack, Counts: map[string]int{}})
		}
		switch {
		case c.Inapplicable != "":
			list[i].Counts["not applicable"]++
		case c.Result != nil:
			list[i].Counts[string(c.Result.Outcome)]++
		}
		if c.Error != "" {
			list[i].Failed++
		}
	}
	return list
}

// Report is a whole run of the laboratory.
type Report struct {
	Version string  `json:"version"`
	Command string  `json:"command"`
	Lax     Lax     `json:"lax,omitempty"`
	OK      bool    `json:"ok"`
	Seconds float64 `json:"seconds"`
	// Changed are the keys of cells that ended otherwise than is stored.
	Changed []string `json:"changed,omitempty"`
	// Files are the profiles and attacks that do not come with this program, or were changed.
	Files   []File    `json:"files,omitempty"`
	Scripts []*Script `json:"scripts"`
	Cells   []*Cell   `json:"cells"`
}

// File is a profile or an attack of the user's, so that who is handed the report can repeat
// it.
type File struct {
	Profile string `json:"profile,omitempty"` // its identifier
	Attack  string `json:"attack,omitempty"`
	Given   string `json:"given"` // as it was named to the command
	// Readings are the flags of the readings that were chosen.
	Readings string `json:"readings,omitempty"`
	Text     string `json:"text,omitempty"` // of a profile with its bases merged in
}

// Write writes the report as JSON.
func (r *Report) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	return e.Encode(r)
}

// Failures are the cells whose control or bound did not end as required.
func (r *Report) Failures() []*Cell {
	return slices.DeleteFunc(slices.Clone(r.Cells), func(c *Cell) bool { return c.Error == "" })
}
