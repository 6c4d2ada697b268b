package schema

import (
	"slices"
	"strings"
	"testing"

	"attls"
)

func TestProblems(t *testing.T) {
	const e = "enum { one(1), two(2), (255) } E;\n"
	for _, c := range []struct{ name, text, want string }{
		{"unknown type", "struct { EvidenceTyp a; } A;\nstruct { uint8 b; } EvidenceType;",
			`t:1:10: no type EvidenceTyp; did you mean "EvidenceType"?`},
		{"unknown type of the RFCs", "struct { Extensoin a<0..9>; } A;", `t:1:10: no type Extensoin; did you mean "Extension"?`},
		{"unknown without a likeness", "struct { Quux a; } A;", `t:1:10: no type Quux`},
		{"defined twice", "uint8 A;\nstruct { } A;", `t:2:12: A is defined twice, first at 1:1; rename one of the two or remove it`},
		{"contains itself", "struct { B b; } A;\nstruct { A a<0..9>; } B;",
			`t:2:10: A contains itself: A > B > A; a value of such a type has no end; take one of the fields out`},
		{"field twice", "struct { uint8 a; uint16 a; } A;", `t:1:19: a appears twice in one struct; rename one of the two, or label the select that it is in`},
		{"field twice by an arm", e + "struct { E a; select (a) { case one: uint8 b; case two: B; }; } A; struct { uint8 a; } B;",
			`t:2:57: a appears twice in one struct; rename one of the two, or label the select that it is in`},
		{"ceiling below floor", "struct { opaque a<9..8>; } A;", `t:1:19: the floor 9 is above the ceiling 8; exchange the two`},
		{"ceiling 0", "struct { opaque a<0..0>; } A;", `t:1:22: the ceiling is 0, so nothing fits in; raise it or remove the field`},
		{"huge ceiling", "struct { opaque a<0..2^32>; } A;", `t:1:23: the ceiling 4294967296 needs a length of more than 4 octets; lower it`},
		{"elements too big", "struct { uint32 a<0..3>; } A;", `t:1:22: a uint32 has at least 4 octets and the ceiling is 3; bounds count octets, not elements; raise the ceiling`},
		{"floor inside does not fit", "struct { B a<0..9>; } A; struct { opaque b<9..20>; } B;",
			`t:1:17: a B has at least 10 octets and the ceiling is 9; bounds count octets, not elements; raise the ceiling`},
		{"no multiple", "struct { uint16 a<3..3>; } A;", `t:1:19: no multiple of 2 octets lies between 3 and 3; bounds count octets, not elements`},
		{"array of a part", "struct { uint16 a[3]; } A;", `t:1:19: 3 octets are not a whole number of uint16 of 2 octets; the number in brackets counts octets, not elements`},
		{"negative length", "struct { opaque a[2-3]; } A;", `t:1:20: the length is negative or above 16777216 octets`},
		{"overflowing bound", "struct { opaque a<0..2^64>; } A;", `t:1:23: the expression is negative or has more than 64 bits`},
		{"negative bound", "struct { opaque a<0..3-4>; } A;", `t:1:23: the expression is negative or has more than 64 bits`},
		{"bound with a name", "struct { uint8 n; opaque a<0..n>; } A;", `t:1:31: n is given where a plain number is needed`},
		{"empty elements", "struct { } B; struct { B a<0..9>; } A;",
			`t:1:24: an element of type B can be empty, so nobody can tell how many there are; put a field into B that is always there`},
		{"opaque alone", "struct { opaque a; } A;", `t:1:10: opaque without a length; write [octets] or <floor..ceiling> after the name`},
		{"length of nothing", "struct { uint8 lenght; opaque a[length]; } A;", `t:1:33: no field before this one and no outer length is called length; did you mean "lenght"?`},
		{"length of an outer parameter", "struct { opaque a[Hash.len]; } A;", `t:1:19: no field before this one and no outer length is called Hash.len; did you mean "Hash.length"?`},
		{"constant too big", "struct { uint8 a = 256; } A;", `t:1:20: 256 does not fit in the 1 octet of uint8`},
		{"constant of octets", "struct { Random a = 1; } A;", `t:1:21: Random is not a number and takes no constant`},
		{"constant without a name", e + "struct { E a = three; } A;", `t:2:16: E has no three`},
		{"enumerator twice", "enum { a(1), a(2) } E;", `t:1:14: a appears twice in E; remove one of the two`},
		{"number twice", "enum { a(1..5), b(3) } E;", `t:1:17: b(3) has the number of a(1) in E; give it another number`},
		{"number of the RFC's enum", "enum { attestation_evidence(60), (65535) } ExtensionType;",
			`t:1:8: attestation_evidence(60) has the number of sequence_number_encryption_algorithms(60) in ExtensionType; give it another number`},
		{"number too wide", "enum { a(256), (255) } E;", `t:1:8: a(256) does not fit in the width of E, which (255) sets; take a smaller number or widen the enum`},
		{"number beyond all enums", "enum { a(4294967296) } E;", `t:1:8: 4294967296 does not fit in the 4 octets that an enum may have`},
		{"empty range", "enum { a(5..3) } E;", `t:1:8: the range 5..3 is empty; put the smaller number first`},
		{"no number", "enum { a(1), b } E; struct { E a; } A;",
			`t:1:30: E is sent and its b has no number; give it one in the text or among the code points`},
		{"no such case", e + "struct { E a; select (a) { case one: uint8 b; case tow: uint8 c; }; } A;",
			`t:2:52: E has no tow; did you mean "two"?`},
		{"no such message", "struct { select (Handshake.msg_type) { case clienthello: uint8 b; }; } A;",
			`t:1:45: Handshake.msg_type is never clienthello; did you mean "client_hello"?`},
		{"select on nothing", e + "struct { E mechanism; select (mechansim) { case one: uint8 b; }; } A;",
			`t:2:31: nothing to select on is called mechansim; did you mean "mechanism"?`},
		{"select on another struct", e + "struct { E a; } B; struct { B b; select (B.a) { case one: uint8 c; }; } A;",
			`t:2:42: nothing to select on is called B.a; a select reaches the fields of its own struct A and the outer parameters Handshake.msg_type, ClientOrServerExtension, ConnectionEnd, certificate_type`},
		{"select on the like-named field of another struct", e + "struct { E a; } B; struct { E a; select (B.a) { case one: uint8 c; }; } A;",
			`t:2:42: nothing to select on is called B.a; a select reaches the fields of its own struct A and the outer parameters Handshake.msg_type, ClientOrServerExtension, ConnectionEnd, certificate_type`},
		{"select before its field", e + "struct { select (a) { case one: uint8 b; }; E a; } A;",
			`t:2:18: the field a comes after the select that needs it; move it before the select`},
		{"select by an ambiguous type", e + "struct { E a; E b; select (E) { case one: uint8 c; }; } A;",
			`t:2:28: 2 fields before the select have the type E; select on the field, such as a`},
		{"select on octets", "struct { opaque a[1]; select (a) { case one: uint8 b; }; } A;", `t:1:31: a is of type opaque and cannot select; select on an enum or a number`},
		{"select in an arm of another select", e + "struct { E a; select (a) { case one: E b; case two: uint8 c; }; select (b) { case one: uint8 d; }; } A;",
			`t:2:73: nothing to select on is called b; did you mean "a"?`},
		{"case of a number by name", "struct { uint8 a; select (a) { case one: uint8 b; }; } A;", `t:1:37: a is a plain uint8 and has no name one; write a number, or make it an enum`},
		{"case too wide", "struct { uint8 a; select (a) { case 256: uint8 b; }; } A;", `t:1:37: 256 does not fit in the 1 octet of a`},
		{"case twice", e + "struct { E a; select (a) { case one: uint8 b; case one: uint8 c; }; } A;",
			`t:2:52: case one appears twice in the select on a; remove one of the two`},
		{"case twice by number", e + "struct { E a; select (a) { case one: uint8 b; case 1: uint8 c; }; } A;",
			`t:2:52: case 1 appears twice in the select on a; remove one of the two`},
		{"arm that a constant excludes", e + "struct { E a = one; select (a) { case one: uint8 b; case two: uint8 c; }; } A;",
			`t:2:58: warning: a is always 1, so this case is never selected; remove the case or the constant`},
		{"arms alike", e + "struct { E a; select (a) { case one: uint8 b; case two: uint8 b; }; } A;",
			`t:2:47: warning: the arms of two and one have the same fields; the sender has to set a itself`},
		{"in the order of the text", "struct { Quux a; } A;\nstruct { E b; } B; enum { x(1), x(2) } E;\nuint9 C;",
			"t:1:10: no type Quux\nt:2:33: x appears twice in E; remove one of the two\nt:3:1: no type uint9; did you mean \"uint8\"?"},
		{"too many fields", wide(), `t:5:113: E has more than 16384 fields, those of its types included`},
		{"depth of what stands before", upward(maxDepth), `t:17:10: types are nested more than 16 deep`},
		{"depth", nested(maxDepth + 1), `t:16:10: types are nested more than 16 deep`},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := Parse([]byte(c.text), Position{File: "t"})
			if err != nil {
				t.Fatal(err)
			}
			s, problems := Compile(DefaultEnvironment(), f)
			if got := problems.Error(); got != c.want {
				t.Errorf("got:  %s\nwant: %s", got, c.want)
			}
			if warning := strings.Contains(c.want, ": warning: "); (s != nil) != warning {
				t.Errorf("a Schema: %v", s != nil)
			}
		})
	}
}

