// Package message holds codecs of the handshake messages of RFC 8446 section 4.
// Unmarshal gives views into the body it was given and reuses the storage of
// the value; Append writes the whole message with its header. State lives
// elsewhere.
package message

import (
	"strconv"

	"attls"
	"attls/extensions"
)

// HelloRetryRequestRandom is the Random that marks a ServerHello as a
// HelloRetryRequest: SHA-256("HelloRetryRequest") (RFC 8446 section 4.1.3).
var HelloRetryRequestRandom = [32]byte{
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
	0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
}

// The last eight octets of the Random of a server that negotiates an older
// version although it knows TLS 1.3 (RFC 8446 section 4.1.3).
var (
	DowngradeTLS12 = [8]byte{'D', 'O', 'W', 'N', 'G', 'R', 'D', 1}
	DowngradeTLS11 = [8]byte{'D', 'O', 'W', 'N', 'G', 'R', 'D', 0}
)

const headerLen = 4

// Raw is a handshake message as octets, header included.
type Raw struct {
	Kind  attls.MessageKind
	Type  attls.HandshakeType
	Bytes []byte
}

// Body returns the message without its header.
func (r *Raw) Body() []byte { return r.Bytes[headerLen:] }

// ParseRaw reads the header and names the kind; a HelloRetryRequest is told
// from a ServerHello by its Random.
func ParseRaw(msg []byte) (Raw, *attls.Error) {
	r := Raw{Bytes: msg}
	if len(msg) < headerLen {
		return r, attls.Errorf(attls.Malformed, attls.FailDecode, "a handshake message of %d octets", len(msg))
	}
	r.Type = attls.HandshakeType(msg[0])
	r.Kind = r.Type.Kind()
	if n := int(msg[1])<<16 | int(msg[2])<<8 | int(msg[3]); n != len(msg)-headerLen {
		return r, attls.Errorf(attls.Malformed, attls.FailDecode, "the header announces %d octets and %d follow", n, len(msg)-headerLen).In(r.Kind)
	}
	if r.Kind == attls.KindServerHello && len(msg) >= headerLen+34 && [32]byte(msg[headerLen+2:headerLen+34]) == HelloRetryRequestRandom {
		r.Kind = attls.KindHelloRetryRequest
	}
	return r, nil
}

// Begin starts a message; End puts its length in.
func Begin(b []byte, t attls.HandshakeType) ([]byte, int) {
	return append(b, byte(t), 0, 0, 0), len(b)
}

// End back-patches the length of the message that began at mark.
func End(b []byte, mark int) []byte {
	n := len(b) - mark - headerLen
	b[mark+1], b[mark+2], b[mark+3] = byte(n>>16), byte(n>>8), byte(n)
	return b
}

// reader reads a body front to back and remembers the first failure.
type reader struct {
	b    []byte
	pos  int
	kind attls.MessageKind
	err  *attls.Error
}

func (r *reader) fail(field string, at int, format string, args ...any) {
	if r.err == nil {
		r.err = attls.Errorf(attls.Malformed, attls.FailDecode, format, args...).At(at).Under(field).In(r.kind)
	}
}

func (r *reader) octets(field string, n int) []byte {
	if r.err != nil {
		return nil
	}
	if len(r.b)-r.pos < n {
		r.fail(field, r.pos, "%d octets where %d are needed", len(r.b)-r.pos, n)
		return nil
	}
	v := r.b[r.pos : r.pos+n : r.pos+n]
	r.pos += n
	return v
}

func (r *reader) number(field string, width int) int {
	n := 0
	for _, o := range r.octets(field, width) {
		n = n<<8 | int(o)
	}
	return n
}

// vector reads a vector with a length of so many octets, a floor and a ceiling.
func (r *reader) vector(field string, width, floor, ceiling int) []byte {
	at := r.pos
	n := r.number(field, width)
	if r.err != nil {
		return nil
	}
	if len(r.b)-r.pos < n {
		r.fail(field, at, "announces %d octets and %d are left", n, len(r.b)-r.pos)
		return nil
	}
	if n < floor || n > ceiling {
		r.fail(field, at, "%d octets; %d to %d are allowed", n, floor, ceiling)
		return nil
	}
	return r.octets(field, n)
}

