package exported_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"attls"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/exported"
	"attls/negotiation"
)

// frameOf reads the next frame.
func frameOf(conn *tls.Conn, frames *exported.Frames) []byte {
	var in []byte
	for {
		b := make([]byte, 4096)
		n, err := conn.Read(b)
		if err != nil {
			panic(err)
		}
		in = append(in, b[:n]...)
		if _, octets, n, _ := frames.Next(in); n > 0 {
			return octets
		}
	}
}

// Both ends of a connection of crypto/tls attest, each when the other asks, by the frames and
// the binder of a draft.
func ExampleOverTLS() {
	p, err := profile.Load("seat-expat-04", profile.Options{})
	if err != nil {
		panic(err)
	}
	ca, err := scenario.NewDemoAuthority()
	if err != nil {
		panic(err)
	}
	c, s := net.Pipe()
	credential, err := ca.Issue(scenario.KeyP256, "localhost")
	if err != nil {
		panic(err)
	}
	conns := [2]*tls.Conn{
		attls.RoleClient: tls.Client(c, &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"}),
		attls.RoleServer: tls.Server(s, &tls.Config{SessionTicketsDisabled: true, // as the draft wants it
			Certificates: []tls.Certificate{{Certificate: credential.Chain, PrivateKey: credential.Signer}}}),
	}
	go conns[attls.RoleServer].Handshake()
	if err := conns[attls.RoleClient].Handshake(); err != nil {
		panic(err)
	}

	schemes := []negotiation.Scheme{scenario.DemoScheme(p, profile.ModelEvidence, profile.KindX509)}
	frames := exported.NewFrames(&p.Authenticator, 0)
	var sessions [2]*exported.Session
	for _, role := range attls.Roles() {
		attester, verifier := scenario.DemoAttestation(nil)
		answerer := &handshake.Answerer{Credentials: []*handshake.Credential{credential}, Attester: attester, Appraiser: verifier,
			Trust: handshake.Trust{Roots: ca.Pool(), AnyName: true}}
		state := conns[role].ConnectionState()
		sessions[role], err = exported.OverTLS(&exported.Config{Profile: p, Produce: schemes, Accept: schemes}, role, &state, nil, answerer.Answer)
		if err != nil {
			panic(err)
		}
	}
	ctx := context.Background()
	for _, relying := range attls.Roles() {
		attester := relying.Peer()
		go func() { // the attester's end
			answer, _, err := sessions[attester].Answer(ctx, frameOf(conns[attester], frames))
			if err == nil {
				framed, _ := frames.Append(nil, exported.ContentAnswer, answer)
				conns[attester].Write(framed)
			}
		}()
		request, err := sessions[relying].Request(ctx)
		if err != nil {
			panic(err)
		}
		framed, _ := frames.Append(nil, exported.ContentRequest, request)
		conns[relying].Write(framed)
		outcome, err := sessions[relying].Appraise(ctx, frameOf(conns[relying], frames))
		if err != nil {
			panic(err)
		}
		fmt.Println("the", outcome.Attester, "attested:", outcome.Verdict.Status)
	}
	// Output:
	// the server attested: affirming
	// the client attested: affirming
}
