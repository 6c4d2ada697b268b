package profile_test

import (
	"fmt"
	"log"

	"attls/extensions/profile"
)

// Load a profile under its default readings and under others, and compare the two.
func ExampleDiff() {
	a, err := profile.Load("early-attestation-06", profile.Options{})
	if err != nil {
		log.Fatal(err)
	}
	b, err := profile.Load("early-attestation-06", profile.Options{Readings: map[string]string{"hrr": "d", "tik_claim": "separate"}})
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range profile.Diff(a, b).Changes {
		fmt.Printf("%s: %s, %s\n", c.Path, c.A, c.B)
	}
	// Output:
	// binder.transcript: rfc8446, ch2_sh
	// binder.claims.tik_pub_hash.where: challenge, claim
	// switches.hrr: c, d
	// switches.tik_claim: challenge, separate
}

// Load a draft revision and see where its structures travel.
func ExampleLoad() {
	p, err := profile.Load("early-attestation-06", profile.Options{})
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range p.Slots {
		fmt.Println("the", s.Attester, "attests: offered in", s.Offer.Message, "and chosen in", s.Choice.Message)
	}
	_, err = profile.Load("early-attestation-60", profile.Options{})
	fmt.Println(err)
	// Output:
	// the server attests: offered in ClientHello and chosen in EncryptedExtensions
	// the client attests: offered in ClientHello and chosen in CertificateRequest
	// early-attestation-60: no profile is named "early-attestation-60"; did you mean early-attestation-00?
}