// extensions reads Extension extensions<0..2^16-1>.
func (r *reader) extensions(dst extensions.List) extensions.List {
	block := r.vector("extensions", 2, 0, 1<<16-1)
	if r.err != nil {
		return dst[:0]
	}
	list, err := extensions.ParseList(dst[:0], block, r.pos-len(block))
	if err != nil {
		r.err = err.Under("extensions").In(r.kind)
	}
	return list
}

// end refuses octets that are left over.
func (r *reader) end() *attls.Error {
	if r.err == nil && r.pos < len(r.b) {
		r.err = attls.Errorf(attls.Malformed, attls.FailTrailing, "%d octets are left over", len(r.b)-r.pos).At(r.pos).In(r.kind)
	}
	return r.err
}

// ClientHello is RFC 8446 section 4.1.2:
//
//	uint16 ProtocolVersion;
//	opaque Random[32];
//	uint8 CipherSuite[2];
//	struct {
//	    ProtocolVersion legacy_version = 0x0303;
//	    Random random;
//	    opaque legacy_session_id<0..32>;
//	    CipherSuite cipher_suites<2..2^16-2>;
//	    opaque legacy_compression_methods<1..2^8-1>;
//	    Extension extensions<7..2^16-1>;
//	} ClientHello;
//
// A ClientHello of an older version may end before extensions.
type ClientHello struct {
	LegacyVersion      uint16
	Random             []byte
	SessionID          []byte
	CipherSuites       extensions.Uint16s
	CompressionMethods []byte
	Extensions         extensions.List
	NoExtensions       bool
}

// Unmarshal reads a body.
func (m *ClientHello) Unmarshal(body []byte) *attls.Error {
	r := reader{b: body, kind: attls.KindClientHello}
	m.LegacyVersion = uint16(r.number("legacy_version", 2))
	m.Random = r.octets("random", 32)
	m.SessionID = r.vector("legacy_session_id", 1, 0, 32)
	at := r.pos
	m.CipherSuites = r.vector("cipher_suites", 2, 2, 1<<16-2)
	if len(m.CipherSuites)%2 != 0 {
		r.fail("cipher_suites", at, "%d octets are no whole number of suites", len(m.CipherSuites))
	}
	m.CompressionMethods = r.vector("legacy_compression_methods", 1, 1, 255)
	m.Extensions = m.Extensions[:0]
	if m.NoExtensions = r.err == nil && r.pos == len(body); m.NoExtensions {
		return nil
	}
	m.Extensions = r.extensions(m.Extensions)
	return r.end()
}

// Append writes the message.
func (m *ClientHello) Append(b []byte) []byte {
	b, mark := Begin(b, attls.TypeClientHello)
	b = append(b, byte(m.LegacyVersion>>8), byte(m.LegacyVersion))
	b = append(b, m.Random...)
	b = append(append(b, byte(len(m.SessionID))), m.SessionID...)
	b = append(append(b, byte(len(m.CipherSuites)>>8), byte(len(m.CipherSuites))), m.CipherSuites...)
	b = append(append(b, byte(len(m.CompressionMethods))), m.CompressionMethods...)
	if !m.NoExtensions {
		b = extensions.AppendList(b, m.Extensions)
	}
	return End(b, mark)
}

// ServerHello is RFC 8446 section 4.1.3, and HelloRetryRequest of 4.1.4:
//
//	struct {
//	    ProtocolVersion legacy_version = 0x0303;
//	    Random random;
//	    opaque legacy_session_id_echo<0..32>;
//	    CipherSuite cipher_suite;
//	    uint8 legacy_compression_method = 0;
//	    Extension extensions<6..2^16-1>;
//	} ServerHello;
type ServerHello struct {
	LegacyVersion     uint16
	Random            []byte
	SessionID         []byte
	CipherSuite       attls.CipherSuite
	CompressionMethod uint8
	Extensions        extensions.List
	NoExtensions      bool
}

