package exported_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/authenticator"
	"attls/handshake/exported"
)

// overTLS is one end of a connection of crypto/tls, and its session.
type overTLS struct {
	conn    *tls.Conn
	session *exported.Session
	frames  *exported.Frames
	in      []byte
}

// send sends a frame, and receive takes one.
func (e *overTLS) send(c exported.Content, octets []byte) error {
	framed, err := e.frames.Append(nil, c, octets)
	if err == nil {
		_, err = e.conn.Write(framed)
	}
	return err
}

func (e *overTLS) receive() ([]byte, error) {
	for {
		_, octets, n, failed := e.frames.Next(e.in)
		if failed != nil {
			return nil, failed
		}
		if n > 0 {
			e.in = e.in[n:]
			return octets, nil
		}
		b := make([]byte, 4096)
		got, err := e.conn.Read(b)
		if err != nil {
			return nil, err
		}
		e.in = append(e.in, b[:got]...)
	}
}

// asks has an end ask, and its peer answer.
func asks(ctx context.Context, relying, attester *overTLS) (shown, judged *exported.Outcome, err error) {
	request, err := relying.session.Request(ctx)
	if err != nil {
		return nil, nil, err
	}
	answered := make(chan error, 1)
	go func() {
		answered <- func() error {
			octets, err := attester.receive()
			if err != nil {
				return err
			}
			if octets, shown, err = attester.session.Answer(ctx, octets); err != nil {
				return err
			}
			return attester.send(exported.ContentAnswer, octets)
		}()
	}()
	if err := relying.send(exported.ContentRequest, request); err != nil {
		return nil, nil, err
	}
	octets, err := relying.receive()
	if err != nil {
		return nil, nil, err
	}
	if err := <-answered; err != nil {
		return nil, nil, err
	}
	judged, err = relying.session.Appraise(ctx, octets)
	return shown, judged, err
}

// tlsPair is a connection of crypto/tls in memory, with the states of both ends.
func tlsPair(t testing.TB) (conns [2]*tls.Conn, states [2]tls.ConnectionState) {
	t.Helper()
	credential, pool := certified()
	own := tls.Certificate{Certificate: credential.Chain, PrivateKey: credential.Signer.(*ecdsa.PrivateKey)}
	cc := &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS13}
	sc := &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true}
	a, b := net.Pipe()
	t.Cleanup(func() { a.Close(); b.Close() })
	conns = [2]*tls.Conn{client: tls.Client(a, cc), server: tls.Server(b, sc)}
	done := make(chan error, 1)
	go func() { done <- conns[server].Handshake() }()
	if err := conns[client].Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return conns, [2]tls.ConnectionState{conns[0].ConnectionState(), conns[1].ConnectionState()}
}

func answererOf(r *root) *handshake.Answerer {
	credential, pool := certified()
	return &handshake.Answerer{Credentials: []*handshake.Credential{credential}, Trust: handshake.Trust{Roots: pool, AnyName: true},
		Attester: r, Appraiser: r}
}

