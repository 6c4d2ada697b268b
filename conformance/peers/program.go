package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/internal/process"
)

// maxOutput bounds what is kept of a program's output, in octets.
const maxOutput = 1 << 20

// listening is what a server writes, before its address, once it listens.
const listening = "listening on "

// program is an end that is a process of its own. It says on standard error
// where it listens, and its claims are the lines of its standard output.
type program struct {
	cmd     *exec.Cmd
	cancel  context.CancelFunc
	address string
	ready   chan struct{} // closed when it listens or its standard error ends
	stderr  limited
	stdout  limited
	wait    func() error
	ended   chan struct{} // closed when wait returns
	due     int           // how many lines of claims are to come
	read    int           // how many of them were read
}

// start starts a program; one that serves so many connections has started when
// it listens. A client serves none.
func start(ctx context.Context, serves int, name string, args ...string) (*program, error) {
	return startWith(ctx, question, serves, name, args...)
}

// startWith is start with other standard input.
func startWith(ctx context.Context, input string, serves int, name string, args ...string) (*program, error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &program{cmd: process.Command(ctx, name, args...), cancel: cancel, ready: make(chan struct{}),
		ended: make(chan struct{}), due: max(serves, 1)}
	p.stdout.grown = make(chan struct{}, 1)
	p.cmd.Stdout = &p.stdout
	p.cmd.Stdin = strings.NewReader(input)
	heard := &announcement{program: p}
	p.cmd.Stderr = heard
	if err := p.cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	p.wait = sync.OnceValue(func() error {
		defer heard.end()
		return process.Wait(p.cmd) // bounded where a child of the program lives on
	})
	go func() {
		defer close(p.ended)
		_ = p.wait()
	}()
	if serves == 0 {
		return p, nil
	}
	<-p.ready
	if p.address == "" {
		p.Stop()
		return nil, fmt.Errorf("it did not listen: %s", p.stderr.String())
	}
	return p, nil
}

// announcement takes a program's standard error and finds the line that says
// where it listens.
type announcement struct {
	program *program
	line    []byte // begun and not ended
	said    bool
}

func (a *announcement) Write(b []byte) (int, error) {
	for part := range bytes.Lines(b) {
		a.line = append(a.line, part[:min(len(part), maxOutput-len(a.line))]...)
		if !bytes.HasSuffix(part, []byte("\n")) {
			continue
		}
		if _, address, ok := strings.Cut(string(a.line), listening); ok && !a.said {
			a.program.address, a.said = strings.TrimSpace(address), true
			close(a.program.ready)
		} else {
			_, _ = a.program.stderr.Write(a.line)
		}
		a.line = a.line[:0]
	}
	return len(b), nil
}

// end is called when nothing more comes.
func (a *announcement) end() {
	_, _ = a.program.stderr.Write(a.line)
	if !a.said {
		close(a.program.ready)
	}
}

func (p *program) Address() string { return p.address }

// Claims reads the next line of claims, and waits for the program's end where it
// is the last. A program that fails and prints one is believed.
func (p *program) Claims() (claims.Claims, error) {
	var c claims.Claims
	line, err := p.line()
	p.read++
	if e := json.Unmarshal(line, &c); e != nil {
		return c, errors.Join(err, fmt.Errorf("no claims: %w; it says: %s", e, p.stderr.String()))
	}
	return c, nil
}

// line is the next line of claims; the error is that of a program that has ended.
func (p *program) line() ([]byte, error) {
	for p.read+1 < p.due {
		if line, ok := p.stdout.line(p.read); ok {
			return line, nil
		}
		select {
		case <-p.stdout.grown:
		case <-p.ended:
			p.due = 0 // no other comes
		}
	}
	err := p.wait()
	line, _ := p.stdout.line(p.read)
	return line, err
}

func (p *program) Stop() {
	p.cancel()
	_ = p.wait()
}

// limited keeps the first octets it is given.
type limited struct {
	mu    sync.Mutex
	kept  bytes.Buffer
	grown chan struct{} // told of each Write; nil: nobody listens
}

func (l *limited) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept.Write(b[:min(len(b), maxOutput-l.kept.Len())])
	select {
	case l.grown <- struct{}{}:
	default:
	}
	return len(b), nil
}

// line is the line of that number, from 0, and whether its end has come.
func (l *limited) line(n int) ([]byte, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := bytes.Split(bytes.Clone(l.kept.Bytes()), []byte("\n"))
	if n >= len(lines) {
		return nil, false
	}
	return lines[n], n+1 < len(lines)
}

func (l *limited) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.TrimSpace(l.kept.String())
}

// common are the flags that our command and our mbedTLS peer share.
func common(t *Task) []string {
	s := &t.Scenario
	args := []string{"--json", "--key", t.key(), "--keylog", t.keyLog()}
	if t.compiled != "" {
		args = append(args, "--compiled", t.compiled)
	} else {
		args = append(args, "--profile", or(s.Profile, "none"))
	}
	args = append(args, t.credentialFlags()...)
	if s.Profile != "" {
		args = append(args, "--attester", string(s.Attester), "--model", s.Model, "--credential", s.Credential)
		if s.Attester.Has(t.Role.Peer()) {
			args = append(args, "--require-attestation")
		}
	}
	if s.Suite != "" {
		args = append(args, "--suites", s.Suite)
	}
	if g := groups(s, t.Role); g != nil {
		args = append(args, "--groups", strings.Join(g, ","))
	}
	if s.ALPN != "" {
		args = append(args, "--alpn", s.ALPN)
	}
	return append(args, t.ticketFlags()...)
}

