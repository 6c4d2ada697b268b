package campaign

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/conformance/placement"
	"attls/internal/rule"
)

// enginesOf is a stack of engines of which one end does not obey a rule.
func enginesOf(t *testing.T, name, version string, off rule.Rule, roles ...attls.Role) *Remote {
	return &Remote{Name: name, Version: version, Stack: engineStack(t, off), Roles: roles, Timeout: patient,
		Quiet: 10 * time.Millisecond}
}

// compareFor runs a campaign between stacks.
func compareFor(t *testing.T, n int, dir string, x *Remote, against ...*Remote) *Report {
	t.Helper()
	r, err := Run(t.Context(), Options{Targets: []*Target{target(t, TLS)}, Executions: n, Seed: 3, Remote: x, Against: against, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestApart: stacks that are alike show no difference, one that does not obey a rule is told from the
// others and named with its version, and the finding can be replayed, made smaller, put together with
// others and explained.
func TestApart(t *testing.T) {
	dir := t.TempDir()
	sound, lax := enginesOf(t, "sound", "1", "none", attls.RoleServer), enginesOf(t, "lax", "2", rule.FinishedVerified, attls.RoleServer)
	if r := compareFor(t, 120, "", sound, enginesOf(t, "sound", "1.1", "none", attls.RoleServer)); len(r.Found) > 0 || r.Executions < 100 {
		t.Errorf("stacks that are alike: %v", r.Found)
	}
	r := compareFor(t, 250, dir, sound, lax, enginesOf(t, "also", "3", "none", attls.RoleServer))
	if len(r.Found) == 0 {
		t.Fatalf("no difference in %d connections", r.Executions)
	}
	for _, f := range r.Found {
		if f.Law != lawDifference || !strings.Contains(f.Says, "of lax 2 completes the handshake, that of sound 1 refuses with decrypt_error; attls refuses") {
			t.Errorf("%s: %v", f.Cause, f.Input.Edits)
		}
	}
	if list := r.Shortest(); len(list) != 1 || list[0].Apart.Stacks != [2]StackName{{"lax", "2"}, {"sound", "1"}} {
		t.Errorf("the shortest inputs: %v", list)
	}
	found, err := ReadFile(r.Found[0].File)
	if err != nil || found.Peer != "lax 2" || found.Against != "sound 1" {
		t.Fatal(found, err)
	}
	again, err := ReplayApart(t.Context(), found, sound, lax, nil)
	if err != nil || len(again.Apart) != 1 || len(again.Ends[0].Ladder) == 0 || again.Ends[1].Outcome != "completes the handshake" {
		t.Fatalf("replayed: %+v, %v", again, err)
	}
	large := found.clone()
	large.Edits = append(large.Edits, Edit{Do: "pad", Number: 1, At: 30})
	small, err := MinimizeAbroad(t.Context(), large, lax, sound)
	if err != nil || len(small.Edits) != len(found.Edits) || small.Peer != "lax 2" || small.Against != "sound 1" {
		t.Errorf("made smaller: %+v, %v", small, err)
	}
	other := found.clone()
	other.Law, other.Says, other.Against = found.Law, found.Says, "sound 1.1"
	if err := other.WriteFile(filepath.Join(dir, "findings", "other.yaml")); err != nil {
		t.Fatal(err)
	}
	groups, unread, err := Triage(filepath.Join(dir, "findings"))
	if err != nil || len(unread) > 0 || len(groups) != len(r.Found)+1 {
		t.Errorf("triage: other stacks are another cause: %d groups of %d findings, %v, %v", len(groups), len(r.Found), unread, err)
	}
	var page strings.Builder
	issue := &ApartIssue{Input: found, Replays: again, Tested: "x", Command: "attls fuzz replay"}
	if err := issue.Write(&page); err != nil || !strings.Contains(page.String(), "| lax 2 | completes the handshake |") {
		t.Errorf("%v: %s", err, page.String())
	}
	p, err := Fingerprint(t.Context(), []*Input{found}, []*Remote{sound, lax, enginesOf(t, "third", "3", "none", attls.RoleServer)})
	if err != nil || len(p.Rows) != 1 || len(p.Chosen) != 1 || !slices.Equal(p.Same, [][2]string{{"sound 1", "third 3"}}) {
		t.Errorf("the fingerprint: %+v, %v", p, err)
	}
}

// TestApartKnown: a list explains what it is about, in both orders and for its releases alone; entries that were
// not needed are counted, and a draft is refused as a list until it is completed.
func TestApartKnown(t *testing.T) {
	sound, lax := enginesOf(t, "sound", "1.0", "none", attls.RoleServer), enginesOf(t, "lax", "2.0", rule.FinishedVerified, attls.RoleServer)
	r := compareFor(t, 250, "", sound, lax)
	if len(r.Found) == 0 {
		t.Fatal("no difference")
	}
	if e := r.Found[0].Draft(sound.StackName()); e == nil || e.First != "1.0" || e.Against[0].Stack != "lax" || e.Does == e.Against[0].Does {
		t.Fatalf("an entry of the other list: %+v", e)
	}
	e := r.Found[0].Draft(lax.StackName())
	if e == nil || e.First != "2.0" || e.Against[0].Stack != "sound" || e.Shows == nil {
		t.Fatalf("%+v", e)
	}
	if err := e.check(); err == nil || !strings.Contains(err.Error(), "why: an entry needs a reason") {
		t.Errorf("a draft: %v", err)
	}
	e.Why, e.Right, e.Says = "Finished is not compared", "against", "refuses with decrypt_error"
	if err := e.check(); err != nil {
		t.Fatal(err)
	}
	unneeded := &KnownEntry{Law: lawDifference, Says: "refuses with decode_error", Does: "completes the handshake",
		Against: []KnownAgainst{{Stack: "sound"}}, Right: "both", Why: "nothing", Shows: e.Shows}
	k := &Known{Format: KnownFormat, Peer: "lax", Known: []*KnownEntry{unneeded, e}}
	lax.Known = k
	if r := compareFor(t, 250, "", sound, lax); len(r.Found) > 0 || len(r.Explained) == 0 || r.Unneeded != 1 {
		t.Errorf("with a list: %v, %d explained, %d entries unneeded", r.Found, len(r.Explained), r.Unneeded)
	}
	again := *k
	again.Known = []*KnownEntry{new(*unneeded), new(*e)}
	sound.Known = &again
	if r := compareFor(t, 250, "", sound, lax); r.Unneeded != 1 {
		t.Errorf("with the list at both stacks: %d entries unneeded", r.Unneeded)
	}
	sound.Known = nil
	var wrong []string
	n, err := k.Check(t.Context(), sound, lax, func(_ *KnownEntry, text string) { wrong = append(wrong, text) })
	if err != nil || n != 2 || wrong[1] != "" || !strings.Contains(wrong[0], "something else") {
		t.Errorf("checked: %d, %v, %v", n, wrong, err)
	}
	if n, err := k.Check(t.Context(), sound, enginesOf(t, "other", "2.0", "none", attls.RoleServer), nil); n != 0 || err != nil {
		t.Errorf("a list about other stacks: %d, %v", n, err)
	}
	a := r.Found[0].Apart
	for name, w := range map[string]struct {
		change func(*Apart)
		known  bool
	}{
		"as it was":     {func(*Apart) {}, true},
		"other order":   {func(a *Apart) { slices.Reverse(a.Stacks[:]); slices.Reverse(a.Does[:]) }, true},
		"another stack": {func(a *Apart) { a.Stacks[1].Name = "third" }, false},
		"of a release":  {func(a *Apart) { a.Stacks[0].Name = "lax-2.0" }, true},
		"newer":         {func(a *Apart) { a.Stacks[0].Version = "2.1" }, false},
		"newer other":   {func(a *Apart) { a.Stacks[1].Version = "1.1" }, false},
		"turned round":  {func(a *Apart) { slices.Reverse(a.Does[:]) }, false},
		"another law":   {func(a *Apart) { a.Law = lawOtherAlert }, false},
		"another role":  {func(a *Apart) { a.Role = attls.RoleClient }, false},
		"another rule":  {func(a *Apart) { a.Own = "refuses with unexpected_message" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := *a
			w.change(&b)
			if got := k.ExplainsApart(&b); (got != nil) != w.known {
				t.Errorf("%v", got)
			}
		})
	}
}

// TestApartCrash: a rival whose program ends is a finding about it, and the campaign goes on.
func TestApartCrash(t *testing.T) {
	frail := enginesOf(t, "frail", "1", "none", attls.RoleServer)
	frail.Stack = crashing{Stack: frail.Stack, asked: new(int), at: 40}
	r := compareFor(t, 40, "", enginesOf(t, "sound", "1", "none", attls.RoleServer), frail)
	if len(r.Found) != 1 || r.Found[0].Law != lawCrash || !strings.Contains(r.Found[0].Says, "of frail 1 is ended by a signal: segmentation fault") {
		t.Errorf("a rival that crashes: %v", r.Found)
	}
	if r.Executions != 40 {
		t.Errorf("%d connections", r.Executions)
	}
}

// crashing is a stack whose program ends once, in a connection that is counted.
type crashing struct {
	placement.Stack
	asked *int
	at    int
}

type crashingPeer struct {
	placement.Peer
	of crashing
}

func (s crashing) Serve(ctx context.Context) (placement.Peer, error) {
	p, err := s.Stack.Serve(ctx)
	return &crashingPeer{p, s}, err
}

func (p *crashingPeer) Ended(wait time.Duration) (bool, string) {
	if *p.of.asked++; *p.of.asked == p.of.at {
		return true, "segmentation fault"
	}
	return p.Peer.Ended(wait)
}

// TestApartUnsteady: what does not show again with more time does not count as a finding, and is reported apart.
func TestApartUnsteady(t *testing.T) {
	slow := enginesOf(t, "slow", "1", "none", attls.RoleServer)
	n := 0
	slow.Stack = lateStack{Stack: slow.Stack, count: &n, late: 40}
	slow.Timeout = patient
	r := compareFor(t, 120, "", enginesOf(t, "sound", "1", "none", attls.RoleServer), slow)
	if len(r.Found) > 0 || len(r.Unsteady) == 0 {
		t.Errorf("found %v; seen once: %v", r.Found, r.Unsteady)
	}
}

// lateStack answers few connections otherwise than the others, from one on.
type lateStack struct {
	placement.Stack
	count *int
	late  int
}

func (s lateStack) Serve(ctx context.Context) (placement.Peer, error) {
	p, err := s.Stack.Serve(ctx)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &latePeer{Peer: p, listen: l, quit: startLate(ctx, l, p, s)}, nil
}

type latePeer struct {
	placement.Peer
	listen net.Listener
	quit   func()
}

func (p *latePeer) Address() string { return p.listen.Addr().String() }
func (p *latePeer) Stop()           { p.quit(); p.Peer.Stop() }

// startLate hands connections on, but for a few, which it closes.
func startLate(ctx context.Context, l net.Listener, p placement.Peer, s lateStack) func() {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			if *s.count++; *s.count >= s.late && *s.count%20 == 0 {
				nc.Close()
				continue
			}
			go func() {
				defer nc.Close()
				to, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.Address())
				if err != nil {
					return
				}
				defer to.Close()
				done := make(chan struct{})
				go func() { copyAll(to, nc); close(done) }()
				copyAll(nc, to)
				<-done
			}()
		}
	}()
	return func() { cancel(); l.Close() }
}

