package exported

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"slices"
	"sync/atomic"

	"attls"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
	"attls/handshake"
	"attls/handshake/authenticator"
	"attls/internal/provider"
	"attls/internal/rule"
	"attls/negotiation"
)

// Ask answers a wait, as handshake.Answerer.Answer does: for credentials, signatures and
// Evidence of ours, and verdicts on the peer's.
type Ask func(ctx context.Context, w *handshake.Wait) (handshake.Answer, *attls.Error)

// Config says what one end shows and what it wants. Its zero value shows and accepts
// nothing. It is not changed while sessions use it.
type Config struct {
	// Profile has slots of the phase authenticator, or of application_frame.
	Profile *profile.Profile
	// Produce are the schemes under which this end attests, in order of preference; the
	// first whose model the profile permits counts. Empty: requests are refused with the
	// empty authenticator.
	Produce []negotiation.Scheme
	// Refuse says that this end refuses all the same, once it is asked.
	Refuse bool
	// Accept are the schemes that this end can have appraised. What the peer sends is
	// appraised under the first that its payload fits. Empty: this end asks for nothing.
	Accept []negotiation.Scheme
	// Optional says that a peer may refuse, or show a certificate without a payload. A
	// payload that fails never counts as none.
	Optional bool
	// Schemes are the signature schemes accepted of the peer. Nil: DefaultSchemes.
	Schemes []attls.SignatureScheme
	// ServerName is what a client wants in the server's certificate, unless its Trust says
	// AnyName.
	ServerName string
	// AttesterSize and AppraiserSize are as in handshake.Config.
	AttesterSize, AppraiserSize int
	// AnswerLast holds this end's answer back until the peer was accepted, so that Evidence
	// is shown only to who has authenticated. At most one of the ends may do so.
	AnswerLast bool
	// MaxRequests bounds the requests of the peer that are answered. 0: 4096.
	MaxRequests int
	// Frame sees each frame of an Exchange that is sent, by its name, and each object around a
	// payload in an authenticator, by the name of the object, and returns what is sent
	// instead: for tests of peers. Nil: nothing is changed.
	Frame func(name string, octets []byte) []byte
	// Sent sees each request and each authenticator of a Conn with its frame, and returns what is
	// sent instead: for tests of peers. Nil: nothing is changed.
	Sent func(c Content, framed []byte) []byte
	// Limits are those of authenticators; Octets bounds a frame as well. Only a Session
	// that makes its own authenticator.Connection, as Conn does not, needs the others.
	Limits authenticator.Limits
}

// DefaultSchemes are the signature schemes that are accepted of the peer by default.
var DefaultSchemes = []attls.SignatureScheme{
	attls.ECDSA_SECP256R1_SHA256, attls.ECDSA_SECP384R1_SHA384, attls.ECDSA_SECP521R1_SHA512, attls.ED25519,
	attls.RSA_PSS_RSAE_SHA256, attls.RSA_PSS_RSAE_SHA384, attls.RSA_PSS_RSAE_SHA512,
	attls.RSA_PSS_PSS_SHA256, attls.RSA_PSS_PSS_SHA384, attls.RSA_PSS_PSS_SHA512,
	attls.ED448, attls.MLDSA65, attls.MLDSA44, attls.MLDSA87,
}

const (
	defaultRequests = 4096
	defaultOctets   = 1 << 17
	maxAccept       = 16
)

func bad(field, format string, args ...any) *attls.Error {
	return attls.Errorf(attls.Local, attls.FailConfiguration, format, args...).Under(field).Under("exported.Config")
}

