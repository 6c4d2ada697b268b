package campaign

import (
	"fmt"
	"slices"

	"attls"
)

// stackLaws are asked of C programs besides: they need what came over the line.
var stackLaws = []law{
	{"retry-once", "RFC 8446 4.1.4", false, func(v *view) string {
		of := func(list []*seen, k attls.MessageKind) (n int) {
			for _, m := range list {
				if m.kind == k {
					n++
				}
			}
			return n
		}
		switch {
		case v.role == attls.RoleClient && of(v.got, attls.KindHelloRetryRequest) > 1 &&
			of(v.sent, attls.KindClientHello) > 2:
			return "answered a second HelloRetryRequest"
		case v.role == attls.RoleServer && of(v.sent, attls.KindHelloRetryRequest) > 1:
			return "sent a second HelloRetryRequest"
		}
		return ""
	}},
	{"binder", "RFC 8446 4.2.11.2", true, func(v *view) string {
		edits := v.r.agents[v.role.Peer()].edits
		if v.role != attls.RoleServer || !v.resumed() || len(edits) != 1 || v.hello == nil || v.r.s.base == nil {
			return ""
		}
		body, _ := v.hello.find(attls.ExtPreSharedKey)
		if e := &edits[0]; e.Message == "ClientHello" && keepsBinder(e) && v.r.line != nil && v.r.line.hello != nil &&
			!slices.Equal(body, v.r.line.hello) {
			return "resumed a session although its binder is not that of its peer"
		}
		return ""
	}},
	{"record", "RFC 8446 5, 6.2", true, func(v *view) string {
		for _, x := range v.r.inserted {
			switch {
			case x.contentType == attls.ContentTypeChangeCipherSpec && !slices.Equal(x.octets, []byte{1}):
				return fmt.Sprintf("took a change_cipher_spec record with 0x%x", start(x.octets))
			case x.contentType == attls.ContentTypeAlert && len(x.octets) == 2 && x.octets[0] == 2:
				return "is done after a fatal alert"
			case x.contentType == attls.ContentTypeApplicationData && len(x.octets) > 0:
				return "took application data before the Finished of its peer"
			}
		}
		return ""
	}},
	{"alert-sent", "the text that names an alert", false, func(v *view) string {
		err := v.r.errs[v.role]
		edits := v.r.agents[v.role.Peer()].edits
		peer := v.r.errs[v.role.Peer()]
		if len(edits) != 1 || edits[0].Shadow || err == nil || err.Class == attls.FromPeer || v.r.done[v.role] ||
			peer != nil {
			return "" // an alert is an error of the attacker's
		}
		for i := range refusals {
			x := &refusals[i]
			if x.message != edits[0].Message || !x.applies(v, &edits[0]) {
				continue
			}
			if want, ok := x.alert(v); ok {
				return fmt.Sprintf("refused %s without an alert; %s has %v", x.message, x.source, want)
			}
		}
		return ""
	}},
	{"alert-once", "RFC 8446 6.2", false, func(v *view) string {
		if l := v.r.line; l != nil && l.refused > 0 {
			return "sent something after a fatal alert"
		}
		return ""
	}},
	{"ticket-lifetime", "RFC 8446 4.6.1", false, func(v *view) string {
		for _, m := range v.sent {
			if m.kind == attls.KindNewSessionTicket && len(m.body()) >= 4 {
				if n := (&cursor{m.body(), true}).number(4); n > 7*24*60*60 {
					return fmt.Sprintf("sent a ticket for %d seconds", n)
				}
			}
		}
		return ""
	}},
	{"message-end", "RFC 8446 4", true, func(v *view) string {
		for _, m := range v.got {
			blocks, ok := extensionBlocks(m.body(), m.kind)
			if ok && len(blocks) > 0 && m.kind != attls.KindClientHello {
				if left := len(m.body()) - blocks[len(blocks)-1][1]; left > 0 {
					return fmt.Sprintf("took %d octets after the extensions of %v", left, m.kind)
				}
			}
		}
		return ""
	}},
}

// keepsBinder reports whether an edit of ClientHello leaves the binder as the edit has it.
func keepsBinder(e *Edit) bool {
	const psk = "client_hello.pre_shared_key"
	return e.Extension == attls.ExtPreSharedKey && e.Do == "extension-body" ||
		len(e.Path) > len(psk) && e.Path[:len(psk)] == psk
}

// unasked reports whether a server that demands that its peer attests went on and did not ask.
func (v *view) unasked() bool {
	if v.p == nil || v.role != attls.RoleServer || v.last(v.sent, attls.KindFinished) == nil {
		return false
	}
	_, _, ok := v.chosenFor(attls.RoleClient)
	return !ok
}

// distrusted reports whether the honest end must not trust what an edit of a credential shows.
func (in *Input) distrusted(answer string) bool {
	other := slices.ContainsFunc(keyTypes, func(x keyType) bool { return x.answer == answer })
	if in.Connection.RawPublicKeys {
		return other || answer == "unknown authority"
	}
	if other { // the authority vouches for it
		return false
	}
	for _, x := range unfitness {
		if x.answer == answer {
			return x.ofClients || in.role() == attls.RoleServer
		}
	}
	return answer != "none"
}

// carries reports whether a message of a type begins in the payload of a record.
func carries(b []byte, t attls.HandshakeType) bool {
	for len(b) >= 4 {
		if attls.HandshakeType(b[0]) == t {
			return true
		}
		size := 4 + int(b[1])<<16 + int(b[2])<<8 + int(b[3])
		b = b[min(size, len(b)):]
	}
	return false
}
