// Package tamper changes what an end sends and what it derives: handshake
// messages, their fields and extensions, records, traffic secrets. Each change is
// a handshake.Tap, so that changes compose with handshake.Taps and work in an
// Engine, a Conn and a scenario alike. It judges nothing: what the receiver must
// do is the business of conformance/cases.
//
// A changed message enters the sender's own transcript, so that the receiver fails
// at the change itself and not later at Finished.
package tamper

import (
	"slices"

	"attls"
	"attls/handshake"
	"attls/handshake/message"
)

// messages is a tap that changes the handshake messages that an end sends.
type messages struct {
	handshake.NopTap
	sent   map[attls.MessageKind]int
	change func(m *message.Raw, n int, p *handshake.Plan)
}

// Messages lets change decide on each handshake message that the end sends. n
// counts the messages of the same kind that were sent before. Where change sets
// Plan.Replace, the end's own state follows the replacement (Plan.Reparse).
func Messages(change func(m *message.Raw, n int, p *handshake.Plan)) handshake.Tap {
	return &messages{sent: map[attls.MessageKind]int{}, change: change}
}

func (t *messages) Message(d handshake.Direction, m *message.Raw, p *handshake.Plan) {
	if d != handshake.Sent {
		return
	}
	n := t.sent[m.Kind]
	t.sent[m.Kind]++
	t.change(m, n, p)
	p.Reparse = p.Replace != nil
}

// Fork copies the counts.
func (t *messages) Fork() handshake.Tap {
	f := &messages{sent: make(map[attls.MessageKind]int, len(t.sent)), change: t.change}
	for k, n := range t.sent {
		f.sent[k] = n
	}
	return f
}

// Drop leaves out every message of the kinds.
func Drop(kinds ...attls.MessageKind) handshake.Tap {
	return Messages(func(m *message.Raw, _ int, p *handshake.Plan) { p.Drop = slices.Contains(kinds, m.Kind) })
}

// Repeat sends each message of a kind twice.
func Repeat(k attls.MessageKind) handshake.Tap {
	return of(k, func(m *message.Raw, p *handshake.Plan) { p.After = [][]byte{slices.Clone(m.Bytes)} })
}

// Before sends an encoded message before each message of a kind.
func Before(k attls.MessageKind, inserted ...byte) handshake.Tap {
	return of(k, func(_ *message.Raw, p *handshake.Plan) { p.Before = [][]byte{inserted} })
}

// FlipLast inverts the last bit of each message of a kind.
func FlipLast(k attls.MessageKind) handshake.Tap {
	return of(k, func(m *message.Raw, p *handshake.Plan) {
		p.Replace = slices.Clone(m.Bytes)
		p.Replace[len(p.Replace)-1] ^= 1
	})
}

// Body gives each message of a kind another body, with the length that fits it.
// change gets a copy.
func Body(k attls.MessageKind, change func([]byte) []byte) handshake.Tap {
	return of(k, func(m *message.Raw, p *handshake.Plan) {
		p.Replace = Message(m.Type, change(slices.Clone(m.Body())))
	})
}

// Message encodes a handshake message with any body (RFC 8446 section 4).
func Message(t attls.HandshakeType, body []byte) []byte {
	return message.AppendMessage(nil, t, body)
}

// of is a change of each message of one kind.
func of(k attls.MessageKind, change func(m *message.Raw, p *handshake.Plan)) handshake.Tap {
	return Messages(func(m *message.Raw, _ int, p *handshake.Plan) {
		if m.Kind == k {
			change(m, p)
		}
	})
}
