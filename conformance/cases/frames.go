package cases

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"attls"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/internal/rule"
)

// frameRows are about frames of the application and about what is around the payload of an
// authenticator: objects, in JSON.
var frameRows = []Row{
	framed("frame-cut", "", "An end sends half of an object, with a length that says so.",
		Reject{Failure: attls.FailDecode}, tryFrameCut),
	framed("frame-member-twice", rule.FrameMembers, "A member is in an object twice.",
		Reject{Failure: attls.FailDecode}, tryFrameTwice),
	framed("frame-member-absent", "", "A member that belongs into an object is not there.",
		Reject{Failure: attls.FailDecode}, tryFrameAbsent),
	framed("frame-constant", rule.FrameConstant, "A constant in an object, such as a version or a label, is another.",
		Reject{Failure: attls.FailIllegalParameter}, tryFrameConstant),
	framed("frame-attesters", rule.FrameConstant, "A frame says of other ends that they attest.",
		Reject{Failure: attls.FailIllegalParameter}, tryFrameAttesters),
	framed("frame-defined", rule.FrameDefined, "A value that both ends compute is another in an object.",
		Reject{Failure: attls.FailBinderMismatch}, tryFrameDefined),
	framed("frame-nonce", rule.BinderCompared, "The attester's Evidence is for another nonce than that of the exchange.",
		Reject{Failure: attls.FailBinderMismatch}, tryFrameNonce),
	framed("frame-payload-absent", rule.CredentialThere, "The attester's frame has no payload.",
		Reject{Failure: attls.FailMissing}, tryFrameMissing),
	framed("frame-unknown-member", "", "An object has a member that is not described, which it ignores.",
		Accept{}, tryFrameUnknown),
	framed("frame-refusal", rule.RefusalTaken, "The attester reports a failure although it has attested: the relying party sends no application data.",
		Observe{}, tryFrameRefusal),
}

// framed is a row about objects that are sent.
func framed(id string, r rule.Rule, does string, e Expect, try func(*Context) *Change) Row {
	return Row{ID: id, Rule: string(r), Does: does, Later: true, Expect: e,
		Try: func(c *Context) *Change {
			if i := c.laterSlot(); i < 0 || c.Profile.Later[i].Phase != profile.PhaseFrame && c.Profile.Later[i].Object < 0 {
				return nil
			}
			return try(c)
		}}
}

// members is a JSON object in the order of its members.
type members []struct {
	key   string
	value json.RawMessage
}

func readMembers(octets []byte) (list members) {
	d := json.NewDecoder(bytes.NewReader(octets))
	if _, err := d.Token(); err != nil {
		return nil
	}
	for d.More() {
		key, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			return nil
		}
		list = append(list, struct {
			key   string
			value json.RawMessage
		}{fmt.Sprint(key), value})
	}
	return list
}

func (m members) octets() []byte {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, x := range m {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", x.key, x.value)
	}
	b.WriteByte('}')
	return b.Bytes()
}

func (m members) find(key string) int {
	for i := range m {
		if m[i].key == key {
			return i
		}
	}
	return -1
}

// edit changes the member at a path of names, where it is there.
func (m members) edit(path []string, change func(members, int) members) members {
	k := m.find(path[0])
	switch {
	case k < 0:
		return m
	case len(path) == 1:
		return change(m, k)
	}
	m[k].value = readMembers(m[k].value).edit(path[1:], change).octets()
	return m
}

// sentObject is an object in JSON that an end sends: a frame, or what is around a payload.
type sentObject struct {
	name   string // of the frame, or of the object
	from   attls.Role
	at     attls.MessageKind // that has it; KindNone: a frame
	object int
	frame  int // index into Profile.Frames; -1: none
}

// sentObjects are those of the exchange, in their order.
func (c *Context) sentObjects() (list []sentObject) {
	if s := &c.Profile.Later[c.laterSlot()]; s.Object >= 0 {
		list = append(list, sentObject{c.Profile.Objects[s.Object].Name, s.Attester, attls.KindCertificate, s.Object, -1})
	}
	var attests [2]bool
	for _, r := range c.Scenario.Attester.Roles() {
		attests[r] = true
	}
	attests[c.Attester] = true
	for i := range c.Profile.Frames {
		if f := &c.Profile.Frames[i]; f.In(attests) {
			list = append(list, sentObject{f.Name, f.From, attls.KindNone, f.Object, i})
		}
	}
	return slices.DeleteFunc(list, func(x sentObject) bool { return c.Profile.Objects[x.object].CBOR })
}

// sentWith changes an object on its way, at its sender, and expects what its receiver does.
func sentWith(x sentObject, change func([]byte) []byte) *Change {
	return &Change{Expect: Reject{By: x.from.Peer(), At: x.at}, Apply: func(s *scenario.Setup) {
		s.Ends[x.from].Exported.Frame = func(name string, octets []byte) []byte {
			if name != x.name {
				return octets
			}
			return change(octets)
		}
	}}
}

// frameChange is sentWith by members.
func frameChange(x sentObject, change func(members) members) *Change {
	return sentWith(x, func(octets []byte) []byte { return change(readMembers(octets)).octets() })
}

// memberChange changes one member of an object.
func memberChange(x sentObject, path []string, change func(members, int) members) *Change {
	if path == nil {
		return nil
	}
	return frameChange(x, func(m members) members { return m.edit(path, change) })
}

