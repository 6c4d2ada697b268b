package lab

import (
	"context"
	"errors"
	"fmt"

	"attls"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/authenticator"
	"attls/handshake/exported"
	"attls/negotiation"
)

// Attestation in exported authenticators: once the handshake of a connection is complete,
// each honest end has a session, and M has the authenticators of its own engine. Requests,
// authenticators and application data travel as the profile frames them.

// laterEnd is one end of such a connection.
type laterEnd struct {
	frames  *exported.Frames
	session *exported.Session         // of an honest end, and what M answers with
	over    *authenticator.Connection // of the same engine

	data []byte // application data that came

	asked    int    // requests that it has sent
	request  []byte // of the peer, the last one
	open     []byte // of the peer, not answered yet
	own      []byte // request that it has sent, the last one
	shown    []byte // authenticator that it has sent, the last one
	came     []byte // authenticator that has come, the last one
	accepted int    // authenticators of the peer
	answered int    // requests of the peer
	wrote    bool   // its application data

	seen   [2]attested // by attester
	failed *attls.Error
}

// attested is what an end knows of an attestation.
type attested struct {
	chain   [][]byte
	payload []byte
	outcome *exported.Outcome // of an honest end
}

// later reports whether a role attests after the handshake.
func later(p *profile.Profile, attester attls.Role) bool { return p.LaterSlot(attester) >= 0 }

// exchanges reports whether connections under a profile have authenticators.
func (r *run) exchanges(p *profile.Profile) bool {
	for _, role := range attls.Roles() {
		if r.attests(role) && later(p, role) {
			return true
		}
	}
	return false
}

// exchange does what is due after the handshake at either end.
func (r *run) exchange(ctx context.Context, c *connection) (progress bool, err error) {
	if !c.exported {
		return false, nil
	}
	for _, role := range attls.Roles() {
		e := c.pair.Engine(role)
		if !e.Done() || e.Err() != nil || c.later[role] != nil && c.later[role].failed != nil {
			continue
		}
		if c.later[role] == nil {
			if c.later[role], err = r.beginLater(ctx, c, role); err != nil {
				return progress, err
			}
			progress = true
		}
		did, failed := r.turn(ctx, c, role)
		progress = progress || did
		if failed != nil {
			r.failLater(c, role, failed)
			progress = true
		}
	}
	return progress, nil
}

// beginLater makes the state of an end.
func (r *run) beginLater(ctx context.Context, c *connection, role attls.Role) (*laterEnd, error) {
	e, p := c.pair.Engine(role), c.profiles[role]
	over, err := e.Authenticators()
	if err != nil {
		return nil, err
	}
	config := &exported.Config{Profile: p, ServerName: c.configs[role].ServerName,
		Optional: r.setting(role, "demand").Text == "no" || r.w.lax.is(LaxAbsent)}
	l := &laterEnd{frames: exported.NewFrames(&p.Authenticator, 0), over: over}
	s := scheme(p, &r.combo)
	if r.attests(role) || !c.honest[role] && later(p, role) && role == r.combo.role {
		config.Produce, config.AttesterSize = []negotiation.Scheme{s}, challengeSize
	}
	if r.attests(role.Peer()) && c.honest[role] {
		config.Accept, config.AppraiserSize = []negotiation.Scheme{s}, challengeSize
	}
	ask := func(ctx context.Context, w *handshake.Wait) (handshake.Answer, *attls.Error) {
		if c.honest[role] {
			return c.answer[role].Answer(ctx, w)
		}
		a, _, failure := r.showing(ctx, c, w)
		return a, failure
	}
	l.session, err = exported.NewSession(config, over, e.Inputs(), ask)
	return l, err
}

// asks reports whether an end asks for the attestation of the other one.
func (r *run) asks(c *connection, role attls.Role) bool {
	return r.attests(role.Peer()) && later(c.profiles[role], role.Peer()) && (c.honest[role] || c.attest)
}

