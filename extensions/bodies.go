package extensions

import (
	"bytes"
	"iter"
	"slices"

	"attls"
	"attls/internal/wire"
)

// place is an extension with the messages in which it may appear, and those in which its
// body has no octet.
type place struct {
	t         attls.ExtensionType
	in, empty int
}

// The table of RFC 9846 section 4.3 (RFC 8446 section 4.2), with the extensions
// that other RFCs place in TLS 1.3 messages. The bodies follow.
var rfc8446 = newTable([]place{
	{attls.ExtServerName, ch | ee | ccr, ee}, // RFC 6066 section 3, RFC 9261 section 4
	{attls.ExtMaxFragmentLength, ch | ee, never},
	{attls.ExtStatusRequest, ch | cr | ct, cr}, // RFC 8446 section 4.4.2.1
	{attls.ExtSupportedGroups, ch | ee, never},
	{attls.ExtECPointFormats, ch, never},
	{attls.ExtSignatureAlgorithms, ch | cr, never},
	{attls.ExtUseSRTP, ch | ee, never},
	{attls.ExtHeartbeat, ch | ee, never},
	{attls.ExtALPN, ch | ee, never},
	{attls.ExtSignedCertificateTimestamp, ch | cr | ct, ch | cr}, // RFC 6962 section 3.3.1
	{attls.ExtClientCertificateType, ch | ee, never},
	{attls.ExtServerCertificateType, ch | ee, never},
	{attls.ExtPadding, ch, never},
	{attls.ExtEncryptThenMAC, ch, ch},     // RFC 7366 section 2
	{attls.ExtExtendedMainSecret, ch, ch}, // RFC 7627 section 5.1
	{attls.ExtCompressCertificate, ch | cr, never},
	{attls.ExtRecordSizeLimit, ch | ee, never},
	{attls.ExtDelegatedCredential, ch | cr | ct, never},
	{attls.ExtSessionTicket, ch, never},
	{attls.ExtSupportedEKTCiphers, ch | ee, never},
	{attls.ExtPreSharedKey, ch | sh, never},
	{attls.ExtEarlyData, ch | ee | nst, ch | ee}, // RFC 8446 section 4.2.10
	{attls.ExtSupportedVersions, ch | sh | hrr, never},
	{attls.ExtCookie, ch | hrr, never},
	{attls.ExtPSKKeyExchangeModes, ch, never},
	{attls.ExtCertificateAuthorities, ch | cr, never},
	{attls.ExtOIDFilters, cr, never},
	{attls.ExtPostHandshakeAuth, ch, ch}, // RFC 8446 section 4.2.6
	{attls.ExtSignatureAlgorithmsCert, ch | cr, never},
	{attls.ExtKeyShare, ch | sh | hrr, never},
	{attls.ExtTransparencyInfo, ch | cr | ct, ch | cr}, // RFC 9162 section 6.5
	{attls.ExtExternalIDHash, ch | ee, never},
	{attls.ExtExternalSessionID, ch | ee, never},
	{attls.ExtQUICTransportParameters, ch | ee, never},
	{attls.ExtTicketRequest, ch | ee, never},
	{attls.ExtTLSFlags, ch | sh | hrr | ee | ct | cr | nst, never},
	{attls.ExtECHOuterExtensions, ch, never},
	{attls.ExtEncryptedClientHello, ch | hrr | ee, never},
	{attls.ExtRenegotiationInfo, ch, never},
})

// Uint16s is a view of a list of two-octet values.
type Uint16s []byte

// Len is the number of values.
func (l Uint16s) Len() int { return len(l) / 2 }

// At returns value i.
func (l Uint16s) At(i int) uint16 { return wire.Uint16(l[2*i:]) }

// Contains reports whether v is in the list.
func (l Uint16s) Contains(v uint16) bool {
	for i := 0; i < l.Len(); i++ {
		if l.At(i) == v {
			return true
		}
	}
	return false
}

