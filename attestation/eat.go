package attestation

import (
	"crypto"
	"crypto/sha512"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"attls"
	"attls/extensions/profile"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/eat"
)

// CBOR keys of claims: RFC 8392 section 4, RFC 8747 section 3.1, RFC 9711
// section 4.2, draft-bft-rats-kat. The library's own map has the labels of a
// draft, so its claim types are used and its map is not.
const (
	claimAudience     int64 = 3
	claimExpires      int64 = 4
	claimNotBefore    int64 = 5
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
	claimUse          int64 = 275
	claimKAK          int64 = 2500

	// Members of the cnf claim.
	confirmationKey       int64 = 1
	confirmationEncrypted int64 = 2
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

	// Octets of ueid and hwmodel; lengths of the two forms of oemid that are
	// octets (RFC 9711 sections 4.2.1, 4.2.3 and 4.2.4).
	minUEID, maxUEID         = 7, 33
	maxModel                 = 32
	oemidIEEE, oemidAtRandom = 3, 16
)

// Platform is what a PAT says about its platform.
type Platform struct {
	UEID       eat.UEID  // claim 256, 7 to 33 octets
	OEMID      []byte    // claim 258, 3 octets (IEEE) or 16 (random)
	OEMPEN     uint32    // claim 258 as a Private Enterprise Number; 0: not one
	Model      []byte    // claim 259, 1 to 32 octets
	Debug      eat.Debug // claim 263; as read, the least that a part of the platform says
	Profile    string    // claim 265, a URI or an object identifier with dots
	Components []Component
	// Unknown says of each submodule that is not a Component what it is. Nothing
	// here can appraise it, so no Reference admits a platform that has one.
	Unknown []string
	// Quote is what a TPM quotes of it; nil for other Evidence.
	Quote *Quote

	prototype bool // its tokens are the prototype's, which measure nothing
}

// Quote is what a TPM quotes (TPM2_Quote).
type Quote struct {
	PCRs   PCRSelection // over which the digest is
	Digest []byte
}

// Component is one measured piece of software. It is in claim 266 as a
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
	profile, err := eat.NewProfile(p.Profile)
	if err != nil {
		return nil, err
	}
	c := claims{}
	c.set(claimUEID, []byte(p.UEID))
	c.set(claimDebug, uint(p.Debug))
	if c[claimProfile], err = profile.MarshalCBOR(); err != nil {
		return nil, err
	}
	switch n := len(p.OEMID); {
	case p.OEMPEN != 0 && n > 0:
		return nil, errors.New("the platform has an OEMID and a Private Enterprise Number; they are one claim")
	case p.OEMPEN != 0:
		c.set(claimOEMID, p.OEMPEN)
	case n == oemidIEEE || n == oemidAtRandom:
		c.set(claimOEMID, p.OEMID)
	case n > 0:
		return nil, fmt.Errorf("an oemid of %d octets; it has %d or %d", n, oemidIEEE, oemidAtRandom)
	}
	if n := len(p.Model); n > maxModel {
		return nil, fmt.Errorf("a hwmodel of %d octets; it has at most %d", n, maxModel)
	} else if n > 0 {
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
		if _, ok := submods[m.Name]; ok {
			return nil, fmt.Errorf("component %q: it is there twice", m.Name)
		}
		submods[m.Name] = inner.encode()
	}
	if len(submods) > 0 {
		c[claimSubmods] = submods.encode()
	}
	return c, nil
}

// platformOf reads the claims of a platform, and what restricts its submodules.
// Claims it does not know are left to the reference values of whoever does.
func platformOf(c claims) (p Platform, limits []restriction, err *attls.Error) {
	if p.UEID, err = c.Octets(claimUEID); err != nil {
		return p, nil, under(err, "ueid")
	}
	// The type of a UEID is its maker's business: who reads it must not look into
	// it (RFC 9711 section 4.2.1.2).
	if n := len(p.UEID); n < minUEID || n > maxUEID {
		return p, nil, malformed(-1, ruleEAT, "a ueid of %d octets; it has %d to %d", n, minUEID, maxUEID)
	}
	if err := p.readMaker(c); err != nil {
		return p, nil, err
	}
	if p.Debug, err = debugOf(c, eat.DebugNotDisabled); err != nil { // what is not claimed is not assumed
		return p, nil, err
	}
	if p.Profile, err = profileOf(c); err != nil {
		return p, nil, err
	}
	raw, ok := c[claimSubmods]
	if !ok {
		return p, nil, nil
	}
	limits, err = p.readSubmods(raw)
	return p, limits, under(err, "submods")
}

