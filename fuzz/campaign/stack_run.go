package campaign

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"attls"
	"attls/conformance/claims"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/negotiation"
)

// against makes one connection in which the program is the honest end. The run has what the
// program sent and took, as the program itself tells.
func (s *subject) against(p *stackProcess, variant int, in *Input) (r *run, c *claims.Claims, sent []byte, err error) {
	if err := s.prime(p, variant); err != nil {
		return s.newRun(in.role(), in.Edits), nil, nil, err
	}
	return s.once(p, variant, in)
}

func (s *subject) once(p *stackProcess, variant int, in *Input) (r *run, c *claims.Claims, sent []byte, err error) {
	r = s.newRun(in.role(), in.Edits)
	s.now = r
	for _, role := range attls.Roles() {
		s.relays[role].to = r.agents[role]
	}
	engine, err := s.attacking(r)
	if err != nil {
		return nil, nil, nil, &notBegun{err}
	}
	if err := p.write('V', []byte{byte(variant)}); err != nil {
		return r, nil, nil, err
	}
	l := &stackLine{r: r, engine: engine, role: in.role()}
	r.line = l
	for range maxSteps {
		l.settle()
		letter, b, err := p.read()
		if err != nil {
			return r, nil, l.wire, err
		}
		switch letter {
		case 'O':
			l.deliver(b)
		case 'S', 'R':
			l.show(letter == 'S', b)
		case 'W':
			if err := l.send(p); err != nil {
				return r, nil, l.wire, err
			}
		case 'C':
			c = &claims.Claims{}
			if err := json.Unmarshal(b, c); err != nil {
				return r, nil, l.wire, fmt.Errorf("its claims: %w", err)
			}
			l.finish(c)
			return r, c, l.wire, nil
		}
	}
	return r, nil, l.wire, fmt.Errorf("it did not come to an end within %d steps", maxSteps)
}

// notBegun says that the attacker's engine cannot be made.
type notBegun struct{ err error }

func (e *notBegun) Error() string { return e.err.Error() }

// attacking makes the engine of the attacker.
func (s *subject) attacking(r *run) (*handshake.Engine, error) {
	c := s.configs[r.attacker]
	if off := r.agents[r.attacker].disobeys(); off != "" {
		c = rebuilt(c, off, nil)
	}
	if r.attacker == attls.RoleClient {
		return handshake.NewClient(c)
	}
	return handshake.NewServer(c)
}

// stackLine is the attacker's end of a connection with a program.
type stackLine struct {
	r       *run
	role    attls.Role
	engine  *handshake.Engine
	wire    []byte // all that was sent
	closed  bool
	session *handshake.Session // of the last ticket
	hello   []byte             // pre_shared_key as this end made it, in its last ClientHello
	refused int                // octets that came after a fatal alert
}

// settle does what the engine asks for.
func (l *stackLine) settle() {
	for {
		ev, ok := l.engine.Next()
		if !ok {
			return
		}
		switch ev.Kind {
		case handshake.EventWait:
			l.answer(ev.Wait)
		case handshake.EventDone:
			l.r.log = append(l.r.log, entry{role: l.role, done: true})
			if l.role == attls.RoleClient {
				_ = l.engine.Write([]byte("from the client"))
			}
		case handshake.EventData:
			l.r.received[l.role] += len(ev.Data)
			if l.role == attls.RoleServer { // the program wants its data back
				_ = l.engine.Write(slices.Clone(ev.Data))
			} else if !l.closed {
				l.closed = true
				l.engine.CloseNotify()
			}
		case handshake.EventTicket:
			l.session = ev.Session
		case handshake.EventClosed:
			if !l.closed {
				l.closed = true
				l.engine.CloseNotify()
			}
		}
	}
}

func (l *stackLine) answer(w *handshake.Wait) {
	var a handshake.Answer
	var err *attls.Error
	if w.Kind == handshake.WaitAppraisal { // an attacker believes anything
		a = handshake.Answer{Verdict: &negotiation.Verdict{Status: negotiation.StatusAffirming}}
	} else {
		a, err = l.r.answer(l.role, w)
	}
	if err != nil {
		_ = l.engine.Fail(w.ID, err)
	} else {
		_ = l.engine.Answer(w.ID, a)
	}
}

