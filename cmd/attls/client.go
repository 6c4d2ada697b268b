package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"attls"
	"attls/handshake"
)

type clientFlags struct {
	endpointFlags
	httpGet   string
	keyShares []string
}

func clientCommand() *cobra.Command {
	f := &clientFlags{endpointFlags: endpointFlags{role: attls.RoleClient}}
	c := &cobra.Command{
		Use:   "client [HOST[:PORT]]",
		Short: "Make a TLS 1.3 connection, attested or not",
		Long: fmt.Sprintf(`client connects to HOST:PORT (default localhost:%d), sends standard input and
prints what arrives. At the end of its input it answers what it was asked for until
then, sends close_notify and reads on until the server closes, or has been silent for
--timeout. Requests that come later are not answered (RFC 8446 section 6.1).

A connection that ends without the server's close_notify is a failure, however much
has arrived, unless --tolerate-truncation is given: somebody may have cut it off.
After SIGINT or SIGTERM the client sends close_notify, prints what it knows and ends
with exit code 130.

On this machine it trusts the demonstration authority unless --ca is given,
elsewhere the system's trust anchors. It offers the profile's attestation; a
server that does not attest is accepted unless --require-attestation is given.
Where the profile has application data wait for attestation after the handshake
(seat-expat-02 and later), such a server is always refused.`, defaultPort),
		Example: `  attls client
  attls client --require-attestation --http-get / localhost:4433
  attls client --profile none example.com:443 --http-get /
  attls client --attester both --model results --json </dev/null
  attls client --profile seat-expat-04 --reattest 30s
  attls client --sess-out session </dev/null && attls client --sess-in session --early-data request </dev/null`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			address := "localhost"
			if len(args) == 1 {
				address = args[0]
			}
			return f.run(c, address)
		},
	}
	f.register(c)
	flags := c.Flags()
	flags.StringVar(&f.verify, "verify", "require",
		"the server's certificate: none (accept any), require, or evidence (no path, but an affirming verdict on its key, "+
			"under a profile with pkix: none)")
	flags.StringVar(&f.httpGet, "http-get", "", "send a GET request for this path instead of standard input")
	flags.StringSliceVar(&f.keyShares, "key-shares", nil,
		"groups for which a share is sent at once (default: the group of the session in --sess-in, or the first of --groups)")
	complete(c, "verify", "none", "require", "evidence")
	c.MarkFlagsMutuallyExclusive("http-get", "commands")
	return c
}

func (f *clientFlags) run(c *cobra.Command, address string) (failure error) {
	to, err := parseTarget(address)
	if err != nil {
		return err
	}
	if f.httpGet != "" && (f.httpGet[0] != '/' || strings.ContainsFunc(f.httpGet, notInPath)) {
		return usage("--http-get %q: a path begins with / and has no space and no control character", f.httpGet)
	}
	e, err := f.build(c, to.name)
	if err != nil {
		return err
	}
	defer func() { failure = e.finish(failure) }()
	if e.config.KeyShares, err = named(f.keyShares, attls.GroupByName, "group"); err != nil {
		return err
	}
	if err := e.check(); err != nil {
		return err
	}
	d := net.Dialer{Timeout: f.timeout}
	nc, err := d.DialContext(c.Context(), "tcp", to.dial)
	if err != nil {
		return f.result(c.Context(), e, unavailable(err))
	}
	conn := e.wrap(nc)
	err = conn.shake(c.Context())
	closed := false
	if err == nil {
		stop := context.AfterFunc(c.Context(), conn.interrupt)
		err = f.talk(conn, c.InOrStdin())
		stop()
		if why := conn.transport.cause.Load(); err == nil && why != nil { // the peer answered our close_notify in time
			err = why
		}
		closed = err == nil
	}
	if err = conn.explain(err); f.tolerate && truncated(err) {
		err = nil
	}
	_ = conn.Close()
	conn.report(err, closed)
	return f.result(c.Context(), e, err)
}

// result is the error of the command after a connection that ended with err, which
// may be nil.
func (f *clientFlags) result(ctx context.Context, e *endpoint, err error) error {
	saved := f.session.saved.result(err)
	var output *outputError
	var coded *exitError
	switch {
	case err != nil && ctx.Err() != nil:
		return &exitError{exitInterrupted, err}
	case errors.As(err, &output):
		return unavailable(err)
	case errors.As(err, &coded):
		return err
	case err != nil:
		return failed("%w", err)
	case saved != nil:
		return saved
	}
	return e.logging.failed()
}

// closing is how long the peer may be silent after our close_notify.
func (f *clientFlags) closing() time.Duration {
	if f.idle > 0 {
		return min(f.idle, f.timeout)
	}
	return f.timeout
}

// notInPath reports whether a character would end the target of a request.
func notInPath(r rune) bool { return r <= ' ' || r == 0x7f }

// hostHeader is a name as the Host of a request has it.
func hostHeader(name string) string {
	if strings.Contains(name, ":") {
		return "[" + name + "]"
	}
	return strings.TrimSuffix(name, ".")
}

// talk sends and receives until the server closes.
func (f *clientFlags) talk(c *connection, input io.Reader) error {
	sending := make(chan error, 1)
	if early := c.end.early; len(early) > 0 && c.ConnectionState().EarlyData != handshake.EarlyDataAccepted {
		if _, err := c.Write(early); err != nil { // once more, without the risk
			return err
		}
	}
	if f.httpGet != "" {
		_, err := fmt.Fprintf(c, "GET %s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n", f.httpGet,
			hostHeader(c.end.config.ServerName))
		sending <- err
	} else {
		go func() { // ends with the input, or with the process
			err := f.session.feed(c.destination(), input)
			c.catchUp(context.Background())
			if err == nil {
				err = c.CloseWrite()
				c.transport.bound(f.closing(), attls.FailTruncated, "the peer sent nothing, and no close_notify, within %v of ours")
			}
			sending <- err
		}()
	}
	if _, err := io.Copy(c.end.sink(), c); err != nil {
		return err
	}
	select {
	case err := <-sending:
		if err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
	default: // the server closed first
	}
	return nil
}
