package cca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"

	"attls"
	"attls/attestation"
	"attls/attestation/psa"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/ccatoken"
	"github.com/veraison/ccatoken/platform"
	"github.com/veraison/psatoken"
)

// Tags and labels of the collection.
const (
	tagCMW    = 907 // CMW records
	tagLegacy = 399 // octet strings alone

	labelPlatform int64 = 44234
	labelRealm    int64 = 44241

	contentFormat = 263 // application/eat+cwt
)

// sign1Tag is the tag of a COSE_Sign1 (RFC 9052 section 4.2) as an octet.
const sign1Tag = 0xd2

// token is a CCA token taken apart, not yet verified.
type token struct {
	octets []byte // of the whole collection
	start  int    // where they are in the value of the CMW; -1: not in one piece
	tag    uint64

	platformOctets, realmOctets []byte
	platform, realm             *attestation.Token

	// Claims of the platform.
	binding                  []byte // hash of the RAK
	instance, implementation []byte
	config                   []byte
	lifecycle                uint16
	components               []psatoken.ISwComponent

	// Claims of the realm.
	challenge       []byte
	personalization []byte
	initial         []byte
	extensible      [][]byte
	hashAlgorithm   string // of the measurements
	rakOctets       []byte
	rak             crypto.PublicKey // the key of the realm token
	rakHash         string           // the algorithm of binding
	legacyRealm     bool             // it names no profile, and its key is a point
}

// strict reads small structures of octets that attestation.ParseClaims has accepted.
var strict = func() cbor.DecMode {
	mode, err := cbor.DecOptions{IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		IntDec: cbor.IntDecConvertSignedOrFail}.DecMode()
	if err != nil {
		panic(err)
	}
	return mode
}()

// parseToken reads
//
//	907({ 44234 => [ 263, bstr ], 44241 => [ 263, bstr ] })
//	399({ 44234 => bstr, 44241 => bstr })
//
// and nothing else: entries for other tokens are refused, since nothing here appraises
// them. The octets begin at start of the CMW's value, for the fields.
func parseToken(b []byte, start int) (*token, *attls.Error) {
	t := &token{octets: b, start: start}
	entries, err := t.open()
	if err != nil {
		return nil, err
	}
	for label := range entries {
		if label != labelPlatform && label != labelRealm {
			return nil, attestation.Malformed(-1, rule, "the entry %v; a platform token (%d) and a realm token (%d) are read",
				label, labelPlatform, labelRealm)
		}
	}
	if t.platformOctets, t.platform, err = t.entry(entries[labelPlatform]); err != nil {
		return nil, err.Under("platform token")
	}
	if t.realmOctets, t.realm, err = t.entry(entries[labelRealm]); err != nil {
		return nil, err.Under("realm token")
	}
	// The platform token has the claim of PSA for its lifecycle.
	if err := psa.KnownState(t.platform.Claims(), int64(2395)); err != nil {
		return nil, err.Under("platform token")
	}
	evidence := &ccatoken.Evidence{}
	if err := evidence.UnmarshalCBOR(b); err != nil {
		return nil, attestation.Malformed(-1, rule, "%v", err)
	}
	if err := evidence.Validate(); err != nil {
		return nil, attestation.Malformed(-1, rule, "%v", err)
	}
	return t, t.take(evidence)
}

// open reads the tag and the map.
func (t *token) open() (attestation.Claims, *attls.Error) {
	var tag cbor.RawTag
	if len(t.octets) == 0 || t.octets[0]>>5 != 6 {
		return nil, attestation.Malformed(0, rule, "the tag %d or %d is expected", tagCMW, tagLegacy)
	}
	if err := cbor.Unmarshal(t.octets, &tag); err != nil {
		return nil, attestation.Malformed(0, rule, "%v", err)
	}
	if t.tag = tag.Number; t.tag != tagCMW && t.tag != tagLegacy {
		return nil, attestation.Malformed(0, rule, "the tag %d; %d or %d is expected", t.tag, tagCMW, tagLegacy)
	}
	return attestation.ParseClaims(t.octets[len(t.octets)-len(tag.Content):])
}

