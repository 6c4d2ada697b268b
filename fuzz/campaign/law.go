package campaign

import (
	"bytes"
	"fmt"
	"slices"

	"attls"
	"attls/conformance/scenario"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/internal/provider"
)

// Violation is a law that an end broke.
type Violation struct {
	Law  string
	Role attls.Role
	Says string
}

func (v *Violation) Error() string { return fmt.Sprintf("%s: the %v %s", v.Law, v.Role, v.Says) }

// law is one thing that an honest end must not do. check says what it did; "" is nothing.
type law struct {
	name   string
	source string // the text that says so
	done   bool   // it is asked only of an end that completed the handshake
	check  func(*view) string
}

// seen is a handshake message as an end saw it.
type seen struct {
	kind    attls.MessageKind
	raw     []byte
	entries [][]rawExtension // of a message with extensions
	parsed  bool
}

func (m *seen) body() []byte { return m.raw[4:] }

// all are the extensions of all entries.
func (m *seen) all() (list []rawExtension) {
	for _, e := range m.entries {
		list = append(list, e...)
	}
	return list
}

func (m *seen) find(t attls.ExtensionType) ([]byte, bool) {
	for _, e := range m.entries {
		for _, x := range e {
			if x.t == t {
				return x.body, true
			}
		}
	}
	return nil, false
}

// view is a connection as one honest end saw it.
type view struct {
	r     *run
	role  attls.Role
	p     *profile.Profile // nil: TLS 1.3
	table *extensions.Table
	got   []*seen // before it was done
	late  []*seen // after, without exported authenticators
	sent  []*seen
	after []*seen       // that it sent after the handshake, likewise
	recs  []*recordSeen // that it sent
	state *handshake.ConnectionState

	hello, first *seen // the last and the first ClientHello, on either side
	answered     bool  // the server sent ServerHello
	offers       *profile.Fields
	firstOffers  *profile.Fields
	answers      *profile.Fields // choices and nonces of the server
	payload      [2]bool         // the end of a role showed a payload in its place
}

func (r *run) view(role attls.Role) *view {
	v := &view{r: r, role: role, p: r.s.profile, state: &r.states[role]}
	if r.post.asked > 0 && r.post.atDone[role] != nil {
		v.state = r.post.atDone[role] // the laws of the handshake are about who authenticated in it
	}
	v.table = r.s.rows()
	done, said := false, false
	for i := range r.log[:r.proofs.begins(len(r.log))] {
		x := &r.log[i]
		if x.role != role {
			continue
		}
		switch {
		case x.rec != nil:
			v.recs = append(v.recs, x.rec)
		case x.raw != nil:
			m := &seen{kind: x.kind, raw: x.raw}
			m.entries, m.parsed = extensionsOf(m.body(), m.kind)
			switch {
			case x.sent && done && said && m.kind != attls.KindNewSessionTicket:
				v.after = append(v.after, m)
			case x.sent:
				v.sent = append(v.sent, m)
				said = said || m.kind == attls.KindFinished
			case done:
				v.late = append(v.late, m)
			default:
				v.got = append(v.got, m)
			}
			// What follows the peer's Finished is not of the handshake, and what follows a
			// server's answer is not what it answered.
			done = done || m.kind == attls.KindFinished && !x.sent
			v.answered = v.answered || m.kind == attls.KindServerHello && x.sent
			if m.kind == attls.KindClientHello && x.sent == (role == attls.RoleClient) && !done && !v.answered {
				if v.first == nil {
					v.first = m
				}
				v.hello = m
			}
		}
	}
	if v.p != nil {
		v.readProfile()
	}
	return v
}

// rows are the placement table of RFC 8446 with those of the profile.
func (s *subject) rows() *extensions.Table {
	t := extensions.RFC8446()
	if s.profile != nil {
		if with, err := t.With(s.profile.Extensions...); err == nil {
			return with
		}
	}
	return t
}

func (v *view) last(list []*seen, k attls.MessageKind) *seen {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].kind == k {
			return list[i]
		}
	}
	return nil
}

func (v *view) resumed() bool { return v.state.Session != nil }

// Judge lists what the honest end of a run broke.
func (r *run) Judge() (list []Violation) {
	for _, role := range attls.Roles() {
		if text := r.invariant(role); text != "" {
			list = append(list, Violation{"invariant", role, text})
		}
	}
	honest := r.attacker.Peer()
	v := r.view(honest)
	if text := v.wrongAlert(); text != "" {
		list = append(list, Violation{"alert", honest, text})
	}
	for i := range laws {
		l := &laws[i]
		if l.done && !r.done[honest] {
			continue
		}
		if text := l.check(v); text != "" {
			list = append(list, Violation{l.name, honest, text})
		}
	}
	return list
}

