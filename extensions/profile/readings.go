package profile

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"sync"

	"attls"
	"attls/extensions/profile/binder"
)

// Match is a way of reading a text under which a challenge comes out.
type Match struct {
	Profile  string `json:"profile"`
	Attester string `json:"attester"`
	// those that differ from the ones in force (of another profile: from its defaults)
	Readings map[string]string `json:"readings,omitempty"`
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
func (p *Profile) FindReadings(attester attls.Role, m Model, k CredentialKind, in binder.Inputs,
	challenge []byte) []Match {
	return p.FindReadingsThat(attester, m, k, in, func(got []byte, _ ChallengeFit) bool {
		return bytes.Equal(got, challenge)
	})
}

// FindReadingsThat is FindReadings for a challenge in a field which
// may have changed it: is says whether a computed one, entered as the fit says,
// is that.
func (p *Profile) FindReadingsThat(attester attls.Role, m Model, k CredentialKind, in binder.Inputs,
	is func(challenge []byte, fit ChallengeFit) bool) []Match {
	return p.findReadings(attester, func(b *BinderRules) string { return b.Challenge[m][k] }, in, is)
}

// FindLaterReadingsThat is FindReadingsThat for a challenge in an exported authenticator.
func (p *Profile) FindLaterReadingsThat(attester attls.Role, m Model, in binder.Inputs,
	is func(challenge []byte, fit ChallengeFit) bool) []Match {
	return p.findReadings(attester, func(b *BinderRules) string { return b.Authenticator[m] }, in, is)
}

// FindAfterReadingsThat is FindReadingsThat for a challenge in post-handshake authentication.
func (p *Profile) FindAfterReadingsThat(attester attls.Role, m Model, k CredentialKind, in binder.Inputs,
	is func(challenge []byte, fit ChallengeFit) bool) []Match {
	return p.findReadings(attester, func(b *BinderRules) string {
		if b.PostHandshake != nil {
			b.Program = b.PostHandshake
		}
		return b.Challenge[m][k]
	}, in, is)
}

// FindUpdateReadingsThat is FindReadingsThat for a challenge with an Extended Key Update.
func (p *Profile) FindUpdateReadingsThat(attester attls.Role, m Model, in binder.Inputs,
	is func(challenge []byte, fit ChallengeFit) bool) []Match {
	return p.findReadings(attester, func(b *BinderRules) string {
		b.Program = b.Updated()
		return b.Challenge[m][KindX509]
	}, in, is)
}

// findReadings tries the expression that challenge names in each binder.
func (p *Profile) findReadings(attester attls.Role, challenge func(*BinderRules) string, in binder.Inputs,
	is func(challenge []byte, fit ChallengeFit) bool) []Match {
	inForce := map[string]string{}
	for _, r := range p.Readings {
		inForce[r.Switch] = r.Chosen
	}
	own := p.doc.binding()
	found := search(alternatives(p.doc, inForce), attester, challenge, in, is)
	for _, list := range embeddedAlternatives() {
		if list.binding != own { // an alias says the same
			found = append(found, search(list.of, attester, challenge, in, is)...)
		}
	}
	return found
}

// alternative is the binder of a profile under readings that depart from those
// to start with.
type alternative struct {
	profile    string
	departures map[string]string
	binder     BinderRules
}

type knownBinder struct {
	binding string
	of      []alternative
}

// embeddedAlternatives are those of every embedded profile that binds to
// something else than the ones before it.
var embeddedAlternatives = sync.OnceValue(func() (list []knownBinder) {
	for _, name := range Names() {
		doc, problems := readChain(name)
		if problems.Err() != nil {
			continue
		}
		b := doc.binding()
		if !slices.ContainsFunc(list, func(x knownBinder) bool { return x.binding == b }) {
			list = append(list, knownBinder{b, alternatives(doc, nil)})
		}
	}
	return list
})

// alternatives compiles a document under the readings to start with and under
// every departure from them that its binder can tell.
func alternatives(doc *value, start map[string]string) (list []alternative) {
	for _, departures := range combinations(doc, start) {
		readings := maps.Clone(departures)
		for name, r := range start {
			if _, other := departures[name]; !other {
				readings[name] = r
			}
		}
		if p, err := compileDocument(doc, Options{Readings: readings}); err == nil {
			list = append(list, alternative{p.ID, departures, p.Binder})
		}
	}
	return list
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

// search tries alternatives, of one profile.
func search(list []alternative, attester attls.Role, challenge func(*BinderRules) string, in binder.Inputs,
	is func([]byte, ChallengeFit) bool) []Match {
	var found []Match
	for _, a := range list {
		name := challenge(&a.binder) // of a copy
		if a.binder.Program == nil || name == "" || slices.ContainsFunc(found, func(m Match) bool {
			return within(m.Readings, a.departures)
		}) {
			continue // nothing is bound, or fewer departures do
		}
		for _, r := range []attls.Role{attester, attester.Peer()} {
			got, err := a.binder.Program.Eval(name, r, in)
			if err == nil && is(got, a.binder.Fit) {
				found = append(found, Match{a.profile, r.String(), a.departures})
				break // a binder without a role in it is the same for both
			}
		}
	}
	return found
}

// within reports whether all of the readings are among the others.
func within(readings, others map[string]string) bool {
	for name, r := range readings {
		if others[name] != r {
			return false
		}
	}
	return true
}

// combinations are the departures from the readings to start with, of the
// switches that the binder names, the fewest first.
func combinations(doc *value, start map[string]string) []map[string]string {
	list := []map[string]string{{}}
	text := doc.get("binder", "define").line() + doc.get("binder", "challenge").line() +
		doc.get("binder", "authenticator").line() + doc.get("binder", "post_handshake").line() +
		doc.get("binder", "key_update").line() + doc.get("binder", "transcript").line()
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

// DecidesBinder reports whether the binder names a switch, so that its readings
// are readings of the binder.
func (p *Profile) DecidesBinder(name string) bool {
	text := p.doc.get("binder", "define").line() + p.doc.get("binder", "transcript").line() +
		p.doc.get("binder", "authenticator").line()
	return strings.Contains(text, "$"+name)
}

// Reread compiles the profile again with another reading of one switch.
func (p *Profile) Reread(name, reading string) (*Profile, error) {
	readings := map[string]string{}
	for _, r := range p.Readings {
		readings[r.Switch] = r.Chosen
	}
	readings[name] = reading
	return compileDocument(p.doc, Options{Readings: readings})
}

// WithBinder is the profile with the binder of another, for an end that reads
// the text in another way and for nothing else.
func (p *Profile) WithBinder(other *Profile) *Profile {
	q := *p
	q.Binder = other.Binder
	return &q
}