// Check refuses what cannot work with an end of a role, and names the field.
func (c *Config) Check(role attls.Role) error {
	if c == nil || c.Profile == nil || len(c.Profile.Later) == 0 {
		return bad("Profile", "no slot of the profile attests after the handshake")
	}
	p := c.Profile
	switch {
	case len(c.Accept) > maxAccept:
		return bad("Accept", "%d schemes; at most %d are tried", len(c.Accept), maxAccept)
	case c.MaxRequests < 0:
		return bad("MaxRequests", "%d is negative", c.MaxRequests)
	case c.Limits.Octets < 0:
		return bad("Limits.Octets", "%d is negative", c.Limits.Octets)
	}
	for _, x := range []struct {
		field    string
		attester attls.Role
		list     []negotiation.Scheme
	}{{"Produce", role, c.Produce}, {"Accept", role.Peer(), c.Accept}} {
		slot := p.LaterSlot(x.attester)
		for _, s := range x.list {
			switch {
			case slot < 0:
				return bad(x.field, "%s has no slot in which the %v attests in authenticators", p.ID, x.attester)
			case !slices.Contains(p.Later[slot].Models, s.Model):
				return bad(x.field, "%s of the %v are not carried in authenticators under %s", s.Model, x.attester, p.ID)
			case s.Credential != profile.KindX509:
				return bad(x.field, "an authenticator shows an X.509 certificate, and the credential is %s", s.Credential)
			}
		}
	}
	return nil
}

func (c *Config) octets() int {
	if c.Limits.Octets > 0 {
		return c.Limits.Octets
	}
	return defaultOctets
}

func (c *Config) requests() int {
	if c.MaxRequests > 0 {
		return c.MaxRequests
	}
	return defaultRequests
}

// Outcome is one attestation: at the attester what it showed, at the relying party with
// the verdict.
type Outcome struct {
	handshake.AttestationState
	// Phase is that of the slot: an exported authenticator, or frames of the application.
	Phase profile.Phase
	// Context is the certificate_request_context of the request; nil in frames.
	Context []byte
	// Certificate is what the attester has shown in the authenticator, in frames what it has
	// shown in the handshake: the end entity's, DER; nil: none. Signature is the scheme of
	// CertificateVerify in the authenticator; 0 in frames.
	Certificate []byte
	Signature   attls.SignatureScheme
	// KeyEpoch is how many extended key updates there were when it was sent. A Conn says it.
	KeyEpoch uint64
	// Identity is who the peer has shown to be; nil at the attester.
	Identity *authenticator.Identity
	// Inputs is what the binder was computed from.
	Inputs binder.Inputs
}

// Session makes and takes requests and authenticators for one end of a connection. It may
// be used concurrently.
type Session struct {
	cfg   *Config
	p     *profile.Profile
	over  *authenticator.Connection
	in    binder.Inputs
	ask   Ask
	waits atomic.Uint64
}

// firstWait keeps the waits of sessions apart from those of the engine in a recording.
const firstWait = 1 << 32

// NewSession returns the state of a connection. There must be one authenticator.Connection
// for each end; in is what binders may ask of the connection, such as
// handshake.Engine.Inputs.
func NewSession(c *Config, over *authenticator.Connection, in binder.Inputs, ask Ask) (*Session, error) {
	switch {
	case over == nil || in == nil || ask == nil:
		return nil, bad("", "there is no connection, or nobody to ask")
	}
	if err := c.Check(over.Role()); err != nil {
		return nil, err
	}
	return &Session{cfg: c, p: c.Profile, over: over, in: in, ask: ask}, nil
}

// wait asks one question.
func (s *Session) wait(ctx context.Context, w *handshake.Wait) (handshake.Answer, *attls.Error) {
	w.ID = handshake.WaitID(firstWait + s.waits.Add(1))
	return s.ask(ctx, w)
}

// inputs is what a binder of an authenticator sees: the connection, with the key, the
// certificate and the context of the authenticator.
type inputs struct {
	binder.Inputs
	cfg      *Config
	own      attls.Role
	attester attls.Role
	spki     []byte
	der      []byte
	context  []byte
	frames   bool // the context is a nonce
}

func (i *inputs) SPKI(r attls.Role) ([]byte, bool) {
	if r != i.attester {
		return i.Inputs.SPKI(r)
	}
	return i.spki, len(i.spki) > 0
}

