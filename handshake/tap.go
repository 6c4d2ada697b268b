package handshake

import (
	"sync"

	"attls"
	"attls/handshake/message"
	"attls/record"
)

// Direction is seen from the engine that the tap is attached to.
type Direction uint8

// The directions.
const (
	Sent Direction = iota
	Received
)

func (d Direction) String() string {
	if d == Received {
		return "received"
	}
	return "sent"
}

// SecretName is the label under which a secret of the key schedule is known to
// taps; those with a name in the NSS key log format have that name.
type SecretName string

// The secrets of RFC 8446 section 7.1, in its order. Later generations of the traffic secrets
// have their number in the place of the 0.
const (
	SecretEarly           SecretName = "early_secret"
	SecretClientEarly     SecretName = "CLIENT_EARLY_TRAFFIC_SECRET"
	SecretEarlyExporter   SecretName = "EARLY_EXPORTER_SECRET"
	SecretResumption      SecretName = "resumption_secret"
	SecretECDHE           SecretName = "ecdhe"
	SecretHandshake       SecretName = "handshake_secret"
	SecretMain            SecretName = "main_secret"
	SecretClientHandshake SecretName = "CLIENT_HANDSHAKE_TRAFFIC_SECRET"
	SecretServerHandshake SecretName = "SERVER_HANDSHAKE_TRAFFIC_SECRET"
	SecretClientTraffic   SecretName = "CLIENT_TRAFFIC_SECRET_0"
	SecretServerTraffic   SecretName = "SERVER_TRAFFIC_SECRET_0"
	SecretExporter        SecretName = "EXPORTER_SECRET"

	// SecretEpochExporter is exporter_secret_0 of draft-ietf-tls-extended-key-update. The
	// secrets of later generations have their number at the end: main_secret_1.
	SecretEpochExporter SecretName = "EXPORTER_SECRET_0"
)

// Plan is what a tap wants done with a handshake message.
type Plan struct {
	// Replace is the whole message, header included, that takes the place of
	// the original. Nil: unchanged.
	Replace []byte
	// Drop leaves the message out. It enters no transcript unless
	// TranscriptOriginal is set.
	Drop bool
	// Before and After are whole messages to insert. Received ones are handled
	// as if the peer had sent them.
	Before, After [][]byte
	// TranscriptOriginal lets the original enter the transcript instead of what
	// was sent (or is handled).
	TranscriptOriginal bool
	// Reparse lets a sender's state follow the replacement: which extensions
	// count as offered, and the session id to be repeated, are then read from it.
	Reparse bool
	// Rebind computes the binders in a client's replaced ClientHello again, for
	// the keys that the client offers, so that the change and not its shadow in
	// the binders is what the server meets.
	Rebind bool
}

// Tap sees everything in order and may change it. It is the one seam for
// tracing, mutation, fault injection and attacks. What it is shown is valid
// only during the call.
type Tap interface {
	// Message is called for a handshake message before it enters the transcript
	// and before it is sent or handled.
	Message(d Direction, m *message.Raw, p *Plan)
	// Record is called for a record before it is protected, or after it was opened.
	Record(d Direction, r *record.Raw, p *record.Plan)
	// Derived is called for each secret and returns the one to use.
	Derived(name SecretName, secret []byte) []byte
	// Alert is called for each alert before it is sent or after it was received.
	Alert(d Direction, a attls.AlertDescription)
	// Fork returns the tap of a forked engine.
	Fork() Tap
}

// planReceived shows a received message to a tap. unchanged says that the message
// is to be handled as it is; otherwise queue is what to handle in its place.
func planReceived(t Tap, m *message.Raw) (queue [][]byte, unchanged bool) {
	var p Plan
	t.Message(Received, m, &p)
	if !p.Drop && p.Replace == nil && len(p.Before) == 0 && len(p.After) == 0 {
		return nil, true
	}
	queue = append(queue, p.Before...)
	switch {
	case p.Drop:
	case p.Replace != nil:
		queue = append(queue, p.Replace)
	default:
		queue = append(queue, append([]byte(nil), m.Bytes...))
	}
	return append(queue, p.After...), false
}

// serialTap lets the two halves of a connection share a tap.
type serialTap struct {
	mu *sync.Mutex
	t  Tap
}

func serial(t Tap) Tap { return serialTap{new(sync.Mutex), t} }

func (s serialTap) Message(d Direction, m *message.Raw, p *Plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.t.Message(d, m, p)
}

func (s serialTap) Record(d Direction, r *record.Raw, p *record.Plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.t.Record(d, r, p)
}

func (s serialTap) Derived(name SecretName, secret []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.t.Derived(name, secret)
}

func (s serialTap) Alert(d Direction, a attls.AlertDescription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.t.Alert(d, a)
}

func (s serialTap) Fork() Tap { return s.t.Fork() }

// StateTap is what a Tap may implement besides: it is then told each state of
// RFC 8446 appendix A that its engine enters, the first one excepted.
type StateTap interface{ State(name string) }

// NopTap does nothing; taps embed it to implement only what they need. A tap
// that embeds it must still implement Fork when it holds state.
type NopTap struct{}

// Message lets the message go on as it is.
func (NopTap) Message(Direction, *message.Raw, *Plan) {}

// Record lets the record go on as it is.
func (NopTap) Record(Direction, *record.Raw, *record.Plan) {}

// Derived returns the secret that was derived.
func (NopTap) Derived(_ SecretName, secret []byte) []byte { return secret }

// Alert ignores the alert.
func (NopTap) Alert(Direction, attls.AlertDescription) {}

// Taps calls several taps in order; a later one sees what an earlier one
// replaced.
func Taps(taps ...Tap) Tap {
	var list tapList
	for _, t := range taps {
		if t != nil {
			list = append(list, t)
		}
	}
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	return list
}

type tapList []Tap

func (l tapList) Message(d Direction, m *message.Raw, p *Plan) {
	for _, t := range l {
		shown := *m
		if p.Replace != nil {
			if r, err := message.ParseRaw(p.Replace); err == nil {
				shown = r
			}
		}
		t.Message(d, &shown, p)
	}
}

func (l tapList) Record(d Direction, r *record.Raw, p *record.Plan) {
	for _, t := range l {
		t.Record(d, r, p)
	}
}

func (l tapList) Derived(name SecretName, secret []byte) []byte {
	for _, t := range l {
		secret = t.Derived(name, secret)
	}
	return secret
}

func (l tapList) Alert(d Direction, a attls.AlertDescription) {
	for _, t := range l {
		t.Alert(d, a)
	}
}

func (l tapList) State(name string) {
	for _, t := range l {
		if s, ok := t.(StateTap); ok {
			s.State(name)
		}
	}
}

func (l tapList) Fork() Tap {
	forked := make(tapList, len(l))
	for i, t := range l {
		forked[i] = t.Fork()
	}
	return forked
}

// attach connects the tap to the record layer and the key schedule.
func (e *Engine) attach(t Tap) {
	e.keys.tap = t
	if t == nil {
		return
	}
	e.in.OnRecord(func(r *record.Raw, p *record.Plan) { t.Record(Received, r, p) })
	e.out.OnRecord(func(r *record.Raw, p *record.Plan) { t.Record(Sent, r, p) })
}

func (e *Engine) tap() Tap { return e.keys.tap }
