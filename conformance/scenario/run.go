package scenario

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"attls"
	"attls/attestation"
	"attls/conformance/capture"
	"attls/conformance/claims"
	"attls/conformance/pair"
	"attls/conformance/trace"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
	"attls/handshake"
	"attls/handshake/exported"
	"attls/negotiation"
)

// Result is the outcome of a scenario. Arrays of two are indexed by attls.Role.
type Result struct {
	Scenario Scenario         `json:"scenario"`
	Profile  *profile.Profile `json:"-"`
	Claims   [2]claims.Claims `json:"-"`
	Ladder   []trace.Step     `json:"ladder"`
	Binders  []Binder         `json:"binders,omitempty"`
	// Injected is what Scenario.Fail or Scenario.Tolerate named; nil: nothing.
	Injected Injection      `json:"fault,omitempty"`
	Secrets  []trace.Secret `json:"secrets,omitempty"`
	Sent     [2][]byte      `json:"-"` // the octets each end put on the network
	// Err says why the scenario could not be run, or did not end as expected.
	Err error `json:"-"`

	recording *Recording
	// Pair is the two engines of a run in memory, Session what its client got with a
	// ticket; nil otherwise.
	Pair    *pair.Pair         `json:"-"`
	Session *handshake.Session `json:"-"`
}

// Binder is the challenge of one attester as both ends computed it.
type Binder struct {
	Attester string             `json:"attester"`
	Name     string             `json:"name"` // of the profile's expression
	Value    string             `json:"value"`
	Epoch    uint64             `json:"epoch,omitempty"` // of an extended key update; 0: the handshake
	Tree     *claims.BinderNode `json:"tree,omitempty"`
}

// Recording returns the run in a form that Replay repeats.
func (r *Result) Recording() *Recording { return r.recording }

// Attested reports whether both ends finished, every attester of the scenario
// was accepted by its relying party, and application data went both ways.
func (r *Result) Attested() bool {
	for _, role := range attls.Roles() {
		c := &r.Claims[role]
		if c.Error != nil || c.DataSent == 0 || c.DataReceived == 0 {
			return false
		}
	}
	for _, role := range r.Scenario.Attester.Roles() {
		if !Accepted(&r.Claims[role.Peer()], role) {
			return false
		}
	}
	return true
}

// ErrNotAttested says that a run which had to be attested was not.
var ErrNotAttested = errors.New("the connection did not carry application data both ways under a verdict")

// Accepted reports whether an end claims an accepting verdict on whatever an attester
// has shown.
func Accepted(c *claims.Claims, attester attls.Role) bool {
	attests := false
	for _, a := range c.Attestation {
		if a.Attester != attester.String() {
			continue
		}
		if a.Verdict == nil || !a.Verdict.Accepted {
			return false
		}
		attests = true
	}
	return attests
}

// Agree compares what both ends claim: transcripts, keys,
// algorithms, and everything about each attester. It is for runs that completed.
func (r *Result) Agree() error {
	client, server := &r.Claims[attls.RoleClient], &r.Claims[attls.RoleServer]
	switch {
	case client.TranscriptHash == "" && r.Profile != nil && r.Profile.Binder.Program != nil ||
		client.TranscriptHash != server.TranscriptHash:
		return fmt.Errorf("transcript hashes %q and %q", client.TranscriptHash, server.TranscriptHash)
	case client.PeerKey != server.OwnKey || server.PeerKey != client.OwnKey:
		return errors.New("the ends disagree on their keys")
	case client.Suite != server.Suite || client.Group != server.Group || client.HelloRetry != server.HelloRetry:
		return errors.New("the ends disagree on suite, group or HelloRetryRequest")
	}
	want := len(r.Scenario.Attester.Roles())
	if a, b := attesters(client), attesters(server); a != want || b != want {
		return fmt.Errorf("the client claims %d attesters and the server %d; there are %d", a, b, want)
	}
	if a, b := len(client.Attestation), len(server.Attestation); a != b {
		return fmt.Errorf("the client claims %d credentials and the server %d", a, b)
	}
	for i := range client.Attestation {
		a, b := client.Attestation[i], server.Attestation[i]
		if a.Verdict == nil && b.Verdict == nil {
			return fmt.Errorf("no verdict on the %s", a.Attester)
		}
		a.Verdict, b.Verdict, a.BinderInputs, b.BinderInputs = nil, nil, nil, nil
		if a != b {
			return fmt.Errorf("the ends claim %+v and %+v", a, b)
		}
	}
	return nil
}

