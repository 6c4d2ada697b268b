package negotiation

import (
	"bytes"
	"testing"

	"attls"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
)

// exchange is what one profile does in one handshake at both ends together: codec,
// rules and binder, and nothing of TLS, of making Evidence or of judging it.
type exchange struct {
	profile  *profile.Profile
	policies [2]Policy
	attester attls.Role
	payload  []byte
	inputs   binder.Inputs // of both ends
	reached  []byte        // the challenge, at the relying party
}

// newExchange has a server that attests beside X.509 under early-attestation-06,
// with a payload of 1200 octets.
func newExchange(tb testing.TB) *exchange {
	p, err := profile.Load("early-attestation-06", profile.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	x := &exchange{profile: p, attester: attls.RoleServer, payload: make([]byte, 1200), inputs: fixedInputs{}}
	list := []Scheme{{Credential: profile.KindX509, Format: profile.Format{ContentFormat: 263}}}
	x.policies[attls.RoleServer].Produce, x.policies[attls.RoleClient].Accept = list, list
	return x
}

// run goes through the messages as an engine does.
func (x *exchange) run() error {
	p := x.profile
	// ClientHello
	offered, failure := Offer(p, x.policies[attls.RoleClient], true)
	if failure != nil {
		return failure
	}
	hello := p.NewFields()
	copy(hello.Offered, offered.Present)
	copy(hello.Offers, offered.Offers)
	read := p.NewFields()
	if err := x.send(attls.KindClientHello, attls.RoleClient, hello, read); err != nil {
		return err
	}
	// ServerHello and EncryptedExtensions
	got := NewSlots(p)
	copy(got.Present, read.Offered)
	copy(got.Offers, read.Offers)
	chosen, failure := Choose(p, got, x.policies[attls.RoleServer])
	if failure != nil {
		return failure
	}
	answers := NewSlots(p)
	for _, k := range []attls.MessageKind{attls.KindServerHello, attls.KindEncryptedExtensions} {
		answer, read := p.NewFields(), p.NewFields()
		copy(answer.Choices, chosen.Choices)
		if err := x.send(k, attls.RoleServer, answer, read); err != nil {
			return err
		}
		for i, c := range read.Choices {
			if c == nil || IsNullChoice(p, c) {
				continue
			}
			own, failure := CheckChoice(p, offered, i, c)
			if failure != nil {
				return failure
			}
			answers.Choices[i], answers.Present[i] = own, true
		}
	}
	if failure := CheckAnswers(p, offered, answers, x.policies[attls.RoleClient], false); failure != nil {
		return failure
	}
	// Certificate, with the challenge computed at either end
	var challenges [2][]byte
	for end, slots := range [2]Slots{attls.RoleClient: answers, attls.RoleServer: chosen} {
		_, s := ChosenFor(p, slots, x.attester)
		if s == nil || !p.Binder.OverKey(s.Model, s.Credential, x.attester) {
			return attls.Errorf(attls.Local, attls.FailInternal, "end %d has no scheme that is bound to the key", end)
		}
		var err error
		if challenges[end], err = p.Binder.Program.Eval(p.Binder.Challenge[s.Model][s.Credential], x.attester, x.inputs); err != nil {
			return err
		}
	}
	certificate, arrived := &profile.Fields{Payload: x.payload}, p.NewFields()
	if err := x.send(attls.KindCertificate, x.attester, certificate, arrived); err != nil {
		return err
	}
	if !bytes.Equal(arrived.Payload, x.payload) || !bytes.Equal(challenges[0], challenges[1]) {
		return attls.Errorf(attls.Local, attls.FailInternal, "the payload or the challenge differs")
	}
	x.reached = challenges[attls.RoleClient]
	return nil
}

// send encodes the extensions of a message and decodes them at the other end.
func (x *exchange) send(k attls.MessageKind, sender attls.Role, f, to *profile.Fields) error {
	list, err := x.profile.Encode(k, sender, f)
	for _, e := range list {
		if err == nil {
			err = x.profile.Decode(k, sender, e.Type, e.Body, to)
		}
	}
	return err
}

// fixedInputs is a handshake whose values are at hand, as an engine's are.
type fixedInputs struct{}

var fixed [1024]byte

func (fixedInputs) Hash() string                             { return "SHA-256" }
func (fixedInputs) Secret(binder.Secret) ([]byte, bool)      { return fixed[:32], true }
func (fixedInputs) Transcript(binder.Range) ([]byte, bool)   { return fixed[32:64], true }
func (fixedInputs) SPKI(attls.Role) ([]byte, bool)           { return fixed[:91], true } // as long as one of P-256
func (fixedInputs) Certificate(attls.Role) ([]byte, bool)    { return fixed[:600], true }
func (fixedInputs) Nonce(attls.Role) ([]byte, bool)          { return fixed[:32], true }
func (fixedInputs) RequestContext(attls.Role) ([]byte, bool) { return nil, true }
func (fixedInputs) AttesterSize(attls.Role) (int, bool)      { return 0, false }
func (fixedInputs) Later(binder.Later) ([]byte, bool)        { return nil, false }

// BenchmarkExchange is codec, rules and binder of one handshake, both ends together.
func BenchmarkExchange(b *testing.B) {
	x := newExchange(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := x.run(); err != nil {
			b.Fatal(err)
		}
	}
}

// TestExchangeAllocations holds codec, rules and binder of one handshake, both ends
// together, to 80 allocations.
func TestExchangeAllocations(t *testing.T) {
	x := newExchange(t)
	n := testing.AllocsPerRun(100, func() {
		if err := x.run(); err != nil {
			t.Fatal(err)
		}
	})
	if n > 80 {
		t.Errorf("%v allocations; at most 80 are allowed", n)
	}
	if len(x.reached) != 32 {
		t.Errorf("a challenge of %d octets", len(x.reached))
	}
}