// AppendUint16s appends a list of two-octet values with a 2-octet length.
func AppendUint16s[T ~uint16](b []byte, list []T) []byte { return appendUint16s(b, 2, list) }

func appendUint16s[T ~uint16](b []byte, width int, list []T) []byte {
	w := wire.Append(b)
	mark := w.Open(width)
	for _, v := range list {
		w.Uint16(uint16(v))
	}
	w.Close(mark)
	return w.Bytes()
}

// parseUint16s reads a list of 2 to so many octets.
func parseUint16s(body []byte, field string, width, ceiling int) (Uint16s, *attls.Error) {
	r := wire.NewReader(body, 0)
	v := r.Vector(field, width, 2, ceiling)
	if len(v)%2 != 0 {
		r.Fail(field, 0, malformed("%d octets are not a whole number of values", len(v)))
	}
	return complete(&r, Uint16s(v))
}

// complete is a view of a body, nil if the body is malformed: who goes through a view
// does not check it again.
func complete[T ~[]byte](r *wire.Reader, view T) (T, *attls.Error) {
	if err := r.End(); err != nil {
		return nil, err
	}
	return view, nil
}

// parseUint16 reads a body that is one two-octet value.
func parseUint16(body []byte, field string) (uint16, *attls.Error) {
	r := wire.NewReader(body, 0)
	v := r.Uint16(field)
	return v, r.End()
}

// parseVector reads a body that is one vector of at least one octet.
func parseVector(body []byte, field string, width int) ([]byte, *attls.Error) {
	r := wire.NewReader(body, 0)
	return complete(&r, r.Vector(field, width, 1, wire.Max(width)))
}

// appendUint16 appends a body that is one two-octet value.
func appendUint16(b []byte, v uint16) []byte {
	w := wire.Append(b)
	w.Uint16(v)
	return w.Bytes()
}

// appendVector appends a body that is one vector.
func appendVector(b []byte, width int, v []byte) []byte {
	w := wire.Append(b)
	w.Vector(width, v)
	return w.Bytes()
}

// appendVectors appends a vector of vectors.
func appendVectors[T ~string | ~[]byte](b []byte, outer, inner int, list []T) []byte {
	w := wire.Append(b)
	mark := w.Open(outer)
	for _, v := range list {
		w.Text(inner, string(v))
	}
	w.Close(mark)
	return w.Bytes()
}

// parseVectors reads a body that is a vector of vectors of at least one octet.
func parseVectors(body []byte, field string, inner, floor int) ([]byte, *attls.Error) {
	r := wire.NewReader(body, 0)
	list := r.Open(field, 2, floor, wire.Max(2))
	for r.More() {
		r.Vector("", inner, 1, wire.Max(inner))
	}
	r.Close()
	return complete(&r, list)
}

// ParseSupportedGroups reads NamedGroupList (RFC 8446 section 4.2.7):
//
//	struct { NamedGroup named_group_list<2..2^16-1>; } NamedGroupList;
func ParseSupportedGroups(body []byte) (Uint16s, *attls.Error) {
	return parseUint16s(body, "named_group_list", 2, wire.Max(2))
}

// ParseSignatureAlgorithms reads SignatureSchemeList (RFC 8446 section 4.2.3), also of
// signature_algorithms_cert:
//
//	struct { SignatureScheme supported_signature_algorithms<2..2^16-2>; } SignatureSchemeList;
func ParseSignatureAlgorithms(body []byte) (Uint16s, *attls.Error) {
	return parseUint16s(body, "supported_signature_algorithms", 2, 1<<16-2)
}

// ParseSupportedVersions reads SupportedVersions of a ClientHello (RFC 8446 section 4.2.1):
//
//	struct {
//	    select (Handshake.msg_type) {
//	        case client_hello: ProtocolVersion versions<2..254>;
//	        case server_hello: ProtocolVersion selected_version; // and HelloRetryRequest
//	    };
//	} SupportedVersions;
func ParseSupportedVersions(body []byte) (Uint16s, *attls.Error) {
	return parseUint16s(body, "versions", 1, 254)
}

