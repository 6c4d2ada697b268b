package wireshark_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/conformance/capture"
	"attls/conformance/cases"
	"attls/conformance/dissect"
	"attls/conformance/scenario"
	"attls/conformance/trace"
	"attls/conformance/wireshark"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/extensions/schema"
	"attls/handshake"
	"attls/handshake/message"
	"attls/internal/certcompress"
)

// few are the profiles that are read in every run of the tests: one of each way in which
// fields travel. ATTLS_TSHARK=all reads captures of all.
var few = []string{"early-attestation-00", "early-attestation-06", "tls-attestation-00", "tls-attestation-04",
	"seat-expat-04", "deployed-cocos", "deployed-flashbots-attested-tls"}

func everything() bool { return os.Getenv("ATTLS_TSHARK") == "all" }

// TestFields lets tshark read captures with the dissector of their profile, and compares
// every field with what "attls decode" reads.
func TestFields(t *testing.T) {
	program := tshark(t)
	names := few
	if everything() {
		names = profile.Names()
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			p, err := profile.Load(name, profile.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var runs []scenario.Scenario
			for _, c := range scenario.Combinations(p) {
				if c.Reason == "" {
					runs = append(runs, scenario.Scenario{Profile: name, Attester: c.Attester, Model: c.Model,
						Credential: c.Credential, HelloRetry: len(runs) == 0})
				}
			}
			compare(t, program, p, record(t, runs))
		})
	}
}

// TestChanged: the dissector follows code points, messages that each have a record, and
// nonces in fields of RFCs.
func TestChanged(t *testing.T) {
	program := tshark(t)
	for name, text := range map[string]string{
		"message": "base: early-attestation-00\ncode_points: {messages: {attestation: 0xF7}}\n" +
			"quirks: {messages_per_record: 1}\n",
		"alpn":   nonceIn(`client_hello.application_layer_protocol_negotiation, as: "n-{nonce}", codec: base64url`),
		"random": nonceIn("client_hello.random, offset: 8"),
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "changed.yaml")
			write(t, file, "profile: changed\n"+text)
			p, err := profile.Load(file, profile.Options{})
			if err != nil {
				t.Fatal(err)
			}
			s := scenario.Scenario{Profile: file, Attester: scenario.AttestServer}
			if len(p.Slots) > 1 && scenario.Forbidden(p, scenario.AttestBoth, profile.ModelEvidence, profile.KindX509) == "" {
				s.Attester = scenario.AttestBoth
			}
			compare(t, program, p, record(t, []scenario.Scenario{s}))
		})
	}
}

// nonceIn is a profile whose nonce for the server is in a field that an RFC defines.
func nonceIn(field string) string {
	return `base: early-attestation-06
bind:
  slots:
    server_attester: {nonce: {octets: 16, in: ` + field + `}}
    client_attester: {nonce: {in: certificate_request.certificate_authorities, as: "CN={nonce}", codec: hex, octets: 32}}
binder:
  define:
    base: null
    key_bound: 'expand_label(zero, "lab", hash(concat(nonce(role), spki(role))), Hash.length)'
  post_handshake: null
switches: {pha_base: null}
`
}

