package exported

import (
	"context"
	"errors"
	"slices"

	"attls"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/authenticator"
	"attls/internal/provider"
	"attls/internal/rule"
	"attls/negotiation"
)

// Exchange is the exchange of frames in which the ends of a connection attest, where slots of
// the profile have the phase application_frame. It makes and takes the frames, without what is
// in front of them, and carries nothing. It is not used concurrently.
type Exchange struct {
	s        *Session
	at       int // of the next frame in Profile.Frames
	attests  [2]bool
	nonces   [2][]byte // by the attester
	payload  []byte    // of the peer, until it is appraised
	arrived  bool
	judged   bool
	refused  error // the peer, by this end
	told     bool  // and the peer knows, so that nothing else is sent
	ended    error // nothing else follows
	outcomes []Outcome
}

// Exchange begins the frames of a connection. Each end sends and takes them in the order of the
// profile.
func (s *Session) Exchange() *Exchange {
	x := &Exchange{s: s}
	own := s.over.Role()
	x.attests[own], x.attests[own.Peer()] = len(s.cfg.Produce) > 0, len(s.cfg.Accept) > 0
	return x
}

// Fork returns a copy that goes its own way, over a session; nil: over that of the exchange. The
// session has to be of the same end and profile.
func (x *Exchange) Fork(s *Session) *Exchange {
	f := *x
	if s != nil {
		f.s = s
	}
	f.outcomes = slices.Clone(x.outcomes)
	return &f
}

// Next is the frame that comes next, and whether this end sends it; nil: the exchange is over,
// and Finish says how.
func (x *Exchange) Next() (f *profile.Frame, own bool) {
	frames := x.s.p.Frames
	for x.ended == nil && !x.told && x.at < len(frames) {
		f = &frames[x.at]
		own = f.From == x.s.over.Role()
		switch in := f.In(x.attests); {
		case in && x.refused == nil, in && own && x.s.p.Reports(f.Object):
			return f, own
		case in && own: // it cannot say so, and the peer would take a later one for it
			x.at = len(frames)
			return nil, false
		}
		x.at++
	}
	return nil, false
}

// Outcomes are what was attested so far.
func (x *Exchange) Outcomes() []Outcome { return x.outcomes }

// Make makes the frame that comes next, which this end sends.
func (x *Exchange) Make(ctx context.Context) ([]byte, error) {
	f := &x.s.p.Frames[x.at]
	if x.lastReport() {
		x.judge(ctx)
	}
	octets, err := x.make(ctx, x.at)
	if err != nil && x.refused == nil { // our Attester has none, for example: the peer is told where a frame can
		x.refused = err
		if x.s.p.Reports(f.Object) {
			octets, err = x.make(ctx, x.at)
		}
	}
	if err != nil {
		if x.refused != nil {
			err = x.refused
		}
		x.ended = err
		return nil, err
	}
	x.at++
	x.told = x.refused != nil
	if x.s.cfg.Frame != nil {
		octets = x.s.cfg.Frame(f.Name, octets)
	}
	return octets, nil
}

// lastReport reports whether the next frame is the last of this end that tells the peer of a
// verdict or a failure.
func (x *Exchange) lastReport() bool {
	frames := x.s.p.Frames
	for i := len(frames) - 1; i >= x.at; i-- {
		if f := &frames[i]; f.From == x.s.over.Role() && f.In(x.attests) && x.s.p.Reports(f.Object) {
			return i == x.at
		}
	}
	return false
}

func (x *Exchange) make(ctx context.Context, frame int) ([]byte, error) {
	own, f := x.s.over.Role(), &x.s.p.Frames[frame]
	c := x.content(frame)
	if x.refused != nil {
		c.Reason = reasonOf(x.refused)
	}
	c.Octets = func(m *profile.ObjectField) ([]byte, error) {
		switch m.Means {
		case profile.MeansPayload:
			slot := x.s.p.LaterSlot(own)
			if slot < 0 || x.s.p.Later[slot].Frame != frame || !x.attests[own] || x.refused != nil ||
				!rule.Obeys(x.s.p, rule.CredentialSent) {
				return nil, nil
			}
			return x.attest(ctx, slot)
		case profile.MeansNonce:
			slot := x.s.p.LaterSlot(own.Peer())
			if slot < 0 || !x.attests[own.Peer()] && m.Optional {
				return nil, nil
			}
			n, err := x.nonce(ctx, slot)
			x.nonces[own.Peer()] = n
			return n, err
		}
		return x.defined(frame, m.Defined)
	}
	return x.s.p.EncodeObject(f.Object, c)
}

