package campaign

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"attls"
	"attls/conformance/tamper"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/internal/rule"
	"attls/record"
)

// nothing is the context of answers, which do not wait.
var nothing = context.Background()

// agent is the tap of one end: it notes what happens and edits what the end sends.
type agent struct {
	role    attls.Role
	run     *run
	edits   []Edit
	counts  []sentKind // messages sent, by kind
	records int        // records sent
	waits   [16]bool   // waits that were answered, by kind
	later   [16]bool   // those among them that came after the handshake
	over    bool       // the handshake is done
	held    []byte     // a message that goes after the next one
	fatal   int
	after   int // messages and fatal alerts sent after a fatal alert
	states  int
	// shadowed says that the transcript of this end is not what it sent.
	shadowed bool
	// shadowedLater says so of authentication after the handshake, shadowedProof of authenticators.
	shadowedLater, shadowedProof bool
}

type sentKind struct {
	name string
	n    int
}

// nameOf is what inputs call a message.
func nameOf(p *profile.Profile, m *message.Raw) string {
	if m.Kind == attls.KindAdded && p != nil {
		for i := range p.Messages {
			if p.Messages[i].Type == m.Type {
				return p.Messages[i].Name
			}
		}
	}
	return m.Kind.String()
}

// count counts a message of a name, and returns how many there were.
func (a *agent) count(name string) int {
	for i := range a.counts {
		if a.counts[i].name == name {
			a.counts[i].n++
			return a.counts[i].n - 1
		}
	}
	a.counts = append(a.counts, sentKind{name, 1})
	return 0
}

// sentOf is how many messages of a name were sent.
func (a *agent) sentOf(name string) int {
	for i := range a.counts {
		if a.counts[i].name == name {
			return a.counts[i].n
		}
	}
	return 0
}

// reached reports whether the agent has already done what an edit changes.
func (a *agent) reached(e *Edit) bool {
	switch e.Do {
	case "pad", "split", "record":
		return a.records > e.Number
	case "evidence", "verdict":
		return a.answered(e, handshake.WaitEvidence)
	case "credential", "scheme":
		return a.answered(e, handshake.WaitCredential)
	case "signature":
		return a.answered(e, handshake.WaitSignature)
	case "disobey":
		return true
	case "authenticator":
		return a.run.proofs.past(e, a.role)
	case "frame":
		return a.sentOf(framePrefix+e.Message) > 0
	}
	for i := range a.counts {
		if a.counts[i].name == e.Message {
			return a.counts[i].n > e.Number
		}
	}
	return false
}

// disobeys is the rule that the agent's engine does not obey; "": it obeys all.
func (a *agent) disobeys() rule.Rule {
	for i := range a.edits {
		if a.edits[i].Do == "disobey" {
			return rule.Rule(a.edits[i].Answer)
		}
	}
	return ""
}

// answered reports whether a wait that an edit is about was answered.
func (a *agent) answered(e *Edit, k handshake.WaitKind) bool {
	if e.Later {
		return a.later[k]
	}
	return a.waits[k]
}

// lie is the edit of an answer; nil: the answer is honest.
func (a *agent) lie(k handshake.WaitKind) *Edit {
	a.waits[k] = true
	a.later[k] = a.later[k] || a.over
	for i := range a.edits {
		e := &a.edits[i]
		switch {
		case e.Later && !a.over:
		case k == handshake.WaitEvidence && (e.Do == "evidence" || e.Do == "verdict"),
			k == handshake.WaitCredential && (e.Do == "credential" || e.Do == "scheme"),
			k == handshake.WaitSignature && (e.Do == "signature" || e.Do == "scheme"):
			return e
		}
	}
	return nil
}

// Fork is not used: forks get agents of their own.
func (a *agent) Fork() handshake.Tap { f := *a; return &f }

// Derived implements handshake.Tap.
func (a *agent) Derived(name handshake.SecretName, secret []byte) []byte {
	if t := a.run.traces[a.role]; t != nil {
		return t.Derived(name, secret)
	}
	return secret
}

// State counts states.
func (a *agent) State(string) { a.states++ }

