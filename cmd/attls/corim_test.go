package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"attls/attestation"
)

// TestCoRIM: a policy of a verifier's file is written as CoRIM and read back, signed
// and unsigned; what is added is listed, and nothing is written after an error.
func TestCoRIM(t *testing.T) {
	dir := t.TempDir()
	run := func(want int, args ...string) string {
		t.Helper()
		code, stdout, stderr := command(t, append([]string{"evidence"}, args...)...)
		if code != want {
			t.Fatalf("%q: code %d\n%s%s", args, code, stdout, stderr)
		}
		return stdout + stderr
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	run(exitOK, "init", "--root-of-trust", "cca", in("cca"))
	verifier := in("cca/verifier.yaml")
	for _, name := range []string{"signer", "other"} {
		key, err := attestation.DeriveKey([]byte("corim"), name)
		if err == nil {
			err = writeKey(in(name+".pem"), key)
		}
		if err != nil {
			t.Fatal(err)
		}
	}

	out := run(exitFailed, "export", "--root-of-trust", "cca", verifier, "-o", in("x.corim"))
	if _, err := os.Stat(in("x.platform.corim")); err == nil || !strings.Contains(out, "not in the CoRIM: ") {
		t.Errorf("without --partial: %v\n%s", err, out)
	}
	for name, sign := range map[string][]string{"unsigned": nil, "signed": {"--sign", in("signer.pem"), "--validity", "1h"}} {
		run(exitOK, append([]string{"export", "--root-of-trust", "cca", "--partial", verifier, "-o", in(name + ".corim")}, sign...)...)
		files := []string{in(name + ".platform.corim"), in(name + ".realm.corim"), "-o", in(name + ".yaml")}
		key := []string{}
		if sign != nil {
			run(exitFailed, append([]string{"import"}, files...)...)
			run(exitFailed, append([]string{"import", "--key", in("other.pem")}, files...)...)
			key = []string{"--key", in("signer.pem")}
		}
		if _, err := os.Stat(in(name + ".yaml")); err == nil {
			t.Error("a refused import has made a file")
		}
		for _, word := range []string{"added", "known"} {
			if out := run(exitOK, append(append([]string{"import"}, files...), key...)...); !strings.Contains(out, "attls: "+word+": roots.cca.devices") {
				t.Errorf("%s: %s", word, out)
			}
		}
		run(exitOK, "export", "--root-of-trust", "cca", in(name+".yaml"), "-o", in("again.corim"))
	}
	a, err := os.ReadFile(in("unsigned.realm.corim"))
	b, err2 := os.ReadFile(in("again.realm.corim"))
	if err != nil || err2 != nil || string(a) != string(b) {
		t.Errorf("the CoRIM differs after an import and an export: %v, %v", err, err2)
	}
	if out := run(exitFailed, "export", "--root-of-trust", "tdx", verifier, "-o", in("x")); !strings.Contains(out, "Intel") {
		t.Error(out)
	}
	run(exitUsage, "export", verifier)
	run(exitUsage, "import")
}
