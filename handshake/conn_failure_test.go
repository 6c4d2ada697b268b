package handshake_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"attls"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/negotiation"
	"attls/record"
)

// failsWith reports whether an error is one of the protocol with a failure.
func failsWith(err error, f attls.Failure) bool {
	var e *attls.Error
	return errors.As(err, &e) && e.Failure == f
}

// sooner is a server's connection that fails for a reason that comes from
// another goroutine than the one that reads or writes, once refuse is closed.
type sooner struct {
	client, server *handshake.Conn
	failure        attls.Failure
	asked, refuse  chan struct{}
}

func newSooner(f attls.Failure) *sooner {
	return &sooner{failure: f, asked: make(chan struct{}), refuse: make(chan struct{})}
}

// wait is where the refusal is held up.
func (s *sooner) wait() {
	close(s.asked)
	<-s.refuse
}

// refusals are the reasons, by what is refused.
var refusals = map[string]func(t *testing.T, a, b net.Conn) *sooner{
	"the certificate of a client that was asked later": func(t *testing.T, a, b net.Conn) *sooner {
		s := newSooner(attls.FailUnknownCA)
		sa := trusting("server")
		sa.Trust.Verify = func(context.Context, attls.Role, [][]byte) error {
			s.wait()
			return attls.Errorf(attls.Refused, attls.FailUnknownCA, "not trusted")
		}
		s.client, s.server = conns(t, a, b, &handshake.Config{PostHandshakeAuthentication: true},
			&handshake.Config{PostHandshakeAuthentication: true}, trusting("client"), sa)
		return s
	},
	"the Evidence of a client that was asked later": func(t *testing.T, a, b net.Conn) *sooner {
		s := newSooner(attls.FailAppraisal)
		p := loaded(t, "early-attestation-06", nil)
		scheme := negotiation.Scheme{Model: profile.ModelEvidence, Credential: profile.KindX509, Format: profile.Format{ContentFormat: 263}}
		cc := &handshake.Config{Profile: p, Policy: negotiation.Policy{Produce: []negotiation.Scheme{scheme}}, CanAuthenticate: true, PostHandshakeAuthentication: true}
		sc := &handshake.Config{Profile: p, Policy: negotiation.Policy{Accept: []negotiation.Scheme{scheme}, Demand: true}, PostHandshakeAuthentication: true}
		first := true
		sa := trusting("server")
		sa.Appraiser = attesting{judge: func(context.Context) (*negotiation.Verdict, error) {
			if first { // of the handshake
				first = false
				return accept, nil
			}
			s.wait()
			return &negotiation.Verdict{Failure: attls.FailAppraisal, Status: "contraindicated"}, nil
		}}
		ca := trusting("client")
		ca.Attester = attesting{}
		s.client, s.server = conns(t, a, b, cc, sc, ca, sa)
		return s
	},
	"our own answer, which does not fit": func(t *testing.T, a, b net.Conn) *sooner {
		// What fails is the client here, so the roles are exchanged.
		s := newSooner(attls.FailTooLarge)
		credential := *clientCredential
		for range 5 {
			credential.Chain = append(credential.Chain, credential.Chain[0])
		}
		ca := trusting("")
		ca.Credentials = []*handshake.Credential{&credential}
		ca.Around = func(ctx context.Context, w *handshake.Wait, next handshake.AnswerFunc) (handshake.Answer, *attls.Error) {
			if w.Kind == handshake.WaitSignature {
				s.wait()
			}
			return next(ctx, w)
		}
		s.server, s.client = conns(t, a, b, &handshake.Config{PostHandshakeAuthentication: true, MaxFragment: 1000,
			Profile: &profile.Profile{ID: "quirks", Quirks: profile.Quirks{NeverFragment: true}}},
			&handshake.Config{PostHandshakeAuthentication: true}, ca, trusting("server"))
		return s
	},
}

