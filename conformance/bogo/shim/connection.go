package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"attls"
	"attls/handshake"
	"attls/internal/provider"
	"attls/negotiation"
)

// shared is what the connections of one test have in common.
type shared struct {
	clients handshake.ClientSessions
	servers handshake.ServerSessions
	passed  time.Duration // by -resumption-delay
}

func newShared() *shared {
	s := &shared{}
	// The runner compares ages of tickets to the millisecond, so time passes only
	// when a flag says so.
	start := time.Now()
	now := func() time.Time { return start.Add(s.passed) }
	s.clients.Now, s.servers.Keys.Now = now, now
	s.clients.Max = 1
	return s
}

// connection is one connection to the runner.
type connection struct {
	*shared
	o       *options
	retry   *options // once early data was rejected
	resumed bool
	conn    net.Conn
	engine  *handshake.Engine
	cred    *handshake.Credential
	watch   *watcher
	held    bool          // a write is not to be finished yet
	sent    int           // octets of the first write that went as early data
	skew    time.Duration // of the ticket
	tickets []*handshake.Session
	in      []byte // application data not read yet
	closed  bool   // the peer's close_notify arrived
	eof     bool   // or the connection just ended
}

// connect runs one connection from the first octet to the last.
func (s *shared) connect(o, retry *options, resumed bool) error {
	c := &connection{shared: s, o: o, retry: retry, resumed: resumed}
	var err error
	if c.cred, err = credential(o); err != nil {
		return err
	}
	cfg, err := c.config()
	if err != nil {
		return err
	}
	// The runner listens on one of the two loopback addresses, IPv6 if it can.
	if c.conn, err = net.Dial("tcp", net.JoinHostPort("::1", strconv.Itoa(o.port))); err != nil {
		if c.conn, err = net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(o.port))); err != nil {
			return err
		}
	}
	defer c.conn.Close()
	if o.shimID != nil { // runners of 2024 and before start one shim a listener
		if err := binary.Write(c.conn, binary.LittleEndian, *o.shimID); err != nil {
			return err
		}
	}
	role := handshake.NewClient
	if o.server {
		role = handshake.NewServer
	}
	if c.engine, err = role(cfg); err != nil {
		return err
	}
	if err := c.talk(); err != nil {
		c.drain()
		return err
	}
	return c.checkMessages()
}

// drain sends what is pending, the alert above all, and waits until the runner
// has seen it: a reset would lose it.
func (c *connection) drain() {
	c.conn.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = c.conn.Write(c.engine.Output())
	if t, ok := c.conn.(*net.TCPConn); ok {
		_ = t.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, c.conn)
}

// talk is the shim's part of a connection.
func (c *connection) talk() error {
	ready := c.engine.Done
	if c.o.server && c.o.earlyData { // the echo of early data comes before the handshake is complete
		ready = func() bool { return c.engine.Done() || len(c.in) > 0 }
	}
	if err := c.until(ready); err != nil {
		return err
	}
	if c.o.handshakeNeverDone {
		return errors.New("the handshake was completed")
	}
	if err := c.checkState(); err != nil {
		return err
	}
	if err := c.firstWrites(); err != nil {
		return err
	}
	if c.o.sendAlert {
		const decompressionFailure = 30
		_, w := c.engine.Split()
		_ = w.Alert(decompressionFailure)
		c.drain()
		return nil
	}
	if !c.o.shutsDown {
		if err := c.echo(); err != nil {
			return err
		}
	}
	if err := c.checkTickets(); err != nil {
		return err
	}
	return c.shutDown()
}

// firstWrites sends what flags ask for before anything is read.
func (c *connection) firstWrites() error {
	if c.o.exportLen > 0 {
		v, err := c.engine.Export(c.o.exportLabel, []byte(c.o.exportContext), c.o.exportLen)
		if err != nil {
			return err
		}
		if err := c.write(v); err != nil {
			return err
		}
	}
	if c.o.exportSecrets {
		if err := c.write(c.watch.secrets(c.engine.Role())); err != nil {
			return err
		}
	}
	if c.o.differentSizes {
		for _, n := range [...]int{0, 1, 255, 256, 257, 16383, 16384, 16385, 32767, 32768, 32769} {
			if err := c.write(bytes.Repeat([]byte{0x42}, n)); err != nil {
				return err
			}
		}
	} else if c.o.unfinished {
		c.held = true
		return c.write([]byte("hello")[c.sent:])
	} else if c.o.writesFirst {
		return c.write([]byte("hello")[c.sent:])
	}
	return nil
}

