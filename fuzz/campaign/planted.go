//go:build attls_planted

package campaign

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"attls"
	"attls/conformance/scenario"
	"attls/handshake"
	"attls/internal/provider"
	"attls/internal/rule"
)

// Planted is an end of connections, over a network, that has a planted bug. It is in no
// ordinary build: the tag attls_planted adds it.
type Planted struct {
	Plant Plant
	Role  attls.Role // the end that has the bug
	Sound bool       // every rule is in force after all

	config   *handshake.Config
	answerer *handshake.Answerer
}

// AfterHandshakeError says that a bug shows in exported authenticators alone.
type AfterHandshakeError struct{ Bug string }

func (e *AfterHandshakeError) Error() string {
	return fmt.Sprintf("the bug %s is one of attestation in exported authenticators, after the handshake; "+
		"the ends that are served here do not go that far", e.Bug)
}

// NewPlanted makes an end with the bug of a name; see Plant.End.
func NewPlanted(name string, role *attls.Role, sound bool) (*Planted, error) {
	plant, err := plantCalled(name)
	if err != nil {
		return nil, err
	}
	return plant.End(role, sound)
}

// End makes an end with the bug. A nil role is the one that Plants gives. A sound end is the
// same with every rule in force, for comparison. The end is that of the scenario in which
// attls spec --prove turns the rule off; its certificate is one of the demonstration authority.
func (p Plant) End(role *attls.Role, sound bool) (*Planted, error) {
	end := &Planted{Plant: p, Role: p.Role, Sound: sound}
	if role != nil {
		end.Role = *role
	}
	if err := end.prepare(); err != nil {
		return nil, err
	}
	return end, nil
}

// plantCalled finds a bug, and reads no more than it has to: a program has to listen soon.
func plantCalled(name string) (Plant, error) {
	for _, p := range append(others(), proofPlants()...) {
		if p.Name == name {
			return p, nil
		}
	}
	for p, err := range planting() {
		if err != nil || p.Name == name {
			return p, err
		}
	}
	return Plant{}, fmt.Errorf("no bug is called %q", attls.Printable(name))
}

func (p *Planted) prepare() error {
	if p.Plant.after {
		return &AfterHandshakeError{p.Plant.Name}
	}
	where := p.Plant.scenario
	revision, err := where.Load()
	if err != nil {
		return err
	}
	if err := where.Complete(revision); err != nil {
		return err
	}
	env, err := scenario.NewFixedEnvironment()
	if err != nil {
		return err
	}
	env.Clock = nil // the time of others is the real one
	set, err := env.NewSetup(revision, &where)
	if err != nil {
		return err
	}
	end := set.Ends[p.Role]
	if end.Exported != nil {
		return &AfterHandshakeError{p.Plant.Name}
	}
	tickets := revision == nil && !where.ExtendedKeyUpdate && p.Role == attls.RoleServer
	if where.Resumption != "" || tickets {
		set.Resumable(&handshake.ServerSessions{}, &handshake.ClientSessions{})
	}
	c := end.Config
	c.RequestOCSP, c.RequestSCT = true, true // what extensions can be sent depends on it
	if where.ALPN == "" {
		c.ALPN = []string{"attls", "http/1.1"}
	}
	p.config = c
	if !p.Sound {
		if p.Plant.rule != "" {
			p.config = rule.Without(c, p.Plant.rule)
		}
		p.config.Tap = p.Plant.tap
		if p.Plant.provider != nil {
			provider.Select(p.config, p.Plant.provider(provider.Real()))
		}
	}
	p.answerer, err = set.Answerer(p.Role)
	return err
}

// Authority is the certificate, PEM, of who vouches for planted ends, and whom they trust.
func Authority() ([]byte, error) {
	a, err := scenario.NewFixedAuthority()
	if err != nil {
		return nil, err
	}
	return a.PEM(), nil
}

// What a planted server answers to each read of application data.
const plantedAnswer = "HTTP/1.0 200 OK\r\n\r\nThis end has a planted bug.\n"

// Talk makes a connection of which nc is the other end, until the peer closes it or the
// context is over. A server answers what it reads, and closes after a request of HTTP; a client
// sends one and reads.
func (p *Planted) Talk(ctx context.Context, nc net.Conn) error {
	end := handshake.Client
	if p.Role == attls.RoleServer {
		end = handshake.Server
	}
	conn := end(nc, p.config, p.answerer)
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	if p.Role == attls.RoleClient {
		if _, err := conn.Write([]byte(request)); err != nil {
			return err
		}
	}
	b := make([]byte, 1<<12)
	for read := 0; read < maxAnswer; {
		n, err := conn.Read(b)
		read += n
		if n > 0 && p.Role == attls.RoleServer {
			if _, err := conn.Write([]byte(plantedAnswer)); err != nil {
				return err
			}
			if bytes.HasSuffix(b[:n], []byte("\r\n\r\n")) {
				break
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			_ = conn.CloseWrite() // the peer may not wait for it
			return nil
		case err != nil:
			return err
		}
	}
	return conn.CloseWrite()
}
