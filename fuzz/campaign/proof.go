package campaign

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"attls"
	"attls/attestation"
	"attls/conformance/pair"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/authenticator"
	"attls/handshake/exported"
	"attls/internal/provider"
	"attls/internal/rule"
	"attls/negotiation"
)

// Exported authenticators (RFC 9261) behind a handshake, in the order in which the ends ask: the
// client first. What an end sends there is shown to its tap as in the handshake, so that edits
// name the messages in the same way.

// proof is one request with its answer.
type proof struct {
	relying attls.Role
	request []byte // as it was sent; nil: none was made
	answer  []byte // likewise
	// What the run had before and after it in log and ledger. The answer begins at asked.
	log, asked, end int
	deeds, deedsEnd int
	taken           bool                    // by the relying party
	opened          *authenticator.Identity // whom it saw then; nil: nobody
	outcome         *exported.Outcome       // what it has appraised; nil: nothing
	changed         string                  // the attacker sent something else; "": not
}

// proofs are those of a connection.
type proofs struct {
	list []proof
	errs [2]*attls.Error // of the end that went no further
	// began says that the ends are past everything else.
	began bool
	// next is the request that is under way, and at says how far it is.
	next proof
	at   progress
}

// progress says how far a request is.
type progress uint8

const (
	proofDue      progress = iota // nothing was sent
	proofAsked                    // the request is made
	proofAnswered                 // the answer is made
)

// clone is the same to go on from.
func (p *proofs) clone() proofs {
	c := *p
	c.list = slices.Clone(p.list)
	return c
}

// past reports whether an exchange is past what an edit of an authenticator of an end changes.
func (p *proofs) past(e *Edit, attacker attls.Role) bool {
	if n := len(p.list); n != e.Number {
		return n > e.Number
	}
	return p.at == proofAnswered && (p.next.relying == attacker || e.makes())
}

// makes reports whether an edit takes the place of making an authenticator.
func (e *Edit) makes() bool { return e.Answer == proofEmpty || e.Answer == proofSpontaneous }

// What an edit of an authenticator sends in its place, in Edit.Answer.
const (
	proofElsewhere   = "another connection's"
	proofBefore      = "the one before"
	proofOther       = "the other end's"
	proofEmpty       = "empty"
	proofSpontaneous = "unasked"
	proofTwice       = "twice"
	proofNothing     = "nothing"
	proofRole        = "the other role's"
)

var proofKinds = []string{proofElsewhere, proofBefore, proofOther, proofEmpty, proofSpontaneous, proofTwice,
	proofNothing, proofRole}

// prover is one end of an exchange.
type prover struct {
	role    attls.Role
	over    *authenticator.Connection
	session *exported.Session // under a profile
	relies  bool
}

// proves reports whether the ends of a connection ask each other after the handshake.
func (s *subject) proves() bool {
	if s.conn.Authenticators {
		return true
	}
	return s.profile != nil && len(s.profile.Frames) == 0 && s.exported != [2]*exported.Config{}
}

// prove lets the ends ask each other, once the handshake is done.
func (r *run) prove(p *pair.Pair) {
	s := r.s
	if !s.proves() || !r.done[0] || !r.done[1] || r.errs[0] != nil || r.errs[1] != nil {
		return
	}
	var ends [2]*prover
	for _, role := range attls.Roles() {
		if ends[role] = r.prover(p, role); ends[role] == nil {
			return
		}
	}
	r.proofs.began = true
	order := relyingOrder(ends, s.conn.Again)
	for len(r.proofs.list) < len(order) {
		relying := order[len(r.proofs.list)]
		failed, err := r.request(ends[relying], ends[relying.Peer()])
		x := &r.proofs.next
		x.end, x.deedsEnd = len(r.log), len(r.ledger)
		r.proofs.list = append(r.proofs.list, *x)
		r.proofs.at = proofDue
		if err != nil {
			r.proofs.errs[failed] = attls.Errorf(attls.Local, attls.FailInternal, "%v", err)
			_ = errors.As(err, &r.proofs.errs[failed])
			return
		}
	}
}

// relyingOrder is who asks, in order: each end that relies on the other, once or twice.
func relyingOrder(ends [2]*prover, again bool) (order []attls.Role) {
	for _, role := range attls.Roles() {
		if ends[role].relies {
			order = append(order, role)
		}
	}
	if again {
		order = append(order, order...)
	}
	return order
}

