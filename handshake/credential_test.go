package handshake_test

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"

	"attls"
	"attls/handshake"
)

// TestCredentialChoice shows which of several certificates is chosen.
func TestCredentialChoice(t *testing.T) {
	ca, other := newAuthority("authority"), newAuthority("another authority")
	rsaCA := issue(nil, "RSA authority", keys["RSA"](), func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid = true, true
	})
	first := issue(ca, "first", keys["P-256"](), nil).credential()
	second := issue(ca, "second", keys["P-256"](), nil).credential()
	ed := issue(other, "first", keys["Ed25519"](), nil).credential()
	byRSA := issue(rsaCA, "third", keys["P-256"](), nil).credential()
	a := handshake.Answerer{Credentials: []*handshake.Credential{byRSA, first, second, ed}}
	p256, e := attls.ECDSA_SECP256R1_SHA256, attls.ED25519
	both := []attls.SignatureScheme{p256, e}
	tests := []struct {
		name string
		r    handshake.CredentialRequest
		want *handshake.Credential
		fail attls.Failure
	}{
		{"the first whose issuer's signature is accepted", handshake.CredentialRequest{Schemes: both}, first, ""},
		{"signature_algorithms_cert", handshake.CredentialRequest{Schemes: both, SchemesCert: []attls.SignatureScheme{attls.RSA_PKCS1_SHA256}}, byRSA, ""},
		{"server_name", handshake.CredentialRequest{Schemes: both, ServerName: "second"}, second, ""},
		{"unknown name", handshake.CredentialRequest{Schemes: both, ServerName: "nowhere"}, first, ""},
		{"signature_algorithms", handshake.CredentialRequest{Schemes: []attls.SignatureScheme{e}}, ed, ""},
		{"certificate_authorities", handshake.CredentialRequest{Schemes: both, Authorities: [][]byte{other.cert.RawSubject}}, ed, ""},
		{"unknown authority", handshake.CredentialRequest{Schemes: both, Authorities: [][]byte{[]byte("none")}}, first, ""},
		{"nothing fits a server", handshake.CredentialRequest{Role: attls.RoleServer, Schemes: []attls.SignatureScheme{attls.RSA_PSS_PSS_SHA256}}, nil, attls.FailSignatureScheme},
		{"nothing fits a client", handshake.CredentialRequest{Role: attls.RoleClient, Schemes: []attls.SignatureScheme{attls.RSA_PSS_PSS_SHA256}}, nil, ""},
	}
	for _, test := range tests {
		got, err := a.Answer(context.Background(), &handshake.Wait{Kind: handshake.WaitCredential, Credential: &test.r})
		if got.Credential != test.want || failureOf(err) != test.fail {
			t.Errorf("%s: other certificate, %v", test.name, err)
		}
	}
	if _, err := handshake.NewCredential([][]byte{ca.der}, other.key); err == nil {
		t.Error("a key that is not the certificate's was accepted")
	}
}

// TestParsePrivateKey: what crypto/x509 reads, and a key of type id-RSASSA-PSS.
func TestParsePrivateKey(t *testing.T) {
	for name, generate := range keys {
		signer := generate()
		der := must(x509.MarshalPKCS8PrivateKey(signer))
		if name == "RSA-PSS" {
			der = must(asn1.Marshal(struct {
				Version   int
				Algorithm pkix.AlgorithmIdentifier
				Key       []byte
			}{0, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}}, x509.MarshalPKCS1PrivateKey(signer.(*rsa.PrivateKey))}))
		}
		key, err := handshake.ParsePrivateKey(der)
		if err != nil || !key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(signer.Public()) {
			t.Errorf("%s: %v", name, err)
		}
		for n := range len(der) {
			if _, err := handshake.ParsePrivateKey(der[:n]); err == nil {
				t.Errorf("%s: %d of %d octets make a key", name, n, len(der))
			}
		}
	}
	ecdh := must(ecdh.X25519().GenerateKey(rand.Reader))
	if _, err := handshake.ParsePrivateKey(must(x509.MarshalPKCS8PrivateKey(ecdh))); err == nil {
		t.Error("a key that makes no signatures is accepted")
	}
}
