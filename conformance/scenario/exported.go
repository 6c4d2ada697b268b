package scenario

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"attls"
	"attls/extensions/profile"
	"attls/handshake/exported"
)

// inHandshake reports whether a profile has a slot of the handshake for an attester, a model
// and a credential.
func inHandshake(p *profile.Profile, attester attls.Role, m profile.Model, k profile.CredentialKind) bool {
	for i := range p.Slots {
		if s := &p.Slots[i]; s.Attester == attester && slices.Contains(s.Models, m) && slices.Contains(s.Kinds, k) {
			return true
		}
	}
	return false
}

// exportedAttestation lets both ends attest in exported authenticators, where the profile
// has a slot of the attester for the scheme.
func (s *Setup) exportedAttestation(attester attls.Role, scheme profile.Scheme, size int) {
	i := s.Profile.LaterSlot(attester)
	if i < 0 || !slices.Contains(s.Profile.Later[i].Models, scheme.Model) || scheme.Credential != profile.KindX509 {
		return
	}
	for _, role := range attls.Roles() {
		end := s.Ends[role]
		if end.Exported == nil {
			end.Exported = &exported.Config{Profile: end.Config.Profile}
			if role == attls.RoleClient {
				end.Exported.ServerName = s.Scenario.serverName()
			}
		}
		if role == attester {
			end.Exported.Produce, end.Exported.AttesterSize = append(end.Exported.Produce, scheme), size
		} else {
			end.Exported.Accept, end.Exported.AppraiserSize = append(end.Exported.Accept, scheme), size
		}
	}
}

// The application data of a run behind a second attestation.
const again = "And once more, after another attestation.\n"

// exchangeLater is exchange where ends attest in exported authenticators.
func exchangeLater(ctx context.Context, c *exported.Conn, role attls.Role, s *Scenario) error {
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(deadline)
	}
	if err := c.Attest(ctx); err != nil {
		return err
	}
	if err := converse(c, role); err != nil {
		return err
	}
	if s.ExtendedKeyUpdate {
		if err := renew(c, role); err != nil {
			return err
		}
	}
	if s.Reattest {
		if err := reattest(ctx, c, role, s.Attester); err != nil {
			return err
		}
	}
	return closeBoth(c)
}

// reattest asks the peer again, where this end relies on it, and lets data go both ways
// behind that: who attests answers while it reads.
func reattest(ctx context.Context, c *exported.Conn, role attls.Role, attesters Attesters) error {
	if attesters.Has(role.Peer()) {
		if _, err := c.Reattest(ctx); err != nil {
			return fmt.Errorf("the second attestation: %w", err)
		}
	}
	if _, err := c.Write([]byte(again)); err != nil {
		return err
	}
	return expect(c, again)
}

// collectLater adds what was attested in exported authenticators.
func (r *runner) collectLater(set *Setup, conns [2]*exported.Conn, result *Result) {
	for _, role := range attls.Roles() {
		if conns[role] == nil {
			continue
		}
		p := set.Ends[role].Exported.Profile
		list := conns[role].Outcomes()
		slices.SortStableFunc(list, func(a, b exported.Outcome) int { // at both ends alike
			return cmp.Compare(b.Attester, a.Attester)
		})
		for i := range list {
			o := &list[i]
			result.Claims[role].AddAuthenticator(p, &o.AttestationState, o.Context, o.Inputs)
			name := p.Binder.Authenticator[o.Scheme.Model]
			if role != attls.RoleClient || p.Binder.Program == nil || name == "" {
				continue
			}
			tree := p.Binder.Program.Explain(name, o.Attester, o.Inputs)
			result.Binders = append(result.Binders, *MakeBinder(o.Attester, name, tree))
		}
	}
}
