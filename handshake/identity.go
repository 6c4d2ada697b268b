package handshake

import (
	"bytes"
	"crypto"
	"slices"

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
	again  *updateProof  // what it has attested with the last update; nil: nothing
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
	again      *updateProof // as in authenticated
}

// proof is what one attester shows in one authentication. It belongs to the key
// that was shown there, and is kept with it: see authenticated and ownCredential.
type proof struct {
	shown  []shown
	fields [][][]byte // parts of the fields of its certificate, by profile.Profile.X509; nil: not there
	// Under which schemes an authentication after the handshake was made; those of
	// the handshake are what was chosen there.
	later bool
	by    []*attesting // none: without attestation
}

// shown is what an attester shows under one scheme.
type shown struct {
	slot      int
	payload   []byte
	challenge []byte
	nonce     []byte               // of the request, where it carries one
	verdict   *negotiation.Verdict // at the relying party
}

// of is what is shown under a slot; it is valid until another slot is asked for.
func (p *proof) of(slot int) *shown {
	for i := range p.shown {
		if p.shown[i].slot == slot {
			return &p.shown[i]
		}
	}
	p.shown = append(p.shown, shown{slot: slot})
	return &p.shown[len(p.shown)-1]
}

// clone shares nothing that is changed later.
func (p *proof) clone() proof {
	c := *p
	c.shown = slices.Clone(p.shown)
	return c
}

// accepted reports whether a verdict accepts.
func (s *shown) accepted() bool { return s.verdict != nil && s.verdict.Failure == "" }

// accepted reports whether the peer attests in a proof and each of its verdicts accepts.
func (e *Engine) accepted(p *proof) bool {
	list := e.attests(e.role.Peer(), p)
	for _, by := range list {
		if !p.of(by.slot).accepted() {
			return false
		}
	}
	return len(list) > 0
}

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

// attesting is how one end attests under one slot in an authentication. It never
// changes, so states and their forks share it.
type attesting struct {
	slot       int
	scheme     *profile.Scheme
	credential *profile.Credential // what the profile says of the scheme's kind in this slot
}

// carrier is the credential in which an end attests; nil: it does not. Where there
// are several they differ only in where the payload travels.
func carrier(list []*attesting) *profile.Credential {
	if len(list) == 0 {
		return nil
	}
	return list[0].credential
}

// inMessage reports whether the payload travels in an added message.
func (a *attesting) inMessage() bool { return a.credential.Carrier == profile.CarrierMessage }