// begin completes the handshake and brings the connection to where it waits to fail.
func (s *sooner) begin(t *testing.T) {
	t.Helper()
	if ce, se := both(s.client, s.server); ce != nil || se != nil {
		t.Fatalf("client: %v, server: %v", ce, se)
	}
	asks, answers := s.server, s.client
	if s.failure == attls.FailTooLarge {
		asks, answers = s.client, s.server
	}
	if err := asks.RequestAuthentication(); err != nil {
		t.Fatal(err)
	}
	say(t, asks, answers, "who are you?")
	for { // the answer comes before one of them
		select {
		case <-s.asked:
			return
		default:
			say(t, answers, asks, "I am")
		}
	}
}

// failed waits until the server's Write fails, and returns what it says.
func (s *sooner) failed() error {
	for {
		if _, err := s.server.Write([]byte("?")); err != nil {
			return err
		}
		runtime.Gosched()
	}
}

// TestFailureEndsBothDirections has a connection fail in one goroutine while
// others read, write and wait: all are told the reason, and nothing of the
// peer's data is delivered any more (RFC 8446 section 6.2).
func TestFailureEndsBothDirections(t *testing.T) {
	for name, make1 := range refusals {
		t.Run(name, func(t *testing.T) {
			t.Run("a peer that goes on sending", func(t *testing.T) {
				a, b := loopback(t)
				s := make1(t, a, b)
				s.begin(t)
				go func() {
					io.Copy(io.Discard, s.client)
					s.client.Close()
				}()
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					for {
						if _, err := s.client.Write(make([]byte, 1000)); err != nil {
							return
						}
					}
				}()
				if _, err := io.ReadFull(s.server, make([]byte, 1001)); err != nil { // some of a record is left
					t.Fatal(err)
				}
				close(s.refuse)
				if err := s.failed(); !failsWith(err, s.failure) {
					t.Errorf("Write: %v", err)
				}
				s.server.SetReadDeadline(time.Time{})
				for range 3 {
					if n, err := s.server.Read(make([]byte, 100)); n != 0 || !failsWith(err, s.failure) {
						t.Errorf("Read: %d octets, %v", n, err)
					}
				}
				if err := s.server.Settled(t.Context()); !failsWith(err, s.failure) {
					t.Errorf("Settled: %v", err)
				}
				if state := s.server.ConnectionState().State; state != "FAILED" {
					t.Errorf("state %s", state)
				}
				for what, f := range map[string]func() error{"KeyUpdate": func() error { return s.server.KeyUpdate(false) },
					"CloseWrite": s.server.CloseWrite, "RequestAuthentication": s.server.RequestAuthentication, "IssueTicket": s.server.IssueTicket} {
					if err := f(); !failsWith(err, s.failure) {
						t.Errorf("%s: %v", what, err)
					}
				}
				if err := s.server.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				within(t, ended, "the end")
			})
			t.Run("a Read that is blocked", func(t *testing.T) {
				a, b := loopback(t)
				s := make1(t, a, b)
				s.begin(t)
				s.server.SetReadDeadline(time.Unix(1, 0))
				if _, err := s.server.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("a Read after its deadline: %v", err)
				}
				s.server.SetReadDeadline(time.Time{})
				read := make(chan error, 2)
				for range 2 {
					go func() {
						_, err := s.server.Read(make([]byte, 1))
						read <- err
					}()
				}
				settled := make(chan error, 1)
				go func() { settled <- s.server.Settled(context.Background()) }()
				close(s.refuse)
				for range 2 {
					if err := <-read; !failsWith(err, s.failure) {
						t.Errorf("Read: %v", err)
					}
				}
				if err := <-settled; !failsWith(err, s.failure) && s.failure != attls.FailTooLarge {
					t.Errorf("Settled: %v", err)
				}
				var e *attls.Error
				if _, err := s.client.Read(make([]byte, 1)); !errors.As(err, &e) || e.Failure != attls.FailPeerAlert {
					t.Errorf("the peer: %v", err)
				}
			})
		})
	}
}

