package campaign

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"attls"
	"attls/conformance/pair"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/exported"
)

// What an edit of a frame does with a member, in Edit.At.
const (
	memberTwice = iota
	memberOther
	memberAbsent
)

// framed says what happened to the frames in which the ends of a connection attest.
type framed struct {
	began   bool
	errs    [2]*attls.Error
	changed []Edit // what the attacker did to its frames
	// of are both ends of the exchange, sent the frames that are on their way from each, and turn
	// says who acts next.
	of   [2]*exported.Exchange
	sent [2][][]byte
	turn attls.Role
}

// clone is the same to go on from.
func (f *framed) clone() framed {
	c := *f
	c.changed = slices.Clone(f.changed)
	for i, x := range f.of {
		if x != nil {
			c.of[i], c.sent[i] = x.Fork(nil), slices.Clone(f.sent[i])
		}
	}
	return c
}

// framePrefix is before the name of a frame where an agent counts it.
const framePrefix = "frame "

// frameOf sees the frames of an end.
func (r *run) frameOf(role attls.Role) func(string, []byte) []byte {
	return func(name string, octets []byte) []byte {
		r.agents[role].count(framePrefix + name)
		if role != r.attacker {
			return octets
		}
		return r.changeFrame(name, octets)
	}
}

// agree notes whether the honest end goes by a flag that both ends have to set before one asks the
// other to attest after the handshake.
func (r *run) agree(p *pair.Pair) {
	s, honest := r.s, r.attacker.Peer()
	if s.profile == nil || s.profile.Authenticator.FlagName == "" || s.exported[honest] == nil ||
		!r.done[honest] || r.errs[honest] != nil {
		return
	}
	c := *s.exported[honest]
	c.Profile = s.configs[honest].Profile
	over, err := p.Engine(honest).Authenticators()
	if err != nil {
		return
	}
	session, err := exported.NewSession(&c, over, p.Engine(honest).Inputs(),
		func(_ context.Context, w *handshake.Wait) (handshake.Answer, *attls.Error) {
			return r.answer(honest, w)
		})
	r.wouldAsk[honest] = err == nil && session.Agreed()
}

// exchange lets the ends attest in frames, which are handed over as they are, once the handshake
// is done.
func (r *run) exchange(p *pair.Pair) {
	s := r.s
	if s.profile == nil || len(s.profile.Frames) == 0 || s.exported == [2]*exported.Config{} ||
		!r.done[0] || !r.done[1] || r.errs[0] != nil || r.errs[1] != nil {
		return
	}
	of := &r.frames.of
	for _, role := range attls.Roles() {
		c := exported.Config{}
		if s.exported[role] != nil {
			c = *s.exported[role]
		}
		c.Profile = s.configs[role].Profile
		c.Frame = r.frameOf(role)
		over, err := p.Engine(role).Authenticators()
		if err != nil {
			return
		}
		session, err := exported.NewSession(&c, over, p.Engine(role).Inputs(),
			func(_ context.Context, w *handshake.Wait) (handshake.Answer, *attls.Error) { return r.answer(role, w) })
		if err != nil {
			return
		}
		if of[role] == nil {
			of[role] = session.Exchange()
		} else {
			of[role] = of[role].Fork(session)
		}
	}
	r.frames.began = true
	sent := &r.frames.sent
	for idle := 0; idle < 2; idle++ {
		role := r.frames.turn
		f, own := of[role].Next()
		switch queue := sent[role.Peer()]; {
		case f == nil:
		case own:
			r.mark()
			if octets, err := of[role].Make(nothing); err == nil {
				sent[role] = append(sent[role], octets)
				r.carriesFrame(role, f, octets)
			}
			idle = -1
		case len(queue) > 0:
			sent[role.Peer()] = queue[1:]
			_ = of[role].Take(nothing, queue[0]) // Finish says it
			idle = -1
		}
		r.frames.turn = role.Peer()
	}
	for _, role := range attls.Roles() {
		var err error
		if f, _ := of[role].Next(); f != nil {
			err = attls.Errorf(attls.FromPeer, attls.FailPeerRefused, "the frame %s did not come", f.Name)
		} else {
			err = of[role].Finish(nothing)
		}
		if err != nil && !errors.As(err, &r.frames.errs[role]) {
			r.frames.errs[role] = attls.Errorf(attls.Local, attls.FailInternal, "%v", err)
		}
	}
}

