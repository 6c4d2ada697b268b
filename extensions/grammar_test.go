package extensions_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"attls"
	"attls/extensions"
	"attls/extensions/schema"
	"attls/internal/seeds"
)

// reading is one extension body as both sides read it: the hand-written codec
// and the grammar of RFC 8446. Values are compared as text.
type reading struct {
	grammar string
	in      attls.MessageKind
	hand    func(body []byte) (string, *attls.Error)
	generic func(v *schema.Value) string
	// stricter tells of errors that the text of the RFC asks for and the
	// grammar cannot express, besides the Violations.
	stricter func(err *attls.Error) bool
}

func numbers(path string) func(v *schema.Value) string {
	return func(v *schema.Value) string {
		return join(v.Get(path), func(e *schema.Value) string { return fmt.Sprint(e.Number) })
	}
}

func strungs(path string) func(v *schema.Value) string {
	return func(v *schema.Value) string {
		return join(v.Get(path), func(e *schema.Value) string { return fmt.Sprintf("%x", e.Octets) })
	}
}

func join(list *schema.Value, text func(*schema.Value) string) string {
	var b strings.Builder
	for i := range list.Items {
		b.WriteString(text(&list.Items[i]) + " ")
	}
	return b.String()
}

func one(path string) func(v *schema.Value) string {
	return func(v *schema.Value) string { return fmt.Sprint(v.Get(path).Number) }
}

func hex(path string) func(v *schema.Value) string {
	return func(v *schema.Value) string { return fmt.Sprintf("%x", v.Get(path).Octets) }
}

func nothing(*schema.Value) string { return "" }

// as makes a text of what a hand-written codec returns.
func as[T any](parse func([]byte) (T, *attls.Error), text func(T) string) func([]byte) (string, *attls.Error) {
	return func(body []byte) (string, *attls.Error) {
		v, err := parse(body)
		if err != nil {
			return "", err
		}
		return text(v), nil
	}
}

func uint16s(l extensions.Uint16s) string {
	var b strings.Builder
	for i := range l.Len() {
		fmt.Fprintf(&b, "%d ", l.At(i))
	}
	return b.String()
}

func bytesEach(l []byte) string {
	var b strings.Builder
	for _, o := range l {
		fmt.Fprintf(&b, "%d ", o)
	}
	return b.String()
}

func number[T ~uint8 | ~uint16 | ~uint32](v T) string { return fmt.Sprint(uint64(v)) }

func octets(b []byte) string { return fmt.Sprintf("%x", b) }

func empty(body []byte) (string, *attls.Error) { return "", extensions.ParseEmpty(body) }

func never(*attls.Error) bool { return false }

const (
	ch  = attls.KindClientHello
	sh  = attls.KindServerHello
	hrr = attls.KindHelloRetryRequest
	ee  = attls.KindEncryptedExtensions
	cr  = attls.KindCertificateRequest
	nst = attls.KindNewSessionTicket
)

var readings = []reading{
	{"NamedGroupList", ch, as(extensions.ParseSupportedGroups, uint16s), numbers("named_group_list"), never},
	{"SignatureSchemeList", ch, as(extensions.ParseSignatureAlgorithms, uint16s), numbers("supported_signature_algorithms"), never},
	{"SupportedVersions", ch, as(extensions.ParseSupportedVersions, uint16s), numbers("versions"), never},
	{"SupportedVersions", sh, as(extensions.ParseSelectedVersion, number), one("selected_version"), never},
	{"SupportedVersions", hrr, as(extensions.ParseSelectedVersion, number), one("selected_version"), never},
	{"KeyShareHelloRetryRequest", hrr, as(extensions.ParseSelectedGroup, number), one("selected_group"), never},
	{"KeyShareClientHello", ch, as(extensions.ParseKeyShares, shares), entries, never},
	{"KeyShareServerHello", sh, as(extensions.ParseKeyShareEntry, share), func(v *schema.Value) string { return entry(v.Get("server_share")) }, never},
	{"PreSharedKeyExtension", sh, as(extensions.ParsePreSharedKeySelected, number), one("selected_identity"), never},
	{"PreSharedKeyExtension", ch, as(extensions.ParsePreSharedKeyOffer, offer), generic, never},
	{"EarlyDataIndication", ch, empty, nothing, never},
	{"EarlyDataIndication", ee, empty, nothing, never},
	{"EarlyDataIndication", nst, as(extensions.ParseEarlyDataMax, number), one("max_early_data_size"), never},
	{"PostHandshakeAuth", ch, empty, nothing, never},
	{"Cookie", ch, as(extensions.ParseCookie, octets), hex("cookie"), never},
	{"RecordSizeLimit", ee, as(extensions.ParseRecordSizeLimit, number), one(""), never},
	{"CertificateAuthoritiesExtension", cr, as(extensions.ParseCertificateAuthorities, authorities), strungs("authorities"), never},
	{"PskKeyExchangeModes", ch, as(extensions.ParsePSKKeyExchangeModes, bytesEach), numbers("ke_modes"), never},
	{"ClientCertTypeExtension", ch, as(extensions.ParseCertificateTypes, bytesEach), numbers("client_certificate_types"), never},
	{"ServerCertTypeExtension", ee, as(extensions.ParseCertificateType, number), one("server_certificate_type"), never},
	{"ProtocolNameList", ch, as(extensions.ParseALPN, protocols), strungs("protocol_name_list"), never},
	// RFC 7301 section 3.1: exactly one name.
	{"ProtocolNameList", ee, as(extensions.ParseALPNSelected, func(b []byte) string { return octets(b) + " " }), strungs("protocol_name_list"),
		func(err *attls.Error) bool { return err.Rule == "RFC 7301 3.1" }},
	{"ServerNameList", ch, as(extensions.ParseServerName, octets), hostName, func(err *attls.Error) bool { return strings.Contains(err.Detail, "NUL") }},
}

