package handshake_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"attls"
	"attls/handshake"
	"attls/handshake/enginetest"
)

// trusting is an Answerer that shows a certificate and accepts any.
func trusting(name string) *handshake.Answerer {
	a := &handshake.Answerer{Trust: handshake.Trust{InsecureSkipVerify: true}}
	if name != "" {
		a.Credentials = []*handshake.Credential{enginetest.Credential(name)}
	}
	return a
}

// conns makes both ends over a and b, with a deadline against hanging.
func conns(t *testing.T, a, b net.Conn, cc, sc *handshake.Config, ca, sa *handshake.Answerer) (client, server *handshake.Conn) {
	t.Helper()
	client, server = handshake.Client(a, cc, ca), handshake.Server(b, sc, sa)
	deadline := latest(t)
	a.SetDeadline(deadline)
	b.SetDeadline(deadline)
	t.Cleanup(func() { a.Close(); b.Close() })
	return client, server
}

// both runs the two handshakes at once and returns their errors.
func both(client, server *handshake.Conn) (error, error) {
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	err := client.Handshake()
	return err, <-done
}

// TestConnPair is a mutual handshake of two Conns over a pipe without a buffer,
// with data in both directions and the orderly end of each.
func TestConnPair(t *testing.T) {
	a, b := net.Pipe()
	client, server := conns(t, a, b, &handshake.Config{ServerName: "server", KeyShares: []attls.NamedGroup{}},
		&handshake.Config{ClientAuthentication: handshake.RequireClientCertificate}, trusting("client"), trusting("server"))
	if ce, se := both(client, server); ce != nil || se != nil {
		t.Fatalf("client: %v, server: %v", ce, se)
	}
	if s := server.ConnectionState(); len(s.PeerChain) != 1 || !s.HelloRetry || s.ServerName != "server" {
		t.Errorf("%d certificates, HelloRetryRequest %v, server name %q", len(s.PeerChain), s.HelloRetry, s.ServerName)
	}
	data := bytes.Repeat([]byte("0123456789abcdef"), 20000)
	errs := make(chan error, 4)
	send := func(c *handshake.Conn) {
		if _, err := c.Write(data); err != nil {
			errs <- err
			return
		}
		errs <- c.CloseWrite()
	}
	receive := func(c *handshake.Conn) {
		got, err := io.ReadAll(c)
		if err == nil && !bytes.Equal(got, data) {
			err = errors.New("other data arrived")
		}
		errs <- err
	}
	go send(client)
	go send(server)
	go receive(client)
	go receive(server)
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if _, err := client.Write([]byte("x")); err == nil {
		t.Error("Write after CloseWrite succeeded")
	}
	ce, err := client.Export("label", []byte("context"), 32)
	if err != nil {
		t.Fatal(err)
	}
	se, err := server.Export("label", []byte("context"), 32)
	if err != nil || !bytes.Equal(ce, se) {
		t.Errorf("exported %x and %x, %v", ce, se, err)
	}
}

// TestTruncation tells the end of the transport from close_notify.
func TestTruncation(t *testing.T) {
	for _, orderly := range []bool{true, false} {
		a, b := loopback(t)
		client, server := conns(t, a, b, &handshake.Config{}, &handshake.Config{}, trusting(""), trusting("server"))
		if ce, se := both(client, server); ce != nil || se != nil {
			t.Fatal(ce, se)
		}
		if orderly {
			server.Close()
		} else {
			server.NetConn().Close()
		}
		_, err := client.Read(make([]byte, 1))
		var e *attls.Error
		if orderly && err != io.EOF {
			t.Errorf("after close_notify: %v", err)
		}
		if !orderly && (!errors.Is(err, io.ErrUnexpectedEOF) || !errors.As(err, &e) || e.Failure != attls.FailTruncated) {
			t.Errorf("without close_notify: %v", err)
		}
	}
}

// TestTruncatedHandshake ends the transport in the middle of the handshake.
func TestTruncatedHandshake(t *testing.T) {
	a, b := loopback(t)
	client, _ := conns(t, a, b, &handshake.Config{}, &handshake.Config{}, trusting(""), trusting("server"))
	go func() {
		io.ReadFull(b, make([]byte, 5))
		b.(*net.TCPConn).CloseWrite()
	}()
	err := client.Handshake()
	var e *attls.Error
	if !errors.Is(err, io.ErrUnexpectedEOF) || !errors.As(err, &e) || e.Failure != attls.FailTruncated {
		t.Errorf("%v", err)
	}
}

