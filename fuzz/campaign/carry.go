package campaign

import (
	"net"
	"slices"

	"attls"
	"attls/conformance/pair"
	"attls/extensions/profile"
	"attls/handshake/exported"
)

// carrier writes a connection to a capture. Requests, authenticators and frames, which a campaign
// hands over as they are, travel in its application data: framed as the profile says, and without
// one each in a record of its own.
type carrier struct {
	run  *run
	wire wire
	conn net.Conn // what is written to it is of the client, what is read of the server
	// apart says that what is sent now is not of the input, so that nothing is edited or judged.
	apart bool
	data  [2][]byte // application data that waits until the exchange is over
}

// drain lets the octets of both ends arrive, and shows the steps.
func (c *carrier) drain(show func(*pair.Pair, pair.Step)) {
	p := c.run.pair
	for {
		var pending [2][]byte
		for _, role := range attls.Roles() {
			pending[role] = slices.Clone(p.Engine(role).Output())
		}
		step, ok := p.Step()
		if !ok {
			return
		}
		if show != nil {
			show(p, step)
		}
		if step.Action != pair.Delivered {
			continue
		}
		from := step.Role.Peer()
		b := pending[from][:min(step.Octets, len(pending[from]))]
		if from == attls.RoleClient {
			_, _ = c.conn.Write(b)
		} else {
			c.wire.in = b
			_, _ = c.conn.Read(make([]byte, len(b)))
		}
	}
}

// send sends application data of an end. An end that has failed sends nothing more.
func (c *carrier) send(from attls.Role, octets []byte) {
	if len(octets) == 0 {
		return
	}
	c.apart = true
	if c.run.pair.Engine(from).Write(octets) == nil {
		c.drain(nil)
	}
	c.apart = false
}

// frames are those of the profile.
func (s *subject) frames() *exported.Frames {
	rules := &profile.AuthenticatorRules{}
	if s.profile != nil {
		rules = &s.profile.Authenticator
	}
	return exported.NewFrames(rules, 0)
}

// carries sends a request or an authenticator, in a run that is written to a capture.
func (r *run) carries(from attls.Role, what exported.Content, octets []byte) {
	if r.carrier == nil || octets == nil {
		return
	}
	if framed, err := r.s.frames().Append(nil, what, octets); err == nil {
		r.carrier.send(from, framed)
	}
}

// carriesFrame does so with a frame of the application.
func (r *run) carriesFrame(from attls.Role, f *profile.Frame, octets []byte) {
	if r.carrier == nil {
		return
	}
	if framed, err := exported.AppendFrame(nil, r.s.profile, f, octets); err == nil {
		r.carrier.send(from, framed)
	}
}

// framedData is what the ends send once the handshake is done, in a run that is written to a capture:
// in a frame where the profile has frames for data, and after the exchange where data has none.
func (c *carrier) framedData(s *subject, data [2][]byte) [2][]byte {
	if s.profile == nil || len(s.profile.Later) == 0 || s.exported == [2]*exported.Config{} {
		return data
	}
	if len(s.profile.Frames) > 0 || !s.profile.Authenticator.Repeats() {
		c.data = data
		return [2][]byte{}
	}
	for i := range data {
		data[i], _ = s.frames().Append(nil, exported.ContentData, data[i])
	}
	return data
}

// conclude sends what comes after an exchange: the data that waited for it, or the alert of an end
// that refused it, where the profile ends the connection then.
func (c *carrier) conclude() {
	r := c.run
	c.apart = true
	defer func() { c.apart = false }()
	for _, role := range attls.Roles() {
		for _, err := range [2]*attls.Error{r.proofs.errs[role], r.frames.errs[role]} {
			if err == nil || r.s.profile == nil || r.errs[role] != nil {
				continue
			}
			if err.Class != attls.FromPeer && !r.s.profile.Authenticator.Report && !r.s.profile.Exchange.Report {
				r.pair.Engine(role).Abort(err)
				c.drain(nil)
			}
			return
		}
	}
	for _, role := range attls.Roles() {
		c.send(role, c.data[role])
	}
}