func nested(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("struct { T" + string(rune('a'+i+1)) + " f; } T" + string(rune('a'+i)) + ";\n")
	}
	return b.String() + "uint8 T" + string(rune('a'+n)) + ";"
}

// upward is nested with every type before those that use it.
func upward(n int) string {
	var b strings.Builder
	b.WriteString("uint8 Ta;\n")
	for i := range n {
		b.WriteString("struct { T" + string(rune('a'+i)) + " f; } T" + string(rune('a'+i+1)) + ";\n")
	}
	return b.String()
}

// wide is a type whose arms join a type again and again, down to nothing.
func wide() string {
	var b strings.Builder
	b.WriteString("struct { } A;\n")
	for i := range 5 {
		name := string(rune('B' + i))
		b.WriteString("struct { select (ConnectionEnd) { case client: " + strings.Repeat(string(rune('A'+i))+"; ", 20) + "}; } " + name + ";\n")
	}
	return b.String()
}

// The published text of the grammar has no problem of its own.
func TestRFC8446Compiles(t *testing.T) {
	env := DefaultEnvironment()
	env.Base = nil
	s, problems := Compile(env, RFC8446())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, d := range RFC8446().Definitions {
		if !slices.Contains(s.Types(), d.Name) || s.Definition(d.Name) != d {
			t.Errorf("%s is missing", d.Name)
		}
	}
}