// Unmarshal reads a body.
func (m *ServerHello) Unmarshal(body []byte) *attls.Error {
	r := reader{b: body, kind: attls.KindServerHello}
	if len(body) >= 34 && [32]byte(body[2:34]) == HelloRetryRequestRandom {
		r.kind = attls.KindHelloRetryRequest
	}
	m.LegacyVersion = uint16(r.number("legacy_version", 2))
	m.Random = r.octets("random", 32)
	m.SessionID = r.vector("legacy_session_id_echo", 1, 0, 32)
	m.CipherSuite = attls.CipherSuite(r.number("cipher_suite", 2))
	m.CompressionMethod = uint8(r.number("legacy_compression_method", 1))
	m.Extensions = m.Extensions[:0]
	if m.NoExtensions = r.err == nil && r.pos == len(body); m.NoExtensions {
		return nil
	}
	m.Extensions = r.extensions(m.Extensions)
	return r.end()
}

// Append writes the message.
func (m *ServerHello) Append(b []byte) []byte {
	b, mark := Begin(b, attls.TypeServerHello)
	b = append(b, byte(m.LegacyVersion>>8), byte(m.LegacyVersion))
	b = append(b, m.Random...)
	b = append(append(b, byte(len(m.SessionID))), m.SessionID...)
	b = append(b, byte(m.CipherSuite>>8), byte(m.CipherSuite), m.CompressionMethod)
	if !m.NoExtensions {
		b = extensions.AppendList(b, m.Extensions)
	}
	return End(b, mark)
}

// EncryptedExtensions is RFC 8446 section 4.3.1:
//
//	struct { Extension extensions<0..2^16-1>; } EncryptedExtensions;
type EncryptedExtensions struct{ Extensions extensions.List }

// Unmarshal reads a body.
func (m *EncryptedExtensions) Unmarshal(body []byte) *attls.Error {
	r := reader{b: body, kind: attls.KindEncryptedExtensions}
	m.Extensions = r.extensions(m.Extensions)
	return r.end()
}

// Append writes the message.
func (m *EncryptedExtensions) Append(b []byte) []byte {
	b, mark := Begin(b, attls.TypeEncryptedExtensions)
	return End(extensions.AppendList(b, m.Extensions), mark)
}

// CertificateRequest is RFC 8446 section 4.3.2:
//
//	struct {
//	    opaque certificate_request_context<0..2^8-1>;
//	    Extension extensions<0..2^16-1>;
//	} CertificateRequest;
type CertificateRequest struct {
	Context    []byte
	Extensions extensions.List
}

// Unmarshal reads a body.
func (m *CertificateRequest) Unmarshal(body []byte) *attls.Error {
	r := reader{b: body, kind: attls.KindCertificateRequest}
	m.Context = r.vector("certificate_request_context", 1, 0, 255)
	m.Extensions = r.extensions(m.Extensions)
	return r.end()
}

// Append writes the message.
func (m *CertificateRequest) Append(b []byte) []byte {
	b, mark := Begin(b, attls.TypeCertificateRequest)
	b = append(append(b, byte(len(m.Context))), m.Context...)
	return End(extensions.AppendList(b, m.Extensions), mark)
}

// CertificateEntry is one entry of a Certificate:
//
//	struct {
//	    opaque cert_data<1..2^24-1>;
//	    Extension extensions<0..2^16-1>;
//	} CertificateEntry;
type CertificateEntry struct {
	Data       []byte
	Extensions extensions.List
}

// Certificate is RFC 8446 section 4.4.2:
//
//	struct {
//	    opaque certificate_request_context<0..2^8-1>;
//	    CertificateEntry certificate_list<0..2^24-1>;
//	} Certificate;
type Certificate struct {
	Context []byte
	Entries []CertificateEntry
}

// maxEntries bounds how many entries Unmarshal collects, so that a list of
// minimal entries cannot cost many times its size.
const maxEntries = 256

