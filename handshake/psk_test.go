package handshake_test

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/conformance/pair"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/internal/enginetest"
	"attls/internal/provider"
	"attls/negotiation"
	"attls/record"
)

// meeting is a client and a server that meet again and again, on a clock that
// the test moves.
type meeting struct {
	now     time.Time
	clients handshake.ClientSessions
	servers handshake.ServerSessions
	early   []byte // what the client has to send as early data
	answer  [2]func(*handshake.Wait, handshake.Answer) handshake.Answer

	statuses []handshake.EarlyDataStatus // that the client was told of
	replayed []byte                      // early data that the server received as such
	tickets  int
	resumed  int // verdicts asked on a chain that was resumed
}

func newMeeting() *meeting {
	m := &meeting{now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return m.now }
	m.clients.Now, m.servers.Keys.Now = clock, clock
	m.servers.Keys.SetKeys([32]byte{1})
	m.servers.EarlyData = func(*handshake.EarlyDataRequest) bool { return true }
	return m
}

func (m *meeting) answers(r attls.Role, c *handshake.Credential) pair.Answer {
	plain := enginetest.Answer(c)
	return func(w *handshake.Wait) (a handshake.Answer, err *attls.Error) {
		switch {
		case w.Kind == handshake.WaitPSK && r == attls.RoleClient:
			a.PSKs = m.clients.Offers(w.PSK)
		case w.Kind == handshake.WaitPSK:
			if p, ok := m.servers.Find(w.PSK); ok {
				a.PSKs = []handshake.PSK{p}
			}
		case w.Kind == handshake.WaitTicket:
			a.Ticket, a.TicketLifetime = m.servers.Ticket(w.Ticket)
		case w.Kind == handshake.WaitEarlyData:
			a.AcceptEarlyData = m.servers.EarlyData(w.EarlyData)
		default:
			if w.Kind == handshake.WaitCertificateVerdict && w.Certificate.Resumed {
				m.resumed++
			}
			a, err = plain(w)
		}
		if f := m.answer[r]; f != nil {
			a = f(w, a)
		}
		return a, err
	}
}

// meet runs one connection with data both ways.
func (m *meeting) meet(t *testing.T, change func(client, server *handshake.Config)) (*pair.Pair, error) {
	t.Helper()
	o := direct(nil)
	o.Client.PSK, o.Server.PSK, o.Server.Tickets = true, true, 1
	o.Server.ClientAuthentication = handshake.NoClientCertificate
	if change != nil {
		change(o.Client, o.Server)
	}
	o.Answer = [2]pair.Answer{m.answers(attls.RoleClient, clientCredential), m.answers(attls.RoleServer, serverCredential)}
	p, err := pair.New(o)
	if err != nil {
		t.Fatal(err)
	}
	m.statuses, m.replayed, m.tickets, m.resumed = nil, nil, 0, 0
	for {
		s, ok := p.Step()
		if !ok {
			return p, p.Err()
		}
		switch ev := s.Event; {
		case ev.Kind == handshake.EventEarlyData:
			m.statuses = append(m.statuses, ev.Early)
			if ev.Early == handshake.EarlyDataOpen && m.early != nil {
				if err := p.Engine(s.Role).Write(m.early); err != nil {
					t.Fatal(err)
				}
			}
		case ev.Kind == handshake.EventTicket:
			m.tickets++
			if ev.Session != nil {
				m.clients.Put(ev.Session)
			}
		case ev.Kind == handshake.EventData && ev.Early == handshake.EarlyDataAccepted:
			m.replayed = append(m.replayed, ev.Data...)
		}
	}
}

// mustMeet is meet where nothing may go wrong; it says whether a session was resumed.
func (m *meeting) mustMeet(t *testing.T, change func(client, server *handshake.Config)) (*pair.Pair, bool) {
	t.Helper()
	p, err := m.meet(t, change)
	if err != nil {
		t.Fatal(err)
	}
	c, s := p.Engine(attls.RoleClient).State(), p.Engine(attls.RoleServer).State()
	if (c.Session != nil) != (s.Session != nil) {
		t.Fatalf("resumed: %v at the client, %v at the server", c.Session != nil, s.Session != nil)
	}
	if !bytes.HasSuffix(p.Received(attls.RoleServer), []byte("from client")) || string(p.Received(attls.RoleClient)) != "from server" {
		t.Errorf("received %q and %q", p.Received(attls.RoleServer), p.Received(attls.RoleClient))
	}
	return p, c.Session != nil
}

