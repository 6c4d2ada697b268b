package campaign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"attls"
	"attls/conformance/capture"
	"attls/conformance/trace"
)

// Abroad is an input that was run once with another stack as the honest end.
type Abroad struct {
	Violations []Violation
	// Ladder is the connection as the attacker saw it.
	Ladder []trace.Step
	// Outcome says what the stack did, Local what attls does.
	Outcome, Local string
	// Sent are the edited messages as they were sent, Came is what came back, Says the end of
	// what a program printed that has ended.
	Sent []SentMessage
	Came []string
	Says string
}

// ReplayAbroad runs an input with a stack. w gets the connection as a pcapng file; nil: it is
// not kept.
func ReplayAbroad(ctx context.Context, in *Input, x *Remote, w io.Writer) (*Abroad, error) {
	s, err := in.subject(nil, true)
	if err != nil {
		return nil, err
	}
	file, err := captureOf(w)
	if err != nil {
		return nil, err
	}
	s.link = x.link(ctx)
	defer s.link.connector.Close()
	t, err := in.target()
	if err != nil {
		return nil, err
	}
	honest := in.role().Peer()
	s.abroadAs[honest] = true
	if err := s.link.trust(t, []*subject{s}, honest); err != nil {
		return nil, err
	}
	local, err := s.local(in)
	if err != nil {
		return nil, err
	}
	r, err := s.dial(in, local, file)
	if err != nil {
		return nil, err
	}
	out := &Abroad{Violations: in.violations(r), Ladder: r.traces[r.attacker].Steps(), Outcome: r.outcome(),
		Local: local.outcome(), Sent: r.changed(), Came: r.came(), Says: r.told.says}
	return out, errors.Join(file.Flush())
}

// captureOf writes a capture to w, whose time is the same in each run; nil: it is not kept.
func captureOf(w io.Writer) (*capture.Writer, error) {
	if w == nil {
		w = io.Discard
	}
	file, err := capture.NewWriter(w, func() time.Time { return time.Unix(1577836800, 0) })
	if err == nil {
		file.Hold = true
	}
	return file, err
}

// outcome says in words how the honest end of a run came out of it.
func (r *run) outcome() string {
	honest := r.attacker.Peer()
	switch {
	case r.told != nil && r.told.crash != "":
		return "is ended by a signal: " + r.told.crash
	case r.told != nil && r.told.ended:
		return "ends"
	case r.errs[honest] != nil && r.errs[honest].Class != attls.FromPeer && r.told != nil:
		return fmt.Sprintf("refuses %v with %v", r.errs[honest].Message, r.errs[honest].Alert)
	case r.errs[honest] != nil:
		return fmt.Sprintf("refuses: %v", r.errs[honest])
	case r.done[honest]:
		return "completes the handshake"
	case r.told != nil && r.told.unclear:
		return "answers under keys that the attacker does not have"
	}
	return "waits for more, or ends the connection without an alert"
}
