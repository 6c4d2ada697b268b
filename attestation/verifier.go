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
}

// Verifier appraises Evidence against endorsed keys and reference values, and
// results against trusted verifiers. It is immutable after its first use and
// safe for concurrent use.
type Verifier struct {
	Endorsements []Endorsement
	References   []Reference
	Trusted      []TrustedVerifier
	// Formats of the Evidence that it appraises, in order of preference; nil:
	// those of DefaultOffers.
	Formats []profile.Format

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
	formats := v.Formats
	if formats == nil {
		for _, o := range DefaultOffers() {
			formats = append(formats, o.Format)
		}
	}
	for _, f := range formats {
		out = append(out, negotiation.Scheme{Model: profile.ModelEvidence, Format: f})
	}
	for _, t := range v.Trusted {
		out = append(out, negotiation.Scheme{Model: profile.ModelResults, Verifier: t.Identity})
	}
	return out
}

// ChallengeSize is 0: an eat_nonce takes any challenge of 8 to 64 octets.
func (v *Verifier) ChallengeSize() int { return 0 }

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
		a.evidence()
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
	tpm      *parsecTPM // in place of kat and pat

	kakAlgorithm cose.Algorithm // the only one that kak-pub is for; 0: any
	nonces       [][]byte       // of the key token
	links        [][]byte       // nonces of the platform token
	limits       []restriction  // of all claims sets
}

// claims are those of the key token; none where a TPM speaks.
func (t *tokens) claims() claims {
	if t.kat == nil {
		return nil
	}
	return t.kat.claims
}

// critical is why one of the tokens must not be processed; nil when both may be.
func (t *tokens) critical() *attls.Error {
	switch {
	case t.tpm != nil:
		return nil
	case t.kat.critical != nil:
		return under(t.kat.critical, labelKAT)
	}
	return under(t.pat.critical, labelPAT)
}

// leastNonce is the length of the shortest challenge, in octets.
func (t *tokens) leastNonce() int {
	if t.tpm != nil {
		return 0
	}
	return t.form.leastNonce()
}

// verifies checks what the platform key signs under an endorsed key. The
// prototype's PAT vouches for no other key, so the same one must have signed its
// KAT.
func (t *tokens) verifies(key crypto.PublicKey) error {
	if t.tpm != nil {
		return t.tpm.verify(key)
	}
	if err := t.pat.verify(key); err != nil {
		return err
	}
	if t.form == Prototype && !sameKey(key, t.kak) {
		return errors.New("the key token names another key")
	}
	return nil
}

