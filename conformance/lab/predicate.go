package lab

import (
	"fmt"
	"slices"
	"strings"

	"attls"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
)

// Predicate is a condition on a profile and a combination, which the program evaluates.
type Predicate struct {
	Name  string
	Not   bool
	known predicate
}

// predicate is a condition and what it says of a profile that meets it.
type predicate struct {
	text  string // "the profile …"
	holds func(p *profile.Profile, c *Combination) bool
}

// Reason says why a combination does not meet the predicate; empty when it does.
func (p *Predicate) Reason(of *profile.Profile, c *Combination) string {
	if p.known.holds(of, c) != p.Not {
		return ""
	}
	if p.Not {
		return fmt.Sprintf("it is for profiles of which this is not so: %s", p.known.text)
	}
	return fmt.Sprintf("it needs this, which is not so: %s", p.known.text)
}

// Combination is a way to attest under a profile.
type Combination struct {
	Attester   scenario.Attesters `json:"attester"`
	Model      string             `json:"model"`
	Credential string             `json:"credential"`

	model profile.Model
	kind  profile.CredentialKind
	role  attls.Role // of the attester that is attacked
}

// combinations are those that a profile allows.
func combinations(p *profile.Profile) (list []Combination, err error) {
	for _, c := range scenario.Combinations(p) {
		if c.Reason != "" || p.AttestsOnlyAfter() && c.Attester.Has(attls.RoleClient) {
			continue // scripts attack what is attested in the handshake, and behind that
		}
		x := Combination{Attester: c.Attester, Model: c.Model, Credential: c.Credential, role: attls.RoleServer}
		if x.model, err = scenario.ParseModel(c.Model); err != nil {
			return nil, err
		}
		if x.kind, err = scenario.ParseCredential(c.Credential); err != nil {
			return nil, err
		}
		if c.Attester != scenario.AttestServer { // of both, the client is the one that is attacked
			x.role = attls.RoleClient
		}
		list = append(list, x)
	}
	return list, nil
}

// slot reports whether a slot is for the combination.
func (c *Combination) slot(s *profile.Slot) bool {
	return s.Attester == c.role && !s.PostHandshake && slices.Contains(s.Models, c.model) &&
		slices.Contains(s.Kinds, c.kind)
}

// after reports whether a client attests in post-handshake authentication.
func (c *Combination) after(p *profile.Profile) bool {
	if !p.PostHandshake.ClientAuthentication || c.role != attls.RoleClient {
		return false
	}
	for i := range p.Slots {
		if s := &p.Slots[i]; p.UsesSlot(i, true) && slices.Contains(s.Models, c.model) && p.AttestsLater(i, c.kind) {
			return true
		}
	}
	return false
}

// challenge is the name of the binder of a combination; empty: nothing is bound.
func (c *Combination) challenge(p *profile.Profile) string {
	if p.Binder.Program == nil {
		return ""
	}
	if later(p, c.role) {
		return p.Binder.Authenticator[c.model]
	}
	return p.Binder.Challenge[c.model][c.kind]
}

// overKey reports whether the binder of a combination is computed over the attester's key.
func (c *Combination) overKey(p *profile.Profile) bool {
	if later(p, c.role) {
		return p.Binder.OverKeyLater(c.model, c.role)
	}
	return p.Binder.OverKey(c.model, c.kind, c.role)
}

// depends is what the binder of a combination is made from.
func (c *Combination) depends(p *profile.Profile) (d binder.Dependencies) {
	if name := c.challenge(p); name != "" {
		d = p.Binder.Program.Depends(name, c.role)
	}
	return d
}

