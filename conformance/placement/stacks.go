package placement

import (
	"context"
	"crypto/tls"
	"net"

	"attls"
	"attls/conformance/scenario"
	"attls/handshake"
)

// Own is this stack, which asks for much and resumes sessions.
func Own() (*InProcess, error) {
	authority, err := authority()
	if err != nil {
		return nil, err
	}
	credential, err := authority.Issue(scenario.KeyP256, serverName)
	if err != nil {
		return nil, err
	}
	answerer := &handshake.Answerer{Credentials: []*handshake.Credential{credential},
		Trust: handshake.Trust{InsecureSkipVerify: true}, ServerSessions: &handshake.ServerSessions{}}
	groups := []attls.NamedGroup{attls.GroupX25519, attls.GroupSecp256r1, attls.GroupSecp384r1}
	client := &handshake.Config{PSK: true, ServerName: serverName, ALPN: []string{"http/1.1"}, RequestOCSP: true,
		RequestSCT: true, PostHandshakeAuthentication: true, RecordSizeLimit: 1 << 14, Groups: groups}
	server := &handshake.Config{PSK: true, Tickets: 1, ALPN: []string{"http/1.1"}, Groups: groups, RequestOCSP: true,
		ClientAuthentication: handshake.OptionalClientCertificate}
	end := func(make func(net.Conn, *handshake.Config, *handshake.Answerer, ...handshake.Tap) *handshake.Conn,
		c *handshake.Config, serves bool) func(context.Context, net.Conn) error {
		return func(ctx context.Context, nc net.Conn) error {
			conn := make(nc, c, answerer)
			defer func() { _ = conn.Close() }()
			if err := conn.HandshakeContext(ctx); err != nil {
				return err
			}
			return answer(conn, serves)
		}
	}
	return &InProcess{Client: end(handshake.Client, client, false), Server: end(handshake.Server, server, true)}, nil
}

// CryptoTLS is Go's crypto/tls.
func CryptoTLS() (*InProcess, error) {
	authority, err := authority()
	if err != nil {
		return nil, err
	}
	chain, key, err := authority.IssuePEM(scenario.KeyP256, serverName)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13, RootCAs: authority.Pool(),
		ServerName: serverName, NextProtos: []string{"http/1.1"}, ClientAuth: tls.RequestClientCert,
		ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	return &InProcess{
		Client: func(ctx context.Context, nc net.Conn) error {
			own := config.Clone()
			own.ClientSessionCache = tls.NewLRUClientSessionCache(1) // a session of another case is none of this one
			c := tls.Client(nc, own)
			defer c.Close()
			if err := c.HandshakeContext(ctx); err != nil {
				return err
			}
			return answer(c, false)
		},
		Server: func(ctx context.Context, nc net.Conn) error {
			c := tls.Server(nc, config)
			defer c.Close()
			if err := c.HandshakeContext(ctx); err != nil {
				return err
			}
			return answer(c, true)
		}}, nil
}
