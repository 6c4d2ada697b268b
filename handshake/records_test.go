package handshake_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/handshake"
	"attls/record"
)

// recordTap changes the n-th record (from 0) of a type that its engine sends.
type recordTap struct {
	handshake.NopTap
	typ  attls.ContentType
	n    int
	plan func(r *record.Raw, p *record.Plan)
	seen int
}

func (t *recordTap) Fork() handshake.Tap { f := *t; return &f }

func (t *recordTap) Record(d handshake.Direction, r *record.Raw, p *record.Plan) {
	if d != handshake.Sent || r.Type != t.typ {
		return
	}
	if t.seen++; t.seen == t.n+1 {
		t.plan(r, p)
	}
}

// insert puts records before the one at hand.
func insert(list ...record.Raw) func(*record.Raw, *record.Plan) {
	return func(_ *record.Raw, p *record.Plan) { p.Before = list }
}

// times repeats a record.
func times(n int, r record.Raw) []record.Raw {
	list := make([]record.Raw, n)
	for i := range list {
		list[i] = r
	}
	return list
}

// extend makes the record longer.
func extend(more ...byte) func(*record.Raw, *record.Plan) {
	return func(r *record.Raw, p *record.Plan) { p.Replace = append(slices.Clone(r.Payload), more...) }
}

// cut sends the record in pieces of so many octets, with others in between.
func cut(size int, between ...record.Raw) func(*record.Raw, *record.Plan) {
	return func(r *record.Raw, p *record.Plan) {
		p.Drop = true
		for b := r.Payload; len(b) > 0; {
			n := min(size, len(b))
			p.Before = append(p.Before, record.Raw{Type: r.Type, Payload: b[:n]})
			if b = b[n:]; len(b) > 0 {
				p.Before = append(p.Before, between...)
			}
		}
	}
}

func unexpectedRecord(field string) outcome {
	return outcome{attls.FailUnexpectedRecord, attls.AlertUnexpectedMessage, attls.KindNone, field}
}

