package conformance

import (
	"fmt"
	"time"

	"attls"
	"attls/handshake"
	"attls/negotiation"
)

// resumable lets both ends use pre-shared keys.
func (s *setup) resumable(servers *handshake.ServerSessions, clients *handshake.ClientSessions) {
	for _, role := range bothRoles {
		end := s.ends[role]
		end.config.PSK, end.config.Tickets = true, 1
		end.servers, end.clients = servers, clients
	}
}

// resumption prepares both ends for what a scenario wants to become of a ticket.
func (s *setup) resumption(r Resumption) {
	servers := &handshake.ServerSessions{}
	if r == ResumeRefused {
		servers.Accept = func(*handshake.Session) bool { return false }
	}
	s.resumable(servers, &handshake.ClientSessions{})
	if r == ResumePSKOnly {
		for _, role := range bothRoles {
			s.ends[role].config.PSKModes = []attls.PSKKeyExchangeMode{attls.PSKOnly}
		}
	}
}

// earlier makes a connection of the same kind before this one and returns the
// session that its ticket stands for.
func (s *setup) earlier(servers *handshake.ServerSessions) (*handshake.Session, error) {
	scenario := *s.s
	first, err := newSetup(s.p, &scenario, s.lab)
	if err != nil {
		return nil, err
	}
	first.resumable(servers, &handshake.ClientSessions{})
	r, err := first.inMemory()
	if err == nil && r.session == nil {
		err = fmt.Errorf("the first connection left no session: %+v, %+v", r.Claims[0].Error, r.Claims[1].Error)
	}
	if err != nil {
		return nil, err
	}
	return r.session, nil
}

// tryNotResumed is a session whose attestation does not stand any more when the
// client comes back.
func tryNotResumed(accept string, standing negotiation.Standing) func(*circumstance) *attempted {
	return func(c *circumstance) *attempted {
		if c.p.Resumption.Accept != accept || c.s.Attester != AttestClient {
			return nil
		}
		var failed error
		return &attempted{func(s *setup) {
			servers, clients := &handshake.ServerSessions{}, &handshake.ClientSessions{}
			session, err := s.earlier(servers)
			if failed = err; err != nil {
				return
			}
			clients.Put(session)
			servers.Standing = func(*handshake.Session) negotiation.Standing { return standing }
			s.resumable(servers, clients)
		}, func(r *Result) error {
			if failed != nil {
				return failed
			}
			return goodAnd(fullHandshake)(r)
		}}
	}
}

// fullHandshake says why a connection was resumed instead.
func fullHandshake(r *Result) error {
	if r.sent(attls.RoleServer, attls.KindCertificate) == nil {
		return fmt.Errorf("the connection was resumed")
	}
	return attested(r)
}

// tryExternalKey offers a key that no earlier connection made.
func tryExternalKey(c *circumstance) *attempted {
	if c.p.Resumption.ExternalPSK {
		return nil
	}
	return &attempted{func(s *setup) {
		key := &handshake.Session{Identity: []byte("agreed on before"), Secret: []byte("a secret of both ends"), External: true, Suite: attls.TLS_AES_128_GCM_SHA256}
		s.resumable(&handshake.ServerSessions{External: []*handshake.Session{key}}, &handshake.ClientSessions{External: []*handshake.Session{key}})
		for _, role := range bothRoles {
			s.ends[role].config.Policy.Demand = false
		}
	}, goodAnd(fullHandshake)}
}

// tryTicketLifetime looks at a ticket of a server that relies on the client's attestation.
func tryTicketLifetime(c *circumstance) *attempted {
	if c.p.Resumption.Tickets != "within_validity" || c.s.Attester != AttestClient {
		return nil
	}
	const validity = time.Hour // of the demonstration verifier's verdicts
	return &attempted{func(s *setup) {
		s.resumable(&handshake.ServerSessions{}, &handshake.ClientSessions{})
	}, goodAnd(func(r *Result) error {
		if r.session == nil {
			return fmt.Errorf("there is no ticket")
		}
		if n := time.Duration(r.session.Lifetime) * time.Second; n > validity {
			return fmt.Errorf("the ticket may be used for %v, the verdict is valid for %v", n, validity)
		}
		return nil
	})}
}
