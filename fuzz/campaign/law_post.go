package campaign

import (
	"bytes"
	"fmt"
	"slices"

	"attls"
	"attls/conformance/scenario"
	"attls/extensions"
	"attls/handshake"
	"attls/internal/provider"
)

// contextOf is the certificate_request_context of a Certificate or a request, as octets.
func contextOf(m *seen) []byte {
	c := &cursor{m.body(), true}
	return c.vector(1)
}

// shownLater is one authentication as its messages arrived.
type shownLater struct{ certificate, verify, finished *seen }

// gather finds them among messages.
func gather(list []*seen) (out []shownLater) {
	for _, m := range list {
		switch n := len(out) - 1; m.kind {
		case attls.KindCertificate:
			out = append(out, shownLater{certificate: m})
		case attls.KindCertificateVerify:
			if n >= 0 && out[n].verify == nil {
				out[n].verify = m
			}
		case attls.KindFinished:
			if n >= 0 && out[n].finished == nil {
				out[n].finished = m
			}
		}
	}
	return out
}

// empty reports whether a Certificate has no entry.
func (m *seen) empty() bool {
	c := &cursor{m.body(), true}
	c.vector(1)
	return c.number(3) == 0
}

// unsigned says why the signature of an authentication is not one that the holder of the key
// made in it; "": it is. made are what happened in it.
func (v *view) unsigned(x shownLater, made []deed) string {
	if x.verify == nil || len(x.verify.raw) < 8 {
		return "without a CertificateVerify"
	}
	got, scheme := x.verify.raw[8:], attls.SignatureScheme(uint16(x.verify.raw[4])<<8|uint16(x.verify.raw[5]))
	spki := v.r.s.keyIn(x.certificate.body())
	if !slices.ContainsFunc(made, func(d deed) bool {
		if d.role != v.role.Peer() || d.signed == nil || !bytes.Equal(d.spki, spki) {
			return false
		}
		raw, err := provider.RawFromDER(d.signed, scheme)
		return bytes.Equal(got, d.signed) || err == nil && bytes.Equal(got, raw)
	}) {
		return fmt.Sprintf("with the signature %x… that the key in it did not make for it", start(got))
	}
	return ""
}

// unfinished says why the Finished of an authentication is not one that the peer computed for it.
func (v *view) unfinished(x shownLater, made []deed) string {
	if x.finished == nil {
		return "without a Finished"
	}
	if !slices.ContainsFunc(made, func(d deed) bool {
		return d.role == v.role.Peer() && d.final != nil && bytes.Equal(d.final, x.finished.raw)
	}) {
		return fmt.Sprintf("with a Finished %x… that its peer did not compute for it", start(x.finished.raw))
	}
	return ""
}

// misplaced says what a list of extensions has twice, or out of place; "": nothing.
func (v *view) misplaced(m *seen, table *extensions.Table) string {
	for entry, list := range m.entries {
		have := map[attls.ExtensionType]bool{}
		for _, x := range list {
			row, known := table.Lookup(x.t)
			switch {
			case have[x.t]:
				return fmt.Sprintf("with the extension %v twice", x.t)
			case known && row.In(m.kind) == nil:
				return fmt.Sprintf("with the extension %v, which does not belong there", x.t)
			case known && row.In(m.kind).Entries == extensions.EntriesFirst && entry > 0:
				return fmt.Sprintf("with the extension %v in CertificateEntry %d", x.t, entry)
			}
			have[x.t] = true
		}
	}
	return ""
}

// postLaw is a law of an end that took all that came after the handshake.
func postLaw(name, source string, role attls.Role, check func(*view) string) law {
	return law{name, source, true, func(v *view) string {
		if v.role != role || v.r.post.asked == 0 || len(v.late)+len(v.after) == 0 {
			return ""
		}
		return check(v)
	}}
}

// eachAnswer asks of each answer that a server took.
func (v *view) eachAnswer(ask func(x shownLater, a *answered, made []deed) string) string {
	shown := gather(v.late)
	for i := range v.r.post.answered {
		a := &v.r.post.answered[i]
		at := slices.IndexFunc(shown, func(x shownLater) bool { return bytes.Equal(contextOf(x.certificate), a.context) })
		if at < 0 {
			return "is told of an answer that did not come"
		}
		made := v.r.ledger[:a.deeds]
		if text := ask(shown[at], a, made); text != "" {
			return text
		}
		shown = slices.Delete(shown, at, at+1)
	}
	return ""
}

