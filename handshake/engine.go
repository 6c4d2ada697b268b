package handshake

import (
	"strings"

	"attls"
	"attls/extensions"
	"attls/extensions/profile/binder"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/record"
)

// Engine is one end of one TLS 1.3 connection. It is not safe for concurrent
// use; after EventDone, Split gives two halves that are.
type Engine struct {
	cfg    *Config
	role   attls.Role
	table  *extensions.Table
	prov   provider.Provider
	random Random

	in  *record.Reader
	out *record.Writer

	state state
	done  bool
	err   *attls.Error

	events []Event
	seen   int // events handed out
	waits  []waiting
	taken  waiting // the last one that was answered and used
	nextID WaitID

	transcript transcript
	keys       schedule
	sent       extensions.Sent
	nego       negotiated
	peer       *authenticated
	first      authenticated // whom the peer shows to be in the handshake
	firstProof proof
	own        ownCredential
	att        attestation
	psk        pskState
	early      earlyData
	post       postAuthentication
	types      certificateTypes

	ticketsAsked uint32            // numbers the tickets of a server
	grease       [numGrease]uint16 // the reserved values of this connection, as far as drawn

	message  message.Raw // the one being handled
	inserted [][]byte    // messages that a tap inserted, to be handled next
	flight   []byte      // scratch for building messages
	ext      extensionBuilder
	scratch  scratch

	ccsAllowed bool // a dummy change_cipher_spec may arrive
	ccsSent    bool
	eof        bool // the peer sends nothing more

	reader *Reader // the halves of the connection once the traffic keys exist
	writer *Writer
	split  bool // the halves are in use; the engine touches no record any more
}

// scratch holds the message that is being built or read, one of each kind, so
// that their slices are reused.
type scratch struct {
	clientHello message.ClientHello
	serverHello message.ServerHello
	encrypted   message.EncryptedExtensions
	request     message.CertificateRequest
	certificate message.Certificate
	verify      message.CertificateVerify
	finished    message.Finished
	mac         [maxHash]byte
	seed        [128]byte // of a key share
}

// negotiated is what the two ends have agreed on.
type negotiated struct {
	suite       *provider.Suite
	group       attls.NamedGroup
	retried     bool
	alpn        string
	serverName  string
	recordLimit uint16 // what the peer accepts; 0: no limit announced
	peerSchemes []attls.SignatureScheme
	peerCert    []attls.SignatureScheme
	authorities [][]byte
	sessionID   []byte
	requested   bool // a CertificateRequest was sent or received
	context     []byte
	compressor  CertificateCompressor // for our Certificate; nil: none
	random      [2][32]byte
}

// authenticated is who the peer has shown to be, with what was said of exactly
// this key. Whoever authenticates again replaces all of it.
type authenticated struct {
	chain  [][]byte
	kind   attls.CertificateType // of the chain
	typed  bool                  // kind is known; otherwise it is what was agreed on
	spki   []byte
	key    *provider.PublicKey
	scheme attls.SignatureScheme
	none   bool // an empty Certificate
	ocsp   []byte
	sct    []byte
	proof  *proof        // its attestation
	kept   *AttestedPeer // what the session that is resumed keeps of its attestation
	// conditional: the chain counts only with an accepted verdict on its key.
	conditional bool
}

func newAuthenticated() *authenticated { return &authenticated{proof: &proof{}} }

// ownCredential is what this end shows.
type ownCredential struct {
	credential *Credential
	scheme     attls.SignatureScheme
	spki       []byte
	proof      proof
}

// state is one state of RFC 8446 appendix A. States are immutable values, so a
// fork shares them; all that changes lives in Engine.
type state interface {
	name() string
	// due is the gate that must be open before the state goes on: waits that
	// have to be answered by then hold it back.
	due() gate
}

// active states go on by themselves.
type active interface {
	state
	step(e *Engine) (state, *attls.Error)
}

// passive states need a message of the peer.
type passive interface {
	state
	receive(e *Engine, m *message.Raw) (state, *attls.Error)
}

// NewClient makes the client's engine; its ClientHello is ready in Output once
// no wait blocks it.
func NewClient(c *Config) (*Engine, error) { return newEngine(c, attls.RoleClient, c.tap(), nil) }

// NewServer makes the server's engine.
func NewServer(c *Config) (*Engine, error) { return newEngine(c, attls.RoleServer, c.tap(), nil) }

