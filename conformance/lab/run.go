package lab

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/pair"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/negotiation"
)

// Outcome is how a run ended.
type Outcome string

// The outcomes.
const (
	Accepted  Outcome = "accepted"
	Rejected  Outcome = "rejected"
	Unmounted Outcome = "cannot be mounted"
	// Measured is the outcome of a measurement, which has a bound instead of a control.
	Measured Outcome = "measured"
	// Broken is the outcome where a program that is an honest end crashes or hangs.
	Broken Outcome = "no outcome"
)

// Result is one run of a script.
type Result struct {
	Outcome Outcome `json:"outcome"`
	// By is the honest end that rejected, At the message at which it did, and Alert what it
	// sent; Failure and Detail say why.
	By      string `json:"by,omitempty"`
	At      string `json:"at,omitempty"`
	Alert   string `json:"alert,omitempty"`
	Failure string `json:"failure,omitempty"`
	Detail  string `json:"detail,omitempty"`
	// Step is the step, counted from 1, at which an attack cannot go on.
	Step int `json:"step,omitempty"`
	// Measured are figures of the run.
	Measured map[string]int `json:"measured,omitempty"`
	// Recording is the SHA-256 of all octets that were sent.
	Recording string `json:"recording,omitempty"`

	Detailed *Detail `json:"-"`
}

// String is the outcome as one line.
func (r *Result) String() string {
	switch r.Outcome {
	case Rejected:
		s := "rejected by the " + r.By
		if r.At != "" {
			s += " at " + r.At
		}
		if r.Alert != "" {
			return s + " with " + r.Alert
		}
		return s + " without an alert"
	case Broken:
		return fmt.Sprintf("no outcome (%s)", r.Detail)
	case Unmounted:
		if r.Step > 0 {
			return fmt.Sprintf("cannot be mounted (step %d: %s)", r.Step, r.Detail)
		}
		return fmt.Sprintf("cannot be mounted (%s)", r.Detail)
	}
	return string(r.Outcome)
}

// Detail is what the page of a run shows.
type Detail struct {
	Events  []Flow     `json:"events"`
	Done    []DoneStep `json:"steps"`
	Binders []Binder   `json:"binders,omitempty"` // the one that was expected, then those that were attested
	// Differs is the first input in which the two binders differ.
	Differs *Difference `json:"differs,omitempty"`

	connections []*connection
}

// Flow is a message between two lanes: client, attacker, server.
type Flow struct {
	Connection string `json:"connection"`
	From       string `json:"from"`
	To         string `json:"to"`
	What       string `json:"what"`
	Octets     int    `json:"octets"`
	// Copied says where M has this message, or what is in it, from.
	Copied []string `json:"copied,omitempty"`
}

// DoneStep is a step and whether it was done.
type DoneStep struct {
	Text string `json:"text"`
	Done bool   `json:"done"`
	Note string `json:"note,omitempty"`
}

// Binder is a challenge as one end computed it.
type Binder struct {
	End   string             `json:"end"` // "relying party" or "attester", and its connection
	Value string             `json:"value"`
	Tree  *claims.BinderNode `json:"tree,omitempty"`
}

// Difference is the first input in which two binders differ.
type Difference struct {
	Expr     string `json:"expr"`
	Expected string `json:"expected"`
	Attested string `json:"attested"`
}

// maxTurns bounds the turns of a run, and maxPairSteps the steps of one connection.
const (
	maxTurns     = 256
	maxPairSteps = 4096
)

// runTimeout bounds one run.
const runTimeout = 20 * time.Second

// item is something that M knows.
type item struct {
	origin string // how M has it: seen, made, granted
	octets []byte
	chain  [][]byte
	signer crypto.Signer
	absent bool // the profile has no such thing, so there is nothing to copy
	// attest makes Evidence when it is asked for.
	attest func(context.Context, *negotiation.EvidenceRequest) (*negotiation.Evidence, error)
	issuer handshake.Issuer
	self   bool // the certificate is made when the Evidence is there
}

