package campaign

import (
	"bytes"
	"fmt"
	"slices"

	"attls"
	"attls/extensions"
)

// begins is where a log goes over to exported authenticators.
func (p *proofs) begins(end int) int {
	if len(p.list) == 0 {
		return end
	}
	return p.list[0].log
}

// messages are those of a part of the log that an end sent, or that it took.
func (r *run) messages(role attls.Role, sent bool, from, to int) (list []*seen) {
	for i := from; i < to; i++ {
		if x := &r.log[i]; x.role == role && x.sent == sent && x.raw != nil {
			m := &seen{kind: x.kind, raw: x.raw}
			m.entries, m.parsed = extensionsOf(m.body(), m.kind)
			list = append(list, m)
		}
	}
	return list
}

// proofView is a request and its answer as one honest end saw them.
type proofView struct {
	*view
	x               *proof
	request, answer []*seen // as it sent and took them
	made            []deed
	table           *extensions.Table
}

// proofLaw is a law of the end that relies on authenticators, of those that it took.
func proofLaw(name, source string, check func(*proofView) string) law {
	return law{name, source, true, func(v *view) string {
		return v.eachProof(func(x *proofView) string {
			if x.x.relying != v.role || !x.x.taken {
				return ""
			}
			return check(x)
		})
	}}
}

// askedLaw is a law of the end that is asked, of what it answered.
func askedLaw(name, source string, check func(*proofView) string) law {
	return law{name, source, true, func(v *view) string {
		return v.eachProof(func(x *proofView) string {
			if x.x.relying == v.role || len(x.x.answer) == 0 || v.r.proofs.errs[v.role] != nil && x.x.end == len(v.r.log) &&
				len(x.answer) == 0 {
				return ""
			}
			return check(x)
		})
	}}
}

func (v *view) eachProof(ask func(*proofView) string) string {
	for i := range v.r.proofs.list {
		x := &v.r.proofs.list[i]
		relies := x.relying == v.role
		p := &proofView{view: v, x: x, request: v.r.messages(v.role, relies, x.log, x.asked),
			answer: v.r.messages(v.role, !relies, x.asked, x.end), made: v.r.ledger[x.deeds:x.deedsEnd], table: v.table}
		if !relies { // it takes the request when it answers
			p.request = v.r.messages(v.role, false, x.asked, x.end)
		}
		if v.p != nil {
			if t, err := v.table.With(v.p.LaterExtensions...); err == nil {
				p.table = t
			}
		}
		if text := ask(p); text != "" {
			return text
		}
	}
	return ""
}

// whole is the authenticator, if it is one: Certificate, CertificateVerify and Finished.
func (p *proofView) whole() (x shownLater, ok bool) {
	kinds := make([]attls.MessageKind, len(p.answer))
	for i, m := range p.answer {
		kinds[i] = m.kind
	}
	if !slices.Equal(kinds, []attls.MessageKind{attls.KindCertificate, attls.KindCertificateVerify, attls.KindFinished}) {
		return x, false
	}
	return shownLater{p.answer[0], p.answer[1], p.answer[2]}, true
}

// refusal reports whether the peer has refused, and this end lets it.
func (p *proofView) refusal() bool {
	return p.r.s.conn.Undemanding && p.x.outcome == nil && len(p.answer) == 1 && p.answer[0].kind == attls.KindFinished
}

