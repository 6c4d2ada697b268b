package handshake_test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/enginetest"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/record"
)

// secretsTap keeps the secrets beside what a watch keeps.
type secretsTap struct {
	watch
	secrets map[handshake.SecretName][]byte
}

func (s *secretsTap) Derived(name handshake.SecretName, b []byte) []byte {
	s.secrets[name] = slices.Clone(b)
	return b
}

// extended lets both ends negotiate extended key update.
func extended(change func(c, s *handshake.Config)) func(c, s *handshake.Config) {
	return func(c, s *handshake.Config) {
		c.ExtendedKeyUpdate, s.ExtendedKeyUpdate = &handshake.ExtendedKeyUpdate{}, &handshake.ExtendedKeyUpdate{}
		if change != nil {
			change(c, s)
		}
	}
}

// update runs one extended key update that an end begins, and data both ways behind it.
func update(t *testing.T, p *pair.Pair, from attls.Role) {
	t.Helper()
	if err := p.Engine(from).ExtendedKeyUpdate(); err != nil {
		t.Fatal(err)
	}
	talk(t, p)
}

// talk runs a pair and has each end send something.
func talk(t *testing.T, p *pair.Pair) {
	t.Helper()
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	for _, r := range attls.Roles() {
		before := len(p.Received(r.Peer()))
		if err := p.Engine(r).Write([]byte("still here")); err != nil {
			t.Fatal(err)
		}
		if err := p.Run(); err != nil {
			t.Fatal(err)
		}
		if got := p.Received(r.Peer())[before:]; string(got) != "still here" {
			t.Fatalf("%q arrives", got)
		}
	}
}

func epoch(p *pair.Pair) [2]uint64 {
	return [2]uint64{p.Engine(attls.RoleClient).State().KeyEpoch, p.Engine(attls.RoleServer).State().KeyEpoch}
}

