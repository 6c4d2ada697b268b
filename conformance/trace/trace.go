package trace

import (
	"encoding/hex"
	"fmt"
	"slices"
	"sync"

	"attls"
	"attls/conformance/claims"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/record"
)

// Trace is a tap that keeps what one end saw, in order. It changes nothing;
// behind other taps it sees what they made of a message. It may be read while
// the connection runs.
//
// A trace has a bound, however long the connection is and whatever the peer sends:
// of what follows the handshake it keeps the first 512 steps with 1 MiB of messages,
// then it adds application data up and counts the other messages.
type Trace struct {
	mu      sync.Mutex
	role    attls.Role
	entries []traceEntry
	secrets []Secret
	updates int                        // KeyUpdate messages of the peer
	data    [2]int64                   // octets of application data, by sender
	early   int64                      // of the client's, what came before its Finished
	alerts  [2]*attls.AlertDescription // the first alert but close_notify, by sender
	after   int                        // entries behind the handshake
	kept    int                        // octets of messages in them
	over    bool                       // the handshake is, as far as this end knows
	sums    [2]int                     // one more than the index of the entry that sums up data, by sender
	more    int                        // the same, of the entry that counts messages
	// KeepSecrets lets the trace keep the secrets of the key schedule.
	KeepSecrets bool
	// OnStep, when set, is called for each step as it happens.
	OnStep func(Step)
	// Profile decodes what it adds; nil decodes RFC 8446 only.
	Profile *profile.Profile
}

// New returns a trace for the end of a role.
func New(role attls.Role, p *profile.Profile) *Trace { return &Trace{role: role, Profile: p} }

// Secret is a secret of the key schedule.
type Secret struct {
	Name  string `json:"name"`
	Value string `json:"value"` // hexadecimal
}

type traceEntry struct {
	from  attls.Role
	alert *attls.AlertDescription
	data  int
	raw   []byte // a handshake message, header included
	kind  attls.MessageKind
	more  int // messages that were not kept
}

// What a Trace keeps of what follows the handshake, and of the key schedule, which
// every KeyUpdate prolongs.
const (
	maxEntries = 512
	maxOctets  = 1 << 20
	maxSecrets = 1 << 12
)

func (t *Trace) from(d handshake.Direction) attls.Role {
	if d == handshake.Sent {
		return t.role
	}
	return t.role.Peer()
}

func (t *Trace) add(e traceEntry) {
	t.mu.Lock()
	t.keep(e)
	t.mu.Unlock()
	if t.OnStep != nil {
		t.OnStep(t.step(&e))
	}
}

// keep adds an entry as long as there is room. The caller holds t.mu.
func (t *Trace) keep(e traceEntry) {
	t.data[e.from] += int64(e.data)
	t.countEarly(&e)
	if e.kind == attls.KindKeyUpdate && e.from != t.role {
		t.updates++
	}
	if e.alert != nil && *e.alert != attls.AlertCloseNotify && t.alerts[e.from] == nil {
		t.alerts[e.from] = e.alert
	}
	if t.over {
		if t.after == maxEntries || t.kept+len(e.raw) > maxOctets {
			t.sum(&e)
			return
		}
		t.after++
		t.kept += len(e.raw)
	}
	t.over = t.over || e.kind == attls.KindFinished && e.from == attls.RoleClient
	t.entries = append(t.entries, e)
}

// countEarly takes early data back that a server rejected, which is what a client has sent before
// a Finished without EndOfEarlyData (RFC 8446 section 4.5). The caller holds t.mu.
func (t *Trace) countEarly(e *traceEntry) {
	switch {
	case e.from != attls.RoleClient || t.over:
	case e.kind == attls.KindEndOfEarlyData:
		t.early = 0
	case e.kind == attls.KindFinished:
		t.data[e.from] -= t.early
		t.early = 0
	default:
		t.early += int64(e.data)
	}
}

