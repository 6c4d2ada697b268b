// Package peers lets TLS stacks meet: programs and engines behind one contract,
// the grid of what two of them can do together, and the comparison of what both
// ends claim.
package peers

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"

	"attls"
	"attls/conformance/adapter"
	"attls/conformance/claims"
	"attls/conformance/report"
	"attls/conformance/scenario"
)

// Peer is a stack that can be an end of a connection.
type Peer interface {
	Name() string
	// Missing says why the stack is not available; empty when it can.
	Missing() string
	// Limit says why the stack cannot be this end of the scenario; empty when it
	// can.
	Limit(s *scenario.Scenario, r attls.Role) string
	// Start starts one end of one connection. A server listens when Start
	// returns.
	Start(ctx context.Context, t *Task) (Process, error)
}

// Identifier is a Peer that can say which version it is, and where.
type Identifier interface {
	// Identify is called where nothing is missing. where is the path of its
	// program; empty when it has none.
	Identify(ctx context.Context) (version, where string, err error)
}

// Identify says what is known of a stack on this machine.
func Identify(ctx context.Context, p Peer) report.Stack {
	id := report.Stack{Name: p.Name(), Missing: p.Missing()}
	i, ok := p.(Identifier)
	if !ok || id.Missing != "" {
		return id
	}
	var err error
	if id.Version, id.Where, err = i.Identify(ctx); err != nil {
		id.Version = unknownVersion + err.Error()
	}
	if path, err := exec.LookPath(id.Where); err == nil {
		id.Where = path
	}
	return id
}

// unknownVersion begins the version of a stack that could not say it.
const unknownVersion = "unknown: "

// Deviator is a Peer that is known to answer a fault otherwise than it should.
type Deviator interface {
	// Deviation says what its releases do in a role instead; nil when nothing is known.
	Deviation(s *scenario.Scenario, r attls.Role) []Deviant
}

// Bounded is a Peer that does not send, or take, payloads of every size.
type Bounded interface {
	// Bound says what happens to the scenario's payload at an end that sends or
	// receives it; nil: it passes.
	Bound(s *scenario.Scenario, r attls.Role) *Bound
}

// Bound is how a stack fails over a payload that is too large for it.
type Bound struct {
	Deviant
	// Rule says that the profile or TLS draws the line, not the stack.
	Rule bool
}

// Rooted is a Peer that has another root of trust than the demonstration's: the
// other end attests by it, and appraises by it what this one sends.
type Rooted interface {
	Root() scenario.Root
}

// Answerer is a Peer that as a server may answer a request with what it likes, rather
// than with what it received.
type Answerer interface {
	// OwnAnswer reports whether it does, and what it has to be asked then in a case's last
	// connection or in one before; empty: anything.
	OwnAnswer(last bool) (own bool, request string)
	// EarlyUnanswered reports whether a server that takes 0-RTT data does not answer it.
	EarlyUnanswered() bool
}

// Abrupt is a Peer that may end connections without close_notify.
type Abrupt interface{ EndsAbruptly(r attls.Role) bool }

// Resumer is a Peer whose client may make both connections of a case with resumption in one
// process, and keep the session to itself.
type Resumer interface{ ResumesItself() bool }

// Deviant is how a stack deviates.
type Deviant struct {
	Does string // one sentence
	// Upstream is where the stack's authors have been told; empty: not known.
	Upstream string
	Alert    attls.AlertDescription // the alert that it sends, in place of the right one or of none
	None     bool                   // it rejects without an alert
	// Accepts says that it takes what it must reject.
	Accepts bool
	// Releases are those that were seen to deviate.
	Releases Releases
}

// shows reports whether the claims of the end that had to deal with the fault,
// and those of the other, show it.
func (d *Deviant) shows(mine, theirs *claims.Claims) bool {
	alert := alertOf(mine, theirs)
	switch {
	case !rejected(mine, theirs):
		return d.Accepts
	case alert == nil:
		return d.None
	}
	return !d.None && !d.Accepts && alert.Code == uint8(d.Alert)
}

// Process is a started end.
type Process interface {
	// Address is where a server listens.
	Address() string
	// Claims waits for the end of the next connection. A server makes as many as its
	// Task says.
	Claims() (claims.Claims, error)
	// Stop ends the process if it has not ended, and waits for it.
	Stop()
}

// Task is one end of one connection.
type Task struct {
	Scenario  scenario.Scenario
	Role      attls.Role
	Address   string // a client's: where the server listens
	Directory string // for files; the run's own
	// Root attests and appraises; nil: the demonstration's.
	Root scenario.Root
	// OwnAnswer tells a client that the server answers with what it likes, and Request what
	// it has to be asked then; empty: anything.
	OwnAnswer bool
	Request   string
	// AsksAgain tells a client that the server does not answer 0-RTT data.
	AsksAgain bool
	// Abrupt tells the end that the other one ends without close_notify.
	Abrupt bool
	// Resumes says that a client brings back the session that the client before it
	// has left in the run's directory.
	Resumes bool

	compiled string // the profile in a file for an Interpreter; empty: it goes by its name
	// selfSigned says that certificates made with Evidence are signed by the end's own key,
	// and flags come last, where they win.
	selfSigned bool
	flags      []string
}

