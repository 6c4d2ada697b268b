package capture

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/handshake"
	"attls/handshake/enginetest"
)

// link makes a TCP connection over loopback.
func link(t *testing.T, network, address string) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	if client, err = net.Dial(network, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{client, server} {
		c.SetDeadline(time.Now().Add(30 * time.Second))
		t.Cleanup(func() { c.Close() })
	}
	return client, server
}

// again are the sessions that two ends keep from one connection to the next.
type again struct {
	clients handshake.ClientSessions
	servers handshake.ServerSessions
}

// connect records a connection with early data, in which both ends speak, change
// their keys, speak again, and the server asks who the client is.
func (a *again) connect(t *testing.T, w *Writer) {
	t.Helper()
	x, y := link(t, "tcp", "127.0.0.1:0")
	answerer := func(name string) *handshake.Answerer {
		return &handshake.Answerer{Credentials: []*handshake.Credential{enginetest.Credential(name)}, Trust: handshake.Trust{InsecureSkipVerify: true},
			ClientSessions: &a.clients, ServerSessions: &a.servers}
	}
	client := handshake.Client(w.Conn(x, attls.RoleClient), &handshake.Config{ServerName: "server", PSK: true, MaxEarlyData: 16,
		PostHandshakeAuthentication: true, KeyLog: w.KeyLog()}, answerer("client"))
	server := handshake.Server(y, &handshake.Config{PSK: true, Tickets: 1, MaxEarlyData: 16, PostHandshakeAuthentication: true}, answerer("server"))
	client.SetEarlyData([]byte("early"))
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if server.ConnectionState().EarlyData == handshake.EarlyDataAccepted {
		hear(t, server, "early")
	}
	say(t, server, client, "one")
	if err := client.KeyUpdate(true); err != nil {
		t.Fatal(err)
	}
	say(t, client, server, "two")
	say(t, server, client, "three")
	if err := server.RequestAuthentication(); err != nil {
		t.Fatal(err)
	}
	say(t, server, client, "four")
	say(t, client, server, "five")
	for server.ConnectionState().PeerChain == nil { // the answer comes in front of a line, or after it
		say(t, client, server, ".")
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
}

func say(t *testing.T, from, to net.Conn, text string) {
	t.Helper()
	if _, err := from.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	hear(t, to, text)
}

func hear(t *testing.T, at net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(at, got); err != nil || string(got) != text {
		t.Fatalf("read %q, %v; want %q", got, err, text)
	}
}

// TestOpenAfterHandshake opens tickets, early data that is taken and that is
// refused, changes of keys, and authentication after the handshake.
func TestOpenAfterHandshake(t *testing.T) {
	var file bytes.Buffer
	w, err := NewWriter(&file, nil)
	if err != nil {
		t.Fatal(err)
	}
	a := &again{}
	a.servers.EarlyData = func(*handshake.EarlyDataRequest) bool { return true }
	a.connect(t, w)
	a.connect(t, w)
	a.servers.EarlyData = nil
	a.connect(t, w)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	connections, keys, err := ReadFile(&file)
	if err != nil || len(connections) != 3 {
		t.Fatalf("%d connections, %v", len(connections), err)
	}
	for i, early := range []string{"", "early", "early"} {
		items, failure := connections[i].Open(keys)
		if failure != nil {
			t.Errorf("connection %d: %v", i, failure)
		}
		said, early0 := map[attls.Role]string{}, ""
		count := map[attls.MessageKind]int{}
		for _, item := range items {
			switch {
			case item.Sealed:
				t.Errorf("connection %d: a record of the %v at octet %d is not opened", i, item.Sender, item.Offset)
			case item.Early && item.Type == attls.ContentTypeApplicationData:
				early0 += string(item.Bytes)
			case item.Type == attls.ContentTypeApplicationData:
				said[item.Sender] += string(item.Bytes)
			case item.Type == attls.ContentTypeHandshake:
				count[item.Message.Kind]++
			}
		}
		if early0 != early || strings.TrimRight(said[attls.RoleClient], ".") != "twofive" || said[attls.RoleServer] != "onethreefour" {
			t.Errorf("connection %d: early data %q, said %q", i, early0, said)
		}
		if count[attls.KindNewSessionTicket] != 1 || count[attls.KindKeyUpdate] != 2 || count[attls.KindCertificateRequest] != 1 || count[attls.KindFinished] != 3 {
			t.Errorf("connection %d: %v", i, count)
		}
		// Without its secret, early data is sealed and the rest is not.
		less := KeyLog{}
		for random, secrets := range keys {
			less[random] = maps.Clone(secrets)
			delete(less[random], string(handshake.SecretClientEarly))
		}
		items, failure = connections[i].Open(less)
		sealed := len(slices.DeleteFunc(items, func(i Item) bool { return !i.Sealed }))
		if early == "" && sealed != 0 || early != "" && sealed == 0 {
			t.Errorf("connection %d without the early secret: %d sealed records, %v", i, sealed, failure)
		}
	}
}

// TestWriterAddresses records connections over IPv6 and over what has no
// addresses of TCP.
func TestWriterAddresses(t *testing.T) {
	for _, network := range []string{"tcp6", "pipe"} {
		t.Run(network, func(t *testing.T) {
			var x, y net.Conn
			if network == "pipe" {
				x, y = net.Pipe()
			} else {
				x, y = link(t, network, "[::1]:0")
			}
			var file bytes.Buffer
			w, err := NewWriter(&file, func() time.Time { return time.Unix(1700000000, 5) })
			if err != nil {
				t.Fatal(err)
			}
			c := w.Conn(x, attls.RoleClient)
			long := strings.Repeat("long ", 1000)
			go func() {
				io.WriteString(y, "answer")
				io.Copy(io.Discard, y)
				y.Close()
			}()
			hear(t, c, "answer")
			if _, err := io.WriteString(c, long); err != nil {
				t.Fatal(err)
			}
			if file.Len() > 400 {
				t.Errorf("%d octets are written before the connection is closed", file.Len())
			}
			c.Close()
			connections, _, err := ReadFile(bytes.NewReader(file.Bytes()))
			if err != nil || len(connections) != 1 {
				t.Fatalf("%d connections, %v", len(connections), err)
			}
			var said [2]string
			for _, p := range connections[0].Pieces {
				said[p.Sender] += string(p.Data)
				if len(p.Data) > maxSegment {
					t.Errorf("a segment of %d octets", len(p.Data))
				}
				if p.Time.Unix() != 1700000000 {
					t.Errorf("a packet at %v", p.Time)
				}
			}
			if said[attls.RoleClient] != long || said[attls.RoleServer] != "answer" || connections[0].Lost != 0 {
				t.Errorf("%d and %d octets, %d lost", len(said[0]), len(said[1]), connections[0].Lost)
			}
			if want := network == "tcp6"; connections[0].Client.Addr().Is6() != want {
				t.Errorf("from %v", connections[0].Client)
			}
		})
	}
}

// TestRelay records a connection between two others, whose secrets come after it.
func TestRelay(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			io.Copy(c, c)
			c.Close()
		}
	}()
	var file bytes.Buffer
	w, err := NewWriter(&file, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Hold = true
	r, err := w.Relay(context.Background(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", r.Address())
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(c, "there and back")
	c.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(c)
	if string(got) != "there and back" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	c.Close()
	r.Stop()
	before := file.Len()
	io.WriteString(w.KeyLog(), "CLIENT_RANDOM "+strings.Repeat("01", 32)+" "+strings.Repeat("02", 48)+"\n")
	if err := w.Flush(); err != nil || before > 400 {
		t.Fatalf("%d octets before Flush, %v", before, err)
	}
	connections, keys, err := ReadFile(&file)
	if err != nil || len(connections) != 1 || len(keys) != 1 || connections[0].Server.String() != l.Addr().String() {
		t.Fatalf("%+v, %d secrets, %v", connections, len(keys), err)
	}
	var said [2]string
	for _, p := range connections[0].Pieces {
		said[p.Sender] += string(p.Data)
	}
	if said[0] != "there and back" || said[1] != said[0] {
		t.Errorf("%q", said)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if r, err = w.Relay(ctx, "127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	if c, err = net.Dial("tcp", r.Address()); err == nil { // nobody is there: the connection ends
		c.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("octets from nobody")
		}
		c.Close()
	}
	cancel()
	r.Stop()
}
