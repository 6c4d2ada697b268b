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

// frameRows are about attestation in frames of the application, whose objects are in JSON.
var frameRows = []Row{
	framed("frame-cut", "", "An end sends half of a frame's object, with a length that says so.",
		Reject{Failure: attls.FailDecode}, tryFrameCut),
	framed("frame-member-twice", rule.FrameMembers, "A member is in a frame twice.",
		Reject{Failure: attls.FailDecode}, tryFrameTwice),
	framed("frame-constant", rule.FrameConstant, "A constant in a frame, such as a version, is another.",
		Reject{Failure: attls.FailIllegalParameter}, tryFrameConstant),
	framed("frame-attesters", rule.FrameConstant, "A frame says of other ends that they attest.",
		Reject{Failure: attls.FailIllegalParameter}, tryFrameAttesters),
	framed("frame-defined", rule.FrameDefined, "A value that both ends compute is another in a frame.",
		Reject{Failure: attls.FailBinderMismatch}, tryFrameDefined),
	framed("frame-nonce", rule.BinderCompared, "The nonce changes on its way, so that the attester's Evidence is for another one.",
		Reject{Failure: attls.FailBinderMismatch}, tryFrameNonce),
	framed("frame-payload-absent", rule.CredentialThere, "The attester's frame has no payload.",
		Reject{Failure: attls.FailMissing}, tryFrameMissing),
	framed("frame-unknown-member", "", "A frame has a member that its object does not have, and ignores.",
		Accept{}, tryFrameUnknown),
	framed("frame-refusal", rule.RefusalTaken, "The attester reports a failure although it has attested: the relying party sends no application data.",
		Observe{}, tryFrameRefusal),
}

