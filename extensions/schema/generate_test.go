package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"attls"
	"attls/internal/seeds"
)

// everyCodec gives a Codec of every type of the texts in every context it fits.
func everyCodec(t testing.TB) (all []*Codec) {
	texts := []string{figure(t, "tls-attestation-00"), figure(t, "tls-attestation-03"), figure(t, "tls-attestation-03.pkix"),
		figure(t, "tls-attestation-05"), figure(t, "early-attestation-00"), figure(t, "early-attestation-06"), exported, everything, string(rfc8446Text)}
	for _, text := range texts {
		s := compile(t, codePoints(), text)
		for _, name := range s.Types() {
			seen := map[string]bool{}
			for kind := attls.KindNone; kind < attls.KindAdded; kind++ {
				c, err := s.Codec(name, Context{Message: kind, Tags: map[string]string{"certificate_type": "X509"}, Lengths: map[string]int{"Hash.length": 32}})
				if err == nil {
					if shape := fmt.Sprint(c.Fields(0)); !seen[shape] {
						seen[shape], all = true, append(all, c)
					}
					continue
				}
				var problems Problems
				if !errors.As(err, &problems) || problems[0].Kind != ProblemNoArm && problems[0].Kind != ProblemParameter && problems[0].Kind != ProblemNoNumber {
					t.Fatal(err)
				}
			}
		}
	}
	return all
}

// canonical checks what holds for everything that decodes: it encodes to the
// same octets, and its lines are its octets in order.
func canonical(t *testing.T, c *Codec, wire []byte) {
	t.Helper()
	v, err := c.Decode(wire)
	if err != nil {
		return
	}
	again, err := c.Encode(v)
	if err != nil {
		t.Fatalf("%s %x decodes and does not encode: %v", c.TypeName(), wire, err)
	}
	if !bytes.Equal(again, wire) {
		t.Fatalf("%s %x encodes to %x", c.TypeName(), wire, again)
	}
	var lines []byte
	for _, l := range v.Lines() {
		if l.Offset != len(lines) && len(l.Octets) > 0 {
			t.Fatalf("%s %x: line %q at %d instead of %d", c.TypeName(), wire, l.Path, l.Offset, len(lines))
		}
		lines = append(lines, l.Octets...)
	}
	if !bytes.Equal(lines, wire) {
		t.Fatalf("%s %x has lines of %x", c.TypeName(), wire, lines)
	}
}

func TestGenerate(t *testing.T) {
	rules := map[string]int{}
	distinct := map[string]bool{}
	codecs := everyCodec(t)
	for _, c := range codecs {
		r := rand.New(rand.NewPCG(1, 2))
		for range 20 {
			wire := c.Generate(r, 60)
			if _, err := c.Decode(wire); err != nil {
				t.Fatalf("%s %x is not valid: %v", c.TypeName(), wire, err)
			}
			canonical(t, c, wire)
			distinct[string(wire)] = true
			b, ok := c.GenerateBroken(r, 60)
			if !ok {
				continue
			}
			rules[b.Rule]++
			if _, err := c.Decode(b.Octets); err == nil || !reflect.DeepEqual(err, b.Err) {
				t.Fatalf("%s %x breaks %s and gives %v, not %v", c.TypeName(), b.Octets, b.Rule, err, b.Err)
			}
			if b.Rule == BrokeTrailing && b.Err.Failure != attls.FailTrailing && b.Err.Failure != attls.FailDecode {
				t.Errorf("%s: trailing octets give %v", c.TypeName(), b.Err)
			}
			if b.Rule == BrokeUndefinedArm && !errors.Is(b.Err, ErrUndefinedArm) || b.Rule == BrokeConstant && b.Err.Field != b.Path {
				t.Errorf("%s: %s of %s gives %v", c.TypeName(), b.Rule, b.Path, b.Err)
			}
		}
	}
	for _, rule := range []string{BrokeTrailing, BrokeTruncated, BrokeFloor, BrokeCeiling, BrokeConstant, BrokeUndefinedArm, BrokeElement} {
		if rules[rule] < 5 {
			t.Errorf("%s was broken %d times", rule, rules[rule])
		}
	}
	if len(distinct) < 5*len(codecs) {
		t.Errorf("%d distinct values of %d types", len(distinct), len(codecs))
	}
}

// The same state of the generator gives the same octets.
func TestGenerateAgain(t *testing.T) {
	c := allCodec(t, "All", Context{})
	run := func() (all []byte) {
		r := rand.New(rand.NewPCG(3, 4))
		for range 10 {
			all = append(all, c.Generate(r, 80)...)
			b, _ := c.GenerateBroken(r, 80)
			all = append(append(all, b.Octets...), b.Rule+b.Path...)
		}
		return all
	}
	if a, b := run(), run(); !bytes.Equal(a, b) || len(a) < 300 {
		t.Errorf("two runs differ: %x %x", a, b)
	}
	if _, ok := mustCodec(t, "opaque").GenerateBroken(rand.New(rand.NewPCG(1, 1)), 9); ok {
		t.Error("a body that may be anything was broken")
	}
}