// Alert implements handshake.Tap.
func (a *agent) Alert(d handshake.Direction, x attls.AlertDescription) {
	if c := a.run.carrier; c != nil && c.apart {
		return
	}
	if t := a.run.traces[a.role]; t != nil {
		t.Alert(d, x)
	}
	if d == handshake.Sent {
		if a.fatal > 0 {
			a.after++
		}
		if x != attls.AlertCloseNotify && x != attls.AlertUserCanceled {
			a.fatal++
		}
	}
	a.run.log = append(a.run.log, entry{role: a.role, sent: d == handshake.Sent, alert: &x})
	a.mirrorAlert(d, x)
}

// Message implements handshake.Tap.
func (a *agent) Message(d handshake.Direction, m *message.Raw, p *handshake.Plan) {
	r := a.run
	if d == handshake.Received {
		if t := r.traces[a.role]; t != nil {
			t.Message(d, m, p)
		}
		r.log = append(r.log, entry{role: a.role, kind: m.Kind, raw: r.kept(m.Bytes)})
		a.mirror(d, m, nil, p)
		return
	}
	if a.fatal > 0 {
		a.after++
	}
	name := nameOf(r.s.profile, m)
	n := a.count(name)
	if m.Kind == attls.KindFinished {
		r.did(deed{role: a.role, final: r.kept(m.Bytes)})
	}
	sent := r.kept(m.Bytes)
	if r.line != nil && m.Kind == attls.KindClientHello {
		r.line.hello = pskOf(m.Bytes)
	}
	if a.edits != nil || a.held != nil {
		for i := range a.edits {
			e := &a.edits[i]
			if e.Message == name && e.Number == n ||
				e.Do == "scheme" && m.Kind == attls.KindCertificateVerify && (a.over || !e.Later) {
				sent = a.edit(e, m, sent, p)
			}
		}
		if a.held != nil && !p.Drop {
			p.After = append(p.After, a.held)
			a.held = nil
		}
	}
	if t := r.traces[a.role]; t != nil {
		shown := *m
		shown.Bytes = sent
		t.Message(d, &shown, p)
	}
	r.log = append(r.log, entry{role: a.role, sent: true, kind: m.Kind, raw: sent, was: len(m.Bytes)})
	a.mirror(d, m, sent, p)
}

// Record implements handshake.Tap.
func (a *agent) Record(d handshake.Direction, x *record.Raw, p *record.Plan) {
	r := a.run
	if r.carrier != nil && r.carrier.apart {
		return
	}
	if t := r.traces[a.role]; t != nil {
		t.Record(d, x, p)
	}
	if d == handshake.Received {
		a.mirrorRecord(x)
		return
	}
	if r.s.profile != nil { // whose quirks are about records
		r.log = append(r.log, entry{role: a.role, sent: true, rec: &recordSeen{x.Type, r.kept(x.Payload)}})
	}
	n := a.records
	a.records++
	for i := range a.edits {
		e := &a.edits[i]
		if e.Number != n {
			continue
		}
		switch e.Do {
		case "pad":
			p.Padding = e.At
		case "record":
			p.Before = append(p.Before, record.Raw{Type: attls.ContentType(e.At), Payload: slices.Clone(e.Octets)})
			if a.sentOf("Finished") == 0 || x.Type == attls.ContentTypeHandshake && carries(x.Payload, attls.TypeFinished) {
				r.inserted = append(r.inserted, recordSeen{attls.ContentType(e.At), e.Octets})
			}
		case "split":
			if e.At > 0 && len(x.Payload) > e.At && len(x.Payload)/e.At < 512 {
				p.Drop = true
				for b := range slices.Chunk(x.Payload, e.At) {
					p.Before = append(p.Before, record.Raw{Type: x.Type, Payload: slices.Clone(b)})
				}
			}
		case "early":
			for left := e.At; left > 0; left -= record.MaxPlaintext {
				p.After = append(p.After, record.Raw{Type: attls.ContentTypeApplicationData,
					Payload: make([]byte, min(left, record.MaxPlaintext))})
			}
		}
	}
}

