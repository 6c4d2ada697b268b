package main

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"attls/attestation"
	"attls/attestation/collateral/collateraltest"
	"attls/attestation/roots"
	"attls/attestation/snp"
	"attls/attestation/tdx"
	"attls/conformance/scenario"
	"attls/handshake/enginetest"

	"github.com/google/go-sev-guest/kds"
	"go.yaml.in/yaml/v3"
)

// vendors are doubles of the services of a root of trust whose emulator attests, with a
// policy that lacks what they have.
func vendors(t *testing.T, root string, cmw []byte) (map[string]collateraltest.Answer, any) {
	t.Helper()
	f, err := roots.All().Named(root)
	if err != nil {
		t.Fatal(err)
	}
	e, err := f.Emulate(t.Context(), attestation.EmulatorOptions{Seed: scenario.DemoSeed})
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := e.Policy.(snp.Policy); ok {
		x, err := kds.VcekCertificateExtensions(p.Certificates[0])
		if err != nil {
			t.Fatal(err)
		}
		answers := collateraltest.KDS("Milan", p.Instances[0], uint64(x.TCBVersion), append(p.Certificates[:2:2],
			p.TrustAnchors[0]), p.CRLs[0])
		p.Certificates, p.CRLs = nil, nil
		return answers, p
	}
	p := e.Policy.(tdx.Policy)
	var chain []*x509.Certificate
	for rest := cmw[strings.Index(string(cmw), "-----BEGIN"):]; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		x, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, x)
	}
	c := p.Collateral
	p.Collateral, p.TrustAnchors = tdx.Collateral{}, chain[2:]
	return collateraltest.PCS("e00000000000", c.TCBInfo[0], c.QEIdentity, c.IssuerChain[0], c.IssuerChain[1], chain[1],
		c.CRLs[0], c.CRLs[1]), p
}

