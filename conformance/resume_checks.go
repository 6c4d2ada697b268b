package conformance

import (
	"attls"
	"attls/handshake"
	"attls/negotiation"
	"fmt"
	"time"
)

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
