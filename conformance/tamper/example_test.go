package tamper_test

import (
	"fmt"

	"attls"
	"attls/conformance/scenario"
	"attls/conformance/tamper"
	"attls/extensions"
	"attls/extensions/profile"
)

// Change one octet in the middle of the payload that the server sends, and see what the client
// makes of it.
func ExampleField() {
	p, err := profile.Load("early-attestation-06", profile.Options{})
	if err != nil {
		panic(err)
	}
	tap, err := tamper.Field(p, "certificate.remoteAttestation.cmw_payload", func(b []byte) []byte {
		b[len(b)/2] ^= 1
		return b
	})
	if err != nil {
		panic(err)
	}
	s := scenario.Scenario{Profile: p.ID, Attester: scenario.AttestServer}
	if err := s.Complete(p); err != nil { // the model and the credential
		panic(err)
	}
	setup, err := scenario.NewSetup(p, &s)
	if err != nil {
		panic(err)
	}
	setup.Tap(attls.RoleServer, tap)
	r, err := setup.RunInMemory()
	if err != nil {
		panic(err)
	}
	fmt.Println(tap.Edits(), "message changed; the client sent", r.Claims[attls.RoleClient].AlertSent.Name)

	_, err = tamper.Field(p, "certificate.remoteAttestation.payload", nil)
	fmt.Println(err)
	// Output:
	// 1 message changed; the client sent attestation_failed
	// tamper: "certificate.remoteAttestation.payload": remoteAttestation has no field payload
}

// Changes of a list of extensions compose with everything else that is a tap.
func ExampleExtensions() {
	setup, err := scenario.NewSetup(nil, &scenario.Scenario{})
	if err != nil {
		panic(err)
	}
	setup.Tap(attls.RoleClient, tamper.Extensions(attls.KindClientHello, 0, func(l extensions.List) extensions.List {
		return tamper.Remove(attls.ExtSignatureAlgorithms)(l)
	}))
	r, err := setup.RunInMemory()
	if err != nil {
		panic(err)
	}
	fmt.Println("the server sent", r.Claims[attls.RoleServer].AlertSent.Name)
	// Output: the server sent missing_extension
}
