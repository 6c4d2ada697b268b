package exported_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"attls"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/authenticator"
	"attls/handshake/exported"
	"attls/negotiation"
)

const (
	client = attls.RoleClient
	server = attls.RoleServer
)

// certified is a certificate for both ends, with its anchor.
var certified = sync.OnceValues(func() (*handshake.Credential, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "end"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	c, err := handshake.NewCredential([][]byte{der}, key)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	anchor, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool.AddCert(anchor)
	return c, pool
})

// root attests and appraises by comparison: its payload is the challenge.
type root struct {
	mu    sync.Mutex
	lies  int // so many payloads are for another challenge
	nonce []byte
}

func (*root) Schemes() []negotiation.Scheme { return nil }
func (*root) ChallengeSize() int            { return 0 }
func (r *root) Nonce(context.Context, int) ([]byte, error) {
	return r.nonce, nil
}

func (r *root) Attest(_ context.Context, q *negotiation.EvidenceRequest) (*negotiation.Evidence, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	payload := append([]byte{'E'}, q.Challenge...)
	if r.lies > 0 {
		r.lies--
		payload[1] ^= 1
	}
	return &negotiation.Evidence{CMW: payload}, nil
}

func (r *root) Appraise(_ context.Context, q *negotiation.AppraisalRequest) (*negotiation.Verdict, error) {
	if len(q.Challenge) == 0 || !bytes.Equal(q.CMW[1:], q.Challenge) {
		return &negotiation.Verdict{Failure: attls.FailBinderMismatch, Reason: "another challenge"}, nil
	}
	return &negotiation.Verdict{Status: negotiation.StatusAffirming}, nil
}

// ends are two ends of a connection.
type ends struct {
	conns [2]*exported.Conn
	roots [2]*root
	ctx   context.Context

	profile *profile.Profile // of both, or of the client
}

func load(t testing.TB, name string, readings map[string]string) *profile.Profile {
	t.Helper()
	p, err := profile.Load(name, profile.Options{Readings: readings})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var evidence = []negotiation.Scheme{{Model: profile.ModelEvidence, Credential: profile.KindX509}}

// connect makes both ends; those that attest show Evidence, and their peers want it.
func connect(t testing.TB, p *profile.Profile, attest [2]bool, change func(attls.Role, *exported.Config)) *ends {
	t.Helper()
	return connectUnder(t, [2]*profile.Profile{p, p}, attest, change)
}

// connectUnder is connect with a profile of the handshake for each end.
func connectUnder(t testing.TB, profiles [2]*profile.Profile, attest [2]bool, change func(attls.Role, *exported.Config)) *ends {
	t.Helper()
	credential, pool := certified()
	a, b := net.Pipe()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(func() { cancel(); a.Close(); b.Close() })
	e := &ends{ctx: ctx, profile: profiles[client]}
	for role, nc := range map[attls.Role]net.Conn{client: a, server: b} {
		e.roots[role] = &root{}
		answerer := &handshake.Answerer{Credentials: []*handshake.Credential{credential}, Trust: handshake.Trust{Roots: pool},
			Attester: e.roots[role], Appraiser: e.roots[role]}
		p := profiles[role]
		config := &handshake.Config{Profile: p, ServerName: "localhost"}
		make := handshake.Client
		if role == server {
			make, config.ServerName = handshake.Server, ""
			if p != nil && len(p.Frames) > 0 { // the key of the certificate counts there
				config.ClientAuthentication = handshake.RequireClientCertificate
			}
		}
		own := &exported.Config{Profile: p}
		if role == client {
			own.ServerName = "localhost"
		}
		if attest[role] {
			own.Produce = evidence
		}
		if attest[role.Peer()] {
			own.Accept = evidence
		}
		if change != nil {
			change(role, own)
		}
		deadline, _ := ctx.Deadline()
		nc.SetDeadline(deadline)
		e.conns[role] = exported.Wrap(make(nc, config, answerer), own, answerer.Answer)
	}
	return e
}

// both runs both ends at once.
func (e *ends) both(f func(role attls.Role, c *exported.Conn) error) (errs [2]error) {
	var wait sync.WaitGroup
	for _, role := range attls.Roles() {
		wait.Add(1)
		go func() {
			defer wait.Done()
			if errs[role] = f(role, e.conns[role]); errs[role] != nil {
				var failed *attls.Error // who waits for this end goes on
				if errors.As(errs[role], &failed) && failed.HasAlert {
					e.conns[role].Close()
				} else {
					e.conns[role].NetConn().Close()
				}
			}
		}()
	}
	wait.Wait()
	return errs
}

// say sends a line and expects the other's.
func say(c *exported.Conn, role attls.Role) error {
	lines := [2]string{client: "from the client", server: "from the server"}
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write([]byte(lines[role]))
		sent <- err
	}()
	got := make([]byte, len(lines[role.Peer()]))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if string(got) != lines[role.Peer()] {
		return errors.New("other data: " + string(got))
	}
	return <-sent
}

