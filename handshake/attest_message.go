package handshake

import (
	"slices"

	"attls"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
	"attls/handshake/message"
)

// Handshake messages that a profile adds. Each stands in a place between two messages
// of TLS (profile.Gaps) and is sent where it has something to say:
//
//	send:    [Evidence] -> added messages of the place -> the message of TLS
//	receive: added messages of the place, in the order of the profile -> the message of TLS

// fill goes on to a state once what the profile adds at a point is sent.
func (e *Engine) fill(at binder.Point, then active) state {
	for i := range e.profile().Messages {
		if e.profile().Messages[i].At[e.role] == at {
			return sendGap{at, then}
		}
	}
	return then
}

// sendGap asks for the payloads of a place.
type sendGap struct {
	at   binder.Point
	then active
}

func (sendGap) name() string { return "PROVE_EVIDENCE" }
func (sendGap) due() gate    { return gateNow }

func (s sendGap) step(e *Engine) (state, *attls.Error) {
	return sendAdded(s), e.askEvidence(s.at)
}

// sendAdded sends the messages of a place.
type sendAdded sendGap

func (sendAdded) name() string { return "SEND_ADDED" }
func (sendAdded) due() gate    { return gateNow }

func (s sendAdded) step(e *Engine) (state, *attls.Error) {
	if err := e.takeEvidence(); err != nil {
		return nil, err
	}
	p, list := e.profile(), e.attesting(e.role)
	for i := range p.Messages {
		if p.Messages[i].At[e.role] != s.at {
			continue
		}
		f := p.NewFields()
		if e.role == attls.RoleServer {
			copy(f.Nonces, e.att.fields.Nonces)
			copy(f.Choices, e.att.chosen.Choices)
		}
		raw, err := e.addedMessage(i, f, list, &e.own.proof)
		if err != nil {
			return nil, err
		}
		if raw == nil {
			continue
		}
		if err := e.send(raw); err != nil {
			return nil, err
		}
	}
	return s.then, nil
}

// addedMessage encodes an added message of ours; nil: it has nothing to say.
func (e *Engine) addedMessage(index int, f *profile.Fields, list []*attesting, of *proof) ([]byte, *attls.Error) {
	p := e.profile()
	for _, by := range list {
		if !by.inMessage() || by.credential.Message != index {
			continue
		}
		payload := of.of(by.slot).payload
		if err := checkRoom(by.credential, payload); err != nil {
			return nil, err
		}
		p.SetPayload(by.slot, f, payload)
	}
	if !p.Says(index, e.role, f) {
		return nil, nil
	}
	body, err := p.EncodeMessage(index, e.role, f)
	if err != nil {
		return nil, asLocal(err)
	}
	b, mark := message.Begin(nil, p.Messages[index].Type)
	return message.End(append(b, body...), mark), nil
}

// gap goes on to a state that waits for a message of TLS, in front of which the peer
// may have added others.
func (e *Engine) gap(at binder.Point, then passive) passive { return e.gapFrom(at, 0, then) }

func (e *Engine) gapFrom(at binder.Point, from int, then passive) passive {
	for i := from; i < len(e.profile().Messages); i++ {
		if e.profile().Messages[i].At[e.role.Peer()] == at && e.expects(i) != expectsNone {
			return waitAdded{at, i, then}
		}
	}
	return then
}

// expectation is whether a message of the peer's can come.
type expectation uint8

const (
	expectsNone expectation = iota
	expectsPerhaps
	expectsSurely // it carries a payload that was chosen
)

// expects says whether the peer sends an added message.
func (e *Engine) expects(index int) expectation {
	p, peer := e.profile(), e.role.Peer()
	for _, by := range e.attesting(peer) {
		if by.inMessage() && by.credential.Message == index {
			return expectsSurely
		}
	}
	if peer != attls.RoleServer {
		return expectsNone
	}
	here := profile.Place{Message: attls.KindAdded, Added: index}
	for i := range p.Slots {
		if s := &p.Slots[i]; (s.Choice == here || s.Nonce == here) && e.att.offered.Present[i] {
			return expectsPerhaps
		}
	}
	return expectsNone
}

// waitAdded takes the messages that a profile adds in one place.
type waitAdded struct {
	at   binder.Point
	from int // of Profile.Messages; those before have passed
	then passive
}

func (waitAdded) name() string { return "WAIT_ADDED" }
func (s waitAdded) due() gate  { return s.then.due() }

func (s waitAdded) receive(e *Engine, m *message.Raw) (state, *attls.Error) {
	p, peer := e.profile(), e.role.Peer()
	for i := s.from; i < len(p.Messages); i++ {
		added := &p.Messages[i]
		want := e.expects(i)
		if added.At[peer] != s.at || want == expectsNone {
			continue
		}
		if m.Kind == attls.KindAdded && m.Type == added.Type {
			return s.read(e, m, i)
		}
		if want == expectsSurely {
			if e.skips(m) {
				return s, nil
			}
			if !e.follows(m, s.at) {
				return nil, unexpected(m, s)
			}
			if err := e.attestationFailure(attls.FailMissing,
				"%v came in the place of the message that carries the payload", m.Kind); err != nil {
				return nil, err
			}
		}
	}
	return s.then.receive(e, m)
}

// follows reports whether a message is one of TLS behind a place for added ones.
func (e *Engine) follows(m *message.Raw, at binder.Point) bool {
	return slices.ContainsFunc(profile.Gaps, func(g profile.Gap) bool {
		return g.At == at && (g.Before == m.Kind || g.Before == attls.KindCertificate && e.certificateKind(m) ||
			g.Before == attls.KindCertificateRequest && e.certificateKind(m))
	})
}

// read takes an added message.
func (s waitAdded) read(e *Engine, m *message.Raw, index int) (state, *attls.Error) {
	p, peer := e.profile(), e.role.Peer()
	f := &e.att.fields
	clear(f.Choices)
	clear(f.Payloads)
	f.Payload = nil
	if err := p.DecodeMessage(index, peer, m.Body(), f); err != nil {
		return nil, asError(err)
	}
	list := e.attesting(peer)
	here := func(by *attesting) bool { return by.inMessage() && by.credential.Message == index }
	if err := e.takePayloads(f, list, here, e.peer.proof); err != nil {
		return nil, err
	}
	if e.role == attls.RoleClient {
		if err := e.checkNonces(profile.Place{Message: attls.KindAdded, Added: index}, f); err != nil {
			return nil, err
		}
		if err := e.checkChoices(attls.KindAdded, f, e.att.chosen); err != nil {
			return nil, err
		}
	}
	e.transcribe(m, peer)
	next := e.gapFrom(s.at, index+1, s.then)
	if s.at < pointOf(attls.KindCertificate, peer) {
		return next, nil // the key is not known yet
	}
	for _, by := range list {
		if here(by) {
			if err := e.askAppraisal(by); err != nil {
				return nil, err
			}
		}
	}
	return next, nil
}