// TestResumption resumes sessions, and does not where something has changed that
// must be the same (RFC 8446 sections 2.2 and 4.2.11).
func TestResumption(t *testing.T) {
	type change = func(client, server *handshake.Config)
	suite := func(id attls.CipherSuite) change {
		return func(c, s *handshake.Config) { s.CipherSuites = []attls.CipherSuite{id} }
	}
	retry := func(c, s *handshake.Config) { s.Retry = handshake.Retry{Always: true} }
	mutual := func(c, s *handshake.Config) { s.ClientAuthentication = handshake.RequireClientCertificate }
	for name, test := range map[string]struct {
		first, second change
		between       func(m *meeting)
		resumes       bool
	}{
		"plain":                  {resumes: true},
		"HelloRetryRequest":      {second: retry, resumes: true},
		"HelloRetryRequest both": {first: retry, second: retry, resumes: true},
		"other suite, same hash": {first: suite(attls.TLS_AES_128_GCM_SHA256), second: suite(attls.TLS_CHACHA20_POLY1305_SHA256), resumes: true},
		"other hash":             {first: suite(attls.TLS_AES_128_GCM_SHA256), second: suite(attls.TLS_AES_256_GCM_SHA384)},
		"other hash after HelloRetryRequest": {first: suite(attls.TLS_AES_128_GCM_SHA256), second: func(c, s *handshake.Config) {
			suite(attls.TLS_AES_256_GCM_SHA384)(c, s)
			retry(c, s)
		}},
		"SHA-384": {first: suite(attls.TLS_AES_256_GCM_SHA384), second: suite(attls.TLS_AES_256_GCM_SHA384), resumes: true},
		"psk_ke": {resumes: true, second: func(c, s *handshake.Config) {
			c.PSKModes = []attls.PSKKeyExchangeMode{attls.PSKOnly}
			s.PSKModes = []attls.PSKKeyExchangeMode{attls.PSKWithDHE, attls.PSKOnly}
		}},
		"no mode in common": {second: func(c, s *handshake.Config) {
			c.PSKModes = []attls.PSKKeyExchangeMode{attls.PSKOnly}
		}},
		"server does not resume": {second: func(c, s *handshake.Config) { s.PSK, s.Tickets = false, 0 }},
		"ticket expired":         {between: func(m *meeting) { m.now = m.now.Add(25 * time.Hour) }},
		"ticket almost expired":  {between: func(m *meeting) { m.now = m.now.Add(23 * time.Hour) }, resumes: true},
		"ticket expired, and the client does not know": {between: func(m *meeting) {
			told := m.now
			m.clients.Now = func() time.Time { return told }
			m.now = m.now.Add(25 * time.Hour)
		}},
		"the server's key is gone": {between: func(m *meeting) {
			m.servers.Keys.SetKeys([32]byte{2})
		}},
		"the server's key is old": {resumes: true, between: func(m *meeting) {
			m.servers.Keys.SetKeys([32]byte{2}, [32]byte{1})
		}},
		"client authenticated":           {first: mutual, second: mutual, resumes: true},
		"client did not authenticate":    {second: mutual},
		"client authenticated, unwanted": {first: mutual, resumes: true},
		"server name of another": {second: func(c, s *handshake.Config) { c.ServerName = "other" },
			between: func(m *meeting) { // a client that confuses its sessions
				m.answer[attls.RoleClient] = func(w *handshake.Wait, a handshake.Answer) handshake.Answer {
					if w.Kind == handshake.WaitPSK {
						w.PSK.ServerName = "server"
						a.PSKs = m.clients.Offers(w.PSK)
					}
					return a
				}
			}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMeeting()
			if _, resumed := m.mustMeet(t, test.first); resumed {
				t.Fatal("resumed without a session")
			}
			if m.tickets != 1 {
				t.Fatalf("%d tickets", m.tickets)
			}
			m.now = m.now.Add(time.Minute)
			if test.between != nil {
				test.between(m)
			}
			p, resumed := m.mustMeet(t, test.second)
			if resumed != test.resumes {
				t.Fatalf("resumed: %v, want %v", resumed, test.resumes)
			}
			c, s := p.Engine(attls.RoleClient).State(), p.Engine(attls.RoleServer).State()
			if len(c.PeerChain) != 1 || c.PeerSPKI == nil {
				t.Error("the client does not know the server's certificate")
			}
			if resumed && name == "client authenticated" && len(s.PeerChain) != 1 {
				t.Error("the server does not know the client's certificate")
			}
			if resumed && m.resumed == 0 {
				t.Error("nobody was asked whether the chain is still trusted")
			}
			if strings.HasPrefix(name, "HelloRetry") && !c.HelloRetry {
				t.Error("there was no HelloRetryRequest")
			}
			if resumed && (name == "psk_ke") != (c.Group == 0) {
				t.Errorf("group %v", c.Group)
			}
		})
	}
}