// frameWith finds the first object of the exchange that has a member, and the path of it.
func (c *Context) frameWith(is func(x sentObject, f *profile.ObjectField) bool) (x sentObject, path []string) {
	for _, x := range c.sentObjects() {
		if path := c.memberWith(x, x.object, is); path != nil {
			return x, path
		}
	}
	return sentObject{}, nil
}

func (c *Context) memberWith(x sentObject, object int, is func(x sentObject, f *profile.ObjectField) bool) []string {
	o := &c.Profile.Objects[object]
	for k := range o.Fields {
		f := &o.Fields[k]
		if f.Type == profile.FieldObject {
			if path := c.memberWith(x, f.Object, is); path != nil {
				return append([]string{f.Name}, path...)
			}
		} else if is(x, f) {
			return []string{f.Name}
		}
	}
	return nil
}

// withPayload is the attester's object with its payload.
func (c *Context) withPayload() (x sentObject, ok bool) {
	frame := c.Profile.Later[c.laterSlot()].Frame
	for _, x := range c.sentObjects() {
		if x.frame == frame {
			return x, true
		}
	}
	return x, false
}

func tryFrameCut(c *Context) *Change {
	x, ok := c.withPayload()
	if !ok {
		return nil
	}
	return sentWith(x, func(octets []byte) []byte { return octets[:len(octets)/2] })
}

func tryFrameTwice(c *Context) *Change {
	x, ok := c.withPayload()
	if !ok {
		return nil
	}
	return frameChange(x, func(m members) members { return append(m, m[0]) })
}

func tryFrameAbsent(c *Context) *Change {
	x, path := c.frameWith(func(_ sentObject, f *profile.ObjectField) bool {
		return !f.Optional && !f.Any && (f.Means == profile.MeansDefined || f.Means == profile.MeansPayload)
	})
	return memberChange(x, path, withoutMember)
}

func withoutMember(m members, k int) members { return slices.Delete(m, k, k+1) }

// another is a value of the same form.
func another(value json.RawMessage) json.RawMessage {
	if value[0] == '"' {
		return json.RawMessage(`"other"`)
	}
	return json.RawMessage("77")
}

func tryFrameConstant(c *Context) *Change {
	return c.otherMember(func(f *profile.ObjectField) bool { return f.Means == profile.MeansConstant && !f.Any })
}

func tryFrameAttesters(c *Context) *Change {
	return c.otherMember(func(f *profile.ObjectField) bool { return f.Means == profile.MeansAttesters && !f.Any })
}

// otherMember changes the value of the first member of a sort.
func (c *Context) otherMember(is func(*profile.ObjectField) bool) *Change {
	x, path := c.frameWith(func(_ sentObject, f *profile.ObjectField) bool { return is(f) })
	return memberChange(x, path, func(m members, k int) members {
		m[k].value = another(m[k].value)
		return m
	})
}

// flipped changes a character in the middle of a text.
func flipped(value json.RawMessage) json.RawMessage {
	b := slices.Clone(value)
	if at := len(b) / 2; b[at] == 'A' {
		b[at] = 'B'
	} else {
		b[at] = 'A'
	}
	return b
}

func flippedMember(m members, k int) members {
	m[k].value = flipped(m[k].value)
	return m
}

func tryFrameDefined(c *Context) *Change {
	x, path := c.frameWith(func(_ sentObject, f *profile.ObjectField) bool {
		return f.Means == profile.MeansDefined && !f.Any
	})
	return memberChange(x, path, flippedMember)
}

// tryFrameNonce has the attester show Evidence for another challenge, as one that was made for
// another nonce has.
func tryFrameNonce(c *Context) *Change {
	if c.Profile.Later[c.laterSlot()].NonceFrame < 0 {
		return nil
	}
	return &Change{Expect: Reject{By: c.Attester.Peer()}, Apply: func(s *scenario.Setup) {
		end := s.Ends[c.Attester]
		end.Attester = stale{Attester: end.Attester}
	}}
}

func tryFrameMissing(c *Context) *Change {
	carrier, _ := c.withPayload()
	x, path := c.frameWith(func(x sentObject, f *profile.ObjectField) bool {
		return x.name == carrier.name && f.Means == profile.MeansPayload && f.Optional
	})
	return memberChange(x, path, withoutMember)
}

func tryFrameUnknown(c *Context) *Change {
	x, ok := c.withPayload()
	if !ok || !c.Profile.Objects[x.object].Ignores {
		return nil
	}
	change := frameChange(x, func(m members) members {
		return append(members{{"of another version", json.RawMessage(`{"a":[1,null]}`)}}, m...)
	})
	change.Expect = Accept{By: c.Attester.Peer()}
	return change
}

func tryFrameRefusal(c *Context) *Change {
	x, path := c.frameWith(func(x sentObject, f *profile.ObjectField) bool {
		return x.from == c.Attester && f.Means == profile.MeansReason
	})
	if path == nil {
		return nil
	}
	change := frameChange(x, func(m members) members {
		return append(m, members{{path[0], json.RawMessage(`"no quote today"`)}}...)
	})
	relying := c.Attester.Peer()
	return observing(change.Apply, func(r *scenario.Result) error {
		if e := r.Claims[relying].Error; e == nil || e.Failure != string(attls.FailPeerRefused) {
			return fmt.Errorf("the %v goes on: %+v", relying, e)
		}
		return nil
	})
}