// tap is Config.Tap; nil without a Config, which newEngine refuses.
func (c *Config) tap() Tap {
	if c == nil {
		return nil
	}
	return c.Tap
}

func newEngine(c *Config, role attls.Role, tap Tap, log keyLogger) (*Engine, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	table, _ := c.placement()
	q := c.quirks()
	padTo := c.PadTo
	if q.PadTo > padTo {
		padTo = q.PadTo
	}
	e := &Engine{cfg: c, role: role, table: table, prov: c.provider(), random: c.random(),
		in: record.NewReader(c.limits()),
		out: record.NewWriter(record.WriterSettings{MaxPlaintext: c.MaxFragment, PadTo: padTo, NeverFragment: q.NeverFragment,
			MessagesPerRecord: c.messagesPerRecord()}),
		events: make([]Event, 0, 4), flight: make([]byte, 0, 1024),
	}
	e.first.proof = &e.firstProof
	e.peer = &e.first
	// RFC 8446 section 6: an alert is protected as its sender's state is, and a
	// client that rejects ServerHello has no keys yet.
	e.in.AcceptPlaintextAlerts(role == attls.RoleServer || q.AcceptPlaintextAlerts)
	e.attach(tap)
	if log != nil {
		e.keys.log = func(name SecretName, secret []byte) { log(name, e.nego.random[attls.RoleClient][:], secret) }
	}
	e.startAttestation()
	if role == attls.RoleClient {
		e.out.FirstVersion()
		e.state = clientStart{}
	} else {
		e.state = serverWaitClientHello{}
		if c.Retry.stateless() {
			// A second ClientHello is the first here, with what a client may send
			// before it: RFC 8446 section 5 lets stateless servers allow this.
			e.skipEarlyData(nil)
			e.ccsAllowed = true
		}
	}
	e.run()
	return e, nil
}

// maxMessage bounds a handshake message without its header.
func (e *Engine) maxMessage() int {
	if n := e.cfg.Limits.MaxHandshakeMessage; n != 0 {
		return n
	}
	return record.DefaultMaxHandshakeMessage
}

// attach connects the tap to the record layer and the key schedule.
func (e *Engine) attach(t Tap) {
	e.keys.tap = t
	if t == nil {
		return
	}
	e.in.OnRecord(func(r *record.Raw, p *record.Plan) { t.Record(Received, r, p) })
	e.out.OnRecord(func(r *record.Raw, p *record.Plan) { t.Record(Sent, r, p) })
}

func (e *Engine) tap() Tap { return e.keys.tap }

// Role returns which end this is.
func (e *Engine) Role() attls.Role { return e.role }

// Done reports whether the handshake is complete.
func (e *Engine) Done() bool { return e.done }

// Err returns the error that ended the connection, or nil.
func (e *Engine) Err() *attls.Error { return e.err }

// StateName names the state of RFC 8446 appendix A that the engine is in.
func (e *Engine) StateName() string {
	if e.err != nil {
		return "FAILED"
	}
	return e.state.name()
}

// Reserve returns at least n octets of input space. The peer's octets are put
// at its beginning and announced with Commit. Views from earlier events are
// invalid afterwards.
func (e *Engine) Reserve(n int) []byte { return e.in.Reserve(n) }

// Commit takes n octets of input and goes as far as they and the open waits
// allow. The error, if any, is also the last event.
func (e *Engine) Commit(n int) error {
	if e.err != nil {
		return e.err
	}
	e.in.Commit(n)
	e.run()
	return e.failure()
}

// Blocked reports whether an open wait holds the engine: until it is answered,
// input is kept and not handled.
func (e *Engine) Blocked() bool { return e.err == nil && e.held(e.state.due()) }

// Buffered returns how many octets of input are held.
func (e *Engine) Buffered() int { return e.in.Buffered() }

// InputEOF says that the peer will send nothing more. Without a close_notify
// before, the connection was truncated (RFC 8446 section 6.1); while a wait holds
// the engine, that shows only after the answer.
func (e *Engine) InputEOF() error {
	e.eof = true
	e.run()
	return e.failure()
}

// starve is called when more input is needed.
func (e *Engine) starve() {
	switch {
	case !e.eof || e.reader != nil && e.reader.closed:
	case e.done:
		e.fail(truncated())
	default:
		e.fail(attls.Errorf(attls.FromPeer, attls.FailTruncated, "the connection ended during the handshake, in state %s", e.state.name()).By("RFC 8446 6.1"))
	}
}