func check(t *testing.T, errs [2]error) {
	t.Helper()
	for _, role := range attls.Roles() {
		if errs[role] != nil {
			t.Errorf("%v: %v", role, errs[role])
		}
	}
}

func failure(err error) attls.Failure {
	var e *attls.Error
	if errors.As(err, &e) {
		return e.Failure
	}
	return ""
}

// TestAttest: each direction, each framing, and data behind it.
func TestAttest(t *testing.T) {
	for _, framing := range []string{"frames", "messages", "application"} {
		for name, attest := range map[string][2]bool{"client": {client: true}, "server": {server: true}, "both": {true, true}} {
			t.Run(framing+"/"+name, func(t *testing.T) {
				e := connect(t, load(t, "seat-expat-04", map[string]string{"framing": framing}), attest, nil)
				check(t, e.both(func(role attls.Role, c *exported.Conn) error { return say(c, role) }))
				for _, role := range attls.Roles() {
					n := 0
					for _, o := range e.conns[role].Outcomes() {
						if n++; o.Attester != role && (o.Verdict == nil || o.Verdict.Failure != "") {
							t.Errorf("the %v has the verdict %+v", role, o.Verdict)
						}
					}
					if want := map[string]int{"both": 2}[name]; n != max(want, 1) {
						t.Errorf("the %v has %d outcomes", role, n)
					}
				}
			})
		}
	}
}

// TestReattest: another request has another context and another challenge, while data goes
// both ways, and what is kept of a connection is bounded.
func TestReattest(t *testing.T) {
	e := connect(t, load(t, "seat-expat-04", nil), [2]bool{true, true}, nil)
	const times = 80
	check(t, e.both(func(role attls.Role, c *exported.Conn) error {
		if err := say(c, role); err != nil {
			return err
		}
		for range times {
			if role == client {
				if _, err := c.Reattest(e.ctx); err != nil {
					return err
				}
			}
			if err := say(c, role); err != nil {
				return err
			}
		}
		return nil
	}))
	list := e.conns[client].Outcomes()
	if len(list) > 64 {
		t.Errorf("%d outcomes are kept", len(list))
	}
	seen := map[string]bool{}
	for _, o := range list {
		if seen[string(o.Challenge)] || seen[string(o.Context)] {
			t.Errorf("the challenge %x or the context %x was used before", o.Challenge, o.Context)
		}
		seen[string(o.Challenge)], seen[string(o.Context)] = true, true
	}
}

// TestContextIsTheNonce of the Verifier, where the text says so.
func TestContextIsTheNonce(t *testing.T) {
	nonce := []byte("a nonce of the Verifier")
	for reading, want := range map[string]bool{"nonce": true, "random": false} {
		e := connect(t, load(t, "seat-expat-04", map[string]string{"context": reading}), [2]bool{server: true}, nil)
		e.roots[client].nonce = nonce
		check(t, e.both(func(role attls.Role, c *exported.Conn) error { return say(c, role) }))
		if o := e.conns[client].Outcomes(); len(o) != 1 || bytes.Equal(o[0].Context, nonce) != want {
			t.Errorf("%s: %+v", reading, o)
		}
	}
}

