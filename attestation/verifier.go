package attestation

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"attls"
	"attls/extensions/profile"
	"attls/negotiation"

	"github.com/veraison/ear"
	"github.com/veraison/eat"
	"github.com/veraison/go-cose"
)

// Endorsement is a platform key that a Verifier trusts, and the platforms for which
// it may speak: PATs verify under it. What is stated must all agree with the
// platform; an Endorsement that states nothing speaks for none (RFC 9334 section
// 8.2: an Endorsement is about an Attester, not about a key).
type Endorsement struct {
	Name string
	Key  crypto.PublicKey

	UEIDs      [][]byte // devices, by ueid
	OEMID      []byte   // the maker, by oemid
	OEMPEN     uint32   // the maker, by an oemid that is a Private Enterprise Number
	Model      []byte   // the implementation, by hwmodel
	References []string // names of the References that it can meet
}

// namesPlatform reports whether the Endorsement says for whom its key speaks.
func (e *Endorsement) namesPlatform() bool {
	return e.UEIDs != nil || e.OEMID != nil || e.OEMPEN != 0 || e.Model != nil || e.References != nil
}

// speaksFor says why the key may not speak for a platform; empty when it may. Its
// References are compared later, with the one that the platform meets.
func (e *Endorsement) speaksFor(p *Platform) string {
	switch {
	case !e.namesPlatform():
		return "names no platform"
	case e.UEIDs != nil && !contains(e.UEIDs, p.UEID):
		return fmt.Sprintf("is not for the device with the ueid %x", []byte(p.UEID))
	case e.OEMID != nil && !bytes.Equal(e.OEMID, p.OEMID):
		return fmt.Sprintf("is not for the maker with the oemid %x", p.OEMID)
	case e.OEMPEN != 0 && e.OEMPEN != p.OEMPEN:
		return fmt.Sprintf("is not for the maker with the enterprise number %d", p.OEMPEN)
	case e.Model != nil && !bytes.Equal(e.Model, p.Model):
		return fmt.Sprintf("is not for the hwmodel %x", p.Model)
	}
	return ""
}

// Reference is one state of a platform that a Verifier accepts.
type Reference struct {
	Name    string
	UEIDs   [][]byte // devices; nil: any
	OEMID   []byte   // nil: any
	OEMPEN  uint32   // oemid as a Private Enterprise Number; 0: any
	Model   []byte   // nil: any
	Profile string   // empty: any
	// Debug is the least dbgstat that is accepted. Zero is eat.DebugDisabled, which
	// tokens that have the claim must reach; platforms with debugging enabled are
	// accepted where AllowDebug says so, and nowhere else.
	Debug      eat.Debug
	AllowDebug bool
	Components []ReferenceComponent
	// Prototype makes it a reference for the tokens of the 2022 prototype, which
	// measure nothing, and for no others; without it, for all others.
	Prototype bool
	// PCRDigests make it a reference for Parsec's Evidence of a TPM, and for no
	// other: the digests of quoted PCRs that are accepted. A digest says nothing
	// without what it is a digest of: the TPM must have quoted exactly PCRs, which
	// must not be empty.
	PCRDigests [][]byte
	PCRs       PCRSelection
}

// ReferenceComponent is a component with the measurements accepted of it. The
// components of a platform are exactly those of its Reference.
type ReferenceComponent struct {
	Name     string
	Versions []string // nil: any
	Digests  [][]byte // SHA-256, 32 octets each
}

// TrustedVerifier is a Verifier whose results are accepted.
type TrustedVerifier struct {
	Identity  []byte // verifier_identity, as it is negotiated
	Developer string // ear.verifier-id.developer; empty: the Identity
	Key       crypto.PublicKey
	// Service is what kind of service it is, where it is of a known one (Veraison): its
	// results must then have exactly the appraisals of one of the service's schemes.
	// Nil: any Verifier, whose results attest the key.
	Service *Service
}

