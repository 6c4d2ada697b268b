package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/authenticator"
	"attls/handshake/exported"
	"attls/negotiation"
)

// expat are flags of both ends.
var expat = []string{"--profile", "seat-expat-04"}

// shownLater are the attestations in exported authenticators of a line of claims.
func shownLater(c claims.Claims) (list []claims.AttestationClaim) {
	for _, a := range c.Attestation {
		if a.Phase == "authenticator" && a.RequestContext != "" {
			list = append(list, a)
		}
	}
	return list
}

// TestExportedAttestation: both commands attest after the handshake, in every direction,
// model and framing, before data goes either way.
func TestExportedAttestation(t *testing.T) {
	for _, x := range []struct {
		args           []string
		client, server int // verdicts of each
	}{
		{[]string{"--attester", "server"}, 1, 0},
		{[]string{"--attester", "client"}, 0, 1},
		{[]string{"--attester", "both"}, 1, 1},
		{[]string{"--attester", "both", "--model", "results"}, 1, 1},
		{[]string{"--attester", "both", "--root-of-trust", "tpm"}, 1, 1},
		{[]string{"--attester", "both", "--reading", "framing=messages"}, 1, 1},
		{[]string{"--reading", "framing=application"}, 1, 0},
		{[]string{"--profile", "seat-expat-00"}, 1, 0},
		{[]string{"--profile", "seat-expat-02", "--attester", "both"}, 1, 1},
	} {
		t.Run(strings.Join(x.args, " "), func(t *testing.T) {
			t.Parallel()
			args := append(append([]string{}, expat...), x.args...)
			s := start(t, append(args, "--echo", "--json", "--max-connections", "1", "--require-attestation=false")...)
			var out, log bytes.Buffer
			code := run(context.Background(), append(append([]string{"client", "-q", "--msg"}, args...), s.address), strings.NewReader("there and back"), &out, &log)
			if code != exitOK || out.String() != "there and back" {
				t.Errorf("client: exit code %d, %q, %s", code, out.String(), log.String())
			}
			if code := s.wait(t); code != exitOK {
				t.Errorf("server: exit code %d, %s", code, s.log.String())
			}
			verdicts := 0
			for _, a := range shownLater(claimsIn(t, s.out.String())[0]) {
				if a.Attester == "client" && (a.Verdict == nil || !a.Verdict.Accepted) {
					t.Errorf("%+v", a)
				} else if a.Attester == "client" {
					verdicts++
				}
			}
			if verdicts != x.server {
				t.Errorf("the server has %d verdicts: %s", verdicts, s.out.String())
			}
			if x.client > 0 && !strings.Contains(log.String(), "ClientCertificateRequest") {
				t.Errorf("no request is printed: %s", log.String())
			}
		})
	}
}

// TestFramesOfCommands: both commands attest in frames of the application, and a server asks for the
// certificate whose key the client's frame is about, unless it was told not to.
func TestFramesOfCommands(t *testing.T) {
	for _, x := range []struct {
		args []string // of both
		more []string // of the server
		code int      // of the client
	}{
		{[]string{"--profile", "deployed-cmc", "--attester", "server"}, nil, exitOK},
		{[]string{"--profile", "deployed-cmc", "--attester", "both"}, nil, exitOK},
		{[]string{"--profile", "deployed-cmc", "--attester", "both"}, []string{"--verify", "none"}, exitFailed},
		{[]string{"--profile", "deployed-privasys-v2"}, nil, exitOK},
	} {
		t.Run(strings.Join(append(x.args, x.more...), " "), func(t *testing.T) {
			t.Parallel()
			s := start(t, append(append(x.args[:len(x.args):len(x.args)], x.more...), "--echo", "--max-connections", "1")...)
			var out, log bytes.Buffer
			code := run(context.Background(), append(append([]string{"client", "-q"}, x.args...), s.address), strings.NewReader("there and back"), &out, &log)
			if code != x.code || code == exitOK && out.String() != "there and back" {
				t.Errorf("client: exit code %d, %q, %s", code, out.String(), log.String())
			}
			if code := s.wait(t); code != x.code {
				t.Errorf("server: exit code %d, %s", code, s.log.String())
			}
		})
	}
}

