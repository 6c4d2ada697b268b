package corim

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"attls/attestation"
	"attls/attestation/cca"
	"attls/attestation/psa"

	"github.com/veraison/corim/comid"
	profilecca "github.com/veraison/corim/profiles/cca"
	profilepsa "github.com/veraison/corim/profiles/psa"
	"github.com/veraison/psatoken"
	"go.yaml.in/yaml/v3"
)

var psaRow = &row{
	root:     psa.Name,
	profiles: []string{profilepsa.ProfileURI},
	policy: func(n *yaml.Node) (attestation.Policy, error) {
		var p psa.Policy
		err := n.Decode(&p)
		return p, err
	},
	add: func(m *Manifest, v *attestation.Verifier, c *Changes) error {
		p, _ := v.Policies[psa.Name].(psa.Policy)
		a := platform{devices: p.Devices, software: p.Software}
		if err := a.add(m, c, "roots.psa", profilepsa.PSASoftwareComponentMkey); err != nil {
			return err
		}
		p.Devices, p.Software = a.devices, a.software
		v.Policies[psa.Name] = p
		return nil
	},
	export: func(v *attestation.Verifier, e *Export) error {
		p, ok := v.Policies[psa.Name].(psa.Policy)
		if !ok {
			return fmt.Errorf("roots.psa: a policy of type %T", v.Policies[psa.Name])
		}
		a := platform{devices: p.Devices, software: p.Software}
		e.missing(len(p.Lifecycle) > 0, "roots.psa.lifecycle")
		e.missing(bool(p.UnattestedKey), "roots.psa.unattested_key")
		return a.export(e, "roots.psa", "", profilepsa.ProfileURI, profilepsa.PSASoftwareComponentMkey)
	},
}

// unnamed is what a component without a measurement type is called in a policy.
const unnamed = "unnamed"

// platform is what policies of PSA and of the platform of CCA have in common.
type platform struct {
	devices  psa.Devices
	software psa.Software
	config   []attestation.Octets // of CCA
}

// granted is what may run on the platforms of one implementation.
type granted struct {
	where    string
	software map[string][]attestation.Octets
	config   []attestation.Octets
}

// covers reports whether other grants no more.
func (g *granted) covers(other *granted) bool {
	for name, values := range other.software {
		for _, v := range values {
			if !contains(g.software[name], v) {
				return false
			}
		}
	}
	for _, v := range other.config {
		if !contains(g.config, v) {
			return false
		}
	}
	return true
}

// add merges the triples of a manifest. The software of a policy is that of all its
// devices, the reference values of a manifest are those of one implementation:
// afterwards no device may be accepted with software that neither the policy accepted
// for it nor the manifest does for its implementation.
func (a *platform) add(m *Manifest, c *Changes, section, component string) error {
	before := granted{software: a.software.Measurements, config: a.config}
	if a.software.Measurements = maps.Clone(before.software); a.software.Measurements == nil {
		a.software.Measurements = map[string][]attestation.Octets{}
	}
	old := slices.Clone(a.devices)
	signers := len(a.software.Signers) > 0 || len(before.software) == 0
	by := map[string]*granted{}
	for _, r := range m.references {
		g, err := a.reference(r, c, section, component, signers)
		if err != nil {
			return err
		}
		by[string(r.Environment.Class.ClassID.Bytes())] = g
	}
	for _, k := range m.keys {
		if err := a.device(k, c, section); err != nil {
			return err
		}
	}
	if len(a.software.Measurements) == 0 {
		a.software.Measurements = nil
	}
	after := &granted{software: a.software.Measurements, config: a.config}
	for i, d := range a.devices {
		mine := &granted{software: map[string][]attestation.Octets{}}
		for _, o := range old {
			if bytes.Equal(o.Implementation, d.Implementation) && (o.Implementation == nil) == (d.Implementation == nil) {
				mine.merge(&before)
				break
			}
		}
		if g := by[string(d.Implementation)]; g != nil && d.Implementation != nil {
			mine.merge(g)
		}
		if !mine.covers(after) {
			return fmt.Errorf(
				"%s: device %d is of %s, and would be accepted with software that the manifest or the file has for another "+
					"implementation: "+
					"a policy has one list for all its devices; use a file for each implementation", section, i+1,
				implementation(d.Implementation))
		}
	}
	return nil
}

