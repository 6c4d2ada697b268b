package corim

import (
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"

	"attls/attestation"
	"attls/attestation/snp"

	"github.com/google/go-sev-guest/kds"
	"github.com/veraison/corim/comid"
	"go.yaml.in/yaml/v3"
)

// Names of draft-deeglaze-amd-sev-snp-corim-profile, as Veraison has them too.
const (
	profileSNP = "tag:amd.com,2024:snp-corim-profile"
	classSNP   = "1.3.6.1.4.1.3704.3.1"
	vendorAMD  = "Advanced Micro Devices"

	keyMeasurement = 641
	keyReportedTCB = 647
)

// snpElements are the measured elements that are raw values, by the words of a policy,
// with their lengths in octets.
var snpElements = []struct {
	word string
	key  uint64
	size int
}{{"family_id", 3, 16}, {"image_id", 4, 16}, {instances, 3328, 64}}

const (
	measurementWord = "measurement"
	instances       = "instances"
	minimumTCB      = "minimum_tcb"
)

// snpWords are the values of a policy that a triple can have.
var snpWords = []string{measurementWord, "family_id", "image_id", instances, minimumTCB}

var snpRow = &row{
	root:     snp.Name,
	profiles: []string{profileSNP},
	policy: func(n *yaml.Node) (attestation.Policy, error) {
		var p snp.Policy
		err := n.Decode(&p)
		return p, err
	},
	add:    addSNP,
	export: exportSNP,
}

func addSNP(m *Manifest, v *attestation.Verifier, c *Changes) error {
	const section = "roots." + snp.Name
	p, _ := v.Policies[snp.Name].(snp.Policy)
	accepted := map[string][]attestation.Octets{}
	maps.Copy(accepted, p.Measurements)
	if p.Instances != nil {
		accepted[instances] = p.Instances
	}
	if p.MinimumTCB != nil {
		accepted[minimumTCB] = []attestation.Octets{tcbOf(p.MinimumTCB)}
	}
	for _, r := range m.references {
		values, err := guestOf(r)
		if err != nil {
			return err
		}
		if old, now := accepted[minimumTCB], values[minimumTCB]; old != nil && now != nil && !subset(now, old) {
			return fmt.Errorf("%s: the minimum TCB is not that of the policy, which has one", r.where)
		}
		err = combine(snpWords, accepted, values, c, r.where, func(word string) string {
			if word == instances || word == minimumTCB {
				return section + "." + word
			}
			return section + ".measurements." + word
		})
		if err != nil {
			return err
		}
	}
	for _, k := range m.keys {
		var err error
		if p.TrustAnchors, err = anchors(p.TrustAnchors, k, c, section+".trust_anchors"); err != nil {
			return err
		}
	}
	p.Instances = accepted[instances]
	if tcb := accepted[minimumTCB]; tcb != nil {
		p.MinimumTCB = levelsOf(tcb[0])
	}
	delete(accepted, instances)
	delete(accepted, minimumTCB)
	if p.Measurements = accepted; len(accepted) == 0 {
		p.Measurements = nil
	}
	v.Policies[snp.Name] = p
	return nil
}

// tcbOf is the TCB version of security patch levels, and levelsOf the other way round.
func tcbOf(levels map[string]attestation.Whole) []byte {
	v, _ := kds.ComposeTCBParts(kds.TCBParts{BlSpl: uint8(levels["bootloader"]), TeeSpl: uint8(levels["tee"]),
		SnpSpl: uint8(levels["snp"]), UcodeSpl: uint8(levels["microcode"])})
	return binary.BigEndian.AppendUint64(nil, uint64(v))
}

func levelsOf(b []byte) map[string]attestation.Whole {
	t := kds.DecomposeTCBVersion(kds.TCBVersion(binary.BigEndian.Uint64(b)))
	return map[string]attestation.Whole{"bootloader": attestation.Whole(t.BlSpl), "tee": attestation.Whole(t.TeeSpl),
		"snp": attestation.Whole(t.SnpSpl), "microcode": attestation.Whole(t.UcodeSpl)}
}