// run is one run of a script.
type run struct {
	ctx      context.Context // of the run
	script   *Script
	steps    []*Step
	parties  []map[string]Settings // later ones count first
	profile  *profile.Profile
	combo    Combination
	w        *world
	seed     string
	detailed bool
	granted  []Capability

	conns     []*connection
	knowledge map[string]*item
	done      []bool
	notes     []string
	waiting   []string // why a step was not done yet
	events    []Flow
	copied    map[*connection]map[string][]string // by the message that it went into

	stacks   Stacks
	programs *programs // nil: no honest end is one

	servers *handshake.ServerSessions
	clients *handshake.ClientSessions
	asked   int // authentications asked for
	shown   int // and answered
}

// connection is one connection of an honest party with M, or with the other one.
type connection struct {
	name    string
	pair    *pair.Pair
	honest  [2]bool
	taps    [2]*tap
	party   attls.Role // the honest party that was opened
	waits   []openWait
	answer  [2]*handshake.Answerer // of honest ends
	outside [2]*outside            // honest ends that are programs
	closed  bool                   // an engine has closed towards a program
	over    bool                   // M has left
	early   bool                   // the server took early data

	nonce    *item
	request  *item         // taken, and sent instead of M's own
	presents map[int]*Step // by round
	chunks   []chunk       // what went over the wire, of a run with details
	sent     [2]int        // octets of each end that are in chunks
	round    int
	platform int

	configs  [2]*handshake.Config
	profiles [2]*profile.Profile // as each end reads it
	data     [2]string           // that an end writes
	profile  *profile.Profile
	// M shows a certificate of the authority in a handshake after which it attests.
	certified bool
	exported  bool // ends attest in exported authenticators
	attest    bool // M asks for attestation
	hold      bool // M keeps requests back from an honest attester
	taken     int  // octets that the relying party had received when M took the connection over
	later     [2]*laterEnd
	incoming  [2][]byte // what has come for each end and was not taken apart yet
}

type openWait struct {
	role attls.Role
	wait *handshake.Wait
}

// mine is M's end of a connection.
func (c *connection) mine() attls.Role { return c.party.Peer() }

func (c *connection) forwarded() bool { return c.honest[0] && c.honest[1] }

// tap keeps what one end sent, received and derived, and is how M changes what its own
// engines do.
type tap struct {
	handshake.NopTap
	r       *run
	c       *connection
	role    attls.Role
	seen    []message.Raw
	secrets map[handshake.SecretName][]byte
	alert   *attls.AlertDescription // sent

	replace map[attls.MessageKind][]byte           // M's: sent in place of its own
	edit    func(*message.Raw, *handshake.Plan)    // on the path
	derive  func(name handshake.SecretName) []byte // M's; nil: its own
}

func (t *tap) Fork() handshake.Tap { return t }

func (t *tap) Message(d handshake.Direction, m *message.Raw, p *handshake.Plan) {
	shown := message.Raw{Kind: m.Kind, Type: m.Type, Bytes: slices.Clone(m.Bytes)}
	if d == handshake.Sent {
		if raw, ok := t.replace[m.Kind]; ok {
			p.Replace, p.Reparse = slices.Clone(raw), true
			shown.Bytes = p.Replace
		}
		if t.edit != nil {
			t.edit(m, p)
		}
		t.r.flow(t.c, t.role, m.Kind.String(), len(shown.Bytes))
	}
	if d == handshake.Received && t.c.outside[t.role.Peer()] != nil {
		t.r.flow(t.c, t.role.Peer(), m.Kind.String(), len(shown.Bytes))
	}
	t.seen = append(t.seen, shown)
}

func (t *tap) Derived(name handshake.SecretName, secret []byte) []byte {
	if t.derive != nil {
		if b := t.derive(name); b != nil {
			return slices.Clone(b)
		}
	}
	t.secrets[name] = slices.Clone(secret)
	return secret
}

