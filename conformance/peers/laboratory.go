package peers

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/lab"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/internal/fifo"
)

// Laboratory is our mbedTLS peer, interpreting compiled profiles, as an honest end of the
// relay laboratory.
type Laboratory struct{ peer Interpreter }

// NewLaboratory makes it of the peer at a path; empty: there is none.
func NewLaboratory(path string) Laboratory {
	return Laboratory{NewInterpreter(MbedTLS{Path: path})}
}

// Name implements lab.Stack.
func (Laboratory) Name() string { return (MbedTLS{}).Name() }

// Missing implements lab.Stack.
func (l Laboratory) Missing() string {
	if reason := l.peer.Missing(); reason != "" {
		return reason
	}
	if reason := l.peer.lacks("the Handshake Secret", "does not tell its Handshake Secret"); reason != "" {
		return reason
	}
	if _, err := exec.LookPath("sh"); err != nil {
		return "the peer asks the laboratory through sh, which is not here"
	}
	return ""
}

func labScenario(p *profile.Profile, c *lab.Combination) scenario.Scenario {
	return scenario.Scenario{Profile: p.ID, Compiled: p, Attester: c.Attester, Model: c.Model, Credential: c.Credential}
}

// Limit implements lab.Stack.
func (l Laboratory) Limit(p *profile.Profile, c *lab.Combination, r attls.Role) string {
	s := labScenario(p, c)
	return l.peer.Limit(&s, r)
}

