package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"attls/attestation/cca"
	"attls/attestation/psa"
	"attls/attestation/roots"
	"attls/attestation/snp"
	"attls/attestation/veraison/veraisontest"
	"attls/conformance/scenario"
)

// double starts a Veraison that was provisioned with the emulator of a root of trust,
// and gives the flags that name it.
func double(t *testing.T, root string, s veraisontest.Switches) (*veraisontest.Service, []string) {
	t.Helper()
	_, verifier, _, err := scenario.DemoRoot(t.Context(), roots.All(), root, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.Verifier == nil {
		s.Verifier = verifier
	}
	s.TLS = true
	d := veraisontest.Start(t, s)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	writePEM(t, ca, "CERTIFICATE", d.Certificate.Raw)
	return d, []string{"--verifier-url", d.URL, "--verifier-ca", ca}
}

func writePEM(t *testing.T, name, typ string, der []byte) {
	t.Helper()
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestVerifierURLDemo: a demonstration is judged by a Veraison, in both models, and
// results are relayed where the service compares the challenge.
func TestVerifierURLDemo(t *testing.T) {
	for _, test := range []struct {
		root, model string
		says        string // of a refusal; empty: attested
	}{
		{psa.Name, "evidence", ""}, {cca.Name, "evidence", ""}, {cca.Parsec, "evidence", ""}, {snp.Name, "evidence", ""},
		{psa.Name, "results", ""}, {cca.Name, "results", ""}, {snp.Name, "results", ""},
		{cca.Parsec, "results", "does not compare the challenge"},
	} {
		d, flags := double(t, test.root, veraisontest.Switches{})
		args := append([]string{"demo", "--root-of-trust", test.root, "--model", test.model}, flags...)
		code, stdout, stderr := command(t, args...)
		text := strings.Join(strings.Fields(stdout+stderr), " ")
		if (code == 0) != (test.says == "") || !strings.Contains(text, test.says) {
			t.Errorf("%s, %s: %d\n%s%s", test.root, test.model, code, stdout, stderr)
		}
		if d.Open() != 0 || len(d.Log()) < 4 {
			t.Errorf("%s, %s: the service was asked for %v, %d sessions are left", test.root, test.model, d.Log(), d.Open())
		}
	}
}

// TestVerifierURLFlags: the flags that name a service exclude those that name another
// verifier, and do nothing by themselves.
func TestVerifierURLFlags(t *testing.T) {
	d, flags := double(t, psa.Name, veraisontest.Switches{})
	plain := veraisontest.Start(t, veraisontest.Switches{})
	key := filepath.Join(t.TempDir(), "key.pem")
	der, err := x509.MarshalPKIXPublicKey(d.Key())
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, key, "PUBLIC KEY", der)
	with := func(args ...string) []string { return append(args, flags...) }
	client := []string{"client", "127.0.0.1:1", "--root-of-trust", psa.Name}
	for _, test := range []struct {
		args []string
		says string
	}{
		{append(with(client...), "--appraiser-cmd", "true"), "--verifier-url and --appraiser-cmd both say who judges"},
		{append(with(client...), "--verifier-file", "v.yaml"), "--verifier-url and --verifier-file both say who judges"},
		{append(slices.Clone(client), "--verifier-key", key), "--verifier-key is about the service of --verifier-url"},
		{append(slices.Clone(client), "--verifier-insecure"), "--verifier-insecure is about the service"},
		{with("client", "127.0.0.1:1", "--profile", "none"), "does nothing in plain TLS"},
		{with("client", "127.0.0.1:1"), "does not take Evidence of the root of trust eat"},
		{with("demo"), "does not take Evidence of the root of trust eat"},
		{with("demo", "--root-of-trust", "psa+cca"), "takes Evidence of one root of trust"},
		{append(slices.Clone(client), "--verifier-url", d.URL), "certificate"},
		{append(slices.Clone(client), "--verifier-url", plain.URL), "pin the key, or use HTTPS"},
		{append(slices.Clone(client), "--verifier-url", plain.URL, "--verifier-key", key), "not the one that is pinned"},
		{append(slices.Clone(client), "--verifier-url", "nowhere"), "is not the URL of a service"},
		{append(with(client...), "--verifier-key", "absent.pem"), "absent.pem"},
		{[]string{"evidence", "provision", "x.corim"}, "--verifier-url"},
	} {
		code, stdout, stderr := command(t, test.args...)
		if code == 0 || !strings.Contains(strings.Join(strings.Fields(stderr), " "), test.says) {
			t.Errorf("%v: %d %s%s; expected is %q", test.args, code, stdout, stderr, test.says)
		}
	}
}

// TestVerifierURLEvidence: Evidence is made, judged and served with a Veraison.
func TestVerifierURLEvidence(t *testing.T) {
	cert, _ := certificateFiles(t)
	_, flags := double(t, psa.Name, veraisontest.Switches{})
	challenge := "--challenge=" + strings.Repeat("a5", 32)
	common := []string{"--root-of-trust", psa.Name, "--key", cert, challenge}
	code, cmw, stderr := command(t, append([]string{"evidence", "make", "--format", "application/psa-attestation-token"}, common...)...)
	if code != 0 {
		t.Fatal(stderr)
	}
	directory := t.TempDir()
	file, ear := filepath.Join(directory, "evidence.cmw"), filepath.Join(directory, "result.jwt")
	if err := os.WriteFile(file, []byte(cmw), 0o600); err != nil {
		t.Fatal(err)
	}
	judge := append(append([]string{"evidence", "appraise", file, "--key-bound", "--ear", ear}, common...), flags...)
	if code, stdout, stderr := command(t, judge...); code != 0 || !strings.Contains(stdout, "PSA_IOT") {
		t.Errorf("%d %s%s", code, stdout, stderr)
	}
	if b, err := os.ReadFile(ear); err != nil || bytes.Count(b, []byte(".")) != 2 {
		t.Errorf("the result %q, %v", b, err)
	}
	unbound := slices.DeleteFunc(slices.Clone(judge), func(s string) bool { return s == "--key-bound" })
	if code, stdout, _ := command(t, unbound...); code != 1 {
		t.Errorf("a key that nothing attests is accepted: %s", stdout)
	}
	other := slices.Clone(judge)
	other[slices.Index(other, challenge)] = "--challenge=" + strings.Repeat("a6", 32)
	if code, stdout, _ := command(t, other...); code != 1 || !strings.Contains(stdout, "the challenge of this") {
		t.Errorf("another challenge is accepted: %s", stdout)
	}
	results := append([]string{"evidence", "make", "--model", "results", "--root-of-trust", psa.Name, "--key", cert}, flags...)
	if code, result, stderr := command(t, results...); code != 0 || !strings.Contains(result, "eyJ") {
		t.Errorf("results: %d %q %s", code, result, stderr)
	}
}

// TestProvision: a CoRIM is sent with its media type; what the service does not take is
// a failure.
func TestProvisionCommand(t *testing.T) {
	d, flags := double(t, psa.Name, veraisontest.Switches{})
	directory := t.TempDir()
	file := func(name string, b ...byte) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, bad := filepath.Join(directory, "good.corim"), file("bad.corim", 1, 2, 3)
	bare := file("bare.corim", 0xd9, 0x01, 0xf5, 0xa0)
	code, stdout, stderr := command(t, "evidence", "export", "--partial", "--root-of-trust", psa.Name, "-o", good)
	if code != 0 {
		t.Fatal(stdout, stderr)
	}
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{good}, 0, d.URL + " is provisioned with"},
		{[]string{good}, 1, "token already in store"},
		{[]string{bad}, 2, "not a CoRIM"},
		{[]string{bad, "--type", `application/rim+cbor; profile="tag:arm.com,2025:psa#1.0.0"`}, 1, "did not see unsigned CoRIM tag"},
		{[]string{bare}, 1, "it does not take application/rim+cbor; it takes"},
		{[]string{good, "--type", "application/corim-unsigned+cbor"}, 1, "it takes application/rim+cbor"},
		{[]string{filepath.Join(directory, "absent")}, 2, "absent"},
	} {
		code, stdout, stderr := command(t, append(append([]string{"evidence", "provision"}, test.args...), flags...)...)
		if code != test.code && (test.code != 2 || code == 0) || !strings.Contains(stdout+stderr, test.says) {
			t.Errorf("%v: %d %s%s; expected is %d, %q", test.args, code, stdout, stderr, test.code, test.says)
		}
	}
}

