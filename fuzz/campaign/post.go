package campaign

import (
	"slices"

	"attls"
	"attls/conformance/pair"
	"attls/handshake"
)

// post is what happened in authentication after the handshake (RFC 8446 section 4.6.2).
type post struct {
	asked    int // requests of the server
	answered []answered
	// atDone are the ends as they were once the handshake was done.
	atDone [2]*handshake.ConnectionState
}

// answered is an answer that a server took.
type answered struct {
	context    []byte
	log, deeds int // what the run had of them then
}

func (p post) clone() post {
	p.answered = slices.Clone(p.answered)
	return p
}

// afterDone has a server ask for a certificate once the handshake is done.
func (r *run) afterDone(p *pair.Pair, role attls.Role) {
	if !r.s.conn.PostHandshake {
		return
	}
	state := p.Engine(role).State()
	r.post.atDone[role] = &state
	if role != attls.RoleServer {
		return
	}
	times := 1
	if r.s.conn.Again {
		times = 2
	}
	for range times {
		if p.Engine(role).RequestAuthentication() == nil {
			r.post.asked++
		}
	}
}

// did notes what an end has done.
func (r *run) did(d deed) {
	d.later = r.agents[d.role].over && !r.frames.began
	r.ledger = append(r.ledger, d)
}
