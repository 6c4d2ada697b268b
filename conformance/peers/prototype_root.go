package peers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/hex"
	"time"

	"attls/attestation"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/extensions/profile"
)

// The proof of concept's variant of 2022 signs key and platform tokens with one
// key, which its source holds, and trusts that key. Its platform token names the
// device by text.
const (
	prototypeKey  = "f1b7142343402f3b5de7315ea894f9da5cf503ff7938a37ca14eb03286988450" // P-256
	prototypeUEID = "ueid_ueid"
)

// Root implements Rooted: a root of trust that the programs believe, and a Verifier
// that believes them.
func (p Prototype) Root() scenario.Root {
	return func(clock func() time.Time) (*attestation.Software, *attestation.Verifier) {
		key, device := prototypeSigner(), [][]byte{[]byte(prototypeUEID)}
		software := &attestation.Software{PlatformKey: key, KeyAttestationKey: key, Clock: clock,
			Platform: attestation.Platform{UEID: []byte(prototypeUEID)},
			Offers:   []attestation.Offer{{Format: attestation.PrototypeFormat, Tokens: attestation.Prototype}}}
		verifier := &attestation.Verifier{Identity: "attls conform", Build: claims.StackVersion(), Key: key, Clock: clock,
			Formats:      []profile.Format{attestation.PrototypeFormat},
			Endorsements: []attestation.Endorsement{{Name: "proof of concept", Key: key.Public(), UEIDs: device}},
			References:   []attestation.Reference{{Name: "proof of concept", UEIDs: device, Prototype: true}}}
		if p.Verifier != nil {
			verifier.Endorsements = append(verifier.Endorsements, p.Verifier.Endorsements...)
			verifier.References = append(verifier.References, p.Verifier.References...)
		}
		return software, verifier
	}
}

func prototypeSigner() *ecdsa.PrivateKey {
	scalar, err := hex.DecodeString(prototypeKey)
	if err != nil {
		panic(err) // a mistake in this file
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
	if err != nil {
		panic(err)
	}
	return key
}
