package handshake

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"time"

	"attls"
	"attls/internal/provider"
	"attls/negotiation"
)

// Answerer answers every wait of an engine out of certificates, a trust policy,
// an Attester and an Appraiser. It is not changed while connections use it and
// may be shared. Its zero value shows no certificate and trusts what the
// system's roots vouch for.
type Answerer struct {
	// Credentials are our certificates in order of preference; see
	// NewCredential. Of those whose key can sign what the peer accepts, the one
	// that fits server_name, signature_algorithms_cert and
	// certificate_authorities best is shown.
	Credentials []*Credential
	// Trust says which chains of the peer are accepted.
	Trust Trust
	// Attester makes our payload. Nil: an Evidence wait fails.
	Attester negotiation.Attester
	// Appraiser judges the peer's payload and may supply nonces. Nil: nonces are
	// random and an Appraisal wait fails.
	Appraiser negotiation.Appraiser
	// ServerSessions and ClientSessions hold what Config.PSK needs. Nil: no key is
	// found, offered or kept.
	ServerSessions *ServerSessions
	ClientSessions *ClientSessions
	// Time is the clock with which the validity of a verdict is compared. Nil:
	// time.Now.
	Time func() time.Time
	// Timeouts bound the time for an answer, by the kind of the wait. A kind
	// without an entry has 30 seconds for Nonce, Evidence and Appraisal and no
	// bound otherwise.
	Timeouts map[WaitKind]time.Duration
	// Sequential makes a Conn's handshake answer its waits one after the other, in
	// the order in which they come up, instead of as soon as each answer is there:
	// the octets that it sends then depend on nothing but what it received and was
	// answered, and a run can be repeated.
	Sequential bool
	// KeyEpoch, when set, is called while a Conn's Read runs, once the keys of an
	// extended key update are in use in both directions.
	KeyEpoch func(epoch uint64)
	// Reattested, when set, is called while a Conn's Read runs, once what is attested with an
	// extended key update is settled at both ends; ConnectionState has the outcomes.
	Reattested func(epoch uint64)
	// Authenticated, when set, is called at a server once a client has answered a request
	// of Conn.RequestAuthentication, with a certificate that was accepted or with none.
	// It may use the Conn.
	Authenticated func()
	// Around, when set, is called for every answer: it may record
	// what next answers, change it, or answer itself. It may be called
	// concurrently.
	Around func(ctx context.Context, w *Wait, next AnswerFunc) (Answer, *attls.Error)
}

// AnswerFunc answers a wait or refuses it.
type AnswerFunc func(ctx context.Context, w *Wait) (Answer, *attls.Error)

const defaultTimeout = 30 * time.Second

// Answer answers a wait. It returns when the context ends even if an Attester,
// Appraiser or Signer does not.
func (a *Answerer) Answer(ctx context.Context, w *Wait) (Answer, *attls.Error) {
	if a.Around == nil {
		return a.bounded(ctx, w)
	}
	answer, err := a.Around(ctx, w, a.bounded)
	if answer.Verdict != nil && answer.Time.IsZero() {
		answer.Time = a.now()
	}
	return answer, err
}

func (a *Answerer) now() time.Time {
	if a.Time != nil {
		return a.Time()
	}
	return time.Now()
}

