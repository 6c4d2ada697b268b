package handshake

import (
	"context"

	"attls"
	"attls/extensions"
	"attls/handshake/authenticator"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/internal/rule"
)

// Exported authenticators (RFC 9261) over this engine. They see and are seen as the
// handshake is: by the tap, under the provider, in a fork, and with contexts out of the
// engine's randomness.

// Authenticators returns what makes and checks the exported authenticators of this
// connection, always the same. It is there once the handshake is complete, which at a
// server means that the client's Finished was verified (RFC 9261 section 9).
func (e *Engine) Authenticators() (*authenticator.Connection, error) {
	switch {
	case e.err != nil:
		return nil, e.err
	case e.authenticators != nil:
		return e.authenticators, nil
	case !e.done:
		return nil, attls.Errorf(attls.Local, attls.FailConfiguration, "the handshake is not complete").By("RFC 9261 9")
	}
	c := &authenticator.Config{
		Role:              e.role,
		Version:           attls.VersionTLS13,
		HandshakeComplete: e.done,
		Hash:              e.nego.suite.Hash,
		Export:            e.Export,
		ClientHello:       e.clientHelloOffers(),
		Extensions:        e.authenticatorTable(),
		Random:            e.requestContext,
	}
	if e.tap() != nil {
		c.Tap = authenticatorTap{e}
	}
	provider.Select(c, e.prov)
	for _, r := range rule.All() {
		if !e.obeys(r) {
			c = rule.Without(c, r)
		}
	}
	a, err := authenticator.New(c)
	if err != nil {
		return nil, err
	}
	e.authenticators = a
	return a, nil
}

// authenticatorTable has the extensions that the profile places in authenticators as well,
// where both ends have set the flag that it may want.
func (e *Engine) authenticatorTable() *extensions.Table {
	if e.profile().Authenticator.FlagName != "" && !e.nego.laterAgreed && e.obeys(rule.FlagAgreed) {
		return e.table // they are unknown without the flag
	}
	table, err := e.table.With(e.profile().LaterExtensions...)
	if err != nil { // of the handshake's, which the loader keeps apart
		return e.table
	}
	return table
}

func (e *Engine) requestContext(n uint32, dst []byte) { e.random.Fill(UseRequestContext, n, dst) }

// clientHelloOffers is what the client has offered, for authenticators that answer no
// request.
func (e *Engine) clientHelloOffers() *authenticator.ClientHello {
	h := &authenticator.ClientHello{Extensions: e.sent.Types(attls.RoleClient, attls.KindClientHello)}
	if e.role == attls.RoleClient {
		h.Schemes = e.cfg.signatureSchemes()
		return h
	}
	h.Schemes, h.ServerName = e.nego.peerSchemes, e.nego.serverName
	return h
}

// forkAuthenticators gives a fork authenticators of its own.
func (e *Engine) forkAuthenticators(f *Engine) {
	if e.authenticators == nil {
		return
	}
	o := authenticator.ForkOptions{Export: f.Export, Random: f.requestContext}
	if f.tap() != nil {
		o.Tap = authenticatorTap{f}
	}
	f.authenticators = e.authenticators.Fork(o)
}

// Shown is what authenticators show of a Credential, which has X.509 certificates.
func (c *Credential) Shown() *authenticator.Shown {
	return &authenticator.Shown{Chain: c.Chain, Schemes: c.Schemes, OCSP: c.OCSP, SCT: c.SCT, Signer: c.Signer}
}

// authenticatorTap shows authenticators to the tap of an engine.
type authenticatorTap struct{ e *Engine }

func (t authenticatorTap) Message(sent bool, m *message.Raw) authenticator.Plan {
	d := Received
	if sent {
		d = Sent
	}
	var p Plan
	t.e.tap().Message(d, m, &p)
	return authenticator.Plan{Replace: p.Replace, Drop: p.Drop, Before: p.Before, After: p.After,
		TranscriptOriginal: p.TranscriptOriginal}
}

func (t authenticatorTap) Derived(label string, value []byte) []byte {
	return t.e.tap().Derived(SecretName(label), value)
}

// Authenticators returns what makes and checks the exported authenticators of this
// connection, always the same, after the handshake; see Engine.Authenticators. What it
// makes travels however the application likes, in this connection too.
func (c *Conn) Authenticators() (a *authenticator.Connection, err error) {
	if err := c.Handshake(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.engine.Authenticators()
}

// Authenticator judges the chain of an authenticator, for Connection.Validate, as that of
// a peer in the handshake. The name in a server's certificate is ServerName, unless
// AnyName or the argument says another.
func (t *Trust) Authenticator(ctx context.Context, serverName string) func(*authenticator.Identity) error {
	return func(id *authenticator.Identity) error {
		_, err := t.check(ctx, &CertificateVerdictRequest{Peer: id.Role, Type: attls.CertificateX509, Chain: id.Chain,
			OCSP: id.OCSP, SCT: id.SCT, ServerName: serverName})
		if err != nil {
			return err
		}
		return nil
	}
}
