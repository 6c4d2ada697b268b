package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
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
prints what arrives. At the end of its input it sends close_notify and reads on
until the server closes.

On this machine it trusts the demonstration authority unless --ca is given,
elsewhere the system's trust anchors. It offers the profile's attestation; a
server that does not attest is accepted unless --require-attestation is given.`, defaultPort),
		Example: `  attls client
  attls client --require-attestation --http-get / localhost:4433
  attls client --profile none example.com:443 --http-get /
  attls client --attester both --model results --json </dev/null
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
	flags.StringVar(&f.verify, "verify", "require", "the server's certificate: none (accept any) or require")
	flags.StringVar(&f.httpGet, "http-get", "", "send a GET request for this path instead of standard input")
	flags.StringSliceVar(&f.keyShares, "key-shares", nil, "groups for which a share is sent at once (default: the group of the session in --sess-in, or the first of --groups)")
	complete(c, "verify", "none", "require")
	return c
}

func (f *clientFlags) run(c *cobra.Command, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = address, strconv.Itoa(defaultPort)
	}
	e, err := f.build(c, host)
	if err != nil {
		return err
	}
	defer e.close()
	if e.config.KeyShares, err = named(f.keyShares, attls.GroupByName, "group"); err != nil {
		return err
	}
	if err := e.config.Check(); err != nil {
		return usage("%w", err)
	}
	d := net.Dialer{Timeout: f.timeout}
	nc, err := d.DialContext(c.Context(), "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return unavailable(err)
	}
	stop := context.AfterFunc(c.Context(), func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	conn := e.wrap(nc)
	err = conn.shake(c.Context())
	closed := false
	if err == nil {
		err = f.talk(conn, c.InOrStdin())
		closed = err == nil
	}
	conn.Close()
	conn.report(err, closed)
	switch {
	case c.Context().Err() != nil:
		return nil
	case err != nil:
		return failed("%w", err)
	}
	return e.saveSession(f.session.sessOut)
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
		_, err := fmt.Fprintf(c, "GET %s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n", f.httpGet, c.end.config.ServerName)
		sending <- err
	} else {
		go func() { // ends with the input, or with the process
			err := f.session.feed(c.destination(), input)
			c.settle(context.Background())
			if err == nil {
				err = c.CloseWrite()
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