// attesters counts who attests by what an end claims.
func attesters(c *claims.Claims) int {
	roles := map[string]bool{}
	for i := range c.Attestation {
		roles[c.Attestation[i].Attester] = true
	}
	return len(roles)
}

// Run makes the scenario's connection over loopback TCP, with application data
// both ways. Result.Err is nil when it ended as expected: attested, or, with
// Scenario.Fail, rejected by the right side with the right alert at the right
// message.
func Run(ctx context.Context, s Scenario, options ...Option) Result {
	return newRunner(options).run(ctx, s)
}

// Option is a setting of a run that is not part of its scenario.
type Option func(*runner)

// In runs the scenario in an environment that several runs share.
func In(e *Environment) Option { return func(r *runner) { r.env = e } }

// Change changes both ends before they start, after what the scenario injects. The
// run is judged as if nothing had been changed.
func Change(change func(*Setup)) Option { return func(r *runner) { r.change = change } }

// Find says where to look up what the scenario names in Fail or Tolerate.
func Find(f Finder) Option { return func(r *runner) { r.find = f } }

// KeepInputs keeps what binders ask of the handshake in the claims. They hold
// secrets.
func KeepInputs() Option { return func(r *runner) { r.keepInputs = true } }

// Capture records the connection, and the secrets that open it.
func Capture(w *capture.Writer) Option { return func(r *runner) { r.capture = w } }

// Draw has the ends draw from sources of randomness, which are indexed by role, so that runs
// can be compared.
func Draw(random [2]handshake.Random) Option { return func(r *runner) { r.source = random } }

// runTimeout bounds one run.
const runTimeout = 30 * time.Second

// runner is one run.
type runner struct {
	replay  *Recording
	capture *capture.Writer
	tapes   [2]*tape
	traces  [2]*trace.Trace
	random  [2]*handshake.RecordedRandom
	source  [2]handshake.Random // nil: the system's

	env        *Environment // nil: one of its own
	find       Finder
	change     func(*Setup)                        // nil: nothing
	keepInputs bool                                // in the claims
	network    func(attls.Role, net.Conn) net.Conn // changes an end's connection; nil: nothing does
}

func newRunner(options []Option) *runner {
	r := &runner{find: noFinder}
	for _, o := range options {
		o(r)
	}
	return r
}

// Setup is what both ends are made of; a fault changes it.
type Setup struct {
	Profile  *profile.Profile
	Scenario *Scenario
	env      *Environment
	Ends     [2]*EndSetup
	// raw are the credentials of both ends where these are raw public keys.
	raw [2]*handshake.Credential
	// LaterCredential lets the client show another certificate whenever it is asked
	// again, in a run in memory.
	LaterCredential bool
}

// Authority certifies the ends.
func (s *Setup) Authority() *DemoAuthority { return s.env.Authority }

// Environment is what runs have around them: who certifies and what attests.
type Environment struct {
	Authority *DemoAuthority
	Clock     func() time.Time // of Evidence and verdicts; nil: time.Now
	Root      Root             // nil: DemoAttestation
	// Table has the roots of trust that a scenario can name; zero: those of this
	// project.
	Table attestation.Formats

	kept       map[string]*handshake.Credential
	emulations emulated
}

// NewEnvironment makes one with an authority of its own.
func NewEnvironment() (*Environment, error) {
	authority, err := NewDemoAuthority()
	return &Environment{Authority: authority}, err
}