// content is what both ends know of a frame.
func (x *Exchange) content(frame int) *profile.ObjectContent {
	return &profile.ObjectContent{Attesters: x.attests, Octets: func(m *profile.ObjectField) ([]byte, error) {
		return x.defined(frame, m.Defined)
	}}
}

// reasonOf is what the peer is told of a failure: no more than what failed.
func reasonOf(err error) string {
	var named *attls.Error
	if errors.As(err, &named) {
		return string(named.Failure)
	}
	return string(attls.FailInternal)
}

// defined is the value of a definition in a frame.
func (x *Exchange) defined(frame int, name string) ([]byte, error) {
	attester := x.s.p.AboutAttester(frame)
	return x.s.valueOf(x.inputs(attester), attester)(name)
}

func (x *Exchange) inputs(attester attls.Role) *inputs {
	in := &inputs{Inputs: x.s.in, cfg: x.s.cfg, own: x.s.over.Role(), attester: attester, context: x.nonces[attester],
		frames: true}
	in.spki, _ = x.s.in.SPKI(attester)
	in.der, _ = x.s.in.Certificate(attester)
	return in
}

// nonce is one for the peer: of the Verifier, or random.
func (x *Exchange) nonce(ctx context.Context, slot int) ([]byte, error) {
	l := &x.s.p.Later[slot]
	size := min(max(defaultNonce, l.NonceMin), l.NonceMax)
	a, err := x.s.wait(ctx, &handshake.Wait{Kind: handshake.WaitNonce, Nonce: &handshake.NonceRequest{Attester: l.Attester,
		Slot: l.Name, Min: l.NonceMin, Max: l.NonceMax, Default: size}})
	switch n := len(a.Nonce); {
	case err != nil:
		return nil, err
	case n == 0:
		return x.s.over.DrawContext(size), nil
	case n < l.NonceMin || n > l.NonceMax:
		return nil, attls.Errorf(attls.Local, attls.FailNonceSize, "the Verifier gave a nonce of %d octets; %s takes %d "+
			"to %d", n,
			l.Name, l.NonceMin, l.NonceMax).By(x.s.p.ID)
	}
	return a.Nonce, nil
}

const defaultNonce = 32

// attest asks the Attester for the payload of this end.
func (x *Exchange) attest(ctx context.Context, slot int) ([]byte, error) {
	own := x.s.over.Role()
	out, err := x.s.evidence(ctx, slot, x.inputs(own))
	if err != nil {
		return nil, err
	}
	x.outcomes = append(x.outcomes, *out)
	return out.Payload, nil
}

// Take takes the frame that comes next, which the peer has sent. A failure of this end may
// still have to be reported: Next says so.
func (x *Exchange) Take(ctx context.Context, octets []byte) error {
	frame, f := x.at, &x.s.p.Frames[x.at]
	x.at++
	r, err := x.s.p.DecodeObject(f.Object, octets, x.content(frame))
	if err == nil {
		err = x.took(ctx, frame, r)
	}
	if err == nil {
		return nil
	}
	var named *attls.Error
	if !errors.As(err, &named) {
		named = attls.Errorf(attls.Local, attls.FailInternal, "%v", err)
	}
	named = named.Under(f.Name)
	if named.Class == attls.FromPeer {
		x.ended = named
		return named
	}
	if x.refused == nil {
		x.refused = named
	}
	return named
}