func (t *tap) Alert(d handshake.Direction, a attls.AlertDescription) {
	if a == attls.AlertCloseNotify {
		return
	}
	if d != handshake.Sent {
		if t.c.outside[t.role.Peer()] != nil {
			t.r.flow(t.c, t.role.Peer(), "alert "+claims.AlertName(t.r.profile, a), 2)
		}
		return
	}
	if t.alert == nil {
		t.alert = &a
	}
	t.r.flow(t.c, t.role, "alert "+claims.AlertName(t.r.profile, a), 2)
}

// find is the last message of a kind that the end has sent or received.
func (t *tap) find(k attls.MessageKind) []byte {
	for i := len(t.seen) - 1; i >= 0; i-- {
		if t.seen[i].Kind == k {
			return t.seen[i].Bytes
		}
	}
	return nil
}

// flow notes a message for the lanes of the page.
func (r *run) flow(c *connection, from attls.Role, what string, octets int) {
	if !r.detailed || len(r.events) >= maxFlows {
		return
	}
	lane := func(role attls.Role) string {
		if c.honest[role] {
			return role.String()
		}
		return "attacker"
	}
	f := Flow{Connection: c.name, From: lane(from), To: lane(from.Peer()), What: what, Octets: octets}
	if !c.honest[from] {
		f.Copied = r.copied[c][what]
		delete(r.copied[c], what)
	}
	r.events = append(r.events, f)
}

// copies notes what M has copied into a message of its own.
func (r *run) copies(c *connection, into attls.MessageKind, what string) {
	if r.copied[c] == nil {
		r.copied[c] = map[string][]string{}
	}
	r.copied[c][into.String()] = append(r.copied[c][into.String()], what)
}

// maxFlows bounds the messages of a page's run.
const maxFlows = 256

// runOptions are what a run has besides its script.
type runOptions struct {
	lax      Lax
	detailed bool
	granted  []Capability
	stacks   Stacks
	silence  time.Duration // see programs; 0: programSilence
}