// Unmarshal reads a body.
func (m *Certificate) Unmarshal(body []byte) *attls.Error {
	r := reader{b: body, kind: attls.KindCertificate}
	m.Context = r.vector("certificate_request_context", 1, 0, 255)
	list := r.vector("certificate_list", 3, 0, 1<<24-1)
	if err := r.end(); err != nil {
		m.Entries = m.Entries[:0]
		return err
	}
	old := m.Entries[:cap(m.Entries)]
	m.Entries = m.Entries[:0]
	in := reader{b: body, pos: len(body) - len(list), kind: attls.KindCertificate}
	for in.pos < len(body) {
		i := len(m.Entries)
		if i == maxEntries {
			return attls.Errorf(attls.Local, attls.FailCapacity, "more than %d entries", maxEntries).At(in.pos).Under("certificate_list").In(attls.KindCertificate)
		}
		var e CertificateEntry
		if i < len(old) {
			e.Extensions = old[i].Extensions[:0]
		}
		e.Data = in.vector("cert_data", 3, 1, 1<<24-1)
		e.Extensions = in.extensions(e.Extensions)
		if in.err != nil {
			return in.err.Under("certificate_list[" + strconv.Itoa(i) + "]")
		}
		m.Entries = append(m.Entries, e)
	}
	return nil
}

// Append writes the message.
func (m *Certificate) Append(b []byte) []byte {
	b, mark := Begin(b, attls.TypeCertificate)
	b = append(append(b, byte(len(m.Context))), m.Context...)
	list := len(b)
	b = append(b, 0, 0, 0)
	for i := range m.Entries {
		n := len(m.Entries[i].Data)
		b = append(append(b, byte(n>>16), byte(n>>8), byte(n)), m.Entries[i].Data...)
		b = extensions.AppendList(b, m.Entries[i].Extensions)
	}
	n := len(b) - list - 3
	b[list], b[list+1], b[list+2] = byte(n>>16), byte(n>>8), byte(n)
	return End(b, mark)
}

// CompressedCertificate is RFC 8879 section 4:
//
//	struct {
//	    CertificateCompressionAlgorithm algorithm;
//	    uint24 uncompressed_length;
//	    opaque compressed_certificate_message<1..2^24-1>;
//	} CompressedCertificate;
type CompressedCertificate struct {
	Algorithm          uint16
	UncompressedLength int
	Compressed         []byte
}

// Unmarshal reads a body.
func (m *CompressedCertificate) Unmarshal(body []byte) *attls.Error {
	r := reader{b: body, kind: attls.KindCompressedCertificate}
	m.Algorithm = uint16(r.number("algorithm", 2))
	m.UncompressedLength = r.number("uncompressed_length", 3)
	m.Compressed = r.vector("compressed_certificate_message", 3, 1, 1<<24-1)
	return r.end()
}

// Append writes the message.
func (m *CompressedCertificate) Append(b []byte) []byte {
	b, mark := Begin(b, attls.TypeCompressedCertificate)
	b = append(b, byte(m.Algorithm>>8), byte(m.Algorithm))
	for _, n := range [...]int{m.UncompressedLength, len(m.Compressed)} {
		b = append(b, byte(n>>16), byte(n>>8), byte(n))
	}
	return End(append(b, m.Compressed...), mark)
}

// CertificateVerify is RFC 8446 section 4.4.3:
//
//	struct {
//	    SignatureScheme algorithm;
//	    opaque signature<0..2^16-1>;
//	} CertificateVerify;
type CertificateVerify struct {
	Scheme    attls.SignatureScheme
	Signature []byte
}

// Unmarshal reads a body.
func (m *CertificateVerify) Unmarshal(body []byte) *attls.Error {
	r := reader{b: body, kind: attls.KindCertificateVerify}
	m.Scheme = attls.SignatureScheme(r.number("algorithm", 2))
	m.Signature = r.vector("signature", 2, 0, 1<<16-1)
	return r.end()
}

