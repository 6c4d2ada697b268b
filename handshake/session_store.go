package handshake

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"attls/negotiation"
)

// ServerSessions answers a server's PSK, Ticket and EarlyDataDecision waits. It
// is safe for concurrent use and must not be changed while it is used. Its zero
// value resumes the sessions of its own tickets and accepts no early data.
//
// Its functions may call the Conn that asks, but for what waits for the handshake:
// Handshake, Read, Write, Export.
type ServerSessions struct {
	// Keys encrypt the tickets.
	Keys TicketKeys
	// External are keys that were agreed on in another way, by their Identity.
	External []*Session
	// Lifetime is how long a ticket may be used. 0: 24 hours; at most 7 days.
	Lifetime time.Duration
	// MaxSkew is how far the age of a ticket that a client tells may be from
	// ours for early data (RFC 8446 section 8.3). 0: 60 seconds.
	MaxSkew time.Duration
	// EarlyData decides on early data; it is the place for anti-replay. Nil: none
	// is accepted.
	EarlyData func(*EarlyDataRequest) bool
	// Standing says whether the attestation in a session is still valid. Nil: it is. It is
	// asked while the verdict is valid; one whose end has come is expired.
	Standing func(*Session) negotiation.Standing
	// Accept lets a policy skip a session or an external key, which means a full
	// handshake. Nil: none is passed over.
	Accept func(*Session) bool
}

const (
	defaultTicketLifetime = 24 * time.Hour
	defaultSkew           = time.Minute
)

// Find returns the key behind the first identity that is known; false when there
// is none.
func (h *ServerSessions) Find(r *PSKRequest) (PSK, bool) {
	now := h.Keys.now()
	for i, id := range r.Identities {
		k := slices.IndexFunc(h.External, func(s *Session) bool { return bytes.Equal(s.Identity, id.Identity) })
		if k >= 0 {
			if s := h.External[k]; !s.over(now) && h.accepts(s) {
				return PSK{Session: s, Index: i, Standing: standing(h.Standing, s, now)}, true
			}
			continue
		}
		s, ok := h.Keys.Open(id.Identity)
		if !ok || !h.accepts(s) {
			continue
		}
		age := now.Sub(s.Created)
		if age < -h.skew() || age > time.Duration(s.Lifetime)*time.Second || s.over(now) {
			continue
		}
		told := time.Duration(id.ObfuscatedTicketAge-s.AgeAdd) * time.Millisecond
		p := PSK{Session: s, Index: i, Skew: told - age, Standing: standing(h.Standing, s, now)}
		p.EarlyData = p.Skew.Abs().Round(time.Second) <= h.skew()
		return p, true
	}
	return PSK{}, false
}

func (h *ServerSessions) accepts(s *Session) bool { return h.Accept == nil || h.Accept(s) }

func (h *ServerSessions) skew() time.Duration {
	if h.MaxSkew == 0 {
		return defaultSkew
	}
	return h.MaxSkew
}

// standing reads the standing of an attestation off the clock, and asks about one
// that is valid.
func standing(ask func(*Session) negotiation.Standing, s *Session, now time.Time) negotiation.Standing {
	a := s.Attestation
	switch {
	case a == nil:
	case now.IsZero(): // a clock that does not know the time
		return negotiation.StandingDue
	case !a.ValidUntil.IsZero() && !now.Before(a.ValidUntil):
		return negotiation.StandingExpired
	}
	if ask != nil {
		return ask(s)
	}
	return negotiation.StandingHolds
}

// over reports whether the use of a session has ended with a verdict's validity.
// An unknown time is after any end.
func (s *Session) over(now time.Time) bool {
	return !s.NotAfter.IsZero() && (now.IsZero() || !now.Before(s.NotAfter))
}

// Ticket makes a ticket and says how long it lives; no octets: none is issued.
func (h *ServerSessions) Ticket(r *TicketRequest) (ticket []byte, lifetime time.Duration) {
	s := *r.Session
	s.Created = h.Keys.now()
	lifetime = h.Lifetime
	if lifetime == 0 {
		lifetime = defaultTicketLifetime
	}
	lifetime = min(lifetime, negotiation.MaxTicketLifetime)
	if !r.NotAfter.IsZero() {
		s.NotAfter = r.NotAfter
		lifetime = min(lifetime, r.NotAfter.Sub(s.Created))
	}
	if lifetime < time.Second {
		return nil, 0
	}
	s.Lifetime = uint32(lifetime.Seconds())
	ticket, err := h.Keys.Seal(&s)
	if err != nil { // too long with the chain of the client: it will show it again
		return nil, 0
	}
	return ticket, lifetime
}

