package placement

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"attls"
	"attls/conformance/scenario"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/message"
	"attls/record"
)

// Outcome is what a stack did with a case.
type Outcome string

// The outcomes.
const (
	Accepted   Outcome = "accepted"   // the handshake went on
	Refused    Outcome = "refused"    // with an alert
	Unreadable Outcome = "unreadable" // it ended with a record under other keys than those of the connection
	Closed     Outcome = "closed"     // it ended without an alert
	Silent     Outcome = "silent"     // nothing came in time
	Crashed    Outcome = "crashed"    // the program ended by a signal
	Unsent     Outcome = "unsent"     // the connection ended before the case was sent
)

// Observation is what a stack did with a case, as our end saw it.
type Observation struct {
	Outcome Outcome
	Alert   *attls.AlertDescription // with which it refused
	// Asked says that the stack had sent the extension in a message that the case's message answers.
	Asked bool
	// Present says that our message has the extension in any case, and was sent unchanged, and
	// Instead that the case's body took the place of the one that it has.
	Present, Instead bool
	// Came are the messages that the stack sent after the case.
	Came []attls.MessageKind
	// After are the octets of records that followed a fatal alert, with their headers.
	After []byte
	// Detail is why our end ended the connection, or what failed.
	Detail string
	// Octets is the message that was sent, with its header.
	Octets []byte
	// Shown are the extensions that the stack sent, by message.
	Shown map[attls.MessageKind][]attls.ExtensionType
}

// Driver makes our end of connections.
type Driver struct {
	credential *handshake.Credential
	sessions   *handshake.ServerSessions
	timeout    time.Duration
	goodbye    time.Duration // how long a client gets to answer close_notify after a ticket
}

// patient is the driver with so many times the time.
func (d *Driver) patient(times int) *Driver {
	p := *d
	p.timeout *= time.Duration(times)
	p.goodbye = p.timeout
	return &p
}

// DefaultTimeout bounds one connection.
const DefaultTimeout = 5 * time.Second

// NewDriver makes a Driver whose connections take at most so long. The authority of the
// demonstrations vouches for its certificate.
func NewDriver(timeout time.Duration) (*Driver, error) {
	authority, err := authority()
	if err != nil {
		return nil, err
	}
	credential, err := authority.Issue(scenario.KeyP256, serverName)
	if err != nil {
		return nil, err
	}
	return &Driver{credential: credential, sessions: &handshake.ServerSessions{}, timeout: timeout,
		goodbye: goodbyeTime}, nil
}

// serverName is the name in certificates.
const serverName = "localhost"

// request is what our client asks of a server: most test servers answer it.
const request = "GET / HTTP/1.0\r\n\r\n"

// config is our end's.
func (d *Driver) config(c *Case, keyLog io.Writer) *handshake.Config {
	out := &handshake.Config{PSK: true, KeyLog: keyLog,
		Groups: []attls.NamedGroup{attls.GroupX25519, attls.GroupSecp256r1, attls.GroupSecp384r1}}
	if c.Role == attls.RoleServer {
		out.ServerName = serverName
		return out
	}
	switch c.Message {
	case hrr:
		out.Groups = []attls.NamedGroup{attls.GroupSecp384r1}
	case cr:
		out.ClientAuthentication = handshake.OptionalClientCertificate
	case nst:
		out.Tickets = 1
	}
	return out
}

// Run sends a case over a connection to the stack under test and says what came back. It
// closes the connection. keyLog gets the secrets; nil: nobody does.
func (d *Driver) Run(ctx context.Context, nc net.Conn, c *Case, keyLog io.Writer) *Observation {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	w := &wire{Conn: nc}
	defer w.Close()
	deadline, _ := ctx.Deadline()
	if err := nc.SetDeadline(deadline); err != nil {
		return &Observation{Outcome: Unsent, Detail: err.Error()}
	}
	tap := &watch{c: c, wire: w, shown: map[attls.MessageKind][]attls.ExtensionType{}}
	answerer := &handshake.Answerer{Credentials: []*handshake.Credential{d.credential},
		Trust: handshake.Trust{InsecureSkipVerify: true}, ServerSessions: d.sessions}
	var conn *handshake.Conn
	if c.Role == attls.RoleServer {
		conn = handshake.Client(w, d.config(c, keyLog), answerer, tap)
	} else {
		conn = handshake.Server(w, d.config(c, keyLog), answerer, tap)
	}
	err := d.talk(ctx, conn, c)
	o := tap.observe(err, time.Now().Before(deadline))
	hello, came := tap.shown[ch]
	if c.Message == nst && came && !slices.Contains(hello, attls.ExtPSKKeyExchangeModes) {
		o.Outcome, o.Detail = Unsent, noTickets
	}
	return o
}

