package profile

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"attls"
)

// TestLintFindsTheDefects of the published texts.
func TestLintFindsTheDefects(t *testing.T) {
	for _, w := range []struct{ profile, flaw, want string }{
		{"early-attestation-00", "context_bound", "large keys cannot be bound"},
		{"early-attestation-03", "context_bound", "large keys cannot be bound"},
		{"early-attestation-03", "payload_bound", "the ceiling of cmw_payload is 16777215 octets, and attestation in certificate has room for 65528"},
		{"early-attestation-06", "payload_bound", "the ceiling of cmw_payload is 16777215 octets, and remoteAttestation in certificate has room for 65528"},
		{"early-attestation-04", "answer_not_offered", "attestation in certificate answers what was offered under another number"},
		{"tls-attestation-03", "answer_not_offered", "attestation_evidence in certificate answers what was offered under another number"},
		{"tls-attestation-09", "number_taken", "attestation_evidence has the number 60, which IANA gave to sequence_number_encryption_algorithms"},
		{"tls-attestation-02", "element_bound", "the ceiling of supported_evidence_types[].media_type is 65535 octets, and evidence_request in client_hello has room for 252"},
	} {
		found := false
		for _, p := range Lint(w.profile) {
			found = found || p.Warning && strings.Contains(p.Text, w.want) && strings.Contains(p.Advice, "acknowledged as "+w.flaw)
			if !p.Warning {
				t.Errorf("%s: %v", w.profile, p)
			}
		}
		if !found {
			t.Errorf("%s: %s is not told:\n%v", w.profile, w.want, Lint(w.profile))
		}
	}
}

// TestLintReadings: a mistake in a reading that nobody chose is told.
func TestLintReadings(t *testing.T) {
	dir := write(t, map[string]string{
		"a.yaml": "profile: a\nbase: early-attestation-06\nswitches: {hrr: {a: ch1}, results_binder: {bound: key_bond}}\n",
		"b.yaml": "profile: b\nbase: early-attestation-06\nswitch: {}\n",
	})
	text := Lint(dir + "/a.yaml").Error()
	for _, want := range []string{
		"a.yaml:3:21: with hrr=a: binder.transcript is one of rfc8446, ch1_sh, as_sent, ch2_sh, not ch1",
		`a.yaml:3:51: with results_binder=bound: challenge.results/x509: nothing defines "key_bond"; did you mean key_bound?`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("not told: %s\n%s", want, text)
		}
	}
	if text = Lint(dir + "/b.yaml").Error(); !strings.Contains(text, "b.yaml:3:1: a profile has no key switch; did you mean switches?") {
		t.Error(text)
	}
}

// TestNew: a new file says what its base says, as it is and with everything in it
// uncommented.
func TestNew(t *testing.T) {
	for _, base := range Names() {
		text, err := New("mine", base)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(text, "\n## numbers; every one can be overridden for a run\n# code_points:\n") && base != "mbedtls-poc" && !strings.HasPrefix(base, "deployed-") && !strings.HasPrefix(base, "seat-expat-") && !strings.HasPrefix(base, "exported-attestation-") || strings.Contains(text, "# profile:") {
			t.Error(text)
		}
		head, body, _ := strings.Cut(text, "\ndraft: {")
		_, body, _ = strings.Cut(body, "\n")
		var lines []string
		for _, l := range strings.Split(body, "\n") {
			lines = append(lines, strings.TrimPrefix(l, "# "))
		}
		want := fingerprint(t, mustLoad(t, base, Options{}))
		for _, text := range []string{text, head + "\n" + strings.Join(lines, "\n")} {
			p, err := Parse("mine.yaml", []byte(text), Options{})
			if err != nil || p.ID != "mine" || fingerprint(t, p) != want {
				t.Errorf("%s: %v\n%s", base, err, text)
			}
		}
	}
}

