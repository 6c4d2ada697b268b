package lab

import (
	"context"
	"crypto"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/extensions/profile"
)

// Stack is a TLS stack, other than this module, that can be an honest end of a run as a
// program of its own.
type Stack interface {
	Name() string
	// Missing says why the stack is not available; empty when it is.
	Missing() string
	// Limit says why the stack cannot be this end of a combination; empty when it can.
	Limit(p *profile.Profile, c *Combination, r attls.Role) string
	// Start starts an end and connects it.
	Start(ctx context.Context, e *ProgramEnd) (Program, error)
}

// ProgramEnd is what a program is told of the end that it is.
type ProgramEnd struct {
	Role    attls.Role
	Profile *profile.Profile
	Combo   *Combination
	Scheme  profile.Scheme
	// ServerName is whom a client wants.
	ServerName string
	Chain      [][]byte
	Key        crypto.Signer
	// Authority is trusted. It issues certificates with Evidence unless SelfSigned says that
	// the end's own key does.
	Authority  *scenario.DemoAuthority
	SelfSigned bool
	// Suite is the one cipher suite: where the attacker forwards ServerHello, its own engine
	// must have chosen the same.
	Suite attls.CipherSuite
	// Demand is the policy that the other end must attest.
	Demand bool
	// Data is how many octets a client sends and expects back.
	Data int
	// Patience is how long the program waits for anything.
	Patience time.Duration
	// Ask answers a request of docs/attester-command.md: what the end attests, and how it
	// appraises. It may be called by any goroutine; nil: it refuses.
	Ask func(request []byte) []byte
}

// Program is a started end.
type Program interface {
	// Conn carries what the program sends and receives.
	Conn() net.Conn
	// Secret is the last secret of the name in a key log that the program has told; it waits
	// for one for a moment. Nil: it has told none.
	Secret(label string) []byte
	// End waits until the program has ended. The error is that it has told nothing: that it
	// crashed, or was stopped.
	End() (*Ended, error)
	// Stop ends the program. It may be called more than once.
	Stop()
}

// Ended is what a program tells of its connection.
type Ended struct {
	Claims claims.Claims
	// Cut says that the connection ended because nothing more came.
	Cut bool
}

// refusal is why the program itself refused; nil: it did not.
func (e *Ended) refusal() *claims.ErrorClaim {
	x := e.Claims.Error
	if x == nil || e.Cut || x.Class == attls.FromPeer.String() {
		return nil
	}
	return x
}

// Stacks are those of honest ends, indexed by attls.Role; nil: this module.
type Stacks [2]Stack

// ThisModule is the name of this module's stack.
const ThisModule = "attls"

// ParseStacks reads "mbedtls", "client=mbedtls" or "client=mbedtls,server=attls".
func ParseStacks(text string, known ...Stack) (s Stacks, err error) {
	names := []string{ThisModule}
	for _, x := range known {
		names = append(names, x.Name())
	}
	seen := [2]bool{}
	for _, part := range strings.Split(text, ",") {
		if text == "" {
			break
		}
		who, name, one := strings.Cut(part, "=")
		var roles []attls.Role
		for _, r := range attls.Roles() {
			if !one || r.String() == who {
				roles = append(roles, r)
			}
		}
		if !one {
			name = part
		}
		at := slices.Index(names, name)
		switch {
		case len(roles) == 0:
			return s, fmt.Errorf("%q: an end is client or server", part)
		case at < 0:
			return s, fmt.Errorf("%q: no stack is called %q; they are %s", part, name, strings.Join(names, ", "))
		}
		for _, r := range roles {
			if seen[r] {
				return s, fmt.Errorf("%q: the %s has two stacks", text, r)
			}
			if seen[r] = true; at > 0 {
				s[r] = known[at-1]
			}
		}
	}
	return s, nil
}

// others reports whether an end is another stack than this module's.
func (s Stacks) others() bool { return s[0] != nil || s[1] != nil }

// String is what ParseStacks reads; empty: this module at both ends.
func (s Stacks) String() string {
	c, v := s[attls.RoleClient], s[attls.RoleServer]
	if c != nil && v != nil && c.Name() == v.Name() {
		return c.Name()
	}
	var list []string
	for _, r := range attls.Roles() {
		if s[r] != nil {
			list = append(list, r.String()+"="+s[r].Name())
		}
	}
	return strings.Join(list, ",")
}