// Verifier appraises Evidence against endorsed keys and reference values, and
// results against trusted verifiers. It is immutable after its first use and
// safe for concurrent use.
type Verifier struct {
	Endorsements []Endorsement
	References   []Reference
	Trusted      []TrustedVerifier
	// Formats of the Evidence that it appraises, in order of preference; nil:
	// those of DefaultOffers, or those for which there are Policies.
	Formats []profile.Format
	// Table is what it can read; zero: the software root of trust's tokens alone.
	Table Formats
	// Policies judge the formats of Table by their names. Formats that are judged by
	// Endorsements and References need none.
	Policies map[string]Policy

	// Machines are those whose devices are known: how the parts of composite Evidence
	// can be shown to be of one machine.
	Machines []Machine
	// AcceptUnattested accepts a key of the handshake that nothing in the Evidence
	// attests: the Evidence names none, and the profile's challenge is not computed over
	// it. The verdict says so.
	AcceptUnattested bool

	// Identity names this Verifier in the results it issues; Key signs them
	// with ES256. Without a key it issues none.
	Identity string
	Build    string
	Key      crypto.Signer
	// Audiences are further names under which this Verifier accepts tokens that say
	// for whom they are (claim aud). A token for somebody else is refused.
	Audiences []string

	Clock    func() time.Time // nil: time.Now
	Validity time.Duration    // of a verdict on Evidence; default an hour
	MaxAge   time.Duration    // of a result received; default a day
	Skew     time.Duration    // by which clocks may differ; default a minute
	Limits   Limits           // Size: default 32768 octets
}

const (
	defaultSize     = 1 << 15
	defaultValidity = time.Hour
	defaultMaxAge   = 24 * time.Hour
	defaultSkew     = time.Minute
)

// Schemes lists the formats of Evidence, then the trusted verifiers.
func (v *Verifier) Schemes() []negotiation.Scheme {
	var out []negotiation.Scheme
	for _, f := range v.formats() {
		out = append(out, negotiation.Scheme{Model: profile.ModelEvidence, Format: f})
	}
	for _, t := range v.Trusted {
		out = append(out, negotiation.Scheme{Model: profile.ModelResults, Verifier: t.Identity})
	}
	return out
}

// formats are the formats of Evidence that it appraises.
func (v *Verifier) formats() []profile.Format {
	list := slices.Clone(v.Formats)
	if list != nil {
		return list
	}
	for _, f := range v.table().rows {
		if v.Policies[f.Name] != nil {
			for _, s := range f.Schemes() {
				list = append(list, s.Format)
			}
		}
	}
	if list != nil {
		return list
	}
	for _, o := range DefaultOffers() {
		list = append(list, o.Format)
	}
	return list
}

// table is what it can read.
func (v *Verifier) table() Formats {
	if v.Table.rows == nil {
		return software
	}
	return v.Table
}

// ChallengeSize is the length that all its formats want of a challenge; 0, any, where
// they do not agree. An eat_nonce takes any challenge of 8 to 64 octets.
func (v *Verifier) ChallengeSize() int {
	size := -1
	for _, typ := range v.formats() {
		for _, f := range v.table().Of(typ) {
			if size >= 0 && size != f.Challenge.Wants {
				return 0
			}
			size = f.Challenge.Wants
		}
	}
	return max(size, 0)
}

// Nonce supplies none: random octets do.
func (v *Verifier) Nonce(context.Context, int) ([]byte, error) { return nil, nil }

func (v *Verifier) now() time.Time {
	if v.Clock != nil {
		return v.Clock()
	}
	return time.Now()
}

// or is the first value unless that is zero.
func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// appraisal is one request on its way to a verdict.
type appraisal struct {
	*Verifier
	r       *negotiation.AppraisalRequest
	at      time.Time
	verdict *negotiation.Verdict
	vector  ear.TrustVector
	// unchecked says what could not be checked, which caps the verdict.
	unchecked []string
}

