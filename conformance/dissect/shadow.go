package dissect

import (
	"fmt"

	"attls"
	"attls/conformance/capture"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/negotiation"
	"attls/record"
)

// shadow is an engine in the place of one end. As a tap it puts what that end
// sent, and the secrets of the key log, in the place of its own.
type shadow struct {
	d      *dissector
	own    attls.Role
	engine *handshake.Engine
	mine   []*message.Raw // what the end sent, in order
	sent   int            // of mine
	theirs []int          // the items of its peer's handshake messages
	got    int            // of theirs
	// stopped says why it follows the recording no further; that is no finding.
	stopped string
}

func (d *dissector) shadow(own attls.Role) *shadow {
	s := &shadow{d: d, own: own}
	for i := range d.items {
		item := &d.items[i]
		switch {
		case item.Type != attls.ContentTypeHandshake || item.Sealed:
		case item.Sender == own:
			s.mine = append(s.mine, &item.Message)
		default:
			s.theirs = append(s.theirs, i)
		}
	}
	return s
}

// Message puts the next recorded message of a kind in the place of ours; what
// stands before it in the recording goes out before it.
func (s *shadow) Message(d handshake.Direction, m *message.Raw, p *handshake.Plan) {
	if d == handshake.Received {
		s.got++
		return
	}
	next := s.sent
	for next < len(s.mine) && !alike(s.mine[next].Kind, m.Kind) {
		next++
	}
	switch {
	case next < len(s.mine):
		for _, before := range s.mine[s.sent:next] {
			p.Before = append(p.Before, before.Bytes)
		}
		p.Replace, p.Reparse, s.sent = s.mine[next].Bytes, true, next+1
	case s.sent < len(s.mine):
		p.Drop = true // it was left out
	default:
		s.stop("the %v sent no %v", s.own, m.Kind)
		p.Drop = true
	}
}

func alike(a, b attls.MessageKind) bool {
	return a == b || a == attls.KindCompressedCertificate && b == attls.KindCertificate
}

func (s *shadow) stop(format string, args ...any) {
	if s.stopped == "" {
		s.stopped = fmt.Sprintf(format, args...)
	}
}

func (s *shadow) Record(handshake.Direction, *record.Raw, *record.Plan) {}
func (s *shadow) Alert(handshake.Direction, attls.AlertDescription)     {}
func (s *shadow) Fork() handshake.Tap                                   { return s }
func (s *shadow) Derived(n handshake.SecretName, secret []byte) []byte {
	if recorded, ok := s.d.recorded(n, len(secret)); ok {
		return recorded
	}
	return secret
}

// recorded is a secret of the key log. Some programs log a buffer that is longer
// than the secret; one that is shorter was cut.
func (d *dissector) recorded(n handshake.SecretName, size int) ([]byte, bool) {
	secret := d.secrets[label(n)]
	if len(secret) < size || len(secret) > size && n == handshake.SecretECDHE {
		return nil, false
	}
	return secret[:size], size > 0
}

// label is the name of a secret in a key log.
func label(n handshake.SecretName) string {
	switch n {
	case handshake.SecretECDHE:
		return capture.LabelECDHE
	case handshake.SecretHandshake:
		return capture.LabelHandshake
	case handshake.SecretMain:
		return capture.LabelMain
	}
	return string(n)
}

// Fill gives the recorded random octets where they show on the wire, and a
// fixed sequence elsewhere.
func (s *shadow) Fill(use handshake.Use, n uint32, dst []byte) {
	handshake.SeededRandom{}.Fill(use, n, dst)
	f := &s.d.seen
	switch use {
	case handshake.UseClientRandom:
		copy(dst, f.hello.Random)
	case handshake.UseSessionID:
		copy(dst, f.hello.SessionID)
	case handshake.UseServerRandom:
		if f.server != nil {
			copy(dst, f.server.Random)
		}
	case handshake.UseCookie:
		copy(dst, f.cookie())
	}
}

