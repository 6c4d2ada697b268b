package campaign

import (
	"slices"
	"strconv"
	"strings"

	"attls"
)

// mandatory are the extensions that every implementation knows that has certificates (RFC 8446 section 9.2).
var mandatory = []attls.ExtensionType{attls.ExtSupportedVersions, attls.ExtCookie, attls.ExtSignatureAlgorithms,
	attls.ExtSignatureAlgorithmsCert, attls.ExtSupportedGroups, attls.ExtKeyShare, attls.ExtServerName}

// heeds reports whether an end has to look at an extension that it got in a message. Another stack passes
// over those that it does not know in messages which answer nothing (RFC 8446 sections 4.1.2, 4.3.2 and
// 4.6.1), and it has shown that it knows one by what it sent in the same connection.
func (r *run) heeds(role attls.Role, k attls.MessageKind, t attls.ExtensionType) bool {
	return r.told == nil || answersOffer(k) || r.knows(role, t)
}

// knows reports whether an end has shown that it knows an extension, or has to know it.
func (r *run) knows(role attls.Role, t attls.ExtensionType) bool {
	if slices.Contains(mandatory, t) {
		return true
	}
	for i := range r.log {
		x := &r.log[i]
		if x.role != role || !x.sent || x.raw == nil {
			continue
		}
		if x.kind == attls.KindNewSessionTicket && (t == attls.ExtPreSharedKey || t == attls.ExtPSKKeyExchangeModes) {
			return true
		}
		entries, _ := extensionsOf(x.raw[4:], x.kind)
		for _, list := range entries {
			if slices.ContainsFunc(list, func(o rawExtension) bool { return o.t == t }) {
				return true
			}
		}
	}
	return false
}

// extensionIn is the extension that a path in a message begins with.
func extensionIn(path string) (attls.ExtensionType, bool) {
	name, ok := strings.CutPrefix(path, "extensions.")
	if i := strings.IndexAny(name, ".["); i >= 0 {
		name = name[:i]
	}
	if !ok {
		return 0, false
	}
	if number, ok := strings.CutPrefix(name, "extension "); ok { // one without a name
		n, err := strconv.ParseUint(number, 0, 16)
		return attls.ExtensionType(n), err == nil
	}
	return attls.ExtensionByName(name)
}

// ofPlace are the failures for which attls does not look at the body of an extension.
var ofPlace = []attls.Failure{attls.FailWrongMessage, attls.FailUnsolicited, attls.FailDuplicateExtension,
	attls.FailIllegalParameter}

// bothRight reports whether another rule than the one that attls names allows what a stack did:
// the stack does not know the extension, the extension that is out of place has a body that may be malformed
// as well, or the stack speaks earlier versions, and refuses for a reason of theirs.
func (r *run) bothRight(own, theirs *attls.Error) bool {
	honest := r.attacker.Peer()
	t, ok := extensionIn(own.Field)
	switch {
	case ok && !r.heeds(honest, own.Message, t):
		return true
	case t == attls.ExtKeyShare && own.Message == attls.KindClientHello && own.Failure == attls.FailIllegalParameter:
		return true // a server may check the list (RFC 8446 section 4.2.8)
	case theirs == nil:
		return false
	case own.Alert == attls.AlertHandshakeFailure && theirs.Alert == attls.AlertInsufficientSecurity: // RFC 8446 4.1.1
		return true
	case own.Failure == attls.FailVersion && own.Rule == "RFC 8446 4.2.1": // the versions that are offered
		return true
	}
	return ok && theirs.Alert == attls.AlertDecodeError && slices.Contains(ofPlace, own.Failure) &&
		slices.ContainsFunc(r.agents[r.attacker].edits, func(e Edit) bool {
			return e.Do == "extension-add" && e.Extension == t
		})
}

// unreadByUs reports whether an edit is of an extension that attls may have passed over where it is: a
// stack that knows it may refuse its body.
func (r *run) unreadByUs() bool {
	return slices.ContainsFunc(r.agents[r.attacker].edits, func(e Edit) bool {
		answers := slices.ContainsFunc(answering, func(k attls.MessageKind) bool { return k.String() == e.Message })
		return strings.HasPrefix(e.Do, "extension") && !answers && !r.told.local.knows(r.attacker.Peer(), e.Extension)
	})
}
