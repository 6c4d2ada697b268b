package peers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/dissect"
	"attls/conformance/scenario"
	"attls/conformance/trace"
	"attls/extensions/profile"
)

// Case is a scenario between two stacks, named by role.
type Case struct {
	Client   string            `json:"client"`
	Server   string            `json:"server"`
	Scenario scenario.Scenario `json:"scenario"`
}

// Stack names the stack of a role.
func (c *Case) Stack(r attls.Role) string {
	if r == attls.RoleClient {
		return c.Client
	}
	return c.Server
}

func (c *Case) String() string {
	return c.Client + ">" + c.Server + "/" + c.Scenario.String()
}

// The values of Result.Status.
const (
	Passed  = "passed"
	Failed  = "failed"
	Skipped = "skipped" // a peer is missing
	Limit   = "limit"   // a peer cannot do it
	// Deviation: a stack broke a rule as it is known to.
	Deviation = "deviation"
)

// Result is the outcome of a case.
type Result struct {
	Case
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
	// Places say where the stacks differ in a case that failed: message, field, octet, and
	// the line of the profile.
	Places  []string        `json:"places,omitempty"`
	Seconds float64         `json:"seconds"`
	Ends    []claims.Claims `json:"ends,omitempty"` // client, server
	// Earlier is what both claim of the connection before, where there was one.
	Earlier []claims.Claims `json:"earlier,omitempty"`
	// What a Recorder saw on the way, and the file that it was written to.
	Ladder   []trace.Step      `json:"ladder,omitempty"`
	Findings []dissect.Finding `json:"findings,omitempty"`
	Capture  string            `json:"capture,omitempty"`
	// Unrecorded says why there is no recording although one was wanted.
	Unrecorded string `json:"unrecorded,omitempty"`
}

// DefaultTimeout bounds a case that Settings do not bound.
const DefaultTimeout = 30 * time.Second

// Settings say how cases are run.
type Settings struct {
	Parallel int           // cases at a time; 0: as many as there are processors
	Timeout  time.Duration // of a case; 0: DefaultTimeout
	Recorder *Recorder     // nil: nothing is recorded

	versions *versions // of the stacks; nil: they are asked in each case
}

func (s *Settings) parallel() int {
	if s.Parallel > 0 {
		return s.Parallel
	}
	return runtime.NumCPU()
}

func (s *Settings) timeout() time.Duration {
	if s.Timeout > 0 {
		return s.Timeout
	}
	return DefaultTimeout
}

// Run runs a case with the stacks that peers has under their names.
func Run(ctx context.Context, c Case, peers map[string]Peer, settings Settings) Result {
	r := Result{Case: c, Status: Skipped}
	for _, role := range roles {
		p, ok := peers[c.Stack(role)]
		if !ok {
			r.Reason = "no peer is called " + c.Stack(role)
			return r
		}
		if r.Reason = p.Missing(); r.Reason != "" {
			return r
		}
		if reason := p.Limit(&c.Scenario, role); reason != "" {
			r.Status, r.Reason = Limit, fmt.Sprintf("peer limit of %s as %v: %s", p.Name(), role, reason)
			return r
		}
	}
	started := time.Now()
	list, err := connect(ctx, &r, peers, settings)
	if n := len(list); err == nil {
		r.Ends = list[n-1][:]
		if n > 1 {
			r.Earlier = list[0][:]
		}
		err = judge(&c, r.Earlier, r.Ends)
	}
	r.Seconds = time.Since(started).Seconds()
	said := settings.versions
	if said == nil {
		said = &versions{}
	}
	r.Status, r.Reason = verdict(&c, peers, r.Ends, err, func(p Peer) string { return said.of(ctx, p) })
	if r.Status == Failed && acknowledged(&r) {
		r.Status, r.Reason = Limit, "the profile acknowledges (context_bound) that this key cannot be bound: "+r.Reason
	}
	if r.Status == Failed {
		r.Places = places(&r)
	}
	return r
}

