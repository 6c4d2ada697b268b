package learn

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
	"attls/handshake"
	"attls/handshake/message"
	"attls/negotiation"
)

// What the names of messages say of attestation: that of an offer, a choice or a nonce, Evidence
// that is bound to the connection, and Evidence that is bound to another.
const (
	withAttestation = "+attestation"
	withEvidence    = "+evidence"
	withStale       = "+stale"
)

// Attestation is that of one end under a profile. Its symbols are made from the profile: a
// message in which the profile has an offer, a choice or a nonce of the end that sends it is
// there with and without, and Certificate with Evidence where the end is the attester.
type Attestation struct {
	Profile  *profile.Profile
	Attester attls.Role

	at        int
	scheme    profile.Scheme
	set       *scenario.Setup
	answerers [2]*handshake.Answerer
}

// NewAttestation is the attestation of an end under a profile, together with a certificate: the name
// of the profile or its file.
func NewAttestation(name string, attester attls.Role) (*Attestation, error) {
	p, err := profile.Load(name, profile.Options{})
	if err != nil {
		return nil, err
	}
	where := scenario.Scenario{Profile: name, Compiled: p, Attester: scenario.Attesters(attester.String()),
		Credential: claims.CredentialX509}
	if err := where.Complete(p); err != nil {
		return nil, fmt.Errorf("%s does not let the %v attest together with its certificate: %w", p.ID, attester, err)
	}
	env, err := scenario.NewFixedEnvironment()
	if err != nil {
		return nil, err
	}
	a := &Attestation{Profile: p, Attester: attester, at: -1}
	if a.set, err = env.NewSetup(p, &where); err != nil {
		return nil, err
	}
	for _, r := range attls.Roles() {
		if a.answerers[r], err = a.set.Answerer(r); err != nil {
			return nil, err
		}
	}
	return a, a.choose()
}

// choose finds where the payload of the attester goes, and its scheme.
func (a *Attestation) choose() error {
	for _, s := range a.set.Ends[a.Attester].Config.Policy.Produce {
		for i := range a.Profile.Slots {
			encoded, ok := a.Profile.EncodeScheme(i, s)
			if s := &a.Profile.Slots[i]; !ok || s.Attester != a.Attester || s.PostHandshake || a.at >= 0 {
				continue
			}
			c, ok := a.Profile.CredentialFor(i, s.Credential)
			if ok && c.Carrier == profile.CarrierExtension && s.Credential == profile.KindX509 {
				a.at, a.scheme = i, encoded
			}
		}
	}
	if a.at < 0 {
		return fmt.Errorf("%s has no payload of the %v in an extension of Certificate, which is what is learned",
			a.Profile.ID, a.Attester)
	}
	list, err := a.Profile.Embed(attls.KindClientHello, a.fields(attls.RoleClient),
		func(attls.ExtensionType) []byte { return nil })
	if err != nil || len(list) > 0 || a.Profile.Slots[a.at].Nonce.Random {
		return fmt.Errorf("%s puts a nonce into a field of TLS, which is not learned", a.Profile.ID)
	}
	return nil
}

// End makes the engine of a role, with the demonstration's root of trust.
func (a *Attestation) End(r attls.Role) End { return End{a.set.Ends[r].Config, a.answerers[r]} }

// credential is that of an end; nil: there is no attestation.
func (a *Attestation) credential(r attls.Role) *handshake.Credential {
	if a == nil {
		return nil
	}
	return a.answerers[r].Credentials[0]
}

// fields are what an end says.
func (a *Attestation) fields(r attls.Role) *profile.Fields {
	f := a.Profile.NewFields()
	f.Offered[a.at], f.Offers[a.at], f.Choices[a.at] = true, []profile.Scheme{a.scheme}, &a.scheme
	if s := &a.Profile.Slots[a.at]; r != a.Attester && s.Nonce.Message != attls.KindNone {
		f.Nonces[a.at] = make([]byte, max(s.NonceDefault, s.NonceMin, 1))
		for i := range f.Nonces[a.at] {
			f.Nonces[a.at][i] = byte(i + 1)
		}
	}
	return f
}

