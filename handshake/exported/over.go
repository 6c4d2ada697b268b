package exported

import (
	"crypto"
	"crypto/tls"
	"strings"

	"attls"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
	"attls/handshake/authenticator"
	"attls/internal/provider"
)

// Over returns the session of a connection of another stack, of which an exporter and the hash
// of the cipher suite are known; authenticator.ForTLS, Values and ExporterOf help with that.
// Certificates are the DER end-entity certificates of the handshake by role, where the binder
// is about them; nil: unknown. Where a is nil, or says nothing of Extensions and Limits, those
// of the profile and of c count. What the profile needs and such a stack does not give, such as
// a transcript or a TLS flag, is refused. The session makes the one authenticator.Connection
// that each end has.
func Over(c *Config, a *authenticator.Config, certificates [2][]byte, ask Ask) (*Session, error) {
	if a == nil {
		return nil, bad("", "there is no authenticator.Config")
	}
	if err := c.Check(a.Role); err != nil {
		return nil, err
	}
	if err := c.checkLent(a.Role, certificates); err != nil {
		return nil, err
	}
	own := *a
	if own.Extensions == nil {
		table, err := extensions.RFC8446().With(c.Profile.LaterExtensions...)
		if err != nil {
			return nil, err
		}
		own.Extensions = table
	}
	if own.Limits == (authenticator.Limits{}) {
		own.Limits = c.Limits
	}
	over, err := authenticator.New(&own)
	if err != nil {
		return nil, err
	}
	return NewSession(c, over, &lentInputs{hash: a.Hash, export: binder.Exporter(a.Export), certificates: certificates},
		ask)
}

// OverTLS is Over for an end of a connection of crypto/tls whose handshake is complete. Own is
// the DER end-entity certificate that this end has shown in the handshake, which the state does
// not have; nil: none, or the profile does not bind it.
func OverTLS(c *Config, role attls.Role, s *tls.ConnectionState, own []byte, ask Ask) (*Session, error) {
	a, err := authenticator.ForTLS(role, s)
	switch {
	case err != nil:
		return nil, err
	case c != nil && c.Profile != nil && s.DidResume && c.Profile.Resumption.Accept == "never":
		return nil, bad("Profile", "%s allows no resumption, and the connection was resumed; see SessionTicketsDisabled "+
			"of tls.Config", c.Profile.ID)
	}
	var certificates [2][]byte
	certificates[role] = own
	if len(s.PeerCertificates) > 0 {
		certificates[role.Peer()] = s.PeerCertificates[0].Raw
	}
	return Over(c, a, certificates, ask)
}

// checkLent refuses what a stack that lends its exporter does not give.
func (c *Config) checkLent(role attls.Role, certificates [2][]byte) *attls.Error {
	p := c.Profile
	if p.Authenticator.FlagName != "" {
		return bad("Profile", "%s wants the TLS flag %s in the handshake, which another stack does not set", p.ID,
			p.Authenticator.FlagName)
	}
	for i := range p.Later {
		s := &p.Later[i]
		framed := s.Phase == profile.PhaseFrame
		known := [2]bool{len(certificates[0]) > 0, len(certificates[1]) > 0}
		known[s.Attester] = known[s.Attester] || !framed // by the authenticator
		list := c.Accept
		if s.Attester == role {
			list = c.Produce
		}
		for _, scheme := range list {
			var beyond []string
			for _, name := range p.LaterDefinitions(i, scheme.Model) {
				beyond = append(beyond, p.Binder.Program.Beyond(name, s.Attester, known, framed)...)
			}
			if len(beyond) > 0 {
				return bad("Profile", "the binder of the %v under %s needs %s, and the stack gives its exporter, the certificates "+
					"that are known and nothing else", s.Attester, p.ID, strings.Join(beyond, ", "))
			}
		}
	}
	return nil
}

// lentInputs are what a binder can ask of a stack that lends its exporter.
type lentInputs struct {
	hash         crypto.Hash
	export       binder.Exporter
	certificates [2][]byte
}

var _ binder.Exporting = (*lentInputs)(nil)

// Hash is a name of the binder language, where crypto.Hash has others.
func (i *lentInputs) Hash() string {
	if i.hash == crypto.SHA384 {
		return "SHA-384"
	}
	return "SHA-256"
}

func (i *lentInputs) Exporter() binder.Exporter { return i.export }

func (i *lentInputs) Certificate(r attls.Role) ([]byte, bool) {
	der := i.certificates[r]
	return der, len(der) > 0
}

func (i *lentInputs) SPKI(r attls.Role) ([]byte, bool) {
	spki, err := provider.SPKIFromCertificate(i.certificates[r])
	return spki, err == nil
}

func (i *lentInputs) Secret(binder.Secret) ([]byte, bool)      { return nil, false }
func (i *lentInputs) Transcript(binder.Range) ([]byte, bool)   { return nil, false }
func (i *lentInputs) Nonce(attls.Role) ([]byte, bool)          { return nil, false }
func (i *lentInputs) RequestContext(attls.Role) ([]byte, bool) { return nil, false }
func (i *lentInputs) AttesterSize(attls.Role) (int, bool)      { return 0, false }
func (i *lentInputs) Later(binder.Later) ([]byte, bool)        { return nil, false }

// Exporter is that of a stack that lends it; nil: the inputs have the secret.
func (i *inputs) Exporter() binder.Exporter {
	if x, ok := i.Inputs.(binder.Exporting); ok {
		return x.Exporter()
	}
	return nil
}