// TestFramesWithASession: a session is not resumed where the frames are about the key of a certificate,
// and the peer attests in the full handshake that follows.
func TestFramesWithASession(t *testing.T) {
	for _, name := range []string{"deployed-cmc", "deployed-privasys-v2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, "--profile", name, "--echo", "--max-connections", "2")
			file := filepath.Join(t.TempDir(), "session")
			for _, session := range []string{"--sess-out", "--sess-in"} {
				var out, log bytes.Buffer
				code := run(context.Background(), []string{"client", "-q", "--profile", name, "--require-attestation", session, file, s.address},
					strings.NewReader("there and back"), &out, &log)
				if code != exitOK || out.String() != "there and back" {
					t.Errorf("%s: exit code %d, %q, %s", session, code, out.String(), log.String())
				}
			}
			if code := s.wait(t); code != exitOK {
				t.Errorf("server: exit code %d, %s", code, s.log.String())
			}
		})
	}
}

// TestExportedAgain: by command and by the amount of data the peer attests again, with
// another context and another challenge, and answer-last holds.
func TestExportedAgain(t *testing.T) {
	for name, x := range map[string]struct {
		flags []string
		input string
	}{
		"command": {[]string{"--commands"}, "one\nr\ntwo\n"},
		"data":    {[]string{"--reattest", "4B"}, "one\ntwo\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"--attester", "both"}, expat...)
			dir := t.TempDir()
			s := start(t, append(args, "--echo", "--json", "--max-connections", "1", "--answer-last", "--max-requests", "9")...)
			// The input ends once the second request is on its way.
			input, end := io.Pipe()
			var requests atomic.Int64
			var out, log lockedBuffer
			code := make(chan int, 1)
			flags := append(append([]string{"client", "--json", "--msg", "--keylog", filepath.Join(dir, "keys"), s.address}, args...), x.flags...)
			go func() {
				code <- run(context.Background(), flags, input, &out, writerFunc(func(b []byte) (int, error) {
					if requests.Add(int64(bytes.Count(b, []byte("ClientCertificateRequest")))) >= 2 {
						go end.Close()
					}
					return log.Write(b)
				}))
			}()
			io.WriteString(end, x.input)
			if c := <-code; c != exitOK {
				t.Fatalf("exit code %d, %s", c, log.String())
			}
			s.wait(t)
			list := shownLater(claimsIn(t, out.String())[0])
			seen := map[string]bool{}
			servers := 0
			for _, a := range list {
				if seen[a.Challenge] || seen[a.RequestContext] {
					t.Errorf("%+v comes twice", a)
				}
				seen[a.Challenge], seen[a.RequestContext] = true, true
				if a.Attester == "server" {
					servers++
				}
			}
			if servers < 2 {
				t.Errorf("the server attested %d times: %s", servers, out.String())
			}
			keys, err := os.ReadFile(filepath.Join(dir, "keys"))
			if err != nil || !bytes.Contains(keys, []byte("EXPORTER_SECRET ")) {
				t.Errorf("%s, %v", keys, err)
			}
		})
	}
}

