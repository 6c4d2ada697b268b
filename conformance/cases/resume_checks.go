package cases

import (
	"fmt"
	"slices"
	"time"

	"attls"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/negotiation"
)

// tryNotResumed is a session whose attestation does not stand any more when the
// client comes back.
func tryNotResumed(accept string, attester scenario.Attesters, standing negotiation.Standing) func(*circumstance) *attempted {
	return func(c *circumstance) *attempted {
		if !c.resumes() || accept != "" && c.p.Resumption.Accept != accept || c.s.Attester != attester {
			return nil
		}
		return comingBack(func(s *handshake.Session, servers *handshake.ServerSessions, clients *handshake.ClientSessions) {
			is := func(*handshake.Session) negotiation.Standing { return standing }
			if attester == scenario.AttestClient {
				servers.Standing = is
			} else {
				clients.Standing = is
			}
		})
	}
}

// resumes reports whether sessions are resumed under the profile at all.
func (c *circumstance) resumes() bool {
	r := &c.p.Resumption
	return r.Accept != "never" && r.Tickets != "never" && r.Received != "discard" && !slices.Contains(c.p.Quirks.NeverSend, attls.KindNewSessionTicket)
}

// comingBack is a client that brings back the session of an earlier connection,
// which the other end, or it itself, must pass over.
func comingBack(change func(*handshake.Session, *handshake.ServerSessions, *handshake.ClientSessions)) *attempted {
	var failed error
	return &attempted{func(s *scenario.Setup) {
		servers, clients := &handshake.ServerSessions{}, &handshake.ClientSessions{}
		session, err := s.Earlier(servers)
		if failed = err; err != nil {
			return
		}
		change(session, servers, clients)
		clients.Put(session)
		s.Resumable(servers, clients)
	}, func(r *scenario.Result) error {
		if failed != nil {
			return failed
		}
		return goodAnd(fullHandshake)(r)
	}}
}

// tryOtherScheme is a session of a server that attested otherwise than the client
// accepts by now.
func tryOtherScheme(c *circumstance) *attempted {
	if !c.resumes() || c.s.Attester != scenario.AttestServer {
		return nil
	}
	return comingBack(func(s *handshake.Session, _ *handshake.ServerSessions, _ *handshake.ClientSessions) {
		if s.Attestation != nil {
			other := *s.Attestation
			other.Wire = append([]byte{0}, other.Wire...)
			s.Attestation = &other
		}
	})
}

// tryLaterKey asks an attested client for a certificate after the handshake, and
// has it show one of another key, with which nothing goes.
func tryLaterKey(c *circumstance) *attempted {
	if c.s.Attester != scenario.AttestClient || c.kind != profile.KindX509 || c.p.PostHandshake.ClientAuthentication {
		return nil
	}
	return &attempted{func(s *scenario.Setup) {
		for _, role := range attls.Roles() {
			s.Ends[role].Config.PostHandshakeAuthentication = true
		}
		s.LaterCredential = true
	}, goodAnd(func(r *scenario.Result) error {
		server := r.Pair.Engine(attls.RoleServer)
		if err := server.RequestAuthentication(); err != nil {
			return err
		}
		r.Pair.Run()
		if err := server.Err(); err == nil || err.Failure != attls.FailDemandedByServer {
			return fmt.Errorf("the server goes on with a client of another key: %v", server.State().Attested)
		}
		return nil
	})}
}

// fullHandshake says why a connection was resumed instead.
func fullHandshake(r *scenario.Result) error {
	if sentBy(r, attls.RoleServer, attls.KindCertificate) == nil {
		return fmt.Errorf("the connection was resumed")
	}
	return attested(r)
}

// tryExternalKey offers a key that no earlier connection made.
func tryExternalKey(c *circumstance) *attempted {
	if c.p.Resumption.ExternalPSK {
		return nil
	}
	return &attempted{func(s *scenario.Setup) {
		key := &handshake.Session{Identity: []byte("agreed on before"), Secret: []byte("a secret of both ends"), External: true, Suite: attls.TLS_AES_128_GCM_SHA256}
		s.Resumable(&handshake.ServerSessions{External: []*handshake.Session{key}}, &handshake.ClientSessions{External: []*handshake.Session{key}})
		for _, role := range attls.Roles() {
			s.Ends[role].Config.Policy.Demand = false
		}
	}, goodAnd(fullHandshake)}
}

// tryTicketLifetime looks at a ticket of a server that relies on the client's attestation.
func tryTicketLifetime(c *circumstance) *attempted {
	if !c.resumes() || c.s.Attester != scenario.AttestClient {
		return nil
	}
	const validity = time.Hour // of the demonstration verifier's verdicts
	return &attempted{func(s *scenario.Setup) {
		s.Resumable(&handshake.ServerSessions{}, &handshake.ClientSessions{})
	}, goodAnd(func(r *scenario.Result) error {
		if r.Session == nil {
			return fmt.Errorf("there is no ticket")
		}
		if n := time.Duration(r.Session.Lifetime) * time.Second; n > validity {
			return fmt.Errorf("the ticket may be used for %v, the verdict is valid for %v", n, validity)
		}
		return nil
	})}
}