// NewFixedEnvironment makes one in which nothing differs from one process to the next: keys,
// certificates, Evidence and the time, which is DemoEpoch. Its keys are public, and no RSA
// key is among them.
func NewFixedEnvironment() (*Environment, error) {
	authority, err := NewFixedAuthority()
	if err != nil {
		return nil, err
	}
	e := &Environment{Authority: authority, Clock: func() time.Time { return DemoEpoch }}
	e.Keep()
	for _, role := range attls.Roles() {
		key, err := attestation.DeriveKeyOn(elliptic.P256(), DemoSeed, "certificate of the "+role.String())
		if err != nil {
			return nil, err
		}
		const name = "localhost"
		if e.kept[fmt.Sprint(role, KeyP256, name)], err = authority.Certify(key, name); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// Keep keeps each credential that is issued, so that every run in the environment
// shows the same. Such runs may not overlap.
func (l *Environment) Keep() { l.kept = map[string]*handshake.Credential{} }

// credential is that of an end: of a key that its root of trust holds, where it holds
// the keys itself, unless a fault wants another sort of key.
func (s *Setup) credential(role attls.Role, t KeyType) (*handshake.Credential, error) {
	if m := attestation.KeysOf(s.Ends[role].Attester); m != nil && t != KeyRSA {
		return s.env.certify(role, m, s.Scenario.serverName())
	}
	return s.env.issue(role, t, s.Scenario.serverName())
}

// certify makes the credential of a key that a root of trust holds.
func (l *Environment) certify(role attls.Role, m attestation.KeyMaker, name string) (*handshake.Credential, error) {
	key := fmt.Sprint(role, "held", name)
	if c := l.kept[key]; c != nil {
		return c, nil
	}
	signer, err := m.NewKey(context.Background(), role)
	if err != nil {
		return nil, err
	}
	c, err := l.Authority.Certify(signer, name)
	if l.kept != nil {
		l.kept[key] = c
	}
	return c, err
}

// issue makes an end's credential.
func (l *Environment) issue(role attls.Role, t KeyType, name string) (*handshake.Credential, error) {
	key := fmt.Sprint(role, t, name)
	if c := l.kept[key]; c != nil {
		return c, nil
	}
	c, err := l.Authority.Issue(t, name)
	if l.kept != nil {
		l.kept[key] = c
	}
	return c, err
}

// EndSetup is what one end is made of.
type EndSetup struct {
	Config    *handshake.Config
	Attester  negotiation.Attester
	Appraiser negotiation.Appraiser
	RSA       bool // the certificate's key
	Distrust  bool // of the authority that certified the peer
	Servers   *handshake.ServerSessions
	Clients   *handshake.ClientSessions
	// Exported is what the end shows and wants in exported authenticators, after the
	// handshake; nil: nothing.
	Exported *exported.Config
}

// Tap puts a tap before those there are.
func (s *Setup) Tap(r attls.Role, t handshake.Tap) {
	c := s.Ends[r].Config
	c.Tap = handshake.Taps(t, c.Tap)
}

func (r *runner) run(ctx context.Context, s Scenario) Result {
	result := Result{Scenario: s}
	set, injected, err := r.prepare(&s)
	result.Scenario, result.Injected = s, injected
	if err != nil {
		result.Err = err
		return result
	}
	result.Profile = set.Profile
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	if result.Err = r.connect(ctx, set, &result); result.Err != nil {
		return result
	}
	result.Err = result.Judge()
	return result
}

// prepare completes a scenario and builds both of its ends, changed by what it
// injects.
func (r *runner) prepare(s *Scenario) (*Setup, Injection, error) {
	p, err := s.Load()
	if err != nil {
		return nil, nil, err
	}
	var injected Injection
	if name := s.Injected(); name != "" {
		if injected, err = r.find(p, *s, name); err != nil {
			return nil, nil, err
		}
		*s = injected.Where()
	}
	if err := s.Complete(p); err != nil {
		return nil, nil, err
	}
	if r.env == nil {
		if r.env, err = NewEnvironment(); err != nil {
			return nil, nil, err
		}
	}
	set, err := newSetup(p, s, r.env)
	if err == nil && injected != nil {
		injected.Apply(set)
	}
	if err == nil && r.change != nil {
		r.change(set)
	}
	return set, injected, err
}

// Judge says why a run did not end as expected.
func (r *Result) Judge() error {
	if r.Injected != nil {
		return r.Injected.Judge(r)
	}
	for _, role := range attls.Roles() {
		if e := r.Claims[role].Error; e != nil && e.Class != attls.FromPeer.String() {
			return fmt.Errorf("the %v failed: %s (%s)", role, e.Detail, e.Failure)
		}
	}
	if !r.Attested() {
		return ErrNotAttested
	}
	return nil
}

// newSetup builds both ends of a scenario.
func newSetup(p *profile.Profile, s *Scenario, env *Environment) (*Setup, error) {
	set := &Setup{Profile: p, Scenario: s, env: env}
	for _, role := range attls.Roles() {
		read := p
		if role == attls.RoleClient && (len(s.ClientReadings) > 0 || s.ClientProfile != "") {
			var err error
			other := s.Reading(s.ClientReadings)
			if s.ClientProfile != "" {
				other.Profile, other.Readings = s.ClientProfile, s.ClientReadings
			}
			if read, err = other.Load(); err != nil {
				return nil, err
			}
		}
		config, err := s.config(read, role)
		if err != nil {
			return nil, err
		}
		set.Ends[role] = &EndSetup{Config: config}
		if s.RawPublicKeys {
			if set.raw[role], err = newRawCredential(); err != nil {
				return nil, err
			}
		}
	}
	if s.PostHandshake {
		if err := s.attestsLater(p); err != nil {
			return nil, err
		}
	}
	if err := s.reattests(p); err != nil {
		return nil, err
	}
	return set, set.attestation()
}

func newRawCredential() (*handshake.Credential, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return handshake.NewRawCredential(key)
}

// config is what a scenario says of one end's TLS.
func (s *Scenario) config(p *profile.Profile, role attls.Role) (*handshake.Config, error) {
	c := &handshake.Config{Profile: p, CanAuthenticate: true, MaxFragment: s.Fragment}
	if s.Fragment > 0 {
		c.MessagesPerRecord = 1
	}
	if role == attls.RoleClient {
		c.ServerName = s.serverName()
	}
	if s.ALPN != "" {
		c.ALPN = []string{s.ALPN}
	}
	if s.Suite != "" {
		suite, ok := attls.SuiteByName(s.Suite)
		if !ok {
			return nil, fmt.Errorf("no cipher suite is called %q", s.Suite)
		}
		c.CipherSuites = []attls.CipherSuite{suite}
	}
	if s.Group != "" {
		group, ok := attls.GroupByName(s.Group)
		if !ok {
			return nil, fmt.Errorf("no group is called %q", s.Group)
		}
		c.Groups = []attls.NamedGroup{group}
	}
	if s.ExtendedKeyUpdate {
		c.ExtendedKeyUpdate = &handshake.ExtendedKeyUpdate{}
	}
	c.PostHandshakeAuthentication = s.PostHandshake
	if s.RawPublicKeys {
		types := []attls.CertificateType{attls.CertificateRawPublicKey}
		c.ServerCertificateTypes, c.ClientCertificateTypes = types, types
	}
	if role == attls.RoleServer {
		c.Retry = handshake.Retry{Always: s.HelloRetry, Cookie: s.Cookie}
		if s.ClientCertificate || s.Attester.Has(attls.RoleClient) && p != nil && len(p.Frames) > 0 {
			c.ClientAuthentication = handshake.RequireClientCertificate
		}
	}
	return c, nil
}

func (s *Scenario) serverName() string {
	if s.ServerName == "" {
		return "localhost"
	}
	return s.ServerName
}

// connect runs both ends to the end.
func (r *runner) connect(ctx context.Context, set *Setup, result *Result) error {
	client, server, err := loopback(ctx)
	if err != nil {
		return err
	}
	if r.capture != nil {
		client = r.capture.Conn(client, attls.RoleClient)
	}
	if r.network != nil {
		client, server = r.network(attls.RoleClient, client), r.network(attls.RoleServer, server)
	}
	nets := [2]*wire{{Conn: client, split: set.Scenario.Split}, {Conn: server, split: set.Scenario.Split}}
	defer client.Close()
	defer server.Close()
	var conns [2]*handshake.Conn
	var after [2]*exported.Conn
	for _, role := range attls.Roles() {
		answerer, err := r.answerer(set, role)
		if err != nil {
			return err
		}
		config := set.Ends[role].Config
		config.Random = r.random[role]
		if r.capture != nil {
			config.KeyLog = r.capture.KeyLog()
		}
		r.traces[role] = trace.New(role, set.Profile)
		r.traces[role].KeepSecrets = role == attls.RoleClient
		config.Tap = handshake.Taps(config.Tap, r.traces[role])
		if role == attls.RoleClient {
			conns[role] = handshake.Client(nets[role], config, answerer)
			r.tellRenewed(set, role, answerer, func() io.Writer { return channelOf(conns[role], after[role]) })
		} else {
			r.tellRenewed(set, role, answerer, func() io.Writer { return channelOf(conns[role], after[role]) })
			if set.Scenario.PostHandshake {
				answerer.Authenticated = func() { _, _ = conns[role].Write([]byte(seen)) }
			}
			conns[role] = handshake.Server(nets[role], config, answerer)
		}
		if own := set.Ends[role].Exported; own != nil {
			c := *own
			c.Profile = config.Profile
			after[role] = exported.Wrap(conns[role], &c, answerer.Answer)
		}
	}
	var errs [2]error
	var wait sync.WaitGroup
	for _, role := range attls.Roles() {
		wait.Add(1)
		go func() {
			defer wait.Done()
			if after[role] != nil {
				errs[role] = afterWrite(exchangeLater(ctx, after[role], role, set.Scenario), conns[role])
				_ = after[role].Flush() // an end that failed may still owe the peer a frame
			} else {
				errs[role] = afterWrite(exchange(ctx, conns[role], role, set.Scenario), conns[role])
			}
			nets[role].finish()
		}()
	}
	wait.Wait()
	r.collect(set, conns, errs, nets, result)
	r.collectLater(set, after, result)
	return nil
}

// channelOf is what application data of an end goes through.
func channelOf(c *handshake.Conn, later *exported.Conn) io.Writer {
	if later != nil {
		return later
	}
	return c
}

// tellRenewed lets the end that does not begin the extended key update write once its keys are
// in use, or, where an end attests with it, once that is settled.
func (r *runner) tellRenewed(set *Setup, role attls.Role, a *handshake.Answerer, to func() io.Writer) {
	s := set.Scenario
	if !s.ExtendedKeyUpdate || role == s.renews() {
		return
	}
	tell := func(uint64) { _, _ = to().Write([]byte(renewed)) }
	if s.reattestsWithUpdates(set.Profile) {
		a.Reattested = tell
	} else {
		a.KeyEpoch = tell
	}
}

// collect takes together what both ends know.
func (r *runner) collect(set *Setup, conns [2]*handshake.Conn, errs [2]error, nets [2]*wire, result *Result) {
	rec := &Recording{Format: RecordingFormat, Scenario: *set.Scenario}
	for _, role := range attls.Roles() {
		o := claims.Outcome{Closed: true, Inputs: conns[role].Inputs(), KeepInputs: r.keepInputs}
		errors.As(errs[role], &o.Err)
		if errs[role] != nil && o.Err == nil {
			o.Err = attls.Errorf(attls.Local, attls.FailInternal, "%v", errs[role])
		}
		o.Exported = claims.Exported(conns[role])
		o.AlertSent, o.AlertReceived = r.traces[role].Alerts()
		o.DataSent, o.DataReceived = r.traces[role].Data()
		state := conns[role].ConnectionState()
		result.Claims[role] = claims.MakeClaims(set.Ends[role].Config.Profile, state, o)
		for i := range state.Reattestation {
			result.Claims[role].AddUpdate(set.Ends[role].Config.Profile, &state.Reattestation[i])
		}
		result.Sent[role] = nets[role].written()
		end := rec.End(role)
		end.Random, end.Answers, end.Sent = r.random[role], r.tapes[role].recorded(), Lines(result.Sent[role])
	}
	result.Ladder = trace.Ladder(r.traces[attls.RoleClient], r.traces[attls.RoleServer])
	result.Secrets = r.traces[attls.RoleClient].Secrets()
	if r.capture != nil {
		LogSecrets(r.capture.KeyLog(), conns[attls.RoleClient].ConnectionState().ClientRandom, result.Secrets)
	}
	result.recording = rec
	result.Binders = binders(set.Profile, conns)
}

// answerer makes the Answerer of one end, recording or playing back.
func (r *runner) answerer(set *Setup, role attls.Role) (*handshake.Answerer, error) {
	if r.replay != nil {
		r.tapes[role] = playback(r.replay.End(role).Answers)
		r.random[role] = r.replay.End(role).Random
		return &handshake.Answerer{Around: r.tapes[role].around, Sequential: true}, nil
	}
	r.tapes[role] = &tape{}
	source := r.source[role]
	if source == nil {
		source = handshake.SystemRandom{}
	}
	r.random[role] = handshake.RecordRandom(source)
	return set.answerer(role, r.tapes[role])
}

// answerer makes an Answerer whose answers a tape takes down.
func (s *Setup) answerer(role attls.Role, t *tape) (*handshake.Answerer, error) {
	end := s.Ends[role]
	key := KeyP256
	if end.RSA {
		key = KeyRSA
	}
	credential, err := s.credential(role, key)
	if err != nil {
		return nil, err
	}
	roots := s.env.Authority.Pool()
	if end.Distrust {
		roots = x509.NewCertPool()
	}
	a := &handshake.Answerer{ServerSessions: end.Servers, ClientSessions: end.Clients, Trust: handshake.Trust{
		Roots: roots, AcceptAttested: true}, Time: s.env.Clock, Attester: end.Attester, Appraiser: end.Appraiser,
		Credentials: []*handshake.Credential{credential}, Around: t.around,
		Sequential: !s.Scenario.Concurrent}
	if s.Scenario.RawPublicKeys {
		a.Credentials = []*handshake.Credential{s.raw[role]}
		a.Trust = handshake.Trust{}
		if !end.Distrust {
			a.Trust.RawKeys = [][]byte{s.raw[role.Peer()].Chain[0]}
		}
	}
	return a, nil
}

// The application data of a run.
const (
	Request  = "Is this channel bound to what was attested?\n"
	response = "It is: this answer came through it.\n"
	renewed  = "The keys are new, of a fresh key exchange.\n"
	noticed  = "They are: this answer came under them.\n"
	seen     = "What was attested again is accepted.\n"
	known    = "Good: so nothing has changed.\n"
)

// exchange is one end's part: the client asks, the server answers, both close. Before
// that, where the scenario has an extended key update, the client begins it, and the server
// writes once the keys are in use; with authentication after the handshake the server
// asks, and writes once the client's answer is accepted.
func exchange(ctx context.Context, c channel, role attls.Role, s *Scenario) error {
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(deadline)
	}
	if err := c.HandshakeContext(ctx); err != nil {
		return err
	}
	if err := converse(c, role); err != nil {
		return err
	}
	for range s.Updates() {
		if err := renew(c, role, s); err != nil {
			return err
		}
	}
	if s.PostHandshake {
		if err := again(c, role); err != nil {
			return err
		}
	}
	return closeBoth(c)
}

// channel is a connection that an exchange needs.
type channel interface {
	io.ReadWriter
	SetDeadline(t time.Time) error
	HandshakeContext(ctx context.Context) error
	ExtendedKeyUpdate() error
	RequestAuthentication() error
	Settled(ctx context.Context) error
	CloseWrite() error
}

// converse sends the request and the response.
func converse(c channel, role attls.Role) error {
	mine, theirs := Request, response
	if role == attls.RoleServer {
		mine, theirs = response, Request
		if err := expect(c, theirs); err != nil {
			return err
		}
	}
	if _, err := c.Write([]byte(mine)); err != nil {
		return err
	}
	if role == attls.RoleClient {
		return expect(c, theirs)
	}
	return nil
}

// closeBoth ends both directions.
func closeBoth(c channel) error {
	if err := c.CloseWrite(); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, c); err != nil {
		return err
	}
	return nil
}