// postLaws are about authentication after the handshake.
var postLaws = []law{
	postLaw("later-signature", "RFC 8446 4.6.2, 4.4.3", attls.RoleServer, func(v *view) string {
		var signatures [][]byte
		return v.eachAnswer(func(x shownLater, _ *answered, made []deed) string {
			if x.certificate.empty() {
				return ""
			}
			if text := v.unsigned(x, made); text != "" {
				return "took an answer after the handshake " + text
			}
			if within(signatures, x.verify.raw) {
				return "took one signature for two requests after the handshake"
			}
			signatures = append(signatures, x.verify.raw)
			return ""
		})
	}),
	postLaw("later-finished", "RFC 8446 4.6.2, 4.4.4", attls.RoleServer, func(v *view) string {
		return v.eachAnswer(func(x shownLater, _ *answered, made []deed) string {
			if text := v.unfinished(x, made); text != "" {
				return "took an answer after the handshake " + text
			}
			return ""
		})
	}),
	postLaw("later-transcript", "RFC 8446 4.6.2, 4.4.1", attls.RoleServer, func(v *view) string {
		a := v.r.agents[v.role.Peer()]
		if a.shadowedLater && len(a.edits) == 1 && len(v.r.post.answered) == v.r.post.asked && v.r.errs[v.role] == nil {
			return "took an answer whose transcript is another one"
		}
		return ""
	}),
	postLaw("later-request", "RFC 8446 4.3.2, 4.4.2", attls.RoleServer, func(v *view) string {
		var open [][]byte
		for _, m := range v.after {
			if m.kind == attls.KindCertificateRequest {
				open = append(open, contextOf(m))
			}
		}
		return v.eachAnswer(func(_ shownLater, a *answered, _ []deed) string {
			i := slices.IndexFunc(open, func(c []byte) bool { return bytes.Equal(c, a.context) })
			if i < 0 {
				return fmt.Sprintf("took an answer with the context 0x%x, which is that of no open request", a.context)
			}
			open = slices.Delete(open, i, i+1)
			return ""
		})
	}),
	postLaw("later-trusted", "RFC 8446 4.4.2.4", attls.RoleServer, func(v *view) string {
		return v.eachAnswer(func(x shownLater, a *answered, made []deed) string {
			for _, d := range made {
				switch {
				case d.role != v.role || !d.later:
				case d.distrust != nil:
					return fmt.Sprintf("took a chain after the handshake that it does not trust: %v", d.distrust)
				case d.refused != "" && !v.accepts(d.refused):
					return fmt.Sprintf("took an answer whose payload was refused: %s", d.refused)
				}
			}
			if x.certificate.empty() && v.r.s.plain[v.role].ClientAuthentication == handshake.RequireClientCertificate {
				return "took no certificate after the handshake, and requires one"
			}
			return ""
		})
	}),
	postLaw("later-demand", "the policy of the relying party", attls.RoleServer, func(v *view) string {
		if v.p == nil || !v.r.s.plain[v.role].Policy.Demand || v.r.errs[v.role] != nil || v.accepts(attls.FailMissing) {
			return ""
		}
		return v.eachAnswer(func(x shownLater, _ *answered, made []deed) string {
			if x.certificate.empty() && !v.p.PostHandshake.ClientAuthentication {
				return "" // the client stays who it was
			}
			same := len(v.state.PeerSPKI) > 0 && bytes.Equal(v.r.s.keyIn(x.certificate.body()), v.state.PeerSPKI)
			if !same && !slices.ContainsFunc(made, func(d deed) bool {
				return d.role == v.role && d.later && d.appraised != nil && d.refused == ""
			}) {
				return "took an answer after the handshake without an accepting verdict, which it demands"
			}
			return ""
		})
	}),
	postLaw("later-evidence", "the profile's binding of Evidence to the connection", attls.RoleServer,
		func(v *view) string {
			if v.p == nil || v.p.InCertificate() || len(v.r.post.answered) == 0 {
				return ""
			}
			return v.evidence(v.r.states[v.role].Attestation)
		}),
	postLaw("later-extensions", "RFC 8446 4.2", attls.RoleServer, func(v *view) string { return v.lateMisplaced() }),
	postLaw("later-extensions", "RFC 8446 4.2", attls.RoleClient, func(v *view) string { return v.lateMisplaced() }),
	postLaw("later-asked", "RFC 8446 4.3.2, 4.6.2", attls.RoleClient, func(v *view) string {
		var requests []*seen
		for _, m := range v.late {
			if m.kind == attls.KindCertificateRequest {
				requests = append(requests, m)
			}
		}
		for _, x := range gather(v.after) {
			c := contextOf(x.certificate)
			i := slices.IndexFunc(requests, func(m *seen) bool { return bytes.Equal(contextOf(m), c) })
			if i < 0 {
				return fmt.Sprintf("answered with the context 0x%x, which no request has", c)
			}
			body, there := requests[i].find(attls.ExtSignatureAlgorithms)
			switch {
			case len(c) == 0:
				return "answered a request after the handshake that has no context"
			case !there:
				return "answered a request after the handshake without signature_algorithms"
			case x.verify != nil && len(x.verify.raw) >= 6 &&
				!slices.Contains(uint16s(body, 2), uint16(x.verify.raw[4])<<8|uint16(x.verify.raw[5])):
				return "signed an answer under a scheme that the request does not have"
			}
			requests = slices.Delete(requests, i, i+1)
		}
		return ""
	}),
}