// Appraise judges what a CMW holds. Whatever its octets, the outcome is a
// Verdict with the checks that were made, in order; the first that failed is
// the Failure. The error is the context's.
func (v *Verifier) Appraise(ctx context.Context, r *negotiation.AppraisalRequest) (*negotiation.Verdict, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	a := &appraisal{Verifier: v, r: r, at: v.now(), verdict: &negotiation.Verdict{Status: "none"}}
	if r.Scheme.Model == profile.ModelResults {
		a.results()
	} else {
		a.evidence(ctx)
	}
	return a.verdict, nil
}

// check notes a step; the first error decides the verdict.
func (a *appraisal) check(name string, err *attls.Error, text string) bool {
	if err != nil {
		text = reason(err)
		if a.verdict.Failure == "" {
			a.verdict.Failure, a.verdict.Reason = err.Failure, text
		}
	}
	a.verdict.Checks = append(a.verdict.Checks, negotiation.Check{Name: name, OK: err == nil, Text: text})
	return err == nil
}

// reason is an error without its failure's name, which a Verdict has apart:
// where, what, and by which rule.
func reason(e *attls.Error) string {
	text := e.Detail
	if e.Offset >= 0 {
		text = fmt.Sprintf("at octet %d: %s", e.Offset, text)
	}
	if e.Field != "" {
		text = e.Field + ": " + text
	}
	if e.Rule != "" {
		text += " (" + e.Rule + ")"
	}
	return text
}

func refused(f attls.Failure, rule, format string, args ...any) *attls.Error {
	return attls.Errorf(attls.Refused, f, format, args...).By(rule)
}

// Names of the checks.
const (
	CheckCMW       = "cmw"
	CheckFormat    = "format"
	CheckTokens    = "tokens"
	CheckPlatform  = "platform-signature"
	CheckLinkage   = "linkage"
	CheckReference = "reference-values"
	CheckKeySigned = "key-attestation-signature"
	CheckChallenge = "challenge"
	CheckKey       = "key"
	CheckClaims    = "claims"
	CheckResult    = "result-signature"
	CheckVerifier  = "verifier"
	CheckProfile   = "profile"
	CheckFreshness = "freshness"
	CheckStatus    = "status"
	// CheckAppraisals is about the names of a result's appraisals (submods).
	CheckAppraisals = "appraisals"
	CheckPolicy     = "policy"
)

// tokens is Evidence taken apart: what says the key, what says the platform,
// and how the two hang together.
type tokens struct {
	form     Tokens
	kat, pat *token
	key      crypto.PublicKey // the attested key
	kak      crypto.PublicKey // signs the KAT; nil when one token is both
	linked   []byte           // what the PAT's nonce must be the hash of
	platform Platform

	kakAlgorithm cose.Algorithm // the only one that kak-pub is for; 0: any
	nonces       [][]byte       // of the key token
	links        [][]byte       // nonces of the platform token
	limits       []restriction  // of all claims sets
}

// critical is why one of the tokens must not be processed; nil when both may be.
func (t *tokens) critical() *attls.Error {
	if t.kat.critical != nil {
		return under(t.kat.critical, labelKAT)
	}
	return under(t.pat.critical, labelPAT)
}

// leastNonce is the length of the shortest challenge, in octets.
func (t *tokens) leastNonce() int { return t.form.leastNonce() }

// verifies checks what the platform key signs under an endorsed key. The
// prototype's PAT vouches for no other key, so the same one must have signed its
// KAT.
func (t *tokens) verifies(key crypto.PublicKey) error {
	if err := t.pat.verify(key); err != nil {
		return err
	}
	if t.form == Prototype && !sameKey(key, t.kak) {
		return errors.New("the key token names another key")
	}
	return nil
}

