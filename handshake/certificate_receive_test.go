package handshake_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"attls"
	"attls/conformance/pair"
	"attls/handshake"
	"attls/handshake/enginetest"
)

// TestKeyUsage refuses a key that must not sign (RFC 8446 section 4.4.2.2).
func TestKeyUsage(t *testing.T) {
	seed := sha256.Sum256([]byte("usage"))
	key := ed25519.NewKeyFromSeed(seed[:])
	for name, test := range map[string]struct {
		usage x509.KeyUsage
		fails bool
	}{
		"no extension":           {},
		"digitalSignature":       {usage: x509.KeyUsageDigitalSignature},
		"both":                   {usage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement},
		"keyAgreement only":      {usage: x509.KeyUsageKeyAgreement, fails: true},
		"decipherOnly, 2 octets": {usage: x509.KeyUsageDecipherOnly, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "usage"}, KeyUsage: test.usage,
				NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0), DNSNames: []string{"usage"}}
			der, err := x509.CreateCertificate(nil, tmpl, tmpl, key.Public(), key)
			if err != nil {
				t.Fatal(err)
			}
			o := direct(nil)
			o.Answer[attls.RoleServer] = enginetest.Answer(&handshake.Credential{Chain: [][]byte{der}, Signer: key, Schemes: []attls.SignatureScheme{attls.ED25519}})
			p, err := pair.New(o)
			if err != nil {
				t.Fatal(err)
			}
			runErr := p.Run()
			want := outcome{}
			if test.fails {
				want = outcome{attls.FailKeyUsage, attls.AlertUnsupportedCertificate, attls.KindCertificate, "cert_data"}
			}
			checkOutcome(t, p, attls.RoleClient, runErr, want)
		})
	}
}

// TestOptionalClientCertificate: without one, the handshake goes on, and the
// state says so.
func TestOptionalClientCertificate(t *testing.T) {
	o := full(func(_, server *handshake.Config) { server.ClientAuthentication = handshake.OptionalClientCertificate })
	o.Answer[attls.RoleClient] = func(w *handshake.Wait) (handshake.Answer, *attls.Error) { return handshake.Answer{}, nil }
	p, err := pair.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	if s := p.Engine(attls.RoleServer).State(); !s.ClientRequested || s.PeerChain != nil || s.PeerSPKI != nil {
		t.Errorf("requested %v, chain %v", s.ClientRequested, s.PeerChain)
	}
}