// noTickets is why a client is sent no ticket.
const noTickets = "its ClientHello has no psk_key_exchange_modes, so that no ticket may be sent to it " +
	"(RFC 8446 4.2.9); unseen: [new_session_ticket] in the adapter leaves these cases out"

// talk makes a connection go as far as the case's message is answered: nil means that the
// stack went on.
func (d *Driver) talk(ctx context.Context, conn *handshake.Conn, c *Case) error {
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	switch {
	case c.Role == attls.RoleServer && c.Message == ct:
		// The certificate is in our last flight, which only what follows answers.
		if _, err := conn.Write([]byte(request)); err != nil {
			return err
		}
		_, err := conn.Read(make([]byte, 1))
		return err
	case c.Message == nst:
		if err := conn.Settled(ctx); err != nil {
			return err
		}
		if err := conn.CloseWrite(); err != nil {
			return err
		}
		if err := conn.SetReadDeadline(time.Now().Add(d.goodbye)); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, io.LimitReader(conn, maxAnswer))
		return err
	}
	return conn.CloseWrite()
}

// goodbyeTime is how long a client gets at first to answer close_notify after a ticket: some never do.
const goodbyeTime = 800 * time.Millisecond

// maxAnswer bounds the octets of application data that a client is read.
const maxAnswer = 1 << 20

// wire is the connection below our end. It keeps what came last, to see what followed an
// alert.
type wire struct {
	net.Conn
	mu   sync.Mutex
	came []byte // what came, of at most maxKept octets
}

// maxKept bounds what is kept of what a stack sends, in octets.
const maxKept = 1 << 17

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.mu.Lock()
	w.came = append(w.came, b[:min(n, maxKept-len(w.came))]...)
	w.mu.Unlock()
	return n, err
}

// recordHeader is the length of the header of a record, in octets.
const recordHeader = 5

// beyond is what came after so many records.
func (w *wire) beyond(records int) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.came
	for range records {
		if len(b) < recordHeader {
			return nil
		}
		n := recordHeader + int(binary.BigEndian.Uint16(b[3:]))
		if len(b) < n {
			return nil
		}
		b = b[n:]
	}
	return slices.Clone(b)
}

// watch is the tap of our end.
type watch struct {
	handshake.NopTap
	c    *Case
	wire *wire

	mu      sync.Mutex
	sent    []byte // the case's message
	present bool
	instead bool
	shown   map[attls.MessageKind][]attls.ExtensionType
	came    []attls.MessageKind
	records int // received
	alert   *attls.AlertDescription
	until   int // records received when the alert came
}

// Fork is not used: our ends are not forked.
func (t *watch) Fork() handshake.Tap { return t }

// Message changes the case's message, and keeps what the stack sends.
func (t *watch) Message(d handshake.Direction, m *message.Raw, p *handshake.Plan) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d == handshake.Received {
		if t.sent != nil && len(t.came) < maxMessages {
			t.came = append(t.came, m.Kind)
		}
		if _, ok := t.shown[m.Kind]; !ok {
			t.shown[m.Kind] = shownIn(m)
		}
		return
	}
	if m.Kind != t.c.Message {
		return
	}
	p.Replace = t.c.edit(m)
	p.Reparse = p.Replace != nil
	if t.present = p.Replace == nil && !t.c.control(); !t.present && !t.c.control() {
		t.instead = slices.Contains(shownIn(m), t.c.Extension)
	}
	if t.sent = p.Replace; t.sent == nil {
		t.sent = slices.Clone(m.Bytes)
	}
}

// maxMessages bounds the messages that are noted.
const maxMessages = 16

// Record counts what came.
func (t *watch) Record(d handshake.Direction, _ *record.Raw, _ *record.Plan) {
	if d == handshake.Received {
		t.mu.Lock()
		t.records++
		t.mu.Unlock()
	}
}

// Alert keeps the first fatal alert that came.
func (t *watch) Alert(d handshake.Direction, a attls.AlertDescription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d == handshake.Received && a != attls.AlertCloseNotify && a != attls.AlertUserCanceled && t.alert == nil {
		t.alert, t.until = &a, t.records
	}
}

