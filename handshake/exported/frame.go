package exported

import (
	"encoding/binary"
	"fmt"

	"attls"
	"attls/extensions/profile"
)

// What a frame, or what stands for one, carries.
type content uint8

const (
	contentRequest content = iota
	contentAnswer
	contentData
)

func (c content) String() string {
	return [...]string{"request", "authenticator", "application data"}[c]
}

// framing writes and reads frames as the rules of a profile say.
type framing struct {
	r   *profile.AuthenticatorRules
	max int // octets of a request or an authenticator
}

// typed reports whether frames have a type and a length.
func (f *framing) typed() bool { return f.r.Framing == profile.FramingTyped }

// frame puts a header in front of a request, an authenticator or application data.
func (f *framing) frame(c content, octets []byte) ([]byte, error) {
	if !f.typed() {
		return octets, nil
	}
	if most := uint64(1)<<(8*f.r.LengthOctets) - 1; uint64(len(octets)) > most {
		return nil, attls.Errorf(attls.Local, attls.FailTooLarge, "a frame of %d octets; its length holds %d", len(octets),
			most)
	}
	kind := [...]int{f.r.Request, f.r.Answer, f.r.Data}[c]
	var length [4]byte
	binary.BigEndian.PutUint32(length[:], uint32(len(octets)))
	out := make([]byte, 0, 1+f.r.LengthOctets+len(octets))
	out = append(out, byte(kind))
	out = append(out, length[4-f.r.LengthOctets:]...)
	return append(out, octets...), nil
}

// header is how many octets begin whatever comes next.
func (f *framing) header() int {
	if f.typed() {
		return 1 + f.r.LengthOctets
	}
	return 4
}

// read reads a header: what follows it, and how many octets.
func (f *framing) read(b []byte) (c content, octets int, err *attls.Error) {
	if !f.typed() {
		return f.message(b)
	}
	switch int(b[0]) {
	case f.r.Request:
		c = contentRequest
	case f.r.Answer:
		c = contentAnswer
	case f.r.Data: // -1 is no octet
		c = contentData
	default:
		return 0, 0, attls.Errorf(attls.Malformed, attls.FailDecode, "a frame of type %d; there are %s", b[0], f.types()).
			Under("type").Under("frame").At(0)
	}
	n := uint64(0)
	for _, x := range b[1:] {
		n = n<<8 | uint64(x)
	}
	if c != contentData && n > uint64(f.max) {
		return 0, 0, attls.Errorf(attls.Local, attls.FailCapacity,
			"a frame with %s of %d octets; Limits.Octets is %d", c, n, f.max).
			Under("length").Under("frame").At(1)
	}
	if n == 0 {
		return 0, 0, attls.Errorf(attls.Malformed, attls.FailDecode, "a frame without content, of type %d", b[0]).
			Under("length").Under("frame").At(1)
	}
	return c, int(n), nil
}

func (f *framing) types() string {
	s := fmt.Sprintf("%d for requests and %d for authenticators", f.r.Request, f.r.Answer)
	if f.r.Data >= 0 {
		s += fmt.Sprintf(", %d for application data", f.r.Data)
	}
	return s
}

// message reads the header of a handshake message that is sent as it is: a request, or the
// first of an authenticator, whose others follow up to Finished.
func (f *framing) message(b []byte) (c content, octets int, err *attls.Error) {
	t := attls.HandshakeType(b[0])
	switch t {
	case attls.TypeCertificateRequest, attls.TypeClientCertificateRequest:
		c = contentRequest
	case attls.TypeCertificate, attls.TypeCertificateVerify, attls.TypeFinished:
		c = contentAnswer
	default:
		return 0, 0, attls.Errorf(attls.Malformed, attls.FailUnexpectedMessage,
			"%v where a request or an authenticator belongs", t).At(0)
	}
	n := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
	if n > f.max {
		return 0, 0, attls.Errorf(attls.Local, attls.FailCapacity, "%v of %d octets; Limits.Octets is %d", t, n, f.max).At(1)
	}
	return c, n, nil
}