// Sound says what is wrong with a run in which nothing was edited.
func (r *run) Sound() (list []Violation) {
	for _, role := range attls.Roles() {
		if text := r.invariant(role); text != "" {
			list = append(list, Violation{"invariant", role, text})
		}
	}
	if text := r.live(); text != "" && !r.s.conn.Unwilling && !r.s.conn.RSA {
		list = append(list, Violation{"completes", r.attacker.Peer(), text})
	}
	for _, role := range attls.Roles() {
		v := r.view(role)
		for i := range laws {
			l := &laws[i]
			if text := l.check(v); text != "" && (!l.done || r.done[role]) {
				list = append(list, Violation{l.name, role, text})
			}
		}
	}
	return list
}

// live says why a connection without edits did not end well.
func (r *run) live() string {
	for _, role := range attls.Roles() {
		switch {
		case r.errs[role] != nil:
			return fmt.Sprintf("ends a sound connection: the %v failed: %v", role, r.errs[role])
		case !r.done[role]:
			return fmt.Sprintf("leaves a sound connection open: the %v is in state %s", role, r.states[role].State)
		case r.received[role] == 0:
			return fmt.Sprintf("sends or takes no application data: the %v got none", role)
		}
	}
	for _, role := range attls.Roles() {
		if err := r.frames.errs[role]; err != nil {
			return fmt.Sprintf("ends a sound exchange of frames: the %v failed: %v", role, err)
		}
	}
	if text := r.unproven(); text != "" {
		return text
	}
	if len(r.post.answered) < r.post.asked || r.s.conn.PostHandshake && r.post.asked == 0 {
		return fmt.Sprintf("has %d answers to %d requests after the handshake", len(r.post.answered), r.post.asked)
	}
	a, b := &r.states[attls.RoleClient], &r.states[attls.RoleServer]
	switch {
	case a.CipherSuite != b.CipherSuite || a.Group != b.Group || a.ALPN != b.ALPN || a.HelloRetry != b.HelloRetry:
		return "claims another suite, group, protocol or HelloRetryRequest than its peer"
	case !bytes.Equal(a.TranscriptHash, b.TranscriptHash):
		return "claims another transcript than its peer"
	case len(a.Attestation) != len(b.Attestation):
		return fmt.Sprintf("claims %d credentials and its peer %d", len(a.Attestation), len(b.Attestation))
	}
	for i := range a.Attestation {
		x, y := &a.Attestation[i], &b.Attestation[i]
		if x.Attester != y.Attester || !bytes.Equal(x.Challenge, y.Challenge) || !bytes.Equal(x.Payload, y.Payload) {
			return fmt.Sprintf("claims another attestation of the %v than its peer", x.Attester)
		}
	}
	if s := r.s.profile; s != nil {
		n := 0
		for _, x := range a.Attestation {
			if x.Verdict == nil && b.Attestation[n].Verdict == nil {
				return fmt.Sprintf("has no verdict on the %v", x.Attester)
			}
			n++
		}
	}
	return ""
}

// invariant is what holds of every end, whatever was sent to it.
func (r *run) invariant(role attls.Role) string {
	a, err := r.agents[role], r.errs[role]
	switch {
	case r.steps >= maxSteps:
		return fmt.Sprintf("did not come to an end within %d steps", maxSteps)
	case a.fatal > 1:
		return fmt.Sprintf("sent %d fatal alerts", a.fatal)
	case a.after > 0:
		return "sent something after a fatal alert"
	case r.early[role]:
		return "handed out application data before the handshake was done"
	case err == nil:
		return ""
	case err.Failure == "" || err.Detail == "" && err.Err == nil:
		return fmt.Sprintf("failed without a failure or a reason: %v", err)
	case role != r.attacker && err.Failure == attls.FailInternal:
		return fmt.Sprintf("failed with an internal error: %v", err)
	case role != r.attacker && err.Class != attls.FromPeer && err.Class != attls.Local && a.fatal == 0 &&
		!r.closes(err.Failure) && r.s.plant == nil:
		return fmt.Sprintf("failed without an alert: %v", err)
	}
	return ""
}

// closes reports whether a profile closes the connection without an alert.
func (r *run) closes(f attls.Failure) bool {
	return r.s.profile != nil && f.Attestation() && r.s.profile.AlertFor(f).Close
}