// echo sends back what arrives, each octet inverted, until the peer closes.
func (c *connection) echo() error {
	size := 512
	if c.o.readSize > 0 {
		size = c.o.readSize
	}
	for {
		if err := c.until(func() bool { return len(c.in) > 0 || c.closed || c.eof }); err != nil {
			return err
		}
		if len(c.in) == 0 {
			return nil
		}
		if c.o.exporterBetweenReads {
			if _, err := c.engine.Export("", nil, 1); err != nil {
				return err
			}
		}
		b := c.in[:min(size, len(c.in))]
		c.in = c.in[len(b):]
		if c.o.keyUpdate {
			if err := c.engine.KeyUpdate(false); err != nil {
				return err
			}
		}
		for i := range b {
			b[i] ^= 0xff
		}
		if err := c.write(b); err != nil {
			return err
		}
	}
}

// shutDown ends the connection, with close_notify where the test checks it.
func (c *connection) shutDown() error {
	if !c.o.checkClose {
		return nil
	}
	c.engine.CloseNotify()
	if err := c.flush(); err != nil {
		return err
	}
	if !c.o.shutsDown {
		return nil
	}
	if err := c.until(func() bool { return len(c.in) > 0 || c.closed || c.eof }); err != nil {
		return err
	}
	switch {
	case len(c.in) > 0:
		return errors.New("application data on shutdown")
	case !c.closed:
		return errors.New("the connection ended without close_notify (Unexpected SSL_shutdown result: -1 != 1)")
	}
	return nil
}

func (c *connection) write(b []byte) error {
	if err := c.engine.Write(b); err != nil {
		return err
	}
	return c.flush()
}

