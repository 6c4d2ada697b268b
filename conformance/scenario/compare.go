package scenario

import (
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/pair"
	"attls/conformance/trace"
	"attls/handshake"
)

// RunDifference is where two scenarios part that are run with the same random
// octets, certificates and answers. What is nil is the same in both.
type RunDifference struct {
	Octet   *Difference  `json:"octet,omitempty"` // the first on the wire, of the end that parts first
	Field   *FieldPart   `json:"field,omitempty"`
	Secret  *SecretPart  `json:"secret,omitempty"` // the first of the key schedule
	Verdict *VerdictPart `json:"verdict,omitempty"`
	// Octets of every handshake message, in the order in which they come; 0 where
	// there is none.
	Messages []MessageOctets `json:"messages"`
}

// FieldPart is the first message that differs, and what in it.
type FieldPart struct {
	Message string `json:"message"`
	From    string `json:"from"`
	Offset  int    `json:"offset"` // octets from the start of the message, its header included
	// Field is an extension or a field of it, with what it says; where none says
	// otherwise it is empty, and A and B are up to 16 octets, hexadecimal.
	Field string `json:"field,omitempty"`
	A     string `json:"a,omitempty"`
	B     string `json:"b,omitempty"`
}

// SecretPart is a secret that differs.
type SecretPart struct {
	Name string `json:"name"`
	A    string `json:"a"`
	B    string `json:"b"`
}

// VerdictPart is the first attester, or end, that fares differently.
type VerdictPart struct {
	Of string `json:"of"` // "server, attesting", or "client" for how an end finished
	A  string `json:"a"`
	B  string `json:"b"`
}

// MessageOctets is the length of one message in both runs, header included.
type MessageOctets struct {
	From    string `json:"from"`
	Message string `json:"message"`
	A       int    `json:"a"`
	B       int    `json:"b"`
}

// sideRun is one of the two runs.
type sideRun struct {
	steps   []trace.Step
	secrets []trace.Secret
	claims  [2]claims.Claims
	wire    [2][]byte
}

// CompareRuns runs both scenarios in this process with the same recorded
// randomness and tells where they part.
func CompareRuns(a, b Scenario, options ...Option) (*RunDifference, error) {
	env, err := NewEnvironment()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	env.Clock = func() time.Time { return now }
	env.Keep()
	var random [2]handshake.Random
	for _, role := range attls.Roles() {
		random[role] = handshake.RecordRandom(handshake.SystemRandom{})
	}
	var sides [2]*sideRun
	for i, s := range []Scenario{a, b} {
		if sides[i], err = runSide(s, random, append(options, In(env))); err != nil {
			return nil, fmt.Errorf("%v: %w", s, err)
		}
	}
	return compareSides(sides[0], sides[1]), nil
}

func runSide(s Scenario, random [2]handshake.Random, options []Option) (*sideRun, error) {
	in, err := NewInProcess(s, random, options...)
	if err != nil {
		return nil, err
	}
	in.Traces[attls.RoleClient].KeepSecrets = true
	p, err := pair.New(in.Options)
	if err != nil {
		return nil, err
	}
	_ = p.Run() // its error is in the claims
	side := &sideRun{steps: trace.Ladder(in.Traces[attls.RoleClient], in.Traces[attls.RoleServer]),
		secrets: in.Traces[attls.RoleClient].Secrets()}
	configs := [2]*handshake.Config{attls.RoleClient: in.Options.Client, attls.RoleServer: in.Options.Server}
	for _, role := range attls.Roles() {
		o := claims.Outcome{Err: p.Engine(role).Err()}
		o.AlertSent, o.AlertReceived = in.Traces[role].Alerts()
		side.claims[role] = claims.MakeClaims(configs[role].Profile, p.Engine(role).State(), o)
		side.wire[role] = p.Wire(role)
	}
	return side, nil
}

func compareSides(a, b *sideRun) *RunDifference {
	d := &RunDifference{Field: a.field(b), Secret: a.secret(b), Verdict: a.verdict(b), Messages: a.messages(b)}
	order := []attls.Role{attls.RoleClient, attls.RoleServer}
	if d.Field != nil && d.Field.From == attls.RoleServer.String() {
		slices.Reverse(order)
	}
	for _, role := range order {
		if x := compare(role, a.wire[role], b.wire[role]); x != nil && d.Octet == nil {
			d.Octet = x
		}
	}
	return d
}

// handshakeSteps leaves out alerts and application data.
func (s *sideRun) handshakeSteps() []trace.Step {
	return slices.DeleteFunc(slices.Clone(s.steps), func(x trace.Step) bool { return x.Bytes() == nil })
}

// field finds the first message that differs.
func (s *sideRun) field(o *sideRun) *FieldPart {
	a, b := s.handshakeSteps(), o.handshakeSteps()
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(b):
			return &FieldPart{Message: a[i].What, From: a[i].From, A: "there is one", B: "there is none"}
		case i >= len(a):
			return &FieldPart{Message: b[i].What, From: b[i].From, A: "there is none", B: "there is one"}
		case a[i].What != b[i].What || a[i].From != b[i].From:
			return &FieldPart{Message: a[i].What, From: a[i].From, A: a[i].What, B: b[i].What}
		case string(a[i].Bytes()) != string(b[i].Bytes()):
			return partIn(&a[i], &b[i])
		}
	}
	return nil
}

