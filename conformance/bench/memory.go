package bench

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"time"

	"attls"
	"attls/handshake"
)

// MemoryResult is what an idle connection costs: an established one that has
// received data and whose goroutine waits in Read for more.
type MemoryResult struct {
	Connections int       `json:"connections"`
	EndMemory             // a server's
	Client      EndMemory `json:"client"`
}

// EndMemory is what it costs one end, in octets of heap and stacks.
type EndMemory struct {
	Ours      float64 `json:"ours"`
	CryptoTLS float64 `json:"crypto_tls"`
	// TCP is the same without TLS; it is part of the others.
	TCP float64 `json:"tcp"`
	// ToCryptoTLS is our memory divided by theirs, both without TCP's.
	ToCryptoTLS float64 `json:"to_crypto_tls"`
	// Whole is our memory divided by theirs, both with TCP's.
	Whole float64 `json:"whole_to_crypto_tls"`
}

// idleTimeout bounds everything that waits here.
const idleTimeout = 2 * time.Minute

// maxConnections bounds the connections of a measurement.
const maxConnections = 1_000_000

// Memory measures with so many connections of each sort, 1 to 1000000, all over the
// loopback interface. The other half of each is thrown away once it is
// established. Held, if not nil, is called while the connections of a sort are
// there: "server attls", for example.
func Memory(connections int, held func(sort string) error) (*MemoryResult, error) {
	if connections < 1 || connections > maxConnections {
		return nil, fmt.Errorf("bench: %d idle connections; 1 to %d can be weighed", connections, maxConnections)
	}
	c := Case{}.withDefaults()
	id, err := newIdentity(c.Scheme)
	if err != nil {
		return nil, err
	}
	client, server := tlsConfigs(c, id)
	ends := c.configs()
	r := &MemoryResult{Connections: connections}
	for _, end := range []struct {
		name         string
		to           *EndMemory
		other        func(net.Conn) net.Conn // the half that is thrown away
		ours, theirs func(net.Conn) net.Conn
	}{
		{"server", &r.EndMemory, func(nc net.Conn) net.Conn { return tls.Client(nc, client) },
			func(nc net.Conn) net.Conn { return handshake.Server(nc, ends[attls.RoleServer], &id.answerer) },
			func(nc net.Conn) net.Conn { return tls.Server(nc, server) }},
		{"client", &r.Client, func(nc net.Conn) net.Conn { return tls.Server(nc, server) },
			func(nc net.Conn) net.Conn { return handshake.Client(nc, ends[attls.RoleClient], &id.answerer) },
			func(nc net.Conn) net.Conn { return tls.Client(nc, client) }},
	} {
		plain := func(nc net.Conn) net.Conn { return nc }
		for _, s := range []struct {
			name        string
			octets      *float64
			wrap, other func(net.Conn) net.Conn
		}{{"TCP", &end.to.TCP, plain, plain}, {"attls", &end.to.Ours, end.ours, end.other},
			{"crypto-tls", &end.to.CryptoTLS, end.theirs, end.other}} {
			sort := end.name + " " + s.name
			h := idle{connections: connections, dialed: end.name == "client", wrap: s.wrap, other: s.other,
				held: func() error {
					if held == nil {
						return nil
					}
					return held(sort)
				}}
			if *s.octets, err = h.measure(); err != nil {
				return nil, fmt.Errorf("bench: %s: %w", sort, err)
			}
		}
		m := end.to
		if d := m.CryptoTLS - m.TCP; d > 0 {
			m.ToCryptoTLS = (m.Ours - m.TCP) / d
		}
		if m.CryptoTLS > 0 {
			m.Whole = m.Ours / m.CryptoTLS
		}
	}
	return r, nil
}

// idle holds connections of one sort open.
type idle struct {
	connections int
	dialed      bool // the end that dials is measured
	wrap, other func(net.Conn) net.Conn
	held        func() error
}

// measure returns the memory of each connection.
func (h *idle) measure() (octets float64, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	ready, ended := make(chan error, h.connections), make(chan struct{}, h.connections)
	conns := make([]net.Conn, 0, 2*h.connections)
	started := 0
	defer func() {
		for _, nc := range conns {
			nc.Close()
		}
		for range started {
			<-ended
		}
	}()
	before := inUse()
	for range h.connections {
		dialed, err := net.DialTimeout("tcp", l.Addr().String(), idleTimeout)
		if err != nil {
			return 0, err
		}
		conns = append(conns, dialed)
		accepted, err := l.Accept()
		if err != nil {
			return 0, err
		}
		conns = append(conns, accepted)
		measured, other := accepted, dialed
		if h.dialed {
			measured, other = dialed, accepted
		}
		started++
		go func() {
			wait(h.wrap(measured), ready)
			ended <- struct{}{}
		}()
		if err := greet(other, h.other); err != nil {
			return 0, err
		}
		if err := <-ready; err != nil {
			return 0, err
		}
	}
	after := inUse()
	return (after - before) / float64(h.connections), h.held()
}

// wait takes one octet, so that the connection is established, and waits for more.
func wait(c net.Conn, ready chan<- error) {
	b := make([]byte, 1)
	_, err := io.ReadFull(c, b)
	ready <- err
	if err == nil {
		_, _ = c.Read(b)
	}
}

// greet makes the other half of a connection and sends an octet.
func greet(nc net.Conn, half func(net.Conn) net.Conn) error {
	nc.SetDeadline(time.Now().Add(idleTimeout))
	if _, err := half(nc).Write([]byte{1}); err != nil {
		return err
	}
	return nc.SetDeadline(time.Time{})
}

// inUse is the memory of everything that is reachable, and of the stacks.
func inUse() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first has finalised
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}
