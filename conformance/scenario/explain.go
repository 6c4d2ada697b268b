package scenario

import (
	"errors"
	"fmt"
	"slices"

	"attls"
	"attls/conformance/claims"
	"attls/extensions/profile"
)

// Explanation is what a profile's binder comes to in one handshake.
type Explanation struct {
	Profile   string              `json:"profile"`
	Readings  map[string]string   `json:"readings,omitempty"`
	Attesters []AttesterExplained `json:"attesters"`
}

// AttesterExplained is the binder of one attester.
type AttesterExplained struct {
	Attester   string `json:"attester"`
	Model      string `json:"model"`
	Credential string `json:"credential"`
	Phase      string `json:"phase,omitempty"` // authenticator, or empty for the handshake
	// Challenge is what the Evidence has to carry; nil when nothing is bound.
	Challenge *claims.BinderNode            `json:"challenge,omitempty"`
	Claims    map[string]*claims.BinderNode `json:"claims,omitempty"`    // further claims of the Evidence
	HandOver  map[string]*claims.BinderNode `json:"hand_over,omitempty"` // values that the Appraiser is given
	Exporters map[string]*claims.BinderNode `json:"exporters,omitempty"` // secrets of exporters, by the exporter's name
	// Others are the challenges under readings that are not in force, where they
	// are others.
	Others []OtherReading `json:"others,omitempty"`
	// Peer is the value that a peer got, and Matches the readings that give it.
	Peer    string          `json:"peer,omitempty"`
	Matches []profile.Match `json:"matches,omitempty"`
}

// OtherReading is the challenge under another reading of one switch.
type OtherReading struct {
	Switch  string `json:"switch"`
	Reading string `json:"reading"`
	Value   string `json:"value,omitempty"` // empty when nothing is bound
	Error   string `json:"error,omitempty"`
}

// Explain computes the binder of a scenario's profile out of what one end claims
// of a handshake. peer, when not nil, is the value that the peer got; otherwise the
// one that the claims hold, where there is one.
func Explain(s Scenario, c *claims.Claims, peer []byte) (*Explanation, error) {
	p, err := s.Load()
	switch {
	case err != nil:
		return nil, err
	case p == nil:
		return nil, errors.New("plain TLS has no binder")
	case c.BinderInputs == nil:
		return nil, errors.New("the claims do not hold what binders are computed from; make them with --binder-inputs")
	case len(c.Attestation) == 0:
		return nil, errors.New("nobody attested in the handshake that the claims are about")
	}
	e := &Explanation{Profile: p.ID, Readings: claims.Readings(p)}
	for i := range c.Attestation {
		a, err := explainAttester(p, s, c, &c.Attestation[i], peer)
		if err != nil {
			return nil, err
		}
		e.Attesters = append(e.Attesters, *a)
	}
	return e, nil
}

func explainAttester(p *profile.Profile, s Scenario, c *claims.Claims, a *claims.AttestationClaim,
	peer []byte) (*AttesterExplained, error) {
	role := attls.RoleServer
	if a.Attester == attls.RoleClient.String() {
		role = attls.RoleClient
	}
	model, err := ParseModel(a.Model)
	if err != nil {
		return nil, err
	}
	kind, err := ParseCredential(a.Credential)
	if err != nil {
		return nil, err
	}
	in, challenge := c.BinderInputs, func(p *profile.Profile) string { return p.Binder.Challenge[model][kind] }
	later := a.Phase != ""
	if later {
		in, challenge = a.BinderInputs, func(p *profile.Profile) string { return p.Binder.Authenticator[model] }
	}
	if in == nil {
		return nil, errors.New("the claims do not hold what the binder of an authenticator is computed from; make them " +
			"with --binder-inputs")
	}
	out := &AttesterExplained{Phase: a.Phase, Attester: a.Attester, Model: a.Model, Credential: a.Credential}
	if p.Binder.Program != nil {
		tree := func(name string) *claims.BinderNode {
			return claims.MakeBinderNode(p.Binder.Program.Explain(name, role, in))
		}
		if name := challenge(p); name != "" {
			out.Challenge = tree(name)
		}
		out.Claims, out.HandOver, out.Exporters = map[string]*claims.BinderNode{}, map[string]*claims.BinderNode{},
			map[string]*claims.BinderNode{}
		for _, x := range p.Binder.Claims {
			out.Claims[x.Name] = tree(x.Expr)
		}
		for _, name := range p.Binder.HandOver {
			out.HandOver[name] = tree(name)
		}
		for name, expr := range p.Binder.Exporters {
			out.Exporters[name] = tree(expr)
		}
	}
	if out.Others, err = otherReadings(p, s, out, role, challenge, in); err != nil {
		return nil, err
	}
	if peer == nil && a.Verdict != nil {
		var h hexReader
		peer = h.octets(a.Verdict.PeerChallenge)
	}
	switch {
	case len(peer) > 0 && later:
		out.Peer, out.Matches = fmt.Sprintf("%x", peer), claims.PeerReadingsLater(p, role, model, in, peer)
	case len(peer) > 0:
		out.Peer, out.Matches = fmt.Sprintf("%x", peer), claims.PeerReadings(p, role, model, kind, in, peer)
	}
	return out, nil
}

// otherReadings computes the challenge under each reading that is not in force.
func otherReadings(p *profile.Profile, s Scenario, own *AttesterExplained, role attls.Role,
	challenge func(*profile.Profile) string, in *claims.BinderInputs) ([]OtherReading, error) {
	var list []OtherReading
	value := ""
	if own.Challenge != nil {
		value = own.Challenge.Value
	}
	for _, r := range p.Readings {
		for _, option := range r.Options {
			if option == r.Chosen {
				continue
			}
			under := s.Reading(map[string]string{r.Switch: option})
			q, err := under.Load()
			if err != nil {
				return nil, err
			}
			other := OtherReading{Switch: r.Switch, Reading: option}
			if name := challenge(q); q.Binder.Program != nil && name != "" {
				b, err := q.Binder.Program.Eval(name, role, in)
				if other.Value = fmt.Sprintf("%x", b); err != nil {
					other.Error = err.Error()
				}
			}
			if other.Value != value {
				list = append(list, other)
			}
		}
	}
	return slices.Clip(list), nil
}