// edit makes one edit of a message and returns what is to be sent. b is the message after
// the edits before.
func (a *agent) edit(e *Edit, m *message.Raw, b []byte, p *handshake.Plan) []byte {
	was := b
	switch e.Do {
	case "drop":
		p.Drop = true
	case "repeat":
		p.After = append(p.After, slices.Clone(b))
	case "defer":
		p.Drop, a.held = true, slices.Clone(b)
	case "insert":
		p.Before = append(p.Before, slices.Clone(e.Octets))
	case "append":
		p.After = append(p.After, slices.Clone(e.Octets))
	case "field":
		b = a.field(e, m, b)
	case "length":
		b = slices.Clone(b)
		b[1], b[2], b[3] = byte(e.At>>16), byte(e.At>>8), byte(e.At)
	case "scheme":
		if len(b) >= 6 {
			b = slices.Clone(b)
			b[4], b[5] = byte(e.At>>8), byte(e.At)
		}
	case "early":
		b = offerEarlyData(m.Kind, b)
	case "reissue":
		b = a.reissued(e.Answer, b)
	default:
		if body, ok := editBody(e, m.Kind, b[4:]); ok {
			b = tamper.Message(m.Type, body)
		}
	}
	if len(b) != len(was) || &b[0] != &was[0] {
		p.Replace, p.Reparse = b, true
		p.Rebind = m.Kind == attls.KindClientHello && !strings.Contains(e.Path, "pre_shared_key") &&
			e.Extension != attls.ExtPreSharedKey
	}
	p.TranscriptOriginal = p.TranscriptOriginal || e.Shadow
	changed := p.Drop || e.Do == "repeat" || e.Do == "insert" || e.Do == "append" || !bytes.Equal(b, was)
	if e.Shadow && changed && m.Kind < attls.KindFinished &&
		(m.Kind != attls.KindClientHello || !a.run.s.conn.Resumption) { // where binders are computed again
		a.shadowed, a.shadowedLater, a.shadowedProof = !a.over, a.over && !a.run.proofs.began, a.run.proofs.began
	}
	return b
}

// field edits the field at a path.
func (a *agent) field(e *Edit, m *message.Raw, b []byte) []byte {
	place := a.run.s.fieldAt(e.Path)
	if place == nil {
		return b
	}
	f := place.With(func([]byte) []byte { return slices.Clone(e.Octets) })
	var p handshake.Plan
	shown := *m
	shown.Bytes = b
	f.Message(handshake.Sent, &shown, &p)
	if p.Replace == nil {
		return b
	}
	return p.Replace
}

// editBody edits the body of a message; false: the edit does not apply.
func editBody(e *Edit, k attls.MessageKind, body []byte) ([]byte, bool) {
	switch e.Do {
	case "body":
		return e.Octets, true
	case "flip":
		if len(body) == 0 {
			return nil, false
		}
		body = slices.Clone(body)
		body[e.At%len(body)] ^= 1 << (e.At % 7)
		return body, true
	case "truncate":
		return slices.Clone(body[:min(e.At, len(body))]), true
	case "extend":
		return slices.Concat(body, e.Octets), true
	}
	return editExtensions(body, k, e.Entry, func(list []rawExtension) []rawExtension {
		i := slices.IndexFunc(list, func(x rawExtension) bool { return x.t == e.Extension })
		switch {
		case e.Do == "extension-add":
			return slices.Insert(list, min(e.At, len(list)), rawExtension{e.Extension, e.Octets})
		case i < 0:
			return nil
		case e.Do == "extension-remove":
			return slices.Delete(list, i, i+1)
		case e.Do == "extension-repeat":
			return append(list, list[i])
		case e.Do == "extension-body":
			list[i].body = e.Octets
			return list
		case e.Do == "extension-swap":
			x := list[i]
			list = slices.Delete(list, i, i+1)
			return slices.Insert(list, min(e.At, len(list)), x)
		}
		return nil
	})
}

// offerEarlyData is a ClientHello with early_data before pre_shared_key.
func offerEarlyData(k attls.MessageKind, b []byte) []byte {
	body, ok := editExtensions(b[4:], k, 0, func(list []rawExtension) []rawExtension {
		i := slices.IndexFunc(list, func(x rawExtension) bool { return x.t == attls.ExtPreSharedKey })
		if i < 0 || slices.ContainsFunc(list, func(x rawExtension) bool { return x.t == attls.ExtEarlyData }) {
			return nil
		}
		return slices.Insert(list, i, rawExtension{attls.ExtEarlyData, nil})
	})
	if !ok {
		return b
	}
	return tamper.Message(attls.TypeClientHello, body)
}

