package handshake

import (
	"bytes"
	"slices"

	"attls"
	"attls/extensions/profile"
)

// askNonces asks for the nonces that this end sends in a message: it is the
// relying party of those slots.
func (e *Engine) askNonces(k attls.MessageKind) {
	p := e.profile()
	for i := range p.Slots {
		s := &p.Slots[i]
		if s.Nonce.Message != k || s.Attester == e.role || !e.slotInUse(i, k) {
			continue
		}
		if p.Rules.NonceFixed != nil {
			e.att.fields.Nonces[i] = p.Rules.NonceFixed
			continue
		}
		w := e.ask(gateNow, e.nonceWait(s))
		w.slot = i
	}
}

// nonceWait asks for the nonce of a slot.
func (e *Engine) nonceWait(s *profile.Slot) *Wait {
	most := s.NonceMax
	if n := e.profile().Rules.NonceReceiveAtMost; n > 0 {
		most = min(most, n)
	}
	return &Wait{Kind: WaitNonce, Due: s.Nonce.Message, Nonce: &NonceRequest{
		Attester: s.Attester, Slot: s.Name, Min: s.NonceMin, Max: most, Default: s.NonceDefault}}
}

// slotInUse reports whether a slot's nonce has a meaning in a message.
func (e *Engine) slotInUse(i int, k attls.MessageKind) bool {
	if k == attls.KindClientHello {
		return e.att.offered.Present[i] && len(e.att.offered.Offers[i]) > 0
	}
	return e.att.chosen.Choices[i] != nil
}

// takeNonces reads the answers, drawing random octets where there are none.
func (e *Engine) takeNonces() *attls.Error {
	for w := e.take(WaitNonce); w != nil; w = e.take(WaitNonce) {
		nonce, err := e.takeNonce(w, uint32(w.slot))
		if err != nil {
			return err
		}
		e.att.fields.Nonces[w.slot] = nonce
	}
	return nil
}

// takeNonce is the answer to a wait for a nonce; where there is none, random
// octets, drawn under the index.
func (e *Engine) takeNonce(w *waiting, index uint32) ([]byte, *attls.Error) {
	r, nonce := w.wait.Nonce, w.answer.Nonce
	if nonce == nil {
		nonce = make([]byte, r.Default)
		e.random.Fill(UseNonce, index, nonce)
	}
	if len(nonce) < r.Min || len(nonce) > r.Max {
		return nil, attls.Errorf(attls.Local, attls.FailNonceSize, "a nonce of %d octets; the profile takes %d to %d",
			len(nonce), r.Min, r.Max)
	}
	return bytes.Clone(nonce), nil
}

// checkNonces bounds the nonces that a message brought for our own slots. Of a place
// the message counts, and for an added one which it is.
func (e *Engine) checkNonces(at profile.Place, f *profile.Fields) *attls.Error {
	p := e.profile()
	if p.Rules.NonceReceiveAtMost == 0 {
		return nil
	}
	for i := range p.Slots {
		in := p.Slots[i].Nonce
		if n := len(f.Nonces[i]); in.Message == at.Message && in.Added == at.Added && p.Slots[i].Attester == e.role &&
			n > p.Rules.NonceReceiveAtMost {
			if err := e.attestationFailure(attls.FailNonceSize, "a nonce of %d octets; the profile accepts %d", n,
				p.Rules.NonceReceiveAtMost); err != nil {
				return err.Under(p.Slots[i].Name).In(at.Message)
			}
		}
	}
	return nil
}

// sentAsNonce reports whether a value of an extension of our ClientHello carries a nonce.
func (e *Engine) sentAsNonce(t attls.ExtensionType, value []byte) bool {
	if e.role != attls.RoleClient || !e.profile().IsNonce(attls.KindClientHello, t, value) {
		return false
	}
	list, err := e.profile().Embed(attls.KindClientHello, &e.att.fields, func(attls.ExtensionType) []byte { return nil })
	return err == nil && slices.ContainsFunc(list, func(x profile.RawExtension) bool {
		return x.Type == t && bytes.Contains(x.Body, value)
	})
}
