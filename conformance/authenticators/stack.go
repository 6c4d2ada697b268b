// Package authenticators runs exported authenticators (RFC 9261) over connections that
// this stack and others have made: requests of both roles, answers, refusals, what answers
// no request, and what an attacker would make of them. The exporters of OpenSSL, GnuTLS
// and NSS are lent by the programs of conformance/exporters, and this module makes and
// checks the authenticators over them.
package authenticators

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"attls"
	"attls/extensions"
	"attls/handshake/authenticator"
	"attls/handshake/message"
	"attls/negotiation"
)

// Stack is an implementation of TLS 1.3 that has an exporter.
type Stack interface {
	Name() string
	// Missing says why the stack is not here; empty: it is.
	Missing() string
	// Version is that of the library.
	Version(ctx context.Context) (string, error)
	// Start begins one end of one connection on loopback: a server listens, and a client
	// connects to an address.
	Start(ctx context.Context, s *Setting) (Starting, error)
}

// Setting is what an end is to be.
type Setting struct {
	Role     attls.Role
	Address  string            // of the server; a client's
	Suite    attls.CipherSuite // the only one that is offered or accepted
	Identity *Identity         // of the end, in the handshake of a server and in authenticators
	// Updates says that Extended Key Update is offered, or taken.
	Updates bool
	Group   attls.NamedGroup // the only one; 0: as the stack has it
}

// Updating is a Stack that has Extended Key Update.
type Updating interface {
	Stack
	HasUpdates() bool
}

// updates reports whether a stack has Extended Key Update.
func updates(s Stack) bool {
	u, ok := s.(Updating)
	return ok && u.HasUpdates()
}

// Epochs is an End of a connection that has negotiated Extended Key Update. What the peer
// sends about it is handled in Receive.
type Epochs interface {
	End
	// Update begins an update.
	Update() error
	// Epoch is how many there were.
	Epoch() (uint64, error)
	ExportEpoch(epoch uint64, label string, context []byte, length int) ([]byte, error)
	// AuthenticatorsOf are those of an epoch (draft-ietf-tls-extended-key-update section 9).
	AuthenticatorsOf(epoch uint64) (Authenticators, error)
}

// Starting is an end before its handshake is complete.
type Starting interface {
	Address() string // a server's
	// End waits for the handshake.
	End() (End, error)
	// Stop gives the end up, in whatever state it is.
	Stop()
}

// End is one end of a connection. It carries frames as application data.
type End interface {
	Export(label string, context []byte, length int) ([]byte, error)
	Send(frame []byte) error
	Receive() ([]byte, error)
	// Authenticators returns a new state of RFC 9261, which has seen no request and no
	// authenticator.
	Authenticators() (Authenticators, error)
	// Close sends close_notify.
	Close() error
}

// Authenticators makes and checks, for one end.
type Authenticators interface {
	// Request asks the peer, with a context.
	Request(context []byte) ([]byte, Claim, error)
	// Answer answers a request, with the identity of the end or by refusing it.
	Answer(request []byte, refuse bool) ([]byte, []Claim, error)
	// Spontaneous answers no request.
	Spontaneous(context []byte) ([]byte, Claim, error)
	// Check validates an authenticator of the peer. Any certificate is trusted.
	Check(octets []byte) (Claim, error)
}

// Claim is what an end says of a message that it has made or taken. Two ends have to say
// the same of one message.
type Claim struct {
	// Message is CertificateRequest, ClientCertificateRequest or authenticator.
	Message string `json:"message"`
	Sender  string `json:"sender"` // client or server
	Context string `json:"context,omitempty"`
	// Extensions and Schemes are those of a request, as numbers in their order; Schemes
	// of an authenticator is the one of its signature.
	Extensions []uint16 `json:"extensions,omitempty"`
	Schemes    []uint16 `json:"schemes,omitempty"`
	// Chain has SHA-256 of each certificate that an authenticator shows.
	Chain       []string `json:"chain,omitempty"`
	Empty       bool     `json:"empty,omitempty"`
	Spontaneous bool     `json:"spontaneous,omitempty"`
}

// same says where two claims of one message differ; empty: nowhere.
func (c *Claim) same(d *Claim) string {
	for _, f := range []struct {
		name       string
		ours, peer any
	}{{"message", c.Message, d.Message}, {"sender", c.Sender, d.Sender}, {"context", c.Context, d.Context},
		{"extensions", c.Extensions, d.Extensions}, {"schemes", c.Schemes, d.Schemes}, {"chain", c.Chain, d.Chain},
		{"empty", c.Empty, d.Empty}, {"spontaneous", c.Spontaneous, d.Spontaneous}} {
		if a, b := fmt.Sprint(f.ours), fmt.Sprint(f.peer); a != b {
			return fmt.Sprintf("%s: its maker says %s, the other end %s", f.name, a, b)
		}
	}
	return ""
}

// Identity is what an end shows: a certificate, and its private key.
type Identity struct {
	Certificate []byte // DER
	Key         crypto.Signer
	Shown       *authenticator.Shown
}

