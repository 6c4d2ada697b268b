package conformance

import (
	"fmt"

	"attls"
	"attls/handshake"
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
	first, err := newSetup(s.p, &scenario, s.env)
	if err != nil {
		return nil, err
	}
	first.raw = s.raw // the keys that a session remembers
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
