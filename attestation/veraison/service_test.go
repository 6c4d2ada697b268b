package veraison_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

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
	o, own := named(t)
	if !own {
		_, v := r.start(t, veraisontest.Switches{}, func(o *veraison.Options) { o.Identity = "veraison.example" })
		return v
	}
	o.Table, o.Identity = r.table, "veraison.example"
	r.provision(t, o)
	v, err := veraison.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// named is the Veraison that ATTLS_VERIFIER_URL names; false where it names none.
func named(t *testing.T) (o veraison.Options, own bool) {
	t.Helper()
	o.URL = os.Getenv("ATTLS_VERIFIER_URL")
	o.Insecure = os.Getenv("ATTLS_VERIFIER_INSECURE") != ""
	if o.URL == "" {
		return o, false
	}
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
	return o, true
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
		psa.Name:   {`application/rim+cbor; profile="tag:arm.com,2025:psa#1.0.0"`},
		cca.Parsec: {`application/rim+cbor; profile="tag:github.com/parallaxsecond,2023-03-03:cca"`},
		cca.Name:   {`application/rim+cbor; profile="tag:arm.com,2025:cca_platform#1.0.0"`, `application/rim+cbor; profile="tag:arm.com,2025:cca_realm#1.0.0"`},
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

// TestServiceAnswers: what the service answers to requests that the client never makes,
// as a Veraison of August 2026 does. The double is compared with the same table.
func TestServiceAnswers(t *testing.T) {
	o, own := named(t)
	if !own {
		d := veraisontest.Start(t, veraisontest.Switches{})
		o.URL = d.URL
	}
	client := &http.Client{Timeout: 10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: o.RootCAs}}}
	t.Cleanup(client.CloseIdleConnections)
	const (
		api     = "/challenge-response/v1/"
		absent  = api + "session/00000000-0000-0000-0000-000000000000"
		psa1    = "application/psa-attestation-token"
		tfm     = `application/eat+cwt; eat_profile="tag:psacertified.org,2023:psa#tfm"`
		problem = "application/problem+json"
		plain   = "text/plain"
	)
	ask := func(t *testing.T, method, path, accept, media, body string) (*http.Response, string) {
		t.Helper()
		q, err := http.NewRequestWithContext(t.Context(), method, o.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{"Accept": accept, "Content-Type": media} {
			if value != "" {
				q.Header.Set(name, value)
			}
		}
		response, err := client.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		b, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response, string(b)
	}
	for _, test := range []struct {
		method, path, accept, media, body string // a path "session" is a new one
		status                            int
		answer, says                      string
	}{
		{"POST", api + "newSession?nonce=", "", "", "", 201, typeSession, `"waiting"`},
		{"POST", api + "newSession?nonceSize=8", "", "", "", 201, typeSession, `"waiting"`},
		{"POST", api + "newSession?nonceSize=7", "", "", "", 400, problem, "nonceSize must be in range 8..64"},
		{"POST", api + "newSession?nonceSize=300", "", "", "", 400, problem, "nonceSize must be in range 8..64"},
		{"POST", api + "newSession?nonce=AAAA", "", "", "", 400, problem, "between 8 and 64 bytes long; got 3"},
		{"POST", api + "newSession?nonce=AAAAAAAAAAAAAAA", "", "", "", 201, typeSession, `"AAAAAAAAAAAAAAA"`},
		{"POST", api + "newSession?nonce=AAAAAAAAAAA=", "", "", "", 201, typeSession, `"AAAAAAAAAAA"`},
		{"POST", api + "newSession?nonce=AAAAAAAAAAA====", "", "", "", 400, problem, "nonce must be valid base64"},
		{"POST", api + "newSession?nonce=AAAAAAAA%2BAAA", "", "", "", 400, problem, "nonce must be valid base64"},
		{"POST", api + "newSession?nonce=AAAAAAAAAAA&nonceSize=8", "", "", "", 400, problem, "mutually exclusive"},
		{"POST", api + "newSession", "text/html, application/*", "", "", 201, typeSession, `"waiting"`},
		{"POST", api + "newSession", "*/*", "", "", 201, typeSession, `"waiting"`},
		{"POST", api + "newSession", "text/html", "", "", 406, problem, "the only supported output format is"},
		{"GET", "/.well-known/veraison/verification", "application/json", "", "", 406, problem, "the only supported output format is"},
		{"GET", "/.well-known/veraison/verification", "", "", "", 200, typeDiscovery, "ear-verification-key"},
		{"POST", "/.well-known/veraison/verification", "", "", "", 404, plain, "404 page not found"},
		{"GET", api + "newSession", "", "", "", 404, plain, "404 page not found"},
		{"DELETE", absent, "", "", "", 204, "", ""},
		{"DELETE", api + "session/x", "", "", "", 400, problem, "invalid session id (/challenge-response/v1/session/x)"},
		{"GET", absent, "", "", "", 404, problem, "session not found for (id, tenant)=(00000000-0000-0000-0000-000000000000, 0)"},
		{"GET", api + "session/x", "", "", "", 400, problem, "invalid UUID length: 1"},
		{"POST", absent, "", "", "", 400, problem, "unable to read evidence from the request body"},
		{"POST", absent, "", "text/plain", "x", 415, problem, "no active plugin found for text/plain"},
		{"POST", absent, "", "", "x", 400, problem, "validation failed for  (mime: no media type)"},
		{"POST", absent, "", "a/b; c=http://d", "x", 400, problem, "mime: invalid media parameter"},
		{"POST", absent, "", psa1, "x", 404, problem, "session not found"},
		{"POST", absent + "x", "", psa1, "x", 400, problem, "invalid UUID length: 37"},
		{"GET", "session", "", "", "", 200, typeSession, `"waiting"`},
		{"POST", "session", "", psa1, "\xa0", 200, typeSession, `"complete"`},
		{"POST", "session", "", psa1 + ";x=y", "\xa0", 415, problem, "no active plugin found for"},
		{"POST", "session", "", strings.Replace(tfm, "tag", "TAG", 1), "\xa0", 415, problem, "no active plugin found for"},
		{"POST", "session", "", strings.Replace(psa1, "psa", "PSA", 1), "\xa0", 500, problem, "error encountered while processing evidence"},
		{"POST", "session", "", strings.Replace(tfm, "; ", ";", 1), "\xa0", 500, problem, "error encountered while processing evidence"},
		{"POST", "session", "", "application/cmw+cbor", "\x83\x78\x21" + psa1 + "\x41\xa0\x04", 200, typeSession, `"type":"` + psa1 + `"`},
		{"POST", "session", "", "application/cmw+cbor", "\x01", 400, problem, "could not unwrap the CMW"},
	} {
		name := strings.TrimSpace(fmt.Sprintf("%s %s %s %s", test.method, test.path, test.accept, test.media))
		t.Run(name, func(t *testing.T) {
			path := test.path
			if path == "session" {
				created, _ := ask(t, "POST", api+"newSession", "", "", "")
				path = api + created.Header.Get("Location")
			}
			response, body := ask(t, test.method, path, test.accept, test.media, test.body)
			media := response.Header.Get("Content-Type")
			if response.StatusCode != test.status || media != test.answer || !strings.Contains(body, test.says) {
				t.Errorf("%d %q %s; expected are %d, %q, %q", response.StatusCode, media, body, test.status, test.answer, test.says)
			}
			if accept := response.Header.Get("Accept"); (test.status == 415) != strings.Contains(accept, tfm) {
				t.Errorf("Accept: %q", accept)
			}
			if test.path != "session" {
				return
			}
			status := map[int]string{200: `"complete"`, 500: `"failed"`}[test.status]
			if status == "" || test.method == "GET" {
				status = `"waiting"`
			}
			if _, body := ask(t, "GET", path, "", "", ""); !strings.Contains(body, `"status":`+status) {
				t.Errorf("the session is %s; expected is %s", body, status)
			}
			for range 2 {
				if response, _ := ask(t, "DELETE", path, "", "", ""); response.StatusCode != 204 {
					t.Errorf("DELETE: %d", response.StatusCode)
				}
			}
			if response, _ := ask(t, "GET", path, "", "", ""); response.StatusCode != 404 {
				t.Errorf("after DELETE: %d", response.StatusCode)
			}
		})
	}
}