// verdict is the status of a case that ended with err, and the reason. An
// expected deviation that does not occur is a failure in the releases that are known to
// deviate, so that a change is noticed either way. In others it passes with a reason,
// which says what these do.
func verdict(c *Case, peers map[string]Peer, ends []claims.Claims, err error,
	version func(Peer) string) (status, reason string) {
	if b := bounded(c, peers); b != nil && len(ends) > 0 {
		return b.verdict(c, version(peers[c.Stack(b.role)]), ends, err)
	}
	why := ""
	if role, list := deviant(c, peers); len(list) > 0 && len(ends) > 0 {
		p := peers[c.Stack(role)]
		var ok bool
		status, why, ok = judgeDeviations(p.Name(), version(p), list, err == nil, func(d *Deviant) bool {
			return d.shows(&ends[role], &ends[role.Peer()])
		})
		if ok {
			return status, why
		}
	}
	if err != nil {
		reason = strings.ReplaceAll(err.Error(), "\n", "; ") // joined errors
		if why != "" {
			reason += "; " + why
		}
		return Failed, reason
	}
	return Passed, ""
}

// deviant is the end that has to deal with a fault, and how it is known to deviate.
func deviant(c *Case, peers map[string]Peer) (attls.Role, []Deviant) {
	if c.Scenario.Injected() == "" {
		return 0, nil
	}
	f, err := findFault(&c.Scenario)
	if err != nil {
		return 0, nil
	}
	role := f.Receiver()
	d, ok := peers[c.Stack(role)].(Deviator)
	if !ok {
		return 0, nil
	}
	return role, d.Deviation(&c.Scenario, role)
}

var roles = [...]attls.Role{attls.RoleClient, attls.RoleServer}

// connect makes the connections of a case and collects the claims of each,
// indexed by role.
func connect(ctx context.Context, r *Result, peers map[string]Peer, settings Settings) ([][2]claims.Claims, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, settings.timeout(),
		fmt.Errorf("the case took longer than %v", settings.timeout()))
	defer cancel()
	directory, err := os.MkdirTemp("", "attls-conform-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(directory)
	if err := writeFiles(directory); err != nil {
		return nil, err
	}
	task := Task{Scenario: r.Scenario, Directory: directory, Root: rootOf(r, peers)}
	if a, ok := peers[r.Server].(Answerer); ok {
		task.OwnAnswer, task.Request = a.OwnAnswer(true)
		task.AsksAgain = a.EarlyUnanswered()
	}
	recording := settings.Recorder.recording(r, directory)
	defer recording.finish()
	list, err := converse(ctx, r, peers, &task, recording)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = errors.Join(context.Cause(ctx), err)
	}
	return list, err
}

// converse makes the connections of a case, one after another.
func converse(ctx context.Context, r *Result, peers map[string]Peer, task *Task,
	recording *recording) (list [][2]claims.Claims, err error) {
	serving, t := *task, *task
	serving.Role, t.Role = attls.RoleServer, attls.RoleClient
	if a, ok := peers[r.Client].(Abrupt); ok {
		serving.Abrupt = a.EndsAbruptly(attls.RoleClient)
	}
	if a, ok := peers[r.Server].(Abrupt); ok {
		t.Abrupt = a.EndsAbruptly(attls.RoleServer)
	}
	server, err := peers[r.Server].Start(ctx, &serving)
	if err != nil {
		return nil, fmt.Errorf("the server: %w", err)
	}
	stop := sync.OnceFunc(server.Stop)
	defer stop()
	if t.Address, err = recording.begin(ctx, server.Address()); err != nil {
		return nil, err
	}
	wanted := t.Scenario
	if wanted.Resumption == scenario.ResumeUnattested {
		t.Scenario = unattested(wanted)
	}
	visits := visitor{peer: peers[r.Client]}
	if resumer, ok := visits.peer.(Resumer); ok {
		visits.stays = resumer.ResumesItself()
	}
	defer visits.leave()
	answers, _ := peers[r.Server].(Answerer)
	for i := range t.connections() {
		if answers != nil {
			_, t.Request = answers.OwnAnswer(i == t.connections()-1)
		}
		claimed, e := visits.visit(ctx, t)
		list = append(list, [2]claims.Claims{attls.RoleClient: claimed})
		if e == nil && t.keeps() && !visits.stays {
			e = t.kept(&claimed)
		}
		if e != nil { // the server would wait for more
			err = fmt.Errorf("the client: %w", e)
			stop()
		}
		late := func() bool { return false }
		if claimed.Error != nil { // it may never have connected
			late = time.AfterFunc(patience, stop).Stop
		}
		// Before another client comes, so that the claims are of this connection.
		of, e := server.Claims()
		if !late() && claimed.Error != nil && e != nil {
			err = errors.Join(err, fmt.Errorf("the client ended: %s", claimed.Error.Detail))
		}
		if claimed = of; e != nil {
			return list, errors.Join(err, fmt.Errorf("the server: %w", e))
		}
		list[len(list)-1][attls.RoleServer] = claimed
		if err != nil {
			return list, err
		}
		t.Resumes, t.Scenario = true, wanted
	}
	return list, nil
}

