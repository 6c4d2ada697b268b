package binder

import (
	"sort"
	"strings"

	"attls"
	"attls/internal/provider"
)

// Kind is the type of an expression.
type Kind uint8

// The types; Check finds an expression whose parts do not fit together.
const (
	KindOctets Kind = iota
	KindInteger
	KindRange // a transcript range; it is possible only where a hash is taken
)

func (k Kind) String() string {
	return [...]string{"octets", "an integer", "a transcript range"}[k]
}

// unbounded is the bound of a value whose length nothing in the language limits.
const unbounded = 1 << 24

// terminal is a value that the handshake supplies.
type terminal struct {
	kind      Kind
	takesRole bool
	min, max  int // octets, or the values of an integer; hashLength: Hash.length
	get       func(e *evaluation, role attls.Role) (octets []byte, number int, ok bool)
	// at says when the value exists at the end of an attester: owner is the role
	// in parentheses, end the attester.
	at   func(s *Setting, owner, end attls.Role) Point
	text string
}

// hashLength stands for Hash.length in the bounds of a terminal.
const hashLength = -1

func secret(s Secret) func(*evaluation, attls.Role) ([]byte, int, bool) {
	return func(e *evaluation, _ attls.Role) ([]byte, int, bool) {
		b, ok := e.in.Secret(s)
		return b, 0, ok
	}
}

func later(l Later) func(*evaluation, attls.Role) ([]byte, int, bool) {
	return func(e *evaluation, _ attls.Role) ([]byte, int, bool) {
		b, ok := e.in.Later(l)
		return b, 0, ok
	}
}

func always(p Point) func(*Setting, attls.Role, attls.Role) Point {
	return func(*Setting, attls.Role, attls.Role) Point { return p }
}

// suiteKnown is when an end knows the cipher suite and the PSK.
func suiteKnown(_ *Setting, _, end attls.Role) Point {
	if end == attls.RoleServer {
		return PointCH
	}
	return PointSH
}

// keyKnown is when an end knows the end-entity key of the owner: its own once
// it has chosen a certificate, the peer's with the peer's Certificate.
func keyKnown(_ *Setting, owner, end attls.Role) Point {
	switch {
	case owner == end && end == attls.RoleServer:
		return PointCH
	case owner == end:
		return PointCR
	case owner == attls.RoleServer:
		return PointServerCT
	}
	return PointClientCT
}

// certificateKnown is when an end knows the end-entity certificate of the owner. One
// that holds the owner's Evidence exists only after the Evidence.
func certificateKnown(s *Setting, owner, end attls.Role) Point {
	switch {
	case !s.Within[owner]:
		return keyKnown(s, owner, end)
	case owner == attls.RoleServer:
		return PointServerCT
	}
	return PointClientCT
}

var terminals map[string]*terminal

