package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"attls/conformance/scenario"
	"attls/handshake"
)

// other is a server of crypto/tls with a demonstration certificate, which treats
// each connection after its handshake as do says.
func other(t *testing.T, do func(*tls.Conn)) (address string) {
	t.Helper()
	authority, err := scenario.NewDemoAuthority()
	if err != nil {
		t.Fatal(err)
	}
	c, err := authority.Issue(scenario.KeyP256, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				conn := tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{{Certificate: c.Chain, PrivateKey: c.Signer}}})
				if conn.Handshake() == nil {
					do(conn)
				}
			}()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return "localhost:" + port
}

// blocked is an input that never comes to an end.
func blocked(t *testing.T) io.Reader {
	t.Helper()
	r, w := io.Pipe()
	t.Cleanup(func() { w.Close() })
	return r
}

// TestWithoutCloseNotify: a session is kept however the connection ends, and whether
// the end is a failure is for the user to say.
func TestWithoutCloseNotify(t *testing.T) {
	for name, end := range map[string]func(*tls.Conn){
		"closes": func(c *tls.Conn) { c.Write([]byte("data")); c.NetConn().Close() },
		"resets": func(c *tls.Conn) {
			c.Write([]byte("data"))
			io.ReadFull(c, make([]byte, 1)) // the client has read up to here
			c.NetConn().(*net.TCPConn).SetLinger(0)
			c.NetConn().Close()
		},
	} {
		address := other(t, end)
		for _, tolerate := range []bool{false, true} {
			file := filepath.Join(t.TempDir(), "session")
			args := []string{"client", "--profile", "none", "--json", "--sess-out", file, address}
			want := exitFailed
			if tolerate {
				args, want = append(args, "--tolerate-truncation"), exitOK
			}
			r, w := io.Pipe()
			heard := writerFunc(func(b []byte) (int, error) { return len(b), nil })
			var out lockedBuffer
			var log bytes.Buffer
			go func() { w.Write([]byte("x")) }() // open: the server ends it
			code := run(context.Background(), args, r, io.MultiWriter(&out, heard), &log)
			w.Close()
			c := claimsIn(t, out.String())[0]
			if code != want || (c.Error == nil) != tolerate || strings.Contains(log.String(), "internal") {
				t.Errorf("%s, tolerated %v: exit code %d, %s", name, tolerate, code, log.String())
			}
			if c.Error != nil && c.Error.Failure != "peer.truncated" {
				t.Errorf("%s: %+v", name, c.Error)
			}
			if _, err := readSession(file); err != nil {
				t.Errorf("%s, tolerated %v: %v", name, tolerate, err)
			}
		}
	}
}

// TestSessionAfterAlert: a session whose connection failed is discarded (RFC 8446
// section 6.2).
func TestSessionAfterAlert(t *testing.T) {
	address := other(t, func(c *tls.Conn) {
		c.Write([]byte("data"))
		c.NetConn().Write(append([]byte{23, 3, 3, 0, 32}, make([]byte, 32)...)) // does not open
		io.Copy(io.Discard, c)
	})
	dir := t.TempDir()
	file, link := filepath.Join(dir, "session"), filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Skip(err)
	}
	var out, log bytes.Buffer
	code := run(context.Background(), []string{"client", "--profile", "none", "--json", "--sess-out", link, address}, blocked(t), &out, &log)
	if c := claimsIn(t, strings.TrimPrefix(out.String(), "data"))[0]; code != exitFailed || c.AlertSent == nil || c.AlertSent.Name != "bad_record_mac" {
		t.Errorf("exit code %d, %s%s", code, out.String(), log.String())
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the session is kept: %v", err)
	}
}