// TestTickets counts what a server issues and a client keeps.
func TestTickets(t *testing.T) {
	m := newMeeting()
	m.clients.Max, m.clients.Offer = 3, 2
	m.mustMeet(t, func(c, s *handshake.Config) { s.Tickets = 5 })
	if m.tickets != 5 || m.clients.Len("server") != 3 {
		t.Errorf("%d tickets, of which %d are kept; want 5 and 3", m.tickets, m.clients.Len("server"))
	}
	// Two are offered, of which the server does not know the first.
	old := m.answer[attls.RoleClient]
	m.answer[attls.RoleClient] = func(w *handshake.Wait, a handshake.Answer) handshake.Answer {
		if w.Kind == handshake.WaitPSK {
			broken := *a.PSKs[0].Session
			broken.Identity = []byte("nobody knows this one")
			a.PSKs[0].Session = &broken
		}
		return a
	}
	if _, resumed := m.mustMeet(t, nil); !resumed {
		t.Error("the second key on offer was not used")
	}
	m.answer[attls.RoleClient] = old
	for name, change := range map[string]func(c, s *handshake.Config){
		"none issued":              func(c, s *handshake.Config) { s.Tickets = 0 },
		"client without PSK":       func(c, s *handshake.Config) { c.PSK = false },
		"quirk of the server":      func(c, s *handshake.Config) { s.Profile = quiet },
		"discarded by the profile": func(c, s *handshake.Config) { c.Profile = discards },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMeeting()
			m.mustMeet(t, change)
			if n := m.clients.Len("server"); n != 0 {
				t.Errorf("%d tickets are kept", n)
			}
		})
	}
}

var (
	quiet    = &profile.Profile{Quirks: profile.Quirks{NeverSend: []attls.MessageKind{attls.KindNewSessionTicket}}}
	discards = &profile.Profile{Resumption: profile.Resumption{Received: "discard"}}
)

// TestLaterTicket issues a ticket long after the handshake.
func TestLaterTicket(t *testing.T) {
	m := newMeeting()
	p, _ := m.mustMeet(t, func(c, s *handshake.Config) { s.Tickets = 0 })
	if err := p.Engine(attls.RoleServer).IssueTicket(); err != nil {
		t.Fatal(err)
	}
	var got *handshake.Session
	for s, ok := p.Step(); ok; s, ok = p.Step() {
		if s.Event.Kind == handshake.EventTicket {
			got = s.Event.Session
		}
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	if got == nil {
		t.Fatal("no ticket arrived")
	}
	m.clients.Put(got)
	if _, resumed := m.mustMeet(t, nil); !resumed {
		t.Error("the later ticket was not used")
	}
	if err := p.Engine(attls.RoleClient).IssueTicket(); err == nil {
		t.Error("a client may issue tickets")
	}
}

// TestExternalKey starts connections with a key that was agreed on before.
func TestExternalKey(t *testing.T) {
	key := func(secret string) *handshake.Session {
		return &handshake.Session{Identity: []byte("key 1"), Secret: []byte(secret), External: true, Suite: attls.TLS_AES_128_GCM_SHA256}
	}
	for name, test := range map[string]struct {
		server  *handshake.Session
		change  func(c, s *handshake.Config)
		resumes bool
		failure attls.Failure
	}{
		"known":        {server: key("secret"), resumes: true},
		"unknown":      {},
		"other secret": {server: key("other"), failure: attls.FailBinder},
		"psk_ke": {server: key("secret"), resumes: true, change: func(c, s *handshake.Config) {
			c.PSKModes = []attls.PSKKeyExchangeMode{attls.PSKOnly}
			s.PSKModes = []attls.PSKKeyExchangeMode{attls.PSKOnly}
		}},
		"not under this profile":          {server: key("secret"), change: func(c, s *handshake.Config) { s.Profile = &profile.Profile{} }},
		"profile that permits it":         {server: key("secret"), resumes: true, change: func(c, s *handshake.Config) { s.Profile = permits }},
		"HelloRetryRequest with a cookie": {server: key("secret"), resumes: true, change: func(c, s *handshake.Config) { s.Retry.Always = true }},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMeeting()
			m.clients.External = []*handshake.Session{key("secret")}
			if test.server != nil {
				m.servers.External = []*handshake.Session{test.server}
			}
			if test.failure != "" {
				p, _ := m.meet(t, test.change)
				err := p.Engine(attls.RoleServer).Err()
				if err == nil || err.Failure != test.failure || err.Alert != attls.AlertDecryptError {
					t.Errorf("%v, want %s", err, test.failure)
				}
				return
			}
			p, resumed := m.mustMeet(t, test.change)
			if resumed != test.resumes {
				t.Errorf("the key was used: %v, want %v", resumed, test.resumes)
			}
			if resumed && p.Engine(attls.RoleClient).State().PeerChain != nil {
				t.Error("a certificate is known though none was shown")
			}
		})
	}
}

var permits = &profile.Profile{Resumption: profile.Resumption{ExternalPSK: true}}