// TestRecords is RFC 8446 section 5: what a record may hold, at both ends.
// Record 0 of handshake data is the first plaintext one of an end, record 1 its
// first protected one.
func TestRecords(t *testing.T) {
	const (
		hs    = attls.ContentTypeHandshake
		alert = attls.ContentTypeAlert
		ccs   = attls.ContentTypeChangeCipherSpec
		data  = attls.ContentTypeApplicationData
	)
	overflow := outcome{attls.FailRecordOverflow, attls.AlertRecordOverflow, attls.KindNone, "record"}
	boundary := outcome{attls.FailMessageBoundary, attls.AlertUnexpectedMessage, attls.KindNone, "record"}
	decode := outcome{attls.FailDecode, attls.AlertDecodeError, attls.KindNone, ""}
	message := outcome{attls.FailUnexpectedMessage, attls.AlertUnexpectedMessage, attls.KindNone, ""}
	dummy := record.Raw{Type: ccs, Payload: []byte{1}}
	keyUpdate := []byte{byte(attls.TypeKeyUpdate), 0, 0, 1, 0}
	tests := []struct {
		name string
		typ  attls.ContentType
		n    int
		plan func(*record.Raw, *record.Plan)
		want outcome
	}{
		{"plaintext message in records of one octet", hs, 0, cut(1), outcome{}},
		{"flight in records of one octet", hs, 1, cut(1), outcome{}},
		{"flight in records of 100 octets", hs, 1, cut(100), outcome{}},
		{"message after the hello in its record", hs, 0, extend(keyUpdate...), boundary},
		{"beginning of a message after the hello", hs, 0, extend(8), boundary},
		{"message after Finished in its record", hs, 1, extend(keyUpdate...), boundary},
		{"beginning of a message after Finished", hs, 1, extend(24, 0), boundary},
		{"alert inside a message", hs, 0, cut(50, record.Raw{Type: alert, Payload: []byte{1, 90}}), unexpectedRecord("record")},
		{"change_cipher_spec inside a message", hs, 0, cut(50, dummy), unexpectedRecord("record")},
		{"data inside a message", hs, 1, cut(50, record.Raw{Type: data, Payload: []byte{1}}), unexpectedRecord("record")},
		{"protected alert inside a message", hs, 1, cut(50, record.Raw{Type: alert, Payload: []byte{1, 90}}), unexpectedRecord("record")},

		{"empty plaintext handshake record", hs, 0, insert(record.Raw{Type: hs}), unexpectedRecord("record")},
		{"empty handshake record", hs, 1, insert(record.Raw{Type: hs}), unexpectedRecord("record")},
		{"empty alert", hs, 1, insert(record.Raw{Type: alert}), unexpectedRecord("record")},
		{"plaintext record of 16385 octets", hs, 0, extend(make([]byte, 16385)...), overflow},
		{"record of 16385 octets", data, 0, extend(make([]byte, 16385)...), overflow},
		{"record over the size limit", data, 0, func(r *record.Raw, p *record.Plan) { p.Replace = make([]byte, 4096) }, overflow},
		{"record at the size limit", data, 0, func(r *record.Raw, p *record.Plan) {
			p.Before = []record.Raw{{Type: data, Payload: make([]byte, 4095)}}
		}, outcome{}},
		{"plaintext content type 24", hs, 0, insert(record.Raw{Type: 24, Payload: []byte{1}}), unexpectedRecord("record")},
		{"content type 24", hs, 1, insert(record.Raw{Type: 24, Payload: []byte{1}}), unexpectedRecord("record")},
		{"nothing but padding", hs, 1, insert(record.Raw{Type: 0, Payload: []byte{0, 0}}), unexpectedRecord("record")},
		{"plaintext application data", hs, 0, insert(record.Raw{Type: data, Payload: []byte{1}}), unexpectedRecord("record")},
		{"application data in the handshake", hs, 1, insert(record.Raw{Type: data, Payload: []byte{1}}), message},
		{"32 empty records", data, 0, insert(times(32, record.Raw{Type: data})...), outcome{}},
		{"33 empty records", data, 0, insert(times(33, record.Raw{Type: data})...), unexpectedRecord("record")},
		{"a message that is too long", hs, 1, insert(record.Raw{Type: hs, Payload: []byte{11, 2, 0, 0}}),
			outcome{attls.FailLimit, attls.AlertIllegalParameter, attls.KindNone, "record"}},
		{"a Finished that is longer than any", hs, 1, insert(record.Raw{Type: hs, Payload: []byte{20, 2, 0, 0}}), decode},
		{"a KeyUpdate that is longer than any", hs, 1, insert(record.Raw{Type: hs, Payload: []byte{24, 255, 255, 255}}), decode},
		{"an EncryptedExtensions that is longer than any", hs, 1, insert(record.Raw{Type: hs, Payload: []byte{8, 2, 0, 0}}), decode},

		{"alert of one octet", hs, 1, insert(record.Raw{Type: alert, Payload: []byte{2}}), decode},
		{"two alerts in a record", hs, 1, insert(record.Raw{Type: alert, Payload: []byte{1, 90, 1, 90}}), decode},
		{"alert level 3", hs, 1, insert(record.Raw{Type: alert, Payload: []byte{3, 40}}), illegal(attls.KindNone, "")},
		{"4 times user_canceled", hs, 1, insert(times(4, record.Raw{Type: alert, Payload: []byte{1, 90}})...), outcome{}},
		{"5 times user_canceled", hs, 1, insert(times(5, record.Raw{Type: alert, Payload: []byte{1, 90}})...), unexpectedRecord("record")},

		{"protected change_cipher_spec", hs, 1, insert(dummy), unexpectedRecord("record")},
	}
	for _, test := range tests {
		for _, sender := range []attls.Role{attls.RoleClient, attls.RoleServer} {
			t.Run(fmt.Sprintf("%s, %v", test.name, sender), func(t *testing.T) {
				o := direct(nil)
				tap := &recordTap{typ: test.typ, n: test.n, plan: test.plan}
				if sender == attls.RoleClient {
					o.Client.Tap = tap
				} else {
					o.Server.Tap = tap
				}
				p, err := pair.New(o)
				if err != nil {
					t.Fatal(err)
				}
				err = p.Run()
				if tap.seen <= test.n {
					t.Fatal("the record was not sent")
				}
				afterwards := test.typ == data || test.name == "message after Finished in its record"
				checkRecordOutcome(t, p, sender.Peer(), err, test.want, afterwards)
			})
		}
	}
}