// answer answers a wait of the kinds that sessions are about.
func (h *ServerSessions) answer(w *Wait) (a Answer) {
	switch w.Kind {
	case WaitPSK:
		if p, ok := h.Find(w.PSK); ok {
			a.PSKs = []PSK{p}
		}
	case WaitTicket:
		a.Ticket, a.TicketLifetime = h.Ticket(w.Ticket)
	case WaitEarlyData:
		a.AcceptEarlyData = h.EarlyData != nil && h.EarlyData(w.EarlyData)
	}
	return a
}

// SingleUse is anti-replay by single-use ClientHellos (RFC 8446 section 8.2) for
// one process: it accepts early data with each binder once. It is safe for
// concurrent use; its zero value is ready.
type SingleUse struct {
	// Max is how many it remembers; it accepts none after so many. 0: 65536.
	Max int

	mu   sync.Mutex
	seen map[string]struct{}
}

// Accept is for ServerSessions.EarlyData.
func (u *SingleUse) Accept(r *EarlyDataRequest) bool {
	limit := u.Max
	if limit == 0 {
		limit = 1 << 16
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, again := u.seen[string(r.Binder)]; again || len(u.seen) >= limit {
		return false
	}
	if u.seen == nil {
		u.seen = map[string]struct{}{}
	}
	u.seen[string(r.Binder)] = struct{}{}
	return true
}

// ClientSessions keeps a client's tickets and answers its PSK waits. It is safe
// for concurrent use; its zero value is ready. Its functions may call it, and the
// Conn that asks, but for what waits for the handshake: Handshake, Read, Write,
// Export. Added may call those too.
type ClientSessions struct {
	// External are keys that were agreed on in another way. They are offered
	// after tickets.
	External []*Session
	// Max is how many tickets are kept for one server name. 0: 4.
	Max int
	// Offer is how many tickets are offered at once. 0: 1.
	Offer int
	// Standing is as in ServerSessions.
	Standing func(*Session) negotiation.Standing
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Added, when set, is called with every session that Put keeps, so that it can
	// be stored as soon as its ticket has arrived. It must not change the session.
	Added func(*Session)

	mu      sync.Mutex
	tickets map[string][]*Session // by server name, the newest last
}

func (c *ClientSessions) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// Put keeps a session.
func (c *ClientSessions) Put(s *Session) {
	kept := *s
	if kept.Created.IsZero() { // otherwise it has been kept elsewhere meanwhile
		kept.Created = c.now()
	}
	limit := c.Max
	if limit <= 0 {
		limit = 4
	}
	if c.Added != nil {
		defer c.Added(&kept)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tickets == nil {
		c.tickets = map[string][]*Session{}
	}
	list := append(c.tickets[s.ServerName], &kept)
	c.tickets[s.ServerName] = list[max(0, len(list)-limit):]
}

// Offers returns the keys to offer to a server. Each ticket is handed out once,
// so that connections cannot be linked by it (RFC 8446 appendix C.4).
func (c *ClientSessions) Offers(r *PSKRequest) []PSK {
	now, wanted := c.now(), max(1, c.Offer)
	var offers []PSK
	c.mu.Lock()
	list := c.tickets[r.ServerName]
	for len(list) > 0 && len(offers) < wanted {
		s := list[len(list)-1]
		list = list[:len(list)-1]
		age := now.Sub(s.Created)
		if age <= -time.Millisecond || age > time.Duration(s.Lifetime)*time.Second || s.over(now) {
			continue
		}
		offers = append(offers, PSK{Session: s, ObfuscatedAge: uint32(max(0, age).Milliseconds()) + s.AgeAdd,
			EarlyData: true})
	}
	if c.tickets != nil {
		c.tickets[r.ServerName] = list
	}
	c.mu.Unlock()
	for _, s := range c.External {
		if s.over(now) {
			continue
		}
		offers = append(offers, PSK{Session: s, EarlyData: true})
	}
	for i := range offers { // without the lock, as the callback may use the holder
		offers[i].Standing = standing(c.Standing, offers[i].Session, now)
	}
	return offers
}

// Len returns how many tickets are kept for a server name.
func (c *ClientSessions) Len(serverName string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.tickets[serverName])
}
