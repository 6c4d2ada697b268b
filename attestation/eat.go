package attestation

import (
	"crypto"
	"crypto/sha512"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"attls"
	"attls/extensions/profile"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/eat"
)

// CBOR keys of claims: RFC 8392 section 4, RFC 8747 section 3.1, RFC 9711
// section 4.2, draft-bft-rats-kat. The library's own map has the labels of a
// draft, so its claim types are used and its map is not.
const (
	claimIssuedAt     int64 = 6
	claimConfirmation int64 = 8
	claimNonce        int64 = 10
	claimUEID         int64 = 256
	claimOEMID        int64 = 258
	claimModel        int64 = 259
	claimDebug        int64 = 263
	claimProfile      int64 = 265
	claimSubmods      int64 = 266
	claimName         int64 = 270
	claimVersion      int64 = 271
	claimMeasurements int64 = 273
	claimKAK          int64 = 2500

	confirmationKey int64 = 1 // of the cnf claim
)

// Labels and type of the collection that holds a KAT and a PAT.
const (
	labelKAT      = "kat"
	labelPAT      = "pat"
	typeKATandPAT = "tag:ietf.org,2024-02-29:rats/kat"
	ruleKAT       = "draft-bft-rats-kat"
	ruleEAT       = "RFC 9711 4"
	formatCBOR    = 60 // application/cbor, the type of our measurements
	digestSHA256  = "sha-256"
	digestSize    = 32
	maxComponents = 64
	minNonce      = eat.MinNonceSize
	maxNonce      = eat.MaxNonceSize
)

// Platform is what a PAT says about its platform.
type Platform struct {
	UEID       eat.UEID  // claim 256, 7 to 33 octets
	OEMID      []byte    // claim 258
	Model      []byte    // claim 259
	Debug      eat.Debug // claim 263
	Profile    string    // claim 265, a URI or an object identifier
	Components []Component
}

// Component is one measured piece of software. It stands in claim 266 as a
// submodule of its name, with its version (claim 271) and one measurement
// (claim 273) of content format 60: {"digest": ["sha-256", 32 octets]}.
type Component struct {
	Name    string
	Version string
	Digest  []byte // SHA-256, 32 octets
}

type measurement struct {
	_      struct{} `cbor:",toarray"`
	Format uint16
	Body   []byte
}

type measurementBody struct {
	Digest digest `cbor:"digest"`
}

type digest struct {
	_         struct{} `cbor:",toarray"`
	Algorithm string
	Value     []byte
}

// claims writes the claims of a platform.
func (p *Platform) claims() (claims, error) {
	if err := p.UEID.Validate(); err != nil {
		return nil, err
	}
	if err := p.Debug.Validate(); err != nil {
		return nil, err
	}
	if _, err := eat.NewProfile(p.Profile); err != nil {
		return nil, err
	}
	c := claims{}
	c.set(claimUEID, []byte(p.UEID))
	c.set(claimDebug, uint(p.Debug))
	c.set(claimProfile, p.Profile)
	if p.OEMID != nil {
		c.set(claimOEMID, p.OEMID)
	}
	if p.Model != nil {
		c.set(claimModel, p.Model)
	}
	submods := claims{}
	for _, m := range p.Components {
		if len(m.Digest) != digestSize {
			return nil, fmt.Errorf("component %q: a digest of %d octets; SHA-256 has %d", m.Name, len(m.Digest), digestSize)
		}
		body := must(encoding.Marshal(measurementBody{digest{Algorithm: digestSHA256, Value: m.Digest}}))
		inner := claims{}
		inner.set(claimName, m.Name)
		inner.set(claimVersion, []string{m.Version})
		inner.set(claimMeasurements, []measurement{{Format: formatCBOR, Body: body}})
		submods[m.Name] = inner.encode()
	}
	if len(submods) > 0 {
		c[claimSubmods] = submods.encode()
	}
	return c, nil
}

