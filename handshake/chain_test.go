package handshake_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/cloudflare/circl/sign/ed448"
	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"attls"
	"attls/handshake"
)

// issuer is an authority of any type of key.
type issuer struct {
	key  crypto.Signer
	alg  []byte // its AlgorithmIdentifier for signatures
	cert *x509.Certificate
}

// newKey makes a key and the AlgorithmIdentifier of its signatures.
func newKey(t *testing.T, kind string) (crypto.Signer, []byte) {
	t.Helper()
	var key crypto.Signer
	var oid asn1.ObjectIdentifier
	var err error
	switch kind {
	case "Ed448":
		_, key, err = ed448.GenerateKey(rand.Reader)
		oid = asn1.ObjectIdentifier{1, 3, 101, 113}
	case "ML-DSA-44":
		_, key, err = mldsa44.GenerateKey(rand.Reader)
		oid = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 17}
	case "ML-DSA-65":
		_, key, err = mldsa65.GenerateKey(rand.Reader)
		oid = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 18}
	case "ML-DSA-87":
		_, key, err = mldsa87.GenerateKey(rand.Reader)
		oid = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 19}
	case "Ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
		oid = asn1.ObjectIdentifier{1, 3, 101, 112}
	case "ECDSA":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		oid = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
	}
	if err != nil {
		t.Fatal(err)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oid) })
	return key, b.BytesOrPanic()
}

// foreignIssue makes a certificate for a new key. crypto/x509 writes it, and what it cannot
// write is put into the place: the algorithm, the key, the signature. by is nil for a
// certificate that signs itself.
func foreignIssue(t *testing.T, by *issuer, kind string, template x509.Certificate) *issuer {
	t.Helper()
	template.SerialNumber = big.NewInt(7)
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = chainTime.Add(-time.Hour), chainTime.Add(time.Hour)
	}
	own := &issuer{}
	own.key, own.alg = newKey(t, kind)
	if by == nil {
		by = own
	}
	parent := by.cert
	if parent == nil {
		parent = &template
	}
	_, any, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &x509.Certificate{Subject: parent.Subject, RawSubject: parent.RawSubject}, any.Public(), any)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := handshake.MarshalPublicKey(own.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	in := cryptobyte.String(cert.RawTBSCertificate)
	var fields cryptobyte.String
	in.ReadASN1(&fields, cbasn1.SEQUENCE)
	var tbs cryptobyte.Builder
	tbs.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for n := 0; !fields.Empty(); n++ { // version, serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo, …
			var element cryptobyte.String
			var tag cbasn1.Tag
			fields.ReadAnyASN1Element(&element, &tag)
			switch n {
			case 2:
				element = by.alg
			case 6:
				element = spki
			}
			b.AddBytes(element)
		}
	})
	signed := tbs.BytesOrPanic()
	message, opts := signed, crypto.SignerOpts(crypto.Hash(0))
	if _, ok := by.key.(*ecdsa.PrivateKey); ok {
		h := crypto.SHA256.New()
		h.Write(signed)
		message, opts = h.Sum(nil), crypto.SHA256
	}
	signature, err := by.key.Sign(rand.Reader, message, opts)
	if err != nil {
		t.Fatal(err)
	}
	own.cert = assemble(t, signed, by.alg, signature)
	return own
}

func assemble(t *testing.T, tbs, alg, signature []byte) *x509.Certificate {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		b.AddBytes(alg)
		b.AddASN1BitString(signature)
	})
	cert, err := x509.ParseCertificate(b.BytesOrPanic())
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

var chainTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func authority(name string) x509.Certificate {
	return x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
}