// lateWrites takes its time for each write once it is armed, and counts those that it has done.
type lateWrites struct {
	net.Conn
	armed atomic.Bool
	done  atomic.Int32
}

func (l *lateWrites) Write(b []byte) (int, error) {
	armed := l.armed.Load()
	if armed {
		time.Sleep(10 * time.Millisecond)
	}
	n, err := l.Conn.Write(b)
	if armed {
		l.done.Add(1)
	}
	return n, err
}

// TestSettledBehindTheAlert: who waits for verdicts learns of a failure when the peer has been
// told, as far as that is soon, and may close the transport then.
func TestSettledBehindTheAlert(t *testing.T) {
	for name, make1 := range refusals {
		t.Run(name, func(t *testing.T) {
			a, b := loopback(t)
			ends := [2]*lateWrites{{Conn: a}, {Conn: b}}
			s := make1(t, ends[0], ends[1])
			s.begin(t)
			go io.Copy(io.Discard, s.client)
			for _, late := range ends {
				late.armed.Store(true)
			}
			settled := make(chan error, 1)
			go func() { settled <- s.server.Settled(context.Background()) }()
			began := time.Now()
			close(s.refuse)
			go s.server.Read(make([]byte, 1))
			err := <-settled
			if err == nil && s.failure == attls.FailTooLarge {
				return // there is an answer, which fails only where it is sent
			}
			if !failsWith(err, s.failure) {
				t.Fatalf("Settled: %v", err)
			}
			const soon = 200 * time.Millisecond
			if ends[0].done.Load()+ends[1].done.Load() == 0 && time.Since(began) < soon {
				t.Error("Settled returned before the alert was sent")
			}
		})
	}
}

// TestPeerAlertEndsWrite: a fatal alert of the peer's frees a Write that is
// blocked, with the reason.
func TestPeerAlertEndsWrite(t *testing.T) {
	a, b := net.Pipe()
	tap := &recordTap{typ: attls.ContentTypeApplicationData, plan: func(_ *record.Raw, p *record.Plan) {
		p.Drop, p.Before = true, []record.Raw{{Type: attls.ContentTypeAlert, Payload: []byte{2, byte(attls.AlertInternalError)}}}
	}}
	client, server := afterHandshake(t, a, b, nil, tap)
	wrote := make(chan error, 1)
	go func() {
		_, err := client.Write(make([]byte, 1<<20))
		wrote <- err
	}()
	if _, err := io.ReadFull(b, make([]byte, 1)); err != nil { // the Write is under way
		t.Fatal(err)
	}
	go server.Write([]byte("x"))
	if _, err := client.Read(make([]byte, 1)); !failsWith(err, attls.FailPeerAlert) {
		t.Errorf("Read: %v", err)
	}
	if err := <-wrote; !failsWith(err, attls.FailPeerAlert) {
		t.Errorf("Write: %v", err)
	}
	if err := client.Settled(t.Context()); !failsWith(err, attls.FailPeerAlert) {
		t.Errorf("Settled: %v", err)
	}
}

// TestTruncationEndsBothDirections: the end of the stream without close_notify is
// a failure like others.
func TestTruncationEndsBothDirections(t *testing.T) {
	a, b := loopback(t)
	client, _ := afterHandshake(t, a, b, nil, nil)
	b.(*net.TCPConn).CloseWrite()
	for range 2 {
		if _, err := client.Read(make([]byte, 1)); !failsWith(err, attls.FailTruncated) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("Read: %v", err)
		}
	}
	if _, err := client.Write([]byte("x")); !failsWith(err, attls.FailTruncated) {
		t.Errorf("Write: %v", err)
	}
}