// TestNewOnFile: the base of a new file may be a file in the same directory.
func TestNewOnFile(t *testing.T) {
	t.Chdir(write(t, map[string]string{"first.yaml": "profile: first\nbase: early-attestation-06\n"}))
	text, err := New("second", "first.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("second.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if p := mustLoad(t, "second.yaml", Options{}); p.ID != "second" {
		t.Error(p.ID)
	}
}

// TestLintText: a text that is in no file is told of like one that is.
func TestLintText(t *testing.T) {
	problems := LintText("-", []byte("profile: a\nbase: early-attestation-06\nbindder: {}\n"))
	if got := problems.Err(); got == nil || !strings.HasPrefix(got.Error(), "-:3:1: a profile has no key bindder; did you mean binder?") {
		t.Error(got)
	}
	if problems = LintText("-", []byte("profile: a\nbase: early-attestation-06\n")); problems.Err() != nil {
		t.Error(problems)
	}
}

// TestReferenceUpToDate: docs/profile-reference.md is what WriteReference writes.
func TestReferenceUpToDate(t *testing.T) {
	var b strings.Builder
	if err := WriteReference(&b); err != nil {
		t.Fatal(err)
	}
	if have, err := os.ReadFile("../../docs/profile-reference.md"); err != nil || string(have) != b.String() {
		t.Errorf("docs/profile-reference.md is out of date (%v): attls profile reference --markdown > docs/profile-reference.md", err)
	}
}

func TestDiff(t *testing.T) {
	load := func(name string) *Profile { return mustLoad(t, name, Options{}) }
	d := Diff(load("tls-attestation-06"), load("tls-attestation-07"))
	got := map[string]string{}
	for _, c := range d.Changes {
		got[c.Path] = c.Section + ": " + c.A + " -> " + c.B
	}
	for path, want := range map[string]string{
		"binder.define.map":                       "binder: cbor_map(1: within(nonce(role), 8, 64), 2: hash(spki(role)), 3: channel) -> ",
		"binder.define.bound":                     `binder: hash(map) -> exporter(handshake_exporter_secret, "attestation-binder", nonce(role), len(nonce(role)))`,
		"binder.exporters":                        "binder:  -> {handshake: handshake_exporter_secret}",
		"switches.nonce_size":                     "readings:  -> nonce",
		"switches.exporter_secret":                "readings:  -> formula",
		"binder.hand_over.values":                 "binder: [map] -> ",
		"binder.transcript":                       "binder: rfc8446 -> ",
		"switches.hrr":                            "readings: message_hash -> ",
		"switches.eev_transcript":                 "readings: rfc8446 -> ",
		"binder.define.early":                     `binder: derive_secret(early_secret, "e exp master", CH..CH) -> `,
		"binder.define.channel":                   `binder: exporter(early, "attestation-binder", "", 32) -> `,
		"binder.define.handshake_exporter_secret": `binder:  -> derive_secret(handshake_secret, "h exp master", CH..SH)`,
	} {
		if got[path] != want {
			t.Errorf("%s: %q, want %q", path, got[path], want)
		}
		delete(got, path)
	}
	if len(got) != 0 {
		t.Errorf("more changes: %v", got)
	}
	for _, o := range d.Octets {
		if o.A != o.B {
			t.Errorf("octets: %+v", o)
		}
	}
	// The step that swaps two octets and raises the floor of nonces shows in the structures.
	d = Diff(load("tls-attestation-04"), load("tls-attestation-05"))
	types := 0
	for _, c := range d.Changes {
		if c.Section == "structures" {
			types++
		}
	}
	if types != 9 { // two enums go, two come, five structs change
		t.Errorf("%d structures: %+v", types, d.Changes)
	}
	if d := Diff(load("early-attestation-05"), load("early-attestation-07")); len(d.Changes) != 0 {
		t.Errorf("%+v", d.Changes)
	}
	// From a message to an extension: sizes by hand, headers included.
	want := []string{
		"server evidence x509 ClientHello 8 8", "server evidence x509 EncryptedExtensions 7 7", "server evidence x509 Certificate -1 7", "server evidence x509 added message 7 -1",
		"server results x509 ClientHello 16 16", "server results x509 EncryptedExtensions 15 15", "server results x509 Certificate -1 7", "server results x509 added message 7 -1",
		"client evidence x509 ClientHello 8 8", "client evidence x509 EncryptedExtensions 7 7", "client evidence x509 Certificate -1 7", "client evidence x509 added message 7 -1",
		"client results x509 ClientHello 16 16", "client results x509 EncryptedExtensions 15 15", "client results x509 Certificate -1 7", "client results x509 added message 7 -1",
	}
	var lines []string
	for _, o := range Diff(load("early-attestation-02"), load("early-attestation-03")).Octets {
		lines = append(lines, fmt.Sprintf("%s %s %s %s %d %d", o.Attester, o.Model, o.Credential, o.Message, o.A, o.B))
	}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s", strings.Join(lines, "\n"))
	}
}

