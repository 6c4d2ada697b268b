package handshake_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"testing"
	"time"

	"attls"
	"attls/handshake"
)

// TestTrust validates chains and names the failure of each that is refused.
func TestTrust(t *testing.T) {
	ca, other := newAuthority("authority"), newAuthority("another authority")
	mid := issue(ca, "intermediate", keys["P-256"](), func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
	pss := issue(nil, "pss", keys["RSA-PSS"](), func(c *x509.Certificate) {
		c.SignatureAlgorithm = x509.SHA256WithRSAPSS
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
	underPSS := issue(pss, "server", keys["P-256"](), nil)
	pssRoot := asPSS(pss.der, ca.key) // its own signature does not matter for an anchor
	pssPool := x509.NewCertPool()
	pssPool.AddCert(must(handshake.ParseCertificate(pssRoot)))
	server := issue(ca, "server", keys["P-256"](), nil)
	now := func() time.Time { return notBefore.AddDate(1, 0, 0) }
	roots := pool(ca)
	chain := func(ids ...*identity) (list [][]byte) {
		for _, id := range ids {
			list = append(list, id.der)
		}
		return list
	}
	usage := func(u x509.ExtKeyUsage) *identity {
		return issue(ca, "server", keys["P-256"](), func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{u} })
	}
	critical := issue(ca, "server", keys["P-256"](), func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
	})
	verified := errors.New("not today")
	tests := []struct {
		name  string
		trust handshake.Trust
		peer  attls.Role
		chain [][]byte
		asked string // Config.ServerName
		want  attls.Failure
	}{
		{"server", handshake.Trust{Roots: roots}, attls.RoleServer, chain(server), "server", ""},
		{"client", handshake.Trust{Roots: roots}, attls.RoleClient, chain(server), "", ""},
		{"RSASSA-PSS key", handshake.Trust{Roots: roots}, attls.RoleServer, chain(issueType(ca, "server", "RSA-PSS")), "server", ""},
		{"RSASSA-PSS anchor", handshake.Trust{Roots: pssPool}, attls.RoleServer, chain(underPSS), "server", ""},
		{"intermediate", handshake.Trust{Roots: roots}, attls.RoleServer, chain(issue(mid, "server", keys["P-256"](), nil), mid), "server", ""},
		{"intermediate missing", handshake.Trust{Roots: roots}, attls.RoleServer, chain(issue(mid, "server", keys["P-256"](), nil)), "server", attls.FailUnknownCA},
		{"unknown authority", handshake.Trust{Roots: pool(other)}, attls.RoleServer, chain(server), "server", attls.FailUnknownCA},
		{"too early", handshake.Trust{Roots: roots, Time: func() time.Time { return notBefore.AddDate(-1, 0, 0) }}, attls.RoleServer, chain(server), "server", attls.FailCertificateExpired},
		{"too late", handshake.Trust{Roots: roots, Time: func() time.Time { return notAfter.AddDate(1, 0, 0) }}, attls.RoleServer, chain(server), "server", attls.FailCertificateExpired},
		{"other name", handshake.Trust{Roots: roots}, attls.RoleServer, chain(server), "elsewhere", attls.FailCertificateName},
		{"other name allowed", handshake.Trust{Roots: roots, AnyName: true}, attls.RoleServer, chain(server), "elsewhere", ""},
		{"name of the policy", handshake.Trust{Roots: roots, ServerName: "server"}, attls.RoleServer, chain(server), "elsewhere", ""},
		{"address", handshake.Trust{Roots: roots}, attls.RoleServer, chain(server), "127.0.0.1", ""},
		{"other address", handshake.Trust{Roots: roots}, attls.RoleServer, chain(server), "127.0.0.2", attls.FailCertificateName},
		{"no name", handshake.Trust{Roots: roots}, attls.RoleServer, chain(server), "", attls.FailConfiguration},
		{"client's certificate at a server", handshake.Trust{Roots: roots}, attls.RoleServer, chain(usage(x509.ExtKeyUsageClientAuth)), "server", attls.FailUnsupportedCert},
		{"server's certificate at a client", handshake.Trust{Roots: roots}, attls.RoleClient, chain(usage(x509.ExtKeyUsageServerAuth)), "", attls.FailUnsupportedCert},
		{"usage of the policy", handshake.Trust{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}, attls.RoleServer, chain(usage(x509.ExtKeyUsageClientAuth)), "server", ""},
		{"critical extension", handshake.Trust{Roots: roots}, attls.RoleServer, chain(critical), "server", attls.FailUnsupportedCert},
		{"end entity as authority", handshake.Trust{Roots: roots}, attls.RoleServer, chain(issue(server, "server", keys["P-256"](), nil), server), "server", attls.FailUnknownCA},
		{"no certificate", handshake.Trust{Roots: roots}, attls.RoleServer, [][]byte{[]byte("no DER")}, "server", attls.FailBadCertificate},
		{"no certificate behind", handshake.Trust{Roots: roots}, attls.RoleServer, [][]byte{server.der, []byte("no DER")}, "server", ""},
		{"anything", handshake.Trust{InsecureSkipVerify: true}, attls.RoleServer, chain(other), "", ""},
		{"last word", handshake.Trust{Roots: roots, Verify: func(context.Context, attls.Role, [][]byte) error { return verified }}, attls.RoleServer, chain(server), "server", attls.FailBadCertificate},
		{"last word, named", handshake.Trust{InsecureSkipVerify: true, Verify: func(context.Context, attls.Role, [][]byte) error {
			return attls.Errorf(attls.Refused, attls.FailCertificateRevoked, "revoked")
		}}, attls.RoleClient, chain(server), "", attls.FailCertificateRevoked},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.trust.Time == nil {
				test.trust.Time = now
			}
			a := handshake.Answerer{Trust: test.trust}
			_, err := a.Answer(context.Background(), &handshake.Wait{Kind: handshake.WaitCertificateVerdict,
				Certificate: &handshake.CertificateVerdictRequest{Peer: test.peer, Chain: test.chain, ServerName: test.asked}})
			if got := failureOf(err); got != test.want {
				t.Errorf("%q, want %q: %v", got, test.want, err)
			}
		})
	}
}

