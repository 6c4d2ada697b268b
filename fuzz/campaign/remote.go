package campaign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"attls"
	"attls/conformance/capture"
	"attls/conformance/placement"
	"attls/conformance/trace"
	"attls/handshake"
	"attls/handshake/message"
	"attls/record"
)

// Remote is a stack of programs that is the honest end of a campaign's connections. It is
// judged by what the attacker sent and what came back.
type Remote struct {
	Name, Version string
	Stack         placement.Stack
	// Roles are the ends that the stack can be and that are hunted.
	Roles []attls.Role
	// Timeout bounds one connection; 0: placement.DefaultTimeout.
	Timeout time.Duration
	// Quiet is how long a peer is waited for that has no reason to answer, since attls waits
	// for more where it is; 0: 150 ms.
	Quiet time.Duration
	// Known are the differences that are explained.
	Known *Known
}

// String is the stack with its version.
func (x *Remote) String() string { return strings.TrimSpace(x.Name + " " + x.Version) }

// StackError says that a stack made no connection.
type StackError struct{ Err error }

func (e *StackError) Error() string { return e.Err.Error() }
func (e *StackError) Unwrap() error { return e.Err }

// defaultQuiet is Remote.Quiet where none is given.
const defaultQuiet = 150 * time.Millisecond

// request is what the attacker asks a server for: most test servers answer it.
const request = "GET / HTTP/1.0\r\n\r\n"

// maxAnswer bounds the octets of application data that are read in one connection.
const maxAnswer = 1 << 20

// link is the way of one worker to a stack.
type link struct {
	*Remote
	ctx       context.Context
	connector *placement.Connector
	// hurried says that a connection gets a second at most: what did not come in time is asked
	// for again with more.
	hurried bool
	// verifies says, by role, that the stack refuses a chain of an unknown authority.
	verifies [2]bool
}

func (x *Remote) link(ctx context.Context) *link {
	own := *x // several workers have one each
	l := &link{Remote: &own, ctx: ctx}
	if l.Timeout <= 0 {
		l.Timeout = placement.DefaultTimeout
	}
	if l.Quiet <= 0 {
		l.Quiet = defaultQuiet
	}
	l.connector = placement.NewConnector(x.Stack, l.Timeout)
	return l
}

// firstLook is the time of a connection that is made again where nothing came.
const firstLook = time.Second

// morePatience is how many times longer a peer is waited for that has no reason to answer, where
// what it did is looked at again.
const morePatience = 4

// patient is the link with the whole time for a connection.
func (l *link) patient() *link {
	own, p := *l.Remote, *l
	own.Quiet *= morePatience
	p.Remote, p.hurried = &own, false
	return &p
}

// limit is the time of a connection.
func (l *link) limit(waits bool) time.Duration {
	switch {
	case waits:
		return l.Quiet
	case l.hurried:
		return min(l.Timeout, max(firstLook, l.Quiet))
	}
	return l.Timeout
}

// told is what the attacker's end learned of the honest one in a connection.
type told struct {
	crash    string // the signal that ended the program
	ended    bool   // a server's program is over
	says     string
	silent   bool // no answer came in time
	unclear  bool // the answer was under other keys than those of the attacker
	unread   bool // a certificate that was sent is one that attls cannot read
	answered bool // a server answered a request
	local    *run // the same input with attls as the honest end
	// rivals are the same input with other stacks as the honest end; nil for one that is not that end.
	rivals []*run
}

// abroad runs an input with the stack as the honest end.
func (s *subject) abroad(in *Input) (*run, error) {
	local, err := s.local(in)
	if err != nil {
		return nil, err
	}
	if s.rivals != nil {
		return s.besides(in, local)
	}
	return s.dial(in, local, nil)
}

// dial makes the connection of an input; file gets its octets and secrets, nil: it does not.
func (s *subject) dial(in *Input, local *run, file *capture.Writer) (*run, error) {
	l, attacker := s.link, in.role()
	honest := attacker.Peer()
	r := s.newRun(attacker, in.Edits)
	r.told = &told{local: local}
	s.now = r
	for _, role := range attls.Roles() {
		s.relays[role].to = r.agents[role]
	}
	config := s.configs[attacker]
	if off := r.agents[attacker].disobeys(); off != "" {
		config = rebuilt(config, off, nil)
	}
	nc, err := l.connector.Open(l.ctx, honest)
	if err != nil {
		return nil, &StackError{err}
	}
	defer nc.Close()
	if file != nil {
		r.traces[attacker] = trace.New(attacker, s.profile)
		nc = file.Conn(nc, attacker)
		config = rebuilt(config, "", nil)
		config.KeyLog = file.KeyLog()
	}
	answerer := *s.answerers[attacker]
	answerer.Sequential = true
	answerer.Around = func(_ context.Context, w *handshake.Wait, _ handshake.AnswerFunc) (handshake.Answer, *attls.Error) {
		return s.now.answer(attacker, w)
	}
	end := handshake.Client
	if attacker == attls.RoleServer {
		end = handshake.Server
	}
	deadline := time.Now().Add(l.limit(local.waits(honest)))
	if err := nc.SetDeadline(deadline); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithDeadline(l.ctx, deadline)
	defer cancel()
	conn := end(nc, config, &answerer)
	r.talk(ctx, conn, attacker)
	r.settle(conn, deadline)
	if err := l.ctx.Err(); err != nil {
		return nil, &StackError{err} // an interrupt stops the programs
	}
	return r, nil
}

