package bench

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// pipe is one direction of an in-memory connection. It buffers, so that a
// writer never waits for its reader.
type pipe struct {
	mu     sync.Mutex
	filled sync.Cond
	buf    []byte
	closed bool
}

func newPipe() *pipe {
	p := &pipe{}
	p.filled.L = &p.mu
	return p
}

func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, io.ErrClosedPipe
	}
	p.buf = append(p.buf, b...)
	p.filled.Signal()
	return len(b), nil
}

func (p *pipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.buf) == 0 {
		if p.closed {
			return 0, io.EOF
		}
		p.filled.Wait()
	}
	n := copy(b, p.buf)
	p.buf = p.buf[:copy(p.buf, p.buf[n:])]
	return n, nil
}

func (p *pipe) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.filled.Broadcast()
}

// memoryConn is one end of an in-memory connection.
type memoryConn struct{ in, out *pipe }

func newMemoryConns() (a, b *memoryConn) {
	x, y := newPipe(), newPipe()
	return &memoryConn{x, y}, &memoryConn{y, x}
}

func (c *memoryConn) Read(b []byte) (int, error)  { return c.in.Read(b) }
func (c *memoryConn) Write(b []byte) (int, error) { return c.out.Write(b) }

func (c *memoryConn) Close() error {
	c.in.close()
	c.out.close()
	return nil
}

func (c *memoryConn) LocalAddr() net.Addr              { return memoryAddr{} }
func (c *memoryConn) RemoteAddr() net.Addr             { return memoryAddr{} }
func (c *memoryConn) SetDeadline(time.Time) error      { return nil }
func (c *memoryConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memoryConn) SetWriteDeadline(time.Time) error { return nil }

type memoryAddr struct{}

func (memoryAddr) Network() string { return "memory" }
func (memoryAddr) String() string  { return "memory" }

// tlsConfigs configures both ends of crypto/tls like ours: TLS 1.3, one group,
// the same chain and checks, and no session tickets.
func tlsConfigs(c Case, id *identity) (client, server *tls.Config) {
	certificate := tls.Certificate{Certificate: id.chain, PrivateKey: id.signer}
	common := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13,
		CurvePreferences: []tls.CurveID{tls.CurveID(c.Group)}, SessionTicketsDisabled: true, Time: func() time.Time {
			return moment
		}}
	client, server = common.Clone(), common.Clone()
	client.RootCAs, client.ServerName = id.roots, serverName
	if c.Mutual {
		server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, id.roots
	}
	return client, server
}

// tlsPair makes a connection of crypto/tls.
func tlsPair(client, server *tls.Config) (*tls.Conn, *tls.Conn, error) {
	a, b := newMemoryConns()
	c, s := tls.Client(a, client), tls.Server(b, server)
	return c, s, handshakeBoth(c, s)
}

// handshaker is a connection of either stack.
type handshaker interface {
	Handshake() error
	Close() error
}

// handshakeBoth runs a blocking handshake, whose ends need a goroutine each.
func handshakeBoth(client, server handshaker) error {
	done := make(chan error, 1)
	go func() { done <- handshakeOrClose(server) }()
	err := handshakeOrClose(client)
	return errors.Join(err, <-done)
}

// handshakeOrClose closes after a failure, so that the other end does not wait.
func handshakeOrClose(h handshaker) error {
	err := h.Handshake()
	if err != nil {
		_ = h.Close()
	}
	return err
}
