package campaign

import (
	"bufio"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"attls"
	"attls/internal/process"
)

// stackTargets are the targets whose honest end is a C program. The attacker is this engine.
var stackTargets = map[string]attls.Role{"mbedtls-client": attls.RoleClient, "mbedtls-server": attls.RoleServer}

// StackTargets are the names of the targets that are C programs.
func StackTargets() []string { return []string{"mbedtls-client", "mbedtls-server"} }

// stackPlace is one connection of a C program: a line of its file of variants.
type stackPlace struct {
	profile string
	conn    Connection
	args    []string
}

// stackPlaces are the connections that the program can make in a role.
func stackPlaces(role attls.Role) (list []stackPlace) {
	add := func(profile string, c Connection, args ...string) {
		list = append(list, stackPlace{profile, c, args})
	}
	add("", Connection{})
	add("", Connection{ClientCertificate: true})
	add("", Connection{GREASE: true})
	add("", Connection{RawPublicKeys: true, ClientCertificate: true})
	if role == attls.RoleClient {
		add("", Connection{HelloRetry: true})
		add("", Connection{HelloRetry: true, ClientCertificate: true})
	} else { // the group without a share makes it ask again
		add("", Connection{}, "--groups", "secp384r1")
		add("", Connection{ClientCertificate: true}, "--groups", "secp384r1")
	}
	for _, profile := range []string{"early-attestation-06", "tls-attestation-07"} {
		for _, attester := range attls.Roles() {
			add(profile, Connection{Attester: attester.String(), Model: "evidence", Credential: "x509",
				HelloRetry: role == attls.RoleClient && attester == role})
		}
	}
	if role == attls.RoleServer { // behind the others, whose numbers inputs have
		add("", Connection{Resumption: true}, "--psk-modes", "psk_dhe_ke")
		add("early-attestation-06", Connection{Attester: "client", Model: "evidence", Credential: "x509"},
			"--groups", "secp384r1")
	}
	return list
}

// line are the options of the program for a connection.
func (x *stackPlace) line(n int, role attls.Role) string {
	c := &x.conn
	args := []string{"--" + role.String(), "--json", "--alpn", "attls,h2"}
	name := keyFile(n, role)
	key := []string{"--key", "@" + name + ".key"}
	client := role == attls.RoleClient && (c.ClientCertificate || c.Attester == "client")
	switch {
	case c.RawPublicKeys:
		args = append(append(args, key...), "--raw-public-key", "--peer-key", "@"+keyFile(n, role.Peer())+".pub")
	case role == attls.RoleServer || client:
		args = append(append(args, key...), "--cert", "@"+name+".pem", "--ca", "@ca.pem")
	default:
		args = append(args, "--ca", "@ca.pem")
	}
	if role == attls.RoleServer && (c.ClientCertificate || c.Attester == "client") {
		args = append(args, "--ask-certificate")
	}
	if x.profile != "" {
		args = append(args, "--profile", x.profile, "--attester", c.Attester, "--model", c.Model, "--credential",
			c.Credential, "--attester-cmd", "built-in", "--appraiser-cmd", "built-in")
		if c.Attester != role.String() {
			args = append(args, "--require-attestation")
		}
	}
	return strings.Join(append(args, x.args...), " ")
}

// prepareStack writes what the program needs into a directory: its variants, keys and
// certificates. The subjects are in the order of the variants.
func prepareStack(w *world, role attls.Role, dir string) (list []*subject, places []stackPlace, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, nil, err
	}
	var lines strings.Builder
	for n, x := range stackPlaces(role) {
		t, err := NewTarget(x.profile)
		if err != nil {
			return nil, nil, err
		}
		s, err := newSubject(w, x.profile, t.Profile, x.conn, nil)
		if err != nil {
			return nil, nil, fmt.Errorf("%v: %w", x.conn, err)
		}
		list, places = append(list, s), append(places, x)
		fmt.Fprintln(&lines, x.line(n, role))
		for _, r := range attls.Roles() {
			if err := s.writeKeys(filepath.Join(dir, keyFile(n, r)), r); err != nil {
				return nil, nil, err
			}
		}
	}
	files := map[string][]byte{"variants": []byte(lines.String()), "ca.pem": w.env.Authority.PEM()}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return nil, nil, err
		}
	}
	return list, places, nil
}

// keyFile is the name, without its ending, of files with the key of an end.
func keyFile(n int, role attls.Role) string { return fmt.Sprintf("%d-%v", n, role) }