// prover makes an end of an exchange; nil: it cannot be made.
func (r *run) prover(p *pair.Pair, role attls.Role) *prover {
	over, err := p.Engine(role).Authenticators()
	if err != nil {
		return nil
	}
	x := &prover{role: role, over: over, relies: r.s.profile == nil}
	if r.s.profile == nil {
		return x
	}
	c := exported.Config{}
	if r.s.exported[role] != nil {
		c = *r.s.exported[role]
	}
	c.Profile = r.s.configs[role].Profile
	c.Optional = r.s.conn.Undemanding
	c.Frame = r.frameOf(role)
	x.relies = len(c.Accept) > 0
	x.session, err = exported.NewSession(&c, over, p.Engine(role).Inputs(),
		func(_ context.Context, w *handshake.Wait) (handshake.Answer, *attls.Error) { return r.answer(role, w) })
	if err != nil {
		return nil
	}
	return x
}

// request goes on with one request and its answer from where it is; failed is the end that goes no
// further.
func (r *run) request(mine, theirs *prover) (failed attls.Role, err error) {
	x := &r.proofs.next
	if r.proofs.at == proofDue {
		*x = proof{relying: mine.role, log: len(r.log), deeds: len(r.ledger)}
		r.mark()
		if x.request, err = mine.ask(); err != nil {
			return mine.role, err
		}
		r.proofs.at = proofAsked
		r.mark()
	}
	if r.proofs.at == proofAsked {
		if mine.role == r.attacker {
			x.request, x.changed = r.instead(x, mine, x.request)
		}
		r.carries(mine.role, exported.ContentRequest, x.request)
		x.asked = len(r.log)
		if theirs.role == r.attacker {
			if x.answer, x.changed = r.instead(x, theirs, nil); x.changed == "" {
				x.answer, _ = theirs.reply(r, x.request)
			}
		} else if x.answer, err = theirs.reply(r, x.request); err != nil {
			return theirs.role, err
		}
		r.proofs.at = proofAnswered
		r.mark()
	}
	if theirs.role == r.attacker && x.changed == "" {
		x.answer, x.changed = r.instead(x, theirs, x.answer)
	}
	r.carries(theirs.role, exported.ContentAnswer, x.answer)
	x.opened, x.outcome, err = mine.take(r, x.answer)
	if x.taken = err == nil; !x.taken {
		x.opened, x.outcome = nil, nil
	}
	return mine.role, err
}

// wantedSchemes are what ends without a profile accept of each other.
var wantedSchemes = []attls.SignatureScheme{attls.ECDSA_SECP256R1_SHA256, attls.ED25519}

// ask makes a request.
func (x *prover) ask() ([]byte, error) {
	if x.session != nil {
		return x.session.Request(nothing)
	}
	q := &authenticator.Request{Wanted: negotiation.Wanted{Schemes: wantedSchemes}, OCSP: true}
	if x.role == attls.RoleClient {
		q.Wanted.ServerName = "localhost"
	}
	return x.over.Request(q)
}

// reply answers a request.
func (x *prover) reply(r *run, request []byte) ([]byte, error) {
	if x.session != nil {
		octets, _, err := x.session.Answer(nothing, request)
		return octets, err
	}
	got, err := x.over.Receive(request)
	if err != nil {
		return nil, err
	}
	a, failed := r.answer(x.role, &handshake.Wait{Kind: handshake.WaitCredential, Due: attls.KindCertificate,
		Credential: &handshake.CredentialRequest{Role: x.role, Type: attls.CertificateX509,
			ServerName: got.Wanted.ServerName, Schemes: got.Wanted.Schemes, SchemesCert: got.Wanted.SchemesCert,
			Authorities: got.Wanted.Authorities}})
	if failed != nil {
		return nil, failed
	}
	if a.Credential == nil || len(a.Credential.Chain) == 0 {
		return x.over.Refuse(got)
	}
	d, err := x.over.Start(got, a.Credential.Shown())
	if err != nil {
		return nil, err
	}
	return x.sign(r, d, a.Credential)
}