// run feeds the engine what its peer sent, up to what could be opened.
func (s *shadow) run() *attls.Error {
	config := s.d.config(s.own)
	config.Tap, config.Random = s, s
	open := handshake.NewServer
	if s.own == attls.RoleClient {
		open = handshake.NewClient
	}
	e, err := open(config)
	if err != nil {
		s.stop("%v", err)
		return nil
	}
	s.engine = e
	s.settle()
	left := s.readable()
	for _, p := range s.d.c.Pieces {
		if p.Sender == s.own || left == 0 {
			continue
		}
		if p.Lost != 0 || s.over() {
			break
		}
		data := p.Data[:min(len(p.Data), left)]
		left -= len(data)
		copy(e.Reserve(len(data)), data)
		e.Commit(len(data)) // the error stays with the engine
		s.settle()
	}
	if s.stopped != "" {
		return nil
	}
	return e.Err()
}

func (s *shadow) over() bool { return s.stopped != "" || s.engine.Done() || s.engine.Err() != nil }

// readable is how many octets of the peer come before the first record that
// could not be opened.
func (s *shadow) readable() int {
	total := 0
	for _, p := range s.d.c.Pieces {
		if p.Sender != s.own {
			total += len(p.Data)
		}
	}
	for i := range s.d.items {
		if item := &s.d.items[i]; item.Sealed && item.Sender != s.own {
			return item.Offset
		}
	}
	return total
}

// settle answers the waits that are open.
func (s *shadow) settle() {
	e := s.engine
	for {
		e.Wrote(len(e.Output()))
		ev, ok := e.Next()
		if !ok || s.stopped != "" {
			return
		}
		if ev.Kind != handshake.EventWait {
			continue
		}
		if a := s.answer(ev.Wait); s.stopped == "" {
			e.Answer(ev.Wait.ID, a)
		}
	}
}

// signature is a well-formed ECDSA signature; the recorded one takes its place.
var signature = []byte{0x30, 6, 2, 1, 1, 2, 1, 1}

func (s *shadow) answer(w *handshake.Wait) handshake.Answer {
	f := &s.d.seen
	switch w.Kind {
	case handshake.WaitNonce:
		for i := range s.d.p.Slots {
			if s.d.p.Slots[i].Name == w.Nonce.Slot && f.fields.Nonces[i] != nil {
				return handshake.Answer{Nonce: f.fields.Nonces[i]}
			}
		}
	case handshake.WaitCredential:
		return handshake.Answer{Credential: s.credential(w.Credential)}
	case handshake.WaitSignature:
		return handshake.Answer{Signature: signature}
	case handshake.WaitEvidence:
		return s.evidence(w.Evidence)
	case handshake.WaitIssuance:
		return handshake.Answer{Chain: w.Issuance.Credential.Chain} // the one that was shown
	case handshake.WaitAppraisal:
		return s.appraise(w.Appraisal)
	}
	return handshake.Answer{}
}

// credential is the certificate that the end showed; nil for none.
func (s *shadow) credential(r *handshake.CredentialRequest) *handshake.Credential {
	ct := s.d.seen.certificate[s.own]
	if ct == nil && s.own == attls.RoleServer {
		s.stop("no Certificate of the server was recorded")
	}
	if ct == nil || len(ct.Entries) == 0 {
		return nil
	}
	c := &handshake.Credential{Type: r.Type, Schemes: []attls.SignatureScheme{attls.ECDSA_SECP256R1_SHA256}}
	if v := s.d.seen.verify[s.own]; v != nil {
		c.Schemes[0] = v.Scheme
	}
	for i := range ct.Entries {
		c.Chain = append(c.Chain, ct.Entries[i].Data)
	}
	return c
}

// evidence is the payload that the end sent. The challenge it was asked for is
// the binder as this end knows it.
func (s *shadow) evidence(r *negotiation.EvidenceRequest) handshake.Answer {
	var payload []byte
	for i := range s.d.p.Slots {
		if s.d.p.Slots[i].Name == r.Slot {
			payload = s.d.seen.payloads[i]
		}
	}
	if payload == nil {
		s.stop("no payload of the %v was recorded", s.own)
		return handshake.Answer{}
	}
	a := s.d.attestation(s, s.own, r.Slot, &r.Scheme, payload, r.Challenge, r.Fit)
	key := a.spki
	if r.Scheme.Credential == profile.KindAlone && key == nil {
		s.stop("the key that the %v's payload attests is not known", s.own)
		return handshake.Answer{}
	}
	return handshake.Answer{Evidence: &negotiation.Evidence{CMW: payload, SPKI: key}}
}

var (
	_ handshake.Tap    = (*shadow)(nil)
	_ handshake.Random = (*shadow)(nil)
)
