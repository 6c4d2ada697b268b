package exported

import (
	"context"
	"encoding/binary"

	"attls"
	"attls/extensions/profile"
)

// inFrames reports whether the ends attest in frames of the application.
func (c *Conn) inFrames() bool { return len(c.cfg.Profile.Frames) > 0 }

// attestInFrames makes the exchange of frames, once.
func (c *Conn) attestInFrames(ctx context.Context) error {
	c.attesting.Lock()
	defer c.attesting.Unlock()
	c.mu.Lock()
	done, failed := c.accepted, c.failed
	c.mu.Unlock()
	if done || failed != nil {
		return failed
	}
	c.reading <- struct{}{}
	defer func() { <-c.reading }()
	defer c.wakeAfter(ctx)()
	x := c.session.Exchange()
	err := c.frames(ctx, x)
	if ctx.Err() != nil && err != nil {
		late := attls.Errorf(attls.Local, lateness(ctx), "the exchange of frames is not complete: %v", context.Cause(ctx))
		late.Err = context.Cause(ctx)
		err = late
	}
	c.mu.Lock()
	for _, o := range x.Outcomes() {
		c.remember(&o)
	}
	c.accepted = err == nil
	c.mu.Unlock()
	if err != nil {
		return c.failFrames(err)
	}
	return nil
}

// frames sends and takes the frames in their order.
func (c *Conn) frames(ctx context.Context, x *Exchange) error {
	for f, own := x.Next(); f != nil; f, own = x.Next() {
		if !own {
			octets, err := c.readFrame(f)
			if err != nil {
				return err
			}
			_ = x.Take(ctx, octets) // Finish says it, once the peer was told
			continue
		}
		octets, err := x.Make(ctx)
		if err != nil {
			return err
		}
		if octets, err = AppendFrame(nil, c.cfg.Profile, f, octets); err != nil {
			return err
		}
		if err := c.writeUnder(ctx, octets); err != nil {
			return err
		}
	}
	return x.Finish(ctx)
}

// AppendFrame appends a frame of an Exchange under a profile to octets, with the header that it
// has in the application data of a connection. A frame that is longer than the profile permits is
// an error.
func AppendFrame(b []byte, p *profile.Profile, f *profile.Frame, octets []byte) ([]byte, error) {
	r := &p.Exchange
	if len(octets) > r.Most {
		return nil, attls.Errorf(attls.Local, attls.FailTooLarge, "the frame %s has %d octets; at most %d are sent", f.Name,
			len(octets), r.Most).By(p.ID)
	}
	if f.Type >= 0 {
		b = append(b, byte(f.Type))
	}
	var length [4]byte
	binary.BigEndian.PutUint32(length[:], uint32(len(octets)))
	b = append(b, length[4-r.LengthOctets:]...)
	return append(b, octets...), nil
}

// readFrame reads a frame of the peer, and not one octet more.
func (c *Conn) readFrame(f *profile.Frame) ([]byte, error) {
	r := &c.cfg.Profile.Exchange
	header := r.LengthOctets
	if f.Type >= 0 {
		header++
	}
	c.in = c.in[:0]
	if err := c.need(header); err != nil {
		return nil, c.cut(f, err)
	}
	b := c.in[:header]
	if f.Type >= 0 {
		if int(b[0]) != f.Type {
			return nil, attls.Errorf(attls.Malformed, attls.FailUnexpectedMessage,
				"a frame of type %d, where %s has the type %d",
				b[0], f.Name, f.Type).Under("type").Under("frame").At(0)
		}
		b = b[1:]
	}
	n := 0
	for _, o := range b {
		n = n<<8 | int(o)
	}
	switch {
	case n > r.Most:
		return nil, attls.Errorf(attls.Refused, attls.FailCapacity, "a frame of %d octets, where %s has at most %d", n,
			f.Name,
			r.Most).Under("length").Under("frame").At(header - r.LengthOctets)
	case n == 0:
		return nil, attls.Errorf(attls.Malformed, attls.FailDecode, "a frame without content, where %s belongs", f.Name).
			Under("length").Under("frame").At(header - r.LengthOctets)
	}
	if err := c.need(header + n); err != nil {
		return nil, c.cut(f, err)
	}
	octets := c.in[header : header+n]
	c.in = nil
	return octets, nil
}

// cut makes an error of the end of the stream where a frame belongs.
func (c *Conn) cut(f *profile.Frame, err error) error {
	if isFinal(c.Conn) {
		return err
	}
	return attls.Errorf(attls.Refused, attls.FailTruncated, "the peer closed the connection, and %s has not come: %v",
		f.Name,
		err)
}

// failFrames ends the connection, or only tells of the failure, as the profile says.
func (c *Conn) failFrames(err error) error {
	if named, ok := err.(*attls.Error); ok && !c.cfg.Profile.Exchange.Report && named.Class != attls.FromPeer {
		err = c.Conn.Abort(named)
	}
	c.end(err)
	return err
}
