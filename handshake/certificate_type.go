package handshake

import (
	"bytes"

	"attls"
	"attls/extensions"
	"attls/internal/rule"
	"attls/negotiation"
)

// certificateTypes is what the two ends have agreed on about the types of their
// certificates, indexed by the role that shows one.
type certificateTypes struct {
	agreed           [2]attls.CertificateType
	later            bool // a server's: the client's was agreed on for requests after the handshake
	*typeNegotiation      // nil after the handshake
}

// typeNegotiation is what the handshake's extensions say about the types.
type typeNegotiation struct {
	offered [2][]attls.CertificateType // a client's
	offer   [2][]byte                  // the client's, as a server reads it; nil: no extension
	answer  [2]*attls.CertificateType  // the server's, as a client reads it
}

var bothRoles = [...]attls.Role{attls.RoleClient, attls.RoleServer}

// typeExtension is the extension about the certificate of a role.
func typeExtension(shows attls.Role) attls.ExtensionType {
	if shows == attls.RoleServer {
		return attls.ExtServerCertificateType
	}
	return attls.ExtClientCertificateType
}

// configuredTypes are the types for the certificate of a role; nil: X.509.
func (c *Config) configuredTypes(shows attls.Role) []attls.CertificateType {
	if shows == attls.RoleServer {
		return c.ServerCertificateTypes
	}
	return c.ClientCertificateTypes
}

// certificateTypeRow is RFC 7250's extension about the certificate of a role.
func certificateTypeRow(shows attls.Role) extensionRow {
	return extensionRow{
		t: typeExtension(shows),
		offer: func(e *Engine, _ *sending, b []byte) []byte {
			list := negotiation.OfferCertificateTypes(e.typesOnOffer(shows), e.cfg.configuredTypes(shows))
			e.types.offered[shows] = list
			if list == nil {
				return nil
			}
			return extensions.AppendCertificateTypes(b, list)
		},
		readOffer: func(o *offers, body []byte) (err *attls.Error) {
			o.types[shows], err = extensions.ParseCertificateTypes(body)
			return err
		},
		takeOffer: func(e *Engine, o *offers) *attls.Error {
			e.types.offer[shows] = bytes.Clone(o.types[shows])
			return nil
		},
		answer: func(e *Engine, _ *sending, b []byte) []byte { return e.answerCertificateType(shows, b) },
		readAnswer: func(e *Engine, _ *answers, body []byte) *attls.Error {
			t, err := extensions.ParseCertificateType(body)
			if err != nil {
				return err
			}
			e.types.answer[shows] = &t
			return nil
		},
	}
}

// typesOnOffer are the types that the offered schemes of an attester need.
func (e *Engine) typesOnOffer(attester attls.Role) (list []attls.CertificateType) {
	p := e.profile()
	for i := range p.Slots {
		if p.Slots[i].Attester != attester {
			continue
		}
		for _, s := range e.att.offered.Offers[i] {
			if c, ok := p.Credential(s.Credential); ok && c.Negotiated {
				list = append(list, c.CertificateType)
			}
		}
	}
	return list
}

// typeNeeded is the type that the chosen scheme of an attester needs, or nil.
func (e *Engine) typeNeeded(attester attls.Role) *attls.CertificateType {
	_, s := e.chosen(attester)
	if s == nil {
		return nil
	}
	if c, ok := e.profile().Credential(s.Credential); ok && c.Negotiated {
		return &c.CertificateType
	}
	return nil
}

// peerType is the type of the peer's certificate: the one of the handshake that
// showed it, which may be another than this, and otherwise what was agreed on.
func (e *Engine) peerType(p *authenticated) attls.CertificateType {
	if p.typed {
		return p.kind
	}
	return e.types.agreed[e.role.Peer()]
}

// agreeLaterType is the server's choice for a client that is not asked in the
// handshake and may be asked after it, resumed or not. Without a type in common
// the client is not answered, and shows X.509 if anything.
func (e *Engine) agreeLaterType() {
	if !e.cfg.PostHandshakeAuthentication || !e.sent.Has(attls.RoleClient, attls.KindClientHello,
		attls.ExtPostHandshakeAuth) {
		return
	}
	t, err := negotiation.SelectCertificateType(e.types.offer[attls.RoleClient],
		e.cfg.configuredTypes(attls.RoleClient), nil)
	if err == nil {
		e.types.agreed[attls.RoleClient], e.types.later = t, true
	}
}

