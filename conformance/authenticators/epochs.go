package authenticators

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"attls"
)

// epochs is a connection that has negotiated Extended Key Update.
type epochs struct {
	name        string
	askerRole   attls.Role
	begins      Epochs // the end that begins, in the first place
	other       Epochs
	exported    []byte // of the last epoch
	fromRFC8446 []byte // of the exporter that stays
}

// runUpdates runs a case over a connection of its own.
func runUpdates(ctx context.Context, k *Case, suite string, asker attls.Role, stacks [2]Stack) error {
	set := &Setting{Updates: true, Group: k.group}
	for _, s := range Suites() {
		if s.String() == suite {
			set.Suite = s
		}
	}
	c, err := connect(ctx, stacks[attls.RoleClient], stacks[attls.RoleServer], set)
	defer c.stop()
	if err != nil {
		return err
	}
	x := &epochs{name: k.Name, askerRole: asker}
	for i, end := range []*Epochs{&x.begins, &x.other} {
		role := asker
		if i == 1 {
			role = asker.Peer()
		}
		var ok bool
		if *end, ok = c.ends[role].(Epochs); !ok {
			return fmt.Errorf("the %v has no epochs", role)
		}
	}
	if x.fromRFC8446, err = x.same(func(e Epochs) ([]byte, error) { return e.Export(epochLabel, nil, 32) }); err != nil {
		return err
	}
	if err := x.in(0); err != nil {
		return err
	}
	if err := k.updates(x); err != nil {
		return err
	}
	still, err := x.same(func(e Epochs) ([]byte, error) { return e.Export(epochLabel, nil, 32) })
	if err == nil && !bytes.Equal(still, x.fromRFC8446) {
		err = errors.New("the exporter of RFC 8446 has changed with an update")
	}
	return err
}

const epochLabel = "EXPERIMENTAL attls epoch"

// same asks both ends for octets, which must be equal.
func (x *epochs) same(ask func(Epochs) ([]byte, error)) ([]byte, error) {
	a, err := ask(x.begins)
	if err != nil {
		return nil, err
	}
	b, err := ask(x.other)
	if err == nil && !bytes.Equal(a, b) {
		err = fmt.Errorf("the ends export %x and %x", a, b)
	}
	return a, err
}

// in checks that both ends are in an epoch, export the same of it and of the one before,
// and nothing of another.
func (x *epochs) in(epoch uint64) error {
	for _, end := range []Epochs{x.begins, x.other} {
		got, err := end.Epoch()
		if err != nil {
			return err
		}
		if got != epoch {
			return fmt.Errorf("an end is in epoch %d, not %d", got, epoch)
		}
		for _, none := range []uint64{epoch + 1, epoch - 2} { // 2 before 0 is far away, too
			if _, err := end.ExportEpoch(none, epochLabel, nil, 32); err == nil {
				return fmt.Errorf("in epoch %d, an end exports of epoch %d", epoch, none)
			}
		}
	}
	of := func(epoch uint64) ([]byte, error) {
		return x.same(func(e Epochs) ([]byte, error) { return e.ExportEpoch(epoch, epochLabel, nil, 32) })
	}
	now, err := of(epoch)
	if err != nil {
		return fmt.Errorf("epoch %d: %w", epoch, err)
	}
	if bytes.Equal(now, x.fromRFC8446) || bytes.Equal(now, x.exported) {
		return fmt.Errorf("epoch %d exports what was exported before", epoch)
	}
	if epoch > 0 {
		before, err := of(epoch - 1)
		if err != nil {
			return fmt.Errorf("epoch %d, after the update: %w", epoch-1, err)
		}
		if !bytes.Equal(before, x.exported) {
			return fmt.Errorf("epoch %d exports something else after the update", epoch-1)
		}
	}
	x.exported = now
	return nil
}

// frame carries a few octets.
func frame(from, to End) error {
	_, err := carry(from, to, []byte("between two epochs"))
	return err
}

// maxRounds bounds how often data goes both ways until an update is finished: an end may
// defer its response, and what another goroutine sends comes a little later.
const maxRounds = 10000

