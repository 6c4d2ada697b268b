package handshake

import (
	"slices"

	"attls/extensions/profile"
	"attls/negotiation"
)

// ForkOptions changes what a fork does differently.
type ForkOptions struct {
	// Random replaces the source of randomness; nil keeps it.
	Random Random
	// Tap replaces the tap; nil forks the one there is.
	Tap Tap
}

// Fork returns a copy that goes its own way: input, output, open waits and taps
// included. Events that were not read yet are copied too; their views belong to
// the original's input.
func (e *Engine) Fork(o ForkOptions) (*Engine, error) {
	f := *e
	if o.Random != nil {
		f.random = o.Random
	}
	f.in, f.out = e.in.Clone(), e.out.Clone()
	e.forkOpening(&f)
	f.keys.own = nil
	if e.keys.kdf != nil {
		f.keys.kdf = e.keys.kdf.Suite().KDF()
	}
	f.sent, f.rekey = e.sent.Clone(), e.rekey.clone()
	f.events = append([]Event(nil), e.events[e.seen:]...)
	for i := range f.events {
		if f.events[i].Data != nil {
			f.events[i].Data = append([]byte(nil), f.events[i].Data...)
		}
	}
	f.seen = 0
	f.waits = append([]waiting(nil), e.waits...)
	c := copies{map[*authAnswer]*authAnswer{}, map[*authenticated]*authenticated{}, map[*proof]*proof{}}
	f.peer, f.own.proof = c.peer(e.peer), e.own.proof.clone()
	f.post = e.post.clone(&c)
	if f.rekey != nil {
		f.rekey.att = e.rekey.att.clone(&f, &c)
	}
	for i := range f.waits {
		f.waits[i].auth, f.waits[i].peer = c.answer(f.waits[i].auth), c.peer(f.waits[i].peer)
	}
	f.inserted = append([][]byte(nil), e.inserted...)
	tap := o.Tap
	if tap == nil && e.tap() != nil {
		tap = e.tap().Fork()
	}
	if tap != nil && e.split { // the halves share it
		tap = serial(tap)
	}
	f.attach(tap)
	if e.reader != nil {
		shared := &half{}
		shared.updateRequested.Store(e.reader.shared.updateRequested.Load())
		shared.awaiting.Store(e.reader.shared.awaiting.Load())
		shared.unwritten.Store(e.reader.shared.unwritten.Load())
		f.reader, f.writer = e.reader.fork(f.in, shared, tap), e.writer.fork(f.out, shared, tap)
	}
	e.forkAuthenticators(&f)
	return &f, nil
}

// copies are what a fork shares with nobody although several point to it: open
// waits to the answers, identities and proofs that they are about.
type copies struct {
	answers map[*authAnswer]*authAnswer
	peers   map[*authenticated]*authenticated
	proofs  map[*proof]*proof
}

func (c *copies) answer(a *authAnswer) *authAnswer {
	if a == nil || c.answers[a] != nil {
		return c.answers[a]
	}
	f := *a
	f.transcript, f.messages, f.peer = a.transcript.clone(), slices.Clone(a.messages), c.peer(a.peer)
	f.own.proof, f.request.nonces = a.own.proof.clone(), slices.Clone(a.request.nonces)
	c.answers[a] = &f
	return &f
}

func (c *copies) peer(p *authenticated) *authenticated {
	if p == nil || c.peers[p] != nil {
		return c.peers[p]
	}
	f := *p
	if c.proofs[p.proof] == nil {
		proof := p.proof.clone()
		c.proofs[p.proof] = &proof
	}
	f.proof = c.proofs[p.proof]
	c.peers[p] = &f
	return &f
}

func (a *attestation) clone() attestation {
	c := *a
	c.offered, c.chosen = cloneSlots(a.offered), cloneSlots(a.chosen)
	c.fields = profile.Fields{Offered: slices.Clone(a.fields.Offered), Offers: slices.Clone(a.fields.Offers),
		Choices: slices.Clone(a.fields.Choices), Nonces: slices.Clone(a.fields.Nonces), Payload: a.fields.Payload,
		Payloads: slices.Clone(a.fields.Payloads)}
	return c
}

func cloneSlots(s negotiation.Slots) negotiation.Slots {
	return negotiation.Slots{Present: slices.Clone(s.Present), Offers: slices.Clone(s.Offers),
		Choices: slices.Clone(s.Choices)}
}

// clone copies the state for a fork.
func (p *postAuthentication) clone(c *copies) postAuthentication {
	f := *p
	f.requests, f.ready = slices.Clone(p.requests), slices.Clone(p.ready)
	f.under = c.answer(p.under)
	return f
}