// AppendSupportedVersions appends the SupportedVersions of a ClientHello.
func AppendSupportedVersions(b []byte, versions []uint16) []byte {
	return appendUint16s(b, 1, versions)
}

// ParseSelectedVersion reads SupportedVersions of a ServerHello or HelloRetryRequest.
func ParseSelectedVersion(body []byte) (uint16, *attls.Error) {
	return parseUint16(body, "selected_version")
}

// AppendSelectedVersion appends the SupportedVersions of a ServerHello or HelloRetryRequest.
func AppendSelectedVersion(b []byte, version uint16) []byte { return appendUint16(b, version) }

// ParseSelectedGroup reads KeyShareHelloRetryRequest (RFC 8446 section 4.2.8):
//
//	struct { NamedGroup selected_group; } KeyShareHelloRetryRequest;
func ParseSelectedGroup(body []byte) (attls.NamedGroup, *attls.Error) {
	v, err := parseUint16(body, "selected_group")
	return attls.NamedGroup(v), err
}

// AppendSelectedGroup appends a KeyShareHelloRetryRequest.
func AppendSelectedGroup(b []byte, g attls.NamedGroup) []byte { return appendUint16(b, uint16(g)) }

// ParseEmpty reads a body that must be empty.
func ParseEmpty(body []byte) *attls.Error {
	r := wire.NewReader(body, 0)
	return r.End()
}

// ParseServerName reads ServerNameList of a ClientHello (RFC 6066 section 3) and
// returns its host_name, nil if it has none. A name of another type is skipped as a
// vector (RFC 8446 appendix B.3.1).
//
//	enum { host_name(0), (255) } NameType;
//	opaque HostName<1..2^16-1>;
//	struct {
//	    NameType name_type;
//	    select (name_type) {
//	        case host_name: HostName;
//	    } name;
//	} ServerName;
//	struct { ServerName server_name_list<1..2^16-1>; } ServerNameList;
func ParseServerName(body []byte) ([]byte, *attls.Error) {
	r := wire.NewReader(body, 0)
	r.Open("server_name_list", 2, 1, wire.Max(2))
	var name []byte
	for r.More() {
		at := r.Offset()
		kind := r.Uint8("name_type")
		value := r.Vector("host_name", 2, 1, wire.Max(2))
		switch {
		case kind != hostName || r.Err() != nil:
		case name != nil:
			r.Fail("", at, illegal("two names of type host_name").By("RFC 6066 3"))
		case bytes.IndexByte(value, 0) >= 0:
			r.Fail("", at, malformed("a host name with a NUL octet"))
		default:
			name = value
		}
	}
	r.Close()
	return complete(&r, name)
}

// hostName is the NameType of a DNS name.
const hostName = 0

// AppendServerName appends a ServerNameList with one host_name.
func AppendServerName(b []byte, name string) []byte {
	w := wire.Append(b)
	list := w.Open(2)
	w.Uint8(hostName)
	w.Text(2, name)
	w.Close(list)
	return w.Bytes()
}

// ProtocolNames is a view of the names of a ProtocolNameList (RFC 7301 section 3.1):
//
//	opaque ProtocolName<1..2^8-1>;
//	struct { ProtocolName protocol_name_list<2..2^16-1>; } ProtocolNameList;
type ProtocolNames []byte

// All yields the names in order.
func (l ProtocolNames) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for b := []byte(l); len(b) > 0; b = b[1+int(b[0]):] {
			if !yield(b[1 : 1+int(b[0])]) {
				return
			}
		}
	}
}

// Contains reports whether a name is in the list.
func (l ProtocolNames) Contains(name string) bool {
	for n := range l.All() {
		if string(n) == name {
			return true
		}
	}
	return false
}