// TestSettledAfterClose: who waits for a verdict that Close did not wait for is
// not told that it is there.
func TestSettledAfterClose(t *testing.T) {
	asked := make(chan struct{})
	judge := func(ctx context.Context) (*negotiation.Verdict, error) {
		close(asked)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	client, server, _ := attested(t, profile.BeforeNothing, &handshake.Answerer{Appraiser: attesting{judge: judge}}, &handshake.Answerer{Attester: attesting{}})
	if ce, se := both(client, server); ce != nil || se != nil {
		t.Fatalf("client: %v, server: %v", ce, se)
	}
	within(t, asked, "the question for a verdict")
	settled := make(chan error, 1)
	go func() { settled <- client.Settled(context.Background()) }()
	client.Close()
	if err := <-settled; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Settled: %v", err)
	}
}

// requesting sends a CertificateRequest, each with a context of its own, before
// every KeyUpdate.
type requesting struct {
	handshake.NopTap
	n int
}

func (r *requesting) Fork() handshake.Tap { return r }

func (r *requesting) Message(d handshake.Direction, m *message.Raw, p *handshake.Plan) {
	if d == handshake.Sent && m.Kind == attls.KindKeyUpdate {
		r.n++
		p.Before = [][]byte{(&message.CertificateRequest{Context: []byte{byte(r.n >> 8), byte(r.n)},
			Extensions: extensions.List{{Type: attls.ExtSignatureAlgorithms, Body: []byte{0, 2, 8, 7}}}}).Append(nil)}
	}
}

// TestUnreadAnswersAreBounded has a server ask for 3,000 certificates, each once
// the one before is signed for, and read nothing: the client keeps no more than
// so many answers and goroutines, and then refuses (RFC 8446 section 4.6.2).
func TestUnreadAnswersAreBounded(t *testing.T) {
	a, b := net.Pipe()
	ca := trusting("client")
	signed := make(chan struct{})
	ca.Around = func(ctx context.Context, w *handshake.Wait, next handshake.AnswerFunc) (handshake.Answer, *attls.Error) {
		answer, err := next(ctx, w)
		if w.Kind == handshake.WaitSignature {
			signed <- struct{}{}
		}
		return answer, err
	}
	client, server := conns(t, a, b, &handshake.Config{PostHandshakeAuthentication: true},
		&handshake.Config{Tap: &requesting{}}, ca, trusting("server"))
	if ce, se := both(client, server); ce != nil || se != nil {
		t.Fatalf("client: %v, server: %v", ce, se)
	}
	before := runtime.NumGoroutine()
	read := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, client)
		read <- err
	}()
	var err error
	n := 0
	for ; n < 3000 && err == nil; n++ {
		server.KeyUpdate(false)
		server.Write([]byte("x"))
		select {
		case <-signed:
		case err = <-read:
		}
	}
	if !failsWith(err, attls.FailLimit) {
		t.Errorf("after %d requests: %v", n, err)
	}
	if n := runtime.NumGoroutine() - before; n > 20 {
		t.Errorf("%d goroutines more", n)
	}
	client.Close()
}

// TestUnreadUpdatesAreBounded has a peer ask for KeyUpdates and read nothing.
func TestUnreadUpdatesAreBounded(t *testing.T) {
	a, b := net.Pipe()
	client, server := afterHandshake(t, a, b, nil, nil)
	before := runtime.NumGoroutine()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		server.Write([]byte("x"))
		for range 500 {
			server.KeyUpdate(true)
			server.Write([]byte("x"))
		}
	}()
	if _, err := io.ReadFull(client, make([]byte, 501)); err != nil {
		t.Fatal(err)
	}
	within(t, sent, "what is sent")
	if n := runtime.NumGoroutine() - before; n > 10 {
		t.Errorf("%d goroutines more", n)
	}
}