// TestFailure: with alert, a failed appraisal ends the connection, and no data reaches the
// application; with report, the application is told and may ask again.
func TestFailure(t *testing.T) {
	t.Run("alert", func(t *testing.T) {
		e := connect(t, load(t, "seat-expat-04", nil), [2]bool{server: true}, nil)
		e.roots[server].lies = 1
		errs := e.both(func(role attls.Role, c *exported.Conn) error { return say(c, role) })
		if failure(errs[client]) != attls.FailBinderMismatch {
			t.Errorf("the client: %v", errs[client])
		}
		var alert *attls.Error
		if !errors.As(errs[server], &alert) || alert.Failure != attls.FailPeerAlert || alert.Alert != attls.AlertBadCertificate {
			t.Errorf("the server: %v", errs[server])
		}
		if n, err := e.conns[client].Read(make([]byte, 100)); n > 0 || err == nil {
			t.Errorf("%d octets were read, %v", n, err)
		}
	})
	t.Run("report", func(t *testing.T) {
		e := connect(t, load(t, "seat-expat-04", map[string]string{"failed": "report"}), [2]bool{server: true}, nil)
		e.roots[server].lies = 1
		check(t, e.both(func(role attls.Role, c *exported.Conn) error {
			if role == client {
				if err := c.Attest(e.ctx); failure(err) != attls.FailBinderMismatch {
					return errors.New("not reported")
				}
				if err := c.Attest(e.ctx); err != nil {
					return err
				}
			}
			return say(c, role)
		}))
	})
}

// TestOptional: who does not demand goes on where the peer refuses, and who demands does not.
func TestOptional(t *testing.T) {
	for _, optional := range []bool{false, true} {
		e := connect(t, load(t, "seat-expat-04", nil), [2]bool{server: true}, func(role attls.Role, c *exported.Config) {
			if role == server {
				c.Produce = nil
			}
			c.Optional = optional
		})
		errs := e.both(func(role attls.Role, c *exported.Conn) error {
			if role == server && !optional { // which reads the request before it writes
				_, err := c.Read(make([]byte, 1))
				return err
			}
			return say(c, role)
		})
		if optional {
			check(t, errs)
		} else if failure(errs[client]) != attls.FailEmptyAuthenticator {
			t.Errorf("the client: %v", errs[client])
		}
	}
}

// TestAnswerLast: a server shows Evidence only to a client that it has accepted.
func TestAnswerLast(t *testing.T) {
	for lies, accepted := range map[int]bool{0: true, 1: false} {
		e := connect(t, load(t, "seat-expat-04", nil), [2]bool{true, true}, func(role attls.Role, c *exported.Config) {
			c.AnswerLast = role == server
		})
		e.roots[client].lies = lies
		errs := e.both(func(role attls.Role, c *exported.Conn) error { return say(c, role) })
		shown := slices.ContainsFunc(e.conns[server].Outcomes(), func(o exported.Outcome) bool { return o.Attester == server })
		if shown != accepted || (errs[server] == nil) != accepted {
			t.Errorf("with %d lies the Evidence was shown: %t; %v", lies, shown, errs)
		}
	}
}

// raw is one end that follows no rule of frames.
func raw(t *testing.T, e *ends, role attls.Role, octets []byte) (errs [2]error) {
	t.Helper()
	return e.both(func(r attls.Role, c *exported.Conn) error {
		if r != role {
			return c.Attest(e.ctx)
		}
		if _, err := c.Conn.Write(octets); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, c.Conn)
		return err
	})
}

// TestHostileFrames: what is no frame, comes too early or is too large ends the connection
// with the reason.
func TestHostileFrames(t *testing.T) {
	request := []byte{17, 0, 0, 3, 0, 0, 0}
	for _, x := range []struct {
		name    string
		framing string
		octets  []byte
		want    attls.Failure
	}{
		{"data before the verdict", "frames", []byte{3, 0, 0, 0, 1, 'x'}, attls.FailUnexpectedMessage},
		{"an unknown type", "frames", []byte{9, 0, 0, 0, 1, 'x'}, attls.FailDecode},
		{"an empty frame", "frames", []byte{1, 0, 0, 0, 0}, attls.FailDecode},
		{"a frame that is too large", "frames", []byte{2, 255, 255, 255, 255}, attls.FailCapacity},
		{"a request that is none", "frames", []byte{1, 0, 0, 0, 1, 'x'}, attls.FailDecode},
		{"a request of the wrong role", "frames", append([]byte{1, 0, 0, 0, 7}, request...), attls.FailUnexpectedMessage},
		{"an authenticator that nobody asked for", "frames", append([]byte{2, 0, 0, 0, 36, 20, 0, 0, 32}, make([]byte, 32)...), attls.FailFinished},
		{"data where a message belongs", "messages", []byte("GET / HTTP/1.0\r\n\r\n"), attls.FailUnexpectedMessage},
		{"a message that is too large", "messages", []byte{11, 255, 255, 255}, attls.FailCapacity},
		{"a Certificate without its end", "messages", []byte{11, 0, 0, 1, 0, 1, 0, 0, 0}, attls.FailUnexpectedMessage},
	} {
		t.Run(x.name, func(t *testing.T) {
			e := connect(t, load(t, "seat-expat-04", map[string]string{"framing": x.framing}), [2]bool{server: true}, nil)
			errs := raw(t, e, server, x.octets)
			if got := failure(errs[client]); got != x.want {
				t.Errorf("%q: %v", got, errs[client])
			}
			if failure(errs[server]) != attls.FailPeerAlert {
				t.Errorf("the peer gets no alert: %v", errs[server])
			}
		})
	}
}