// renew is one end's part of an extended key update and what shows that it worked.
func renew(c channel, role attls.Role, s *Scenario) error {
	if role != s.renews() {
		return expect(c, noticed)
	}
	if err := c.ExtendedKeyUpdate(); err != nil {
		return err
	}
	if err := expect(c, renewed); err != nil {
		return err
	}
	if err := c.Settled(context.Background()); err != nil { // what the peer attests with it
		return err
	}
	_, err := c.Write([]byte(noticed))
	return err
}

// again is one end's part of authentication after the handshake.
func again(c channel, role attls.Role) error {
	if role == attls.RoleServer {
		if err := c.RequestAuthentication(); err != nil {
			return err
		}
		return expect(c, known)
	}
	if err := expect(c, seen); err != nil {
		return err
	}
	_, err := c.Write([]byte(known))
	return err
}

func expect(c io.Reader, want string) error {
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if string(got) != want {
		return fmt.Errorf("%q arrived where %q was sent", got, want)
	}
	return nil
}

// privateLabels are those of secrets that are not in every key log.
var privateLabels = map[handshake.SecretName]string{handshake.SecretECDHE: capture.LabelECDHE,
	handshake.SecretHandshake: capture.LabelHandshake, handshake.SecretMain: capture.LabelMain}

// LogSecrets writes to a key log what a trace kept of the secrets that binders
// are made from and that handshake.Config.KeyLog does not get.
func LogSecrets(w io.Writer, clientRandom []byte, secrets []trace.Secret) {
	for _, s := range secrets {
		label, ok := privateLabels[handshake.SecretName(s.Name)]
		if n, later := strings.CutPrefix(s.Name, string(handshake.SecretMain)+"_"); later { // of an extended key update
			label, ok = capture.LabelMain+"_"+n, true
		}
		if ok {
			fmt.Fprintf(w, "%s %x %s\n", label, clientRandom, s.Value)
		}
	}
}

