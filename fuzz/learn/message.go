package learn

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"attls"
	"attls/extensions"
	"attls/handshake/message"
	"attls/internal/provider"
)

func raw(t attls.HandshakeType, body ...byte) []byte {
	b, mark := message.Begin(nil, t)
	return message.End(append(b, body...), mark)
}

// message makes a message.
func (m *Mapper) message(input string) ([]byte, error) {
	name, with, _ := strings.Cut(input, "+")
	if with != "" {
		with = "+" + with
	}
	switch name {
	case "ClientHello":
		return m.clientHello(with)
	case "ServerHello":
		return m.serverHello(false, with)
	case "HelloRetryRequest":
		return m.serverHello(true, with)
	case "EncryptedExtensions":
		list, err := m.added(attls.KindEncryptedExtensions, with)
		return (&message.EncryptedExtensions{Extensions: list}).Append(nil), err
	case "CertificateRequest":
		return m.certificateRequest(with)
	case "EmptyCertificate":
		return (&message.Certificate{Context: m.context(with)}).Append(nil), nil
	case "Certificate":
		return m.certificate(with)
	case "CertificateVerify":
		return m.certificateVerify()
	case "Finished":
		return raw(attls.TypeFinished, m.suite.FinishedMAC(nil, m.traffic(m.role), m.sum(m.current()))...), nil
	case "EndOfEarlyData":
		return message.EndOfEarlyData{}.Append(nil), nil
	case "KeyUpdate":
		return (&message.KeyUpdate{RequestUpdate: with == withRequest}).Append(nil), nil
	case "NewSessionTicket":
		return m.newSessionTicket(), nil
	}
	return nil, fmt.Errorf("there is no input %q", input)
}

var schemes = []attls.SignatureScheme{attls.ECDSA_SECP256R1_SHA256, attls.ED25519, attls.RSA_PSS_RSAE_SHA256}

func (m *Mapper) clientHello(with string) ([]byte, error) {
	random := make([]byte, 32)
	for i := range random {
		random[i] = byte(i + 1)
	}
	versions := []uint16{uint16(attls.VersionTLS13)}
	list := extensions.List{
		{Type: attls.ExtSupportedVersions, Body: extensions.AppendSupportedVersions(nil, versions)},
		{Type: attls.ExtSupportedGroups, Body: extensions.AppendUint16s(nil, groups[:])},
		{Type: attls.ExtSignatureAlgorithms, Body: extensions.AppendUint16s(nil, schemes)},
		{Type: attls.ExtKeyShare, Body: extensions.AppendKeyShares(nil, []extensions.KeyShareEntry{
			{Group: groups[0], Key: m.shares[0].Share()}, {Group: groups[1], Key: m.shares[1].Share()}})},
	}
	if m.name != "" {
		list = append(list, extensions.Extension{Type: attls.ExtServerName, Body: extensions.AppendServerName(nil, m.name)})
	}
	if m.alphabet.PostHandshake {
		list = append(list, extensions.Extension{Type: attls.ExtPostHandshakeAuth})
	}
	if m.alphabet.Resumption {
		list = append(list, extensions.Extension{Type: attls.ExtPSKKeyExchangeModes,
			Body: extensions.AppendPSKKeyExchangeModes(nil, []attls.PSKKeyExchangeMode{attls.PSKWithDHE})})
	}
	more, err := m.added(attls.KindClientHello, with)
	if err != nil {
		return nil, err
	}
	h := &message.ClientHello{LegacyVersion: 0x0303, Random: random, SessionID: make([]byte, 32),
		CipherSuites: extensions.Uint16s{0x13, 0x01}, CompressionMethods: []byte{0}, Extensions: append(list, more...)}
	if m.psk = nil; with == withPSK {
		return m.offering(h), nil
	}
	return h.Append(nil), nil
}

// serverHello answers the client's hello, or asks for a share of the other group.
func (m *Mapper) serverHello(retry bool, with string) ([]byte, error) {
	h := &message.ServerHello{LegacyVersion: 0x0303, SessionID: m.hello.SessionID,
		CipherSuite: attls.TLS_AES_128_GCM_SHA256}
	share := extensions.AppendSelectedGroup(nil, groups[1])
	h.Random = message.HelloRetryRequestRandom[:]
	kind := attls.KindHelloRetryRequest
	if !retry {
		kind, h.Random = attls.KindServerHello, make([]byte, 32)
		m.group = groups[0]
		if _, ok := m.peerShares[m.group]; !ok {
			m.group = groups[1]
		}
		share = extensions.AppendKeyShareEntry(nil, m.group, m.shares[slices.Index(groups[:], m.group)].Share())
	} else if m.secret[0] == nil {
		m.retry()
	}
	h.Extensions = extensions.List{
		{Type: attls.ExtSupportedVersions, Body: extensions.AppendSelectedVersion(nil, uint16(attls.VersionTLS13))},
		{Type: attls.ExtKeyShare, Body: share}}
	if m.psk = nil; with == withPSK {
		m.psk = m.taken()
		h.Extensions = append(h.Extensions, extensions.Extension{Type: attls.ExtPreSharedKey,
			Body: extensions.AppendPreSharedKeySelected(nil, 0)})
	}
	more, err := m.added(kind, with)
	h.Extensions = append(h.Extensions, more...)
	return h.Append(nil), err
}

func (m *Mapper) certificateRequest(with string) ([]byte, error) {
	list, err := m.added(attls.KindCertificateRequest, with)
	request := message.CertificateRequest{Extensions: append(extensions.List{{Type: attls.ExtSignatureAlgorithms,
		Body: extensions.AppendUint16s(nil, schemes)}}, list...)}
	if with == withContext {
		m.requests++
		request.Context = []byte{m.requests}
	}
	return request.Append(nil), err
}

func (m *Mapper) certificate(with string) ([]byte, error) {
	entry := message.CertificateEntry{Data: m.credential.Chain[0]}
	list, err := m.attested.evidence(m, with)
	entry.Extensions = list
	return (&message.Certificate{Context: m.context(with), Entries: []message.CertificateEntry{entry}}).Append(nil), err
}

func (m *Mapper) certificateVerify() ([]byte, error) {
	context := "TLS 1.3, client CertificateVerify"
	if m.role == attls.RoleServer {
		context = "TLS 1.3, server CertificateVerify"
	}
	signer := m.credential.Signer
	if signer == nil || len(m.credential.Schemes) == 0 {
		return nil, errors.New("no key")
	}
	scheme := m.credential.Schemes[0]
	sig, err := provider.Sign(signer, scheme, message.SignedContent(context, m.sum(m.current())))
	return (&message.CertificateVerify{Scheme: scheme, Signature: sig}).Append(nil), err
}
