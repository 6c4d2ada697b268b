package authenticator_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"attls"
	"attls/conformance/pair"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/authenticator"
	"attls/handshake/enginetest"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/negotiation"
)

// stack is an implementation of TLS with an exporter.
type stack interface {
	// connect makes one end of a connection; done closes it.
	connect(t *testing.T, role attls.Role, nc net.Conn) (c *authenticator.Connection, carrier io.ReadWriter, err error)
}

var stacks = map[string]stack{"attls": engineStack{}, "crypto/tls": &goStack{}}

type engineStack struct{}

func (engineStack) connect(_ *testing.T, role attls.Role, nc net.Conn) (*authenticator.Connection, io.ReadWriter, error) {
	a := &handshake.Answerer{Trust: handshake.Trust{InsecureSkipVerify: true}}
	make := handshake.Client
	cfg := &handshake.Config{ServerName: "stack", RequestOCSP: true}
	if role == attls.RoleServer {
		make, cfg = handshake.Server, &handshake.Config{}
		a.Credentials = []*handshake.Credential{enginetest.Credential("stack")}
	}
	c := make(nc, cfg, a)
	authenticators, err := c.Authenticators()
	return authenticators, c, err
}

type goStack struct{}

// firstRecord keeps what a client writes first: a record with its ClientHello.
type firstRecord struct {
	net.Conn
	first []byte
}

func (f *firstRecord) Write(b []byte) (int, error) {
	if f.first == nil {
		f.first = bytes.Clone(b)
	}
	return f.Conn.Write(b)
}

func (goStack) connect(t *testing.T, role attls.Role, nc net.Conn) (*authenticator.Connection, io.ReadWriter, error) {
	var hello *authenticator.ClientHello
	kept := &firstRecord{Conn: nc}
	var c *tls.Conn
	if role == attls.RoleClient {
		c = tls.Client(kept, &tls.Config{InsecureSkipVerify: true, ServerName: "stack", MinVersion: tls.VersionTLS13})
	} else {
		own := enginetest.Credential("stack")
		c = tls.Server(nc, &tls.Config{MinVersion: tls.VersionTLS13,
			Certificates: []tls.Certificate{{Certificate: own.Chain, PrivateKey: own.Signer}},
			GetConfigForClient: func(i *tls.ClientHelloInfo) (*tls.Config, error) {
				hello = authenticator.FromClientHelloInfo(i)
				return nil, nil
			}})
	}
	if err := c.Handshake(); err != nil {
		return nil, nil, err
	}
	state := c.ConnectionState()
	cfg, err := authenticator.ForTLS(role, &state)
	if err != nil {
		return nil, nil, err
	}
	if role == attls.RoleClient {
		if hello, err = authenticator.ParseClientHello(kept.first[5:]); err != nil {
			return nil, nil, err
		}
	}
	cfg.ClientHello = hello
	a, err := authenticator.New(cfg)
	return a, c, err
}

// send carries octets through a connection: how is not a matter of RFC 9261.
func send(c io.Writer, b []byte) error {
	_, err := c.Write(append([]byte{byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}, b...))
	return err
}

func receive(c io.Reader) ([]byte, error) {
	var head [3]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	_, err := io.ReadFull(c, b)
	return b, err
}

// end is one end of a connection of a stack.
type end struct {
	a *authenticator.Connection
	c io.ReadWriter
}

// connect makes a connection between two stacks.
func connect(t *testing.T, made [2]stack) (ends [2]end) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	type result struct {
		end
		err error
	}
	results := [2]chan result{make(chan result, 1), make(chan result, 1)}
	run := func(role attls.Role, nc net.Conn, err error) {
		var r result
		if r.err = err; err == nil {
			nc.SetDeadline(time.Now().Add(20 * time.Second))
			t.Cleanup(func() { nc.Close() })
			r.a, r.c, r.err = made[role].connect(t, role, nc)
		}
		results[role] <- r
	}
	go func() {
		nc, err := l.Accept()
		run(attls.RoleServer, nc, err)
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	run(attls.RoleClient, nc, err)
	for _, role := range attls.Roles() {
		r := <-results[role]
		if r.err != nil {
			t.Fatalf("%v: %v", role, r.err)
		}
		ends[role] = r.end
	}
	return ends
}