func mustCodec(t testing.TB, of string) *Codec {
	t.Helper()
	c, err := compile(t, nil).Codec(of, Context{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDump(t *testing.T) {
	c, _ := compile(t, nil, figure(t, "early-attestation-06")).Codec("remoteAttestation", Context{Message: attls.KindClientHello})
	v, err := c.Decode(unhex(t, "0010 00000107 01 0009 762e6578616d706c65 0000"))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.TrimPrefix(`
000064  00 10                     server_attester_schemes = 2 elements in 16 octets
000066                              [0]
000066  00                            mechanism = evidence(0)
000067                                argument
000067  00                              type_encoding = CONTENT_FORMAT(0)
000068  01 07                           content_format = 263 (0x107)
00006a                              [1]
00006a  01                            mechanism = result(1)
00006b                                argument
00006b  00 09                           verifier_identity = 9 octets
00006d  76 2e 65 78                       "v.example" … 5 more
000076  00 00                     client_attester_schemes = 0 elements in 0 octets
`, "\n")
	if got := v.Dump(100, 4); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	wantRows := "000000  00 00 0b                  cmw_payload = 11 octets\n" +
		"000003  82 01 02 03 04 05 06 07\n00000b  08 09 0a\n"
	ct, _ := compile(t, nil, figure(t, "early-attestation-06")).Codec("remoteAttestation", Context{Message: attls.KindCertificate})
	p, err := ct.Decode(unhex(t, "00000b 8201020304050607 08090a"))
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Dump(0, 0); got != wantRows {
		t.Errorf("got:\n%s\nwant:\n%s", got, wantRows)
	}
	out, e := json.Marshal(v)
	const object = `{"server_attester_schemes":[{"mechanism":"evidence","argument":{"type_encoding":"CONTENT_FORMAT","content_format":263}},` +
		`{"mechanism":"result","argument":{"verifier_identity":"762e6578616d706c65"}}],"client_attester_schemes":[]}`
	if e != nil || string(out) != object {
		t.Errorf("%s, %v", out, e)
	}
	if out, _ := json.Marshal(Struct(Symbol("x").As("a"), Value{Name: "b"})); string(out) != `{"a":"x","b":null}` {
		t.Errorf("%s", out)
	}
}

// FuzzParse: any text is parsed, compiled and printed without panic, and what
// parses prints back.
func FuzzParse(f *testing.F) {
	seeds.Add(f, func() {
		for _, text := range []string{string(rfc8446Text), everything, certificateSelect, exported, figure(f, "early-attestation-00"), figure(f, "tls-attestation-03")} {
			f.Add(text)
		}
	})
	env := seeds.Once(codePoints)
	f.Fuzz(func(t *testing.T, text string) {
		seeds.Input(t, text)
		file, err := Parse([]byte(text), Position{File: "fuzz"})
		if err != nil {
			if problems := err.(Problems); len(problems) == 0 || problems[0].Pos.Line < 1 {
				t.Fatalf("an error without a place: %v", problems)
			}
			return
		}
		s, problems := Compile(env, file)
		if (s == nil) != (problems.Err() != nil) {
			t.Fatalf("a Schema with errors, or none without: %v", problems)
		}
		printsBack(t, file)
		if s == nil {
			return
		}
		for _, name := range s.Types() {
			if c, err := s.Codec(name, Context{Message: attls.KindClientHello}); err == nil {
				canonical(t, c, c.Generate(rand.New(rand.NewPCG(1, 2)), 40))
				c.Fields(65535)
			}
		}
	})
}

// FuzzDecode: any octets decode to a value that encodes back, or to an error
// with a place inside them; the cost is bounded.
func FuzzDecode(f *testing.F) {
	codecs := seeds.Once(func() []*Codec { return everyCodec(f) })
	seeds.Add(f, func() {
		r := rand.New(rand.NewPCG(5, 6))
		for i, c := range codecs {
			f.Add(uint16(i), c.Generate(r, 60))
			if b, ok := c.GenerateBroken(r, 60); ok {
				f.Add(uint16(i), b.Octets)
			}
		}
	})
	f.Fuzz(func(t *testing.T, which uint16, body []byte) {
		seeds.Input(t, which, body)
		c := codecs[int(which)%len(codecs)]
		canonical(t, c, body)
		_, err := c.Decode(body)
		if err != nil && (err.Offset < 0 || err.Offset > len(body) || err.Message != attls.KindNone) {
			t.Fatalf("an error out of place: %v", err)
		}
	})
}