func init() {
	spki := func(e *evaluation, r attls.Role) ([]byte, int, bool) { b, ok := e.in.SPKI(r); return b, 0, ok }
	terminals = map[string]*terminal{
		"zero": {min: hashLength, max: hashLength, at: suiteKnown, text: "Hash.length zero octets",
			get: func(e *evaluation, _ attls.Role) ([]byte, int, bool) {
				return append(e.free(e.hashLen), zeros[:e.hashLen]...), 0, true
			}},
		"Hash.length": {kind: KindInteger, min: hashLength, max: hashLength, at: suiteKnown,
			text: "the length of the suite's hash, in octets",
			get:  func(e *evaluation, _ attls.Role) ([]byte, int, bool) { return nil, e.hashLen, true }},
		"early_secret": {min: hashLength, max: hashLength, at: suiteKnown, get: secret(EarlySecret),
			text: "Early Secret of RFC 8446 7.1"},
		"ecdhe": {min: 32, max: 133, at: always(PointSH), get: secret(ECDHE), text: "the shared secret of the key exchange"},
		"handshake_secret": {min: hashLength, max: hashLength, at: always(PointSH), get: secret(HandshakeSecret),
			text: "Handshake Secret of RFC 8446 7.1"},
		"main_secret": {min: hashLength, max: hashLength, at: always(PointSH), get: secret(MainSecret),
			text: "Master Secret of RFC 8446 7.1"},
		"exporter_secret": {min: hashLength, max: hashLength, at: always(PointServerFin), get: secret(ExporterSecret),
			text: "exporter_master_secret of RFC 8446 7.1"},
		"spki": {takesRole: true, min: 1, max: unbounded, at: keyKnown, get: spki,
			text: "DER SubjectPublicKeyInfo of the role's end-entity key"},
		"point": {takesRole: true, min: 1, max: unbounded, at: keyKnown, text: "contents of the BIT STRING in spki",
			get: func(e *evaluation, r attls.Role) ([]byte, int, bool) {
				b, _, ok := spki(e, r)
				if !ok {
					return nil, 0, false
				}
				b, ok = subjectPublicKey(b)
				return b, 0, ok
			}},
		"certificate": {takesRole: true, min: 1, max: unbounded, at: certificateKnown,
			text: "DER end-entity certificate of the role",
			get:  func(e *evaluation, r attls.Role) ([]byte, int, bool) { b, ok := e.in.Certificate(r); return b, 0, ok }},
		"nonce": {takesRole: true, text: "the nonce of the slot whose attester is the role", // bounds: Setting
			get: func(e *evaluation, r attls.Role) ([]byte, int, bool) { b, ok := e.in.Nonce(r); return b, 0, ok },
			at:  func(s *Setting, owner, _ attls.Role) Point { return s.Nonce[owner].At }},
		"request_context": {takesRole: true, max: 255, text: "the certificate_request_context that the role answers",
			get: func(e *evaluation, r attls.Role) ([]byte, int, bool) {
				b, ok := e.in.RequestContext(r)
				return b, 0, ok
			},
			at: func(s *Setting, _, _ attls.Role) Point {
				if s.Authenticator {
					return PointNone
				}
				return PointCR
			}},
		"attester.size": {kind: KindInteger, min: 1, max: 255, at: always(PointNone),
			text: "the length that the attester's challenge field wants, in octets",
			get: func(e *evaluation, r attls.Role) ([]byte, int, bool) {
				n, ok := e.in.AttesterSize(r)
				return nil, n, ok
			}},
		"next.main_secret": {min: hashLength, max: hashLength, at: always(PointKeyExchange), get: later(NextMainSecret),
			text: "Main Secret N+1 of a key exchange after the handshake"},
		"next.transcript_hash": {min: hashLength, max: hashLength, at: always(PointKeyExchange),
			get: later(NextTranscriptHash), text: "transcript hash N+1 of a key exchange after the handshake"},
		"rekey.request": {min: 4, max: maxValue, at: always(PointKeyExchange), get: later(RekeyRequest),
			text: "request of that exchange with its handshake header"},
		"rekey.request.body": {max: maxValue, at: always(PointKeyExchange), get: later(RekeyRequestBody),
			text: "the same without the header"},
		"rekey.response": {min: 4, max: maxValue, at: always(PointKeyExchange), get: later(RekeyResponse),
			text: "response of that exchange with its handshake header"},
		"rekey.response.body": {max: maxValue, at: always(PointKeyExchange), get: later(RekeyResponseBody),
			text: "the same without the header"},
	}
	for name, f := range certificateFields {
		terminals[name] = &terminal{takesRole: true, min: f.min, max: f.max, at: keyKnown, text: f.text,
			get: func(e *evaluation, r attls.Role) ([]byte, int, bool) {
				der, ok := e.in.Certificate(r)
				if !ok {
					return nil, 0, false
				}
				fields, ok := provider.ParseCertificateFields(der)
				if !ok {
					return nil, 0, false
				}
				b, ok := f.of(&fields)
				return b, 0, ok
			}}
	}
}

