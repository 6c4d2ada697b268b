package campaign

import (
	"slices"
	"testing"

	"attls"
	"attls/internal/rule"
)

// TestAfterTheHandshake: the edits of authentication after the handshake do what they say, the engine
// refuses what it has to, and the law notices an end that does not.
func TestAfterTheHandshake(t *testing.T) {
	plain := Connection{Authenticators: true, ClientCertificate: true}
	again := Connection{Authenticators: true, ClientCertificate: true, Again: true}
	later := Connection{PostHandshake: true}
	twice := Connection{PostHandshake: true, ClientCertificate: true, Again: true}
	expat := Connection{Attester: "server", Model: "evidence", Credential: "x509"}
	server, client := attls.RoleServer, attls.RoleClient
	proof := func(n int, what string) Edit { return Edit{Do: "authenticator", Number: n, Answer: what} }
	for name, c := range map[string]struct {
		target string
		conn   Connection
		role   attls.Role // of the attacker
		edit   Edit
		bug    rule.Rule // of the other end
		law    string
	}{
		"another connection's": {TLS, plain, server, proof(0, proofElsewhere), rule.SignatureVerified, ""},
		"one before":           {TLS, again, server, proof(2, proofBefore), rule.AuthenticatorContext, ""},
		"other end's":          {TLS, plain, client, proof(1, proofOther), rule.SignatureVerified, ""},
		"empty":                {TLS, plain, server, proof(0, proofEmpty), rule.AuthenticatorEmpty, "proof-order"},
		"unasked":              {TLS, plain, client, proof(1, proofSpontaneous), rule.AuthenticatorAsked, "proof-context"},
		"other role's":         {TLS, plain, server, proof(1, proofRole), rule.AuthenticatorDirection, "proof-request"},
		"twice":                {TLS, plain, client, proof(1, proofTwice), rule.AuthenticatorMessages, "proof-order"},
		"nothing":              {TLS, plain, client, proof(1, proofNothing), "", ""},
		"request before":       {TLS, again, server, proof(3, proofBefore), rule.AuthenticatorContext, "proof-request"},
		"request as a name":    {TLS, plain, server, Edit{Do: "extension-add", Message: "CertificateRequest", Number: 1, Octets: Octets{0, 4, 0, 0, 1, 'x'}}, rule.AuthenticatorName, "proof-request"},
		"request of none":      {TLS, plain, client, Edit{Do: "extension-remove", Message: "ClientCertificateRequest", Extension: attls.ExtSignatureAlgorithms}, "", ""},
		"signature":            {TLS, plain, server, Edit{Do: "flip", Message: "CertificateVerify", Number: 1, At: 8}, rule.SignatureVerified, "proof-signature"},
		"Finished":             {TLS, plain, server, Edit{Do: "flip", Message: "Finished", Number: 1}, rule.FinishedVerified, "proof-finished"},
		"other key":            {TLS, plain, server, Edit{Do: "signature", Later: true}, rule.SignatureVerified, "proof-signature"},
		"authority":            {TLS, plain, server, Edit{Do: "credential", Answer: "unknown authority", Later: true}, "", ""},
		"extension":            {TLS, plain, server, Edit{Do: "extension-add", Message: "Certificate", Number: 1, Extension: attls.ExtSignedCertificateTimestamp, Octets: Octets{0, 3, 0, 1, 7}}, rule.ExtensionSolicited, "proof-extensions"},
		"transcript":           {TLS, plain, server, Edit{Do: "flip", Message: "Certificate", Number: 1, At: 40, Shadow: true}, rule.FinishedVerified, ""},
		"Evidence":             {"seat-expat-04", expat, server, Edit{Do: "evidence", Answer: "binder", Later: true}, "verdict-binder", "proof-verdict"},
		"verdict":              {"seat-expat-04", expat, server, Edit{Do: "verdict", Later: true}, "verdict-binder", "proof-verdict"},
		"payload":              {"seat-expat-04", expat, server, Edit{Do: "extension-remove", Message: "Certificate", Number: 1, Extension: 0xff00}, rule.CredentialThere, "proof-demand"},
		"later signature":      {TLS, later, client, Edit{Do: "flip", Message: "CertificateVerify", At: 8}, rule.SignatureVerified, "later-signature"},
		"later Finished":       {TLS, later, client, Edit{Do: "flip", Message: "Finished", Number: 1}, rule.FinishedVerified, "later-finished"},
		"later key":            {TLS, twice, client, Edit{Do: "signature", Later: true}, rule.SignatureVerified, "later-signature"},
		"later authority":      {TLS, later, client, Edit{Do: "credential", Answer: "unknown authority", Later: true}, "", ""},
		"later request":        {TLS, later, server, Edit{Do: "field", Message: "CertificateRequest", Path: "certificate_request.certificate_request_context"}, "", ""},
		"later twice":          {TLS, twice, server, Edit{Do: "extension-repeat", Message: "CertificateRequest", Number: 2, Extension: attls.ExtSignatureAlgorithms}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			x := target(t, c.target)
			in := x.input(c.conn, c.role)
			in.Edits = []Edit{c.edit}
			r, broken := outcome(t, x, nil, in)
			if len(broken) > 0 {
				t.Errorf("without a bug: %v", broken)
			}
			if r.live() == "" {
				t.Error("without a bug, nothing is refused")
			}
			if c.law == "" {
				return
			}
			r, broken = outcome(t, x, &Plant{Role: c.role.Peer(), Profile: in.Profile, rule: c.bug}, in)
			if !slices.ContainsFunc(broken, func(v Violation) bool { return v.Law == c.law }) {
				t.Errorf("without %s: %v, %v, %v", c.bug, broken, r.errs, r.proofs.errs)
			}
		})
	}
}

// TestAuthenticatorsAreReached: a campaign under a profile that attests in authenticators gets there,
// with edits that only follow the handshake, and finds a bug that is planted there.
func TestAuthenticatorsAreReached(t *testing.T) {
	x := target(t, "seat-expat-04")
	r, err := Run(t.Context(), Options{Targets: []*Target{x}, Executions: 400, Seed: 2})
	if err != nil || len(r.Found) > 0 {
		t.Fatalf("%v, %+v", err, r)
	}
	taken, refused := 0, 0
	for text := range r.Outcomes {
		if text == "1 authenticators, 0 answers after the handshake" {
			taken++
		}
		if len(text) > 30 && (text[:28] == "client refuses, of an authen" || text[:28] == "server refuses, of an authen") {
			refused++
		}
	}
	if taken == 0 || refused < 5 {
		t.Errorf("%d and %d of the outcomes are about authenticators: %v", taken, refused, r.Outcomes)
	}
	bug := &Plant{Name: "verdict", Role: attls.RoleClient, Profile: x.Name, rule: "verdict-binder"}
	if r, err = Run(t.Context(), Options{Targets: []*Target{x}, Executions: 4000, Seed: 2, Plant: bug, FirstOnly: true}); err != nil || len(r.Found) == 0 {
		t.Errorf("a verdict that does not accept is not noticed: %v, %v", err, r.Stats)
	}
}
