package profile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"attls"
	"attls/extensions"
	"attls/internal/seeds"
)

// TestEveryProfileLoads also knows every warning.
func TestEveryProfileLoads(t *testing.T) {
	warnings := map[string][]string{
		"tls-attestation-00": {"no path names nonce of client_attestation_type in client_hello", "no path names nonce of server_attestation_type in encrypted_extensions"},
		"tls-attestation-03": {"map: the grammar accepts 0 to 255 octets and the binder takes 8 to 64"},
		"tls-attestation-05": {"map: the grammar accepts 8 to 255 octets and the binder takes 8 to 64"},
	}
	for alias, name := range map[string]string{"tls-attestation-01": "tls-attestation-00", "tls-attestation-04": "tls-attestation-03", "tls-attestation-06": "tls-attestation-05"} {
		warnings[alias] = warnings[name]
	}
	files, err := filepath.Glob("profiles/*.yaml")
	if err != nil || len(files) < 25 || len(Names()) != len(files) {
		t.Errorf("%d profiles of %d files: %v, %v", len(Names()), len(files), Names(), err)
	}
	for _, name := range Names() {
		p := mustLoad(t, name, Options{})
		if p.ID != name || p.Status == "" || p.Date == "" || p.DraftName == "" || p.Revision == "" {
			t.Errorf("%s: %+v", name, p.ID)
		}
		for i, w := range p.Warnings {
			if i >= len(warnings[name]) || !strings.Contains(w.Text, warnings[name][i]) {
				t.Errorf("%s: unexpected: %v", name, w)
			}
		}
		if len(p.Warnings) != len(warnings[name]) {
			t.Errorf("%s: %d warnings", name, len(p.Warnings))
		}
	}
}