// TestClosedInTheMiddle: the end of the stream instead of an authenticator is a failure.
func TestClosedInTheMiddle(t *testing.T) {
	e := connect(t, load(t, "seat-expat-04", nil), [2]bool{server: true}, nil)
	errs := e.both(func(role attls.Role, c *exported.Conn) error {
		if role == client {
			return c.Attest(e.ctx)
		}
		if err := c.HandshakeContext(e.ctx); err != nil {
			return err
		}
		buf := make([]byte, 1000)
		if _, err := c.Conn.Read(buf); err != nil {
			return err
		}
		return c.CloseWrite()
	})
	if errs[client] == nil {
		t.Error("the client goes on")
	}
}

// TestSilentPeer: the context bounds the wait for an authenticator.
func TestSilentPeer(t *testing.T) {
	e := connect(t, load(t, "seat-expat-04", nil), [2]bool{server: true}, nil)
	ctx, cancel := context.WithCancel(e.ctx)
	errs := e.both(func(role attls.Role, c *exported.Conn) error {
		if role == client {
			return c.Attest(ctx)
		}
		if err := c.HandshakeContext(e.ctx); err != nil {
			return err
		}
		_, err := c.Conn.Read(make([]byte, 1000))
		cancel()
		return err
	})
	if failure(errs[client]) != attls.FailCanceled || errs[server] != nil {
		t.Error(errs)
	}
}

// TestLate: an exchange whose time is over ends the connection with a reason that says what
// did not come, and the peer is told; whether the reader of the connection waits too changes
// nothing.
func TestLate(t *testing.T) {
	for name, x := range map[string]struct {
		attest [2]bool
		text   string
	}{
		"no answer":  {[2]bool{server: true}, "has not answered our request"},
		"no request": {[2]bool{client: true}, "has not asked for our attestation"},
	} {
		t.Run(name, func(t *testing.T) {
			e := connect(t, load(t, "seat-expat-04", nil), x.attest, nil)
			ctx, over := context.WithCancelCause(e.ctx)
			errs := e.both(func(role attls.Role, c *exported.Conn) error {
				if err := c.HandshakeContext(e.ctx); err != nil {
					return err
				}
				if role == client {
					return c.Attest(ctx)
				}
				if x.attest[server] {
					if _, err := c.Conn.Read(make([]byte, 1000)); err != nil {
						return err
					}
				}
				over(context.DeadlineExceeded)
				_, err := io.Copy(io.Discard, c.Conn)
				return err
			})
			if failure(errs[client]) != attls.FailTimeout || !strings.Contains(errs[client].Error(), x.text) {
				t.Errorf("the client: %v", errs[client])
			}
			if failure(errs[server]) != attls.FailPeerAlert {
				t.Errorf("the server: %v", errs[server])
			}
		})
	}
}