// foreign is a server of ours that follows the profile in the handshake, and then does what a
// test says.
func foreign(t *testing.T, do func(c *handshake.Conn)) (address string) {
	t.Helper()
	authority, err := scenario.NewDemoAuthority()
	if err != nil {
		t.Fatal(err)
	}
	credential, err := authority.Issue(scenario.KeyP256, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(20 * time.Second))
		c := handshake.Server(nc, &handshake.Config{CanAuthenticate: true}, &handshake.Answerer{Credentials: []*handshake.Credential{credential}})
		if c.Handshake() == nil {
			do(c)
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return "localhost:" + port
}

// answerOne reads a request and answers it as an honest server of the profile, in a frame.
func answerOne(c *handshake.Conn) ([]byte, error) {
	request := make([]byte, 1<<10)
	n, err := c.Read(request)
	if err != nil {
		return nil, err
	}
	p, err := profile.Load("seat-expat-04", profile.Options{})
	if err != nil {
		return nil, err
	}
	authority, err := scenario.NewDemoAuthority()
	if err != nil {
		return nil, err
	}
	credential, err := authority.Issue(scenario.KeyP256, "localhost")
	if err != nil {
		return nil, err
	}
	software, _ := scenario.DemoAttestation(nil)
	over, err := c.Authenticators()
	if err != nil {
		return nil, err
	}
	answerer := &handshake.Answerer{Credentials: []*handshake.Credential{credential}, Attester: software}
	s, err := exported.NewSession(&exported.Config{Profile: p, AttesterSize: scenario.DemoChallengeSize,
		Produce: []negotiation.Scheme{scenario.DemoScheme(p, profile.ModelEvidence, profile.KindX509)}}, over, c.Inputs(), answerer.Answer)
	if err != nil {
		return nil, err
	}
	octets, _, err := s.Answer(context.Background(), request[5:n])
	return frame(2, octets), err
}

// frame is what the profile sends for a type and a content.
func frame(kind byte, octets []byte) []byte {
	n := len(octets)
	return append([]byte{kind, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, octets...)
}

// TestExportedHostile: whatever a server does instead of attesting, the client prints none of
// its data, sends none of its own, and ends in time with a reason that names the fault.
func TestExportedHostile(t *testing.T) {
	request := frame(1, []byte{13, 0, 0, 3, 0, 0, 0})
	for name, x := range map[string]struct {
		do    func(c *handshake.Conn)
		flags []string
		want  attls.Failure
	}{
		"never answers": {func(c *handshake.Conn) { io.Copy(io.Discard, c) }, []string{"--timeout", "300ms"}, attls.FailTimeout},
		"sends data instead": {func(c *handshake.Conn) {
			c.Write(frame(3, []byte("SECRET")))
			io.Copy(io.Discard, c)
		}, nil, attls.FailUnexpectedMessage},
		"sends data without frames": {func(c *handshake.Conn) {
			c.Write([]byte("SECRET"))
			io.Copy(io.Discard, c)
		}, nil, attls.FailDecode},
		"closes in the middle": {func(c *handshake.Conn) {
			c.Write(frame(2, []byte{11, 0, 0, 9, 1})[:8])
			c.Close()
		}, nil, attls.FailTruncated},
		"closes at once":  {func(c *handshake.Conn) { c.Close() }, nil, attls.FailTruncated},
		"breaks off":      {func(c *handshake.Conn) { c.NetConn().Close() }, nil, attls.FailTruncated},
		"sends a request": {func(c *handshake.Conn) { c.Write(request); io.Copy(io.Discard, c) }, nil, attls.FailMissingExtension},
		"floods requests": {func(c *handshake.Conn) {
			over, err := c.Authenticators()
			for n := 0; err == nil && n < 3; n++ {
				var octets []byte
				if octets, err = over.Request(&authenticator.Request{Context: over.DrawContext(32),
					Wanted: negotiation.Wanted{Schemes: exported.DefaultSchemes}}); err == nil {
					_, err = c.Write(frame(1, octets))
				}
			}
			io.Copy(io.Discard, c)
		}, []string{"--attester", "both", "--max-requests", "2"}, attls.FailLimit},
		"answers twice": {func(c *handshake.Conn) {
			answer, err := answerOne(c)
			if err == nil {
				c.Write(append(answer, answer...))
			}
			io.Copy(io.Discard, c)
		}, nil, attls.FailRequestContext},
		"refuses": {func(c *handshake.Conn) {
			c.Write(frame(2, append([]byte{20, 0, 0, 32}, make([]byte, 32)...)))
			io.Copy(io.Discard, c)
		}, nil, attls.FailFinished},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := foreign(t, x.do)
			var out, log bytes.Buffer
			args := append(append(append([]string{"client", "--json"}, expat...), x.flags...), address)
			code := run(context.Background(), args, strings.NewReader("MINE"), &out, &log)
			c := claimsIn(t, out.String())[0]
			if code != exitFailed || c.Error == nil || c.Error.Failure != string(x.want) {
				t.Errorf("exit code %d, %+v, %s", code, c.Error, log.String())
			}
			if strings.Contains(out.String()+log.String(), "SECRET") {
				t.Errorf("%s%s", out.String(), log.String())
			}
		})
	}
}

// TestExportedUsage: what would do nothing, or cannot work after the handshake, is refused
// before a connection is made.
func TestExportedUsage(t *testing.T) {
	for _, x := range []struct {
		args []string
		want string
	}{
		{[]string{"--profile", "early-attestation-06", "--reattest", "30s"}, "only a server asks for that"},
		{[]string{"--profile", "none", "--reattest", "30s"}, "plain TLS"},
		{[]string{"--attester", "client", "--reattest", "30s"}, "the server is not to attest"},
		{[]string{"--reading", "framing=application", "--reattest", "1kB"}, "has no frames"},
		{[]string{"--answer-last"}, "two ends"},
		{[]string{"--max-requests", "3"}, "the client is not to attest"},
		{[]string{"--max-requests", "-1", "--attester", "both"}, "0 to"},
		{[]string{"--early-data", "exported_test.go", "--psk", "00"}, "--early-data"},
		{[]string{"--verify", "evidence"}, "path validation"},
		{[]string{"--attester", "both", "--credential", "attestation"}, "X.509"},
		{[]string{"--attester", "client", "--require-attestation"}, "only the client is to attest"},
	} {
		args := append(append([]string{"client"}, expat...), append(x.args, "localhost:1")...)
		if code, _, stderr := command(t, args...); code != exitUsage || !strings.Contains(stderr, x.want) {
			t.Errorf("%v: exit code %d, %s", x.args, code, stderr)
		}
	}
}
