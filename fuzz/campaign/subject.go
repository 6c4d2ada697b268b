package campaign

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"attls"
	"attls/attestation"
	"attls/conformance/pair"
	"attls/conformance/scenario"
	"attls/conformance/trace"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/exported"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/internal/rule"
	"attls/negotiation"
	"attls/record"
)

// maxSteps is more than any connection of a campaign needs.
const maxSteps = 4000

// subject is one scenario, ready to be run many times.
type subject struct {
	w         *world
	profile   *profile.Profile // nil: TLS 1.3
	conn      Connection
	answerers [2]*handshake.Answerer
	configs   [2]*handshake.Config // what engines are made from
	plain     [2]*handshake.Config // the same with every rule in force, to be read
	relays    [2]*relay
	exported  [2]*exported.Config // of profiles that attest in frames
	plant     *Plant
	serverPSK *handshake.ServerSessions
	session   *handshake.Session
	ownKeys   [2][]byte // the key of each end's certificate

	now *run // the connection that runs

	// link leads to the stack that is the honest end; nil: attls is. abroadAs says as which ends
	// it completes the connection without edits.
	link     *link
	abroadAs [2]bool
	rivals   []rival // stacks that link's is compared with; nil: attls alone

	// base is the connection without edits, other the same with other random octets.
	base, other *run
	prefixes    []prefix
	unmarked    error // why a moment of base was not kept
}

// relay is the tap of a configuration, which hands everything to the run at hand.
type relay struct{ to *agent }

func (r *relay) Message(d handshake.Direction, m *message.Raw, p *handshake.Plan) {
	r.to.Message(d, m, p)
}
func (r *relay) Record(d handshake.Direction, x *record.Raw, p *record.Plan) { r.to.Record(d, x, p) }
func (r *relay) Derived(n handshake.SecretName, s []byte) []byte             { return r.to.Derived(n, s) }
func (r *relay) Alert(d handshake.Direction, a attls.AlertDescription)       { r.to.Alert(d, a) }
func (r *relay) State(name string)                                           { r.to.State(name) }
func (r *relay) Fork() handshake.Tap                                         { return r.to.Fork() }

// newSubject prepares a scenario. A plant takes a rule away from one end.
func newSubject(w *world, name string, p *profile.Profile, c Connection, plant *Plant) (*subject, error) {
	sc := c.scenario(name, p)
	if err := sc.Complete(p); err != nil {
		return nil, err
	}
	c.Attester, c.Model, c.Credential = string(sc.Attester), sc.Model, sc.Credential
	set, err := w.env.NewSetup(p, &sc)
	if err != nil {
		return nil, err
	}
	s := &subject{w: w, profile: p, conn: c, plant: plant}
	if c.Resumption {
		s.serverPSK = &handshake.ServerSessions{}
		if s.session, err = set.Earlier(s.serverPSK); err != nil {
			return nil, err
		}
		if c.Forgotten {
			s.serverPSK = &handshake.ServerSessions{}
		}
		set.Resumable(s.serverPSK, &handshake.ClientSessions{})
		set.Ends[attls.RoleServer].Config.Tickets = 0
		set.Ends[attls.RoleClient].Config.Tickets = 0
	}
	if c.Tickets {
		set.Resumable(&handshake.ServerSessions{}, &handshake.ClientSessions{})
	}
	for _, r := range attls.Roles() {
		config := set.Ends[r].Config
		config.Random = newQuick(name + c.String() + r.String())
		config.ALPN, config.RecordSizeLimit = []string{"attls", "h2"}, 16385
		if w.real { // what programs of other stacks speak
			config.ALPN = append(config.ALPN, "http/1.1")
		}
		config.RequestOCSP, config.RequestSCT = true, true
		config.GREASE = c.GREASE
		config.PostHandshakeAuthentication = c.PostHandshake
		config.AcknowledgeServerName = p == nil && r == attls.RoleServer
		if c.Ed25519 {
			config.SignatureSchemes = []attls.SignatureScheme{attls.ED25519}
		}
		config.Policy.Demand = config.Policy.Demand && !c.Undemanding
		if c.Unwilling && r == attls.RoleServer {
			config.Policy = negotiation.Policy{}
		}
		if c.Several {
			s.several(config, r)
		}
		provider.Select(config, w.provider())
		s.plain[r] = config
		s.relays[r] = &relay{}
		config.Tap = s.tap(r, s.relays[r])
		s.configs[r] = config
		if plant != nil && plant.Role == r && plant.rule != "" {
			s.configs[r] = rule.Without(config, plant.rule)
			provider.Select(s.configs[r], w.provider())
		}
		if plant != nil && plant.Role == r && plant.provider != nil {
			provider.Select(config, plant.provider(w.provider()))
		}
		if s.answerers[r], err = set.Answerer(r); err != nil {
			return nil, err
		}
		s.exported[r] = set.Ends[r].Exported
		if c.Ed25519 {
			s.answerers[r].Credentials = []*handshake.Credential{w.ed25519[r]}
		}
		if c.RSA {
			s.answerers[r].Credentials = []*handshake.Credential{w.unfit[rsaAnswer]}
		}
	}
	for _, r := range attls.Roles() {
		if list := s.answerers[r].Credentials; len(list) > 0 {
			s.ownKeys[r] = w.spki(list[0].Signer)
		}
	}
	return s, s.prepare()
}

