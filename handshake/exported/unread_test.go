package exported_test

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"attls"
	"attls/handshake"
	"attls/handshake/exported"
)

// patient is how long what must end soon may last on a machine with much else to do.
const patient = 30 * time.Second

// within waits for a result that must come.
func within(t *testing.T, result <-chan error) error {
	t.Helper()
	timer := time.NewTimer(patient)
	defer timer.Stop()
	select {
	case err := <-result:
		return err
	case <-timer.C:
		t.Fatal("it does not end")
		return nil
	}
}

// TestContextEndsWhileWriting: an attestation whose peer does not read ends with its context,
// whatever is done with the failure.
func TestContextEndsWhileWriting(t *testing.T) {
	for _, name := range []string{"deployed-cmc", "seat-expat-04", "deployed-cocos"} {
		for _, failed := range []string{"alert", "report"} {
			t.Run(name+"/"+failed, func(t *testing.T) {
				readings := map[string]string{"failed": failed}
				if name == "deployed-cocos" {
					readings = nil
				}
				e := connect(t, load(t, name, readings), [2]bool{server: true}, nil)
				check(t, e.both(func(_ attls.Role, c *exported.Conn) error { return c.HandshakeContext(e.ctx) }))
				ctx, cancel := context.WithCancel(context.Background())
				ended := make(chan error, 1)
				go func() { ended <- e.conns[client].Attest(ctx) }()
				if _, err := io.ReadFull(e.conns[server].NetConn(), make([]byte, 1)); err != nil { // it is writing
					t.Fatal(err)
				}
				cancel()
				if err := within(t, ended); !errors.Is(err, context.Canceled) || failure(err) != attls.FailCanceled {
					t.Errorf("%v", err)
				}
				closed := make(chan error, 1)
				go func() { e.conns[client].Close(); closed <- nil }()
				_ = within(t, closed)
			})
		}
	}
}

// TestAnswersAreBounded: who asks and asks and never reads holds up no more than a call whose
// context ends.
func TestAnswersAreBounded(t *testing.T) {
	e := connect(t, load(t, "seat-expat-04", nil), [2]bool{true, true}, nil)
	check(t, e.both(func(role attls.Role, c *exported.Conn) error { return c.Attest(e.ctx) }))
	over, err := e.conns[server].Authenticators()
	if err != nil {
		t.Fatal(err)
	}
	p := load(t, "seat-expat-04", nil)
	session, err := exported.NewSession(&exported.Config{Profile: p, Accept: evidence}, over, e.conns[server].Conn.Inputs(), nobody)
	if err != nil {
		t.Fatal(err)
	}
	frames := exported.NewFrames(&p.Authenticator, 0)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := e.conns[client].Reattest(ctx)
		ended <- err
	}()
	for range 8 { // more than are queued
		request, err := session.Request(ctx)
		if err != nil {
			t.Fatal(err)
		}
		octets, err := frames.Append(nil, exported.ContentRequest, request)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.conns[server].SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := e.conns[server].Conn.Write(octets); err != nil {
			break // the client reads no more
		}
	}
	cancel()
	if err := within(t, ended); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestDeadlineAfterAContext: the deadline of the user holds again after a context has ended a
// Read, and one that is set meanwhile does.
func TestDeadlineAfterAContext(t *testing.T) {
	e := connect(t, load(t, "seat-expat-04", map[string]string{"failed": "report"}), [2]bool{server: true}, nil)
	go e.conns[server].Handshake()
	if err := e.conns[client].HandshakeContext(e.ctx); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := e.conns[client].SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := e.conns[client].Attest(ctx); failure(err) != attls.FailCanceled {
		t.Errorf("Attest: %v", err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := e.conns[client].Conn.Read(make([]byte, 1))
		read <- err
	}()
	if err := within(t, read); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read: %v", err)
	}
}

// TestCloseWriteBehindAQueue: CloseWrite sends what is queued first, and ends with the
// deadline where nobody reads it.
func TestCloseWriteBehindAQueue(t *testing.T) {
	e := connect(t, load(t, "seat-expat-04", nil), [2]bool{server: true}, nil)
	check(t, e.both(func(_ attls.Role, c *exported.Conn) error { return c.HandshakeContext(e.ctx) }))
	go e.conns[client].Attest(e.ctx)
	if _, err := io.ReadFull(e.conns[server].NetConn(), make([]byte, 1)); err != nil { // the request is under way
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() { closed <- e.conns[client].CloseWrite() }()
	if err := e.conns[client].SetWriteDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := within(t, closed); err == nil {
		t.Error("what nobody reads was sent")
	}
}

// nobody answers waits of a session that only asks.
func nobody(context.Context, *handshake.Wait) (handshake.Answer, *attls.Error) {
	return handshake.Answer{}, nil
}
