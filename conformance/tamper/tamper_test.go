package tamper_test

import (
	"bytes"
	"testing"

	"attls"
	"attls/conformance/tamper"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/message"
	"attls/record"
)

// finished is an encoded Finished, which the changes below begin with.
func finished(t *testing.T) *message.Raw {
	t.Helper()
	m, err := message.ParseRaw(tamper.Message(attls.TypeFinished, []byte{1, 2, 3}))
	if err != nil {
		t.Fatal(err)
	}
	return &m
}

func TestMessagesAreChanged(t *testing.T) {
	m := finished(t)
	other := attls.KindCertificate
	for name, c := range map[string]struct {
		tap     handshake.Tap
		changed func(*handshake.Plan) bool
	}{
		"dropped":                   {tamper.Drop(m.Kind, other), func(p *handshake.Plan) bool { return p.Drop }},
		"repeated":                  {tamper.Repeat(m.Kind), func(p *handshake.Plan) bool { return len(p.After) == 1 && bytes.Equal(p.After[0], m.Bytes) }},
		"preceded":                  {tamper.Before(m.Kind, 7), func(p *handshake.Plan) bool { return len(p.Before) == 1 && bytes.Equal(p.Before[0], []byte{7}) }},
		"with the last bit flipped": {tamper.FlipLast(m.Kind), func(p *handshake.Plan) bool { return bytes.Equal(p.Replace, tamper.Message(m.Type, []byte{1, 2, 2})) }},
		"with another body": {tamper.Body(m.Kind, func(b []byte) []byte { return b[:1] }),
			func(p *handshake.Plan) bool {
				return p.Reparse && bytes.Equal(p.Replace, tamper.Message(m.Type, []byte{1}))
			}},
	} {
		t.Run(name, func(t *testing.T) {
			var sent, received handshake.Plan
			c.tap.Message(handshake.Received, m, &received)
			c.tap.Message(handshake.Sent, m, &sent)
			if c.changed(&received) || !c.changed(&sent) {
				t.Errorf("received: %+v, sent: %+v", received, sent)
			}
		})
	}
}

// TestForksCountAlone: a fork has the count of messages that its original had, and
// goes its own way.
func TestForksCountAlone(t *testing.T) {
	var seen []int
	tap := tamper.Messages(func(_ *message.Raw, n int, _ *handshake.Plan) { seen = append(seen, n) })
	m := finished(t)
	tap.Message(handshake.Sent, m, &handshake.Plan{})
	fork := tap.Fork()
	tap.Message(handshake.Sent, m, &handshake.Plan{})
	fork.Message(handshake.Sent, m, &handshake.Plan{})
	if len(seen) != 3 || seen[1] != 1 || seen[2] != 1 {
		t.Errorf("counted %v", seen)
	}
}

func TestListsAreChanged(t *testing.T) {
	list := extensions.List{{Type: 1, Body: []byte{1}}, {Type: 2, Body: []byte{2}}}
	for name, c := range map[string]struct {
		change func(extensions.List) extensions.List
		want   []byte // types and bodies
	}{
		"added":         {tamper.Add(3, 9), []byte{1, 1, 2, 2, 3, 9}},
		"removed":       {tamper.Remove(1), []byte{2, 2}},
		"another body":  {tamper.SetBody(2, 8), []byte{1, 1, 2, 8}},
		"a longer body": {tamper.Change(1, func(b []byte) []byte { return append(b, 7) }), []byte{1, 1, 7, 2, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []byte
			for _, x := range c.change(list[:2:2]) {
				got = append(append(got, byte(x.Type)), x.Body...)
			}
			if !bytes.Equal(got, c.want) || !bytes.Equal(list[0].Body, []byte{1}) {
				t.Errorf("%v, want %v; the list itself is %v", got, c.want, list)
			}
		})
	}
}

func TestRecordsAndSecretsAreChanged(t *testing.T) {
	tap := tamper.Records(func(_ *record.Raw, n int, p *record.Plan) { p.Drop = n == 1 })
	var plans [3]record.Plan
	tap.Record(handshake.Sent, &record.Raw{}, &plans[0])
	tap.Record(handshake.Received, &record.Raw{}, &plans[1])
	tap.Record(handshake.Sent, &record.Raw{}, &plans[2])
	if plans[0].Drop || plans[1].Drop || !plans[2].Drop {
		t.Errorf("%+v", plans)
	}
	value := []byte{2, 2}
	secret := tamper.Secret(handshake.SecretMain)
	if got := secret.Derived(handshake.SecretMain, value); !bytes.Equal(got, []byte{3, 2}) || value[0] != 2 {
		t.Errorf("%v became %v", value, got)
	}
	if got := secret.Derived(handshake.SecretHandshake, value); !bytes.Equal(got, value) {
		t.Errorf("another secret became %v", got)
	}
}
