package pair_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/handshake"
	"attls/handshake/enginetest"
)

// options are those of a mutual handshake with fixed randomness.
func options() pair.Options {
	return pair.Options{
		Client: &handshake.Config{ServerName: "server", Random: enginetest.Random("client")},
		Server: &handshake.Config{ClientAuthentication: handshake.RequireClientCertificate, Random: enginetest.Random("server")},
		Answer: [2]pair.Answer{enginetest.Answer(enginetest.Credential("client")), enginetest.Answer(enginetest.Credential("server"))},
		Send:   [2][]byte{[]byte("from client"), []byte("from server")}, KeepWire: true,
	}
}

func run(t *testing.T, o pair.Options) *pair.Pair {
	t.Helper()
	p, err := pair.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	check(t, p)
	return p
}

func check(t *testing.T, p *pair.Pair) {
	t.Helper()
	if got := p.Received(attls.RoleServer); string(got) != "from client" {
		t.Errorf("the server received %q", got)
	}
	if got := p.Received(attls.RoleClient); string(got) != "from server" {
		t.Errorf("the client received %q", got)
	}
}

// TestSplitsAndDelays holds every splitting and every delay of answers against
// the plain run: what is sent must not depend on them.
func TestSplitsAndDelays(t *testing.T) {
	plain := run(t, options())
	splits := map[string]pair.Split{"whole": nil, "octets": pair.Octets(1), "sizes": pair.Sizes(1, 700, 3, 64), "too much": pair.Octets(1 << 20)}
	delays := map[string]func(attls.Role, *handshake.Wait) int{
		"none": nil,
		"some": func(r attls.Role, w *handshake.Wait) int { return 5 * int(w.ID) },
		"idle": func(attls.Role, *handshake.Wait) int { return pair.WhenIdle },
	}
	for split, s := range splits {
		for delay, d := range delays {
			t.Run(split+"/"+delay, func(t *testing.T) {
				o := options()
				o.Split, o.Delay = [2]pair.Split{s, s}, d
				p := run(t, o)
				for r := attls.RoleClient; r <= attls.RoleServer; r++ {
					if !bytes.Equal(p.Wire(r), plain.Wire(r)) {
						t.Errorf("the %v sends other octets", r)
					}
				}
			})
		}
	}
}

// TestDelay answers a verdict after everything else that can go on.
func TestDelay(t *testing.T) {
	o := options()
	o.Delay = func(_ attls.Role, w *handshake.Wait) int {
		if w.Kind == handshake.WaitCertificateVerdict {
			return pair.WhenIdle
		}
		return 0
	}
	p, err := pair.New(o)
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for s, ok := p.Step(); ok; s, ok = p.Step() {
		if s.Action == pair.Answered {
			order = append(order, fmt.Sprintf("%v %v", s.Role, s.Wait.Kind))
		}
	}
	want := "server Credential, server Signature, client CertificateVerdict, client Credential, client Signature, server CertificateVerdict"
	if got := strings.Join(order, ", "); got != want {
		t.Errorf("answered %s\nwant     %s", got, want)
	}
	check(t, p)
}

// TestFork forks after every step; both halves must finish with the same octets.
func TestFork(t *testing.T) {
	o := options()
	o.Delay = func(_ attls.Role, w *handshake.Wait) int { return 2 }
	plain := run(t, o)
	p, err := pair.New(o)
	if err != nil {
		t.Fatal(err)
	}
	for ok := true; ok; _, ok = p.Step() {
		f, err := p.Fork([2]handshake.ForkOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Run(); err != nil {
			t.Fatalf("fork at step %d: %v", p.Steps(), err)
		}
		for r := attls.RoleClient; r <= attls.RoleServer; r++ {
			if !bytes.Equal(f.Wire(r), plain.Wire(r)) {
				t.Fatalf("fork at step %d: the %v sends other octets", p.Steps(), r)
			}
		}
		check(t, f)
	}
	check(t, p)
}

func TestFailures(t *testing.T) {
	t.Run("steps", func(t *testing.T) {
		o := options()
		o.MaxSteps = 10
		p, _ := pair.New(o)
		if err := p.Run(); err == nil || !strings.Contains(err.Error(), "10 steps") || p.Steps() != 10 {
			t.Errorf("%v after %d steps", err, p.Steps())
		}
	})
	t.Run("open wait", func(t *testing.T) {
		o := options()
		o.Answer[attls.RoleServer] = nil
		p, _ := pair.New(o)
		if err := p.Run(); err == nil || !strings.Contains(err.Error(), "server in state RECVD_CH with open waits [Credential]") {
			t.Error(err)
		}
	})
	t.Run("refusal", func(t *testing.T) {
		o := options()
		o.Answer[attls.RoleClient] = func(*handshake.Wait) (handshake.Answer, *attls.Error) {
			return handshake.Answer{}, attls.Errorf(attls.Refused, attls.FailUnknownCA, "not trusted")
		}
		p, _ := pair.New(o)
		var err *attls.Error
		if !errors.As(p.Run(), &err) || err.Failure != attls.FailUnknownCA {
			t.Errorf("%v; want the error of the end that refused", err)
		}
		if err := p.Engine(attls.RoleServer).Err(); err == nil || err.Class != attls.FromPeer || err.Alert != attls.AlertUnknownCA {
			t.Errorf("the server: %v", err)
		}
	})
	t.Run("injected", func(t *testing.T) {
		p, _ := pair.New(options())
		p.Inject(attls.RoleServer, []byte("GET / HTTP/1.1\r\n"))
		var err *attls.Error
		if !errors.As(p.Run(), &err) || err.Failure != attls.FailUnexpectedRecord {
			t.Error(err)
		}
	})
	t.Run("configuration", func(t *testing.T) {
		o := options()
		o.Server = &handshake.Config{Groups: []attls.NamedGroup{}}
		if _, err := pair.New(o); err == nil || !strings.HasPrefix(err.Error(), "server: ") {
			t.Error(err)
		}
	})
}

// mirror is an outside end that keeps what it is given.
type mirror struct{ given, out []byte }

func (m *mirror) Output() []byte   { return m.out }
func (m *mirror) Wrote(n int)      { m.out = m.out[n:] }
func (m *mirror) Deliver(b []byte) { m.given = append(m.given, b...) }

// TestOutside has an end that is not an engine: it gets what the engine sends, the engine
// gets what it sends, and the pair cannot be forked.
func TestOutside(t *testing.T) {
	m := &mirror{out: []byte{21, 3, 3, 0, 2, 2, 40}} // an alert
	p, err := pair.New(pair.Options{Client: &handshake.Config{ServerName: "server.example"},
		Outside: [2]pair.Outside{attls.RoleServer: m}, KeepWire: true,
		Tamper: func(from attls.Role, offset int, chunk []byte) {
			if from == attls.RoleClient && offset == 0 {
				chunk[0] = 0
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	err = p.Run()
	if len(m.given) < 100 || m.given[0] != 0 || p.Wire(attls.RoleClient)[0] != 22 || !bytes.Equal(m.given[1:], p.Wire(attls.RoleClient)[1:]) {
		t.Errorf("%d octets arrived outside", len(m.given))
	}
	if e := p.Engine(attls.RoleClient).Err(); err == nil || e == nil || e.Failure != attls.FailPeerAlert {
		t.Errorf("the client ended with %v, the run with %v", e, err)
	}
	if p.Engine(attls.RoleServer) != nil || p.Done() {
		t.Error("the end outside has an engine, or is done")
	}
	if _, err := p.Fork([2]handshake.ForkOptions{}); err == nil {
		t.Error("it was forked")
	}
}