// Without is the names for which drop does not hold; the list itself where there are
// no others.
func (l ProtocolNames) Without(drop func(name []byte) bool) ProtocolNames {
	var kept ProtocolNames
	for name := range l.All() {
		if !drop(name) {
			kept = append(append(kept, byte(len(name))), name...)
		}
	}
	if len(kept) == len(l) {
		return l
	}
	return kept
}

// ParseALPN reads the ProtocolNameList of a ClientHello.
func ParseALPN(body []byte) (ProtocolNames, *attls.Error) {
	return parseVectors(body, "protocol_name_list", 1, 2)
}

// ParseALPNSelected reads the list of EncryptedExtensions: exactly one name.
func ParseALPNSelected(body []byte) ([]byte, *attls.Error) {
	list, err := ParseALPN(body)
	if err != nil {
		return nil, err
	}
	if 1+int(list[0]) != len(list) {
		return nil, malformed("more than one protocol is selected").At(2).Under("protocol_name_list").By("RFC 7301 3.1")
	}
	return list[1:], nil
}

// AppendALPN appends a ProtocolNameList.
func AppendALPN(b []byte, names []string) []byte { return appendVectors(b, 2, 1, names) }

// KeyShareEntry is a group with a key_exchange value (RFC 8446 section 4.2.8):
//
//	struct {
//	    NamedGroup group;
//	    opaque key_exchange<1..2^16-1>;
//	} KeyShareEntry;
//	struct { KeyShareEntry server_share; } KeyShareServerHello;
type KeyShareEntry struct {
	Group attls.NamedGroup
	Key   []byte
}

// KeyShares is a view of the shares of a ClientHello (RFC 8446 section 4.2.8):
//
//	struct { KeyShareEntry client_shares<0..2^16-1>; } KeyShareClientHello;
type KeyShares []byte

// All yields the shares in order.
func (l KeyShares) All() iter.Seq2[attls.NamedGroup, []byte] {
	return func(yield func(attls.NamedGroup, []byte) bool) {
		for b := []byte(l); len(b) > 0; {
			n := int(wire.Uint16(b[2:]))
			if !yield(attls.NamedGroup(wire.Uint16(b)), b[4:4+n]) {
				return
			}
			b = b[4+n:]
		}
	}
}

// Len is the number of shares.
func (l KeyShares) Len() int {
	n := 0
	for range l.All() {
		n++
	}
	return n
}

// Find returns the key_exchange value of a group.
func (l KeyShares) Find(g attls.NamedGroup) ([]byte, bool) {
	for have, key := range l.All() {
		if have == g {
			return key, true
		}
	}
	return nil, false
}

// few is up to how many shares are compared pairwise: clients send one or two.
const few = 8

// groupSet is a set of all groups that there can be.
type groupSet [1 << 16 / 64]uint64

// add puts a group into the set and reports whether it was in it.
func (s *groupSet) add(g uint16) bool {
	had := s.has(g)
	s[g/64] |= 1 << (g % 64)
	return had
}

func (s *groupSet) has(g uint16) bool { return s[g/64]>>(g%64)&1 == 1 }

// Beyond returns the first share of a group that a list of groups lacks; false
// when there is none. Its time is linear in both lists, of which a peer can make
// each as long as its extension.
func (l KeyShares) Beyond(groups Uint16s) (attls.NamedGroup, bool) {
	listed := groups.Contains
	if l.Len() > few {
		var set groupSet
		for i := range groups.Len() {
			set.add(groups.At(i))
		}
		listed = set.has
	}
	for g := range l.All() {
		if !listed(uint16(g)) {
			return g, true
		}
	}
	return 0, false
}