// truncated is the error of a connection that ends without close_notify.
func truncated() *attls.Error {
	return attls.Errorf(attls.FromPeer, attls.FailTruncated, "the connection ended without close_notify").By("RFC 8446 6.1")
}

func (e *Engine) failure() error {
	if e.err != nil {
		return e.err
	}
	return nil
}

// Next returns the next event, or false when there is none.
func (e *Engine) Next() (Event, bool) {
	if e.seen == len(e.events) {
		e.events, e.seen = e.events[:0], 0
		return Event{}, false
	}
	ev := e.events[e.seen]
	e.events[e.seen] = Event{}
	e.seen++
	return ev, true
}

func (e *Engine) emit(ev Event) { e.events = append(e.events, ev) }

// Output returns the octets to send. They stay valid until the next call of
// another method.
func (e *Engine) Output() []byte { return e.out.Output() }

// Wrote says that the first n octets of Output were sent.
func (e *Engine) Wrote(n int) {
	if e.writer != nil {
		e.writer.Wrote(n)
		return
	}
	e.out.Wrote(n)
}

// run goes on until input, an answer or the connection ends.
func (e *Engine) run() {
	for e.err == nil && !e.split {
		if e.held(e.state.due()) {
			return
		}
		var err *attls.Error
		switch s := e.state.(type) {
		case active:
			e.state, err = advance(s.step(e))
		case passive:
			m, ok, cause := e.nextMessage()
			if cause == nil && !ok {
				e.starve()
				return
			}
			if err = cause; err == nil {
				e.message = m
				e.state, err = advance(s.receive(e, &e.message))
				if err != nil {
					err.In(m.Kind)
				}
			}
		}
		if err != nil {
			e.fail(err)
		}
		e.tellState()
	}
}

// tellState tells a tap that wants to know of the state that was entered.
func (e *Engine) tellState() {
	if e.tap() == nil {
		return
	}
	if t, ok := e.tap().(StateTap); ok {
		t.State(e.StateName())
	}
}

// advance exists because a failed step returns no state to go to.
func advance(s state, err *attls.Error) (state, *attls.Error) {
	if err != nil {
		return failed{}, err
	}
	return s, nil
}

type failed struct{}

func (failed) name() string { return "FAILED" }
func (failed) due() gate    { return gateNow }

// nextMessage returns the next handshake message after taps have seen it;
// other content is handled on the way.
func (e *Engine) nextMessage() (message.Raw, bool, *attls.Error) {
	for {
		if len(e.inserted) > 0 {
			raw := e.inserted[0]
			e.inserted = e.inserted[1:]
			m, err := message.ParseRaw(raw)
			return e.classify(m), err == nil, err
		}
		if e.reader != nil && e.reader.closed {
			return message.Raw{}, false, nil
		}
		item, ok, err := e.in.Next()
		if err != nil || !ok {
			return message.Raw{}, false, err
		}
		switch item.Type {
		case attls.ContentTypeHandshake:
			m, err := message.ParseRaw(item.Data)
			if err != nil {
				return m, false, err
			}
			m = e.classify(m)
			if e.tap() == nil {
				return m, true, nil
			}
			if m, ok = e.tapReceived(m); ok {
				return m, true, nil
			}
		case attls.ContentTypeApplicationData:
			switch {
			case e.early.reading:
				if err := e.receiveEarly(len(item.Data)); err != nil {
					return message.Raw{}, false, err
				}
			case !e.done:
				return message.Raw{}, false, attls.Errorf(attls.Violation, attls.FailUnexpectedMessage,
					"application data before the handshake is complete, in state %s", e.state.name()).By("RFC 8446 5")
			}
			if err := e.reader.takeData(len(item.Data)); err != nil {
				return message.Raw{}, false, err
			}
			if len(item.Data) > 0 {
				ev := Event{Kind: EventData, Data: item.Data}
				if e.early.reading {
					ev.Early = EarlyDataAccepted
				}
				e.emit(ev)
			}
		case attls.ContentTypeAlert:
			closed, err := readAlert(e.cfg, e.tap(), item.Data)
			if err == nil && closed && !e.done {
				err = attls.Errorf(attls.FromPeer, attls.FailPeerAlert, "the peer closed during the handshake, in state %s", e.state.name())
				err.Alert, err.HasAlert = attls.AlertCloseNotify, true
			}
			if err != nil {
				if !e.done {
					err.Detail += ", in state " + e.state.name()
				}
				return message.Raw{}, false, err
			}
			if closed {
				e.reader.closed = true
				e.emit(Event{Kind: EventClosed})
			}
		case attls.ContentTypeChangeCipherSpec:
			if !e.ccsAllowed {
				return message.Raw{}, false, attls.Errorf(attls.Violation, attls.FailUnexpectedMessage,
					"change_cipher_spec in state %s", e.state.name()).By("RFC 8446 5")
			}
		}
	}
}

