package handshake_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"attls"
	"attls/handshake"
)

// The client keeps tickets of the server and resumes with one of them.
func ExampleClientSessions() {
	ca, credential := demoIdentity()
	servers := &handshake.ServerSessions{} // seals each session into its ticket
	clients := &handshake.ClientSessions{}
	connect := func() *handshake.Session {
		c, s := net.Pipe()
		server := handshake.Server(s, &handshake.Config{PSK: true, Tickets: 1},
			&handshake.Answerer{Credentials: []*handshake.Credential{credential}, ServerSessions: servers})
		go func() {
			defer server.Close()
			io.WriteString(server, "hello")
		}()
		client := handshake.Client(c, &handshake.Config{ServerName: "localhost", PSK: true},
			&handshake.Answerer{Trust: handshake.Trust{Roots: ca.Pool()}, ClientSessions: clients})
		if _, err := io.ReadAll(client); err != nil { // tickets arrive after the handshake
			panic(err)
		}
		return client.ConnectionState().Session
	}
	fmt.Println("resumed:", connect() != nil)
	fmt.Println("resumed:", connect() != nil)
	// Output:
	// resumed: false
	// resumed: true
}

// Both ends derive the same octets for an application (RFC 8446 section 7.5).
func ExampleConn_Export() {
	ca, credential := demoIdentity()
	c, s := net.Pipe()
	server := handshake.Server(s, &handshake.Config{}, &handshake.Answerer{Credentials: []*handshake.Credential{credential}})
	done := make(chan error)
	go func() { done <- server.Handshake() }()
	client := handshake.Client(c, &handshake.Config{ServerName: "localhost"}, &handshake.Answerer{Trust: handshake.Trust{Roots: ca.Pool()}})
	if err := errors.Join(client.Handshake(), <-done); err != nil {
		panic(err)
	}
	ours, err := client.Export("EXPORTER-example", []byte("context"), 32)
	if err != nil {
		panic(err)
	}
	theirs, err := server.Export("EXPORTER-example", []byte("context"), 32)
	fmt.Println(len(ours), bytes.Equal(ours, theirs), err)
	// Output: 32 true <nil>
}

// An error of the protocol says what failed, in which message, and which alert was sent.
func ExampleConn_Handshake() {
	ca, credential := demoIdentity()
	c, s := net.Pipe()
	go handshake.Server(s, &handshake.Config{}, &handshake.Answerer{Credentials: []*handshake.Credential{credential}}).Handshake()
	client := handshake.Client(c, &handshake.Config{ServerName: "other.example"}, &handshake.Answerer{Trust: handshake.Trust{Roots: ca.Pool()}})

	var failure *attls.Error
	if err := client.Handshake(); errors.As(err, &failure) {
		fmt.Println(failure.Class, failure.Failure)
		fmt.Println("at", failure.Message, "with the alert", failure.Alert)
	}
	// Output:
	// refused certificate.name
	// at Certificate with the alert bad_certificate
}

// A Read whose deadline expires can be repeated. A Write or a handshake whose
// deadline expires ends the connection.
func ExampleConn_SetReadDeadline() {
	ca, credential := demoIdentity()
	c, s := net.Pipe()
	server := handshake.Server(s, &handshake.Config{}, &handshake.Answerer{Credentials: []*handshake.Credential{credential}})
	send := make(chan string)
	go func() {
		defer server.Close()
		io.WriteString(server, <-send)
	}()
	go server.Handshake()
	client := handshake.Client(c, &handshake.Config{ServerName: "localhost"}, &handshake.Answerer{Trust: handshake.Trust{Roots: ca.Pool()}})
	if err := client.Handshake(); err != nil {
		panic(err)
	}

	client.SetReadDeadline(time.Now().Add(-time.Second))
	_, err := client.Read(make([]byte, 5))
	fmt.Println(errors.Is(err, os.ErrDeadlineExceeded))

	client.SetReadDeadline(time.Time{})
	send <- "hello"
	text, err := io.ReadAll(client)
	fmt.Printf("%s %v\n", text, err)
	// Output:
	// true
	// hello <nil>
}

// A wait may stay open: here the client takes the rest of the flight before it verifies
// the certificate. Wait.Due is the message that it does not handle before the answer.
func ExampleWait() {
	_, credential := demoIdentity()
	client, err := handshake.NewClient(&handshake.Config{ServerName: "localhost"})
	if err != nil {
		panic(err)
	}
	server, err := handshake.NewServer(&handshake.Config{})
	if err != nil {
		panic(err)
	}
	answerer := &handshake.Answerer{Credentials: []*handshake.Credential{credential}}
	var later *handshake.Wait
	for range 8 { // rounds of: move octets, take events
		for _, ends := range [][2]*handshake.Engine{{client, server}, {server, client}} {
			from, to := ends[0], ends[1]
			for ev, ok := from.Next(); ok; ev, ok = from.Next() {
				if ev.Kind != handshake.EventWait {
					continue
				}
				if ev.Wait.Kind == handshake.WaitCertificateVerdict {
					later = ev.Wait
					continue
				}
				answer, err := answerer.Answer(context.Background(), ev.Wait)
				if err != nil {
					panic(err)
				}
				if err := from.Answer(ev.Wait.ID, answer); err != nil {
					panic(err)
				}
			}
			if out := from.Output(); len(out) > 0 {
				n := copy(to.Reserve(len(out)), out)
				from.Wrote(n)
				if err := to.Commit(n); err != nil {
					panic(err)
				}
			}
		}
	}
	fmt.Println("the client waits for", later.Kind, "which is due before", later.Due)
	fmt.Println("done:", client.Done())
	if err := client.Answer(later.ID, handshake.Answer{}); err != nil { // trusts everybody: only for an example
		panic(err)
	}
	fmt.Println("done:", client.Done())
	// Output:
	// the client waits for CertificateVerdict which is due before CertificateVerify
	// done: false
	// done: true
}