// agreeCertificateTypes is the server's choice. The client's type matters only
// where the client is asked for a certificate.
func (e *Engine) agreeCertificateTypes() *attls.Error {
	for _, shows := range bothRoles {
		if shows == attls.RoleClient && !e.requests() {
			e.agreeLaterType()
			continue
		}
		t, err := negotiation.SelectCertificateType(e.types.offer[shows], e.cfg.configuredTypes(shows), e.typeNeeded(shows))
		if err != nil {
			return err.Under("extensions." + typeExtension(shows).String()).In(attls.KindClientHello)
		}
		e.types.agreed[shows] = t
	}
	return nil
}

// answerCertificateType appends the choice.
func (e *Engine) answerCertificateType(shows attls.Role, b []byte) []byte {
	switch {
	case e.psk.session == nil && (shows == attls.RoleServer || e.requests()) || shows == attls.RoleClient && e.types.later:
		return extensions.AppendCertificateType(b, e.types.agreed[shows])
	case e.psk.session != nil && shows == attls.RoleServer:
		return e.repeatCertificateType(b)
	}
	return nil
}

// repeatCertificateType tells a client that resumes a session the type of the
// server's certificate, although none is shown: a client that takes raw public keys
// alone would otherwise have to understand silence as X.509 (RFC 7250 section 4.2).
func (e *Engine) repeatCertificateType(b []byte) []byte {
	const shows = attls.RoleServer
	if e.psk.session.External || !e.obeys(rule.TypeRepeated) {
		return nil
	}
	t, err := negotiation.SelectCertificateType(e.types.offer[shows], e.cfg.configuredTypes(shows), nil)
	if err != nil {
		return nil
	}
	return extensions.AppendCertificateType(b, t)
}

// checkRepeatedType compares the type that a server tells when it resumes a session
// with the client's offer. Silence is understood.
func (e *Engine) checkRepeatedType() *attls.Error {
	const shows = attls.RoleServer
	if e.types.answer[shows] == nil {
		return nil
	}
	_, err := negotiation.CheckCertificateType(e.types.offered[shows], e.types.answer[shows])
	if err != nil {
		return err.Under("extensions." + typeExtension(shows).String()).In(attls.KindEncryptedExtensions)
	}
	return nil
}

// checkCertificateTypes holds the server's answers against the offers and the
// chosen schemes, once the server's parameters are complete.
func (e *Engine) checkCertificateTypes() *attls.Error {
	for _, shows := range bothRoles {
		if shows == attls.RoleClient && !e.nego.requested {
			if err := e.checkLaterType(); err != nil {
				return err
			}
			continue
		}
		place := func(err *attls.Error) *attls.Error {
			return err.Under("extensions." + typeExtension(shows).String()).In(attls.KindEncryptedExtensions)
		}
		needed := e.typeNeeded(shows)
		got, err := negotiation.CheckCertificateType(e.types.offered[shows], e.types.answer[shows])
		if err != nil && needed == nil {
			return place(err)
		}
		if needed != nil && *needed != got || needed == nil && e.addedType(shows, got) {
			if err := e.attestationFailure(attls.FailCertTypeMismatch, "certificate type %v does not go with the chosen scheme",
				got); err != nil {
				return place(err)
			}
		}
		e.types.agreed[shows] = got
	}
	return nil
}

// checkLaterType checks the server's answer about the certificate of a client
// that is not asked in the handshake: it is for requests after it.
func (e *Engine) checkLaterType() *attls.Error {
	const shows = attls.RoleClient
	if e.types.answer[shows] == nil {
		return nil
	}
	got, err := negotiation.CheckCertificateType(e.types.offered[shows], e.types.answer[shows])
	if err != nil {
		return err.Under("extensions." + typeExtension(shows).String()).In(attls.KindEncryptedExtensions)
	}
	e.types.agreed[shows] = got
	return nil
}

// addedType reports whether a type is one that only a scheme can need.
func (e *Engine) addedType(shows attls.Role, t attls.CertificateType) bool {
	for _, own := range e.cfg.configuredTypes(shows) {
		if own == t {
			return false
		}
	}
	return t != attls.CertificateX509
}
