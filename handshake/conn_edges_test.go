package handshake_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"attls"
	"attls/handshake"
	"attls/handshake/message"
	"attls/record"
)

// afterHandshake are two Conns after a plain handshake; the taps see the client
// and the server.
func afterHandshake(t *testing.T, a, b net.Conn, clientTap, serverTap handshake.Tap) (client, server *handshake.Conn) {
	t.Helper()
	client, server = conns(t, a, b, &handshake.Config{Tap: clientTap}, &handshake.Config{Tap: serverTap}, trusting(""), trusting("server"))
	if ce, se := both(client, server); ce != nil || se != nil {
		t.Fatalf("client: %v, server: %v", ce, se)
	}
	return client, server
}

// TestConnAllocations sends and receives records without allocating.
func TestConnAllocations(t *testing.T) {
	a, b := loopback(t)
	client, server := afterHandshake(t, a, b, nil, nil)
	for _, size := range []int{1, 1 << 14, 3 << 14} {
		data, got := make([]byte, size), make([]byte, size)
		move := func() {
			if _, err := client.Write(data); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(server, got); err != nil {
				t.Fatal(err)
			}
		}
		for range 20 { // the buffers grow to what is needed
			move()
		}
		if n := testing.AllocsPerRun(200, move); n >= 1 {
			t.Errorf("%v allocations for %d octets", n, size)
		}
	}
}

