package campaign

import (
	"fmt"
	"slices"
	"strings"

	"attls"
)

// Laws of remote stacks alone.
const (
	lawCrash      = "crash"
	lawDifference = "difference"
	lawOtherAlert = "other-alert"
)

// unseen are the laws that need more than what the attacker's end sees of a stack: what the
// other end demands, judges and exports.
var unseen = []string{"client-certificate", "demand", "verdict", "evidence"}

// optional are the laws that another stack may leave to its peer: RFC 8446 section 4.2.8 lets a server check the
// list of shares.
var optional = []string{"key-share-listed"}

// ofKeys are the laws about the key in a certificate.
var ofKeys = []string{"peer-key", "signature", "signature-fits", "message-order"}

// judgeAbroad lists what a remote stack broke, and where it does otherwise than attls.
func (r *run) judgeAbroad(in *Input) (list []Violation) {
	honest, t := r.attacker.Peer(), r.told
	add := func(law, format string, args ...any) {
		list = append(list, Violation{law, honest, fmt.Sprintf(format, args...)})
	}
	switch {
	case t.crash != "":
		add(lawCrash, "is ended by a signal: %s", t.crash)
		return list
	case t.ended:
		add(lawCrash, "ends, as a server that should take further connections")
		return list
	}
	if n := r.agents[honest].fatal; n > 1 {
		add("invariant", "sent %d fatal alerts", n)
	}
	v := r.view(honest)
	if text := v.wrongAlert(); text != "" {
		add("alert", "%s", text)
	}
	for i := range laws {
		l := &laws[i]
		if l.done && !r.done[honest] || slices.Contains(unseen, l.name) || slices.Contains(optional, l.name) ||
			t.unread && slices.Contains(ofKeys, l.name) {
			continue
		}
		if text := l.check(v); text != "" {
			add(l.name, "%s", text)
		}
	}
	if in.harmless() && !r.done[honest] {
		add("tolerates", "%s, although nothing that matters was changed", r.incomplete())
	}
	if len(list) == 0 {
		list = r.differences()
	}
	return list
}

// differences compare what a stack does with what attls does with the same input.
func (r *run) differences() (list []Violation) {
	honest, t := r.attacker.Peer(), r.told
	local := t.local
	own := local.errs[honest]
	refused := own != nil && own.Class != attls.FromPeer && own.Class != attls.Local
	theirs := r.errs[honest]
	add := func(law, format string, args ...any) []Violation {
		return []Violation{{law, honest, fmt.Sprintf(format, args...)}}
	}
	switch {
	case t.unclear || own != nil && !refused || !r.inHandshake() || !r.comparable():
		return nil
	case theirs != nil && theirs.Alert == attls.AlertNoApplicationProtocol:
		return nil // a matter of what it was started with
	case refused && r.bothRight(own, theirs), own == nil && r.unreadByUs():
		return nil
	case refused && ofCertificate(own.Failure) &&
		(!r.s.link.verifies[honest] || own.Failure == attls.FailCertificateRequired):
		return nil // it was told to trust any chain, or to go on without a certificate
	case own == nil && theirs != nil && slices.Contains(ofChains, theirs.Alert):
		return nil // it may be stricter about certificates
	case refused && r.done[honest] && !local.done[honest]:
		return add(lawDifference, "completes the handshake where attls refuses with %s at %v: %s %s", own.Failure,
			own.Message, own.Field, own.Detail)
	case local.done[honest] && own == nil && theirs != nil:
		return add(lawDifference, "refuses with %v, where attls completes the handshake", theirs.Alert)
	case local.done[honest] && own == nil && t.silent:
		return add(lawDifference, "does not answer in time, where attls completes the handshake")
	case refused && t.silent:
		return add(lawDifference, "does not answer in time, where attls refuses with %s at %v", own.Failure, own.Message)
	case refused && theirs != nil && own.HasAlert && own.Alert != theirs.Alert && r.single() &&
		own.Failure != attls.FailBadRecordMAC:
		return add(lawOtherAlert, "refuses with %v where attls has %v, for %s at %v: %s", theirs.Alert, own.Alert,
			own.Failure, own.Message, own.Field)
	case theirs == nil && !t.silent && !r.done[honest] && refused && own.HasAlert && r.single():
		return add(lawOtherAlert, "ends the connection without an alert where attls has %v, for %s at %v: %s", own.Alert,
			own.Failure, own.Message, own.Field)
	case theirs == nil && !t.silent && !r.done[honest] && own == nil && local.done[honest]:
		return add(lawDifference, "ends the connection without an alert, where attls completes the handshake")
	case local.waits(honest) && theirs != nil && theirs.Alert == attls.AlertInternalError:
		return add(lawDifference, "answers with internal_error, where attls waits for more")
	}
	return nil
}

// ofChains are the alerts that judge a chain.
var ofChains = []attls.AlertDescription{attls.AlertBadCertificate, attls.AlertUnsupportedCertificate,
	attls.AlertCertificateExpired, attls.AlertCertificateUnknown, attls.AlertUnknownCA}

