package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"attls"
	"attls/conformance/claims"
	"attls/handshake"
)

const (
	defaultPort = 4433
	// maxRequest bounds the head of an HTTP request, in octets.
	maxRequest = 1 << 14
	// drainTimeout is how long open connections may go on after an interrupt.
	drainTimeout = 5 * time.Second
	// acceptPause is the time between two tries when the system is short of
	// descriptors.
	acceptPause = 50 * time.Millisecond
)

type serverFlags struct {
	endpointFlags
	bind           string
	port           int
	www, echo      bool
	maxConnections int
	maxOpen        int
	helloRetry     bool
	cookie         bool
	reordered      bool
}

func serverCommand() *cobra.Command {
	f := &serverFlags{endpointFlags: endpointFlags{role: attls.RoleServer}}
	c := &cobra.Command{
		Use:   "server",
		Short: "Accept TLS 1.3 connections, attested or not",
		Long: `server takes connections, several at once, until it is interrupted. Without
--cert it shows a fresh certificate of the demonstration authority, and it
attests with the software root of trust: "attls client" on the same machine
trusts both. Clients that do not offer attestation are served too, unless
--require-attestation is given; under a profile in which application data waits for
attestation after the handshake (seat-expat-02 and later) they never are.

What clients send goes to standard output, and standard input goes to every open
connection; --www answers HTTP requests with a page about the connection instead
and --echo sends everything back. A client that does not read while others wait for
the same input is disconnected.

A signal ends it: open connections may continue for five seconds, and the
exit code is 0.`,
		Example: `  attls server --www
  attls server --profile tls-attestation-07 --attester both --require-attestation --json
  attls server --cert server.pem --ca clients.pem --verify require
  attls server --port 0 --max-connections 1 --profile none`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	f.register(c)
	flags := c.Flags()
	flags.StringVar(&f.bind, "bind", "127.0.0.1", "address to listen on")
	flags.IntVar(&f.port, "port", defaultPort, "port; 0 lets the system choose")
	flags.StringVar(&f.verify, "verify", "none",
		"certificates of clients: none asked for, optional, require, or evidence (no path, but an affirming verdict on "+
			"their key, under a profile with pkix: none). Where clients attest in frames of the application, which say "+
			"nothing of a key, it is require unless you say otherwise")
	flags.BoolVar(&f.www, "www", false, "answer HTTP requests with a page about the connection")
	flags.BoolVar(&f.echo, "echo", false, "send back what arrives")
	flags.IntVar(&f.maxConnections, "max-connections", 0,
		"stop after so many connections, and fail if one of them failed (0: no limit)")
	flags.IntVar(&f.maxOpen, "max-open", 1024, "connections at once; more wait until one is over (0: no limit)")
	flags.BoolVar(&f.helloRetry, "hello-retry", false, "always send HelloRetryRequest")
	flags.BoolVar(&f.cookie, "cookie", false, "put a cookie into a HelloRetryRequest")
	flags.BoolVar(&f.reordered, "accept-reordered-hello", false,
		"accept a second ClientHello with the extensions of the first in another order, as wolfSSL sends it")
	complete(c, "verify", "none", "optional", "require", "evidence")
	c.MarkFlagsMutuallyExclusive("www", "echo", "commands")
	return c
}

func (f *serverFlags) run(c *cobra.Command) (failure error) {
	// A server that asks for no certificate has none to refuse.
	verify := f.verify
	if verify == "none" {
		f.verify = "optional"
	}
	e, err := f.build(c, "")
	if err != nil {
		return err
	}
	defer func() { failure = e.finish(failure) }()
	switch {
	case verify != "none":
	case !c.Flags().Changed("verify") && e.framesNameClient():
		e.config.ClientAuthentication = handshake.RequireClientCertificate
	default:
		e.config.ClientAuthentication = handshake.NoClientCertificate
	}
	e.config.Retry.Always, e.config.Retry.Cookie = f.helloRetry, f.cookie
	e.config.AcceptReorderedHello = f.reordered
	e.config.AcknowledgeServerName = true
	if err := e.check(); err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(c.Context(), "tcp", net.JoinHostPort(f.bind, strconv.Itoa(f.port)))
	if err != nil {
		return unavailable(err)
	}
	fmt.Fprintf(c.ErrOrStderr(), "attls: listening on %s\n", l.Addr())
	s := &server{endpoint: e, flags: f, input: newHub()}
	if !f.www && !f.echo {
		go func() { _ = f.session.feed(s.input, c.InOrStdin()) }() // without input, the server goes on
	}
	return s.serve(c.Context(), l)
}

type server struct {
	*endpoint
	flags  *serverFlags
	input  *hub
	mu     sync.Mutex
	failed int
	broken error // standard output's
	open   sync.WaitGroup
	room   chan struct{} // a place for each open connection; nil: no limit
}

// enter waits for a place for one more connection; false when the context ends first.
func (s *server) enter(ctx context.Context) bool {
	if s.room == nil {
		return true
	}
	select {
	case s.room <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *server) leave() {
	if s.room != nil {
		<-s.room
	}
}

// serve takes connections until the context ends or there were enough.
func (s *server) serve(ctx context.Context, l net.Listener) error {
	if s.flags.maxOpen > 0 {
		s.room = make(chan struct{}, s.flags.maxOpen)
	}
	// Open connections outlive the context by drainTimeout.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	for n := 0; s.flags.maxConnections == 0 || n < s.flags.maxConnections; n++ {
		if !s.enter(ctx) {
			break
		}
		nc, err := accept(ctx, l)
		if err != nil {
			if ctx.Err() != nil {
				break
			}
			return unavailable(err)
		}
		s.open.Add(1)
		go func() {
			defer s.open.Done()
			defer s.leave()
			s.connection(life, nc)
		}()
	}
	s.drain(ctx, end)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return unavailable(s.broken)
	}
	if err := s.logging.failed(); err != nil {
		return err
	}
	if s.flags.maxConnections > 0 && s.failed > 0 {
		return failed("%d connections failed", s.failed)
	}
	return nil
}