func (i *inputs) Certificate(r attls.Role) ([]byte, bool) {
	if r != i.attester {
		return i.Inputs.Certificate(r)
	}
	return i.der, len(i.der) > 0
}

// Nonce is that of the handshake, or of a frame.
func (i *inputs) Nonce(r attls.Role) ([]byte, bool) {
	if !i.frames {
		return i.Inputs.Nonce(r)
	}
	return i.context, r == i.attester && i.context != nil
}

func (i *inputs) RequestContext(r attls.Role) ([]byte, bool) {
	return i.context, r == i.attester && !i.frames
}

func (i *inputs) AttesterSize(r attls.Role) (int, bool) {
	n := i.cfg.AppraiserSize
	if r == i.own {
		n = i.cfg.AttesterSize
	}
	return n, n > 0
}

// bind computes the challenge and the claims for an attester.
func (s *Session) bind(in *inputs, m profile.Model) (challenge []byte, claims []negotiation.ClaimValue, bound bool,
	err error) {
	b := &s.p.Binder
	if b.Program == nil {
		return nil, nil, false, nil
	}
	if name := b.Authenticator[m]; name != "" {
		if challenge, err = b.Program.Eval(name, in.attester, in); err != nil {
			return nil, nil, false, err
		}
		bound = b.OverKeyLater(m, in.attester)
	}
	if m != profile.ModelEvidence {
		return challenge, nil, bound, nil
	}
	for _, c := range b.Claims {
		if c.InChallenge {
			continue
		}
		v, err := b.Program.Eval(c.Expr, in.attester, in)
		if err != nil {
			return nil, nil, false, err
		}
		claims = append(claims, negotiation.ClaimValue{Name: c.Name, Value: v})
	}
	return challenge, claims, bound, nil
}

// Request makes a request for the peer's attestation.
func (s *Session) Request(ctx context.Context) ([]byte, error) {
	attester := s.over.Role().Peer()
	slot := s.p.LaterSlot(attester)
	if slot < 0 || len(s.cfg.Accept) == 0 || s.p.Later[slot].Phase != profile.PhaseAuthenticator {
		return nil, bad("Accept", "this end has nothing of the %v appraised, so it asks for nothing", attester)
	}
	if err := s.unagreed(); err != nil {
		return nil, err
	}
	offer, err := s.p.LaterOffer(slot)
	if err != nil {
		return nil, err
	}
	r := &authenticator.Request{}
	if !s.p.Later[slot].Silent {
		r.Extensions = extensions.List{{Type: offer.Type, Body: offer.Body}}
	}
	if r.Wanted.Schemes = s.cfg.Schemes; r.Wanted.Schemes == nil {
		r.Wanted.Schemes = DefaultSchemes
	}
	if r.Context, err = s.context(ctx, slot); err != nil {
		return nil, err
	}
	return s.over.Request(r)
}

// Agreed reports whether both ends have set the flag that the profile wants, or it wants
// none. Otherwise nothing is asked for, and what the profile adds is unknown.
func (s *Session) Agreed() bool {
	slot := &s.p.Later[0]
	return s.p.Authenticator.FlagName == "" || s.over.Knows(slot.Extension, attls.KindCertificate)
}

// unagreed refuses to ask where the flag was not set.
func (s *Session) unagreed() *attls.Error {
	if s.Agreed() {
		return nil
	}
	return attls.Errorf(attls.Refused, attls.FailMissing,
		"the peer did not set the flag %s, so that the %v cannot be asked to attest", s.p.Authenticator.FlagName,
		s.over.Role().Peer()).Under(attls.ExtTLSFlags.String()).In(attls.KindEncryptedExtensions).By(s.p.ID)
}