// TestCompressed: certificates are unpacked where this tshark can, and else it is said.
func TestCompressed(t *testing.T) {
	program := tshark(t)
	const name = "early-attestation-06"
	p, err := profile.Load(name, profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, algorithm := range []string{"zlib", "brotli"} {
		t.Run(algorithm, func(t *testing.T) {
			compressor, ok := certcompress.ByName(algorithm)
			if !ok {
				t.Fatal("not there")
			}
			compress := scenario.Change(func(s *scenario.Setup) {
				for _, role := range attls.Roles() {
					s.Ends[role].Config.CertificateCompression = []handshake.CertificateCompressor{compressor}
				}
			})
			made := record(t, []scenario.Scenario{{Profile: name, Attester: scenario.AttestBoth}}, compress)
			if algorithm == "zlib" {
				compare(t, program, p, made)
				return
			}
			shown := read(t, program, p, made.file)
			if !slices.ContainsFunc(shown, func(f field) bool {
				return f.name == "attls.error" && strings.Contains(f.value, "compressed with "+algorithm) || f.name == "attls.payload.text"
			}) {
				t.Errorf("%v", shown)
			}
		})
	}
}

// TestFaults: broken bodies are shown as such, and tshark reads on.
func TestFaults(t *testing.T) {
	program := tshark(t)
	name := "early-attestation-06"
	p, err := profile.Load(name, profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var runs []scenario.Scenario
	for i, f := range cases.All().Faults(p, scenario.Scenario{Profile: name}) {
		if everything() || i%6 == 0 {
			runs = append(runs, scenario.Scenario{Profile: name, Fail: f.ID})
		}
	}
	file := record(t, runs)
	shown := read(t, program, p, file.file)
	if !slices.ContainsFunc(shown, func(f field) bool { return f.name == "attls.alert" }) {
		t.Error("no alert of the profile is shown")
	}
	if everything() && !slices.ContainsFunc(shown, func(f field) bool { return f.name == "attls.error" }) {
		t.Error("no error is shown")
	}
}

// TestHostileProfiles: whatever a profile says, tshark loads its dissector and reads on.
func TestHostileProfiles(t *testing.T) {
	program := tshark(t)
	file := record(t, []scenario.Scenario{{Profile: "early-attestation-06"}})
	var nested strings.Builder
	for i := range 7 {
		fmt.Fprintf(&nested, "  struct { T%d a; T%d b; T%d c; } T%d;\n", i+1, i+1, i+1, i)
	}
	long := strings.Repeat("n", 200)
	fields, names := "", ""
	for i, word := range luaWords {
		fields += fmt.Sprintf("  struct { opaque %s<1..255>; } T%d;\n", word, i)
		names += fmt.Sprintf("T%d %s; ", i, word)
	}
	for name, text := range map[string]string{
		"lua words": "profile: \"end\"\nbase: early-attestation-06\ntypes: |\n" + fields + "  struct { " + names +
			"opaque cmw_payload<1..2^16-1>; } Payload;\nextensions: {remoteAttestation: {certificate: {body: Payload}}}\n",
		"long names": "profile: " + long + "\nbase: early-attestation-06\ntypes: |\n  struct { uint8 " + long + "; uint8 " + long +
			"x; opaque cmw_payload<1..2^16-1>; } Payload;\nextensions: {remoteAttestation: {certificate: {body: Payload}}}\n",
		"quotes": "profile: \"'\\\"%d%s%n\\\\\"\nbase: early-attestation-06\ncode_points:\n  alerts: {\"a\\\"']]--\": 200}\nalerts: {binder_mismatch: \"a\\\"']]--\"}\n",
		"text": "profile: \"x\\\"]] os.exit(1) --\\n%s%n\"\nbase: early-attestation-06\n" +
			"draft: {note: \"]] \\\\ \\u202e \\\" ..\"}\n",
		"slots": "profile: slots\nbase: early-attestation-06\nbind:\n  slots:\n    server_attester: null\n" +
			"    \"..\": {attester: server, offer: client_hello.remoteAttestation.server_attester_schemes, " +
			"choice: encrypted_extensions.remoteAttestation.chosen_server_scheme}\n",
		"nested": "profile: nested\nbase: early-attestation-06\ntypes: |\n" + nested.String() +
			"  struct { uint8 x; } T7;\n  struct { T0 all; opaque cmw_payload<1..2^16-1>; } Payload;\n" +
			"extensions: {remoteAttestation: {certificate: {body: Payload}}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			p, err := profile.Parse("hostile.yaml", []byte(text), profile.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if shown := read(t, program, p, file.file); len(shown) == 0 {
				t.Error("nothing is shown")
			}
		})
	}
}

// luaWords are what Lua and Wireshark's own tables call things.
var luaWords = []string{"and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local",
	"nil", "not", "or", "repeat", "return", "then", "true", "until", "while", "__index", "__gc", "_G", "os", "io", "keys", "at"}