// accept takes the next connection. That the system has no descriptor for it, or
// that it is gone already, is no reason to give up.
func accept(ctx context.Context, l net.Listener) (net.Conn, error) {
	for {
		nc, err := l.Accept()
		if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) && !errors.Is(err, syscall.ECONNABORTED) {
			return nc, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(acceptPause):
		}
	}
}

// drain waits for the open connections; after an interrupt not for ever.
func (s *server) drain(ctx context.Context, end context.CancelFunc) {
	done := make(chan struct{})
	go func() {
		s.open.Wait()
		close(done)
	}()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	timer := time.AfterFunc(drainTimeout, end)
	defer timer.Stop()
	<-done
}

func (s *server) connection(ctx context.Context, nc net.Conn) {
	c := s.wrap(nc)
	stop := context.AfterFunc(ctx, func() {
		c.transport.end(attls.Errorf(attls.Local, attls.FailCanceled,
			"the server was interrupted, and the connection went on"))
	})
	defer stop()
	err := c.shake(ctx)
	closed := false
	if err == nil {
		closed, err = s.talk(c)
		c.settle(ctx)
	}
	if err = c.explain(err); s.flags.tolerate && truncated(err) {
		err = nil
	}
	if closed { // behind what standard input may be writing
		nc.SetWriteDeadline(time.Now().Add(drainTimeout))
		_ = c.CloseWrite()
	}
	_ = c.Close()
	if err != nil {
		s.mu.Lock()
		s.failed++
		var output *outputError
		if errors.As(err, &output) {
			s.broken = err
		}
		s.mu.Unlock()
	}
	c.report(err, closed)
}

// talk is the conversation of an established connection.
func (s *server) talk(c *connection) (closed bool, err error) {
	switch {
	case s.flags.www:
		return false, s.page(c)
	case s.flags.echo:
		_, err = io.Copy(c, c)
	default:
		m := s.input.add(c.destination(), func() {
			c.transport.end(attls.Errorf(attls.Local, attls.FailTimeout,
				"the client does not read the standard input that others wait for"))
		})
		_, err = io.Copy(s.sink(), c)
		if err != nil {
			_ = c.transport.SetWriteDeadline(past) // nothing more is worth waiting for
		} else {
			_ = c.transport.SetWriteDeadline(time.Now().Add(drainTimeout))
		}
		s.input.remove(m)
	}
	return err == nil, err
}

// sink is where received data goes.
func (e *endpoint) sink() io.Writer {
	if e.flags.asJSON {
		return io.Discard
	}
	return output{e.out}
}

// page answers one HTTP request with what is known of the connection.
func (s *server) page(c *connection) error {
	var head strings.Builder
	buf := make([]byte, 1024)
	_ = c.SetReadDeadline(time.Now().Add(s.flags.timeout))
	for !strings.Contains(head.String(), "\n\r\n") && !strings.Contains(head.String(), "\n\n") {
		n, err := c.Read(buf)
		head.Write(buf[:n])
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && c.transport.cause.Load() == nil {
			return attls.Errorf(attls.Local, attls.FailTimeout, "the head of the request did not end within %v", s.flags.timeout)
		}
		if err != nil {
			return err
		}
		if head.Len() > maxRequest {
			return attls.Errorf(attls.Refused, attls.FailLimit, "the head of the request is longer than %d octets", maxRequest)
		}
	}
	_ = c.SetReadDeadline(time.Time{})
	var body strings.Builder
	claims := claims.MakeClaims(s.profile, c.ConnectionState(), claims.Outcome{})
	c.claimLater(&claims)
	_ = writeJSON(&body, &claims)
	_, err := fmt.Fprintf(c,
		"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		body.Len(), body.String())
	return err
}