// context is that of a request: a nonce of the Verifier, or random.
func (s *Session) context(ctx context.Context, slot int) ([]byte, error) {
	rules := &s.p.Authenticator
	if rules.NonceContext {
		a, err := s.wait(ctx, &handshake.Wait{Kind: handshake.WaitNonce, Due: s.p.Later[slot].Offer.Message,
			Nonce: &handshake.NonceRequest{Attester: s.p.Later[slot].Attester, Slot: s.p.Later[slot].Name, Min: 1, Max: 255,
				Default: rules.ContextOctets}})
		switch {
		case err != nil:
			return nil, err
		case len(a.Nonce) > 255:
			return nil, attls.Errorf(attls.Local, attls.FailNonceSize,
				"the Verifier gave a nonce of %d octets; a certificate_request_context has at most 255",
				len(a.Nonce)).By("RFC 9261 4")
		case len(a.Nonce) > 0:
			return a.Nonce, nil
		}
	}
	return s.over.DrawContext(rules.ContextOctets), nil
}

// Answer answers a request of the peer: with a payload where the request asks for one and
// this end attests, with a certificate alone where it does not ask, and otherwise with the
// empty authenticator. The outcome is nil where nothing was attested.
func (s *Session) Answer(ctx context.Context, request []byte) ([]byte, *Outcome, error) {
	r, err := s.over.Receive(request)
	if err != nil {
		return nil, nil, err
	}
	slot := s.p.LaterSlot(s.over.Role())
	asked := false
	if slot >= 0 && s.p.Later[slot].Phase == profile.PhaseAuthenticator && s.Agreed() {
		var x *extensions.Extension
		l := &s.p.Later[slot]
		if x, asked = r.Extensions.Find(l.Offer.Extension); asked && !l.Silent {
			if err := s.p.CheckLaterOffer(slot, x.Body); err != nil {
				return nil, nil, err
			}
		}
		asked = asked || l.Every
	}
	if len(s.cfg.Produce) == 0 || s.cfg.Refuse {
		octets, err := s.over.Refuse(r)
		return octets, nil, err
	}
	c, err := s.credential(ctx, r, asked)
	if err != nil {
		return nil, nil, err
	}
	if c == nil {
		octets, err := s.over.Refuse(r)
		return octets, nil, err
	}
	shown := c.Shown()
	var made *Outcome
	if asked && rule.Obeys(s.p, rule.CredentialSent) {
		if made, err = s.attest(ctx, slot, r.Context, c); err != nil {
			return nil, nil, err
		}
		x, err := s.p.EncodeLater(slot, made.Payload, s.valueOf(made.Inputs, s.over.Role()), s.cfg.Frame)
		if err != nil {
			return nil, nil, err
		}
		shown.Extensions = []extensions.List{{{Type: x.Type, Body: x.Body}}}
	}
	d, err := s.over.Start(r, shown)
	if err != nil {
		return nil, nil, err
	}
	signed, failure := s.wait(ctx, &handshake.Wait{Kind: handshake.WaitSignature, Due: attls.KindCertificateVerify,
		Signature: &handshake.SignatureRequest{Role: s.over.Role(), Scheme: d.Scheme, Content: d.Content, Credential: c}})
	if failure != nil {
		return nil, nil, failure
	}
	octets, err := d.Finish(signed.Signature)
	if made != nil {
		made.Signature = d.Scheme
	}
	return octets, made, err
}

// credential is the certificate that answers a request; nil: there is none.
func (s *Session) credential(ctx context.Context, r *authenticator.Received, attests bool) (*handshake.Credential,
	error) {
	a, err := s.wait(ctx, &handshake.Wait{Kind: handshake.WaitCredential, Due: attls.KindCertificate,
		Credential: &handshake.CredentialRequest{Role: s.over.Role(), Type: attls.CertificateX509,
			ServerName: r.Wanted.ServerName, Schemes: r.Wanted.Schemes, SchemesCert: r.Wanted.SchemesCert,
			Authorities: r.Wanted.Authorities, Attests: attests}})
	if err != nil {
		return nil, err
	}
	if a.Credential == nil || len(a.Credential.Chain) == 0 {
		return nil, nil
	}
	return a.Credential, nil
}