func TestScriptIsText(t *testing.T) {
	for _, name := range profile.Names() {
		p, err := profile.Load(name, profile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		script, err := wireshark.Dissector(p)
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := bytes.Cut(script, []byte("\n\n"))
		for _, b := range head {
			if b > '~' || b < ' ' && b != '\n' && b != '\t' {
				t.Fatalf("%s: octet %#x in front of the interpreter", name, b)
			}
		}
	}
	if _, err := wireshark.Dissector(&profile.Profile{}); err == nil {
		t.Error("a dissector of a profile that no loader made")
	}
}

func tshark(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not here")
	}
	return program
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// recorded are the connections of scenarios in a file, and what came after each handshake.
type recorded struct {
	file  string
	later [][]trace.Step
}

func record(t *testing.T, runs []scenario.Scenario, options ...scenario.Option) (out recorded) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "run.pcapng")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := capture.NewWriter(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for _, s := range runs {
		r := scenario.Run(ctx, s, append(options, scenario.Capture(w), scenario.Find(cases.Find))...)
		if r.Err != nil {
			t.Fatalf("%+v: %v", s, r.Err)
		}
		_, later := divide(r.Ladder)
		out.later = append(out.later, later)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	out.file = name
	return out
}

// divide divides the messages of a ladder behind the handshake's last Finished.
func divide(ladder []trace.Step) (handshake, later []trace.Step) {
	finished := map[string]bool{}
	for _, s := range ladder {
		switch {
		case s.Bytes() == nil:
		case len(finished) == 2:
			later = append(later, s)
		default:
			handshake = append(handshake, s)
			if s.What == attls.KindFinished.String() {
				finished[s.From] = true
			}
		}
	}
	return handshake, later
}

// field is a field that tshark shows: octets in hexadecimal, texts as they are.
type field struct{ name, value string }

type pdml struct {
	Packets []struct {
		Protos []element `xml:"proto"`
	} `xml:"packet"`
}

type element struct {
	Name   string    `xml:"name,attr"`
	Show   string    `xml:"show,attr"`
	Value  string    `xml:"value,attr"`
	Fields []element `xml:"field"`
}

func (e *element) list(out []field) []field {
	if name := e.Name; strings.HasPrefix(name, "attls.") {
		value := e.Value
		if text(name) {
			value = e.Show
		}
		out = append(out, field{name, value})
	}
	for i := range e.Fields {
		out = e.Fields[i].list(out)
	}
	return out
}

// text reports whether a field has a text of the dissector's own.
func text(name string) bool {
	for _, end := range []string{".offer", ".choice", ".text", ".message", ".sender", ".error", ".label", ".form"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

func read(t *testing.T, program string, p *profile.Profile, file string) (list []field) {
	t.Helper()
	script, err := wireshark.Dissector(p)
	if err != nil {
		t.Fatal(err)
	}
	lua := filepath.Join(t.TempDir(), "attls.lua")
	write(t, lua, string(script))
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	// A random port may be that of another protocol, such as 44322 of PMPROXY, to which the octets go otherwise.
	c := exec.CommandContext(ctx, program, "-n", "-o", "tcp.try_heuristic_first:TRUE", "-r", file, "-X", "lua_script:"+lua, "-T", "pdml")
	c.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir())
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil || strings.Contains(strings.ToLower(stderr.String()), "lua") {
		t.Fatalf("tshark: %v, %s", err, stderr.String())
	}
	if bytes.Contains(out, []byte("Lua Error")) {
		t.Fatal("tshark shows an error of the script")
	}
	var doc pdml
	if err := xml.Unmarshal(out, &doc); err != nil {
		t.Fatal(err)
	}
	for _, packet := range doc.Packets {
		for i := range packet.Protos {
			list = packet.Protos[i].list(list)
		}
	}
	return list
}

// compare compares what tshark shows of a file with what attls decodes.
func compare(t *testing.T, program string, p *profile.Profile, made recorded) {
	t.Helper()
	f, err := os.Open(made.file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in, err := capture.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	e := expectation{p: p}
	for n, c := range in.Connections {
		d := dissect.Dissect(c, in.Keys, p)
		if !d.Complete {
			t.Fatalf("the capture is not complete: %v", d.Notes)
		}
		steps, later := divide(d.Ladder)
		if len(later) == 0 { // messages in application data, which it does not open
			later = made.later[n]
		}
		for _, s := range append(steps, later...) {
			e.step(t, &s)
		}
		if p.InCertificate() {
			for _, a := range d.Attestation {
				e.add("attls.payload.text", a.Payload)
			}
		}
	}
	if len(e.want) == 0 {
		t.Fatal("nothing to compare")
	}
	var got []field
	for _, f := range read(t, program, p, made.file) {
		if e.compared(f.name) {
			got = append(got, f)
		}
	}
	want := sorted(e.want)
	got = sorted(got)
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(want):
			t.Errorf("tshark shows %v more", got[i])
		case i >= len(got):
			t.Errorf("tshark does not show %v", want[i])
		case want[i] != got[i]:
			t.Errorf("tshark: %v, attls: %v", got[i], want[i])
		default:
			continue
		}
		break
	}
	t.Logf("%d fields compared", len(want))
}

func sorted(list []field) []field {
	slices.SortFunc(list, func(a, b field) int {
		return strings.Compare(a.name+"="+a.value, b.name+"="+b.value)
	})
	return list
}

// expectation collects the fields of a capture as attls reads them.
type expectation struct {
	p    *profile.Profile
	want []field
}

func (e *expectation) add(name, value string) { e.want = append(e.want, field{name, value}) }

// compared reports whether a name is one of those that the expectation has: the fields of
// the profile's bodies, and what they mean.
func (e *expectation) compared(name string) bool {
	if name == "attls.payload.text" {
		return true
	}
	prefixes := []string{}
	for _, x := range e.p.Extensions {
		if name == "attls."+x.Name {
			return false
		}
		prefixes = append(prefixes, x.Name)
	}
	for _, x := range e.p.LaterExtensions {
		prefixes = append(prefixes, x.Name)
	}
	for i := range e.p.Later {
		if name == "attls."+e.p.Later[i].Name+".offer" {
			return true
		}
	}
	for _, m := range e.p.Messages {
		prefixes = append(prefixes, m.Name)
	}
	for _, s := range e.p.Slots {
		for _, what := range []string{"offer", "choice", "nonce"} {
			if name == "attls."+s.Name+"."+what {
				return true
			}
		}
		for _, what := range []string{"offer.", "choice.", "payload"} {
			if strings.HasPrefix(name, "attls."+s.Name+"."+what) {
				return false
			}
		}
	}
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, "attls."+p+".") }) &&
		slices.ContainsFunc(e.want, func(f field) bool { return f.name == name })
}

