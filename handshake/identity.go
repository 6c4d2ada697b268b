package handshake

import (
	"bytes"
	"crypto"

	"attls"
	"attls/extensions/profile"
	"attls/internal/provider"
	"attls/negotiation"
)

// authenticated is who the peer has shown to be, with what was said of exactly
// this key. Whoever authenticates again replaces all of it.
type authenticated struct {
	chain  [][]byte
	kind   attls.CertificateType // of the chain
	typed  bool                  // kind is known; otherwise it is what was agreed on
	spki   []byte
	key    *provider.PublicKey
	scheme attls.SignatureScheme
	none   bool // an empty Certificate
	ocsp   []byte
	sct    []byte
	proof  *proof        // its attestation
	kept   *AttestedPeer // what the session that is resumed keeps of its attestation
	// conditional: the chain counts only with an accepted verdict on its key.
	conditional bool
}

func newAuthenticated() *authenticated { return &authenticated{proof: &proof{}} }

// ownCredential is what this end shows.
type ownCredential struct {
	credential *Credential
	scheme     attls.SignatureScheme
	spki       []byte
	proof      proof
}

// proof is what one attester shows in one authentication. It belongs to the key
// that was shown there, and is kept with it: see authenticated and ownCredential.
type proof struct {
	payload   []byte
	fields    [][][]byte // parts of the fields of its certificate, by profile.Profile.X509; nil: not there
	challenge []byte
	verdict   *negotiation.Verdict // at the relying party
	// Under which scheme an authentication after the handshake was made; the one
	// of the handshake is what was chosen there.
	later bool
	by    *attesting // nil: without attestation
	nonce []byte     // of the request, where it carries one
}

// accepted reports whether a verdict accepts.
func (p *proof) accepted() bool { return p.verdict != nil && p.verdict.Failure == "" }

// sameKey reports whether two SubjectPublicKeyInfo hold the same key.
func (e *Engine) sameKey(a, b []byte) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	if bytes.Equal(a, b) {
		return true
	}
	key, err := e.prov.ParseSPKI(b)
	return err == nil && e.isKey(a, &authenticated{spki: b, key: key})
}

// isKey reports whether a SubjectPublicKeyInfo holds the key of the peer's
// certificate, in whatever encoding.
func (e *Engine) isKey(spki []byte, of *authenticated) bool {
	if bytes.Equal(spki, of.spki) {
		return true
	}
	key, err := e.prov.ParseSPKI(spki)
	if err != nil {
		return false
	}
	own, ok := key.Key.(interface{ Equal(crypto.PublicKey) bool })
	return ok && own.Equal(of.key.Key)
}

// attesting is how one end attests in an authentication. It never changes, so
// states and their forks share it; nil: the end does not attest.
type attesting struct {
	slot       int
	scheme     *profile.Scheme
	credential *profile.Credential // what the profile says of the scheme's kind
}

// carrier is the credential in which the payload travels; nil: there is none.
func (a *attesting) carrier() *profile.Credential {
	if a == nil {
		return nil
	}
	return a.credential
}

// inMessage reports whether the payload travels in an added message.
func (a *attesting) inMessage() bool {
	c := a.carrier()
	return c != nil && c.Carrier == profile.CarrierMessage
}
