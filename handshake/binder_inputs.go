package handshake

import (
	"fmt"

	"attls"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
	"attls/negotiation"
)

// binderInputs lets a profile's binder read the handshake.
type binderInputs struct {
	e  *Engine
	a  *authAnswer        // of a post-handshake authentication; nil: the handshake's own
	by *attesting         // what is bound; nil: the first scheme of an attester
	u  *updateAttestation // with an extended key update; nil: none
}

// bound is the slot that an attester's binder is about; -1: there is none.
func (i binderInputs) bound(attester attls.Role) int {
	if i.by != nil && i.e.profile().Slots[i.by.slot].Attester == attester {
		return i.by.slot
	}
	if list := i.e.attests(attester, i.proof(attester)); len(list) > 0 {
		return list[0].slot
	}
	return -1
}

// program is the binder of the authentication, or nil.
func (i binderInputs) program() *binder.Program {
	b := &i.e.profile().Binder
	if i.u != nil && b.KeyUpdate != nil {
		return b.KeyUpdate
	}
	if i.a != nil && b.PostHandshake != nil {
		return b.PostHandshake
	}
	return b.Program
}

// proof is what an attester shows in the authentication.
func (i binderInputs) proof(attester attls.Role) *proof {
	if i.u != nil {
		return &i.u.ends[attester].proof
	}
	if attester == i.e.role {
		return &i.own().proof
	}
	return i.peer().proof
}

func (i binderInputs) own() *ownCredential {
	if i.a != nil && i.e.role == attls.RoleClient {
		return &i.a.own
	}
	return &i.e.own
}

func (i binderInputs) peer() *authenticated {
	if i.a != nil && i.e.role == attls.RoleServer {
		return i.a.peer
	}
	return i.e.peer
}

var _ binder.Inputs = binderInputs{}

func (i binderInputs) Hash() string {
	if i.e.nego.suite == nil {
		return ""
	}
	return i.e.nego.suite.HashName
}

func (i binderInputs) Secret(s binder.Secret) ([]byte, bool) {
	k := &i.e.keys
	if k.handshakeSecrets == nil && s != binder.ExporterSecret {
		return nil, false
	}
	var b []byte
	switch s {
	case binder.EarlySecret:
		b = k.early.bytes()
	case binder.ECDHE:
		b = k.ecdhe
	case binder.HandshakeSecret:
		b = k.handshake.bytes()
	case binder.MainSecret:
		b = k.main.bytes()
	case binder.ExporterSecret:
		b = k.exporter.bytes()
	}
	return b, len(b) > 0
}

func (i binderInputs) Transcript(r binder.Range) ([]byte, bool) {
	if i.a != nil {
		return i.a.transcript.over(r)
	}
	return i.e.transcript.over(r)
}

func (i binderInputs) SPKI(r attls.Role) ([]byte, bool) {
	b := i.peer().spki
	if r == i.e.role {
		b = i.own().spki
	}
	return b, len(b) > 0
}

func (i binderInputs) Certificate(r attls.Role) ([]byte, bool) {
	chain := i.peer().chain
	if own := i.own(); r == i.e.role && own.credential != nil {
		chain = own.credential.Chain
	}
	if len(chain) == 0 {
		return nil, false
	}
	return chain[0], true
}

func (i binderInputs) Nonce(attester attls.Role) ([]byte, bool) {
	p, shown, slot := i.e.profile(), i.proof(attester), i.bound(attester)
	if slot < 0 || p.Slots[slot].Nonce.Message == attls.KindNone {
		return nil, false
	}
	n := i.e.att.fields.Nonces[slot]
	if shown.later && p.Slots[slot].Nonce.Message == attls.KindCertificateRequest {
		n = shown.of(slot).nonce
	}
	return n, n != nil
}

var _ binder.Explainer = binderInputs{}

// Absent says why a nonce is missing.
func (i binderInputs) Absent(terminal string, attester attls.Role) string {
	if terminal != "nonce" {
		return ""
	}
	p := i.e.profile()
	slot := i.bound(attester)
	switch {
	case slot < 0:
		return fmt.Sprintf("no scheme was chosen for the %s", attester)
	case p.Slots[slot].Nonce.Message == attls.KindNone:
		return fmt.Sprintf("slot %s has no nonce", p.Slots[slot].Name)
	case i.e.role == attester:
		return fmt.Sprintf("slot %s has its nonce in %s, and the %s sent none there", p.Slots[slot].Name,
			p.Slots[slot].NoncePath, attester.Peer())
	}
	return fmt.Sprintf("slot %s has its nonce in %s, where this end, the %s, had to draw one and did not",
		p.Slots[slot].Name, p.Slots[slot].NoncePath, attester.Peer())
}

func (i binderInputs) RequestContext(r attls.Role) ([]byte, bool) {
	if i.a != nil {
		return i.a.request.context, r == attls.RoleClient
	}
	return i.e.nego.context, i.e.nego.requested && r == attls.RoleClient
}

func (i binderInputs) AttesterSize(r attls.Role) (int, bool) {
	n := i.e.cfg.AppraiserSize
	if r == i.e.role {
		n = i.e.cfg.AttesterSize
	}
	return n, n > 0
}

// Later is of the extended key update with which an end attests.
func (i binderInputs) Later(l binder.Later) (b []byte, ok bool) {
	u := i.u
	if u == nil {
		return nil, false
	}
	switch l {
	case binder.NextMainSecret:
		b = u.main.bytes()
	case binder.NextTranscriptHash:
		b = u.hash.bytes()
	case binder.RekeyRequest:
		b = u.request
	case binder.RekeyRequestBody:
		b = u.request[messageHeader:]
	case binder.RekeyResponse:
		b = u.response
	case binder.RekeyResponseBody:
		b = u.response[messageHeader:]
	}
	return b, true
}

// Inputs lets tools evaluate the profile's binder expressions on a connection.
func (e *Engine) Inputs() binder.Inputs { return binderInputs{e: e} }

// InputsOf is Inputs for the binder of one slot, by its name: what differs is the nonce,
// where an attester was chosen in several slots.
func (e *Engine) InputsOf(slot string) binder.Inputs {
	in := binderInputs{e: e}
	for _, r := range attls.Roles() {
		for _, by := range e.attests(r, in.proof(r)) {
			if e.profile().Slots[by.slot].Name == slot {
				in.by = by
			}
		}
	}
	return in
}

// bind computes the challenge and the claims of an attester.
func (e *Engine) bind(inputs binderInputs, attester attls.Role,
	s *profile.Scheme) (challenge []byte, claims []negotiation.ClaimValue, err *attls.Error) {
	b, program := &e.profile().Binder, inputs.program()
	if program == nil {
		return nil, nil, nil
	}
	if name := b.Challenge[s.Model][s.Credential]; name != "" {
		v, cause := program.Eval(name, attester, inputs)
		if cause != nil {
			return nil, nil, asError(cause)
		}
		challenge = v
	}
	if s.Model == profile.ModelEvidence && s.Credential == profile.KindX509 {
		for _, c := range b.Claims {
			if c.InChallenge {
				continue
			}
			v, cause := program.Eval(c.Expr, attester, inputs)
			if cause != nil {
				return nil, nil, asError(cause)
			}
			claims = append(claims, negotiation.ClaimValue{Name: c.Name, Value: v})
		}
	}
	return challenge, claims, nil
}
