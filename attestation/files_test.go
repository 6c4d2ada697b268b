package attestation

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rsa"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"attls/extensions/profile"
	"attls/negotiation"

	"github.com/veraison/eat"
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
	s.Lifetime = time.Hour
	s.Offers = []Offer{{Format: profile.Format{ContentFormat: FormatCWT}}, {Format: PrototypeFormat, Tokens: Combined, JSON: false}}
	v.Formats = []profile.Format{{ContentFormat: FormatCWT}, {MediaType: MediaTypeCWT}, PrototypeFormat}
	v.References = append(v.References, Reference{Name: "prototype", Prototype: true}, Reference{Name: "TPM", PCRDigests: [][]byte{make([]byte, 32)}, PCRs: must(ParsePCRSelection("sha256:0,1,7+sha384:4"))},
		Reference{Name: "debug", OEMPEN: 32473, AllowDebug: true}, Reference{Name: "never debugged", Debug: eat.DebugPermanentDisable})
	v.Endorsements = append(v.Endorsements, Endorsement{Name: "TPM", Key: s.KeyAttestationKey.Public(), References: []string{"TPM"}},
		Endorsement{Name: "implementation", Key: s.KeyAttestationKey.Public(), OEMID: []byte{1, 2, 3}, Model: []byte("model")},
		Endorsement{Name: "maker", Key: s.KeyAttestationKey.Public(), OEMPEN: 32473})
	v.Audiences = []string{"a", "b"}
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
	v2, err := LoadVerifier(filepath.Join(dir, "verifier.yaml"), Formats{})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := v2.File(); err != nil || !bytes.Equal(again, verifier) {
		t.Errorf("the verifier's file changes:\n%s\n%s", verifier, again)
	}
	if again, err := loaded.File(map[string]string{DemoVerifier: "verifier.yaml"}); err != nil || !bytes.Equal(again, attester) {
		t.Errorf("the attester's file changes:\n%s\n%s", attester, again)
	}
	if !reflect.DeepEqual(loaded.Schemes(), s.Schemes()) || !reflect.DeepEqual(v2.Schemes(), v.Schemes()) || !reflect.DeepEqual(v2.References, v.References) {
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
	short := PublicKey{&rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1023, 1), E: 65537}}
	public, zeros := block(t, PublicKey{s.PlatformKey.Public()}), strings.Repeat("00", 32)
	for _, test := range []struct{ name, file, says string }{
		{"unknown member", "identity: x\nidentiti: y\n", "f.yaml:2: field identiti not found"},
		{"syntax", "identity: [x\n", "f.yaml:"},
		{"endorsement without a key", "endorsements:\n- name: x\n  key: not a key\n", "f.yaml:3: a key is PEM or base64"},
		{"private for public", "endorsements:\n- name: x\n  key: |\n" + block(t, PrivateKey{s.PlatformKey}), `f.yaml:3: PEM of type "PRIVATE KEY"`},
		{"no SPKI", "endorsements:\n- name: x\n  key: AAAA\n", "f.yaml:3: attls: subjectPublicKeyInfo"},
		{"digest", "references:\n- name: x\n  components:\n  - name: c\n    digests: [xyz]\n", `f.yaml:5: "xyz" is not an octet string`},
		{"digest's length", "references:\n- name: x\n  components:\n  - name: c\n    digests: [0102]\n", `f.yaml:5: a digest of 2 octets`},
		{"endorsement with no key", "endorsements:\n- name: x\n", `f.yaml:2: the endorsement "x" has no key`},
		{"endorsement for no platform", "references: []\nendorsements:\n- name: x\n  key: |\n" + public, `f.yaml:3: the endorsement "x" names no platform for which its key may speak; add ueids`},
		{"endorsement for an empty list", "endorsements:\n- name: x\n  references: []\n  key: |\n" + public, `f.yaml:3: references says nothing`},
		{"endorsement for no device", "endorsements:\n- name: x\n  oem_pen: 7\n  ueids: []\n  key: |\n" + public, `f.yaml:4: ueids says nothing`},
		{"endorsement for the maker 0", "endorsements:\n- name: x\n  oem_pen: 0\n  key: |\n" + public, `f.yaml:3: oem_pen says nothing`},
		{"reference for no device", "references:\n- name: x\n  ueids: []\n", `f.yaml:3: ueids says nothing`},
		{"reference for no debug state", "references:\n- name: x\n  debug:\n", `f.yaml:3: debug says nothing`},
		{"reference for no model", "references:\n- model: ''\n", `f.yaml:2: model says nothing`},
		{"reference for no digest", "references:\n- components:\n  - name: x\n    digests: []\n", `f.yaml:4: digests says nothing`},
		{"reference for no version", "references:\n- components:\n  - name: x\n    versions: []\n    digests: [" + zeros + "]\n", `f.yaml:4: versions says nothing`},
		{"no digests of PCRs", "references:\n- name: x\n  pcrs: sha256:0\n  pcr_digests: []\n", `f.yaml:4: pcr_digests says nothing`},
		{"no formats", "formats: []\n", `f.yaml:1: formats lists nothing`},
		{"no audiences", "audiences:\n", `f.yaml:1: audiences says nothing`},
		{"no age", "max_result_age: 0s\n", `f.yaml:1: max_result_age is "0s", with which nothing would be accepted`},
		{"no validity", "validity: 0h0m\n", `f.yaml:1: validity is "0h0m"`},
		{"no size", "max_size: 0\n", `f.yaml:1: max_size is "0"`},
		{"endorsement for an unknown reference", "endorsements:\n- name: x\n  references: [y]\n  key: |\n" + public, `f.yaml:3: the endorsement "x" lists the reference "y", and there is none`},
		{"endorsement for a reference without a name", "references: [{}]\nendorsements:\n- name: x\n  references: [\"\"]\n  key: |\n" + public, `f.yaml:4: references says nothing`},
		{"two references of one name", "references:\n- name: x\n- name: x\n", `f.yaml:3: the reference "x" appears twice`},
		{"digests of unnamed PCRs", "references:\n- name: x\n  pcr_digests: [" + zeros + "]\n", `f.yaml:3: the reference "x" has pcr_digests and does not say what they are digests of; add pcrs`},
		{"PCRs without digests", "references:\n- name: x\n  pcrs: sha256:0\n", `f.yaml:3: the reference "x" selects PCRs and accepts no value`},
		{"PCRs without a bank", "references:\n- name: x\n  pcrs: 0,1\n", `f.yaml:3: pcrs: "0,1" is not a bank and its PCRs, as in sha256:0,1,2`},
		{"PCRs of an unknown bank", "references:\n- name: x\n  pcrs: md5:0\n", `f.yaml:3: pcrs: "md5:0" is not a bank`},
		{"a bank without PCRs", "references:\n- name: x\n  pcrs: 'sha256:'\n", `f.yaml:3: pcrs: "" is not the number of a PCR`},
		{"a PCR that does not exist", "references:\n- name: x\n  pcrs: sha256:32\n", `f.yaml:3: pcrs: "32" is not the number of a PCR (0 to 31)`},
		{"a PCR twice", "references:\n- name: x\n  pcrs: sha256:1,1\n", `f.yaml:3: pcrs: the PCR 1 appears twice`},
		{"debug of a TPM", "references:\n- name: x\n  debug: disabled\n  pcrs: sha256:0\n  pcr_digests: [" + zeros + "]\n", `f.yaml:3: the reference "x" states debug`},
		{"a TPM's prototype", "references:\n- name: x\n  prototype: true\n  pcrs: sha256:0\n  pcr_digests: [" + zeros + "]\n", `f.yaml:3: the reference "x" is for a TPM`},
		{"trusted with no key", "trusted_verifiers:\n- identity: x\n", `f.yaml:2: the trusted verifier "x" needs`},
		{"a second document", "identity: x\n---\nreferences: []\n", "f.yaml:2: a second document"},
		{"a member twice", "identity: x\nidentity: y\n", "f.yaml:2: mapping key \"identity\" already defined at line 1"},
		{"an empty file", "", "f.yaml: the file is empty"},
		{"key for results", "signing_key: |\n" + block(t, PrivateKey{ed}), "signing_key: results are signed with ES256"},
		{"debug", "references:\n- name: x\n  debug: maybe\n", `f.yaml:3: "maybe" is none of enabled, disabled`},
		{"format", "formats: [70000]\n", `f.yaml:1: "70000" is neither a content format`},
		{"duration", "validity: soon\n", "f.yaml:1: cannot unmarshal"},
		{"negative", "validity: -1h\n", `f.yaml:1: validity is "-1h", a negative duration`},
		{"a fraction of a nanosecond", "validity: 0.4ns\n", `f.yaml:1: validity is "0.4ns", with which nothing would be accepted`},
		{"a negative zero", "max_result_age: -0s\n", `f.yaml:1: max_result_age is "-0s"`},
		{"no validity, null", "identity: x\nvalidity: null\n", `f.yaml:2: validity says nothing`},
		{"no validity, a tilde", "validity: ~\n", `f.yaml:1: validity says nothing`},
		{"no validity, merged", "<<: {validity: 0s}\n", `f.yaml:1: validity is "0s"`},
		{"no skew, null", "clock_skew: null\n", `f.yaml:1: clock_skew says nothing`},
		{"a negative skew", "identity: x\nclock_skew: -1ns\n", `f.yaml:2: clock_skew is "-1ns", a negative duration`},
		{"a size of zero in hexadecimal", "max_size: 0x0\n", `f.yaml:1: max_size is "0x0"`},
		{"a size with a fraction", "max_size: 5.5\n", `f.yaml:1: "5.5" is not a whole number`},
		{"a negative size", "max_size: -5\n", `f.yaml:1: "-5" is not a whole number`},
		{"a size beyond 32 bits", "max_size: 99999999999\n", `f.yaml:1: "99999999999" is not a whole number of 0 to 4294967295`},
		{"an enterprise number with a fraction", "references:\n- oem_pen: 1.5\n", `f.yaml:2: "1.5" is not a whole number`},
		{"the enterprise number 0 in hexadecimal", "references:\n- oem_pen: 0x0\n", `f.yaml:2: oem_pen says nothing`},
		{"no identity", "identity: ''\n", `f.yaml:1: identity says nothing`},
		{"an audience without a name", "audiences: [a, '']\n", `f.yaml:1: audiences says nothing`},
		{"a format without a name", "formats: ['']\n", `f.yaml:1: a format is a content format (0 to 65535) or a media type, and this is empty`},
		{"a format that is null", "formats: [263, null]\n", `f.yaml:1: formats says nothing`},
		{"references that are null", "references:\n", `f.yaml:1: references says nothing`},
		{"a reference that is null", "references:\n- name: x\n-\n", `f.yaml:3: references says nothing`},
		{"a trusted verifier that is null", "trusted_verifiers:\n-\n", `f.yaml:2: trusted_verifiers says nothing`},
		{"a developer without a name", "trusted_verifiers:\n- identity: x\n  developer: ''\n  key: |\n" + public, `f.yaml:3: developer says nothing`},
		{"a signing key that is null", "signing_key: null\n", `f.yaml:1: signing_key says nothing`},
		{"a file that is null", "null\n", `f.yaml:1: the file says nothing`},
		{"a component twice", "references:\n- name: x\n  components:\n  - {name: c, digests: [" + zeros + "]}\n  - {name: c, digests: [" + zeros + "]}\n", `f.yaml:4: the reference "x" has the component "c" twice`},
		{"a component without a digest", "references:\n- name: x\n  components: [{name: c}]\n", `f.yaml:3: the reference "x" accepts no digest of the component "c"`},
		{"a component without a name", "references:\n- name: x\n  components: [{digests: [" + zeros + "]}]\n", `f.yaml:3: the reference "x" has a component without a name`},
		{"a maker in two forms", "references:\n- name: x\n  oem_pen: 5\n  oemid: 010203\n", `f.yaml:3: the reference "x" has an oemid and an oem_pen`},
		{"an endorsement for a maker in two forms", "endorsements:\n- name: x\n  oem_pen: 5\n  oemid: 010203\n  key: |\n" + public, `f.yaml:3: the endorsement "x" has an oemid and an oem_pen`},
		{"a maker of one octet", "references:\n- name: x\n  oemid: 01\n", `f.yaml:3: the reference "x" has an oemid of 1 octets`},
		{"a model of 33 octets", "references:\n- name: x\n  model: " + zeros[:33] + "\n", `f.yaml:3: the reference "x" has a model of 33 octets`},
		{"the maker of a prototype", "references:\n- name: x\n  prototype: true\n  oemid: 010203\n", `f.yaml:4: the reference "x" states oemid, which its tokens do not claim`},
		{"the device of a TPM", "references:\n- name: x\n  ueids: [01020304050607]\n  pcrs: sha256:0\n  pcr_digests: [" + zeros + "]\n", `f.yaml:3: the reference "x" states ueids`},
		{"a key that signs no tokens", "endorsements:\n- name: x\n  ueids: [01020304050607]\n  key: |\n" + block(t, short), `f.yaml:4: an RSA key of 1024 bits; at least 2048 are needed`},
		{"two errors", "formats: [x]\nvalidity: soon\n", "f.yaml:"},
		{"too long", strings.Repeat("#", maxFile+1), "more than 1048576"},
	} {
		name := write(t, filepath.Join(t.TempDir(), "f.yaml"), []byte(test.file))
		if _, err := LoadVerifier(name, Formats{}); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", test.name, err, test.says)
		}
	}
	for _, test := range []struct{ name, old, new, says string }{
		{"tokens that expire at once", "platform:", "token_lifetime: 0.1ns\nplatform:", `token_lifetime is "0.1ns"`},
		{"tokens that expired", "platform:", "token_lifetime: -1s\nplatform:", `token_lifetime is "-1s"`},
		{"no offers", "platform:", "offers: []\nplatform:", "offers lists nothing"},
		{"offers that are null", "platform:", "offers:\nplatform:", "offers says nothing"},
		{"a component twice", "    components:\n", "    components:\n        - {name: application, version: '0', digest: " + zeros + "}\n", `component "application": it is there twice`},
		{"no key", attester, "platform: {ueid: 0102030405060708, debug: enabled, profile: tag:a}\n", "platform_key and key_attestation_key are needed"},
		{"ueid", "ueid: ", "ueid: ff", "invalid UEID type 255"},
		{"tokens", "platform:", "offers: [{format: 263, tokens: both}]\nplatform:", `"both" is none of kat-and-pat, combined, prototype`},
		{"relay", "platform:", "relays: [{identity: x, verifier: missing.yaml}]\nplatform:", "missing.yaml"},
		{"public for private", attester, "platform_key: |\n" + block(t, PublicKey{s.PlatformKey.Public()}), `f.yaml:1: PEM of type "PUBLIC KEY"`},
	} {
		file := strings.Replace(attester, test.old, test.new, 1)
		name := write(t, filepath.Join(t.TempDir(), "f.yaml"), []byte(file))
		if _, err := LoadSoftware(name); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", test.name, err, test.says)
		}
	}
	v, err := LoadVerifier(write(t, filepath.Join(t.TempDir(), "f.yaml"), []byte("clock_skew: 0s\n")), Formats{})
	if err != nil || v.Skew > time.Nanosecond {
		t.Errorf("no skew: %v, %v", v, err)
	}
	if _, err := LoadVerifier(filepath.Join(t.TempDir(), "none"), Formats{}); err == nil {
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

// TestASecondBlockOfPEMIsNamed: the error does not say that the type of the first is
// wrong.
func TestASecondBlockOfPEMIsNamed(t *testing.T) {
	_, verifier := Demo(make([]byte, 32), nil)
	b, err := verifier.File()
	if err != nil {
		t.Fatal(err)
	}
	const end = "-----END PRIVATE KEY-----\n"
	file := filepath.Join(t.TempDir(), "v.yaml")
	if err := os.WriteFile(file, bytes.Replace(b, []byte(end), []byte(end+"    more\n"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	const want = `octets after the PEM of type "PRIVATE KEY"`
	if _, err := LoadVerifier(file, Formats{}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}