// tap is the tap of an end with what is planted in front of its engine.
func (s *subject) tap(r attls.Role, t handshake.Tap) handshake.Tap {
	if s.plant != nil && s.plant.Role == r && s.plant.tap != nil {
		return handshake.Taps(s.plant.tap, t)
	}
	return t
}

// forks gives the engines of a fork the agents of a run.
func (s *subject) forks(r *run) (o [2]handshake.ForkOptions) {
	for _, role := range attls.Roles() {
		o[role].Tap = s.tap(role, r.agents[role])
	}
	return o
}

// several gives an end all schemes that its Attester or Appraiser knows, in an order that
// depends on the end.
func (s *subject) several(c *handshake.Config, r attls.Role) {
	if s.profile == nil {
		return
	}
	more := func(list []profile.Scheme) []profile.Scheme {
		if len(list) == 0 {
			return list
		}
		software, _ := scenario.DemoAttestation(s.w.env.Clock)
		first := list[0]
		for _, x := range software.Schemes() {
			x.Credential = first.Credential
			if len(list) >= 4 || x.Model == first.Model && len(list) >= 3 {
				continue
			}
			for slot := range s.profile.Slots {
				if _, ok := s.profile.EncodeScheme(slot, x); ok && !slices.ContainsFunc(list, func(o profile.Scheme) bool {
					return o.Format == x.Format && bytes.Equal(o.Verifier, x.Verifier)
				}) {
					list = append(list, x)
				}
			}
		}
		if (s.profile.Rules.OfferFirst == nil) == (r == attls.RoleServer) {
			slices.Reverse(list)
		}
		return list
	}
	c.Policy.Produce, c.Policy.Accept = more(c.Policy.Produce), more(c.Policy.Accept)
}

// newRun begins the record of a connection.
func (s *subject) newRun(attacker attls.Role, edits []Edit) *run {
	r := s.w.run()
	r.s, r.attacker = s, attacker
	for _, role := range attls.Roles() {
		a := r.agents[role]
		*a = agent{role: role, run: r, counts: a.counts[:0]}
		if role == attacker {
			a.edits = edits
		}
	}
	return r
}

// run is an empty run, with the room of one that is over.
func (w *world) run() *run {
	if n := len(w.spare); n > 0 {
		r := w.spare[n-1]
		w.spare = w.spare[:n-1]
		return r
	}
	return &run{agents: [2]*agent{{}, {}}}
}

// recycle takes back a run of which nobody needs anything any more.
func (w *world) recycle(r *run) {
	if len(w.spare) >= 8 || len(r.room) > 1<<16 {
		return
	}
	clear(r.log)
	clear(r.ledger)
	*r = run{log: r.log[:0], ledger: r.ledger[:0], room: r.room[:0], agents: r.agents}
	w.spare = append(w.spare, r)
}

// fresh makes both engines for a run.
func (s *subject) fresh(r *run, random [2]handshake.Random) (*pair.Pair, error) {
	s.now = r
	for _, role := range attls.Roles() {
		s.relays[role].to = r.agents[role]
	}
	o := pair.Options{Client: s.configs[0], Server: s.configs[1], MaxSteps: maxSteps,
		KeepWire: s.profile != nil && (s.profile.Quirks.PadTo > 0 || s.profile.Quirks.NoCCS),
		Send:     [2][]byte{[]byte("from the client"), []byte("from the server")}}
	if r.carrier != nil {
		o.Send = r.carrier.framedData(s, o.Send)
	}
	for _, role := range attls.Roles() {
		if off := r.agents[role].disobeys(); off != "" || random[role] != nil {
			c := rebuilt(s.configs[role], off, random[role])
			if role == attls.RoleClient {
				o.Client = c
			} else {
				o.Server = c
			}
		}
		o.Answer[role] = func(w *handshake.Wait) (handshake.Answer, *attls.Error) { return s.now.answer(role, w) }
	}
	return pair.New(o)
}