// TestReattestBehindData: data in front of an answer, more than is kept, waits for who reads,
// and none is lost.
func TestReattestBehindData(t *testing.T) {
	const octets = 3 << 20
	e := connect(t, load(t, "seat-expat-04", nil), [2]bool{server: true}, nil)
	asked := make(chan struct{})
	check(t, e.both(func(role attls.Role, c *exported.Conn) error {
		if err := c.Attest(e.ctx); err != nil {
			return err
		}
		if role == server {
			<-asked
			if _, err := c.Write(make([]byte, octets)); err != nil {
				return err
			}
			if _, err := io.Copy(io.Discard, c); err != nil { // answers
				return err
			}
			return c.CloseWrite()
		}
		verdict := make(chan error, 1)
		go func() {
			close(asked)
			_, err := c.Reattest(e.ctx)
			verdict <- err
			c.CloseWrite()
		}()
		if _, err := io.CopyN(io.Discard, c, octets); err != nil {
			return err
		}
		c.Read(make([]byte, 1)) // nothing more
		return <-verdict
	}))
	if n := len(e.conns[client].Outcomes()); n != 2 {
		t.Errorf("%d outcomes", n)
	}
}

// TestConfig: what cannot work is refused with the field.
func TestConfig(t *testing.T) {
	expat := load(t, "seat-expat-04", nil)
	alone := []negotiation.Scheme{{Model: profile.ModelEvidence, Credential: profile.KindAlone}}
	for field, c := range map[string]*exported.Config{
		"exported.Config.Profile":       {Profile: load(t, "early-attestation-06", nil)},
		"exported.Config.Produce":       {Profile: expat, Produce: alone},
		"exported.Config.Accept":        {Profile: expat, Accept: alone},
		"exported.Config.MaxRequests":   {Profile: expat, MaxRequests: -1},
		"exported.Config.Limits.Octets": {Profile: expat, Limits: authenticator.Limits{Octets: -1}},
	} {
		var e *attls.Error
		if err := c.Check(client); !errors.As(err, &e) || e.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if err := (&exported.Config{Profile: expat, Accept: evidence}).Check(server); err != nil {
		t.Error(err)
	}
}

// TestMaxRequests: a peer cannot have Evidence made without end.
func TestMaxRequests(t *testing.T) {
	e := connect(t, load(t, "seat-expat-04", nil), [2]bool{server: true}, func(_ attls.Role, c *exported.Config) { c.MaxRequests = 2 })
	errs := e.both(func(role attls.Role, c *exported.Conn) error {
		if role == server {
			_, err := io.Copy(io.Discard, c)
			return err
		}
		for range 2 {
			if _, err := c.Reattest(e.ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if failure(errs[server]) != attls.FailLimit || failure(errs[client]) != attls.FailPeerAlert {
		t.Error(errs)
	}
}

// TestUnasked: the extension in an authenticator whose request did not have it is refused, and
// not sent by us (seat-expat, negotiation).
func TestUnasked(t *testing.T) {
	p := load(t, "seat-expat-04", nil)
	credential, _ := certified()
	table, err := extensions.RFC8446().With(p.LaterExtensions...)
	if err != nil {
		t.Fatal(err)
	}
	anything := slices.Clone(p.LaterExtensions)
	for i := range anything {
		anything[i].Placements = slices.Clone(anything[i].Placements)
		for k := range anything[i].Placements {
			anything[i].Placements[k].Unsolicited = true
		}
	}
	loose, err := extensions.RFC8446().With(anything...)
	if err != nil {
		t.Fatal(err)
	}
	end := func(role attls.Role, table *extensions.Table) *authenticator.Connection {
		c, err := authenticator.New(&authenticator.Config{Role: role, Version: attls.VersionTLS13, HandshakeComplete: true,
			Hash: crypto.SHA256, Export: authenticator.ExporterOf(crypto.SHA256, make([]byte, 32)), Extensions: table})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	x, err := p.EncodeLater(p.LaterSlot(server), []byte("payload"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	shown := credential.Shown()
	shown.Extensions = []extensions.List{{{Type: x.Type, Body: x.Body}}}
	for _, attester := range []struct {
		table *extensions.Table
		sends bool
	}{{table, false}, {loose, true}} {
		relying, peer := end(client, table), end(server, attester.table)
		octets, err := relying.Request(&authenticator.Request{Wanted: negotiation.Wanted{Schemes: exported.DefaultSchemes}})
		if err != nil {
			t.Fatal(err)
		}
		r, err := peer.Receive(octets)
		if err != nil {
			t.Fatal(err)
		}
		answer, _, err := peer.Answer(r, shown)
		if (err == nil) != attester.sends {
			t.Fatalf("sends: %v", err)
		}
		if err != nil {
			continue
		}
		if _, err := relying.Open(answer); failure(err) != attls.FailUnsolicited {
			t.Error(err)
		}
	}
}

// TestOtherConnection: an authenticator of another connection is refused.
func TestOtherConnection(t *testing.T) {
	p := load(t, "seat-expat-04", nil)
	var sessions [2]*exported.Session
	var other *exported.Session
	for n := range 2 {
		e := connect(t, p, [2]bool{server: true}, nil)
		check(t, e.both(func(_ attls.Role, c *exported.Conn) error { return c.HandshakeContext(e.ctx) }))
		for _, role := range attls.Roles() {
			over, err := e.conns[role].Authenticators()
			if err != nil {
				t.Fatal(err)
			}
			credential, pool := certified()
			answerer := &handshake.Answerer{Credentials: []*handshake.Credential{credential},
				Trust: handshake.Trust{Roots: pool}, Attester: &root{}, Appraiser: &root{nonce: []byte("the same context")}}
			s, err := exported.NewSession(&exported.Config{Profile: p, Produce: evidence, Accept: evidence, ServerName: "localhost"}, over,
				e.conns[role].Conn.Inputs(), answerer.Answer)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				sessions[role] = s
			} else if role == server {
				other = s
			}
		}
	}
	request, err := sessions[client].Request(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	answer, _, err := other.Answer(context.Background(), request)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sessions[client].Appraise(context.Background(), answer); failure(err) != attls.FailSignature {
		t.Errorf("of another connection: %v", err)
	}
	answer, _, err = sessions[server].Answer(context.Background(), request)
	if err != nil {
		t.Fatal(err)
	}
	if o, err := sessions[client].Appraise(context.Background(), answer); err != nil || o == nil {
		t.Errorf("of this connection: %v", err)
	}
	if _, err := sessions[client].Appraise(context.Background(), answer); failure(err) != attls.FailRequestContext {
		t.Errorf("a second time: %v", err)
	}
}

// TestFlag: where a profile wants a TLS flag, an end whose peer does not set it asks for
// nothing, and its application data goes as it is; who demands attestation fails.
func TestFlag(t *testing.T) {
	draft := load(t, "exported-attestation-02", nil)
	for name, x := range map[string]struct {
		peer     *profile.Profile // of the handshake at the server
		optional bool
		attested int
		want     attls.Failure
	}{
		"agreed":   {draft, false, 1, ""},
		"demanded": {nil, false, 0, attls.FailMissing},
		"optional": {nil, true, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := connectUnder(t, [2]*profile.Profile{client: draft, server: x.peer}, [2]bool{server: true}, func(_ attls.Role, c *exported.Config) {
				c.Profile, c.Optional = draft, x.optional
			})
			errs := e.both(func(role attls.Role, c *exported.Conn) error {
				if role == server && x.want != "" {
					_, err := c.Conn.Read(make([]byte, 1))
					return err
				}
				if role == client {
					if err := c.Attest(e.ctx); err != nil {
						return err
					}
				}
				return say(c, role)
			})
			if got := failure(errs[client]); got != x.want || x.want == "" && errs[server] != nil {
				t.Error(errs)
			}
			if n := len(e.conns[client].Outcomes()); n != x.attested {
				t.Errorf("%d outcomes", n)
			}
		})
	}
}

// TestFrames: in frames of the application, each direction, and data behind them.
func TestFrames(t *testing.T) {
	for name, readings := range map[string]map[string]string{"deployed-cmc": {"encoding": "cbor"}, "deployed-privasys-v2": {"appraised": "report"}} {
		for _, other := range []bool{false, true} {
			if !other {
				readings = nil
			}
			for who, attest := range map[string][2]bool{"client": {client: true}, "server": {server: true}, "both": {true, true}} {
				t.Run(name+"/"+who, func(t *testing.T) {
					e := connect(t, load(t, name, readings), attest, nil)
					check(t, e.both(func(role attls.Role, c *exported.Conn) error { return say(c, role) }))
					for _, role := range attls.Roles() {
						n := 0
						for _, o := range e.conns[role].Outcomes() {
							if n++; o.Attester != role && (o.Verdict == nil || o.Verdict.Failure != "") {
								t.Errorf("the %v has the verdict %+v", role, o.Verdict)
							}
						}
						if want := map[string]int{"both": 2}[who]; n != max(want, 1) {
							t.Errorf("the %v has %d outcomes", role, n)
						}
					}
					if _, err := e.conns[client].Reattest(e.ctx); failure(err) != attls.FailConfiguration {
						t.Errorf("attested again: %v", err)
					}
				})
			}
		}
	}
}

// TestFrameRefused: a failed appraisal is told in a frame, and no data reaches the application.
func TestFrameRefused(t *testing.T) {
	for _, name := range []string{"deployed-cmc", "deployed-privasys-v2"} {
		for _, attester := range attls.Roles() {
			attest := [2]bool{}
			attest[attester] = true
			e := connect(t, load(t, name, nil), attest, nil)
			e.roots[attester].lies = 1
			errs := e.both(func(role attls.Role, c *exported.Conn) error { return say(c, role) })
			if failure(errs[attester.Peer()]) != attls.FailBinderMismatch {
				t.Errorf("%s, the relying party: %v", name, errs[attester.Peer()])
			}
			if f := failure(errs[attester]); f != attls.FailPeerRefused && (f != attls.FailPeerAlert || attester == client) {
				t.Errorf("%s, the attesting %v: %v", name, attester, errs[attester])
			}
			if n, err := e.conns[attester.Peer()].Read(make([]byte, 100)); n > 0 || err == nil {
				t.Errorf("%s: %d octets were read, %v", name, n, err)
			}
		}
	}
}

// TestFrameRefusedOnce: an end that has said in a frame that it refuses the other sends no frame behind that.
func TestFrameRefusedOnce(t *testing.T) {
	var sent []string
	e := connect(t, load(t, "deployed-cmc", map[string]string{"appraised": "arrival"}), [2]bool{true, true},
		func(role attls.Role, c *exported.Config) {
			if role == client {
				c.Frame = func(name string, octets []byte) []byte {
					sent = append(sent, name)
					return octets
				}
			}
		})
	e.roots[server].lies = 1
	errs := e.both(func(role attls.Role, c *exported.Conn) error { return say(c, role) })
	if failure(errs[client]) != attls.FailBinderMismatch || failure(errs[server]) != attls.FailPeerRefused {
		t.Error(errs)
	}
	if want := []string{"client_request", "client_response"}; !slices.Equal(sent, want) {
		t.Errorf("the client has sent %q, not %q", sent, want)
	}
}

// TestHostileApplicationFrames: what is not a frame ends the connection with the reason.
func TestHostileApplicationFrames(t *testing.T) {
	for _, x := range []struct {
		name   string
		octets []byte
		want   attls.Failure
	}{
		{"an empty frame", []byte{0, 0, 0, 0}, attls.FailDecode},
		{"a frame that is too large", []byte{255, 255, 255, 255}, attls.FailCapacity},
		{"data", []byte("GET / HTTP/1.1\r\n\r\n"), attls.FailCapacity},
		{"no object", []byte{0, 0, 0, 2, '4', '2'}, attls.FailDecode},
		{"an object of nothing", []byte{0, 0, 0, 2, '{', '}'}, attls.FailDecode},
		{"a frame that is cut off", []byte{0, 0, 0, 9, '{', '}'}, attls.FailTruncated},
	} {
		t.Run(x.name, func(t *testing.T) {
			e := connect(t, load(t, "deployed-privasys-v2", nil), [2]bool{server: true}, nil)
			errs := e.both(func(role attls.Role, c *exported.Conn) error {
				if role == client {
					return c.Attest(e.ctx)
				}
				if err := c.HandshakeContext(e.ctx); err != nil {
					return err
				}
				if _, err := c.Conn.Read(make([]byte, 1000)); err != nil { // the request
					return err
				}
				if _, err := c.Conn.Write(x.octets); err != nil {
					return err
				}
				if x.want == attls.FailTruncated {
					return c.Conn.CloseWrite()
				}
				_, err := io.Copy(io.Discard, c.Conn)
				return err
			})
			if got := failure(errs[client]); got != x.want {
				t.Errorf("%q: %v", got, errs[client])
			}
		})
	}
}