// guestOf are the values of one triple.
func guestOf(r reference) (map[string][]attestation.Octets, error) {
	if _, err := class(r.where, &r.Environment, comid.OIDType); err != nil {
		return nil, err
	}
	if id := r.Environment.Class.ClassID.String(); id != classSNP {
		return nil, fmt.Errorf("%s.environment.class.class-id: %s; that of guests is %s", r.where, id, classSNP)
	}
	out := map[string][]attestation.Octets{}
	for i := range r.Measurements.Values {
		x := &r.Measurements.Values[i]
		where := fmt.Sprintf("%s.measurements[%d]", r.where, i)
		if x.Key == nil || !x.Key.IsSet() {
			return nil, fmt.Errorf("%s.mkey is missing", where)
		}
		n, err := x.Key.GetKeyUint()
		if err != nil {
			return nil, fmt.Errorf("%s.mkey: %w", where, err)
		}
		word, value, err := guestValue(where, n, &x.Val)
		if err != nil {
			return nil, err
		}
		if out[word] != nil {
			return nil, fmt.Errorf("%s: a second value of %s", where, word)
		}
		out[word] = []attestation.Octets{value}
	}
	if out[measurementWord] == nil {
		return nil, fmt.Errorf("%s: there is no measurement (%d)", r.where, keyMeasurement)
	}
	if r.Environment.Instance != nil {
		id, err := instance(r.where, &r.Environment, comid.BytesType)
		if err != nil {
			return nil, err
		}
		if string(id) != string(out[measurementWord][0]) {
			return nil, fmt.Errorf("%s.environment.instance: %x is not the measurement", r.where, id)
		}
	}
	return out, nil
}

// guestValue is the value of one measured element, and what a policy calls it.
func guestValue(where string, key uint64, v *comid.Mval) (word string, value []byte, err error) {
	switch key {
	case keyMeasurement:
		if err = only(where, v, "digests"); err == nil {
			value, err = digest(where, v)
		}
		if err == nil && len(value) != 48 {
			err = fmt.Errorf("%s.digests: %d octets; a measurement has 48", where, len(value))
		}
		return measurementWord, value, err
	case keyReportedTCB:
		if err = only(where, v, "svn"); err == nil {
			value, err = leastTCB(where, v)
		}
		return minimumTCB, value, err
	}
	for _, x := range snpElements {
		if x.key != key {
			continue
		}
		if err = only(where, v, "raw-value", "raw-value-mask"); err == nil {
			value, err = raw(where, v)
		}
		if err == nil && len(value) != x.size {
			err = fmt.Errorf("%s.raw-value: %d octets; it has %d", where, len(value), x.size)
		}
		return x.word, value, err
	}
	return "", nil, fmt.Errorf("%s.mkey: a policy cannot compare the element %d", where, key)
}

// leastTCB reads a min-svn, whose octets are security patch levels.
func leastTCB(where string, v *comid.Mval) ([]byte, error) {
	if v.SVN == nil {
		return nil, fmt.Errorf("%s.svn is missing", where)
	}
	least, ok := v.SVN.Value.(*comid.TaggedMinSVN)
	if !ok {
		return nil, fmt.Errorf("%s.svn: an exact value; a policy has the least (min-svn)", where)
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(*least))
	if string(tcbOf(levelsOf(b))) != string(b) {
		return nil, fmt.Errorf("%s.svn: %#016x has levels of components that a policy does not have", where, uint64(*least))
	}
	return b, nil
}

// anchors adds the certificates of an attest-key triple.
func anchors(list attestation.Certificates, k key, c *Changes, place string) (attestation.Certificates, error) {
	if e := &k.Environment; e.Class == nil || e.Class.ClassID != nil || e.Class.GetVendor() != vendorAMD ||
		e.Instance != nil {
		return nil, fmt.Errorf("%s.environment: the class of AMD's root keys is the vendor %q and a model",
			k.where, vendorAMD)
	}
	for i, v := range k.VerifKeys {
		where := fmt.Sprintf("%s.keys[%d]", k.where, i)
		if v == nil || v.Value == nil || v.Type() != comid.PKIXBase64CertType {
			return nil, fmt.Errorf("%s: not a pkix-base64-cert", where)
		}
		block, _ := pem.Decode([]byte(v.String()))
		if block == nil {
			return nil, fmt.Errorf("%s: not PEM", where)
		}
		x, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		if x.CheckSignatureFrom(x) != nil {
			return nil, fmt.Errorf("%s: %q did not sign itself, so it is not a root key", where, x.Subject)
		}
		text := fmt.Sprintf("%s: %s (%s)", place, x.Subject, where)
		if slices.ContainsFunc(list, x.Equal) {
			c.Known = append(c.Known, text)
			continue
		}
		c.Added = append(c.Added, text)
		list = append(slices.Clone(list), x)
	}
	return list, nil
}

