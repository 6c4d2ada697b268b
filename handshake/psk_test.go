package handshake_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/conformance/pair"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/enginetest"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/negotiation"
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
		case w.Kind == handshake.WaitNonce: // any will do
		case m.answer[r] != nil && (w.Kind == handshake.WaitEvidence || w.Kind == handshake.WaitAppraisal):
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

var (
	quiet    = &profile.Profile{Quirks: profile.Quirks{NeverSend: []attls.MessageKind{attls.KindNewSessionTicket}}}
	discards = &profile.Profile{Resumption: profile.Resumption{Received: "discard"}}
)

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

// TestNameInResumption: a server that resumes a session does not acknowledge
// server_name (RFC 6066 section 3), and under an external key, which resumes
// nothing, does. A client takes the acknowledgement of servers that send it.
func TestNameInResumption(t *testing.T) {
	acknowledged := func(t *testing.T, w *watch) bool {
		t.Helper()
		m := w.sent(t, attls.KindEncryptedExtensions)
		var v message.EncryptedExtensions
		if err := v.Unmarshal(m.Body()); err != nil {
			t.Fatal(err)
		}
		_, ok := v.Extensions.Find(attls.ExtServerName)
		return ok
	}
	key := &handshake.Session{Identity: []byte("key"), Secret: []byte("secret"), External: true, Suite: attls.TLS_AES_128_GCM_SHA256}
	for _, test := range []struct {
		name     string
		external bool
		retry    bool
		want     []bool // of each connection
	}{
		{"a ticket", false, false, []bool{true, false, false}},
		{"a ticket after HelloRetryRequest", false, true, []bool{true, false}},
		{"an external key", true, false, []bool{true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMeeting()
			if test.external {
				m.clients.External, m.servers.External = []*handshake.Session{key}, []*handshake.Session{key}
			}
			for i, want := range test.want {
				w := &watch{}
				m.now = m.now.Add(time.Minute)
				m.mustMeet(t, func(c, s *handshake.Config) { s.AcknowledgeServerName, s.Retry.Always, s.Tap = true, test.retry, w })
				if got := acknowledged(t, w); got != want {
					t.Errorf("connection %d: server_name is acknowledged: %v", i+1, got)
				}
			}
		})
	}
	t.Run("a server that acknowledges it all the same", func(t *testing.T) {
		m := newMeeting()
		m.mustMeet(t, nil)
		hit := false
		_, resumed := m.mustMeet(t, func(c, s *handshake.Config) {
			s.AcknowledgeServerName = true
			s.Tap = &planTap{at: at{attls.RoleServer, attls.KindEncryptedExtensions, 0}, hit: &hit, plan: editExtensions(t, with(attls.ExtServerName, nil))}
		})
		if !hit || !resumed {
			t.Error("nothing was resumed")
		}
	})
}
