package peers

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"attls/extensions/profile"
)

// compiledFiles writes every profile that the peer reads in its compiled form.
func compiledFiles(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	var files []string
	for _, name := range profile.Names() {
		p, err := profile.Load(name, profile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		text, err := p.Compiled()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, name+profile.CompiledSuffix)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// The mbedTLS peer takes every profile that it can obey, and its reader comes through files that are
// changed at random, with the sanitizers watching.
func TestMbedTLSPeerReadsCompiledProfiles(t *testing.T) {
	if testing.Short() || FindMbedTLS() == "" {
		t.Skip("needs the mbedTLS peer, and some seconds")
	}
	out, err := exec.CommandContext(t.Context(), "../mbedtls/fuzz.sh", append([]string{"3"}, compiledFiles(t)...)...).CombinedOutput()
	if exit, ok := err.(*exec.ExitError); ok && exit.ExitCode() == 3 {
		t.Skipf("it cannot be built here:\n%s", out)
	}
	if err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

// A compiled profile that the peer cannot obey ends in a message and exit status 2, or 3 where it is a limit.
func TestMbedTLSPeerRefusesCompiledProfiles(t *testing.T) {
	peer := FindMbedTLS()
	if peer == "" {
		t.Skip("conformance/mbedtls/build.sh has not built the mbedTLS peer")
	}
	whole, err := os.ReadFile(compiledFiles(t)[0])
	if err != nil {
		t.Fatal(err)
	}
	compiled := func(yaml string) []byte {
		p, err := profile.Parse("p.yaml", []byte("profile: p\nbase: early-attestation-06\n"+yaml), profile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		text, err := p.Compiled()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, text := range map[string][]byte{
		"limit: padding": compiled("quirks: {pad_to: 64}\n"),
		"limit: octets in ALPN": compiled(`bind: {slots: {server_attester: {nonce: {in: client_hello.application_layer_protocol_negotiation,
  as: "a{nonce}", codec: raw, octets: 32}}}}
`),
		"empty": {}, "cut": whole[:len(whole)/2], "changed": append([]byte("attls-compiled-profile 2\n"), whole[25:]...),
		"more": append(append([]byte{}, whole...), '\n'),
	} {
		file := filepath.Join(t.TempDir(), "p")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), peer, "--client", "--compiled", file).CombinedOutput()
		want := 2
		limited := strings.HasPrefix(name, "limit")
		if limited {
			want = exitLimit
		}
		if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != want || len(out) == 0 ||
			strings.Contains(string(out), limitMark) != limited {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}
