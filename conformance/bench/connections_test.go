package bench

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/handshake"
)

// TestLoad counts what is served and what is lost.
func TestLoad(t *testing.T) {
	c := Case{}.withDefaults()
	id, err := newIdentity(c.Scheme)
	if err != nil {
		t.Fatal(err)
	}
	client, _ := tlsConfigs(c, id)
	config := c.configs()[attls.RoleServer]
	for name, test := range map[string]struct {
		serve func(*handshake.Conn, int)
		lost  int
	}{
		"all":          {func(s *handshake.Conn, _ int) { io.Copy(s, s) }, 0},
		"nothing back": {func(s *handshake.Conn, _ int) { io.Copy(io.Discard, s) }, 1},
		"the second is lost": {func(s *handshake.Conn, i int) {
			if i != 1 {
				io.Copy(s, s)
			}
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				for i := 0; ; i++ {
					nc, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						s := handshake.Server(nc, config, &id.answerer)
						test.serve(s, i)
						s.Close()
					}()
				}
			}()
			heard := 0
			load := Load{Address: l.Addr().String(), Client: client, InARow: 10, AtOnce: 20, Progress: func(string, int, int) { heard++ }}
			r, err := load.Run(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			wantRow, wantOnce := 10*test.lost, 20*test.lost
			if name == "the second is lost" {
				wantRow = 1
			}
			if r.InARow.Connections != 10 || r.InARow.Lost != wantRow || r.AtOnce.Connections != 20 || r.AtOnce.Lost != wantOnce || heard != 30 {
				t.Errorf("%+v, progress %d", r, heard)
			}
		})
	}
}

// TestMemory checks that what is measured is there.
func TestMemory(t *testing.T) {
	var held []string
	r, err := Memory(50, func(sort string) error { held = append(held, sort); return nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []EndMemory{r.EndMemory, r.Client} {
		// Of so few, the stacks that earlier tests leave outweigh the memory of TCP.
		if m.Ours <= 0 || m.CryptoTLS <= 0 || m.Whole <= 0 {
			t.Errorf("%+v", r)
		}
	}
	if want := []string{"server TCP", "server attls", "server crypto-tls", "client TCP", "client attls", "client crypto-tls"}; r.Connections != 50 || !slices.Equal(held, want) {
		t.Errorf("%d connections, held %q", r.Connections, held)
	}
	t.Logf("%+v", r)
}

// TestNumbersOutOfBounds: nothing is measured with numbers that mean nothing.
func TestNumbersOutOfBounds(t *testing.T) {
	memory := func(n int) func() error {
		return func() error { _, err := Memory(n, nil); return err }
	}
	load := func(l Load) func() error {
		return func() error { _, err := l.Run(context.Background()); return err }
	}
	for name, test := range map[string]struct {
		run  func() error
		want string
	}{
		"no idle connection":       {memory(0), "0 idle connections; 1 to"},
		"idle connections below 0": {memory(-1), "-1 idle connections"},
		"too many":                 {memory(maxConnections + 1), "1000001 idle connections"},
		"in a row below 0":         {load(Load{InARow: -1}), "-1 connections in a row"},
		"at once below 0":          {load(Load{AtOnce: -2}), "-2 at once"},
		"a time below 0":           {load(Load{Timeout: -time.Second}), "-1s for each"},
		"rounds below 0":           {func() error { return interleave(Options{Rounds: -1}, nil) }, "-1 rounds"},
		"runs below 0":             {func() error { return interleave(Options{Repeats: -1}, nil) }, "of -1 runs"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := test.run(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v; want %s", err, test.want)
			}
		})
	}
}