var predicates = map[string]predicate{
	"x509": {"an X.509 certificate goes with the attestation", func(_ *profile.Profile, c *Combination) bool {
		return c.kind == profile.KindX509
	}},
	"alone": {"the attestation is the whole credential", func(_ *profile.Profile, c *Combination) bool {
		return c.kind == profile.KindAlone
	}},
	"evidence": {"Evidence is sent, in the background-check model", func(_ *profile.Profile, c *Combination) bool {
		return c.model == profile.ModelEvidence
	}},
	"results": {"Attestation Results are sent, in the passport model", func(_ *profile.Profile, c *Combination) bool {
		return c.model == profile.ModelResults
	}},
	"bound": {"the profile binds the payload to something", func(p *profile.Profile, c *Combination) bool {
		return c.challenge(p) != ""
	}},
	"nonce": {"the profile sends a nonce to the attester", func(p *profile.Profile, c *Combination) bool {
		return later(p, c.role) || slices.ContainsFunc(p.Slots, func(s profile.Slot) bool {
			return c.slot(&s) && s.Nonce.Message != attls.KindNone
		})
	}},
	"nonce_drawn": {"the relying party draws its nonce", func(p *profile.Profile, _ *Combination) bool {
		return p.Rules.NonceFixed == nil
	}},
	"key_in_binder": {"the binder is computed over the attester's key", func(p *profile.Profile, c *Combination) bool {
		return c.challenge(p) != "" && c.overKey(p)
	}},
	"handshake_in_binder": {"the binder is computed over the transcript or a secret of the handshake",
		func(p *profile.Profile, c *Combination) bool {
			d := c.depends(p)
			return len(d.Ranges)+len(d.Secrets) > 0
		}},
	"negotiated": {"attestation is offered and chosen", func(p *profile.Profile, c *Combination) bool {
		return later(p, c.role) ||
			slices.ContainsFunc(p.Slots, func(s profile.Slot) bool { return c.slot(&s) && !s.Always })
	}},
	"in_handshake": {"the attester attests in the handshake", func(p *profile.Profile, c *Combination) bool {
		return !later(p, c.role) && !(p.AttestsOnlyAfter() && c.role == attls.RoleClient)
	}},
	"authenticators": {"the attester attests in exported authenticators after the handshake",
		func(p *profile.Profile, c *Combination) bool { return later(p, c.role) }},
	"asked_again": {"an attester can be asked again: a client after the handshake, or either end in authenticators",
		func(p *profile.Profile, c *Combination) bool {
			if later(p, c.role) {
				return p.Authenticator.Repeats()
			}
			return c.after(p)
		}},
	"key_updates": {"EncryptedExtensions may have the flag of extended key updates",
		func(p *profile.Profile, _ *Combination) bool {
			only := p.Quirks.EncryptedExtensionsOnly
			return only == nil || slices.Contains(only, attls.ExtTLSFlags)
		}},
	"attested_updates": {"the attester attests with each extended key update",
		func(p *profile.Profile, c *Combination) bool { return p.UpdateSlot(c.role) >= 0 }},
	"in_certificate": {"the payload is in the end-entity certificate", func(p *profile.Profile, c *Combination) bool {
		k, ok := p.Credential(c.kind)
		return ok && k.Carrier == profile.CarrierCertificate
	}},
	"post_handshake": {"a client attests in post-handshake authentication", func(p *profile.Profile, c *Combination) bool {
		return c.after(p)
	}},
	"retry_readings": {"the text leaves open which transcript counts after HelloRetryRequest",
		func(p *profile.Profile, _ *Combination) bool { return len(readingsOf(p, "hrr")) > 1 }},
	"label_readings": {"the text spells the label of the exporter in more than one way",
		func(p *profile.Profile, _ *Combination) bool { return len(readingsOf(p, "label")) > 1 }},
	"schedule_readings": {"the text leaves open on which secret its branch of the key schedule begins",
		func(p *profile.Profile, _ *Combination) bool { return len(readingsOf(p, "schedule")) > 1 }},
	"sessions_accepted": {"the profile leaves resumption to the policy or allows it within the validity of the verdict",
		func(p *profile.Profile, _ *Combination) bool { return p.Resumption.Accept != "never" }},
	"early_data_accepted": {"the profile leaves early data to the policy or allows it within the validity of the verdict",
		func(p *profile.Profile, _ *Combination) bool { return p.Resumption.EarlyData != "never" }},
	"pkix": {"path validation of the certificate is demanded as well", func(p *profile.Profile, c *Combination) bool {
		k, ok := p.Credential(c.kind)
		return ok && k.PKIX
	}},
	"offer_in_client_hello": {"the offer is an extension of ClientHello", func(p *profile.Profile, c *Combination) bool {
		return offerName(p, c) != ""
	}},
	"name_checked": {"the attester is a server, whose name is compared with its certificate",
		func(_ *profile.Profile, c *Combination) bool { return c.role == attls.RoleServer }},
}

// offerName is the name of the extension of ClientHello that offers to take, or make, the
// attestation of a role.
func offerName(p *profile.Profile, c *Combination) string {
	if later(p, c.role) && p.Authenticator.FlagName != "" {
		return attls.ExtTLSFlags.String()
	}
	for i := range p.Slots {
		s := &p.Slots[i]
		if s.Always || !c.slot(s) || s.Offer.Message != attls.KindClientHello {
			continue
		}
		for k := range p.Extensions {
			if p.Extensions[k].Type == s.Offer.Extension {
				return p.Extensions[k].Name
			}
		}
	}
	return ""
}

// readingsOf are the readings of a switch, that in force first; none where the profile
// does not have the switch.
func readingsOf(p *profile.Profile, name string) []string {
	for _, r := range p.Readings {
		if r.Switch != name {
			continue
		}
		list := []string{r.Chosen}
		for _, o := range r.Options {
			if o != r.Chosen {
				list = append(list, o)
			}
		}
		return list
	}
	return nil
}

// String names the combination: server/evidence/x509.
func (c *Combination) String() string {
	return strings.Join([]string{string(c.Attester), c.Model, c.Credential}, "/")
}
