package scenario

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"attls"
	"attls/handshake"
	"attls/handshake/exported"
)

// conversation is what an End does on one connection: what is attested after the handshake,
// a request and its echo, then the updates of the scenario, each with a request under its keys,
// and then another attestation with a request behind it.
type conversation struct {
	*End
	channel
	conn  *handshake.Conn
	early bool           // the server took the request as early data
	asked bool           // and it was sent again
	later *exported.Conn // channel, where something is attested after the handshake; nil otherwise
}

// hold holds the whole conversation.
func (c *conversation) hold(ctx context.Context) error {
	if c.later != nil {
		defer func() { _ = c.later.Flush() }() // an end that failed may still owe the peer a frame
	}
	if err := c.attest(ctx); err != nil {
		return err
	}
	c.early = c.Role == attls.RoleClient && c.conn.ConnectionState().EarlyData == handshake.EarlyDataAccepted
	if c.Scenario.KeyUpdate == c.Role.String() {
		if err := c.conn.KeyUpdate(true); err != nil {
			return err
		}
	}
	if c.Role == attls.RoleServer {
		return c.serve(ctx)
	}
	if c.OwnAnswer {
		if err := c.request(); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, c); err != nil {
			return err
		}
		return c.CloseWrite()
	}
	if err := c.ask(); err != nil {
		return err
	}
	for n := range c.Scenario.Updates() {
		if err := c.update(uint64(n) + 1); err != nil {
			return err
		}
	}
	if c.Scenario.Reattest {
		if err := c.again(ctx); err != nil {
			return err
		}
		if err := c.ask(); err != nil {
			return err
		}
	}
	err := closeBoth(c)
	var named *attls.Error
	if c.Abrupt && errors.As(err, &named) && named.Failure == attls.FailTruncated {
		return nil // all that was asked for has come
	}
	return err
}

// attest makes the handshake and what is attested behind it.
func (c *conversation) attest(ctx context.Context) error {
	if c.later == nil {
		return c.HandshakeContext(ctx)
	}
	err := c.later.Attest(ctx)
	var named *attls.Error
	if errors.As(err, &named) && named.Failure == attls.FailPeerRefused {
		_, _ = io.Copy(io.Discard, c.conn) // the alert behind the frame
	}
	return err
}

// again asks the peer to attest once more, where this end relies on it.
func (c *conversation) again(ctx context.Context) error {
	if c.later == nil || !c.Scenario.Attester.Has(c.Role.Peer()) {
		return nil
	}
	_, err := c.later.Reattest(ctx)
	if err != nil {
		return fmt.Errorf("the second attestation: %w", err)
	}
	return nil
}

// ask sends a request and expects it back.
func (c *conversation) ask() error {
	if err := c.request(); err != nil {
		return err
	}
	return expect(c, cmp.Or(c.Request, Request))
}

// request sends the request, unless the server has it as early data.
func (c *conversation) request() error {
	if c.early {
		c.early = false // what follows is sent as usual
		if c.AsksAgain {
			c.asked = true
			return c.request()
		}
		return nil
	}
	_, err := c.Write([]byte(cmp.Or(c.Request, Request)))
	return err
}

// mostAsked bounds the requests within which an update has to be complete.
const mostAsked = 8

// update begins an extended key update and asks until its keys are in use, and once under
// them.
func (c *conversation) update(epoch uint64) error {
	if err := c.ExtendedKeyUpdate(); err != nil {
		return err
	}
	for range mostAsked {
		if err := c.ask(); err != nil {
			return err
		}
		if c.conn.ConnectionState().KeyEpoch == epoch {
			return c.ask()
		}
	}
	return fmt.Errorf("the extended key update number %d is not complete after %d requests", epoch, mostAsked)
}

// serve sends back what comes. Under the keys of the last update it asks the peer to attest
// again, before it sends anything else.
func (c *conversation) serve(ctx context.Context) error {
	buffer, total := make([]byte, 1<<14), 0
	asks := c.Scenario.Reattest
	for {
		n, err := c.Read(buffer)
		total += n
		if n > 0 {
			if _, failed := c.Write(buffer[:n]); failed != nil {
				return failed
			}
		}
		var named *attls.Error
		switch {
		case c.Abrupt && c.Scenario.Resumption != "" && total >= len(Request): // it waits for our end
			return c.CloseWrite()
		case err == io.EOF:
			return c.CloseWrite()
		case c.Abrupt && total > 0 && errors.As(err, &named) && named.Failure == attls.FailTruncated:
			return nil
		case err != nil:
			return err
		}
		if asks && c.conn.ConnectionState().KeyEpoch == uint64(c.Scenario.Updates()) {
			asks = false
			if err := c.again(ctx); err != nil {
				return err
			}
		}
	}
}