// evidence has the policy of its format judge Evidence, and compares the challenge,
// the key and the further claims that the profile wants.
func (a *appraisal) evidence(ctx context.Context) {
	x, policy, ok := a.take()
	if !ok {
		a.vector.SetAll(ear.UnexpectedEvidenceClaim)
		a.conclude(time.Time{})
		return
	}
	x.judge(ctx, policy)
	f := x.Format
	var err *attls.Error
	if a.r.Challenge != nil {
		err = f.carries(x.Reading, a.r.Challenge, a.r.Fit)
	}
	a.checkChallenge(&f.Challenge, err)
	attested := a.checkNaming(x)
	if len(a.r.Claims) > 0 {
		a.checkClaims(x)
	}
	a.vector, a.unchecked = x.Vector, x.unchecked
	if a.verdict.Failure == "" && len(a.unchecked) == 0 {
		a.verdict.SPKI = attested
		a.verdict.ValidUntil = sooner(x.Until, a.at.Add(or(a.Validity, defaultValidity)))
	} else if a.verdict.Failure != "" && tierOf(&a.vector) <= ear.TrustTierAffirming {
		a.vector.InstanceIdentity = ear.CryptoValidationFailedClaim // a sound platform, but not this connection
	}
	a.conclude(x.Until)
}

// sooner is the earlier of two moments, of which a zero one is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// expiry is the earliest exp of all claims sets, or end if that is sooner or there
// is none.
func (t *tokens) expiry(end time.Time) time.Time {
	for i := range t.limits {
		if end.IsZero() && t.limits[i].dates.expires != nil {
			end = *t.limits[i].dates.expires
		}
		end = t.limits[i].dates.soonest(end)
	}
	return end
}

// take reads the Evidence with the reader of its format, and finds the policy that
// judges it.
func (a *appraisal) take() (*Appraisal, Policy, bool) {
	x := &Appraisal{Attester: a.r.Attester, SPKI: a.r.SPKI, Endorsements: a.Endorsements, References: a.References,
		Bound: a.r.KeyBound,
		At:    a.at, Skew: or(a.Skew, defaultSkew), verifier: a.Verifier, verdict: a.verdict}
	var c *CMW
	if x.Format = a.table().bare(a.r.CMW, underType(a.r)); x.Format != nil {
		c = &CMW{Format: a.r.Scheme.Format, Value: a.r.CMW}
	} else {
		var ok bool
		if c, ok = a.unwrap(); !ok || !a.check(CheckFormat, c.Match(a.r.Scheme.Format, a.r.Match),
			FormatString(a.r.Scheme.Format)) {
			return nil, nil, false
		}
	}
	err := a.size()
	if err == nil && x.Format == nil {
		x.Format, err = a.table().find(c, a.r.Scheme.Format)
	}
	if err == nil {
		x.Type = c.Format
		x.Reading, err = x.Format.read(c)
	}
	if err == nil {
		err = x.Reading.Critical
	}
	text := "key and platform claims parse"
	if x.Format != nil && x.Format.Name != EAT {
		text = "the Evidence is of the format " + x.Format.Name
	}
	if !a.check(CheckTokens, err, text) {
		return nil, nil, false
	}
	p, err := a.policy(x.Format)
	if other := a.meant(x); err != nil && other != "" {
		err = attls.Errorf(attls.Violation, attls.FailFormatMismatch,
			"the Evidence is of the format %s; of the formats that have its type, "+
				"this Verifier has a policy for %s", x.Format.Name, other).By(x.Format.Source)
	}
	if err != nil && !a.check(CheckPolicy, err, "") {
		return nil, nil, false
	}
	return x, p, true
}

// meant is the format that a policy is for, among others that share the type of the
// Evidence; empty: none.
func (a *appraisal) meant(x *Appraisal) string {
	for _, f := range a.table().Of(x.Type) {
		if a.Policies[f.Name] != nil {
			return f.Name
		}
	}
	return ""
}

