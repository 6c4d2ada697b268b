package placement

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"attls"
	"attls/conformance/adapter"
	"attls/conformance/scenario"
	"attls/internal/console"
)

// Programs is a stack whose ends are programs that an adapter describes.
type Programs struct {
	stack     *adapter.Stack
	directory string
	values    [2]adapter.Values
}

// NewPrograms prepares a stack in a directory, which the caller removes.
func NewPrograms(ctx context.Context, s *adapter.Stack, directory string) (*Programs, error) {
	authority, err := authority()
	if err != nil {
		return nil, err
	}
	p := &Programs{stack: s, directory: directory}
	ca := filepath.Join(directory, "ca.pem")
	if err := os.WriteFile(ca, authority.PEM(), 0o600); err != nil {
		return nil, err
	}
	for _, r := range attls.Roles() {
		chain, key, err := authority.IssuePEM(scenario.KeyP256, serverName)
		if err != nil {
			return nil, err
		}
		own := filepath.Join(directory, r.String())
		values := adapter.Values{"certificate": filepath.Join(own, "end.pem"), "key": filepath.Join(own, "end.key"),
			"authority": ca, "directory": own, "name": serverName, "keylog": filepath.Join(own, "keys.log"),
			"role": r.String(), "version": s.Version}
		err = os.MkdirAll(own, 0o700)
		if err == nil {
			err = os.WriteFile(values["certificate"], chain, 0o600)
		}
		if err == nil {
			err = os.WriteFile(values["key"], key, 0o600)
		}
		if err == nil && s.Ends[r] != nil {
			err = s.Prepared(ctx, values)
		}
		if err != nil {
			return nil, err
		}
		p.values[r] = values
	}
	return p, nil
}

// Takes reports whether a case can be sent to the stack: it is an end of its role, asks for
// certificates where one is sent, and shows what it does with the message.
func (p *Programs) Takes(c *Case) bool {
	e := p.stack.Ends[c.Role]
	return e != nil && !(e.NeverAsks && c.Role == attls.RoleServer && c.Message == ct) &&
		!slices.Contains(e.Unseen, c.Message)
}

// Repeats implements Repeater.
func (p *Programs) Repeats() bool {
	e := p.stack.Ends[attls.RoleClient]
	return e != nil && e.Repeats
}

// Serve implements Stack.
func (p *Programs) Serve(ctx context.Context) (Peer, error) {
	r, err := p.stack.Serve(ctx, p.values[attls.RoleServer])
	if err != nil {
		return nil, err
	}
	return running{r, ctx}, nil
}

// Connect implements Stack.
func (p *Programs) Connect(ctx context.Context, address string) (Peer, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if p.stack.Ends[attls.RoleClient] == nil {
		return nil, errors.New(p.stack.Name + " is not a client")
	}
	values := adapter.Values{}
	for k, v := range p.values[attls.RoleClient] {
		values[k] = v
	}
	values["address"], values["host"], values["port"] = address, host, port
	r, err := p.stack.Connect(ctx, values)
	if err != nil {
		return nil, err
	}
	return running{r, ctx}, nil
}

// running is a program as a Peer.
type running struct {
	*adapter.Running
	ctx context.Context
}

// Address implements Peer.
func (r running) Address() string { return r.Running.Address }

// Ended implements Peer.
func (r running) Ended(wait time.Duration) (bool, string) { return r.Running.Ended(r.ctx, wait) }

// maxSays bounds what is kept of what a program printed, in octets.
const maxSays = 600

// Says implements Peer.
func (r running) Says() string {
	return attls.PrintableLines(string(console.Tail(r.Printed(), maxSays)))
}
