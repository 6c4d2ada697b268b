package peers

import (
	"context"
	"fmt"
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

func (InProcess) Limit(*conformance.Scenario, attls.Role) string { return "" }

// Start implements Peer.
func (InProcess) Start(ctx context.Context, t *Task) (Process, error) {
	end, err := conformance.NewEnd(t.Scenario, t.Role)
	if err != nil {
		return nil, err
	}
	if end.Config.Groups, err = groupNumbers(groups(&t.Scenario, t.Role)); err != nil {
		return nil, err
	}
	keyLog, err := os.Create(t.keyLog())
	if err != nil {
		return nil, err
	}
	end.Config.KeyLog = keyLog
	end.Config.Retry = handshake.Retry{Cookie: t.Scenario.Cookie}
	ctx, cancel := context.WithCancel(ctx)
	p := &inProcess{end: end, cancel: cancel, done: make(chan struct{}), keyLog: keyLog}
	if t.Role == attls.RoleClient {
		go p.run(func() (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, "tcp", t.Address) }, ctx)
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
		p.run(l.Accept, ctx)
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
	end     *conformance.End
	address string
	cancel  context.CancelFunc
	keyLog  *os.File
	done    chan struct{}
	claims  conformance.Claims
	err     error
}

func (p *inProcess) run(connect func() (net.Conn, error), ctx context.Context) {
	defer close(p.done)
	defer p.keyLog.Close()
	nc, err := connect()
	if err != nil {
		p.err = err
		return
	}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	p.claims, p.err = p.end.Exchange(ctx, nc)
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