// attest asks for the payload that goes with a certificate.
func (s *Session) attest(ctx context.Context, slot int, requestContext []byte, c *handshake.Credential) (*Outcome,
	error) {
	own := s.over.Role()
	spki, err := leafKey(c)
	if err != nil {
		return nil, err
	}
	in := &inputs{Inputs: s.in, cfg: s.cfg, own: own, attester: own, spki: spki, der: c.Chain[0],
		context: requestContext}
	out, err := s.evidence(ctx, slot, in)
	if err != nil {
		return nil, inMessage(err, attls.KindCertificate)
	}
	return out, nil
}

// inMessage places an error in a message.
func inMessage(err error, k attls.MessageKind) error {
	if e, ok := err.(*attls.Error); ok && e.Failure != attls.FailTooLarge && e.Failure != attls.FailConfiguration {
		return e.In(k)
	}
	return err
}

// Appraise takes the peer's answer to a request of ours: RFC 9261's validation, the chain,
// the payload and the verdict. An outcome that comes with an error tells what was refused.
// Both are nil where the peer has refused, or shown no payload, and the configuration
// permits that.
func (s *Session) Appraise(ctx context.Context, answer []byte) (*Outcome, error) {
	id, err := s.over.Open(answer)
	if err != nil {
		if s.cfg.Optional && authenticator.Refused(err) {
			return nil, nil
		}
		return nil, err
	}
	peer := s.over.Role().Peer()
	if id.Spontaneous {
		return nil, attls.Errorf(attls.Violation, attls.FailRequestContext,
			"the authenticator answers no request, and attestation is on request only").In(attls.KindCertificate).By(s.p.ID)
	}
	if len(id.Chain) == 0 {
		return nil, attls.Errorf(attls.Refused, attls.FailMissing, "the %v shows nothing", peer).In(attls.KindCertificate)
	}
	if _, err := s.wait(ctx, &handshake.Wait{Kind: handshake.WaitCertificateVerdict,
		Certificate: &handshake.CertificateVerdictRequest{Peer: peer, Type: attls.CertificateX509, Chain: id.Chain,
			OCSP: id.OCSP, SCT: id.SCT, ServerName: s.cfg.ServerName}}); err != nil {
		return nil, err.In(attls.KindCertificate)
	}
	slot := s.p.LaterSlot(peer)
	if slot < 0 {
		return nil, bad("Profile", "%s has no slot of the %v", s.p.ID, peer)
	}
	x, there := id.Extensions[0].Find(s.p.Later[slot].Extension)
	if !there {
		return nil, s.unshown(attls.Errorf(attls.Refused, attls.FailMissing, "the %v shows a certificate and no payload",
			peer).
			Under("certificate_list[0].extensions").In(attls.KindCertificate).By(s.p.ID))
	}
	in := &inputs{Inputs: s.in, cfg: s.cfg, own: s.over.Role(), attester: id.Role, spki: id.SPKI, der: id.Chain[0],
		context: id.Context}
	payload, err := s.p.DecodeLater(slot, x.Body, s.valueOf(in, id.Role))
	if err != nil {
		return nil, s.unshown(inCertificate(err))
	}
	out, err := s.judgeWith(ctx, slot, id, in, payload)
	return out, inMessage(err, attls.KindCertificate)
}

// valueOf computes what both ends have in an object around a payload.
func (s *Session) valueOf(in binder.Inputs, attester attls.Role) profile.ValueOf {
	return func(definition string) ([]byte, error) { return s.p.Binder.Program.Eval(definition, attester, in) }
}

// unshown is the error of a peer that shows no payload, unless it need not.
func (s *Session) unshown(err error) error {
	var named *attls.Error
	if errors.As(err, &named) && named.Failure == attls.FailMissing && (s.cfg.Optional || s.tolerates(attls.FailMissing)) {
		return nil
	}
	return err
}

