package fuzz

import (
	"slices"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/message"
	"attls/internal/seeds"
)

// collect is a tap that keeps every message and the extensions in it.
type collect struct {
	handshake.NopTap
	messages [][]byte
	bodies   [][]byte
}

func (c *collect) Fork() handshake.Tap { return c }

func (c *collect) Message(d handshake.Direction, m *message.Raw, _ *handshake.Plan) {
	if d != handshake.Sent {
		return
	}
	c.messages = append(c.messages, slices.Clone(m.Bytes))
	var list extensions.List
	var ch message.ClientHello
	var sh message.ServerHello
	var ee message.EncryptedExtensions
	var cr message.CertificateRequest
	switch {
	case m.Kind == attls.KindClientHello && ch.Unmarshal(m.Body()) == nil:
		list = ch.Extensions
	case (m.Kind == attls.KindServerHello || m.Kind == attls.KindHelloRetryRequest) && sh.Unmarshal(m.Body()) == nil:
		list = sh.Extensions
	case m.Kind == attls.KindEncryptedExtensions && ee.Unmarshal(m.Body()) == nil:
		list = ee.Extensions
	case m.Kind == attls.KindCertificateRequest && cr.Unmarshal(m.Body()) == nil:
		list = cr.Extensions
	}
	for _, x := range list {
		c.bodies = append(c.bodies, slices.Clone(x.Body))
	}
}

// examples are the messages and extension bodies of every scenario, and what
// both ends sent under the null provider.
func examples(t testing.TB) (messages, bodies, wires [][]byte) {
	for i := range Scenarios() {
		s := &Scenarios()[i]
		tap := &collect{}
		o := s.options(true, [2]handshake.Tap{tap, tap})
		o.KeepWire = true
		p, err := pair.New(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Run(); err != nil {
			t.Fatal(err)
		}
		messages, bodies = append(messages, tap.messages...), append(bodies, tap.bodies...)
		wires = append(wires, p.Wire(attls.RoleClient), p.Wire(attls.RoleServer))
	}
	messages = append(messages, (&message.KeyUpdate{}).Append(nil),
		(&message.ClientCertificateRequest{Context: []byte{1}}).Append(nil),
		(&message.NewSessionTicket{Nonce: []byte{1}, Ticket: []byte{2}, Extensions: extensions.List{{Type: attls.ExtEarlyData, Body: []byte{0, 0, 1, 0}}}}).Append(nil))
	return messages, bodies, wires
}

func FuzzMessage(f *testing.F) {
	seeds.Add(f, func() {
		messages, _, _ := examples(f)
		for _, m := range messages {
			f.Add(m)
		}
	})
	f.Fuzz(func(t *testing.T, msg []byte) {
		seeds.Input(t, msg)
		if err := DecodeMessage(msg); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzExtension(f *testing.F) {
	seeds.Add(f, func() {
		_, list, _ := examples(f)
		for i := range bodies {
			for _, b := range list {
				f.Add(byte(i), b)
			}
		}
	})
	f.Fuzz(func(t *testing.T, which byte, body []byte) {
		seeds.Input(t, which, body)
		if err := DecodeBody(int(which), body); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzKey(f *testing.F) {
	seeds.Add(f, func() {
		_, spki := keyOnCurve()
		f.Add(spki)
		for _, c := range credentials {
			f.Add(c.Chain[0])
		}
	})
	f.Fuzz(func(t *testing.T, der []byte) {
		seeds.Input(t, der)
		if err := DecodeKey(der); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzRecord(f *testing.F) {
	seeds.Add(f, func() {
		_, _, wires := examples(f)
		for i, w := range wires {
			f.Add(w, byte(i%3), byte(7*i))
		}
	})
	f.Fuzz(func(t *testing.T, octets []byte, protectAt, piece byte) {
		seeds.Input(t, octets, protectAt, piece)
		if len(octets) > 1<<16 {
			return
		}
		whole, err := DecodeRecords(octets, int(protectAt), 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, int(piece) + 1} {
			cut, err := DecodeRecords(octets, int(protectAt), n)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(whole, cut) {
				t.Fatalf("in pieces of %d octets %q, whole %q", n, cut, whole)
			}
		}
	})
}

// TestDecodersTakeTheirSeeds: the seeds are accepted, by as many decoders as there are.
func TestDecodersTakeTheirSeeds(t *testing.T) {
	messages, list, wires := examples(t)
	types := map[byte]bool{}
	for _, m := range messages {
		types[m[0]] = true
		if err := DecodeMessage(m); err != nil {
			t.Error(err)
		}
	}
	if len(types) < 9 {
		t.Errorf("seeds of %d types of message", len(types))
	}
	for i, parse := range bodies {
		if !slices.ContainsFunc(list, func(b []byte) bool { return parse(b) == nil }) && i < 4 {
			t.Errorf("no seed that decoder %d accepts", i)
		}
	}
	for _, w := range wires {
		most := 0
		for hellos := 1; hellos <= 3; hellos++ { // keys change after one or two messages and change_cipher_spec
			found, err := DecodeRecords(w, hellos, 0)
			if err != nil {
				t.Error(err)
			}
			most = max(most, len(found))
		}
		if most < 3 {
			t.Errorf("%d items", most)
		}
	}
}
