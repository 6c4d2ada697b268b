package negotiation

import (
	"slices"

	"attls"
	"attls/extensions"
)

func nothing(f attls.Failure, rule, format string, args ...any) *attls.Error {
	return attls.Errorf(attls.NothingInCommon, f, format, args...).By(rule)
}

// SelectSuite takes the first of our cipher suites that the client offers, or
// the first of the client's that is one of ours (RFC 8446 section 4.1.1).
func SelectSuite(prefs []attls.CipherSuite, offer extensions.Uint16s,
	clientOrder bool) (attls.CipherSuite, *attls.Error) {
	if clientOrder {
		for i := range offer.Len() {
			if s := attls.CipherSuite(offer.At(i)); slices.Contains(prefs, s) {
				return s, nil
			}
		}
	}
	for _, s := range prefs {
		if offer.Contains(uint16(s)) {
			return s, nil
		}
	}
	return 0, nothing(attls.FailSuite, "RFC 8446 4.1.1", "none of the %d suites offered is enabled here", offer.Len())
}

// SelectGroup takes the first of our groups for which the client sent a share,
// unless the best one is wanted at any price; without one, the first that it
// supports, which costs a HelloRetryRequest (RFC 8446 sections 4.1.1 and 4.2.8).
func SelectGroup(prefs []attls.NamedGroup, groups extensions.Uint16s, best bool,
	hasShare func(attls.NamedGroup) bool) (attls.NamedGroup, *attls.Error) {
	for _, g := range prefs {
		if best {
			break
		}
		if groups.Contains(uint16(g)) && hasShare(g) {
			return g, nil
		}
	}
	for _, g := range prefs {
		if groups.Contains(uint16(g)) {
			return g, nil
		}
	}
	return 0, nothing(attls.FailGroup, "RFC 8446 4.1.1", "none of the %d groups offered is enabled here", groups.Len())
}

// SelectSignatureScheme takes the first scheme of our key that the peer accepts
// (RFC 8446 section 4.4.2.2).
func SelectSignatureScheme(own, peer []attls.SignatureScheme) (attls.SignatureScheme, *attls.Error) {
	for _, s := range own {
		for _, p := range peer {
			if s == p {
				return s, nil
			}
		}
	}
	return 0, nothing(attls.FailSignatureScheme, "RFC 8446 4.4.2.2", "our key signs with %v and the peer accepts %v",
		own, peer)
}

// SelectALPN takes the first of our protocols that the client lists (RFC 7301
// section 3.2).
func SelectALPN(prefs []string, offer extensions.ProtocolNames) (string, *attls.Error) {
	for _, name := range prefs {
		if offer.Contains(name) {
			return name, nil
		}
	}
	return "", nothing(attls.FailALPN, "RFC 7301 3.2", "none of the protocols offered is among %q", prefs)
}
