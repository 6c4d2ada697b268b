package handshake_test

import (
	"crypto"
	"encoding/asn1"
	"testing"

	"github.com/cloudflare/circl/sign/ed448"
	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"

	"attls"
	"attls/conformance/pair"
	"attls/handshake"
	"attls/handshake/enginetest"
)

// TestSchemesAndSuites makes mutual handshakes under the signature schemes and
// cipher suites that crypto/tls does not have. The keys are raw public keys, as
// crypto/x509 makes no certificates for them.
func TestSchemesAndSuites(t *testing.T) {
	_, s44 := mldsa44.NewKeyFromSeed(&[32]byte{1})
	_, s65 := mldsa65.NewKeyFromSeed(&[32]byte{1})
	_, s87 := mldsa87.NewKeyFromSeed(&[32]byte{1})
	s448 := ed448.NewKeyFromSeed(make([]byte, ed448.SeedSize))
	nist := func(n int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, n} }
	ccm, ccm8 := attls.TLS_AES_128_CCM_SHA256, attls.TLS_AES_128_CCM_8_SHA256
	for _, test := range []struct {
		scheme attls.SignatureScheme
		suite  attls.CipherSuite
		oid    asn1.ObjectIdentifier
		key    []byte
		signer crypto.Signer
	}{
		{attls.ED448, ccm, asn1.ObjectIdentifier{1, 3, 101, 113}, s448.Public().(ed448.PublicKey), s448},
		{attls.MLDSA44, ccm8, nist(17), s44.Public().(*mldsa44.PublicKey).Bytes(), s44},
		{attls.MLDSA65, ccm, nist(18), s65.Public().(*mldsa65.PublicKey).Bytes(), s65},
		{attls.MLDSA87, ccm8, nist(19), s87.Public().(*mldsa87.PublicKey).Bytes(), s87},
	} {
		t.Run(test.scheme.String()+" "+test.suite.String(), func(t *testing.T) {
			spki, err := asn1.Marshal(struct {
				Algorithm struct{ OID asn1.ObjectIdentifier }
				Key       asn1.BitString
			}{struct{ OID asn1.ObjectIdentifier }{test.oid}, asn1.BitString{Bytes: test.key, BitLength: 8 * len(test.key)}})
			if err != nil {
				t.Fatal(err)
			}
			own := &handshake.Credential{Chain: [][]byte{spki}, Type: attls.CertificateRawPublicKey,
				Schemes: []attls.SignatureScheme{test.scheme}, Signer: test.signer}
			types := []attls.CertificateType{attls.CertificateRawPublicKey}
			o := direct(func(c, s *handshake.Config) {
				for _, cfg := range []*handshake.Config{c, s} {
					cfg.ServerCertificateTypes, cfg.ClientCertificateTypes = types, types
					cfg.CipherSuites = []attls.CipherSuite{test.suite}
				}
			})
			o.Answer = [2]pair.Answer{enginetest.Answer(own), enginetest.Answer(own)}
			p, err := pair.New(o)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Run(); err != nil {
				t.Fatal(err)
			}
			for _, r := range []attls.Role{attls.RoleClient, attls.RoleServer} {
				if s := p.Engine(r).State(); s.PeerScheme != test.scheme || s.OwnScheme != test.scheme || s.CipherSuite != test.suite {
					t.Errorf("the %v: %v, %v, %v", r, s.PeerScheme, s.OwnScheme, s.CipherSuite)
				}
			}
		})
	}
}