// sum adds an entry for which there is no room to what was summed up.
func (t *Trace) sum(e *traceEntry) {
	at, total := &t.more, traceEntry{from: e.from, more: 1}
	if e.data > 0 {
		at, total = &t.sums[e.from], traceEntry{from: e.from, data: e.data}
	}
	if *at == 0 {
		t.entries = append(t.entries, total)
		*at = len(t.entries)
		return
	}
	t.entries[*at-1].data += total.data
	t.entries[*at-1].more += total.more
}

// Message implements handshake.Tap: it notes the message as it goes on, and those inserted with it.
func (t *Trace) Message(d handshake.Direction, m *message.Raw, p *handshake.Plan) {
	for _, b := range p.Before {
		t.message(d, b)
	}
	if !p.Drop {
		t.add(traceEntry{from: t.from(d), kind: m.Kind, raw: slices.Clone(m.Bytes)})
	}
	for _, b := range p.After {
		t.message(d, b)
	}
}

func (t *Trace) message(d handshake.Direction, b []byte) {
	if m, err := message.ParseRaw(b); err == nil {
		t.add(traceEntry{from: t.from(d), kind: m.Kind, raw: slices.Clone(b)})
	}
}

// Record implements handshake.Tap: it counts the octets of application data.
func (t *Trace) Record(d handshake.Direction, r *record.Raw, _ *record.Plan) {
	if r.Type == attls.ContentTypeApplicationData && len(r.Payload) > 0 {
		t.add(traceEntry{from: t.from(d), data: len(r.Payload)})
	}
}

// Derived implements handshake.Tap: with KeepSecrets it keeps the first secrets, up to a limit.
func (t *Trace) Derived(name handshake.SecretName, secret []byte) []byte {
	if t.KeepSecrets {
		t.mu.Lock()
		if len(t.secrets) < maxSecrets {
			t.secrets = append(t.secrets, Secret{string(name), hex.EncodeToString(secret)})
		}
		t.mu.Unlock()
	}
	return secret
}

// Alert implements handshake.Tap.
func (t *Trace) Alert(d handshake.Direction, a attls.AlertDescription) {
	t.add(traceEntry{from: t.from(d), alert: &a})
}

// Fork returns a trace that goes on by itself.
func (t *Trace) Fork() handshake.Tap {
	t.mu.Lock()
	defer t.mu.Unlock()
	return &Trace{role: t.role, entries: slices.Clone(t.entries), secrets: slices.Clone(t.secrets), data: t.data,
		alerts: t.alerts,
		early:  t.early, after: t.after, kept: t.kept, over: t.over, sums: t.sums, more: t.more, KeepSecrets: t.KeepSecrets,
		Profile: t.Profile}
}

// Secrets returns what KeepSecrets kept.
func (t *Trace) Secrets() []Secret {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.secrets)
}

// Alerts returns the first alert that this end sent and received, close_notify
// apart.
func (t *Trace) Alerts() (sent, received *attls.AlertDescription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.alerts[t.role], t.alerts[t.role.Peer()]
}

// KeyUpdates returns how many KeyUpdate messages the peer has sent.
func (t *Trace) KeyUpdates() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.updates
}

// Data returns the octets of application data in each direction, without early data that was
// rejected.
func (t *Trace) Data() (sent, received int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.data[t.role], t.data[t.role.Peer()]
}

// Step is one rung of the ladder: a handshake message, application data or an
// alert, as one end saw it.
type Step struct {
	From   string `json:"from"`
	What   string `json:"what"` // the message's name, "application data" or "alert"
	Octets int    `json:"octets"`
	// Unread says that the receiver never handled it.
	Unread bool `json:"unread,omitempty"`
	// Seconds, of a recorded connection, is when it came, counted from the first
	// octets.
	Seconds *float64 `json:"seconds,omitempty"`
	// Broken names the rule that a recorded message breaks, and how.
	Broken     *claims.ErrorClaim `json:"broken,omitempty"`
	Alert      *claims.AlertClaim `json:"alert,omitempty"`
	Details    []string           `json:"details,omitempty"` // what was agreed, in words
	Extensions []StepExtension    `json:"extensions,omitempty"`
	Raw        string             `json:"raw,omitempty"` // hexadecimal, of a handshake message
	Kind       attls.MessageKind  `json:"-"`             // attls.KindNone where it is not a message
	bytes      []byte
}