// proofLaws are about exported authenticators.
var proofLaws = []law{
	proofLaw("proof-order", "RFC 9261 5.2", func(p *proofView) string {
		if _, ok := p.whole(); !ok && !p.refusal() {
			return fmt.Sprintf("took an authenticator of %d messages that are not Certificate, CertificateVerify and Finished",
				len(p.answer))
		}
		return ""
	}),
	proofLaw("proof-signature", "RFC 9261 5.2.2", func(p *proofView) string {
		if x, ok := p.whole(); ok {
			if text := p.unsigned(x, p.made); text != "" {
				return "took an authenticator " + text
			}
		}
		return ""
	}),
	proofLaw("proof-finished", "RFC 9261 5.2.3", func(p *proofView) string {
		if x, ok := p.whole(); ok {
			if text := p.unfinished(x, p.made); text != "" {
				return "took an authenticator " + text
			}
		}
		return ""
	}),
	proofLaw("proof-transcript", "RFC 9261 5.2.2", func(p *proofView) string {
		a := p.r.agents[p.role.Peer()]
		if a.shadowedProof && len(a.edits) == 1 && len(p.r.proofs.list) == 1 {
			return "took an authenticator whose transcript is another one"
		}
		return ""
	}),
	proofLaw("proof-context", "RFC 9261 5", func(p *proofView) string {
		x, ok := p.whole()
		if !ok || len(p.request) == 0 {
			return ""
		}
		got, want := contextOf(x.certificate), contextOf(p.request[0])
		if unasked := p.x.opened != nil && p.x.opened.Spontaneous; unasked && p.role == attls.RoleClient {
			return "" // a server may, and the application can tell
		}
		if !bytes.Equal(got, want) {
			return fmt.Sprintf("took an authenticator with the context 0x%x for the request with the context 0x%x", got, want)
		}
		return ""
	}),
	proofLaw("proof-scheme", "RFC 9261 5.2.2", func(p *proofView) string {
		x, ok := p.whole()
		if !ok || len(p.request) == 0 || len(x.verify.raw) < 6 {
			return ""
		}
		body, _ := p.request[0].find(attls.ExtSignatureAlgorithms)
		if s := uint16(x.verify.raw[4])<<8 | uint16(x.verify.raw[5]); !slices.Contains(uint16s(body, 2), s) {
			return fmt.Sprintf("took an authenticator signed under %v, for which it did not ask", attls.SignatureScheme(s))
		}
		return ""
	}),
	proofLaw("proof-trusted", "RFC 9261 7.4", func(p *proofView) string {
		for _, d := range p.made {
			if d.role == p.role && d.distrust != nil {
				return fmt.Sprintf("took an authenticator with a chain that it does not trust: %v", d.distrust)
			}
		}
		return ""
	}),
	proofLaw("proof-extensions", "RFC 9261 5.2.1", func(p *proofView) string {
		x, ok := p.whole()
		if !ok || len(p.request) == 0 {
			return ""
		}
		if text := p.misplaced(x.certificate, p.table); text != "" {
			return "took an authenticator " + text
		}
		for _, list := range x.certificate.entries {
			for _, e := range list {
				row, known := p.table.Lookup(e.t)
				if _, asked := p.request[0].find(e.t); asked ||
					known && (row.In(attls.KindCertificate).Unsolicited ||
						len(row.In(attls.KindCertificate).OfferedBy[p.role.Peer()]) == 0) {
					continue
				}
				return fmt.Sprintf("took an authenticator with the extension %v, for which it did not ask", e.t)
			}
		}
		return ""
	}),
	proofLaw("proof-evidence", "the profile's binding of Evidence to an authenticator", func(p *proofView) string {
		a := p.x.outcome
		if a == nil || a.Verdict == nil || a.Verdict.Failure != "" {
			return ""
		}
		made := func(d deed) bool { return d.makes(p.role.Peer(), &a.AttestationState, p.r.s.other) }
		if !slices.ContainsFunc(p.made, made) {
			return "has an accepting verdict on a payload that its peer did not make for the authenticator"
		}
		return ""
	}),
	proofLaw("proof-verdict", "the profile's rule on a refused appraisal", func(p *proofView) string {
		for _, d := range p.made {
			if d.role == p.role && d.refused != "" && !p.accepts(d.refused) && !p.fits() {
				return fmt.Sprintf("took an authenticator whose payload was refused: %s", d.refused)
			}
		}
		return ""
	}),
	proofLaw("proof-demand", "the policy of the relying party", func(p *proofView) string {
		if p.p == nil || p.r.s.conn.Undemanding || p.accepts(attls.FailMissing) {
			return ""
		}
		if a := p.x.outcome; a == nil || a.Verdict == nil {
			return "took an authenticator without a verdict, which it demands"
		}
		return ""
	}),
	askedLaw("proof-request", "RFC 9261 4", func(p *proofView) string { return p.requestTaken() }),
	askedLaw("proof-answer", "RFC 9261 5", func(p *proofView) string {
		x, ok := p.whole()
		if !ok || len(p.request) == 0 {
			return ""
		}
		if got, want := contextOf(x.certificate), contextOf(p.request[0]); !bytes.Equal(got, want) {
			return fmt.Sprintf("answered with the context 0x%x the request with the context 0x%x", got, want)
		}
		body, _ := p.request[0].find(attls.ExtSignatureAlgorithms)
		if len(x.verify.raw) >= 6 && !slices.Contains(uint16s(body, 2), uint16(x.verify.raw[4])<<8|uint16(x.verify.raw[5])) {
			return "signed an authenticator under a scheme that the request does not have"
		}
		for _, list := range x.certificate.entries {
			for _, e := range list {
				slot := p.r.s.laterSlot(p.role)
				if _, asked := p.request[0].find(e.t); !asked &&
					(slot == nil || slot.Extension != e.t || !slot.Every && !slot.Silent) {
					return fmt.Sprintf("shows the extension %v in an authenticator, for which the request does not ask", e.t)
				}
			}
		}
		return ""
	}),
}

// fits reports whether some payload of the authenticator was accepted: of several schemes, those
// that a payload is not of refuse it.
func (p *proofView) fits() bool {
	return slices.ContainsFunc(p.made, func(d deed) bool {
		return d.role == p.role && d.appraised != nil && d.refused == ""
	})
}

// requestTaken says which request an end answered although it is not one.
func (p *proofView) requestTaken() string {
	want := attls.KindCertificateRequest
	if p.x.relying == attls.RoleClient {
		want = attls.KindClientCertificateRequest
	}
	switch {
	case len(p.request) == 0:
		return "" // it came in a way that the tap does not show
	case len(p.request) > 1:
		return fmt.Sprintf("answered a request of %d messages", len(p.request))
	case p.request[0].kind != want:
		return fmt.Sprintf("answered %v in the place of %v", p.request[0].kind, want)
	case !p.request[0].parsed:
		return "answered a request that does not follow its grammar"
	}
	m := p.request[0]
	if _, ok := m.find(attls.ExtSignatureAlgorithms); !ok {
		return "answered a request without signature_algorithms"
	}
	if _, ok := m.find(attls.ExtServerName); ok && p.x.relying == attls.RoleServer {
		return "answered a server's request that has server_name"
	}
	if text := p.misplaced(m, p.table); text != "" {
		return "answered a request " + text
	}
	for i := range p.r.proofs.list { // those before, of either end
		before := &p.r.proofs.list[i]
		if before == p.x {
			break
		}
		for _, list := range [][]*seen{p.r.messages(p.role, true, before.log, before.end),
			p.r.messages(p.role, false, before.log, before.end)} {
			for _, o := range list {
				if (o.kind == attls.KindCertificateRequest || o.kind == attls.KindClientCertificateRequest) &&
					bytes.Equal(contextOf(o), contextOf(m)) {
					return "answered a request whose context was used before"
				}
			}
		}
	}
	return ""
}
