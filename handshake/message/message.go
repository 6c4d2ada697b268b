// Package message holds codecs of the handshake messages of RFC 8446 section 4.
// Unmarshal gives views into the body it was given and reuses the storage of
// the value; Append writes the whole message with its header. State lives
// elsewhere.
package message

import (
	"attls"
	"attls/extensions"
	"attls/internal/wire"
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
	in := wire.NewReader(msg, 0)
	r.Type = attls.HandshakeType(in.Uint8("msg_type"))
	r.Kind = r.Type.Kind()
	if n := in.Uint24("length"); n != len(msg)-headerLen {
		return r, attls.Errorf(attls.Malformed, attls.FailDecode, "the header announces %d octets and %d follow", n,
			len(msg)-headerLen).In(r.Kind)
	}
	if r.Kind == attls.KindServerHello && len(msg) >= headerLen+34 &&
		[32]byte(msg[headerLen+2:headerLen+34]) == HelloRetryRequestRandom {
		r.Kind = attls.KindHelloRetryRequest
	}
	return r, nil
}

// Begin starts a message; End puts its length in.
func Begin(b []byte, t attls.HandshakeType) ([]byte, int) {
	return append(b, byte(t), 0, 0, 0), len(b)
}

// End puts in the length of the message that began at mark.
func End(b []byte, mark int) []byte {
	length := wire.Append(b[:mark+1])
	length.Uint24(len(b) - mark - headerLen)
	return b
}

// AppendMessage writes a message of a type with a body.
func AppendMessage(b []byte, t attls.HandshakeType, body []byte) []byte {
	b, mark := Begin(b, t)
	return End(append(b, body...), mark)
}

// writer writes one message.
type writer struct {
	wire.Writer
	length wire.Mark
}

// begin starts a message after b.
func begin(b []byte, t attls.HandshakeType) writer {
	w := writer{Writer: wire.Append(b)}
	w.Uint8(uint8(t))
	w.length = w.Open(3)
	return w
}

// extensions writes Extension extensions<0..2^16-1>.
func (w *writer) extensions(l extensions.List) {
	w.Writer = wire.Append(extensions.AppendList(w.Bytes(), l))
}

// end ends the message.
func (w *writer) end() []byte {
	w.Close(w.length)
	return w.Bytes()
}

// reader reads the body of a message of a kind.
type reader struct {
	wire.Reader
	kind attls.MessageKind
}

func read(body []byte, k attls.MessageKind) reader { return reader{wire.NewReader(body, 0), k} }

// extensions reads Extension extensions<0..2^16-1>.
func (r *reader) extensions(dst extensions.List) extensions.List {
	block := r.Vector("extensions", 2, 0, wire.Max(2))
	if r.Err() != nil {
		return dst[:0]
	}
	list, err := extensions.ParseList(dst[:0], block, r.Offset()-len(block))
	if err != nil {
		r.Fail("extensions", r.Offset(), err)
	}
	return list
}

// end refuses octets that are left over.
func (r *reader) end() *attls.Error {
	if err := r.End(); err != nil {
		return err.In(r.kind)
	}
	return nil
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
	r := read(body, attls.KindClientHello)
	m.LegacyVersion = r.Uint16("legacy_version")
	m.Random = r.Octets("random", 32)
	m.SessionID = r.Vector("legacy_session_id", 1, 0, 32)
	at := r.Offset()
	m.CipherSuites = r.Vector("cipher_suites", 2, 2, 1<<16-2)
	if len(m.CipherSuites)%2 != 0 {
		r.Fail("cipher_suites", at, attls.Errorf(attls.Malformed, attls.FailDecode,
			"%d octets are not a whole number of suites", len(m.CipherSuites)))
	}
	m.CompressionMethods = r.Vector("legacy_compression_methods", 1, 1, wire.Max(1))
	m.Extensions = m.Extensions[:0]
	if m.NoExtensions = r.Err() == nil && !r.More(); !m.NoExtensions {
		m.Extensions = r.extensions(m.Extensions)
	}
	return r.end()
}

