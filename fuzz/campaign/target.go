package campaign

import (
	"fmt"
	"slices"

	"attls"
	"attls/conformance/scenario"
	"attls/extensions/profile"
)

// TLS is the name of the target without a profile.
const TLS = "none"

// Target is a profile, or TLS 1.3 alone, with the connections that it allows.
type Target struct {
	Name        string
	Profile     *profile.Profile // nil: TLS 1.3
	Connections []Connection
	definition  string // of a profile that is not embedded
}

// Targets are the names of all targets.
func Targets() []string { return append([]string{TLS}, profile.Names()...) }

// NewTarget is the target of a name: TLS, an embedded profile, or a file with one.
func NewTarget(name string) (*Target, error) {
	t := &Target{Name: name}
	if name == TLS || name == "" {
		t.Name = TLS
		t.Connections = []Connection{{}, {ClientCertificate: true}, {HelloRetry: true}, {HelloRetry: true, Cookie: true,
			ClientCertificate: true}, {RawPublicKeys: true, ClientCertificate: true}, {GREASE: true}, {KeyUpdate: true},
			{Resumption: true}, {Resumption: true, RawPublicKeys: true}, {Resumption: true, Forgotten: true},
			{ExtendedKeyUpdate: true}, {Ed25519: true, ClientCertificate: true}, {Tickets: true},
			{PostHandshake: true}, {PostHandshake: true, ClientCertificate: true, Again: true},
			{Authenticators: true, ClientCertificate: true},
			{Authenticators: true, ClientCertificate: true, Again: true, KeyUpdate: true}}
		return t, nil
	}
	p, err := profile.Load(name, profile.Options{})
	if err != nil {
		return nil, err
	}
	if profile.IsFile(name) {
		t.definition = p.Source()
	}
	t.setProfile(p)
	return t, nil
}

// under is the target with other readings of the profile's text.
func (t *Target) under(readings map[string]string) (*Target, error) {
	if t.Profile == nil || len(readings) == 0 {
		return t, nil
	}
	p, err := profile.Load(t.Name, profile.Options{Readings: readings})
	if err != nil {
		return nil, err
	}
	other := &Target{Name: t.Name}
	other.setProfile(p)
	return other, nil
}

// setProfile lists the connections that a profile allows: each combination, and the first
// ones with what else may vary.
func (t *Target) setProfile(p *profile.Profile) {
	t.Profile = p
	n, after := 0, map[scenario.Attesters]int{}
	for _, c := range scenario.Combinations(p) {
		if c.Reason != "" {
			continue
		}
		base := Connection{Attester: string(c.Attester), Model: c.Model, Credential: c.Credential}
		several, retry, free := base, base, base
		several.Several, retry.HelloRetry, free.Undemanding = true, true, true
		t.Connections = append(t.Connections, base)
		if n < 6 {
			t.Connections = append(t.Connections, free, several)
		}
		if n < 4 {
			unwilling := free
			unwilling.Unwilling = true
			t.Connections = append(t.Connections, retry, unwilling)
			if p.UpdateSlot(attesterOf(base)) >= 0 {
				updated := base
				updated.ExtendedKeyUpdate = true
				t.Connections = append(t.Connections, updated)
			}
		}
		if n == 0 {
			issuing := free
			issuing.Tickets = true
			t.Connections = append(t.Connections, issuing)
		}
		if c.Credential == profile.KindX509.String() && !slices.ContainsFunc(t.Connections, func(c Connection) bool {
			return c.RSA
		}) {
			other := free
			other.RSA = true
			t.Connections = append(t.Connections, other)
		}
		if after[c.Attester]++; after[c.Attester] <= 2 {
			t.Connections = append(t.Connections, afterwards(p, base)...)
		}
		n++
	}
	t.Connections = append(t.Connections, Connection{Attester: string(scenario.AttestNone)})
	t.leaveOut()
}

// attesterOf is the end that attests in a connection, the server where both do.
func attesterOf(c Connection) attls.Role {
	if c.Attester == attls.RoleClient.String() {
		return attls.RoleClient
	}
	return attls.RoleServer
}

// afterwards are the connections in which something is attested after the handshake as well: in
// post-handshake authentication, or in exported authenticators a second time, behind a key update.
func afterwards(p *profile.Profile, base Connection) (list []Connection) {
	if scenario.Attesters(base.Attester).Has(attls.RoleClient) {
		later := base
		later.PostHandshake = true
		list = append(list, later)
	}
	if len(p.Later) > 0 && len(p.Frames) == 0 {
		updated := base
		updated.ExtendedKeyUpdate, updated.Again = true, true
		list = append(list, updated)
	}
	return list
}

// leaveOut removes what a profile cannot do among the connections that are there for
// variety: no offer where it wants one, schemes whose payloads do not fit.
func (t *Target) leaveOut() {
	w, err := newWorld()
	if err != nil {
		return
	}
	t.Connections = slices.DeleteFunc(t.Connections, func(c Connection) bool {
		if !c.Several && !c.Tickets && !c.RSA && !c.PostHandshake && !(c.ExtendedKeyUpdate && c.Again) &&
			c.Attester != string(scenario.AttestNone) {
			return false
		}
		s, err := newSubject(w, t.Name, t.Profile, c, nil)
		return err != nil || s.base.live() != "" && !c.RSA
	})
}

// target is the target of an input.
func (in *Input) target() (*Target, error) {
	if in.Definition == "" {
		t, err := NewTarget(in.Profile)
		if err == nil {
			t.definition = ""
		}
		return t, err
	}
	name := in.Profile
	if name == "" {
		name = "profile"
	}
	p, err := profile.Parse(name, []byte(in.Definition), profile.Options{})
	if err != nil {
		return nil, err
	}
	t := &Target{Name: in.Profile, definition: in.Definition}
	t.setProfile(p)
	return t, nil
}

// input begins an input of a connection.
func (t *Target) input(c Connection, attacker attls.Role) *Input {
	in := &Input{Format: Format, Connection: c, Attacker: attacker.String(), Definition: t.definition}
	if t.Profile != nil {
		in.Profile = t.Name
	}
	return in
}

// subjects prepares the connections of a target. Those that cannot be made are left out,
// with the reason; there must be one.
func (t *Target) subjects(w *world, plant *Plant) (list []*subject, left []string, err error) {
	name := ""
	if t.Profile != nil {
		name = t.Name
	}
	for _, c := range t.Connections {
		s, err := newSubject(w, name, t.Profile, c, plant)
		if err != nil {
			left = append(left, fmt.Sprintf("%v: %v", c, err))
			continue
		}
		if slices.ContainsFunc(list, func(o *subject) bool { return o.conn == s.conn }) {
			continue
		}
		list = append(list, s)
	}
	if len(list) == 0 {
		return nil, left, fmt.Errorf("no connection of %s can be made: %v", t.Name, left)
	}
	return list, left, nil
}