// TestPSKFields breaks the rules about keys in ClientHello and ServerHello.
func TestPSKFields(t *testing.T) {
	ch := at{attls.RoleClient, attls.KindClientHello, 0}
	sh := at{attls.RoleServer, attls.KindServerHello, 0}
	change := func(x attls.ExtensionType, f func([]byte) []byte) func(extensions.List) extensions.List {
		return func(l extensions.List) extensions.List {
			for i := range l {
				if l[i].Type == x {
					l[i].Body = f(slices.Clone(l[i].Body))
				}
			}
			return l
		}
	}
	flip := func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
	illegal := outcome{attls.FailIllegalParameter, attls.AlertIllegalParameter, attls.KindNone, "pre_shared_key"}
	for name, test := range map[string]struct {
		at   at
		plan func(extensions.List) extensions.List
		want outcome
	}{
		"binder": {ch, change(attls.ExtPreSharedKey, flip), outcome{attls.FailBinder, attls.AlertDecryptError, ch.kind, "binders"}},
		"no modes": {ch, without(attls.ExtPSKKeyExchangeModes),
			outcome{attls.FailMissingExtension, attls.AlertMissingExtension, ch.kind, "psk_key_exchange_modes"}},
		"not last": {ch, func(l extensions.List) extensions.List {
			l[len(l)-1], l[0] = l[0], l[len(l)-1]
			return l
		}, illegal},
		"selected what was not offered": {sh, change(attls.ExtPreSharedKey, flip), illegal},
		"no share": {sh, without(attls.ExtKeyShare),
			outcome{attls.FailMissingExtension, attls.AlertMissingExtension, sh.kind, "key_share"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMeeting()
			m.mustMeet(t, nil)
			hit := false
			tap := &planTap{at: test.at, hit: &hit, plan: editExtensions(t, test.plan)}
			p, runErr := m.meet(t, func(c, s *handshake.Config) {
				if test.at.sender == attls.RoleClient {
					c.Tap = tap
				} else {
					s.Tap = tap
				}
			})
			if !hit {
				t.Fatal("the message was not sent")
			}
			checkOutcome(t, p, test.at.sender.Peer(), runErr, test.want)
		})
	}
}

// TestEarlyData offers early data in every situation that decides on it (RFC
// 8446 section 4.2.10).
func TestEarlyData(t *testing.T) {
	const limit = 64
	open, accepted, rejected := handshake.EarlyDataOpen, handshake.EarlyDataAccepted, handshake.EarlyDataRejected
	type change = func(client, server *handshake.Config)
	for name, test := range map[string]struct {
		second  change
		between func(m *meeting)
		data    string
		want    []handshake.EarlyDataStatus
		full    bool // the session is not resumed
		failure attls.Failure
	}{
		"accepted":              {data: "early", want: []handshake.EarlyDataStatus{open, accepted}},
		"nothing to send":       {want: []handshake.EarlyDataStatus{open, accepted}},
		"up to the limit":       {data: string(make([]byte, limit)), want: []handshake.EarlyDataStatus{open, accepted}},
		"client is not willing": {second: func(c, s *handshake.Config) { c.MaxEarlyData = 0 }},
		"server is not willing": {data: "early", second: func(c, s *handshake.Config) { s.MaxEarlyData = 0 }, want: []handshake.EarlyDataStatus{open, rejected}},
		"application refuses": {data: "early", want: []handshake.EarlyDataStatus{open, rejected},
			between: func(m *meeting) { m.servers.EarlyData = func(*handshake.EarlyDataRequest) bool { return false } }},
		"HelloRetryRequest": {data: "early", want: []handshake.EarlyDataStatus{open, rejected},
			second: func(c, s *handshake.Config) { s.Retry.Always = true }},
		"other suite": {data: "early", want: []handshake.EarlyDataStatus{open, rejected},
			second: func(c, s *handshake.Config) { s.CipherSuites = []attls.CipherSuite{attls.TLS_CHACHA20_POLY1305_SHA256} }},
		"other hash": {data: "early", full: true, want: []handshake.EarlyDataStatus{open, rejected},
			second: func(c, s *handshake.Config) { s.CipherSuites = []attls.CipherSuite{attls.TLS_AES_256_GCM_SHA384} }},
		"other protocol": {data: "early", want: []handshake.EarlyDataStatus{open, rejected},
			second: func(c, s *handshake.Config) { s.ALPN = []string{"h2"} }},
		"protocol no longer offered": {second: func(c, s *handshake.Config) { c.ALPN = []string{"h2"}; s.ALPN = c.ALPN }},
		"ticket unknown": {data: "early", full: true, want: []handshake.EarlyDataStatus{open, rejected},
			between: func(m *meeting) { m.servers.Keys.SetKeys([32]byte{2}) }},
		"client's clock is wrong": {data: "early", want: []handshake.EarlyDataStatus{open, rejected},
			between: func(m *meeting) {
				m.clients.Now = func() time.Time { return m.now.Add(2 * time.Minute) }
			}},
		"profile forbids it": {second: func(c, s *handshake.Config) {
			c.Profile = &profile.Profile{Resumption: profile.Resumption{EarlyData: "never"}}
		}},
		"profile of the server forbids it": {data: "early", want: []handshake.EarlyDataStatus{open, rejected},
			second: func(c, s *handshake.Config) {
				s.Profile = &profile.Profile{Resumption: profile.Resumption{EarlyData: "never"}}
			}},
		"more than the server takes": {data: string(make([]byte, limit)), failure: attls.FailEarlyDataLimit,
			second: func(c, s *handshake.Config) { s.MaxEarlyData = limit - 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMeeting()
			early := func(c, s *handshake.Config) { c.MaxEarlyData, s.MaxEarlyData = limit, limit }
			m.mustMeet(t, early)
			if test.between != nil {
				test.between(m)
			}
			if test.data != "" {
				m.early = []byte(test.data)
			}
			second := func(c, s *handshake.Config) {
				early(c, s)
				if test.second != nil {
					test.second(c, s)
				}
			}
			if test.failure != "" {
				p, _ := m.meet(t, second)
				if err := p.Engine(attls.RoleServer).Err(); err == nil || err.Failure != test.failure || err.Alert != attls.AlertUnexpectedMessage {
					t.Errorf("%v, want %s", err, test.failure)
				}
				return
			}
			p, resumed := m.mustMeet(t, second)
			if resumed == test.full {
				t.Errorf("resumed: %v", resumed)
			}
			if !slices.Equal(m.statuses, test.want) {
				t.Errorf("the client is told %v, want %v", m.statuses, test.want)
			}
			ok := slices.Contains(test.want, accepted)
			want := ""
			if ok {
				want = test.data
			}
			if string(m.replayed) != want {
				t.Errorf("the server received %q early, want %q", m.replayed, want)
			}
			a, errA := p.Engine(attls.RoleClient).ExportEarly("label", nil, 16)
			b, errB := p.Engine(attls.RoleServer).ExportEarly("label", nil, 16)
			if ok && (errA != nil || errB != nil || !bytes.Equal(a, b)) {
				t.Errorf("early exporters: %x (%v) and %x (%v)", a, errA, b, errB)
			}
			if !ok && errB == nil {
				t.Error("the server has an early exporter without early data")
			}
		})
	}
}