// framed is a row about frames of the application.
func framed(id string, r rule.Rule, does string, e Expect, try func(*Context) *Change) Row {
	return Row{ID: id, Rule: string(r), Does: does, Later: true, Expect: e,
		Try: func(c *Context) *Change {
			if i := c.laterSlot(); i < 0 || c.Profile.Later[i].Phase != profile.PhaseFrame {
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

// frameChange changes a frame of the profile on its way, at its sender, and expects what its
// receiver does.
func (c *Context) frameChange(frame int, change func(members) members) *Change {
	f := &c.Profile.Frames[frame]
	return &Change{Expect: Reject{By: f.From.Peer()}, Apply: func(s *scenario.Setup) {
		s.Ends[f.From].Exported.Frame = func(name string, octets []byte) []byte {
			if name != f.Name {
				return octets
			}
			return change(readMembers(octets)).octets()
		}
	}}
}

// frameWith finds the first frame in JSON of an end, of those of the exchange, that has a member.
func (c *Context) frameWith(is func(frame int, f *profile.ObjectField) bool) (frame int, member string) {
	var attests [2]bool
	for _, r := range c.Scenario.Attester.Roles() {
		attests[r] = true
	}
	attests[c.Attester] = true
	for i := range c.Profile.Frames {
		o := &c.Profile.Objects[c.Profile.Frames[i].Object]
		if o.CBOR || !c.Profile.Frames[i].In(attests) {
			continue
		}
		for k := range o.Fields {
			if is(i, &o.Fields[k]) {
				return i, o.Fields[k].Name
			}
		}
	}
	return -1, ""
}

// anyFrame is the attester's own frame with its payload.
func (c *Context) anyFrame() int {
	i := c.Profile.Later[c.laterSlot()].Frame
	if c.Profile.Objects[c.Profile.Frames[i].Object].CBOR {
		return -1
	}
	return i
}

func tryFrameCut(c *Context) *Change {
	i := c.anyFrame()
	if i < 0 {
		return nil
	}
	f := &c.Profile.Frames[i]
	return &Change{Expect: Reject{By: f.From.Peer()}, Apply: func(s *scenario.Setup) {
		s.Ends[f.From].Exported.Frame = func(name string, octets []byte) []byte {
			if name == f.Name {
				return octets[:len(octets)/2]
			}
			return octets
		}
	}}
}

func tryFrameTwice(c *Context) *Change {
	i := c.anyFrame()
	if i < 0 {
		return nil
	}
	return c.frameChange(i, func(m members) members { return append(m, m[0]) })
}

// another is a value of the same form.
func another(value json.RawMessage) json.RawMessage {
	if value[0] == '"' {
		return json.RawMessage(`"other"`)
	}
	return json.RawMessage("77")
}

func tryFrameConstant(c *Context) *Change {
	i, name := c.frameWith(func(_ int, f *profile.ObjectField) bool {
		return f.Means == profile.MeansConstant && !f.Any && !f.Optional
	})
	return c.otherMember(i, name)
}

func tryFrameAttesters(c *Context) *Change {
	i, name := c.frameWith(func(_ int, f *profile.ObjectField) bool { return f.Means == profile.MeansAttesters && !f.Any })
	return c.otherMember(i, name)
}

// otherMember changes the value of a member.
func (c *Context) otherMember(frame int, name string) *Change {
	if frame < 0 {
		return nil
	}
	return c.frameChange(frame, func(m members) members {
		if k := m.find(name); k >= 0 {
			m[k].value = another(m[k].value)
		}
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

func (c *Context) flipMember(frame int, name string) *Change {
	if frame < 0 {
		return nil
	}
	return c.frameChange(frame, func(m members) members {
		if k := m.find(name); k >= 0 {
			m[k].value = flipped(m[k].value)
		}
		return m
	})
}

func tryFrameDefined(c *Context) *Change {
	i, name := c.frameWith(func(_ int, f *profile.ObjectField) bool { return f.Means == profile.MeansDefined && !f.Any })
	return c.flipMember(i, name)
}

func tryFrameNonce(c *Context) *Change {
	s := &c.Profile.Later[c.laterSlot()]
	if s.NonceFrame < 0 {
		return nil
	}
	i, name := c.frameWith(func(i int, f *profile.ObjectField) bool { return i == s.NonceFrame && f.Means == profile.MeansNonce })
	change := c.flipMember(i, name)
	for _, f := range c.Profile.Objects[c.Profile.Frames[s.Frame].Object].Fields {
		if f.Means == profile.MeansDefined { // it tells of the nonce before the Evidence does
			return nil
		}
	}
	if change != nil {
		change.Expect = Reject{By: c.Attester.Peer()}
	}
	return change
}

func tryFrameMissing(c *Context) *Change {
	i, name := c.frameWith(func(i int, f *profile.ObjectField) bool {
		return i == c.Profile.Later[c.laterSlot()].Frame && f.Means == profile.MeansPayload && f.Optional
	})
	if i < 0 {
		return nil
	}
	return c.frameChange(i, func(m members) members {
		if k := m.find(name); k >= 0 {
			m = slices.Delete(m, k, k+1)
		}
		return m
	})
}

func tryFrameUnknown(c *Context) *Change {
	i := c.anyFrame()
	if i < 0 || !c.Profile.Objects[c.Profile.Frames[i].Object].Ignores {
		return nil
	}
	change := c.frameChange(i, func(m members) members {
		return append(members{{"of another version", json.RawMessage(`{"a":[1,null]}`)}}, m...)
	})
	change.Expect = Accept{By: c.Attester.Peer()}
	return change
}

func tryFrameRefusal(c *Context) *Change {
	i, name := c.frameWith(func(i int, f *profile.ObjectField) bool {
		return c.Profile.Frames[i].From == c.Attester && f.Means == profile.MeansReason
	})
	if i < 0 {
		return nil
	}
	change := c.frameChange(i, func(m members) members {
		return append(m, members{{name, json.RawMessage(`"no quote today"`)}}...)
	})
	relying := c.Attester.Peer()
	return observing(change.Apply, func(r *scenario.Result) error {
		if e := r.Claims[relying].Error; e == nil || e.Failure != string(attls.FailPeerRefused) {
			return fmt.Errorf("the %v goes on: %+v", relying, e)
		}
		return nil
	})
}