// merged is the verifier's file of a policy, with what the command printed about it.
func merged(t *testing.T, directory, root string, policy any, printed string) string {
	t.Helper()
	f, err := roots.All().Named(root)
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(map[string]any{"formats": []string{f.Types[0].MediaType},
		"roots": map[string]any{root: policy}})
	if err != nil {
		t.Fatal(err)
	}
	var file, more map[string]any
	for from, to := range map[string]*map[string]any{string(text): &file, printed: &more} {
		if err := yaml.Unmarshal([]byte(from), to); err != nil {
			t.Fatal(err)
		}
	}
	for k, v := range more["roots"].(map[string]any)[root].(map[string]any) {
		file["roots"].(map[string]any)[root].(map[string]any)[k] = v
	}
	if text, err = yaml.Marshal(file); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(directory, "verifier.yaml")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestCollateral: Evidence says what is fetched, and the files that are written let it
// be judged, which it was not without them.
func TestCollateral(t *testing.T) {
	const challenge = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	d := t.TempDir()
	key, ca := filepath.Join(d, "key.pem"), filepath.Join(d, "ca.pem")
	if err := writeKey(key, enginetest.Credential("localhost").Signer); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{snp.Name, tdx.Name} {
		evidence := filepath.Join(d, root+".cmw")
		code, cmw, stderr := command(t, "evidence", "make", "--root-of-trust", root, "--challenge", challenge, "--key", key)
		if code != exitOK || os.WriteFile(evidence, []byte(cmw), 0o600) != nil {
			t.Fatal(stderr)
		}
		answers, policy := vendors(t, root, []byte(cmw))
		double := collateraltest.Start(t, answers)
		writePEM(t, ca, "CERTIFICATE", double.CA)
		fetch := []string{"evidence", "collateral", evidence, "--out", filepath.Join(d, root), "--service-url", double.URL,
			"--service-ca", ca}
		appraise := func(file string) (int, string) {
			code, stdout, stderr := command(t, "evidence", "appraise", "--root-of-trust", root, "--verifier-file", file,
				"--challenge", challenge, "--key", key, "--key-bound", evidence)
			return code, stdout + stderr
		}
		if code, text := appraise(merged(t, d, root, policy, "roots: {"+root+": {}}")); code != exitFailed {
			t.Errorf("%s without collateral: %d %s", root, code, text)
		}
		code, printed, stderr := command(t, fetch...)
		if code != exitOK || !strings.Contains(printed, "the root is ") || !strings.Contains(printed, "They hold until") {
			t.Fatal(code, printed, stderr)
		}
		if code, text := appraise(merged(t, d, root, policy, printed)); code != exitOK {
			t.Errorf("%s: %d %s", root, code, text)
		}
		// A later run that fails leaves the files alone.
		before := contents(t, filepath.Join(d, root))
		for uri := range answers {
			double.Misbehave(uri, collateraltest.Closed)
			code, stdout, stderr := command(t, fetch...)
			if code != exitFailed || stdout != "" || !strings.Contains(stderr, "the answer ends after") {
				t.Errorf("%s: %d %q %s", uri, code, stdout, stderr)
			}
			if after := contents(t, filepath.Join(d, root)); after != before {
				t.Errorf("%s: the directory has changed", uri)
			}
			double.Misbehave(uri, nil)
		}
	}
}

// contents are the names and octets of the files of a directory.
func contents(t *testing.T, directory string) string {
	t.Helper()
	list, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, e := range list {
		b, err := os.ReadFile(filepath.Join(directory, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString(e.Name() + " " + hex.EncodeToString(b) + "\n")
	}
	return out.String()
}

// TestCollateralUsage: what is not asked says why.
func TestCollateralUsage(t *testing.T) {
	d := t.TempDir()
	psa := filepath.Join(d, "psa.cmw")
	key := filepath.Join(d, "key.pem")
	if err := writeKey(key, enginetest.Credential("localhost").Signer); err != nil {
		t.Fatal(err)
	}
	_, cmw, stderr := command(t, "evidence", "make", "--root-of-trust", "psa", "--key", key)
	if err := os.WriteFile(psa, []byte(cmw), 0o600); err != nil || cmw == "" {
		t.Fatal(err, stderr)
	}
	garbage := filepath.Join(d, "garbage")
	if err := os.WriteFile(garbage, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{nil, exitUsage, "name a FILE with Evidence"},
		{[]string{"--root-of-trust", "nitro"}, exitUsage, "there is no collateral of nitro to fetch"},
		{[]string{"--root-of-trust", "sev-snp+tdx"}, exitUsage, "no root of trust is called"},
		{[]string{"--root-of-trust", "sevsnp"}, exitUsage, "did you mean"},
		{[]string{"--root-of-trust", "tdx", "--chip", "00"}, exitUsage, "--chip: nothing of tdx is asked for by that"},
		{[]string{"--root-of-trust", "tdx"}, exitFailed, "fmspc"},
		{[]string{"--root-of-trust", "sev-snp", "--product", "Turin"}, exitFailed, "reports of AMD Turin"},
		{[]string{"--root-of-trust", "tdx", psa}, exitUsage, "is Evidence of psa"},
		{[]string{psa}, exitUsage, "there is no collateral of psa"},
		{[]string{garbage}, exitFailed, "as Evidence of sev-snp: "},
		{[]string{filepath.Join(d, "missing")}, exitUnavailable, "no such file"},
		{[]string{"--root-of-trust", "tdx", "--timeout", "0s"}, exitUsage, "must be longer than 0"},
		{[]string{"--root-of-trust", "tdx", "--verifier-file", "v"}, exitUsage, "reads none"},
		{[]string{"--root-of-trust", "sev-snp", "--product", "Milan", "--service-url", "http://service.example"}, exitFailed,
			"http is for services on this machine only"},
		{[]string{"--root-of-trust", "sev-snp", "--product", "Milan", "--service-ca", garbage}, exitUnavailable, "is not PEM"},
	} {
		code, stdout, stderr := command(t, append([]string{"evidence", "collateral", "--out", filepath.Join(d, "out")},
			test.args...)...)
		if code != test.code || stdout != "" || !strings.Contains(stderr, test.says) {
			t.Errorf("%q: %d %q %q; expected %d, %q", test.args, code, stdout, stderr, test.code, test.says)
		}
	}
	if _, err := os.Stat(filepath.Join(d, "out")); err == nil {
		t.Error("a directory was made for nothing")
	}
}