// certificateField is a field of an end-entity certificate that is known before the
// certificate is signed, so that Evidence in the certificate can be bound to it.
type certificateField struct {
	min, max int
	of       func(*provider.CertificateFields) ([]byte, bool)
	text     string
}

// The lengths of UTCTime and GeneralizedTime in a certificate (RFC 5280 section 4.1.2.5).
const shortTime, longTime = len("YYMMDDhhmmssZ"), len("YYYYMMDDhhmmssZ")

var certificateFields = map[string]certificateField{
	"not_before.seconds": {8, 8, func(f *provider.CertificateFields) ([]byte, bool) {
		b, ok := provider.Seconds(f.Begin)
		return b, ok && f.NotBefore != nil
	}, "notBefore of that certificate: seconds since 1970 in eight octets, the most significant first"},
	"not_after.seconds": {8, 8, func(f *provider.CertificateFields) ([]byte, bool) {
		b, ok := provider.Seconds(f.End)
		return b, ok && f.NotAfter != nil
	}, "notAfter of that certificate, likewise"},
	"not_before.text": {shortTime, longTime, func(f *provider.CertificateFields) ([]byte, bool) {
		return f.NotBefore, f.NotBefore != nil
	}, "notBefore as it is written: the characters of UTCTime or GeneralizedTime"},
	"not_after.text": {shortTime, longTime, func(f *provider.CertificateFields) ([]byte, bool) {
		return f.NotAfter, f.NotAfter != nil
	}, "notAfter, likewise"},
	"common_name": {0, unbounded, func(f *provider.CertificateFields) ([]byte, bool) {
		return f.CommonName, f.CommonName != nil
	}, "the characters of the one commonName of that certificate's subject"},
	"serial_number": {1, unbounded, func(f *provider.CertificateFields) ([]byte, bool) {
		return f.Serial, len(f.Serial) > 0
	}, "contents of the INTEGER serialNumber of that certificate"},
}

// param is what an argument of a function must be.
type param uint8

const (
	paramOctets  param = iota
	paramSecret        // Hash.length octets
	paramLabel         // 1 to 249 octets
	paramContext       // at most 255 octets
	paramLength        // 1 to 255·Hash.length
	paramHashed        // octets or a range
	paramNumber        // an integer
	paramHash          // the name of a hash
	paramAny           // what stands there may stand where the call stands
)

var paramNames = [...]string{"octets", "secret", "label", "context", "length", "octets or range", "integer",
	"name of a hash", "expression"}

// function is one function of the language.
type function struct {
	params   []param
	variadic bool // any number of params[0]
	keyed    bool // key: value pairs
	text     string
	call     func(e *evaluation, n *node, args []*Value) ([]byte, int, *attls.Error)
	size     func(n *node, hashLen int, args []bounds) bounds
}

func (f *function) usage(name string) string {
	list := make([]string, len(f.params))
	for i, p := range f.params {
		list[i] = paramNames[p]
	}
	return name + "(" + strings.Join(list, ", ") + ")"
}

func hashSized(_ *node, h int, _ []bounds) bounds { return bounds{h, h} }

func lengthSized(i int) func(*node, int, []bounds) bounds {
	return func(_ *node, _ int, a []bounds) bounds { return a[i] }
}

var functions map[string]*function