// size refuses a payload that is too long.
func (a *appraisal) size() *attls.Error {
	if limit := or(a.Limits.Size, defaultSize); len(a.r.CMW) > limit {
		return malformed(limit, "", "%d octets; at most %d are accepted", len(a.r.CMW), limit)
	}
	return nil
}

// underType reports whether a request was negotiated as a type.
func underType(r *negotiation.AppraisalRequest) func(profile.Format) bool {
	return func(f profile.Format) bool { return Matches(f, r.Scheme.Format, r.Match) == nil }
}

// policy is what judges a format.
func (v *Verifier) policy(f *Format) (Policy, *attls.Error) {
	if p := v.Policies[f.Name]; p != nil {
		return p, nil
	}
	p, err := f.Policy(nil)
	if err != nil || p == nil {
		return nil, refused(attls.FailAppraisal, "RFC 9334 8.5",
			"this Verifier has no policy for Evidence of the format %s, so it trusts none of it", f.Name)
	}
	return p, nil
}

// unwrap reads the CMW and holds its ind against the model.
func (a *appraisal) unwrap() (*CMW, bool) {
	limits := a.Limits
	limits.Size = or(limits.Size, defaultSize)
	c, err := ParseCMW(a.r.CMW, limits)
	if err == nil {
		err = under(c.checkIndicators(a.r.Scheme.Model), "cmw")
	}
	return c, a.check(CheckCMW, err, fmt.Sprintf("%d octets", len(a.r.CMW)))
}

// parseTokens finds a KAT and a PAT in a collection, or one token in a record.
func parseTokens(c *CMW) (*tokens, *attls.Error) {
	if !c.IsCollection() {
		t, err := parseToken(c.Value)
		if err != nil {
			return nil, under(err, "token")
		}
		out := &tokens{form: Combined, kat: t, pat: t}
		return out, out.read()
	}
	if c.CollectionType != typeKATandPAT {
		return nil, malformed(-1, ruleKAT, "a collection of type %q; %q is expected", c.CollectionType, typeKATandPAT).
			Under(collectionLabel)
	}
	out := &tokens{}
	var err *attls.Error
	if out.kat, err = c.tokenAt(labelKAT); err != nil {
		return nil, err
	}
	if out.pat, err = c.tokenAt(labelPAT); err != nil {
		return nil, err
	}
	kak, ok := out.kat.claims[claimKAK]
	if !ok {
		return nil, malformed(-1, ruleKAT, "no kak-pub claim (%d)", claimKAK).Under(labelKAT)
	}
	key, err := parseCOSEKey(kak)
	if err != nil {
		return nil, under(under(err, "kak-pub"), labelKAT)
	}
	out.kak, out.kakAlgorithm, out.linked = key.public, key.algorithm, kak
	return out, out.read()
}

// tokenAt parses one of the two members of a collection.
func (c *CMW) tokenAt(label string) (*token, *attls.Error) {
	m, ok := c.member(label)
	if !ok || len(c.Members) != 2 || m.Members != nil {
		return nil, malformed(-1, ruleKAT, "the collection is a record %q and a record %q", labelKAT, labelPAT)
	}
	t, err := parseToken(m.Value)
	return t, under(err, label)
}

// read takes the attested key, the nonces, the platform and the restrictions out
// of the claims.
func (t *tokens) read() (err *attls.Error) {
	if t.key, err = t.kat.claims.confirmation(); err != nil {
		return under(err, labelKAT)
	}
	if err := t.readCommon(); err != nil {
		return err
	}
	var limits []restriction
	t.platform, limits, err = platformOf(t.pat.claims)
	t.limits = append(t.limits, limits...)
	return under(err, labelPAT)
}

