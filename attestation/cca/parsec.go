package cca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha512"
	"crypto/x509"
	"encoding/binary"
	"fmt"

	"attls"
	"attls/attestation"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/eat"
)

// Tag and claims of a key attestation token, an unprotected CWT claims set (RFC 9781).
const (
	tagUCCS = 601

	claimConfirmation int64 = 8
	claimNonce        int64 = 10

	confirmationKey int64 = 1

	minNonce = eat.MinNonceSize
	maxNonce = eat.MaxNonceSize
)

// Labels of the bundle.
const (
	labelKAT = "kat"
	labelPAT = "pat"
)

// bundle is a key attestation token (KAT), not signed, and the CCA token whose realm
// vouches for it.
type bundle struct {
	value []byte
	kat   []byte // with its tag, as it is in the bundle
	key   crypto.PublicKey
	nonce []byte
	*token
}

// readParsec reads
//
//	{ "kat" => 601({ 10 => bstr .size (8..64), 8 => { 1 => COSE_Key } }), "pat" => CCA token }
func readParsec(c *attestation.CMW) (*attestation.Reading, *attls.Error) {
	if c.IsCollection() {
		return nil, attestation.Malformed(-1, ruleParsec, "the tokens are one record, not a CMW collection")
	}
	all, err := attestation.ParseClaims(c.Value)
	if err != nil {
		return nil, err.By(ruleParsec)
	}
	for label := range all {
		if label != labelKAT && label != labelPAT {
			return nil, attestation.Malformed(-1, ruleParsec, "the member %v; members are %s and %s", label, labelKAT, labelPAT)
		}
	}
	b := &bundle{value: c.Value, kat: all[labelKAT]}
	if err := b.readKAT(); err != nil {
		return nil, err.Under(labelKAT)
	}
	pat := []byte(all[labelPAT])
	if b.token, err = parseToken(pat, cap(c.Value)-cap(pat)); err != nil {
		return nil, err.Under(labelPAT)
	}
	r := b.reading(nil)
	r.Challenges = []attestation.Challenge{{Where: labelKAT, Values: [][]byte{b.nonce}}}
	r.Key, r.Statement = b.key, b
	r.Fields = func() []attestation.Field { return append(b.keyFields(), b.fields()...) }
	return r, nil
}

// readKAT reads the claims of the key attestation token.
func (b *bundle) readKAT() *attls.Error {
	octets, err := b.claimsOfKAT()
	if err != nil {
		return err
	}
	content, err := attestation.ParseClaims(octets)
	if err != nil {
		return err
	}
	for label := range content {
		if label != claimNonce && label != claimConfirmation {
			return attestation.Malformed(-1, ruleParsec, "the claim %v; a key attestation token has eat_nonce (%d) and cnf (%d)",
				label, claimNonce, claimConfirmation)
		}
	}
	if b.nonce, err = content.Octets(claimNonce); err != nil {
		return err.Under("eat_nonce")
	}
	if n := len(b.nonce); n < minNonce || n > maxNonce {
		return attestation.Malformed(-1, ruleParsec, "%d octets; it has %d to %d", n, minNonce, maxNonce).Under("eat_nonce")
	}
	raw := content[claimConfirmation]
	if raw == nil {
		return attestation.Malformed(-1, ruleParsec, "there is none").Under("cnf")
	}
	confirmation, err := attestation.ParseClaims(raw)
	if err == nil && (len(confirmation) != 1 || confirmation[confirmationKey] == nil) {
		err = attestation.Malformed(-1, "RFC 8747 3.2", "it holds a COSE_Key (%d) and nothing else here", confirmationKey)
	}
	if err == nil {
		b.key, err = attestation.ParseCOSEKey(confirmation[confirmationKey])
	}
	if err != nil {
		return err.Under("cnf")
	}
	return nil
}

// claimsOfKAT is the octets that the tag holds, a part of those of the bundle.
func (b *bundle) claimsOfKAT() ([]byte, *attls.Error) {
	if b.kat == nil {
		return nil, attestation.Malformed(-1, ruleParsec, "there is none")
	}
	var tag cbor.RawTag
	if b.kat[0]>>5 != 6 || cbor.Unmarshal(b.kat, &tag) != nil || tag.Number != tagUCCS {
		return nil, attestation.Malformed(-1, "RFC 9781 2", "an unprotected CWT claims set with its tag (%d) is expected",
			tagUCCS)
	}
	return b.kat[len(b.kat)-len(tag.Content):], nil
}

// vouched says why the realm does not vouch for the key attestation token.
func (b *bundle) vouched() *attls.Error {
	if want := sha512.Sum512(b.kat); !bytes.Equal(want[:], b.challenge) {
		return attestation.Refuse(ruleParsec,
			"the challenge of the realm token is %x, the SHA-512 of the key attestation token %x", b.challenge, want)
	}
	return nil
}

// katNames are those of the claims.
var katNames = map[any]string{claimConfirmation: "cnf", claimNonce: "eat_nonce"}

func (b *bundle) keyFields() []attestation.Field {
	octets, err := b.claimsOfKAT()
	if err != nil {
		return nil
	}
	return attestation.ClaimFields(octets, cap(b.value)-cap(octets), labelKAT+".", katNames)
}

// judgeParsec judges the bundle.
func (p *Policy) judgeParsec(a *attestation.Appraisal, b *bundle) {
	a.Check(checkKeyToken, b.vouched(), "the challenge of the realm token is the SHA-512 of the key attestation token")
	p.judge(a, b.token)
}

// encodeParsec makes the bundle.
func encodeParsec(ctx context.Context, s source, q *attestation.Question) ([]byte, error) {
	key, err := x509.ParsePKIXPublicKey(q.SPKI)
	if err != nil {
		return nil, fmt.Errorf("a key attestation token: %w", err)
	}
	encoded, err := attestation.EncodeCOSEKey(key)
	if err != nil {
		return nil, fmt.Errorf("a key attestation token: %w", err)
	}
	claims := attestation.Claims{}
	claims.Set(claimNonce, q.Field)
	claims.Set(claimConfirmation, map[int64]cbor.RawMessage{confirmationKey: encoded})
	kat := append(tagHead(tagUCCS), claims.Encode()...)
	challenge := sha512.Sum512(kat)
	r, err := s.report(ctx, challenge[:])
	if err != nil {
		return nil, err
	}
	return attestation.Claims{labelKAT: kat, labelPAT: r.Out}.Encode(), nil
}

// tagHead is the head of a tag whose number has 16 bits.
func tagHead(number uint16) []byte { return binary.BigEndian.AppendUint16([]byte{0xd9}, number) }
