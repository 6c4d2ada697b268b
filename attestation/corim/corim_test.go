package corim_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"attls/attestation"
	"attls/attestation/cca"
	"attls/attestation/corim"
	"attls/attestation/psa"
	"attls/attestation/roots"
	"attls/attestation/snp"
	"attls/attestation/tpm"
	"attls/internal/seeds"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/corim/comid"
	library "github.com/veraison/corim/corim"
	profilecca "github.com/veraison/corim/profiles/cca"
	profilepsa "github.com/veraison/corim/profiles/psa"
	"github.com/veraison/go-cose"
	"go.yaml.in/yaml/v3"
)

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return at }

func key(t testing.TB, use string) *ecdsa.PrivateKey {
	t.Helper()
	k, err := attestation.DeriveKey([]byte("corim"), use)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func octets(n int, use string) []byte {
	sum := sha256.Sum256([]byte(use))
	return bytes.Repeat(sum[:], 2)[:n]
}

func ueid(use string) attestation.Octets { return append([]byte{1}, octets(32, use)...) }

// psaPolicy is a policy of which every part can be said in a manifest.
func psaPolicy(t testing.TB) psa.Policy {
	return psa.Policy{
		Devices: psa.Devices{
			{Key: attestation.PublicKey{PublicKey: key(t, "a").Public()}, Instance: ueid("a"), Implementation: octets(32, "implementation")},
			{Key: attestation.PublicKey{PublicKey: key(t, "b").Public()}, Instance: ueid("b"), Implementation: octets(32, "implementation")},
		},
		Software: psa.Software{
			Measurements: map[string][]attestation.Octets{"BL": {octets(32, "bl"), octets(48, "bl")}, "PRoT": {octets(64, "prot")}, "unnamed": {octets(32, "x")}},
			Signers:      []attestation.Octets{octets(32, "signer"), octets(32, "signer 2")},
		},
	}
}

func ccaPolicy(t testing.TB) cca.Policy {
	p := psaPolicy(t)
	return cca.Policy{
		Devices: p.Devices, Software: p.Software, Config: []attestation.Octets{octets(32, "config")},
		Realm: cca.Realm{
			Measurements: map[string][]attestation.Octets{"rim": {octets(32, "rim"), octets(48, "rim")}, "rem0": {octets(32, "rem0"), octets(32, "rem0b")},
				"rem3": {octets(64, "rem3")}},
			Personalization: []attestation.Octets{octets(64, "rpv")},
		},
	}
}

// parsecPolicy has the platform only, as the profile of Parsec.
func parsecPolicy(t testing.TB) cca.Policy {
	p := ccaPolicy(t)
	p.Realm = cca.Realm{}
	return p
}

var snpAnchors = sync.OnceValues(func() (attestation.Certificates, error) {
	e, err := snp.Format().Emulate(context.Background(), attestation.EmulatorOptions{Seed: []byte("corim")})
	if err != nil {
		return nil, err
	}
	return e.Policy.(snp.Policy).TrustAnchors, nil
})

func snpPolicy(t testing.TB) snp.Policy {
	anchors, err := snpAnchors()
	if err != nil {
		t.Fatal(err)
	}
	return snp.Policy{
		TrustAnchors: anchors,
		Instances:    []attestation.Octets{octets(64, "chip")},
		Measurements: map[string][]attestation.Octets{"measurement": {octets(48, "a"), octets(48, "b")}, "family_id": {octets(16, "family")}},
		MinimumTCB:   map[string]attestation.Whole{"bootloader": 3, "tee": 0, "snp": 8, "microcode": 213},
	}
}

// policies are policies by root of trust, of which every part can be said.
func policies(t testing.TB) map[string]*attestation.Verifier {
	out := map[string]*attestation.Verifier{}
	for name, p := range map[string]attestation.Policy{psa.Name: psaPolicy(t), cca.Name: ccaPolicy(t), cca.Parsec: parsecPolicy(t),
		snp.Name: snpPolicy(t)} {
		out[name] = &attestation.Verifier{Policies: map[string]attestation.Policy{name: p}}
	}
	return out
}

func write(t testing.TB, root string, v *attestation.Verifier, o corim.ExportOptions) *corim.Export {
	t.Helper()
	e, err := corim.Write(root, v, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func read(t testing.TB, b []byte, o corim.Options) *corim.Manifest {
	t.Helper()
	o.Clock = clock
	m, err := corim.Read(b, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// file is the text of a verifier's file, as its members.
func file(t testing.TB, v *attestation.Verifier) map[string]any {
	t.Helper()
	text, err := v.File()
	if err != nil {
		t.Fatal(err)
	}
	return members(t, text)
}

func members(t testing.TB, text []byte) (m map[string]any) {
	t.Helper()
	if err := yaml.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestRoundTrip: what is written of a policy and can be said is read back as the same
// policy, unsigned and signed, and once more adds nothing.
func TestRoundTrip(t *testing.T) {
	signer := key(t, "signer")
	for root, v := range policies(t) {
		for name, o := range map[string]corim.ExportOptions{"unsigned": {}, "signed": {Key: signer, Signer: "somebody"}, "valid": {NotAfter: at.Add(time.Hour)}} {
			t.Run(root+"/"+name, func(t *testing.T) {
				e := write(t, root, v, o)
				if len(e.Missing) > 0 {
					t.Errorf("missing: %q", e.Missing)
				}
				var public crypto.PublicKey
				if o.Key != nil {
					public = signer.Public()
				}
				var list []*corim.Manifest
				for _, p := range e.Parts {
					m := read(t, p.Octets, corim.Options{Key: public})
					if m.Root != root || m.Profile != p.Profile || m.Signer != o.Signer || !m.NotAfter.Equal(o.NotAfter) {
						t.Errorf("read as %+v", m)
					}
					list = append(list, m)
				}
				name := filepath.Join(t.TempDir(), "verifier.yaml")
				text, changes, err := corim.Merge(name, roots.All(), list...)
				if err != nil {
					t.Fatal(err)
				}
				if want := file(t, v); !reflect.DeepEqual(members(t, text), want) {
					t.Errorf("got %s\nwant %v", text, want)
				}
				if len(changes.Added) == 0 {
					t.Errorf("changes: %+v", changes)
				}
				if err := os.WriteFile(name, text, 0o600); err != nil {
					t.Fatal(err)
				}
				again, changes, err := corim.Merge(name, roots.All(), list...)
				if err != nil || len(changes.Added) > 0 || !reflect.DeepEqual(members(t, again), members(t, text)) {
					t.Errorf("again: %v, %+v\n%s", err, changes, again)
				}
			})
		}
	}
}

// TestMissing: what a policy says and a manifest cannot say is named.
func TestMissing(t *testing.T) {
	for name, c := range map[string]struct {
		root   string
		change func(p *psa.Policy)
		want   string
	}{
		"lifecycle":      {psa.Name, func(p *psa.Policy) { p.Lifecycle = []string{"secured"} }, "roots.psa.lifecycle"},
		"unattested key": {psa.Name, func(p *psa.Policy) { p.UnattestedKey = true }, "roots.psa.unattested_key"},
		"any instance":   {psa.Name, func(p *psa.Policy) { p.Devices[0].Instance = nil }, "device 1"},
		"no signers":     {psa.Name, func(p *psa.Policy) { p.Signers = nil }, "roots.psa.measurements"},
		"only signers":   {psa.Name, func(p *psa.Policy) { p.Measurements = nil }, "roots.psa.signers"},
	} {
		t.Run(name, func(t *testing.T) {
			p := psaPolicy(t)
			c.change(&p)
			e := write(t, c.root, &attestation.Verifier{Policies: map[string]attestation.Policy{psa.Name: p}}, corim.ExportOptions{})
			if !strings.Contains(strings.Join(e.Missing, "\n"), c.want) {
				t.Errorf("missing: %q", e.Missing)
			}
		})
	}
}

// TestIdentifiers: what has other contents or another profile has another identifier:
// services refuse a second manifest with one that they have.
func TestIdentifiers(t *testing.T) {
	id := func(p attestation.Policy, root string) string {
		e := write(t, root, &attestation.Verifier{Policies: map[string]attestation.Policy{root: p}}, corim.ExportOptions{})
		var members map[int64]cbor.RawMessage
		if err := cbor.Unmarshal(e.Parts[0].Octets[len(library.UnsignedCorimTag):], &members); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%x", []byte(members[0]))
	}
	p := parsecPolicy(t)
	platform, parsec := id(p, cca.Name), id(p, cca.Parsec)
	p.Devices = p.Devices[1:]
	if other := id(p, cca.Name); platform == parsec || platform == other {
		t.Errorf("the identifiers are %s, %s and %s", platform, parsec, other)
	}
}

// TestParsecRealm: the profile of Parsec has no realm, and a policy that has one cannot
// be said whole.
func TestParsecRealm(t *testing.T) {
	e := write(t, cca.Parsec, &attestation.Verifier{Policies: map[string]attestation.Policy{cca.Parsec: ccaPolicy(t)}},
		corim.ExportOptions{})
	if len(e.Parts) != 1 || len(e.Missing) != 1 || !strings.Contains(e.Missing[0], "roots.cca-parsec.realm") {
		t.Errorf("%d parts; missing: %q", len(e.Parts), e.Missing)
	}
}

// TestUnsupported: a root of trust for which there are no manifests is refused with the
// reason.
func TestUnsupported(t *testing.T) {
	for _, root := range []string{"tdx", "nitro", "eat"} {
		_, err := corim.Write(root, &attestation.Verifier{}, corim.ExportOptions{})
		if err == nil || !strings.Contains(err.Error(), root) || !strings.Contains(err.Error(), "profile") {
			t.Errorf("%s: %v", root, err)
		}
	}
	if _, err := corim.Write("ps", &attestation.Verifier{}, corim.ExportOptions{}); err == nil {
		t.Error("an unknown root of trust is accepted")
	}
	if _, err := corim.Write(psa.Name, &attestation.Verifier{}, corim.ExportOptions{}); err == nil {
		t.Error("a policy that is not there is written")
	}
}

// manifest is what a test writes with the library.
type manifest struct {
	profile    string
	references []*comid.ValueTriple
	keys       []*comid.KeyTriple
	// change edits the members of the unsigned-corim-map.
	change func(members map[int64]any)
	// comid edits the members of the first CoMID.
	comid    func(members map[int64]any)
	notAfter time.Time
	before   time.Time
}

// octets writes it: not valid, if the test wants it.
func (m *manifest) octets(t testing.TB) []byte {
	t.Helper()
	c := comid.NewComid().SetTagIdentity("test", 0)
	for _, r := range m.references {
		c.AddReferenceValue(r)
	}
	for _, k := range m.keys {
		c.AddAttestVerifKey(k)
	}
	b, err := c.ToCBOR()
	if err != nil {
		t.Fatal(err)
	}
	if m.comid != nil {
		b = edit(t, b, m.comid)
	}
	u := library.NewUnsignedCorim().SetID("test").SetProfile("tag:example,2026:x")
	if !m.notAfter.IsZero() {
		u.RimValidity = &library.Validity{NotAfter: m.notAfter}
	}
	if !m.before.IsZero() {
		u.RimValidity.NotBefore = &m.before
	}
	u.Tags = []library.Tag{{Number: 506, Content: b}}
	all, err := u.ToCBOR()
	if err != nil {
		t.Fatal(err)
	}
	return append(bytes.Clone(all[:3]), edit(t, all[3:], func(x map[int64]any) {
		x[3] = cbor.Tag{Number: 32, Content: m.profile}
		if m.change != nil {
			m.change(x)
		}
	})...)
}

// edit changes the members of a map.
func edit(t testing.TB, b []byte, change func(map[int64]any)) []byte {
	t.Helper()
	var raw map[int64]cbor.RawMessage
	if err := cbor.Unmarshal(b, &raw); err != nil {
		t.Fatal(err)
	}
	members := map[int64]any{}
	for k, v := range raw {
		members[k] = v
	}
	change(members)
	return encode(t, members)
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := cbor.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func implementation(use string) comid.Environment {
	return comid.Environment{Class: comid.NewClassBytes(octets(32, use))}
}

func signerID(use string) *comid.CryptoKey {
	return comid.MustNewCryptoKey(octets(32, use), comid.BytesType)
}

// component is a measurement of a software component.
func component(mkey, name string) *comid.Measurement {
	m := comid.MustNewMeasurement(mkey, comid.StringType).AddDigest(1, octets(32, name)).AddCryptoKey(signerID("signer"))
	m.Val.Name = &name
	return m
}

func triple(e comid.Environment, list ...*comid.Measurement) *comid.ValueTriple {
	t := &comid.ValueTriple{Environment: e}
	for _, m := range list {
		t.Measurements.Add(m)
	}
	return t
}

const psaComponent = profilepsa.PSASoftwareComponentMkey

// psaManifest is one with reference values and a key of one implementation.
func psaManifest(t testing.TB) *manifest {
	e := write(t, psa.Name, policies(t)[psa.Name], corim.ExportOptions{})
	var c library.UnsignedCorim
	b := append(bytes.Clone(e.Parts[0].Octets[:3]), edit(t, e.Parts[0].Octets[3:], func(x map[int64]any) { x[3] = profilepsa.ProfileURI })...)
	if err := c.FromCBOR(b); err != nil {
		t.Fatal(err)
	}
	keys, err := library.UnmarshalComidFromCBOR(c.Tags[1].Content, nil)
	if err != nil {
		t.Fatal(err)
	}
	first := &(*keys.Triples.AttestVerifKeys)[0]
	return &manifest{profile: profilepsa.ProfileURI, keys: []*comid.KeyTriple{first},
		references: []*comid.ValueTriple{triple(implementation("implementation"), component(psaComponent, "BL"))}}
}

// refused are manifests that are not read, or not merged into an empty file.
var refused = map[string]struct {
	change func(m *manifest)
	want   string // in the error
}{
	"two digests": {func(m *manifest) {
		m.references[0].Measurements.Values[0].AddDigest(7, octets(48, "x"))
	}, "reference-triples[0].measurements[0].digests: 2 digests"},
	"no digest": {func(m *manifest) {
		m.references[0].Measurements.Values[0].Val.Digests = nil
	}, "measurements[0].digests: 0 digests"},
	"digest of another length": {func(m *manifest) {
		m.change = func(x map[int64]any) {
			x[1] = cbor.RawMessage(bytes.Replace(x[1].(cbor.RawMessage), []byte{0x82, 1, 0x58, 32}, []byte{0x82, 8, 0x58, 32}, 1))
		}
	}, "length mismatch"},
	"algorithm that tokens do not have": {func(m *manifest) {
		(*m.references[0].Measurements.Values[0].Val.Digests)[0].HashAlgID = 10
	}, "algorithm 10"},
	"no signer id": {func(m *manifest) { m.references[0].Measurements.Values[0].Val.CryptoKeys = nil }, "cryptokeys"},
	"two signer ids": {func(m *manifest) {
		m.references[0].Measurements.Values[0].AddCryptoKey(signerID("other"))
	}, "cryptokeys"},
	"unknown element": {func(m *manifest) {
		m.references[0].Measurements.Values[0].Key = comid.MustNewMkey("psa.other", comid.StringType)
	}, "psa.other"},
	"element that is a number": {func(m *manifest) {
		m.references[0].Measurements.Values[0].Key = comid.MustNewMkey(uint64(3), comid.UintType)
	}, "mkey"},
	"no element":    {func(m *manifest) { m.references[0].Measurements.Values[0].Key = nil }, "mkey"},
	"serial number": {func(m *manifest) { s := "1"; m.references[0].Measurements.Values[0].Val.SerialNumber = &s }, "serial-number"},
	"svn":           {func(m *manifest) { m.references[0].Measurements.Values[0].SetSVN(3) }, "svn"},
	"flags": {func(m *manifest) {
		m.references[0].Measurements.Values[0].SetFlagsFalse(comid.FlagIsDebug)
	}, "flags"},
	"authority": {func(m *manifest) {
		m.references[0].Measurements.Values[0].AuthorizedBy = comid.NewCryptoKeys().Add(signerID("x"))
	}, "authorized-by"},
	"group":        {func(m *manifest) { m.references[0].Environment.Group = comid.MustNewUUIDGroup(comid.TestUUID) }, "group"},
	"layer":        {func(m *manifest) { m.references[0].Environment.Class.SetLayer(1) }, "layer"},
	"one instance": {func(m *manifest) { m.references[0].Environment.Instance = m.keys[0].Environment.Instance }, "environment.instance"},
	"implementation of another type": {func(m *manifest) {
		m.references[0].Environment.Class = comid.NewClassUUID(comid.TestUUID)
	}, "bytes"},
	"implementation of another length": {func(m *manifest) {
		m.references[0].Environment.Class = comid.NewClassBytes(octets(31, "x"))
	}, "32"},
	"same environment twice": {func(m *manifest) {
		m.references = append(m.references, triple(implementation("implementation"), component(psaComponent, "PRoT")))
	}, "reference-triples[1] is about the same environment as corim.tags[0].triples.reference-triples[0]"},
	"same device twice": {func(m *manifest) { m.keys = append(m.keys, m.keys[0]) }, "attest-key-triples[1] is about the same environment"},
	"two keys":          {func(m *manifest) { m.keys[0].VerifKeys = append(m.keys[0].VerifKeys, m.keys[0].VerifKeys[0]) }, "key"},
	"device without an instance": {func(m *manifest) {
		m.keys[0].Environment.Instance = nil
	}, "instance"},
	"instance of another length": {func(m *manifest) {
		m.keys[0].Environment.Instance = comid.MustNewUEIDInstance(append(comid.UEID{1}, octets(16, "x")...))
	}, "33 bytes"},
	"instance of another type": {func(m *manifest) {
		m.keys[0].Environment.Instance = comid.MustNewUUIDInstance(comid.TestUUID)
	}, "ueid"},
	"key that is a certificate thumbprint": {func(m *manifest) { m.keys[0].VerifKeys[0] = signerID("x") }, "pkix-base64-key"},
	"software of another implementation": {func(m *manifest) {
		m.references[0].Environment = implementation("other")
	}, "for another implementation"},
	"another implementation with more software": {func(m *manifest) {
		m.references = append(m.references, triple(implementation("other"), component(psaComponent, "BL"), component(psaComponent, "PRoT")))
	}, "for another implementation"},
	"endorsed values":         {func(m *manifest) { m.comid = triples(1) }, "triples.endorsed-triples"},
	"identity keys":           {func(m *manifest) { m.comid = triples(2) }, "triples.identity-triples"},
	"dependencies":            {func(m *manifest) { m.comid = triples(4) }, "triples.dependency-triples"},
	"conditional endorsement": {func(m *manifest) { m.comid = triples(10) }, "triples.conditional-endorsement-triples"},
	"conditional series":      {func(m *manifest) { m.comid = triples(8) }, "triples.conditional-endorsement-series-triples"},
	"unknown triples":         {func(m *manifest) { m.comid = triples(99) }, "there is a member 99"},
	"linked tags":             {func(m *manifest) { m.comid = func(x map[int64]any) { x[3] = []any{} } }, "linked-tags"},
	"unknown member":          {func(m *manifest) { m.change = func(x map[int64]any) { x[77] = 1 } }, "there is a member 77"},
	"dependent manifests":     {func(m *manifest) { m.change = func(x map[int64]any) { x[2] = []any{} } }, "dependent-rims"},
	"no profile":              {func(m *manifest) { m.change = func(x map[int64]any) { delete(x, 3) } }, "corim.profile"},
	"profile without a tag": {func(m *manifest) {
		m.change = func(x map[int64]any) { x[3] = profilepsa.ProfileURI }
	}, "without the tag 32"},
	"profile under another tag": {func(m *manifest) {
		m.change = func(x map[int64]any) { x[3] = cbor.Tag{Number: 33, Content: profilepsa.ProfileURI} }
	}, "the tag 33"},
	"profile that is a number": {func(m *manifest) { m.change = func(x map[int64]any) { x[3] = 5 } }, "corim.profile"},
	"profile that is octets": {func(m *manifest) {
		m.change = func(x map[int64]any) { x[3] = cbor.Tag{Number: 32, Content: []byte("x")} }
	}, "corim.profile"},
	"unknown profile":         {func(m *manifest) { m.profile = "tag:example,2026:other" }, "not known"},
	"profile of another root": {func(m *manifest) { m.profile = profilecca.RealmProfileURI }, "cca.rim"},
	"profile of Intel": {func(m *manifest) {
		m.change = func(x map[int64]any) {
			x[3] = cbor.Tag{Number: 111, Content: []byte{0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x4d, 0x01, 0x10, 0x01}}
		}
	}, "the TD"},
	"expired":       {func(m *manifest) { m.notAfter = at.Add(-time.Second) }, "was valid until"},
	"ends now":      {func(m *manifest) { m.notAfter = at }, "was valid until"},
	"not yet valid": {func(m *manifest) { m.notAfter, m.before = at.Add(time.Hour), at.Add(time.Minute) }, "is valid from"},
	"CoSWID": {func(m *manifest) {
		m.change = func(x map[int64]any) { x[1] = []any{cbor.Tag{Number: 505, Content: []byte{0xa0}}} }
	}, "corim.tags[0]: the tag 505"},
	"no tags": {func(m *manifest) { m.change = func(x map[int64]any) { x[1] = []any{} } }, "no tags"},
	"many tags": {func(m *manifest) {
		m.change = func(x map[int64]any) {
			var first []cbor.RawMessage
			if cbor.Unmarshal(x[1].(cbor.RawMessage), &first) == nil {
				x[1] = bytesRepeat(first[0], 65)
			}
		}
	}, "65 tags"},
	"CoMID that is not a map": {func(m *manifest) {
		m.change = func(x map[int64]any) { x[1] = []any{cbor.Tag{Number: 506, Content: []byte{0x80}}} }
	}, "an array where a map belongs"},
	"CoMID with octets after it": {func(m *manifest) {
		m.change = func(x map[int64]any) {
			var tags []cbor.Tag
			if cbor.Unmarshal(x[1].(cbor.RawMessage), &tags) == nil {
				tags[0].Content = append(tags[0].Content.([]byte), 0)
				x[1] = tags
			}
		}
	}, "extraneous"},
}

func bytesRepeat(m cbor.RawMessage, n int) (list []cbor.RawMessage) {
	for range n {
		list = append(list, m)
	}
	return list
}

// triples puts a member into the triples of a CoMID.
func triples(n int64) func(map[int64]any) {
	return func(x map[int64]any) {
		var t map[int64]cbor.RawMessage
		if cbor.Unmarshal(x[4].(cbor.RawMessage), &t) == nil {
			t[n] = []byte{0x80}
			x[4] = t
		}
	}
}

// TestRefused: a manifest that says what a policy cannot say, or that cannot be
// believed, is refused with the place.
func TestRefused(t *testing.T) {
	good := psaManifest(t)
	m := read(t, good.octets(t), corim.Options{})
	if _, _, err := corim.Merge("", roots.All(), m); err != nil {
		t.Fatalf("the manifest without a change: %v", err)
	}
	for name, c := range refused {
		t.Run(name, func(t *testing.T) {
			x := psaManifest(t)
			c.change(x)
			m, err := corim.Read(x.octets(t), corim.Options{Clock: clock})
			if err == nil {
				_, _, err = corim.Merge("", roots.All(), m)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; wanted %q", err, c.want)
			}
		})
	}
}

// TestOctets: a manifest that is cut off anywhere, has octets after it, has another tag
// or is huge is refused.
func TestOctets(t *testing.T) {
	signer := key(t, "signer")
	for name, o := range map[string]corim.ExportOptions{"unsigned": {}, "signed": {Key: signer, Signer: "x"}} {
		t.Run(name, func(t *testing.T) {
			opts := corim.Options{Clock: clock}
			if o.Key != nil {
				opts.Key = signer.Public()
			}
			b := write(t, psa.Name, policies(t)[psa.Name], o).Parts[0].Octets
			for n := range b {
				if _, err := corim.Read(b[:n], opts); err == nil {
					t.Errorf("%d of %d octets are accepted", n, len(b))
				}
			}
			for what, x := range map[string][]byte{
				"an octet after it": append(bytes.Clone(b), 0), "twice": append(bytes.Clone(b), b...),
				"nothing": nil, "another tag": append([]byte{0xd9, 0x01, 0xf6}, b[3:]...), "the old tag": append([]byte{0xd9, 0x01, 0xf4}, b...),
				"huge": make([]byte, corim.MaxSize+1), "deep": bytes.Repeat([]byte{0x81}, 1<<16), "a claim of 4 GB": {0xd9, 0x01, 0xf5, 0xba, 0xff, 0xff, 0xff, 0xff},
			} {
				if _, err := corim.Read(x, opts); err == nil {
					t.Errorf("%s: accepted", what)
				}
			}
			if o.Key == nil {
				return
			}
			for i := range b { // a signature covers every octet
				x := bytes.Clone(b)
				x[i] ^= 1
				if _, err := corim.Read(x, opts); err == nil {
					t.Errorf("octet %d can be changed", i)
				}
			}
		})
	}
}

// sign signs with headers of a test.
func sign(t testing.TB, payload []byte, k crypto.Signer, alg cose.Algorithm, change func(h *cose.Headers)) []byte {
	t.Helper()
	s, err := cose.NewSigner(alg, k)
	if err != nil {
		t.Fatal(err)
	}
	meta, err := library.NewMeta().SetSigner("x", nil).ToCBOR()
	if err != nil {
		t.Fatal(err)
	}
	msg := cose.NewSign1Message()
	msg.Payload = payload
	msg.Headers.Protected.SetAlgorithm(alg)
	msg.Headers.Protected[cose.HeaderLabelContentType] = library.ContentType
	msg.Headers.Protected[int64(8)] = meta
	change(&msg.Headers)
	if err := msg.Sign(nil, nil, s); err != nil {
		t.Fatal(err)
	}
	b, err := msg.MarshalCBOR()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSignature: a signature by another key, without what the draft wants in the
// header, or none where a key is given, and one where none is, are refused.
func TestSignature(t *testing.T) {
	payload := psaManifest(t).octets(t)
	k, other := key(t, "signer"), key(t, "other")
	meta := func(validity *library.Validity) []byte {
		m := library.NewMeta().SetSigner("x", nil)
		m.Validity = validity
		b, err := m.ToCBOR()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	nothing := func(*cose.Headers) {}
	early := at.Add(time.Minute)
	for name, c := range map[string]struct {
		octets []byte
		key    crypto.PublicKey
		want   string
	}{
		"good":                          {sign(t, payload, k, cose.AlgorithmES256, nothing), k.Public(), ""},
		"valid":                         {sign(t, payload, k, cose.AlgorithmES256, func(h *cose.Headers) { h.Protected[int64(8)] = meta(&library.Validity{NotAfter: at.Add(time.Second)}) }), k.Public(), ""},
		"unsigned where a key is given": {payload, k.Public(), "is not signed"},
		"signed where none is given":    {sign(t, payload, k, cose.AlgorithmES256, nothing), nil, "no key is given"},
		"by another key":                {sign(t, payload, other, cose.AlgorithmES256, nothing), k.Public(), "does not verify"},
		"with the hash of another curve": {sign(t, payload, k, cose.AlgorithmES384, nothing), k.Public(),
			"ES384"},
		"another content type": {sign(t, payload, k, cose.AlgorithmES256, func(h *cose.Headers) { h.Protected[cose.HeaderLabelContentType] = "text/plain" }), k.Public(), "content type"},
		"no content type":      {sign(t, payload, k, cose.AlgorithmES256, func(h *cose.Headers) { delete(h.Protected, cose.HeaderLabelContentType) }), k.Public(), "content type"},
		"no corim-meta":        {sign(t, payload, k, cose.AlgorithmES256, func(h *cose.Headers) { delete(h.Protected, int64(8)) }), k.Public(), "corim-meta"},
		"corim-meta outside the signature": {sign(t, payload, k, cose.AlgorithmES256, func(h *cose.Headers) { h.Unprotected[int64(8)] = h.Protected[int64(8)]; delete(h.Protected, int64(8)) }),
			k.Public(), "unprotected"},
		"corim-meta with more": {sign(t, payload, k, cose.AlgorithmES256, func(h *cose.Headers) { h.Protected[int64(8)] = []byte{0xa1, 0x05, 0x00} }), k.Public(), "corim-meta"},
		"critical": {sign(t, payload, k, cose.AlgorithmES256, func(h *cose.Headers) {
			h.Protected[cose.HeaderLabelCritical] = []any{int64(8)}
		}), k.Public(), "crit"},
		"signature expired": {sign(t, payload, k, cose.AlgorithmES256, func(h *cose.Headers) { h.Protected[int64(8)] = meta(&library.Validity{NotAfter: at}) }), k.Public(), "was valid until"},
		"signature not yet valid": {sign(t, payload, k, cose.AlgorithmES256, func(h *cose.Headers) {
			h.Protected[int64(8)] = meta(&library.Validity{NotBefore: &early, NotAfter: at.Add(time.Hour)})
		}), k.Public(), "is valid from"},
		"signed twice": {sign(t, sign(t, payload, k, cose.AlgorithmES256, nothing), k, cose.AlgorithmES256, nothing), k.Public(), "the tag 18"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := corim.Read(c.octets, corim.Options{Key: c.key, Clock: clock})
			good := name == "good" || name == "valid"
			if good != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; wanted %q", err, c.want)
			}
		})
	}
}

// TestMerge: a file keeps what it has; what it would accept beyond file and manifest is
// refused; a file that cannot be read is not written over.
func TestMerge(t *testing.T) {
	var m *corim.Manifest
	merge := func(t *testing.T, text string) ([]byte, *corim.Changes, error) {
		t.Helper()
		name := filepath.Join(t.TempDir(), "verifier.yaml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return corim.Merge(name, roots.All(), m)
	}
	m = read(t, psaManifest(t).octets(t), corim.Options{})
	p := psaPolicy(t)
	devices := func(list ...psa.Device) string {
		text, err := yaml.Marshal(map[string]any{"roots": map[string]any{"psa": psa.Policy{Devices: list, Software: psa.Software{Measurements: map[string][]attestation.Octets{"ARoT": {octets(32, "arot")}}}}}})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	t.Run("comments", func(t *testing.T) {
		out, _, err := merge(t, "# mine\nidentity: somebody # my name\n")
		if err != nil || !strings.Contains(string(out), "# mine") || !strings.Contains(string(out), "somebody # my name") {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("another root of trust", func(t *testing.T) {
		e := write(t, cca.Name, policies(t)[cca.Name], corim.ExportOptions{})
		text, _, err := corim.Merge("", roots.All(), read(t, e.Parts[0].Octets, corim.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		out, _, err := merge(t, string(text))
		if err != nil || !strings.Contains(string(out), "  cca:\n") || !strings.Contains(string(out), "  psa:\n") {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("same implementation", func(t *testing.T) {
		out, c, err := merge(t, devices(p.Devices[1]))
		if err != nil || len(c.Added) != 2 || len(c.Notes) != 1 || !strings.Contains(string(out), "ARoT") {
			t.Errorf("%v, %+v\n%s", err, c, out)
		}
	})
	for name, d := range map[string]psa.Device{
		"device of another implementation": {Key: p.Devices[1].Key, Instance: p.Devices[1].Instance, Implementation: octets(32, "other")},
		"device of any implementation":     {Key: p.Devices[1].Key},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := merge(t, devices(d)); err == nil || !strings.Contains(err.Error(), "another implementation") {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("another key of the same instance", func(t *testing.T) {
		d := p.Devices[0]
		d.Key = p.Devices[1].Key
		if _, _, err := merge(t, devices(d)); err == nil || !strings.Contains(err.Error(), "another key") {
			t.Errorf("%v", err)
		}
	})
	t.Run("file with a mistake", func(t *testing.T) {
		if _, _, err := merge(t, "roots:\n  psa: {device: []}\n"); err == nil || !strings.Contains(err.Error(), "verifier.yaml:2") {
			t.Errorf("%v", err)
		}
	})
	t.Run("reference values without a device", func(t *testing.T) {
		x := psaManifest(t)
		x.keys = nil
		m := read(t, x.octets(t), corim.Options{})
		if _, _, err := corim.Merge("", roots.All(), m); err == nil || !strings.Contains(err.Error(), "no device") {
			t.Errorf("%v", err)
		}
	})
}

// TestRealms: realms that differ in one value are merged, others would be accepted in
// combinations that no manifest has.
func TestRealms(t *testing.T) {
	realm := func(rim, rem0 string, more ...*comid.Measurement) *comid.ValueTriple {
		measured := func(element, use string) *comid.Measurement {
			return comid.MustNewMeasurement(element, comid.StringType).AddDigest(1, octets(32, use))
		}
		list := []*comid.Measurement{measured("cca.rim", rim)}
		if rem0 != "" {
			list = append(list, measured("cca.rem0", rem0))
		}
		return triple(comid.Environment{Class: comid.NewClassBytes(octets(32, rim))}, append(list, more...)...)
	}
	rpv := func(n int, mask ...byte) *comid.Measurement {
		return comid.MustNewMeasurement("cca.rpv", comid.StringType).SetRawValueBytes(octets(n, "rpv"), mask)
	}
	for name, c := range map[string]struct {
		realms []*comid.ValueTriple
		want   string
	}{
		"two initial measurements":    {[]*comid.ValueTriple{realm("a", "x"), realm("b", "x")}, ""},
		"two realms":                  {[]*comid.ValueTriple{realm("a", "x"), realm("b", "y")}, "differs from the policy"},
		"one with less":               {[]*comid.ValueTriple{realm("a", "x"), realm("b", "")}, ""},
		"one with more":               {[]*comid.ValueTriple{realm("a", ""), realm("b", "x")}, ""},
		"another class":               {[]*comid.ValueTriple{{Environment: implementation("b"), Measurements: realm("a", "").Measurements}}, "the class is the realm"},
		"personalization":             {[]*comid.ValueTriple{realm("a", "x", rpv(64))}, ""},
		"personalization, full mask":  {[]*comid.ValueTriple{realm("a", "x", rpv(64, bytes.Repeat([]byte{0xff}, 64)...))}, ""},
		"personalization, mask":       {[]*comid.ValueTriple{realm("a", "x", rpv(64, bytes.Repeat([]byte{0xf0}, 64)...))}, "raw-value-mask"},
		"personalization, short mask": {[]*comid.ValueTriple{realm("a", "x", rpv(64, 0xff))}, "raw-value-mask"},
		"short personalization":       {[]*comid.ValueTriple{realm("a", "x", rpv(32))}, "32 octets"},
	} {
		t.Run(name, func(t *testing.T) {
			b := (&manifest{profile: profilecca.RealmProfileURI, references: c.realms}).octets(t)
			v := &attestation.Verifier{}
			_, err := read(t, b, corim.Options{}).Add(v)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; wanted %q", err, c.want)
			}
		})
	}
}

// TestPlatformConfig: the configuration of a CCA platform needs a mask, which covers
// all of it.
func TestPlatformConfig(t *testing.T) {
	for name, c := range map[string]struct {
		mask []byte
		want string
	}{
		"full mask":  {bytes.Repeat([]byte{0xff}, 32), ""},
		"no mask":    {nil, "raw-value-mask is mandatory"},
		"part of it": {append([]byte{0x7f}, bytes.Repeat([]byte{0xff}, 31)...), "raw-value-mask"},
		"short mask": {[]byte{0xff}, "raw-value-mask"},
	} {
		t.Run(name, func(t *testing.T) {
			config := comid.MustNewMeasurement(profilecca.CCAPlatformConfigMkey, comid.StringType).SetRawValueBytes(octets(32, "config"), c.mask)
			b := (&manifest{profile: profilecca.PlatformProfileURI,
				references: []*comid.ValueTriple{triple(implementation("implementation"), component(profilecca.CCASoftwareComponentMkey, "BL"), config)}}).octets(t)
			m, err := corim.Read(b, corim.Options{Clock: clock})
			if err == nil {
				_, err = m.Add(&attestation.Verifier{})
			}
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; wanted %q", err, c.want)
			}
		})
	}
}

const profileTPM = "tag:github.com/parallaxsecond,2023-03-03:tpm"

func pcr(n uint64, use string) *comid.Measurement {
	return comid.MustNewUintMeasurement(n).AddDigest(1, octets(32, use))
}

// tpmManifest has the values of two PCRs and a key of one class.
func tpmManifest(t testing.TB) *manifest {
	k := comid.MustNewCryptoKey(pemOf(t, key(t, "ak").Public()), comid.PKIXBase64KeyType)
	inst, err := comid.NewBytesInstance(octets(33, "kid"))
	if err != nil {
		t.Fatal(err)
	}
	class := comid.NewClassUUID(comid.TestUUID)
	return &manifest{profile: profileTPM,
		references: []*comid.ValueTriple{triple(comid.Environment{Class: class}, pcr(7, "seven"), pcr(0, "zero"))},
		keys:       []*comid.KeyTriple{{Environment: comid.Environment{Class: class, Instance: inst}, VerifKeys: comid.CryptoKeys{k}}}}
}

func pemOf(t testing.TB, pub crypto.PublicKey) string {
	t.Helper()
	text, err := attestation.PublicKey{PublicKey: pub}.MarshalYAML()
	if err != nil {
		t.Fatal(err)
	}
	return text.(string)
}

// TestTPM: PCR values become a reference with the digest that a quote has, and keys
// endorsements of it; a policy gives back the keys, and names what it cannot say.
func TestTPM(t *testing.T) {
	m := read(t, tpmManifest(t).octets(t), corim.Options{})
	name := filepath.Join(t.TempDir(), "verifier.yaml")
	before := "identity: somebody\nreferences:\n  - name: other\n    debug: disabled\n"
	if err := os.WriteFile(name, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, added := range []int{2, 0} {
		text, c, err := corim.Merge(name, roots.All(), m)
		if err != nil || len(c.Added) != added {
			t.Fatalf("%v, %+v", err, c)
		}
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	v, err := attestation.LoadVerifier(name, roots.All())
	if err != nil {
		t.Fatal(err)
	}
	want := sha256.Sum256(append(octets(32, "zero"), octets(32, "seven")...))
	if len(v.References) != 2 || v.References[1].PCRs.String() != "sha256:0,7" || !bytes.Equal(v.References[1].PCRDigests[0], want[:]) ||
		len(v.Endorsements) != 1 || !key(t, "ak").PublicKey.Equal(v.Endorsements[0].Key) || v.Endorsements[0].References[0] != v.References[1].Name {
		t.Errorf("%+v", v)
	}
	e := write(t, tpm.Name, v, corim.ExportOptions{})
	if len(e.Missing) != 1 || !strings.Contains(e.Missing[0], "digest of all PCRs") {
		t.Errorf("missing: %q", e.Missing)
	}
	point, err := key(t, "ak").PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	// A Verifier finds the key by the kid of the Evidence.
	if kid := sha256.Sum256(point); !bytes.Contains(e.Parts[0].Octets, append([]byte{1}, kid[:]...)) {
		t.Errorf("the name 01%x is not in %x", kid, e.Parts[0].Octets)
	}
	if c, err := read(t, e.Parts[0].Octets, corim.Options{}).Add(v); err != nil || len(c.Added) > 0 || len(c.Known) != 1 {
		t.Errorf("%v, %+v", err, c)
	}
}

// refusedElsewhere are changes of a manifest of a TPM or of SEV-SNP.
var refusedElsewhere = map[string]struct {
	make   func(t testing.TB) *manifest
	change func(m *manifest)
	want   string
}{
	"tpm: not a PCR": {tpmManifest, func(m *manifest) {
		m.references[0].Measurements.Values[0].Key = comid.MustNewMkey(uint64(32), comid.UintType)
	}, "PCR"},
	"tpm: an element that is a text": {tpmManifest, func(m *manifest) {
		m.references[0].Measurements.Values[0].Key = comid.MustNewMkey("7", comid.StringType)
	}, "PCR"},
	"tpm: two digests of a bank": {tpmManifest, func(m *manifest) { m.references[0].Measurements.Values[0].AddDigest(1, octets(32, "x")) }, "exactly one"},
	"tpm: a PCR twice":           {tpmManifest, func(m *manifest) { m.references[0].Measurements.Add(pcr(7, "x")) }, "two values of PCR 7"},
	"tpm: banks of other PCRs":   {tpmManifest, func(m *manifest) { m.references[0].Measurements.Values[0].AddDigest(7, octets(48, "x")) }, "different PCRs"},
	"tpm: no digests": {tpmManifest, func(m *manifest) {
		m.references[0].Measurements.Values[0].Val = comid.Mval{}
		m.references[0].Measurements.Values[0].SetSVN(1)
	}, "svn"},
	"tpm: class of another type": {tpmManifest, func(m *manifest) { m.references[0].Environment = implementation("x") }, "uuid"},
	"tpm: keys without values":   {tpmManifest, func(m *manifest) { m.references = nil }, "no reference values"},
	"tpm: key without instance":  {tpmManifest, func(m *manifest) { m.keys[0].Environment.Instance = nil }, "instance is missing"},
	"tpm: instance of PCRs":      {tpmManifest, func(m *manifest) { m.references[0].Environment.Instance = m.keys[0].Environment.Instance }, "environment.instance"},
	"snp: launch values": {snpManifest, func(m *manifest) {
		m.references[0].Measurements.Add(comid.MustNewUintMeasurement(uint64(640)).SetRawValueBytes(octets(64, "x"), nil))
	}, "the element 640"},
	"snp: exact TCB":     {snpManifest, func(m *manifest) { m.references[0].Measurements.Values[1].SetSVN(1) }, "exact value"},
	"snp: reserved TCB":  {snpManifest, func(m *manifest) { m.references[0].Measurements.Values[1].SetMinSVN(1 << 20) }, "components"},
	"snp: second value":  {snpManifest, func(m *manifest) { m.references[0].Measurements.Add(&m.references[0].Measurements.Values[0]) }, "second value"},
	"snp: another class": {snpManifest, func(m *manifest) { m.references[0].Environment.Class = comid.NewClassOID("1.2.3.4") }, "class-id"},
	"snp: another instance": {snpManifest, func(m *manifest) {
		inst, _ := comid.NewBytesInstance(octets(48, "other"))
		m.references[0].Environment.Instance = inst
	}, "is not the measurement"},
	"snp: a short measurement": {snpManifest, func(m *manifest) {
		m.references[0].Measurements.Values[0].Val.Digests = nil
		m.references[0].Measurements.Values[0].AddDigest(1, octets(32, "x"))
	}, "48"},
	"snp: a key of another vendor": {snpManifest, func(m *manifest) { m.keys[0].Environment.Class.SetVendor("x") }, "vendor"},
	"snp: a key that is none":      {snpManifest, func(m *manifest) { m.keys[0].VerifKeys[0] = signerID("x") }, "pkix-base64-cert"},
	"snp: no root key":             {snpManifest, func(m *manifest) { m.keys = nil }, "trust anchors"},
}

// snpManifest has the values of one guest and a root key.
func snpManifest(t testing.TB) *manifest {
	anchors, err := snpAnchors()
	if err != nil {
		t.Fatal(err)
	}
	text, err := anchors.MarshalYAML()
	if err != nil {
		t.Fatal(err)
	}
	class := (&comid.Class{}).SetVendor("Advanced Micro Devices").SetModel("ARK-Milan")
	return &manifest{profile: "tag:amd.com,2024:snp-corim-profile",
		references: []*comid.ValueTriple{triple(comid.Environment{Class: comid.NewClassOID("1.3.6.1.4.1.3704.3.1")},
			comid.MustNewUintMeasurement(uint64(641)).AddDigest(7, octets(48, "a")), comid.MustNewUintMeasurement(uint64(647)).SetMinSVN(3))},
		keys: []*comid.KeyTriple{{Environment: comid.Environment{Class: class}, VerifKeys: comid.CryptoKeys{comid.MustNewCryptoKey(text.(string), comid.PKIXBase64CertType)}}}}
}

// TestRefusedElsewhere is TestRefused for the other profiles.
func TestRefusedElsewhere(t *testing.T) {
	for name, c := range refusedElsewhere {
		t.Run(name, func(t *testing.T) {
			for _, change := range []func(*manifest){nil, c.change} {
				x := c.make(t)
				if change != nil {
					change(x)
				}
				m, err := corim.Read(x.octets(t), corim.Options{Clock: clock})
				if err == nil {
					_, _, err = corim.Merge("", roots.All(), m)
				}
				if change == nil && err != nil || change != nil && (err == nil || !strings.Contains(err.Error(), c.want)) {
					t.Errorf("%v; wanted %q", err, c.want)
				}
			}
		})
	}
}

// FuzzRead: no octets make the reader panic, and what it reads is merged or refused.
func FuzzRead(f *testing.F) {
	seeds.Add(f, func() {
		for root, v := range policies(f) {
			for _, p := range write(f, root, v, corim.ExportOptions{}).Parts {
				f.Add(p.Octets)
			}
		}
		f.Add(psaManifest(f).octets(f))
		f.Add(tpmManifest(f).octets(f))
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		seeds.Input(t, b)
		m, err := corim.Read(b, corim.Options{Clock: clock})
		if err != nil {
			return
		}
		_, _, _ = corim.Merge("", roots.All(), m)
	})
}
