package dissect

import (
	"bytes"

	"attls"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
	"attls/internal/provider"
)

// InCertificate is what a certificate holds under a profile that puts Evidence there.
type InCertificate struct {
	Profile  string
	Readings map[string]string // that differ from the defaults
	Field    string            // the field that holds the payload
	Payload  []byte
	// Values are what fields hold besides the payload, by definition of the binder. Differ
	// are those that are not what the binder gives.
	Values map[string][]byte
	Differ []string
	// Challenge is what the profile binds Evidence to; nil where that takes more than the
	// certificate. At is where it is in the payload; -1: nowhere.
	Challenge []byte
	At        int
}

// sound says how well a reading fits, for choosing among them.
func (c *InCertificate) sound() (n int) {
	if len(c.Differ) == 0 {
		n++
	}
	if c.At >= 0 {
		n += 2
	}
	return n
}

// Certificate reads a DER certificate under every embedded profile that puts Evidence into
// certificates: at most one result for each, under the reading that fits best. Nothing is
// verified but what the certificate says of itself.
func Certificate(der []byte) (found []InCertificate) {
	for _, name := range profile.Names() {
		p, err := profile.Load(name, profile.Options{})
		if err != nil || !p.InCertificate() {
			continue
		}
		best := inCertificate(p, der, nil)
		for _, r := range p.Readings {
			for _, option := range r.Options {
				q, err := p.Reread(r.Switch, option)
				if err != nil || option == r.Default {
					continue
				}
				other := inCertificate(q, der, map[string]string{r.Switch: option})
				if other != nil && (best == nil || other.sound() > best.sound()) {
					best = other
				}
			}
		}
		if best != nil {
			found = append(found, *best)
		}
	}
	return found
}

func inCertificate(p *profile.Profile, der []byte, readings map[string]string) *InCertificate {
	k, _ := p.Credential(profile.KindX509)
	c := &InCertificate{
		Profile:  p.ID,
		Readings: readings,
		Field:    p.X509[k.Field].String(),
		Values:   map[string][]byte{},
		At:       -1,
	}
	in := certificateInputs{der}
	for i := range p.X509 {
		parts, err := p.ReadField(i, der)
		if err != nil || parts == nil && i == k.Field {
			return nil
		}
		for n, part := range parts {
			name := p.X509[i].Parts[n]
			if name == "" {
				c.Payload = part
				continue
			}
			c.Values[name] = part
			if want, err := p.Binder.Program.Eval(name, attls.RoleServer, in); err != nil || !bytes.Equal(want, part) {
				c.Differ = append(c.Differ, name)
			}
		}
	}
	if name := p.Binder.Challenge[profile.ModelEvidence][profile.KindX509]; name != "" && p.Binder.Program != nil {
		if v, err := p.Binder.Program.Eval(name, attls.RoleServer, in); err == nil {
			c.Challenge, c.At = v, bytes.Index(c.Payload, v)
		}
	}
	return c
}

// certificateInputs is a handshake of which the certificate alone is known.
type certificateInputs struct{ der []byte }

func (certificateInputs) Hash() string                             { return "SHA-256" }
func (certificateInputs) Secret(binder.Secret) ([]byte, bool)      { return nil, false }
func (certificateInputs) Transcript(binder.Range) ([]byte, bool)   { return nil, false }
func (certificateInputs) Nonce(attls.Role) ([]byte, bool)          { return nil, false }
func (certificateInputs) RequestContext(attls.Role) ([]byte, bool) { return nil, false }
func (certificateInputs) AttesterSize(attls.Role) (int, bool)      { return 0, false }
func (certificateInputs) Later(binder.Later) ([]byte, bool)        { return nil, false }
func (c certificateInputs) Certificate(attls.Role) ([]byte, bool)  { return c.der, true }
func (c certificateInputs) SPKI(attls.Role) ([]byte, bool) {
	spki, err := provider.SPKIFromCertificate(c.der)
	return spki, err == nil
}

var _ binder.Inputs = certificateInputs{}
