package peers

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"

	"attls"
	"attls/conformance"
	"attls/handshake"
)

// InProcess is this stack, in the process that runs the grid.
type InProcess struct{}

func (InProcess) Name() string    { return "attls" }
func (InProcess) Missing() string { return "" }

// Identify implements Identifier.
func (InProcess) Identify(context.Context) (version, where string, err error) {
	return conformance.StackVersion(), "", nil
}

func (InProcess) Limit(*conformance.Scenario, attls.Role) string { return "" }

// Start implements Peer.
func (InProcess) Start(ctx context.Context, t *Task) (Process, error) {
	end, err := conformance.NewEnd(t.Scenario, t.Role, t.Root)
	if err != nil {
		return nil, err
	}
	if end.Config.Groups, err = groupNumbers(groups(&t.Scenario, t.Role)); err != nil {
		return nil, err
	}
	end.OwnAnswer = t.OwnAnswer
	end.Config.Retry = handshake.Retry{Always: t.Scenario.Cookie, Cookie: t.Scenario.Cookie}
	return startHere(ctx, t, func(ctx context.Context, nc net.Conn, keyLog io.Writer) (conformance.Claims, error) {
		end.Config.KeyLog = keyLog
		return end.Exchange(ctx, nc)
	})
}

// exchange is the part of an end that has its connection.
type exchange func(ctx context.Context, nc net.Conn, keyLog io.Writer) (conformance.Claims, error)

// startHere starts an end that is a function of its connection.
func startHere(ctx context.Context, t *Task, f exchange) (Process, error) {
	keyLog, err := os.Create(t.keyLog())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	p := &inProcess{exchange: f, cancel: cancel, keyLog: keyLog, done: make(chan struct{})}
	if t.Role == attls.RoleClient {
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
	exchange exchange
	address  string
	cancel   context.CancelFunc
	keyLog   *os.File
	done     chan struct{}
	claims   conformance.Claims
	err      error
}

func (p *inProcess) run(ctx context.Context, connect func() (net.Conn, error)) {
	defer close(p.done)
	defer p.keyLog.Close()
	nc, err := connect()
	if err != nil {
		p.err = err
		return
	}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	p.claims, p.err = p.exchange(ctx, nc, p.keyLog)
}

func (p *inProcess) Address() string { return p.address }

func (p *inProcess) Claims() (conformance.Claims, error) {
	<-p.done
	return p.claims, p.err
}

func (p *inProcess) Stop() {
	p.cancel()
	<-p.done
}