// TestUnwrittenTicketsAreBounded: a server that issues tickets to a client that
// does not read is told so.
func TestUnwrittenTicketsAreBounded(t *testing.T) {
	a, b := net.Pipe()
	sa := trusting("server")
	sa.ServerSessions = &handshake.ServerSessions{}
	_, server := conns(t, a, b, &handshake.Config{PSK: true}, &handshake.Config{PSK: true}, trusting(""), sa)
	client := handshake.Client(a, &handshake.Config{PSK: true}, trusting(""))
	if ce, se := both(client, server); ce != nil || se != nil {
		t.Fatalf("client: %v, server: %v", ce, se)
	}
	before, issued := runtime.NumGoroutine(), 0
	var err error
	for ; err == nil && issued < 1000; issued++ {
		err = server.IssueTicket()
	}
	if !failsWith(err, attls.FailLimit) || issued < 10 {
		t.Errorf("after %d tickets: %v", issued, err)
	}
	if n := runtime.NumGoroutine() - before; n > 100 {
		t.Errorf("%d goroutines more", n)
	}
}

// TestNothingBetweenAnAnswer: no message of another type may come between those
// of a client's answer (RFC 8446 section 4.6.2), whoever reads them.
func TestNothingBetweenAnAnswer(t *testing.T) {
	update := (&message.KeyUpdate{}).Append(nil)
	ticket := []byte{4, 0, 0, 0}
	for name, test := range map[string]struct {
		before  attls.MessageKind
		message []byte
		data    bool
	}{
		"KeyUpdate before CertificateVerify":        {before: attls.KindCertificateVerify, message: update},
		"KeyUpdate before Finished":                 {before: attls.KindFinished, message: update},
		"NewSessionTicket before CertificateVerify": {before: attls.KindCertificateVerify, message: ticket},
		"data before CertificateVerify":             {before: attls.KindCertificateVerify, data: true},
		"data before Finished":                      {before: attls.KindFinished, data: true},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := loopback(t)
			tap := &betweenTap{kind: test.before, message: test.message, data: test.data}
			client, server := conns(t, a, b, &handshake.Config{PostHandshakeAuthentication: true, Tap: tap,
				Profile: &profile.Profile{ID: "quirks", Quirks: profile.Quirks{MessagesPerRecord: 1}}},
				&handshake.Config{PostHandshakeAuthentication: true}, trusting("client"), trusting("server"))
			if ce, se := both(client, server); ce != nil || se != nil {
				t.Fatalf("client: %v, server: %v", ce, se)
			}
			tap.armed = true
			if err := server.RequestAuthentication(); err != nil {
				t.Fatal(err)
			}
			say(t, server, client, "hello")
			go func() {
				for {
					if _, err := client.Write([]byte("x")); err != nil {
						return
					}
				}
			}()
			_, err := io.Copy(io.Discard, server)
			if !failsWith(err, attls.FailUnexpectedMessage) || !strings.Contains(err.Error(), "4.6.2") {
				t.Errorf("server: %v", err)
			}
			client.Close()
		})
	}
}

// betweenTap puts a message or a record of data before a message of an answer.
type betweenTap struct {
	handshake.NopTap
	kind    attls.MessageKind
	message []byte
	data    bool
	armed   bool
	now     bool
}

func (b *betweenTap) Fork() handshake.Tap { return b }

func (b *betweenTap) Message(d handshake.Direction, m *message.Raw, p *handshake.Plan) {
	if !b.armed || d != handshake.Sent || m.Kind != b.kind {
		return
	}
	if b.data {
		b.now = true
		return
	}
	p.Before = [][]byte{b.message}
}

func (b *betweenTap) Record(d handshake.Direction, r *record.Raw, p *record.Plan) {
	if b.now && d == handshake.Sent && r.Type == attls.ContentTypeHandshake && attls.HandshakeType(r.Payload[0]) == typeOf(b.kind) {
		p.Before, b.now = []record.Raw{{Type: attls.ContentTypeApplicationData, Payload: []byte("x")}}, false
	}
}

func typeOf(k attls.MessageKind) attls.HandshakeType {
	if k == attls.KindFinished {
		return attls.TypeFinished
	}
	return attls.TypeCertificateVerify
}