func exportSNP(v *attestation.Verifier, e *Export) error {
	const section = "roots." + snp.Name
	p, ok := v.Policies[snp.Name].(snp.Policy)
	if !ok {
		return fmt.Errorf("%s: a policy of type %T", section, v.Policies[snp.Name])
	}
	for _, x := range []struct {
		member string
		there  bool
	}{
		{"vendor_roots", len(p.VendorRoots) > 0}, {"certificates", len(p.Certificates) > 0}, {"crls", len(p.CRLs) > 0},
		{"crl_files", len(p.CRLFiles) > 0}, {"key_provenance", len(p.KeyProvenance) > 0}, {"vmpl", p.VMPL != nil},
		{"debug", bool(p.Debug)}, {"guest_policy", len(p.GuestPolicy) > 0}, {"unattested_key", bool(p.UnattestedKey)},
	} {
		e.missing(x.there, "%s.%s", section, x.member)
	}
	for _, name := range sorted(p.Measurements) {
		if name != measurementWord && !slices.ContainsFunc(snpElements, func(x struct {
			word string
			key  uint64
			size int
		}) bool {
			return x.word == name
		}) {
			e.missing(true, "%s.measurements.%s", section, name)
		}
	}
	references, keys := comid.NewComid(), comid.NewComid()
	e.missing(len(p.Measurements[measurementWord]) == 0,
		"%s: reference values are those of a measurement, and there is none", section)
	for _, value := range p.Measurements[measurementWord] {
		t, err := guestTriple(&p, value, e, section)
		if err != nil {
			return err
		}
		references.AddReferenceValue(t)
	}
	for _, x := range p.TrustAnchors {
		text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: x.Raw}))
		k, err := comid.NewPKIXBase64Cert(text)
		if err != nil {
			return fmt.Errorf("%s.trust_anchors: %w", section, err)
		}
		class := (&comid.Class{}).SetVendor(vendorAMD).SetModel(x.Subject.CommonName)
		keys.AddAttestVerifKey(&comid.KeyTriple{Environment: comid.Environment{Class: class}, VerifKeys: comid.CryptoKeys{k}})
	}
	e.part("", profileSNP, references, keys)
	return nil
}

// guestTriple is the triple of one measurement.
func guestTriple(p *snp.Policy, value []byte, e *Export, section string) (*comid.ValueTriple, error) {
	inst, err := comid.NewBytesInstance(value)
	if err != nil {
		return nil, err
	}
	t := &comid.ValueTriple{Environment: comid.Environment{Class: comid.NewClassOID(classSNP), Instance: inst}}
	t.Measurements.Add(comid.MustNewUintMeasurement(uint64(keyMeasurement)).AddDigest(hashes[len(value)], value))
	for _, x := range snpElements {
		values := p.Measurements[x.word]
		if x.word == instances {
			values = p.Instances
		}
		if len(values) > 1 {
			text := fmt.Sprintf("%s: %d values of %s, of which a manifest has one", section, len(values), x.word)
			e.missing(!slices.Contains(e.Missing, text), "%s", text)
		} else if len(values) == 1 {
			t.Measurements.Add(comid.MustNewUintMeasurement(x.key).SetRawValueBytes(values[0], nil))
		}
	}
	if len(p.MinimumTCB) > 0 {
		t.Measurements.Add(comid.MustNewUintMeasurement(uint64(keyReportedTCB)).
			SetMinSVN(binary.BigEndian.Uint64(tcbOf(p.MinimumTCB))))
	}
	return t, nil
}
