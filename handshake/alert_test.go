package handshake_test

import (
	"errors"
	"testing"

	"attls"
	"attls/handshake"
)

// TestNothingAfterTheAlert: an engine that has failed sends nothing more,
// whatever it is asked to do.
func TestNothingAfterTheAlert(t *testing.T) {
	m := newMeeting()
	p, err := m.meet(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	e := p.Engine(attls.RoleServer)
	copy(e.Reserve(22), append([]byte{23, 3, 3, 0, 17}, make([]byte, 17)...)) // a record that does not open
	failed := e.Commit(22)
	if failed == nil {
		t.Fatal("a forged record was accepted")
	}
	e.Wrote(len(e.Output())) // the alert
	for name, call := range map[string]func() error{
		"Write":                 func() error { return e.Write([]byte("x")) },
		"KeyUpdate":             func() error { return e.KeyUpdate(true) },
		"IssueTicket":           e.IssueTicket,
		"RequestAuthentication": e.RequestAuthentication,
		"CloseNotify":           func() error { e.CloseNotify(); return failed },
		"Answer":                func() error { return e.Answer(1, handshake.Answer{}) },
	} {
		if err := call(); !errors.Is(err, failed) {
			t.Errorf("%s: %v, want the failure", name, err)
		}
		if n := len(e.Output()); n > 0 {
			t.Errorf("%s sends %d octets", name, n)
			e.Wrote(n)
		}
	}
}