// TestRejectedEarlyData skips as much early data as was announced, in records of
// any size, whichever way it is rejected, and no more (RFC 8446 section 4.2.10).
func TestRejectedEarlyData(t *testing.T) {
	retry := func(_, s *handshake.Config) { s.Retry.Always = true }
	refuse := func(m *meeting) { m.servers.EarlyData = func(*handshake.EarlyDataRequest) bool { return false } }
	unknown := func(m *meeting) { m.servers.Keys.SetKeys([32]byte{2}) }
	for name, test := range map[string]struct {
		announced uint32
		sent      int
		second    func(c, s *handshake.Config)
		between   func(*meeting)
		failure   attls.Failure
	}{
		"all, refused by the application":         {announced: 16384, sent: 16384, between: refuse},
		"all, with a ticket that is not known":    {announced: 16384, sent: 16384, between: unknown},
		"all, before HelloRetryRequest":           {announced: 16384, sent: 16384, second: retry},
		"many records, refused":                   {announced: 65536, sent: 60000, between: refuse},
		"many records, before HelloRetryRequest":  {announced: 65536, sent: 60000, second: retry},
		"the largest announcement":                {announced: math.MaxUint32, sent: 60000, between: refuse},
		"the largest, before HelloRetryRequest":   {announced: math.MaxUint32, sent: 60000, second: retry},
		"records of one octet, refused":           {announced: 3000, sent: 3000, between: refuse, second: func(c, _ *handshake.Config) { c.MaxFragment = 1 }},
		"records of one octet, HelloRetryRequest": {announced: 3000, sent: 3000, second: func(c, s *handshake.Config) { c.MaxFragment = 1; retry(c, s) }},
		"the ticket announced more than the configuration has now": {announced: 100, sent: 100, between: refuse,
			second: func(_, s *handshake.Config) { s.MaxEarlyData = 10 }},
		"the configuration has no early data any more": {announced: 60000, sent: 60000, second: func(_, s *handshake.Config) { s.MaxEarlyData = 0 }},
		"more than the configuration has, and the ticket is not known": {announced: 100, sent: 100, between: unknown,
			second: func(_, s *handshake.Config) { s.MaxEarlyData = 99 }, failure: attls.FailEarlyDataLimit},
		"more than the configuration has, before HelloRetryRequest": {announced: 100, sent: 100,
			second: func(c, s *handshake.Config) { retry(c, s); s.MaxEarlyData = 99 }, failure: attls.FailEarlyDataLimit},
		"nothing is announced, before HelloRetryRequest": {announced: 16384, sent: 16384,
			second: func(c, s *handshake.Config) { retry(c, s); s.MaxEarlyData = 0 }, failure: attls.FailEarlyDataLimit},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMeeting()
			early := func(c, s *handshake.Config) { c.MaxEarlyData, s.MaxEarlyData = test.announced, test.announced }
			m.mustMeet(t, early)
			if test.between != nil {
				test.between(m)
			}
			m.early = make([]byte, test.sent)
			p, _ := m.meet(t, func(c, s *handshake.Config) {
				early(c, s)
				if test.second != nil {
					test.second(c, s)
				}
			})
			err := p.Engine(attls.RoleServer).Err()
			if test.failure == "" {
				if err != nil || !p.Done() || len(m.replayed) > 0 {
					t.Errorf("%v, done: %v, %d octets were taken", err, p.Done(), len(m.replayed))
				}
				return
			}
			if err == nil || err.Failure != test.failure || err.Alert != attls.AlertUnexpectedMessage {
				t.Errorf("%v, want %s", err, test.failure)
			}
		})
	}
}