// deliver hands over record by record what the program sent.
func (l *stackLine) deliver(b []byte) {
	for len(b) > 0 {
		n := len(b)
		if n >= 5 {
			n = min(n, 5+int(b[3])<<8+int(b[4]))
		}
		if e := l.engine.Err(); e != nil {
			if e.Class == attls.FromPeer {
				l.refused += len(b)
			}
			return
		}
		l.take(b[:n])
		b = b[n:]
	}
}

// take hands over octets.
func (l *stackLine) take(b []byte) {
	for len(b) > 0 && l.engine.Err() == nil {
		n := min(len(b), 1<<14)
		copy(l.engine.Reserve(n)[:n], b[:n])
		_ = l.engine.Commit(n)
		b = b[n:]
		l.settle()
	}
}

// send hands over what the engine has to send; nothing is the end.
func (l *stackLine) send(p *stackProcess) error {
	out := slices.Clone(l.engine.Output())
	if len(out) == 0 {
		return p.write('E', nil)
	}
	l.engine.Wrote(len(out))
	l.wire = append(l.wire, out...)
	return p.write('I', out)
}

// show notes a handshake message of the program.
func (l *stackLine) show(sent bool, b []byte) {
	if len(b) < 4 {
		return
	}
	l.r.log = append(l.r.log, entry{role: l.role.Peer(), sent: sent, kind: kindOf(l.r.s.profile, b), raw: b})
}

// kindOf is the kind of a handshake message with its header.
func kindOf(p *profile.Profile, b []byte) attls.MessageKind {
	raw, _ := message.ParseRaw(b) // of a false length, the kind is known all the same
	if raw.Kind == attls.KindUnknown && p != nil && slices.ContainsFunc(p.Messages, func(m profile.AddedMessage) bool {
		return m.Type == raw.Type
	}) {
		return attls.KindAdded
	}
	return raw.Kind
}

// finish fills in what is known of both ends.
func (l *stackLine) finish(c *claims.Claims) {
	r, role := l.r, l.role.Peer()
	r.states[l.role], r.errs[l.role], r.done[l.role] = l.engine.State(), l.engine.Err(), l.engine.Done()
	r.done[role] = c.Exporter != ""
	r.received[role] = int(c.DataReceived)
	if l.engine.Done() && l.engine.Err() == nil {
		r.exported[l.role], _ = l.engine.Export(claims.ExporterLabel, nil, claims.ExporterSize)
	}
	r.exported[role], _ = hex.DecodeString(c.Exporter)
	state := &r.states[role]
	state.Role, state.State, state.HelloRetry, state.ALPN = role, c.State, c.HelloRetry, c.ALPN
	for i := range r.log { // the key is that of the certificate that it took
		if x := &r.log[i]; x.role == role && !x.sent && x.kind == attls.KindCertificate {
			state.PeerSPKI = r.s.keyIn(x.raw[4:])
		}
	}
	if c.Resumed {
		state.Session = &handshake.Session{}
	}
	if c.Error != nil {
		e := &attls.Error{Class: attls.Malformed, Failure: attls.Failure(c.Error.Failure), Detail: c.Error.Detail, Offset: -1}
		if c.AlertReceived != nil {
			e.Class = attls.FromPeer
		}
		if c.AlertSent != nil {
			e.HasAlert, e.Alert = true, attls.AlertDescription(c.AlertSent.Code)
		}
		r.errs[role] = e
	}
}

// keyIn is the key of the first entry of a Certificate; nil: there is none that can be read.
func (s *subject) keyIn(body []byte) []byte {
	c := &cursor{body, true}
	c.vector(1)
	c.number(3)
	data := c.vector(3)
	if !c.ok || len(data) == 0 {
		return nil
	}
	if s.conn.RawPublicKeys {
		return data
	}
	return spkiOf(data)
}

// pskOf is the body of pre_shared_key in a ClientHello; nil: there is none.
func pskOf(raw []byte) []byte {
	m := &seen{kind: attls.KindClientHello, raw: raw}
	m.entries, m.parsed = extensionsOf(m.body(), m.kind)
	body, _ := m.find(attls.ExtPreSharedKey)
	return slices.Clone(body)
}

// prime makes the connection that a session is resumed of, in the program that knows it.
func (s *subject) prime(p *stackProcess, variant int) error {
	if !s.conn.Resumption {
		return nil
	}
	s.session = nil
	r, _, _, err := s.once(p, variant, &Input{Attacker: attls.RoleClient.String()})
	if err == nil {
		s.session = r.line.session
	}
	return err
}