// readCommon reads what every form of tokens has.
func (t *tokens) readCommon() (err *attls.Error) {
	if t.nonces, err = t.kat.claims.nonces(t.leastNonce()); err != nil {
		return under(err, labelKAT)
	}
	if t.links, err = t.pat.claims.nonces(t.leastNonce()); err != nil {
		return under(err, labelPAT)
	}
	for _, x := range []struct {
		where string
		*token
	}{{labelKAT, t.kat}, {labelPAT, t.pat}} {
		if x.where == labelPAT && t.pat == t.kat {
			break // one token is both
		}
		limit, err := readRestriction(x.where, x.claims)
		if err != nil {
			return err
		}
		t.limits = append(t.limits, limit)
	}
	return nil
}

const rulePrototype = "prototype of 2022"

// parsePrototype reads 01, KAT and PAT, each token after 16 bits of length.
func parsePrototype(b []byte) (*tokens, *attls.Error) {
	const rule = rulePrototype
	out := &tokens{form: Prototype}
	off := 1
	for _, to := range []**token{&out.kat, &out.pat} {
		if len(b)-off < 2 {
			return nil, malformed(off, rule, "the bundle ends before the length of a token")
		}
		n := int(b[off])<<8 | int(b[off+1])
		if off += 2; len(b)-off < n {
			return nil, malformed(off, rule, "a token of %d octets; %d are left", n, len(b)-off)
		}
		t, err := parseToken(b[off : off+n])
		if err != nil {
			return nil, err
		}
		*to = t
		off += n
	}
	if off < len(b) {
		return nil, malformed(off, rule, "%d octets follow the tokens", len(b)-off)
	}
	ueid, err := out.pat.claims.Octets(prototypeUEID)
	if err != nil {
		return nil, err
	}
	out.platform = Platform{UEID: ueid, prototype: true}
	if out.linked, err = out.kat.claims.Octets(claimConfirmation); err != nil {
		return nil, err
	}
	if out.key, err = prototypeKey(out.linked); err != nil {
		return nil, under(err, "cnf")
	}
	kak, err := out.kat.claims.Octets(claimKAK)
	if err != nil {
		return nil, err
	}
	if out.kak, err = prototypeKey(kak); err != nil {
		return nil, under(err, "kak-pub")
	}
	return out, out.readCommon()
}

func prototypeKey(point []byte) (crypto.PublicKey, *attls.Error) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384()} {
		if k, err := ecdsa.ParseUncompressedPublicKey(curve, point); err == nil {
			return k, nil
		}
	}
	return nil, malformed(-1, "SEC 1 2.3.4", "%d octets are not an uncompressed point of P-256 or P-384", len(point))
}

// nonceText prints nonces.
func nonceText(list [][]byte) string {
	var texts []string
	for _, n := range list {
		texts = append(texts, fmt.Sprintf("%x", n))
	}
	return strings.Join(texts, " or ")
}

func (a *appraisal) checkChallenge(field *ChallengeField, err *attls.Error) {
	text := field.Name + " is the challenge"
	if a.r.Challenge == nil {
		text = "nothing is bound to the handshake"
	}
	a.check(CheckChallenge, err, text)
}

// checkNaming compares the key that Evidence names with that of the handshake. Where
// it names none, the binder may hold the key; where that does not either, nothing
// attests it, and the verdict says so.
func (a *appraisal) checkNaming(x *Appraisal) (spki []byte) {
	switch {
	case x.Reading.Key != nil:
		return a.checkKey(x.Reading.Key, nil)
	case a.r.SPKI == nil:
		a.check(CheckKey, refused(attls.FailTIKMismatch, x.Format.Source, "%s", x.Format.keyless()), "")
		return nil
	case x.Bound && a.r.Challenge != nil:
		a.check(CheckKey, nil, "the Evidence names no key; the challenge is computed over the key of the handshake")
		return a.r.SPKI
	case bytes.Equal(a.r.Challenge, keyChallenge(a.r.SPKI)):
		a.check(CheckKey, nil, "the Evidence names no key; the challenge is SHA-256 of the key")
		return a.r.SPKI
	case x.AcceptUnattested || a.AcceptUnattested:
		a.check(CheckKey, nil,
			"nothing in this Evidence attests the key of the handshake, which the policy accepts (unattested_key)")
		return a.r.SPKI
	}
	x.Unchecked(CheckKey,
		"nothing in this Evidence attests the key of the handshake: %s names no key, and the challenge is not computed "+
			"over it", x.Format.Name)
	return nil
}