// rebuilt is a configuration with a rule that is not obeyed, or with other randomness.
// Without makes the copy: a rule that does not exist is taken away where none is named.
func rebuilt(c *handshake.Config, off rule.Rule, random handshake.Random) *handshake.Config {
	if off == "" {
		off = noRule(c)
	}
	q := rule.Without(c, off)
	if random != nil {
		q.Random = random
	}
	return q
}

// noRule keeps what is planted in a configuration.
func noRule(c *handshake.Config) rule.Rule {
	for _, r := range rule.All() {
		if c.Profile != nil && !rule.Obeys(c.Profile, r) {
			return r
		}
	}
	return "none"
}

// prepare runs the connection without edits, keeps its moments, and runs it once more
// with other random octets.
func (s *subject) prepare() error {
	c := s.conn
	s.other = s.newRun(attls.RoleClient, nil)
	p, err := s.fresh(s.other, [2]handshake.Random{newQuick("another client" + c.String()),
		newQuick("another server" + c.String())})
	if err != nil {
		return err
	}
	s.other.drive(p)
	s.base = s.newRun(attls.RoleClient, nil)
	if p, err = s.fresh(s.base, [2]handshake.Random{}); err != nil {
		return err
	}
	s.base.pair, s.base.marks = p, true
	for last := -1; ; {
		if n := len(s.base.log); n != last {
			s.base.mark()
			last = n
		}
		if !s.base.step(p) {
			break
		}
	}
	s.base.finish(p)
	s.base.marks = false
	return s.unmarked
}

// drive runs a connection to its end.
func (r *run) drive(p *pair.Pair) {
	r.pair = p
	for r.step(p) {
		continue
	}
	r.finish(p)
}

// step makes one step of a connection.
func (r *run) step(p *pair.Pair) bool {
	step, ok := p.Step()
	if ok {
		r.noteStep(p, step)
	}
	return ok
}

// noteStep takes down what a step means.
func (r *run) noteStep(p *pair.Pair, step pair.Step) {
	if step.Action == pair.Happened && step.Event.Kind == handshake.EventDone {
		r.log = append(r.log, entry{role: step.Role, done: true})
		r.agents[step.Role].over = true
		r.afterDone(p, step.Role)
		if r.s.conn.KeyUpdate && step.Role == attls.RoleClient {
			_ = p.Engine(step.Role).KeyUpdate(true)
		}
		if step.Role == attls.RoleClient && p.Engine(step.Role).State().ExtendedKeyUpdate {
			_ = p.Engine(step.Role).ExtendedKeyUpdate()
		}
	}
	if step.Action == pair.Happened && step.Event.Kind == handshake.EventAuthenticated {
		r.post.answered = append(r.post.answered, answered{bytes.Clone(step.Event.Data), len(r.log), len(r.ledger)})
	}
	if step.Action == pair.Happened && step.Event.Kind == handshake.EventData && !p.Engine(step.Role).Done() {
		r.early[step.Role] = true
	}
}

func (r *run) finish(p *pair.Pair) {
	for _, role := range attls.Roles() {
		e := p.Engine(role)
		r.states[role], r.errs[role], r.done[role] = e.State(), e.Err(), e.Done()
		r.received[role] = len(p.Received(role))
		if c := r.carrier; c != nil && e.Done() && e.Err() == nil { // it has come by now where nothing is written
			r.received[role] += len(c.data[role.Peer()])
		}
		if e.Done() && e.Err() == nil {
			r.exported[role], _ = e.Export("EXPORTER-attls-fuzz", nil, 32)
		}
	}
	r.steps = p.Steps()
	r.agree(p)
	r.exchange(p)
	r.prove(p)
}

// run runs an input.
func (s *subject) run(in *Input) (*run, error) {
	if s.link != nil {
		return s.abroad(in)
	}
	return s.local(in)
}