// entry reads one token of the collection.
func (t *token) entry(raw cbor.RawMessage) ([]byte, *attestation.Token, *attls.Error) {
	if raw == nil {
		return nil, nil, attestation.Malformed(-1, rule, "there is none")
	}
	var octets []byte
	record := struct {
		_      struct{} `cbor:",toarray"`
		Format uint64
		Token  *[]byte
	}{Format: contentFormat, Token: &octets}
	var err error
	if t.tag == tagCMW {
		err = strict.Unmarshal(raw, &record)
	} else {
		err = strict.Unmarshal(raw, &octets)
	}
	switch {
	case err != nil:
		return nil, nil, attestation.Malformed(-1, rule, "%v", err)
	case record.Format != contentFormat:
		return nil, nil, attls.Errorf(attls.Violation, attls.FailFormatMismatch, "the content format %d; %d is expected",
			record.Format, contentFormat).By(rule)
	case record.Token == nil || len(*record.Token) == 0 || (*record.Token)[0] != sign1Tag:
		return nil, nil, attestation.Malformed(-1, rule, "a COSE_Sign1 with its tag (18) is expected")
	}
	octets = *record.Token
	message, failure := attestation.ParseToken(octets)
	return octets, message, failure
}

// take keeps the claims.
func (t *token) take(e *ccatoken.Evidence) *attls.Error {
	var errs []error
	octets := func(to *[]byte, get func() ([]byte, error)) {
		v, err := get()
		*to, errs = v, append(errs, err)
	}
	p, r := e.PlatformClaims, e.RealmClaims
	octets(&t.binding, p.GetNonce)
	octets(&t.instance, p.GetInstID)
	octets(&t.implementation, p.GetImplID)
	octets(&t.config, p.GetConfig)
	octets(&t.challenge, r.GetChallenge)
	octets(&t.personalization, r.GetPersonalizationValue)
	octets(&t.initial, r.GetInitialMeasurement)
	octets(&t.rakOctets, r.GetPubKey)
	var err error
	t.lifecycle, err = p.GetSecurityLifeCycle()
	errs = append(errs, err)
	t.components, err = p.GetSoftwareComponents()
	errs = append(errs, err)
	t.extensible, err = r.GetExtensibleMeasurements()
	errs = append(errs, err)
	t.hashAlgorithm, err = r.GetHashAlgID()
	errs = append(errs, err)
	t.rakHash, err = r.GetPubKeyHashAlgID()
	errs = append(errs, err)
	if _, err = r.GetProfile(); errors.Is(err, psatoken.ErrOptionalClaimMissing) {
		t.legacyRealm, err = true, nil
	}
	if err := errors.Join(append(errs, err)...); err != nil {
		return attestation.Malformed(-1, rule, "%v", err)
	}
	if n := len(t.extensible); n > maxExtensible {
		return attestation.Malformed(-1, rule, "%d extensible measurements; a realm has %d", n, maxExtensible).
			Under("realm token")
	}
	return t.takeKey()
}

// maxExtensible is how many measurements a realm can extend.
const maxExtensible = 4

// takeKey reads the realm attestation key (RAK): a COSE_Key, or in a realm token
// without a profile a point on P-384.
func (t *token) takeKey() (failure *attls.Error) {
	if t.legacyRealm {
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P384(), t.rakOctets)
		if err != nil {
			return attestation.Malformed(-1, rule, "the realm's key: %v", err).Under("realm token")
		}
		t.rak = key
		return nil
	}
	if t.rak, failure = attestation.ParseCOSEKey(t.rakOctets); failure != nil {
		return failure.Under("cca-realm-public-key").Under("realm token")
	}
	return nil
}