func share(e extensions.KeyShareEntry) string { return fmt.Sprintf("%d:%x", uint16(e.Group), e.Key) }

func shares(l extensions.KeyShares) (s string) {
	for group, key := range l.All() {
		s += share(extensions.KeyShareEntry{Group: group, Key: key}) + " "
	}
	return s
}

func entry(v *schema.Value) string {
	return fmt.Sprintf("%d:%x", v.Get("group").Number, v.Get("key_exchange").Octets)
}

func entries(v *schema.Value) string { return join(v.Get("client_shares"), entry) }

func offer(o extensions.PSKOffer) (s string) {
	for _, id := range o.Identities {
		s += fmt.Sprintf("%x@%d ", id.Identity, id.ObfuscatedTicketAge)
	}
	for _, b := range o.Binders {
		s += fmt.Sprintf("%x ", b)
	}
	return fmt.Sprintf("%s%d", s, o.BindersLen)
}

func generic(v *schema.Value) string {
	return join(v.Get("identities"), func(e *schema.Value) string {
		return fmt.Sprintf("%x@%d", e.Get("identity").Octets, e.Get("obfuscated_ticket_age").Number)
	}) + strungs("binders")(v) + fmt.Sprint(len(v.Get("binders").Wire))
}

func authorities(l extensions.Vectors16) (s string) {
	for name := range l.All() {
		s += octets(name) + " "
	}
	return s
}

func protocols(l extensions.ProtocolNames) (s string) {
	for name := range l.All() {
		s += octets(name) + " "
	}
	return s
}

func hostName(v *schema.Value) string { return hex("server_name_list[0].name")(v) }

// codec is the grammar's reading, without the limit that keeps generic Values small.
func (r *reading) codec(t testing.TB) *schema.Codec {
	t.Helper()
	s, problems := schema.Compile(schema.DefaultEnvironment())
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	c, err := s.Codec(r.grammar, schema.Context{Message: r.in, Sender: attls.RoleServer, Limits: schema.Limits{Elements: 1 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// compare holds the two against each other: the same verdict and, where there
// is a value, the same value.
func (r *reading) compare(t *testing.T, c *schema.Codec, body []byte) (accepted bool) {
	t.Helper()
	hand, handErr := r.hand(body)
	v, err := c.Decode(body)
	switch {
	case handErr != nil && (handErr.Class == attls.Violation || r.stricter(handErr)):
		return false // a rule beyond the grammar, which may be found before an error of the grammar
	case err != nil && errors.Is(err, schema.ErrUndefinedArm) && r.grammar == "ServerNameList":
		return false // RFC 6066 section 3 lets a name of another type be skipped
	case (handErr == nil) != (err == nil):
		t.Fatalf("%s in %v, %x\nhand-written: %v\ngrammar: %v", r.grammar, r.in, body, handErr, err)
	case err != nil:
		return false
	}
	if text := r.generic(&v); text != hand {
		t.Fatalf("%s in %v, %x\nhand-written: %s\ngrammar: %s", r.grammar, r.in, body, hand, text)
	}
	return true
}

// The hand-written codecs read what the grammar of RFC 8446 describes.
func TestGrammar(t *testing.T) {
	for i := range readings {
		r := &readings[i]
		t.Run(fmt.Sprintf("%s in %v", r.grammar, r.in), func(t *testing.T) {
			c := r.codec(t)
			random := rand.New(rand.NewPCG(uint64(i), 7))
			accepted := 0
			for range 200 {
				if r.compare(t, c, c.Generate(random, 60)) {
					accepted++
				}
				if b, ok := c.GenerateBroken(random, 60); ok {
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
		random := rand.New(rand.NewPCG(8, 9))
		for i := range codecs {
			f.Add(uint8(i), codecs[i].Generate(random, 60))
		}
	})
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		seeds.Input(t, which, body)
		i := int(which) % len(readings)
		readings[i].compare(t, codecs[i], body)
	})
}