func TestReference(t *testing.T) {
	var b strings.Builder
	if err := WriteReference(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"* `negotiation.no_scheme.scope` (one of slot, model, all): what is counted\n  * `slot`: any slot without a common scheme counts\n",
		"* `draft.revision`° (a text): its revision\n", "* `bind.slots.NAME.nonce` (a value or a map): path of the nonce, as ",
		"* `alerts` (a map): the alert of each cause; none: go on; close: close without an alert\n",
		"* `spki(role|client|server)`: ", "* `expand_label(secret, label, context, length)`: ", "* `context_bound`: ", "* `binder_mismatch`: bad_certificate\n",
		"* `extensions.NAME.MESSAGE.entries` (one of any, first): ", "MESSAGE is one of client_hello, ",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("missing: %s", want)
		}
	}
	for _, k := range Keys() {
		if k.Meaning == "" {
			t.Errorf("%s has no meaning", k.Path)
		}
	}
	if t.Failed() {
		t.Log(b.String())
	}
}

// TestChoiceInList: a choice may be a list of none or one; of two it is refused.
func TestChoiceInList(t *testing.T) {
	p := mustLoad(t, "../../cmd/attls/testdata/mine.yaml", Options{})
	place := p.Slots[0].Choice
	f := p.NewFields()
	s, ok := p.EncodeScheme(1, Scheme{Credential: KindX509, Format: Format{ContentFormat: 263}})
	if f.Choices[1] = &s; !ok {
		t.Fatal("no scheme")
	}
	list, err := p.Encode(place.Message, server, f)
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	if got, want := fmt.Sprintf("%x", list[0].Body), fmt.Sprintf("00%02x%x", len(s.Wire), s.Wire); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	read := p.NewFields()
	if err := p.Decode(place.Message, server, place.Extension, list[0].Body, read); err != nil || read.Choices[0] != nil || read.Choices[1] == nil {
		t.Errorf("%v: %v", err, read.Choices)
	}
	two := append([]byte{0, byte(2 * len(s.Wire))}, append(append([]byte(nil), s.Wire...), s.Wire...)...)
	var failure *attls.Error
	if err := p.Decode(place.Message, server, place.Extension, two, read); !errors.As(err, &failure) || failure.Failure != attls.FailTwoChoices {
		t.Errorf("two elements: %v", err)
	}
	for _, m := range []struct{ old, new, want string }{
		{"chosen_client_scheme<0..2^8-1>", "chosen_client_scheme", "chosen_server_scheme and chosen_client_scheme are in the same body"},
		{"chosen_server_scheme<0..2^8-1>", "chosen_server_scheme", "chosen_server_scheme and chosen_client_scheme are in the same body"},
		{"chosen_client_scheme<0..2^8-1>", "chosen_client_scheme<1..2^8-1>", "octets at least, so that it cannot say that nothing was chosen"},
	} {
		src, err := os.ReadFile("../../cmd/attls/testdata/mine.yaml")
		if err != nil {
			t.Fatal(err)
		}
		_, err = Parse("mine.yaml", []byte(strings.Replace(string(src), m.old, m.new, 1)), Options{})
		if err == nil || !strings.Contains(err.Error(), m.want) {
			t.Errorf("%s: %v", m.new, err)
		}
	}
}