// platformOf reads the claims of a platform. Claims it does not know are left
// to the reference values of whoever does.
func platformOf(c claims) (p Platform, err *attls.Error) {
	ueid, err := c.octets(claimUEID)
	if err != nil {
		return p, err
	}
	p.UEID = ueid
	if e := p.UEID.Validate(); e != nil {
		return p, malformed(-1, ruleEAT, "ueid: %v", e)
	}
	if p.OEMID, err = c.octets(claimOEMID); err != nil {
		return p, err
	}
	if p.Model, err = c.octets(claimModel); err != nil {
		return p, err
	}
	p.Debug = eat.DebugNotDisabled // what is not claimed is not assumed
	if _, err := c.read(claimDebug, &p.Debug); err != nil {
		return p, err
	}
	if e := p.Debug.Validate(); e != nil {
		return p, malformed(-1, ruleEAT, "dbgstat: %v", e)
	}
	if _, err := c.read(claimProfile, &p.Profile); err != nil {
		return p, err
	}
	raw, ok := c[claimSubmods]
	if !ok {
		return p, nil
	}
	submods, err := parseClaims(raw)
	if err != nil {
		return p, under(err, "submods")
	}
	if len(submods) > maxComponents {
		return p, malformed(-1, ruleEAT, "%d submodules; at most %d are accepted", len(submods), maxComponents)
	}
	for name, raw := range submods { // in any order; sorted below
		m, err := componentOf(name, raw)
		if err != nil {
			return p, under(under(err, name), "submods")
		}
		p.Components = append(p.Components, m)
	}
	slices.SortFunc(p.Components, func(a, b Component) int { return strings.Compare(a.Name, b.Name) })
	return p, nil
}

func componentOf(label any, raw []byte) (m Component, err *attls.Error) {
	name, ok := label.(string)
	if !ok || !utf8.ValidString(name) {
		return m, malformed(-1, ruleEAT, "the name of a submodule is text")
	}
	m.Name = name
	c, err := parseClaims(raw)
	if err != nil {
		return m, err
	}
	var version []any
	if _, err := c.read(claimVersion, &version); err != nil {
		return m, err
	}
	if len(version) > 0 {
		m.Version, _ = version[0].(string)
	}
	var list []measurement
	if _, err := c.read(claimMeasurements, &list); err != nil {
		return m, err
	}
	if len(list) != 1 || list[0].Format != formatCBOR {
		return m, malformed(-1, ruleEAT, "%d measurements; one of content format %d is expected", len(list), formatCBOR)
	}
	var body measurementBody
	if err := wellFormed(list[0].Body); err != nil {
		return m, under(err, "measurements")
	}
	if e := decoding.Unmarshal(list[0].Body, &body); e != nil {
		return m, malformed(-1, ruleEAT, "%v", e).Under("measurements")
	}
	if body.Digest.Algorithm != digestSHA256 || len(body.Digest.Value) != digestSize {
		return m, malformed(-1, ruleEAT, "a digest %q of %d octets", body.Digest.Algorithm, len(body.Digest.Value)).Under("measurements")
	}
	m.Digest = body.Digest.Value
	return m, nil
}

// PlaceChallenge puts a challenge into a field of min to max octets. A
// challenge that fits goes in as it is, and both ends do the same. Otherwise
// the fit decides; where it does not help the error is FailBinderUndefined.
func PlaceChallenge(challenge []byte, min, max int, fit profile.ChallengeFit) ([]byte, *attls.Error) {
	n := len(challenge)
	if n >= min && n <= max {
		return challenge, nil
	}
	switch {
	case fit == profile.FitPadRight && n < min:
		return append(append([]byte(nil), challenge...), make([]byte, min-n)...), nil
	case fit == profile.FitPadLeft && n < min:
		return append(make([]byte, min-n), challenge...), nil
	case fit == profile.FitSHA512 && sha512.Size >= min && sha512.Size <= max:
		h := sha512.Sum512(challenge)
		return h[:], nil
	}
	return nil, attls.Errorf(attls.Violation, attls.FailBinderUndefined,
		"a challenge of %d octets; the field takes %d to %d and the profile's fit does not help", n, min, max).Under("eat_nonce").By("RFC 9711 4.1")
}

// setConfirmation writes the cnf claim of a key.
func (c claims) setConfirmation(pub crypto.PublicKey) error {
	key, err := EncodeCOSEKey(pub)
	if err != nil {
		return err
	}
	c.set(claimConfirmation, map[int64]any{confirmationKey: cbor.RawMessage(key)})
	return nil
}

// confirmation reads the key of the cnf claim (RFC 8747 section 3.2).
func (c claims) confirmation() (crypto.PublicKey, *attls.Error) {
	raw, ok := c[claimConfirmation]
	if !ok {
		return nil, malformed(-1, ruleKAT, "no cnf claim (%d)", claimConfirmation)
	}
	inner, err := parseClaims(raw)
	if err != nil {
		return nil, under(err, "cnf")
	}
	key, ok := inner[confirmationKey]
	if !ok {
		return nil, malformed(-1, "RFC 8747 3.2", "no COSE_Key in the cnf claim")
	}
	pub, err := ParseCOSEKey(key)
	return pub, under(err, "cnf")
}