// programSettings are the settings of a party that a program can be given.
var programSettings = []string{"platform", "name", "certificate", "shared_key", "connects_to", "pin", "demand",
	"validity", "reading"}

// limit says why a script cannot be run with programs at these ends; empty: it can.
func (s Stacks) limit(script *Script, steps []*Step, parties []map[string]Settings, p *profile.Profile,
	c *Combination, lax Lax) string {
	if !s.others() {
		return ""
	}
	for _, r := range attls.Roles() {
		if s[r] == nil {
			continue
		}
		reason := s[r].Limit(p, c, r)
		if reason == "" {
			reason = settingLimit(r, parties, c)
		}
		if reason == "" && r == c.role.Peer() && lax == LaxOtherLabel {
			reason = "the challenge of the other role is not known outside of it"
		}
		if reason != "" {
			return fmt.Sprintf("%s as the %s: %s", s[r].Name(), r, reason)
		}
	}
	for _, r := range attls.Roles() {
		if c.Attester.Has(r) && later(p, r) {
			return "the " + r.String() + " attests after the handshake, and programs are told nothing then"
		}
	}
	if s[c.role] != nil && slices.ContainsFunc(c.depends(p).Fields, setByProgram) &&
		slices.ContainsFunc(steps, otherCertificate) {
		return "the binder has fields of the certificate that a program sets by its clock, and the attacker's other " +
			"certificate has those of the laboratory's"
	}
	for i, step := range steps {
		if reason := s.stepLimit(step, i == 0, script); reason != "" {
			return reason
		}
	}
	return ""
}

// setByProgram reports whether a program chooses a field of a certificate that it makes.
func setByProgram(field string) bool { return field != "common_name" }

// otherCertificate reports whether a step makes another certificate for the leaked key.
func otherCertificate(s *Step) bool {
	return s.Verb == "make" && s.On == "certificate" && s.With["by"].Text == "authority" && s.With["key"].Text == tikKey
}

// programVerbs are steps that need no engine at honest ends.
var programVerbs = []string{"open", "forward", "take", "make", "present"}

// settingLimit is the first setting of a role that a program cannot be given.
func settingLimit(role attls.Role, parties []map[string]Settings, c *Combination) string {
	who := "relying_party"
	if role == c.role {
		who = "attester"
	}
	for _, list := range parties {
		for _, party := range []string{who, role.String(), "both"} {
			for _, name := range sortedKeys(list[party]) {
				if v := list[party][name]; !slices.Contains(programSettings, name) && v.Text != "no" {
					return fmt.Sprintf("the script sets %q, which the laboratory does not set in a program", name)
				}
			}
		}
	}
	return ""
}

// stepLimit says what of a step needs an engine of this module.
func (s Stacks) stepLimit(step *Step, first bool, script *Script) string {
	switch {
	case !slices.Contains(programVerbs, step.Verb) && (step.Verb != "happen" || !first):
		return fmt.Sprintf("the step %q is after the handshake or waits for rest, and a program ends its connection "+
			"by itself", step)
	case step.With["profile"].Text != "":
		return "the step " + step.String() + " changes the profile, and a program has one"
	case step.Verb == "forward" && s[attls.RoleClient] != nil &&
		(step.With["set"].Map != nil || step.With["drop"].Text != ""):
		return "the attacker changes ClientHello where it is made, and a program makes it"
	case step.Verb == "take" && s[0] != nil && s[1] != nil && script.forwards(step.With["from"].Text):
		return "the attacker reads a connection that it forwards at an end of this module, and both are programs"
	}
	return ""
}

// forwards reports whether a connection is one between both honest ends.
func (s *Script) forwards(connection string) bool {
	return slices.ContainsFunc(s.Steps, func(x *Step) bool {
		return x.Verb == "forward" && x.connection() == connection
	})
}

// disagreement says how an outcome with other stacks differs from that with this module's;
// empty: it does not. Where and how the same end refuses may differ.
func (s Stacks) disagreement(with, without *Result) string {
	if with.Outcome == without.Outcome && with.By == without.By {
		return ""
	}
	return fmt.Sprintf("the stacks disagree: with %s: %s; with %s: %s", s, with, ThisModule, without)
}

// manner says how the same outcome came about otherwise; empty: it did not.
func (s Stacks) manner(with, without *Result) string {
	if with.Outcome != Rejected || with.String() == without.String() {
		return ""
	}
	return fmt.Sprintf("with %s: %s", ThisModule, without)
}
