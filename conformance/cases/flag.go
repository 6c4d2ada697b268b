package cases

import (
	"bytes"

	"attls"
	"attls/conformance/scenario"
	"attls/conformance/tamper"
	"attls/extensions"
	"attls/internal/rule"
)

// flagFaults are what can be wrong with a flag that negotiates attestation.
var flagFaults = []Row{
	breach("flag-offer", rule.FlagKnown, attls.FailAttestationExtension, "A tap gives the flag with which a client offers attestation another value.",
		tryFlag(attls.RoleClient)),
	breach("flag-choice", rule.FlagKnown, attls.FailAttestationExtension, "A tap gives the flag with which a server chooses attestation another value.",
		tryFlag(attls.RoleServer)),
}

// flagged reports whether a flag negotiates the scenario's attester.
func (c *Context) flagged() bool { i := c.slot(); return i >= 0 && c.Profile.Slots[i].Flagged }

// tryFlag changes the flag that an end sends, where it has a value.
func tryFlag(by attls.Role) func(*Context) *Change {
	return func(c *Context) *Change {
		slot := &c.Profile.Slots[c.slot()]
		at := slot.Offer
		if by == attls.RoleServer {
			at = slot.Choice
		}
		if len(slot.FlagValue) == 0 || at.Message == attls.KindAdded {
			return nil
		}
		other := bytes.Clone(slot.FlagValue)
		last := &other[len(other)-1]
		if *last ^= 0x80; len(bytes.Trim(other, "\x00")) == 0 { // zeros are a flag that is not set
			*last = 0x40
		}
		return &Change{Expect: Reject{By: by.Peer(), At: at.Message}, Apply: func(s *scenario.Setup) {
			s.Tap(by, tamper.Extensions(at.Message, 0, func(l extensions.List) extensions.List {
				return tamper.Change(at.Extension, func(body []byte) []byte { return bytes.Replace(body, slot.FlagValue, other, 1) })(l)
			}))
		}}
	}
}