// Code points come from the Environment, whatever the text says.
func TestCodePoints(t *testing.T) {
	env := codePoints()
	s := compile(t, env, figure(t, "early-attestation-00"))
	if m, ok := s.Enumerators("HandshakeType"); !ok || m["attestation"] != 0xe0 || m["client_hello"] != 1 {
		t.Errorf("HandshakeType is %v", m)
	}
	env.Enumerators["CertificateType"] = map[string]uint64{"attestation": 300}
	env.Enumerators["Nothing"] = map[string]uint64{"a": 1}
	f, _ := Parse([]byte("uint8 A;"), Position{File: "t"})
	_, problems := Compile(env, f)
	want := []string{"Nothing, which is given numbers, is not an enum", "attestation(300) does not fit in the width of CertificateType, which (255) sets"}
	for i, w := range want {
		if i >= len(problems) || problems[i].Text != w {
			t.Errorf("problem %d of %v, want %s", i, problems, w)
		}
	}
}

// A context that a type does not fit is told at once.
func TestContextErrors(t *testing.T) {
	s := compile(t, nil, figure(t, "early-attestation-06"), "struct { Finished f; CertificateEntry e; } Outer;")
	for _, c := range []struct {
		of   string
		in   Context
		kind ProblemKind
		text string
	}{
		{"remoteAttestation", Context{Message: attls.KindServerHello}, ProblemNoArm, "the select on Handshake.msg_type has no case server_hello"},
		{"remoteAttestation", Context{}, ProblemParameter, "Handshake.msg_type selects here and the context does not say what it is"},
		{"Outer", Context{Tags: map[string]string{"certificate_type": "X509"}}, ProblemParameter, "the context does not say what Hash.length is"},
		{"Outer", Context{Lengths: map[string]int{"Hash.length": 32}}, ProblemParameter, "certificate_type selects here and the context does not say what it is"},
		{"remoteAtestation", Context{}, ProblemUnknownName, "no type remoteAtestation"},
	} {
		_, err := s.Codec(c.of, c.in)
		problems, ok := err.(Problems)
		if !ok || problems[0].Kind != c.kind || problems[0].Text != c.text {
			t.Errorf("%s in %+v: %v, want %s", c.of, c.in, err, c.text)
		}
		if _, bad := s.Decode(c.of, c.in, nil); bad == nil || bad.Class != attls.Local {
			t.Errorf("%s in %+v decodes: %v", c.of, c.in, bad)
		}
	}
}