// checkClaims compares the values that the profile wants besides the challenge. They
// are about the key; a format that cannot carry them says the same where it attests
// the key.
func (a *appraisal) checkClaims(x *Appraisal) {
	if x.Reading.Claim != nil {
		a.check(CheckClaims, agree(x.Reading.Claim, a.r), fmt.Sprintf("%d further claims are as expected", len(a.r.Claims)))
		return
	}
	names := make([]string, len(a.r.Claims))
	for i, c := range a.r.Claims {
		names[i] = c.Name
	}
	if x.Reading.Key != nil || x.Bound && a.r.Challenge != nil {
		a.check(CheckClaims, nil, fmt.Sprintf("%s has no claim %s; the key that it is about is attested otherwise",
			x.Format.Name, strings.Join(names, ", ")))
		return
	}
	x.Unchecked(CheckClaims, "%s has no claim %s, and nothing else attests the key", x.Format.Name,
		strings.Join(names, ", "))
}

// checkKey holds the attested key, or the error of finding it, against the
// handshake's and returns its DER SubjectPublicKeyInfo.
func (a *appraisal) checkKey(attested crypto.PublicKey, err *attls.Error) (spki []byte) {
	if err == nil {
		spki, err = a.sameKey(attested)
	}
	text := "the attested key is the key of the handshake"
	if a.r.SPKI == nil {
		text = "the key is the one attested, " + fingerprint(spki)
	}
	a.check(CheckKey, err, text)
	return spki
}

// sameKey compares the attested key with that of the handshake, where there is
// one, and returns its DER SubjectPublicKeyInfo.
func (a *appraisal) sameKey(attested crypto.PublicKey) ([]byte, *attls.Error) {
	spki, err := spkiOf(attested)
	if err != nil {
		return nil, refused(attls.FailAttestationKey, ruleKey, "the attested key: %v", err)
	}
	if a.r.SPKI == nil {
		return spki, nil
	}
	key, err := parseSPKI(a.r.SPKI)
	if err != nil {
		return nil, refused(attls.FailTIKMismatch, ruleKey, "the key of the handshake: %v", err)
	}
	if !sameKey(attested, key) {
		return nil, refused(attls.FailTIKMismatch, ruleKAT, "the attested key %s is not the key of the handshake %s",
			fingerprint(spki), fingerprint(a.r.SPKI))
	}
	return a.r.SPKI, nil
}

// fingerprint names a key in a message: the start of the hash of its SPKI.
func fingerprint(spki []byte) string {
	h := sha256.Sum256(spki)
	return fmt.Sprintf("%x…", h[:8])
}

// agree compares the further claims that the profile wants.
func agree(claim func(name string) ([]byte, *attls.Error), r *negotiation.AppraisalRequest) *attls.Error {
	for _, want := range r.Claims {
		got, err := claim(want.Name)
		if err != nil {
			return under(err, want.Name)
		}
		if !bytes.Equal(got, want.Value) {
			return refused(attls.FailTIKMismatch, r.Profile, "the claim %s is %x, expected is %x", want.Name, got, want.Value)
		}
	}
	return nil
}

// leastDebug is the least dbgstat that is accepted of tokens. Those of the
// prototype and of a TPM do not have the claim, so there only what is stated
// counts, and refuses them.
func (ref *Reference) leastDebug(p *Platform) eat.Debug {
	if ref.Debug == 0 && !ref.AllowDebug && p.Quote == nil && !p.prototype {
		return eat.DebugDisabled
	}
	return ref.Debug
}