// classify names the messages that a profile adds.
func (e *Engine) classify(m message.Raw) message.Raw {
	if m.Kind == attls.KindUnknown && e.cfg.Profile != nil {
		for _, a := range e.cfg.Profile.Messages {
			if a.Type == m.Type {
				m.Kind = attls.KindAdded
			}
		}
	}
	return m
}

// tapReceived shows a received message to the tap; false when the message is
// not handled itself but what the tap put in its place.
func (e *Engine) tapReceived(m message.Raw) (message.Raw, bool) {
	queue, unchanged := planReceived(e.tap(), &m)
	e.inserted = append(queue, e.inserted...)
	return m, unchanged
}

// readAlert reads the two octets of an alert; closed reports close_notify.
func readAlert(c *Config, t Tap, b []byte) (closed bool, _ *attls.Error) {
	level, a := b[0], attls.AlertDescription(b[1])
	if t != nil {
		t.Alert(Received, a)
	}
	switch {
	case a == attls.AlertCloseNotify:
		return true, nil
	case a == attls.AlertUserCanceled:
		return false, nil // a close_notify follows (RFC 8446 section 6.1); the record layer bounds their number
	case level != 1 && level != 2:
		return false, attls.Errorf(attls.Violation, attls.FailIllegalParameter, "alert level %d", level).By("RFC 8446 6")
	}
	// RFC 8446 section 6: every other alert is fatal whatever its level says.
	err := attls.Errorf(attls.FromPeer, attls.FailPeerAlert, "the peer sent the alert %s", strings.TrimPrefix(c.alertName(a), "alert "))
	err.Alert, err.HasAlert, err.AlertName = a, true, c.addedAlert(a)
	return false, err
}

// AlertName names an alert with the profile's names for the ones it adds.
func (e *Engine) AlertName(a attls.AlertDescription) string { return e.cfg.alertName(a) }

func (c *Config) alertName(a attls.AlertDescription) string {
	if n := c.addedAlert(a); n != "" {
		return n
	}
	return a.String()
}

// addedAlert is the profile's name for an alert that it adds, or empty.
func (c *Config) addedAlert(a attls.AlertDescription) string {
	if c.Profile == nil {
		return ""
	}
	return c.Profile.AlertNames[a]
}

// fail ends the connection: the failure becomes an alert here and nowhere else.
func (e *Engine) fail(err *attls.Error) {
	if e.err != nil {
		return
	}
	alert := e.alertFor(err) // first, so that nobody sees an incomplete error
	e.err = err
	e.state = failed{}
	if alert && !e.split { // otherwise the alert is for the holder of the Writer to send
		for _, x := range lastAlerts(err.Alert) {
			e.sendAlert(x.level, x.alert)
		}
		if e.writer != nil {
			e.writer.closed = true
		}
	}
	e.emit(Event{Kind: EventError, Err: err})
}

// alertFor sets the alert of an error; false when none is to be sent.
func (e *Engine) alertFor(err *attls.Error) bool {
	if err.Class == attls.FromPeer {
		return false
	}
	a, send := attls.DefaultAlert(err.Failure), true
	if p := e.cfg.Profile; p != nil && err.Failure.Attestation() {
		action := p.AlertFor(err.Failure)
		if !action.None { // of one that cannot be let pass after all, the default remains
			a, send = action.Alert, !action.Close
		}
	}
	if err.Failure == attls.FailTimeout && e.split { // user_canceled is for the handshake (RFC 8446 section 6.1)
		a = attls.AlertInternalError
	}
	err.Alert, err.HasAlert, err.AlertName = 0, send, ""
	if send {
		err.Alert, err.AlertName = a, e.cfg.addedAlert(a)
	}
	return send
}

func (e *Engine) sendAlert(level byte, a attls.AlertDescription) {
	if t := e.tap(); t != nil {
		t.Alert(Sent, a)
	}
	if e.role == attls.RoleClient && e.keys.clientHandshake.n > 0 {
		e.sendCCS() // it comes before the first protected record, be it an alert
	}
	e.out.Flush()
	e.out.Write(attls.ContentTypeAlert, []byte{level, byte(a)})
	e.out.Flush()
}