// rawExtension is an extension as it is on the wire.
type rawExtension struct {
	t    attls.ExtensionType
	body []byte
}

// cursor reads octets; ok is false after too many were asked for.
type cursor struct {
	b  []byte
	ok bool
}

func (c *cursor) take(n int) []byte {
	if n > len(c.b) {
		c.ok, c.b = false, nil
		return nil
	}
	v := c.b[:n]
	c.b = c.b[n:]
	return v
}

func (c *cursor) number(width int) (n int) {
	for _, x := range c.take(width) {
		n = n<<8 | int(x)
	}
	return n
}

func (c *cursor) vector(width int) []byte { return c.take(c.number(width)) }

// extensionBlocks finds the blocks of extensions of a message body, without their
// lengths: one, or one for each CertificateEntry. It is a second reading of RFC 8446,
// which reads what package message refuses too.
func extensionBlocks(body []byte, k attls.MessageKind) (blocks [][2]int, ok bool) {
	c := &cursor{body, true}
	at := func() int { return len(body) - len(c.b) }
	block := func() {
		n := c.number(2)
		from := at()
		c.take(n)
		if c.ok {
			blocks = append(blocks, [2]int{from, from + n})
		}
	}
	switch k {
	case attls.KindClientHello:
		c.take(34)
		c.vector(1)
		c.vector(2)
		c.vector(1)
		block()
	case attls.KindServerHello, attls.KindHelloRetryRequest:
		c.take(34)
		c.vector(1)
		c.take(3)
		block()
	case attls.KindEncryptedExtensions:
		block()
	case attls.KindCertificateRequest, attls.KindClientCertificateRequest:
		c.vector(1)
		block()
	case attls.KindNewSessionTicket:
		c.take(8)
		c.vector(1)
		c.vector(2)
		block()
	case attls.KindCertificate:
		c.vector(1)
		c.number(3)
		for c.ok && len(c.b) > 0 && len(blocks) < 64 {
			c.vector(3)
			block()
		}
	default:
		return nil, false
	}
	return blocks, c.ok
}

// parseExtensions reads a block.
func parseExtensions(b []byte) (list []rawExtension, ok bool) {
	c := &cursor{b, true}
	for c.ok && len(c.b) > 0 {
		t := c.number(2)
		body := c.vector(2)
		if c.ok {
			list = append(list, rawExtension{attls.ExtensionType(t), body})
		}
	}
	return list, c.ok
}

// extensionsOf lists the extensions of a message, entry by entry.
func extensionsOf(body []byte, k attls.MessageKind) (entries [][]rawExtension, ok bool) {
	blocks, ok := extensionBlocks(body, k)
	if !ok {
		return nil, false
	}
	for _, b := range blocks {
		list, ok := parseExtensions(body[b[0]:b[1]])
		if !ok {
			return nil, false
		}
		entries = append(entries, list)
	}
	return entries, true
}

// editExtensions changes a block of extensions and the lengths around it.
func editExtensions(body []byte, k attls.MessageKind, entry int,
	change func([]rawExtension) []rawExtension) ([]byte, bool) {
	blocks, ok := extensionBlocks(body, k)
	if !ok || entry >= len(blocks) {
		return nil, false
	}
	at := blocks[entry]
	list, ok := parseExtensions(body[at[0]:at[1]])
	if !ok {
		return nil, false
	}
	if list = change(slices.Clone(list)); list == nil {
		return nil, false
	}
	var b []byte
	for _, x := range list {
		b = append(b, byte(x.t>>8), byte(x.t), byte(len(x.body)>>8), byte(len(x.body)))
		b = append(b, x.body...)
	}
	if len(b) > 1<<16-1 {
		return nil, false
	}
	out := append(slices.Clone(body[:at[0]-2]), byte(len(b)>>8), byte(len(b)))
	out = append(append(out, b...), body[at[1]:]...)
	if k == attls.KindCertificate { // the length of certificate_list follows the context
		where := 1 + int(body[0])
		n := len(out) - where - 3
		out[where], out[where+1], out[where+2] = byte(n>>16), byte(n>>8), byte(n)
	}
	return out, true
}
