// Package fuzz attacks the decoders and the engine with octets that a fuzzer
// makes, and checks these invariants:
//
//   - nothing panics, and everything ends within a bounded number of steps;
//   - what is held for a peer is bounded by what the peer sent;
//   - an end sends at most one fatal alert and nothing after it;
//   - an error names its failure, and the alert that belongs to it;
//   - no end completes a handshake with a peer that has not proved its key;
//   - two ends that complete a handshake export the same value;
//   - how the octets are cut changes nothing.
//
// The targets are native Go fuzz targets. They run against the real provider of
// cryptography and the null one, under which a changed message fails for what
// it says. One runs with
//
//	go test -run '^$' -fuzz '^FuzzEngine$' ./fuzz
//
// and all of them, for a moment each, in .ci/run.
package fuzz

import (
	"fmt"
	"sync"

	"attls"
	"attls/conformance/pair"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/enginetest"
	"attls/internal/provider"
	"attls/negotiation"
)

// Scenario is a pair of configurations.
type Scenario struct {
	Name     string
	profile  *profile.Profile
	retry    bool
	mutual   bool
	attester [2]bool // by role
	model    profile.Model
	kind     profile.CredentialKind
}

// Scenarios lists them in a fixed order; seeds name them by their place.
var Scenarios = sync.OnceValue(func() []Scenario {
	list := []Scenario{
		{Name: "server authentication"},
		{Name: "mutual", mutual: true},
		{Name: "mutual, HelloRetryRequest", mutual: true, retry: true},
	}
	for _, id := range []string{"tls-attestation-07", "early-attestation-06", "early-attestation-00", "mbedtls-poc"} {
		p, err := profile.Load(id, profile.Options{})
		if err != nil {
			panic("fuzz: " + err.Error())
		}
		for _, c := range p.Credentials {
			for _, m := range []profile.Model{profile.ModelEvidence, profile.ModelResults} {
				for _, roles := range [][2]bool{{true, false}, {false, true}, {true, true}} {
					s := Scenario{Name: fmt.Sprintf("%s, %v, %v, client %v, server %v", id, c.Kind, m, roles[0], roles[1]),
						profile: p, mutual: roles[0] && c.Kind == profile.KindX509, attester: roles, model: m, kind: c.Kind}
					if s.possible() {
						list = append(list, s)
					}
				}
			}
		}
	}
	return list
})

func (s *Scenario) scheme() profile.Scheme {
	out := profile.Scheme{Model: s.model, Credential: s.kind, Format: profile.Format{ContentFormat: 1}}
	if s.model == profile.ModelResults {
		out.Format, out.Verifier = profile.Format{}, []byte("verifier")
	}
	return out
}

// possible reports whether the profile has a slot for each attester's scheme.
func (s *Scenario) possible() bool {
	for role, attests := range s.attester {
		found := !attests
		for i, slot := range s.profile.Slots {
			if _, ok := s.profile.EncodeScheme(i, s.scheme()); ok && slot.Attester == attls.Role(role) && !slot.PostHandshake {
				found = true
			}
		}
		if !found {
			return false
		}
	}
	return true
}

var (
	credentials = [2]*handshake.Credential{enginetest.Credential("client"), enginetest.Credential("server")}
	keyOnCurve  = sync.OnceValues(enginetest.ECDSA)
)

// config makes the configuration of one end.
func (s *Scenario) config(r attls.Role, null bool, tap handshake.Tap) *handshake.Config {
	c := &handshake.Config{Random: enginetest.Random(r.String()), Tap: tap, Profile: s.profile,
		ALPN: []string{"attls"}, RecordSizeLimit: 16385, CanAuthenticate: true, AttesterSize: 32, AppraiserSize: 32,
		Groups: []attls.NamedGroup{attls.GroupX25519, attls.GroupSecp256r1}}
	if null {
		provider.Select(c, provider.Null())
	}
	if s.attester[r] {
		c.Policy.Produce = []negotiation.Scheme{s.scheme()}
	}
	if s.attester[r.Peer()] {
		c.Policy.Accept = []negotiation.Scheme{s.scheme()}
	}
	if r == attls.RoleClient {
		c.ServerName = "server"
		return c
	}
	if s.mutual {
		c.ClientAuthentication = handshake.RequireClientCertificate
	}
	if s.retry {
		c.Groups = c.Groups[1:]
		c.Retry.Cookie = true
	}
	return c
}

// answer answers a wait of one end: with what lets a handshake succeed.
func (s *Scenario) answer(r attls.Role, null bool) pair.Answer {
	plain := enginetest.Answer(credentials[r])
	return func(w *handshake.Wait) (handshake.Answer, *attls.Error) {
		switch w.Kind {
		case handshake.WaitNonce:
			return handshake.Answer{}, nil
		case handshake.WaitEvidence:
			key, spki := keyOnCurve()
			return handshake.Answer{Evidence: &negotiation.Evidence{CMW: []byte("payload"), Signer: key, SPKI: spki}}, nil
		case handshake.WaitAppraisal:
			spki := w.Appraisal.SPKI // a verdict is about the certificate's key, where there is one
			if spki == nil {
				_, spki = keyOnCurve()
			}
			return handshake.Answer{Verdict: &negotiation.Verdict{Status: "affirming", SPKI: spki}}, nil
		case handshake.WaitSignature:
			if null {
				return handshake.Answer{Signature: provider.NullSignature}, nil
			}
		}
		return plain(w)
	}
}

// exportLabel is what the ends of a scenario export a value under.
const exportLabel = "fuzz"

// exports holds what each scenario exports under the real provider.
var exports sync.Map

// exported runs the scenario undisturbed, once, and returns what it exports. An
// engine of the scenario can complete no other handshake: its peer's key is not
// in what a fuzzer has.
func (s *Scenario) exported() ([]byte, error) {
	if v, ok := exports.Load(s.Name); ok {
		return v.([]byte), nil
	}
	p, err := pair.New(s.options(false, [2]handshake.Tap{}))
	if err != nil {
		return nil, err
	}
	if err := p.Run(); err != nil {
		return nil, err
	}
	v, err := p.Engine(attls.RoleClient).Export(exportLabel, nil, 32)
	exports.Store(s.Name, v)
	return v, err
}

// options are those of a Pair that plays the scenario.
func (s *Scenario) options(null bool, taps [2]handshake.Tap) pair.Options {
	return pair.Options{
		Client: s.config(attls.RoleClient, null, taps[attls.RoleClient]),
		Server: s.config(attls.RoleServer, null, taps[attls.RoleServer]),
		Answer: [2]pair.Answer{s.answer(attls.RoleClient, null), s.answer(attls.RoleServer, null)},
		Send:   [2][]byte{[]byte("from client"), []byte("from server")},
	}
}
