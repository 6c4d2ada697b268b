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
	"attls/handshake"
	"attls/internal/rule"
)

// engineStack is a stack of engines of this module, of which one end does not obey a rule.
func engineStack(t *testing.T, off rule.Rule) *placement.InProcess {
	t.Helper()
	s, err := in(TLS).subject(nil, true)
	if err != nil {
		t.Fatal(err)
	}
	end := func(role attls.Role, do func(*handshake.Conn) error) func(context.Context, net.Conn) error {
		return func(ctx context.Context, nc net.Conn) error {
			config := rule.Without(s.configs[role], off)
			config.Tap, config.Random = nil, nil
			make := handshake.Client
			if role == attls.RoleServer {
				make = handshake.Server
			}
			conn := make(nc, config, s.answerers[role])
			defer conn.Close()
			if err := conn.HandshakeContext(ctx); err != nil {
				return err
			}
			return do(conn)
		}
	}
	answer := func(c *handshake.Conn) error {
		if _, err := c.Read(make([]byte, 100)); err != nil {
			return err
		}
		_, err := c.Write([]byte("an answer"))
		return err
	}
	wait := func(c *handshake.Conn) error {
		_, err := c.Read(make([]byte, 100))
		return err
	}
	return &placement.InProcess{Client: end(attls.RoleClient, wait), Server: end(attls.RoleServer, answer)}
}

func in(profile string) *Input {
	return &Input{Format: Format, Attacker: "server", Profile: strings.TrimPrefix(profile, TLS)}
}

// patient is longer than a busy machine takes.
const patient = time.Minute

