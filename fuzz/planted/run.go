//go:build attls_planted

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"attls"
	"attls/fuzz/campaign"
)

// onLoopback is an address of the loopback interface, with numbers in place of names: what a
// name means is for others to say.
func onLoopback(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	if strings.EqualFold(host, "localhost") {
		host = "127.0.0.1"
	}
	a, err := netip.ParseAddr(host)
	if err != nil || !a.Unmap().IsLoopback() {
		return "", fmt.Errorf("%q is not an address of the loopback interface; ends with bugs are for this machine alone",
			attls.Printable(address))
	}
	return net.JoinHostPort(a.String(), port), nil
}

func serveCommand() *cobra.Command {
	l := &limits{}
	var names []string
	var all bool
	var address string
	c := &cobra.Command{Use: "serve --bug NAME...", Short: "Listen with servers that have bugs, a port for each", Args: cobra.NoArgs,
		Example: `  planted serve --bug finished-verified
  planted serve --all`,
		RunE: func(c *cobra.Command, _ []string) error {
			if all == (len(names) > 0) {
				return errors.New("either --bug NAME (which may be repeated) or --all")
			}
			at, err := onLoopback(address)
			if err != nil {
				return err
			}
			if all {
				if names, err = visible(attls.RoleServer); err != nil {
					return err
				}
			}
			if _, port, _ := net.SplitHostPort(at); len(names) > 1 && port != "0" {
				return fmt.Errorf("--listen %s: %d bugs need a port each, which port 0 chooses", attls.Printable(address), len(names))
			}
			return l.serve(c, names, at)
		}}
	l.add(c)
	c.Flags().StringArrayVar(&names, "bug", nil, "`name` of a bug (may be repeated)")
	c.Flags().BoolVar(&all, "all", false, "all bugs of servers that a peer can see")
	c.Flags().StringVar(&address, "listen", "127.0.0.1:0", "`address` to listen on; port 0 lets the system choose")
	c.Flags().IntVar(&l.atOnce, "at-once", 64, "connections at once of each bug; more wait")
	return c
}

// visible are the names of the bugs of an end that can be served and seen.
func visible(role attls.Role) (names []string, err error) {
	all, err := bugs()
	for _, b := range all {
		if b.Role == role.String() && b.Hidden == "" && b.Unserved == "" {
			names = append(names, b.Name)
		}
	}
	return names, err
}

// server is an end that listens.
type server struct {
	*campaign.Planted
	listener net.Listener
	tally    tally
}

// serve listens until the limits are reached. It prints each address as soon as it can be
// connected to, and in the end how connections went.
func (l *limits) serve(c *cobra.Command, names []string, address string) error {
	if l.atOnce < 1 || l.atOnce > most {
		return fmt.Errorf("--at-once is 1 to %d", most)
	}
	var servers []*server
	defer func() {
		for _, s := range servers {
			_ = s.listener.Close()
		}
	}()
	for _, name := range names {
		p, err := l.end(name, attls.RoleServer)
		if err != nil {
			return err
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		servers = append(servers, &server{Planted: p, listener: listener})
	}
	ctx, cancel := context.WithTimeout(c.Context(), l.time)
	defer cancel()
	var wait sync.WaitGroup
	for _, s := range servers {
		if _, err := fmt.Fprintf(c.OutOrStdout(), "%s listening on %v\n", title(s.Planted), s.listener.Addr()); err != nil {
			return err
		}
		wait.Go(func() { l.accept(ctx, s, len(servers) > 1, c.ErrOrStderr()) })
	}
	wait.Wait()
	for _, s := range servers {
		s.tally.print(c.ErrOrStderr(), s.Planted)
	}
	return nil
}

// accept takes connections of one server. Among several, one whose bug ends the program loses
// the connection alone.
func (l *limits) accept(ctx context.Context, s *server, several bool, w io.Writer) {
	defer context.AfterFunc(ctx, func() { _ = s.listener.Close() })()
	defer s.listener.Close()
	room := make(chan struct{}, l.atOnce)
	var wait sync.WaitGroup
	var mu sync.Mutex
	for range l.connections {
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
		}
		nc, err := s.listener.Accept()
		if err != nil {
			break
		}
		wait.Go(func() {
			err := l.talk(ctx, s.Planted, nc, several, w)
			<-room
			mu.Lock()
			defer mu.Unlock()
			s.tally.add(err)
		})
	}
	wait.Wait()
}

