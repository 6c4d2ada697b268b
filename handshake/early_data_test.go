package handshake_test

import (
	"bytes"
	"math"
	"slices"
	"testing"
	"time"

	"attls"
	"attls/conformance/pair"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/enginetest"
	"attls/record"
)

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

// TestEmptyEarlyData: EncryptedExtensions accepts early data without a body.
func TestEmptyEarlyData(t *testing.T) {
	m := newMeeting()
	early := func(c, s *handshake.Config) { c.MaxEarlyData, s.MaxEarlyData = 100, 100 }
	m.mustMeet(t, early)
	m.now = m.now.Add(time.Minute)
	hit := false
	tap := &planTap{at: at{attls.RoleServer, attls.KindEncryptedExtensions, 0}, hit: &hit, plan: editExtensions(t, inPlace(attls.ExtEarlyData, 0, 0, 0, 9))}
	p, err := m.meet(t, func(c, s *handshake.Config) { early(c, s); s.Tap = tap })
	if !hit {
		t.Fatal("no EncryptedExtensions was sent")
	}
	checkOutcome(t, p, attls.RoleClient, err, outcome{attls.FailTrailing, attls.AlertDecodeError, attls.KindEncryptedExtensions, "early_data"})
}
