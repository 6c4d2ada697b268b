package main

import (
	"context"
	"os"
	"slices"
	"strings"

	"attls/conformance/peers"
)

// stacks are all that can be met. A name of --peer that none of them has is a
// wrong flag.
func (f *conformFlags) stacks() ([]peers.Peer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, unavailable(err)
	}
	if f.mbedtls == "" {
		f.mbedtls = peers.FindMbedTLS()
	}
	stacks := []peers.Peer{peers.InProcess{}, peers.Command{Path: self}, peers.CryptoTLS{},
		peers.MbedTLS{Path: f.mbedtls, Evidence: self + " evidence serve"}}
	var known []string
	for _, p := range stacks {
		known = append(known, p.Name())
	}
	for _, name := range f.peers {
		if !slices.Contains(known, name) {
			return nil, usage("no peer is called %q; there are %s", name, strings.Join(known, ", "))
		}
	}
	return stacks, nil
}

// takesPart reports whether a stack of --peer is an end of a case.
func (f *conformFlags) takesPart(k *peers.Case) bool {
	return len(f.peers) == 0 || slices.Contains(f.peers, k.Client) || slices.Contains(f.peers, k.Server)
}

// stacks prints what is known of each stack.
func (p *painter) stacks(ctx context.Context, stacks []peers.Peer) {
	names := make([]string, len(stacks))
	for i, s := range stacks {
		names[i] = s.Name()
	}
	width := longest(names) + 2
	for _, s := range stacks {
		id := peers.Identify(ctx, s)
		if id.Missing != "" {
			p.line(p.in(faint, pad(id.Name, width)+"not here: "+id.Missing))
			continue
		}
		p.line(p.in(bold, pad(id.Name, width)), strings.TrimSpace(id.Version+"  "+id.Where))
	}
}