// credentialFlags are those about what an end shows beside its key, and what it
// takes.
func (t *Task) credentialFlags() []string {
	if t.Scenario.RawPublicKeys {
		return []string{"--raw-public-key", "--peer-key", t.peerKey()}
	}
	return []string{"--cert", t.certificate(), "--ca", t.authority()}
}

// ticketFlags are those about tickets.
func (t *Task) ticketFlags() []string {
	if t.connections() == 1 {
		return nil
	}
	args := []string{"--psk-modes", t.pskModes()}
	if t.Scenario.EarlyData && t.Role == attls.RoleServer {
		args = append(args, "--early-data")
	}
	switch {
	case t.keeps():
		args = append(args, "--sess-out", t.session())
	case t.Resumes:
		args = append(args, "--sess-in", t.session())
		if t.Scenario.EarlyData {
			args = append(args, "--early-data", t.earlyData())
		}
	case t.Scenario.Resumption == scenario.ResumeRefused:
		args = append(args, "--refuse-tickets")
	}
	return args
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// Command is this stack as the program attls.
type Command struct{ Path string }

// Name implements Peer: it is what grids, pages and flags call the stack.
func (Command) Name() string { return "attls-command" }

// Missing implements Peer.
func (c Command) Missing() string { return missingProgram(c.Path, "attls") }

// versionTimeout bounds the question for a version.
const versionTimeout = 10 * time.Second

// versionOf is the first line that a program prints about its version, without
// what it says about its build.
func versionOf(ctx context.Context, path string, args ...string) (string, error) {
	out, err := process.Output(ctx, versionTimeout, "", append([]string{path}, args...)...)
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if err != nil {
		return "", err
	}
	line, _, _ = strings.Cut(strings.TrimPrefix(line, "build version: "), " (")
	return line, nil
}

func missingProgram(path, what string) string {
	if path == "" {
		return "the program " + what + " is not here"
	}
	if _, err := exec.LookPath(path); err != nil {
		return err.Error()
	}
	return ""
}

// Identify implements Identifier.
func (c Command) Identify(context.Context) (version, where string, err error) {
	return claims.StackVersion(), c.Path, nil
}

// Limit implements Peer.
func (Command) Limit(s *scenario.Scenario, r attls.Role) string {
	if s.KeyUpdate == r.String() {
		return "the command is run without a KeyUpdate of its own"
	}
	if s.Fail != "" || len(s.CodePoints) > 0 || len(s.Readings) > 0 {
		return "the command is run without faults, readings and code points"
	}
	if s.Updates() > 0 && r == attls.RoleClient {
		return "the command begins an update after some time or data, or when a person says so, not before a request"
	}
	if s.Reattest && s.Attester != scenario.AttestServer {
		return "as a server, the command asks again after some time or data, not once"
	}
	if p, err := s.Load(); err == nil && p != nil && r == attls.RoleClient && s.Attester.Has(r) &&
		phaseOf(s, r) == profile.PhaseAuthenticator && !p.Authenticator.Waits() {
		return "the command may close before it is asked to attest, where application data does not wait for that"
	}
	return ownKeys(s, r)
}

// signedByAuthority reports whether Evidence is in certificates that need a certification path.
func signedByAuthority(s *scenario.Scenario) bool {
	p, err := s.Load()
	if err != nil || p == nil || s.Credential != claims.CredentialX509 {
		return false
	}
	c, there := p.Credential(profile.KindX509)
	return there && c.Carrier == profile.CarrierCertificate && c.PKIX
}

// Start implements Peer.
func (c Command) Start(ctx context.Context, t *Task) (Process, error) {
	args := common(t)
	if name := t.Scenario.RootOfTrust; name != "" {
		args = append(args, "--root-of-trust", name)
	}
	if t.Scenario.Attester.Has(t.Role) && signedByAuthority(&t.Scenario) {
		args = append(args, t.issuer()...)
	}
	if t.Scenario.Updates() > 0 {
		args = append(args, "--extended-key-update")
	}
	if t.Role == attls.RoleServer {
		if t.Scenario.ClientCertificate || phaseOf(&t.Scenario, attls.RoleClient) == profile.PhaseFrame &&
			t.Scenario.Attester.Has(attls.RoleClient) {
			args = append(args, "--verify", "require")
		}
		return start(ctx, t.connections(), c.Path,
			append([]string{"server", "--port", "0", "--echo", "--max-connections", strconv.Itoa(t.connections())}, args...)...)
	}
	if g := groups(&t.Scenario, t.Role); g != nil && t.Scenario.HelloRetry {
		args = append(args, "--key-shares", g[0]) // whatever group a session had
	}
	input := question
	if t.Resumes && t.Scenario.EarlyData {
		input = "" // it sends its early data again where that is rejected
	}
	if t.Scenario.Reattest {
		args, input = append(args, "--commands"), question+"r\n"+question
	}
	return startWith(ctx, input, 0, c.Path, append(append([]string{"client", "--servername", serverName}, args...),
		t.Address)...)
}
