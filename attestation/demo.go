package attestation

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"time"

	"attls"
	"attls/negotiation"

	"github.com/veraison/eat"
)

// DemoVerifier is the identity of the Verifier that Demo makes.
const DemoVerifier = "verifier.example"

// Demo makes a root of trust and a Verifier that fit each other, out of a
// seed: the same seed gives the same keys, tokens and results. The root can
// relay the Verifier's results, and the Verifier trusts its own. A nil clock
// is time.Now.
func Demo(seed []byte, clock func() time.Time) (*Software, *Verifier) {
	if clock == nil {
		clock = time.Now
	}
	key := func(use string) *ecdsa.PrivateKey { return must(deriveKey(seed, use)) }
	id := sha256.Sum256(append([]byte("ueid"), seed...))
	s := &Software{
		PlatformKey:       key("platform key"),
		KeyAttestationKey: key("key attestation key"),
		Platform: Platform{
			UEID:    append(eat.UEID{eat.UEIDTypeRAND}, id[:16]...),
			OEMID:   []byte{0x89, 0x48, 0x23}, // an example IEEE OUI
			Model:   []byte("attls software root of trust"),
			Debug:   eat.DebugDisabledSinceBoot,
			Profile: "tag:attls.example,2026:software-root-of-trust",
			Components: []Component{
				{Name: "application", Version: "2.1.0", Digest: demoDigest("application 2.1.0")},
				{Name: "boot-loader", Version: "1.4", Digest: demoDigest("boot-loader 1.4")},
			},
		},
		NewKey: func(r attls.Role) (crypto.Signer, error) { return deriveKey(seed, "key of the "+r.String()) },
		Clock:  clock,
	}
	verifierKey := key("verifier key")
	v := &Verifier{
		Endorsements: []Endorsement{{Name: "demo platform", Key: s.PlatformKey.Public(), UEIDs: [][]byte{s.Platform.UEID}}},
		References:   []Reference{s.Platform.Reference("demo platform")},
		Trusted:      []TrustedVerifier{{Identity: []byte(DemoVerifier), Key: verifierKey.Public()}},
		Identity:     DemoVerifier,
		Build:        "attls embedded verifier",
		Key:          verifierKey,
		Clock:        clock,
	}
	s.Relays = []Relay{{Identity: []byte(DemoVerifier), Verifier: v}}
	return s, v
}

var (
	_ negotiation.Attester  = (*Software)(nil)
	_ negotiation.Appraiser = (*Verifier)(nil)
)

// Reference is the reference value that admits this platform and no other state.
func (p *Platform) Reference(name string) Reference {
	ref := Reference{Name: name, UEIDs: [][]byte{p.UEID}, OEMID: p.OEMID, OEMPEN: p.OEMPEN, Model: p.Model,
		Profile: p.Profile,
		Debug:   p.Debug, AllowDebug: p.Debug == eat.DebugNotDisabled}
	for _, c := range p.Components {
		ref.Components = append(ref.Components, ReferenceComponent{Name: c.Name, Versions: []string{c.Version},
			Digests: [][]byte{c.Digest}})
	}
	return ref
}

func demoDigest(what string) []byte {
	h := sha256.Sum256([]byte(what))
	return h[:]
}

// deriveKey makes a P-256 key out of a seed.
func deriveKey(seed []byte, use string) (*ecdsa.PrivateKey, error) {
	return DeriveKeyOn(elliptic.P256(), seed, use)
}

// DeriveKeyOn is DeriveKey on P-256 or P-384. A candidate is out of range with a chance
// of 2^-32 at most; then the next is taken.
func DeriveKeyOn(curve elliptic.Curve, seed []byte, use string) (*ecdsa.PrivateKey, error) {
	for i := range 8 {
		d, err := hkdf.Key(sha256.New, seed, nil, fmt.Sprintf("attls %s %d", use, i), (curve.Params().BitSize+7)/8)
		if err != nil {
			return nil, err
		}
		if key, err := ecdsa.ParseRawPrivateKey(curve, d); err == nil {
			return key, nil
		}
	}
	return nil, fmt.Errorf("no key on %s can be derived for the %s", curve.Params().Name, use)
}