func implementation(id []byte) string {
	if id == nil {
		return "any implementation"
	}
	return fmt.Sprintf("the implementation %x", id)
}

func (g *granted) merge(other *granted) {
	for name, values := range other.software {
		g.software[name] = append(slices.Clone(g.software[name]), values...)
	}
	g.config = append(g.config, other.config...)
}

// reference adds a reference-value triple.
func (a *platform) reference(r reference, c *Changes, section, component string, signers bool) (*granted, error) {
	id, err := class(r.where, &r.Environment, comid.BytesType)
	if err == nil {
		err = psatoken.ValidateImplID(id)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.where, err)
	}
	if r.Environment.Instance != nil {
		return nil,
			fmt.Errorf("%s.environment.instance: reference values of one instance; a policy has them for all its devices",
				r.where)
	}
	a.informative(r.where, &r.Environment, c)
	g := &granted{where: r.where, software: map[string][]attestation.Octets{}}
	for i := range r.Measurements.Values {
		x := &r.Measurements.Values[i]
		where := fmt.Sprintf("%s.measurements[%d]", r.where, i)
		name, err := mkey(where, x)
		if err != nil {
			return nil, err
		}
		switch name {
		case component:
			err = a.component(g, where, &x.Val, c, section, signers)
		case profilecca.CCAPlatformConfigMkey:
			err = a.configuration(g, where, &x.Val, c, section)
		default:
			err = fmt.Errorf("%s.mkey: %q is not known", where, name)
		}
		if err != nil {
			return nil, err
		}
	}
	return g, nil
}

// informative notes what names a class besides its identifier.
func (a *platform) informative(where string, e *comid.Environment, c *Changes) {
	if e.Class.Vendor != nil || e.Class.Model != nil {
		c.note("%s.environment.class: vendor and model are not compared; the identifier is", where)
	}
}

func (a *platform) component(g *granted, where string, v *comid.Mval, c *Changes, section string, signers bool) error {
	if err := only(where, v, "version", "digests", "name", "cryptokeys"); err != nil {
		return err
	}
	value, err := digest(where, v)
	if err != nil {
		return err
	}
	name := unnamed
	if v.Name != nil && *v.Name != "" {
		name = *v.Name
	}
	if v.Ver != nil {
		c.note("%s.version: %q is not compared; the digest is", where, v.Ver.Version)
	}
	if v.CryptoKeys == nil || len(*v.CryptoKeys) != 1 || (*v.CryptoKeys)[0] == nil {
		return fmt.Errorf("%s.cryptokeys: there must be one signer id", where)
	}
	signer, ok := (*v.CryptoKeys)[0].Value.(*comid.TaggedBytes)
	if !ok {
		return fmt.Errorf("%s.cryptokeys: the signer id is not octets", where)
	}
	if err := psatoken.ValidatePSAHashType(*signer); err != nil {
		return fmt.Errorf("%s.cryptokeys: %w", where, err)
	}
	g.software[name] = append(g.software[name], value)
	a.software.Measurements[name] = c.octets(slices.Clone(a.software.Measurements[name]), value,
		section+".measurements."+name, where)
	if !signers {
		c.note("%s.signers: the file accepts any signer, and so are those of the manifest not compared", section)
		return nil
	}
	a.software.Signers = c.octets(slices.Clone(a.software.Signers), *signer, section+".signers", where)
	if len(a.software.Signers) > 1 {
		c.note("%s.signers: each signer is accepted for each component; the digest tells them apart", section)
	}
	return nil
}

