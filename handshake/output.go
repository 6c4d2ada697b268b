package handshake

import (
	"attls"
	"attls/extensions"
	"attls/extensions/profile/binder"
	"attls/handshake/message"
)

// write builds a message with extensions and sends it.
func (e *Engine) write(m interface{ Append([]byte) []byte }) *attls.Error {
	e.flight = m.Append(e.flight[:0])
	return e.send(e.flight)
}

// send puts a handshake message into the transcript and the flight.
func (e *Engine) send(raw []byte) *attls.Error {
	m, err := message.ParseRaw(raw)
	if err != nil {
		return attls.Errorf(attls.Local, attls.FailInternal, "a message of ours does not parse: %v", err)
	}
	m = e.cfg.classify(m)
	if e.tap() == nil {
		e.transcribe(&m, e.role)
		return e.out.Handshake(raw)
	}
	return e.sendTapped(m)
}

// sendTapped sends what the tap makes of a message.
func (e *Engine) sendTapped(m message.Raw) *attls.Error {
	var p Plan
	raw := m.Bytes
	e.tap().Message(Sent, &m, &p)
	wire := raw
	if p.Replace != nil {
		wire = p.Replace
	}
	if p.Rebind {
		e.rebind(m.Kind, wire)
	}
	for _, b := range p.Before {
		if err := e.insert(b, p.TranscriptOriginal); err != nil {
			return err
		}
	}
	switch {
	case p.TranscriptOriginal:
		e.transcribe(&m, e.role)
	case !p.Drop:
		e.transcribe(&message.Raw{Kind: m.Kind, Type: m.Type, Bytes: wire}, e.role)
	}
	if p.Reparse && !p.Drop {
		e.resend(m.Kind, wire)
	}
	if !p.Drop {
		if err := e.out.Handshake(wire); err != nil {
			return err
		}
	}
	for _, b := range p.After {
		if err := e.insert(b, p.TranscriptOriginal); err != nil {
			return err
		}
	}
	return nil
}

// insert sends a message of a tap's.
func (e *Engine) insert(raw []byte, secretly bool) *attls.Error {
	if !secretly {
		e.transcript.add(binder.PointNone, raw)
	}
	return e.out.Handshake(raw)
}

// resend lets the state follow a replaced ClientHello: what it offers, and what
// the server will repeat of it.
func (e *Engine) resend(k attls.MessageKind, raw []byte) {
	var ch message.ClientHello
	if k == attls.KindClientHello && len(raw) >= 4 && ch.Unmarshal(raw[4:]) == nil {
		e.note(e.role, k, ch.Extensions)
		e.nego.sessionID = append([]byte(nil), ch.SessionID...)
	}
}

// note remembers which extensions a role sent in a message.
func (e *Engine) note(role attls.Role, k attls.MessageKind, l extensions.List) {
	for i := range l {
		// What a peer sends beyond the table solicits nothing.
		if _, known := e.table.Lookup(l[i].Type); known || role == e.role {
			e.sent.Add(role, k, l[i].Type)
		}
	}
}

// sendCCS sends the dummy change_cipher_spec of RFC 8446 appendix D.4, once.
func (e *Engine) sendCCS() {
	if e.ccsSent || e.cfg.NoMiddleboxCompatibility || e.cfg.quirks().NoCCS {
		return
	}
	e.ccsSent = true
	e.out.ChangeCipherSpec()
}

// classify names the messages that a profile adds.
func (c *Config) classify(m message.Raw) message.Raw {
	if m.Kind == attls.KindUnknown || m.Kind == attls.KindExtendedKeyUpdate {
		for _, a := range c.profile().Messages {
			if a.Type == m.Type {
				m.Kind = attls.KindAdded
			}
		}
	}
	return m
}

// scratch holds the message that is being built or read, one of each kind, so
// that their slices are reused.
type scratch struct {
	clientHello message.ClientHello
	offers      offers
	answers     answers
	sending     sending
	serverHello message.ServerHello
	encrypted   message.EncryptedExtensions
	request     message.CertificateRequest
	certificate message.Certificate
	verify      message.CertificateVerify
	finished    message.Finished
	mac         [maxHash]byte
	random      [32]byte  // of a server
	seed        [128]byte // of a key share
}
