package message_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"attls"
	"attls/extensions"
	"attls/extensions/schema"
	"attls/handshake/message"
	"attls/internal/seeds"
)

// codec is a hand-written codec of a message.
type codec interface {
	Unmarshal(body []byte) *attls.Error
	Append(b []byte) []byte
}

// reading is one message as both sides read it: the hand-written codec and the
// grammar of RFC 8446. Values are compared as text.
type reading struct {
	grammar string
	in      attls.MessageKind
	make    func() codec
	hand    func(codec) string
	generic func(v *schema.Value) string
	// floor is what the grammar asks of the extensions, in octets. A hello of an
	// older version may have fewer, or none at all, and is read so that its
	// version can be refused.
	floor int
}

func numberOf(v *schema.Value, path string) uint64 { return v.Get(path).Number }

func octetsOf(v *schema.Value, path string) []byte { return v.Get(path).Octets }

func listText(l extensions.List) string {
	var b strings.Builder
	for _, x := range l {
		fmt.Fprintf(&b, "%d@%d:%x ", uint16(x.Type), x.Offset, x.Body)
	}
	return b.String()
}

func extensionsText(list *schema.Value) string {
	var b strings.Builder
	for i := range list.Items {
		x := &list.Items[i]
		data := x.Get("extension_data")
		fmt.Fprintf(&b, "%d@%d:%x ", numberOf(x, "extension_type"), data.Offset+len(data.Wire)-len(data.Octets), data.Octets)
	}
	return b.String()
}

var readings = []reading{
	{"ClientHello", attls.KindClientHello, func() codec { return new(message.ClientHello) },
		func(c codec) string {
			m := c.(*message.ClientHello)
			return fmt.Sprintf("%d %x %x %x %x %s", m.LegacyVersion, m.Random, m.SessionID, []byte(m.CipherSuites), m.CompressionMethods, listText(m.Extensions))
		},
		func(v *schema.Value) string {
			var suites []byte
			for i := range v.Get("cipher_suites").Items {
				suites = append(suites, v.Get("cipher_suites").Items[i].Octets...)
			}
			return fmt.Sprintf("%d %x %x %x %x %s", numberOf(v, "legacy_version"), octetsOf(v, "random"), octetsOf(v, "legacy_session_id"),
				suites, octetsOf(v, "legacy_compression_methods"), extensionsText(v.Get("extensions")))
		}, 7},
	{"ServerHello", attls.KindServerHello, func() codec { return new(message.ServerHello) },
		func(c codec) string {
			m := c.(*message.ServerHello)
			return fmt.Sprintf("%d %x %x %04x %d %s", m.LegacyVersion, m.Random, m.SessionID, uint16(m.CipherSuite), m.CompressionMethod, listText(m.Extensions))
		},
		func(v *schema.Value) string {
			return fmt.Sprintf("%d %x %x %x %d %s", numberOf(v, "legacy_version"), octetsOf(v, "random"), octetsOf(v, "legacy_session_id_echo"),
				octetsOf(v, "cipher_suite"), numberOf(v, "legacy_compression_method"), extensionsText(v.Get("extensions")))
		}, 6},
	{"EncryptedExtensions", attls.KindEncryptedExtensions, func() codec { return new(message.EncryptedExtensions) },
		func(c codec) string { return listText(c.(*message.EncryptedExtensions).Extensions) },
		func(v *schema.Value) string { return extensionsText(v.Get("extensions")) }, 0},
	{"CertificateRequest", attls.KindCertificateRequest, func() codec { return new(message.CertificateRequest) },
		func(c codec) string {
			m := c.(*message.CertificateRequest)
			return fmt.Sprintf("%x %s", m.Context, listText(m.Extensions))
		},
		func(v *schema.Value) string {
			return fmt.Sprintf("%x %s", octetsOf(v, "certificate_request_context"), extensionsText(v.Get("extensions")))
		}, 0},
	{"Certificate", attls.KindCertificate, func() codec { return new(message.Certificate) },
		func(c codec) string {
			m := c.(*message.Certificate)
			s := fmt.Sprintf("%x ", m.Context)
			for _, e := range m.Entries {
				s += fmt.Sprintf("[%x %s]", e.Data, listText(e.Extensions))
			}
			return s
		},
		func(v *schema.Value) string {
			s := fmt.Sprintf("%x ", octetsOf(v, "certificate_request_context"))
			list := v.Get("certificate_list").Items
			for i := range list {
				s += fmt.Sprintf("[%x %s]", octetsOf(&list[i], "cert_data"), extensionsText(list[i].Get("extensions")))
			}
			return s
		}, 0},
	{"CertificateVerify", attls.KindCertificateVerify, func() codec { return new(message.CertificateVerify) },
		func(c codec) string {
			m := c.(*message.CertificateVerify)
			return fmt.Sprintf("%d %x", uint16(m.Scheme), m.Signature)
		},
		func(v *schema.Value) string {
			return fmt.Sprintf("%d %x", numberOf(v, "algorithm"), octetsOf(v, "signature"))
		}, 0},
	{"KeyUpdate", attls.KindKeyUpdate, func() codec { return new(message.KeyUpdate) },
		func(c codec) string { return fmt.Sprint(c.(*message.KeyUpdate).RequestUpdate) },
		func(v *schema.Value) string { return fmt.Sprint(numberOf(v, "request_update") == 1) }, 0},
	{"NewSessionTicket", attls.KindNewSessionTicket, func() codec { return new(message.NewSessionTicket) },
		func(c codec) string {
			m := c.(*message.NewSessionTicket)
			return fmt.Sprintf("%d %d %x %x %s", m.Lifetime, m.AgeAdd, m.Nonce, m.Ticket, listText(m.Extensions))
		},
		func(v *schema.Value) string {
			return fmt.Sprintf("%d %d %x %x %s", numberOf(v, "ticket_lifetime"), numberOf(v, "ticket_age_add"), octetsOf(v, "ticket_nonce"),
				octetsOf(v, "ticket"), extensionsText(v.Get("extensions")))
		}, 0},
}

