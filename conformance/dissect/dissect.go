// Package dissect says what a recorded connection means: its messages as a
// ladder, what the profile's fields in them say, the attestation binder
// computed again where the secrets allow it, and each rule that an end broke.
//
// The rules are those of the engine itself: one engine takes the place of each
// end, sends what that end sent, and judges what its peer sent.
package dissect

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"attls"
	"attls/attestation"
	"attls/conformance/capture"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/conformance/trace"
	"attls/extensions/profile"
	"attls/handshake/message"
)

// Dissection is what can be said of one recorded connection.
type Dissection struct {
	Client       string            `json:"client"` // address and port
	Server       string            `json:"server"`
	Began        time.Time         `json:"began"`
	Lost         int               `json:"lost_octets"` // that the capture misses; -1: it begins amid the connection
	ClientRandom string            `json:"client_random,omitempty"`
	Profile      string            `json:"profile,omitempty"`
	Readings     map[string]string `json:"readings,omitempty"`

	Ladder      []trace.Step  `json:"ladder"`
	Attestation []Attestation `json:"attestation"`
	Findings    []Finding     `json:"findings"`
	// Complete says that every record could be read.
	Complete bool `json:"complete"`
	// Notes say what was not read or not judged, and why.
	Notes []string `json:"notes,omitempty"`
}

// Comparison says how the challenge inside a payload compares with the binder.
type Comparison string

// What the comparison came to.
const (
	Equal        Comparison = "equal"
	Different    Comparison = "different"
	NotComparing Comparison = "unknown" // Attestation.Reason says why
)

// Attestation is the outcome for one payload of an attester.
type Attestation struct {
	Attester   string `json:"attester"`
	Slot       string `json:"slot"`
	Model      string `json:"model"`
	Credential string `json:"credential"`
	Format     string `json:"format,omitempty"`
	Verifier   string `json:"verifier,omitempty"`
	Payload    string `json:"payload"`       // in a few words
	Key        string `json:"key,omitempty"` // SHA-256 of the attested key's SubjectPublicKeyInfo
	// Binder is computed from the recording; nil where the profile binds nothing.
	Binder *scenario.Binder `json:"binder,omitempty"`
	// Challenge is what the payload carries, in hexadecimal.
	Challenge  string     `json:"challenge,omitempty"`
	Comparison Comparison `json:"comparison"`
	Reason     string     `json:"reason,omitempty"`
	// Later says that it was shown in post-handshake authentication.
	Later bool `json:"later,omitempty"`
	// Phase is authenticator for a payload in an exported authenticator, which answers a
	// request with RequestContext and was sent after Epoch extended key updates; and key_update
	// for one with the update that begins Epoch.
	Phase          string `json:"phase,omitempty"`
	RequestContext string `json:"request_context,omitempty"`
	Epoch          uint64 `json:"key_epoch,omitempty"`
	// Readings under which the payload's challenge would be right.
	Readings []profile.Match `json:"readings,omitempty"`
	// RootOfTrust is the name of the format that read the Evidence, and Fields are what
	// it says, by name.
	RootOfTrust string              `json:"root_of_trust,omitempty"`
	Fields      []attestation.Field `json:"fields,omitempty"`

	evidence [sha256.Size]byte // of the payload
}

// Finding is a rule that an end broke.
type Finding struct {
	Sender   string `json:"sender"`
	Receiver string `json:"receiver"` // the end whose checks fail
	Step     int    `json:"step"`     // in Ladder; -1: none
	claims.ErrorClaim
	// Answered is the alert with which the receiver in the recording ended the
	// connection; nil: it did not.
	Answered *claims.AlertClaim `json:"answered,omitempty"`
}

