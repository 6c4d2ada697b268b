package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"attls"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/negotiation"
)

// once attests once, and later on not before its context ends.
type once struct {
	negotiation.Attester
	done atomic.Bool
}

func (o *once) Attest(ctx context.Context, r *negotiation.EvidenceRequest) (*negotiation.Evidence, error) {
	if o.done.Swap(true) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return o.Attester.Attest(ctx, r)
}

// peerOf is an end of a scenario, to be a peer of a command.
func peerOf(t *testing.T, s scenario.Scenario, role attls.Role) (*handshake.Config, *handshake.Answerer) {
	t.Helper()
	env, err := scenario.NewEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	p, err := profile.Load(s.Profile, profile.Options{})
	if err == nil {
		err = s.Complete(p)
	}
	if err != nil {
		t.Fatal(err)
	}
	set, err := env.NewSetup(p, &s)
	if err != nil {
		t.Fatal(err)
	}
	a, err := set.Answerer(role)
	if err != nil {
		t.Fatal(err)
	}
	return set.Ends[role].Config, a
}

// TestSilentAfterTheHandshake: a peer that has attested in the handshake, and then never does what it is
// asked for, or half of it, or asks without end, ends the connection in time, with an alert and a reason.
// Neither end leaves anything behind.
func TestSilentAfterTheHandshake(t *testing.T) {
	before := runtime.NumGoroutine()
	updating := []string{"--profile", "early-attestation-08pre", "--extended-key-update"}
	updates := scenario.Scenario{Profile: "early-attestation-08pre", ExtendedKeyUpdate: true}
	asked := scenario.Scenario{Profile: "early-attestation-06", Attester: scenario.AttestClient, PostHandshake: true}
	silent := func(c *handshake.Conn) { io.Copy(io.Discard, c) }
	for name, x := range map[string]struct {
		peer    scenario.Scenario
		role    attls.Role // of the peer
		command []string
		input   string
		do      func(*handshake.Conn)
		want    attls.Failure
		says    string
	}{
		"server never attests":     {updates, attls.RoleServer, append(updating, "--attester", "server", "--commands"), "r\n", silent, attls.FailTimeout, "did not attest with the key update within"},
		"client never attests":     {updates, attls.RoleClient, append(updating, "--attester", "client", "--reattest", "1B"), "", silent, attls.FailTimeout, "did not attest with the key update within"},
		"client never answers":     {asked, attls.RoleClient, []string{"--profile", "early-attestation-06", "--attester", "client", "--reattest", "1B"}, "", silent, attls.FailTimeout, "did not answer the request for its certificate within"},
		"server updates all along": {updates, attls.RoleServer, append(updating, "--attester", "server", "--commands"), "r\n", silent, attls.FailMessageBoundary, "extended_key_update"},
		"client updates all along": {updates, attls.RoleClient, append(updating, "--attester", "client", "--reattest", "1B"), "", silent, attls.FailMessageBoundary, "extended_key_update"},
		"client updates instead":   {asked, attls.RoleClient, []string{"--profile", "early-attestation-06", "--attester", "client", "--reattest", "1B"}, "", plainUpdates, attls.FailLimit, "in a row"},
		"client answers half":      {asked, attls.RoleClient, []string{"--profile", "early-attestation-06", "--attester", "client", "--reattest", "1B"}, "", silent, attls.FailTimeout, "did not answer the request for its certificate within"},
		"client closes in between": {asked, attls.RoleClient, []string{"--profile", "early-attestation-06", "--attester", "client", "--reattest", "1B"}, "", func(c *handshake.Conn) { c.NetConn().Close() }, attls.FailTruncated, ""},
		"server closes in between": {updates, attls.RoleServer, append(updating, "--attester", "server", "--commands"), "r\n", func(c *handshake.Conn) { c.NetConn().Close() }, attls.FailTruncated, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if x.peer.Attester = scenario.AttestServer; x.role == attls.RoleClient {
				x.peer.Attester = scenario.AttestClient
			}
			config, answerer := peerOf(t, x.peer, x.role)
			if strings.HasSuffix(name, "all along") {
				config.Tap = handshake.Taps(config.Tap, updateOn{what: []byte{byte(attls.TypeKeyUpdate), 0, 0, 1, 0}})
			}
			if strings.HasSuffix(name, "answers half") {
				config.Tap = handshake.Taps(config.Tap, &half{})
			} else {
				answerer.Attester = &once{Attester: answerer.Attester}
			}
			bounded := append(x.command, "--timeout", "500ms", "--json", "--max-connections", "1")
			var out, log string
			if x.role == attls.RoleServer {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					if nc, err := l.Accept(); err == nil {
						meet(handshake.Server(nc, config, answerer), x.do)
					}
				}()
				_, port, _ := net.SplitHostPort(l.Addr().String())
				input, end := io.Pipe()
				go io.WriteString(end, x.input) // and nothing more
				var o, e bytes.Buffer
				bounded = append(x.command, "--timeout", "500ms", "--json")
				if code := run(context.Background(), append(append([]string{"client"}, bounded...), "localhost:"+port), input, &o, &e); code != exitFailed {
					t.Errorf("exit code %d", code)
				}
				input.Close()
				out, log = o.String(), e.String()
				<-ended
			} else {
				s := start(t, append(bounded, "--echo")...)
				nc, err := net.Dial("tcp", strings.Replace(s.address, "localhost", "127.0.0.1", 1))
				if err != nil {
					t.Fatal(err)
				}
				meet(handshake.Client(nc, config, answerer), x.do)
				if code := s.wait(t); code != exitFailed {
					t.Errorf("exit code %d", code)
				}
				out, log = s.out.String(), s.log.String()
			}
			c := claimsIn(t, out)[0]
			if told := x.want != attls.FailTruncated; (c.AlertSent != nil) != told || x.want == attls.FailTimeout && c.AlertSent.Name != "internal_error" {
				t.Errorf("alert %+v", c.AlertSent)
			}
			if c.Error == nil || c.Error.Failure != string(x.want) || !strings.Contains(c.Error.Detail, x.says) && !strings.Contains(c.Error.Message, x.says) {
				t.Errorf("%+v, %s", c.Error, log)
			}
		})
	}
	for end := time.Now().Add(time.Minute); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, and %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
		time.Sleep(time.Millisecond)
	}
}

