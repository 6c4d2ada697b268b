package lab

import (
	"context"

	"attls"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/authenticator"
	"attls/handshake/exported"
	"attls/internal/provider"
)

// ownRequest is a request of M's, whose context is the nonce that it has copied.
func (r *run) ownRequest(c *connection, role attls.Role) ([]byte, error) {
	p := c.profiles[role]
	slot := p.LaterSlot(role.Peer())
	offer, err := p.LaterOffer(slot)
	if err != nil {
		return nil, err
	}
	q := &authenticator.Request{}
	q.Wanted.Schemes = exported.DefaultSchemes
	if !p.Later[slot].Silent {
		q.Extensions = extensions.List{{Type: offer.Type, Body: offer.Body}}
	}
	if c.nonce != nil && !c.nonce.absent {
		q.Context = c.nonce.octets
	}
	return c.later[role].over.Request(q)
}

// openLater is how M reads an authenticator that answers a request of its own.
func (r *run) openLater(c *connection, role attls.Role, octets []byte) error {
	l, p := c.later[role], c.profiles[role]
	l.came = octets
	id, err := l.over.Open(octets)
	if err != nil {
		return err
	}
	l.accepted++
	x := &l.seen[id.Role]
	x.chain = id.Chain
	slot := p.LaterSlot(id.Role)
	if len(id.Extensions) == 0 || slot < 0 {
		return nil
	}
	if ext, ok := id.Extensions[0].Find(p.Later[slot].Extension); ok {
		x.payload, err = p.DecodeLater(slot, ext.Body, nil)
	}
	return err
}

// answerAsM is what M shows: an authenticator that it has taken, one with a payload, or one
// with a certificate alone.
func (r *run) answerAsM(ctx context.Context, c *connection, role attls.Role, s *Step) ([]byte, *exported.Outcome,
	error) {
	l := c.later[role]
	if x := r.knowledge[s.With["authenticator"].Text]; x != nil {
		return x.octets, nil, nil
	}
	if s.With["evidence"].Text != "" {
		return l.session.Answer(ctx, l.open)
	}
	q, err := l.over.Receive(l.open)
	if err != nil {
		return nil, nil, err
	}
	certificate := r.knowledge[s.With["certificate"].Text]
	if certificate == nil || len(certificate.chain) == 0 {
		octets, err := l.over.Refuse(q)
		return octets, nil, err
	}
	signer, _ := r.signer(certificate, s.With["sign"].Text)
	octets, _, err := l.over.Answer(q, credential(certificate, signer).Shown())
	return octets, nil, err
}

// handshakeAnswer answers a wait of a handshake after which M attests.
func (r *run) handshakeAnswer(c *connection, w *handshake.Wait) (a handshake.Answer, ok bool, failure *attls.Error) {
	shown, err := r.handshakeShown(c)
	if err != nil {
		return a, true, local(err)
	}
	if a.Credential = shown; w.Kind == handshake.WaitCredential {
		return a, true, nil
	}
	a = handshake.Answer{}
	if a.Signature, err = provider.Sign(shown.Signer, w.Signature.Scheme, w.Signature.Content); err != nil {
		return a, true, local(err)
	}
	return a, true, nil
}

// handshakeShown is what M shows in such a handshake: what the client asks for, if M has that.
func (r *run) handshakeShown(c *connection) (*handshake.Credential, error) {
	key, name := r.w.keys[ownKey], ownName
	if c.mine() == attls.RoleClient {
		return nil, nil // the server asks for nothing in the handshake
	}
	if c.configs[c.party].ServerName != ownName {
		switch {
		case c.certified:
			name = honestName
		case r.has(CapTIK) && r.combo.role == attls.RoleServer:
			key, name = r.tik(), honestName
		case r.has(CapLTK):
			name = honestName
		}
	}
	return r.w.certified(key, name, false)
}
