package placement

import (
	"context"
	"net"
	"time"

	"attls"
)

// Connector makes connections with a stack, one at a time. It starts a server once, and a
// client for each connection, unless that is one which connects again and again.
type Connector struct {
	stack   Stack
	timeout time.Duration
	peers   [2]Peer // by role; the client is that of the connection at hand, or one that repeats
	made    [2]int  // connections with each
	listen  net.Listener
}

// NewConnector makes a Connector that waits so long for a connection. The caller closes it.
func NewConnector(s Stack, timeout time.Duration) *Connector {
	return &Connector{stack: s, timeout: timeout}
}

// NotConnected is the error of a program that was started and did not connect or accept.
type NotConnected struct {
	Err  error
	Says string // the end of what it printed
}

func (e *NotConnected) Error() string {
	text := "not connected: " + e.Err.Error()
	if e.Says != "" {
		text += "; it says: " + e.Says
	}
	return text
}

func (e *NotConnected) Unwrap() error { return e.Err }

// Open makes a connection with the stack's end of a role. A NotConnected may be tried again;
// another error means that the stack cannot be run.
func (c *Connector) Open(ctx context.Context, r attls.Role) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	open := c.accept
	if r == attls.RoleServer {
		open = c.dial
	}
	nc, err := open(ctx)
	if err == nil {
		c.made[r]++
	}
	return nc, err
}

// Used reports whether the program of a role had another connection before the one at hand.
func (c *Connector) Used(r attls.Role) bool { return c.made[r] > 1 }

func (c *Connector) dial(ctx context.Context) (net.Conn, error) {
	server := c.peers[attls.RoleServer]
	if server == nil {
		var err error
		if server, err = c.stack.Serve(ctx); err != nil {
			return nil, err
		}
		c.peers[attls.RoleServer] = server
	}
	nc, err := (&net.Dialer{Timeout: c.timeout}).DialContext(ctx, "tcp", server.Address())
	if err != nil {
		return nil, c.lost(attls.RoleServer, err)
	}
	return nc, nil
}

func (c *Connector) accept(ctx context.Context) (net.Conn, error) {
	if c.listen == nil {
		var err error
		if c.listen, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, err
		}
	}
	if c.peers[attls.RoleClient] == nil {
		var err error
		if c.peers[attls.RoleClient], err = c.stack.Connect(ctx, c.listen.Addr().String()); err != nil {
			return nil, err
		}
	}
	if l, ok := c.listen.(*net.TCPListener); ok {
		if err := l.SetDeadline(time.Now().Add(c.timeout)); err != nil {
			return nil, err
		}
	}
	defer context.AfterFunc(ctx, func() { c.listen.Close() })()
	nc, err := c.listen.Accept()
	if err != nil {
		return nil, c.lost(attls.RoleClient, err)
	}
	return nc, nil
}

func (c *Connector) lost(r attls.Role, err error) error {
	e := &NotConnected{err, c.peers[r].Says()}
	c.stop(r)
	return e
}

func (c *Connector) stop(r attls.Role) {
	if c.peers[r] != nil {
		c.peers[r].Stop()
		c.peers[r], c.made[r] = nil, 0
	}
}

// Says is the end of what the program of a role printed.
func (c *Connector) Says(r attls.Role) string {
	if c.peers[r] == nil {
		return ""
	}
	return c.peers[r].Says()
}

// Ended waits so long for the end of the program of a role. crash names a signal that ended it.
func (c *Connector) Ended(r attls.Role, wait time.Duration) (ended bool, crash string) {
	if c.peers[r] == nil {
		return true, ""
	}
	return c.peers[r].Ended(wait)
}

// Over follows a connection: a program that has ended, that may be stuck, or that was started
// for this connection alone is stopped.
func (c *Connector) Over(r attls.Role, stop bool) {
	repeats := true
	if r == attls.RoleClient {
		repeater, ok := c.stack.(Repeater)
		repeats = ok && repeater.Repeats()
	}
	if stop || !repeats {
		c.stop(r)
	}
}

// Close stops all programs.
func (c *Connector) Close() {
	for _, r := range attls.Roles() {
		c.stop(r)
	}
	if c.listen != nil {
		c.listen.Close()
	}
}