// updateLaws are about what is attested with extended key updates.
var updateLaws = []law{
	{"update-evidence", "the profile's binding of Evidence to a key update", true, func(v *view) string {
		var list []handshake.AttestationState
		for _, x := range v.r.states[v.role].Reattestation {
			if x.Accepted {
				list = append(list, x.AttestationState)
			}
		}
		return v.evidence(list)
	}},
	{"update-verdict", "the profile's rule on a refused appraisal", true, func(v *view) string {
		for _, x := range v.r.states[v.role].Reattestation {
			if x.Attester != v.role.Peer() || !x.Accepted {
				continue
			}
			for _, d := range v.r.ledger {
				if d.role == v.role && d.later && d.refused != "" && !v.accepts(d.refused) && bytes.Equal(d.appraised, x.Payload) {
					return fmt.Sprintf("took an attestation with a key update that was refused: %s", d.refused)
				}
			}
		}
		return ""
	}},
}

// lateMisplaced asks of the extensions that came after the handshake and were taken.
func (v *view) lateMisplaced() string {
	if v.r.errs[v.role] != nil {
		return ""
	}
	for _, m := range v.late {
		if text := v.misplaced(m, v.table); text != "" {
			return fmt.Sprintf("took %v after the handshake %s", m.kind, text)
		}
	}
	return ""
}

// evidence says which accepting verdict is about a payload that the peer did not make for its
// challenge in this connection; "": none.
func (v *view) evidence(list []handshake.AttestationState) string {
	for i := range list {
		a := &list[i]
		if a.Attester != v.role.Peer() || a.Verdict == nil {
			continue
		}
		if failure, _ := a.Verdict.Refusal(scenario.DemoEpoch); failure != "" {
			continue
		}
		if !slices.ContainsFunc(v.r.ledger, func(d deed) bool { return d.makes(v.role.Peer(), a, v.r.s.other) }) {
			return "has an accepting verdict after the handshake on a payload that its peer did not make for it"
		}
	}
	return ""
}

// makes reports whether an end made the Evidence of an attestation. The attester may write the
// same tokens otherwise, but not those of another connection.
func (d *deed) makes(role attls.Role, a *handshake.AttestationState, other *run) bool {
	foreign := other != nil &&
		slices.ContainsFunc(other.ledger, func(o deed) bool { return bytes.Equal(o.payload, a.Payload) })
	return d.role == role && d.payload != nil && bytes.Equal(d.challenge, a.Challenge) &&
		(!foreign || bytes.Equal(d.payload, a.Payload))
}
