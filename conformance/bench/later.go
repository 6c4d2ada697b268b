package bench

import (
	"crypto"
	"fmt"

	"attls"
	"attls/handshake"
	"attls/handshake/authenticator"
	"attls/internal/provider"
	"attls/negotiation"
)

// LaterResult compares something that is done after the handshake, by both ends together, with
// its primitives.
type LaterResult struct {
	Case             string      `json:"case"`
	Ours             Cost        `json:"ours"`
	Sum              Cost        `json:"sum_of_primitives"`
	Primitives       []Primitive `json:"primitives"`
	ToPrimitives     float64     `json:"to_primitives"`
	AllocationsAbove float64     `json:"allocations_above"`
}

// Later measures an exported authenticator from request to verdict, and an extended key update
// from request to finish, with x25519, TLS_AES_128_GCM_SHA256 and ECDSA with P-256.
func Later(o Options) (list []*LaterResult, err error) {
	c := Case{}.withDefaults()
	id, err := newIdentity(c.Scheme)
	if err != nil {
		return nil, err
	}
	for _, x := range []struct {
		name    string
		measure func(Case, *identity) (func() error, []*subject, error)
	}{{"exported authenticator, " + c.Scheme.String(), authenticatorSubjects},
		{"extended key update, " + c.Group.String(), updateSubjects}} {
		run, sum, err := x.measure(c, id)
		if err != nil {
			return nil, err
		}
		r, err := compare(x.name, o, run, sum)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", x.name, err)
		}
		list = append(list, r)
	}
	return list, nil
}

// compare measures one of them, in turn with its primitives.
func compare(name string, o Options, run func() error, sum []*subject) (*LaterResult, error) {
	ours := newSubject("attls", 1, run)
	all, err := inTurn("primitives", sum)
	if err != nil {
		return nil, err
	}
	if err := interleave(o, []*subject{ours, all}); err != nil {
		return nil, err
	}
	r := &LaterResult{Case: name, Ours: ours.cost(), ToPrimitives: ratio(ours, all)}
	r.Primitives, r.Sum = totalled(sum, all)
	r.AllocationsAbove = r.Ours.Allocations - r.Sum.Allocations
	return r, nil
}

// totalled lists primitives, and what they cost together when they are made in turn.
func totalled(sum []*subject, inTurn *subject) (list []Primitive, total Cost) {
	total.Nanoseconds = median(inTurn.times)
	for _, s := range sum {
		cost := s.cost()
		list = append(list, Primitive{s.name, s.count, cost})
		total.Allocations += cost.Allocations
		total.Octets += cost.Octets
	}
	return list, total
}

// authenticatorSubjects make an authenticator and check it.
func authenticatorSubjects(c Case, id *identity) (run func() error, sum []*subject, err error) {
	suite, _ := provider.Real().Suite(c.Suite)
	var ends [2]*authenticator.Connection
	for _, role := range attls.Roles() {
		ends[role], err = authenticator.New(&authenticator.Config{Role: role, Version: attls.VersionTLS13,
			HandshakeComplete: true,
			Hash:              crypto.SHA256, Export: authenticator.ExporterOf(crypto.SHA256, make([]byte, suite.HashLen)),
			Limits: authenticator.Limits{Contexts: 1 << 30}})
		if err != nil {
			return nil, nil, err
		}
	}
	shown := id.answerer.Credentials[0].Shown()
	run = func() error { return authenticate(ends, shown) }
	p := provider.Real()
	spki, bad := provider.SPKIFromCertificate(id.chain[0])
	if bad != nil {
		return nil, nil, bad
	}
	key, err := p.ParseSPKI(spki)
	if err != nil {
		return nil, nil, err
	}
	content := make([]byte, 64+23+suite.HashLen)
	signature, err := provider.Sign(id.signer, id.scheme, content)
	if err != nil {
		return nil, nil, err
	}
	transcript := make([]byte, 64+len(id.chain[0])+len(signature))
	return run, []*subject{
		newSubject("signature", 1, func() error { _, err := provider.Sign(id.signer, id.scheme, content); return err }),
		newSubject("key parsing", 1, func() error { _, err := p.ParseSPKI(spki); return err }),
		newSubject("signature verification", 1, func() error { return p.Verify(key, id.scheme, content, signature) }),
		hashing(suite, 2, transcript), // by each end
		newSubject("Finished HMAC", 2, func() error {
			suite.Extract(nil, content[:suite.HashLen], content[:suite.HashLen])
			return nil
		}),
	}, nil
}

func hashing(suite *provider.Suite, n int, octets []byte) *subject {
	return newSubject(fmt.Sprintf("hash, %d octets", len(octets)), n, func() error {
		h := suite.New()
		h.Write(octets)
		h.Sum(nil)
		return nil
	})
}

// authenticate has the client ask, the server answer and the client check.
func authenticate(ends [2]*authenticator.Connection, shown *authenticator.Shown) error {
	client, server := ends[attls.RoleClient], ends[attls.RoleServer]
	octets, err := client.Request(&authenticator.Request{Wanted: negotiation.Wanted{Schemes: shown.Schemes}})
	if err != nil {
		return err
	}
	r, err := server.Receive(octets)
	if err != nil {
		return err
	}
	proof, _, err := server.Answer(r, shown)
	if err != nil {
		return err
	}
	_, err = client.Open(proof)
	return err
}

// updateSubjects make an extended key update between two engines.
func updateSubjects(c Case, id *identity) (run func() error, sum []*subject, err error) {
	ends := c.configs()
	for _, end := range ends {
		end.ExtendedKeyUpdate = &handshake.ExtendedKeyUpdate{}
	}
	p, err := ends.pair(&id.answerer)
	if err != nil {
		return nil, nil, err
	}
	run = func() error {
		if err := p.ends[attls.RoleClient].ExtendedKeyUpdate(); err != nil {
			return err
		}
		return p.settle(&id.answerer)
	}
	suite, _ := provider.Real().Suite(c.Suite)
	group, _ := provider.Real().Group(c.Group)
	if sum, err = keyExchange(group); err != nil {
		return nil, nil, err
	}
	aead, err := suite.AEAD(make([]byte, suite.KeyLen))
	if err != nil {
		return nil, nil, err
	}
	secret := make([]byte, suite.HashLen)
	sum = append(sum, hashing(suite, 2, make([]byte, 2*keyUpdateSize)))
	sum = append(sum, derivation(suite, derivations{extracts: 2, expands: 2 * 4})...)
	sum = append(sum, newSubject("traffic key", 2*2, func() error {
		_, _, err := suite.KDF().TrafficKey(secret, "tls13 ")
		return err
	}))
	for range 2 { // request and response; finish is shorter
		sum = append(sum, sealing(aead, keyUpdateSize+1), opening(aead, keyUpdateSize+1))
	}
	return run, append(sum, sealing(aead, 4+1+1), opening(aead, 4+1+1)), nil
}

// keyUpdateSize is about what a request or a response with a share of x25519 has.
const keyUpdateSize = 41

// settle hands over what two engines have to send after the handshake, until nothing is left.
func (p *pair) settle(a *handshake.Answerer) error {
	for moved := true; moved; {
		moved = false
		for i, e := range p.ends {
			if err := answer(e, a); err != nil {
				return err
			}
			if out := e.Output(); len(out) > 0 {
				if err := feed(p.ends[1-i], out); err != nil {
					return err
				}
				e.Wrote(len(out))
				moved = true
			}
		}
	}
	return nil
}
