package extensions

import (
	"bytes"
	"iter"
	"slices"

	"attls"
)

// Uint16s is a view of a list of two-octet values.
type Uint16s []byte

// Len is the number of values.
func (l Uint16s) Len() int { return len(l) / 2 }

// At returns value i.
func (l Uint16s) At(i int) uint16 { return u16(l[2*i:]) }

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
func AppendUint16s[T ~uint16](b []byte, list []T) []byte {
	b = append(b, byte(len(list)*2>>8), byte(len(list)*2))
	for _, v := range list {
		b = append(b, byte(v>>8), byte(v))
	}
	return b
}

func parseUint16s(body []byte, name string, width int) (Uint16s, *attls.Error) {
	c := cursor{b: body}
	v, err := c.vector(name, width, 2)
	if err != nil {
		return nil, err
	}
	if len(v)%2 != 0 {
		return nil, malformed(0, "%d octets are no whole number of values", len(v)).Under(name)
	}
	return Uint16s(v), c.end()
}

// ParseSupportedGroups reads NamedGroup named_group_list<2..2^16-1> (RFC 8446 section 4.2.7).
func ParseSupportedGroups(body []byte) (Uint16s, *attls.Error) {
	return parseUint16s(body, "named_group_list", 2)
}

// ParseSignatureAlgorithms reads SignatureScheme
// supported_signature_algorithms<2..2^16-2> (RFC 8446 section 4.2.3), also for
// signature_algorithms_cert.
func ParseSignatureAlgorithms(body []byte) (Uint16s, *attls.Error) {
	return parseUint16s(body, "supported_signature_algorithms", 2)
}

// ParseSupportedVersions reads ProtocolVersion versions<2..254> of a ClientHello
// (RFC 8446 section 4.2.1).
func ParseSupportedVersions(body []byte) (Uint16s, *attls.Error) {
	return parseUint16s(body, "versions", 1)
}

// ParseSelectedVersion reads the version of a ServerHello or HelloRetryRequest.
func ParseSelectedVersion(body []byte) (uint16, *attls.Error) {
	return parseUint16(body, "selected_version")
}

// ParseSelectedGroup reads the group of a HelloRetryRequest (RFC 8446 section 4.2.8).
func ParseSelectedGroup(body []byte) (attls.NamedGroup, *attls.Error) {
	v, err := parseUint16(body, "selected_group")
	return attls.NamedGroup(v), err
}

// ParsePreSharedKeySelected reads the identity that a ServerHello selects
// (RFC 8446 section 4.2.11).
func ParsePreSharedKeySelected(body []byte) (uint16, *attls.Error) {
	return parseUint16(body, "selected_identity")
}

func parseUint16(body []byte, name string) (uint16, *attls.Error) {
	c := cursor{b: body}
	v, err := c.number(name, 2)
	if err != nil {
		return 0, err
	}
	return uint16(v), c.end()
}

// ParseEmpty reads a body that must be empty.
func ParseEmpty(body []byte) *attls.Error {
	if len(body) > 0 {
		return trailing(0, len(body))
	}
	return nil
}

// ParseServerName reads ServerNameList of a ClientHello (RFC 6066 section 3)
// and returns its host_name, nil when there is none.
func ParseServerName(body []byte) ([]byte, *attls.Error) {
	c := cursor{b: body}
	list, err := c.vector("server_name_list", 2, 1)
	if err != nil {
		return nil, err
	}
	if err := c.end(); err != nil {
		return nil, err
	}
	var name []byte
	in := cursor{b: list}
	for in.pos < len(list) {
		at := in.pos + 2
		kind, _ := in.number("name_type", 1)
		value, err := in.vector("host_name", 2, 1)
		if err != nil {
			return nil, err.Under("server_name_list")
		}
		if kind != 0 {
			continue
		}
		if name != nil {
			return nil, illegal(at, "two names of type host_name").Under("server_name_list").By("RFC 6066 3")
		}
		if bytes.IndexByte(value, 0) >= 0 {
			return nil, malformed(at, "a host name with a NUL octet").Under("server_name_list")
		}
		name = value
	}
	return name, nil
}

// AppendServerName appends a ServerNameList with one host_name.
func AppendServerName(b []byte, name string) []byte {
	n := len(name)
	b = append(b, byte((n+3)>>8), byte(n+3), 0, byte(n>>8), byte(n))
	return append(b, name...)
}

// ProtocolNames is a view of ProtocolName protocol_name_list<2..2^16-1> (RFC 7301).
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