// turn does one thing of an end, if there is one to do.
func (r *run) turn(ctx context.Context, c *connection, role attls.Role) (bool, error) {
	l := c.later[role]
	if l.asked == 0 && r.asks(c, role) && (c.honest[role] || c.nonce != nil || !r.noncesLater(c)) {
		return true, r.askLater(ctx, c, role)
	}
	did, err := r.takeFrame(ctx, c, role)
	if did || err != nil {
		return did, err
	}
	if l.open != nil && !c.held(role) {
		if did, err = r.answerLater(ctx, c, role); did || err != nil {
			return did, err
		}
	}
	if !l.wrote && r.complete(c, role) {
		l.wrote = true
		return true, r.write(c, role, c.data[role])
	}
	return false, nil
}

// held reports whether an honest attester of a connection that M forwards does not get the
// requests, which M keeps back.
func (c *connection) held(role attls.Role) bool { return c.hold && c.honest[role] && c.forwarded() }

// complete reports whether an end has done its part of the exchange.
func (r *run) complete(c *connection, role attls.Role) bool {
	l := c.later[role]
	answers := r.attests(role) && later(c.profiles[role], role)
	return (l.accepted > 0 || !r.asks(c, role)) && (l.answered > 0 || !answers)
}

// askLater sends a request.
func (r *run) askLater(ctx context.Context, c *connection, role attls.Role) (err error) {
	l := c.later[role]
	l.asked++
	switch {
	case c.honest[role]:
		l.own, err = l.session.Request(ctx)
	case c.request != nil:
		l.own, err = c.request.octets, l.over.Adopt(c.request.octets)
	default:
		l.own, err = r.ownRequest(c, role)
	}
	if err != nil {
		return err
	}
	return r.sendLater(c, role, exported.ContentRequest, l.own)
}

// sendLater sends a request, an authenticator or data.
func (r *run) sendLater(c *connection, role attls.Role, what exported.Content, octets []byte) error {
	framed, err := c.later[role].frames.Append(nil, what, octets)
	if err != nil {
		return err
	}
	return c.pair.Engine(role).Write(framed)
}

// write writes application data.
func (r *run) write(c *connection, role attls.Role, data string) error {
	if c.later[role] == nil {
		return c.pair.Engine(role).Write([]byte(data))
	}
	return r.sendLater(c, role, exported.ContentData, []byte(data))
}

// takeFrame takes the next frame that has come.
func (r *run) takeFrame(ctx context.Context, c *connection, role attls.Role) (bool, error) {
	l, rules := c.later[role], &c.profiles[role].Authenticator
	in := c.incoming[role]
	if len(in) == 0 {
		return false, nil
	}
	if !rules.Repeats() && r.complete(c, role) {
		c.incoming[role] = nil
		r.tookData(c, role, in)
		return true, nil
	}
	what, octets, n, bad := l.frames.Next(in)
	if bad != nil {
		return true, bad
	}
	switch {
	case n == 0:
		return false, nil
	case what == exported.ContentRequest:
		if l.open != nil {
			return false, nil // one after the other
		}
		l.open, l.request = octets, octets
	case what == exported.ContentData:
		r.tookData(c, role, octets)
	case !c.honest[role]:
		if err := r.openLater(c, role, octets); err != nil {
			return true, err
		}
	case r.w.verifier == "silent":
		return false, nil
	default:
		if err := r.appraiseLater(ctx, c, role, octets); err != nil {
			return true, err
		}
	}
	c.incoming[role] = in[n:]
	return true, nil
}

func (r *run) tookData(c *connection, role attls.Role, octets []byte) {
	r.flow(c, role.Peer(), "application data", len(octets))
	c.later[role].data = append(c.later[role].data, octets...)
}

// appraiseLater has an honest end judge an authenticator.
func (r *run) appraiseLater(ctx context.Context, c *connection, role attls.Role, octets []byte) error {
	l := c.later[role]
	l.came = octets
	out, err := l.session.Appraise(ctx, octets)
	if out != nil {
		l.note(out)
	}
	if err != nil {
		return err
	}
	if l.accepted++; l.accepted > 1 {
		r.shown++
	}
	return nil
}

