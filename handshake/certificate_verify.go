package handshake

import (
	"slices"

	"attls"
	"attls/extensions/profile"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/internal/rule"
)

// signedContent is what CertificateVerify signs in a handshake, or after it.
func signedContent(signer attls.Role, transcriptHash []byte) []byte {
	context := "TLS 1.3, client CertificateVerify"
	if signer == attls.RoleServer {
		context = "TLS 1.3, server CertificateVerify"
	}
	return message.SignedContent(context, transcriptHash)
}

// checkSignature checks a CertificateVerify over a transcript hash.
func (e *Engine) checkSignature(m *message.Raw, key *provider.PublicKey,
	hash []byte) (attls.SignatureScheme, *attls.Error) {
	cv := &e.scratch.verify
	if err := cv.Unmarshal(m.Body()); err != nil {
		return 0, err
	}
	peer := e.role.Peer()
	accepted := e.cfg.signatureSchemes()
	if q := e.cfg.quirks().SignatureSchemes[peer]; q != nil {
		accepted = q
	}
	illegal := func(format string, args ...any) *attls.Error {
		return attls.Errorf(attls.Violation, attls.FailIllegalParameter, format, args...).Under("algorithm").
			By("RFC 8446 4.4.3")
	}
	if !slices.Contains(accepted, cv.Scheme) && e.obeys(rule.SchemeOffered) {
		return 0, illegal("%v was not offered", cv.Scheme)
	}
	if key == nil {
		return 0, attls.Errorf(attls.Refused, attls.FailAttestationKey, "there is no key to check the signature with")
	}
	if !slices.Contains(e.prov.Schemes(key), cv.Scheme) && e.obeys(rule.SchemeFits) {
		return 0, illegal("%v does not fit a key of type %s", cv.Scheme, key.Algorithm)
	}
	signature := cv.Signature
	if e.cfg.quirks().SignatureEncoding[peer] == profile.SignatureRaw {
		der, err := provider.DERFromRaw(signature, cv.Scheme)
		if err != nil {
			return 0, attls.Errorf(attls.Violation, attls.FailSignature, "%v", err).Under("signature")
		}
		signature = der
	}
	if err := e.prov.Verify(key, cv.Scheme, signedContent(peer, hash), signature); err != nil &&
		e.obeys(rule.SignatureVerified) {
		return 0, attls.Errorf(attls.Violation, attls.FailSignature, "%v signature: %v", cv.Scheme, err).Under("signature").
			By("RFC 8446 4.4.3")
	}
	return cv.Scheme, nil
}