// TestExportDemonstration: the policy that trusts the emulator of the demonstration can be
// exported, the same each time; where there is no profile, the reason is said.
func TestExportDemonstration(t *testing.T) {
	directory := t.TempDir()
	var first []byte
	for range 2 {
		file := filepath.Join(directory, "demo.corim")
		if code, _, stderr := command(t, "evidence", "export", "--partial", "--root-of-trust", cca.Parsec, "-o", file); code != 0 {
			t.Fatal(stderr)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if first != nil && !bytes.Equal(b, first) {
			t.Errorf("%x, then %x", first, b)
		}
		first = b
	}
	for root, says := range map[string]string{"nitro": "AWS has defined no profile", "psb": "there are psa"} {
		code, _, stderr := command(t, "evidence", "export", "--root-of-trust", root, "-o", filepath.Join(directory, "x"))
		if code == 0 || !strings.Contains(stderr, says) {
			t.Errorf("%s: %d %s", root, code, stderr)
		}
	}
	code, _, stderr := command(t, "evidence", "export", "--root-of-trust", psa.Name, "-o", filepath.Join(directory, "x"))
	if code == 0 || !strings.Contains(stderr, "the demonstration: the policy says what a CoRIM cannot say") {
		t.Errorf("%d %s", code, stderr)
	}
}

// TestVerifierURLTypes: Evidence is asked for under a type that the service reads, also
// from a server that knows nothing of the service.
func TestVerifierURLTypes(t *testing.T) {
	d, flags := double(t, psa.Name, veraisontest.Switches{})
	s := start(t, "--root-of-trust", psa.Name, "--attester", "server", "--echo", "--max-connections", "1")
	var out, log bytes.Buffer
	args := append([]string{"client", "-q", "--require-attestation", "--root-of-trust", psa.Name, "--attester", "server", s.address}, flags...)
	if code := run(t.Context(), args, strings.NewReader("there and back"), &out, &log); code != exitOK {
		t.Errorf("%d %s%s\n%v", code, out.String(), log.String(), d.Log())
	}
	if code := s.wait(t); code != exitOK {
		t.Errorf("the server: %d, %s", code, s.log.String())
	}
}

// TestVerifierURLEndpoints: client and server judge and relay with a Veraison. What
// binds nothing to the connection is fetched once, before the first connection.
func TestVerifierURLEndpoints(t *testing.T) {
	for _, test := range []struct {
		args     []string
		sessions int // of two connections
	}{
		{[]string{"--model", "evidence"}, 2},
		{[]string{"--model", "results"}, 1},
	} {
		d, flags := double(t, psa.Name, veraisontest.Switches{})
		args := append(append([]string{"--root-of-trust", psa.Name, "--attester", "server"}, flags...), test.args...)
		s := start(t, append(slices.Clone(args), "--echo", "--max-connections", "2")...)
		before := countOf(d.Log(), veraisontest.NewSession)
		if want := test.sessions % 2; before != want {
			t.Errorf("%v: %d sessions before the first connection, not %d", test.args, before, want)
		}
		for range 2 {
			var out, log bytes.Buffer
			code := run(t.Context(), append(append([]string{"client", "-q", "--require-attestation"}, args...), s.address), strings.NewReader("there and back"), &out, &log)
			if code != exitOK || out.String() != "there and back" {
				t.Errorf("%v: exit code %d, %q, %s", test.args, code, out.String(), log.String())
			}
		}
		if code := s.wait(t); code != exitOK {
			t.Errorf("%v: the server: exit code %d, %s", test.args, code, s.log.String())
		}
		if n := countOf(d.Log(), veraisontest.NewSession); n != test.sessions {
			t.Errorf("%v: %d sessions, not %d", test.args, n, test.sessions)
		}
	}
}

func countOf(log []string, step veraisontest.Step) (n int) {
	for _, s := range log {
		if s == string(step) {
			n++
		}
	}
	return n
}

// TestServeWithService: a program that asks "evidence serve" has a Veraison judge.
func TestServeWithService(t *testing.T) {
	cert, _ := certificateFiles(t)
	spki, err := readPublicKey(cert)
	if err != nil {
		t.Fatal(err)
	}
	d, flags := double(t, psa.Name, veraisontest.Switches{})
	challenge := bytes.Repeat([]byte{0xa5}, 32)
	serve := func(request map[string]any, more ...string) (answer map[string]any, log string) {
		t.Helper()
		in, err := json.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		args := append(append([]string{"evidence", "serve", "--root-of-trust", psa.Name}, flags...), more...)
		code := run(t.Context(), args, bytes.NewReader(in), &out, &errs)
		if code == 0 {
			if err := json.Unmarshal(out.Bytes(), &answer); err != nil {
				t.Fatal(err, out.String())
			}
		}
		return answer, errs.String()
	}
	format := psa.Format().Types[2].MediaType // which Veraison reads
	common := func(operation string) map[string]any {
		return map[string]any{"action": operation, "attester": "server", "challenge": challenge, "spki": spki,
			"key_bound": true, "scheme": map[string]any{"model": "evidence", "credential": "x509", "media_type": format}}
	}
	made, log := serve(common("attest"))
	if made["cmw"] == nil {
		t.Fatalf("%v %s", made, log)
	}
	judge := common("appraise")
	judge["cmw"] = made["cmw"]
	if answer, log := serve(judge); answer["status"] != "affirming" || !slices.Contains(d.Log(), "evidence") {
		t.Errorf("%v %s after %v", answer, log, d.Log())
	}
	judge["challenge"] = bytes.Repeat([]byte{0xa6}, 32)
	if answer, log := serve(judge); answer["status"] == "affirming" {
		t.Errorf("another challenge is accepted: %v %s", answer, log)
	}
	if _, log := serve(judge, "--verifier-file", "v.yaml"); !strings.Contains(log, "both say who judges") {
		t.Error(log)
	}
}

// TestVerifierName: both ends call the service alike, by the name that they are given,
// and results that are too old are refused.
func TestVerifierName(t *testing.T) {
	_, flags := double(t, psa.Name, veraisontest.Switches{})
	_, old := double(t, psa.Name, veraisontest.Switches{Clock: func() time.Time { return time.Now().Add(-10 * time.Minute) }})
	common := []string{"--root-of-trust", psa.Name, "--attester", "server", "--model", "results"}
	named := append(slices.Clone(common), "--verifier-name", "veraison.example")
	s := start(t, append(named, flags...)...)
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{append(slices.Clone(named), flags...), exitOK, ""},
		{append(slices.Clone(common), flags...), exitFailed, "unsupported_attestation_schemes"},
	} {
		code, stdout, stderr := attach(t, s, append([]string{"--require-attestation"}, test.args...)...)
		if code != test.code || !strings.Contains(stdout+stderr, test.says) {
			t.Errorf("%q: %d %s%s%s", test.args, code, stdout, stderr, s.log.String())
		}
	}
	cert, _ := certificateFiles(t)
	challenge := "--challenge=" + strings.Repeat("a5", 32)
	_, cmw, stderr := command(t, append([]string{"evidence", "make", "--root-of-trust", psa.Name, "--key", cert, challenge},
		old...)...)
	file := filepath.Join(t.TempDir(), "evidence.cmw")
	if err := os.WriteFile(file, []byte(cmw), 0o600); err != nil || cmw == "" {
		t.Fatal(err, stderr)
	}
	judge := append([]string{"evidence", "appraise", file, "--key-bound", "--root-of-trust", psa.Name, "--key", cert,
		challenge}, old...)
	if code, stdout, stderr := command(t, judge...); code != exitOK {
		t.Errorf("%d %s%s", code, stdout, stderr)
	}
	if code, stdout, stderr := command(t, append(judge, "--verifier-max-age", "5m")...); code != exitFailed {
		t.Errorf("an old result is accepted: %d %s%s", code, stdout, stderr)
	}
	name := append([]string{"client", "127.0.0.1:1", "--root-of-trust", psa.Name, "--verifier-name", "n"}, flags...)
	if code, _, stderr := command(t, name...); code != exitUsage || !strings.Contains(stderr, "--model results") {
		t.Errorf("%d %s", code, stderr)
	}
	for _, args := range [][]string{{"--verifier-max-age", "-1s"}, {"--verifier-name", strings.Repeat("n", 256)}} {
		if code, _, stderr := command(t, append(judge, args...)...); code != exitUsage {
			t.Errorf("%q: %d %s", args, code, stderr)
		}
	}
}

