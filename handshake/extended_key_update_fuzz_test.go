package handshake_test

import (
	"bytes"
	"errors"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/handshake"
	"attls/handshake/enginetest"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/internal/seeds"
)

// FuzzExtendedKeyUpdateMessage: octets that claim to be an ExtendedKeyUpdate are refused with
// a reason and a place, or are what they are written as again.
func FuzzExtendedKeyUpdateMessage(f *testing.F) {
	seeds.Add(f, func() {
		for _, m := range updateMessages() {
			f.Add(m[4:])
		}
	})
	f.Fuzz(func(t *testing.T, body []byte) {
		seeds.Input(t, body)
		var m message.ExtendedKeyUpdate
		if err := m.Unmarshal(body); err != nil {
			if err.Failure == "" || err.Detail == "" || err.Offset > len(body) || err.Class == attls.Local {
				t.Fatalf("%+v", err)
			}
			return
		}
		if again := m.Append(nil); !bytes.Equal(again[4:], body) {
			t.Fatalf("%x is written as %x", body, again[4:])
		}
	})
}

// updateMessages are messages of an extended key update, and others of an established connection.
func updateMessages() [][]byte {
	share := bytes.Repeat([]byte{9}, 32)
	var list [][]byte
	for _, m := range []message.ExtendedKeyUpdate{
		{Type: attls.KeyUpdateRequest, Group: attls.GroupX25519, Key: share},
		{Type: attls.KeyUpdateResponse, Group: attls.GroupX25519, Key: share},
		{Type: attls.KeyUpdateRequest, Group: attls.GroupSecp256r1, Key: share},
		{Type: attls.KeyUpdateFinish},
	} {
		list = append(list, m.Append(nil))
	}
	const kind = byte(attls.TypeExtendedKeyUpdate)
	return append(list, (&message.KeyUpdate{RequestUpdate: true}).Append(nil), []byte{byte(attls.TypeNewSessionTicket), 0, 0, 1, 0},
		[]byte{kind, 0, 0, 0}, []byte{kind, 0, 0, 1, 7}, []byte{kind, 0xff, 0xff, 0xff}, bytes.Repeat([]byte{kind, 0, 0, 1, 2}, 3))
}

// updateInstead replaces one message of an extended key update that an end sends.
type updateInstead struct {
	handshake.NopTap
	left   int // messages before it
	octets []byte
	done   *bool
}

func (u *updateInstead) Message(d handshake.Direction, m *message.Raw, p *handshake.Plan) {
	if d != handshake.Sent || m.Kind != attls.KindExtendedKeyUpdate {
		return
	}
	if u.left--; u.left == -1 {
		p.Replace, *u.done = u.octets, true
	}
}

func (u *updateInstead) Fork() handshake.Tap {
	fork := *u
	return &fork
}

// updatePlan says who begins an update, and which message of which end is another.
type updatePlan uint8

const updatePlans = 3 * 2 * 2

func (x updatePlan) begins() (list []attls.Role) {
	switch x % 3 {
	case 0:
		return []attls.Role{attls.RoleClient}
	case 1:
		return []attls.Role{attls.RoleServer}
	}
	return []attls.Role{attls.RoleClient, attls.RoleServer} // crossed
}

func (x updatePlan) from() attls.Role { return attls.Role(x / 3 % 2) }
func (x updatePlan) at() int          { return int(x / 6 % 2) }

// run makes an update in which a message is replaced. It returns whether it was, what an end
// says of it, and the states in which an end has taken it.
func (x updatePlan) run(t *testing.T, octets []byte) (replaced bool, err error) {
	t.Helper()
	var taps [2]handshake.Tap
	taps[x.from()] = &updateInstead{left: x.at(), octets: octets, done: &replaced}
	p := nullUpdates(t, taps)
	for _, r := range x.begins() {
		if err := p.Engine(r).ExtendedKeyUpdate(); err != nil {
			t.Fatal(err)
		}
	}
	_ = p.Run() // which says the same as the ends
	for _, r := range attls.Roles() {
		e := p.Engine(r).Err()
		if e == nil {
			continue
		}
		if e.Failure == "" || e.Detail == "" || e.Class == attls.Local && e.Failure != attls.FailCapacity {
			t.Fatalf("the %v: %+v", r, e)
		}
		if err == nil || e.Class != attls.FromPeer {
			err = e
		}
	}
	return replaced, err
}

// nullUpdates is a connection under the provider that protects nothing, whose ends may update.
// All shares are equal there, so that crossed requests cannot be told apart and end it.
func nullUpdates(t testing.TB, taps [2]handshake.Tap) *pair.Pair {
	t.Helper()
	answer := enginetest.Answer(enginetest.Credential("engine"))
	o := pair.Options{Client: &handshake.Config{ServerName: "engine", Tap: taps[attls.RoleClient]},
		Server: &handshake.Config{Tap: taps[attls.RoleServer]}}
	o.Answer[attls.RoleClient] = enginetest.Answer(nil)
	o.Answer[attls.RoleServer] = func(w *handshake.Wait) (handshake.Answer, *attls.Error) {
		if w.Kind == handshake.WaitSignature {
			return handshake.Answer{Signature: provider.NullSignature}, nil
		}
		return answer(w)
	}
	for _, c := range []*handshake.Config{o.Client, o.Server} {
		c.ExtendedKeyUpdate = &handshake.ExtendedKeyUpdate{}
		provider.Select(c, provider.Null())
	}
	p, err := pair.New(o)
	if err == nil {
		err = p.Run()
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// FuzzExtendedKeyUpdate puts any octets in the place of a message of an update, inside a
// connection: in front of it, in the middle, behind a crossed request.
func FuzzExtendedKeyUpdate(f *testing.F) {
	seeds.Add(f, func() {
		for x := range byte(updatePlans) {
			for _, m := range updateMessages() {
				f.Add(x, m)
			}
		}
	})
	f.Fuzz(func(t *testing.T, plan byte, octets []byte) {
		seeds.Input(t, plan, octets)
		if len(octets) == 0 || len(octets) > 1<<14 {
			return
		}
		updatePlan(plan%updatePlans).run(t, octets)
	})
}

// TestUpdateSeeds: the seeds replace a message in each state of an update, some are taken, and
// the others are refused for several reasons.
func TestUpdateSeeds(t *testing.T) {
	failures := map[attls.Failure]bool{}
	taken, reached := 0, 0
	for x := range updatePlan(updatePlans) {
		there := false
		for _, m := range updateMessages() {
			replaced, err := x.run(t, m)
			there = there || replaced
			var named *attls.Error
			switch {
			case errors.As(err, &named):
				failures[named.Failure] = true
			case replaced:
				taken++
			}
		}
		if there {
			reached++
		}
	}
	// Whoever begins alone sends a request and a finish, and its peer a response and no more;
	// crossed requests are the only messages of both.
	if reached != updatePlans-4 {
		t.Errorf("%d of %d plans replace a message", reached, updatePlans)
	}
	if len(failures) < 4 || taken == 0 {
		t.Errorf("%d seeds are taken, and others fail with %v", taken, failures)
	}
}