// TestConcurrentUse has everything called at once, for the race detector.
func TestConcurrentUse(t *testing.T) {
	a, b := loopback(t)
	client, server := conns(t, a, b, &handshake.Config{}, &handshake.Config{}, trusting(""), trusting("server"))
	var wg sync.WaitGroup
	for _, c := range []*handshake.Conn{client, server} {
		for range 2 {
			wg.Go(func() { // each Write is whole, whichever comes first
				if _, err := c.Write(bytes.Repeat([]byte("x"), 100_000)); err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() {
				if _, err := io.ReadFull(c, make([]byte, 100_000)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Go(func() {
			for range 20 {
				if err := c.KeyUpdate(true); err != nil {
					t.Error(err)
				}
				c.ConnectionState()
				if _, err := c.Export("label", nil, 16); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			c.SetReadDeadline(time.Now().Add(patience))
			c.SetWriteDeadline(time.Now().Add(patience))
		})
	}
	wg.Wait()
}

// TestClose ends Reads, Writes and handshakes that are blocked.
func TestClose(t *testing.T) {
	t.Run("established", func(t *testing.T) {
		a, b := net.Pipe()
		client, _ := afterHandshake(t, a, b, nil, nil)
		errs := make(chan error, 2)
		go func() {
			_, err := client.Read(make([]byte, 1))
			errs <- err
		}()
		go func() {
			_, err := client.Write(make([]byte, 1))
			errs <- err
		}()
		if _, err := io.ReadFull(b, make([]byte, 1)); err != nil { // the Write is under way
			t.Fatal(err)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-errs; err == nil {
				t.Error("no error after Close")
			}
		}
		if err := client.Close(); err != net.ErrClosed {
			t.Errorf("a second Close: %v", err)
		}
		if _, err := client.Write([]byte("x")); err != net.ErrClosed {
			t.Errorf("Write after Close: %v", err)
		}
	})
	t.Run("handshake", func(t *testing.T) {
		a, b := net.Pipe()
		client := handshake.Client(a, &handshake.Config{}, trusting(""))
		ended := make(chan error, 1)
		go func() { ended <- client.Handshake() }()
		if _, err := io.ReadFull(b, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		client.Close()
		if err := <-ended; err == nil {
			t.Error("the handshake did not fail")
		}
	})
}

// TestHandshakeDeadline checks that a handshake that ran into a deadline is over.
func TestHandshakeDeadline(t *testing.T) {
	a, b := loopback(t)
	client := handshake.Client(a, &handshake.Config{}, trusting(""))
	defer client.Close()
	defer b.Close()
	client.SetReadDeadline(time.Unix(1, 0))
	err := client.Handshake()
	var e *attls.Error
	if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &e) || e.Failure != attls.FailTimeout {
		t.Errorf("%v", err)
	}
	client.SetReadDeadline(time.Time{})
	if again := client.Handshake(); again != err {
		t.Errorf("the second time: %v", again)
	}
	if state := client.ConnectionState().State; state != "FAILED" {
		t.Errorf("state %s", state)
	}
	if !e.HasAlert || e.Alert != attls.AlertUserCanceled {
		t.Errorf("the alert is %v", e.Alert)
	}
}

// TestBadConfiguration is reported by the handshake.
func TestBadConfiguration(t *testing.T) {
	a, _ := net.Pipe()
	client := handshake.Client(a, &handshake.Config{RecordSizeLimit: 1}, nil)
	_, err := client.Read(make([]byte, 1))
	var e *attls.Error
	if !errors.As(err, &e) || e.Failure != attls.FailConfiguration || !strings.Contains(e.Field, "RecordSizeLimit") {
		t.Errorf("%v", err)
	}
	if err := client.Settled(t.Context()); !errors.As(err, &e) || e.Failure != attls.FailConfiguration {
		t.Errorf("Settled: %v", err)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
}

// endConn tells when Read has returned the end of the stream.
type endConn struct {
	net.Conn
	ended chan struct{}
}

func (c endConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == io.EOF {
		close(c.ended)
	}
	return n, err
}

// TestEndBehindWait has the client send everything and close both the
// connection and the transport while the server still waits for a verdict on
// the client's certificate: nothing of it is lost.
func TestEndBehindWait(t *testing.T) {
	a, b := loopback(t)
	ended := make(chan struct{})
	sa := trusting("server")
	sa.Trust.Verify = func(context.Context, attls.Role, [][]byte) error {
		<-ended
		return nil
	}
	client, server := conns(t, a, endConn{b, ended}, &handshake.Config{},
		&handshake.Config{ClientAuthentication: handshake.RequireClientCertificate}, trusting("client"), sa)
	data := bytes.Repeat([]byte("all of it"), 2000)
	go func() {
		client.Write(data)
		client.CloseWrite()
		a.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(server)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d octets of %d, %v", len(got), len(data), err)
	}
}

// lingering notes in which order a transport is closed.
type lingering struct {
	*net.TCPConn
	half, ended atomic.Bool
	closed      string
}

func (l *lingering) Read(b []byte) (int, error) {
	n, err := l.TCPConn.Read(b)
	if err == io.EOF {
		l.ended.Store(true)
	}
	return n, err
}

func (l *lingering) CloseWrite() error {
	l.half.Store(true)
	return l.TCPConn.CloseWrite()
}

func (l *lingering) Close() error {
	if l.closed == "" {
		l.closed = fmt.Sprintf("half-closed: %v, read to the end: %v", l.half.Load(), l.ended.Load())
	}
	return l.TCPConn.Close()
}

// TestAlertArrives checks that a fatal alert reaches a peer whose data is not
// read any more: to close a transport with unread data is to reset it, and a
// reset may destroy the alert on its way.
func TestAlertArrives(t *testing.T) {
	a, tcp := loopback(t)
	b := &lingering{TCPConn: tcp.(*net.TCPConn)}
	client, server := afterHandshake(t, a, b, nil, nil)
	for range 40 { // more than may come without data between
		if err := client.KeyUpdate(false); err != nil {
			t.Fatal(err)
		}
	}
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		client.Write(make([]byte, 8<<20))
	}()
	var e *attls.Error
	if _, err := server.Read(make([]byte, 1)); !errors.As(err, &e) || e.Failure != attls.FailLimit || !e.HasAlert {
		t.Fatalf("server: %v", err)
	}
	if _, err := server.Write([]byte("x")); !errors.As(err, &e) || e.Failure != attls.FailLimit {
		t.Errorf("Write after the failure: %v", err)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.As(err, &e) || e.Failure != attls.FailPeerAlert || e.Alert != attls.AlertIllegalParameter {
		t.Errorf("client: %v", err)
	}
	client.Close()
	within(t, wrote, "the end of what is written")
	server.Close()
	if want := "half-closed: true, read to the end: true"; b.closed != want {
		t.Errorf("when closed, the server's transport was %s", b.closed)
	}
}

// afterTap changes handshake messages once the handshake is complete and notes
// what it sees then.
type afterTap struct {
	handshake.NopTap
	direction handshake.Direction
	plan      func(m *message.Raw, p *handshake.Plan)
	secrets   []handshake.SecretName
	records   int
	alerts    []attls.AlertDescription
}

func (a *afterTap) Message(d handshake.Direction, m *message.Raw, p *handshake.Plan) {
	if m.Kind == attls.KindKeyUpdate && d == a.direction && a.plan != nil {
		a.plan(m, p)
		a.plan = nil
	}
}

func (a *afterTap) Record(_ handshake.Direction, r *record.Raw, _ *record.Plan) {
	if r.Type == attls.ContentTypeApplicationData {
		a.records++
	}
}

func (a *afterTap) Derived(name handshake.SecretName, secret []byte) []byte {
	a.secrets = append(a.secrets, name)
	return secret
}

func (a *afterTap) Alert(_ handshake.Direction, d attls.AlertDescription) {
	a.alerts = append(a.alerts, d)
}

func (a *afterTap) Fork() handshake.Tap { panic("not forked here") }

// TestTapsAfterTheHandshake plans for KeyUpdate in both halves as the engine
// does for the messages of the handshake.
func TestTapsAfterTheHandshake(t *testing.T) {
	ask := (&message.KeyUpdate{RequestUpdate: true}).Append(nil)
	plain := (&message.KeyUpdate{}).Append(nil)
	drop := func(_ *message.Raw, p *handshake.Plan) { p.Drop = true }
	tests := []struct {
		name   string
		at     attls.Role // the client sends KeyUpdate, the server receives it
		plan   func(m *message.Raw, p *handshake.Plan)
		server attls.Failure // the server's Read
		update int           // generation of the server's own key afterwards
	}{
		{"sent as it is", attls.RoleClient, func(*message.Raw, *handshake.Plan) {}, "", 0},
		{"sent is replaced", attls.RoleClient, func(_ *message.Raw, p *handshake.Plan) { p.Replace = ask }, "", 1},
		{"sent is dropped", attls.RoleClient, drop, attls.FailBadRecordMAC, 0},
		{"one is sent before", attls.RoleClient, func(_ *message.Raw, p *handshake.Plan) { p.Before = [][]byte{plain} }, attls.FailMessageBoundary, 0},
		{"another is sent after", attls.RoleClient, func(_ *message.Raw, p *handshake.Plan) { p.After = [][]byte{{24, 0, 0, 0}} }, attls.FailMessageBoundary, 0},
		{"received as it is", attls.RoleServer, func(*message.Raw, *handshake.Plan) {}, "", 0},
		{"received is replaced", attls.RoleServer, func(_ *message.Raw, p *handshake.Plan) { p.Replace = ask }, "", 1},
		{"received is dropped", attls.RoleServer, drop, attls.FailBadRecordMAC, 0},
		{"one is received after", attls.RoleServer, func(_ *message.Raw, p *handshake.Plan) { p.After = [][]byte{{24, 0, 0, 0}} }, attls.FailDecode, 0},
		{"one is received before", attls.RoleServer, func(_ *message.Raw, p *handshake.Plan) { p.Before = [][]byte{{20, 0, 0, 0}} }, attls.FailUnexpectedMessage, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, b := loopback(t)
			taps := [2]*afterTap{{direction: handshake.Sent}, {direction: handshake.Received}}
			taps[test.at].plan = test.plan
			client, server := afterHandshake(t, a, b, taps[attls.RoleClient], taps[attls.RoleServer])
			go func() {
				client.KeyUpdate(false)
				client.Write([]byte("data"))
			}()
			_, err := io.ReadFull(server, make([]byte, 4))
			var e *attls.Error
			if test.server != "" {
				if !errors.As(err, &e) || e.Failure != test.server {
					t.Errorf("server: %v", err)
				}
				if seen := taps[attls.RoleServer].alerts; len(seen) != 1 || seen[0] != attls.DefaultAlert(test.server) {
					t.Errorf("the server's tap saw the alerts %v", seen)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			// The answer to a request stands before this data.
			if _, err := server.Write([]byte("data")); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(client, make([]byte, 4)); err != nil {
				t.Fatal(err)
			}
			for role, tap := range taps {
				if !slices.Contains(tap.secrets, "CLIENT_TRAFFIC_SECRET_1") || slices.Contains(tap.secrets, "SERVER_TRAFFIC_SECRET_1") != (test.update == 1) {
					t.Errorf("%v: secrets %v", attls.Role(role), tap.secrets)
				}
				if tap.records != 2 {
					t.Errorf("%v: %d records of data", attls.Role(role), tap.records)
				}
			}
		})
	}
}
