package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"attls/conformance/claims"
	"attls/internal/console"
)

// lockedBuffer is written by a server while a test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// running is an "attls server" in this process.
type running struct {
	address string
	out     lockedBuffer
	log     lockedBuffer
	stop    context.CancelFunc
	logged  chan struct{} // closed when log is complete
	code    chan int
}

// start runs the server and waits until it says its port.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	return startWith(t, strings.NewReader(""), args...)
}

// startWith is start with a standard input.
func startWith(t *testing.T, input io.Reader, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	s := &running{stop: stop, code: make(chan int, 1), logged: make(chan struct{})}
	r, w := io.Pipe()
	go func() {
		code := run(ctx, append([]string{"server", "--port", "0"}, args...), input, &s.out, w)
		w.Close()
		<-s.logged
		s.code <- code
	}()
	lines := bufio.NewReader(r)
	first, err := lines.ReadString('\n')
	_, address, ok := strings.Cut(strings.TrimSpace(first), "listening on ")
	if err != nil || !ok {
		t.Fatalf("the server says %q, %v", first, err)
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	s.address = "localhost:" + port
	go func() {
		defer close(s.logged)
		io.Copy(&s.log, lines)
	}()
	t.Cleanup(stop)
	return s
}

// wait waits for the end of the server and returns its exit code.
func (s *running) wait(t *testing.T) int {
	t.Helper()
	select {
	case code := <-s.code:
		return code
	case <-time.After(30 * time.Second):
		t.Fatal("the server does not end")
	}
	return -1
}

// claims reads the lines of --json.
func claimsIn(t *testing.T, text string) (list []claims.Claims) {
	t.Helper()
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		var c claims.Claims
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		list = append(list, c)
	}
	return list
}

// TestEndpoints lets "attls client" talk to "attls server" in every design.
func TestEndpoints(t *testing.T) {
	for _, args := range [][]string{
		{"--profile", "early-attestation-06", "--attester", "server"},
		{"--profile", "early-attestation-06", "--attester", "both", "--model", "results"},
		{"--profile", "early-attestation-00", "--attester", "both"},
		{"--profile", "tls-attestation-07", "--attester", "both", "--credential", "attestation"},
		{"--profile", "tls-attestation-07", "--attester", "server", "--credential", "x509"},
		{"--profile", "mbedtls-poc", "--attester", "client"},
		{"--profile", "none"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			s := start(t, append(args, "--echo", "--json", "--max-connections", "1")...)
			var out, log bytes.Buffer
			code := run(context.Background(), append(append([]string{"client", "-q"}, args...), s.address), strings.NewReader("there and back"), &out, &log)
			if code != exitOK || out.String() != "there and back" {
				t.Errorf("client: exit code %d, %q, %s", code, out.String(), log.String())
			}
			if code := s.wait(t); code != exitOK {
				t.Errorf("server: exit code %d, %s", code, s.log.String())
			}
			c := claimsIn(t, s.out.String())
			if len(c) != 1 || c[0].Role != "server" || c[0].DataReceived != 14 || c[0].DataSent != 14 || c[0].Error != nil {
				t.Errorf("the server claims %+v", c)
			}
		})
	}
}

// TestRequireAttestation: a peer that does not attest is refused by an end that
// demands it, with the profile's alert, and served otherwise.
func TestRequireAttestation(t *testing.T) {
	s := start(t, "--profile", "none", "--www", "--json")
	code, stdout, stderr := command(t, "client", "--json", "--require-attestation", "--http-get", "/", s.address)
	if want := "attls: Certificate: the server must attest and chose no scheme [attestation.demanded_by_client, early-attestation-06, alert attestation_required]\n"; stderr != want {
		t.Errorf("standard error is %q, want %q", stderr, want)
	}
	if c := claimsIn(t, stdout); code != exitFailed || c[0].Error == nil || c[0].Error.Failure != "attestation.demanded_by_client" || c[0].AlertSent.Name != "attestation_required" {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	code, stdout, stderr = command(t, "client", "--http-get", "/", s.address)
	if code != exitOK || !strings.Contains(stdout, "200 OK") {
		t.Errorf("without demand: exit code %d, %s%s", code, stdout, stderr)
	}
	s.stop()
	if code := s.wait(t); code != exitOK {
		t.Errorf("interrupted: exit code %d", code)
	}
}

// writerFunc is a Writer.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// TestPipedInput: what is piped into a server waits for a connection.
func TestPipedInput(t *testing.T) {
	s := startWith(t, strings.NewReader("piped in"), "--max-connections", "1")
	more, end := io.Pipe() // the client's input, open until it has heard the server
	var heard, log bytes.Buffer
	out := writerFunc(func(b []byte) (int, error) {
		end.Close()
		return heard.Write(b)
	})
	if code := run(context.Background(), []string{"client", "-q", s.address}, more, out, &log); code != exitOK || heard.String() != "piped in" {
		t.Errorf("exit code %d, %q, %s", code, heard.String(), log.String())
	}
	if code := s.wait(t); code != exitOK {
		t.Errorf("server: exit code %d, %s", code, s.log.String())
	}
}

// shortListener has no descriptor for the first connections.
type shortListener struct {
	net.Listener
	short []error
}

func (l *shortListener) Accept() (net.Conn, error) {
	if len(l.short) == 0 {
		return l.Listener.Accept()
	}
	err := l.short[0]
	l.short = l.short[1:]
	return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", err)}
}

// TestShortOfDescriptors: a server outlives what passes, and nothing else.
func TestShortOfDescriptors(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	l := &shortListener{inner, []error{syscall.EMFILE, syscall.ECONNABORTED}}
	nc, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	taken, err := accept(context.Background(), l)
	if err != nil {
		t.Fatal(err)
	}
	taken.Close()
	l.short = []error{syscall.EBADF}
	if _, err := accept(context.Background(), l); !errors.Is(err, syscall.EBADF) {
		t.Errorf("a broken listener: %v", err)
	}
}

// TestManyConnections: several at once, one of which says nothing at all.
func TestManyConnections(t *testing.T) {
	s := start(t, "--echo", "--json")
	idle, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	var wait sync.WaitGroup
	for range 8 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			var out, log bytes.Buffer
			if code := run(context.Background(), []string{"client", "-q", s.address}, strings.NewReader("one of many"), &out, &log); code != exitOK || out.String() != "one of many" {
				t.Errorf("exit code %d, %q, %s", code, out.String(), log.String())
			}
		}()
	}
	wait.Wait()
	idle.Close()
	s.stop()
	if code := s.wait(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	served := 0
	for _, c := range claimsIn(t, s.out.String()) {
		if c.State == "closed" && len(c.Attestation) == 1 {
			served++
		}
	}
	if served != 8 {
		t.Errorf("%d connections were served:\n%s", served, s.out.String())
	}
}