// ParseALPN reads the list of a ClientHello (RFC 7301 section 3.1).
func ParseALPN(body []byte) (ProtocolNames, *attls.Error) {
	c := cursor{b: body}
	list, err := c.vector("protocol_name_list", 2, 2)
	if err != nil {
		return nil, err
	}
	in := cursor{b: list}
	for in.pos < len(list) {
		if _, err := in.vector("protocol_name_list", 1, 1); err != nil {
			return nil, err.At(2)
		}
	}
	return ProtocolNames(list), c.end()
}

// ParseALPNSelected reads the list of EncryptedExtensions: exactly one name.
func ParseALPNSelected(body []byte) ([]byte, *attls.Error) {
	list, err := ParseALPN(body)
	if err != nil {
		return nil, err
	}
	if 1+int(list[0]) != len(list) {
		return nil, malformed(2, "more than one protocol is selected").Under("protocol_name_list").By("RFC 7301 3.1")
	}
	return list[1:], nil
}

// AppendALPN appends a protocol name list.
func AppendALPN(b []byte, names []string) []byte {
	mark := len(b)
	b = append(b, 0, 0)
	for _, n := range names {
		b = append(append(b, byte(len(n))), n...)
	}
	return putLength16(b, mark)
}

// KeyShareEntry is a group with a key_exchange value (RFC 8446 section 4.2.8).
type KeyShareEntry struct {
	Group attls.NamedGroup
	Key   []byte
}

// KeyShares is a view of KeyShareEntry client_shares<0..2^16-1>.
type KeyShares []byte

