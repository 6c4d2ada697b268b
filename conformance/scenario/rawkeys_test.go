package scenario

import (
	"attls/conformance/claims"
	"context"
	"testing"
)

// Raw public keys take the place of X.509 in plain TLS, and an attestation goes
// beside them where a profile lets it go beside X.509.
func TestRawPublicKeys(t *testing.T) {
	for _, s := range []Scenario{
		{Attester: AttestNone, RawPublicKeys: true},
		{Attester: AttestNone, RawPublicKeys: true, ClientCertificate: true},
		{Profile: "early-attestation-06", Attester: AttestServer, Model: claims.ModelEvidence, Credential: claims.CredentialX509, RawPublicKeys: true},
		{Profile: "early-attestation-06", Attester: AttestBoth, Model: claims.ModelResults, Credential: claims.CredentialX509, RawPublicKeys: true},
		{Profile: "tls-attestation-07", Attester: AttestClient, Model: claims.ModelEvidence, Credential: claims.CredentialX509, RawPublicKeys: true},
		{Profile: "tls-attestation-07", Attester: AttestBoth, Model: claims.ModelEvidence, Credential: claims.CredentialX509, RawPublicKeys: true},
	} {
		t.Run(s.String(), func(t *testing.T) {
			r := Run(context.Background(), s)
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			client, server := &r.Claims[0], &r.Claims[1]
			if client.PeerType != "RawPublicKey" || server.OwnType != "RawPublicKey" {
				t.Errorf("the server's certificate: %s for the client, %s for the server", client.PeerType, server.OwnType)
			}
			if s.ClientCertificate || s.Attester.Has(0) {
				if client.OwnType != "RawPublicKey" || server.PeerType != "RawPublicKey" {
					t.Errorf("the client's certificate: %s for the client, %s for the server", client.OwnType, server.PeerType)
				}
			}
		})
	}
}
