package lab

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"attls"
	"attls/conformance/claims"
	"attls/extensions/profile"
)

// playedStack is a stack whose programs do what a test has them do.
type playedStack struct {
	limit string
	play  func(conn net.Conn) (*Ended, error)
	// mute ends what it is told without an end of its own.
	mute bool
}

func (playedStack) Name() string    { return "played" }
func (playedStack) Missing() string { return "" }
func (s playedStack) Limit(*profile.Profile, *Combination, attls.Role) string {
	return s.limit
}

func (s playedStack) Start(context.Context, *ProgramEnd) (Program, error) {
	mine, theirs := net.Pipe()
	p := &playedProgram{conn: mine, theirs: theirs, over: make(chan struct{})}
	go func() {
		p.ended, p.err = s.play(theirs)
		if s.mute {
			<-p.stopped()
		}
		theirs.Close()
		close(p.over)
	}()
	return p, nil
}

type playedProgram struct {
	conn, theirs net.Conn
	once, closed sync.Once
	stop         chan struct{}
	over         chan struct{}
	ended        *Ended
	err          error
}

func (p *playedProgram) stopped() chan struct{} {
	p.once.Do(func() { p.stop = make(chan struct{}) })
	return p.stop
}

func (p *playedProgram) Conn() net.Conn       { return p.conn }
func (p *playedProgram) Secret(string) []byte { return nil }
func (p *playedProgram) End() (*Ended, error) { <-p.over; return p.ended, p.err }
func (p *playedProgram) Stop() {
	p.theirs.Close()
	p.closed.Do(func() { close(p.stopped()) })
}

// TestPrograms has programs at the relying party's end that do not do what they should:
// each ends its cell in time, with what happened, and the cell fails.
func TestPrograms(t *testing.T) {
	refusal := claims.Claims{Schema: claims.ClaimsSchema, AlertSent: &claims.AlertClaim{Code: uint8(attls.AlertInternalError)},
		Error: &claims.ErrorClaim{Class: "violation", Failure: "attestation.missing", Message: "certificate", Detail: "none is there"}}
	drain := func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
	for _, c := range []struct {
		name    string
		stack   playedStack
		outcome string
	}{
		{"a crash", playedStack{play: func(net.Conn) (*Ended, error) { return nil, errors.New("signal: segmentation fault") }},
			"no outcome (played as the client: signal: segmentation fault)"},
		{"nothing, and no end", playedStack{mute: true, play: func(conn net.Conn) (*Ended, error) {
			drain(conn)
			return nil, errors.New("stopped")
		}}, "no outcome (played as the client: it did nothing for 50ms, and did not end)"},
		{"noise", playedStack{play: func(conn net.Conn) (*Ended, error) {
			_, _ = conn.Write([]byte(strings.Repeat("noise", 100)))
			drain(conn)
			return &Ended{Cut: true}, nil
		}}, "cannot be mounted (M's end of the connection relying_party cannot go on"},
		{"a refusal", playedStack{play: func(conn net.Conn) (*Ended, error) {
			return &Ended{Claims: refusal}, nil
		}}, "rejected by the client at certificate with internal_error"},
		{"an end without a word", playedStack{play: func(net.Conn) (*Ended, error) { return &Ended{Cut: true}, nil }},
			"cannot be mounted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Options{Scripts: []*Script{loaded(t, "relay-leaked-key")}, silence: 50 * time.Millisecond}
			o.Stacks[attls.RoleClient] = c.stack
			cells := cellsOf(t, o, "deployed-dstack")
			x := cells["relay-leaked-key/deployed-dstack/server/evidence/x509/client=played"]
			if x == nil {
				t.Fatalf("there is no such cell in %d", len(cells))
			}
			if x.Result == nil || !strings.HasPrefix(x.Result.String(), c.outcome) {
				t.Errorf("the outcome is %v; wanted %s", x.Result, c.outcome)
			}
			if !strings.HasPrefix(x.Error, "the stacks disagree: with client=played: ") || !strings.HasSuffix(x.Error, "with attls: accepted") {
				t.Errorf("the error is %q", x.Error)
			}
		})
	}
}

