package veraison_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"os"
	"slices"
	"strings"
	"testing"

	"attls"
	"attls/attestation"
	"attls/attestation/cca"
	"attls/attestation/psa"
	"attls/attestation/roottest"
	"attls/attestation/veraison"
	"attls/attestation/veraison/veraisontest"
	"attls/extensions/profile"
	"attls/negotiation"
)

// connection makes the client of a service that trusts the emulator of a root of
// trust: a Veraison that ATTLS_VERIFIER_URL names, or the double.
func (r *root) connection(t *testing.T) *veraison.Verifier {
	t.Helper()
	url := os.Getenv("ATTLS_VERIFIER_URL")
	if url == "" {
		_, v := r.start(t, veraisontest.Switches{}, func(o *veraison.Options) { o.Identity = "veraison.example" })
		return v
	}
	o := veraison.Options{URL: url, Table: r.table, Identity: "veraison.example",
		Insecure: os.Getenv("ATTLS_VERIFIER_INSECURE") != ""}
	if name := os.Getenv("ATTLS_VERIFIER_CA"); name != "" {
		o.RootCAs = x509.NewCertPool()
		if b, err := os.ReadFile(name); err != nil || !o.RootCAs.AppendCertsFromPEM(b) {
			t.Fatalf("%s has no certificate: %v", name, err)
		}
	}
	if name := os.Getenv("ATTLS_VERIFIER_KEY"); name != "" {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(b)
		if block == nil {
			t.Fatalf("%s is not PEM", name)
		}
		if o.Key, err = x509.ParsePKIXPublicKey(block.Bytes); err != nil {
			t.Fatal(err)
		}
	}
	r.provision(t, o)
	v, err := veraison.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// provision gives a Veraison what trusts the emulator, where that can be written.
func (r *root) provision(t *testing.T, o veraison.Options) {
	t.Helper()
	url := os.Getenv("ATTLS_PROVISIONING_URL")
	if url == "" {
		return
	}
	list, err := r.corim()
	if err != nil {
		t.Skipf("%s cannot be provisioned: %v", r.name, err)
	}
	o.URL = url
	for _, b := range list {
		media, err := veraison.TypeOfCoRIM(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := veraison.Provision(t.Context(), o, media, b); err != nil && !strings.Contains(err.Error(), "already in store") {
			t.Fatal(err)
		}
	}
}

// TestService: what a Veraison says of sound and unsound Evidence, in both models. It
// runs against the double, or against the Veraison that ATTLS_VERIFIER_URL names:
// docs/veraison.md tells how.
func TestService(t *testing.T) {
	for _, name := range []string{psa.Name, cca.Name, cca.Parsec} {
		t.Run(name, func(t *testing.T) {
			r := rootNamed(t, name)
			v := r.connection(t)
			wants := func(q *negotiation.AppraisalRequest, failure attls.Failure, says string) *negotiation.Verdict {
				t.Helper()
				verdict := appraise(t, v, q)
				if verdict.Failure != failure || !strings.Contains(verdict.Reason, says) {
					t.Errorf("the verdict is %q, %s; expected is %q, %q\n%+v", verdict.Failure, verdict.Reason, failure, says, verdict.Checks)
				}
				return verdict
			}
			var last *negotiation.Verdict
			for _, n := range []int{32, 48, 64} {
				last = wants(r.request(t, n), "", "")
			}
			q := r.request(t, 64)
			q.Challenge = bytes.Repeat([]byte{0x5a}, 64)
			wants(q, attls.FailBinderMismatch, "the challenge of this connection")

			other := *r // an emulator that nobody was told of
			seed := sha256.Sum256([]byte("another seed"))
			e, err := r.format.Emulate(t.Context(), attestation.EmulatorOptions{Seed: seed[:], Clock: noon})
			if err != nil {
				t.Fatal(err)
			}
			other.attester, other.verifier = e.Attester, roottest.Verifier(r.table, name, e, noon)
			wants(other.request(t, 64), attls.FailAppraisal, "is contraindicated")

			relayed := r.request(t, 64)
			relayed.Scheme = negotiation.Scheme{Model: profile.ModelResults, Verifier: []byte("veraison.example")}
			relayed.CMW = wrapped(t, profile.Format{ContentFormat: attestation.FormatJWT}, attestation.IndAttestationResults, last.Result)
			if name == cca.Parsec {
				wants(relayed, attls.FailAppraisal, "does not compare the challenge")
			} else {
				wants(relayed, "", "")
			}
		})
	}
}

// TestProvisionRoots: what trusts an emulator is written as CoRIMs, whose media types
// are the ones that a Veraison takes.
func TestProvisionRoots(t *testing.T) {
	for name, types := range map[string][]string{
		psa.Name: {`application/rim+cbor; profile="tag:arm.com,2025:psa#1.0.0"`},
		cca.Name: {`application/rim+cbor; profile="tag:arm.com,2025:cca_platform#1.0.0"`, `application/rim+cbor; profile="tag:arm.com,2025:cca_realm#1.0.0"`},
	} {
		list, err := rootNamed(t, name).corim()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, b := range list {
			media, err := veraison.TypeOfCoRIM(b)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, media)
		}
		if !slices.Equal(got, types) {
			t.Errorf("%s: %q; expected are %q", name, got, types)
		}
	}
}
