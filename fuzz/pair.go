package fuzz

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"attls"
	"attls/conformance/pair"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/message"
	"attls/record"
)

// The mutations of a message. Each has a place in it, as a fraction of 256, and
// a value.
const (
	mutateFlip      = iota // change an octet, the length stays
	mutateTruncate         // end at the place, with the right length in the header
	mutateAppend           // add octets at the end
	mutateInsert           // insert an octet at the place
	mutateDrop             // leave the message out
	mutateRepeat           // send it twice
	mutateInvent           // send a message of any type before it
	mutateRemove           // remove an extension
	mutateDuplicate        // repeat an extension
	mutateBody             // change an extension's body
	mutateSwap             // change the order of extensions
	mutateForeign          // add an extension of any type
	mutateSecret           // change an octet, and keep the original in the transcript
	mutateRecord           // cut the record that it stands in
	mutations
)

// mutation is one change, as four octets of a plan say it.
type mutation struct{ message, op, place, value byte }

// mutator is a tap that changes messages by their number among all that its
// engine sends.
type mutator struct {
	alerts
	plan  []mutation
	count byte
	cut   int // pieces that the next record is cut into
}

func (m *mutator) Fork() handshake.Tap { f := *m; return &f }

func (m *mutator) Message(d handshake.Direction, raw *message.Raw, p *handshake.Plan) {
	if d != handshake.Sent {
		return
	}
	b := slices.Clone(raw.Bytes)
	changed := false
	for _, x := range m.plan {
		if x.message%12 != m.count {
			continue
		}
		changed = true
		at := min(len(b)-1, int(x.place)*len(b)/256)
		switch x.op % mutations {
		case mutateFlip:
			b[at] ^= x.value | 1
		case mutateTruncate:
			b = fixLength(b[:max(at, 4)])
		case mutateAppend:
			b = fixLength(append(b, make([]byte, int(x.value)+1)...))
		case mutateInsert:
			b = fixLength(slices.Insert(b, max(at, 4), x.value))
		case mutateDrop:
			p.Drop = true
		case mutateRepeat:
			p.After = append(p.After, slices.Clone(b))
		case mutateInvent:
			p.Before = append(p.Before, fixLength(append([]byte{x.value, 0, 0, 0}, b[at:]...)))
		case mutateSecret:
			b[at] ^= x.value | 1
			p.TranscriptOriginal = true
		case mutateRecord:
			m.cut = int(x.value)%64 + 1
		default:
			b = mutateExtensions(b, x)
		}
		if len(b) < 4 {
			break
		}
	}
	m.count++
	if changed {
		p.Replace, p.Reparse = b, true
	}
}

// Record cuts the record of a message into pieces.
func (m *mutator) Record(d handshake.Direction, r *record.Raw, p *record.Plan) {
	if d != handshake.Sent || r.Type != attls.ContentTypeHandshake || m.cut == 0 {
		return
	}
	p.Drop = true
	for b := range slices.Chunk(r.Payload, m.cut) {
		p.Before = append(p.Before, record.Raw{Type: r.Type, Payload: slices.Clone(b)})
	}
	m.cut = 0
}

func fixLength(b []byte) []byte { return message.End(b, 0) }

// mutateExtensions changes the extension block of a message; a message without
// one is returned as it is.
func mutateExtensions(b []byte, x mutation) []byte {
	raw, err := message.ParseRaw(b)
	if err != nil {
		return b
	}
	var ch message.ClientHello
	var sh message.ServerHello
	var ee message.EncryptedExtensions
	var cr message.CertificateRequest
	var ct message.Certificate
	body := raw.Body()
	edit := func(list *extensions.List) { *list = mutateList(*list, x) }
	switch {
	case raw.Kind == attls.KindClientHello && ch.Unmarshal(body) == nil:
		edit(&ch.Extensions)
		return ch.Append(nil)
	case (raw.Kind == attls.KindServerHello || raw.Kind == attls.KindHelloRetryRequest) && sh.Unmarshal(body) == nil:
		edit(&sh.Extensions)
		return sh.Append(nil)
	case raw.Kind == attls.KindEncryptedExtensions && ee.Unmarshal(body) == nil:
		edit(&ee.Extensions)
		return ee.Append(nil)
	case raw.Kind == attls.KindCertificateRequest && cr.Unmarshal(body) == nil:
		edit(&cr.Extensions)
		return cr.Append(nil)
	case raw.Kind == attls.KindCertificate && ct.Unmarshal(body) == nil && len(ct.Entries) > 0:
		edit(&ct.Entries[0].Extensions)
		return ct.Append(nil)
	}
	return b
}

func mutateList(l extensions.List, x mutation) extensions.List {
	l = slices.Clone(l)
	if x.op%mutations == mutateForeign {
		return append(l, extensions.Extension{Type: attls.ExtensionType(x.value), Body: make([]byte, x.place%8)})
	}
	if len(l) == 0 {
		return l
	}
	i := int(x.place) * len(l) / 256
	switch x.op % mutations {
	case mutateRemove:
		return slices.Delete(l, i, i+1)
	case mutateDuplicate:
		return append(l, l[i])
	case mutateSwap:
		l[i], l[len(l)-1-i] = l[len(l)-1-i], l[i]
	case mutateBody:
		body := slices.Clone(l[i].Body)
		if at := int(x.value) % (len(body) + 1); at == len(body) {
			body = append(body, x.value)
		} else {
			body[at] ^= x.value | 1
		}
		l[i].Body = body
	}
	return l
}

// readPlan reads mutations of four octets each; the first octet's high bit says
// whose messages are meant.
func readPlan(plan []byte) (list [2][]mutation) {
	for ; len(plan) >= 4; plan = plan[4:] {
		role := plan[0] >> 7
		list[role] = append(list[role], mutation{plan[0] & 0x7f, plan[1], plan[2], plan[3]})
	}
	return list
}

// pairSteps is more than any handshake between two ends needs.
const pairSteps = 10000

// RunPair plays a scenario while messages are changed as a plan says. An error
// is a broken invariant.
func RunPair(scenario int, null bool, plan []byte) error {
	_, err := runPair(scenario, null, plan)
	return err
}

func runPair(scenario int, null bool, plan []byte) (*pair.Pair, error) {
	scenarios := Scenarios()
	s := &scenarios[scenario%len(scenarios)]
	list := readPlan(plan)
	taps := [2]*mutator{{plan: list[0]}, {plan: list[1]}}
	o := s.options(null, [2]handshake.Tap{taps[0], taps[1]})
	o.MaxSteps, o.KeepWire = pairSteps, true
	p, err := pair.New(o)
	if err != nil {
		// A change of the first message can only be noticed by the other end.
		return nil, err
	}
	runErr := p.Run()
	if p.Steps() >= pairSteps {
		return p, fmt.Errorf("no end after %d steps: %v", pairSteps, runErr)
	}
	for r := attls.RoleClient; r <= attls.RoleServer; r++ {
		demand := r == attls.RoleClient || s.mutual
		if err := CheckEngine(p.Engine(r), &taps[r].alerts, len(p.Wire(r.Peer())), demand); err != nil {
			return p, fmt.Errorf("the %v: %w", r, err)
		}
	}
	if p.Done() && !null {
		client, err1 := p.Engine(attls.RoleClient).Export(exportLabel, nil, 32)
		server, err2 := p.Engine(attls.RoleServer).Export(exportLabel, nil, 32)
		if err1 != nil || err2 != nil || !bytes.Equal(client, server) {
			return p, errors.New("both ends are done and export different values")
		}
	}
	return p, nil
}