// evidence runs the checks of draft-bft-rats-kat: the platform token's
// signature, the link between the tokens, the platform's claims, the key token's
// signature, what restricts the tokens, the nonce, the key, and the claims the
// profile wants.
func (a *appraisal) evidence() {
	t, ok := a.take()
	if !ok {
		a.vector.SetAll(ear.UnexpectedEvidenceClaim)
		a.conclude(time.Time{})
		return
	}
	a.vector.InstanceIdentity = ear.CryptoValidationFailedClaim
	endorsements, err := a.platformSignature(t)
	if a.check(CheckPlatform, err, "the platform key is endorsed") {
		a.vector.InstanceIdentity = ear.TrustworthyInstanceClaim
		a.vector.Hardware = ear.GenuineHardwareClaim
	}
	switch {
	case t.tpm != nil:
		a.check(CheckLinkage, t.tpm.linkage(), "the TPM certifies the public area, and made the key")
	case t.kak != nil:
		a.check(CheckLinkage, linkage(t), "the platform token vouches for the key that signed the key token")
	}
	a.vector.Executables = ear.ContraindicatedRuntimeClaim
	if a.check(CheckReference, a.reference(t, endorsements), "a reference value matches") {
		a.vector.Executables = ear.ApprovedRuntimeClaim
	}
	if t.kak != nil {
		a.check(CheckKeySigned, keySignature(t), "the key token verifies under kak-pub")
	}
	if t.tpm == nil {
		a.check(CheckFreshness, a.restrictions(t), "no date, audience or intended use is against it")
	}
	a.checkChallenge(a.challenge(t))
	attested := a.checkKey(t.key, nil)
	if len(a.r.Claims) > 0 {
		a.check(CheckClaims, t.claims().agree(a.r), fmt.Sprintf("%d further claims are as expected", len(a.r.Claims)))
	}
	if a.verdict.Failure == "" {
		a.verdict.SPKI = attested
		a.verdict.ValidUntil = t.expiry(a.at.Add(or(a.Validity, defaultValidity)))
	} else if a.vector.InstanceIdentity == ear.TrustworthyInstanceClaim && a.vector.Executables == ear.ApprovedRuntimeClaim {
		a.vector.InstanceIdentity = ear.CryptoValidationFailedClaim // a sound platform, but not this connection
	}
	a.conclude(t.expiry(time.Time{}))
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

// restrictions checks what the tokens say of when, for whom and for what they may
// be used.
func (a *appraisal) restrictions(t *tokens) *attls.Error {
	for i := range t.limits {
		if err := a.allows(&t.limits[i]); err != nil {
			return err
		}
	}
	return nil
}

// take reads the CMW down to claims.
func (a *appraisal) take() (*tokens, bool) {
	if len(a.r.CMW) > 0 && a.r.CMW[0] == prototypeFirst && Matches(PrototypeFormat, a.r.Scheme.Format, a.r.Match) == nil {
		t, err := parsePrototype(a.r.CMW, or(a.Limits.Size, defaultSize))
		if err == nil {
			err = t.critical()
		}
		return t, a.check(CheckTokens, err, "the prototype's key and platform tokens parse")
	}
	c, ok := a.unwrap()
	if !ok || !a.check(CheckFormat, c.Match(a.r.Scheme.Format, a.r.Match), FormatString(a.r.Scheme.Format)) {
		return nil, false
	}
	t, err := parseTokens(c)
	if err == nil {
		err = t.critical()
	}
	return t, a.check(CheckTokens, err, "key and platform claims parse")
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

// parseTokens finds a KAT and a PAT in a collection, or one token or the statements
// of a TPM in a record.
func parseTokens(c *CMW) (*tokens, *attls.Error) {
	if (c.Form == CBORRecord || c.Form == JSONRecord) && Matches(c.Format, FormatParsecTPM, profile.MatchEqual) == nil {
		return parseParsecTPM(c.Value)
	}
	if c.Form != CBORCollection && c.Form != JSONCollection {
		t, err := parseToken(c.Value)
		if err != nil {
			return nil, under(err, "token")
		}
		out := &tokens{form: Combined, kat: t, pat: t}
		return out, out.read()
	}
	if c.CollectionType != typeKATandPAT {
		return nil, malformed(-1, ruleKAT, "a collection of type %q; %q is expected", c.CollectionType, typeKATandPAT).Under(collectionLabel)
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

// parsePrototype reads 01, KAT and PAT, each token after 16 bits of length.
func parsePrototype(b []byte, limit int) (*tokens, *attls.Error) {
	const rule = "prototype of 2022"
	if len(b) > limit {
		return nil, malformed(limit, rule, "a bundle of %d octets; at most %d are accepted", len(b), limit)
	}
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
	ueid, err := out.pat.claims.octets(prototypeUEID)
	if err != nil {
		return nil, err
	}
	out.platform = Platform{UEID: ueid}
	if out.linked, err = out.kat.claims.octets(claimConfirmation); err != nil {
		return nil, err
	}
	if out.key, err = prototypeKey(out.linked); err != nil {
		return nil, under(err, "cnf")
	}
	kak, err := out.kat.claims.octets(claimKAK)
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

// platformSignature finds the Endorsements whose key signed the platform's
// statement and may speak for that platform.
func (a *appraisal) platformSignature(t *tokens) (found []*Endorsement, failure *attls.Error) {
	if t.pat != nil {
		if _, err := t.pat.algorithm(); err != nil {
			return nil, refused(attls.FailAppraisal, ruleHeader, "the platform token: %v", err)
		}
	}
	reason := fmt.Sprintf("the platform token verifies under none of %d endorsed keys", len(a.Endorsements))
	for i := range a.Endorsements {
		e := &a.Endorsements[i]
		err := t.verifies(e.Key)
		if err != nil {
			if len(a.Endorsements) == 1 {
				reason += fmt.Sprintf(" (%v)", err)
			}
			continue
		}
		if why := e.speaksFor(&t.platform); why != "" {
			reason = fmt.Sprintf("the key that signed is endorsed (%q), but the endorsement %s", e.Name, why)
			continue
		}
		found = append(found, e)
	}
	if found == nil {
		return nil, refused(attls.FailAppraisal, ruleKAT, "%s", reason)
	}
	return found, nil
}

// linkage looks for the hash of kak-pub, over its octets as they are in the KAT,
// among the PAT's nonces. No text names the hash; SHA-256 gives the example of
// draft-bft-rats-kat. The prototype hashes the attested key instead.
func linkage(t *tokens) *attls.Error {
	want := sha256.Sum256(t.linked)
	if !contains(t.links, want[:]) {
		return refused(attls.FailAppraisal, ruleKAT, "the platform token's eat_nonce is %s, the hash of the key %x", nonceText(t.links), want)
	}
	return nil
}

// nonceText prints nonces.
func nonceText(list [][]byte) string {
	var texts []string
	for _, n := range list {
		texts = append(texts, fmt.Sprintf("%x", n))
	}
	return strings.Join(texts, " or ")
}

func keySignature(t *tokens) *attls.Error {
	alg, err := t.kat.algorithm()
	if err == nil && t.kakAlgorithm != 0 && algorithms[alg].library != algorithms[t.kakAlgorithm].library {
		err = fmt.Errorf("it is signed with %s, and kak-pub is for %s only", algorithmName(alg), algorithmName(t.kakAlgorithm))
	}
	if err == nil {
		err = t.kat.verify(t.kak)
	}
	if err != nil {
		return refused(attls.FailAppraisal, ruleKAT, "the key token does not verify under kak-pub: %v", err)
	}
	return nil
}

func (a *appraisal) checkChallenge(err *attls.Error) {
	text := "eat_nonce is the challenge"
	if a.r.Challenge == nil {
		text = "nothing is bound to the handshake"
	}
	a.check(CheckChallenge, err, text)
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

// challenge looks for the challenge, as it is placed, among the values of
// eat_nonce.
func (a *appraisal) challenge(t *tokens) *attls.Error {
	if a.r.Challenge == nil {
		return nil
	}
	want, err := PlaceChallenge(a.r.Challenge, t.leastNonce(), maxNonce, a.r.Fit)
	if err != nil {
		return err
	}
	if t.tpm != nil {
		return t.tpm.challenge(want)
	}
	if !contains(t.nonces, want) {
		return mismatch(t.nonces, want)
	}
	return nil
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
		return nil, refused(attls.FailTIKMismatch, ruleKAT, "the attested key %s is not the key of the handshake %s", fingerprint(spki), fingerprint(a.r.SPKI))
	}
	return a.r.SPKI, nil
}

// fingerprint names a key in a message: the start of the hash of its SPKI.
func fingerprint(spki []byte) string {
	h := sha256.Sum256(spki)
	return fmt.Sprintf("%x…", h[:8])
}

// agree compares the further claims that the profile wants.
func (c claims) agree(r *negotiation.AppraisalRequest) *attls.Error {
	for _, want := range r.Claims {
		got, err := c.octets(want.Name)
		if err != nil {
			return under(err, want.Name)
		}
		if !bytes.Equal(got, want.Value) {
			return refused(attls.FailTIKMismatch, r.Profile, "the claim %s is %x, expected is %x", want.Name, got, want.Value)
		}
	}
	return nil
}

// reference finds a Reference that the platform meets, among those for which one
// of the Endorsements of its key is good. The reason is that of the one that went
// furthest.
func (a *appraisal) reference(t *tokens, endorsements []*Endorsement) *attls.Error {
	best, reason := -1, "there is none"
	for i := range a.References {
		ref := &a.References[i]
		passed, why := ref.admits(t)
		if why == "" && endorsements != nil && !slices.ContainsFunc(endorsements, func(e *Endorsement) bool {
			return e.References == nil || slices.Contains(e.References, ref.Name)
		}) {
			why = "the endorsement of the platform key does not list it"
		}
		if why == "" {
			return nil
		}
		if passed > best {
			best, reason = passed, fmt.Sprintf("%q: %s", ref.Name, why)
		}
	}
	return refused(attls.FailAppraisal, "RFC 9334 4.1", "no reference value matches: %s", reason)
}

// leastDebug is the least dbgstat that is accepted of tokens. Those of the
// prototype and of a TPM do not have the claim, so there only what is stated
// counts, and refuses them.
func (ref *Reference) leastDebug(t *tokens) eat.Debug {
	if ref.Debug == 0 && !ref.AllowDebug && t.tpm == nil && t.form != Prototype {
		return eat.DebugDisabled
	}
	return ref.Debug
}

// admits compares a platform with a Reference: how many comparisons it passed,
// and why the next one failed.
func (ref *Reference) admits(t *tokens) (passed int, why string) {
	p := &t.platform
	least := ref.leastDebug(t)
	for _, c := range []struct {
		ok  bool
		why string
	}{
		{ref.Prototype == (t.form == Prototype) && (ref.PCRDigests != nil) == (t.tpm != nil), "it is for other tokens"},
		{t.tpm == nil || len(ref.PCRs) > 0, "it has digests of PCRs and does not say of which PCRs"},
		{t.tpm == nil || ref.PCRs.equal(t.tpm.quoted()), fmt.Sprintf("the quote is over the PCRs %v, not %v", t.tpm.quoted(), ref.PCRs)},
		{t.tpm == nil || contains(ref.PCRDigests, t.tpm.pcrs()), fmt.Sprintf("the digest of the PCRs is %x", t.tpm.pcrs())},
		{ref.Profile == "" || ref.Profile == p.Profile, fmt.Sprintf("eat_profile is %q, not %q", p.Profile, ref.Profile)},
		{ref.UEIDs == nil || contains(ref.UEIDs, p.UEID), fmt.Sprintf("ueid %x is not listed", []byte(p.UEID))},
		{ref.OEMID == nil || bytes.Equal(ref.OEMID, p.OEMID), fmt.Sprintf("oemid is %s, not %x", p.maker(), ref.OEMID)},
		{ref.OEMPEN == 0 || ref.OEMPEN == p.OEMPEN, fmt.Sprintf("oemid is %s, not the enterprise number %d", p.maker(), ref.OEMPEN)},
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