// laws are what an honest end must not do.
var laws = slices.Concat(authenticationLaws, messageLaws, negotiatedLaws, attestationLaws, senderLaws, postLaws,
	updateLaws, proofLaws)

// deeds are those of an end, but for authentication after the handshake.
func (v *view) deeds(role attls.Role, of func(*deed) bool) *deed {
	for i := range v.r.ledger {
		if d := &v.r.ledger[i]; d.role == role && !d.later && of(d) {
			return d
		}
	}
	return nil
}

var authenticationLaws = []law{
	{"peer-key", "RFC 8446 4.4.3", true, func(v *view) string {
		if v.resumed() || v.role == attls.RoleServer && len(v.state.PeerSPKI) == 0 {
			return ""
		}
		if len(v.state.PeerSPKI) == 0 {
			return "is done and knows no key of its peer"
		}
		if d := v.deeds(v.role.Peer(), func(d *deed) bool {
			return d.signed != nil && bytes.Equal(d.spki, v.state.PeerSPKI)
		}); d == nil {
			return fmt.Sprintf("is done with a peer that did not use the key %x… in this connection", start(v.state.PeerSPKI))
		}
		return ""
	}},
	{"signature", "RFC 8446 4.4.3", true, func(v *view) string {
		cv := v.last(v.got, attls.KindCertificateVerify)
		switch {
		case v.resumed() || v.role == attls.RoleServer && len(v.state.PeerSPKI) == 0:
			return ""
		case cv == nil || len(cv.raw) < 8:
			return "is done and got no CertificateVerify"
		}
		got, scheme := cv.raw[8:], attls.SignatureScheme(uint16(cv.raw[4])<<8|uint16(cv.raw[5]))
		if n := int(cv.raw[6])<<8 | int(cv.raw[7]); n < len(got) {
			return fmt.Sprintf("is done and took %d octets after a signature", len(got)-n)
		}
		if d := v.deeds(v.role.Peer(), func(d *deed) bool {
			if d.signed == nil || !bytes.Equal(d.spki, v.state.PeerSPKI) {
				return false
			}
			raw, err := provider.RawFromDER(d.signed, scheme)
			return bytes.Equal(got, d.signed) || err == nil && bytes.Equal(got, raw)
		}); d == nil {
			return fmt.Sprintf("is done and took the signature %x… that its peer's key did not make in this connection",
				start(got))
		}
		return ""
	}},
	{"finished", "RFC 8446 4.4.4", true, func(v *view) string {
		got := v.last(v.got, attls.KindFinished)
		if got == nil {
			return "is done and got no Finished"
		}
		d := v.deeds(v.role.Peer(), func(d *deed) bool { return d.final != nil })
		usual := slices.ContainsFunc(v.r.s.base.ledger, func(d deed) bool { // of the same transcript, sent earlier
			return d.role == v.role.Peer() && bytes.Equal(d.final, got.raw)
		})
		if d == nil || !bytes.Equal(d.final, got.raw) && !usual {
			return fmt.Sprintf("is done and took a Finished %x… that its peer did not compute", start(got.raw))
		}
		return ""
	}},
	{"transcript", "RFC 8446 4.4.4", true, func(v *view) string {
		// Of several edits, one may undo to the transcript what the other did to the messages.
		if a := v.r.agents[v.role.Peer()]; a.shadowed && len(a.edits) == 1 {
			return "is done although its peer's transcript is another one"
		}
		peer := v.role.Peer()
		if v.r.done[peer] && v.r.exported[peer] != nil && v.r.exported[v.role] != nil &&
			!bytes.Equal(v.r.exported[peer], v.r.exported[v.role]) {
			return "is done, as its peer is, and exports another value"
		}
		return ""
	}},
	{"certificate-trusted", "RFC 8446 4.4.2.4", true, func(v *view) string {
		if d := v.deeds(v.role, func(d *deed) bool { return d.distrust != nil }); d != nil {
			return fmt.Sprintf("is done with a chain that it does not trust: %v", d.distrust)
		}
		return ""
	}},
	{"verdict", "the profile's rule on a refused appraisal", true, func(v *view) string {
		d := v.deeds(v.role, func(d *deed) bool { return d.refused != "" })
		if d == nil || v.p.AlertFor(d.refused).None || v.r.frames.errs[v.role] != nil ||
			v.state.ExtendedKeyUpdate && v.r.errs[v.role] != nil { // refused with an update
			return ""
		}
		if v.p.Rules.Verdict == profile.BeforeNothing && v.state.Attested == nil {
			return ""
		}
		return fmt.Sprintf("is done with a peer whose payload was refused: %s", d.refused)
	}},
	{"evidence", "the profile's binding of Evidence to the connection", true, func(v *view) string {
		if v.p != nil && v.p.InCertificate() {
			return "" // such a certificate is issued, and its Evidence made, out of the harness's sight
		}
		for i := range v.state.Attestation {
			a := &v.state.Attestation[i]
			if a.Attester != v.role.Peer() || a.Verdict == nil {
				continue
			}
			if failure, _ := a.Verdict.Refusal(scenario.DemoEpoch); failure != "" {
				continue
			}
			// The attester may write the same tokens otherwise, but not those of another connection.
			foreign := slices.ContainsFunc(v.r.s.other.ledger, func(d deed) bool { return bytes.Equal(d.payload, a.Payload) })
			made := func(d *deed) bool {
				return d.role == v.role.Peer() && d.payload != nil && bytes.Equal(d.challenge, a.Challenge) &&
					(!foreign || bytes.Equal(d.payload, a.Payload))
			}
			// The connection without edits has the same randomness, and so the same challenge.
			usual := slices.ContainsFunc(v.r.s.base.ledger, func(d deed) bool { return made(&d) })
			if d := v.deeds(v.role.Peer(), made); d == nil && !usual {
				return "has an accepting verdict on a payload that its peer did not make in this connection"
			}
		}
		return ""
	}},
	{"demand", "the policy of the relying party", true, func(v *view) string {
		if v.p == nil || v.resumed() || !v.r.s.plain[v.role].Policy.Demand || v.r.done[v.role] && v.r.errs[v.role] != nil {
			return ""
		}
		if v.state.Attested != nil || v.deeds(v.role, func(d *deed) bool {
			return d.appraised != nil && d.refused == ""
		}) != nil {
			return ""
		}
		return "is done, demands that its peer attests, and has no accepting verdict"
	}},
	{"client-certificate", "RFC 8446 4.4.2.4", true, func(v *view) string {
		if v.role == attls.RoleServer && v.r.s.plain[v.role].ClientAuthentication == handshake.RequireClientCertificate &&
			len(v.state.PeerSPKI) == 0 && !v.resumed() {
			return "is done without the client certificate that it requires"
		}
		return ""
	}},
}

