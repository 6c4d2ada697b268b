package handshake

import (
	"slices"

	"attls"
	"attls/extensions/profile/binder"
)

// maxRequests bounds the requests that are open at once. A client's request is
// open until the answer is written.
const maxRequests = 16

// postAuthentication is the state of both roles.
type postAuthentication struct {
	requests []authRequest // a client: to be answered, the first is under way; a server: not answered yet
	asked    uint32        // numbers a server's requests
	pending  int           // of these, those that wait for a nonce
	under    *authAnswer   // the answer that is being made or read
	ready    []flight      // to be sent by the Writer
	answers  uint32        // numbers the answers of a client
	shown    uint32        // the last one whose identity State shows
}

// reading reports whether an answer of a client's is read: nothing else may come
// between its messages.
func (p *postAuthentication) reading() bool {
	return p.under != nil && p.under.receiving && !p.under.complete
}

// authRequest is a CertificateRequest.
type authRequest struct {
	context []byte
	raw     []byte       // the whole message
	by      []*attesting // how the client attests in its answer
	nonces  [][]byte     // of each of these, where a CertificateRequest carries it
}

// attest settles how the client attests in its answer.
func (r *authRequest) attest(list []*attesting) { r.by, r.nonces = list, make([][]byte, len(list)) }

// shows says under which schemes of a request the proof in its answer is made.
func (r *authRequest) shows(p *proof) {
	p.later, p.by = true, r.by
	for i, by := range r.by {
		p.of(by.slot).nonce = r.nonces[i]
	}
}

// authAnswer is an answer as it comes into being.
type authAnswer struct {
	request    authRequest
	number     uint32
	transcript transcript
	own        ownCredential // a client's
	messages   [][]byte
	peer       *authenticated // a server's
	at         binder.Point   // a server's: the last message of TLS that came
	complete   bool           // Finished was checked
	verdicts   int            // that EventAuthenticated waits for, or nonces that the request does
	filled     binder.Point   // a client's: whose payloads were asked for
	evidence   int            // of these, how many are due
	issued     bool           // a client's: the certificate that holds the payload was made
	added      int            // a server's: how many messages were added behind at
	receiving  bool           // a server's: it began to arrive
}

// passed puts a message of TLS of the client's into the transcript of a server.
func (a *authAnswer) passed(at binder.Point, raw []byte) {
	a.transcript.add(at, raw)
	a.at, a.added = at, 0
}

// adds puts a message into a client's answer and its transcript, as the tap leaves it.
func (e *Engine) adds(a *authAnswer, at binder.Point, raw []byte) *attls.Error {
	if e.tap() == nil {
		a.messages = append(a.messages, raw)
		a.transcript.add(at, raw)
		return nil
	}
	list, original, err := tapped(e.tap(), e.cfg, raw)
	if err != nil {
		return err
	}
	a.messages = append(a.messages, list...)
	if !original {
		raw = slices.Concat(list...)
	}
	a.transcript.add(at, raw)
	return nil
}