// Append writes the message.
func (m *ClientHello) Append(b []byte) []byte {
	w := begin(b, attls.TypeClientHello)
	w.Uint16(m.LegacyVersion)
	w.Octets(m.Random)
	w.Vector(1, m.SessionID)
	w.Vector(2, m.CipherSuites)
	w.Vector(1, m.CompressionMethods)
	if !m.NoExtensions {
		w.extensions(m.Extensions)
	}
	return w.end()
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
	r := read(body, attls.KindServerHello)
	if len(body) >= 34 && [32]byte(body[2:34]) == HelloRetryRequestRandom {
		r.kind = attls.KindHelloRetryRequest
	}
	m.LegacyVersion = r.Uint16("legacy_version")
	m.Random = r.Octets("random", 32)
	m.SessionID = r.Vector("legacy_session_id_echo", 1, 0, 32)
	m.CipherSuite = attls.CipherSuite(r.Uint16("cipher_suite"))
	m.CompressionMethod = r.Uint8("legacy_compression_method")
	m.Extensions = m.Extensions[:0]
	if m.NoExtensions = r.Err() == nil && !r.More(); !m.NoExtensions {
		m.Extensions = r.extensions(m.Extensions)
	}
	return r.end()
}

// Append writes the message.
func (m *ServerHello) Append(b []byte) []byte {
	w := begin(b, attls.TypeServerHello)
	w.Uint16(m.LegacyVersion)
	w.Octets(m.Random)
	w.Vector(1, m.SessionID)
	w.Uint16(uint16(m.CipherSuite))
	w.Uint8(m.CompressionMethod)
	if !m.NoExtensions {
		w.extensions(m.Extensions)
	}
	return w.end()
}

// EncryptedExtensions is RFC 8446 section 4.3.1:
//
//	struct { Extension extensions<0..2^16-1>; } EncryptedExtensions;
type EncryptedExtensions struct{ Extensions extensions.List }

// Unmarshal reads a body.
func (m *EncryptedExtensions) Unmarshal(body []byte) *attls.Error {
	r := read(body, attls.KindEncryptedExtensions)
	m.Extensions = r.extensions(m.Extensions)
	return r.end()
}

// Append writes the message.
func (m *EncryptedExtensions) Append(b []byte) []byte {
	w := begin(b, attls.TypeEncryptedExtensions)
	w.extensions(m.Extensions)
	return w.end()
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
	return m.unmarshal(body, attls.KindCertificateRequest)
}

// Append writes the message.
func (m *CertificateRequest) Append(b []byte) []byte {
	return m.append(b, attls.TypeCertificateRequest)
}

func (m *CertificateRequest) unmarshal(body []byte, k attls.MessageKind) *attls.Error {
	r := read(body, k)
	m.Context = r.Vector("certificate_request_context", 1, 0, wire.Max(1))
	m.Extensions = r.extensions(m.Extensions)
	return r.end()
}

func (m *CertificateRequest) append(b []byte, t attls.HandshakeType) []byte {
	w := begin(b, t)
	w.Vector(1, m.Context)
	w.extensions(m.Extensions)
	return w.end()
}

// ClientCertificateRequest is RFC 9261 section 4, by which a client asks for an
// exported authenticator:
//
//	struct {
//	    opaque certificate_request_context<0..2^8-1>;
//	    Extension extensions<2..2^16-1>;
//	} ClientCertificateRequest;
type ClientCertificateRequest CertificateRequest

// Unmarshal reads a body.
func (m *ClientCertificateRequest) Unmarshal(body []byte) *attls.Error {
	return (*CertificateRequest)(m).unmarshal(body, attls.KindClientCertificateRequest)
}

// Append writes the message.
func (m *ClientCertificateRequest) Append(b []byte) []byte {
	return (*CertificateRequest)(m).append(b, attls.TypeClientCertificateRequest)
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
	old := m.Entries[:cap(m.Entries)]
	m.Entries = m.Entries[:0]
	r := read(body, attls.KindCertificate)
	m.Context = r.Vector("certificate_request_context", 1, 0, wire.Max(1))
	list := r.Open("certificate_list", 3, 0, wire.Max(3))
	if r.Err() == nil && len(list) < len(body)-r.Offset() {
		r.Close()
		return r.end()
	}
	for r.More() {
		i := len(m.Entries)
		if i == maxEntries {
			r.Fail("", r.Offset(), attls.Errorf(attls.Local, attls.FailCapacity, "more than %d entries", maxEntries))
			break
		}
		r.Element()
		var e CertificateEntry
		if i < len(old) {
			e.Extensions = old[i].Extensions[:0]
		}
		e.Data = r.Vector("cert_data", 3, 1, wire.Max(3))
		e.Extensions = r.extensions(e.Extensions)
		if r.Err() == nil {
			m.Entries = append(m.Entries, e)
		}
	}
	r.Close()
	return r.end()
}