// sign finishes an authenticator.
func (x *prover) sign(r *run, d *authenticator.Draft, c *handshake.Credential) ([]byte, error) {
	a, failed := r.answer(x.role, &handshake.Wait{Kind: handshake.WaitSignature, Due: attls.KindCertificateVerify,
		Signature: &handshake.SignatureRequest{Role: x.role, Scheme: d.Scheme, Content: d.Content, Credential: c}})
	if failed != nil {
		return nil, failed
	}
	return d.Finish(a.Signature)
}

// take checks an answer.
func (x *prover) take(r *run, answer []byte) (*authenticator.Identity, *exported.Outcome, error) {
	if x.session != nil {
		out, err := x.session.Appraise(nothing, answer)
		if err != nil || out == nil {
			return nil, nil, err
		}
		return out.Identity, out, nil
	}
	id, err := x.over.Open(answer)
	if err != nil {
		return nil, nil, err
	}
	if len(id.Chain) == 0 {
		return id, nil, nil
	}
	name := ""
	if x.role == attls.RoleClient {
		name = "localhost"
	}
	_, failed := r.answer(x.role, &handshake.Wait{Kind: handshake.WaitCertificateVerdict,
		Certificate: &handshake.CertificateVerdictRequest{Peer: id.Role, Type: attls.CertificateX509, Chain: id.Chain,
			OCSP: id.OCSP, SCT: id.SCT, ServerName: name}})
	if failed != nil {
		return nil, nil, failed
	}
	return id, nil, nil
}

// instead is what the attacker sends in the place of a request or an authenticator, where an edit
// says so by the number of the request; changed says what, where it is something else. Without
// octets, it is what takes the place of making an authenticator.
func (r *run) instead(x *proof, own *prover, octets []byte) (sent []byte, changed string) {
	for i := range r.agents[r.attacker].edits {
		e := &r.agents[r.attacker].edits[i]
		if e.Do != "authenticator" || e.Number != len(r.proofs.list) || e.makes() != (octets == nil) {
			continue
		}
		if other := r.otherProof(e.Answer, x, own, octets); other != nil && !bytes.Equal(other, octets) {
			return other, e.Answer
		}
	}
	return octets, ""
}

// of are the octets that an end has sent.
func (x *proof) of(role attls.Role) []byte {
	if role == x.relying {
		return x.request
	}
	return x.answer
}

// otherProof makes what is sent in the place of octets; nil: there is nothing of the kind.
func (r *run) otherProof(kind string, x *proof, own *prover, octets []byte) []byte {
	n := len(r.proofs.list)
	switch kind {
	case proofElsewhere:
		if o := r.s.other; o != nil && n < len(o.proofs.list) {
			return o.proofs.list[n].of(own.role)
		}
	case proofBefore:
		for i := n - 1; i >= 0; i-- {
			if before := &r.proofs.list[i]; before.relying == x.relying {
				return before.of(own.role)
			}
		}
	case proofOther:
		if x.relying != own.role && n > 0 {
			return r.proofs.list[n-1].of(own.role.Peer())
		}
		return x.request
	case proofEmpty:
		if got, err := own.over.Receive(x.request); err == nil {
			octets, _ := own.over.Refuse(got)
			return octets
		}
	case proofSpontaneous:
		return r.unasked(own)
	case proofTwice:
		return slices.Concat(octets, octets)
	case proofNothing:
		return []byte{}
	case proofRole: // a request as the other role makes it
		if len(octets) > 0 && x.relying == own.role {
			octets = slices.Clone(octets)
			octets[0] ^= byte(attls.TypeCertificateRequest ^ attls.TypeClientCertificateRequest)
			return octets
		}
	}
	return nil
}

// unasked is an authenticator that answers no request; nil: there is none.
func (r *run) unasked(own *prover) []byte {
	list := r.s.answerers[own.role].Credentials
	if len(list) == 0 {
		return nil
	}
	over := own.over
	if own.role == attls.RoleClient { // which must not: its authenticators do not obey
		suite, ok := r.s.w.provider().Suite(r.states[own.role].CipherSuite)
		if !ok {
			return nil
		}
		c := &authenticator.Config{Role: own.role, Version: attls.VersionTLS13, HandshakeComplete: true, Hash: suite.Hash,
			Export: r.pair.Engine(own.role).Export, ClientHello: &authenticator.ClientHello{Schemes: wantedSchemes},
			Random: func(n uint32, dst []byte) {
				newQuick("unasked").Fill(handshake.UseRequestContext, n, dst)
			}}
		provider.Select(c, r.s.w.provider())
		liar, err := authenticator.New(rule.Without(c, rule.AuthenticatorAsked))
		if err != nil {
			return nil
		}
		over = liar
	}
	d, err := over.StartSpontaneous(nil, list[0].Shown())
	if err != nil {
		return nil
	}
	octets, _ := own.sign(r, d, list[0])
	return octets
}

