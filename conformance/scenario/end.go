package scenario

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/trace"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/exported"
	"attls/handshake/message"
	"attls/record"
)

// End is one end of a scenario whose other end is another program. It sends back
// what it receives as a server; as a client it sends a request and expects it
// back. Both close with close_notify.
type End struct {
	Scenario Scenario // completed
	Role     attls.Role
	Profile  *profile.Profile
	Injected Injection // of Scenario.Fail or Scenario.Tolerate; nil: nothing
	Config   *handshake.Config
	// OwnAnswer says that a server answers the request with what it likes and
	// closes, rather than with what it received.
	OwnAnswer bool
	// Abrupt says that the peer ends without close_notify, so that the end of the connection is
	// taken for it once data has come.
	Abrupt bool
	// AsksAgain says that the server does not answer what it takes as 0-RTT data.
	AsksAgain bool
	// Request is what a client asks; empty: Request of the package.
	Request string

	set      *Setup
	provoked bool
}

// Provoked reports whether what the scenario injects was done in the last
// Exchange. What lies in settings alone counts as done.
func (e *End) Provoked() bool { return e.provoked }

// Provocation is a tap that notes whether the one behind it changes anything.
type Provocation struct {
	handshake.Tap
	Done *bool // set when something was changed
}

// Message implements handshake.Tap, as the methods below do.
func (t Provocation) Message(d handshake.Direction, m *message.Raw, p *handshake.Plan) {
	t.Tap.Message(d, m, p)
	*t.Done = *t.Done || p.Drop || len(p.Before)+len(p.After) > 0 || p.Replace != nil && !bytes.Equal(p.Replace, m.Bytes)
}

// Record implements handshake.Tap; padding counts as a change.
func (t Provocation) Record(d handshake.Direction, r *record.Raw, p *record.Plan) {
	t.Tap.Record(d, r, p)
	*t.Done = *t.Done || p.Drop || len(p.Before)+len(p.After) > 0 || p.Padding > 0 ||
		p.Replace != nil && !bytes.Equal(p.Replace, r.Payload)
}

// Derived implements handshake.Tap.
func (t Provocation) Derived(name handshake.SecretName, secret []byte) []byte {
	derived := t.Tap.Derived(name, secret)
	*t.Done = *t.Done || !bytes.Equal(derived, secret)
	return derived
}

// Fork implements handshake.Tap; a fork sets the same Done.
func (t Provocation) Fork() handshake.Tap { return Provocation{Tap: t.Tap.Fork(), Done: t.Done} }

// NewEnd makes the end that a scenario describes, with the root of trust and the
// Verifier of root. A fault of the scenario acts as far as it is this end's to
// provoke.
func NewEnd(s Scenario, role attls.Role, root Root, options ...Option) (*End, error) {
	env, err := NewEnvironment()
	if err != nil {
		return nil, err
	}
	env.Root = root
	env.Keep() // a server shows the same again
	set, injected, err := newRunner(append(options, In(env))).prepare(&s)
	if err != nil {
		return nil, err
	}
	if s.Resumption != "" {
		set.resumption(s.Resumption)
	}
	return &End{Scenario: s, Role: role, Profile: set.Profile, Injected: injected, Config: set.Ends[role].Config,
		set: set}, nil
}

// Resume lets a client bring back a session.
func (e *End) Resume(s *handshake.Session) { e.set.Ends[e.Role].Clients.Put(s) }

// Session takes the session that a client has got a ticket for; nil: none.
func (e *End) Session() *handshake.Session {
	for _, p := range e.set.Ends[e.Role].Clients.Offers(&handshake.PSKRequest{ServerName: e.Config.ServerName}) {
		return p.Session
	}
	return nil
}

// UseRawKeys replaces the raw public keys of a scenario that has them: our private
// key, and the DER SubjectPublicKeyInfo that the peer must show.
func (e *End) UseRawKeys(own crypto.Signer, peer []byte) error {
	credential, err := handshake.NewRawCredential(own)
	if err != nil {
		return err
	}
	e.set.raw[e.Role] = credential
	e.set.raw[e.Role.Peer()] = &handshake.Credential{Type: attls.CertificateRawPublicKey, Chain: [][]byte{peer}}
	return nil
}