// TestMessagesAndKeyLog looks at --msg and at the key log.
func TestMessagesAndKeyLog(t *testing.T) {
	s := start(t, "--www")
	file := filepath.Join(t.TempDir(), "keys")
	code, _, stderr := command(t, "client", "--msg", "--keylog", file, "--http-get", "/", s.address)
	if code != exitOK || !strings.Contains(stderr, "ClientHello") || !strings.Contains(stderr, "00000000  01 00") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	keys, err := os.ReadFile(file)
	if err != nil || !bytes.Contains(keys, []byte("SERVER_TRAFFIC_SECRET_0 ")) {
		t.Errorf("%s %v", keys, err)
	}
}

// TestPrograms lets the command itself take the place of the root of trust and
// of the verifier.
func TestPrograms(t *testing.T) {
	go_, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go command to build attls with")
	}
	program := filepath.Join(t.TempDir(), "attls")
	if out, err := exec.Command(go_, "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, args := range [][]string{
		{"--profile", "early-attestation-06"},
		{"--profile", "tls-attestation-07", "--credential", "attestation"},
	} {
		s := start(t, append(args, "--www", "--attester-cmd", program+" evidence serve")...)
		code, stdout, stderr := command(t, append(append([]string{"client", "--json", "--require-attestation", "--http-get", "/", "--appraiser-cmd", program + " evidence serve"}, args...), s.address)...)
		if c := claimsIn(t, stdout); code != exitOK || len(c[0].Attestation) != 1 || !c[0].Attestation[0].Verdict.Accepted {
			t.Errorf("%v: exit code %d: %s%s%s", args, code, stdout, stderr, s.log.String())
		}
	}
	s := start(t, "--www", "--attester-cmd", "false")
	if code, _, _ := command(t, "client", "-q", "--http-get", "/", s.address); code != exitFailed {
		t.Errorf("an attester that fails: exit code %d", code)
	}
}

// TestOpenSSL talks to OpenSSL in both roles with certificates from files.
func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if out, err := exec.Command(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
		"-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Run("s_client", func(t *testing.T) {
		s := start(t, "--www", "--cert", cert, "--key", key, "--json", "--alpn", "http/1.0")
		c := exec.Command(openssl, "s_client", "-connect", strings.Replace(s.address, "localhost", "127.0.0.1", 1), "-servername", "localhost",
			"-CAfile", cert, "-verify_return_error", "-alpn", "http/1.0", "-quiet", "-ign_eof")
		c.Stdin = strings.NewReader("GET / HTTP/1.0\r\n\r\n")
		out, err := c.Output()
		if err != nil || !bytes.Contains(out, []byte(`"alpn": "http/1.0"`)) {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("s_server", func(t *testing.T) {
		c, err := console.Start(t.Context(), nil, openssl, "s_server", "-accept", "127.0.0.1:0", "-cert", cert, "-key", key, "-tls1_3", "-www", "-naccept", "2")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Stop()
		listens, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		said, err := c.Await(listens, regexp.MustCompile(`ACCEPT 127\.0\.0\.1:(\d+)`))
		if err != nil {
			t.Fatal(err)
		}
		port := said[1]
		code, stdout, stderr := command(t, "client", "--ca", cert, "--http-get", "/", "localhost:"+port)
		if code != exitOK || !strings.Contains(stdout, "TLSv1.3") {
			t.Errorf("exit code %d: %s%s", code, stdout, stderr)
		}
		code, _, stderr = command(t, "client", "-q", "--http-get", "/", "localhost:"+port)
		if code != exitFailed || !strings.Contains(stderr, "unknown_ca") {
			t.Errorf("a certificate that nobody vouches for: exit code %d, %s", code, stderr)
		}
	})
}

// TestUnavailable: what the machine does not give ends with code 3.
func TestUnavailable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	missing := filepath.Join(t.TempDir(), "absent.pem")
	for _, args := range [][]string{
		{"server", "--port", port},
		{"server", "--port", "0", "--cert", missing},
		{"client", "--ca", missing},
		{"evidence", "appraise", missing},
		{"client", "--timeout", "100ms", "--attester-cmd", missing, "127.0.0.1:" + port},
		{"client", "--timeout", "100ms", "--appraiser-cmd", missing + " and arguments", "127.0.0.1:" + port},
	} {
		if code, _, stderr := command(t, args...); code != exitUnavailable {
			t.Errorf("%v: exit code %d, %s", args, code, stderr)
		}
	}
	l.Close()
	if code, _, stderr := command(t, "client", "127.0.0.1:"+port); code != exitUnavailable {
		t.Errorf("nobody listens: exit code %d, %s", code, stderr)
	}
}
