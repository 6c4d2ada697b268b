package bench

import (
	"context"
	"fmt"

	"attls"
	"attls/handshake"
)

// pair is a client and a server engine that exchange octets in memory. Unlike
// the driver in conformance/pair it does nothing that would have to be measured
// along.
type pair struct {
	ends    [2]*handshake.Engine
	octets  [2]int // that each end sent, by its role
	flights int    // changes of direction
}

// configs are the two ends' configurations, made once.
type configs [2]*handshake.Config

func (c configs) pair(a *handshake.Answerer) (*pair, error) {
	return c.pairOf([2]*handshake.Answerer{a, a})
}

// pairOf is pair for ends that answer differently; by role.
func (c configs) pairOf(a [2]*handshake.Answerer) (*pair, error) {
	client, err := handshake.NewClient(c[attls.RoleClient])
	if err != nil {
		return nil, err
	}
	server, err := handshake.NewServer(c[attls.RoleServer])
	if err != nil {
		return nil, err
	}
	p := &pair{}
	p.ends[attls.RoleClient], p.ends[attls.RoleServer] = client, server
	return p, p.handshake(a)
}

// handshake runs both ends in turn until both are done.
func (p *pair) handshake(a [2]*handshake.Answerer) error {
	sender := -1
	for !p.ends[0].Done() || !p.ends[1].Done() {
		moved := false
		for i, e := range p.ends {
			if err := answer(e, a[i]); err != nil {
				return err
			}
			if out := e.Output(); len(out) > 0 {
				if err := feed(p.ends[1-i], out); err != nil {
					return err
				}
				if p.octets[i] += len(out); i != sender {
					sender = i
					p.flights++
				}
				e.Wrote(len(out))
				moved = true
			}
		}
		if !moved {
			return fmt.Errorf("bench: the handshake makes no progress in %s and %s", p.ends[0].StateName(),
				p.ends[1].StateName())
		}
	}
	return nil
}

// feed gives octets to an engine as one read would.
func feed(e *handshake.Engine, b []byte) error {
	copy(e.Reserve(len(b)), b)
	return e.Commit(len(b))
}

// answer handles an engine's events and answers its waits.
func answer(e *handshake.Engine, a *handshake.Answerer) error {
	for ev, ok := e.Next(); ok; ev, ok = e.Next() {
		switch ev.Kind {
		case handshake.EventError:
			return ev.Err
		case handshake.EventWait:
			given, failure := a.Answer(context.Background(), ev.Wait)
			if failure != nil {
				return failure
			}
			if err := e.Answer(ev.Wait.ID, given); err != nil {
				return err
			}
		}
	}
	return nil
}
