package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"attls/attestation"
	"attls/attestation/roots"
	"attls/attestation/tpm"
)

// TestRoots: every root of trust that has an emulator is made, judged, inspected and
// demonstrated by its name.
func TestRoots(t *testing.T) {
	cert, key := certificateFiles(t)
	for _, name := range emulators() {
		f, err := roots.All().Named(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			// A TPM attests keys that it has made, and no others.
			shown, attested := []string{"--key", cert}, []string{"--key", key}
			if inside := strings.HasPrefix(name, tpm.Name); inside {
				shown, attested = nil, nil
				if _, err := f.Emulate(t.Context(), attestation.EmulatorOptions{}); errors.Is(err, tpm.ErrNoEmulator) {
					t.Skip(err)
				}
			}
			directory := filepath.Join(t.TempDir(), "root")
			if code, _, stderr := command(t, "evidence", "init", "--root-of-trust", name, directory); code != 0 {
				t.Fatal(stderr)
			}
			attester, verifier := filepath.Join(directory, "attester.yaml"), filepath.Join(directory, "verifier.yaml")
			challenge := "--challenge=" + strings.Repeat("a5", 32)
			code, cmw, stderr := command(t, append([]string{"evidence", "make", challenge, "--attester-file", attester}, attested...)...)
			if code != 0 {
				t.Fatal(stderr)
			}
			file := filepath.Join(directory, "evidence.cmw")
			if err := os.WriteFile(file, []byte(cmw), 0o600); err != nil {
				t.Fatal(err)
			}
			judge := append([]string{"evidence", "appraise", challenge, "--key-bound", file, "--root-of-trust", name}, shown...)
			if code, stdout, stderr := command(t, append(judge, "--verifier-file", verifier)...); code != 0 {
				t.Errorf("its own verifier refuses it: %s%s", stdout, stderr)
			}
			alone := append([]string{"evidence", "appraise", challenge, "--key-bound", file}, shown...)
			if code, stdout, stderr := command(t, append(alone, "--verifier-file", verifier)...); code != 0 {
				t.Errorf("it is refused where only the verifier's file says what it is: %s%s", stdout, stderr)
			}
			if code, stdout, _ := command(t, judge...); code != 1 {
				t.Errorf("the demonstration's verifier takes it: %s", stdout)
			}
			if code, stdout, stderr := command(t, "evidence", "inspect", file); code != 0 ||
				!strings.Contains(stdout, "root of trust: "+name) {
				t.Errorf("%s%s", stdout, stderr)
			}
			args := []string{"demo", "--root-of-trust", name}
			if f.Key.Named {
				args = append(args, "--profile", "tls-attestation-07", "--credential", "attestation")
			}
			if code, stdout, stderr := command(t, args...); code != 0 || !strings.Contains(stdout, "Attested") {
				t.Errorf("%s%s", stdout, stderr)
			}
		})
	}
}

// TestRootNames: what does not exist, or cannot be, is refused with the names that do.
func TestRootNames(t *testing.T) {
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"demo", "--root-of-trust", "nobody"}, "no root of trust is called"},
		{[]string{"demo", "--profile", "none", "--root-of-trust", "psa"}, "without a profile nobody attests"},
		{[]string{"demo", "--root-of-trust", "prototype"}, "has no emulator here"},
		{[]string{"grid", "--root-of-trust", "nobody"}, "no root of trust is called"},
		{[]string{"bench", "attestation", "--root-of-trust", "nobody"}, "no root of trust is called"},
		{[]string{"conform", "--root-of-trust", "nobody", "--list"}, "no root of trust is called"},
		{[]string{"client", "--root-of-trust", "nobody", "127.0.0.1:1"}, "no root of trust is called"},
		{[]string{"client", "--profile", "none", "--root-of-trust", attestation.EAT, "127.0.0.1:1"}, "does nothing in plain TLS"},
		{[]string{"evidence", "formats", "nobody"}, "no root of trust is called"},
		{[]string{"evidence", "init", "--root-of-trust", "eat+nobody", t.TempDir()}, "no root of trust is called"},
		{[]string{"evidence", "inspect", "--model", "x", "-"}, "evidence or results"},
	} {
		if code, _, stderr := command(t, test.args...); code == 0 || !strings.Contains(stderr, test.says) {
			t.Errorf("%v: %d, %s", test.args, code, stderr)
		}
	}
}

// TestFormatsCommand prints every row.
func TestFormatsCommand(t *testing.T) {
	_, stdout, _ := command(t, "evidence", "formats", "--profile", "tls-attestation-07")
	_, asJSON, _ := command(t, "evidence", "formats", "--json")
	for _, name := range roots.All().Names() {
		if !strings.Contains(stdout, name+": ") || !strings.Contains(asJSON, `"name": "`+name+`"`) {
			t.Errorf("the table lacks %s", name)
		}
	}
}
