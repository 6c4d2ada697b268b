package bench

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/tls"
	"errors"
	"fmt"
	"io"

	"attls"
	"attls/handshake"
	"attls/internal/provider"
)

// resumption is the session that a resumed handshake begins with. The same ticket
// is offered every time.
type resumption struct {
	answerer handshake.Answerer
	session  *handshake.Session
}

// newResumption makes a full handshake and keeps its ticket. Verified lets the
// client validate the server's chain again, as Trust does; otherwise it takes it
// as accepted before, which is what crypto/tls does.
func newResumption(c Case, id *identity) (*resumption, error) {
	ends := c.configs()
	ends[attls.RoleServer].Tickets = 1
	r := &resumption{answerer: id.answerer}
	servers := &handshake.ServerSessions{}
	r.answerer.ServerSessions = servers
	p, err := ends.pair(&r.answerer)
	if err != nil {
		return nil, err
	}
	if err := r.receive(p); err != nil {
		return nil, err
	}
	r.answerer.Around = func(ctx context.Context, w *handshake.Wait, next handshake.AnswerFunc) (handshake.Answer,
		*attls.Error) {
		switch {
		case w.Kind == handshake.WaitPSK && w.PSK.Identities == nil:
			return handshake.Answer{PSKs: []handshake.PSK{{Session: r.session, ObfuscatedAge: r.session.AgeAdd}}}, nil
		case w.Kind == handshake.WaitCertificateVerdict && w.Certificate.Resumed && !c.VerifiedAgain:
			return handshake.Answer{}, nil
		}
		return next(ctx, w)
	}
	return r, nil
}

// receive takes the ticket that follows a handshake.
func (r *resumption) receive(p *pair) error {
	client := p.ends[attls.RoleClient]
	if err := feed(client, p.ends[attls.RoleServer].Output()); err != nil {
		return err
	}
	for ev, ok := client.Next(); ok; ev, ok = client.Next() {
		if ev.Kind == handshake.EventTicket {
			r.session = ev.Session
		}
	}
	if r.session == nil {
		return errors.New("bench: the server issued no ticket")
	}
	return nil
}

// resumedPrimitives are those of a handshake with psk_dhe_ke: no signature, but
// the binder at both ends and the opening of the ticket.
func resumedPrimitives(c Case, id *identity, r *resumption) ([]*subject, error) {
	suite, _ := provider.Real().Suite(c.Suite)
	group, ok := provider.Real().Group(c.Group)
	if !ok {
		return nil, fmt.Errorf("bench: %v is not implemented", c.Group)
	}
	list, err := keyExchange(group)
	if err != nil {
		return nil, err
	}
	if c.VerifiedAgain {
		chain, err := chainVerification(id, 1)
		if err != nil {
			return nil, err
		}
		list = append(list, chain...)
	}
	ticket, err := ticketOpening(len(r.session.Identity))
	if err != nil {
		return nil, err
	}
	sizes, err := protectedSizes(c, &r.answerer)
	if err != nil {
		return nil, err
	}
	protection, err := protection(suite, sizes)
	if err != nil {
		return nil, err
	}
	list = append(append(list, ticket), derivation(suite, resumedDerivation)...)
	return append(list, protection...), nil
}

// ticketOpening is the AEAD over a ticket.
func ticketOpening(size int) (*subject, error) {
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	sealed := aead.Seal(nil, nonce, make([]byte, size-ticketOverhead), nil)
	return newSubject("ticket opening", 1, func() error { _, err := aead.Open(nil, nonce, sealed, nil); return err }), nil
}

// ticketOverhead is what handshake.TicketKeys adds to a session, in octets: key
// name, nonce, tag.
const ticketOverhead = 16 + 12 + 16

// oneSession is a cache of crypto/tls that keeps the first session it gets.
type oneSession struct{ state *tls.ClientSessionState }

func (o *oneSession) Get(string) (*tls.ClientSessionState, bool) { return o.state, o.state != nil }

func (o *oneSession) Put(_ string, s *tls.ClientSessionState) {
	if o.state == nil {
		o.state = s
	}
}

// tlsResumed is the resumed handshake of crypto/tls, whose server issues another
// ticket every time.
func tlsResumed(c Case, id *identity) (*subject, error) {
	client, server := tlsConfigs(c, id)
	cache := &oneSession{}
	client.SessionTicketsDisabled, server.SessionTicketsDisabled = false, false
	client.ClientSessionCache = cache
	x, y, err := tlsPair(client, server)
	if err != nil {
		return nil, err
	}
	if _, err := y.Write([]byte("x")); err != nil { // behind the ticket
		return nil, err
	}
	if _, err := io.ReadFull(x, make([]byte, 1)); err != nil {
		return nil, err
	}
	if x, _, err = tlsPair(client, server); err != nil {
		return nil, err
	}
	if !x.ConnectionState().DidResume {
		return nil, errors.New("bench: crypto/tls does not resume")
	}
	return newSubject("crypto/tls", 1, func() error { return tlsHandshake(client, server) }), nil
}

// resumedSubjects are handshakeSubjects of a resumed handshake.
func resumedSubjects(c Case, id *identity) (ours, theirs *subject, sum []*subject, err error) {
	r, err := newResumption(c, id)
	if err != nil {
		return nil, nil, nil, err
	}
	if sum, err = resumedPrimitives(c, id, r); err != nil {
		return nil, nil, nil, err
	}
	if theirs, err = tlsResumed(c, id); err != nil {
		return nil, nil, nil, err
	}
	ends := c.configs()
	p, err := ends.pair(&r.answerer)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, e := range p.ends {
		if s := e.State().Session; s == nil || !bytes.Equal(s.Secret, r.session.Secret) {
			return nil, nil, nil, fmt.Errorf("bench: the %v does not resume", e.Role())
		}
	}
	return newSubject("attls", 1, func() error { _, err := ends.pair(&r.answerer); return err }), theirs, sum, nil
}