// local runs an input in memory, from the latest prefix that its edits leave as it is.
func (s *subject) local(in *Input) (r *run, err error) {
	defer func() {
		if x := recover(); x != nil {
			r, err = s.newRun(in.role(), in.Edits), &PanicError{x}
		}
	}()
	at := s.latest(in)
	if at < 0 {
		r = s.newRun(in.role(), in.Edits)
		p, err := s.fresh(r, [2]handshake.Random{})
		if err != nil {
			var local *attls.Error
			if errors.As(err, &local) && local.Class == attls.Local {
				return nil, err
			}
			return nil, err
		}
		r.drive(p)
		return r, nil
	}
	from := &s.prefixes[at]
	r = from.run.clone()
	r.attacker = in.role()
	for _, a := range r.agents {
		a.edits = nil
	}
	r.agents[r.attacker].edits = in.Edits
	p, err := from.pair.Fork(s.forks(r))
	if err != nil {
		return nil, err
	}
	s.now = r
	r.drive(p)
	return r, nil
}

// PanicError is a panic of an engine.
type PanicError struct{ Value any }

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// entry is one thing that happened in a connection, as one end saw it.
type entry struct {
	role  attls.Role // the end that saw it
	sent  bool
	kind  attls.MessageKind
	raw   []byte
	was   int  // octets of a message that was sent, before edits
	done  bool // the end was done
	alert *attls.AlertDescription
	rec   *recordSeen
}

type recordSeen struct {
	contentType attls.ContentType
	octets      []byte
}

// run is a connection, and what the harness knows of it.
type run struct {
	s        *subject
	attacker attls.Role
	agents   [2]*agent
	log      []entry
	ledger   []deed
	room     []byte // of kept
	steps    int
	states   [2]handshake.ConnectionState
	errs     [2]*attls.Error
	done     [2]bool
	early    [2]bool // application data came before the end was done
	received [2]int
	exported [2][]byte
	pair     *pair.Pair
	traces   [2]*trace.Trace // when an input is shown
	frames   framed
	wouldAsk [2]bool // the end would ask its peer to attest after the handshake
	proofs   proofs
	post     post
	told     *told        // where the honest end is another stack; nil: it is attls
	line     *stackLine   // where the honest end is a C program; nil: it is not
	inserted []recordSeen // records of the attacker's own that came before its Finished
	carrier  *carrier     // writes it to a capture; nil: none is written
	marks    bool         // its moments are kept, so that others go on from there
}

// deed is something that only an end itself can do.
type deed struct {
	role      attls.Role
	signed    []byte // a signature
	spki      []byte // the key that signed, or that Evidence is about
	payload   []byte // Evidence
	challenge []byte
	distrust  *attls.Error // the end judged the peer's chain and refused it
	refused   attls.Failure
	appraised []byte
	final     []byte // Finished as it was computed
	spoilt    bool
	reissued  string // the certificate in payload was issued again in this way
	unbound   bool   // it was asked for Evidence without a challenge
	model     profile.Model
	kind      profile.CredentialKind
	later     bool // in an authentication after the handshake
}

// kept copies octets into room that the run has: a connection keeps many small pieces.
func (r *run) kept(b []byte) []byte {
	const room = 8 << 10
	if len(b) > cap(r.room)-len(r.room) {
		r.room = make([]byte, 0, max(room, len(b)))
	}
	at := len(r.room)
	r.room = append(r.room, b...)
	return r.room[at:len(r.room):len(r.room)]
}

// clone is a run that goes on from here. Most of what happens in one is still to come.
func (r *run) clone() *run {
	c := r.s.w.run()
	c.s, c.attacker, c.early = r.s, r.attacker, r.early
	c.post, c.proofs, c.frames = r.post.clone(), r.proofs.clone(), r.frames.clone()
	c.log = append(slices.Grow(c.log, len(r.log)+24), r.log...)
	c.ledger = append(slices.Grow(c.ledger, len(r.ledger)+8), r.ledger...)
	for i, a := range r.agents {
		f := c.agents[i]
		counts := append(f.counts[:0], a.counts...)
		*f = *a
		f.run, f.counts = c, counts
	}
	return c
}

