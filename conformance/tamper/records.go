package tamper

import (
	"slices"

	"attls/handshake"
	"attls/record"
)

// records is a tap that changes the records that an end sends.
type records struct {
	handshake.NopTap
	sent   int
	change func(r *record.Raw, n int, p *record.Plan)
}

// Records lets change decide on each record that the end sends. n counts the
// records sent before.
func Records(change func(r *record.Raw, n int, p *record.Plan)) handshake.Tap {
	return &records{change: change}
}

func (t *records) Record(d handshake.Direction, r *record.Raw, p *record.Plan) {
	if d == handshake.Sent {
		t.change(r, t.sent, p)
		t.sent++
	}
}

// Fork copies the count.
func (t *records) Fork() handshake.Tap { f := *t; return &f }

// secret is a tap that changes one secret.
type secret struct {
	handshake.NopTap
	name handshake.SecretName
}

// Secret lets the end derive another value of a secret: its first octet differs in
// one bit.
func Secret(name handshake.SecretName) handshake.Tap { return secret{name: name} }

func (t secret) Derived(name handshake.SecretName, value []byte) []byte {
	if name == t.name {
		value = slices.Clone(value)
		value[0] ^= 1
	}
	return value
}

func (t secret) Fork() handshake.Tap { return t }