// MakeBinder writes down an expression that was explained for an attester.
func MakeBinder(attester attls.Role, name string, v *binder.Value) *Binder {
	return &Binder{Attester: attester.String(), Name: name, Value: hex.EncodeToString(v.Octets),
		Tree: claims.MakeBinderNode(v)}
}

// binders evaluates the challenges of both attesters, at the client.
func binders(p *profile.Profile, conns [2]*handshake.Conn) []Binder {
	if p == nil || p.Binder.Program == nil {
		return nil
	}
	var list []Binder
	client := conns[attls.RoleClient]
	for _, a := range client.ConnectionState().Attestation {
		name := p.Binder.Challenge[a.Scheme.Model][a.Scheme.Credential]
		if name == "" || a.Challenge == nil {
			continue
		}
		tree := p.Binder.Program.Explain(name, a.Attester, client.InputsOf(a.Slot))
		list = append(list, *MakeBinder(a.Attester, name, tree))
	}
	for _, a := range client.ConnectionState().Reattestation {
		program, name := p.Binder.Updated(), p.Binder.Challenge[a.Scheme.Model][a.Scheme.Credential]
		if name != "" && a.Challenge != nil {
			b := MakeBinder(a.Attester, name, program.Explain(name, a.Attester, a.Inputs))
			b.Epoch = a.Epoch
			list = append(list, *b)
		}
	}
	return list
}

