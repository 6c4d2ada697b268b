package bench

import (
	"crypto/x509"
	"fmt"

	"attls"
	"attls/handshake"
	"attls/internal/provider"
)

// pair is a client and a server engine that exchange octets in memory.
type pair struct{ ends [2]*handshake.Engine }

// configs are the two ends' configurations, made once.
type configs [2]*handshake.Config

func (c configs) pair(id *identity) (*pair, error) {
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
	return p, p.handshake(id)
}

// handshake runs both ends in turn until both are done.
func (p *pair) handshake(id *identity) error {
	for !p.ends[0].Done() || !p.ends[1].Done() {
		moved := false
		for i, e := range p.ends {
			if err := answer(e, id); err != nil {
				return err
			}
			if out := e.Output(); len(out) > 0 {
				if err := feed(p.ends[1-i], out); err != nil {
					return err
				}
				e.Wrote(len(out))
				moved = true
			}
		}
		if !moved {
			return fmt.Errorf("bench: the handshake stands still in %s and %s", p.ends[0].StateName(), p.ends[1].StateName())
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
func answer(e *handshake.Engine, id *identity) error {
	for ev, ok := e.Next(); ok; ev, ok = e.Next() {
		switch ev.Kind {
		case handshake.EventError:
			return ev.Err
		case handshake.EventWait:
			a, err := id.answer(ev.Wait)
			if err != nil {
				return err
			}
			if err := e.Answer(ev.Wait.ID, a); err != nil {
				return err
			}
		}
	}
	return nil
}

func (id *identity) answer(w *handshake.Wait) (a handshake.Answer, err error) {
	switch w.Kind {
	case handshake.WaitCredential:
		a.Credential = id.credential()
	case handshake.WaitSignature:
		a.Signature, err = provider.Sign(w.Signature.Credential.Signer, w.Signature.Scheme, w.Signature.Content)
	case handshake.WaitCertificateVerdict:
		var leaf *x509.Certificate
		if leaf, err = x509.ParseCertificate(w.Certificate.Chain[0]); err == nil {
			err = id.verify(leaf, w.Certificate.Peer)
		}
	}
	return a, err
}
