package authenticators

import (
	"bufio"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"attls"
	"attls/internal/process"
)

// lender is a stack whose program lends the exporter of a connection.
type lender struct{ name, path string }

// libraries are the stacks that conformance/exporters builds programs of.
var libraries = []string{"openssl", "gnutls", "nss"}

// FindExporters is the directory of the programs that ATTLS_EXPORTERS names, or that
// conformance/exporters/build.sh has built last; empty: there is none.
func FindExporters() string {
	if directory := os.Getenv("ATTLS_EXPORTERS"); directory != "" {
		return directory
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	found, _ := filepath.Glob(filepath.Join(cache, "attls", "exporters", "*-plain"))
	if len(found) == 0 {
		return ""
	}
	return slices.MaxFunc(found, func(a, b string) int { return modified(a).Compare(modified(b)) })
}

func modified(name string) time.Time {
	info, err := os.Stat(name)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// Lenders are OpenSSL, GnuTLS and NSS, with the programs of a directory.
func Lenders(directory string) (list []Stack) {
	for _, name := range libraries {
		path := ""
		if directory != "" {
			path = filepath.Join(directory, name)
		}
		list = append(list, &lender{name, path})
	}
	return list
}

// Name implements Stack.
func (l *lender) Name() string { return l.name }

// Missing implements Stack.
func (l *lender) Missing() string {
	if l.path == "" {
		return "conformance/exporters/build.sh was not run"
	}
	if _, err := os.Stat(l.path); err != nil {
		return "conformance/exporters/build.sh has not built the program of " + l.name +
			", whose development files it needs"
	}
	return ""
}

// Version implements Stack.
func (l *lender) Version(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, l.path, "version").Output()
	return strings.TrimSpace(string(out)), err
}

// Start implements Stack.
func (l *lender) Start(ctx context.Context, s *Setting) (Starting, error) {
	suite := fmt.Sprintf("%#04x", uint16(s.Suite))
	end := func(p *program) End { return p }
	if s.Role == attls.RoleClient {
		_, port, err := net.SplitHostPort(s.Address)
		if err != nil {
			return nil, err
		}
		return begin(ctx, s, "", l.path, end, "client", port, suite)
	}
	directory, certificate, key, err := s.Identity.files()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(directory))
	}
	return begin(ctx, s, directory, l.path, end, "server", certificate, key, suite)
}

// begin starts a program, and waits for a server to listen. The directory is removed when
// it is stopped.
func begin(ctx context.Context, s *Setting, directory, path string, end func(*program) End,
	args ...string) (Starting, error) {
	p, err := startProgram(ctx, path, args...)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(directory))
	}
	p.set, p.directory, p.end = s, directory, end
	if s.Role == attls.RoleServer {
		fields, err := p.line("listening", 1)
		if err != nil {
			p.Stop()
			return nil, err
		}
		p.address = net.JoinHostPort("127.0.0.1", fields[0])
	}
	return p, nil
}

// files writes an identity to a new directory, as DER.
func (i *Identity) files() (directory, certificate, key string, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(i.Key)
	if err != nil {
		return "", "", "", err
	}
	if directory, err = os.MkdirTemp("", "attls-authenticators-"); err != nil {
		return "", "", "", err
	}
	certificate, key = filepath.Join(directory, "certificate"), filepath.Join(directory, "key")
	err = errors.Join(os.WriteFile(certificate, i.Certificate, 0o600), os.WriteFile(key, der, 0o600))
	return directory, certificate, key, err
}

// maxLine bounds a line of a program, in octets.
const maxLine = 2*maxFrame + 64

// program is an end that obeys lines.
type program struct {
	cmd       *exec.Cmd
	cancel    context.CancelFunc
	in        interface{ WriteString(string) (int, error) }
	out       *bufio.Scanner
	said      tail // on standard error
	address   string
	directory string
	set       *Setting
	end       func(*program) End
	stopped   sync.Once

	hash  crypto.Hash
	hello []byte
	mu    sync.Mutex // one line at a time
}

// tail keeps the first octets of what is written.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b[:min(len(b), 1<<12-len(t.text))]...)
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}

