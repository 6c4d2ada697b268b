package bench

import (
	"attls"
	"attls/handshake"
)

// SessionResult is what a full handshake of both ends allocates when sessions are
// possible.
type SessionResult struct {
	Case string `json:"case"`
	// Without is without Config.PSK, Enabled with it at both ends and no session
	// at hand.
	Without float64 `json:"allocations_without"`
	Enabled float64 `json:"allocations_enabled"`
	// Ticket is what a ticket adds: made, sent and received.
	Ticket float64 `json:"allocations_of_a_ticket"`
}

// Sessions measures one case.
func Sessions(c Case, o Options) (*SessionResult, error) {
	c = c.withDefaults()
	id, err := newIdentity(c.Scheme)
	if err != nil {
		return nil, err
	}
	a := id.answerer
	a.ClientSessions, a.ServerSessions = &handshake.ClientSessions{}, &handshake.ServerSessions{}
	without := c.configs()
	enabled := c.configs()
	enabled[attls.RoleClient].PSK, enabled[attls.RoleServer].PSK = true, true
	issuing := c.configs()
	issuing[attls.RoleClient].PSK, issuing[attls.RoleServer].PSK = true, true
	issuing[attls.RoleServer].Tickets = 1
	plain := newSubject("without", 1, func() error { _, err := without.pair(&a); return err })
	ready := newSubject("enabled", 1, func() error { _, err := enabled.pair(&a); return err })
	ticket := newSubject("ticket", 1, func() error {
		p, err := issuing.pair(&a)
		if err != nil {
			return err
		}
		return new(resumption).receive(p)
	})
	if err := interleave(o, []*subject{plain, ready, ticket}); err != nil {
		return nil, err
	}
	r := &SessionResult{Case: c.Name, Without: plain.cost().Allocations, Enabled: ready.cost().Allocations}
	r.Ticket = ticket.cost().Allocations - r.Enabled
	return r, nil
}