// TestConcurrentFailure calls everything at once while the connection fails, for
// the race detector: with a bad record, with a refusal, with Close.
func TestConcurrentFailure(t *testing.T) {
	for name, end := range map[string]func(client, server *handshake.Conn, refuse func()){
		"a record that does not open": func(client, _ *handshake.Conn, _ func()) {
			client.NetConn().Write(append([]byte{23, 3, 3, 0, 30}, make([]byte, 30)...))
		},
		"a refusal":    func(_, _ *handshake.Conn, refuse func()) { refuse() },
		"Close":        func(_, server *handshake.Conn, _ func()) { server.Close() },
		"peer's Close": func(client, _ *handshake.Conn, _ func()) { client.Close() },
		"peer's alert": func(client, _ *handshake.Conn, _ func()) {
			client.NetConn().Write(append([]byte{21, 3, 3, 0, 2}, 2, 40))
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := loopback(t)
			refused := make(chan struct{})
			sa, ca := trusting("server"), trusting("client")
			sa.ServerSessions, ca.ClientSessions = &handshake.ServerSessions{}, &handshake.ClientSessions{}
			sa.Trust.Verify = func(context.Context, attls.Role, [][]byte) error {
				<-refused
				return errors.New("not trusted")
			}
			client, server := conns(t, a, b, &handshake.Config{PSK: true, PostHandshakeAuthentication: true},
				&handshake.Config{PSK: true, Tickets: 1, PostHandshakeAuthentication: true}, ca, sa)
			if ce, se := both(client, server); ce != nil || se != nil {
				t.Fatalf("client: %v, server: %v", ce, se)
			}
			if err := server.RequestAuthentication(); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for _, c := range []*handshake.Conn{client, server} {
				for _, f := range []func() error{
					func() error { _, err := c.Write(make([]byte, 100)); return err },
					func() error { _, err := c.Read(make([]byte, 100)); return err },
					func() error { return c.KeyUpdate(false) },
				} {
					wg.Go(func() {
						for {
							if err := f(); err != nil {
								_ = err.Error()
								return
							}
							runtime.Gosched()
						}
					})
				}
				wg.Go(func() {
					for range 50 {
						_ = fmt.Sprint(c.ConnectionState())
						c.Export("label", nil, 16)
						if err := c.IssueTicket(); err != nil {
							_ = err.Error()
						}
						if err := c.RequestAuthentication(); err != nil {
							_ = err.Error()
						}
						c.SetReadDeadline(time.Now().Add(patience))
					}
				})
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
					defer cancel()
					if err := c.Settled(ctx); err != nil {
						_ = err.Error()
					}
				})
			}
			end(client, server, func() { close(refused) })
			go func() { // what did not fail by itself
				time.Sleep(200 * time.Millisecond)
				client.Close()
				server.Close()
			}()
			wg.Wait()
		})
	}
}