// checkRecordOutcome is checkOutcome where the handshake may have been completed before.
func checkRecordOutcome(t *testing.T, p *pair.Pair, victim attls.Role, runErr error, want outcome, afterwards bool) {
	t.Helper()
	if got := p.Engine(victim).Err(); afterwards && want.failure != "" {
		if got == nil || got.Failure != want.failure || got.Alert != want.alert {
			t.Errorf("%v, want %s and %v", got, want.failure, want.alert)
		}
		return
	}
	checkOutcome(t, p, victim, runErr, want)
}

// TestRecordSizeLimitOneSided: an end that does not know the extension may send
// records of full size (RFC 8449 section 4).
func TestRecordSizeLimitOneSided(t *testing.T) {
	for _, knows := range []attls.Role{attls.RoleClient, attls.RoleServer} {
		o := direct(func(client, server *handshake.Config) {
			if knows == attls.RoleClient {
				server.RecordSizeLimit = 0
			} else {
				client.RecordSizeLimit = 0
			}
		})
		o.Send[knows.Peer()] = make([]byte, 20000)
		o.KeepWire = true
		p, err := pair.New(o)
		if err != nil {
			t.Fatal(err)
		}
		err = p.Run()
		if got := p.Received(knows); err != nil || len(got) != 20000 {
			t.Errorf("the %v alone knows record_size_limit: %d octets received, %v", knows, len(got), err)
		}
	}
}

// TestChangeCipherSpec puts unprotected change_cipher_spec records before what
// an end receives, at every step of the handshake (RFC 8446 section 5).
func TestChangeCipherSpec(t *testing.T) {
	good := []byte{20, 3, 3, 0, 1, 1}
	for name, test := range map[string]struct {
		octets []byte
		ok     bool
	}{
		"one":               {good, true},
		"three":             {bytes.Repeat(good, 3), true},
		"33":                {bytes.Repeat(good, 33), false},
		"value 2":           {[]byte{20, 3, 3, 0, 1, 2}, false},
		"two octets":        {[]byte{20, 3, 3, 0, 2, 1, 1}, false},
		"empty":             {[]byte{20, 3, 3, 0, 0}, false},
		"another version":   {[]byte{20, 9, 9, 0, 1, 1}, true},
		"and a plain alert": {append(slices.Clone(good), 21, 3, 3, 0, 2, 1, 90), true},
	} {
		for _, to := range []attls.Role{attls.RoleClient, attls.RoleServer} {
			for step := 0; ; step++ {
				p, err := pair.New(full(nil))
				if err != nil {
					t.Fatal(err)
				}
				reached := true
				for i := 0; i < step && reached; i++ {
					_, reached = p.Step()
				}
				if !reached {
					break
				}
				e := p.Engine(to)
				state := e.StateName()
				if e.Buffered() > 0 {
					continue // inside of a record
				}
				p.Inject(to, test.octets)
				p.Run()
				failure := e.Err()
				first := to == attls.RoleServer && state == "START" || state == "FINISH" || state == "CONNECTED" || state == "ACCEPT"
				want := test.ok && !first
				if name == "and a plain alert" {
					want = want && (state == "WAIT_SH" || state == "WAIT_CH2")
					if to == attls.RoleServer && state != "WAIT_CH2" {
						continue // until the client's first protected record, which is not seen from here
					}
				}
				if state == "SEND_FLIGHT" || state == "PROVE_CREDENTIAL" || state == "PROVE_SIGNATURE" || state == "PROVE_EVIDENCE" || state == "PROVE_CERTIFICATE" || state == "PROVE" {
					continue // the peer's Finished has been read or not: the state does not tell
				}
				if got := failure == nil; got != want {
					t.Fatalf("%s, to the %v in state %s (step %d): %v", name, to, state, step, failure)
				}
				if failure != nil && failure.Alert != attls.AlertUnexpectedMessage {
					t.Errorf("%s, to the %v in state %s: %v", name, to, state, failure)
				}
			}
		}
	}
}