// TestEarlyDataRecordLimit: a client does not know the server's
// record_size_limit when it sends early data, which so may come in full records;
// the limit holds from the handshake keys on.
func TestEarlyDataRecordLimit(t *testing.T) {
	m := newMeeting()
	change := func(c, s *handshake.Config) {
		c.MaxEarlyData, s.MaxEarlyData = 20000, 20000
		c.RecordSizeLimit, s.RecordSizeLimit = 16385, 64
	}
	m.mustMeet(t, change)
	m.early = make([]byte, 20000)
	if m.mustMeet(t, change); len(m.replayed) != 20000 {
		t.Errorf("%d octets of early data were taken", len(m.replayed))
	}
	tap := &recordTap{typ: attls.ContentTypeApplicationData, n: 1, plan: func(r *record.Raw, p *record.Plan) { p.Replace = make([]byte, 64) }}
	m.early = []byte("early")
	p, _ := m.meet(t, func(c, s *handshake.Config) { change(c, s); c.Tap = tap })
	p.Engine(attls.RoleClient).Write([]byte("late"))
	p.Run()
	if err := p.Engine(attls.RoleServer).Err(); err == nil || err.Failure != attls.FailRecordOverflow {
		t.Errorf("a record above the limit after early data: %v", err)
	}
}

// TestSkippingEnds: a stateless server that awaits a second ClientHello and gets
// a first one without early data skips nothing any more.
func TestSkippingEnds(t *testing.T) {
	server, err := handshake.NewServer(&handshake.Config{Retry: handshake.Retry{Secrets: [][32]byte{{1}}}})
	if err != nil {
		t.Fatal(err)
	}
	client, err := handshake.NewClient(&handshake.Config{ServerName: "server"})
	if err != nil {
		t.Fatal(err)
	}
	move(client, server)
	for ev, ok := server.Next(); ok; ev, ok = server.Next() {
		if ev.Kind == handshake.EventWait {
			a, _ := enginetest.Answer(serverCredential)(ev.Wait)
			server.Answer(ev.Wait.ID, a)
		}
	}
	b := append([]byte{23, 3, 3, 0, 50}, make([]byte, 50)...)
	copy(server.Reserve(len(b)), b)
	server.Commit(len(b))
	if err := server.Err(); err == nil || err.Failure != attls.FailBadRecordMAC {
		t.Errorf("a record that does not open: %v", err)
	}
}

// TestEarlyDataLimit refuses to send more than may be sent, and any of it too late.
func TestEarlyDataLimit(t *testing.T) {
	m := newMeeting()
	early := func(c, s *handshake.Config) { c.MaxEarlyData, s.MaxEarlyData = 8, 8 }
	m.mustMeet(t, early)
	offers := m.clients.Offers(&handshake.PSKRequest{ServerName: "server"})
	c, err := handshake.NewClient(&handshake.Config{ServerName: "server", ALPN: []string{"attls"}, PSK: true, MaxEarlyData: 8})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Write([]byte("too early")); err == nil {
		t.Error("data before ClientHello")
	}
	if err := c.Answer(c.Waits()[0].ID, handshake.Answer{PSKs: offers}); err != nil {
		t.Fatal(err)
	}
	if n := c.EarlyDataLeft(); n != 8 {
		t.Fatalf("%d octets may be sent, want 8", n)
	}
	if err := c.Write([]byte("12345")); err != nil {
		t.Fatal(err)
	}
	if err := c.Write([]byte("1234")); err == nil {
		t.Error("more was sent than may be")
	}
	if n := c.EarlyDataLeft(); n != 3 {
		t.Errorf("%d octets are left, want 3", n)
	}
}

