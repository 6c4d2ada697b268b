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

// MemoryResult is what an idle connection costs a server: an established one
// whose goroutine waits in Read. The figures are octets of heap and stacks.
type MemoryResult struct {
	Connections int     `json:"connections"`
	Ours        float64 `json:"ours"`
	CryptoTLS   float64 `json:"crypto_tls"`
	// TCP is the same without TLS; it is part of the others.
	TCP float64 `json:"tcp"`
	// ToCryptoTLS is our memory divided by theirs, both without TCP's.
	ToCryptoTLS float64 `json:"to_crypto_tls"`
}

// idleTimeout bounds everything that waits here.
const idleTimeout = 2 * time.Minute

// Memory measures with so many connections of each sort, all over the loopback
// interface. The client's half of each is thrown away once it is established.
func Memory(connections int) (*MemoryResult, error) {
	c := Case{}.withDefaults()
	id, err := newIdentity(c.Scheme)
	if err != nil {
		return nil, err
	}
	client, server := tlsConfigs(c, id)
	config := c.configs()[attls.RoleServer]
	r := &MemoryResult{Connections: connections}
	for _, s := range []struct {
		octets *float64
		tls    *tls.Config
		wrap   func(net.Conn) net.Conn
	}{
		{&r.TCP, nil, func(nc net.Conn) net.Conn { return nc }},
		{&r.Ours, client, func(nc net.Conn) net.Conn { return handshake.Server(nc, config, &id.answerer) }},
		{&r.CryptoTLS, client, func(nc net.Conn) net.Conn { return tls.Server(nc, server) }},
	} {
		if *s.octets, err = idle(connections, s.tls, s.wrap); err != nil {
			return nil, err
		}
	}
	if d := r.CryptoTLS - r.TCP; d > 0 {
		r.ToCryptoTLS = (r.Ours - r.TCP) / d
	}
	return r, nil
}

// idle holds connections open and returns the memory of each.
func idle(connections int, client *tls.Config, wrap func(net.Conn) net.Conn) (octets float64, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	ready, ended := make(chan error, connections), make(chan struct{}, connections)
	held := make([]net.Conn, 0, 2*connections)
	started := 0
	defer func() {
		for _, nc := range held {
			nc.Close()
		}
		for range started {
			<-ended
		}
	}()
	before := inUse()
	for range connections {
		nc, err := net.DialTimeout("tcp", l.Addr().String(), idleTimeout)
		if err != nil {
			return 0, err
		}
		held = append(held, nc)
		peer, err := l.Accept()
		if err != nil {
			return 0, err
		}
		held = append(held, peer)
		started++
		go func() {
			wait(wrap(peer), ready)
			ended <- struct{}{}
		}()
		if err := greet(nc, client); err != nil {
			return 0, err
		}
		if err := <-ready; err != nil {
			return 0, err
		}
	}
	return (inUse() - before) / float64(connections), nil
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

// greet makes the client's handshake, if there is one, and sends an octet.
func greet(nc net.Conn, client *tls.Config) error {
	nc.SetDeadline(time.Now().Add(idleTimeout))
	c := nc
	if client != nil {
		c = tls.Client(nc, client)
	}
	if _, err := c.Write([]byte{1}); err != nil {
		return fmt.Errorf("bench: %w", err)
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