func (e *expectation) step(t *testing.T, s *trace.Step) {
	t.Helper()
	if s.Bytes() == nil {
		return
	}
	m, err := message.ParseRaw(s.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	sender := attls.RoleClient
	if s.From == attls.RoleServer.String() {
		sender = attls.RoleServer
	}
	switch m.Kind {
	case attls.KindClientHello:
		var x message.ClientHello
		check(t, x.Unmarshal(m.Body()))
		e.list(t, m.Kind, sender, x.Extensions)
		f := e.p.NewFields()
		e.p.DecodeRandom(x.Random, f)
		for i, nonce := range f.Nonces {
			if nonce != nil {
				e.add("attls."+e.p.Slots[i].Name+".nonce", hex.EncodeToString(nonce))
			}
		}
	case attls.KindServerHello, attls.KindHelloRetryRequest:
		var x message.ServerHello
		check(t, x.Unmarshal(m.Body()))
		e.list(t, m.Kind, sender, x.Extensions)
	case attls.KindEncryptedExtensions:
		var x message.EncryptedExtensions
		check(t, x.Unmarshal(m.Body()))
		e.list(t, m.Kind, sender, x.Extensions)
	case attls.KindCertificateRequest, attls.KindClientCertificateRequest:
		var x message.CertificateRequest
		check(t, x.Unmarshal(m.Body()))
		e.list(t, m.Kind, sender, x.Extensions)
	case attls.KindCertificate:
		e.certificate(t, sender, m.Body())
	case attls.KindCompressedCertificate:
		var x message.CompressedCertificate
		check(t, x.Unmarshal(m.Body()))
		zlib, _ := certcompress.ByName("zlib")
		body, err := zlib.Decompress(x.Compressed, int(x.UncompressedLength))
		if err != nil {
			t.Fatal(err)
		}
		e.certificate(t, sender, body)
	case attls.KindUnknown, attls.KindAdded:
		for i, a := range e.p.Messages {
			if a.Type == m.Type {
				v, err := e.p.MessageCodec(i, sender).Decode(m.Body())
				check(t, err)
				e.values(a.Name, &v)
				f := e.p.NewFields()
				if err := e.p.DecodeMessage(i, sender, m.Body(), f); err != nil {
					t.Fatal(err)
				}
				e.meaning(profile.Place{Message: attls.KindAdded, Added: i}, f)
			}
		}
	}
}

func (e *expectation) certificate(t *testing.T, sender attls.Role, body []byte) {
	t.Helper()
	var x message.Certificate
	check(t, x.Unmarshal(body))
	for _, entry := range x.Entries {
		if text := trace.DescribeCMW(entry.Data); strings.HasPrefix(text, "CMW") {
			e.add("attls.payload.text", text)
		}
		e.list(t, attls.KindCertificate, sender, entry.Extensions)
	}
}

func check(t *testing.T, err *attls.Error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (e *expectation) list(t *testing.T, kind attls.MessageKind, sender attls.Role, l extensions.List) {
	t.Helper()
	for _, x := range l {
		if row, ok := e.p.LaterExtension(x.Type); ok {
			e.later(t, kind, sender, row.Name, &x)
			continue
		}
		f := e.p.NewFields()
		row, own := e.p.Extension(x.Type)
		if own {
			v, err := e.p.Codec(kind, sender, x.Type).Decode(x.Body)
			check(t, err)
			e.values(row.Name, &v)
		} else if e.p.NonceIn(kind, x.Type) < 0 {
			continue
		}
		if err := e.p.Decode(kind, sender, x.Type, x.Body, f); err != nil {
			t.Fatal(err)
		}
		e.meaning(profile.Place{Message: kind, Extension: x.Type}, f)
	}
}

// later are the fields of an extension of exported authenticators.
func (e *expectation) later(t *testing.T, kind attls.MessageKind, sender attls.Role, name string, x *extensions.Extension) {
	t.Helper()
	for i := range e.p.Later {
		s := &e.p.Later[i]
		switch {
		case s.Offer.Message == kind && s.Offer.Extension == x.Type && sender != s.Attester:
			e.add("attls."+s.Name+".offer", "the "+s.Attester.String()+" is to attest")
		case kind == attls.KindCertificate && s.Extension == x.Type && sender == s.Attester:
			if s.Object >= 0 { // the script shows the object, behind its length
				e.add("attls."+name+"."+s.Path, hex.EncodeToString(x.Body[2:]))
				continue
			}
			payload, err := e.p.DecodeLater(i, x.Body, nil)
			if err != nil {
				t.Fatal(err)
			}
			e.add("attls."+name+"."+s.Path, hex.EncodeToString(payload))
			e.add("attls.payload.text", trace.DescribeCMW(payload))
		}
	}
}

// meaning is what "attls decode" says of the fields in a place.
func (e *expectation) meaning(here profile.Place, f *profile.Fields) {
	for i := range e.p.Slots {
		s := &e.p.Slots[i]
		name := "attls." + s.Name
		if s.Offer == here && f.Offered[i] {
			if len(f.Offers[i]) == 0 {
				e.add(name+".offer", "none")
			}
			for _, o := range f.Offers[i] {
				e.add(name+".offer", trace.SchemeName(o))
			}
		}
		if s.Choice == here && f.Choices[i] != nil {
			e.add(name+".choice", trace.SchemeName(*f.Choices[i]))
		}
		if s.Nonce == here && f.Nonces[i] != nil {
			e.add(name+".nonce", hex.EncodeToString(f.Nonces[i]))
		}
	}
	for _, payload := range append([][]byte{f.Payload}, f.Payloads...) {
		if payload != nil {
			e.add("attls.payload.text", trace.DescribeCMW(payload))
		}
	}
}

// values are the fields of a body.
func (e *expectation) values(name string, v *schema.Value) {
	var walk func(prefix string, v *schema.Value)
	walk = func(prefix string, v *schema.Value) {
		switch v.Kind {
		case schema.KindNumber:
			e.add(prefix, hex.EncodeToString(v.Wire))
		case schema.KindOctets:
			e.add(prefix, hex.EncodeToString(v.Octets))
		}
		for i := range v.Items {
			item := &v.Items[i]
			switch {
			case v.Kind != schema.KindList:
				walk(prefix+"."+item.Name, item)
			case item.Kind == schema.KindStruct:
				walk(prefix, item)
			default:
				walk(prefix+".item", item)
			}
		}
	}
	prefix := "attls." + name
	if v.Kind != schema.KindStruct {
		prefix += ".octets"
	}
	walk(prefix, v)
}