func endEntity() x509.Certificate {
	return x509.Certificate{Subject: pkix.Name{CommonName: "leaf"}, DNSNames: []string{"server.test"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
}

// judge validates a chain as a client does.
func judge(anchors []*x509.Certificate, roots *x509.CertPool, chain ...*x509.Certificate) *attls.Error {
	r := &handshake.CertificateVerdictRequest{Peer: attls.RoleServer, ServerName: "server.test"}
	for _, c := range chain {
		r.Chain = append(r.Chain, c.Raw)
	}
	a := &handshake.Answerer{Trust: handshake.Trust{Anchors: anchors, Roots: roots, Time: func() time.Time { return chainTime }}}
	_, err := a.Answer(context.Background(), &handshake.Wait{Kind: handshake.WaitCertificateVerdict, Certificate: r})
	return err
}

// TestForeignChains: chains with keys that crypto/x509 does not know verify, in every
// place of a path.
func TestForeignChains(t *testing.T) {
	for _, kinds := range [][3]string{
		{"Ed448", "Ed448", "Ed448"}, {"ML-DSA-87", "ML-DSA-65", "ML-DSA-44"}, {"ML-DSA-44", "ECDSA", "Ed448"},
		{"ECDSA", "Ed448", "ECDSA"}, {"ECDSA", "ECDSA", "ML-DSA-65"}, {"Ed448", "Ed25519", "ECDSA"}, {"Ed25519", "ML-DSA-65", "Ed25519"},
	} {
		root := foreignIssue(t, nil, kinds[0], authority("root"))
		middle := foreignIssue(t, root, kinds[1], authority("middle"))
		leaf := foreignIssue(t, middle, kinds[2], endEntity())
		direct := foreignIssue(t, root, kinds[2], endEntity())
		anchors := []*x509.Certificate{root.cert}
		if err := judge(anchors, nil, leaf.cert, middle.cert); err != nil {
			t.Errorf("%v: %v", kinds, err)
		}
		if err := judge(anchors, nil, direct.cert); err != nil {
			t.Errorf("%v without an intermediate: %v", kinds, err)
		}
		if err := judge([]*x509.Certificate{middle.cert}, x509.NewCertPool(), leaf.cert); err != nil {
			t.Errorf("%v with the intermediate as trust anchor: %v", kinds, err)
		}
		if err := judge([]*x509.Certificate{direct.cert}, nil, direct.cert); err != nil {
			t.Errorf("%v with the end entity as trust anchor: %v", kinds, err)
		}
		if err := judge(anchors, nil, leaf.cert); err == nil || err.Failure != attls.FailUnknownCA {
			t.Errorf("%v without its intermediate: %v", kinds, err)
		}
		other := foreignIssue(t, nil, kinds[0], authority("root"))
		if err := judge([]*x509.Certificate{other.cert}, nil, leaf.cert, middle.cert); err == nil {
			t.Errorf("%v under another root of the same name: accepted", kinds)
		}
		for _, c := range []*issuer{leaf, middle} {
			by := map[*issuer]*issuer{leaf: middle, middle: root}[c]
			bad := append([]byte(nil), c.cert.Signature...)
			bad[len(bad)/2] ^= 1
			broken := assemble(t, c.cert.RawTBSCertificate, by.alg, bad)
			chain := []*x509.Certificate{broken, middle.cert}
			if c == middle {
				chain = []*x509.Certificate{leaf.cert, broken}
			}
			if err := judge(anchors, nil, chain...); err == nil {
				t.Errorf("%v with a broken signature: accepted", kinds)
			}
		}
	}
}

// TestForeignPaths: of a path with such keys nothing is checked less.
func TestForeignPaths(t *testing.T) {
	const kind = "Ed448"
	root := foreignIssue(t, nil, kind, authority("root"))
	anchors := []*x509.Certificate{root.cert}
	for name, test := range map[string]struct {
		middle func(*x509.Certificate)
		leaf   func(*x509.Certificate)
		want   attls.Failure
	}{
		"all is well":             {nil, nil, ""},
		"the issuer is not a CA":  {func(c *x509.Certificate) { c.IsCA = false }, nil, attls.FailBadCertificate},
		"the issuer may not sign": {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }, nil, attls.FailUnknownCA},
		"the issuer is expired": {func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = chainTime.Add(-2*time.Hour), chainTime.Add(-time.Hour)
		}, nil, attls.FailCertificateExpired},
		"the end entity is expired": {nil, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = chainTime.Add(-2*time.Hour), chainTime.Add(-time.Hour)
		}, attls.FailCertificateExpired},
		"another name": {nil, func(c *x509.Certificate) { c.DNSNames = []string{"other.test"} }, attls.FailCertificateName},
		"a name that is not permitted": {func(c *x509.Certificate) {
			c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{"other.test"}, true
		}, nil, attls.FailBadCertificate},
		"another usage":               {nil, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} }, attls.FailUnsupportedCert},
		"a CA that issues no servers": {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} }, nil, attls.FailUnsupportedCert},
	} {
		template, last := authority("middle"), endEntity()
		if test.middle != nil {
			test.middle(&template)
		}
		if test.leaf != nil {
			test.leaf(&last)
		}
		middle := foreignIssue(t, root, kind, template)
		leaf := foreignIssue(t, middle, kind, last)
		err := judge(anchors, nil, leaf.cert, middle.cert)
		if test.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || err.Failure != test.want && !(test.want == attls.FailBadCertificate && err.Failure == attls.FailUnknownCA) {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
	t.Run("a path that is too long", func(t *testing.T) {
		template := authority("middle")
		template.MaxPathLenZero = true
		middle := foreignIssue(t, root, kind, template)
		low := foreignIssue(t, middle, kind, authority("low"))
		leaf := foreignIssue(t, low, kind, endEntity())
		if err := judge(anchors, nil, leaf.cert, middle.cert, low.cert); err == nil {
			t.Error("accepted")
		}
	})
	t.Run("an Ed25519 signature under the name of an Ed448 issuer", func(t *testing.T) {
		forger := foreignIssue(t, nil, "Ed25519", authority("root"))
		leaf := foreignIssue(t, forger, kind, endEntity())
		if err := judge(anchors, nil, leaf.cert); err == nil {
			t.Error("accepted")
		}
	})
	t.Run("an intermediate that signs itself", func(t *testing.T) {
		forger := foreignIssue(t, nil, kind, authority("root"))
		leaf := foreignIssue(t, forger, kind, endEntity())
		if err := judge(anchors, nil, leaf.cert, forger.cert); err == nil {
			t.Error("accepted")
		}
	})
}

// TestForeignCredentials: both ends show certificates and raw keys of such types.
func TestForeignCredentials(t *testing.T) {
	for _, kind := range []string{"Ed448", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"} {
		root := foreignIssue(t, nil, kind, authority("root"))
		leaf := foreignIssue(t, root, kind, endEntity())
		credential, err := handshake.NewCredential([][]byte{leaf.cert.Raw}, leaf.key)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		trust := handshake.Trust{Anchors: []*x509.Certificate{root.cert}, Time: func() time.Time { return chainTime }}
		a, b := loopback(t)
		client := handshake.Client(a, &handshake.Config{ServerName: "server.test"}, &handshake.Answerer{Trust: trust})
		server := handshake.Server(b, &handshake.Config{}, &handshake.Answerer{Credentials: []*handshake.Credential{credential}})
		done := make(chan error, 1)
		go func() { done <- server.Handshake() }()
		if err := errors.Join(client.Handshake(), <-done); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		client.Close()
		server.Close()
		if raw, err := handshake.NewRawCredential(leaf.key); err != nil || string(raw.Chain[0]) != string(leaf.cert.RawSubjectPublicKeyInfo) {
			t.Errorf("%s as a raw public key: %v", kind, err)
		}
		other, _ := newKey(t, kind)
		if _, err := handshake.NewCredential([][]byte{leaf.cert.Raw}, other); err == nil {
			t.Errorf("%s: a key of another certificate is accepted", kind)
		}
	}
}