// expandLabel is HKDF-Expand-Label of RFC 8446 section 7.1 for SHA-256, of its own making.
func expandLabel(t *testing.T, secret []byte, label string, context []byte) []byte {
	t.Helper()
	info := fmt.Sprintf("\x00\x20%c%s%c%s", len("tls13 ")+len(label), "tls13 "+label, len(context), context)
	out, err := hkdf.Expand(sha256.New, secret, info, 32)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestExtendedKeySchedule computes three generations of every reading anew from the
// messages and the shared secrets.
func TestExtendedKeySchedule(t *testing.T) {
	for name, reading := range map[string]handshake.ExtendedKeyUpdate{
		"default": {}, "RFC 8446 exporter": {RFC8446Exporter: true}, "no headers": {OmitHeaders: true}, "hashed twice": {HashTwice: true},
	} {
		t.Run(name, func(t *testing.T) {
			taps := [2]*secretsTap{{secrets: map[handshake.SecretName][]byte{}}, {secrets: map[handshake.SecretName][]byte{}}}
			p, _ := established(t, extended(func(c, s *handshake.Config) {
				c.Tap, s.Tap = taps[0], taps[1]
				*c.ExtendedKeyUpdate, *s.ExtendedKeyUpdate = reading, reading
				c.CipherSuites = []attls.CipherSuite{attls.TLS_AES_128_GCM_SHA256}
			}))
			var all, upToServer []byte
			flow := orderly(taps)
			for _, m := range flow {
				all = append(all, m.Bytes...)
				if m.Kind == attls.KindFinished && upToServer == nil {
					upToServer = slices.Clone(all)
				}
			}
			hash, serverHash, empty := sha256.Sum256(all), sha256.Sum256(upToServer), sha256.Sum256(nil)
			main := taps[0].secrets[handshake.SecretMain]
			exporter := expandLabel(t, main, "exporter eku", serverHash[:])
			if reading.RFC8446Exporter {
				exporter = expandLabel(t, main, "exp master", serverHash[:])
			}
			check := func(n uint64, exporter []byte) {
				t.Helper()
				// The exporter of RFC 8446 section 7.5 over the secret that it should have.
				want := sha256.Sum256([]byte("context"))
				value := expandLabel(t, expandLabel(t, exporter, "EXPORTER-x", empty[:]), "exporter", want[:])
				for _, r := range attls.Roles() {
					if got, err := p.Engine(r).ExportEpoch(n, "EXPORTER-x", []byte("context"), 32); err != nil || !bytes.Equal(got, value) {
						t.Errorf("epoch %d, %v: %x, %v; want %x", n, r, got, err, value)
					}
				}
			}
			check(0, exporter)
			for n := uint64(1); n <= 3; n++ {
				seen := [2]int{len(taps[0].messages[handshake.Sent]), len(taps[1].messages[handshake.Sent])}
				from := attls.Role(n % 2)
				update(t, p, from)
				skip := 0
				if reading.OmitHeaders {
					skip = 4
				}
				request := taps[from].messages[handshake.Sent][seen[from]].Bytes[skip:]
				response := taps[from.Peer()].messages[handshake.Sent][seen[from.Peer()]].Bytes[skip:]
				hash = sha256.Sum256(slices.Concat(hash[:], request, response))
				context := hash[:]
				if reading.HashTwice {
					twice := sha256.Sum256(context)
					context = twice[:]
				}
				at := func(name string) handshake.SecretName { return handshake.SecretName(fmt.Sprintf("%s_%d", name, n)) }
				shared := taps[0].secrets[at("ecdhe")]
				if len(shared) == 0 || !bytes.Equal(shared, taps[1].secrets[at("ecdhe")]) {
					t.Fatal("the ends have no shared secret in common")
				}
				var err error
				if main, err = hkdf.Extract(sha256.New, shared, expandLabel(t, main, "derived", empty[:])); err != nil {
					t.Fatal(err)
				}
				exporter := expandLabel(t, main, "exp master", context)
				for name, want := range map[string][]byte{"main_secret": main, "EXPORTER_SECRET": exporter,
					"CLIENT_TRAFFIC_SECRET": expandLabel(t, main, "c ap traffic", context),
					"SERVER_TRAFFIC_SECRET": expandLabel(t, main, "s ap traffic", context)} {
					for r := range taps {
						if got := taps[r].secrets[at(name)]; !bytes.Equal(got, want) {
							t.Errorf("%s, %v: %x, want %x", at(name), attls.Role(r), got, want)
						}
					}
				}
				check(n, exporter)
			}
		})
	}
}

// orderly merges what two ends have sent in a handshake into the order of the transcript.
func orderly(taps [2]*secretsTap) []message.Raw {
	c, s := taps[0].messages[handshake.Sent], taps[1].messages[handshake.Sent]
	return slices.Concat(c[:1], s, c[1:])
}

// TestExtendedKeyUpdate: either end begins, over every kind of group, with data between;
// both enter the same epochs, of which two can be exported from.
func TestExtendedKeyUpdate(t *testing.T) {
	for _, group := range []attls.NamedGroup{attls.GroupX25519, attls.GroupSecp256r1, attls.GroupX25519MLKEM768} {
		for _, suite := range []attls.CipherSuite{attls.TLS_AES_128_GCM_SHA256, attls.TLS_AES_256_GCM_SHA384} {
			for _, from := range attls.Roles() {
				t.Run(fmt.Sprintf("%v, %v, %v", group, suite, from), func(t *testing.T) {
					p, _ := established(t, extended(func(c, s *handshake.Config) {
						c.Groups, s.Groups = []attls.NamedGroup{group}, []attls.NamedGroup{group}
						c.CipherSuites = []attls.CipherSuite{suite}
					}))
					var values [][]byte
					for n := range uint64(4) {
						if got := epoch(p); got != [2]uint64{n, n} {
							t.Fatalf("epochs %v, want %d", got, n)
						}
						v, err := p.Engine(from).ExportEpoch(n, "a", nil, 32)
						if err != nil {
							t.Fatal(err)
						}
						values = append(values, v)
						update(t, p, from)
					}
					if old, err := p.Engine(from.Peer()).ExportEpoch(3, "a", nil, 32); err != nil || !bytes.Equal(old, values[3]) {
						t.Errorf("epoch 3, seen from epoch 4: %x, %v; want %x", old, err, values[3])
					}
					distinct(t, values, 4)
					if _, err := p.Engine(from).ExportEpoch(2, "a", nil, 32); err == nil {
						t.Error("the exporter secret of epoch 2 is still there in epoch 4")
					}
				})
			}
		}
	}
}

// TestExtendedKeyUpdatesCross: where both ends begin, the request with the higher
// key_exchange counts, and there is one generation.
func TestExtendedKeyUpdatesCross(t *testing.T) {
	winners := map[attls.Role]int{}
	for i := range 8 {
		p, taps := established(t, extended(func(c, s *handshake.Config) {
			c.Random, s.Random = enginetest.Random(fmt.Sprint("client", i)), enginetest.Random(fmt.Sprint("server", i))
		}))
		for _, r := range attls.Roles() {
			if err := p.Engine(r).ExtendedKeyUpdate(); err != nil {
				t.Fatal(err)
			}
			if err := p.Engine(r).ExtendedKeyUpdate(); err == nil {
				t.Error("a second update begins while the first is under way")
			}
		}
		talk(t, p)
		if got := epoch(p); got != [2]uint64{1, 1} {
			t.Fatalf("epochs %v", got)
		}
		request := [2][]byte{taps[0].sent(t, attls.KindExtendedKeyUpdate).Bytes, taps[1].sent(t, attls.KindExtendedKeyUpdate).Bytes}
		winner := attls.RoleClient
		if bytes.Compare(request[1], request[0]) > 0 {
			winner = attls.RoleServer
		}
		winners[winner]++
		for r, want := range map[attls.Role][]attls.ExtendedKeyUpdateType{winner: {0, 2}, winner.Peer(): {0, 1}} {
			if got := subtypes(taps[r]); !slices.Equal(got, want) {
				t.Errorf("%v sent %v, want %v", r, got, want)
			}
		}
		update(t, p, winner.Peer())
	}
	if len(winners) != 2 {
		t.Errorf("only one end ever wins: %v", winners)
	}
}

func subtypes(w *watch) (list []attls.ExtendedKeyUpdateType) {
	for _, m := range w.messages[handshake.Sent] {
		if m.Kind == attls.KindExtendedKeyUpdate {
			list = append(list, attls.ExtendedKeyUpdateType(m.Bytes[4]))
		}
	}
	return list
}

// TestExtendedKeyUpdatesInARow: thousands of updates leave nothing behind.
func TestExtendedKeyUpdatesInARow(t *testing.T) {
	n := 10000
	if testing.Short() {
		n = 1000
	}
	o := direct(extended(nil))
	p, err := pair.New(pairUnbounded(o))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var before uint64
	for i := range n {
		if i == n/10 {
			before = heap()
		}
		if err := p.Engine(attls.Role(i % 2)).ExtendedKeyUpdate(); err != nil {
			t.Fatal(err)
		}
		if err := p.Run(); err != nil {
			t.Fatalf("update %d: %v", i, err)
		}
	}
	if after := heap(); after > before+64<<10 {
		t.Errorf("the heap has grown from %d to %d octets", before, after)
	}
	if got := epoch(p); got != [2]uint64{uint64(n), uint64(n)} {
		t.Errorf("epochs %v", got)
	}
	talk(t, p)
}

func pairUnbounded(o pair.Options) pair.Options {
	o.MaxSteps = 1 << 30
	return o
}

// TestExtendedKeyUpdateNegotiation: without the flag of both ends there is no update and
// KeyUpdate stays; with it, neither KeyUpdate nor tickets.
func TestExtendedKeyUpdateNegotiation(t *testing.T) {
	for name, test := range map[string]struct {
		client, server *handshake.ExtendedKeyUpdate
		agreed         bool
	}{
		"both":          {&handshake.ExtendedKeyUpdate{}, &handshake.ExtendedKeyUpdate{}, true},
		"client":        {&handshake.ExtendedKeyUpdate{}, nil, false},
		"server":        {nil, &handshake.ExtendedKeyUpdate{}, false},
		"another flag":  {&handshake.ExtendedKeyUpdate{Flag: 7}, &handshake.ExtendedKeyUpdate{Flag: 8}, false},
		"one more flag": {&handshake.ExtendedKeyUpdate{Flag: 2039}, &handshake.ExtendedKeyUpdate{Flag: 2039}, true},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := established(t, func(c, s *handshake.Config) { c.ExtendedKeyUpdate, s.ExtendedKeyUpdate = test.client, test.server })
			for _, r := range attls.Roles() {
				e := p.Engine(r)
				if got := e.State().ExtendedKeyUpdate; got != test.agreed {
					t.Errorf("%v: negotiated %v", r, got)
				}
				if err := e.KeyUpdate(false); (err == nil) == test.agreed {
					t.Errorf("%v: KeyUpdate: %v", r, err)
				}
				if _, err := e.ExportEpoch(0, "a", nil, 32); (err == nil) != test.agreed {
					t.Errorf("%v: ExportEpoch: %v", r, err)
				}
				if err := p.Run(); err != nil {
					t.Fatal(err)
				}
				if err := e.ExtendedKeyUpdate(); (err == nil) != test.agreed {
					t.Errorf("%v: ExtendedKeyUpdate: %v", r, err)
				}
				if err := p.Run(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestExtendedKeyUpdateTickets: a ticket is neither issued, nor used, nor kept
// (draft-ietf-tls-extended-key-update section 6).
func TestExtendedKeyUpdateTickets(t *testing.T) {
	m := newMeeting()
	m.mustMeet(t, func(c, s *handshake.Config) { s.Tickets = 1 }) // one from before
	seen := &flow{}
	p, _ := m.mustMeet(t, extended(func(c, s *handshake.Config) { s.Tickets, c.Tap = 1, seen }))
	if got := seen.of(attls.KindNewSessionTicket); len(got) > 0 {
		t.Errorf("%d tickets were issued", len(got))
	}
	var ch message.ClientHello
	if err := ch.Unmarshal(seen.of(attls.KindClientHello)[0].Body()); err != nil {
		t.Fatal(err)
	}
	if _, ok := ch.Extensions.Find(attls.ExtPreSharedKey); ok {
		t.Error("a ticket was offered")
	}
	if err := p.Engine(attls.RoleServer).IssueTicket(); err == nil {
		t.Error("a ticket is issued")
	}
}

// TestExtendedKeyUpdateAndAuthentication: an authentication that a request crosses goes
// first; none begins during an update, and no update during one. After an update it
// begins with transcript_hash_N.
func TestExtendedKeyUpdateAndAuthentication(t *testing.T) {
	p := afterwards(t, enginetest.Answer(clientCredential), extended(nil))
	client, server := p.Engine(attls.RoleClient), p.Engine(attls.RoleServer)
	for round := range 3 {
		if err := server.RequestAuthentication(); err != nil {
			t.Fatal(err)
		}
		if err := server.ExtendedKeyUpdate(); err == nil {
			t.Error("the server begins an update during an authentication")
		}
		if err := client.ExtendedKeyUpdate(); err != nil { // CertificateRequest is on its way
			t.Fatal(err)
		}
		if got := authenticated(p); len(got) != 1 || p.Err() != nil {
			t.Fatalf("%d authentications, %v", len(got), p.Err())
		}
		if got := epoch(p); got != [2]uint64{uint64(round) + 1, uint64(round) + 1} {
			t.Fatalf("epochs %v", got)
		}
		talk(t, p)
	}
	if err := server.ExtendedKeyUpdate(); err != nil {
		t.Fatal(err)
	}
	if err := server.RequestAuthentication(); err == nil {
		t.Error("an authentication begins during an update")
	}
	talk(t, p)
}

// TestExtendedKeyUpdateFork forks both ends after every step of an exchange, in which an
// authentication and two requests cross; each pair comes to the same end.
func TestExtendedKeyUpdateFork(t *testing.T) {
	p := afterwards(t, enginetest.Answer(clientCredential), extended(nil))
	if err := p.Engine(attls.RoleServer).RequestAuthentication(); err != nil {
		t.Fatal(err)
	}
	if err := p.Engine(attls.RoleClient).ExtendedKeyUpdate(); err != nil {
		t.Fatal(err)
	}
	for {
		f, err := p.Fork([2]handshake.ForkOptions{})
		if err != nil {
			t.Fatal(err)
		}
		talk(t, f)
		if got := epoch(f); got != [2]uint64{1, 1} {
			t.Fatalf("epochs %v", got)
		}
		update(t, f, attls.RoleServer)
		if _, ok := p.Step(); !ok {
			break
		}
	}
	talk(t, p)
}

// ekuBytes is an ExtendedKeyUpdate message.
func ekuBytes(t attls.ExtendedKeyUpdateType, g attls.NamedGroup, key []byte) []byte {
	return (&message.ExtendedKeyUpdate{Type: t, Group: g, Key: key}).Append(nil)
}

// TestExtendedKeyUpdateUnasked is what may come in an idle connection.
func TestExtendedKeyUpdateUnasked(t *testing.T) {
	point := slices.Repeat([]byte{9}, 65)
	unexpected := outcome{attls.FailUnexpectedMessage, attls.AlertUnexpectedMessage, attls.KindExtendedKeyUpdate, "eku_type"}
	for name, test := range map[string]struct {
		octets []byte
		plain  bool // not negotiated
		want   outcome
	}{
		"response":                {ekuBytes(attls.KeyUpdateResponse, attls.GroupSecp256r1, point), false, unexpected},
		"finish":                  {ekuBytes(attls.KeyUpdateFinish, 0, nil), false, unexpected},
		"unknown subtype":         {[]byte{byte(attls.TypeExtendedKeyUpdate), 0, 0, 1, 3}, false, unexpected},
		"empty":                   {[]byte{byte(attls.TypeExtendedKeyUpdate), 0, 0, 0}, false, outcome{attls.FailDecode, attls.AlertDecodeError, attls.KindExtendedKeyUpdate, "eku_type"}},
		"finish with a share":     {[]byte{byte(attls.TypeExtendedKeyUpdate), 0, 0, 2, 2, 0}, false, outcome{attls.FailTrailing, attls.AlertDecodeError, attls.KindExtendedKeyUpdate, ""}},
		"request, another group":  {ekuBytes(attls.KeyUpdateRequest, attls.GroupX25519, point[:32]), false, illegal(attls.KindExtendedKeyUpdate, "key_share.group")},
		"request, not a point":    {ekuBytes(attls.KeyUpdateRequest, attls.GroupSecp256r1, point), false, illegal(attls.KindExtendedKeyUpdate, "key_share.key_exchange")},
		"KeyUpdate":               {[]byte{byte(attls.TypeKeyUpdate), 0, 0, 1, 0}, false, outcome{attls.FailUnexpectedMessage, attls.AlertUnexpectedMessage, attls.KindKeyUpdate, ""}},
		"request, not negotiated": {ekuBytes(attls.KeyUpdateRequest, attls.GroupSecp256r1, point), true, outcome{attls.FailUnexpectedMessage, attls.AlertUnexpectedMessage, attls.KindExtendedKeyUpdate, ""}},
	} {
		for _, to := range attls.Roles() {
			t.Run(fmt.Sprintf("%s, to the %v", name, to), func(t *testing.T) {
				tap := &recordTap{typ: attls.ContentTypeApplicationData, n: 1,
					plan: insert(record.Raw{Type: attls.ContentTypeHandshake, Payload: test.octets})}
				p, _ := established(t, extended(func(c, s *handshake.Config) {
					if test.plain {
						c.ExtendedKeyUpdate, s.ExtendedKeyUpdate = nil, nil
					}
					if to == attls.RoleClient {
						s.Tap = tap
					} else {
						c.Tap = tap
					}
				}))
				p.Engine(to.Peer()).Write([]byte("x"))
				err := p.Run()
				checkRecordOutcome(t, p, to, err, test.want, true)
			})
		}
	}
}

// TestExtendedKeyUpdateDisturbed changes the messages of an exchange that the client
// begins.
func TestExtendedKeyUpdateDisturbed(t *testing.T) {
	eku := func(r attls.Role, n int) at { return at{r, attls.KindExtendedKeyUpdate, n} }
	twice := func(m *message.Raw, p *handshake.Plan) { p.After = [][]byte{slices.Clone(m.Bytes)} }
	drop := func(_ *message.Raw, p *handshake.Plan) { p.Drop = true }
	last := func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
	group := func(b []byte) []byte { b[6] ^= 1; return b }
	unexpected := outcome{attls.FailUnexpectedMessage, attls.AlertUnexpectedMessage, attls.KindExtendedKeyUpdate, "eku_type"}
	for name, test := range map[string]struct {
		at   at
		plan func(*message.Raw, *handshake.Plan)
		want outcome
	}{
		"request twice":           {eku(attls.RoleClient, 0), twice, unexpected},
		"response, another group": {eku(attls.RoleServer, 0), replace(group), illegal(attls.KindExtendedKeyUpdate, "key_share.group")},
		"response, not a point":   {eku(attls.RoleServer, 0), replace(last), illegal(attls.KindExtendedKeyUpdate, "key_share.key_exchange")},
		"no response":             {eku(attls.RoleServer, 0), drop, outcome{attls.FailBadRecordMAC, attls.AlertBadRecordMAC, attls.KindNone, ""}},
		"no finish":               {eku(attls.RoleClient, 1), drop, outcome{attls.FailBadRecordMAC, attls.AlertBadRecordMAC, attls.KindNone, ""}},
		"finish twice":            {eku(attls.RoleClient, 1), twice, outcome{attls.FailMessageBoundary, attls.AlertUnexpectedMessage, attls.KindNone, ""}},
		"request again, no finish": {eku(attls.RoleClient, 1), func(_ *message.Raw, p *handshake.Plan) {
			p.Replace = ekuBytes(attls.KeyUpdateRequest, attls.GroupSecp256r1, []byte{1})
		}, unexpected},
		"KeyUpdate amid it": {eku(attls.RoleClient, 1), func(_ *message.Raw, p *handshake.Plan) { p.Replace = []byte{24, 0, 0, 1, 0} },
			outcome{attls.FailUnexpectedMessage, attls.AlertUnexpectedMessage, attls.KindKeyUpdate, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			hit := false
			tap := &planTap{at: test.at, plan: test.plan, hit: &hit}
			p, _ := established(t, extended(func(c, s *handshake.Config) {
				if test.at.sender == attls.RoleClient {
					c.Tap = tap
				} else {
					s.Tap = tap
				}
			}))
			if err := p.Engine(attls.RoleClient).ExtendedKeyUpdate(); err != nil {
				t.Fatal(err)
			}
			p.Run()
			p.Engine(test.at.sender).Write([]byte("under the new key"))
			p.Run()
			if !hit {
				t.Fatal("the message was not sent")
			}
			checkPost(t, p, test.at.sender.Peer(), test.want)
		})
	}
}

// TestExtendedKeyUpdateEqualShares: a request that comes back as it went is refused.
func TestExtendedKeyUpdateEqualShares(t *testing.T) {
	var own []byte
	mirror := &planTap{at: at{attls.RoleServer, attls.KindExtendedKeyUpdate, 0}, hit: new(bool),
		plan: func(_ *message.Raw, p *handshake.Plan) { p.Replace = own }}
	p, taps := established(t, extended(func(c, s *handshake.Config) { s.Tap = mirror }))
	if err := p.Engine(attls.RoleClient).ExtendedKeyUpdate(); err != nil {
		t.Fatal(err)
	}
	own = taps[0].sent(t, attls.KindExtendedKeyUpdate).Bytes
	if err := p.Engine(attls.RoleServer).ExtendedKeyUpdate(); err != nil {
		t.Fatal(err)
	}
	p.Run()
	checkPost(t, p, attls.RoleClient, outcome{attls.FailUnexpectedMessage, attls.AlertUnexpectedMessage, attls.KindExtendedKeyUpdate, ""})
}

// TestExtendedKeyUpdateBound: MaxPeerUpdates counts from the last application data on.
func TestExtendedKeyUpdateBound(t *testing.T) {
	p, _ := established(t, extended(func(c, s *handshake.Config) { s.ExtendedKeyUpdate.MaxPeerUpdates = 2 }))
	for range 6 { // update sends data
		update(t, p, attls.RoleClient)
	}
	for range 3 {
		if err := p.Engine(attls.RoleClient).ExtendedKeyUpdate(); err != nil {
			t.Fatal(err)
		}
		p.Run()
	}
	if err := p.Engine(attls.RoleServer).Err(); err == nil || err.Failure != attls.FailLimit {
		t.Errorf("three in a row: %v", err)
	}
}

// TestTLSFlagsOfAnswers: a flag that was not proposed is illegal_parameter, in whatever
// message it comes (draft-ietf-tls-tlsflags section 3).
func TestTLSFlagsOfAnswers(t *testing.T) {
	add := func(change func(*extensions.List)) func(*message.Raw, *handshake.Plan) {
		return func(m *message.Raw, p *handshake.Plan) {
			var ee message.EncryptedExtensions
			if err := ee.Unmarshal(m.Body()); err != nil {
				t.Fatal(err)
			}
			list := slices.Clone(ee.Extensions)
			change(&list)
			p.Replace = (&message.EncryptedExtensions{Extensions: list}).Append(nil)
		}
	}
	set := func(body ...byte) func(*extensions.List) {
		return func(l *extensions.List) {
			*l = slices.DeleteFunc(*l, func(x extensions.Extension) bool { return x.Type == attls.ExtTLSFlags })
			*l = append(*l, extensions.Extension{Type: attls.ExtTLSFlags, Body: body})
		}
	}
	for name, test := range map[string]struct {
		body []byte
		want outcome
	}{
		"another flag":  {[]byte{1, 1}, illegal(attls.KindEncryptedExtensions, "tls_flags")},
		"one more flag": {[]byte{3, 0, 1, 1}, illegal(attls.KindEncryptedExtensions, "tls_flags")},
		"none":          {[]byte{1, 0}, illegal(attls.KindEncryptedExtensions, "tls_flags")},
		"a zero octet":  {[]byte{4, 0, 0, 1, 0}, illegal(attls.KindEncryptedExtensions, "tls_flags")},
	} {
		t.Run(name, func(t *testing.T) {
			disturb(t, direct(extended(nil)), at{attls.RoleServer, attls.KindEncryptedExtensions, 0}, add(set(test.body...)), test.want)
		})
	}
	t.Run("not offered", func(t *testing.T) {
		disturb(t, direct(nil), at{attls.RoleServer, attls.KindEncryptedExtensions, 0}, add(set(3, 0, 0, 1)),
			outcome{attls.FailUnsolicited, attls.AlertUnsupportedExtension, attls.KindEncryptedExtensions, "tls_flags"})
	})
}

// TestExtendedKeyUpdateConn: two Conns change keys all the time, from both ends at once,
// while data flows both ways.
func TestExtendedKeyUpdateConn(t *testing.T) {
	a, b := net.Pipe()
	o := direct(extended(nil))
	var log bytes.Buffer
	o.Client.KeyLog = &log
	o.Client.Random, o.Server.Random = nil, nil
	var mu sync.Mutex
	last := [2]uint64{}
	told := func(r attls.Role) func(uint64) {
		return func(n uint64) {
			mu.Lock()
			defer mu.Unlock()
			if n <= last[r] {
				t.Errorf("%v: epoch %d after %d", r, n, last[r])
			}
			last[r] = n
		}
	}
	trust := handshake.Trust{InsecureSkipVerify: true}
	client, server := conns(t, a, b, o.Client, o.Server,
		&handshake.Answerer{Credentials: []*handshake.Credential{clientCredential}, Trust: trust, KeyEpoch: told(attls.RoleClient)},
		&handshake.Answerer{Credentials: []*handshake.Credential{serverCredential}, Trust: trust, KeyEpoch: told(attls.RoleServer)})
	if e1, e2 := both(client, server); e1 != nil || e2 != nil {
		t.Fatal(e1, e2)
	}
	const updates = 50
	var all sync.WaitGroup
	var enough atomic.Bool
	var written, read [2]atomic.Int64
	for i, c := range []*handshake.Conn{client, server} {
		all.Add(2)
		go func() {
			defer all.Done()
			defer c.CloseWrite()
			for !enough.Load() {
				n, err := writeAndUpdate(c, make([]byte, 1<<10))
				if written[i].Add(int64(n)); err != nil {
					t.Error(err)
					return
				}
				if c.ConnectionState().KeyEpoch >= updates {
					enough.Store(true)
				}
			}
		}()
		go func() {
			defer all.Done()
			n, err := io.Copy(io.Discard, c)
			if read[i].Store(n); err != nil {
				t.Errorf("after %d octets: %v", n, err)
			}
		}()
	}
	all.Wait()
	c := client.ConnectionState().KeyEpoch
	for i := range written {
		if w, r := written[i].Load(), read[1-i].Load(); w != r || w == 0 {
			t.Errorf("%v wrote %d octets, and %d arrived", attls.Role(i), w, r)
		}
	}
	if n := strings.Count(log.String(), "CLIENT_TRAFFIC_SECRET_"); uint64(n) < c {
		t.Errorf("the key log has %d of them for %d updates", n, c)
	}
}

// writeAndUpdate writes, and begins an update if none is under way.
func writeAndUpdate(c *handshake.Conn, b []byte) (int, error) {
	if err := c.ExtendedKeyUpdate(); err != nil && !failsWith(err, attls.FailConfiguration) {
		return 0, err
	}
	return c.Write(b)
}

// TestExtendedKeyUpdateKeyLog: the labels of each numbering.
func TestExtendedKeyUpdateKeyLog(t *testing.T) {
	for numbering, want := range map[handshake.KeyLogNumbering]string{
		handshake.KeyLogByGeneration: "1", handshake.KeyLogByIteration: "2", handshake.KeyLogLiteral: "N+1"} {
		a, b := net.Pipe()
		o := direct(extended(nil))
		var log bytes.Buffer
		o.Client.KeyLog, o.Client.ExtendedKeyUpdate.KeyLog = &log, numbering
		client, server := conns(t, a, b, o.Client, o.Server,
			&handshake.Answerer{Credentials: []*handshake.Credential{clientCredential}, Trust: handshake.Trust{InsecureSkipVerify: true}},
			&handshake.Answerer{Credentials: []*handshake.Credential{serverCredential}, Trust: handshake.Trust{InsecureSkipVerify: true}})
		if e1, e2 := both(client, server); e1 != nil || e2 != nil {
			t.Fatal(e1, e2)
		}
		go io.Copy(io.Discard, server)
		if err := client.ExtendedKeyUpdate(); err != nil {
			t.Fatal(err)
		}
		go io.Copy(io.Discard, client)
		for client.ConnectionState().KeyEpoch == 0 {
			runtime.Gosched()
		}
		for _, label := range []string{"CLIENT_TRAFFIC_SECRET_", "SERVER_TRAFFIC_SECRET_", "EXPORTER_SECRET_"} {
			if !strings.Contains(log.String(), "\n"+label+want+" ") {
				t.Errorf("no %s%s in\n%s", label, want, log.String())
			}
		}
	}
}

// BenchmarkExtendedKeyUpdate compares one update between two engines, both ends in one
// goroutine, with its primitives.
func BenchmarkExtendedKeyUpdate(b *testing.B) {
	b.Run("update", func(b *testing.B) {
		b.ReportAllocs()
		o := direct(extended(func(c, s *handshake.Config) {
			c.Groups, s.Groups = []attls.NamedGroup{attls.GroupX25519}, []attls.NamedGroup{attls.GroupX25519}
			c.CipherSuites = []attls.CipherSuite{attls.TLS_AES_128_GCM_SHA256}
		}))
		p, err := pair.New(pairUnbounded(o))
		if err != nil {
			b.Fatal(err)
		}
		if err := p.Run(); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if err := p.Engine(attls.RoleClient).ExtendedKeyUpdate(); err != nil {
				b.Fatal(err)
			}
			if err := p.Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("primitives", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := updatePrimitives(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// updatePrimitives are what both ends of an update cannot do without: two key generations
// and two agreements; of each end the extraction, the transcript, four secrets and the keys
// of both directions; messages sealed and opened.
func updatePrimitives() error {
	group, _ := provider.Real().Group(attls.GroupX25519)
	suite, _ := provider.Real().Suite(attls.TLS_AES_128_GCM_SHA256)
	key, err := group.Generate(make([]byte, group.SeedLen()))
	if err != nil {
		return err
	}
	share, shared, err := group.Respond(make([]byte, group.RespondSeedLen()), key.Share())
	if err == nil {
		_, err = key.Finish(share)
	}
	if err != nil {
		return err
	}
	message := make([]byte, 41)
	for range 2 { // both ends
		kdf := suite.KDF()
		h := suite.New()
		h.Write(shared)
		h.Write(message)
		h.Write(message)
		hash := h.Sum(nil)
		main := kdf.Extract(nil, hash, shared)
		for _, label := range []string{"c ap traffic", "s ap traffic", "exp master", "derived"} {
			kdf.ExpandLabel(nil, main, "tls13 ", label, hash, len(hash))
		}
		for range 2 {
			aead, iv, err := kdf.TrafficKey(hash, "tls13 ")
			if err != nil {
				return err
			}
			sealed := aead.Seal(make([]byte, 0, 64), iv, message, nil)
			if _, err := aead.Open(sealed[:0], iv, sealed, nil); err != nil {
				return err
			}
		}
	}
	return nil
}
