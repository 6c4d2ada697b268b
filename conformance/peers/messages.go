package peers

import (
	"crypto/x509"

	"attls"
	"attls/conformance/claims"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/message"
)

// shown is what the messages say that a program prints of its connection. One that
// does not parse says nothing: it may be the other end's fault.
type shown struct {
	role           attls.Role
	suite          attls.CipherSuite
	group          attls.NamedGroup
	retry, resumed bool
	early          bool                      // ClientHello offers 0-RTT data
	answered       handshake.EarlyDataStatus // by EncryptedExtensions
	alpn           string
	alerts         [2]*attls.AlertDescription // the first each way, close_notify apart
	closed         [2]bool                    // close_notify each way
	ends           [2]shownEnd                // by role
	streams        [2][]byte                  // octets of handshake messages that are not complete, each way
	finished       [2]bool                    // each way
}

// shownEnd is what one end showed.
type shownEnd struct {
	kind   attls.CertificateType
	key    []byte // SubjectPublicKeyInfo
	scheme attls.SignatureScheme
}

// add takes the octets of a handshake message, or of an alert.
func (s *shown) add(d handshake.Direction, t attls.ContentType, octets []byte) {
	switch {
	case t == attls.ContentTypeHandshake:
		if m, err := message.ParseRaw(octets); err == nil {
			s.handshake(d, &m)
		}
	case t == attls.ContentTypeAlert && len(octets) == 2:
		s.alert(d, attls.AlertDescription(octets[1]))
	}
}

func (s *shown) alert(d handshake.Direction, a attls.AlertDescription) {
	switch {
	case a == attls.AlertCloseNotify:
		s.closed[d] = true
	case s.alerts[d] == nil:
		s.alerts[d] = &a
	}
}

// record takes the content of a record of the handshake, which may hold a part of
// a message or several. What follows Finished is left out.
func (s *shown) record(d handshake.Direction, content []byte) {
	if s.finished[d] {
		return
	}
	b := append(s.streams[d], content...)
	for len(b) >= headerLen {
		n := headerLen + int(b[1])<<16 + int(b[2])<<8 + int(b[3])
		if len(b) < n {
			break
		}
		s.add(d, attls.ContentTypeHandshake, b[:n:n])
		if attls.HandshakeType(b[0]) == attls.TypeFinished {
			s.finished[d] = true
			return
		}
		b = b[n:]
	}
	s.streams[d] = b
}

// headerLen is the length of the header of a handshake message and recordHeaderLen
// that of a record, in octets.
const (
	headerLen       = 4
	recordHeaderLen = 5
)

// sender is the end that sent what was seen in a direction.
func (s *shown) sender(d handshake.Direction) *shownEnd {
	if d == handshake.Sent {
		return &s.ends[s.role]
	}
	return &s.ends[s.role.Peer()]
}

func (s *shown) handshake(d handshake.Direction, m *message.Raw) {
	switch m.Kind {
	case attls.KindClientHello:
		var hello message.ClientHello
		if hello.Unmarshal(m.Body()) == nil {
			_, offered := hello.Extensions.Get(attls.ExtEarlyData)
			s.early = s.early || offered // the second one has it no more
		}
	case attls.KindHelloRetryRequest:
		s.retry = true
	case attls.KindServerHello:
		s.serverHello(m.Body())
	case attls.KindEncryptedExtensions:
		s.encryptedExtensions(m.Body())
	case attls.KindCertificate:
		s.sender(d).certificate(m.Body())
	case attls.KindCertificateVerify:
		var v message.CertificateVerify
		if v.Unmarshal(m.Body()) == nil {
			s.sender(d).scheme = v.Scheme
		}
	}
}

func (s *shown) serverHello(body []byte) {
	var m message.ServerHello
	if m.Unmarshal(body) != nil {
		return
	}
	s.suite = m.CipherSuite
	_, s.resumed = m.Extensions.Get(attls.ExtPreSharedKey)
	if share, ok := m.Extensions.Get(attls.ExtKeyShare); ok {
		if entry, err := extensions.ParseKeyShareEntry(share); err == nil {
			s.group = entry.Group
		}
	}
}

func (s *shown) encryptedExtensions(body []byte) {
	var m message.EncryptedExtensions
	if m.Unmarshal(body) != nil {
		return
	}
	if _, taken := m.Extensions.Get(attls.ExtEarlyData); taken {
		s.answered = handshake.EarlyDataAccepted
	} else if s.early {
		s.answered = handshake.EarlyDataRejected
	}
	if b, ok := m.Extensions.Get(attls.ExtALPN); ok {
		if name, err := extensions.ParseALPNSelected(b); err == nil {
			s.alpn = string(name)
		}
	}
	for role, t := range map[attls.Role]attls.ExtensionType{attls.RoleClient: attls.ExtClientCertificateType,
		attls.RoleServer: attls.ExtServerCertificateType} {
		if b, ok := m.Extensions.Get(t); ok {
			if kind, err := extensions.ParseCertificateType(b); err == nil {
				s.ends[role].kind = kind
			}
		}
	}
}

func (e *shownEnd) certificate(body []byte) {
	var m message.Certificate
	if m.Unmarshal(body) != nil || len(m.Entries) == 0 {
		return
	}
	if key, err := keyOf(e.kind, m.Entries[0].Data); err == nil {
		e.key = key
	}
}

// keyOf is the SubjectPublicKeyInfo in what an end shows of a type.
func keyOf(t attls.CertificateType, shown []byte) ([]byte, error) {
	if t == attls.CertificateRawPublicKey {
		return shown, nil
	}
	c, err := x509.ParseCertificate(shown)
	if err != nil {
		return nil, err
	}
	return c.RawSubjectPublicKeyInfo, nil
}

// claim says what was shown.
func (s *shown) claim(c *claims.Claims) {
	if s.suite != 0 {
		c.Suite = s.suite.String()
	}
	if s.group != 0 {
		c.Group = s.group.String()
	}
	c.HelloRetry, c.Resumed, c.ALPN = s.retry, s.resumed, s.alpn
	if s.answered != handshake.EarlyDataNone {
		c.EarlyData = s.answered.String()
	}
	switch {
	case s.resumed && s.group != 0:
		c.PSKMode = attls.PSKWithDHE.String()
	case s.resumed:
		c.PSKMode = attls.PSKOnly.String()
	}
	own, peer := &s.ends[s.role], &s.ends[s.role.Peer()]
	c.OwnKey, c.OwnType, c.OwnSignature = own.claim()
	c.PeerKey, c.PeerType, c.PeerSignature = peer.claim()
	c.AlertSent, c.AlertReceived = alertClaim(s.alerts[handshake.Sent]), alertClaim(s.alerts[handshake.Received])
}

func (e *shownEnd) claim() (key, kind, scheme string) {
	if e.key != nil {
		key, kind = keyName(e.key), e.kind.String()
	}
	if e.scheme != 0 {
		scheme = e.scheme.String()
	}
	return key, kind, scheme
}

func alertClaim(a *attls.AlertDescription) *claims.AlertClaim {
	if a == nil {
		return nil
	}
	return &claims.AlertClaim{Code: uint8(*a), Name: a.String()}
}
