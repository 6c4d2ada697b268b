package peers

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"runtime"

	"attls"
	"attls/conformance"
)

// CryptoTLS is Go's crypto/tls, for plain TLS.
type CryptoTLS struct{}

func (CryptoTLS) Name() string    { return "crypto/tls" }
func (CryptoTLS) Missing() string { return "" }

// Identify implements Identifier.
func (CryptoTLS) Identify(context.Context) (version, where string, err error) {
	return runtime.Version(), "", nil
}

// Limit implements Peer.
func (CryptoTLS) Limit(s *conformance.Scenario, r attls.Role) string {
	switch {
	case s.Profile != "":
		return "crypto/tls has no extensions of applications"
	case s.Suite != "":
		return "crypto/tls does not let its user choose a cipher suite of TLS 1.3"
	case s.HelloRetry && r == attls.RoleClient && (s.Group == "x25519" || s.Group == "X25519MLKEM768"):
		return "crypto/tls orders groups itself and sends shares of x25519 and X25519MLKEM768 at once"
	case s.Cookie:
		return "crypto/tls sends no cookie"
	}
	return ""
}

// Start implements Peer.
func (CryptoTLS) Start(ctx context.Context, t *Task) (Process, error) {
	config, err := cryptoTLSConfig(t)
	if err != nil {
		return nil, err
	}
	return startHere(ctx, t, func(_ context.Context, nc net.Conn, keyLog io.Writer) (conformance.Claims, error) {
		config.KeyLogWriter = keyLog
		return exchangeCryptoTLS(nc, config, t.Role), nil
	})
}

func cryptoTLSConfig(t *Task) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(t.certificate(), t.key())
	if err != nil {
		return nil, err
	}
	blob, err := os.ReadFile(t.authority())
	if err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS13, ServerName: serverName, RootCAs: x509.NewCertPool(),
		Certificates: []tls.Certificate{cert}, SessionTicketsDisabled: true}
	c.RootCAs.AppendCertsFromPEM(blob)
	if t.Scenario.ClientCertificate {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, c.RootCAs
	}
	numbers, err := groupNumbers(groups(&t.Scenario, t.Role))
	for _, g := range numbers {
		c.CurvePreferences = append(c.CurvePreferences, tls.CurveID(g))
	}
	if t.Scenario.ALPN != "" {
		c.NextProtos = []string{t.Scenario.ALPN}
	}
	return c, err
}

func exchangeCryptoTLS(nc net.Conn, config *tls.Config, role attls.Role) conformance.Claims {
	defer nc.Close()
	claims := newClaims("crypto/tls", runtime.Version(), role)
	claims.Unclaimed = []string{"transcript_hash", "peer_signature", "own_signature"}
	var c *tls.Conn
	var err error
	own := &config.Certificates[0]
	shown := role == attls.RoleServer
	if role == attls.RoleServer {
		c = tls.Server(nc, config)
		claims.DataReceived, err = io.Copy(c, c)
		claims.DataSent = claims.DataReceived
		err = errors.Join(err, c.CloseWrite())
	} else {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			shown = true
			return own, nil
		}
		c = tls.Client(nc, config)
		claims.DataSent, claims.DataReceived, err = askCryptoTLS(c)
	}
	if err != nil {
		claims.State = "failed"
		claims.Error = &conformance.ErrorClaim{Class: attls.Local.String(), Failure: "crypto/tls", Detail: err.Error()}
	}
	s := c.ConnectionState()
	claims.Suite, claims.Group = attls.CipherSuite(s.CipherSuite).String(), attls.NamedGroup(s.CurveID).String()
	claims.HelloRetry, claims.ALPN = s.HelloRetryRequest, s.NegotiatedProtocol
	if len(s.PeerCertificates) > 0 {
		claims.PeerKey, claims.PeerType = keyName(s.PeerCertificates[0].RawSubjectPublicKeyInfo), attls.CertificateX509.String()
	}
	if shown {
		claims.OwnKey, claims.OwnType = keyName(own.Leaf.RawSubjectPublicKeyInfo), attls.CertificateX509.String()
	}
	if s.HandshakeComplete {
		if value, err := s.ExportKeyingMaterial(conformance.ExporterLabel, nil, conformance.ExporterSize); err == nil {
			claims.Exporter = hex.EncodeToString(value)
		}
	}
	return claims
}

// keyName names a key as claims do, by its DER SubjectPublicKeyInfo.
func keyName(spki []byte) string {
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:])
}

// askCryptoTLS is a client's part of the conversation.
func askCryptoTLS(c *tls.Conn) (sent, received int64, err error) {
	n, err := io.WriteString(c, question)
	if err != nil {
		return int64(n), 0, err
	}
	m, err := io.ReadFull(c, make([]byte, len(question)))
	if err == nil {
		err = c.CloseWrite()
	}
	if err == nil {
		_, err = io.Copy(io.Discard, c)
	}
	return int64(n), int64(m), err
}