// TestAbroad: a stack without a bug shows none, and bugs of a stack are found by the law that
// they are about.
func TestAbroad(t *testing.T) {
	for name, w := range map[string]struct {
		off  rule.Rule
		role attls.Role
		law  string
	}{
		"none":        {"none", attls.RoleClient, ""},
		"none either": {"none", attls.RoleServer, ""},
		"signature":   {rule.SignatureVerified, attls.RoleClient, "signature"},
		"finished":    {rule.FinishedVerified, attls.RoleServer, "finished"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			x := &Remote{Name: "engines", Version: "1", Stack: engineStack(t, w.off), Roles: []attls.Role{w.role}, Timeout: patient,
				Quiet: 10 * time.Millisecond}
			r, err := Run(t.Context(), Options{Targets: []*Target{target(t, TLS)}, Executions: 250, Seed: 3, Remote: x,
				FirstOnly: w.law != "", Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range r.Found {
				if w.law == "" {
					t.Errorf("%s: %v", f.Cause, f.Input.Edits)
				}
			}
			if w.law == "" {
				if r.Executions < 200 || r.Reached < 15 {
					t.Errorf("%d connections, %d outcomes", r.Executions, r.Reached)
				}
				return
			}
			at := slices.IndexFunc(r.Found, func(f *Finding) bool { return f.Law == w.law })
			if at < 0 {
				t.Fatalf("not found in %d connections: %v", r.Executions, r.Found)
			}
			again, err := ReadFile(r.Found[at].File)
			if err != nil || again.Peer != "engines 1" {
				t.Fatal(again, err)
			}
			shown, err := ReplayAbroad(t.Context(), again, x, nil)
			if err != nil || len(shown.Ladder) == 0 || !slices.ContainsFunc(shown.Violations, func(v Violation) bool { return v.Law == w.law }) {
				t.Errorf("replayed: %+v, %v", shown, err)
			}
		})
	}
}

// spoiltPeer is a server that ends, by a signal or not, or never answers.
type spoiltPeer struct {
	placement.Peer
	ends  bool
	crash string
}

func (p *spoiltPeer) Ended(time.Duration) (bool, string) { return p.ends, p.crash }

type spoiltStack struct {
	placement.Stack
	from  int // the connection from which it is so
	count *int
	crash string
	lost  bool
}

func (s spoiltStack) Serve(ctx context.Context) (placement.Peer, error) {
	*s.count++
	p, err := s.Stack.Serve(ctx)
	if err != nil {
		return nil, err
	}
	if s.lost {
		p.Stop()
		return p, nil
	}
	return &spoiltPeer{p, *s.count >= s.from, s.crash}, nil
}

// TestAbroadTrouble: a stack that crashes is a finding and the campaign goes on; one that takes
// no connection ends it with the reason.
func TestAbroadTrouble(t *testing.T) {
	hunt := func(s placement.Stack) (*Report, error) {
		return Run(t.Context(), Options{Targets: []*Target{target(t, TLS)}, Executions: 5, Remote: &Remote{Name: "x", Stack: s,
			Roles: []attls.Role{attls.RoleServer}, Timeout: patient}})
	}
	count := 0
	_, err := hunt(spoiltStack{Stack: engineStack(t, "none"), from: 1, count: &count, crash: "segmentation fault"})
	if err == nil || !strings.Contains(err.Error(), "segmentation fault") {
		t.Errorf("a stack that crashes without edits: %v", err)
	}
	_, err = hunt(spoiltStack{Stack: engineStack(t, "none"), count: &count, lost: true})
	if err == nil || !strings.Contains(err.Error(), "connect") {
		t.Errorf("a stack that takes no connection: %v", err)
	}
	for _, x := range []*told{{crash: "segmentation fault"}, {ended: true}} {
		r := &run{told: x, attacker: attls.RoleClient}
		if list := r.judgeAbroad(in(TLS)); len(list) != 1 || list[0].Law != lawCrash {
			t.Errorf("a crash: %v", list)
		}
	}
}

// TestKnown: an entry needs a law, a text that does not fit everything, and a reason; files of
// another version are refused, and what is compiled in is right.
func TestKnown(t *testing.T) {
	const head = "format: attls-fuzz-known 1\npeer: x\nknown:\n"
	for name, w := range map[string]struct{ text, says string }{
		"format":      {"format: attls-fuzz-known 2\npeer: x\n", `the file says "attls-fuzz-known 2"`},
		"no peer":     {"format: attls-fuzz-known 1\n", "peer: the name of the stack is missing"},
		"unknown key": {head + "- {law: crash, says: everything, why: y, because: z}\n", "because"},
		"no reason":   {head + "- {law: crash, says: a signal ended it}\n", "known[0].why: an entry needs a reason"},
		"null":        {head + "-\n", "known[0].why"},
		"everything":  {head + "- {law: crash, says: '      a   ', why: y}\n", "known[0].says"},
		"law":         {head + "- {law: crush, says: everything, why: y}\n", `no law is called "crush"`},
		"role":        {head + "- {law: crash, says: everything, role: both, why: y}\n", `role: "both"`},
		"half":        {head + "- {law: crash, says: everything, first: '3', why: y}\n", "first and last"},
		"too large":   {strings.Repeat("#", maxFile+1), "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ReadKnown(strings.NewReader(w.text)); err == nil || !strings.Contains(err.Error(), w.says) {
				t.Errorf("%v, want %s", err, w.says)
			}
		})
	}
	k, err := ReadKnown(strings.NewReader(head +
		"- {law: extension-in-place, says: in CertificateRequest, role: client, first: '3.0', last: '3.5', why: it is passed over}\n"))
	if err != nil {
		t.Fatal(err)
	}
	v := Violation{"extension-in-place", attls.RoleClient, "took the extension cookie in CertificateRequest, where it does not belong"}
	other := v
	other.Role = attls.RoleServer
	if k.Explains(&v, "3.0.2") == nil || k.Explains(&v, "2.9") != nil || k.Explains(&other, "3.0.2") != nil {
		t.Error("an entry explains what it is about, and nothing else")
	}
	files, err := os.ReadDir("known")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		k, err := ReadKnownFile(filepath.Join("known", f.Name()))
		if err != nil || strings.ReplaceAll(k.Peer, "/", "-")+".yaml" != f.Name() {
			t.Errorf("%s: %v", f.Name(), err)
		}
	}
}
