package bench

import (
	"context"
	"io"
	"net"
	"testing"

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
	r, err := Memory(50)
	if err != nil {
		t.Fatal(err)
	}
	if r.Connections != 50 || r.TCP <= 0 || r.Ours <= r.TCP || r.CryptoTLS <= r.TCP || r.ToCryptoTLS <= 0 {
		t.Errorf("%+v", r)
	}
	t.Logf("%+v", r)
}