// ParseKeyShares reads KeyShareClientHello, as many shares as there are (RFC 8446
// section 9.3 has unknown groups ignored); a group must not appear twice.
func ParseKeyShares(body []byte) (KeyShares, *attls.Error) {
	r := wire.NewReader(body, 0)
	list := r.Open("client_shares", 2, 0, wire.Max(2))
	var groups distinct
	for r.More() {
		at := r.Offset()
		g := r.Uint16("group")
		r.Vector("key_exchange", 2, 1, wire.Max(2))
		if r.Err() == nil && !groups.add(g) {
			r.Fail("", at, illegal("two shares of %v", attls.NamedGroup(g)).By("RFC 8446 4.2.8"))
		}
	}
	r.Close()
	return complete(&r, KeyShares(list))
}

// distinct finds a group that was there before. Few are compared pairwise, more go
// through a set.
type distinct struct {
	first [few]uint16
	n     int
	seen  *groupSet // of all groups, once there are more than few
}

// add reports whether a group is new.
func (d *distinct) add(g uint16) bool {
	if d.n < few {
		known := slices.Contains(d.first[:d.n], g)
		d.first[d.n] = g
		d.n++
		return !known
	}
	if d.seen == nil {
		d.seen = new(groupSet)
		for _, f := range d.first {
			d.seen.add(f)
		}
	}
	return !d.seen.add(g)
}

// ParseKeyShareEntry reads KeyShareServerHello.
func ParseKeyShareEntry(body []byte) (KeyShareEntry, *attls.Error) {
	r := wire.NewReader(body, 0)
	e := KeyShareEntry{attls.NamedGroup(r.Uint16("group")), r.Vector("key_exchange", 2, 1, wire.Max(2))}
	return e, r.End()
}

// AppendKeyShareEntry appends one KeyShareEntry.
func AppendKeyShareEntry(b []byte, g attls.NamedGroup, key []byte) []byte {
	w := wire.Append(b)
	w.Uint16(uint16(g))
	w.Vector(2, key)
	return w.Bytes()
}

// AppendKeyShares appends KeyShareClientHello.
func AppendKeyShares(b []byte, shares []KeyShareEntry) []byte {
	w := wire.Append(b)
	mark := w.Open(2)
	for _, s := range shares {
		w.Uint16(uint16(s.Group))
		w.Vector(2, s.Key)
	}
	w.Close(mark)
	return w.Bytes()
}

// ParseCookie reads Cookie (RFC 8446 section 4.2.2):
//
//	struct { opaque cookie<1..2^16-1>; } Cookie;
func ParseCookie(body []byte) ([]byte, *attls.Error) { return parseVector(body, "cookie", 2) }

// AppendCookie appends a Cookie.
func AppendCookie(b, cookie []byte) []byte { return appendVector(b, 2, cookie) }

// ParseRecordSizeLimit reads RecordSizeLimit (RFC 8449 section 4), which is at least 64:
//
//	uint16 RecordSizeLimit;
func ParseRecordSizeLimit(body []byte) (uint16, *attls.Error) {
	v, err := parseUint16(body, "record_size_limit")
	if err == nil && v < 64 {
		return 0, illegal("%d is below 64", v).At(0).By("RFC 8449 4")
	}
	return v, err
}

// AppendRecordSizeLimit appends a RecordSizeLimit.
func AppendRecordSizeLimit(b []byte, n uint16) []byte { return appendUint16(b, n) }

// Vectors16 is a view of consecutive vectors with 2-octet lengths.
type Vectors16 []byte

// All yields the contents of each vector.
func (l Vectors16) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for b := []byte(l); len(b) > 0; {
			n := int(wire.Uint16(b))
			if !yield(b[2 : 2+n]) {
				return
			}
			b = b[2+n:]
		}
	}
}

// ParseCertificateAuthorities reads CertificateAuthoritiesExtension (RFC 8446
// section 4.2.4):
//
//	opaque DistinguishedName<1..2^16-1>;
//	struct { DistinguishedName authorities<3..2^16-1>; } CertificateAuthoritiesExtension;
func ParseCertificateAuthorities(body []byte) (Vectors16, *attls.Error) {
	return parseVectors(body, "authorities", 2, 3)
}