// writeKeys writes the certificate and the key of an end, where it has one.
func (s *subject) writeKeys(name string, role attls.Role) error {
	a := s.answerers[role]
	if len(a.Credentials) == 0 {
		return nil
	}
	c := a.Credentials[0]
	der, err := x509.MarshalPKCS8PrivateKey(c.Signer)
	if err != nil {
		return err
	}
	files := map[string]*pem.Block{".key": {Type: "PRIVATE KEY", Bytes: der},
		".pub": {Type: "PUBLIC KEY", Bytes: s.ownKeys[role]}}
	if len(c.Chain) > 0 && !s.conn.RawPublicKeys {
		files[".pem"] = &pem.Block{Type: "CERTIFICATE", Bytes: c.Chain[0]}
	}
	for ext, b := range files {
		if err := os.WriteFile(name+ext, pem.EncodeToMemory(b), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// FindStack is the program that conformance/mbedtls/targets.sh live built last, with the
// planted bugs or without; "": there is none.
func FindStack(planted bool) string {
	if planted {
		return findTarget("live-config-planted")
	}
	return findTarget("live-config")
}

// findTarget is the program of an engine and a configuration that targets.sh built last.
func findTarget(variant string) string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	last, at := "", time.Time{}
	found, _ := filepath.Glob(filepath.Join(cache, "attls", "mbedtls", "fuzz-*-"+variant, "target-*"))
	for _, name := range found {
		if info, err := os.Stat(name); err == nil && info.ModTime().After(at) {
			last, at = name, info.ModTime()
		}
	}
	return last
}

// stackProcess is the program, which makes one connection after the other.
type stackProcess struct {
	cmd    *exec.Cmd
	in     *os.File
	out    *os.File
	reader *bufio.Reader
	said   *tail
	work   time.Duration // that a step may take; stackWork
}

// stackPatience is how long the program may take for one step, and stackWork how much of that
// it may compute: where nothing else keeps the machine busy, a program that loops is told sooner.
const (
	stackPatience = 10 * time.Second
	stackWork     = 2 * time.Second
)

// startStack starts the program over a directory of prepareStack. planted is the number of
// a bug in a build that has them; 0: none.
func startStack(program, dir string, planted int) (*stackProcess, error) {
	inRead, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, outWrite, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, inRead.Close(), in.Close())
	}
	p := &stackProcess{cmd: exec.Command(program, dir), in: in, out: out, reader: bufio.NewReader(out), said: &tail{},
		work: stackWork}
	process.Own(p.cmd)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = inRead, outWrite, p.said
	p.cmd.Env = append(os.Environ(), "ATTLS_PLANTED="+strconv.Itoa(planted), "ASAN_OPTIONS=detect_leaks=0")
	err = p.cmd.Start()
	_, _ = inRead.Close(), outWrite.Close()
	if err != nil {
		return nil, errors.Join(err, in.Close(), out.Close())
	}
	return p, nil
}

// stop ends the program.
func (p *stackProcess) stop() {
	_ = p.in.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	_ = p.out.Close()
}

// maxStackFrame bounds a frame of the program, in octets.
const maxStackFrame = 1 << 22

// await waits for something to read.
func (p *stackProcess) await() error {
	began, worked := time.Now(), p.worked()
	for {
		if err := p.out.SetReadDeadline(time.Now().Add(stackPatience / 100)); err != nil {
			return err
		}
		_, err := p.reader.Peek(1)
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) >= stackPatience || p.worked()-worked >= p.work {
			return err
		}
	}
}

// worked is the processor time that the program has used, in Linux; 0: it is not known.
func (p *stackProcess) worked() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(b), ") ") // its name is in parentheses
	const user, system, ticks = 11, 12, 100
	fields := strings.Fields(after)
	if len(fields) <= system {
		return 0
	}
	n, _ := strconv.ParseInt(fields[user], 10, 64)
	m, _ := strconv.ParseInt(fields[system], 10, 64)
	return time.Duration(n+m) * time.Second / ticks
}

// read reads a frame: its letter and contents.
func (p *stackProcess) read() (byte, []byte, error) {
	if p.reader.Buffered() == 0 {
		if err := p.await(); err != nil {
			return 0, nil, err
		}
	}
	if err := p.out.SetReadDeadline(time.Now().Add(stackPatience)); err != nil {
		return 0, nil, err
	}
	var head [5]byte
	if _, err := io.ReadFull(p.reader, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxStackFrame {
		return 0, nil, fmt.Errorf("a frame of %d octets", n)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(p.reader, b)
	return head[0], b, err
}

// write writes a frame.
func (p *stackProcess) write(letter byte, b []byte) error {
	frame := append([]byte{letter, 0, 0, 0, 0}, b...)
	binary.BigEndian.PutUint32(frame[1:], uint32(len(b)))
	if err := p.in.SetWriteDeadline(time.Now().Add(stackPatience)); err != nil {
		return err
	}
	_, err := p.in.Write(frame)
	return err
}

// crashed says how the program ended, with what it wrote about that.
func (p *stackProcess) crashed(err error) string {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "hangs: nothing came of a step"
	}
	_ = p.in.Close()
	kill := time.AfterFunc(2*time.Second, func() { _ = p.cmd.Process.Kill() }) // one that goes on by itself
	ended := p.cmd.Wait()
	kill.Stop()
	text := "ends in the middle of a connection"
	if ended != nil {
		text += ": " + ended.Error()
	}
	for _, line := range strings.Split(p.said.String(), "\n") {
		if strings.Contains(line, "ERROR: AddressSanitizer") || strings.Contains(line, "runtime error") {
			return text + ": " + line
		}
	}
	return text
}

// tail keeps the last octets that were written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if len(t.b) > 1<<14 {
		t.b = append([]byte(nil), t.b[len(t.b)-1<<13:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