// TestHalfRTT answers early data before the handshake is complete.
func TestHalfRTT(t *testing.T) {
	m := newMeeting()
	early := func(c, s *handshake.Config) { c.MaxEarlyData, s.MaxEarlyData = 64, 64 }
	m.mustMeet(t, early)
	m.early = []byte("ping")
	o := direct(func(c, s *handshake.Config) {
		c.PSK, s.PSK = true, true
		s.ClientAuthentication = handshake.NoClientCertificate
		early(c, s)
	})
	o.Send = [2][]byte{}
	o.Answer = [2]pair.Answer{m.answers(attls.RoleClient, nil), m.answers(attls.RoleServer, serverCredential)}
	p, err := pair.New(o)
	if err != nil {
		t.Fatal(err)
	}
	for s, ok := p.Step(); ok; s, ok = p.Step() {
		e := p.Engine(s.Role)
		switch {
		case s.Event.Kind == handshake.EventEarlyData && s.Event.Early == handshake.EarlyDataOpen:
			e.Write([]byte("ping"))
		case s.Event.Kind == handshake.EventData && s.Role == attls.RoleServer:
			if e.Done() {
				t.Error("the early data came after the handshake")
			}
			if err := e.Write([]byte("pong")); err != nil {
				t.Error(err)
			}
		}
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	if got := p.Received(attls.RoleClient); string(got) != "pong" {
		t.Errorf("the client received %q", got)
	}
}

// TestProfileResumption puts the rules of a profile's after.resumption against
// the standing of what was attested.
func TestProfileResumption(t *testing.T) {
	attested := &handshake.AttestedPeer{ValidUntil: time.Date(2030, 1, 1, 1, 0, 0, 0, time.UTC)}
	for name, test := range map[string]struct {
		rules    profile.Resumption
		standing negotiation.Standing
		resumes  bool
		failure  attls.Failure
	}{
		"policy, holds":              {profile.Resumption{Accept: "policy"}, negotiation.StandingHolds, true, ""},
		"policy, due":                {profile.Resumption{Accept: "policy"}, negotiation.StandingDue, false, ""},
		"policy, over":               {profile.Resumption{Accept: "policy"}, negotiation.StandingExpired, false, ""},
		"never":                      {profile.Resumption{Accept: "never"}, negotiation.StandingHolds, false, ""},
		"unless_due, holds":          {profile.Resumption{Accept: "unless_due"}, negotiation.StandingHolds, true, ""},
		"unless_due, due":            {profile.Resumption{Accept: "unless_due"}, negotiation.StandingDue, false, ""},
		"within_validity, due":       {profile.Resumption{Accept: "within_validity"}, negotiation.StandingDue, true, ""},
		"within_validity, over":      {profile.Resumption{Accept: "within_validity"}, negotiation.StandingExpired, false, ""},
		"within_validity, aborted":   {profile.Resumption{Accept: "within_validity", Refused: "abort"}, negotiation.StandingExpired, false, attls.FailResumptionRefused},
		"unless_due, full handshake": {profile.Resumption{Accept: "unless_due", Refused: "full_handshake"}, negotiation.StandingDue, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMeeting()
			m.mustMeet(t, nil)
			m.servers.Standing = func(*handshake.Session) negotiation.Standing { return test.standing }
			change := func(c, s *handshake.Config) { s.Profile = &profile.Profile{Resumption: test.rules} }
			if test.failure != "" {
				p, _ := m.meet(t, change)
				if err := p.Engine(attls.RoleServer).Err(); err == nil || err.Failure != test.failure {
					t.Errorf("%v, want %s", err, test.failure)
				}
				return
			}
			if _, resumed := m.mustMeet(t, change); resumed != test.resumes {
				t.Errorf("resumed: %v, want %v", resumed, test.resumes)
			}
		})
	}
	t.Run("lifetime", func(t *testing.T) {
		m := newMeeting()
		s := &handshake.Session{Suite: attls.TLS_AES_128_GCM_SHA256, Attestation: attested}
		for _, test := range []struct {
			at   time.Duration
			want time.Duration
		}{{0, time.Hour}, {59 * time.Minute, time.Minute}, {2 * time.Hour, 0}} {
			m.now = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).Add(test.at)
			ticket, lifetime := m.servers.Ticket(&handshake.TicketRequest{Session: s, NotAfter: attested.ValidUntil})
			if lifetime != test.want || (ticket != nil) != (test.want > 0) {
				t.Errorf("after %v a ticket of %v, want %v", test.at, lifetime, test.want)
			}
		}
	})
}