// AppendCertificateAuthorities appends a list of DER distinguished names.
func AppendCertificateAuthorities(b []byte, names [][]byte) []byte {
	return appendVectors(b, 2, 2, names)
}

// ParsePSKKeyExchangeModes reads PskKeyExchangeModes (RFC 8446 section 4.2.9):
//
//	enum { psk_ke(0), psk_dhe_ke(1), (255) } PskKeyExchangeMode;
//	struct { PskKeyExchangeMode ke_modes<1..255>; } PskKeyExchangeModes;
func ParsePSKKeyExchangeModes(body []byte) ([]byte, *attls.Error) {
	return parseVector(body, "ke_modes", 1)
}

// AppendPSKKeyExchangeModes appends PskKeyExchangeModes.
func AppendPSKKeyExchangeModes(b []byte, modes []attls.PSKKeyExchangeMode) []byte {
	return appendUint8s(b, modes)
}

// appendUint8s appends a list of one-octet values with a 1-octet length.
func appendUint8s[T ~uint8](b []byte, list []T) []byte {
	w := wire.Append(b)
	mark := w.Open(1)
	for _, v := range list {
		w.Uint8(uint8(v))
	}
	w.Close(mark)
	return w.Bytes()
}

// ParseCertificateTypes reads the list of a ClientHello (RFC 7250 section 3), of
// ClientCertTypeExtension as of ServerCertTypeExtension:
//
//	struct {
//	    select (ClientOrServerExtension) {
//	        case client: CertificateType client_certificate_types<1..2^8-1>;
//	        case server: CertificateType client_certificate_type;
//	    };
//	} ClientCertTypeExtension;
func ParseCertificateTypes(body []byte) ([]byte, *attls.Error) {
	return parseVector(body, "certificate_types", 1)
}

// AppendCertificateTypes appends the list of a ClientHello.
func AppendCertificateTypes(b []byte, types []attls.CertificateType) []byte {
	return appendUint8s(b, types)
}

// ParseCertificateType reads the type that a server selected.
func ParseCertificateType(body []byte) (attls.CertificateType, *attls.Error) {
	r := wire.NewReader(body, 0)
	v := attls.CertificateType(r.Uint8("certificate_type"))
	return v, r.End()
}

// AppendCertificateType appends the type that a server selects.
func AppendCertificateType(b []byte, t attls.CertificateType) []byte { return append(b, byte(t)) }

// ParseStatusRequest checks CertificateStatusRequest of a ClientHello (RFC 6066
// section 8). What the client says of responders is not used, and a request of a
// type that is not known is not read.
//
//	enum { ocsp(1), (255) } CertificateStatusType;
//	struct {
//	    CertificateStatusType status_type;
//	    select (status_type) {
//	        case ocsp: OCSPStatusRequest;
//	    } request;
//	} CertificateStatusRequest;
//	struct {
//	    ResponderID responder_id_list<0..2^16-1>;
//	    Extensions request_extensions; // opaque Extensions<0..2^16-1>
//	} OCSPStatusRequest;
func ParseStatusRequest(body []byte) *attls.Error {
	r := wire.NewReader(body, 0)
	if kind := r.Uint8("status_type"); kind != statusOCSP {
		return r.Err()
	}
	r.Vector("responder_id_list", 2, 0, wire.Max(2))
	r.Vector("request_extensions", 2, 0, wire.Max(2))
	return r.End()
}

const statusOCSP = 1

// AppendStatusRequest appends a CertificateStatusRequest with empty lists.
func AppendStatusRequest(b []byte) []byte {
	w := wire.Append(b)
	w.Uint8(statusOCSP)
	w.Vector(2, nil) // responder_id_list
	w.Vector(2, nil) // request_extensions
	return w.Bytes()
}