// waits reports whether an end neither completed the handshake nor failed.
func (r *run) waits(role attls.Role) bool { return !r.done[role] && r.errs[role] == nil }

// talk drives the attacker's end and notes how the other went on.
func (r *run) talk(ctx context.Context, conn *handshake.Conn, attacker attls.Role) {
	err := conn.HandshakeContext(ctx)
	if err == nil && attacker == attls.RoleClient {
		err = r.ask(conn)
	}
	if err == nil {
		err = conn.CloseWrite()
	}
	if err == nil { // an alert may still come; some programs do not close
		if err = conn.SetReadDeadline(time.Now().Add(r.s.link.Quiet)); err == nil {
			_, err = io.Copy(io.Discard, io.LimitReader(conn, maxAnswer))
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = nil
		}
	}
	r.fail(attacker, err)
}

// ask sends a request to a server and reads the beginning of the answer.
func (r *run) ask(conn *handshake.Conn) error {
	if r.s.conn.KeyUpdate {
		if err := conn.KeyUpdate(true); err != nil {
			return err
		}
	}
	if _, err := conn.Write([]byte(request)); err != nil {
		return err
	}
	n, err := conn.Read(make([]byte, 1024))
	r.told.answered = n > 0
	if n > 0 {
		return nil
	}
	return err
}

// fail keeps the error of the attacker's end.
func (r *run) fail(attacker attls.Role, err error) {
	var e *attls.Error
	switch {
	case err == nil || errors.Is(err, io.EOF):
	case errors.As(err, &e):
		r.errs[attacker] = e
		r.told.unclear = e.Failure == attls.FailBadRecordMAC
	case errors.Is(err, os.ErrDeadlineExceeded):
		r.errs[attacker] = attls.Errorf(attls.Local, attls.FailTimeout, "no answer in time")
	default:
		var network net.Error
		if errors.As(err, &network) {
			r.errs[attacker] = attls.Errorf(attls.FromPeer, attls.FailTimeout, "%v", network)
		}
	}
}

// settle works out how the honest end came out of the connection.
func (r *run) settle(conn *handshake.Conn, deadline time.Time) {
	l, attacker := r.s.link, r.attacker
	honest := attacker.Peer()
	a := r.agents[honest]
	heard := false
	for i := range r.log {
		x := &r.log[i]
		if x.role != honest {
			continue
		}
		switch {
		case x.sent && x.alert != nil && fatal(*x.alert):
			a.fatal++
			if r.errs[honest] == nil {
				r.errs[honest] = &attls.Error{Class: attls.Violation, Failure: "peer.refused", Message: r.lastTo(honest, i),
					Offset: -1, Detail: "the alert " + x.alert.String(), HasAlert: true, Alert: *x.alert}
			}
		case x.sent:
			heard = true
			// A client sends Finished once it has accepted the server's flight.
			r.done[honest] = r.done[honest] || honest == attls.RoleClient && x.kind == attls.KindFinished
		}
	}
	if honest == attls.RoleServer {
		r.done[honest] = r.told.answered
	}
	r.done[attacker] = conn.ConnectionState().State != "" && r.errs[attacker] == nil
	spki, ok := r.shown(honest)
	r.told.unread = !ok
	r.states[honest] = handshake.ConnectionState{Role: honest, PeerSPKI: spki}
	r.states[attacker] = conn.ConnectionState()
	r.told.silent = !time.Now().Before(deadline) && r.errs[honest] == nil && !r.done[honest]
	wait := time.Duration(0)
	if !r.done[honest] && r.errs[honest] == nil && !heard {
		wait = endWait
	}
	ended, crash := l.connector.Ended(honest, wait)
	r.told.crash, r.told.ended = crash, ended && honest == attls.RoleServer
	if r.told.crash != "" || r.told.ended {
		r.told.says = l.connector.Says(honest)
	}
	l.connector.Over(honest, ended || r.told.silent && !r.told.local.waits(honest))
}

// endWait is how long a program that may have crashed gets to end.
const endWait = 50 * time.Millisecond

func fatal(a attls.AlertDescription) bool {
	return a != attls.AlertCloseNotify && a != attls.AlertUserCanceled
}

// lastTo is the kind of the last message that an end received before an entry of the log.
func (r *run) lastTo(role attls.Role, before int) attls.MessageKind {
	for i := before - 1; i >= 0; i-- {
		if x := &r.log[i]; x.role == role && !x.sent && x.raw != nil {
			return x.kind
		}
	}
	return attls.KindNone
}