// rakHashes are the algorithms by which a platform token may vouch for a realm's key.
// The library takes SHA-224 as well.
var rakHashes = map[string]func([]byte) []byte{
	"sha-256": func(b []byte) []byte { h := sha256.Sum256(b); return h[:] },
	"sha-384": func(b []byte) []byte { h := sha512.Sum384(b); return h[:] },
	"sha-512": func(b []byte) []byte { h := sha512.Sum512(b); return h[:] },
}

// linked says why the realm token is not one of a realm on this platform: its own key
// does not verify it, or the platform token vouches for another key.
func (t *token) linked() *attls.Error {
	if err := t.realm.Verify(t.rak); err != nil {
		return attestation.Refuse(rule, "the realm token does not verify under the key in it: %v", err)
	}
	hash, ok := rakHashes[t.rakHash]
	if !ok {
		return attestation.Refuse(rule,
			"the platform token vouches for the realm's key by the hash %q; sha-256, sha-384 or sha-512 is needed", t.rakHash)
	}
	if want := hash(t.rakOctets); !bytes.Equal(want, t.binding) {
		return attestation.Refuse(rule,
			"the platform token vouches for a realm key with the hash %x, the realm token has the key with the hash %x",
			t.binding, want)
	}
	return nil
}

// claimNames are those of the claims of both tokens.
var platformNames = map[any]string{
	int64(10): "challenge", int64(256): "instance-id", int64(265): "profile", int64(2395): "lifecycle",
	int64(2396): "implementation-id",
	int64(2399): "sw-components", int64(2400): "verification-service", int64(2401): "config", int64(2402): "hash-algo-id",
}

var realmNames = map[any]string{
	int64(10): "challenge", int64(265): "profile", int64(44235): "personalization-value", int64(44236): "hash-algo-id",
	int64(44237): "public-key",
	int64(44238): "initial-measurement", int64(44239): "extensible-measurements", int64(44240): "public-key-hash-algo-id",
}

// fields names the parts of both tokens.
func (t *token) fields() []attestation.Field {
	list := []attestation.Field{{Name: "collection", Text: fmt.Sprintf("tag %d", t.tag)}}
	for _, x := range []struct {
		prefix string
		octets []byte
		token  *attestation.Token
		names  map[any]string
	}{{"cca-platform-", t.platformOctets, t.platform, platformNames}, {"cca-realm-", t.realmOctets, t.realm, realmNames}} {
		list = append(list, attestation.TokenFields(x.token, x.octets, bytes.Index(t.octets, x.octets), x.prefix, x.names)...)
	}
	if t.start < 0 { // in JSON
		for i := range list {
			list[i].Start, list[i].End = 0, 0
		}
	}
	var out []attestation.Field
	for _, f := range list {
		if f.End > 0 {
			f.Start, f.End = f.Start+t.start, f.End+t.start
		}
		switch f.Name {
		case "cca-platform-lifecycle":
			f.Text = fmt.Sprintf("%s (0x%04x)", lifecycles.Name(t.lifecycle), t.lifecycle)
		case "cca-platform-sw-components":
			f.Text = fmt.Sprintf("%d components", len(t.components))
			out = append(append(out, f), psa.ComponentFields(f.Name, t.components)...)
			continue
		case "cca-realm-extensible-measurements":
			f.Text = fmt.Sprintf("%d measurements", len(t.extensible))
			out = append(out, f)
			for i, v := range t.extensible {
				out = append(out, attestation.Field{Name: fmt.Sprintf("%s.rem%d", f.Name, i), Text: fmt.Sprintf("%x", v)})
			}
			continue
		}
		out = append(out, f)
	}
	return out
}

// lifecycles are the names of the states of a CCA platform.
var lifecycles = func() (list psa.States) {
	for s := platform.StateUnknown; s.IsValid(); s++ {
		list = append(list, s.String())
	}
	return list
}()