func (t *tally) add(err error) {
	t.made++
	if err == nil {
		t.whole++
	} else {
		t.broken++
	}
}

// talk makes one connection and closes it.
func (l *limits) talk(ctx context.Context, p *campaign.Planted, nc net.Conn, survives bool, w io.Writer) (err error) {
	defer nc.Close()
	ctx, cancel := context.WithTimeout(ctx, l.each)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = nc.Close() })()
	if survives {
		defer func() {
			if x := recover(); x != nil {
				err = fmt.Errorf("panic: %v", x)
				fmt.Fprintf(w, "%s: %v\n", title(p), err)
			}
		}()
	}
	return p.Talk(ctx, nc)
}

func connectCommand() *cobra.Command {
	l := &limits{}
	var name string
	c := &cobra.Command{Use: "connect --bug NAME ADDRESS", Short: "Connect again and again with a client that has a bug",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			at, err := onLoopback(args[0])
			if err != nil {
				return err
			}
			p, err := l.end(name, attls.RoleClient)
			if err != nil {
				return err
			}
			return l.connect(c, p, at)
		}}
	l.add(c)
	c.Flags().StringVar(&name, "bug", "", "`name` of the bug")
	return c
}

// pause is what a client waits whose server cannot be reached; lost is after how many times
// that it gives up.
const (
	pause = 50 * time.Millisecond
	lost  = 100
)

func (l *limits) connect(c *cobra.Command, p *campaign.Planted, address string) error {
	ctx, cancel := context.WithTimeout(c.Context(), l.time)
	defer cancel()
	if _, err := fmt.Fprintf(c.OutOrStdout(), "%s connects to %s\n", title(p), address); err != nil {
		return err
	}
	var t tally
	defer func() { t.print(c.ErrOrStderr(), p) }()
	missed := 0
	for t.made < l.connections && ctx.Err() == nil {
		nc, err := (&net.Dialer{Timeout: l.each}).DialContext(ctx, "tcp", address)
		if err != nil {
			if missed++; missed == lost {
				return err
			}
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
			continue
		}
		missed = 0
		t.add(l.talk(ctx, p, nc, false, nil))
	}
	return nil
}

func adapterCommand() *cobra.Command {
	l := &limits{}
	var name string
	c := &cobra.Command{Use: "adapter --bug NAME", Short: "Print a file for attls fuzz run none --adapter", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			path, err := os.Executable()
			if err != nil {
				return err
			}
			text, err := l.adapter(name, path)
			if err != nil {
				return err
			}
			_, err = io.WriteString(c.OutOrStdout(), text)
			return err
		}}
	c.Flags().StringVar(&l.role, "role", "", "which end has the bug: client or server (default: as planted list says)")
	c.Flags().BoolVar(&l.sound, "sound", false, "the same end with every rule in force, for comparison")
	c.Flags().StringVar(&name, "bug", "", "`name` of the bug")
	l.connections, l.time, l.each = most, 24*time.Hour, time.Minute
	return c
}

// adapter is the file of an adapter whose program is this one.
func (l *limits) adapter(name, path string) (string, error) {
	p, err := l.either(name)
	if err != nil {
		return "", err
	}
	if p.Plant.Profile != "" {
		return "", fmt.Errorf("the bug %s is one under %s, and adapters start programs without attestation; "+
			"planted serve and planted connect have it", name, p.Plant.Profile)
	}
	words := []string{"--bug=" + name, "--role=" + p.Role.String(), fmt.Sprintf("--connections=%d", l.connections),
		fmt.Sprintf("--time=%v", l.time), fmt.Sprintf("--each=%v", l.each)}
	if l.sound {
		words = append(words, "--sound")
	}
	program := fmt.Sprintf("programs:\n  planted: {path: %q}\nversion:\n  command: [\"${planted}\", version]\n"+
		"  is: '^planted (\\S+)'\n", path)
	end := "client:\n  command: [\"${planted}\", connect, %s, \"${address}\"]\n  repeats: true\n"
	if p.Role == attls.RoleServer {
		end = "server:\n  command: [\"${planted}\", serve, %s]\n  listens: 'listening on 127\\.0\\.0\\.1:(\\d+)'\n"
	}
	return fmt.Sprintf("adapter: planted-%s\nabout: %s\n", name, title(p)) + program +
		fmt.Sprintf(end, strings.Join(words, ", ")), nil
}