// TestTicketBesideVerdict receives tickets while a verdict that blocks nothing
// arrives, for the race detector.
func TestTicketBesideVerdict(t *testing.T) {
	release := make(chan struct{})
	judge := func(context.Context) (*negotiation.Verdict, error) {
		<-release
		return accept, nil
	}
	ca, sa := &handshake.Answerer{Appraiser: attesting{judge: judge}, ClientSessions: &handshake.ClientSessions{}}, &handshake.Answerer{Attester: attesting{}, ServerSessions: &handshake.ServerSessions{}}
	client, server, p := attested(t, profile.BeforeNothing, ca, sa)
	client = handshake.Client(client.NetConn(), &handshake.Config{Profile: p, PSK: true, ServerName: "server", Policy: negotiation.Policy{Accept: []negotiation.Scheme{
		{Model: profile.ModelEvidence, Credential: profile.KindX509, Format: profile.Format{ContentFormat: 263}}}}}, ca)
	server = handshake.Server(server.NetConn(), &handshake.Config{Profile: p, PSK: true, CanAuthenticate: true, Policy: negotiation.Policy{Produce: []negotiation.Scheme{
		{Model: profile.ModelEvidence, Credential: profile.KindX509, Format: profile.Format{ContentFormat: 263}}}}}, sa)
	if ce, se := both(client, server); ce != nil || se != nil {
		t.Fatalf("client: %v, server: %v", ce, se)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 20 {
			server.IssueTicket()
			server.Write([]byte("x"))
		}
		server.Close()
	}()
	close(release)
	io.Copy(io.Discard, client)
	within(t, done, "the end of the server")
	if err := client.Settled(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestSharedError: an error that an application returns for several connections
// is not completed in place.
func TestSharedError(t *testing.T) {
	shared := attls.Errorf(attls.Refused, attls.FailUnknownCA, "not trusted")
	before := *shared
	var wg sync.WaitGroup
	for range 2 {
		a, b := loopback(t)
		ca := trusting("")
		ca.Trust.Verify = func(context.Context, attls.Role, [][]byte) error { return shared }
		client, server := conns(t, a, b, &handshake.Config{}, &handshake.Config{}, ca, trusting("server"))
		wg.Go(func() {
			if ce, _ := both(client, server); !failsWith(ce, attls.FailUnknownCA) || !strings.Contains(ce.Error(), "unknown_ca") {
				t.Errorf("%v", ce)
			}
		})
	}
	wg.Wait()
	if *shared != before {
		t.Errorf("the error became %+v", *shared)
	}
}

// TestCanceledAfterTheHandshake: user_canceled is a warning, and close_notify
// follows it (RFC 8446 section 6.1), after the handshake as in it.
func TestCanceledAfterTheHandshake(t *testing.T) {
	a, b := loopback(t)
	asked := make(chan struct{})
	sa := trusting("server")
	sa.Trust.Verify = func(context.Context, attls.Role, [][]byte) error {
		close(asked)
		return attls.Errorf(attls.Local, attls.FailCanceled, "not now")
	}
	client, server := conns(t, a, b, &handshake.Config{PostHandshakeAuthentication: true},
		&handshake.Config{PostHandshakeAuthentication: true}, trusting("client"), sa)
	if ce, se := both(client, server); ce != nil || se != nil {
		t.Fatalf("client: %v, server: %v", ce, se)
	}
	if err := server.RequestAuthentication(); err != nil {
		t.Fatal(err)
	}
	end := make(chan error, 1)
	go func() {
		_, err := io.ReadAll(client)
		end <- err
	}()
	if _, err := server.Read(make([]byte, 1)); !failsWith(err, attls.FailCanceled) {
		t.Errorf("server: %v", err)
	}
	<-asked
	if err := <-end; err != nil {
		t.Errorf("the client does not read an orderly end: %v", err)
	}
}

// TestReadyAnswerGoesBeforeCloseNotify lets a client close as soon as its answer to a
// CertificateRequest is made: the server still gets it.
func TestReadyAnswerGoesBeforeCloseNotify(t *testing.T) {
	a, b := net.Pipe()
	signed := make(chan struct{}, 1)
	ca := trusting("client")
	ca.Around = func(ctx context.Context, w *handshake.Wait, next handshake.AnswerFunc) (handshake.Answer, *attls.Error) {
		if w.Kind == handshake.WaitSignature {
			defer func() { signed <- struct{}{} }()
		}
		return next(ctx, w)
	}
	client, server := conns(t, a, b, &handshake.Config{PostHandshakeAuthentication: true}, &handshake.Config{}, ca, trusting("server"))
	if ce, se := both(client, server); ce != nil || se != nil {
		t.Fatalf("client: %v, server: %v", ce, se)
	}
	client.HoldAnswers()
	go io.Copy(io.Discard, client)
	if err := server.RequestAuthentication(); err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, server)
		read <- err
	}()
	within(t, signed, "the request")
	if err := client.Settled(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := within(t, read, "close_notify"); err != nil {
		t.Fatal(err)
	}
	if err := server.Settled(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(server.ConnectionState().PeerChain) == 0 {
		t.Error("the server has no certificate of the client")
	}
}
