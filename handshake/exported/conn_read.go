package exported

import (
	"context"
	"errors"
	"io"
	"os"

	"attls"
)

// step reads and handles one frame. Data is kept, where keep says so, or left to Read. The
// caller holds c.reading.
func (c *Conn) step(ctx context.Context, keep bool) error {
	defer c.wakeAfter(ctx)()
	if c.left > 0 {
		return c.keepData(ctx)
	}
	if err := c.need(c.f.header()); err != nil {
		return c.lost(ctx, err)
	}
	what, octets, bad := c.f.read(c.in[:c.f.header()])
	if bad != nil {
		return c.fail(bad)
	}
	if what == contentData {
		if c.first() && !c.complete() && !c.again() {
			return c.fail(attls.Errorf(attls.Violation, attls.FailUnexpectedMessage,
				"application data before the attestation is complete").By(c.cfg.Profile.ID))
		}
		c.in, c.left = c.in[:0], octets
		if keep {
			return c.keepData(ctx)
		}
		return nil
	}
	body, err := c.body(octets)
	if err != nil {
		return c.lost(ctx, err)
	}
	c.in = nil
	if what == contentRequest {
		return c.answer(ctx, body)
	}
	return c.appraise(ctx, body)
}

// again reports whether the peer cannot know that its data comes too early: it was not
// accepted and is asked again, or it attests nothing and need not. Its data is kept.
func (c *Conn) again() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused && c.rules.Report || c.cfg.Optional
}

// need reads until so many octets are in c.in, and not one more.
func (c *Conn) need(n int) error {
	for len(c.in) < n {
		at := len(c.in)
		room := min(n-at, 1<<14) // more comes as it is sent, not as it is announced
		c.in = append(c.in, make([]byte, room)...)
		m, err := c.Conn.Read(c.in[at:])
		c.in = c.in[:at+m]
		if err != nil && m == 0 {
			return err
		}
	}
	return nil
}

// body reads the rest of a request or an authenticator.
func (c *Conn) body(octets int) ([]byte, error) {
	end := c.f.header() + octets
	if err := c.need(end); err != nil {
		return nil, err
	}
	if c.f.typed() {
		return c.in[c.f.header():end], nil
	}
	for t := attls.HandshakeType(c.in[0]); t == attls.TypeCertificate || t == attls.TypeCertificateVerify; {
		if err := c.need(end + c.f.header()); err != nil {
			return nil, err
		}
		_, n, bad := c.f.message(c.in[end:])
		if bad != nil {
			return nil, bad
		}
		t = attls.HandshakeType(c.in[end])
		if end += c.f.header() + n; end > c.f.max {
			return nil, attls.Errorf(attls.Local, attls.FailCapacity, "an authenticator of %d octets; Limits.Octets is %d", end,
				c.f.max)
		}
		if err := c.need(end); err != nil {
			return nil, err
		}
	}
	return c.in[:end], nil
}

// keepData moves the rest of a data frame to where Read finds it.
func (c *Conn) keepData(ctx context.Context) error {
	if len(c.data)+c.left > maxHeld {
		return c.fail(attls.Errorf(attls.Local, attls.FailCapacity,
			"more than %d octets of application data while an authenticator is waited for", maxHeld))
	}
	b := make([]byte, min(c.left, 1<<14))
	n, err := c.Conn.Read(b)
	c.data, c.left = append(c.data, b[:n]...), c.left-n
	if err != nil && n == 0 {
		return c.lost(ctx, err)
	}
	return nil
}

// lost makes an error of the end of the stream in the middle of an exchange.
func (c *Conn) lost(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return c.late(ctx)
	}
	var named *attls.Error
	if errors.As(err, &named) && named.Class != attls.FromPeer && !isFinal(c.Conn) {
		return c.fail(named)
	}
	if err == io.EOF && (c.openQuestion() || len(c.in) > 0 || c.first() && !c.complete()) {
		err = attls.Errorf(attls.Refused, attls.FailTruncated,
			"the peer closed the connection, and the attestation is not complete")
		c.end(err)
	}
	return err
}

// Read reads application data; see Attest.
func (c *Conn) Read(b []byte) (int, error) {
	ctx := context.Background()
	if err := c.before(ctx); err != nil {
		return 0, err
	}
	if len(b) == 0 {
		return 0, nil
	}
	for {
		c.reading <- struct{}{}
		n, err := c.readData(ctx, b)
		<-c.reading
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// readData reads data that is at hand, or handles one frame. The caller holds c.reading.
func (c *Conn) readData(ctx context.Context, b []byte) (int, error) {
	if n := copy(b, c.data); n > 0 {
		if c.data = c.data[n:]; len(c.data) == 0 {
			c.data = nil
		}
		if c.relief != nil {
			close(c.relief)
			c.relief = nil
		}
		return n, nil
	}
	if !c.framed() {
		return c.Conn.Read(b)
	}
	if c.left > 0 {
		n, err := c.Conn.Read(b[:min(len(b), c.left)])
		c.left -= n
		if n > 0 {
			err = nil // it comes again
		} else if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return n, err
	}
	return 0, c.step(ctx, false)
}

// before makes the exchange where it comes before application data.
func (c *Conn) before(ctx context.Context) error {
	if c.opts != nil {
		return c.opts
	}
	if !c.first() {
		return c.start(ctx)
	}
	return c.Attest(ctx)
}

// framed reports whether application data has frames.
func (c *Conn) framed() bool { return c.agreed && c.rules.Repeats() }
