package scenario

import (
	"fmt"

	"attls"
	"attls/handshake"
)

// Resumable lets both ends use pre-shared keys.
func (s *Setup) Resumable(servers *handshake.ServerSessions, clients *handshake.ClientSessions) {
	for _, role := range attls.Roles() {
		end := s.Ends[role]
		end.Config.PSK, end.Config.Tickets = true, 1
		end.Servers, end.Clients = servers, clients
	}
}

// MaxEarlyData is how many octets of 0-RTT data the ends of a scenario send and take.
const MaxEarlyData = 1 << 14

// resumption prepares both ends for what a scenario wants to become of a ticket.
func (s *Setup) resumption(r Resumption) {
	servers := &handshake.ServerSessions{}
	if r == ResumeRefused {
		servers.Accept = func(*handshake.Session) bool { return false }
	}
	s.Resumable(servers, &handshake.ClientSessions{})
	if s.Scenario.EarlyData {
		servers.EarlyData = new(handshake.SingleUse).Accept
		for _, role := range attls.Roles() {
			s.Ends[role].Config.MaxEarlyData = MaxEarlyData
		}
	}
	if r == ResumePSKOnly {
		for _, role := range attls.Roles() {
			s.Ends[role].Config.PSKModes = []attls.PSKKeyExchangeMode{attls.PSKOnly}
		}
	}
}

// Earlier makes a connection of the same kind before this one and returns the
// session that its ticket names.
func (s *Setup) Earlier(servers *handshake.ServerSessions) (*handshake.Session, error) {
	scenario := *s.Scenario
	first, err := newSetup(s.Profile, &scenario, s.env)
	if err != nil {
		return nil, err
	}
	first.raw = s.raw // the keys that a session remembers
	first.Resumable(servers, &handshake.ClientSessions{})
	r, err := first.RunInMemory()
	if err == nil && r.Session == nil {
		err = fmt.Errorf("the first connection left no session: %+v, %+v", r.Claims[0].Error, r.Claims[1].Error)
	}
	if err != nil {
		return nil, err
	}
	return r.Session, nil
}