// connections is how many a server makes.
func (t *Task) connections() int {
	if t.Scenario.Resumption != "" {
		return 2
	}
	return 1
}

// keeps says that a client leaves its session for the next one.
func (t *Task) keeps() bool {
	return t.Role == attls.RoleClient && t.connections() > 1 && !t.Resumes
}

// pskModes is what a flag --psk-modes is given; empty: no tickets are used.
func (t *Task) pskModes() string {
	if t.Scenario.Resumption == scenario.ResumePSKOnly {
		return attls.PSKOnly.String()
	}
	if t.Scenario.Resumption != "" {
		return attls.PSKWithDHE.String()
	}
	return ""
}

// Files of a run's directory.
const (
	fileAuthority = "ca.pem"
	fileIssuerKey = "ca.key"
	fileKeyLog    = "keys.log"
	fileEarlyData = "early"   // what a client sends as 0-RTT data
	fileSession   = "session" // of a client, in its stack's own form
)

func (t *Task) certificate() string  { return filepath.Join(t.Directory, t.Role.String()+".pem") }
func (t *Task) key() string          { return filepath.Join(t.Directory, t.Role.String()+".key") }
func (t *Task) ownPublicKey() string { return filepath.Join(t.Directory, t.Role.String()+".pub") }
func (t *Task) peerKey() string      { return filepath.Join(t.Directory, t.Role.Peer().String()+".pub") }
func (t *Task) keyLog() string       { return filepath.Join(t.Directory, t.Role.String()+"-"+fileKeyLog) }

// authority is the file of who is trusted: the authority behind both certificates,
// unless the scenario wants this end to trust nobody who vouches for the other's.
func (t *Task) authority() string {
	if t.Scenario.Fail == "untrusted-"+t.Role.Peer().String() {
		return t.certificate()
	}
	return filepath.Join(t.Directory, fileAuthority)
}

// issuer are the flags about the authority that signs certificates with Evidence.
func (t *Task) issuer() []string {
	return []string{"--issuer-cert", filepath.Join(t.Directory, fileAuthority),
		"--issuer-key", filepath.Join(t.Directory, fileIssuerKey)}
}

func (t *Task) earlyData() string { return filepath.Join(t.Directory, fileEarlyData) }

func (t *Task) session() string { return filepath.Join(t.Directory, fileSession) }

// writeFiles puts certificates for both roles, their private keys and their public
// keys alone into a run's directory, and the authority with its key.
func writeFiles(directory string) error {
	authority, err := scenario.NewDemoAuthority()
	if err != nil {
		return err
	}
	issuerKey, err := authority.KeyPEM()
	if err != nil {
		return err
	}
	files := map[string][]byte{fileAuthority: authority.PEM(), fileIssuerKey: issuerKey, fileEarlyData: []byte(question)}
	for _, r := range []attls.Role{attls.RoleClient, attls.RoleServer} {
		chain, key, err := authority.IssuePEM(scenario.KeyP256, serverName)
		if err != nil {
			return err
		}
		files[r.String()+".pem"], files[r.String()+".key"] = chain, key
		if files[r.String()+".pub"], err = publicPEM(key); err != nil {
			return err
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(directory, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// publicPEM is the public half of a private key.
func publicPEM(private []byte) ([]byte, error) {
	signer, err := parseKey(private)
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(signer.Public())
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}), err
}

// parseKey reads a private key (PKCS #8) as writeFiles writes it.
func parseKey(private []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(private)
	if block == nil {
		return nil, errors.New("no PEM block in a private key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("a private key that cannot sign")
	}
	return signer, nil
}

// question is what a client that can choose sends and expects back.
const question = adapter.Asked

// serverName is the name in all certificates.
const serverName = "localhost"

// newClaims are the claims of a stack that says nothing of attestation.
func newClaims(stack, version string, role attls.Role) claims.Claims {
	return claims.Claims{Schema: claims.ClaimsSchema, Stack: stack, Version: version, Role: role.String(),
		Protocol: "TLS 1.3",
		State:    "closed", Attestation: []claims.AttestationClaim{}}
}

// groups are those that an end offers: the scenario's, after another one for
// which a client sends a share where a HelloRetryRequest is to come.
func groups(s *scenario.Scenario, r attls.Role) []string {
	switch {
	case s.Group == "":
		return nil
	case !s.HelloRetry || r == attls.RoleServer:
		return []string{s.Group}
	case s.Group == "x25519":
		return []string{"secp256r1", s.Group}
	}
	return []string{"x25519", s.Group}
}