// Append writes the message.
func (m *CertificateVerify) Append(b []byte) []byte {
	b, mark := Begin(b, attls.TypeCertificateVerify)
	b = append(b, byte(m.Scheme>>8), byte(m.Scheme), byte(len(m.Signature)>>8), byte(len(m.Signature)))
	return End(append(b, m.Signature...), mark)
}

// Finished is RFC 8446 section 4.4.4:
//
//	struct { opaque verify_data[Hash.length]; } Finished;
type Finished struct{ VerifyData []byte }

// Unmarshal takes the whole body; the engine knows Hash.length.
func (m *Finished) Unmarshal(body []byte) *attls.Error {
	m.VerifyData = body
	return nil
}

// Append writes the message.
func (m *Finished) Append(b []byte) []byte {
	b, mark := Begin(b, attls.TypeFinished)
	return End(append(b, m.VerifyData...), mark)
}

// EndOfEarlyData is RFC 8446 section 4.5:
//
//	struct {} EndOfEarlyData;
type EndOfEarlyData struct{}

// Append writes the message.
func (EndOfEarlyData) Append(b []byte) []byte {
	b, mark := Begin(b, attls.TypeEndOfEarlyData)
	return End(b, mark)
}

// KeyUpdate is RFC 8446 section 4.6.3:
//
//	enum { update_not_requested(0), update_requested(1), (255) } KeyUpdateRequest;
//	struct { KeyUpdateRequest request_update; } KeyUpdate;
type KeyUpdate struct{ RequestUpdate bool }

// Unmarshal reads a body.
func (m *KeyUpdate) Unmarshal(body []byte) *attls.Error {
	r := reader{b: body, kind: attls.KindKeyUpdate}
	v := r.number("request_update", 1)
	if err := r.end(); err != nil {
		return err
	}
	if v > 1 {
		return attls.Errorf(attls.Violation, attls.FailIllegalParameter, "%d is neither 0 nor 1", v).At(0).
			Under("request_update").In(attls.KindKeyUpdate).By("RFC 8446 4.6.3")
	}
	m.RequestUpdate = v == 1
	return nil
}

// Append writes the message.
func (m *KeyUpdate) Append(b []byte) []byte {
	b, mark := Begin(b, attls.TypeKeyUpdate)
	v := byte(0)
	if m.RequestUpdate {
		v = 1
	}
	return End(append(b, v), mark)
}

// NewSessionTicket is RFC 8446 section 4.6.1:
//
//	struct {
//	    uint32 ticket_lifetime;
//	    uint32 ticket_age_add;
//	    opaque ticket_nonce<0..255>;
//	    opaque ticket<1..2^16-1>;
//	    Extension extensions<0..2^16-1>;
//	} NewSessionTicket;
type NewSessionTicket struct {
	Lifetime   uint32
	AgeAdd     uint32
	Nonce      []byte
	Ticket     []byte
	Extensions extensions.List
}

// Unmarshal reads a body.
func (m *NewSessionTicket) Unmarshal(body []byte) *attls.Error {
	r := reader{b: body, kind: attls.KindNewSessionTicket}
	m.Lifetime = uint32(r.number("ticket_lifetime", 4))
	m.AgeAdd = uint32(r.number("ticket_age_add", 4))
	m.Nonce = r.vector("ticket_nonce", 1, 0, 255)
	m.Ticket = r.vector("ticket", 2, 1, 1<<16-1)
	m.Extensions = r.extensions(m.Extensions)
	return r.end()
}

// Append writes the message.
func (m *NewSessionTicket) Append(b []byte) []byte {
	b, mark := Begin(b, attls.TypeNewSessionTicket)
	for _, v := range [...]uint32{m.Lifetime, m.AgeAdd} {
		b = append(b, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
	}
	b = append(append(b, byte(len(m.Nonce))), m.Nonce...)
	b = append(append(b, byte(len(m.Ticket)>>8), byte(len(m.Ticket))), m.Ticket...)
	return End(extensions.AppendList(b, m.Extensions), mark)
}