// headerLength is that of a handshake message, in octets; its length is no part
// of what differs first.
const headerLength = 4

// partIn names what differs in a message.
func partIn(a, b *trace.Step) *FieldPart {
	p := &FieldPart{Message: a.What, From: a.From, Offset: headerLength}
	for p.Offset < len(a.Bytes()) && p.Offset < len(b.Bytes()) && a.Bytes()[p.Offset] == b.Bytes()[p.Offset] {
		p.Offset++
	}
	excerpt := func(s *trace.Step) string {
		return hex.EncodeToString(s.Bytes()[min(p.Offset, len(s.Bytes())):min(p.Offset+16, len(s.Bytes()))])
	}
	p.A, p.B = excerpt(a), excerpt(b)
	for i := range max(len(a.Extensions), len(b.Extensions)) {
		x, y := extensionAt(a, i), extensionAt(b, i)
		switch {
		case x.Type != y.Type || x.Name != y.Name:
			p.Field, p.A, p.B = "extensions", extensionText(x), extensionText(y)
			return p
		case x.Octets != y.Octets || !slices.Equal(x.Fields, y.Fields):
			p.Field, p.A, p.B = x.Name, extensionText(x), extensionText(y)
			if path, a, b, ok := FieldApart(x.Fields, y.Fields); ok {
				p.Field, p.A, p.B = x.Name+", "+path, a, b
			}
			return p
		}
	}
	return p
}

// FieldApart finds the first field of either list that the other one has with
// another value, or has not: fields are told apart by their names.
func FieldApart(a, b []trace.FieldValue) (path, x, y string, ok bool) {
	value := func(l []trace.FieldValue, path string) string {
		if i := slices.IndexFunc(l, func(f trace.FieldValue) bool { return f.Path == path }); i >= 0 {
			return l[i].Value
		}
		return "none"
	}
	for _, f := range append(slices.Clip(a), b...) {
		if x, y := value(a, f.Path), value(b, f.Path); x != y {
			return f.Path, x, y, true
		}
	}
	return "", "", "", false
}

func extensionAt(s *trace.Step, i int) trace.StepExtension {
	if i < len(s.Extensions) {
		return s.Extensions[i]
	}
	return trace.StepExtension{}
}

func extensionText(x trace.StepExtension) string {
	if x.Name == "" {
		return "none"
	}
	return fmt.Sprintf("%s (%#04x), %d octets", x.Name, x.Type, x.Octets)
}

func (s *sideRun) secret(o *sideRun) *SecretPart {
	for i := range min(len(s.secrets), len(o.secrets)) {
		if x, y := s.secrets[i], o.secrets[i]; x != y {
			return &SecretPart{Name: x.Name, A: x.Value, B: y.Value}
		}
	}
	return nil
}

// verdict finds the first attester whose challenge or verdict differs, or end
// that fares differently.
func (s *sideRun) verdict(o *sideRun) *VerdictPart {
	for _, role := range attls.Roles() {
		a, b := &s.claims[role], &o.claims[role]
		for i := range min(len(a.Attestation), len(b.Attestation)) {
			x, y := attesterText(&a.Attestation[i]), attesterText(&b.Attestation[i])
			if x != y && (a.Attestation[i].Verdict != nil || b.Attestation[i].Verdict != nil) {
				return &VerdictPart{a.Attestation[i].Attester + ", attesting", x, y}
			}
		}
		if x, y := endText(a), endText(b); x != y {
			return &VerdictPart{role.String(), x, y}
		}
	}
	return nil
}

func attesterText(a *claims.AttestationClaim) string {
	text := "no verdict"
	if v := a.Verdict; v != nil {
		if text = "accepted"; !v.Accepted {
			text = "refused, " + v.Failure
		}
	}
	return text + ", challenge " + orNothing(a.Challenge)
}

func endText(c *claims.Claims) string {
	if c.Error == nil {
		return c.State
	}
	return c.State + ", " + c.Error.Failure
}

// messages lists the octets of every message of both.
func (s *sideRun) messages(o *sideRun) []MessageOctets {
	var list []MessageOctets
	for side, steps := range [][]trace.Step{s.handshakeSteps(), o.handshakeSteps()} {
		seen := map[string]int{}
		for _, x := range steps {
			seen[x.From+x.What]++
			n, i := 0, 0
			for ; i < len(list); i++ {
				if list[i].From == x.From && list[i].Message == x.What {
					if n++; n == seen[x.From+x.What] {
						break
					}
				}
			}
			if i == len(list) {
				list = append(list, MessageOctets{From: x.From, Message: x.What})
			}
			if side == 0 {
				list[i].A = x.Octets
			} else {
				list[i].B = x.Octets
			}
		}
	}
	return list
}
