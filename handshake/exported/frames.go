package exported

import (
	"attls"
	"attls/extensions/profile"
)

// Content is what a frame carries.
type Content = content

// The contents of frames.
const (
	ContentRequest = contentRequest
	ContentAnswer  = contentAnswer
	ContentData    = contentData
)

// Frames writes and reads requests, authenticators and application data as the rules of a
// profile have them in a connection, for programs that use a Session without a Conn. Where a
// profile leaves the framing to the application, they are sent as they are, as in Conn.
type Frames struct{ f framing }

// NewFrames returns the frames of a profile; max bounds the octets of a request or an
// authenticator, 0: as Config does.
func NewFrames(r *profile.AuthenticatorRules, max int) *Frames {
	if max <= 0 {
		max = defaultOctets
	}
	return &Frames{framing{r: r, max: max}}
}

// Append appends a frame to octets. Application data has none where it cannot be told from
// a request.
func (f *Frames) Append(b []byte, c Content, octets []byte) ([]byte, error) {
	if c == ContentData && !f.f.r.Repeats() {
		return append(b, octets...), nil
	}
	framed, err := f.f.frame(c, octets)
	return append(b, framed...), err
}

// Next takes the first frame off octets; n is 0 where more must come. The rest of octets
// without frames is for who knows that the exchange is over.
func (f *Frames) Next(b []byte) (c Content, octets []byte, n int, err *attls.Error) {
	head := f.f.header()
	if len(b) < head {
		return 0, nil, 0, nil
	}
	c, size, err := f.f.read(b[:head])
	if err != nil || len(b)-head < size {
		return 0, nil, 0, err
	}
	n = head + size
	if f.f.typed() {
		return c, b[head:n], n, nil
	}
	for t := attls.HandshakeType(b[0]); t == attls.TypeCertificate || t == attls.TypeCertificateVerify; {
		if len(b)-n < head {
			return 0, nil, 0, nil
		}
		t = attls.HandshakeType(b[n])
		if _, size, err = f.f.message(b[n : n+head]); err != nil || len(b)-n-head < size {
			return 0, nil, 0, err
		}
		if n += head + size; n > f.f.max {
			return 0, nil, 0, attls.Errorf(attls.Local, attls.FailCapacity, "an authenticator of %d octets; the bound is %d", n,
				f.f.max)
		}
	}
	return c, b[:n], n, nil
}