// flush sends what the engine has to send.
func (c *connection) flush() error {
	for out := c.engine.Output(); len(out) > 0; out = c.engine.Output() {
		if c.held { // one octet of the first write, until something arrives
			n, err := c.conn.Write(out[:1])
			c.engine.Wrote(n)
			return err
		}
		n, err := c.conn.Write(out)
		c.engine.Wrote(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// until moves octets and answers waits until a condition holds. The end of the
// peer's octets fails only a handshake.
func (c *connection) until(met func() bool) error {
	for {
		if err := c.events(); err != nil {
			return err
		}
		if err := c.flush(); err != nil {
			return err
		}
		if met() {
			return nil
		}
		n, err := c.read()
		switch {
		case n > 0:
			c.held = false
			c.engine.Commit(n) // its error is the last event
			if err := c.earlyWrite(); err != nil {
				return err
			}
		case err == io.EOF && c.engine.Done():
			c.eof = true
		case err == io.EOF:
			return c.engine.InputEOF()
		case err != nil:
			return err
		}
	}
}

// read reads what there is, or a single record where the next step depends on it.
func (c *connection) read() (int, error) {
	if c.o.earlyWriteAfter == 0 {
		return c.conn.Read(c.engine.Reserve(4096))
	}
	const header, most = 5, 1 << 15
	b := c.engine.Reserve(header + most)
	if n, err := io.ReadFull(c.conn, b[:header]); err != nil {
		return n, io.EOF
	}
	n, err := io.ReadFull(c.conn, b[header:header+int(binary.BigEndian.Uint16(b[3:]))])
	return header + n, err
}

// earlyWrite writes early data after the message that -early-write-after-message names.
func (c *connection) earlyWrite() error {
	if after := c.o.earlyWriteAfter; after == 0 || c.watch.last != attls.HandshakeType(after) ||
		c.engine.EarlyDataLeft() == 0 {
		return nil
	}
	c.o.earlyWriteAfter = 0
	return c.writeEarly()
}

// writeEarly sends the first write, or what there is room for, as early data.
func (c *connection) writeEarly() error {
	if err := c.flush(); err != nil {
		return err
	}
	b := []byte("hello")
	c.sent = min(len(b), c.engine.EarlyDataLeft())
	c.held = c.o.unfinished
	return c.engine.Write(b[:c.sent])
}

// events handles what the engine tells and asks.
func (c *connection) events() error {
	for ev, ok := c.engine.Next(); ok; ev, ok = c.engine.Next() {
		switch ev.Kind {
		case handshake.EventWait:
			a, refusal := c.answer(ev.Wait)
			if refusal != nil {
				c.engine.Fail(ev.Wait.ID, refusal)
				continue
			}
			c.engine.Answer(ev.Wait.ID, a)
		case handshake.EventEarlyData:
			if err := c.earlyData(ev.Early); err != nil {
				return err
			}
		case handshake.EventTicket:
			if ev.Session != nil {
				c.tickets = append(c.tickets, ev.Session)
				c.clients.Put(ev.Session)
			}
		case handshake.EventData:
			c.in = append(c.in, ev.Data...)
		case handshake.EventClosed:
			c.closed = true
		case handshake.EventError:
			return ev.Err
		}
	}
	return nil
}

// earlyData writes a client's early data as soon as it may. What was rejected is
// for the application to send again, if it wants to.
func (c *connection) earlyData(s handshake.EarlyDataStatus) error {
	switch {
	case s == handshake.EarlyDataOpen && c.o.exportLen > 0: // too early for it
		_, err := c.engine.Export(c.o.exportLabel, []byte(c.o.exportContext), c.o.exportLen)
		return err
	case s == handshake.EarlyDataOpen && (c.o.writesFirst || c.o.unfinished) && c.o.earlyWriteAfter == 0:
		return c.writeEarly()
	case s == handshake.EarlyDataRejected && c.o.expectReject:
		c.o, c.sent = c.retry, 0
	}
	return nil
}

// answer answers a wait as the flags say.
func (c *connection) answer(w *handshake.Wait) (handshake.Answer, *attls.Error) {
	var a handshake.Answer
	refuse := func(f attls.Failure, detail string) *attls.Error {
		return attls.Errorf(attls.Refused, f, "%s", detail)
	}
	if c.o.server && (c.o.failEarly || c.o.failDDoS) {
		f := attls.FailSignatureScheme
		if c.o.failDDoS {
			f = attls.FailInternal
		}
		return a, refuse(f, ":CONNECTION_REJECTED: asked for by a flag")
	}
	switch w.Kind {
	case handshake.WaitCredential:
		if c.o.server && c.o.failOCSP {
			return a, refuse(attls.FailInternal, "asked for with -fail-ocsp-callback")
		}
		if c.o.failCertCallback {
			return a, refuse(attls.FailInternal, "asked for with -fail-cert-callback")
		}
		if err := c.checkRequest(w.Credential); err != nil {
			return a, refuse(attls.FailInternal, err.Error())
		}
		if c.cred == nil {
			return a, nil
		}
		// A client of BoringSSL's that has a certificate shows it or none at all.
		if _, err := negotiation.SelectSignatureScheme(c.cred.Schemes, w.Credential.Schemes); err != nil {
			return a, err
		}
		a.Credential = c.cred
	case handshake.WaitSignature:
		s, err := provider.Sign(w.Signature.Credential.Signer, w.Signature.Scheme, w.Signature.Content)
		if err != nil {
			return a, refuse(attls.FailInternal, err.Error())
		}
		a.Signature = s
	case handshake.WaitPSK:
		if !c.o.server {
			a.PSKs = c.clients.Offers(w.PSK)
		} else if p, ok := c.servers.Find(w.PSK); ok {
			a.PSKs, c.skew = []handshake.PSK{p}, p.Skew
		}
	case handshake.WaitTicket:
		a.Ticket, a.TicketLifetime = c.servers.Ticket(w.Ticket)
	case handshake.WaitEarlyData:
		a.AcceptEarlyData = true
	case handshake.WaitCertificateVerdict:
		if c.o.failOCSP && !w.Certificate.Resumed {
			return a, refuse(attls.FailCertificateStatus, "asked for with -fail-ocsp-callback")
		}
		if w.Certificate.Resumed && !c.o.reverify {
			return a, nil
		}
		if c.o.verifyFail && c.verifies() {
			return a, refuse(c.o.verifyFailure(), ":CERTIFICATE_VERIFY_FAILED: asked for with -verify-fail")
		}
	}
	return a, nil
}

// verifies reports whether the peer's certificate is judged at all.
func (c *connection) verifies() bool { return c.o.verifyPeer || c.o.requireClientCert }

// checkRequest holds what the peer says it accepts against the flags.
func (c *connection) checkRequest(r *handshake.CredentialRequest) error {
	if want := c.o.expectClientCAs; want != "" {
		names, err := caNames(want)
		if err != nil {
			return err
		}
		if len(names) != len(r.Authorities) {
			return fmt.Errorf("%d certificate authorities, want %d", len(r.Authorities), len(names))
		}
		for i := range names {
			if !bytes.Equal(names[i], r.Authorities[i]) {
				return fmt.Errorf("certificate authority %d differs", i)
			}
		}
	}
	if want := c.o.expectPeerVerifyPrefs; want != nil {
		if len(want) != len(r.Schemes) {
			return fmt.Errorf("signature schemes %v, want %v", r.Schemes, want)
		}
		for i := range want {
			if want[i] != r.Schemes[i] {
				return fmt.Errorf("signature schemes %v, want %v", r.Schemes, want)
			}
		}
	}
	return nil
}

// caNames reads the list of -use-client-ca-list: hexadecimal names with commas.
func caNames(list string) ([][]byte, error) {
	if list == "<NULL>" || list == "<EMPTY>" || list == "" {
		return nil, nil
	}
	var names [][]byte
	for _, s := range bytes.Split([]byte(list), []byte(",")) {
		b, err := hex.DecodeString(string(s))
		if err != nil {
			return nil, err
		}
		names = append(names, b)
	}
	return names, nil
}