// member is one of a JSON object.
type member struct {
	key   string
	value json.RawMessage
}

// readMembers reads a JSON object in the order of its members; nil: it is none.
func readMembers(octets []byte) (list []member) {
	d := json.NewDecoder(bytes.NewReader(octets))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	for d.More() {
		key, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			return nil
		}
		list = append(list, member{fmt.Sprint(key), value})
	}
	return list
}

func writeMembers(list []member) []byte {
	b := []byte{'{'}
	for i, m := range list {
		if i > 0 {
			b = append(b, ',')
		}
		key, _ := json.Marshal(m.key)
		b = append(append(append(b, key...), ':'), m.value...)
	}
	return append(b, '}')
}

// changeFrame makes the attacker's edits of a frame.
func (r *run) changeFrame(name string, octets []byte) []byte {
	for i := range r.agents[r.attacker].edits {
		e := &r.agents[r.attacker].edits[i]
		list := readMembers(octets)
		k := slices.IndexFunc(list, func(m member) bool { return m.key == e.Path })
		if e.Do != "frame" || e.Message != name || k < 0 {
			continue
		}
		switch e.At {
		case memberTwice:
			list = append(list, list[k])
		case memberOther:
			list[k].value = otherValue(list[k].value)
		case memberAbsent:
			list = slices.Delete(list, k, k+1)
		}
		r.frames.changed = append(r.frames.changed, *e)
		octets = writeMembers(list)
	}
	return octets
}

// otherValue is a value of the same form.
func otherValue(value json.RawMessage) json.RawMessage {
	b := slices.Clone(value)
	switch at := len(b) / 2; {
	case b[0] != '"':
		return json.RawMessage("77")
	case len(b) < 4:
		return json.RawMessage(`"other"`)
	case b[at] == 'A':
		b[at] = 'B'
	default:
		b[at] = 'A'
	}
	return b
}

// frame makes an edit of a frame of an attacker.
func (m *mutator) frame(e *Edit, s *subject, role attls.Role) bool {
	own := slices.DeleteFunc(slices.Clone(s.profile.Frames), func(f profile.Frame) bool { return f.From != role })
	if len(own) == 0 {
		return false
	}
	f := pick(m.r, own)
	fields := s.profile.Objects[f.Object].Fields
	if len(fields) == 0 {
		return false
	}
	*e = Edit{Do: "frame", Message: f.Name, Path: pick(m.r, fields).Name, At: m.r.IntN(3)}
	return true
}

// frameTaken says which frame an end took although its members are not what they have to be.
func (v *view) frameTaken() string {
	if !v.r.frames.began || v.r.frames.errs[v.role] != nil || v.role == v.r.attacker {
		return ""
	}
	for _, e := range v.r.frames.changed {
		i := slices.IndexFunc(v.p.Frames, func(f profile.Frame) bool { return f.Name == e.Message })
		if i < 0 {
			continue
		}
		for _, f := range v.p.Objects[v.p.Frames[i].Object].Fields {
			fixed := f.Means == profile.MeansConstant || f.Means == profile.MeansDefined
			switch {
			case f.Name != e.Path:
			case e.At == memberTwice:
				return fmt.Sprintf("took the frame %s with the member %s twice", e.Message, e.Path)
			case e.At == memberOther && fixed && !f.Any:
				return fmt.Sprintf("took the frame %s with another value of %s", e.Message, e.Path)
			}
		}
	}
	return ""
}