func start(b []byte) []byte { return b[:min(len(b), 8)] }

// harmless reports whether the edits change nothing that matters.
func (in *Input) harmless() bool {
	if in.Connection.HelloRetry || in.Connection.Unwilling || in.Connection.RSA || len(in.Edits) == 0 {
		return false
	}
	for i := range in.Edits {
		e := &in.Edits[i]
		switch {
		case e.Do == "extension-add" && e.Extension == 0xfefe && !e.Shadow && e.At == 0 &&
			(e.Message == "ClientHello" || e.Message == "CertificateRequest" || e.Message == "ClientCertificateRequest"):
		case e.Do == "extension-remove" && e.Extension == attls.ExtSignatureAlgorithms && in.Connection.Resumption &&
			!in.Connection.Forgotten && e.Message == "ClientHello" && !e.Shadow:
		case e.Do == "pad" && e.Number > 2 && e.At < 4096:
		case e.Do == "early" && !e.Shadow && e.At < 4096 && in.Connection.Resumption &&
			!in.Connection.Forgotten && len(in.Edits) == 1:
		case e.Do == "reissue" && reissueOf(e.Answer) != nil && reissueOf(e.Answer).failure == "" && len(in.Edits) == 1:
		default:
			return false
		}
	}
	return true
}

// Laws lists the names of the laws with the texts that they come from.
func Laws() (list [][2]string) {
	list = append(list, [2]string{"completes", "a connection without edits is completed, and both ends agree"},
		[2]string{"tolerates", "RFC 8446 4.2, 5.4: what is unknown in a request, and padding, is ignored"},
		[2]string{"alert", "the alert that a text names for what was refused"},
		[2]string{"invariant", "one alert, nothing after it, an end within bounded steps"},
		[2]string{"panic", "nothing that arrives ends the program"},
		[2]string{lawCrash, "nothing that arrives ends the program of another stack"},
		[2]string{lawDifference, "another stack and attls both go on, or both refuse"},
		[2]string{lawOtherAlert, "another stack and attls refuse with the same alert"})
	for _, l := range slices.Concat(laws, stackLaws) {
		list = append(list, [2]string{l.name, l.source})
	}
	return list
}
