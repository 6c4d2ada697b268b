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
func tryNotResumed(accept string, attester scenario.Attesters, standing negotiation.Standing) func(*Context) *Change {
	return func(c *Context) *Change {
		if !c.resumes() || accept != "" && c.Profile.Resumption.Accept != accept || c.Scenario.Attester != attester {
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
func (c *Context) resumes() bool {
	r := &c.Profile.Resumption
	return r.Accept != "never" && r.Tickets != "never" && r.Received != "discard" && !slices.Contains(c.Profile.Quirks.NeverSend, attls.KindNewSessionTicket)
}

// comingBack is a client that brings back the session of an earlier connection,
// which the other end, or it itself, must pass over.
func comingBack(change func(*handshake.Session, *handshake.ServerSessions, *handshake.ClientSessions)) *Change {
	var failed error
	return observing(func(s *scenario.Setup) {
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
		return soundAnd(fullHandshake)(r)
	})
}

// tryOtherScheme is a session of a server that attested otherwise than the client
// accepts by now.
func tryOtherScheme(c *Context) *Change {
	if !c.resumes() || c.Scenario.Attester != scenario.AttestServer {
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
func tryLaterKey(c *Context) *Change {
	if c.Scenario.Attester != scenario.AttestClient || c.Kind != profile.KindX509 || c.Profile.PostHandshake.ClientAuthentication {
		return nil
	}
	return observing(func(s *scenario.Setup) {
		for _, role := range attls.Roles() {
			s.Ends[role].Config.PostHandshakeAuthentication = true
		}
		s.LaterCredential = true
	}, soundAnd(func(r *scenario.Result) error {
		server := r.Pair.Engine(attls.RoleServer)
		if err := server.RequestAuthentication(); err != nil {
			return err
		}
		_ = r.Pair.Run()
		if err := server.Err(); err == nil || err.Failure != attls.FailDemandedByServer {
			return fmt.Errorf("the server goes on with a client of another key: %v", server.State().Attested)
		}
		return nil
	}))
}

// fullHandshake says why a connection was resumed instead.
func fullHandshake(r *scenario.Result) error {
	if sentBy(r, attls.RoleServer, attls.KindCertificate) == nil {
		return fmt.Errorf("the connection was resumed")
	}
	return attested(r)
}

// tryExternalKey offers a key that no earlier connection made.
func tryExternalKey(c *Context) *Change {
	if c.Profile.Resumption.ExternalPSK {
		return nil
	}
	return observing(func(s *scenario.Setup) {
		key := &handshake.Session{Identity: []byte("agreed on before"), Secret: []byte("a secret of both ends"), External: true, Suite: attls.TLS_AES_128_GCM_SHA256}
		s.Resumable(&handshake.ServerSessions{External: []*handshake.Session{key}}, &handshake.ClientSessions{External: []*handshake.Session{key}})
		for _, role := range attls.Roles() {
			s.Ends[role].Config.Policy.Demand = false
		}
	}, soundAnd(fullHandshake))
}

// tryTicketLifetime looks at a ticket of a server that relies on the client's attestation.
func tryTicketLifetime(c *Context) *Change {
	if !c.resumes() || c.Scenario.Attester != scenario.AttestClient {
		return nil
	}
	const validity = time.Hour // of the demonstration verifier's verdicts
	return observing(func(s *scenario.Setup) {
		s.Resumable(&handshake.ServerSessions{}, &handshake.ClientSessions{})
	}, soundAnd(func(r *scenario.Result) error {
		if r.Session == nil {
			return fmt.Errorf("there is no ticket")
		}
		if n := time.Duration(r.Session.Lifetime) * time.Second; n > validity {
			return fmt.Errorf("the ticket may be used for %v, the verdict is valid for %v", n, validity)
		}
		return nil
	}))
}