// Dissect reads a connection under a profile, which may be nil.
func Dissect(c *capture.Connection, keys capture.KeyLog, p *profile.Profile) *Dissection {
	items, failure := c.Open(keys)
	d := &dissector{p: p, c: c, items: items, out: &Dissection{
		Client: c.Client.String(), Server: c.Server.String(), Lost: c.Lost,
		Attestation: []Attestation{}, Findings: []Finding{}}}
	if len(c.Pieces) > 0 {
		d.out.Began = c.Pieces[0].Time
	}
	if p != nil {
		d.out.Profile, d.out.Readings = p.ID, claims.Readings(p)
	}
	for i := range items {
		classify(p, &items[i].Message)
	}
	d.read(keys)
	d.findExported()
	d.ladder()
	d.out.Complete = failure == nil && c.Lost == 0
	if failure != nil {
		d.note("Not everything of the %s could be read: %s.", failure.Field, failure.Detail)
	}
	switch {
	case c.Lost < 0:
		d.note("The capture begins amid the connection.")
	case c.Lost > 0:
		d.note("The capture misses octets of the connection.")
	}
	if c.Preamble > 0 {
		d.note("Before the ClientHello, %d octets of another protocol went through the connection; they are not shown.",
			c.Preamble)
	}
	d.judge()
	d.describeLater()
	d.describeUpdates()
	slices.SortStableFunc(d.out.Findings, func(a, b Finding) int { return a.Step - b.Step })
	return d.out
}

// dissector is one dissection under way.
type dissector struct {
	p       *profile.Profile
	c       *capture.Connection
	items   []capture.Item
	steps   []int // of each item, its step; -1: none
	secrets capture.Secrets
	seen    flight
	horizon horizon
	// exported are the requests and authenticators in application data, with the data
	// around them, by item.
	exported map[int][]sent
	plain    bool         // they are those of RFC 9261, and no profile's
	inFrame  map[int]bool // items whose octets belong to a frame that ends later
	shadowed *shadow      // with an engine that has come through the handshake; nil: none has
	out      *Dissection
}

func (d *dissector) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	for _, n := range d.out.Notes {
		if n == text {
			return
		}
	}
	d.out.Notes = append(d.out.Notes, text)
}

// classify names the messages that a profile adds.
func classify(p *profile.Profile, m *message.Raw) {
	if p == nil || m.Kind != attls.KindUnknown {
		return
	}
	for _, a := range p.Messages {
		if a.Type == m.Type {
			m.Kind = attls.KindAdded
		}
	}
}

// ladder makes the steps. Application data and sealed records of one end that
// follow each other are one step.
func (d *dissector) ladder() {
	for i := range d.items {
		item := &d.items[i]
		d.steps = append(d.steps, -1)
		if len(d.exported[i]) > 0 || d.inFrame[i] {
			for _, step := range d.stepsOf(i) {
				d.draw(i, step)
			}
			continue
		}
		if step, ok := d.step(item); ok {
			d.draw(i, step)
		}
	}
}

// draw adds a step of an item.
func (d *dissector) draw(i int, step trace.Step) {
	if last := len(d.out.Ladder) - 1; last >= 0 && merges(&d.out.Ladder[last], &step) {
		d.out.Ladder[last].Octets += step.Octets
		d.steps[i] = last
		return
	}
	if item := &d.items[i]; !item.Time.IsZero() {
		seconds := item.Time.Sub(d.out.Began).Seconds()
		step.Seconds = &seconds
	}
	d.steps[i] = len(d.out.Ladder)
	d.out.Ladder = append(d.out.Ladder, step)
}

const stepSealed = "protected records"

func (d *dissector) step(i *capture.Item) (trace.Step, bool) {
	switch {
	case i.Sealed:
		s := trace.DataStep(i.Sender, len(i.Bytes))
		s.What = stepSealed
		return s, true
	case i.Type == attls.ContentTypeHandshake:
		s := trace.MessageStep(d.p, i.Sender, &i.Message)
		s.Raw = "" // Bytes has them
		return s, true
	case i.Type == attls.ContentTypeAlert && len(i.Bytes) == 2:
		return trace.AlertStep(d.p, i.Sender, attls.AlertDescription(i.Bytes[1])), true
	case i.Type == attls.ContentTypeApplicationData && len(i.Bytes) > 0:
		s := trace.DataStep(i.Sender, len(i.Bytes))
		if i.Early {
			s.What = "early data"
		}
		return s, true
	}
	return trace.Step{}, false
}