func failureOf(err *attls.Error) attls.Failure {
	if err == nil {
		return ""
	}
	return err.Failure
}

// TestSelfSignedSignature: the signature of a self-signed certificate counts for nothing
// (RFC 8446 section 4.4.2.2), of an end entity or of an anchor that is sent along; that of
// any other certificate does.
func TestSelfSignedSignature(t *testing.T) {
	authority := func(keyType string) *identity {
		return issue(nil, keyType+" authority", keys[keyType](), func(c *x509.Certificate) {
			c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
		})
	}
	ecdsa, ed := authority("P-256"), authority("Ed25519")
	middle := issue(ecdsa, "intermediate", keys["Ed25519"](), func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
	chain := func(list ...*identity) *handshake.Credential {
		var ders [][]byte
		for _, id := range list {
			ders = append(ders, id.der)
		}
		return must(handshake.NewCredential(ders, list[0].key))
	}
	refused := issue(ecdsa, "signed by ECDSA", keys["P-256"](), nil)
	accepted := issue(ed, "signed by Ed25519", keys["P-256"](), nil)
	self := issue(nil, "signs itself with ECDSA", keys["P-256"](), nil)
	for name, test := range map[string]struct {
		better *handshake.Credential // than one whose signature is not accepted
		equal  bool                  // it is not better
	}{
		"a self-signed end entity":                                {chain(self), false},
		"an accepted signature":                                   {chain(accepted), false},
		"an accepted signature, with the anchor":                  {chain(accepted, ed), false},
		"an accepted signature, with an anchor of another scheme": {chain(accepted, ecdsa), false},
		"another signature that is not accepted":                  {chain(issue(ecdsa, "as well", keys["P-256"](), nil), ecdsa), true},
		"an intermediate with a signature that is not accepted":   {chain(issue(middle, "deep", keys["P-256"](), nil), middle), true},
	} {
		t.Run(name, func(t *testing.T) {
			first := chain(refused, ecdsa)
			a := handshake.Answerer{Credentials: []*handshake.Credential{first, test.better}}
			request := handshake.CredentialRequest{Role: attls.RoleServer, Schemes: []attls.SignatureScheme{attls.ECDSA_SECP256R1_SHA256},
				SchemesCert: []attls.SignatureScheme{attls.ED25519}}
			got, err := a.Answer(t.Context(), &handshake.Wait{Kind: handshake.WaitCredential, Credential: &request})
			if err != nil || (got.Credential == first) != test.equal {
				t.Errorf("the one with the refused signature is shown: %v, %v", got.Credential == first, err)
			}
		})
	}
}

// TestTrustRawKeys lets a Conn's Answerer decide on raw public keys.
func TestTrustRawKeys(t *testing.T) {
	key := raw(serverCredential).Chain[0]
	for name, test := range map[string]struct {
		trust handshake.Trust
		fails bool
	}{
		"known":   {trust: handshake.Trust{RawKeys: [][]byte{{1}, key}}},
		"unknown": {trust: handshake.Trust{RawKeys: [][]byte{{1}}}, fails: true},
		"none":    {fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			a := handshake.Answerer{Trust: test.trust}
			_, err := a.Answer(t.Context(), &handshake.Wait{Kind: handshake.WaitCertificateVerdict, Certificate: &handshake.CertificateVerdictRequest{
				Peer: attls.RoleServer, Type: attls.CertificateRawPublicKey, Chain: [][]byte{key}}})
			if (err != nil) != test.fails {
				t.Error(err)
			}
		})
	}
}
