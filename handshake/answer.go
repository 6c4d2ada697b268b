package handshake

import (
	"fmt"

	"attls"
	"attls/internal/rule"
	"attls/negotiation"
)

// Answer answers a wait and goes on. Answering a wait that is not open is an
// error of the caller's and changes nothing.
func (e *Engine) Answer(id WaitID, a Answer) error {
	if e.err != nil {
		return e.err
	}
	w := e.find(id)
	if w == nil {
		return fmt.Errorf("attls: wait %d is not open", id)
	}
	w.answer, w.answered = a, true
	e.work()
	if w.after {
		wait := w.wait // afterAnswer forgets w
		if err := e.afterAnswer(w); err != nil {
			e.fail(err.In(e.concerns(wait)))
		}
		e.run()
		return e.failure()
	}
	if err := e.settle(w); err != nil {
		e.fail(err)
	}
	e.run()
	return e.failure()
}

// Fail refuses a wait or says that its time is over. The error's failure
// becomes the alert; for a profile's failures, the profile's alert.
func (e *Engine) Fail(id WaitID, err *attls.Error) error {
	if e.err != nil {
		return e.err
	}
	w := e.find(id)
	if w == nil {
		return fmt.Errorf("attls: wait %d is not open", id)
	}
	err = ours(err)
	if w.after && w.wait.Kind == WaitTicket {
		return e.Answer(id, Answer{})
	}
	tolerated := w.wait.Kind == WaitAppraisal && e.tolerated(err.Failure)
	if w.update && w.wait.Kind == WaitAppraisal { // the peer is told of it first
		tolerated = true
	}
	if w.gate == gateNever && (!w.after || tolerated) { // it blocks nothing, or its failure passes, so it ends nothing
		return e.Answer(id, Answer{Verdict: &negotiation.Verdict{Failure: err.Failure, Reason: err.Error()}})
	}
	w.answered = true
	// Going on without an answer makes sense for a verdict only.
	if tolerated || w.wait.Kind == WaitCertificateVerdict && !e.obeys(rule.ChainTrusted) {
		w.answer = Answer{}
		e.run()
		return e.failure()
	}
	e.fail(err.In(e.concerns(w.wait)))
	return e.failure()
}

// settle handles the verdicts, whose effect does not depend on the state. Each is
// about whom the peer had shown to be when it was asked for.
func (e *Engine) settle(w *waiting) *attls.Error {
	if w.wait.Kind == WaitCertificateVerdict {
		w.peer.conditional = w.answer.Conditional
	}
	if w.wait.Kind != WaitAppraisal {
		return nil
	}
	if err := e.judged(w); err != nil {
		return err.In(e.concerns(w.wait))
	}
	if w.auth != nil {
		e.drop(w.wait.ID)
	}
	return nil
}

// concerns is the message that a wait is about: the one that its answer goes
// into, or the one that brought what is to be judged.
func (e *Engine) concerns(w *Wait) attls.MessageKind {
	switch w.Kind {
	case WaitNonce:
		return w.Due
	case WaitSignature:
		return attls.KindCertificateVerify
	case WaitEvidence:
		return w.Due
	case WaitAppraisal:
		return w.brought
	}
	return attls.KindCertificate
}
