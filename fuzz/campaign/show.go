package campaign

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"attls"
	"attls/conformance/capture"
	"attls/conformance/trace"
	"attls/handshake"
	"attls/internal/provider"
)

// Replayed is an input that was run once more, to be looked at.
type Replayed struct {
	Input      *Input
	Violations []Violation
	Ladder     []trace.Step
	Errors     [2]*attls.Error // by role
	Done       [2]bool
	// Real are the violations under the real cryptography.
	Real []Violation
}

// Replay runs an input with symbolic and with real cryptography. A plant may be nil. If w
// is not nil, the connection with real cryptography is written there as a pcapng file, with
// the secrets that open it.
func Replay(in *Input, plant *Plant, w io.Writer) (*Replayed, error) {
	s, err := in.subject(plant, false)
	if err != nil {
		return nil, err
	}
	r, err := s.shown(in, nil)
	if err != nil {
		return nil, err
	}
	out := &Replayed{Input: in, Violations: in.violations(r), Errors: r.errs, Done: r.done,
		Ladder: trace.Ladder(r.traces[attls.RoleClient], r.traces[attls.RoleServer])}
	if len(in.Edits) == 0 {
		out.Violations = r.Sound()
	}
	real, err := in.subject(plant, true)
	if err != nil {
		return nil, err
	}
	rr, err := real.shown(in, w)
	if err != nil {
		return nil, err
	}
	if out.Real = in.violations(rr); len(in.Edits) == 0 {
		out.Real = rr.Sound()
	}
	return out, nil
}

// subject is the connection of an input.
func (in *Input) subject(plant *Plant, real bool) (*subject, error) {
	t, err := in.target()
	if err != nil {
		return nil, err
	}
	w, err := newWorld()
	if err != nil {
		return nil, err
	}
	w.real = real
	return newSubject(w, in.Profile, t.Profile, in.Connection, plant)
}

// shown runs an input from its beginning, with traces, and writes it to a file if one is given.
func (s *subject) shown(in *Input, w io.Writer) (r *run, err error) {
	r = s.newRun(in.role(), in.Edits)
	for _, role := range attls.Roles() {
		r.traces[role] = trace.New(role, s.profile)
		r.traces[role].KeepSecrets = true
	}
	defer func() {
		if x := recover(); x != nil {
			err = &PanicError{x}
		}
	}()
	if w == nil {
		p, err := s.fresh(r, [2]handshake.Random{})
		if err != nil {
			return nil, err
		}
		r.drive(p)
		return r, nil
	}
	r.carrier = &carrier{}
	p, err := s.fresh(r, [2]handshake.Random{})
	if err != nil {
		return nil, err
	}
	r.pair = p
	file, err := capture.NewWriter(w, func() time.Time { return time.Unix(1577836800, 0) })
	if err != nil {
		return nil, err
	}
	file.Hold = true
	c := r.carrier
	c.run, c.conn = r, file.Conn(&c.wire, attls.RoleClient)
	c.drain(r.noteStep)
	r.finish(p)
	c.conclude()
	random := r.states[attls.RoleClient].ClientRandom
	for _, x := range r.traces[attls.RoleClient].Secrets() {
		if bytes.Contains([]byte(x.Name), []byte("_SECRET")) {
			_, _ = fmt.Fprintf(file.KeyLog(), "%s %s %s\n", x.Name, hex.EncodeToString(random), x.Value)
		}
	}
	return r, errors.Join(c.conn.Close(), file.Flush())
}

// wire is the network under a capture of a connection in memory.
type wire struct {
	net.Conn
	in []byte
}

func (w *wire) Read(b []byte) (int, error)  { return copy(b, w.in), nil }
func (w *wire) Write(b []byte) (int, error) { return len(b), nil }
func (w *wire) Close() error                { return nil }
func (w *wire) LocalAddr() net.Addr         { return nil }
func (w *wire) RemoteAddr() net.Addr        { return nil }

// Minimize makes an input as small as it can while it breaks its law, or any law if the
// input names none.
func Minimize(in *Input, plant *Plant) (*Input, error) {
	s, err := in.subject(plant, false)
	if err != nil {
		return nil, err
	}
	r, err := s.run(in)
	if err != nil {
		return nil, err
	}
	return s.minimizeAs(in, in.violations(r))
}

// provider is the cryptography of a world.
func (w *world) provider() provider.Provider {
	if w.real {
		return provider.Real()
	}
	return provider.Symbolic()
}

// signed is the signature of a key.
func (w *world) signed(a *handshake.Answerer, x *handshake.Wait, own bool) ([]byte, *attls.Error) {
	request := *x.Signature
	if !own {
		c := *request.Credential
		c.Signer = w.unknown.Signer
		request.Credential = &c
	}
	if !w.real {
		return w.sign(request.Credential.Signer, &request), nil
	}
	asked := &handshake.Wait{ID: x.ID, Kind: handshake.WaitSignature, Signature: &request}
	answer, err := a.Answer(context.Background(), asked)
	return answer.Signature, err
}
