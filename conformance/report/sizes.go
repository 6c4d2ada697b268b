package report

import (
	"fmt"
	"slices"

	"attls"
	"attls/conformance/claims"
)

// Sizes shows of which sizes Evidence passed, and otherwise which end refused it.
type Sizes struct {
	Octets []int // of the columns
	Rows   []SizeRow
}

// SizeRow is one sender, one receiver, and one way to carry the Evidence.
type SizeRow struct {
	Sender, Receiver    string // stacks
	Profile, Credential string
	Attester            string // role of the sender
	Cells               []SizeCell
}

// SizeCell is the outcome of one size.
type SizeCell struct {
	Outcome Outcome // empty: there was no such run
	Passed  bool
	By      string // who refused: the sender or the receiver
	Alert   string // the alert that it sent; empty: none
}

// String says it in a few words.
func (c SizeCell) String() string {
	switch {
	case c.Outcome == "":
		return ""
	case c.Passed:
		return "passes"
	case c.By == "":
		return string(c.Outcome)
	case c.Alert == "":
		return c.By + ": no alert"
	}
	return c.By + ": " + c.Alert
}

// Colour is the outcome, except for a size that was refused as expected.
func (c SizeCell) Colour() Outcome {
	if c.Outcome == Passed && !c.Passed {
		return Limit
	}
	return c.Outcome
}

// Way says where the Evidence travels.
func (r SizeRow) Way() string {
	if r.Credential == claims.CredentialX509 {
		return "with X.509"
	}
	return "alone"
}

// SizeName spells octets in binary units.
func SizeName(octets int) string {
	switch {
	case octets >= 1<<20 && octets%(1<<20) == 0:
		return fmt.Sprintf("%d MB", octets>>20)
	case octets >= 1<<10 && octets%(1<<10) == 0:
		return fmt.Sprintf("%d KB", octets>>10)
	case octets == 1:
		return "1 octet"
	}
	return fmt.Sprintf("%d octets", octets)
}

// Sizes is the table of the runs with a size; nil when there are none.
func (r *Report) Sizes() *Sizes {
	s := &Sizes{}
	for i := range r.Runs {
		if n := r.Runs[i].Scenario.Payload; n > 0 && !slices.Contains(s.Octets, n) {
			s.Octets = append(s.Octets, n)
		}
	}
	if len(s.Octets) == 0 {
		return nil
	}
	slices.Sort(s.Octets)
	for i := range r.Runs {
		if run := &r.Runs[i]; run.Scenario.Payload > 0 {
			s.row(run).Cells[slices.Index(s.Octets, run.Scenario.Payload)] = sizeCell(run)
		}
	}
	return s
}

// row is that of a run.
func (s *Sizes) row(run *Run) *SizeRow {
	c := &run.Scenario
	want := SizeRow{Sender: run.Server, Receiver: run.Client, Profile: c.Profile, Credential: c.Credential,
		Attester: string(c.Attester)}
	if c.Attester.Has(attls.RoleClient) {
		want.Sender, want.Receiver = run.Client, run.Server
	}
	for i := range s.Rows {
		known := s.Rows[i]
		known.Cells = nil
		if fmt.Sprint(known) == fmt.Sprint(want) {
			return &s.Rows[i]
		}
	}
	want.Cells = make([]SizeCell, len(s.Octets))
	s.Rows = append(s.Rows, want)
	return &s.Rows[len(s.Rows)-1]
}

// sizeCell: the end that refuses is the one whose error is not from its peer.
func sizeCell(run *Run) SizeCell {
	c := SizeCell{Outcome: run.Outcome}
	if run.ClientClaims == nil || run.ServerClaims == nil {
		return c
	}
	c.Passed = run.ClientClaims.Error == nil && run.ServerClaims.Error == nil
	for _, end := range []struct {
		role   attls.Role
		claims *claims.Claims
	}{{attls.RoleClient, run.ClientClaims}, {attls.RoleServer, run.ServerClaims}} {
		if e := end.claims.Error; e == nil || e.Class == attls.FromPeer.String() {
			continue
		}
		if c.By = "receiver"; run.Scenario.Attester.Has(end.role) {
			c.By = "sender"
		}
		if end.claims.AlertSent != nil {
			c.Alert = end.claims.AlertSent.Name
		}
	}
	return c
}