// bounded answers within the time-out of the wait's kind.
func (a *Answerer) bounded(ctx context.Context, w *Wait) (Answer, *attls.Error) {
	limit := a.timeout(w.Kind)
	if limit == 0 {
		return a.answer(ctx, w)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	type result struct {
		answer Answer
		err    *attls.Error
	}
	done := make(chan result, 1)
	go func() {
		answer, err := a.answer(ctx, w)
		done <- result{answer, err}
	}()
	select {
	case r := <-done:
		return r.answer, r.err
	case <-ctx.Done():
		return Answer{}, unanswered(ctx, w.Kind, ctx.Err())
	}
}

// timeout is the bound for a kind of wait; 0: none.
func (a *Answerer) timeout(k WaitKind) time.Duration {
	if d, ok := a.Timeouts[k]; ok {
		return d
	}
	if k == WaitNonce || k == WaitEvidence || k == WaitAppraisal {
		return defaultTimeout
	}
	return 0
}

// immediate reports whether a wait is answered by computation alone, so that
// asking for it in a goroutine of its own gains nothing.
func (a *Answerer) immediate(w *Wait) bool {
	switch {
	case a.Sequential && w.Blocks != BlocksNothing:
		return true
	case a.Around != nil:
		return false
	case a.timeout(w.Kind) != 0:
		return w.Kind == WaitNonce && a.Appraiser == nil
	case w.Kind == WaitCertificateVerdict:
		return a.Trust.Verify == nil
	case w.Kind == WaitSignature:
		return inProcess(w.Signature.Credential.Signer)
	}
	switch w.Kind {
	case WaitCredential, WaitTicket:
		return true
	case WaitPSK:
		return !a.asksAboutSessions()
	}
	return false
}

// asksAboutSessions reports whether a function of the user's decides on sessions.
func (a *Answerer) asksAboutSessions() bool {
	return a.ServerSessions != nil && (a.ServerSessions.Standing != nil || a.ServerSessions.Accept != nil) ||
		a.ClientSessions != nil && a.ClientSessions.Standing != nil
}

func (a *Answerer) answer(ctx context.Context, w *Wait) (Answer, *attls.Error) {
	switch w.Kind {
	case WaitCredential:
		c, err := a.credential(w.Credential)
		return Answer{Credential: c}, err
	case WaitSignature:
		return a.sign(w.Signature)
	case WaitCertificateVerdict:
		conditional, err := a.Trust.check(ctx, w.Certificate)
		return Answer{Conditional: conditional}, err
	case WaitNonce:
		return a.nonce(ctx, w)
	case WaitPSK, WaitTicket, WaitEarlyData:
		return a.session(w), nil
	case WaitIssuance:
		return a.issue(ctx, w)
	case WaitEvidence:
		return a.attest(ctx, w)
	case WaitAppraisal:
		return a.appraise(ctx, w)
	}
	return Answer{}, attls.Errorf(attls.Local, attls.FailInternal, "no answer to a wait of kind %v", w.Kind)
}

// session answers the waits that sessions are about.
func (a *Answerer) session(w *Wait) Answer {
	offering := w.Kind == WaitPSK && w.PSK.Identities == nil // a client is asked
	switch {
	case offering && a.ClientSessions != nil:
		return Answer{PSKs: a.ClientSessions.Offers(w.PSK)}
	case !offering && a.ServerSessions != nil:
		return a.ServerSessions.answer(w)
	}
	return Answer{}
}

func (a *Answerer) sign(r *SignatureRequest) (Answer, *attls.Error) {
	signature, err := provider.Sign(r.Credential.Signer, r.Scheme, r.Content)
	if err != nil {
		e := attls.Errorf(attls.Local, attls.FailInternal, "signing with %v", r.Scheme)
		e.Err = err
		return Answer{}, e
	}
	return Answer{Signature: signature}, nil
}

func (a *Answerer) nonce(ctx context.Context, w *Wait) (Answer, *attls.Error) {
	if a.Appraiser == nil {
		return Answer{}, nil
	}
	n, err := a.Appraiser.Nonce(ctx, w.Nonce.Default)
	if err != nil {
		return Answer{}, unanswered(ctx, w.Kind, err)
	}
	return Answer{Nonce: n}, nil
}

func (a *Answerer) attest(ctx context.Context, w *Wait) (Answer, *attls.Error) {
	if a.Attester == nil {
		return Answer{}, attls.Errorf(attls.Local, attls.FailAttesterUnavailable, "there is no Attester")
	}
	ev, err := a.Attester.Attest(ctx, w.Evidence)
	if err != nil {
		return Answer{}, unanswered(ctx, w.Kind, err)
	}
	return Answer{Evidence: ev}, nil
}

func (a *Answerer) appraise(ctx context.Context, w *Wait) (Answer, *attls.Error) {
	if a.Appraiser == nil {
		return Answer{}, attls.Errorf(attls.Local, attls.FailVerifierUnreachable, "there is no Appraiser")
	}
	v, err := a.Appraiser.Appraise(ctx, w.Appraisal)
	if err != nil {
		return Answer{}, unanswered(ctx, w.Kind, err)
	}
	return Answer{Verdict: v, Time: a.now()}, nil
}

// credential chooses among our certificates; nil: there is none to show.
func (a *Answerer) credential(r *CredentialRequest) (*Credential, *attls.Error) {
	own := make([]negotiation.Certificates, len(a.Credentials))
	for i, c := range a.Credentials {
		own[i] = negotiation.Certificates{Chain: c.Chain, Schemes: c.Schemes}
	}
	best, refused := negotiation.SelectCertificates(own, &negotiation.Wanted{ServerName: r.ServerName,
		Schemes: r.Schemes, SchemesCert: r.SchemesCert, Authorities: r.Authorities})
	switch {
	case best >= 0:
		return a.Credentials[best], nil
	case r.Role == attls.RoleServer:
		return nil, refused
	}
	return nil, nil
}

// inProcess reports whether a key signs without leaving the process.
func inProcess(s crypto.Signer) bool {
	switch s.(type) {
	case *ecdsa.PrivateKey, *rsa.PrivateKey, ed25519.PrivateKey:
		return true
	}
	return false
}
