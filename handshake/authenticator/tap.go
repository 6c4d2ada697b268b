package authenticator

import (
	"bytes"
	"hash"

	"attls"
	"attls/handshake/message"
)

// Plan is what a tap wants done with a message.
type Plan struct {
	// Replace is the whole message, header included, that takes the place of the
	// original. Nil: unchanged.
	Replace []byte
	// Drop leaves the message out.
	Drop bool
	// Before and After are whole messages to insert.
	Before, After [][]byte
	// TranscriptOriginal lets the original enter the hash instead of what is sent.
	TranscriptOriginal bool
}

// Tap sees everything in order and may change it. What it is shown is valid only during
// the call.
type Tap interface {
	// Message is called for each message of a request or authenticator: one that is sent
	// before it enters the hash, one that is received before it is handled.
	Message(sent bool, m *message.Raw) Plan
	// Derived is called for each exporter value and returns the one to use.
	Derived(label string, value []byte) []byte
}

// writer collects what is sent.
type writer struct {
	tap        Tap
	octets     []byte
	transcript hash.Hash // nil: nothing is hashed
}

// add sends a message that ends what is in octets and begins at an index. It returns a
// view of what the peer is to hash of it.
func (w *writer) add(start int) []byte {
	if w.tap == nil {
		return w.hash(w.octets[start:])
	}
	raw := bytes.Clone(w.octets[start:])
	m, err := message.ParseRaw(raw)
	if err != nil { // which cannot be: we wrote it
		return w.hash(raw)
	}
	p := w.tap.Message(true, &m)
	sent := p.apply(nil, raw)
	w.octets = append(w.octets[:start], sent...)
	if p.TranscriptOriginal {
		return w.hash(raw)
	}
	return w.hash(sent)
}

func (w *writer) hash(b []byte) []byte {
	if w.transcript != nil {
		w.transcript.Write(b)
	}
	return b
}

// apply appends to b what takes the place of a message.
func (p *Plan) apply(b, raw []byte) []byte {
	for _, m := range p.Before {
		b = append(b, m...)
	}
	switch {
	case p.Drop:
	case p.Replace != nil:
		b = append(b, p.Replace...)
	default:
		b = append(b, raw...)
	}
	for _, m := range p.After {
		b = append(b, m...)
	}
	return b
}

// received shows the messages of a request or authenticator to the tap and returns
// what is to be handled.
func (c *Connection) received(list []message.Raw) ([]message.Raw, *attls.Error) {
	if c.cfg.Tap == nil {
		return list, nil
	}
	var all []byte
	for i := range list {
		p := c.cfg.Tap.Message(false, &list[i])
		all = p.apply(all, list[i].Bytes)
	}
	return split(all)
}