// TestAliases: revisions that share their bytes share everything but a name.
func TestAliases(t *testing.T) {
	for alias, name := range map[string]string{
		"tls-attestation-01": "tls-attestation-00", "tls-attestation-06": "tls-attestation-05", "tls-attestation-08": "tls-attestation-07",
		"tls-attestation-09": "tls-attestation-07", "early-attestation-01": "early-attestation-00", "early-attestation-02": "early-attestation-00",
		"early-attestation-06": "early-attestation-05", "early-attestation-07": "early-attestation-05",
		"draft-fossati-tls-attestation-07": "tls-attestation-07", "draft-fossati-seat-early-attestation-06": "early-attestation-06",
	} {
		if fingerprint(t, mustLoad(t, alias, Options{})) != fingerprint(t, mustLoad(t, name, Options{})) {
			t.Errorf("%s differs from %s", alias, name)
		}
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"early-atestation-06": `no profile is named "early-atestation-06"; did you mean early-attestation-06?`,
		"./nowhere.yaml":      "no such file",
	} {
		if _, err := Load(name, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Load("early-attestation-06", Options{Readings: map[string]string{"hr": "a"}}); err == nil || !strings.Contains(err.Error(), "no switch hr; did you mean hrr?") {
		t.Error(err)
	}
	if _, err := Load("early-attestation-06", Options{Readings: map[string]string{"hrr": "x"}}); err == nil || !strings.Contains(err.Error(), "x is not a reading of hrr, which has a, b, c, d") {
		t.Error(err)
	}
}

// write puts files into a directory of the test.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestResearcher does what somebody who changes a draft does: another name, a
// field more, the payload in another extension, another label; each in a file
// on a base, without Go.
func TestResearcher(t *testing.T) {
	dir := write(t, map[string]string{
		"mine.yaml": `profile: mine
base: early-attestation-06
code_points: {extensions: {carrier: 0xFF77}}
types: |
  struct {
      select (Handshake.msg_type) {
          case client_hello:
              uint8 version = 3;
              AttestationScheme server_attester_schemes<0..2^16-1>;
              AttestationScheme client_attester_schemes<0..2^16-1>;
          case encrypted_extensions:
              AttestationScheme chosen_server_scheme;
          case certificate_request:
              AttestationScheme chosen_client_scheme;
      };
  } remoteAttestation;
  struct { opaque cmw<1..2^16-1>; } Carrier;
extensions:
  remoteAttestation: {certificate: null}
  carrier:
    body: Carrier
    certificate: {entries: first, offered_by: {server: [client_hello.remoteAttestation], client: [certificate_request.remoteAttestation]}}
bind: {credentials: {x509: {carried_in: certificate.carrier.cmw}}}
binder:
  define:
    base: 'expand_label(zero, "my base", hash(CH..SH), Hash.length)'
accepted_flaws: {answer_not_offered: this is an experiment}
`,
		"again.yaml": "profile: again\nbase: mine.yaml\ndraft: {status: experiment}\n",
		"loop.yaml":  "profile: loop\nbase: ./loop.yaml\n",
		"above.yaml": "profile: bad\nbase: ./none.yaml\n",
		"null.yaml":  "profile: bad\nbase: early-attestation-06\nquirks: null\n",
		"nonce.yaml": "profile: bad\nbase: tls-attestation-07\nnonce: {default: 0x01}\n",
		"text.yaml":  "profile: bad\nbase: early-attestation-00\nswitches: {labels: {published: {main: [main]}}}\n",
	})
	p := mustLoad(t, filepath.Join(dir, "again.yaml"), Options{})
	if p.ID != "again" || p.Status != "experiment" || len(p.Warnings) != 0 {
		t.Errorf("%+v", p.Warnings)
	}
	f := p.NewFields()
	f.Offered[0], f.Offers[0] = true, expressible(p, 0)[:1]
	list, err := p.Encode(ch, client, f)
	if err != nil || len(list) != 1 || list[0].Body[0] != 3 {
		t.Errorf("%x, %v", list, err)
	}
	list[0].Body[0] = 4
	if err := p.Decode(ch, client, list[0].Type, list[0].Body, p.NewFields()); err == nil {
		t.Error("another constant passes")
	}
	f.Payload = []byte{1}
	if list, err = p.Encode(ct, server, f); err != nil || len(list) != 1 || list[0].Type != 0xff77 {
		t.Errorf("%x, %v", list, err)
	}
	for name, want := range map[string]string{
		"loop.yaml":  "2:7: " + filepath.Join(dir, "loop.yaml") + " is its own base",
		"null.yaml":  "3:1: null deletes quirks, and the base has none",
		"nonce.yaml": "3:18: a nonce of 1 octets; slot evidence_request takes 8 to 255",
		"text.yaml":  "$labels.main is a list and is used inside a text",
		"":           "is not a regular file",
		"none.yaml":  "none.yaml: no such file or directory",
		"above.yaml": "above.yaml:2:7: ",
	} {
		if _, err := Load(dir+"/"+name, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAlertPrecedence: the alert of one model stands above that of both.
func TestAlertPrecedence(t *testing.T) {
	for _, alerts := range []string{"no_scheme: decode_error, no_scheme.results: access_denied", "no_scheme.results: access_denied, no_scheme: decode_error"} {
		p, err := Parse("alerts.yaml", []byte("profile: x\nbase: early-attestation-05\nalerts: {no_scheme: null}\n"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		src := strings.Replace(p.Source(), "alerts:\n", "alerts:\n  "+strings.ReplaceAll(alerts, ", ", "\n  ")+"\n", 1)
		src = strings.Replace(strings.Replace(src, "\nbase:", "\n#", 1), "unsupported_attestation_schemes: 224, ", "", 1)
		src = strings.ReplaceAll(src, ": unsupported_attestation_schemes", ": decode_error")
		if p, err = Parse("alerts.yaml", []byte(src), Options{}); err != nil {
			t.Fatalf("%v\n%s", err, src)
		}
		if e, r := p.AlertFor(attls.FailNoSchemeEvidence).Alert, p.AlertFor(attls.FailNoSchemeResults).Alert; e != attls.AlertDecodeError || r != attls.AlertAccessDenied {
			t.Errorf("%s: %v and %v", alerts, e, r)
		}
	}
}

// TestUnplacedArm warns of a case for a message that never carries the extension.
func TestUnplacedArm(t *testing.T) {
	p, err := Parse("arm.yaml", []byte(`profile: x
base: early-attestation-04
types: |
  struct {
      select (Handshake.msg_type) {
          case client_hello:         EvidenceType supported_evidence_types<1..2^8-1>;
          case server_hello:         uint8 nothing;
          case encrypted_extensions: EvidenceType selected_evidence_type;
      };
  } evidenceTypeExtension;
  struct { uint8 x; } Unused;
`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	text := p.Warnings.Error()
	for _, want := range []string{"arm.yaml:7:", "arm.yaml:11:23: warning: nothing uses the type Unused"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not told:\n%s", want, text)
		}
	}
	x, _ := p.Extension(typeOf(t, p, "attestation"))
	if len(x.Placements) != 1 || !x.Placements[0].PostHandshake || x.Placements[0].Entries != extensions.EntriesFirst {
		t.Errorf("%+v", x)
	}
}

func FuzzParse(f *testing.F) {
	seeds.Add(f, func() {
		for _, name := range Names() {
			_, src, err := source(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(src))
		}
		f.Add("a: &x [*x]")
		f.Add("profile: x\nswitches: {a: {amb: 1, default: b, b: $a, c: $a.b}}\ntypes: $a")
	})
	f.Fuzz(func(t *testing.T, src string) {
		seeds.Input(t, src)
		p, err := Parse("fuzz.yaml", []byte(src), Options{})
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error that says nothing")
			}
			return
		}
		for i := range p.Slots {
			expressible(p, i)
		}
		if _, err := Parse("again.yaml", []byte(strings.Replace(p.Source(), "\nbase:", "\n#", 1)), Options{}); err != nil {
			t.Fatalf("what is printed does not load: %v\n%s", err, p.Source())
		}
	})
}