// All yields the shares in order.
func (l KeyShares) All() iter.Seq2[attls.NamedGroup, []byte] {
	return func(yield func(attls.NamedGroup, []byte) bool) {
		for b := []byte(l); len(b) > 0; {
			n := int(u16(b[2:]))
			if !yield(attls.NamedGroup(u16(b)), b[4:4+n]) {
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

// ParseKeyShares reads the shares of a ClientHello, as many as there are (RFC 8446
// section 9.3 has unknown groups ignored); a group must not appear twice.
func ParseKeyShares(body []byte) (KeyShares, *attls.Error) {
	c := cursor{b: body}
	list, err := c.vector("client_shares", 2, 0)
	if err != nil {
		return nil, err
	}
	in := cursor{b: list}
	var first [few]uint16
	var seen *groupSet // of all groups, once there are more than few
	n := 0
	for in.pos < len(list) {
		at := in.pos
		g, err := in.number("group", 2)
		if err != nil {
			return nil, err.At(2 + at).Under("client_shares")
		}
		if _, err := in.vector("key_exchange", 2, 1); err != nil {
			err.Offset += 2
			return nil, err.Under("client_shares")
		}
		if n == few {
			seen = new(groupSet)
			for _, f := range first {
				seen.add(f)
			}
		}
		twice := false
		if n < few {
			twice = slices.Contains(first[:n], uint16(g))
			first[n] = uint16(g)
		} else {
			twice = seen.add(uint16(g))
		}
		if twice {
			return nil, illegal(2+at, "two shares of %v", attls.NamedGroup(g)).Under("client_shares").By("RFC 8446 4.2.8")
		}
		n++
	}
	return KeyShares(list), c.end()
}

// ParseKeyShareEntry reads the share of a ServerHello.
func ParseKeyShareEntry(body []byte) (KeyShareEntry, *attls.Error) {
	c := cursor{b: body}
	g, err := c.number("group", 2)
	if err != nil {
		return KeyShareEntry{}, err
	}
	key, err := c.vector("key_exchange", 2, 1)
	if err != nil {
		return KeyShareEntry{}, err
	}
	return KeyShareEntry{attls.NamedGroup(g), key}, c.end()
}

// AppendKeyShareEntry appends one KeyShareEntry.
func AppendKeyShareEntry(b []byte, g attls.NamedGroup, key []byte) []byte {
	b = append(b, byte(g>>8), byte(g), byte(len(key)>>8), byte(len(key)))
	return append(b, key...)
}

// ParseCookie reads opaque cookie<1..2^16-1> (RFC 8446 section 4.2.2).
func ParseCookie(body []byte) ([]byte, *attls.Error) {
	c := cursor{b: body}
	v, err := c.vector("cookie", 2, 1)
	if err != nil {
		return nil, err
	}
	return v, c.end()
}

// AppendCookie appends a cookie with its length.
func AppendCookie(b, cookie []byte) []byte {
	b = append(b, byte(len(cookie)>>8), byte(len(cookie)))
	return append(b, cookie...)
}

// ParseRecordSizeLimit reads RecordSizeLimit (RFC 8449 section 4): at least 64.
func ParseRecordSizeLimit(body []byte) (uint16, *attls.Error) {
	v, err := parseUint16(body, "record_size_limit")
	if err == nil && v < 64 {
		return 0, illegal(0, "%d is below 64", v).By("RFC 8449 4")
	}
	return v, err
}

// AppendRecordSizeLimit appends a RecordSizeLimit.
func AppendRecordSizeLimit(b []byte, n uint16) []byte { return append(b, byte(n>>8), byte(n)) }

// Vectors16 is a view of consecutive vectors with 2-octet lengths.
type Vectors16 []byte

// All yields the contents of each vector.
func (l Vectors16) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for b := []byte(l); len(b) > 0; {
			n := int(u16(b))
			if !yield(b[2 : 2+n]) {
				return
			}
			b = b[2+n:]
		}
	}
}

// ParseCertificateAuthorities reads DistinguishedName authorities<3..2^16-1>
// (RFC 8446 section 4.2.4).
func ParseCertificateAuthorities(body []byte) (Vectors16, *attls.Error) {
	c := cursor{b: body}
	list, err := c.vector("authorities", 2, 3)
	if err != nil {
		return nil, err
	}
	in := cursor{b: list}
	for in.pos < len(list) {
		if _, err := in.vector("authorities", 2, 1); err != nil {
			err.Offset += 2
			return nil, err
		}
	}
	return Vectors16(list), c.end()
}

// AppendCertificateAuthorities appends a list of DER distinguished names.
func AppendCertificateAuthorities(b []byte, names [][]byte) []byte {
	mark := len(b)
	b = append(b, 0, 0)
	for _, n := range names {
		b = append(append(b, byte(len(n)>>8), byte(len(n))), n...)
	}
	return putLength16(b, mark)
}

// ParsePSKKeyExchangeModes reads PskKeyExchangeMode ke_modes<1..255> (RFC 8446
// section 4.2.9).
func ParsePSKKeyExchangeModes(body []byte) ([]byte, *attls.Error) {
	return parseVector8(body, "ke_modes")
}

// AppendPSKKeyExchangeModes appends the modes with their length.
func AppendPSKKeyExchangeModes(b []byte, modes []attls.PSKKeyExchangeMode) []byte {
	b = append(b, byte(len(modes)))
	for _, m := range modes {
		b = append(b, byte(m))
	}
	return b
}

func parseVector8(body []byte, name string) ([]byte, *attls.Error) {
	c := cursor{b: body}
	v, err := c.vector(name, 1, 1)
	if err != nil {
		return nil, err
	}
	return v, c.end()
}

// ParseCertificateTypes reads the list of a ClientHello (RFC 7250 section 3).
func ParseCertificateTypes(body []byte) ([]byte, *attls.Error) {
	return parseVector8(body, "certificate_types")
}

// ParseCertificateType reads the type that a server selected.
func ParseCertificateType(body []byte) (attls.CertificateType, *attls.Error) {
	c := cursor{b: body}
	v, err := c.number("certificate_type", 1)
	if err != nil {
		return 0, err
	}
	return attls.CertificateType(v), c.end()
}

// ParseStatusRequest checks CertificateStatusRequest of a ClientHello (RFC 6066
// section 8). What the client says of responders is not used.
func ParseStatusRequest(body []byte) *attls.Error {
	c := cursor{b: body}
	if kind, err := c.number("status_type", 1); err != nil {
		return err
	} else if kind != statusOCSP {
		return nil
	}
	for _, field := range [...]string{"responder_id_list", "request_extensions"} {
		if _, err := c.vector(field, 2, 0); err != nil {
			return err
		}
	}
	return c.end()
}

const statusOCSP = 1

// AppendStatusRequest appends a CertificateStatusRequest without wishes.
func AppendStatusRequest(b []byte) []byte { return append(b, statusOCSP, 0, 0, 0, 0) }

// ParseCertificateStatus reads CertificateStatus of a CertificateEntry (RFC 6066
// section 8) and returns the OCSPResponse.
func ParseCertificateStatus(body []byte) ([]byte, *attls.Error) {
	c := cursor{b: body}
	kind, err := c.number("status_type", 1)
	if err != nil {
		return nil, err
	}
	if kind != statusOCSP {
		return nil, malformed(0, "%d is not ocsp", kind).Under("status_type")
	}
	v, err := c.vector("response", 3, 1)
	if err != nil {
		return nil, err
	}
	return v, c.end()
}

// AppendCertificateStatus appends a CertificateStatus with an OCSPResponse.
func AppendCertificateStatus(b, response []byte) []byte {
	n := len(response)
	return append(append(b, statusOCSP, byte(n>>16), byte(n>>8), byte(n)), response...)
}

// ParseSCTList checks SignedCertificateTimestampList of a CertificateEntry (RFC
// 6962 section 3.3): SerializedSCT sct_list<1..2^16-1>, each of at least one octet.
func ParseSCTList(body []byte) *attls.Error {
	c := cursor{b: body}
	list, err := c.vector("sct_list", 2, 1)
	if err != nil {
		return err
	}
	in := cursor{b: list}
	for in.pos < len(list) {
		if _, err := in.vector("sct_list", 2, 1); err != nil {
			err.Offset += 2
			return err
		}
	}
	return c.end()
}

// ParseCompressionAlgorithms reads CertificateCompressionAlgorithm
// algorithms<2..2^8-2> (RFC 8879 section 3); none may stand twice.
func ParseCompressionAlgorithms(body []byte) (Uint16s, *attls.Error) {
	list, err := parseUint16s(body, "algorithms", 1)
	if err != nil {
		return nil, err
	}
	for i := range list.Len() {
		if list[:2*i].Contains(list.At(i)) {
			return nil, illegal(1+2*i, "algorithm %d stands twice", list.At(i)).Under("algorithms")
		}
	}
	return list, nil
}

// PSKIdentity is one entry of OfferedPsks.identities.
type PSKIdentity struct {
	Identity            []byte
	ObfuscatedTicketAge uint32
}

// PSKOffer is OfferedPsks (RFC 8446 section 4.2.11). BindersLen is the length
// of the binders list with its length field, which the binders do not cover.
type PSKOffer struct {
	Identities []PSKIdentity
	Binders    [][]byte
	BindersLen int
}

// ParsePreSharedKeyOffer reads OfferedPsks; there must be one binder for each
// identity.
func ParsePreSharedKeyOffer(body []byte) (PSKOffer, *attls.Error) {
	var o PSKOffer
	c := cursor{b: body}
	list, err := c.vector("identities", 2, 7)
	if err != nil {
		return o, err
	}
	in := cursor{b: list}
	for in.pos < len(list) {
		id, err := in.vector("identity", 2, 1)
		if err != nil {
			return o, err.Under("identities")
		}
		age, err := in.number("obfuscated_ticket_age", 4)
		if err != nil {
			return o, err.Under("identities")
		}
		o.Identities = append(o.Identities, PSKIdentity{id, uint32(age)})
	}
	at := c.pos
	if list, err = c.vector("binders", 2, 33); err != nil {
		return o, err
	}
	o.BindersLen = c.pos - at
	in = cursor{b: list}
	for in.pos < len(list) {
		b, err := in.vector("binders", 1, 32)
		if err != nil {
			return o, err
		}
		o.Binders = append(o.Binders, b)
	}
	if len(o.Binders) != len(o.Identities) {
		return o, illegal(at, "%d binders for %d identities", len(o.Binders), len(o.Identities)).By("RFC 8446 4.2.11")
	}
	return o, c.end()
}

// AppendPreSharedKeyOffer appends OfferedPsks with binders of zeros, to be
// overwritten once the octets before them are there: they are the last
// bindersLen octets, each binder after its length.
func AppendPreSharedKeyOffer(b []byte, identities []PSKIdentity, binderLens []int) (_ []byte, bindersLen int) {
	mark := len(b)
	b = append(b, 0, 0)
	for _, id := range identities {
		n, age := len(id.Identity), id.ObfuscatedTicketAge
		b = append(append(b, byte(n>>8), byte(n)), id.Identity...)
		b = append(b, byte(age>>24), byte(age>>16), byte(age>>8), byte(age))
	}
	b = putLength16(b, mark)
	mark = len(b)
	b = append(b, 0, 0)
	for _, n := range binderLens {
		b = append(append(b, byte(n)), make([]byte, n)...)
	}
	return putLength16(b, mark), len(b) - mark
}

// ParseEarlyDataMax reads max_early_data_size of a NewSessionTicket (RFC 8446
// section 4.2.10).
func ParseEarlyDataMax(body []byte) (uint32, *attls.Error) {
	c := cursor{b: body}
	v, err := c.number("max_early_data_size", 4)
	if err != nil {
		return 0, err
	}
	return uint32(v), c.end()
}