// Abort ends the connection from outside with an error of our own.
func (e *Engine) Abort(err *attls.Error) { e.fail(ours(err)) }

// ours is a copy of an error that comes from outside: it is completed here, and
// may be one that its maker gives to several connections.
func ours(err *attls.Error) *attls.Error {
	c := *err
	return &c
}

// send puts a handshake message into the transcript and the flight.
func (e *Engine) send(raw []byte) *attls.Error {
	m, err := message.ParseRaw(raw)
	if err != nil {
		return attls.Errorf(attls.Local, attls.FailInternal, "a message of ours does not parse: %v", err)
	}
	m = e.classify(m)
	if e.tap() == nil {
		e.transcribe(&m, e.role)
		return e.out.Handshake(raw)
	}
	return e.sendTapped(m)
}

// sendTapped sends what the tap makes of a message.
func (e *Engine) sendTapped(m message.Raw) *attls.Error {
	var p Plan
	raw := m.Bytes
	e.tap().Message(Sent, &m, &p)
	wire := raw
	if p.Replace != nil {
		wire = p.Replace
	}
	if p.Rebind {
		e.rebind(m.Kind, wire)
	}
	for _, b := range p.Before {
		if err := e.insert(b, p.TranscriptOriginal); err != nil {
			return err
		}
	}
	switch {
	case p.TranscriptOriginal:
		e.transcribe(&m, e.role)
	case !p.Drop:
		e.transcribe(&message.Raw{Kind: m.Kind, Type: m.Type, Bytes: wire}, e.role)
	}
	if p.Reparse && !p.Drop {
		e.resend(m.Kind, wire)
	}
	if !p.Drop {
		if err := e.out.Handshake(wire); err != nil {
			return err
		}
	}
	for _, b := range p.After {
		if err := e.insert(b, p.TranscriptOriginal); err != nil {
			return err
		}
	}
	return nil
}

// insert sends a message of a tap's.
func (e *Engine) insert(raw []byte, secretly bool) *attls.Error {
	if !secretly {
		e.transcript.add(binder.PointNone, raw)
	}
	return e.out.Handshake(raw)
}

// resend lets the state follow a replaced ClientHello: what it offers, and what
// the server will repeat of it.
func (e *Engine) resend(k attls.MessageKind, raw []byte) {
	var ch message.ClientHello
	if k == attls.KindClientHello && len(raw) >= 4 && ch.Unmarshal(raw[4:]) == nil {
		e.note(e.role, k, ch.Extensions)
		e.nego.sessionID = append([]byte(nil), ch.SessionID...)
	}
}

// note remembers which extensions a role sent in a message.
func (e *Engine) note(role attls.Role, k attls.MessageKind, l extensions.List) {
	for i := range l {
		// What a peer sends beyond the table solicits nothing.
		if _, known := e.table.Lookup(l[i].Type); known || role == e.role {
			e.sent.Add(role, k, l[i].Type)
		}
	}
}

// unexpected is the error for a message that a state does not take.
func unexpected(m *message.Raw, s state) *attls.Error {
	what := m.Kind.String()
	if m.Kind == attls.KindUnknown || m.Kind == attls.KindAdded {
		what = m.Type.String()
	}
	return attls.Errorf(attls.Violation, attls.FailUnexpectedMessage, "%s in state %s", what, s.name()).By("RFC 8446 4")
}

// setReadKey switches the reading side to a traffic secret.
func (e *Engine) setReadKey(s *secret) *attls.Error {
	aead, iv, err := trafficKey(e.keys.kdf, s.bytes())
	if err != nil {
		return err
	}
	return e.in.SetKey(aead, iv)
}

// setWriteKey switches the writing side to a traffic secret.
func (e *Engine) setWriteKey(s *secret) *attls.Error {
	aead, iv, err := trafficKey(e.keys.kdf, s.bytes())
	if err != nil {
		return err
	}
	e.out.SetKey(aead, iv)
	return nil
}

// sendCCS sends the dummy change_cipher_spec of RFC 8446 appendix D.4, once.
func (e *Engine) sendCCS() {
	if e.ccsSent || e.cfg.NoMiddleboxCompatibility || e.cfg.quirks().NoCCS {
		return
	}
	e.ccsSent = true
	e.out.ChangeCipherSpec()
}