func (a *platform) configuration(g *granted, where string, v *comid.Mval, c *Changes, section string) error {
	if err := only(where, v, "raw-value", "raw-value-mask"); err != nil {
		return err
	}
	value, err := raw(where, v)
	if err != nil {
		return err
	}
	g.config = append(g.config, value)
	a.config = c.octets(slices.Clone(a.config), value, section+".config", where)
	return nil
}

// device adds an attest-key triple.
func (a *platform) device(k key, c *Changes, section string) error {
	id, err := class(k.where, &k.Environment, comid.BytesType)
	if err != nil {
		return err
	}
	inst, err := instance(k.where, &k.Environment, comid.UEIDType)
	if err != nil {
		return err
	}
	if err := psatoken.ValidateImplID(id); err != nil {
		return fmt.Errorf("%s: %w", k.where, err)
	}
	if err := psatoken.ValidateInstID(inst); err != nil {
		return fmt.Errorf("%s: %w", k.where, err)
	}
	a.informative(k.where, &k.Environment, c)
	pub, err := verificationKey(k)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%s.devices: the key of the instance %x of the implementation %x (%s)", section, inst, id, k.where)
	for i, d := range a.devices {
		same := bytes.Equal(d.Instance, inst) && bytes.Equal(d.Implementation, id)
		switch {
		case same && sameKey(d.Key.PublicKey, pub):
			c.Known = append(c.Known, text)
			return nil
		case same:
			return fmt.Errorf("%s: device %d of %s is the same instance and has another key", k.where, i+1, section)
		}
	}
	c.Added = append(c.Added, text)
	a.devices = append(slices.Clone(a.devices), psa.Device{Key: attestation.PublicKey{PublicKey: pub}, Instance: inst,
		Implementation: id})
	return nil
}

// profileParsec is the profile of Parsec's Evidence of CCA, which has the platform only.
const profileParsec = "tag:github.com/parallaxsecond,2023-03-03:cca"

var (
	ccaRow    = armCCA(cca.Name, profilecca.PlatformProfileURI, profilecca.RealmProfileURI)
	parsecRow = armCCA(cca.Parsec, profileParsec, "")
)

// armCCA is the row of a root of trust with the policy of CCA, whose platform and realm
// have a profile each; empty: nothing can be said of the realm.
func armCCA(root, platformProfile, realmProfile string) *row {
	section := "roots." + root
	r := &row{root: root, profiles: []string{platformProfile}}
	part := ""
	if realmProfile != "" {
		r.profiles, part = append(r.profiles, realmProfile), "platform"
	}
	r.policy = func(n *yaml.Node) (attestation.Policy, error) {
		var p cca.Policy
		err := n.Decode(&p)
		return p, err
	}
	r.add = func(m *Manifest, v *attestation.Verifier, c *Changes) (err error) {
		p, _ := v.Policies[root].(cca.Policy)
		if m.Profile == realmProfile {
			if p.Realm, err = addRealm(p.Realm, m, c, section+".realm"); err != nil {
				return err
			}
		} else {
			a := platform{devices: p.Devices, software: p.Software, config: p.Config}
			if err := a.add(m, c, section, profilecca.CCASoftwareComponentMkey); err != nil {
				return err
			}
			p.Devices, p.Software, p.Config = a.devices, a.software, a.config
		}
		v.Policies[root] = p
		return nil
	}
	r.export = func(v *attestation.Verifier, e *Export) error {
		p, ok := v.Policies[root].(cca.Policy)
		if !ok {
			return fmt.Errorf("%s: a policy of type %T", section, v.Policies[root])
		}
		a := platform{devices: p.Devices, software: p.Software, config: p.Config}
		e.missing(len(p.Lifecycle) > 0, "%s.lifecycle", section)
		e.missing(len(p.Any) > 0, "%s.any", section)
		e.missing(bool(p.UnattestedKey), "%s.unattested_key", section)
		if err := a.export(e, section, part, platformProfile, profilecca.CCASoftwareComponentMkey); err != nil {
			return err
		}
		if realmProfile == "" {
			e.missing(len(p.Realm.Measurements)+len(p.Realm.Personalization)+len(p.Realm.HashAlgorithms) > 0,
				"%s.realm: the profile %s has the platform only", section, platformProfile)
			return nil
		}
		return exportRealm(p.Realm, e, section+".realm")
	}
	return r
}

