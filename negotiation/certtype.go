package negotiation

import (
	"slices"

	"attls"
)

// The type of a certificate, RFC 7250 in TLS 1.3 (RFC 8446 section 4.4.2). One
// mechanism serves both roles and every type: X.509, raw public keys, and the
// types that a profile adds for its credentials.

// X509Only is what both ends do without a word about types.
var X509Only = []attls.CertificateType{attls.CertificateX509}

// OfferCertificateTypes is the list that a client offers for the certificate of
// one role: the types that the offered attestation schemes need, then the
// configured ones, nil meaning X.509 alone. A nil result means no extension, as RFC
// 7250 section 4.1 wants for a list of X.509 alone.
func OfferCertificateTypes(added, own []attls.CertificateType) []attls.CertificateType {
	if own == nil {
		own = X509Only
	}
	if len(added) == 0 && slices.Equal(own, X509Only) {
		return nil
	}
	var list []attls.CertificateType
	for _, t := range append(slices.Clone(added), own...) {
		if !slices.Contains(list, t) {
			list = append(list, t)
		}
	}
	return list
}

// silence is what a client without the extension offers.
var silence = []byte{byte(attls.CertificateX509)}

// SelectCertificateType is the server's choice for one role. A chosen
// attestation scheme needs the type it needs; otherwise it is the first type of
// the client's that is one of ours (RFC 7250 section 4.2), nil meaning X.509
// alone. Without an offer the type is X.509.
func SelectCertificateType(offer []byte, own []attls.CertificateType,
	needed *attls.CertificateType) (attls.CertificateType, *attls.Error) {
	if offer == nil {
		offer = silence
	}
	if own == nil {
		own = X509Only
	}
	if needed != nil {
		own = []attls.CertificateType{*needed}
	}
	for _, t := range offer {
		if slices.Contains(own, attls.CertificateType(t)) {
			return attls.CertificateType(t), nil
		}
	}
	return 0, nothing(attls.FailCertificateType, "RFC 7250 4.2",
		"the client takes or has certificates of type %v, this end of type %v", types(offer), own)
}

// CheckCertificateType holds a server's answer, or the X.509 that silence means,
// against the client's offer.
func CheckCertificateType(offer []attls.CertificateType,
	answer *attls.CertificateType) (attls.CertificateType, *attls.Error) {
	if offer == nil {
		offer = X509Only
	}
	switch {
	case answer == nil && !slices.Contains(offer, attls.CertificateX509):
		return 0, nothing(attls.FailCertificateType, "RFC 7250 4.2", "the server answers with X.509, which was not offered")
	case answer == nil:
		return attls.CertificateX509, nil
	case !slices.Contains(offer, *answer):
		return 0, attls.Errorf(attls.Violation, attls.FailIllegalParameter, "%v was not offered", *answer).By("RFC 7250 4.2")
	}
	return *answer, nil
}

func types(list []byte) []attls.CertificateType {
	out := make([]attls.CertificateType, len(list))
	for i, t := range list {
		out[i] = attls.CertificateType(t)
	}
	return out
}