// answerOne receives a request and answers it.
func (e *end) answerOne(s *authenticator.Shown) error {
	octets, err := receive(e.c)
	if err != nil {
		return err
	}
	r, err := e.a.Receive(octets)
	if err != nil {
		return err
	}
	proof, _, err := e.a.Answer(r, s)
	if err != nil {
		return err
	}
	return send(e.c, proof)
}

// TestStacks: authenticators over every pair of stacks, carried in the connection itself.
func TestStacks(t *testing.T) {
	for clientName, c := range stacks {
		for serverName, s := range stacks {
			t.Run(clientName+" to "+serverName, func(t *testing.T) {
				ends := connect(t, [2]stack{attls.RoleClient: c, attls.RoleServer: s})
				own := shown(t)
				for _, asker := range attls.Roles() {
					asking, answering := ends[asker], ends[asker.Peer()]
					answered := make(chan error, 1)
					go func() { answered <- answering.answerOne(own) }()
					octets, err := asking.a.Request(&authenticator.Request{Wanted: negotiation.Wanted{Schemes: all}})
					if err == nil {
						err = send(asking.c, octets)
					}
					if err != nil {
						t.Fatal(err)
					}
					proof, err := receive(asking.c)
					if err != nil {
						t.Fatalf("%v, %v", err, <-answered)
					}
					roots := x509.NewCertPool()
					roots.AddCert(must(x509.ParseCertificate(own.Chain[0])))
					trust := handshake.Trust{Roots: roots}
					id, err := asking.a.Validate(proof, trust.Authenticator(context.Background(), "authenticator"))
					if err != nil || id.Role != asker.Peer() {
						t.Errorf("the %v asks: %v", asker, err)
					}
					trust.Roots = x509.NewCertPool()
					if err := trust.Authenticator(context.Background(), "authenticator")(id); failure(err) != attls.FailUnknownCA {
						t.Errorf("without a trust anchor: %v", err)
					}
				}
				proof, err := ends[attls.RoleServer].a.Spontaneous(nil, own)
				if err != nil {
					t.Fatal(err)
				}
				if id, err := ends[attls.RoleClient].a.Validate(proof, any509); err != nil || !id.Spontaneous {
					t.Errorf("spontaneous: %v", err)
				}
				// Every client here has offered status_request.
				with := *own
				with.OCSP = []byte("response")
				proof, err = ends[attls.RoleServer].a.Spontaneous(nil, &with)
				if err != nil {
					t.Fatal(err)
				}
				if id, err := ends[attls.RoleClient].a.Validate(proof, any509); err != nil || string(id.OCSP) != "response" {
					t.Errorf("spontaneous: %v", err)
				}
				_, err = ends[attls.RoleServer].a.Spontaneous(nil, &authenticator.Shown{Chain: own.Chain,
					Schemes: own.Schemes, Extensions: []extensions.List{{{Type: unknown}}}})
				if failure(err) != attls.FailConfiguration {
					t.Errorf("an extension that the client did not offer: %v", err)
				}
			})
		}
	}
}

// TestForTLS: what a connection of crypto/tls cannot be used for.
func TestForTLS(t *testing.T) {
	for _, s := range []tls.ConnectionState{{Version: tls.VersionTLS12, HandshakeComplete: true}, {Version: tls.VersionTLS13}} {
		if _, err := authenticator.ForTLS(attls.RoleClient, &s); err == nil {
			t.Errorf("%+v", s)
		}
	}
	s := tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, CipherSuite: tls.TLS_AES_256_GCM_SHA384}
	if c, err := authenticator.ForTLS(attls.RoleClient, &s); err != nil || c.Hash.Size() != 48 {
		t.Errorf("%+v, %v", c, err)
	}
	for _, b := range [][]byte{nil, {1, 0, 0, 0}, {2, 0, 0, 0}, {1, 0, 0, 1}} {
		if _, err := authenticator.ParseClientHello(b); err == nil {
			t.Errorf("%x is a ClientHello", b)
		}
	}
}

// watch is a tap of an engine that takes down what it sees.
type watch struct {
	handshake.NopTap
	kinds   *[]string
	secrets *[]string
}

func (w watch) Message(d handshake.Direction, m *message.Raw, _ *handshake.Plan) {
	*w.kinds = append(*w.kinds, d.String()+" "+m.Kind.String())
}

func (w watch) Derived(name handshake.SecretName, secret []byte) []byte {
	*w.secrets = append(*w.secrets, string(name))
	return secret
}

func (w watch) Fork() handshake.Tap { return watch{kinds: new([]string), secrets: new([]string)} }