// TestOverTLS: a client and a server of crypto/tls attest to each other by the binder of expat,
// again and again; Evidence of another connection, or for another request, is refused.
func TestOverTLS(t *testing.T) {
	p := load(t, "seat-expat-04", nil)
	make := func() (ends [2]*overTLS, roots [2]*root) {
		conns, states := tlsPair(t)
		for _, role := range attls.Roles() {
			roots[role] = &root{}
			session, err := exported.OverTLS(&exported.Config{Profile: p, Produce: evidence, Accept: evidence}, role, &states[role], nil,
				answererOf(roots[role]).Answer)
			if err != nil {
				t.Fatal(err)
			}
			ends[role] = &overTLS{conn: conns[role], session: session, frames: exported.NewFrames(&p.Authenticator, 0)}
		}
		return ends, roots
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ends, roots := make()
	seen := map[string]bool{}
	for range 2 {
		for _, relying := range attls.Roles() {
			shown, judged, err := asks(ctx, ends[relying], ends[relying.Peer()])
			if err != nil {
				t.Fatalf("the %v asks: %v", relying, err)
			}
			if !bytes.Equal(shown.Challenge, judged.Challenge) || len(shown.Challenge) != 32 || seen[string(shown.Challenge)] {
				t.Errorf("the challenges are %x and %x", shown.Challenge, judged.Challenge)
			}
			seen[string(shown.Challenge)] = true
		}
	}
	roots[server].lies = 1
	if _, _, err := asks(ctx, ends[client], ends[server]); failure(err) != attls.FailBinderMismatch {
		t.Errorf("another challenge: %v", err)
	}
	other, _ := make()
	other[server].conn = ends[server].conn // an attester whose session is that of another connection
	if _, _, err := asks(ctx, ends[client], other[server]); err == nil {
		t.Error("an authenticator of another connection is accepted")
	}
}

// TestMixedStacks: the binder out of the exporter of crypto/tls is the one that the engine
// computes out of its secret, whatever is at the other end.
func TestMixedStacks(t *testing.T) {
	for _, name := range []string{"seat-expat-02", "seat-expat-04", "deployed-cocos"} {
		for _, ours := range attls.Roles() {
			t.Run(name+"/"+ours.String(), func(t *testing.T) {
				p := load(t, name, nil)
				credential, pool := certified()
				a, b := net.Pipe()
				t.Cleanup(func() { a.Close(); b.Close() })
				nc := [2]net.Conn{a, b}
				mine, theirs := handshake.Client(nc[client], &handshake.Config{Profile: p, ServerName: "localhost"}, answererOf(&root{})),
					tls.Server(nc[server], &tls.Config{MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true,
						Certificates: []tls.Certificate{{Certificate: credential.Chain, PrivateKey: credential.Signer.(*ecdsa.PrivateKey)}}})
				if ours == server {
					mine = handshake.Server(nc[server], &handshake.Config{Profile: p}, answererOf(&root{}))
					theirs = tls.Client(nc[client], &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS13})
				}
				done := make(chan error, 1)
				go func() { done <- mine.Handshake() }()
				check(t, [2]error{theirs.Handshake(), <-done})
				var sessions [2]*exported.Session
				config := &exported.Config{Profile: p, Produce: evidence, Accept: evidence}
				if name == "deployed-cocos" {
					config = &exported.Config{Profile: p, Produce: evidence}
				}
				configs := [2]*exported.Config{config, config}
				if name == "deployed-cocos" { // the client has nothing to show
					configs[client] = &exported.Config{Profile: p, Accept: evidence}
				}
				over, err := mine.Authenticators()
				if err == nil {
					sessions[ours], err = exported.NewSession(configs[ours], over, mine.Inputs(), answererOf(&root{}).Answer)
				}
				if err != nil {
					t.Fatal(err)
				}
				state := theirs.ConnectionState()
				if sessions[ours.Peer()], err = exported.OverTLS(configs[ours.Peer()], ours.Peer(), &state, nil,
					answererOf(&root{}).Answer); err != nil {
					t.Fatal(err)
				}
				for _, relying := range attls.Roles() {
					if len(configs[relying].Accept) == 0 {
						continue
					}
					request, err := sessions[relying].Request(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					octets, shown, err := sessions[relying.Peer()].Answer(t.Context(), request)
					if err != nil {
						t.Fatal(err)
					}
					judged, err := sessions[relying].Appraise(t.Context(), octets)
					if err != nil || !bytes.Equal(shown.Challenge, judged.Challenge) {
						t.Errorf("the %v asks: %v", relying, err)
					}
				}
			})
		}
	}
}

// TestOverGivenValues: an exporter secret is enough for both ends.
func TestOverGivenValues(t *testing.T) {
	p := load(t, "seat-expat-04", nil)
	for _, hash := range []crypto.Hash{crypto.SHA256, crypto.SHA384} {
		secret := bytes.Repeat([]byte{7}, hash.Size())
		var sessions [2]*exported.Session
		for _, role := range attls.Roles() {
			var err error
			sessions[role], err = exported.Over(&exported.Config{Profile: p, Produce: evidence, Accept: evidence},
				&authenticator.Config{Role: role, Version: attls.VersionTLS13, HandshakeComplete: true, Hash: hash,
					Export: authenticator.ExporterOf(hash, secret)}, [2][]byte{}, answererOf(&root{}).Answer)
			if err != nil {
				t.Fatal(err)
			}
		}
		request, err := sessions[client].Request(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		octets, shown, err := sessions[server].Answer(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sessions[client].Appraise(t.Context(), octets); err != nil || len(shown.Challenge) != hash.Size() {
			t.Errorf("%v: %x, %v", hash, shown.Challenge, err)
		}
	}
}

// TestBeyondAnExporter: what another stack cannot give is refused when the session is made.
func TestBeyondAnExporter(t *testing.T) {
	bound := func(expr string) *profile.Profile {
		p, err := profile.Parse("other.yaml", []byte("profile: other\nbase: seat-expat-04\nbinder: {define: {exported_value: '"+expr+"'}}\n"),
			profile.Options{})
		if err != nil {
			t.Fatalf("%s: %v", expr, err)
		}
		return p
	}
	good := func(role attls.Role) *authenticator.Config {
		return &authenticator.Config{Role: role, Version: attls.VersionTLS13, HandshakeComplete: true, Hash: crypto.SHA256,
			Export: authenticator.ExporterOf(crypto.SHA256, make([]byte, 32))}
	}
	for _, x := range []struct {
		name string
		p    *profile.Profile
		want string
	}{
		{"the transcript", bound("hash(concat(hash(CH..SH), request_context(role)))"), "needs a transcript"},
		{"a secret", bound("expand_label(main_secret, \"x\", request_context(role), 32)"), "needs main_secret"},
		{"the exporter secret itself", bound("hash(concat(exporter_secret, request_context(role)))"), "needs exporter_secret"},
		{"a transcript in the exporter", bound("concat(exporter(exporter_secret, \"x\", CH..SH, 32), request_context(role))"), "needs a transcript"},
		{"a flag", load(t, "exported-attestation-02", nil), "wants the TLS flag CMW_Attestation"},
		{"the keys of the handshake", load(t, "deployed-privasys-v2", nil), "needs spki(server)"},
	} {
		_, err := exported.Over(&exported.Config{Profile: x.p, Accept: evidence}, good(client), [2][]byte{}, nobody)
		if failure(err) != attls.FailConfiguration || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v; want %s", x.name, err, x.want)
		}
	}
	if _, err := exported.Over(&exported.Config{Profile: load(t, "seat-expat-04", nil), Accept: evidence}, nil, [2][]byte{}, nobody); failure(err) != attls.FailConfiguration {
		t.Errorf("nothing: %v", err)
	}
	credential, _ := certified()
	if _, err := exported.Over(&exported.Config{Profile: load(t, "deployed-privasys-v2", nil), Accept: evidence}, good(client),
		[2][]byte{server: credential.Chain[0]}, nobody); err != nil {
		t.Errorf("with the certificate of the server: %v", err)
	}
	resumed := tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, CipherSuite: tls.TLS_AES_128_GCM_SHA256, DidResume: true}
	if _, err := exported.OverTLS(&exported.Config{Profile: load(t, "seat-expat-04", nil), Accept: evidence}, client, &resumed, nil,
		nobody); failure(err) != attls.FailConfiguration || !strings.Contains(err.Error(), "was resumed") {
		t.Errorf("a resumed connection: %v", err)
	}
	old := tls.ConnectionState{Version: tls.VersionTLS12, HandshakeComplete: true}
	if _, err := exported.OverTLS(&exported.Config{Profile: load(t, "seat-expat-04", nil), Accept: evidence}, client, &old, nil, nobody); err == nil {
		t.Error("TLS 1.2 is accepted")
	}
}
