package authenticator

import (
	"crypto"
	"crypto/tls"
	"strings"

	"attls"
)

// ForTLS is the Config of one end of a connection of crypto/tls whose handshake is
// complete. It is for TLS 1.3: of TLS 1.2 the state does not tell whether
// extended_main_secret was negotiated. At a server, FromClientHelloInfo gives the
// ClientHello that authenticators without a request need.
func ForTLS(role attls.Role, s *tls.ConnectionState) (*Config, error) {
	switch {
	case s.Version != tls.VersionTLS13:
		return nil, local("%s; only of TLS 1.3 does crypto/tls say enough", tls.VersionName(s.Version)).By("RFC 9261 7")
	case !s.HandshakeComplete:
		return nil, local("the handshake is not complete").By("RFC 9261 9")
	}
	c := &Config{
		Role:              role,
		Version:           s.Version,
		HandshakeComplete: true,
		Hash:              crypto.SHA256,
		Export:            s.ExportKeyingMaterial,
	}
	if strings.HasSuffix(tls.CipherSuiteName(s.CipherSuite), "_SHA384") {
		c.Hash = crypto.SHA384
	}
	return c, nil
}

// FromClientHelloInfo is what a server of crypto/tls knows of a ClientHello, in
// tls.Config.GetConfigForClient or GetCertificate.
func FromClientHelloInfo(i *tls.ClientHelloInfo) *ClientHello {
	h := &ClientHello{ServerName: i.ServerName}
	for _, x := range i.Extensions {
		h.Extensions = append(h.Extensions, attls.ExtensionType(x))
	}
	for _, s := range i.SignatureSchemes {
		h.Schemes = append(h.Schemes, attls.SignatureScheme(s))
	}
	return h
}
