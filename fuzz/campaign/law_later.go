package campaign

import (
	"fmt"
	"slices"

	"attls"
	"attls/extensions"
	"attls/extensions/profile"
)

// negotiatedLaws are about TLS flags, extended key updates, early data and resumption.
var negotiatedLaws = []law{
	{"flags-proposed", "draft-ietf-tls-tlsflags 3", true, func(v *view) string {
		if v.role != attls.RoleClient {
			return ""
		}
		var proposed extensions.Flags
		for _, m := range v.sent {
			if body, ok := m.find(attls.ExtTLSFlags); ok && m.kind == attls.KindClientHello {
				proposed, _ = extensions.ParseTLSFlags(body)
			}
		}
		return v.each(func(m *seen, _ int, x rawExtension) string {
			if x.t != attls.ExtTLSFlags || !answersOffer(m.kind) || proposed == nil { // another law's
				return ""
			}
			flags, err := extensions.ParseTLSFlags(x.body)
			if err != nil {
				return fmt.Sprintf("took %v with tls_flags of another form", m.kind)
			}
			for f := range flags.All() {
				if !proposed.Has(f) {
					return fmt.Sprintf("took the flag %v in %v, which it did not propose", f, m.kind)
				}
			}
			return ""
		})
	}},
	{"key-update", "draft-ietf-tls-extended-key-update 4", true, func(v *view) string { return v.updates() }},
	{"flag-agreed", "the profile's flag", true, func(v *view) string {
		if v.p == nil || v.p.Authenticator.FlagName == "" || !v.r.wouldAsk[v.role] {
			return ""
		}
		at := attls.KindEncryptedExtensions
		if v.role == attls.RoleServer {
			at = attls.KindClientHello
		}
		if m := v.last(v.got, at); m != nil {
			body, _ := m.find(attls.ExtTLSFlags)
			if flags, err := extensions.ParseTLSFlags(body); err == nil && flags.Has(v.p.Authenticator.Flag) {
				return ""
			}
		}
		return fmt.Sprintf("would ask its peer to attest, which did not set the flag %s", v.p.Authenticator.FlagName)
	}},
	{"update-attestation", "the profile's rules of key updates", true, func(v *view) string { return v.updateAttested() }},
	{"early-data", "RFC 8446 4.2.10", true, func(v *view) string {
		if n := v.earlyData(); v.role == attls.RoleServer && n > 2<<14 {
			return fmt.Sprintf("skipped %d octets of early data, of which none was announced", n)
		}
		return ""
	}},
	{"resumed-name", "RFC 6066 3", false, func(v *view) string {
		if ee := v.last(v.sent, attls.KindEncryptedExtensions); v.role == attls.RoleServer && ee != nil && v.resumed() {
			if _, ok := ee.find(attls.ExtServerName); ok {
				return "acknowledges server_name although it resumes a session"
			}
		}
		return ""
	}},
	{"resumed-type", "RFC 7250 4.2", false, func(v *view) string {
		ee := v.last(v.sent, attls.KindEncryptedExtensions)
		if v.role != attls.RoleServer || ee == nil || v.hello == nil || !v.resumed() || !v.r.s.conn.RawPublicKeys {
			return ""
		}
		// Silence would mean X.509, which this client does not take.
		offer, ok := v.hello.find(attls.ExtServerCertificateType)
		if _, told := ee.find(attls.ExtServerCertificateType); told || !ok || len(offer) < 2 ||
			slices.Contains(offer[1:], byte(attls.CertificateX509)) ||
			!slices.Contains(offer[1:], byte(attls.CertificateRawPublicKey)) {
			return ""
		}
		return "resumes a session and does not tell the type of its certificate to a client that takes no X.509"
	}},
}

// earlyData is how many octets of early data the peer sent that no key opens.
func (v *view) earlyData() int {
	for i := range v.r.agents[v.role.Peer()].edits {
		if e := &v.r.agents[v.role.Peer()].edits[i]; e.Do == "early" && e.Number == 0 {
			return e.At
		}
	}
	return 0
}