// ParseCertificateStatus reads CertificateStatus of a CertificateEntry (RFC 6066
// section 8) and returns the OCSPResponse:
//
//	opaque OCSPResponse<1..2^24-1>;
//	struct {
//	    CertificateStatusType status_type;
//	    select (status_type) {
//	        case ocsp: OCSPResponse;
//	    } response;
//	} CertificateStatus;
func ParseCertificateStatus(body []byte) ([]byte, *attls.Error) {
	r := wire.NewReader(body, 0)
	if kind := r.Uint8("status_type"); kind != statusOCSP {
		r.Fail("status_type", 0, malformed("%d is not ocsp", kind))
	}
	return complete(&r, r.Vector("response", 3, 1, wire.Max(3)))
}

// AppendCertificateStatus appends a CertificateStatus with an OCSPResponse.
func AppendCertificateStatus(b, response []byte) []byte {
	w := wire.Append(b)
	w.Uint8(statusOCSP)
	w.Vector(3, response)
	return w.Bytes()
}

// ParseSCTList checks SignedCertificateTimestampList of a CertificateEntry (RFC
// 6962 section 3.3):
//
//	opaque SerializedSCT<1..2^16-1>;
//	struct { SerializedSCT sct_list<1..2^16-1>; } SignedCertificateTimestampList;
func ParseSCTList(body []byte) *attls.Error {
	_, err := parseVectors(body, "sct_list", 2, 1)
	return err
}

// ParseCompressionAlgorithms reads CertificateCompressionAlgorithms (RFC 8879
// section 3); none may appear twice.
//
//	enum { zlib(1), brotli(2), zstd(3), (65535) } CertificateCompressionAlgorithm;
//	struct { CertificateCompressionAlgorithm algorithms<2..2^8-2>; } CertificateCompressionAlgorithms;
func ParseCompressionAlgorithms(body []byte) (Uint16s, *attls.Error) {
	list, err := parseUint16s(body, "algorithms", 1, 254)
	if err != nil {
		return nil, err
	}
	for i := range list.Len() {
		if list[:2*i].Contains(list.At(i)) {
			return nil, illegal("algorithm %d appears twice", list.At(i)).At(1 + 2*i).Under("algorithms")
		}
	}
	return list, nil
}

// AppendCompressionAlgorithms appends CertificateCompressionAlgorithms.
func AppendCompressionAlgorithms(b []byte, algorithms []uint16) []byte {
	return appendUint16s(b, 1, algorithms)
}

// PSKIdentity is one entry of OfferedPsks.identities (RFC 8446 section 4.2.11):
//
//	struct {
//	    opaque identity<1..2^16-1>;
//	    uint32 obfuscated_ticket_age;
//	} PskIdentity;
type PSKIdentity struct {
	Identity            []byte
	ObfuscatedTicketAge uint32
}

// PSKOffer is OfferedPsks (RFC 8446 section 4.2.11). BindersLen is the length
// of the binders list with its length field, which the binders do not cover.
//
//	opaque PskBinderEntry<32..255>;
//	struct {
//	    PskIdentity identities<7..2^16-1>;
//	    PskBinderEntry binders<33..2^16-1>;
//	} OfferedPsks;
type PSKOffer struct {
	Identities []PSKIdentity
	Binders    [][]byte
	BindersLen int
}

// ParsePreSharedKeyOffer reads OfferedPsks; there must be one binder for each
// identity.
func ParsePreSharedKeyOffer(body []byte) (PSKOffer, *attls.Error) {
	var o PSKOffer
	r := wire.NewReader(body, 0)
	r.Open("identities", 2, 7, wire.Max(2))
	for r.More() {
		id := PSKIdentity{r.Vector("identity", 2, 1, wire.Max(2)), r.Uint32("obfuscated_ticket_age")}
		o.Identities = append(o.Identities, id)
	}
	r.Close()
	at := r.Offset()
	o.BindersLen = 2 + len(r.Open("binders", 2, 33, wire.Max(2)))
	for r.More() {
		o.Binders = append(o.Binders, r.Vector("", 1, 32, wire.Max(1)))
	}
	r.Close()
	if len(o.Binders) != len(o.Identities) {
		r.Fail("", at, illegal("%d binders for %d identities", len(o.Binders), len(o.Identities)).By("RFC 8446 4.2.11"))
	}
	return o, r.End()
}