// patience is how long a server may need to see what a client that failed has done.
const patience = 5 * time.Second

// visitor makes the connections of a client.
type visitor struct {
	peer   Peer
	stays  bool // one process makes all of them
	client Process
}

// visit makes one connection.
func (v *visitor) visit(ctx context.Context, t Task) (_ claims.Claims, err error) {
	if v.client == nil {
		if v.client, err = v.peer.Start(ctx, &t); err != nil {
			v.client = nil
			return claims.Claims{}, err
		}
	}
	if !v.stays {
		defer v.leave()
	}
	return v.client.Claims()
}

func (v *visitor) leave() {
	if v.client != nil {
		v.client.Stop()
		v.client = nil
	}
}

// rootOf is the root of trust of the stack that has one of its own.
func rootOf(r *Result, peers map[string]Peer) scenario.Root {
	for _, role := range roles {
		if p, ok := peers[r.Stack(role)].(Rooted); ok {
			return p.Root()
		}
	}
	return nil
}

// Judge compares what both ends claim of one connection with each other and with
// the scenario; nil when it ended as expected. A scenario with resumption is one
// whose session is resumed.
func Judge(c *Case, client, server *claims.Claims) error {
	if c.Scenario.Injected() != "" {
		return judgeFault(c, client, server)
	}
	return judgeSound(&c.Scenario, client, server)
}

// judgeSound compares what both ends of a connection claim that had to go well.
func judgeSound(s *scenario.Scenario, client, server *claims.Claims) error {
	var wrong differences
	for _, end := range []*claims.Claims{client, server} {
		if end.Error != nil {
			wrong.add("the %s failed: %s (%s)", end.Role, or(end.Error.Detail, "no detail"), end.Error.Failure)
		} else if end.State != "closed" || !moved(claimSent, end) || !moved(claimReceived, end) {
			wrong.add("the %s is %s after %d octets sent and %d received", end.Role, end.State, end.DataSent, end.DataReceived)
		}
	}
	if len(wrong) > 0 {
		return wrong.err()
	}
	for i := range comparisons {
		comparisons[i].judge(&wrong, s, client, server)
	}
	wrong.attestation(s, client, server)
	return wrong.err()
}

// moved reports whether an end claims that data went, or cannot tell.
func moved(c claim, end *claims.Claims) bool {
	n, told := c.of(end)
	return !told || n != "0"
}

// comparison is one thing that both ends of a connection have to say alike.
type comparison struct {
	what string
	// of the client and of the server: names and values of the members of claims
	client, server claim
	// want is what the scenario asks for; empty: nothing.
	want func(*scenario.Scenario) string
	// due says whether an end that can tell has to; nil: always.
	due func(*scenario.Scenario) bool
}

// claim is a member of claims.
type claim struct {
	member string
	value  func(*claims.Claims) string
}