func copyAll(to, from net.Conn) {
	b := make([]byte, 4096)
	for {
		n, err := from.Read(b)
		if _, w := to.Write(b[:n]); w != nil || err != nil {
			if c, ok := to.(*net.TCPConn); ok {
				_ = c.CloseWrite()
			}
			return
		}
	}
}

// TestApartInterrupt: what was found is kept when the campaign is interrupted while it is looked at
// again.
func TestApartInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dir := t.TempDir()
	sound, lax := enginesOf(t, "sound", "1", "none", attls.RoleServer), enginesOf(t, "lax", "2", rule.FinishedVerified, attls.RoleServer)
	c := &campaign{o: Options{Dir: dir, Remote: sound, Against: []*Remote{lax}}, report: &Report{Unsteady: map[string]int{}}, causes: map[string]*Finding{}}
	if err := os.MkdirAll(filepath.Join(dir, "findings"), 0o755); err != nil {
		t.Fatal(err)
	}
	input := in(TLS)
	input.Attacker, input.Edits = "client", []Edit{{Do: "field", Message: "Finished", Path: "finished.verify_data", Octets: make([]byte, 32)}}
	s, err := input.between(ctx, sound, lax)
	if err != nil {
		t.Fatal(err)
	}
	defer s.closeLinks()
	w := &worker{c: c, same: map[string]string{}}
	r, err := s.run(input)
	if err != nil || len(r.apart()) != 1 {
		t.Fatal(r.apart(), err)
	}
	list := r.apart()
	cancel()
	w.differ(input, &list[0], s)
	if files, _ := filepath.Glob(filepath.Join(dir, "findings", "*.yaml")); len(files) != 1 || len(c.causes) != 1 {
		t.Errorf("kept: %v, %v", files, c.causes)
	}
}