// Start implements lab.Stack.
func (l Laboratory) Start(ctx context.Context, e *lab.ProgramEnd) (lab.Program, error) {
	directory, err := os.MkdirTemp("", "attls-lab-")
	if err != nil {
		return nil, err
	}
	p := &labProgram{directory: directory, ended: make(chan struct{}), told: make(chan struct{}, 1)}
	if err := p.begin(ctx, l, e); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// labProgram is the peer in a run of the laboratory.
type labProgram struct {
	directory string
	process   Process
	conn      net.Conn
	pipes     []*os.File
	stopped   sync.Once

	mu      sync.Mutex
	secrets map[string][]byte
	told    chan struct{} // a line of the key log came
	ended   chan struct{} // closed when the process has told claims and err
	claims  claims.Claims
	err     error
}

func (p *labProgram) begin(ctx context.Context, l Laboratory, e *lab.ProgramEnd) error {
	t := &Task{Scenario: labScenario(e.Profile, e.Combo), Role: e.Role, Directory: p.directory}
	if err := writeEnd(t, e); err != nil {
		return err
	}
	log, err := p.pipe(filepath.Base(t.keyLog()))
	if err != nil {
		return err
	}
	go p.listen(log)
	l.peer.Evidence, err = p.answers(e.Ask)
	if err != nil {
		return err
	}
	t.flags = labFlags(e)
	if e.Role == attls.RoleServer {
		process, err := l.peer.Start(ctx, t)
		if err != nil {
			return err
		}
		p.started(process)
		p.conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", process.Address())
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	_ = listener.(*net.TCPListener).SetDeadline(time.Now().Add(versionTimeout))
	t.Address = listener.Addr().String()
	process, err := l.peer.Start(ctx, t)
	if err != nil {
		return err
	}
	p.started(process)
	go func() {
		<-p.ended
		listener.Close() // it does not connect any more
	}()
	if p.conn, err = listener.Accept(); err != nil {
		select {
		case <-p.ended:
			return fmt.Errorf("it does not connect: %w", p.err)
		default:
			return fmt.Errorf("it does not connect: %w", err)
		}
	}
	return nil
}

// started keeps what a process tells at its end.
func (p *labProgram) started(process Process) {
	p.process = process
	go func() {
		defer close(p.ended)
		p.claims, p.err = process.Claims()
	}()
}

// labFlags are those that a run of the laboratory adds; a later flag wins.
func labFlags(e *lab.ProgramEnd) []string {
	flags := []string{"--timeout", strconv.Itoa(int(e.Patience / time.Second)), "--suites", e.Suite.String()}
	if e.Role == attls.RoleClient {
		flags = append(flags, "--servername", e.ServerName, "--data", strconv.Itoa(e.Data))
	}
	if e.Combo.Attester.Has(e.Role.Peer()) {
		if !e.Demand {
			flags = append(flags, "--no-require-attestation")
		}
		if k, ok := e.Profile.Credential(profile.KindX509); ok && !k.PKIX && e.Combo.Credential == claims.CredentialX509 {
			flags = append(flags, "--verify", "evidence") // as the laboratory's own ends
		}
	}
	switch f := e.Scheme.Format; {
	case e.Scheme.Model != profile.ModelEvidence:
	case f.MediaType != "":
		flags = append(flags, "--format", f.MediaType)
	default:
		flags = append(flags, "--format", strconv.Itoa(int(f.ContentFormat)))
	}
	return flags
}

// writeEnd writes the credential of an end and who is trusted.
func writeEnd(t *Task, e *lab.ProgramEnd) error {
	var chain bytes.Buffer
	for _, der := range e.Chain {
		_ = pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	der, err := x509.MarshalPKCS8PrivateKey(e.Key)
	if err != nil {
		return err
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	issuer, err := e.Authority.KeyPEM()
	if err != nil {
		return err
	}
	files := map[string][]byte{t.certificate(): chain.Bytes(), t.key(): key, t.authority(): e.Authority.PEM(),
		filepath.Join(t.Directory, fileIssuerKey): issuer}
	for name, content := range files {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			return err
		}
	}
	t.selfSigned = e.SelfSigned
	return nil
}

// pipe makes a pipe with a name, which never ends.
func (p *labProgram) pipe(name string) (*os.File, error) {
	path := filepath.Join(p.directory, name)
	if err := fifo.Make(path, 0o600); err != nil {
		return nil, fmt.Errorf("a pipe with a name: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		p.pipes = append(p.pipes, f)
	}
	return f, err
}

// listen reads the key log.
func (p *labProgram) listen(log *os.File) {
	for lines := bufio.NewScanner(log); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) != 3 {
			continue
		}
		if b, err := hex.DecodeString(words[2]); err == nil {
			p.mu.Lock()
			if p.secrets == nil {
				p.secrets = map[string][]byte{}
			}
			p.secrets[words[0]] = b
			p.mu.Unlock()
		}
		select {
		case p.told <- struct{}{}:
		default:
		}
	}
}

// asks is how a program gets its answers: the question goes to a pipe, and the answer, a
// line, comes from another.
const asks = `cat > %[1]s/questions
answer=$(head -n 1 %[1]s/answers)
[ -n "$answer" ] || exit 1
printf '%%s\n' "$answer"
`

// answers answers what the peer asks through the command that is returned.
func (p *labProgram) answers(ask func([]byte) []byte) (command string, err error) {
	questions, err := p.pipe("questions")
	if err != nil {
		return "", err
	}
	answers, err := p.pipe("answers")
	if err != nil {
		return "", err
	}
	if strings.ContainsAny(p.directory, " \t\n'\"$`\\") {
		return "", fmt.Errorf("the directory for temporary files has a name that a shell reads otherwise: %s", p.directory)
	}
	script := filepath.Join(p.directory, "ask.sh")
	if err := os.WriteFile(script, fmt.Appendf(nil, asks, p.directory), 0o600); err != nil {
		return "", err
	}
	go func() {
		for r := bufio.NewReader(questions); ; {
			line, err := r.ReadBytes('\n')
			if err != nil {
				return
			}
			answer := bytes.TrimSpace(ask(line))
			if _, err := answers.Write(append(answer, '\n')); err != nil {
				return
			}
		}
	}()
	return "sh " + script, nil
}

// Conn implements lab.Program.
func (p *labProgram) Conn() net.Conn { return p.conn }

// secretTimeout bounds the wait for a secret: ServerHello leaves the peer before it is told.
const secretTimeout = 3 * time.Second

// Secret implements lab.Program.
func (p *labProgram) Secret(label string) []byte {
	timer := time.NewTimer(secretTimeout)
	defer timer.Stop()
	for {
		p.mu.Lock()
		b := p.secrets[label]
		p.mu.Unlock()
		if b != nil {
			return b
		}
		select {
		case <-p.told:
		case <-p.ended:
			return nil
		case <-timer.C:
			return nil
		}
	}
}

// cuts are what mbedTLS says where nothing more came.
var cuts = []string{"The connection indicated an EOF", "The operation timed out", "Connection was reset by peer",
	"NET - Reading information from the socket failed", "NET - Sending information through the socket failed"}

// End implements lab.Program.
func (p *labProgram) End() (*lab.Ended, error) {
	<-p.ended
	c := p.claims
	if p.err != nil && c.Schema == "" {
		return nil, p.err
	}
	ended := &lab.Ended{Claims: c}
	if e := c.Error; e != nil && c.AlertSent == nil {
		for _, cut := range cuts {
			ended.Cut = ended.Cut || strings.Contains(e.Detail, cut)
		}
	}
	return ended, nil
}

// Stop implements lab.Program.
func (p *labProgram) Stop() {
	p.stopped.Do(func() {
		if p.process != nil {
			p.process.Stop()
		}
		if p.conn != nil {
			p.conn.Close()
		}
		for _, f := range p.pipes {
			f.Close()
		}
		os.RemoveAll(p.directory)
	})
}
