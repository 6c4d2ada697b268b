package peers

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"slices"

	"attls"
	"attls/conformance/cases"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/negotiation"
)

// InProcess is this stack, in the process that runs the grid.
type InProcess struct{}

// Name implements Peer: it is what grids, pages and flags call the stack.
func (InProcess) Name() string { return "attls" }

// Missing implements Peer: nothing has to be installed.
func (InProcess) Missing() string { return "" }

// Identify implements Identifier.
func (InProcess) Identify(context.Context) (version, where string, err error) {
	return claims.StackVersion(), "", nil
}

// Limit implements Peer.
func (InProcess) Limit(s *scenario.Scenario, _ attls.Role) string {
	p, err := s.Load()
	switch {
	case err != nil || p == nil:
	case s.Resumption != "" && !ticketed(p):
		return p.ID + " has no tickets and therefore no resumption"
	case s.RawPublicKeys && attestsLater(s):
		return "raw public keys have no exported authenticators (RFC 9261 5.2.1)"
	}
	return ""
}

// ticketed reports whether servers send tickets under a profile, and clients keep
// them.
func ticketed(p *profile.Profile) bool {
	return negotiation.AllowTickets(p) && negotiation.KeepTickets(p) &&
		!slices.Contains(p.Quirks.NeverSend, attls.KindNewSessionTicket)
}

// Start implements Peer.
func (InProcess) Start(ctx context.Context, t *Task) (Process, error) {
	end, err := scenario.NewEnd(t.Scenario, t.Role, t.Root, scenario.Find(cases.Find))
	if err != nil {
		return nil, err
	}
	if end.Config.Groups, err = groupNumbers(groups(&t.Scenario, t.Role)); err != nil {
		return nil, err
	}
	if t.Scenario.HelloRetry && t.Role == attls.RoleClient && len(end.Config.Groups) > 0 {
		end.Config.KeyShares = end.Config.Groups[:1] // whatever group a session had
	}
	end.OwnAnswer, end.Request, end.Abrupt, end.AsksAgain = t.OwnAnswer, t.Request, t.Abrupt, t.AsksAgain
	end.Config.Retry = handshake.Retry{Always: t.Scenario.Cookie, Cookie: t.Scenario.Cookie}
	if t.Scenario.RawPublicKeys {
		if err := useRawKeys(end, t); err != nil {
			return nil, err
		}
	}
	if t.Resumes {
		if err := bringBack(end, t.session()); err != nil {
			return nil, err
		}
	}
	made := 0 // connections
	return startHere(ctx, t, func(ctx context.Context, nc net.Conn, keyLog io.Writer) (claims.Claims, error) {
		end.Config.KeyLog = keyLog
		claims, err := end.Exchange(ctx, nc)
		made++
		switch {
		case err != nil:
		case t.keeps():
			err = keep(end, t.session())
		case !end.Provoked() && (t.Role == attls.RoleClient || made == t.connections()):
			err = unprovoked(t, &claims)
		}
		return claims, err
	})
}

// unprovoked says that a connection ended before the fault in it was sent, so that
// nothing that the other end claims is about the fault.
func unprovoked(t *Task, c *claims.Claims) error {
	why := "the connection was closed"
	if c.Error != nil {
		why = fmt.Sprintf("%s (%s)", or(c.Error.Detail, "no detail"), c.Error.Failure)
	}
	return fmt.Errorf("%s was not sent: %s", t.Scenario.Injected(), why)
}

// useRawKeys takes the keys in the run's directory, which the peer has as well.
func useRawKeys(end *scenario.End, t *Task) error {
	private, err := os.ReadFile(t.key())
	if err != nil {
		return err
	}
	own, err := parseKey(private)
	if err != nil {
		return err
	}
	public, err := os.ReadFile(t.peerKey())
	if err != nil {
		return err
	}
	block, _ := pem.Decode(public)
	if block == nil {
		return fmt.Errorf("no PEM block in %s", t.peerKey())
	}
	return end.UseRawKeys(own, block.Bytes)
}

// keep writes the session of a client's ticket; without a ticket, nothing.
func keep(end *scenario.End, file string) error {
	s := end.Session()
	if s == nil {
		return nil
	}
	return os.WriteFile(file, s.Marshal(), 0o600)
}

// bringBack lets a client resume the session in a file.
func bringBack(end *scenario.End, file string) error {
	blob, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	s, failure := handshake.ParseSession(blob)
	if failure != nil {
		return failure
	}
	end.Resume(s)
	return nil
}

// exchange is the part of an end that has its connection.
type exchange func(ctx context.Context, nc net.Conn, keyLog io.Writer) (claims.Claims, error)

// startHere starts an end that is a function of its connection.
func startHere(ctx context.Context, t *Task, f exchange) (Process, error) {
	keyLog, err := os.OpenFile(t.keyLog(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	p := &inProcess{exchange: f, cancel: cancel, keyLog: keyLog, connections: t.connections(), done: make(chan struct{})}
	p.claims = make(chan claimed, p.connections)
	if t.Role == attls.RoleClient {
		p.connections = 1
		go p.run(ctx, func() (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, "tcp", t.Address) })
		return p, nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		cancel()
		keyLog.Close()
		return nil, err
	}
	p.address = l.Addr().String()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	go func() {
		defer stop()
		defer l.Close()
		p.run(ctx, l.Accept)
	}()
	return p, nil
}

func groupNumbers(names []string) ([]attls.NamedGroup, error) {
	var list []attls.NamedGroup
	for _, n := range names {
		g, ok := attls.GroupByName(n)
		if !ok {
			return nil, fmt.Errorf("no group is called %q", n)
		}
		list = append(list, g)
	}
	return list, nil
}

type inProcess struct {
	exchange    exchange
	address     string
	cancel      context.CancelFunc
	keyLog      *os.File
	connections int
	claims      chan claimed
	done        chan struct{}
}

// claimed is what became of one connection.
type claimed struct {
	claims claims.Claims
	err    error
}

func (p *inProcess) run(ctx context.Context, connect func() (net.Conn, error)) {
	defer close(p.done)
	defer p.keyLog.Close()
	for range p.connections {
		p.claims <- p.one(ctx, connect)
	}
}

// one makes one connection.
func (p *inProcess) one(ctx context.Context, connect func() (net.Conn, error)) (c claimed) {
	nc, err := connect()
	if err != nil {
		return claimed{err: err}
	}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	c.claims, c.err = p.exchange(ctx, nc, p.keyLog)
	return c
}

func (p *inProcess) Address() string { return p.address }

func (p *inProcess) Claims() (claims.Claims, error) {
	c := <-p.claims
	return c.claims, c.err
}

func (p *inProcess) Stop() {
	p.cancel()
	<-p.done
}