// shownIn are the extensions in a message; nil where it has none.
func shownIn(m *message.Raw) (list []attls.ExtensionType) {
	add := func(l extensions.List) {
		for i := range l {
			list = append(list, l[i].Type)
		}
	}
	switch m.Kind {
	case ct:
		var v message.Certificate
		if v.Unmarshal(m.Body()) == nil {
			for i := range v.Entries {
				add(v.Entries[i].Extensions)
			}
		}
	case ch, sh, hrr, ee, cr, nst:
		l, ok := listOf(m)
		if ok {
			add(l)
		}
	}
	return list
}

// listOf is the list of extensions of a message.
func listOf(m *message.Raw) (l extensions.List, ok bool) {
	switch m.Kind {
	case ch:
		var v message.ClientHello
		ok = v.Unmarshal(m.Body()) == nil
		l = v.Extensions
	case sh, hrr:
		var v message.ServerHello
		ok = v.Unmarshal(m.Body()) == nil
		l = v.Extensions
	case ee:
		var v message.EncryptedExtensions
		ok = v.Unmarshal(m.Body()) == nil
		l = v.Extensions
	case cr:
		var v message.CertificateRequest
		ok = v.Unmarshal(m.Body()) == nil
		l = v.Extensions
	case nst:
		var v message.NewSessionTicket
		ok = v.Unmarshal(m.Body()) == nil
		l = v.Extensions
	}
	return l, ok
}

// drainTime is how long we wait for what may follow an alert. A stack that closes, as it
// must, costs none of it.
const drainTime = 250 * time.Millisecond

// drain reads until the stack closes, or drainTime is over.
func (w *wire) drain() {
	if w.SetReadDeadline(time.Now().Add(drainTime)) != nil {
		return
	}
	b := make([]byte, 4096)
	for total := 0; total < maxKept; {
		n, err := w.Read(b)
		if total += n; err != nil {
			return
		}
	}
}

// observe says what happened; err is how our end ended, and early that it did before its time
// was over.
func (t *watch) observe(err error, early bool) *Observation {
	t.mu.Lock()
	alert, records, refused := t.alert, t.until, t.alert != nil
	t.mu.Unlock()
	var after []byte
	if refused {
		t.wire.drain()
		after = t.wire.beyond(records)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	o := &Observation{Alert: alert, Present: t.present, Instead: t.instead, Came: t.came, After: after, Octets: t.sent,
		Shown: t.shown, Asked: t.asked()}
	if err != nil {
		o.Detail = attls.Printable(err.Error())
	}
	var e *attls.Error
	known := errors.As(err, &e)
	switch {
	case t.sent == nil:
		o.Outcome = Unsent
	case refused:
		o.Outcome = Refused
	case err == nil:
		o.Outcome = Accepted
	case known && e.Failure == attls.FailBadRecordMAC:
		o.Outcome = Unreadable
	case known && e.Class != attls.FromPeer && e.Class != attls.Local:
		o.Outcome = t.wentOn() // our end refused what the stack answered
	case !early || known && e.Failure == attls.FailTimeout || errors.Is(err, os.ErrDeadlineExceeded):
		o.Outcome = Silent
	default:
		o.Outcome = Closed
	}
	return o
}

// wentOn is the outcome where our end refused what came after the case.
func (t *watch) wentOn() Outcome {
	if len(t.came) > 0 {
		return Accepted
	}
	return Closed
}

// asked reports whether the stack had asked for the extension before the case's message.
func (t *watch) asked() bool {
	if t.c.control() || !answers(t.c.Message) {
		return false
	}
	in := ch
	if t.c.Role == attls.RoleServer {
		in = cr // the ClientHello is ours
	}
	return slices.Contains(t.shown[in], t.c.Extension)
}

// String is the outcome with its alert.
func (o *Observation) String() string {
	switch {
	case o.Alert != nil:
		return fmt.Sprintf("%s with %s", o.Outcome, o.Alert)
	case o.Outcome == Closed:
		return "closed without an alert"
	}
	return string(o.Outcome)
}

// authority is the authority behind all certificates of a run. There is one: a stack may
// refuse two different certificates of the same name and serial number.
var authority = sync.OnceValues(scenario.NewFixedAuthority)