// carry are the messages that can carry something besides Evidence, with their senders.
var carry = []struct {
	kind   attls.MessageKind
	name   string
	sender attls.Role
}{
	{attls.KindClientHello, "ClientHello", attls.RoleClient}, {attls.KindServerHello, "ServerHello", attls.RoleServer},
	{attls.KindHelloRetryRequest, "HelloRetryRequest", attls.RoleServer},
	{attls.KindEncryptedExtensions, "EncryptedExtensions", attls.RoleServer},
	{attls.KindCertificateRequest, "CertificateRequest", attls.RoleServer},
}

// inputs are those that a profile adds.
func (a *Attestation) inputs(role attls.Role) (list []string) {
	if a == nil {
		return nil
	}
	for _, x := range carry {
		if x.sender != role {
			continue
		}
		if more, err := a.Profile.Encode(x.kind, role, a.fields(role)); err == nil && len(more) > 0 {
			list = append(list, x.name+withAttestation)
		}
	}
	if role == a.Attester {
		list = append(list, "Certificate"+withEvidence, "Certificate"+withStale)
	}
	return list
}

// attested is what a Mapper knows of attestation in a connection.
type attested struct {
	a         *Attestation
	nonce     []byte
	peer      []byte // the peer's certificate
	context   []byte // of CertificateRequest
	requested bool
}

func (x *attested) reset(a *Attestation) { *x = attested{a: a} }

// added are the profile's extensions in a message that is to have them.
func (m *Mapper) added(kind attls.MessageKind, with string) (list extensions.List, err error) {
	a := m.attested.a
	if with != withAttestation || a == nil {
		return nil, nil
	}
	f := a.fields(m.role)
	if n := f.Nonces[a.at]; n != nil && a.Profile.Slots[a.at].Nonce.Message == kind {
		m.attested.nonce = n
	}
	raw, err := a.Profile.Encode(kind, m.role, f)
	for _, e := range raw {
		list = append(list, extensions.Extension{Type: e.Type, Body: e.Body})
	}
	return list, err
}

// evidence are the extensions of a CertificateEntry that carry Evidence.
func (x *attested) evidence(m *Mapper, with string) (list extensions.List, err error) {
	a := x.a
	if a == nil || with != withEvidence && with != withStale {
		return nil, nil
	}
	b := &a.Profile.Binder
	r := &negotiation.EvidenceRequest{Profile: a.Profile.ID, Attester: a.Attester, Slot: a.Profile.Slots[a.at].Name,
		Scheme: a.scheme, Fit: b.Fit, KeyBound: b.OverKey(a.scheme.Model, a.scheme.Credential, a.Attester)}
	if r.SPKI, err = x509.MarshalPKIXPublicKey(m.credential.Signer.Public()); err != nil {
		return nil, err
	}
	if name := b.Challenge[a.scheme.Model][a.scheme.Credential]; name != "" && b.Program != nil {
		if r.Challenge, err = b.Program.Eval(name, a.Attester, bound{m}); err != nil {
			r.Challenge = m.zeros() // at a moment at which there is no binder
		}
	}
	for _, c := range b.Claims {
		if b.Program == nil || c.InChallenge {
			continue
		}
		if v, err := b.Program.Eval(c.Expr, a.Attester, bound{m}); err == nil {
			r.Claims = append(r.Claims, negotiation.ClaimValue{Name: c.Name, Value: v})
		}
	}
	if with == withStale && len(r.Challenge) > 0 {
		r.Challenge = slices.Clone(r.Challenge)
		r.Challenge[0] ^= 0xff
	}
	ev, err := a.set.Ends[a.Attester].Attester.Attest(context.Background(), r)
	if err != nil {
		return nil, err
	}
	f := a.Profile.NewFields()
	a.Profile.SetPayload(a.at, f, ev.CMW)
	raw, err := a.Profile.Encode(attls.KindCertificate, m.role, f)
	for _, e := range raw {
		list = append(list, extensions.Extension{Type: e.Type, Body: e.Body})
	}
	return list, err
}

