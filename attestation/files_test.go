package attestation

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"attls/extensions/profile"
	"attls/negotiation"

	"go.yaml.in/yaml/v3"
)

func write(t *testing.T, name string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestFiles: what is written is read back and makes the same Evidence.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	s, v := testDemo()
	s.Offers = []Offer{{Format: profile.Format{ContentFormat: FormatCWT}}, {Format: PrototypeFormat, Tokens: Combined, JSON: false}}
	v.Formats = []profile.Format{{ContentFormat: FormatCWT}, {MediaType: MediaTypeCWT}, PrototypeFormat}
	v.References = append(v.References, Reference{Name: "prototype", Prototype: true}, Reference{Name: "TPM", PCRDigests: [][]byte{make([]byte, 32)}})
	v.Validity, v.MaxAge, v.Skew, v.Limits.Size = time.Minute, time.Hour, time.Second, 5000
	verifier, err := v.File()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "verifier.yaml"), verifier)
	attester, err := s.File(map[string]string{DemoVerifier: "verifier.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := LoadSoftware(write(t, filepath.Join(dir, "attester.yaml"), attester))
	if err != nil {
		t.Fatal(err)
	}
	v2, err := LoadVerifier(filepath.Join(dir, "verifier.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := v2.File(); err != nil || !bytes.Equal(again, verifier) {
		t.Errorf("the verifier's file changes:\n%s\n%s", verifier, again)
	}
	if again, err := loaded.File(map[string]string{DemoVerifier: "verifier.yaml"}); err != nil || !bytes.Equal(again, attester) {
		t.Errorf("the attester's file changes:\n%s\n%s", attester, again)
	}
	if !reflect.DeepEqual(loaded.Schemes(), s.Schemes()) || !reflect.DeepEqual(v2.Schemes(), v.Schemes()) || !v2.References[1].Prototype {
		t.Errorf("schemes %v and %v, references %+v", loaded.Schemes(), v2.Schemes(), v2.References)
	}
	loaded.Clock, v2.Clock, loaded.Relays[0].Verifier.(*Verifier).Clock = testClock, testClock, testClock
	for _, scheme := range s.Schemes() {
		r := negotiation.EvidenceRequest{Scheme: scheme, Challenge: testChallenge, SPKI: testSPKI(t)}
		ev := attest(t, loaded, r)
		if want := attest(t, s, r); !bytes.Equal(ev.CMW, want.CMW) {
			t.Errorf("%v: other octets than before", scheme)
		}
		verdict := appraise(t, v2, r, ev.CMW)
		accepted(t, verdict)
	}
}

// TestFileErrors: every error says where.
func TestFileErrors(t *testing.T) {
	s, _ := testDemo()
	_, ed, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	attester := string(must(s.File(nil)))
	for _, test := range []struct{ name, file, says string }{
		{"unknown member", "identity: x\nidentiti: y\n", "f.yaml:2: field identiti not found"},
		{"syntax", "identity: [x\n", "f.yaml:"},
		{"endorsement without a key", "endorsements:\n- name: x\n  key: not a key\n", "f.yaml:3: a key is PEM or base64"},
		{"private for public", "endorsements:\n- name: x\n  key: |\n" + block(t, privateKey{s.PlatformKey}), `f.yaml:3: PEM of type "PRIVATE KEY"`},
		{"no SPKI", "endorsements:\n- name: x\n  key: AAAA\n", "f.yaml:3: attls: subjectPublicKeyInfo"},
		{"digest", "references:\n- name: x\n  components:\n  - name: c\n    digests: [xyz]\n", `f.yaml:5: "xyz" is no octet string`},
		{"digest's length", "references:\n- name: x\n  components:\n  - name: c\n    digests: [0102]\n", `f.yaml:5: a digest of 2 octets`},
		{"endorsement with no key", "endorsements:\n- name: x\n", `the endorsement "x" has no key`},
		{"trusted with no key", "trusted_verifiers:\n- identity: x\n", `the trusted verifier "x" needs`},
		{"key for results", "signing_key: |\n" + block(t, privateKey{ed}), "signing_key: results are signed with ES256"},
		{"debug", "references:\n- name: x\n  debug: maybe\n", `f.yaml:3: "maybe" is none of enabled, disabled`},
		{"format", "formats: [70000]\n", `f.yaml:1: "70000" is neither a content format`},
		{"duration", "validity: soon\n", "f.yaml:1: cannot unmarshal"},
		{"negative", "validity: -1h\n", "f.yaml: a negative duration"},
		{"two errors", "formats: [x]\nvalidity: soon\n", "f.yaml:"},
		{"too long", strings.Repeat("#", maxFile+1), "at most 1048576"},
	} {
		name := write(t, filepath.Join(t.TempDir(), "f.yaml"), []byte(test.file))
		if _, err := LoadVerifier(name); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", test.name, err, test.says)
		}
	}
	for _, test := range []struct{ name, old, new, says string }{
		{"no key", attester, "platform: {ueid: 0102030405060708, debug: enabled, profile: tag:a}\n", "platform_key and key_attestation_key are needed"},
		{"ueid", "ueid: ", "ueid: ff", "invalid UEID type 255"},
		{"tokens", "platform:", "offers: [{format: 263, tokens: both}]\nplatform:", `"both" is none of kat-and-pat, combined, prototype`},
		{"relay", "platform:", "relays: [{identity: x, verifier: missing.yaml}]\nplatform:", "missing.yaml"},
		{"public for private", attester, "platform_key: |\n" + block(t, publicKey{s.PlatformKey.Public()}), `f.yaml:1: PEM of type "PUBLIC KEY"`},
	} {
		file := strings.Replace(attester, test.old, test.new, 1)
		name := write(t, filepath.Join(t.TempDir(), "f.yaml"), []byte(file))
		if _, err := LoadSoftware(name); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", test.name, err, test.says)
		}
	}
	if _, err := LoadVerifier(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there is read")
	}
}

// block is a PEM key indented as a YAML literal.
func block(t *testing.T, key yaml.Marshaler) string {
	t.Helper()
	text, err := key.MarshalYAML()
	if err != nil {
		t.Fatal(err)
	}
	return "    " + strings.ReplaceAll(text.(string), "\n", "\n    ") + "\n"
}