// updates says which message of a key update an end took that was not due.
func (v *view) updates() string {
	// An end that took what it must not may fail later on, as the keys of both ends differ.
	err := v.r.errs[v.role]
	if err != nil && (err.Message == attls.KindExtendedKeyUpdate || err.Message == attls.KindKeyUpdate) {
		return "" // it refused
	}
	asked, answered := 0, 0
	for i := range v.r.log[:v.r.proofs.begins(len(v.r.log))] {
		x := &v.r.log[i]
		if x.role != v.role || x.raw == nil || len(x.raw) < 5 {
			continue
		}
		if x.kind == attls.KindKeyUpdate && !x.sent && v.state.ExtendedKeyUpdate {
			return "took KeyUpdate although the extended one takes its place"
		}
		if x.kind != attls.KindExtendedKeyUpdate {
			continue
		}
		kind := attls.ExtendedKeyUpdateType(x.raw[4])
		switch {
		case x.sent && kind == attls.KeyUpdateRequest:
			asked++
		case x.sent && kind == attls.KeyUpdateResponse:
			answered++
		case x.sent:
		case !v.state.ExtendedKeyUpdate:
			return "took ExtendedKeyUpdate, which was not negotiated"
		case kind == attls.KeyUpdateResponse && asked == 0, kind == attls.KeyUpdateFinish && answered == 0:
			return fmt.Sprintf("took %v where none was due", kind)
		case kind == attls.KeyUpdateResponse:
			asked--
		case kind == attls.KeyUpdateFinish:
			answered--
		}
		if !x.sent && (kind == attls.KeyUpdateRequest || kind == attls.KeyUpdateResponse) && len(x.raw) >= 7 {
			if g := attls.NamedGroup(uint16(x.raw[5])<<8 | uint16(x.raw[6])); g != v.state.Group {
				return fmt.Sprintf("took a key share of the group %v in an update", g)
			}
		}
	}
	return ""
}

// updateAttested says which message about an attestation with key updates an end took that was
// not due, or with which update it went on although one was missing.
func (v *view) updateAttested() string {
	if v.p == nil || len(v.p.Updates) == 0 || !v.state.ExtendedKeyUpdate || v.refusedUpdate() {
		return ""
	}
	peer, due := v.role.Peer(), 1 // in front of the first response
	var shown, told [2]int        // payloads of an end, and outcomes that it told
	answers := 0
	finished := 0
	for i := range v.r.log {
		x := &v.r.log[i]
		if x.role != v.role || len(x.raw) < 5 || x.kind == attls.KindFinished || finished < 2 {
			if x.role == v.role && x.kind == attls.KindFinished && x.raw != nil {
				finished++
			}
			continue
		}
		sender := peer
		if x.sent {
			sender = v.role
		}
		kind := attls.ExtendedKeyUpdateType(x.raw[4])
		switch {
		case v.carriesUpdate(x, sender):
			shown[sender]++
			switch {
			case x.sent:
			case !v.attested(peer):
				return "took a payload with an update from a peer that did not attest before"
			case shown[peer] > answers && !(shown[peer] == due && v.awaits(i)):
				return fmt.Sprintf("took %d payloads with %d updates", shown[peer], answers)
			}
		case x.kind != attls.KindExtendedKeyUpdate:
		case kind == attls.KeyUpdateResponse:
			if answers > 0 && x.sent && v.attested(peer) && shown[peer] < answers {
				return "answered another update of a peer that did not attest with the one before"
			}
			if answers > 0 && x.sent && v.p.KeyUpdate.Outcome >= 0 && told[peer] < shown[v.role] {
				return "answered another update of a peer that did not tell the outcome of the one before"
			}
			answers++
			due = answers + 1
		case v.p.KeyUpdate.Outcome >= 0 && kind == v.p.KeyUpdates[v.p.KeyUpdate.Outcome].Subtype:
			told[sender]++
			if !x.sent && told[peer] > shown[v.role] {
				return "took the outcome of an attestation that it did not send"
			}
		}
	}
	return ""
}

// refusedUpdate reports whether an end refused a message of an update.
func (v *view) refusedUpdate() bool {
	err := v.r.errs[v.role]
	return err != nil && err.Class != attls.FromPeer
}

// awaits reports whether an end had asked for an update, before an entry of the log, and waits
// for the response, in front of which the profile has the payload.
func (v *view) awaits(before int) bool {
	waiting := false
	for i := range v.r.log[:before] {
		x := &v.r.log[i]
		if x.role == v.role && x.kind == attls.KindExtendedKeyUpdate && len(x.raw) > 4 {
			switch attls.ExtendedKeyUpdateType(x.raw[4]) {
			case attls.KeyUpdateRequest:
				waiting = waiting || x.sent
			case attls.KeyUpdateResponse:
				waiting = waiting && x.sent
			}
		}
	}
	return waiting && v.p.KeyUpdate.Responder == profile.UpdateBefore
}

// carriesUpdate reports whether a message carries the payload of an end with an update.
func (v *view) carriesUpdate(x *entry, attester attls.Role) bool {
	i := v.p.UpdateSlot(attester)
	if i < 0 {
		return false
	}
	s := &v.p.Updates[i]
	if s.Added {
		return x.kind == attls.KindAdded && attls.HandshakeType(x.raw[0]) == v.p.Messages[s.Message].Type
	}
	return x.kind == attls.KindExtendedKeyUpdate &&
		attls.ExtendedKeyUpdateType(x.raw[4]) == v.p.KeyUpdates[s.Message].Subtype
}

// attested reports whether an end has attested in the handshake with what the profile attests
// with updates.
func (v *view) attested(role attls.Role) bool {
	_, kind, ok := v.chosenFor(role)
	return v.p.UpdateSlot(role) >= 0 && ok && kind == profile.KindX509 && v.payload[role]
}
