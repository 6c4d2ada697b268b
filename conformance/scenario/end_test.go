package scenario

import (
	"io"
	"net"
	"slices"
	"syscall"
	"testing"

	"attls"
	"attls/handshake"
	"attls/handshake/message"
)

// torn is a connection that takes writes until something has come that its owner has not read.
type torn struct {
	net.Conn
	writes, most int
}

func (t *torn) Write(b []byte) (int, error) {
	if t.writes++; t.writes > t.most {
		return 0, &net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}
	}
	return t.Conn.Write(b)
}

func (t *torn) CloseWrite() error { return t.Conn.(*net.TCPConn).CloseWrite() }

// TestAlertBehindABrokenWrite: an end that can write no more, since its peer has closed, reads
// the alert that says why.
func TestAlertBehindABrokenWrite(t *testing.T) {
	var plain Scenario
	set, _, err := newRunner(nil).prepare(&plain)
	if err != nil {
		t.Fatal(err)
	}
	client := &End{Role: attls.RoleClient, Config: set.Ends[attls.RoleClient].Config, set: set}
	answerer, err := set.answerer(attls.RoleServer, &tape{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ended := make(chan error, 1)
	go func() {
		nc, err := l.Accept()
		if err == nil {
			defer nc.Close()
			c := handshake.Server(nc, set.Ends[attls.RoleServer].Config, answerer)
			if err = c.HandshakeContext(t.Context()); err == nil {
				c.Abort(attls.Errorf(attls.Violation, attls.FailUnexpectedMessage, "as the test wants it"))
				err = c.Close()
			}
		}
		ended <- err
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	const flights = 2 // ClientHello, and up to Finished
	got, err := client.Exchange(t.Context(), &torn{Conn: nc, most: flights})
	if err != nil {
		t.Fatal(err)
	}
	if got.AlertReceived == nil || got.AlertReceived.Code != uint8(attls.AlertUnexpectedMessage) || got.Error == nil || got.Error.Failure != string(attls.FailPeerAlert) {
		t.Errorf("alert %v, error %+v", got.AlertReceived, got.Error)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// otherFinished sends a Finished that the server refuses, once the client is done.
type otherFinished struct{ handshake.NopTap }

func (o otherFinished) Fork() handshake.Tap { return o }

func (otherFinished) Message(d handshake.Direction, m *message.Raw, p *handshake.Plan) {
	if d == handshake.Sent && m.Kind == attls.KindFinished {
		p.Replace = slices.Clone(m.Bytes)
		p.Replace[len(p.Replace)-1] ^= 1
	}
}

// TestAlertBehindABrokenWriteOfARun: so does an end of a run over loopback, with and without an attestation
// behind the handshake.
func TestAlertBehindABrokenWriteOfARun(t *testing.T) {
	for name, sc := range map[string]Scenario{"plain": {}, "authenticators": {Profile: "seat-expat-04", Attester: AttestServer}} {
		t.Run(name, func(t *testing.T) {
			const flights = 2 // ClientHello, and up to Finished
			r := newRunner([]Option{func(r *runner) {
				r.network = func(role attls.Role, nc net.Conn) net.Conn {
					if role == attls.RoleClient {
						return &torn{Conn: nc, most: flights}
					}
					return nc
				}
				r.change = func(s *Setup) {
					own := s.Ends[attls.RoleClient].Config
					own.Tap = handshake.Taps(own.Tap, otherFinished{})
				}
			}})
			result := r.run(t.Context(), sc)
			c := result.Claims[attls.RoleClient]
			if c.AlertReceived == nil || c.AlertReceived.Code != uint8(attls.AlertDecryptError) || c.Error == nil || c.Error.Failure != string(attls.FailPeerAlert) {
				t.Fatalf("%v, %+v", result.Err, c)
			}
		})
	}
}

// TestAbruptServer: a client takes the end of a connection for close_notify only where its peer is
// known to end so, and only behind all that it asked for.
func TestAbruptServer(t *testing.T) {
	for name, c := range map[string]struct {
		abrupt, echoes bool
		want           attls.Failure // of the client; empty: none
	}{
		"known to":       {abrupt: true, echoes: true},
		"not known to":   {echoes: true, want: attls.FailTruncated},
		"without answer": {abrupt: true, want: attls.FailTruncated},
	} {
		var plain Scenario
		set, _, err := newRunner(nil).prepare(&plain)
		if err != nil {
			t.Fatal(err)
		}
		client := &End{Role: attls.RoleClient, Config: set.Ends[attls.RoleClient].Config, Abrupt: c.abrupt, set: set}
		answerer, err := set.answerer(attls.RoleServer, &tape{})
		if err != nil {
			t.Fatal(err)
		}
		own, other := tcpPair(t)
		ended := make(chan error, 1)
		go func() {
			defer other.Close()
			s := handshake.Server(other, set.Ends[attls.RoleServer].Config, answerer)
			buffer := make([]byte, len(Request))
			_, err := io.ReadFull(s, buffer)
			if err == nil && c.echoes {
				if _, err = s.Write(buffer); err == nil {
					_, err = io.Copy(io.Discard, s) // up to close_notify, so that nothing is reset
				}
			}
			ended <- err
		}()
		got, err := client.Exchange(t.Context(), own)
		own.Close()
		if err != nil {
			t.Fatal(name, err)
		}
		switch {
		case c.want == "" && got.Error != nil, c.want != "" && (got.Error == nil || got.Error.Failure != string(c.want)):
			t.Errorf("%s: the client says %+v", name, got.Error)
		}
		if err := <-ended; err != nil {
			t.Errorf("%s: the server: %v", name, err)
		}
	}
}

// tcpPair is a connection on loopback, whose second end accepted it.
func tcpPair(t *testing.T) (own, other net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if own, err = net.Dial("tcp", l.Addr().String()); err != nil { // the backlog takes it
		t.Fatal(err)
	}
	if other, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return own, other
}