// inCertificate places an error of a body in the message that has it.
func inCertificate(err error) error {
	if e, ok := err.(*attls.Error); ok {
		if e.Failure == attls.FailAttestationExtension { // what carries the CMW does not parse, so neither does the CMW
			e.Failure = attls.FailMalformedCMW
		}
		return e.Under("certificate_list[0].extensions").In(attls.KindCertificate)
	}
	return err
}

// judgeWith has a payload appraised, under the first scheme that it fits.
func (s *Session) judgeWith(ctx context.Context, slot int, id *authenticator.Identity, in *inputs, payload []byte) (
	*Outcome, error) {
	l := &s.p.Later[slot]
	var out *Outcome
	for _, scheme := range s.cfg.Accept {
		challenge, claims, bound, err := s.bind(in, scheme.Model)
		if err != nil {
			return nil, err
		}
		next := &Outcome{AttestationState: handshake.AttestationState{Attester: id.Role, Slot: l.Name, Scheme: scheme,
			Challenge: challenge, Payload: payload}, Signature: id.Scheme, Identity: id}
		next.in(l, in)
		r := &negotiation.AppraisalRequest{Profile: s.p.ID, Attester: id.Role, Slot: l.Name, Scheme: scheme, CMW: payload,
			Challenge: challenge, Fit: s.p.Binder.Fit, Match: s.p.Rules.Match, Claims: claims, SPKI: id.SPKI, KeyBound: bound}
		a, failure := s.wait(ctx, &handshake.Wait{Kind: handshake.WaitAppraisal, Appraisal: r})
		if failure == nil && a.Verdict == nil {
			failure = attls.Errorf(attls.Local, attls.FailVerifierUnreachable, "the Appraiser gave no verdict")
		}
		if failure != nil {
			if s.tolerates(failure.Failure) {
				return next, nil
			}
			return next, failure
		}
		next.Verdict = s.weigh(a.Verdict, &a, id)
		if f := next.Verdict.Failure; out == nil || f != attls.FailFormatMismatch && f != attls.FailMalformedCMW {
			out = next // the first refusal, unless another scheme fits
		}
		if f := next.Verdict.Failure; f != attls.FailFormatMismatch && f != attls.FailMalformedCMW {
			break
		}
	}
	if v := out.Verdict; v.Failure != "" && !s.tolerates(v.Failure) {
		return out, attls.Errorf(attls.Refused, v.Failure, "%s", v.Reason).Under("attestation of the " + id.Role.String())
	}
	return out, nil
}

// in notes where an outcome is from.
func (o *Outcome) in(l *profile.LaterSlot, in *inputs) {
	o.Phase, o.Certificate, o.Inputs = l.Phase, in.der, in
	if in.frames {
		o.Nonce = in.context
	} else {
		o.Context = in.context
	}
}

// weigh refuses a verdict that is not affirming, is over, or is about another key.
func (s *Session) weigh(v *negotiation.Verdict, a *handshake.Answer, id *authenticator.Identity) *negotiation.Verdict {
	if v.Failure != "" {
		return v
	}
	failure, reason := v.Refusal(a.Time)
	if !rule.Obeys(s.p, rule.VerdictAccepts) {
		failure = ""
	}
	if failure == "" && len(v.SPKI) > 0 && !sameKey(v.SPKI, id.SPKI) {
		failure, reason = attls.FailTIKMismatch, "the verdict is about another key than that of the certificate"
	}
	if failure == "" {
		return v
	}
	refused := *v
	refused.Failure, refused.Reason = failure, reason
	return &refused
}

// tolerates reports whether the profile lets a failure pass.
func (s *Session) tolerates(f attls.Failure) bool { return s.p.AlertFor(f).None }

// sameKey reports whether two SubjectPublicKeyInfo hold the same key.
func sameKey(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, err := provider.Real().ParseSPKI(a)
	y, other := provider.Real().ParseSPKI(b)
	if err != nil || other != nil {
		return false
	}
	own, ok := x.Key.(interface{ Equal(crypto.PublicKey) bool })
	return ok && own.Equal(y.Key)
}
