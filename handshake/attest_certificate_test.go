package handshake_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"strings"
	"sync"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/enginetest"
	"attls/negotiation"
)

// placedText is a profile that puts the payload into the attester's certificate.
const placedText = `
profile: placed
base: early-attestation-06
types: |
  struct {
      select (Handshake.msg_type) {
          case client_hello:
              AttestationScheme client_attester_schemes<0..2^16-1>;
              AttestationScheme server_attester_schemes<0..2^16-1>;
          case encrypted_extensions:
              AttestationScheme chosen_server_scheme;
          case certificate_request:
              AttestationScheme chosen_client_scheme;
      };
  } remoteAttestation;
extensions: {remoteAttestation: {certificate: null}}
x509:
  quote: {oid: 1.2.840.113741.1337.6, critical: true, octet_string: true}
  claims: {oid: 1.2.840.113741.1337.7, content: claims}
  names: {dns_names: fp.example.org, content: claims}
bind: {credentials: {x509: {carried_in: certificate.x509.quote}}}
binder: {define: {claims: 'digest("SHA-256", concat(spki(role), not_before.seconds(role), common_name(role)))'}}
accepted_flaws: {payload_bound: null}
`

// placing is a pair whose client attests in its certificate, in the handshake and later.
func placing(t *testing.T) *laterAttesting {
	t.Helper()
	p, err := profile.Parse("placed.yaml", []byte(placedText), profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return newLaterAttesting(p)
}

// issuing answers Issuance waits, with the same for the same request.
type issuing struct {
	mu       sync.Mutex
	made     map[string][][]byte
	requests []*handshake.IssuanceRequest
	change   func(r handshake.IssuanceRequest) handshake.IssuanceRequest
}

func (i *issuing) Issue(ctx context.Context, r *handshake.IssuanceRequest) ([][]byte, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.requests = append(i.requests, r)
	asked := *r
	if i.change != nil {
		asked = i.change(asked)
	}
	key := fmt.Sprint(asked.Extensions, asked.DNSNames)
	if i.made[key] == nil {
		chain, err := handshake.Authority{}.Issue(ctx, &asked)
		if err != nil {
			return nil, err
		}
		if i.made == nil {
			i.made = map[string][][]byte{}
		}
		i.made[key] = chain
	}
	return i.made[key], nil
}

func (i *issuing) answer(next pair.Answer) pair.Answer {
	return func(w *handshake.Wait) (handshake.Answer, *attls.Error) {
		if w.Kind != handshake.WaitIssuance {
			return next(w)
		}
		chain, err := i.Issue(context.Background(), w.Issuance)
		if err != nil {
			return handshake.Answer{}, attls.Errorf(attls.Local, attls.FailInternal, "%v", err)
		}
		return handshake.Answer{Chain: chain}, nil
	}
}

// TestIssued: the client attests in a certificate that is made after the Evidence, in
// the handshake and in post-handshake authentication.
func TestIssued(t *testing.T) {
	l := placing(t)
	i := &issuing{}
	var asked *handshake.CredentialRequest
	l.o.Answer[attls.RoleClient] = i.answer(func(w *handshake.Wait) (handshake.Answer, *attls.Error) {
		if w.Kind == handshake.WaitCredential {
			asked = w.Credential
		}
		return l.client(w)
	})
	p := l.connect(t)
	if !asked.Issued || !asked.Attests {
		t.Errorf("the Credential wait: %+v", asked)
	}
	request(t, p)
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	if len(i.requests) != 2 || len(l.challenges[attls.RoleServer]) != 2 {
		t.Fatalf("%d certificates, %d appraisals", len(i.requests), len(l.challenges[attls.RoleServer]))
	}
	r := i.requests[0]
	if len(r.Extensions) != 2 || !r.Extensions[1].Critical || len(r.DNSNames) != 2 ||
		!bytes.Equal(r.Extensions[1].Value[2:], l.challenges[attls.RoleClient][0]) {
		t.Errorf("asked for %+v", r)
	}
	if bytes.Equal(i.requests[1].Extensions[1].Value, r.Extensions[1].Value) {
		t.Error("the second certificate holds the Evidence of the first")
	}
}

// TestIssuedOtherwise: a certificate that is not the one that was asked for is not sent.
func TestIssuedOtherwise(t *testing.T) {
	for name, change := range map[string]func(r handshake.IssuanceRequest) handshake.IssuanceRequest{
		"without an extension": func(r handshake.IssuanceRequest) handshake.IssuanceRequest {
			r.Extensions = r.Extensions[1:]
			return r
		},
		"another value": func(r handshake.IssuanceRequest) handshake.IssuanceRequest {
			r.Extensions = append([]handshake.X509Extension{}, r.Extensions...)
			r.Extensions[1].Value = []byte{4, 1, 1}
			return r
		},
		"not critical": func(r handshake.IssuanceRequest) handshake.IssuanceRequest {
			r.Extensions = append([]handshake.X509Extension{}, r.Extensions...)
			r.Extensions[1].Critical = false
			return r
		},
		"without a name": func(r handshake.IssuanceRequest) handshake.IssuanceRequest { r.DNSNames = nil; return r },
		"another key": func(r handshake.IssuanceRequest) handshake.IssuanceRequest {
			r.Credential = serverCredential
			return r
		},
	} {
		l := placing(t)
		l.o.Answer[attls.RoleClient] = (&issuing{change: change}).answer(l.client)
		p, err := pair.New(l.o)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Run(); err == nil || !strings.Contains(fmt.Sprint(p.Engine(attls.RoleClient).Err()), "certificate") {
			t.Errorf("%s: %v", name, err)
		}
	}
	l := placing(t)
	l.o.Answer[attls.RoleClient] = func(w *handshake.Wait) (handshake.Answer, *attls.Error) {
		if w.Kind == handshake.WaitIssuance {
			return handshake.Answer{}, nil
		}
		return l.client(w)
	}
	p, _ := pair.New(l.o)
	if err := p.Run(); err == nil {
		t.Error("no certificate, and the handshake goes on")
	}
}

// TestAuthority: what is issued keeps names and validity and has what was asked for; it
// is signed by the authority, or by its own key.
func TestAuthority(t *testing.T) {
	root, err := x509.ParseCertificate(serverCredential.Chain[0])
	if err != nil {
		t.Fatal(err)
	}
	old, _ := x509.ParseCertificate(clientCredential.Chain[0])
	r := &handshake.IssuanceRequest{Credential: clientCredential, DNSNames: []string{"00aa.fp.example.org"},
		Extensions: []handshake.X509Extension{{OID: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte("x")}}}
	for name, a := range map[string]handshake.Authority{"self-signed": {}, "issued": {Certificate: root,
		Signer: serverCredential.Signer}} {
		chain, err := a.Issue(context.Background(), r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		cert, err := x509.ParseCertificate(chain[0])
		if err != nil {
			t.Fatal(err)
		}
		by := cert
		if a.Certificate != nil {
			by = root
		}
		if err := by.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.Equal(cert.RawSubject, old.RawSubject) || !cert.NotAfter.Equal(old.NotAfter) || !bytes.Equal(
			cert.RawSubjectPublicKeyInfo, old.RawSubjectPublicKeyInfo) || len(cert.DNSNames) != len(old.DNSNames)+1 {
			t.Errorf("%s: %+v", name, cert)
		}
		if n := len(cert.UnhandledCriticalExtensions); n != 1 {
			t.Errorf("%s: %d critical extensions", name, n)
		}
	}
	bare := *clientCredential
	bare.Signer = nil
	if _, err := (handshake.Authority{}).Issue(context.Background(), &handshake.IssuanceRequest{Credential: &bare}); err == nil {
		t.Error("signed without a key")
	}
}

// TestCriticalField: a critical extension that the profile reads is not unknown to path
// validation; to a peer without the profile it is.
func TestCriticalField(t *testing.T) {
	root, _ := x509.ParseCertificate(serverCredential.Chain[0])
	r := &handshake.IssuanceRequest{Credential: serverCredential,
		Extensions: []handshake.X509Extension{{OID: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte("x")}}}
	chain, err := handshake.Authority{Certificate: root, Signer: serverCredential.Signer}.Issue(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	a := &handshake.Answerer{Trust: handshake.Trust{Roots: pool, AnyName: true, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}}
	for _, handled := range [][]asn1.ObjectIdentifier{nil, {{1, 2, 3}}} {
		_, failure := a.Answer(context.Background(), &handshake.Wait{Kind: handshake.WaitCertificateVerdict,
			Certificate: &handshake.CertificateVerdictRequest{Peer: attls.RoleServer, Chain: chain, Handled: handled}})
		if handled == nil && (failure == nil || failure.Failure != attls.FailUnsupportedCert) ||
			handled != nil && failure != nil && failure.Failure == attls.FailUnsupportedCert {
			t.Errorf("handled %v: %v", handled, failure)
		}
	}
}

// placedOptions is the handshake of placing for the test that forks it everywhere.
func placedOptions() pair.Options {
	p, err := profile.Parse("placed.yaml", []byte(placedText), profile.Options{})
	if err != nil {
		panic(err)
	}
	l := newLaterAttesting(p)
	l.o.Answer[attls.RoleClient] = (&issuing{}).answer(l.client)
	l.o.Answer[attls.RoleServer] = func(w *handshake.Wait) (handshake.Answer, *attls.Error) {
		if w.Kind == handshake.WaitAppraisal {
			return handshake.Answer{Verdict: &negotiation.Verdict{Status: negotiation.StatusAffirming}}, nil
		}
		return l.server(w)
	}
	return l.o
}

// alwaysText is a profile in which nothing is negotiated.
const alwaysText = `
profile: always
x509: {quote: {oid: 1.2.840.113741.1337.6}}
bind:
  slots:
    client: {attester: client, always: evidence/x509}
    server: {attester: server, always: evidence/x509}
  credentials: {x509: {carried_in: certificate.x509.quote, pkix: none}}
binder: {challenge: {evidence/x509: 'digest("SHA-256", spki(role))'}}
`

// always is a pair whose ends attest to each other without a negotiation, changed.
func always(t *testing.T, change func(c, s *handshake.Config)) (*pair.Pair, map[attls.Role]int) {
	t.Helper()
	p, err := profile.Parse("always.yaml", []byte(alwaysText), profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l := newLaterAttesting(p)
	scheme := l.o.Client.Policy.Produce
	for _, c := range []*handshake.Config{l.o.Client, l.o.Server} {
		c.Policy = negotiation.Policy{Produce: scheme, Accept: scheme, Demand: true}
		c.ClientAuthentication = handshake.RequireClientCertificate
	}
	change(l.o.Client, l.o.Server)
	judged := map[attls.Role]int{}
	for role, credential := range map[attls.Role]*handshake.Credential{attls.RoleClient: clientCredential, attls.RoleServer: serverCredential} {
		l.o.Answer[role] = (&issuing{}).answer(func(w *handshake.Wait) (handshake.Answer, *attls.Error) {
			switch w.Kind {
			case handshake.WaitEvidence:
				return handshake.Answer{Evidence: &negotiation.Evidence{CMW: w.Evidence.Challenge}}, nil
			case handshake.WaitAppraisal:
				judged[role]++
				if !bytes.Equal(w.Appraisal.CMW, w.Appraisal.Challenge) {
					return handshake.Answer{Verdict: &negotiation.Verdict{Failure: attls.FailBinderMismatch}}, nil
				}
				return handshake.Answer{Verdict: accept}, nil
			}
			return enginetest.Answer(credential)(w)
		})
	}
	both, err := pair.New(l.o)
	if err != nil {
		t.Fatal(err)
	}
	_ = both.Run()
	return both, judged
}

// TestAlways: both ends attest although nothing is negotiated.
func TestAlways(t *testing.T) {
	p, judged := always(t, func(c, s *handshake.Config) {})
	if err := p.Err(); err != nil || judged[attls.RoleClient] != 1 || judged[attls.RoleServer] != 1 {
		t.Error(err, judged)
	}
}

// TestAlwaysUnaware: a peer without the profile takes the certificates for what they are,
// and is refused where its attestation is demanded.
func TestAlwaysUnaware(t *testing.T) {
	for _, demand := range []bool{false, true} {
		p, judged := always(t, func(c, s *handshake.Config) {
			s.Profile, s.Policy = nil, negotiation.Policy{}
			c.Policy.Demand = demand
		})
		err := p.Engine(attls.RoleClient).Err()
		if len(judged) > 0 || demand != (err != nil) || err != nil && err.Failure != attls.FailMissing {
			t.Errorf("demand %v: %v, judged %v", demand, err, judged)
		}
	}
}

// TestAlwaysUndemanded: an end that accepts no Evidence asks for no verdict on it.
func TestAlwaysUndemanded(t *testing.T) {
	p, judged := always(t, func(c, s *handshake.Config) { c.Policy.Accept, c.Policy.Demand = nil, false })
	if err := p.Err(); err != nil || judged[attls.RoleClient] != 0 || judged[attls.RoleServer] != 1 {
		t.Error(err, judged)
	}
}
