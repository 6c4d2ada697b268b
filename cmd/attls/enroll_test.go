package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"attls/attestation/tpm"
	"attls/conformance/scenario"
)

// TestEnrollUsage: what cannot be enrolled is said before any TPM is asked.
func TestEnrollUsage(t *testing.T) {
	cert, _ := certificateFiles(t)
	directory := filepath.Join(t.TempDir(), "d")
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{nil, exitUsage, "--ca is missing"},
		{[]string{"--ca", cert, "--pcrs", "sha256"}, exitUsage, "--pcrs"},
		{[]string{"--ca", cert, "--tpm", "/no/such/tpm"}, exitUnavailable, "/no/such/tpm"},
		{[]string{"--ca", cert, "--tpm", "mssim:x"}, exitUnavailable, "does not name a TPM"},
		{[]string{"--ca", "/no/such/file"}, exitUnavailable, "/no/such/file"},
	} {
		code, _, stderr := command(t, append([]string{"evidence", "enroll", "tpm", directory}, test.args...)...)
		if code != test.code || !strings.Contains(stderr, test.says) {
			t.Errorf("%v: %d, %s; want %d and %q", test.args, code, stderr, test.code, test.says)
		}
	}
	if _, err := os.Stat(directory); err == nil {
		t.Error("a directory is left")
	}
}

// TestKeyInTPM: --key takes the key of a TPM, which the environment names.
func TestKeyInTPM(t *testing.T) {
	program, err := exec.LookPath("swtpm")
	if err != nil {
		t.Skip(tpm.ErrNoEmulator)
	}
	directory := t.TempDir()
	socket := filepath.Join(directory, "s")
	s := exec.Command(program, "socket", "--tpm2", "--tpmstate", "dir="+directory, "--server", "type=unixio,path="+socket,
		"--flags", "not-need-init,startup-clear", "--log", "level=0")
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Process.Kill()
		_ = s.Wait()
	})
	t.Setenv(tpm.EnvOpenSSL, "swtpm:path="+socket)
	device, err := tpm.Locate("")
	if err != nil {
		t.Fatal(err)
	}
	key, err := device.NewKey(t.Context())
	for i := 0; i < 1<<20 && err != nil && t.Context().Err() == nil; i++ { // it may not listen yet
		key, err = device.NewKey(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(directory, "key.pem")
	if err := os.WriteFile(keyFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	authority, err := scenario.NewDemoAuthority()
	if err != nil {
		t.Fatal(err)
	}
	c, err := authority.Certify(key, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	_, signer, err := readCertificate(pemFile(t, "cert.pem", "CERTIFICATE", c.Chain[0]), keyFile)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("x"))
	sig, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil || !ecdsa.VerifyASN1(key.Public().(*ecdsa.PublicKey), digest[:], sig) {
		t.Errorf("the key does not sign: %v", err)
	}
	t.Setenv(tpm.EnvOpenSSL, "/no/such/tpm")
	if _, err := readKey(keyFile); err == nil || !strings.Contains(err.Error(), "/no/such/tpm") {
		t.Errorf("a TPM that is not there: %v", err)
	}
}
