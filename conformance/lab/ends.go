package lab

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"attls"
	"attls/attestation"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/negotiation"
)

// Names of the parties.
const (
	honestName = "server.example"
	otherName  = "other.example"
	ownName    = "attacker.example"
)

// epoch is the time at which every run begins.
var epoch = scenario.DemoEpoch.Add(365 * 24 * time.Hour)

// devices are the platforms with a genuine TEE, the certification authority and the keys
// of all parties. They are the same in every process and are made once.
type devices struct {
	authority *scenario.DemoAuthority
	software  [3]*attestation.Software // platforms 1 and 2, and one that nobody endorses
	verifier  *attestation.Verifier
	keys      map[string]*ecdsa.PrivateKey
	rsa       func() (*rsa.PrivateKey, error)
}

var shared = sync.OnceValues(newDevices)

// labSeed makes the keys of the laboratory. They are public.
var labSeed = []byte("attls relay laboratory (its keys are public)")

func newDevices() (*devices, error) {
	authority, err := scenario.NewFixedAuthority()
	if err != nil {
		return nil, err
	}
	d := &devices{authority: authority, keys: map[string]*ecdsa.PrivateKey{},
		rsa: sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 3072) })}
	for _, name := range []string{"server 1", "server 2", "client 1", "client 2", "shared", ownKey} {
		if d.keys[name], err = attestation.DeriveKeyOn(elliptic.P256(), labSeed, name); err != nil {
			return nil, err
		}
	}
	for i := range d.software {
		s, v := attestation.Demo(append([]byte(strconv.Itoa(i+1)), labSeed...), nil)
		s.Offers = append(attestation.DefaultOffers(), attestation.Offer{
			Format: attestation.PrototypeFormat, Tokens: attestation.Prototype})
		d.software[i] = s
		if i == 2 {
			s.Relays = nil
			continue
		}
		if i > 0 {
			d.verifier.Endorsements = append(d.verifier.Endorsements, v.Endorsements...)
			continue
		}
		d.verifier = v
		for _, o := range s.Offers {
			v.Formats = append(v.Formats, o.Format)
		}
	}
	return d, nil
}

// world is what a run has besides the connections: the platforms, the Verifier and the
// time, which happenings change.
type world struct {
	*devices
	now      time.Time
	live     bool // the time is that of this machine, which programs read
	degraded bool
	revoked  bool
	pinned   bool // the relying party accepts platform 1 alone
	platform int  // of the attester: 0 or 1
	made     int  // payloads that the attester's platform has made
	lax      Lax
	verifier verifierMood
	validity string
	kept     *negotiation.Evidence // made ahead of time
	keep     bool
	// second: a second Verifier, which the relying party asks as well, may withdraw on its own.
	second, secondRevoked bool
	lost                  bool // the expected challenge reaches the Verifier as an empty value
}

type verifierMood string

func (w *world) clock() time.Time {
	if w.live {
		return time.Now()
	}
	return w.now
}

// judge is the Verifier as it is now.
func (w *world) judge() *attestation.Verifier {
	v := *w.devices.verifier
	v.Clock = w.clock
	v.References = nil
	for i, s := range w.software[:2] {
		if w.revoked || w.pinned && i == 1 && !w.lax.is(LaxMachine) {
			continue
		}
		v.References = append(v.References, s.Platform.Reference(fmt.Sprintf("platform %d", i+1)))
		if i == 0 || !w.pinned {
			v.References = append(v.References, attestation.Reference{Name: fmt.Sprintf("platform %d as a prototype", i+1),
				UEIDs: [][]byte{s.Platform.UEID}, Prototype: true})
		}
	}
	return &v
}

// device is a platform as it is now, whose key for credentials that are the attestation
// alone is key.
func (w *world) device(platform int, key crypto.Signer) *attestation.Software {
	s := *w.software[platform]
	s.Clock = w.clock
	s.NewKey = func(attls.Role) (crypto.Signer, error) { return key, nil }
	if w.degraded && platform == w.platform {
		p := s.Platform
		p.Components = append([]attestation.Component(nil), p.Components...)
		sum := sha256.Sum256([]byte("something else"))
		p.Components[0].Digest = sum[:]
		s.Platform = p
	}
	s.Relays = []attestation.Relay{{Identity: []byte(attestation.DemoVerifier), Verifier: w.judge()}}
	return &s
}