func (r *reading) codec(t testing.TB) *schema.Codec {
	t.Helper()
	s, problems := schema.Compile(schema.DefaultEnvironment())
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	c, err := s.Codec(r.grammar, schema.Context{
		Message: r.in, Tags: map[string]string{schema.ParamCertificateType: "X509"},
		// The values of legacy fields are the engine's to judge, message by message.
		IgnoreConstants: true,
		Limits:          schema.Limits{Elements: 1 << 20},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// compare holds the two against each other: the same verdict, the same value
// and the same octets when it is written again.
func (r *reading) compare(t *testing.T, c *schema.Codec, body []byte) (accepted bool) {
	t.Helper()
	m := r.make()
	handErr := m.Unmarshal(body)
	v, err := c.Decode(body)
	if handErr != nil && handErr.Class == attls.Violation {
		return false // a rule beyond the grammar
	}
	if handErr == nil {
		if again := m.Append(nil); !bytes.Equal(again[4:], body) {
			t.Fatalf("%s %x is written as %x", r.grammar, body, again[4:])
		}
	}
	switch {
	case handErr == nil && err != nil && r.floor > 0 && err.Field == "extensions" && shortBlock(body[err.Offset:], r.floor):
		return false
	case (handErr == nil) != (err == nil):
		t.Fatalf("%s %x\nhand-written: %v\ngrammar: %v", r.grammar, body, handErr, err)
	case err != nil:
		return false
	}
	if hand, generic := r.hand(m), r.generic(&v); hand != generic {
		t.Fatalf("%s %x\nhand-written: %s\ngrammar: %s", r.grammar, body, hand, generic)
	}
	return true
}

// shortBlock reports whether the end of a hello has no extensions, or a block
// of them that is shorter than the floor.
func shortBlock(rest []byte, floor int) bool {
	return len(rest) == 0 || len(rest) >= 2 && int(rest[0])<<8|int(rest[1]) < floor && len(rest) == 2+(int(rest[0])<<8|int(rest[1]))
}

// The hand-written codecs read and write what the grammar of RFC 8446 describes.
func TestGrammar(t *testing.T) {
	for i := range readings {
		r := &readings[i]
		t.Run(r.grammar, func(t *testing.T) {
			c := r.codec(t)
			random := rand.New(rand.NewPCG(uint64(i), 11))
			accepted := 0
			for range 200 {
				if r.compare(t, c, c.Generate(random, 200)) {
					accepted++
				}
				if b, ok := c.GenerateBroken(random, 200); ok {
					r.compare(t, c, b.Octets)
				}
			}
			if accepted < 20 {
				t.Errorf("both accept %d of 200 valid bodies", accepted)
			}
		})
	}
}

// FuzzGrammar is TestGrammar for any octets.
func FuzzGrammar(f *testing.F) {
	codecs := seeds.Once(func() []*schema.Codec {
		list := make([]*schema.Codec, len(readings))
		for i := range readings {
			list[i] = readings[i].codec(f)
		}
		return list
	})
	seeds.Add(f, func() {
		random := rand.New(rand.NewPCG(12, 13))
		for i := range codecs {
			f.Add(uint8(i), codecs[i].Generate(random, 200))
		}
	})
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		seeds.Input(t, which, body)
		i := int(which) % len(readings)
		readings[i].compare(t, codecs[i], body)
	})
}
