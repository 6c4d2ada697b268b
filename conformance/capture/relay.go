package capture

import (
	"context"
	"io"
	"net"
	"sync"

	"attls"
)

// Relay forwards everything between clients and a server that are other
// programs, and records it.
type Relay struct {
	listener net.Listener
	cancel   context.CancelFunc
	open     sync.WaitGroup
}

// Relay listens on loopback for connections to a server's address. Stop ends it.
func (w *Writer) Relay(ctx context.Context, server string) (*Relay, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &Relay{listener: l, cancel: cancel}
	context.AfterFunc(ctx, func() { l.Close() })
	r.open.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			r.open.Go(func() { w.relay(ctx, client, server) })
		}
	})
	return r, nil
}

// Address is where clients connect to.
func (r *Relay) Address() string { return r.listener.Addr().String() }

// Stop ends the relay and its connections, and waits for them.
func (r *Relay) Stop() {
	r.cancel()
	r.open.Wait()
}

// relay passes on one connection until both directions have ended.
func (w *Writer) relay(ctx context.Context, client net.Conn, server string) {
	defer client.Close()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", server)
	if err != nil {
		return
	}
	upstream := w.Conn(c, attls.RoleClient)
	defer upstream.Close()
	stop := context.AfterFunc(ctx, func() {
		client.Close()
		c.Close()
	})
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { pass(upstream, client) })
	both.Go(func() { pass(client, upstream) })
	both.Wait()
}

// pass copies one direction and ends it. Through a struct, so that io.Copy does
// not go around the recording.
func pass(to, from net.Conn) {
	_, _ = io.Copy(struct{ io.Writer }{to}, struct{ io.Reader }{from})
	if c, ok := to.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
}
