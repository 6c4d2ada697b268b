package authenticators

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"

	"attls"
	"attls/conformance/claims"
	"attls/handshake"
)

// own is a stack in this process.
type own struct {
	name    string
	version func() string
	// connect makes the handshake, and says how to export.
	connect func(ctx context.Context, nc net.Conn, s *Setting) (carrier, exporter, error)
}

const attlsName = "attls"

// carrier is a connection of TLS.
type carrier interface {
	io.ReadWriteCloser
	CloseWrite() error
}

type exporter = func(label string, context []byte, length int) ([]byte, error)

// Own are the stacks that need no program: this one, and crypto/tls.
func Own() []Stack {
	return []Stack{
		&own{attlsName, claims.StackVersion, connectOurs},
		&own{"crypto/tls", runtime.Version, connectTLS},
	}
}

func (o *own) Name() string                            { return o.name }
func (*own) Missing() string                           { return "" }
func (o *own) Version(context.Context) (string, error) { return o.version(), nil }

func connectOurs(ctx context.Context, nc net.Conn, s *Setting) (carrier, exporter, error) {
	answers := &handshake.Answerer{Trust: handshake.Trust{InsecureSkipVerify: true}}
	cfg := &handshake.Config{CipherSuites: []attls.CipherSuite{s.Suite}}
	if s.Group != 0 {
		cfg.Groups = []attls.NamedGroup{s.Group}
	}
	if s.Updates {
		cfg.ExtendedKeyUpdate = &handshake.ExtendedKeyUpdate{}
	}
	var c *handshake.Conn
	if s.Role == attls.RoleServer {
		answers.Credentials = []*handshake.Credential{{Chain: s.Identity.Shown.Chain, Signer: s.Identity.Key,
			Schemes: s.Identity.Shown.Schemes}}
		c = handshake.Server(nc, cfg, answers)
	} else {
		cfg.ServerName, cfg.RequestOCSP = "authenticators", true
		c = handshake.Client(nc, cfg, answers)
	}
	return c, c.Export, c.HandshakeContext(ctx)
}

func connectTLS(ctx context.Context, nc net.Conn, s *Setting) (carrier, exporter, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS13}
	var c *tls.Conn
	if s.Role == attls.RoleServer {
		cfg.Certificates = []tls.Certificate{{Certificate: s.Identity.Shown.Chain, PrivateKey: s.Identity.Key}}
		c = tls.Server(nc, cfg)
	} else {
		cfg.InsecureSkipVerify, cfg.ServerName = true, "authenticators"
		c = tls.Client(nc, cfg)
	}
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, nil, err
	}
	state := c.ConnectionState()
	return c, state.ExportKeyingMaterial, nil
}

// Start implements Stack.
func (o *own) Start(ctx context.Context, s *Setting) (Starting, error) {
	ctx, cancel := context.WithCancel(ctx)
	st := &ownStarting{cancel: cancel, done: make(chan struct{})}
	if s.Role == attls.RoleClient {
		nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.Address)
		if err != nil {
			cancel()
			return nil, err
		}
		go st.run(ctx, o, nc, s)
		return st, nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		cancel()
		return nil, err
	}
	st.address = l.Addr().String()
	go func() {
		stop := context.AfterFunc(ctx, func() { _ = l.Close() })
		nc, err := l.Accept()
		if stop() {
			_ = l.Close()
		}
		if err != nil {
			st.err = err
			close(st.done)
			return
		}
		st.run(ctx, o, nc, s)
	}()
	return st, nil
}

// ownStarting is an end in this process that is beginning.
type ownStarting struct {
	address string
	cancel  context.CancelFunc
	done    chan struct{} // closed when end or err is there
	end     *ownEnd
	err     error
}

func (s *ownStarting) Address() string { return s.address }

func (s *ownStarting) End() (End, error) {
	<-s.done
	if s.err != nil {
		return nil, s.err
	}
	return s.end, nil
}

func (s *ownStarting) Stop() { s.cancel() }

func (s *ownStarting) run(ctx context.Context, o *own, nc net.Conn, set *Setting) {
	defer close(s.done)
	context.AfterFunc(ctx, func() { _ = nc.Close() })
	seen := &firstRecord{Conn: nc, written: set.Role == attls.RoleClient}
	c, export, err := o.connect(ctx, seen, set)
	if err != nil {
		s.err = err
		return
	}
	hello := seen.record()
	if hello == nil {
		s.err = errors.New("the ClientHello was not seen")
		return
	}
	hash, err := hashOf(set.Suite)
	s.end, s.err = &ownEnd{c: c, export: export, hash: hash, hello: hello, set: set}, err
}