// heard reads what a message of the peer says of attestation, and names it.
func (x *attested) heard(m *Mapper, r *message.Raw) string {
	if x.a == nil {
		return ""
	}
	suffix, list := withAttestation, extensions.List(nil)
	switch r.Kind {
	case attls.KindClientHello:
		list = m.hello.Extensions
	case attls.KindServerHello, attls.KindHelloRetryRequest:
		var h message.ServerHello
		if h.Unmarshal(r.Body()) == nil {
			list = h.Extensions
		}
	case attls.KindEncryptedExtensions:
		var e message.EncryptedExtensions
		if e.Unmarshal(r.Body()) == nil {
			list = e.Extensions
		}
	case attls.KindCertificateRequest:
		var c message.CertificateRequest
		if c.Unmarshal(r.Body()) == nil {
			list, x.context, x.requested = c.Extensions, slices.Clone(c.Context), true
		}
	case attls.KindCertificate:
		var c message.Certificate
		if c.Unmarshal(r.Body()) == nil && len(c.Entries) > 0 {
			suffix, list, x.peer = withEvidence, c.Entries[0].Extensions, slices.Clone(c.Entries[0].Data)
		}
	}
	return x.read(m, r.Kind, list, suffix)
}

// read returns the suffix where an extension of the profile is in a list.
func (x *attested) read(m *Mapper, kind attls.MessageKind, list extensions.List, suffix string) (found string) {
	for i := range list {
		if _, ok := x.a.Profile.Extension(list[i].Type); !ok {
			continue
		}
		found = suffix
		f := x.a.Profile.NewFields()
		if x.a.Profile.Decode(kind, m.role.Peer(), list[i].Type, list[i].Body, f) == nil && f.Nonces[x.a.at] != nil {
			x.nonce = slices.Clone(f.Nonces[x.a.at])
		}
	}
	return found
}

// bound lets a binder read the mapper's handshake.
type bound struct{ m *Mapper }

var _ binder.Inputs = bound{}

func (b bound) Hash() string { return b.m.suite.HashName }

func (b bound) Secret(s binder.Secret) ([]byte, bool) {
	v := map[binder.Secret][]byte{binder.EarlySecret: b.m.early, binder.ECDHE: b.m.shared,
		binder.HandshakeSecret: b.m.handshake, binder.MainSecret: b.m.master}[s]
	return v, len(v) > 0
}

func (b bound) Transcript(r binder.Range) ([]byte, bool) { return b.m.overRange(r) }

func (b bound) Certificate(r attls.Role) ([]byte, bool) {
	if r == b.m.role {
		return b.m.credential.Chain[0], true
	}
	return b.m.attested.peer, b.m.attested.peer != nil
}

func (b bound) SPKI(r attls.Role) ([]byte, bool) {
	der, ok := b.Certificate(r)
	if !ok {
		return nil, false
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, false
	}
	return cert.RawSubjectPublicKeyInfo, true
}

func (b bound) Nonce(attls.Role) ([]byte, bool) { return b.m.attested.nonce, b.m.attested.nonce != nil }

func (b bound) RequestContext(r attls.Role) ([]byte, bool) {
	return b.m.attested.context, b.m.attested.requested && r == attls.RoleClient
}

func (b bound) AttesterSize(r attls.Role) (int, bool) {
	n := b.m.attested.a.set.Ends[r].Config.AttesterSize
	return n, n > 0
}

func (b bound) Later(binder.Later) ([]byte, bool) { return nil, false }
