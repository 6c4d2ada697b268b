package bench

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Load is connections to a server that sends back what it receives. The client is
// crypto/tls, in this process.
type Load struct {
	Address string
	// Client is the configuration of the client; TLS 1.3 is a must of it.
	Client *tls.Config
	InARow int // 0: none
	AtOnce int // 0: none
	// Timeout bounds each connection of those in a row, and all of those at once
	// together. 0: two minutes.
	Timeout time.Duration
	// Progress, when set, hears how many of how many connections are over.
	Progress func(part string, done, total int)
}

// LoadResult is the outcome of the connections.
type LoadResult struct {
	InARow  Served `json:"in_a_row"`
	AtOnce  Served `json:"at_once"` // all open at the same time, each used after the last was there
	Resumed int    `json:"resumed"` // of those in a row
}

// Served counts the connections of one part. A connection is lost unless it is
// established, returns what was sent, and ends at the server's end too.
type Served struct {
	Connections int     `json:"connections"`
	Lost        int     `json:"lost"`
	Seconds     float64 `json:"seconds"`
	Failure     string  `json:"first_failure,omitempty"`
}

// loadText is what each connection carries both ways.
const loadText = "there and back again\n"

// Run makes the connections. The error is the context's, or that of a number below 0.
func (l Load) Run(ctx context.Context) (*LoadResult, error) {
	if l.InARow < 0 || l.AtOnce < 0 || l.Timeout < 0 {
		return nil, fmt.Errorf("bench: %d connections in a row, %d at once, %v for each; none of these can be below 0",
			l.InARow, l.AtOnce, l.Timeout)
	}
	if l.Timeout == 0 {
		l.Timeout = 2 * time.Minute
	}
	r := &LoadResult{}
	r.InARow = l.inARow(ctx, &r.Resumed)
	if ctx.Err() == nil {
		r.AtOnce = l.atOnce(ctx)
	}
	return r, ctx.Err()
}

func (l *Load) progress(part string, done, total int) {
	if l.Progress != nil {
		l.Progress(part, done, total)
	}
}

// count takes down how a connection ended.
func (s *Served) count(err error) {
	s.Connections++
	if err == nil {
		return
	}
	s.Lost++
	if s.Failure == "" {
		s.Failure = err.Error()
	}
}

func (l *Load) inARow(ctx context.Context, resumed *int) (s Served) {
	began := time.Now()
	for i := 0; i < l.InARow && ctx.Err() == nil; i++ {
		c, err := l.dial(ctx)
		if err == nil {
			if c.ConnectionState().DidResume {
				*resumed++
			}
			err = converse(c)
		}
		s.count(err)
		l.progress("in a row", i+1, l.InARow)
	}
	s.Seconds = time.Since(began).Seconds()
	return s
}

// dial makes one connection with its handshake.
func (l *Load) dial(ctx context.Context) (*tls.Conn, error) {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: l.Timeout}, Config: l.Client}
	ctx, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	nc, err := d.DialContext(ctx, "tcp", l.Address)
	if err != nil {
		return nil, err
	}
	nc.SetDeadline(time.Now().Add(l.Timeout))
	return nc.(*tls.Conn), nil
}

// converse uses a connection and closes it.
func converse(c *tls.Conn) error {
	defer c.Close()
	if _, err := io.WriteString(c, loadText); err != nil {
		return err
	}
	if err := c.CloseWrite(); err != nil {
		return err
	}
	got, err := io.ReadAll(c)
	if err == nil && string(got) != loadText {
		err = fmt.Errorf("%q came back", got)
	}
	return err
}

// atOnce opens all connections before any is used.
func (l *Load) atOnce(ctx context.Context) (s Served) {
	began := time.Now()
	results := make(chan error)
	var open sync.WaitGroup
	open.Add(l.AtOnce)
	for range l.AtOnce {
		go func() {
			c, err := l.dial(ctx)
			open.Done()
			if err != nil {
				results <- err
				return
			}
			open.Wait()
			results <- converse(c)
		}()
	}
	for i := range l.AtOnce {
		s.count(<-results)
		l.progress("at once", i+1, l.AtOnce)
	}
	s.Seconds = time.Since(began).Seconds()
	return s
}