// note keeps what an honest end has attested or seen.
func (l *laterEnd) note(o *exported.Outcome) {
	x := &l.seen[o.Attester]
	x.payload, x.outcome = o.Payload, o
	if o.Identity != nil {
		x.chain = o.Identity.Chain
	}
}

// answerLater answers the request of the peer; false: M does not say yet with what.
func (r *run) answerLater(ctx context.Context, c *connection, role attls.Role) (bool, error) {
	l := c.later[role]
	var octets []byte
	var made *exported.Outcome
	var err error
	if c.honest[role] {
		octets, made, err = l.session.Answer(ctx, l.open)
	} else {
		s := c.presents[c.round]
		if s == nil {
			return false, nil
		}
		octets, made, err = r.answerAsM(ctx, c, role, s)
	}
	if err != nil {
		return true, err
	}
	l.open, l.shown = nil, octets
	l.answered++
	if made != nil {
		l.note(made)
	}
	return true, r.sendLater(c, role, exported.ContentAnswer, octets)
}

// failLater notes why an end does not go on, and tells its peer as the profile has it.
func (r *run) failLater(c *connection, role attls.Role, err error) {
	var named *attls.Error
	if !errors.As(err, &named) {
		named = attls.Errorf(attls.Local, attls.FailConfiguration, "%v", err)
	}
	c.later[role].failed = named
	if c.honest[role] && !c.profiles[role].Authenticator.Report {
		c.pair.Engine(role).Abort(named)
	}
}

// failure is why an end of a connection does not go on.
func (c *connection) failure(role attls.Role) *attls.Error {
	if l := c.later[role]; l != nil && l.failed != nil {
		return l.failed
	}
	return c.pair.Engine(role).Err()
}

// received is the application data that an end has taken.
func (c *connection) received(role attls.Role) []byte {
	if c.exported {
		if l := c.later[role]; l != nil {
			return l.data
		}
		return nil
	}
	return c.pair.Received(role)
}

// payload is what an attester has shown to an end, and chain its certificates.
func (c *connection) payload(at, attester attls.Role) []byte {
	if l := c.later[at]; l != nil && l.seen[attester].payload != nil {
		return l.seen[attester].payload
	}
	return payload(c.pair.Engine(at), attester)
}

func (c *connection) chain(at, attester attls.Role) [][]byte {
	if c.exported {
		if l := c.later[at]; l != nil {
			return l.seen[attester].chain
		}
		return nil
	}
	return c.pair.Engine(at).State().PeerChain
}

// askAgain has an honest relying party ask again.
func (r *run) askAgain(c *connection, role attls.Role) error {
	if !c.exported {
		return c.pair.Engine(role).RequestAuthentication()
	}
	l := c.later[role]
	if l == nil || !r.complete(c, role) {
		return fmt.Errorf("the first attestation of the connection %s is not complete", c.name)
	}
	if !c.profiles[role].Authenticator.Repeats() {
		return errors.New("the profile's framing has no second request")
	}
	return r.askLater(context.Background(), c, role)
}

// exchanged is a request or an authenticator that an end has seen last.
func (c *connection) exchanged(at attls.Role, what string) []byte {
	l := c.later[at]
	switch {
	case l == nil:
		return nil
	case what == "request" && l.request != nil:
		return l.request
	case what == "request":
		return l.own
	case l.came != nil:
		return l.came
	}
	return l.shown
}

// takeContext learns the context of the last request, which is what a nonce is here.
func (r *run) takeContext(s *Step, c *connection, at attls.Role) (bool, error) {
	b := c.exchanged(at, "request")
	if b == nil {
		return false, nil
	}
	context, err := authenticator.Context(b)
	if err == nil {
		r.learn(s, &item{origin: "seen", octets: context})
	}
	return err == nil, err
}