// NewIdentity makes one of an ECDSA key of secp256r1, valid for an hour.
func NewIdentity(name string) (*Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		DNSNames: []string{name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	shown, err := authenticator.NewShown([][]byte{der}, key)
	if err != nil {
		return nil, err
	}
	return &Identity{der, key, shown}, nil
}

// offered are the signature schemes of requests.
var offered = []attls.SignatureScheme{attls.ED25519, attls.RSA_PSS_RSAE_SHA256, attls.ECDSA_SECP256R1_SHA256,
	attls.ECDSA_SECP384R1_SHA384}

// ours is Authenticators of this module.
type ours struct {
	c   *authenticator.Connection
	own *authenticator.Shown
}

// over makes them over the exporter of an end.
func over(role attls.Role, hash crypto.Hash, export authenticator.Exporter, hello []byte,
	own *Identity) (Authenticators, error) {
	parsed, err := authenticator.ParseClientHello(hello)
	if err != nil {
		return nil, fmt.Errorf("its ClientHello: %w", err)
	}
	c, err := authenticator.New(&authenticator.Config{Role: role, Version: attls.VersionTLS13, HandshakeComplete: true,
		Hash: hash, Export: export, ClientHello: parsed})
	if err != nil {
		return nil, err
	}
	return &ours{c, own.Shown}, nil
}

func (o *ours) Request(context []byte) ([]byte, Claim, error) {
	octets, err := o.c.Request(&authenticator.Request{Context: context, Wanted: negotiation.Wanted{Schemes: offered}})
	if err != nil {
		return nil, Claim{}, err
	}
	claim, err := claimRequest(o.c.Role(), octets)
	return octets, claim, err
}

// claimRequest describes a request by its octets.
func claimRequest(sender attls.Role, octets []byte) (Claim, error) {
	raw, failure := message.ParseRaw(octets)
	if failure != nil {
		return Claim{}, failure
	}
	var m message.CertificateRequest
	c := Claim{Message: raw.Kind.String(), Sender: sender.String()}
	if raw.Kind == attls.KindClientCertificateRequest {
		failure = (*message.ClientCertificateRequest)(&m).Unmarshal(raw.Body())
	} else {
		failure = m.Unmarshal(raw.Body())
	}
	if failure != nil {
		return Claim{}, failure
	}
	c.Context = hex.EncodeToString(m.Context)
	for i := range m.Extensions {
		x := &m.Extensions[i]
		c.Extensions = append(c.Extensions, uint16(x.Type))
		if x.Type != attls.ExtSignatureAlgorithms {
			continue
		}
		list, failure := extensions.ParseSignatureAlgorithms(x.Body)
		if failure != nil {
			return Claim{}, failure
		}
		for i := range list.Len() {
			c.Schemes = append(c.Schemes, list.At(i))
		}
	}
	return c, nil
}

func (o *ours) Answer(request []byte, refuse bool) ([]byte, []Claim, error) {
	r, err := o.c.Receive(request)
	if err != nil {
		return nil, nil, err
	}
	asked, err := claimRequest(o.c.Role().Peer(), request)
	if err != nil {
		return nil, nil, err
	}
	answer := Claim{Message: proof, Sender: o.c.Role().String(), Context: hex.EncodeToString(r.Context), Empty: true}
	if refuse {
		octets, err := o.c.Refuse(r)
		return octets, []Claim{asked, answer}, err
	}
	octets, shown, err := o.c.Answer(r, o.own)
	if err != nil {
		return nil, nil, err
	}
	if shown == nil {
		return nil, nil, errors.New("no scheme of the request fits the key")
	}
	answer.Empty, answer.Chain = false, chainOf(shown.Chain)
	answer.Schemes, err = schemeOf(octets)
	return octets, []Claim{asked, answer}, err
}

func (o *ours) Spontaneous(context []byte) ([]byte, Claim, error) {
	octets, err := o.c.Spontaneous(context, o.own)
	if err != nil {
		return nil, Claim{}, err
	}
	claim := Claim{Message: proof, Sender: o.c.Role().String(), Context: hex.EncodeToString(context), Spontaneous: true,
		Chain: chainOf(o.own.Chain)}
	claim.Schemes, err = schemeOf(octets)
	return octets, claim, err
}

func (o *ours) Check(octets []byte) (Claim, error) {
	id, err := o.c.Validate(octets, func(*authenticator.Identity) error { return nil })
	c := Claim{Message: proof, Sender: o.c.Role().Peer().String()}
	if authenticator.Refused(err) {
		c.Empty = true
		return c, nil
	}
	if err != nil {
		return Claim{}, err
	}
	c.Context, c.Spontaneous = hex.EncodeToString(id.Context), id.Spontaneous
	c.Chain, c.Schemes = chainOf(id.Chain), []uint16{uint16(id.Scheme)}
	return c, nil
}

// proof is the name of an authenticator in claims.
const proof = "authenticator"

func chainOf(chain [][]byte) (list []string) {
	for _, der := range chain {
		sum := sha256.Sum256(der)
		list = append(list, hex.EncodeToString(sum[:]))
	}
	return list
}

// messages cuts octets into handshake messages.
func messages(octets []byte) (list [][]byte) {
	for rest := octets; len(rest) >= 4; {
		n := min(4+int(rest[1])<<16+int(rest[2])<<8+int(rest[3]), len(rest))
		list, rest = append(list, rest[:n]), rest[n:]
	}
	return list
}

// schemeOf is the scheme of a CertificateVerify in an authenticator.
func schemeOf(octets []byte) ([]uint16, error) {
	list := messages(octets)
	i := slices.IndexFunc(list, func(m []byte) bool { return m[0] == byte(attls.TypeCertificateVerify) && len(m) >= 6 })
	if i < 0 {
		return nil, errors.New("the authenticator has no CertificateVerify")
	}
	return []uint16{uint16(list[i][4])<<8 | uint16(list[i][5])}, nil
}
