package scenario

import (
	"net"
	"syscall"
	"testing"

	"attls"
	"attls/handshake"
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
