package profile

import (
	"bytes"
	"slices"
	"strings"

	"attls"
	"attls/extensions/profile/binder"
)

// Match is a way of reading a text under which a challenge comes out.
type Match struct {
	Profile  string            `json:"profile"`
	Attester string            `json:"attester"`
	Readings map[string]string `json:"readings,omitempty"` // those that differ from the ones in force (of another profile: from its defaults)
}

func (m Match) String() string {
	s := m.Profile + ", " + m.Attester + " attesting"
	for _, name := range sortedKeys(m.Readings) {
		s += ", " + name + "=" + m.Readings[name]
	}
	return s
}

// maxTries bounds the combinations of readings of one profile.
const maxTries = 256

// FindReadings names the readings under which a peer would have got a challenge
// for the attester, out of what one run knows: first those of this profile,
// nearest to the readings in force, then those of the embedded ones. The role
// is tried the other way round as well, for a peer that mistook it.
func (p *Profile) FindReadings(attester attls.Role, m Model, k CredentialKind, in binder.Inputs, challenge []byte) []Match {
	inForce := map[string]string{}
	for _, r := range p.Readings {
		inForce[r.Switch] = r.Chosen
	}
	found := search(p.doc, inForce, attester, m, k, in, challenge)
	seen := map[string]bool{p.doc.binding(): true}
	for _, name := range Names() {
		doc, problems := readChain(name)
		if problems.Err() != nil || seen[doc.binding()] {
			continue // an alias says the same
		}
		seen[doc.binding()] = true
		found = append(found, search(doc, nil, attester, m, k, in, challenge)...)
	}
	return found
}

// binding is what of a document decides a challenge.
func (v *value) binding() string {
	s := v.get("binder").line()
	for _, e := range v.under("switches") {
		if strings.Contains(s, "$"+e.key) {
			s += e.value.line()
		}
	}
	return s
}

// search tries the readings of a document's binder.
func search(doc *value, start map[string]string, attester attls.Role, m Model, k CredentialKind, in binder.Inputs, challenge []byte) []Match {
	var found []Match
	for _, departures := range combinations(doc, start) {
		readings := map[string]string{}
		for name, r := range start {
			readings[name] = r
		}
		for name, r := range departures {
			readings[name] = r
		}
		p, err := compileDocument(doc, Options{Readings: readings})
		if err != nil || p.Binder.Program == nil || p.Binder.Challenge[m][k] == "" {
			continue
		}
		for _, r := range []attls.Role{attester, attester.Peer()} {
			got, err := p.Binder.Program.Eval(p.Binder.Challenge[m][k], r, in)
			if err == nil && bytes.Equal(got, challenge) {
				found = append(found, Match{p.ID, r.String(), departures})
				break // a binder without a role in it is the same for both
			}
		}
	}
	return found
}

// combinations are the departures from the readings to start with, of the
// switches that the binder names, the fewest first.
func combinations(doc *value, start map[string]string) []map[string]string {
	list := []map[string]string{{}}
	text := doc.get("binder", "define").line() + doc.get("binder", "challenge").line() + doc.get("binder", "transcript").line()
	for _, e := range doc.under("switches") {
		if !strings.Contains(text, "$"+e.key) {
			continue
		}
		chosen := start[e.key]
		if v := e.value.get("default"); chosen == "" && v != nil {
			chosen = v.text
		}
		for _, departures := range slices.Clone(list) {
			for _, r := range e.value.entries {
				if _, meta := switchWords[r.key]; meta || r.key == chosen || len(list) >= maxTries {
					continue
				}
				more := map[string]string{e.key: r.key}
				for name, x := range departures {
					more[name] = x
				}
				list = append(list, more)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b map[string]string) int { return len(a) - len(b) })
	return list
}