// execute runs the steps with what is granted.
func execute(ctx context.Context, s *Script, steps []*Step, parties []map[string]Settings, p *profile.Profile,
	c Combination, o runOptions) (*Result, error) {
	d, err := shared()
	if err != nil {
		return nil, err
	}
	r := &run{script: s, steps: steps, parties: parties, profile: p, combo: c, detailed: o.detailed, granted: o.granted,
		stacks:    o.stacks,
		seed:      strings.Join([]string{s.Name, p.ID, c.String()}, "/"),
		w:         &world{devices: d, now: epoch, live: o.stacks.others(), lax: o.lax},
		knowledge: map[string]*item{}, done: make([]bool, len(steps)), notes: make([]string, len(steps)),
		waiting: make([]string, len(steps)), copied: map[*connection]map[string][]string{}}
	for _, settings := range parties {
		if readings := settings["both"]["reading"].Map; len(readings) > 0 {
			read, err := r.read(readings)
			if err != nil {
				return nil, err
			}
			r.profile = read
		}
	}
	r.w.verifier = verifierMood(r.setting(c.role.Peer(), "verifier").Text)
	r.w.second = r.setting(c.role.Peer(), "verifiers").Text == "two"
	r.w.lost = r.setting(c.role.Peer(), "expects").Text == "nothing"
	r.w.validity = r.setting(c.role.Peer(), "validity").Text
	r.w.pinned = r.setting(c.role.Peer(), "pin").Text != ""
	r.w.keep = r.setting(c.role, "evidence").Text == "kept"
	if r.setting(c.role, "platform").Text == "2" {
		r.w.platform = 1
	}
	own, err := r.w.certified(d.keys[ownKey], ownName, false)
	if err != nil {
		return nil, err
	}
	r.knowledge["own"] = &item{origin: "made", chain: own.Chain, signer: own.Signer, issuer: own.Issuer}
	clock := r.w.clock
	r.servers = &handshake.ServerSessions{EarlyData: func(*handshake.EarlyDataRequest) bool { return true }}
	r.servers.Keys.Now = clock
	r.clients = &handshake.ClientSessions{Now: clock}
	limit := runTimeout
	if o.stacks.others() {
		limit, r.programs = programRunTimeout, newPrograms(o.silence)
		defer r.programs.stop()
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r.ctx = ctx
	if err := r.loop(ctx); err != nil {
		return nil, err
	}
	return r.result(), nil
}

// setting is what the script says of a party.
func (r *run) setting(role attls.Role, name string) Value {
	who := "relying_party"
	if role == r.combo.role {
		who = "attester"
	}
	for i := len(r.parties) - 1; i >= 0; i-- {
		for _, party := range []string{who, role.String(), "both"} {
			if v, ok := r.parties[i][party][name]; ok {
				return v
			}
		}
	}
	return Value{}
}

// loop goes on until nothing is possible any more.
func (r *run) loop(ctx context.Context) error {
	for turns := 0; turns < maxTurns; turns++ { // what programs do is counted by itself
		if err := ctx.Err(); err != nil {
			return err
		}
		progress := false
		for _, c := range r.conns {
			did, err := r.drive(ctx, c)
			if err != nil {
				return err
			}
			progress = progress || did
		}
		if progress {
			continue
		}
		did, err := r.next()
		if err != nil {
			return err
		}
		if did {
			continue
		}
		if r.programs == nil {
			return nil
		}
		if did, err = r.heed(ctx); err != nil || !did {
			return err
		}
		turns--
	}
	return nil
}

// drive moves octets and answers waits of one connection until it rests.
func (r *run) drive(ctx context.Context, c *connection) (progress bool, err error) {
	if c.over {
		return false, nil
	}
	for range maxPairSteps {
		step, ok := c.pair.Step()
		if ok {
			progress = true
			switch step.Action {
			case pair.Happened:
				r.happened(c, &step)
			case pair.Delivered:
				if from := step.Role.Peer(); r.detailed {
					wire := c.pair.Wire(from)
					c.chunks = append(c.chunks, chunk{from, wire[c.sent[from]:]})
					c.sent[from] = len(wire)
				}
			}
			continue
		}
		did, err := r.answers(ctx, c)
		if err == nil && !did {
			did, err = r.exchange(ctx, c)
		}
		if err != nil || !did {
			return progress, err
		}
		progress = true
	}
	return progress, fmt.Errorf("the connection %s did not end within %d steps", c.name, maxPairSteps)
}

func (r *run) happened(c *connection, s *pair.Step) {
	switch s.Event.Kind {
	case handshake.EventWait:
		c.waits = append(c.waits, openWait{s.Role, s.Event.Wait})
	case handshake.EventTicket:
		if c.honest[s.Role] && s.Event.Session != nil {
			r.clients.Put(s.Event.Session)
		}
	case handshake.EventEarlyData:
		c.early = s.Event.Early == handshake.EarlyDataAccepted
		if s.Event.Early == handshake.EarlyDataOpen && c.honest[s.Role] {
			_ = c.pair.Engine(s.Role).Write([]byte(honestData)) // an error is the engine's own
		}
	case handshake.EventAuthenticated:
		r.shown++
	case handshake.EventData:
		if c.exported {
			c.incoming[s.Role] = append(c.incoming[s.Role], s.Event.Data...)
			return
		}
		r.flow(c, s.Role.Peer(), "application data", len(s.Event.Data))
	}
}

// answers answers what can be answered now.
func (r *run) answers(ctx context.Context, c *connection) (bool, error) {
	did := false
	for i := 0; i < len(c.waits); i++ {
		w := c.waits[i]
		var a handshake.Answer
		var failure *attls.Error
		ok := true
		if c.honest[w.role] {
			if w.wait.Kind == handshake.WaitAppraisal && r.w.verifier == "silent" {
				continue
			}
			a, failure = c.answer[w.role].Answer(ctx, w.wait)
		} else {
			a, ok, failure = r.attacker(ctx, c, w.wait)
		}
		if !ok {
			continue
		}
		c.waits = slices.Delete(c.waits, i, i+1)
		i--
		did = true
		e := c.pair.Engine(w.role)
		if failure != nil {
			_ = e.Fail(w.wait.ID, failure) // the engine keeps the error
		} else {
			_ = e.Answer(w.wait.ID, a)
		}
	}
	return did, nil
}

// next does each step that can be done now. A barrier waits for the steps before it.
func (r *run) next() (bool, error) {
	did := false
	for i, s := range r.steps {
		if r.done[i] {
			continue
		}
		if verbs[s.Verb].barrier && (did || slices.Contains(r.done[:i], false)) {
			return did, nil // what was begun before it comes to rest first
		}
		if missing := r.unknown(s); missing != "" {
			r.waiting[i] = missing
			continue
		}
		ok, err := verbs[s.Verb].does(r, s)
		if err != nil {
			return did, fmt.Errorf("%s: step %d (%s): %w", s.pos, i+1, s, err)
		}
		if !ok {
			if r.waiting[i] == "" {
				r.waiting[i] = "it is not possible yet"
			}
			if verbs[s.Verb].barrier {
				return did, nil
			}
			continue
		}
		r.done[i], did = true, true
		if verbs[s.Verb].barrier {
			return true, nil // what follows is seen first
		}
	}
	return did, nil
}

// unknown says what a step uses that M does not know.
func (r *run) unknown(s *Step) string {
	for _, option := range verbs[s.Verb].uses {
		for _, name := range s.With[option].names() {
			if r.knowledge[name] == nil {
				return fmt.Sprintf("%s: M has neither made, seen nor derived %q, and was not granted it", option, name)
			}
		}
	}
	return ""
}

// learn adds to what M knows.
func (r *run) learn(s *Step, x *item) {
	r.knowledge[s.item()] = x
	r.note(s, x.describe())
}

func (r *run) note(s *Step, text string) {
	if i := slices.Index(r.steps, s); i >= 0 {
		r.notes[i] = text
	}
}

func (x *item) describe() string {
	short := func(b []byte) string {
		sum := sha256.Sum256(b)
		return fmt.Sprintf("%d octets, SHA-256 %s…", len(b), hex.EncodeToString(sum[:6]))
	}
	switch {
	case x.absent:
		return "the profile has none, so there is nothing to copy"
	case x.octets != nil:
		return x.origin + ": " + short(x.octets)
	case len(x.chain) > 0:
		return fmt.Sprintf("%s: a chain of %d, the first of %s", x.origin, len(x.chain), short(x.chain[0]))
	}
	return x.origin
}

// connectionNamed finds a connection.
func (r *run) connectionNamed(name string) *connection {
	for _, c := range r.conns {
		if c.name == name {
			return c
		}
	}
	return nil
}

// has reports whether a capability was granted.
func (r *run) has(c Capability) bool { return slices.Contains(r.granted, c) }

// role is the end that a name of a party means.
func (r *run) role(party string) attls.Role {
	switch party {
	case "client":
		return attls.RoleClient
	case "server":
		return attls.RoleServer
	case "attester":
		return r.combo.role
	}
	return r.combo.role.Peer()
}

// tik is the key that the attester's Evidence vouches for.
func (r *run) tik() *ecdsa.PrivateKey { return r.w.keys[r.keyName(r.combo.role, r.w.platform)] }

func (r *run) keyName(role attls.Role, platform int) string {
	if r.setting(role, "shared_key").Text == "yes" {
		return "shared"
	}
	return fmt.Sprintf("%s %d", role, platform+1)
}

// random is the randomness of an end of a connection.
func (r *run) random(c *connection, role attls.Role) seeded {
	return seeded{SeededRandom: handshake.SeededRandom{Seed: sha256.Sum256(
		[]byte(strings.Join([]string{r.seed, c.name, role.String()}, "/")))}}
}

// attests reports whether a role attests in the combination.
func (r *run) attests(role attls.Role) bool { return r.combo.Attester.Has(role) }