// TestSignals: a client that is interrupted says so, whatever it was doing, and has
// kept its session.
func TestSignals(t *testing.T) {
	t.Run("during the conversation", func(t *testing.T) {
		for name, end := range map[string]func(*tls.Conn){
			"the server answers": func(c *tls.Conn) { c.Write([]byte("data")); io.Copy(io.Discard, c); c.Close() },
			"the server is deaf": func(c *tls.Conn) { c.Write([]byte("data")); <-t.Context().Done() },
		} {
			address := other(t, end)
			file := filepath.Join(t.TempDir(), "session")
			ctx, interrupt := context.WithCancel(context.Background())
			var log bytes.Buffer
			out := writerFunc(func(b []byte) (int, error) { interrupt(); return len(b), nil })
			code := run(ctx, []string{"client", "--profile", "none", "--sess-out", file, address}, blocked(t), out, &log)
			if code != exitInterrupted || !strings.Contains(log.String(), "interrupted by a signal") || strings.Contains(log.String(), "internal") {
				t.Errorf("%s: exit code %d, %s", name, code, log.String())
			}
			if _, err := readSession(file); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("during the handshake", func(t *testing.T) {
		ctx, interrupt := context.WithCancel(context.Background())
		address, got := mute(t, interrupt)
		var log bytes.Buffer
		if code := run(ctx, []string{"client", "--profile", "none", address}, blocked(t), io.Discard, &log); code != exitInterrupted || strings.Contains(log.String(), "internal") {
			t.Errorf("exit code %d, %s", code, log.String())
		}
		canceled(t, <-got)
	})
	t.Run("while it connects", func(t *testing.T) {
		ctx, interrupt := context.WithCancel(context.Background())
		interrupt()
		if code := run(ctx, []string{"client", "localhost:1"}, blocked(t), io.Discard, io.Discard); code != exitInterrupted {
			t.Errorf("exit code %d", code)
		}
	})
}

// mute is a server that takes a connection, calls heard and says nothing; got has
// what the client sent.
func mute(t *testing.T, heard func()) (address string, got chan []byte) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	got = make(chan []byte, 1)
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		first := make([]byte, 5)
		io.ReadFull(nc, first)
		heard()
		rest, _ := io.ReadAll(nc)
		got <- append(first, rest...)
	}()
	return l.Addr().String(), got
}

// canceled looks for user_canceled and close_notify at the end, both warnings (RFC
// 8446 section 6.1).
func canceled(t *testing.T, sent []byte) {
	t.Helper()
	if want := []byte{21, 3, 3, 0, 2, 1, 90, 21, 3, 3, 0, 2, 1, 0}; !bytes.HasSuffix(sent, want) {
		t.Errorf("the client ended with %x", sent[max(0, len(sent)-20):])
	}
}

// TestHandshakeTimeout: it is not the peer's fault, and no internal error.
func TestHandshakeTimeout(t *testing.T) {
	address, got := mute(t, func() {})
	code, stdout, stderr := command(t, "client", "--profile", "none", "--json", "--timeout", "50ms", address)
	c := claimsIn(t, stdout)[0]
	if code != exitFailed || c.Error == nil || c.Error.Failure != "timeout" || c.AlertSent == nil || c.AlertSent.Name != "user_canceled" {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	canceled(t, <-got)
}

// TestSilence: what does not go on is ended, at both ends.
func TestSilence(t *testing.T) {
	t.Run("an idle connection, by the server", func(t *testing.T) {
		t.Parallel()
		s := start(t, "--profile", "none", "--json", "--max-connections", "1", "--idle-timeout", "1s")
		var log bytes.Buffer
		if code := run(context.Background(), []string{"client", "-q", "--profile", "none", s.address}, blocked(t), io.Discard, &log); code != exitOK {
			t.Errorf("the client: exit code %d, %s", code, log.String())
		}
		if code := s.wait(t); code != exitFailed {
			t.Errorf("exit code %d", code)
		}
		if c := claimsIn(t, s.out.String())[0]; c.Error == nil || c.Error.Failure != "timeout" || !strings.Contains(c.Error.Detail, "1s") {
			t.Errorf("%s", s.out.String())
		}
	})
	t.Run("an idle connection, by the client", func(t *testing.T) {
		t.Parallel()
		s := start(t, "--profile", "none", "--json", "--max-connections", "1")
		var out, log bytes.Buffer
		code := run(context.Background(), []string{"client", "--json", "--profile", "none", "--idle-timeout", "1s", s.address}, blocked(t), &out, &log)
		stdout, stderr := out.String(), log.String()
		if c := claimsIn(t, stdout)[0]; code != exitFailed || c.Error == nil || c.Error.Failure != "timeout" {
			t.Errorf("exit code %d, %s%s", code, stdout, stderr)
		}
		s.wait(t)
		if c := claimsIn(t, s.out.String())[0]; c.State != "closed" {
			t.Errorf("the server saw no close_notify: %s", s.out.String())
		}
	})
	t.Run("no answer to close_notify", func(t *testing.T) {
		t.Parallel()
		address := other(t, func(c *tls.Conn) { <-t.Context().Done() })
		for tolerate, want := range map[string]int{"--tolerate-truncation=false": exitFailed, "--tolerate-truncation": exitOK} {
			code, stdout, stderr := command(t, "client", "--json", "--profile", "none", "--idle-timeout", "1s", tolerate, address)
			if code != want || want == exitFailed && (!strings.Contains(stderr, "no close_notify") || claimsIn(t, stdout)[0].Error.Failure != "peer.truncated") {
				t.Errorf("%s: exit code %d, %s%s", tolerate, code, stdout, stderr)
			}
		}
	})
	t.Run("the head of a request that does not end", func(t *testing.T) {
		t.Parallel()
		s := start(t, "--profile", "none", "--json", "--www", "--timeout", "2s", "--max-connections", "1")
		c := connect(t, s.address)
		c.Write([]byte("GET / HTTP/1.0\r\n"))
		if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("%d octets, %v", n, err)
		}
		s.wait(t)
		if c := claimsIn(t, s.out.String())[0]; c.Error == nil || c.Error.Failure != "timeout" || !strings.Contains(c.Error.Detail, "head") {
			t.Errorf("%s", s.out.String())
		}
	})
	t.Run("a client that does not read", func(t *testing.T) {
		t.Parallel()
		s := start(t, "--profile", "none", "--json", "--echo", "--idle-timeout", "1s", "--max-connections", "1")
		c := connect(t, s.address)
		go c.Write(make([]byte, 64<<20)) // more than any buffer
		s.wait(t)
		if c := claimsIn(t, s.out.String())[0]; c.Error == nil || c.Error.Failure != "timeout" {
			t.Errorf("%s", s.out.String())
		}
	})
}

// connect is a client of the library.
func connect(t *testing.T, address string) *handshake.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c := handshake.Client(nc, &handshake.Config{}, &handshake.Answerer{Trust: handshake.Trust{InsecureSkipVerify: true}})
	t.Cleanup(func() { nc.Close() })
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestOpenConnections: those beyond the limit wait and are served then.
func TestOpenConnections(t *testing.T) {
	s := start(t, "--profile", "none", "--echo", "--max-open", "1", "--max-connections", "2")
	first := connect(t, s.address)
	served := make(chan int, 1)
	go func() {
		var out, log bytes.Buffer
		served <- run(context.Background(), []string{"client", "-q", "--profile", "none", s.address}, strings.NewReader("word"), &out, &log)
	}()
	select {
	case <-served:
		t.Error("two connections at once")
	case <-time.After(100 * time.Millisecond): // or the second did not come so far; nothing fails then
	}
	first.Close()
	if code := <-served; code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if code := s.wait(t); code != exitOK {
		t.Errorf("the server: exit code %d, %s", code, s.log.String())
	}
}

// gated is a writer that lets nothing through until it is opened.
type gated struct {
	open chan struct{}
	mu   sync.Mutex
	got  int
}

func (g *gated) Write(b []byte) (int, error) {
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	g.got += len(b)
	return len(b), nil
}

// TestHub: a connection that does not read ends before it holds up another, and
// alone it is waited for.
func TestHub(t *testing.T) {
	opened := make(chan struct{})
	close(opened)
	const n = 4 * queued
	t.Run("two", func(t *testing.T) {
		h := newHub()
		h.patience = time.Millisecond
		stuck, well := &gated{open: make(chan struct{})}, &gated{open: opened}
		var m *member
		left := make(chan struct{})
		m = h.add(stuck, func() {
			close(stuck.open) // as the end of a connection frees a Write
			go func() {
				h.remove(m)
				close(left)
			}()
			<-left
		})
		other := h.add(well, func() { t.Error("the one that reads is ended") })
		for range n {
			h.Write([]byte("piece"))
		}
		<-left
		h.remove(other)
		if well.got != 5*n {
			t.Errorf("the other has got %d octets of %d", well.got, 5*n)
		}
	})
	t.Run("one, and another that comes later", func(t *testing.T) {
		h := newHub()
		h.patience = time.Millisecond
		stuck, well := &gated{open: make(chan struct{})}, &gated{open: opened}
		var once sync.Once
		h.add(stuck, func() { once.Do(func() { close(stuck.open) }) })
		blocked, done := make(chan struct{}), make(chan struct{})
		go func() {
			for i := range n {
				if i == queued+1 { // one piece is being written, the others wait: the next has no room
					close(blocked)
				}
				h.Write([]byte("piece"))
			}
			close(done)
		}()
		<-blocked
		h.remove(h.add(well, func() { t.Error("the one that reads is ended") }))
		<-done
	})
	t.Run("one", func(t *testing.T) {
		h := newHub()
		h.patience = 0
		slow := &gated{open: make(chan struct{})}
		m := h.add(slow, func() { t.Error("the only one is ended") })
		done := make(chan struct{})
		go func() {
			for range n {
				h.Write([]byte("piece"))
			}
			close(done)
		}()
		close(slow.open)
		<-done
		h.remove(m)
		if slow.got != 5*n {
			t.Errorf("%d octets of %d", slow.got, 5*n)
		}
	})
}

// TestLostOutput: no command succeeds whose output could not be written, and that is
// not an error of the command line.
func TestLostOutput(t *testing.T) {
	full := writerFunc(func([]byte) (int, error) { return 0, errors.New("no space left on device") })
	for _, args := range [][]string{
		{"demo"}, {"demo", "-q"}, {"demo", "--json"}, {"demo", "--fail", "help"}, {"version"}, {"version", "--json"}, {"--help"}, {"help", "exit-codes"},
		{"profile", "list"}, {"profile", "show", "early-attestation-06"}, {"profile", "new"}, {"profile", "reference"}, {"profile", "compile", "early-attestation-06"}, {"profile", "header", "early-attestation-06"},
		{"profile", "lint", "early-attestation-06"}, {"profile", "diff", "early-attestation-06", "tls-attestation-07"}, {"profile", "explain", "early-attestation-06"},
		{"spec", "--coverage"}, {"evidence", "make"}, {"evidence", "make", "--json"}, {"evidence", "make", "--spoil", "help"}, {"conform", "--list-peers"},
	} {
		var log bytes.Buffer
		if code := run(context.Background(), args, strings.NewReader(""), full, &log); code != exitUnavailable || log.String() != "attls: standard output: no space left on device\n" {
			t.Errorf("%v: exit code %d, %s", args, code, log.String())
		}
	}
}

// TestMissingFiles: what cannot be read is not available, wherever a file is named, and
// a file without end is not read to the end of the memory.
func TestMissingFiles(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing.yaml")
	above := filepath.Join(dir, "above.yaml")
	if err := os.WriteFile(above, []byte("profile: above\nbase: ./missing.yaml\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lists := [][]string{{"demo", "--profile", missing}, {"demo", "--profile", dir + "/"}, {"demo", "--profile", above}, {"demo", "--profile", missing, "--fail", "help"},
		{"server", "--profile", missing}, {"client", "--profile", missing}, {"grid", "--profile", missing}, {"conform", "--profile", missing}, {"profile", "show", missing},
		{"profile", "lint", missing}, {"profile", "diff", missing, "early-attestation-06"}, {"profile", "explain", missing}, {"profile", "compile", missing}, {"profile", "new", "--base", missing}, {"profile", "header", missing},
		{"decode", missing}, {"replay", missing}, {"evidence", "appraise", missing}, {"evidence", "make", "--key", missing}, {"client", "--ca", missing}, {"server", "--cert", missing}}
	if _, err := os.Stat("/dev/zero"); err == nil {
		lists = append(lists, []string{"replay", "/dev/zero"}, []string{"client", "--sess-in", "/dev/zero"}, []string{"client", "--psk", "2a", "--early-data", "/dev/zero"})
	}
	for _, args := range lists {
		if code, _, stderr := command(t, args...); code != exitUnavailable || strings.Contains(stderr, ":1:1:") {
			t.Errorf("%v: exit code %d, %s", args, code, stderr)
		}
	}
}

// TestFullDisk: standard output or a key log that cannot be written is no fault of
// the peer.
func TestFullDisk(t *testing.T) {
	s := start(t, "--profile", "none", "--www")
	full := writerFunc(func([]byte) (int, error) { return 0, errors.New("no space left on device") })
	var log bytes.Buffer
	code := run(context.Background(), []string{"client", "-q", "--profile", "none", "--http-get", "/", s.address}, strings.NewReader(""), full, &log)
	if code != exitUnavailable || !strings.Contains(log.String(), "standard output: no space left") {
		t.Errorf("exit code %d, %s", code, log.String())
	}
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no /dev/full")
	}
	for _, flag := range []string{"--keylog", "--sess-out", "--pcap"} {
		code, stdout, stderr := command(t, "client", "-q", "--profile", "none", "--http-get", "/", flag, "/dev/full", s.address)
		if code != exitUnavailable || !strings.Contains(stderr, "no space left") || !strings.Contains(stdout, "200 OK") {
			t.Errorf("%s: exit code %d, %s%s", flag, code, stdout, stderr)
		}
	}
}

// TestWhatIgnoresASignalEnds: with the exit code of an interruption, and not before a
// signal came.
func TestWhatIgnoresASignalEnds(t *testing.T) {
	ctx, interrupt := context.WithCancel(context.Background())
	codes := make(chan int, 1)
	endAfter(ctx, 0, func(code int) { codes <- code })
	if len(codes) != 0 {
		t.Error("it ended without a signal")
	}
	interrupt()
	select {
	case code := <-codes:
		if code != exitInterrupted {
			t.Errorf("exit code %d", code)
		}
	case <-time.After(time.Minute):
		t.Error("it runs on")
	}
}
