package scenario

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/pair"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/exported"
)

// InHandshake reports whether a profile has a slot of the handshake, or of post-handshake
// authentication, for an attester, a model and a credential.
func InHandshake(p *profile.Profile, attester attls.Role, m profile.Model, k profile.CredentialKind) bool {
	for i := range p.Slots {
		if s := &p.Slots[i]; s.Attester == attester && slices.Contains(s.Models, m) && slices.Contains(s.Kinds, k) {
			return true
		}
	}
	return false
}

// InAuthenticators reports whether a profile has a slot of exported authenticators for an
// attester, a model and a credential.
func InAuthenticators(p *profile.Profile, attester attls.Role, m profile.Model, k profile.CredentialKind) bool {
	i := p.LaterSlot(attester)
	return i >= 0 && slices.Contains(p.Later[i].Models, m) && k == profile.KindX509
}

// reattests says why nobody can be asked again; nil: somebody can, or nobody is.
func (s *Scenario) reattests(p *profile.Profile) error {
	if !s.Reattest {
		return nil
	}
	name := "plain TLS"
	if p != nil {
		if s.reattestsWithUpdates(p) && !s.ExtendedKeyUpdate {
			return &ForbiddenError{Reason: "Under " + p.ID +
				" an end attests again with an extended key update, which nobody is to offer."}
		}
		for _, role := range s.Attester.Roles() {
			if p.LaterSlot(role) >= 0 || p.UpdateSlot(role) >= 0 {
				return nil
			}
		}
		name = p.ID
	}
	return &ForbiddenError{Reason: "Under " + name +
		" nobody attests in exported authenticators or with key updates, and so nobody can be asked again."}
}

// reattestsWithUpdates reports whether an end attests with each extended key update.
func (s *Scenario) reattestsWithUpdates(p *profile.Profile) bool {
	return p != nil && slices.ContainsFunc(s.Attester.Roles(), func(r attls.Role) bool { return p.UpdateSlot(r) >= 0 })
}

// renews is the end that begins the extended key update: the client, or who relies on a
// client that is to attest again.
func (s *Scenario) renews() attls.Role {
	if s.Reattest && s.Attester == AttestClient {
		return attls.RoleServer
	}
	return attls.RoleClient
}

// exportedAttestation lets both ends attest in exported authenticators, where the profile
// has a slot of the attester for the scheme.
func (s *Setup) exportedAttestation(attester attls.Role, scheme profile.Scheme, size int) {
	if !InAuthenticators(s.Profile, attester, scheme.Model, scheme.Credential) {
		return
	}
	for _, role := range attls.Roles() {
		end := s.Ends[role]
		if end.Exported == nil {
			end.Exported = &exported.Config{Profile: end.Config.Profile}
			if role == attls.RoleClient {
				end.Exported.ServerName = s.Scenario.serverName()
			}
		}
		if role == attester {
			end.Exported.Produce, end.Exported.AttesterSize = append(end.Exported.Produce, scheme), size
		} else {
			end.Exported.Accept, end.Exported.AppraiserSize = append(end.Exported.Accept, scheme), size
		}
	}
}

// The application data of a run behind a second attestation.
const attestedAgain = "And once more, after another attestation.\n"

// exchangeLater is exchange where ends attest in exported authenticators.
func exchangeLater(ctx context.Context, c *exported.Conn, role attls.Role, s *Scenario) error {
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(deadline)
	}
	if err := c.Attest(ctx); err != nil {
		var named *attls.Error
		if errors.As(err, &named) && named.Failure == attls.FailPeerRefused {
			_, _ = io.Copy(io.Discard, c.Conn) // the alert behind the frame
		}
		return err
	}
	if err := converse(c, role); err != nil {
		return err
	}
	for range s.Updates() {
		if err := renew(c, role, s); err != nil {
			return err
		}
	}
	if s.Reattest {
		if err := reattest(ctx, c, role, s.Attester); err != nil {
			return err
		}
	}
	return closeBoth(c)
}