// of is the value in an end's claims, and whether that end can tell.
func (c claim) of(end *claims.Claims) (value string, told bool) {
	return c.value(end), !slices.Contains(end.Unclaimed, c.member)
}

// The members of claims that are compared.
var (
	claimSuite      = claim{"suite", func(c *claims.Claims) string { return c.Suite }}
	claimGroup      = claim{"group", func(c *claims.Claims) string { return c.Group }}
	claimResumed    = claim{"resumed", func(c *claims.Claims) string { return strconv.FormatBool(c.Resumed) }}
	claimPSKMode    = claim{"psk_mode", func(c *claims.Claims) string { return c.PSKMode }}
	claimEarly      = claim{"early_data", func(c *claims.Claims) string { return c.EarlyData }}
	claimRetry      = claim{"hello_retry", func(c *claims.Claims) string { return strconv.FormatBool(c.HelloRetry) }}
	claimALPN       = claim{"alpn", func(c *claims.Claims) string { return c.ALPN }}
	claimTranscript = claim{"transcript_hash", func(c *claims.Claims) string { return c.TranscriptHash }}
	claimExporter   = claim{"exporter", func(c *claims.Claims) string { return c.Exporter }}
	claimPeerKey    = claim{"peer_key", func(c *claims.Claims) string { return c.PeerKey }}
	claimOwnKey     = claim{"own_key", func(c *claims.Claims) string { return c.OwnKey }}
	claimPeerScheme = claim{"peer_signature", func(c *claims.Claims) string { return c.PeerSignature }}
	claimOwnScheme  = claim{"own_signature", func(c *claims.Claims) string { return c.OwnSignature }}
	claimPeerType   = claim{"peer_certificate_type", func(c *claims.Claims) string { return c.PeerType }}
	claimOwnType    = claim{"own_certificate_type", func(c *claims.Claims) string { return c.OwnType }}
	claimKeyEpoch   = claim{"key_epoch", func(c *claims.Claims) string { return strconv.FormatUint(c.KeyEpoch, 10) }}
	claimSent       = claim{"data_sent", func(c *claims.Claims) string { return strconv.FormatInt(c.DataSent, 10) }}
	claimReceived   = claim{"data_received", func(c *claims.Claims) string {
		return strconv.FormatInt(c.DataReceived, 10)
	}}
)

// answersInRetry reports whether HelloRetryRequest is sent to say what is attested.
func answersInRetry(s *scenario.Scenario) bool {
	if s.Profile == "" || s.Resumption != "" {
		return false
	}
	p, err := s.Load()
	if err != nil || p == nil {
		return false
	}
	for i := range p.Slots {
		if p.AnswersInRetry(i) && s.Attester.Has(p.Slots[i].Attester) {
			return true
		}
	}
	return false
}