func init() {
	functions = map[string]*function{
		"expand_label": {params: []param{paramSecret, paramLabel, paramContext, paramLength}, call: callExpandLabel,
			size: lengthSized(3),
			text: "HKDF-Expand-Label of RFC 8446 7.1"},
		"derive_secret": {params: []param{paramSecret, paramLabel, paramHashed}, call: callDeriveSecret, size: hashSized,
			text: "Derive-Secret of RFC 8446 7.1; the third argument is hashed"},
		"extract": {params: []param{paramOctets, paramOctets}, call: callExtract, size: hashSized,
			text: "HKDF-Extract(salt, IKM) of RFC 5869"},
		"hash": {params: []param{paramHashed}, call: callHash, size: hashSized, text: "the suite's hash"},
		"digest": {params: []param{paramHash, paramOctets}, call: callDigest, size: digestSize,
			text: "a named hash, in quotation marks: " + hashNames()},
		"exporter": {params: []param{paramSecret, paramLabel, paramHashed, paramLength}, call: callExporter,
			size: lengthSized(3),
			text: `expand_label(derive_secret(secret, label, ""), "exporter", hash(context), length), RFC 8446 7.5`},
		"concat": {params: []param{paramOctets}, variadic: true, call: callConcat, size: concatSize,
			text: "the octets one after the other"},
		"len": {params: []param{paramOctets}, call: callLen, size: func(_ *node, _ int, a []bounds) bounds { return a[0] },
			text: "the number of octets"},
		"cbor_map": {params: []param{paramAny}, variadic: true, keyed: true, call: callMap, size: mapSize,
			text: "a map in the deterministic encoding of RFC 8949 4.2.1; octets become byte strings, integers unsigned " +
				"integers"},
		"within": {params: []param{paramOctets, paramNumber, paramNumber}, call: callWithin, size: withinSize,
			text: "the octets if there are min to max of them; otherwise the binder is undefined"},
		"cbor_array": {params: []param{paramAny}, variadic: true, call: callArray, size: arraySize,
			text: "an array in that encoding, with the same sorts of elements"},
		"cut": {params: []param{paramOctets, paramNumber, paramNumber}, call: callCut, size: cutSize,
			text: "so many of the octets (the third argument), from an offset on (the second)"},
		"pad_right": {params: []param{paramOctets, paramNumber}, call: callPad, size: padSize,
			text: "the octets and zeros after them, up to a length"},
		"pad_left": {params: []param{paramOctets, paramNumber}, call: callPad, size: padSize,
			text: "zeros and the octets after them, up to a length"},
		"hex": {params: []param{paramOctets}, call: callText, size: textSize, text: "the octets as lower-case hexadecimal"},
		"base64": {params: []param{paramOctets}, call: callText, size: textSize,
			text: "the octets in base64 with padding (RFC 4648 4)"},
		"base64url": {params: []param{paramOctets}, call: callText, size: textSize,
			text: "the octets in base64url without padding (RFC 4648 5)"},
		"per_role": {params: []param{paramAny, paramAny},
			text: "the first argument for a client attester, the second for a server attester"},
	}
}

func names[T any](m map[string]T) []string {
	list := make([]string, 0, len(m))
	for n := range m {
		list = append(list, n)
	}
	sort.Strings(list)
	return list
}

// Word is one word of the language with its meaning, for a reference.
type Word struct{ Usage, Meaning string }

// Words lists the terminals and functions of the language.
func Words() []Word {
	var list []Word
	for _, n := range names(terminals) {
		usage := n
		if terminals[n].takesRole {
			usage += "(role|client|server)"
		}
		list = append(list, Word{usage, terminals[n].text})
	}
	for _, n := range names(functions) {
		list = append(list, Word{functions[n].usage(n), functions[n].text})
	}
	return append(list, ranges()...)
}

// ranges are the words of a transcript range.
func ranges() []Word {
	list := []Word{
		{"CH..X",
			"a transcript range: the handshake messages, with their headers, from ClientHello to X; it is possible where a " +
				"hash is taken, and is the Transcript-Hash there"},
		{"CH..<X", "the messages in front of X"},
	}
	for _, n := range endNames() {
		list = append(list, Word{"X = " + rangeEnds[n].usage(n), rangeEnds[n].text})
	}
	return append(list, Word{"(role), (pha)",
		"role is the attester that is bound; pha is post-handshake authentication, behind the whole handshake"})
}