// AppendPreSharedKeyOffer appends OfferedPsks with binders of zeros, to be
// overwritten once the octets before them are there: they are the last
// bindersLen octets, each binder after its length.
func AppendPreSharedKeyOffer(b []byte, identities []PSKIdentity, binderLens []int) (_ []byte, bindersLen int) {
	w := wire.Append(b)
	list := w.Open(2)
	for _, id := range identities {
		w.Vector(2, id.Identity)
		w.Uint32(id.ObfuscatedTicketAge)
	}
	w.Close(list)
	at := w.Len()
	list = w.Open(2)
	for _, n := range binderLens {
		binder := w.Open(1)
		w.Zeros(n)
		w.Close(binder)
	}
	w.Close(list)
	return w.Bytes(), w.Len() - at
}

// ParsePreSharedKeySelected reads the PreSharedKeyExtension of a ServerHello (RFC
// 8446 section 4.2.11):
//
//	struct {
//	    select (Handshake.msg_type) {
//	        case client_hello: OfferedPsks;
//	        case server_hello: uint16 selected_identity;
//	    };
//	} PreSharedKeyExtension;
func ParsePreSharedKeySelected(body []byte) (uint16, *attls.Error) {
	return parseUint16(body, "selected_identity")
}

// AppendPreSharedKeySelected appends the PreSharedKeyExtension of a ServerHello.
func AppendPreSharedKeySelected(b []byte, identity uint16) []byte { return appendUint16(b, identity) }

// ParseEarlyDataMax reads the EarlyDataIndication of a NewSessionTicket (RFC 8446
// section 4.2.10):
//
//	struct {
//	    select (Handshake.msg_type) {
//	        case new_session_ticket: uint32 max_early_data_size;
//	        case client_hello: Empty;
//	        case encrypted_extensions: Empty;
//	    };
//	} EarlyDataIndication;
func ParseEarlyDataMax(body []byte) (uint32, *attls.Error) {
	r := wire.NewReader(body, 0)
	v := r.Uint32("max_early_data_size")
	return v, r.End()
}

// AppendEarlyDataMax appends the EarlyDataIndication of a NewSessionTicket.
func AppendEarlyDataMax(b []byte, octets uint32) []byte {
	w := wire.Append(b)
	w.Uint32(octets)
	return w.Bytes()
}

// TicketCounts is ClientTicketRequest (RFC 9149 section 3): how many tickets a client
// wants after a full handshake, and after one that resumes a session.
//
//	struct {
//	    uint8 new_session_count;
//	    uint8 resumption_count;
//	} ClientTicketRequest;
type TicketCounts struct{ New, Resumption uint8 }

// ParseTicketRequest reads ClientTicketRequest.
func ParseTicketRequest(body []byte) (TicketCounts, *attls.Error) {
	r := wire.NewReader(body, 0)
	c := TicketCounts{r.Uint8("new_session_count"), r.Uint8("resumption_count")}
	return c, r.End()
}

// AppendTicketRequest appends a ClientTicketRequest.
func AppendTicketRequest(b []byte, c TicketCounts) []byte { return append(b, c.New, c.Resumption) }

// ParseTicketRequestHint reads ServerTicketRequestHint (RFC 9149 section 3), how many
// tickets the server expects to send:
//
//	struct { uint8 expected_count; } ServerTicketRequestHint;
func ParseTicketRequestHint(body []byte) (uint8, *attls.Error) {
	r := wire.NewReader(body, 0)
	n := r.Uint8("expected_count")
	return n, r.End()
}

// AppendTicketRequestHint appends a ServerTicketRequestHint.
func AppendTicketRequestHint(b []byte, expected uint8) []byte { return append(b, expected) }