// TestKnownApartFiles: entries about two stacks say what both do and who is right.
func TestKnownApartFiles(t *testing.T) {
	const head = "format: attls-fuzz-known 1\npeer: x\nknown:\n"
	const two = "- {law: difference, says: refuses with decode_error, does: completes the, right: peer, why: y, "
	for name, w := range map[string]struct{ text, says string }{
		"sound":        {two + "against: [{stack: z}]}", ""},
		"no stack":     {two + "against: [{first: '1', last: '2'}]}", "against[0].stack"},
		"half":         {two + "against: [{stack: z, first: '1'}]}", "against[0].first"},
		"alone":        {"- {law: difference, says: refuses with decode_error, right: peer, why: y}", "against: does, edits, right"},
		"law":          {"- {law: crash, says: refuses with decode_error, does: completes the, right: peer, why: y, against: [{stack: z}]}", `law: "crash"`},
		"does":         {"- {law: difference, says: refuses with decode_error, right: peer, why: y, against: [{stack: z}]}", "does:"},
		"right":        {"- {law: difference, says: refuses with decode_error, does: completes the, why: y, against: [{stack: z}]}", "right:"},
		"everything":   {"- {law: difference, does: completes the, right: both, why: y, against: [{stack: z}]}", "says:"},
		"all refusals": {"- {law: difference, says: refuses with, does: completes the, right: both, why: y, against: [{stack: z}]}", "with very much"},
		"all that go":  {"- {law: difference, says: completes the handshake, does: refuses with, right: both, why: y, against: [{stack: z}]}", "with very much"},
		"short edits":  {"- {law: difference, edits: ' a', does: completes the, right: both, why: y, against: [{stack: z}]}", "says:"},
		"two lists":    {two + "against: [{stack: z}]}\n---\nformat: attls-fuzz-known 1", "second document"},
		"edits":        {"- {law: difference, edits: extend ClientHello, does: completes the, right: both, why: y, against: [{stack: z}]}", ""},
		"bad input":    {two + "against: [{stack: z}], shows: {attacker: client, edits: [{do: nothing}]}}", "shows.edits[0].do"},
		"bad attacker": {two + "against: [{stack: z}], shows: {attacker: both, edits: [{do: drop}]}}", "shows.attacker"},
		"no edits":     {two + "against: [{stack: z}], shows: {attacker: client, edits: []}}", "shows.edits"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadKnown(strings.NewReader(head + w.text + "\n"))
			if (err == nil) != (w.says == "") || err != nil && !strings.Contains(err.Error(), w.says) {
				t.Errorf("%v, want %q", err, w.says)
			}
		})
	}
}