// wire is a connection that keeps what is sent, and may write and hand out what
// arrives in small pieces.
type wire struct {
	net.Conn
	split int
	mu    sync.Mutex
	sent  []byte
}

func (w *wire) Read(b []byte) (int, error) {
	if w.split > 0 && len(b) > w.split {
		b = b[:w.split]
	}
	return w.Conn.Read(b)
}

func (w *wire) Write(b []byte) (int, error) {
	n, err := w.pieces(b)
	w.mu.Lock()
	w.sent = append(w.sent, b[:n]...)
	w.mu.Unlock()
	return n, err
}

// written returns what was sent so far: a frame of an exported.Conn is written beside what
// its end does, and may still be on its way when that end is done.
func (w *wire) written() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Clone(w.sent)
}

// pieces writes one piece after another. TCP makes a segment of each, unless the
// network is slower than we are.
func (w *wire) pieces(b []byte) (n int, err error) {
	for w.split > 0 && len(b)-n > w.split && err == nil {
		var m int
		m, err = w.Conn.Write(b[n : n+w.split])
		n += m
	}
	if err != nil {
		return n, err
	}
	m, err := w.Conn.Write(b[n:])
	return n + m, err
}

// Close does nothing: the run closes both ends when both are done, so that an
// alert is not lost to a reset of the connection.
func (w *wire) Close() error { return nil }

// finish ends our direction and reads what the peer still sends.
func (w *wire) finish() {
	if c, ok := w.Conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, w.Conn)
}

// loopback makes a TCP connection to ourselves.
func loopback(ctx context.Context) (client, server net.Conn, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	var d net.Dialer
	if client, err = d.DialContext(ctx, "tcp", l.Addr().String()); err != nil {
		return nil, nil, err
	}
	if server, err = l.Accept(); err != nil {
		client.Close()
		return nil, nil, err
	}
	deadline, ok := ctx.Deadline()
	if ok {
		client.SetDeadline(deadline)
		server.SetDeadline(deadline)
	}
	return client, server, nil
}