// admits compares a platform with a Reference: how many comparisons it passed,
// and why the next one failed.
func (ref *Reference) admits(p *Platform) (passed int, why string) {
	least := ref.leastDebug(p)
	quote := p.Quote
	if quote == nil {
		quote = &Quote{}
	}
	for _, c := range []struct {
		ok  bool
		why string
	}{
		{ref.Prototype == p.prototype && (ref.PCRDigests != nil) == (p.Quote != nil), "it is for other tokens"},
		{p.Quote == nil || len(ref.PCRs) > 0, "it has digests of PCRs and does not say of which PCRs"},
		{p.Quote == nil || ref.PCRs.equal(quote.PCRs), fmt.Sprintf("the quote is over the PCRs %v, not %v",
			quote.PCRs, ref.PCRs)},
		{p.Quote == nil || contains(ref.PCRDigests, quote.Digest), fmt.Sprintf("the digest of the PCRs is %x", quote.Digest)},
		{ref.Profile == "" || ref.Profile == p.Profile, fmt.Sprintf("eat_profile is %q, not %q", p.Profile, ref.Profile)},
		{ref.UEIDs == nil || contains(ref.UEIDs, p.UEID), fmt.Sprintf("ueid %x is not listed", []byte(p.UEID))},
		{ref.OEMID == nil || bytes.Equal(ref.OEMID, p.OEMID), fmt.Sprintf("oemid is %s, not %x", p.maker(), ref.OEMID)},
		{ref.OEMPEN == 0 || ref.OEMPEN == p.OEMPEN, fmt.Sprintf("oemid is %s, not the enterprise number %d",
			p.maker(), ref.OEMPEN)},
		{ref.Model == nil || bytes.Equal(ref.Model, p.Model), fmt.Sprintf("hwmodel is %x, not %x", p.Model, ref.Model)},
		{p.Debug >= least, fmt.Sprintf("dbgstat is %d (%s), at least %d is wanted", p.Debug, debugNames[p.Debug], least)},
		{len(p.Unknown) == 0, strings.Join(p.Unknown, "; ")},
	} {
		if !c.ok {
			return passed, c.why
		}
		passed++
	}
	for _, want := range ref.Components {
		if why := want.admits(p); why != "" {
			return passed, why
		}
		passed++
	}
	if len(p.Components) > len(ref.Components) {
		return passed, fmt.Sprintf("%d components are measured, not %d", len(p.Components), len(ref.Components))
	}
	for _, got := range p.Components { // a Reference may list one of its own twice
		if !slices.ContainsFunc(ref.Components, func(c ReferenceComponent) bool { return c.Name == got.Name }) {
			return passed, fmt.Sprintf("component %q is measured, and not listed", got.Name)
		}
	}
	return passed, ""
}

// maker prints oemid.
func (p *Platform) maker() string {
	if p.OEMPEN != 0 {
		return fmt.Sprintf("the enterprise number %d", p.OEMPEN)
	}
	return fmt.Sprintf("%x", p.OEMID)
}

func (want *ReferenceComponent) admits(p *Platform) string {
	i := slices.IndexFunc(p.Components, func(c Component) bool { return c.Name == want.Name })
	if i < 0 {
		return fmt.Sprintf("component %q is not measured", want.Name)
	}
	got := &p.Components[i]
	if want.Versions != nil && !slices.Contains(want.Versions, got.Version) {
		return fmt.Sprintf("component %q has version %q", want.Name, got.Version)
	}
	if !contains(want.Digests, got.Digest) {
		return fmt.Sprintf("component %q has digest %x", want.Name, got.Digest)
	}
	return ""
}

func contains(list [][]byte, v []byte) bool {
	return slices.ContainsFunc(list, func(x []byte) bool { return bytes.Equal(x, v) })
}