func TestUnplaced(t *testing.T) {
	s := compile(t, codePoints(), figure(t, "early-attestation-00"), figure(t, "early-attestation-06"),
		"struct { uint8 a; select (Handshake.msg_type) { case finished: uint8 b; case client_hello: remoteAttestation c; }; } Outer;")
	found := s.Unplaced("Outer", []Context{{Message: attls.KindClientHello}, {Message: attls.KindCertificate}})
	var got []string
	for _, p := range found {
		got = append(got, p.Text)
		if !p.Warning || p.Kind != ProblemUnreachable {
			t.Errorf("%+v", p)
		}
	}
	want := []string{"the case finished of Outer is never selected, since the value is never there",
		"the case encrypted_extensions of remoteAttestation is never selected, since the value is never there",
		"the case certificate_request of remoteAttestation is never selected, since the value is never there"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	ch, ee := Context{Message: attls.KindClientHello}, Context{Message: attls.KindEncryptedExtensions}
	if found := s.Unplaced("evidenceRequestTypeExtension", []Context{ch, ee}); len(found) > 0 {
		t.Errorf("an arm that several cases share: %v", found)
	}
	// In Handshake itself msg_type is a field, not the outer parameter.
	if found := s.Unplaced("Handshake", []Context{ch}); len(found) > 0 {
		t.Errorf("own field: %v", found)
	}
}

// Effective ceilings: 2^24-1 in an extension comes down to what fits.
func TestFields(t *testing.T) {
	evidence := figure(t, "tls-attestation-05")
	early := figure(t, "early-attestation-06")
	ch := Context{Message: attls.KindClientHello}
	ct := Context{Message: attls.KindCertificate}
	for _, c := range []struct {
		name, text, of string
		in             Context
		container      int
		path           string
		want           Field
	}{
		{"payload in an extension", early, "remoteAttestation", ct, 65535, "cmw_payload",
			Field{Kind: KindOctets, Type: "opaque", Floor: 1, Ceiling: 1<<24 - 1, Prefix: 3, Fits: 65532}},
		{"payload in a CertificateEntry", early, "remoteAttestation", ct, 65531, "cmw_payload",
			Field{Kind: KindOctets, Type: "opaque", Floor: 1, Ceiling: 1<<24 - 1, Prefix: 3, Fits: 65528}},
		{"C in a CertificateEntry", exported, "CMWAttestation", ct, 65531, "cmw_data",
			Field{Kind: KindOctets, Type: "opaque", Floor: 1, Ceiling: 65535, Prefix: 2, Fits: 65529}},
		{"name in a list", figure(t, "tls-attestation-02"), "evidenceRequestTypeExtension", ch, 65535, "supported_evidence_types[].media_type",
			Field{Kind: KindOctets, Type: "opaque", Ceiling: 65535, Prefix: 2, Fits: 252, Optional: true}},
		{"name in a list of bounded size", evidence, "evidenceRequestTypeExtension", ch, 65535, "supported_evidence_types[3].media_type",
			Field{Kind: KindOctets, Type: "opaque", Ceiling: 65535, Prefix: 2, Fits: 251, Optional: true}},
		{"list beside a nonce", evidence, "evidenceRequestTypeExtension", ch, 40, "supported_evidence_types",
			Field{Kind: KindList, Type: "EvidenceType", Floor: 4, Ceiling: 255, Prefix: 1, Fits: 30}},
		{"nonce beside a list", evidence, "evidenceRequestTypeExtension", ch, 13, "nonce",
			Field{Kind: KindOctets, Type: "opaque", Floor: 8, Ceiling: 255, Prefix: 1, Fits: 7}},
		{"label", early, "AttestationScheme", ch, 0, "argument", Field{Kind: KindStruct, Floor: 2, Ceiling: 65538, Fits: 65538}},
		{"enum", early, "AttestationScheme", ch, 0, "mechanism",
			Field{Kind: KindNumber, Type: "AttestationMechanism", Enumerators: []string{"evidence", "result"}, Floor: 1, Ceiling: 1, Fits: 1}},
		{"array", "struct { Finished f; } A;", "A", Context{Lengths: map[string]int{"Hash.length": 48}}, 65535, "f.verify_data",
			Field{Kind: KindOctets, Type: "opaque", Floor: 48, Ceiling: 48, Fits: 48}},
		{"element of a list", "struct { uint16 a<0..9>; } A;", "A", ch, 65535, "a[]", Field{Kind: KindNumber, Type: "uint16", Floor: 2, Ceiling: 2, Fits: 2, Optional: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			codec, err := compile(t, codePoints(), c.text).Codec(c.of, c.in)
			if err != nil {
				t.Fatal(err)
			}
			f, err := codec.Field(c.path, c.container)
			if err != nil {
				t.Fatal(err)
			}
			got := f
			got.Path, got.Pos = "", Position{}
			if !equalFields(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
			if f.FloorFits() != (c.want.Fits >= c.want.Floor) {
				t.Errorf("FloorFits is %v", f.FloorFits())
			}
		})
	}
	codec, _ := compile(t, nil, early).Codec("AttestationScheme", ch)
	if _, err := codec.Field("argument.contents_format", 0); err == nil || !strings.Contains(err.Error(), `did you mean "argument.content_format"?`) {
		t.Errorf("no suggestion: %v", err)
	}
}

func equalFields(a, b Field) bool {
	return a.Kind == b.Kind && a.Type == b.Type && slices.Equal(a.Enumerators, b.Enumerators) && a.Optional == b.Optional &&
		a.Floor == b.Floor && a.Ceiling == b.Ceiling && a.Prefix == b.Prefix && a.Fits == b.Fits
}