// TestBoundary: a message in the record of a hello, behind it, breaks a law where the peer goes on.
func TestBoundary(t *testing.T) {
	input := in(TLS)
	input.Edits = []Edit{{Do: "append", Message: "ServerHello", Octets: []byte{8, 0, 0, 2, 0, 0}, Shadow: true}}
	s, err := input.subject(nil, false)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.local(input)
	if err != nil || r.done[attls.RoleClient] || r.errs[attls.RoleClient].Failure != attls.FailMessageBoundary {
		t.Fatal(r.errs, err)
	}
	breaks := func() bool {
		return slices.ContainsFunc(r.Judge(), func(v Violation) bool { return v.Law == "message-boundary" })
	}
	if breaks() {
		t.Error("an end that refuses breaks no law")
	}
	r.done[attls.RoleClient] = true
	if !breaks() {
		t.Error("an end that goes on breaks one")
	}
}

// TestCompiledApart: each entry about two stacks that is compiled in names releases of both, a rule's source and an
// input that shows it.
func TestCompiledApart(t *testing.T) {
	n := 0
	for _, stack := range []string{"openssl", "gnutls"} {
		k, err := KnownOf(stack)
		if err != nil || k == nil {
			t.Fatal(stack, k, err)
		}
		for _, e := range k.Known {
			if len(e.Against) == 0 {
				continue
			}
			n++
			if e.Shows == nil || e.First == "" || e.Role == "" || !strings.Contains(e.Why, "RFC ") ||
				slices.ContainsFunc(e.Against, func(x KnownAgainst) bool { return x.First == "" || x.Does == "" }) {
				t.Errorf("%s: %s: %+v", stack, e.Why, e)
			}
		}
	}
	if n == 0 {
		t.Error("there is none")
	}
	if list, err := KnownInputs(); err != nil || len(list) == 0 || len(list) > n {
		t.Errorf("%d inputs of %d entries, %v", len(list), n, err)
	}
}