func (x *Exchange) took(ctx context.Context, frame int, r *profile.ReadObject) error {
	own := x.s.over.Role()
	if r.Refused && rule.Obeys(x.s.p, rule.RefusalTaken) {
		why := r.Reason
		if why == "" {
			why = "no reason is given"
		}
		return attls.Errorf(attls.FromPeer, attls.FailPeerRefused, "the %v reports a failure: %s", own.Peer(), why)
	}
	if r.Nonce != nil {
		x.nonces[own] = r.Nonce
	}
	slot := x.s.p.LaterSlot(own.Peer())
	if slot < 0 || x.s.p.Later[slot].Frame != frame {
		return nil
	}
	x.payload, x.arrived = r.Payload, true
	if !x.s.p.Exchange.AtReport {
		x.judge(ctx)
		return x.refused
	}
	return nil
}

// judge has the peer's payload appraised, once.
func (x *Exchange) judge(ctx context.Context) {
	own := x.s.over.Role()
	slot := x.s.p.LaterSlot(own.Peer())
	if x.judged || x.refused != nil || !x.arrived || !x.attests[own.Peer()] || slot < 0 {
		return
	}
	x.judged = true
	if len(x.payload) == 0 {
		if !x.s.cfg.Optional && !x.s.tolerates(attls.FailMissing) {
			x.refused = attls.Errorf(attls.Refused, attls.FailMissing, "the %v shows no payload", own.Peer()).
				Under(x.s.p.Later[slot].Path).By(x.s.p.ID)
		}
		return
	}
	in := x.inputs(own.Peer())
	id := &authenticator.Identity{Role: own.Peer(), SPKI: in.spki, Context: x.nonces[own.Peer()]}
	out, err := x.s.judgeWith(ctx, slot, id, in, x.payload)
	if out != nil {
		x.outcomes = append(x.outcomes, *out)
	}
	if err != nil {
		x.refused = err
	}
}

// Finish says how an exchange has ended, after Next has nothing more.
func (x *Exchange) Finish(ctx context.Context) error {
	if x.ended != nil {
		return x.ended
	}
	x.judge(ctx)
	own := x.s.over.Role()
	if x.refused == nil && x.attests[own.Peer()] && !x.judged && !x.s.cfg.Optional {
		x.refused = attls.Errorf(attls.Refused, attls.FailMissing, "the %v was not appraised", own.Peer()).By(x.s.p.ID)
	}
	return x.refused
}

// evidence asks for the payload of this end in a slot.
func (s *Session) evidence(ctx context.Context, slot int, in *inputs) (*Outcome, error) {
	own, l := s.over.Role(), &s.p.Later[slot]
	scheme := s.cfg.Produce[0]
	challenge, claims, bound, err := s.bind(in, scheme.Model)
	if err != nil {
		return nil, err
	}
	given := challenge
	if !rule.Obeys(s.p, rule.EvidenceBound) {
		given, claims = nil, nil
	}
	a, failure := s.wait(ctx, &handshake.Wait{Kind: handshake.WaitEvidence, Due: attls.KindCertificate,
		Evidence: &negotiation.EvidenceRequest{Profile: s.p.ID, Attester: own, Slot: l.Name, Scheme: scheme,
			Challenge: given, Fit: s.p.Binder.Fit, Claims: claims, SPKI: in.spki, KeyBound: bound}})
	switch {
	case failure != nil:
		return nil, failure
	case a.Evidence == nil || len(a.Evidence.CMW) == 0:
		return nil, attls.Errorf(attls.Local, attls.FailAttesterUnavailable, "the Attester gave no payload")
	case len(a.Evidence.CMW) > l.MaxPayload:
		return nil, attls.Errorf(attls.Local, attls.FailTooLarge, "the payload has %d octets; %s has room for %d",
			len(a.Evidence.CMW), l.Path, l.MaxPayload).By(s.p.ID)
	}
	out := &Outcome{AttestationState: handshake.AttestationState{Attester: own, Slot: l.Name, Scheme: scheme,
		Challenge: challenge, Payload: a.Evidence.CMW}}
	out.in(l, in)
	return out, nil
}

// leafKey is the key of a certificate that is ours.
func leafKey(c *handshake.Credential) ([]byte, error) {
	spki, cause := provider.SPKIFromCertificate(c.Chain[0])
	if cause != nil {
		return nil, attls.Errorf(attls.Local, attls.FailConfiguration, "our certificate: %v", cause)
	}
	return spki, nil
}
