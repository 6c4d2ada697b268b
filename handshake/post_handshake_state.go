package handshake

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
	raw     []byte     // the whole message
	by      *attesting // how the client attests in its answer
	nonce   []byte     // for that attestation, where a CertificateRequest carries it
}

// shows says under which scheme of a request the proof in its answer is made.
func (r *authRequest) shows(p *proof) {
	p.later, p.by, p.nonce = true, r.by, r.nonce
}

// authAnswer is an answer as it comes into being.
type authAnswer struct {
	request    authRequest
	number     uint32
	transcript transcript
	own        ownCredential // a client's
	messages   [][]byte
	peer       *authenticated // a server's
	verified   bool           // CertificateVerify was checked
	complete   bool           // Finished was checked
	verdicts   int            // that EventAuthenticated waits for
	receiving  bool           // a server's: it began to arrive
}

func (a *authAnswer) add(raw []byte) {
	a.messages = append(a.messages, raw)
	a.transcript.hash.Write(raw)
}