func merges(a, b *trace.Step) bool {
	return a.From == b.From && a.What == b.What && a.Bytes() == nil && a.Alert == nil && b.Bytes() == nil && b.Alert == nil
}

// Fitting names the embedded profiles whose extensions and messages a
// connection has, the best first; none when it has none.
func Fitting(c *capture.Connection, keys capture.KeyLog) []string {
	return new(Search).Fitting(c, keys)
}

// Search is Fitting for many connections: it loads the profiles once, with the
// first connection that has a handshake message. It is not for several
// goroutines at once.
type Search struct {
	// Among are the profiles to choose from; empty: the embedded ones.
	Among []*profile.Profile
	// Compared counts how often the messages of a connection were compared with a
	// profile.
	Compared int
}

// Fitting names the profiles that fit a connection; see the function.
func (s *Search) Fitting(c *capture.Connection, keys capture.KeyLog) (names []string) {
	for _, p := range s.Fit(c, keys) {
		names = append(names, p.ID)
	}
	return names
}

// Fit is Fitting for the profiles themselves, in the order of Among.
func (s *Search) Fit(c *capture.Connection, keys capture.KeyLog) []*profile.Profile {
	if len(c.Pieces) == 0 {
		return nil
	}
	items, _ := c.Open(keys)
	if !slices.ContainsFunc(items, func(i capture.Item) bool {
		return i.Type == attls.ContentTypeHandshake && !i.Sealed
	}) {
		return nil
	}
	if len(s.Among) == 0 {
		for _, name := range profile.Names() {
			if p, err := profile.Load(name, profile.Options{}); err == nil && p.ID == name {
				s.Among = append(s.Among, p)
			}
		}
	}
	var best []*profile.Profile
	most := 0
	for _, p := range s.Among {
		s.Compared++
		n := bears(p, items) + fitsExported(p, c, keys, items)
		if n > most {
			best, most = nil, n
		}
		if n == most && n > 0 {
			best = append(best, p)
		}
	}
	return best
}

// bears counts what of a profile stands in messages and certificates and decodes, less
// what does not decode.
func bears(p *profile.Profile, items []capture.Item) (n int) {
	for i := range items {
		item := &items[i]
		if item.Type != attls.ContentTypeHandshake {
			continue
		}
		m := item.Message
		classify(p, &m)
		step := trace.MessageStep(p, item.Sender, &m)
		if m.Kind == attls.KindAdded || bearsUpdate(p, &m) {
			n++
		}
		n += bearsCertificate(p, &m)
		for _, x := range step.Extensions {
			switch {
			case !x.Added && !slices.ContainsFunc(x.Fields, func(f trace.FieldValue) bool { return f.Path != "" }):
			case len(x.Fields) > 0 && strings.HasPrefix(x.Fields[0].Value, "does not parse"):
				n--
			default:
				n++
			}
		}
	}
	return n
}

// bearsUpdate reports whether a message is an ExtendedKeyUpdate of a subtype of the profile.
func bearsUpdate(p *profile.Profile, m *message.Raw) bool {
	if m.Kind != attls.KindExtendedKeyUpdate || len(m.Body()) == 0 {
		return false
	}
	codec := p.UpdateCodec(p.UpdateMessage(attls.ExtendedKeyUpdateType(m.Body()[0])))
	if codec == nil {
		return false
	}
	_, err := codec.Decode(m.Body()[1:])
	return err == nil
}

// bearsCertificate counts the Evidence in the end-entity certificate of a message, more where
// it carries what the profile binds it to.
func bearsCertificate(p *profile.Profile, m *message.Raw) int {
	ct := certificateOf(m)
	if ct == nil || len(ct.Entries) == 0 || !p.InCertificate() {
		return 0
	}
	found := inCertificate(p, ct.Entries[0].Data, nil)
	switch {
	case found == nil:
		return 0
	case found.At >= 0:
		return 3
	case found.Challenge != nil:
		return 1
	}
	return 2 // the certificate alone does not tell
}