// reattest asks the peer again, where this end relies on it, and lets data go both ways
// behind that: who attests answers while it reads.
func reattest(ctx context.Context, c *exported.Conn, role attls.Role, attesters Attesters) error {
	if attesters.Has(role.Peer()) {
		if _, err := c.Reattest(ctx); err != nil {
			return fmt.Errorf("the second attestation: %w", err)
		}
	}
	if _, err := c.Write([]byte(attestedAgain)); err != nil {
		return err
	}
	return expect(c, attestedAgain)
}

// collectLater adds what was attested in exported authenticators.
func (r *runner) collectLater(set *Setup, conns [2]*exported.Conn, result *Result) {
	for _, role := range attls.Roles() {
		if conns[role] == nil {
			continue
		}
		p := set.Ends[role].Config.Profile
		list := conns[role].Outcomes()
		slices.SortStableFunc(list, func(a, b exported.Outcome) int { // at both ends alike
			return cmp.Compare(b.Attester, a.Attester)
		})
		for i := range list {
			o := &list[i]
			result.Claims[role].AddLater(p, o)
			name := p.Binder.Authenticator[o.Scheme.Model]
			if role != attls.RoleClient || p.Binder.Program == nil || name == "" {
				continue
			}
			tree := p.Binder.Program.Explain(name, o.Attester, o.Inputs)
			result.Binders = append(result.Binders, *MakeBinder(o.Attester, name, tree))
		}
	}
}

// exports reports whether an end attests in exported authenticators.
func (s *Setup) exports() bool {
	return s.Ends[attls.RoleClient].Exported != nil || s.Ends[attls.RoleServer].Exported != nil
}

// laterEnd is one end of an exchange of authenticators in memory.
type laterEnd struct {
	cfg      *exported.Config
	session  *exported.Session
	outcomes []exported.Outcome
	failed   *attls.Error // of frames
}

// attestInMemory lets the ends of a pair attest in exported authenticators, which are handed
// over as they are, and then sends application data. A failure ends the connection.
func (s *Setup) attestInMemory(both *pair.Pair, o pair.Options) (ends [2]*laterEnd, err error) {
	ctx := context.Background()
	if !both.Done() {
		return ends, nil
	}
	for role, config := range map[attls.Role]*handshake.Config{attls.RoleClient: o.Client, attls.RoleServer: o.Server} {
		c := exported.Config{}
		if s.Ends[role].Exported != nil {
			c = *s.Ends[role].Exported
		}
		c.Profile = config.Profile
		engine := both.Engine(role)
		over, err := engine.Authenticators()
		if err != nil {
			return ends, err
		}
		ask := func(_ context.Context, w *handshake.Wait) (handshake.Answer, *attls.Error) { return o.Answer[role](w) }
		ends[role] = &laterEnd{cfg: &c}
		if ends[role].session, err = exported.NewSession(&c, over, engine.Inputs(), ask); err != nil {
			return ends, err
		}
	}
	if len(o.Client.Profile.Frames) > 0 {
		s.framesInMemory(ctx, both, ends)
		return ends, nil
	}
	for _, relying := range attls.Roles() {
		if end := s.Ends[relying].Exported; end == nil || len(end.Accept) == 0 {
			continue
		}
		failed, err := ask(ctx, relying, ends)
		var named *attls.Error
		switch {
		case err == nil:
		case errors.As(err, &named):
			both.Engine(failed).Abort(named)
			_ = both.Run() // the alert
			return ends, nil
		default:
			return ends, err
		}
	}
	dataInMemory(both)
	return ends, nil
}

// dataInMemory sends application data both ways.
func dataInMemory(both *pair.Pair) {
	for _, role := range attls.Roles() {
		data := []byte(Request)
		if role == attls.RoleServer {
			data = []byte(response)
		}
		_ = both.Engine(role).Write(data)
	}
	_ = both.Run()
}