const stepData = "application data"

// MessageStep describes one handshake message as a Trace does; p may be nil.
func MessageStep(p *profile.Profile, from attls.Role, m *message.Raw) Step {
	return (&Trace{Profile: p}).step(&traceEntry{from: from, raw: m.Bytes, kind: m.Kind})
}

// DataStep is application data of so many octets.
func DataStep(from attls.Role, octets int) Step {
	return (&Trace{}).step(&traceEntry{from: from, data: octets})
}

// AlertStep is an alert, under the name that the profile gives it.
func AlertStep(p *profile.Profile, from attls.Role, a attls.AlertDescription) Step {
	return (&Trace{Profile: p}).step(&traceEntry{from: from, alert: &a})
}

// StepExtension is an extension of a message; Entry is its CertificateEntry.
type StepExtension struct {
	Name   string       `json:"name"`
	Type   uint16       `json:"type"`
	Octets int          `json:"octets"`
	Entry  int          `json:"entry,omitempty"`
	Added  bool         `json:"added,omitempty"` // by the profile
	Fields []FieldValue `json:"fields,omitempty"`
}

// FieldValue is a field that means something to attestation.
type FieldValue struct {
	Path  string `json:"path"`
	Value string `json:"value"`
}

// Steps returns the ladder as this end saw it.
func (t *Trace) Steps() []Step {
	t.mu.Lock()
	entries := slices.Clone(t.entries)
	t.mu.Unlock()
	steps := make([]Step, 0, len(entries))
	for i := range entries {
		steps = append(steps, t.step(&entries[i]))
	}
	return steps
}

func (t *Trace) step(e *traceEntry) Step {
	s := Step{From: e.from.String(), Kind: e.kind, bytes: e.raw}
	switch {
	case e.alert != nil:
		s.What, s.Octets, s.Alert = "alert", 2, claims.MakeAlertClaim(t.Profile, e.alert)
	case e.more > 0:
		s.What = fmt.Sprintf("%d more messages", e.more)
	case e.raw == nil:
		s.What, s.Octets = stepData, e.data
	default:
		s.What, s.Octets, s.Raw = e.kind.String(), len(e.raw), hex.EncodeToString(e.raw)
		d := decoder{p: t.Profile, from: e.from, step: &s}
		d.message(e.raw)
	}
	return s
}

// Ladder joins what two ends saw: the client's view, and in it, after the last
// message of the server that the client handled, those that it did not.
func Ladder(client, server *Trace) []Step {
	steps := client.Steps()
	handled, last := 0, 0
	for i := range steps {
		if steps[i].From == attls.RoleServer.String() && steps[i].counts() {
			handled, last = handled+1, i+1
		}
	}
	var unread []Step
	for _, s := range server.Steps() {
		if s.From != attls.RoleServer.String() || !s.counts() {
			continue
		}
		if handled--; handled < 0 {
			s.Unread = true
			unread = append(unread, s)
		}
	}
	return slices.Insert(steps, last, unread...)
}

// counts leaves out application data, whose records may be cut anyhow, and
// close_notify, which an end that failed does not read.
func (s *Step) counts() bool {
	return s.What != stepData && (s.Alert == nil || s.Alert.Code != uint8(attls.AlertCloseNotify))
}

// Bytes returns the handshake message, header included; nil for anything else.
func (s *Step) Bytes() []byte { return s.bytes }
