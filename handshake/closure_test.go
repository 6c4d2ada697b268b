package handshake_test

import (
	"bytes"
	"errors"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/handshake"
)

// TestClosure tells close_notify, truncation and half-close apart (RFC 8446 section 6.1).
func TestClosure(t *testing.T) {
	t.Run("close_notify", func(t *testing.T) {
		p, _ := established(t, nil)
		p.Engine(attls.RoleClient).CloseNotify()
		if err := p.Run(); err != nil || !p.Closed(attls.RoleServer) || p.Closed(attls.RoleClient) {
			t.Errorf("%v, closed %v and %v", err, p.Closed(attls.RoleServer), p.Closed(attls.RoleClient))
		}
		if err := p.Engine(attls.RoleServer).InputEOF(); err != nil {
			t.Errorf("the end after close_notify: %v", err)
		}
		// The other direction goes on, and what follows close_notify is ignored.
		if err := p.Engine(attls.RoleServer).Write([]byte("still here")); err != nil {
			t.Fatal(err)
		}
		p.Inject(attls.RoleServer, []byte{23, 3, 3, 0, 1, 0})
		if err := p.Run(); err != nil || !bytes.HasSuffix(p.Received(attls.RoleClient), []byte("still here")) {
			t.Errorf("%v, received %q", err, p.Received(attls.RoleClient))
		}
		if err := p.Engine(attls.RoleClient).Write([]byte("x")); err == nil {
			t.Error("a write after close_notify")
		}
	})
	truncated := func(t *testing.T, err error) {
		t.Helper()
		var e *attls.Error
		if !errors.As(err, &e) || e.Failure != attls.FailTruncated || e.Class != attls.FromPeer || e.HasAlert {
			t.Errorf("%v, want truncation and no alert", err)
		}
	}
	t.Run("truncation", func(t *testing.T) {
		p, _ := established(t, nil)
		truncated(t, p.Engine(attls.RoleClient).InputEOF())
	})
	t.Run("truncation in the handshake", func(t *testing.T) {
		p, err := pair.New(direct(nil))
		if err != nil {
			t.Fatal(err)
		}
		truncated(t, p.Engine(attls.RoleClient).InputEOF())
	})
	t.Run("end during an open wait", func(t *testing.T) {
		// The client has sent everything and closed while the server still thinks
		// about its certificate: that is no truncation.
		o := direct(nil)
		answer := o.Answer[attls.RoleServer]
		var verdict *handshake.Wait
		o.Delay = func(r attls.Role, w *handshake.Wait) int {
			if r == attls.RoleServer && w.Kind == handshake.WaitCertificateVerdict {
				verdict = w
				return 1 << 20
			}
			return 0
		}
		p, err := pair.New(o)
		if err != nil {
			t.Fatal(err)
		}
		server := p.Engine(attls.RoleServer)
		for !p.Engine(attls.RoleClient).Done() {
			if _, ok := p.Step(); !ok {
				t.Fatalf("the handshake stands still: %v", p.Err())
			}
		}
		p.Engine(attls.RoleClient).CloseNotify()
		for verdict == nil || len(p.Engine(attls.RoleClient).Output()) > 0 {
			if _, ok := p.Step(); !ok {
				t.Fatal("the server does not wait")
			}
		}
		if err := server.InputEOF(); err != nil {
			t.Fatalf("while the wait is open: %v", err)
		}
		a, _ := answer(verdict)
		if err := server.Answer(verdict.ID, a); err != nil {
			t.Fatal(err)
		}
		p.Run()
		if err := server.Err(); err != nil || !server.Done() || !p.Closed(attls.RoleServer) {
			t.Errorf("%v, closed %v", err, p.Closed(attls.RoleServer))
		}
	})
	t.Run("user_canceled", func(t *testing.T) {
		taps := &watch{}
		o := direct(func(c, _ *handshake.Config) { c.Tap = taps })
		p, err := pair.New(o)
		if err != nil {
			t.Fatal(err)
		}
		p.Engine(attls.RoleClient).Abort(attls.Errorf(attls.Local, attls.FailCanceled, "enough"))
		p.Run()
		if got := taps.alerts[handshake.Sent]; len(got) != 2 || got[0] != attls.AlertUserCanceled || got[1] != attls.AlertCloseNotify {
			t.Errorf("sent %v", got)
		}
	})
}