// startProgram starts one, which Stop or the context ends.
func startProgram(ctx context.Context, path string, args ...string) (*program, error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &program{cmd: process.Command(ctx, path, args...), cancel: cancel}
	p.cmd.Stderr = &p.said
	in, err := p.cmd.StdinPipe()
	if err == nil {
		var out interface{ Read([]byte) (int, error) }
		if out, err = p.cmd.StdoutPipe(); err == nil {
			p.out = bufio.NewScanner(out)
			p.out.Buffer(nil, maxLine)
			err = p.cmd.Start()
		}
	}
	if err != nil {
		cancel()
		return nil, err
	}
	p.in = stringWriter{in}
	return p, nil
}

type stringWriter struct {
	w interface{ Write([]byte) (int, error) }
}

func (s stringWriter) WriteString(text string) (int, error) { return s.w.Write([]byte(text)) }

// line reads one that begins with a word and has so many fields.
func (p *program) line(word string, fields int) ([]string, error) {
	if !p.out.Scan() {
		err := p.out.Err()
		p.Stop()
		return nil, errors.Join(fmt.Errorf("the program has ended where %q was due: %s", word, p.said.String()), err)
	}
	got := strings.Split(p.out.Text(), " ")
	if got[0] == "error" {
		return nil, failureOf(strings.Join(got[1:], " "))
	}
	if got[0] != word || len(got) != fields+1 {
		return nil, fmt.Errorf("the program says %.80q where %q with %d fields was due", p.out.Text(), word, fields)
	}
	return got[1:], nil
}

// failureOf is the error of a line: a program that checks authenticators begins it with the
// name of a failure.
func failureOf(text string) error {
	if name, rest, ok := strings.Cut(text, ": "); ok && strings.Contains(name, ".") && !strings.Contains(name, " ") {
		return attls.Errorf(attls.Violation, attls.Failure(name), "%s", rest)
	}
	return errors.New(text)
}

// do asks the program, and returns the fields of its answer.
func (p *program) do(answer string, fields int, words ...string) ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.in.WriteString(strings.Join(words, " ") + "\n"); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", words[0], err, p.said.String())
	}
	got, err := p.line(answer, fields)
	if err != nil {
		var named *attls.Error
		if errors.As(err, &named) {
			return nil, err
		}
		return nil, fmt.Errorf("%s: %w", words[0], err)
	}
	return got, nil
}

// Address implements Starting.
func (p *program) Address() string { return p.address }

// Stop implements Starting.
func (p *program) Stop() {
	p.stopped.Do(func() {
		p.cancel()
		_ = process.Wait(p.cmd)
		if p.directory != "" {
			_ = os.RemoveAll(p.directory)
		}
	})
}

// End implements Starting.
func (p *program) End() (End, error) {
	fields, err := p.line("connected", 2)
	if err != nil {
		return nil, err
	}
	switch fields[0] {
	case "SHA256":
		p.hash = crypto.SHA256
	case "SHA384":
		p.hash = crypto.SHA384
	default:
		return nil, fmt.Errorf("the program says that the hash is %.20q", fields[0])
	}
	if p.hello, err = octetsOf(fields[1]); err != nil {
		return nil, err
	}
	return p.end(p), nil
}

// given is a field of octets; nil: none are given.
func given(b []byte) string {
	switch {
	case b == nil:
		return "-"
	case len(b) == 0:
		return "."
	}
	return hex.EncodeToString(b)
}

// octets asks for octets in hexadecimal.
func (p *program) octets(answer string, words ...string) ([]byte, error) {
	fields, err := p.do(answer, 1, words...)
	if err != nil {
		return nil, err
	}
	return octetsOf(fields[0])
}

// Export implements End.
func (p *program) Export(label string, context []byte, length int) ([]byte, error) {
	if length < 0 {
		return nil, errors.New("a negative length")
	}
	n := binary.BigEndian.AppendUint32(nil, uint32(length))
	return p.octets("value", "export", given([]byte(label)), given(context), given(n))
}

// Send implements End.
func (p *program) Send(frame []byte) error {
	_, err := p.do("sent", 0, "send", given(slices.Concat([]byte{}, frame)))
	return err
}

// Receive implements End.
func (p *program) Receive() ([]byte, error) { return p.octets("frame", "receive") }

// Authenticators implements End.
func (p *program) Authenticators() (Authenticators, error) {
	return over(p.set.Role, p.hash, p.Export, p.hello, p.set.Identity)
}

// Close implements End.
func (p *program) Close() error {
	_, err := p.do("closed", 0, "close")
	return err
}