// laterAnswers are the lies of an attacker after the handshake.
func (m *mutator) laterAnswers(s *subject, role attls.Role) (list []Edit) {
	for n := range s.base.proofs.list {
		for _, what := range proofKinds {
			list = append(list, Edit{Do: "authenticator", Number: n, Answer: what})
		}
	}
	if len(s.base.proofs.list) == 0 && s.base.post.asked == 0 {
		return nil
	}
	list = append(list, Edit{Do: "signature", Later: true})
	for _, answer := range credentialAnswers() {
		list = append(list, Edit{Do: "credential", Answer: answer, Later: true})
	}
	for _, x := range signatureSchemes {
		list = append(list, Edit{Do: "scheme", At: int(x), Later: true})
	}
	if s.answerers[role].Attester == nil {
		return list
	}
	for _, x := range attestation.Spoilages {
		list = append(list, Edit{Do: "evidence", Answer: x.Kind, Later: true})
	}
	return append(list, Edit{Do: "verdict", Later: true}, Edit{Do: "verdict", At: 31, Later: true})
}

// lateFrom is the first of the messages of an end that follows the handshake.
func (s *subject) lateFrom(role attls.Role, list []sample) int {
	if s.base.post.asked == 0 && len(s.base.proofs.list) == 0 {
		return len(list)
	}
	at := slices.IndexFunc(list, func(x sample) bool { return x.kind == attls.KindFinished })
	return at + 1
}

// proofEdit makes an edit of what is sent in the place of an authenticator.
func (m *mutator) proofEdit(e *Edit, s *subject) bool {
	n := len(s.base.proofs.list)
	if n == 0 {
		return false
	}
	*e = Edit{Do: "authenticator", Number: m.r.IntN(n), Answer: pick(m.r, proofKinds)}
	return true
}

// unproven says why authenticators without edits did not end well; "": they did.
func (r *run) unproven() string {
	for _, role := range attls.Roles() {
		if err := r.proofs.errs[role]; err != nil {
			return "ends a sound exchange of authenticators: the " + role.String() + " failed: " + err.Error()
		}
	}
	if r.s.proves() && len(r.proofs.list) == 0 && r.s.asks() {
		return "asks for no authenticator"
	}
	for i := range r.proofs.list {
		if x := &r.proofs.list[i]; !x.taken {
			return "takes no authenticator of the " + x.relying.Peer().String()
		}
	}
	return ""
}

// asks reports whether some end asks in the connection.
func (s *subject) asks() bool {
	for _, c := range s.exported {
		if c != nil && len(c.Accept) > 0 {
			return true
		}
	}
	return s.profile == nil
}

// laterSlot is the slot of an attester in authenticators; nil: there is none.
func (s *subject) laterSlot(attester attls.Role) *profile.LaterSlot {
	if s.profile == nil {
		return nil
	}
	if i := s.profile.LaterSlot(attester); i >= 0 {
		return &s.profile.Later[i]
	}
	return nil
}

// proofPlants are bugs of exported authenticators: rules of RFC 9261 that an end does not enforce.
func proofPlants() (list []Plant) {
	for _, x := range []struct {
		rule   rule.Rule
		role   attls.Role
		hidden string
	}{
		{rule.AuthenticatorContext, attls.RoleClient, ""},
		{rule.AuthenticatorDirection, attls.RoleClient, ""},
		{rule.AuthenticatorName, attls.RoleClient, ""},
		{rule.AuthenticatorAsked, attls.RoleServer, ""},
		{rule.AuthenticatorMessages, attls.RoleServer, ""},
		{rule.AuthenticatorEmpty, attls.RoleClient, ""},
		{rule.AuthenticatorOnce, attls.RoleClient, "an application answers a request once or twice by itself"},
	} {
		list = append(list, Plant{Name: string(x.rule), Role: x.role, Hidden: x.hidden, after: true, rule: x.rule,
			Text: "the rule " + string(x.rule) + " is not enforced"})
	}
	return list
}