// settle carries data both ways until both ends are in an epoch.
func settle(a, b Epochs, epoch uint64) error {
	for i := range maxRounds {
		for _, ends := range [][2]End{{a, b}, {b, a}} {
			if err := frame(ends[0], ends[1]); err != nil {
				return fmt.Errorf("data %d behind the request: %w", i+1, err)
			}
		}
		first, err := a.Epoch()
		if err != nil {
			return err
		}
		second, err := b.Epoch()
		if err != nil {
			return err
		}
		if first == epoch && second == epoch {
			// Under the new keys.
			return errors.Join(frame(a, b), frame(b, a))
		}
	}
	return fmt.Errorf("epoch %d is not reached with data %d times both ways", epoch, maxRounds)
}

// one is one update: data is carried under the old keys, in both states between, and under
// the new ones.
func one(begins, other Epochs, epoch uint64) error {
	if err := begins.Update(); err != nil {
		return fmt.Errorf("beginning: %w", err)
	}
	return settle(begins, other, epoch)
}

// several are so many updates in a row.
func (x *epochs) several(n int, other func(i int) bool) error {
	for i := range n {
		begins, answers := x.begins, x.other
		if other(i) {
			begins, answers = answers, begins
		}
		err := one(begins, answers, uint64(i)+1)
		if err == nil {
			err = x.in(uint64(i) + 1)
		}
		if err != nil {
			return fmt.Errorf("update %d: %w", i+1, err)
		}
	}
	return nil
}

func updateCrossed(x *epochs) error {
	for i := range 10 {
		for _, end := range []Epochs{x.begins, x.other} {
			if err := end.Update(); err != nil {
				return fmt.Errorf("round %d: beginning: %w", i+1, err)
			}
			if err := end.Send([]byte("behind a request")); err != nil {
				return err
			}
		}
		for _, end := range []Epochs{x.begins, x.other} {
			if _, err := end.Receive(); err != nil {
				return fmt.Errorf("round %d: %w", i+1, err)
			}
		}
		if err := settle(x.begins, x.other, uint64(i)+1); err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
		if err := x.in(uint64(i) + 1); err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	return nil
}

func updateTwice(x *epochs) error {
	if err := x.begins.Update(); err != nil {
		return err
	}
	if err := x.begins.Update(); err == nil {
		return errors.New("an end begins a second update")
	}
	if err := frame(x.begins, x.other); err != nil {
		return err
	}
	if err := x.other.Update(); err == nil {
		return errors.New("the end that has answered begins another update")
	}
	if err := settle(x.begins, x.other, 1); err != nil {
		return err
	}
	return x.in(1)
}

// of are authenticators of an epoch at both ends, for an exchange.
func (x *epochs) of(epoch uint64) (*exchange, error) {
	e := &exchange{name: fmt.Sprint(x.name, epoch), askerRole: x.askerRole, askerEnd: x.begins, peerEnd: x.other}
	var err error
	if e.asker, err = x.begins.AuthenticatorsOf(epoch); err == nil {
		e.peer, err = x.other.AuthenticatorsOf(epoch)
	}
	return e, err
}

// updateAuthenticator: what is made with the exporter of an epoch is good in that one only,
// which may be the one before.
func updateAuthenticator(x *epochs) error {
	for epoch := range uint64(3) {
		if epoch > 0 {
			if err := one(x.begins, x.other, epoch); err != nil {
				return err
			}
			if err := x.in(epoch); err != nil {
				return err
			}
		}
		for back := range min(epoch, 1) + 1 {
			e, err := x.of(epoch - back)
			if err != nil {
				return err
			}
			octets, made, err := e.answered(false)
			if err == nil {
				err = judged(e.asker, octets, made)
			}
			if err != nil {
				return fmt.Errorf("of epoch %d in epoch %d: %w", epoch-back, epoch, err)
			}
		}
	}
	return x.otherEpoch()
}

// otherEpoch: an answer of the epoch before to a request of this one.
func (x *epochs) otherEpoch() error {
	now, err := x.of(2)
	if err != nil {
		return err
	}
	request, _, err := now.ask()
	if err != nil {
		return err
	}
	before, err := x.other.AuthenticatorsOf(1)
	if err != nil {
		return err
	}
	octets, _, err := before.Answer(request, false)
	if err != nil {
		return err
	}
	return refused(now.asker, octets, attls.FailSignature)
}