// TestTampering changes one octet of each protected record in transit: the
// header's version is ignored in plaintext and authenticated in ciphertext.
func TestTampering(t *testing.T) {
	clean := direct(nil)
	clean.KeepWire = true
	p, err := pair.New(clean)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	for _, from := range []attls.Role{attls.RoleClient, attls.RoleServer} {
		for _, start := range recordStarts(p.Wire(from)) {
			for name, offset := range map[string]int{"version": 1, "minor version": 2, "first octet": 5, "tag": -1} {
				wire := p.Wire(from)
				typ, length := attls.ContentType(wire[start]), int(wire[start+3])<<8|int(wire[start+4])
				at := start + offset
				if offset < 0 {
					at = start + 5 + length + offset
				}
				protected := typ == attls.ContentTypeApplicationData
				if !protected && offset != 1 && offset != 2 {
					continue
				}
				o := direct(nil)
				o.Tamper = func(role attls.Role, offset int, chunk []byte) {
					if role == from && at >= offset && at < offset+len(chunk) {
						chunk[at-offset] ^= 0x40
					}
				}
				q, err := pair.New(o)
				if err != nil {
					t.Fatal(err)
				}
				err = q.Run()
				failure := q.Engine(from.Peer()).Err()
				if !protected && err != nil {
					t.Errorf("%s of a plaintext record of the %v: %v", name, from, err)
				}
				if protected && (failure == nil || failure.Failure != attls.FailBadRecordMAC || failure.Alert != attls.AlertBadRecordMAC) {
					t.Errorf("%s of the record of the %v at %d: %v", name, from, start, failure)
				}
			}
		}
	}
}

func recordStarts(wire []byte) []int {
	var starts []int
	for i := 0; i < len(wire); i += 5 + int(wire[i+3])<<8 + int(wire[i+4]) {
		starts = append(starts, i)
	}
	return starts
}

// TestPadding sends padded records, and reads them.
func TestPadding(t *testing.T) {
	o := direct(func(client, server *handshake.Config) { client.PadTo, server.PadTo = 128, 100 })
	o.KeepWire = true
	p, err := pair.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	for role, to := range [2]int{128, 100} {
		wire := p.Wire(attls.Role(role))
		for _, i := range recordStarts(wire) {
			n := int(wire[i+3])<<8 + int(wire[i+4])
			if attls.ContentType(wire[i]) == attls.ContentTypeApplicationData && (n-16)%to != 0 {
				t.Errorf("a record of the %v has %d octets besides the tag, no multiple of %d", attls.Role(role), n-16, to)
			}
		}
	}
}

// TestLimits lowers each limit below what a handshake needs, or sends just so much.
func TestLimits(t *testing.T) {
	tests := []struct {
		name   string
		limits record.Settings
		plan   func(*record.Raw, *record.Plan)
		typ    attls.ContentType
		want   attls.Failure
	}{
		{"message", record.Settings{MaxHandshakeMessage: 100}, nil, attls.ContentTypeHandshake, attls.FailLimit},
		{"one empty record", record.Settings{MaxEmptyRecords: 1}, insert(times(1, record.Raw{Type: attls.ContentTypeApplicationData})...), attls.ContentTypeApplicationData, ""},
		{"two empty records", record.Settings{MaxEmptyRecords: 1}, insert(times(2, record.Raw{Type: attls.ContentTypeApplicationData})...), attls.ContentTypeApplicationData, attls.FailUnexpectedRecord},
		{"two alerts", record.Settings{MaxWarningAlerts: 1}, insert(times(2, record.Raw{Type: attls.ContentTypeAlert, Payload: []byte{1, 90}})...), attls.ContentTypeApplicationData, attls.FailUnexpectedRecord},
		{"record", record.Settings{MaxRecord: 5}, nil, attls.ContentTypeApplicationData, attls.FailRecordOverflow},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := direct(func(client, server *handshake.Config) {
				client.RecordSizeLimit, server.RecordSizeLimit = 0, 0
				client.Limits = test.limits
			})
			if test.plan != nil {
				o.Server.Tap = &recordTap{typ: test.typ, plan: test.plan}
			}
			p, err := pair.New(o)
			if err != nil {
				t.Fatal(err)
			}
			p.Run()
			got := attls.Failure("")
			if e := p.Engine(attls.RoleClient).Err(); e != nil {
				got = e.Failure
			}
			if got != test.want {
				t.Errorf("%v, want %q", p.Engine(attls.RoleClient).Err(), test.want)
			}
		})
	}
}