// TestBenchKey: "bench attestation" pins the key of the service, and has its anchors.
func TestBenchKey(t *testing.T) {
	d, flags := double(t, psa.Name, veraisontest.Switches{})
	other, _ := double(t, psa.Name, veraisontest.Switches{})
	pinned := func(d *veraisontest.Service) string {
		t.Helper()
		der, err := x509.MarshalPKIXPublicKey(d.Key())
		if err != nil {
			t.Fatal(err)
		}
		key := filepath.Join(t.TempDir(), "key.pem")
		writePEM(t, key, "PUBLIC KEY", der)
		return key
	}
	bench := append([]string{"bench", "attestation", "--root-of-trust", psa.Name, "--count", "1"}, flags...)
	code, stdout, stderr := command(t, append(bench, "--verifier-key", pinned(d))...)
	if code != exitOK || !strings.Contains(stdout, "veraison") {
		t.Errorf("%d %s%s", code, stdout, stderr)
	}
	_, stdout, stderr = command(t, append(bench, "--verifier-key", pinned(other))...)
	if !strings.Contains(strings.Join(strings.Fields(stdout), " "), "is not the one that is pinned") {
		t.Errorf("%s%s", stdout, stderr)
	}
	if code, _, stderr := command(t, "bench", "attestation", "--verifier-key", "k"); code != exitUsage {
		t.Errorf("%d %s", code, stderr)
	}
}

// TestFailKey: a fault that a root of trust cannot show blames that.
func TestFailKey(t *testing.T) {
	code, _, stderr := command(t, "demo", "--root-of-trust", psa.Name, "--fail", "key")
	if code != exitUsage || !strings.Contains(stderr, "with the root of trust psa: a PSA token has no claim for a key") {
		t.Errorf("%d %s", code, stderr)
	}
}