// answer answers a wait of an end, the attacker's as its edits say.
func (r *run) answer(role attls.Role, w *handshake.Wait) (handshake.Answer, *attls.Error) {
	s, a := r.s, r.s.answerers[role]
	edit := r.agents[role].lie(w.Kind)
	switch w.Kind {
	case handshake.WaitCredential:
		if edit != nil && edit.Do == "scheme" {
			return handshake.Answer{Credential: s.w.p256[role]}, nil
		}
		if edit != nil {
			switch edit.Answer {
			case "another key's":
				c := *s.w.stolen
				if len(a.Credentials) > 0 {
					c.Signer = a.Credentials[0].Signer // the attacker's own: it does not hold the other
				}
				return handshake.Answer{Credential: &c}, nil
			case "unknown authority":
				if r.told != nil && s.link.verifies[role.Peer()] {
					r.did(deed{role: role.Peer(),
						distrust: attls.Errorf(attls.Refused, attls.FailUnknownCA, "an authority that it was not given")})
				}
				return handshake.Answer{Credential: s.w.unknown}, nil
			case "none":
				return handshake.Answer{}, nil
			}
			if c := s.w.unfit[edit.Answer]; c != nil {
				return handshake.Answer{Credential: c}, nil
			}
		}
	case handshake.WaitSignature:
		key := w.Signature.Credential.Signer
		other := edit != nil && edit.Do == "signature"
		if other {
			key = s.w.unknown.Signer
		}
		if edit != nil && edit.Do == "scheme" {
			request := *w.Signature
			request.Scheme = attls.SignatureScheme(edit.At)
			asked := *w
			asked.Signature = &request
			w = &asked
		}
		sig, err := s.w.signed(a, w, !other)
		if err != nil {
			return handshake.Answer{}, err
		}
		r.did(deed{role: role, signed: sig, spki: s.w.spki(key)})
		return handshake.Answer{Signature: sig}, nil
	case handshake.WaitCertificateVerdict:
		j := s.w.judge(a, w)
		if j.err != nil {
			r.did(deed{role: role, distrust: j.err})
		}
		return j.answer, j.err
	case handshake.WaitEvidence:
		return r.attest(role, a, w, edit)
	case handshake.WaitAppraisal:
		if a.Appraiser != nil {
			v, err := s.w.appraise(a.Appraiser, w.Appraisal)
			if err == nil {
				answer := handshake.Answer{Verdict: v}
				if s.w.env.Clock != nil {
					answer.Time = s.w.env.Clock()
				}
				failure, _ := v.Refusal(answer.Time)
				r.did(deed{role: role, appraised: slices.Clone(w.Appraisal.CMW), refused: failure,
					challenge: w.Appraisal.Challenge})
				return answer, nil
			}
		}
	case handshake.WaitPSK:
		if role == attls.RoleClient && s.session != nil {
			return handshake.Answer{PSKs: []handshake.PSK{{Session: s.session, ObfuscatedAge: s.session.AgeAdd}}}, nil
		}
	}
	return a.Answer(nothing, w)
}

func (r *run) attest(role attls.Role, a *handshake.Answerer, w *handshake.Wait,
	edit *Edit) (handshake.Answer, *attls.Error) {
	if a.Attester == nil {
		return a.Answer(nothing, w)
	}
	request, attester, by := *w.Evidence, a.Attester, ""
	if edit != nil && edit.Do == "verdict" && len(request.Challenge) > 0 {
		request.Challenge = slices.Clone(request.Challenge)
		request.Challenge[edit.At%len(request.Challenge)] ^= 0x55
	} else if edit != nil {
		if bad := r.s.w.bad(edit.Answer); bad != nil {
			attester, by = bad, edit.Answer
		}
	}
	ev, err := r.s.w.attest(by, attester, &request)
	if err != nil {
		var e *attls.Error
		if errors.As(err, &e) {
			return handshake.Answer{}, e
		}
		return handshake.Answer{}, attls.Errorf(attls.Local, attls.FailAttesterUnavailable, "%v", err)
	}
	spki := ev.SPKI
	if spki == nil {
		spki = request.SPKI
	}
	r.did(deed{role: role, payload: ev.CMW, spki: spki, challenge: request.Challenge,
		spoilt: by != "" || edit != nil, unbound: request.Challenge == nil,
		model: request.Scheme.Model, kind: request.Scheme.Credential})
	return handshake.Answer{Evidence: ev}, nil
}

// bad is an attester that is bad in a way; nil: there is no such way.
func (w *world) bad(kind string) negotiation.Attester {
	if a, ok := w.spoilt[kind]; ok {
		return a
	}
	software, _ := scenario.DemoAttestation(w.env.Clock)
	bad, err := attestation.Spoil(kind, software)
	if err != nil {
		return nil
	}
	w.spoilt[kind] = bad
	return bad
}