// shown is the key of the first certificate that an end received; nil: it received none. ok is
// false for one that cannot be read.
func (r *run) shown(role attls.Role) (spki []byte, ok bool) {
	for i := range r.log {
		x := &r.log[i]
		if x.role != role || x.sent || x.kind != attls.KindCertificate || len(x.raw) < 4 {
			continue
		}
		c := &cursor{x.raw[4:], true}
		c.vector(1)
		c.number(3)
		if !c.ok || len(c.b) == 0 {
			return nil, c.ok
		}
		cert, err := handshake.ParseCertificate(c.vector(3))
		if err != nil {
			return nil, false
		}
		return cert.RawSubjectPublicKeyInfo, true
	}
	return nil, true
}

// mirror notes for the honest end of a remote stack what the attacker's end sends and gets.
func (a *agent) mirror(d handshake.Direction, m *message.Raw, sent []byte, p *handshake.Plan) {
	if a.run.told == nil || a.role != a.run.attacker {
		return
	}
	honest := a.role.Peer()
	if d == handshake.Received {
		a.run.log = append(a.run.log, entry{role: honest, sent: true, kind: m.Kind, raw: slices.Clone(m.Bytes)})
		return
	}
	list := slices.Clone(p.Before)
	if !p.Drop {
		list = append(list, sent)
	}
	for _, b := range append(list, p.After...) {
		if len(b) >= 4 {
			a.run.log = append(a.run.log, entry{role: honest, kind: kindOf(a.run.s.profile, b), raw: b})
		}
	}
}

// mirrorAlert is mirror for alerts.
func (a *agent) mirrorAlert(d handshake.Direction, x attls.AlertDescription) {
	if a.run.told != nil && a.role == a.run.attacker {
		a.run.log = append(a.run.log, entry{role: a.role.Peer(), sent: d == handshake.Received, alert: &x})
	}
}

// mirrorRecord is mirror for the records that a stack sends.
func (a *agent) mirrorRecord(x *record.Raw) {
	if a.run.told != nil && a.role == a.run.attacker {
		a.run.log = append(a.run.log, entry{role: a.role.Peer(), sent: true,
			rec: &recordSeen{x.Type, slices.Clone(x.Payload)}})
	}
}

// controls finds out what a stack does with connections that are as they should be, and
// returns those subjects that it completes. left says why others are left out.
func (l *link) controls(t *Target, list []*subject) (sound []*subject, left []string, err error) {
	for _, s := range list {
		if s.conn.Resumption {
			left = append(left, fmt.Sprintf("%v: the session would have to be one of %s", s.conn, l.Name))
			continue
		}
		s.link = l
		var lacks []string
		for _, role := range l.Roles {
			r, err := s.abroad(t.input(s.conn, role.Peer()))
			var not *placement.NotConnected
			switch {
			case errors.As(err, &not):
				lacks = append(lacks, fmt.Sprintf("the %v: %v", role, err))
				continue
			case err != nil:
				return nil, nil, err
			}
			if text := r.incomplete(); text != "" {
				lacks = append(lacks, text)
				continue
			}
			s.abroadAs[role] = true
		}
		for _, text := range lacks {
			left = append(left, fmt.Sprintf("%v: %s %s", s.conn, l.Name, text))
		}
		if s.abroadAs[attls.RoleClient] || s.abroadAs[attls.RoleServer] {
			sound = append(sound, s)
		}
	}
	if len(sound) == 0 {
		return nil, left, fmt.Errorf("%s completes no connection without edits: %v", l.Name, left)
	}
	for _, role := range l.Roles {
		if err := l.trust(t, sound, role); err != nil {
			return nil, nil, err
		}
		if !l.verifies[role] {
			left = append(left, fmt.Sprintf("%s as %v was not seen to refuse the chain of an unknown authority; "+
				"whether it trusts chains is not judged", l.Name, role))
		}
	}
	return sound, left, nil
}

// trust finds out whether the stack refuses a chain of an unknown authority.
func (l *link) trust(t *Target, list []*subject, role attls.Role) error {
	for _, s := range list {
		if !s.abroadAs[role] || role == attls.RoleServer && !s.conn.ClientCertificate {
			continue
		}
		in := t.input(s.conn, role.Peer())
		in.Edits = []Edit{{Do: "credential", Answer: "unknown authority"}}
		r, err := s.abroad(in)
		if err == nil {
			l.verifies[role] = r.errs[role] != nil && !r.done[role]
		}
		return err
	}
	return nil
}

// incomplete says why a connection without edits was not completed; "": it was.
func (r *run) incomplete() string {
	honest := r.attacker.Peer()
	switch {
	case r.told.crash != "":
		return fmt.Sprintf("as %v ends by %s", honest, r.told.crash)
	case r.errs[honest] != nil:
		return fmt.Sprintf("as %v refuses a connection without edits: %s", honest, r.errs[honest].Detail)
	case r.done[honest]:
		return ""
	case r.errs[r.attacker] != nil:
		return fmt.Sprintf("as %v does not complete a connection without edits: %v", honest, r.errs[r.attacker])
	}
	return fmt.Sprintf("as %v does not complete a connection without edits", honest)
}