// readMaker reads oemid, which is an IEEE identifier, a random one or a Private
// Enterprise Number, and hwmodel.
func (p *Platform) readMaker(c claims) (err *attls.Error) {
	if raw, ok := c[claimOEMID]; ok && raw[0]>>5 == majorUnsigned {
		if _, err := c.read(claimOEMID, &p.OEMPEN); err != nil || p.OEMPEN == 0 {
			return malformed(-1, "RFC 9711 4.2.3.3", "an oemid that is not a Private Enterprise Number (1 to %d)",
				uint32(math.MaxUint32))
		}
	} else if p.OEMID, err = c.Octets(claimOEMID); err != nil {
		return under(err, "oemid")
	} else if n := len(p.OEMID); ok && n != oemidIEEE && n != oemidAtRandom {
		return malformed(-1, "RFC 9711 4.2.3", "an oemid of %d octets; it has %d or %d", n, oemidIEEE, oemidAtRandom)
	}
	if p.Model, err = c.Octets(claimModel); err != nil {
		return under(err, "hwmodel")
	}
	if n := len(p.Model); p.Model != nil && (n == 0 || n > maxModel) {
		return malformed(-1, "RFC 9711 4.2.4", "a hwmodel of %d octets; it has 1 to %d", n, maxModel)
	}
	return nil
}

// debugOf reads dbgstat; absent is what it counts as where it is not claimed.
func debugOf(c claims, absent eat.Debug) (eat.Debug, *attls.Error) {
	d := absent
	if _, err := c.read(claimDebug, &d); err != nil {
		return d, err
	}
	if e := d.Validate(); e != nil {
		return d, malformed(-1, ruleEAT, "dbgstat: %v", e)
	}
	return d, nil
}

// profileOf reads eat_profile: a URI, or an object identifier as the octets of its
// BER value.
func profileOf(c claims) (string, *attls.Error) {
	raw, ok := c[claimProfile]
	if !ok {
		return "", nil
	}
	var p eat.Profile
	text := ""
	err := p.UnmarshalCBOR(shortest(raw))
	if err == nil {
		text, err = p.Get()
	}
	if err != nil {
		return "", malformed(-1, "RFC 9711 4.3.2", "eat_profile (%d): %v", claimProfile, err)
	}
	if raw[0]>>5 == majorText { // as it is written: the library's URI may be another text
		s := scanner{b: raw}
		return s.text()
	}
	return text, nil
}

// readSubmods reads the submodules (RFC 9711 section 4.2.18). Each is a claims set,
// a nested token, or the digest of a detached claims set; only the first can be
// appraised here, and only with a measurement of our form.
func (p *Platform) readSubmods(raw []byte) (limits []restriction, err *attls.Error) {
	submods, err := parseClaims(raw)
	if err != nil {
		return nil, err
	}
	if len(submods) > maxComponents {
		return nil, malformed(-1, ruleEAT, "%d submodules; at most %d are accepted", len(submods), maxComponents)
	}
	for label, raw := range submods { // in any order; sorted below
		name, ok := label.(string)
		if !ok {
			return nil, malformed(-1, ruleEAT, "the name of a submodule is text").Under(fmt.Sprint(label))
		}
		m, limit, debug, err := partOf(name, raw)
		if err != nil {
			return nil, under(err, name)
		}
		if m.component == nil {
			p.Unknown = append(p.Unknown, fmt.Sprintf("submodule %q %s", name, m.unknown))
		} else {
			p.Components = append(p.Components, *m.component)
		}
		p.Debug = min(p.Debug, debug)
		limits = append(limits, limit)
	}
	slices.SortFunc(p.Components, func(a, b Component) int { return strings.Compare(a.Name, b.Name) })
	slices.Sort(p.Unknown)
	return limits, nil
}

// part is a submodule: a Component, or what it is instead.
type part struct {
	component *Component
	unknown   string
}

func partOf(name string, raw []byte) (m part, limit restriction, debug eat.Debug, err *attls.Error) {
	debug = eat.DebugFullPermanentDisable // of the whole platform, unless it says otherwise
	switch raw[0] >> 5 {
	case majorTag, majorBytes, majorText:
		m.unknown = "is a nested token, which is not appraised here"
		return m, limit, debug, nil
	case majorArray:
		m.unknown = "is the digest of a detached claims set, which is not here"
		return m, limit, debug, detached(raw)
	}
	c, err := parseClaims(raw)
	if err != nil {
		return m, limit, debug, err
	}
	if limit, err = readRestriction("submodule "+name, c); err != nil {
		return m, limit, debug, err
	}
	if debug, err = debugOf(c, debug); err != nil {
		return m, limit, debug, err
	}
	m, err = componentOf(name, c)
	return m, limit, debug, err
}