// framesInMemory lets the ends attest in frames, which are handed over as they are, and then
// sends application data. A failure ends the connection.
func (s *Setup) framesInMemory(ctx context.Context, both *pair.Pair, ends [2]*laterEnd) {
	var of [2]*exported.Exchange
	for _, role := range attls.Roles() {
		of[role] = ends[role].session.Exchange()
	}
	var sent [2][][]byte
	failed := [2]error{}
	for moved := true; moved; {
		moved = false
		for _, role := range attls.Roles() {
			f, own := of[role].Next()
			switch queue := sent[role.Peer()]; {
			case f == nil:
			case own:
				if octets, err := of[role].Make(ctx); err == nil {
					sent[role] = append(sent[role], octets)
				}
				moved = true
			case len(queue) > 0:
				sent[role.Peer()] = queue[1:]
				_ = of[role].Take(ctx, queue[0]) // Finish says it
				moved = true
			}
		}
	}
	for _, role := range attls.Roles() {
		if f, _ := of[role].Next(); f == nil {
			failed[role] = of[role].Finish(ctx)
		}
		ends[role].outcomes = of[role].Outcomes()
	}
	for _, role := range attls.Roles() {
		var named *attls.Error
		if errors.As(failed[role], &named) {
			ends[role].failed = named
		}
	}
	for _, role := range attls.Roles() {
		if named := ends[role].failed; named != nil && named.Class != attls.FromPeer {
			both.Engine(role).Abort(named)
			_ = both.Run() // the alert
			return
		}
	}
	if ends[attls.RoleClient].failed == nil && ends[attls.RoleServer].failed == nil {
		dataInMemory(both)
	}
}

// laterFrame is what one end has sent to the other.
type laterFrame struct {
	to     attls.Role
	what   exported.Content
	octets []byte
	bad    *attls.Error // why what came is not a frame
}

// sends is what an end sends for a request or an authenticator: that, unless it changes it.
func (e *laterEnd) sends(to attls.Role, what exported.Content, octets []byte) (list []laterFrame) {
	if e.cfg.Sent == nil {
		return []laterFrame{{to: to, what: what, octets: octets}}
	}
	frames := exported.NewFrames(&e.cfg.Profile.Authenticator, 0)
	framed, err := frames.Append(nil, what, octets)
	if err != nil {
		return nil
	}
	for rest := e.cfg.Sent(what, framed); len(rest) > 0; {
		what, octets, n, bad := frames.Next(rest)
		if n == 0 && bad == nil {
			return list // more would have to come
		}
		list = append(list, laterFrame{to, what, octets, bad})
		if bad != nil {
			return list
		}
		rest = rest[n:]
	}
	return list
}

// takes handles what has come to an end, and returns what it sends.
func (e *laterEnd) takes(ctx context.Context, f *laterFrame) ([]laterFrame, error) {
	switch {
	case f.bad != nil:
		return nil, f.bad
	case f.what == exported.ContentData && e.cfg.Profile.Authenticator.Waits():
		return nil, attls.Errorf(attls.Violation, attls.FailUnexpectedMessage,
			"application data before the attestation is complete")
	case f.what == exported.ContentData:
		return nil, nil
	case f.what == exported.ContentAnswer:
		out, err := e.session.Appraise(ctx, f.octets)
		if out != nil {
			e.outcomes = append(e.outcomes, *out)
		}
		return nil, err
	}
	octets, made, err := e.session.Answer(ctx, f.octets)
	if err != nil {
		return nil, err
	}
	if made != nil {
		e.outcomes = append(e.outcomes, *made)
	}
	return e.sends(f.to.Peer(), exported.ContentAnswer, octets), nil
}

// ask is one request with its answer; failed is the end that refuses.
func ask(ctx context.Context, relying attls.Role, ends [2]*laterEnd) (failed attls.Role, err error) {
	request, err := ends[relying].session.Request(ctx)
	if err != nil {
		return relying, err
	}
	queue := ends[relying].sends(relying.Peer(), exported.ContentRequest, request)
	for len(queue) > 0 {
		f := &queue[0]
		more, err := ends[f.to].takes(ctx, f)
		if err != nil {
			return f.to, err
		}
		queue = append(queue[1:], more...)
	}
	return relying, nil
}

// claim adds what was attested to the claims of an end; nil: nothing.
func (e *laterEnd) claim(c *claims.Claims, p *profile.Profile) {
	if e == nil {
		return
	}
	slices.SortStableFunc(e.outcomes, func(a, b exported.Outcome) int { return cmp.Compare(b.Attester, a.Attester) })
	for i := range e.outcomes {
		c.AddLater(p, &e.outcomes[i])
	}
}
