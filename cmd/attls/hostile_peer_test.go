package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/conformance/placement"
	"attls/handshake/message"
)

// hostilePeer makes the test binary a TLS server that behaves badly in the way that its value
// names, after certain ClientHellos.
const hostilePeer = "ATTLS_TEST_HOSTILE_PEER"

// hostileExtension is that of a ClientHello after which the server misbehaves.
const hostileExtension = 65280

// serveHostile is a server of crypto/tls: CERTIFICATE KEY EVERY. It misbehaves in each
// connection of that number; 0: in those with hostileExtension.
func serveHostile(way string) error {
	pair, err := tls.LoadX509KeyPair(os.Args[1], os.Args[2])
	if err != nil {
		return err
	}
	var every int
	if _, err := fmt.Sscan(os.Args[3], &every); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("listens at %d.\n", l.Addr().(*net.TCPAddr).Port)
	for n := 1; ; n++ {
		nc, err := l.Accept()
		if err != nil {
			return err
		}
		hello := make([]byte, 1<<14)
		k, _ := nc.Read(hello)
		if every > 0 && n%every == 0 || every == 0 && holds(hello[:k], hostileExtension) {
			misbehave(way, nc)
		} else {
			c := tls.Server(again{nc, io.MultiReader(bytes.NewReader(hello[:k]), nc)},
				&tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13})
			if m, _ := c.Read(hello); m > 0 {
				_, _ = c.Write(hello[:m])
			}
			c.Close()
		}
		nc.Close()
	}
}

func misbehave(way string, nc net.Conn) {
	flood := bytes.Repeat([]byte("flood"), 1<<12)
	switch way {
	case "crashes":
		panic("as asked") // with GOTRACEBACK=crash, by a signal
	case "hangs":
		select {}
	case "floods":
		go func() {
			for {
				if _, err := os.Stdout.Write(flood); err != nil {
					return
				}
			}
		}()
		for {
			if _, err := nc.Write(flood); err != nil {
				return
			}
		}
	case "trickles": // plaintext handshake records without end, of a message that never ends
		for {
			if _, err := nc.Write([]byte{22, 3, 3, 0, 1, 2}); err != nil {
				return
			}
		}
	case "late":
		time.Sleep(2 * time.Second)
		_, _ = nc.Write([]byte{21, 3, 3, 0, 2, 2, 40})
	}
}

// again is a connection whose first octets were read before.
type again struct {
	net.Conn
	r io.Reader
}

func (a again) Read(b []byte) (int, error) { return a.r.Read(b) }

// holds reports whether the ClientHello in a record has an extension.
func holds(record []byte, t attls.ExtensionType) bool {
	const header = 9
	var hello message.ClientHello
	if len(record) < header || hello.Unmarshal(record[header:]) != nil {
		return false
	}
	_, there := hello.Extensions.Find(t)
	return there
}

// hostileAdapter is a file that describes the hostile server.
func hostileAdapter(t *testing.T, way string, every int) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	end := func(more string) string {
		return fmt.Sprintf(`
    command: ["${p}", "${certificate}", "${key}", "%d"%s]
    environment: {%s: %s, GOTRACEBACK: crash}
    listens: 'listens at (\d+)\.'
`, every, more, hostilePeer, way)
	}
	file := filepath.Join(t.TempDir(), "hostile.yaml")
	text := "adapter: hostile\nprograms: {p: '" + self + "'}\nserver:" + end("") + "conform:\n  server:" +
		end(`, "${groups}", "${connections}", "${suite}"`) +
		"    talk: [{await: 'never printed'}, stop]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// hostileWays are the ways to misbehave, and what is made of each.
var hostileWays = []struct {
	way      string
	outcomes []placement.Outcome // of the message after which it misbehaves
	law      string              // that a campaign finds broken
}{
	{"crashes", []placement.Outcome{placement.Crashed}, "crash"},
	{"hangs", []placement.Outcome{placement.Silent}, ""},
	{"floods", []placement.Outcome{placement.Closed, placement.Refused, placement.Accepted}, ""},
	{"trickles", []placement.Outcome{placement.Closed, placement.Silent}, ""},
	{"late", []placement.Outcome{placement.Silent, placement.Refused}, ""},
}

// TestHostilePeer: a peer that crashes, hangs, floods or answers late ends its case with that
// as what is found, the others are run, and nothing that was started is left.
func TestHostilePeer(t *testing.T) {
	slowUnderRace(t)
	for _, w := range hostileWays {
		t.Run(w.way, func(t *testing.T) {
			t.Parallel()
			out := filepath.Join(t.TempDir(), "r.json")
			_, stdout, stderr := command(t, "conform", "--placement", "--adapter", hostileAdapter(t, w.way, 0), "--filter",
				"server/client_hello/private_", "--timeout", "1s", "--json", out)
			blob, err := os.ReadFile(out)
			var r placement.Report
			if err != nil || json.Unmarshal(blob, &r) != nil || len(r.Stacks) != 1 {
				t.Fatalf("%v: %s%s", err, stdout, stderr)
			}
			seen := 0
			for _, l := range r.Stacks[0].Results {
				switch {
				case l.Type == hostileExtension:
					seen++
					if !slices.Contains(w.outcomes, l.Outcome) {
						t.Errorf("%s: %s, %s", l.Name, l.Outcome, l.Detail)
					}
				case l.Outcome != placement.Accepted:
					t.Errorf("%s: %s, %s", l.Name, l.Outcome, l.Detail)
				}
			}
			if seen == 0 || len(r.Stacks[0].Results) < 3 {
				t.Errorf("%d of %d results", seen, len(r.Stacks[0].Results))
			}
			code, stdout, stderr := command(t, "conform", "--adapter", hostileAdapter(t, w.way, 1), "--peer", "hostile", "--filter",
				"attls>hostile/", "--timeout", "1s")
			if code != exitFailed || !strings.Contains(stdout, "✗") {
				t.Errorf("conform: exit code %d: %s%s", code, stdout, stderr)
			}
		})
	}
}

// TestSlowHostilePeer: as TestHostilePeer, in campaigns and to the learner.
func TestSlowHostilePeer(t *testing.T) {
	slowUnderRace(t)
	for _, w := range hostileWays {
		t.Run(w.way, func(t *testing.T) {
			if w.law == "" { // the campaign against one that crashes is quick
				slow(t)
			}
			t.Parallel()
			code, stdout, stderr := command(t, "fuzz", "run", "none", "--adapter", hostileAdapter(t, w.way, 11), "--time", "0",
				"--executions", "30", "--workers", "1", "--dir", t.TempDir())
			if code != exitOK && code != exitFailed || !strings.Contains(stdout, "30 connections") ||
				w.law != "" && !strings.Contains(stdout, w.law) {
				t.Errorf("campaign: exit code %d: %s%s", code, stdout, stderr)
			}
			code, stdout, stderr = command(t, "fuzz", "learn", "--adapter", hostileAdapter(t, w.way, 7), "--words", "1", "--repeat", "0",
				"--quiet", "10ms")
			if code == exitOK || code == exitUsage {
				t.Errorf("learner: exit code %d: %s%s", code, stdout, stderr)
			}
		})
	}
}