// detached checks [ hash algorithm, digest ].
func detached(raw []byte) *attls.Error {
	const rule = "RFC 9711 4.2.18.2"
	s := scanner{b: shortest(raw)}
	e, err := s.begin(majorArray)
	if err != nil {
		return err
	}
	if e.left != 2 {
		return malformed(-1, rule, "a detached submodule is a hash algorithm and a digest, not %d elements", e.left)
	}
	if m := s.peek(); m != majorUnsigned && m != majorNegative && m != majorText {
		return malformed(-1, rule, "a hash algorithm is an integer or text")
	}
	if _, err := s.item(0); err != nil {
		return err
	}
	if _, err = s.bytes(); err != nil {
		return under(err, "digest").By(rule)
	}
	return nil
}

// componentOf reads a submodule that is a claims set.
func componentOf(name string, c claims) (m part, err *attls.Error) {
	out := &Component{Name: name}
	var version []any
	if ok, err := c.read(claimVersion, &version); err != nil {
		return m, err
	} else if ok {
		text, isText := "", false
		if len(version) == 1 || len(version) == 2 {
			text, isText = version[0].(string)
		}
		if !isText {
			return m, malformed(-1, ruleEAT, "swversion (%d) is a version and perhaps its scheme", claimVersion)
		}
		out.Version = text
	}
	var list []measurement
	if _, err := c.read(claimMeasurements, &list); err != nil {
		return m, err
	}
	switch {
	case c[claimSubmods] != nil:
		return part{unknown: "has submodules of its own, which are not appraised here"}, nil
	case len(list) != 1 || list[0].Format != formatCBOR:
		return part{unknown: fmt.Sprintf("has %d measurements; one of content format %d is understood here", len(list),
			formatCBOR)}, nil
	}
	var body measurementBody
	if err := wellFormed(list[0].Body); err != nil {
		return m, under(err, "measurements")
	}
	if e := decoding.Unmarshal(shortest(list[0].Body), &body); e != nil {
		return m, malformed(-1, ruleEAT, "%v", e).Under("measurements")
	}
	if body.Digest.Algorithm != digestSHA256 || len(body.Digest.Value) != digestSize {
		return m, malformed(-1, ruleEAT, "a digest %q of %d octets", body.Digest.Algorithm, len(body.Digest.Value)).
			Under("measurements")
	}
	out.Digest = body.Digest.Value
	return part{component: out}, nil
}

// nonces reads eat_nonce: one, or an array of two or more, of 8 to 64 octets each
// (RFC 9711 section 4.1); nil when there is none. The prototype's tokens take any
// length.
func (c claims) nonces(least int) ([][]byte, *attls.Error) {
	raw, ok := c[claimNonce]
	if !ok {
		return nil, nil
	}
	const rule = "RFC 9711 4.1"
	s := scanner{b: raw}
	var list [][]byte
	if s.peek() != majorArray {
		v, err := s.bytes()
		if err != nil {
			return nil, under(err, "eat_nonce").By(rule)
		}
		list = [][]byte{v}
	} else {
		e, err := s.begin(majorArray)
		for err == nil {
			var more bool
			if more, err = s.more(e); !more || err != nil {
				break
			}
			var v []byte
			v, err = s.bytes()
			list = append(list, v)
		}
		if err == nil && len(list) < 2 {
			err = malformed(-1, "", "an array of %d nonces; one has two or more", len(list))
		}
		if err != nil {
			return nil, under(err, "eat_nonce").By(rule)
		}
	}
	for _, v := range list {
		if len(v) < least || len(v) > maxNonce {
			return nil, malformed(-1, rule, "a nonce of %d octets; it has %d to %d", len(v), least, maxNonce).Under("eat_nonce")
		}
	}
	return list, nil
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
		"a challenge of %d octets; the field takes %d to %d and the profile's fit does not help", n, min, max).
		Under("eat_nonce").By("RFC 9711 4.1")
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

// confirmation reads the key of the cnf claim (RFC 8747 section 3.2). A cnf that
// names a key by its identifier alone (kid), or holds an encrypted one, gives none.
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
	if _, ok := inner[confirmationEncrypted]; ok {
		return nil, malformed(-1, "RFC 8747 3.1", "a COSE_Key and an Encrypted_COSE_Key in the cnf claim; it has one of them")
	}
	pub, err := ParseCOSEKey(key)
	return pub, under(err, "cnf")
}