// engines makes a connection of two engines in memory.
func engines(t testing.TB, change func(c, s *handshake.Config)) *pair.Pair {
	t.Helper()
	o := pair.Options{Client: &handshake.Config{ServerName: "engine", Random: enginetest.Random("client")},
		Server: &handshake.Config{Random: enginetest.Random("server")},
		Answer: [2]pair.Answer{enginetest.Answer(nil), enginetest.Answer(enginetest.Credential("engine"))}}
	if change != nil {
		change(o.Client, o.Server)
	}
	return run(t, o)
}

// nullEngines makes one that protects nothing.
func nullEngines(t testing.TB) *pair.Pair {
	answer := enginetest.Answer(enginetest.Credential("engine"))
	o := pair.Options{Client: &handshake.Config{ServerName: "engine"}, Server: &handshake.Config{}}
	o.Answer[attls.RoleClient] = enginetest.Answer(nil)
	o.Answer[attls.RoleServer] = func(w *handshake.Wait) (handshake.Answer, *attls.Error) {
		if w.Kind == handshake.WaitSignature {
			return handshake.Answer{Signature: provider.NullSignature}, nil
		}
		return answer(w)
	}
	provider.Select(o.Client, provider.Null())
	provider.Select(o.Server, provider.Null())
	return run(t, o)
}

func run(t testing.TB, o pair.Options) *pair.Pair {
	t.Helper()
	p, err := pair.New(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, ok := p.Step(); ok; _, ok = p.Step() {
	}
	return p
}

func overEngines(t testing.TB, p *pair.Pair) (ends two) {
	t.Helper()
	for _, role := range attls.Roles() {
		a, err := p.Engine(role).Authenticators()
		if err != nil {
			t.Fatal(err)
		}
		ends[role] = a
	}
	return ends
}

// TestEngine: an engine's tap sees authenticators, its randomness gives the contexts, a
// fork goes its own way, and there is one state for a connection.
func TestEngine(t *testing.T) {
	var kinds, secrets []string
	p := engines(t, func(c, _ *handshake.Config) { c.Tap = watch{kinds: &kinds, secrets: &secrets} })
	ends := overEngines(t, p)
	if again := overEngines(t, p); again != ends {
		t.Error("a second state for the same connection")
	}
	kinds, secrets = nil, nil
	fork, err := p.Engine(attls.RoleClient).Fork(handshake.ForkOptions{})
	if err != nil {
		t.Fatal(err)
	}
	octets, r := ends.asks(t, attls.RoleClient, authenticator.Request{})
	if _, err := ends[attls.RoleClient].Validate(ends.answers(t, r, attls.RoleServer, shown(t)), any509); err != nil {
		t.Fatal(err)
	}
	want := []string{"sent ClientCertificateRequest", "received Certificate", "received CertificateVerify", "received Finished"}
	if !slices.Equal(kinds, want) || !slices.Equal(secrets, []string{authenticator.LabelServerContext, authenticator.LabelServerFinished}) {
		t.Errorf("the tap saw %v and %v", kinds, secrets)
	}
	forked, err := fork.Authenticators()
	if err != nil || forked == ends[attls.RoleClient] || forked.Outstanding() != 0 {
		t.Fatalf("%v", err)
	}
	if same := must(forked.Request(&authenticator.Request{Wanted: negotiation.Wanted{Schemes: all}})); !bytes.Equal(same, octets) {
		t.Error("the fork asks with another context")
	}
	again := overEngines(t, engines(t, nil))
	if same := must(again[attls.RoleClient].Request(&authenticator.Request{Wanted: negotiation.Wanted{Schemes: all}})); !bytes.Equal(same, octets) {
		t.Error("a connection of the same random octets asks with another context")
	}
	early, err := handshake.NewClient(&handshake.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := early.Authenticators(); failure(err) != attls.FailConfiguration {
		t.Errorf("before the handshake is complete: %v", err)
	}
}

// TestNullProvider: an engine that protects nothing has authenticators that prove nothing.
func TestNullProvider(t *testing.T) {
	ends := overEngines(t, nullEngines(t))
	_, r := ends.asks(t, attls.RoleServer, authenticator.Request{})
	d, err := ends[attls.RoleClient].Start(r, shown(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ends[attls.RoleServer].Validate(must(d.Finish(provider.NullSignature)), any509); err != nil {
		t.Error(err)
	}
}