// hashOf is the hash of a cipher suite.
func hashOf(s attls.CipherSuite) (crypto.Hash, error) {
	switch s {
	case attls.TLS_AES_128_GCM_SHA256, attls.TLS_CHACHA20_POLY1305_SHA256:
		return crypto.SHA256, nil
	case attls.TLS_AES_256_GCM_SHA384:
		return crypto.SHA384, nil
	}
	return 0, fmt.Errorf("the cipher suite %v is not used here", s)
}

// recordHeader is the length of a record's header.
const recordHeader = 5

// firstRecord keeps the first record of a client, which has its ClientHello.
type firstRecord struct {
	net.Conn
	written bool // rather than read

	mu   sync.Mutex
	kept []byte
}

func (f *firstRecord) keep(b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.kept) < recordHeader+1<<14 {
		f.kept = append(f.kept, b...)
	}
}

func (f *firstRecord) Write(b []byte) (int, error) {
	if f.written {
		f.keep(b)
	}
	return f.Conn.Write(b)
}

func (f *firstRecord) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	if !f.written {
		f.keep(b[:n])
	}
	return n, err
}

// record is the content of the first record; nil: it was not whole.
func (f *firstRecord) record() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.kept) < recordHeader {
		return nil
	}
	n := recordHeader + int(f.kept[3])<<8 + int(f.kept[4])
	if len(f.kept) < n {
		return nil
	}
	return bytes.Clone(f.kept[recordHeader:n])
}

// ownEnd is an end in this process.
type ownEnd struct {
	c      carrier
	export exporter
	hash   crypto.Hash
	hello  []byte
	set    *Setting
	begun  bool
}

func (e *ownEnd) Export(label string, context []byte, length int) ([]byte, error) {
	return e.export(label, context, length)
}

func (e *ownEnd) Send(frame []byte) error {
	n := len(frame)
	if n > maxFrame {
		return fmt.Errorf("a frame of %d octets; at most %d are carried", n, maxFrame)
	}
	_, err := e.c.Write(append([]byte{byte(n >> 16), byte(n >> 8), byte(n)}, frame...))
	return err
}

// maxFrame bounds a frame, in octets.
const maxFrame = 1 << 20

func (e *ownEnd) Receive() ([]byte, error) {
	var head [3]byte
	if _, err := io.ReadFull(e.c, head[:]); err != nil {
		return nil, err
	}
	n := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
	if n > maxFrame {
		return nil, fmt.Errorf("a frame of %d octets; at most %d are carried", n, maxFrame)
	}
	frame := make([]byte, n)
	_, err := io.ReadFull(e.c, frame)
	return frame, err
}

// Authenticators: the first of an end of this stack are the engine's own.
func (e *ownEnd) Authenticators() (Authenticators, error) {
	if c, ok := e.c.(*handshake.Conn); ok && !e.begun {
		e.begun = true
		a, err := c.Authenticators()
		return &ours{a, e.set.Identity.Shown}, err
	}
	return over(e.set.Role, e.hash, e.export, e.hello, e.set.Identity)
}

// HasUpdates implements Updating.
func (o *own) HasUpdates() bool { return o.name == attlsName }

// Update implements Epochs.
func (e *ownEnd) Update() error { return e.c.(*handshake.Conn).ExtendedKeyUpdate() }

// Epoch implements Epochs.
func (e *ownEnd) Epoch() (uint64, error) {
	return e.c.(*handshake.Conn).ConnectionState().KeyEpoch, nil
}

// ExportEpoch implements Epochs.
func (e *ownEnd) ExportEpoch(epoch uint64, label string, context []byte, length int) ([]byte, error) {
	return e.c.(*handshake.Conn).ExportEpoch(epoch, label, context, length)
}

// AuthenticatorsOf implements Epochs.
func (e *ownEnd) AuthenticatorsOf(epoch uint64) (Authenticators, error) {
	export := func(label string, context []byte, length int) ([]byte, error) {
		return e.ExportEpoch(epoch, label, context, length)
	}
	return over(e.set.Role, e.hash, export, e.hello, e.set.Identity)
}

func (e *ownEnd) Close() error { return e.c.CloseWrite() }