// ofCertificate reports whether a failure is a judgement on a chain.
func ofCertificate(f attls.Failure) bool { return strings.HasPrefix(string(f), "certificate.") }

// single reports whether one rule alone has a say: there is one edit, and it is in the
// transcript.
func (r *run) single() bool {
	edits := r.agents[r.attacker].edits
	return len(edits) == 1 && !edits[0].Shadow
}

// comparable reports whether the stack and attls were asked the same: the messages that both
// sent are of the same kinds, both asked for the extensions that are edited, and the edited
// messages were sent to both and are of one length, since a place in octets means something
// else in a message that answers another offer. Signatures of one key have several lengths.
func (r *run) comparable() bool {
	honest, local := r.attacker.Peer(), r.told.local
	theirs, own := r.sentBy(honest), local.sentBy(honest)
	for i := range min(len(theirs), len(own)) {
		if theirs[i] != own[i] {
			return false
		}
	}
	if slices.Contains(theirs, attls.KindHelloRetryRequest) != slices.Contains(own, attls.KindHelloRetryRequest) {
		return false
	}
	for i := range r.agents[r.attacker].edits {
		e := &r.agents[r.attacker].edits[i]
		if e.Message == "" {
			continue
		}
		if strings.Contains(e.From, "of another connection") { // of one in memory, that is: they may be right there
			return false
		}
		was, own := r.before(e), local.before(e)
		if own == 0 && local.errs[honest] != nil {
			continue // attls had refused another edit by then
		}
		if was != own && !(e.Do == "field" && e.Message == attls.KindCertificateVerify.String() && was > 0 && own > 0) ||
			r.asks(honest, e.Extension) != local.asks(honest, e.Extension) {
			return false
		}
	}
	return true
}

// alike is comparable with another stack that got the same input. A message may have another length
// there unless a place in it counts.
func (r *run) alike(x *run) bool {
	honest := r.attacker.Peer()
	a, b := r.hellosOf(honest), x.hellosOf(honest)
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return false
		}
	}
	for i := range r.agents[r.attacker].edits {
		e := &r.agents[r.attacker].edits[i]
		if e.Message == "" {
			continue
		}
		was, other := r.before(e), x.before(e)
		switch {
		case strings.Contains(e.From, "of another connection"):
			return false
		case was == 0 && !r.done[honest] || other == 0 && !x.done[honest]:
			continue // it had ended by then, for another edit
		case (was == 0) != (other == 0), slices.Contains(ofPlaces, e.Do) && was != other:
			return false
		case strings.HasPrefix(e.Do, "extension") && r.asks(honest, e.Extension) != x.asks(honest, e.Extension):
			return false
		}
	}
	return true
}

// hellosOf are the kinds of the messages of an end up to its ServerHello, or to the ClientHello that was
// answered: programs ask for certificates, and show them, as they were told to.
func (r *run) hellosOf(role attls.Role) []attls.MessageKind {
	return slices.DeleteFunc(r.sentBy(role), func(k attls.MessageKind) bool {
		return k != attls.KindClientHello && k != attls.KindHelloRetryRequest && k != attls.KindServerHello
	})
}

// ofPlaces are the operations that mean something else in a message of another length.
var ofPlaces = []string{"flip", "truncate", "length"}

// sentBy are the kinds of the handshake messages of an end, up to its Finished.
func (r *run) sentBy(role attls.Role) (list []attls.MessageKind) {
	for i := range r.log {
		if x := &r.log[i]; x.role == role && x.sent && x.raw != nil {
			list = append(list, x.kind)
			if x.kind == attls.KindFinished {
				break
			}
		}
	}
	return list
}

// asks reports whether an end sent an extension in a request.
func (r *run) asks(role attls.Role, t attls.ExtensionType) bool {
	for i := range r.log {
		x := &r.log[i]
		if x.role != role || !x.sent || x.kind != attls.KindClientHello && x.kind != attls.KindCertificateRequest {
			continue
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

// inHandshake reports whether all edits are of messages of the handshake itself: what follows
// it, and records, are not sent alike in memory and to a program.
func (r *run) inHandshake() bool {
	return !slices.ContainsFunc(r.agents[r.attacker].edits, func(e Edit) bool {
		switch e.Message {
		case attls.KindKeyUpdate.String(), attls.KindNewSessionTicket.String():
			return true
		case "":
			return e.Do == "pad" || e.Do == "split" || e.Do == "record"
		}
		return false
	})
}

// before is the length of the message of an edit without the edit; 0: it was not sent.
func (r *run) before(e *Edit) int {
	n := 0
	for i := range r.log {
		x := &r.log[i]
		if x.role != r.attacker || !x.sent || x.raw == nil || x.kind.String() != e.Message {
			continue
		}
		if n == e.Number {
			return x.was
		}
		n++
	}
	return 0
}