// Append writes the message.
func (m *Certificate) Append(b []byte) []byte {
	w := begin(b, attls.TypeCertificate)
	w.Vector(1, m.Context)
	list := w.Open(3)
	for i := range m.Entries {
		w.Vector(3, m.Entries[i].Data)
		w.extensions(m.Entries[i].Extensions)
	}
	w.Close(list)
	return w.end()
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
	r := read(body, attls.KindCompressedCertificate)
	m.Algorithm = r.Uint16("algorithm")
	m.UncompressedLength = r.Uint24("uncompressed_length")
	m.Compressed = r.Vector("compressed_certificate_message", 3, 1, wire.Max(3))
	return r.end()
}

// Append writes the message.
func (m *CompressedCertificate) Append(b []byte) []byte {
	w := begin(b, attls.TypeCompressedCertificate)
	w.Uint16(m.Algorithm)
	w.Uint24(m.UncompressedLength)
	w.Vector(3, m.Compressed)
	return w.end()
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
	r := read(body, attls.KindCertificateVerify)
	m.Scheme = attls.SignatureScheme(r.Uint16("algorithm"))
	m.Signature = r.Vector("signature", 2, 0, wire.Max(2))
	return r.end()
}

// Append writes the message.
func (m *CertificateVerify) Append(b []byte) []byte {
	w := begin(b, attls.TypeCertificateVerify)
	w.Uint16(uint16(m.Scheme))
	w.Vector(2, m.Signature)
	return w.end()
}

// SignedContent is what a CertificateVerify signs (RFC 8446 section 4.4.3): the
// context string of the protocol and the end, and the hash of a transcript.
func SignedContent(context string, transcriptHash []byte) []byte {
	const spaces = "                                                                "
	b := make([]byte, 0, len(spaces)+len(context)+1+len(transcriptHash))
	b = append(append(b, spaces...), context...)
	return append(append(b, 0), transcriptHash...)
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
	w := begin(b, attls.TypeFinished)
	w.Octets(m.VerifyData)
	return w.end()
}

// EndOfEarlyData is RFC 8446 section 4.5:
//
//	struct {} EndOfEarlyData;
type EndOfEarlyData struct{}

// Append writes the message.
func (EndOfEarlyData) Append(b []byte) []byte {
	w := begin(b, attls.TypeEndOfEarlyData)
	return w.end()
}

// KeyUpdate is RFC 8446 section 4.6.3:
//
//	enum { update_not_requested(0), update_requested(1), (255) } KeyUpdateRequest;
//	struct { KeyUpdateRequest request_update; } KeyUpdate;
type KeyUpdate struct{ RequestUpdate bool }

// Unmarshal reads a body.
func (m *KeyUpdate) Unmarshal(body []byte) *attls.Error {
	r := read(body, attls.KindKeyUpdate)
	v := r.Uint8("request_update")
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
	w := begin(b, attls.TypeKeyUpdate)
	w.Flag(m.RequestUpdate)
	return w.end()
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
	r := read(body, attls.KindNewSessionTicket)
	m.Lifetime = r.Uint32("ticket_lifetime")
	m.AgeAdd = r.Uint32("ticket_age_add")
	m.Nonce = r.Vector("ticket_nonce", 1, 0, wire.Max(1))
	m.Ticket = r.Vector("ticket", 2, 1, wire.Max(2))
	m.Extensions = r.extensions(m.Extensions)
	return r.end()
}

// Append writes the message.
func (m *NewSessionTicket) Append(b []byte) []byte {
	w := begin(b, attls.TypeNewSessionTicket)
	w.Uint32(m.Lifetime)
	w.Uint32(m.AgeAdd)
	w.Vector(1, m.Nonce)
	w.Vector(2, m.Ticket)
	w.extensions(m.Extensions)
	return w.end()
}
