package handshake_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"

	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/negotiation"
)

// demoIdentity makes a demonstration authority and a server's certificate.
func demoIdentity() (*scenario.DemoAuthority, *handshake.Credential) {
	ca, err := scenario.NewDemoAuthority()
	if err != nil {
		panic(err)
	}
	credential, err := ca.Issue(scenario.KeyP256, "localhost")
	if err != nil {
		panic(err)
	}
	return ca, credential
}

// A TLS 1.3 connection with a certificate, over any net.Conn.
func ExampleClient() {
	ca, credential := demoIdentity()
	c, s := net.Pipe()
	server := handshake.Server(s, &handshake.Config{}, &handshake.Answerer{Credentials: []*handshake.Credential{credential}})
	go func() {
		defer server.Close()
		io.WriteString(server, "hello")
	}()

	client := handshake.Client(c, &handshake.Config{ServerName: "localhost"}, &handshake.Answerer{Trust: handshake.Trust{Roots: ca.Pool()}})
	text, err := io.ReadAll(client)
	fmt.Printf("%s %v\n", text, err)
	// Output: hello <nil>
}

// The server attests with Evidence beside its certificate, under a draft's
// profile, and the client demands it.
func ExampleClient_attested() {
	ca, credential := demoIdentity()
	p, err := profile.Load("early-attestation-06", profile.Options{})
	if err != nil {
		panic(err)
	}
	attester, verifier := scenario.DemoAttestation(nil)
	schemes := []negotiation.Scheme{scenario.DemoScheme(p, profile.ModelEvidence, profile.KindX509)}

	c, s := net.Pipe()
	server := handshake.Server(s, &handshake.Config{Profile: p, Policy: negotiation.Policy{Produce: schemes}},
		&handshake.Answerer{Credentials: []*handshake.Credential{credential}, Attester: attester})
	go server.Handshake()

	client := handshake.Client(c, &handshake.Config{Profile: p, ServerName: "localhost", Policy: negotiation.Policy{Accept: schemes, Demand: true}},
		&handshake.Answerer{Trust: handshake.Trust{Roots: ca.Pool()}, Appraiser: verifier})
	if err := client.Handshake(); err != nil {
		panic(err)
	}
	a := client.ConnectionState().Attestation[0]
	fmt.Println("the", a.Attester, "attested:", a.Verdict.Status)
	// Output: the server attested: affirming
}

// drive moves what one engine has to send to the other and answers the waits of
// both, until neither can continue.
func drive(client, server *handshake.Engine, answer func(*handshake.Wait) handshake.Answer) error {
	ends := [2]*handshake.Engine{client, server}
	for moved := true; moved; {
		moved = false
		for i, e := range ends {
			for ev, ok := e.Next(); ok; ev, ok = e.Next() {
				if ev.Kind != handshake.EventWait {
					continue
				}
				fmt.Println(e.Role(), "asks for", ev.Wait.Kind)
				if err := e.Answer(ev.Wait.ID, answer(ev.Wait)); err != nil {
					return err
				}
				moved = true
			}
			out := bytes.Clone(e.Output())
			e.Wrote(len(out))
			for peer := ends[1-i]; len(out) > 0; moved = true {
				n := copy(peer.Reserve(len(out)), out)
				if err := peer.Commit(n); err != nil {
					return err
				}
				out = out[n:]
			}
		}
	}
	return nil
}

// Two engines without sockets: the program moves the octets and answers the
// waits, when it likes.
func ExampleEngine() {
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
	err = drive(client, server, func(w *handshake.Wait) handshake.Answer {
		if w.Kind == handshake.WaitCertificateVerdict {
			return handshake.Answer{} // trusts everybody: only for an example
		}
		a, err := answerer.Answer(context.Background(), w)
		if err != nil {
			panic(err)
		}
		return a
	})
	fmt.Println(client.Done(), server.Done(), err)
	// Output:
	// server asks for Credential
	// server asks for Signature
	// client asks for CertificateVerdict
	// true true <nil>
}

// lister is a tap that prints the messages which its end sends.
type lister struct{ handshake.NopTap }

func (l lister) Message(d handshake.Direction, m *message.Raw, _ *handshake.Plan) {
	if d == handshake.Sent {
		fmt.Println(m.Kind)
	}
}

func (l lister) Fork() handshake.Tap { return l }

// A tap of your own sees every message and may change it.
func ExampleTap() {
	ca, credential := demoIdentity()
	c, s := net.Pipe()
	go handshake.Server(s, &handshake.Config{}, &handshake.Answerer{Credentials: []*handshake.Credential{credential}}).Handshake()
	client := handshake.Client(c, &handshake.Config{ServerName: "localhost"}, &handshake.Answerer{Trust: handshake.Trust{Roots: ca.Pool()}}, lister{})
	fmt.Println(client.Handshake())
	// Output:
	// ClientHello
	// Finished
	// <nil>
}
