package handshake

import (
	"bytes"
	"context"
	"crypto"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"attls"
)

// resigned makes a certificate with another signature algorithm (the last octet of
// its PKCS #1 identifier), signed with the hash that goes with it.
func resigned(t *testing.T, der []byte, key *rsa.PrivateKey, algorithm byte) []byte {
	t.Helper()
	id := []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01}
	der = bytes.ReplaceAll(der, append(id, 11), append(append([]byte(nil), id...), algorithm))
	var c struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &c); err != nil {
		t.Fatal(err)
	}
	hash, sum := crypto.SHA1, sha1.Sum(c.TBS.FullBytes)
	digest := sum[:]
	if algorithm == 4 {
		m := md5.Sum(c.TBS.FullBytes)
		hash, digest = crypto.MD5, m[:]
	}
	sig, err := rsa.SignPKCS1v15(nil, key, hash, digest)
	if err != nil {
		t.Fatal(err)
	}
	c.Signature = asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}
	out, err := asn1.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSignatureAlerts: a chain that needs MD5 or SHA-1, or that holds a signature
// which does not verify, is bad_certificate for either end; one that leads nowhere is
// unknown_ca.
func TestSignatureAlerts(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	when := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	issue := func(name, by string, ca bool) []byte {
		of := func(cn string) *x509.Certificate {
			return &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: cn}, DNSNames: []string{"server"}, NotBefore: when.AddDate(-1, 0, 0),
				NotAfter: when.AddDate(1, 0, 0), IsCA: ca, BasicConstraintsValid: true, SignatureAlgorithm: x509.SHA256WithRSA}
		}
		der, err := x509.CreateCertificate(rand.Reader, of(name), of(by), &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	root, mid, leaf := issue("root", "root", true), issue("mid", "root", true), issue("leaf", "mid", false)
	broken := bytes.Clone(leaf)
	broken[len(broken)-1] ^= 1
	anchors := x509.NewCertPool()
	cert, err := x509.ParseCertificate(root)
	if err != nil {
		t.Fatal(err)
	}
	anchors.AddCert(cert)
	for name, test := range map[string]struct {
		chain [][]byte
		want  attls.Failure
	}{
		"as it should be":                 {[][]byte{leaf, mid}, ""},
		"an end entity with MD5":          {[][]byte{resigned(t, leaf, key, 4), mid}, attls.FailBadCertificate},
		"an end entity with SHA-1":        {[][]byte{resigned(t, leaf, key, 5), mid}, attls.FailBadCertificate},
		"an intermediate with MD5":        {[][]byte{leaf, resigned(t, mid, key, 4)}, attls.FailBadCertificate},
		"an intermediate with SHA-1":      {[][]byte{leaf, resigned(t, mid, key, 5)}, attls.FailBadCertificate},
		"a signature that does not match": {[][]byte{broken, mid}, attls.FailBadCertificate},
		"no way to an anchor":             {[][]byte{leaf}, attls.FailUnknownCA},
		"a root with SHA-1":               {[][]byte{leaf, mid, resigned(t, root, key, 5)}, ""},
	} {
		for _, peer := range []attls.Role{attls.RoleClient, attls.RoleServer} {
			trust := Trust{Roots: anchors, Time: func() time.Time { return when }, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
			r := &CertificateVerdictRequest{Peer: peer, Chain: test.chain, ServerName: "server"}
			_, err := trust.check(context.Background(), r)
			if test.want == "" && err != nil || test.want != "" && (err == nil || err.Failure != test.want) {
				t.Errorf("%s of the %v: %v, want %s", name, peer, err, test.want)
			}
		}
	}
}