// honestAttester is the attester's platform, which counts what it makes.
type honestAttester struct {
	w        *world
	platform int
	key      crypto.Signer
}

func (a *honestAttester) Schemes() []negotiation.Scheme {
	return a.w.device(a.platform, a.key).Schemes()
}

func (a *honestAttester) ChallengeSize() int { return 0 }

func (a *honestAttester) Attest(ctx context.Context, r *negotiation.EvidenceRequest) (*negotiation.Evidence, error) {
	if a.w.kept != nil && a.w.keep {
		return a.w.kept, nil
	}
	a.w.made++
	ev, err := a.w.device(a.platform, a.key).Attest(ctx, r)
	if err == nil && a.w.keep {
		a.w.kept = ev
	}
	if err == nil {
		ev = a.w.lax.wrap(ev, r)
	}
	return ev, err
}

// honestAppraiser is the relying party's Verifier.
type honestAppraiser struct {
	w *world
	// other computes the challenge that a lax relying party takes as well.
	other func() []byte
}

func (a *honestAppraiser) Schemes() []negotiation.Scheme { return a.w.judge().Schemes() }

func (a *honestAppraiser) ChallengeSize() int { return 0 }

func (a *honestAppraiser) Nonce(context.Context, int) ([]byte, error) { return nil, nil }

func (a *honestAppraiser) Appraise(ctx context.Context, r *negotiation.AppraisalRequest) (*negotiation.Verdict, error) {
	if a.w.verifier == "away" {
		return nil, errors.New("the Verifier is away")
	}
	if a.w.lost {
		q := *r
		q.Challenge, r = []byte{}, &q
	}
	v, err := a.w.lax.appraise(ctx, a.w.judge(), r, a.other)
	if a.w.second && err == nil && v.Failure == "" && !a.w.lax.is(LaxOneOf) {
		other := *a.w
		other.revoked = a.w.secondRevoked
		v, err = a.w.lax.appraise(ctx, other.judge(), r, a.other)
	}
	if err == nil && v.Failure == "" && a.w.validity == "connection" {
		v.ValidUntil = time.Time{}
	}
	return v, err
}

// fixedSigner signs without drawing octets, so that a run repeats.
type fixedSigner struct{ crypto.Signer }

func (s fixedSigner) Sign(_ io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	return s.Signer.Sign(nil, digest, o)
}

// certified makes a credential of a key: certified for a name, or self-signed.
func (w *world) certified(key crypto.Signer, name string, selfSigned bool) (*handshake.Credential, error) {
	c, err := w.authority.Certify(key, name)
	if err != nil {
		return nil, err
	}
	issuer, ok := c.Issuer.(handshake.Authority)
	if !ok {
		return nil, errors.New("the authority is not of this module")
	}
	issuer.Signer = fixedSigner{issuer.Signer}
	if selfSigned {
		issuer = handshake.Authority{}
		chain, err := issuer.Issue(context.Background(), &handshake.IssuanceRequest{
			Credential: &handshake.Credential{Chain: c.Chain, Signer: fixedSigner{key}}})
		if err != nil {
			return nil, err
		}
		if c, err = handshake.NewCredential(chain, key); err != nil {
			return nil, err
		}
		c.Signer = fixedSigner{key}
	}
	c.Issuer = issuer
	return c, nil
}

// seeded is the randomness of one end, which can give one client random.
type seeded struct {
	handshake.SeededRandom
	random []byte // of ClientHello; nil: drawn
	nonce  bool   // constant
}

func (s seeded) Fill(use handshake.Use, n uint32, dst []byte) {
	switch {
	case use == handshake.UseClientRandom && len(s.random) == len(dst):
		copy(dst, s.random)
	case (use == handshake.UseNonce || use == handshake.UseRequestContext) && s.nonce:
		for i := range dst {
			dst[i] = 0x4e
		}
	default:
		s.SeededRandom.Fill(use, n, dst)
	}
}

// scheme is the one under which all parties attest.
func scheme(p *profile.Profile, c *Combination) profile.Scheme {
	return scenario.DemoScheme(p, c.model, c.kind)
}