// TestProgramLimits has reasons for cells that are not run with programs, and none for
// those of the sections 3.1 to 3.5 with one.
func TestProgramLimits(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	p := profileOf(t, "early-attestation-07")
	list, err := combinations(p)
	if err != nil {
		t.Fatal(err)
	}
	reason := func(s *Script, stacks Stacks, lax Lax) string {
		return stacks.limit(s, s.Steps, []map[string]Settings{s.Parties}, p, &list[0], lax)
	}
	var client, server, both Stacks
	client[attls.RoleClient], server[attls.RoleServer] = playedStack{}, playedStack{}
	both = Stacks{playedStack{}, playedStack{}}
	for _, s := range all {
		section := s.Section
		for _, stacks := range []Stacks{client, server} {
			r := reason(s, stacks, "")
			if strings.HasPrefix("3.1 3.2 3.3 3.4 3.5", section) && len(section) == 3 && section < "3.6" && r != "" {
				t.Errorf("%s with %s: %s", s.Name, stacks, r)
			}
		}
		if r := reason(s, Stacks{}, LaxOtherLabel); r != "" {
			t.Errorf("%s with this module alone: %s", s.Name, r)
		}
	}
	for _, c := range []struct {
		script string
		stacks Stacks
		lax    Lax
		want   string
	}{
		{"stale-evidence", server, "", "the script sets"},
		{"harvest", client, "", `the step "leave`},
		{"provoked-retry", client, "", "the attacker changes ClientHello where it is made"},
		{"provoked-retry", server, "", ""},
		{"read-only", both, "", "both are programs"},
		{"read-only", client, "", ""},
		{"relay-leaked-key", client, LaxOtherLabel, "is not known outside"},
		{"relay-leaked-key", both, LaxNever, ""},
		{"relay-leaked-key", Stacks{playedStack{limit: "it is too old"}}, "", "it is too old"},
	} {
		if got := reason(loaded(t, c.script), c.stacks, c.lax); c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s with %s: %q; wanted %q", c.script, c.stacks, got, c.want)
		}
	}
}

// TestParseStacks reads the flag.
func TestParseStacks(t *testing.T) {
	for _, c := range []struct{ text, want, refused string }{
		{"", "", ""},
		{"attls", "", ""},
		{"played", "played", ""},
		{"client=played", "client=played", ""},
		{"server=played,client=attls", "server=played", ""},
		{"server=played,client=played", "played", ""},
		{"other", "", `no stack is called "other"; they are attls, played`},
		{"relying_party=played", "", "an end is client or server"},
		{"client=", "", "no stack is called"},
		{"played,client=attls", "", "the client has two stacks"},
		{",", "", "no stack is called"},
	} {
		s, err := ParseStacks(c.text, playedStack{})
		if (err != nil) != (c.refused != "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%q: %v; wanted %q", c.text, err, c.refused)
		}
		if err == nil && s.String() != c.want {
			t.Errorf("%q is %q; wanted %q", c.text, s, c.want)
		}
	}
}

// TestDisagreement tells outcomes apart: what happened and who refused count, where and
// with which alert does not.
func TestDisagreement(t *testing.T) {
	accepted := &Result{Outcome: Accepted}
	client := &Result{Outcome: Rejected, By: "client", At: "certificate", Alert: "bad_certificate"}
	later := &Result{Outcome: Rejected, By: "client", At: "finished"}
	server := &Result{Outcome: Rejected, By: "server"}
	s := Stacks{playedStack{}}
	for _, c := range []struct {
		a, b                *Result
		disagrees, mannered bool
	}{
		{accepted, accepted, false, false}, {accepted, client, true, false}, {client, accepted, true, true},
		{client, server, true, true}, {client, client, false, false}, {client, later, false, true},
		{&Result{Outcome: Unmounted, Step: 2}, &Result{Outcome: Unmounted, Step: 3}, false, false},
		{&Result{Outcome: Broken}, &Result{Outcome: Unmounted}, true, false},
	} {
		if got := s.disagreement(c.a, c.b); (got != "") != c.disagrees {
			t.Errorf("%s and %s: %q", c.a, c.b, got)
		}
		if got := s.manner(c.a, c.b); (got != "") != c.mannered {
			t.Errorf("the manner of %s and %s: %q", c.a, c.b, got)
		}
	}
}

// TestProgramsSetDates has a program's certificate, whose dates are in the binder.
func TestProgramsSetDates(t *testing.T) {
	s := loaded(t, "relay-verbatim-other-certificate")
	server := Stacks{}
	server[attls.RoleServer] = playedStack{}
	for name, limited := range map[string]bool{"deployed-flashbots-attested-tls": true, "deployed-dstack": false} {
		p := profileOf(t, name)
		list, err := combinations(p)
		if err != nil {
			t.Fatal(err)
		}
		r := server.limit(s, s.Steps, []map[string]Settings{s.Parties}, p, &list[0], "")
		if strings.Contains(r, "fields of the certificate") != limited {
			t.Errorf("%s, %s: %q", name, &list[0], r)
		}
	}
}
