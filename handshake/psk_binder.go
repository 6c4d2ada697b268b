package handshake

import (
	"attls"
	"attls/extensions"
	"attls/handshake/message"
	"attls/internal/provider"
)

// appendOffers appends the body of pre_shared_key with binders still zero.
func (e *Engine) appendOffers(b []byte, offers []PSK) (body []byte, bindersLen int) {
	identities := make([]extensions.PSKIdentity, len(offers))
	lens := make([]int, len(offers))
	for i := range offers {
		suite, _ := e.prov.Suite(offers[i].Session.Suite)
		identities[i], lens[i] = offers[i].identity(), suite.HashLen
	}
	return extensions.AppendPreSharedKeyOffer(b, identities, lens)
}

// fillBinders overwrites the zeros at the end of a ClientHello.
func (e *Engine) fillBinders(raw []byte, bindersLen int, offers []PSK) {
	partial, at := raw[:len(raw)-bindersLen], len(raw)-bindersLen+2
	for i := range offers {
		suite, _ := e.prov.Suite(offers[i].Session.Suite)
		var sum [maxHash]byte
		b := pskBinder(e.keys.hkdf(suite), offers[i].Session, e.transcript.with(sum[:0], suite, partial))
		at += 1 + copy(raw[at+1:], b)
	}
}

// rebind fills the binders of a ClientHello that a tap has changed.
func (e *Engine) rebind(k attls.MessageKind, raw []byte) {
	var ch message.ClientHello
	if k != attls.KindClientHello || len(raw) < 4 || ch.Unmarshal(raw[4:]) != nil {
		return
	}
	body, _ := ch.Extensions.Get(attls.ExtPreSharedKey)
	o, err := extensions.ParsePreSharedKeyOffer(body)
	if err != nil || len(o.Binders) > len(e.psk.offers) {
		return
	}
	for i, b := range o.Binders {
		suite, _ := e.prov.Suite(e.psk.offers[i].Session.Suite)
		if len(b) != suite.HashLen {
			return
		}
	}
	e.fillBinders(raw, o.BindersLen, e.psk.offers[:len(o.Binders)])
}

// pskBinder is a PskBinderEntry over a transcript hash.
func pskBinder(kdf *provider.KDF, s *Session, hash []byte) []byte {
	label := "res binder"
	if s.External {
		label = "ext binder"
	}
	n := kdf.Suite().HashLen
	var early, empty, key [maxHash]byte
	kdf.Extract(early[:0], nil, s.Secret)
	kdf.ExpandLabel(key[:0], early[:n], labelPrefix, label, kdf.Hash(empty[:0], nil), n)
	return kdf.FinishedMAC(nil, key[:n], hash)
}