// TestHandshakeFails checks that both ends learn why: one by its own error, the
// other by the alert, over a transport without a buffer and over TCP.
func TestHandshakeFails(t *testing.T) {
	for _, name := range []string{"pipe", "tcp"} {
		t.Run(name, func(t *testing.T) {
			a, b := net.Pipe()
			if name == "tcp" {
				a, b = loopback(t)
			}
			ca := trusting("")
			ca.Trust = handshake.Trust{AnyName: true}
			client, server := conns(t, a, b, &handshake.Config{}, &handshake.Config{}, ca, trusting("server"))
			ended := make(chan error, 1)
			go func() {
				_, err := server.Read(make([]byte, 1))
				server.Close()
				ended <- err
			}()
			var e *attls.Error
			if err := client.Handshake(); !errors.As(err, &e) || e.Failure != attls.FailUnknownCA {
				t.Errorf("client: %v", err)
			}
			client.Close()
			if err := <-ended; !errors.As(err, &e) || e.Failure != attls.FailPeerAlert || e.Alert != attls.AlertUnknownCA {
				t.Errorf("server: %v", err)
			}
		})
	}
}

// TestHandshakeContext ends a handshake whose peer says nothing.
func TestHandshakeContext(t *testing.T) {
	a, b := loopback(t)
	client, _ := conns(t, a, b, &handshake.Config{}, &handshake.Config{}, trusting(""), trusting("server"))
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.ReadFull(b, make([]byte, 5)) // ClientHello is on its way
		cancel()
	}()
	err := client.HandshakeContext(ctx)
	var e *attls.Error
	if !errors.Is(err, context.Canceled) || !errors.As(err, &e) || e.Failure != attls.FailCanceled {
		t.Errorf("%v", err)
	}
	if again := client.Handshake(); again != err {
		t.Errorf("the second time: %v", again)
	}
}

// TestDeadlines checks that a Read goes on after its deadline and that a Write
// does not.
func TestDeadlines(t *testing.T) {
	a, b := net.Pipe()
	client, server := conns(t, a, b, &handshake.Config{}, &handshake.Config{}, trusting(""), trusting("server"))
	if ce, se := both(client, server); ce != nil || se != nil {
		t.Fatal(ce, se)
	}
	past, none := time.Unix(1, 0), time.Time{}
	client.SetReadDeadline(past)
	for range 2 {
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("expired Read: %v", err)
		}
	}
	client.SetReadDeadline(none)
	go server.Write([]byte("late"))
	buf := make([]byte, 4)
	if _, err := io.ReadFull(client, buf); err != nil || string(buf) != "late" {
		t.Fatalf("Read after the deadline was moved: %q, %v", buf, err)
	}
	client.SetWriteDeadline(past)
	if _, err := client.Write(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("expired Write: %v", err)
	}
	client.SetWriteDeadline(none)
	if _, err := client.Write(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Write after an expired one: %v", err)
	}
}

// TestBlockedWrite lets one end's Write block, as the other end does not read,
// and has that end send data and ask for KeyUpdates: the first end's Reads go on
// and its answer follows once the Write is free.
func TestBlockedWrite(t *testing.T) {
	a, b := net.Pipe()
	client, server := conns(t, a, b, &handshake.Config{}, &handshake.Config{}, trusting(""), trusting("server"))
	if ce, se := both(client, server); ce != nil || se != nil {
		t.Fatal(ce, se)
	}
	sent := bytes.Repeat([]byte("blocked "), 1<<16)
	wrote := make(chan error, 1)
	go func() {
		_, err := client.Write(sent)
		wrote <- err
	}()
	// The pipe has no buffer, so the Write above stays where it is from here on.
	go func() {
		for range 3 {
			server.KeyUpdate(true)
			server.Write([]byte("data"))
		}
	}()
	buf := make([]byte, 12)
	if _, err := io.ReadFull(client, buf); err != nil {
		t.Fatalf("Read beside a blocked Write: %v", err)
	}
	select {
	case err := <-wrote:
		t.Fatalf("the Write was not blocked: %v", err)
	default:
	}
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(server, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("after the Write was freed: %v", err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}