// TestChoiceUnderAKey: a scheme that is chosen although a pre-shared key
// authenticates would need a Certificate that does not come.
func TestChoiceUnderAKey(t *testing.T) {
	p, err := profile.Load("early-attestation-06", profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	scheme := negotiation.Scheme{Model: profile.ModelEvidence, Credential: profile.KindX509, Format: profile.Format{ContentFormat: 263}}
	chosen := []byte{8, 0, 0, 10, 0, 8, 0xff, 6, 0, 4, 0, 0, 1, 7} // EncryptedExtensions
	m := newMeeting()
	m.mustMeet(t, nil)
	for _, tap := range []handshake.Tap{nil, &replacing{kind: attls.KindEncryptedExtensions, raw: chosen}} {
		met, _ := m.meet(t, func(c, s *handshake.Config) {
			c.Profile, c.Policy.Accept = p, []negotiation.Scheme{scheme}
			s.Tap = tap
		})
		client := met.Engine(attls.RoleClient)
		switch failure := client.Err(); {
		case tap == nil && (failure != nil || client.State().Session == nil):
			t.Errorf("without a choice: %v", failure)
		case tap != nil && (failure == nil || failure.Failure != attls.FailChoiceWithoutRequest || failure.Alert != attls.AlertUnexpectedMessage):
			t.Errorf("with a choice: %v", failure)
		}
	}
}

// replacing sends other octets in the place of messages of a kind.
type replacing struct {
	handshake.NopTap
	kind attls.MessageKind
	raw  []byte
}

func (r *replacing) Message(d handshake.Direction, m *message.Raw, p *handshake.Plan) {
	if d == handshake.Sent && m.Kind == r.kind {
		p.Replace = r.raw
	}
}
func (r *replacing) Fork() handshake.Tap { return r }

// TestTicketKeys rotates the keys of tickets.
func TestTicketKeys(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	k := handshake.TicketKeys{Rotate: time.Hour, Now: func() time.Time { return now }}
	s := &handshake.Session{Identity: []byte("id"), Secret: []byte("secret"), Suite: attls.TLS_AES_128_GCM_SHA256, Lifetime: 7,
		AgeAdd: 1 << 31, MaxEarlyData: 9, ALPN: "attls", ServerName: "server", Chain: [][]byte{{1}, {2, 3}}, Created: now,
		Type: attls.CertificateRawPublicKey, Scheme: attls.ED25519, OCSP: []byte("ocsp"), SCT: []byte("sct"),
		Attestation: &handshake.AttestedPeer{Profile: "p", Model: profile.ModelResults, Credential: profile.KindX509, Wire: []byte{4}, SPKI: []byte{5}, Status: "affirming", ValidUntil: now.Add(time.Hour)}}
	ticket, err := k.Seal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		after time.Duration
		opens bool
	}{{0, true}, {59 * time.Minute, true}, {time.Hour, true}, {7 * 24 * time.Hour, true}, {9 * 24 * time.Hour, false}} {
		now = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).Add(test.after)
		got, ok := k.Open(ticket)
		if ok != test.opens {
			t.Errorf("after %v: opens %v, want %v", test.after, ok, test.opens)
		}
		if ok && fmt.Sprint(*got.Attestation, got.Chain, got.Created, got.Secret) != fmt.Sprint(*s.Attestation, s.Chain, s.Created, s.Secret) {
			t.Errorf("after %v the session is %+v", test.after, got)
		}
	}
	for i := range ticket {
		if _, ok := k.Open(ticket[:i]); ok {
			t.Fatalf("%d octets of a ticket open", i)
		}
	}
	var fresh handshake.TicketKeys
	fresh.Now = k.Now
	if ticket, err = fresh.Seal(s); err != nil {
		t.Fatal(err)
	}
	for i := range ticket {
		ticket[i] ^= 1
		if _, ok := fresh.Open(ticket); ok {
			t.Fatalf("a ticket with another octet %d opens", i)
		}
		ticket[i] ^= 1
	}
	if _, err := fresh.Seal(&handshake.Session{Chain: [][]byte{make([]byte, 1<<16)}}); err == nil {
		t.Error("a ticket of more than 65535 octets")
	}
}

// TestParseSession reads every beginning of a session.
func TestParseSession(t *testing.T) {
	s := &handshake.Session{Identity: []byte("id"), Secret: []byte("secret"), ALPN: "attls", Attestation: &handshake.AttestedPeer{Status: "x"}}
	b := s.Marshal()
	for i := range b {
		if _, err := handshake.ParseSession(b[:i]); err == nil {
			t.Errorf("%d of %d octets are a session", i, len(b))
		}
	}
	if got, err := handshake.ParseSession(b); err != nil || !bytes.Equal(got.Marshal(), b) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestBinderLabel holds a binder against its definition, computed here with the
// bare functions of the key schedule (RFC 8446 section 4.2.11.2).
func TestBinderLabel(t *testing.T) {
	suite, _ := provider.Real().Suite(attls.TLS_AES_128_GCM_SHA256)
	for _, external := range []bool{false, true} {
		s := &handshake.Session{Identity: []byte("id"), Secret: []byte("0123456789abcdef"), External: external, Suite: suite.ID}
		c, err := handshake.NewClient(&handshake.Config{PSK: true})
		if err != nil {
			t.Fatal(err)
		}
		c.Answer(c.Waits()[0].ID, handshake.Answer{PSKs: []handshake.PSK{{Session: s}}})
		raw := c.Output()[5:]
		label := "res binder"
		if external {
			label = "ext binder"
		}
		empty := suite.New().Sum(nil)
		key := suite.ExpandLabel(nil, suite.Extract(nil, nil, s.Secret), "tls13 ", label, empty, 32)
		h := suite.New()
		h.Write(raw[:len(raw)-35])
		if want := suite.FinishedMAC(nil, key, h.Sum(nil)); !bytes.Equal(raw[len(raw)-32:], want) {
			t.Errorf("external %v: binder %x, want %x", external, raw[len(raw)-32:], want)
		}
	}
}

// TestSingleUse: early data of a ClientHello is accepted once, and of no more than
// can be remembered.
func TestSingleUse(t *testing.T) {
	u := &handshake.SingleUse{Max: 2}
	for i, step := range []struct {
		binder string
		want   bool
	}{{"a", true}, {"a", false}, {"b", true}, {"b", false}, {"c", false}} {
		if got := u.Accept(&handshake.EarlyDataRequest{Binder: []byte(step.binder)}); got != step.want {
			t.Errorf("step %d: %v", i, got)
		}
	}
}