// Exchange makes a connection and closes it; a server may make several, one after
// another.
func (e *End) Exchange(ctx context.Context, nc net.Conn) (claims.Claims, error) {
	defer nc.Close()
	answerer, err := e.set.answerer(e.Role, &tape{})
	if err != nil {
		return claims.Claims{}, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		nc.SetDeadline(deadline)
	}
	w := &wire{Conn: nc, split: e.Scenario.Split}
	trace := trace.New(e.Role, e.Profile)
	trace.KeepSecrets = e.Config.KeyLog != nil
	tap := e.Config.Tap
	e.provoked = tap == nil
	if tap != nil {
		e.Config.Tap = handshake.Taps(Provocation{Tap: tap, Done: &e.provoked}, trace)
	} else {
		e.Config.Tap = trace
	}
	defer func() { e.Config.Tap = tap }()
	var c *handshake.Conn
	if e.Role == attls.RoleClient {
		c = handshake.Client(w, e.Config, answerer)
	} else {
		c = handshake.Server(w, e.Config, answerer)
	}
	talk := conversation{End: e, channel: c, conn: c}
	if e.Scenario.EarlyData && e.Role == attls.RoleClient {
		c.SetEarlyData([]byte(cmp.Or(e.Request, Request))) // sent where a session allows it
	}
	if own := e.set.Ends[e.Role].Exported; own != nil {
		later := *own
		later.Profile = e.Config.Profile
		talk.later = exported.Wrap(c, &later, answerer.Answer)
		talk.channel = talk.later
	}
	err = afterWrite(talk.hold(ctx), c)
	if err == nil && e.updateIsDue() && trace.KeyUpdates() == 0 {
		err = attls.Errorf(attls.Violation, attls.FailUnexpectedMessage, "application data came, and no KeyUpdate before it").
			By("RFC 8446 4.6.3")
	}
	w.finish()
	if trace.KeepSecrets {
		LogSecrets(e.Config.KeyLog, c.ConnectionState().ClientRandom, trace.Secrets())
	}
	o := claims.Outcome{Closed: err == nil}
	if err != nil && !errors.As(err, &o.Err) {
		o.Err = attls.Errorf(attls.Local, attls.FailInternal, "%v", err)
	}
	o.Exported = claims.Exported(c)
	o.AlertSent, o.AlertReceived = trace.Alerts()
	o.DataSent, o.DataReceived = trace.Data()
	if talk.asked { // the answer shows what the server has received of both
		o.DataSent -= int64(len(cmp.Or(e.Request, Request)))
	}
	made := claims.MakeClaims(e.Profile, c.ConnectionState(), o)
	if talk.later != nil {
		list := talk.later.Outcomes()
		for i := range list {
			made.AddLater(e.Profile, &list[i])
		}
	}
	return made, nil
}

// afterWrite is why a conversation ended: where writing failed since the peer had closed, the
// alert that it sent before may be there to be read.
func afterWrite(err error, c *handshake.Conn) error {
	var written *net.OpError
	if !errors.As(err, &written) || written.Op != "write" || written.Timeout() {
		return err
	}
	_, read := io.Copy(io.Discard, c)
	var alert *attls.Error
	if errors.As(read, &alert) && alert.HasAlert {
		return read
	}
	return err
}

// updateIsDue reports whether the peer has to send a KeyUpdate: it begins, or it answers ours
// after it has received it. A client may have written before that.
func (e *End) updateIsDue() bool {
	return e.Scenario.KeyUpdate == e.Role.Peer().String() ||
		e.Scenario.KeyUpdate == e.Role.String() && e.Role == attls.RoleClient
}

// IssuePEM makes a certificate as Issue does, for programs that read files: the
// certificate and its private key.
func (a *DemoAuthority) IssuePEM(t KeyType, names ...string) (chain, key []byte, err error) {
	credential, err := a.Issue(t, names...)
	if err != nil {
		return nil, nil, err
	}
	key, err = privatePEM(credential.Signer)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: credential.Chain[0]}), key, err
}

// privatePEM is a private key as programs read it: PKCS #8.
func privatePEM(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("the private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// KeyPEM is the authority's private key, for programs that make a certificate in the
// handshake, with Evidence in it.
func (a *DemoAuthority) KeyPEM() ([]byte, error) { return privatePEM(a.key) }

// PEM is the authority's certificate.
func (a *DemoAuthority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate.Raw})
}