// export writes devices and software: one triple for each implementation.
func (a *platform) export(e *Export, section, part, profile, component string) error {
	references, keys := comid.NewComid(), comid.NewComid()
	var implementations [][]byte
	for i, d := range a.devices {
		switch {
		case d.Implementation == nil || d.Instance == nil:
			e.missing(true, "%s.devices: device %d, whose instance or implementation may be any", section, i+1)
			continue
		case d.Instance[0] != 1:
			e.missing(true, "%s.devices: device %d, whose instance is not of the type RAND (01)", section, i+1)
			continue
		}
		k, err := newKey(d.Key.PublicKey)
		if err != nil {
			return fmt.Errorf("%s.devices: device %d: %w", section, i+1, err)
		}
		inst, err := comid.NewUEIDInstance(comid.UEID(d.Instance))
		if err != nil {
			return fmt.Errorf("%s.devices: device %d: %w", section, i+1, err)
		}
		keys.AddAttestVerifKey(&comid.KeyTriple{Environment: comid.Environment{
			Class: comid.NewClassBytes([]byte(d.Implementation)), Instance: inst},
			VerifKeys: comid.CryptoKeys{k}})
		if !slices.ContainsFunc(implementations, func(x []byte) bool { return bytes.Equal(x, d.Implementation) }) {
			implementations = append(implementations, d.Implementation)
		}
	}
	if len(a.software.Measurements) > 0 && len(a.software.Signers) == 0 {
		e.missing(true, "%s.measurements: each needs a signer id, and the policy has no signers", section)
	} else if len(implementations) == 0 {
		e.missing(len(a.software.Measurements) > 0,
			"%s.measurements: they are those of an implementation, and no device has one", section)
	} else if len(a.software.Measurements) > 0 {
		for _, id := range implementations {
			t := &comid.ValueTriple{Environment: comid.Environment{Class: comid.NewClassBytes(id)}}
			a.measurements(&t.Measurements, component)
			references.AddReferenceValue(t)
		}
		if len(a.config) > 1 {
			e.missing(true, "%s.config: a manifest has one, and the policy %d; it has the first", section, len(a.config))
		}
	} else {
		e.missing(len(a.software.Signers) > 0, "%s.signers: they are those of components, and there are no measurements",
			section)
	}
	e.missing(len(a.config) > 0 && references.Triples.ReferenceValues == nil,
		"%s.config: it goes with measurements, and there are none", section)
	e.part(part, profile, references, keys)
	return nil
}

// measurements are those of one triple: each value by each signer, as the policy has
// it.
func (a *platform) measurements(to *comid.Measurements, component string) {
	for _, name := range sorted(a.software.Measurements) {
		for _, value := range a.software.Measurements[name] {
			for _, signer := range a.software.Signers {
				m := newMeasurement(component).AddDigest(hashes[len(value)], value)
				if name != unnamed {
					m.Val.Name = &name
				}
				m.AddCryptoKey(comid.MustNewCryptoKey([]byte(signer), comid.BytesType))
				to.Add(m)
			}
		}
	}
	if len(a.config) > 0 {
		mask := bytes.Repeat([]byte{0xff}, len(a.config[0]))
		to.Add(newMeasurement(profilecca.CCAPlatformConfigMkey).SetRawValueBytes(a.config[0], mask))
	}
}