// meet completes a handshake, says one octet, and does what a test says.
func meet(c *handshake.Conn, do func(*handshake.Conn)) {
	defer c.NetConn().Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Write([]byte("x")); err == nil {
		do(c)
	}
	c.Close()
}

// updateOn sends key updates that nobody may send, again and again, behind its first message of an update.
type updateOn struct {
	handshake.NopTap
	what []byte
}

func (u updateOn) Fork() handshake.Tap { return u }

func (u updateOn) Message(d handshake.Direction, m *message.Raw, p *handshake.Plan) {
	if d == handshake.Sent && m.Kind == attls.KindExtendedKeyUpdate {
		for range 200 {
			p.After = append(p.After, u.what)
		}
	}
}

// half sends the half of what it is asked for after the handshake, and then nothing.
type half struct {
	handshake.NopTap
	certificates int
}

func (h *half) Fork() handshake.Tap { f := *h; return &f }

func (h *half) Message(d handshake.Direction, m *message.Raw, p *handshake.Plan) {
	if d != handshake.Sent {
		return
	}
	if m.Kind == attls.KindCertificate {
		h.certificates++
	}
	switch {
	case m.Kind == attls.KindCertificate && h.certificates == 2:
		p.Replace = slices.Clone(m.Bytes[:len(m.Bytes)/2])
	case h.certificates == 2:
		p.Drop = true
	}
}

// plainUpdates sends key updates of TLS 1.3 and no answer, as long as it can.
func plainUpdates(c *handshake.Conn) {
	for range 500 {
		if c.KeyUpdate(false) != nil {
			break
		}
	}
	io.Copy(io.Discard, c)
}