var comparisons = []comparison{
	{what: "suite", client: claimSuite, server: claimSuite, want: func(s *scenario.Scenario) string { return s.Suite }},
	{what: "group", client: claimGroup, server: claimGroup, want: func(s *scenario.Scenario) string { return s.Group },
		due: func(s *scenario.Scenario) bool { return s.Resumption != scenario.ResumePSKOnly }},
	{what: "resumption", client: claimResumed, server: claimResumed,
		want: func(s *scenario.Scenario) string { return strconv.FormatBool(s.Resumption != "") }},
	{what: "mode of the pre-shared key", client: claimPSKMode, server: claimPSKMode,
		want: func(s *scenario.Scenario) string { return string(s.Resumption) },
		due:  func(s *scenario.Scenario) bool { return s.Resumption != "" }},
	{what: "early data", client: claimEarly, server: claimEarly, want: (*scenario.Scenario).EarlyOutcome,
		due: func(s *scenario.Scenario) bool { return s.EarlyData }},
	{what: "HelloRetryRequest", client: claimRetry, server: claimRetry,
		want: func(s *scenario.Scenario) string {
			return strconv.FormatBool(s.HelloRetry || s.Cookie || answersInRetry(s))
		}},
	{what: "application protocol", client: claimALPN, server: claimALPN, want: func(s *scenario.Scenario) string {
		return s.ALPN
	},
		due: func(s *scenario.Scenario) bool { return s.ALPN != "" }},
	{what: "transcript hash", client: claimTranscript, server: claimTranscript, due: hashed},
	{what: "exported value", client: claimExporter, server: claimExporter},
	{what: "key of the server", client: claimPeerKey, server: claimOwnKey, due: serverAuthenticates},
	{what: "key of the client", client: claimOwnKey, server: claimPeerKey, due: clientAuthenticates},
	{what: "signature of the server", client: claimPeerScheme, server: claimOwnScheme, due: serverAuthenticates},
	{what: "signature of the client", client: claimOwnScheme, server: claimPeerScheme, due: clientAuthenticates},
	{what: "type of the server's certificate", client: claimPeerType, server: claimOwnType, want: rawType,
		due: serverAuthenticates},
	{what: "type of the client's certificate", client: claimOwnType, server: claimPeerType, want: rawTypeOfClient,
		due: clientAuthenticates},
	{what: "key epoch", client: claimKeyEpoch, server: claimKeyEpoch,
		want: func(s *scenario.Scenario) string { return strconv.Itoa(s.Updates()) }},
	{what: "data to the server", client: claimSent, server: claimReceived},
	{what: "data to the client", client: claimReceived, server: claimSent},
}

// rawType is the type of certificates that a scenario insists on.
func rawType(s *scenario.Scenario) string {
	if s.RawPublicKeys {
		return attls.CertificateRawPublicKey.String()
	}
	return ""
}

func rawTypeOfClient(s *scenario.Scenario) string {
	if !clientAuthenticates(s) {
		return ""
	}
	return rawType(s)
}

func attested(s *scenario.Scenario) bool { return len(s.Attester.Roles()) > 0 }

// hashed reports whether somebody attests under a profile with a binder, for which claims
// have the transcript hash.
func hashed(s *scenario.Scenario) bool {
	p, err := s.Load()
	return attested(s) && (err != nil || p == nil || p.Binder.Program != nil)
}

// serverAuthenticates: with the key of a session nobody shows a certificate.
func serverAuthenticates(s *scenario.Scenario) bool { return s.Resumption == "" }

func clientAuthenticates(s *scenario.Scenario) bool {
	return serverAuthenticates(s) &&
		(s.ClientCertificate || s.Attester.Has(attls.RoleClient) &&
			phaseOf(s, attls.RoleClient) != profile.PhaseAuthenticator)
}

// judge compares what both ends can tell; an end that can tell must, where it is
// due.
func (c *comparison) judge(d *differences, s *scenario.Scenario, client, server *claims.Claims) {
	clients, clientTells := c.client.of(client)
	servers, serverTells := c.server.of(server)
	due := c.due == nil || c.due(s)
	for _, end := range []struct {
		role, value string
		tells       bool
	}{{client.Role, clients, clientTells}, {server.Role, servers, serverTells}} {
		if !end.tells {
			continue
		}
		if due && end.value == "" {
			d.add("%s: the %s says nothing", c.what, end.role)
		}
		if c.want != nil {
			d.wanted(c.what, c.want(s), end.value)
		}
	}
	if clientTells && serverTells {
		d.equal(c.what, clients, servers)
	}
}

// differences are what two ends do not agree on.
type differences []string

func (d *differences) add(format string, args ...any) { *d = append(*d, fmt.Sprintf(format, args...)) }

func (d *differences) equal(what, client, server string) {
	if client != server {
		d.add("%s: the client says %q, the server %q", what, client, server)
	}
}

func (d *differences) wanted(what, want, got string) {
	if want != "" && got != want {
		d.add("%s: %q was wanted, %q negotiated", what, want, got)
	}
}

func (d differences) err() error {
	if len(d) == 0 {
		return nil
	}
	return errors.New(strings.Join(d, "; "))
}
