package main

import (
	"context"
	"os"
	"slices"
	"strings"

	"attls/conformance/peers"
	"attls/conformance/report"
)

// systemOpenSSL is the program openssl in the PATH, and the name of its stack.
const systemOpenSSL = "openssl"

// stacks are all that can be met. A name of --peer that none of them has is a
// wrong flag.
func (f *conformFlags) stacks() ([]peers.Peer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, unavailable(err)
	}
	if f.stack.mbedtls == "" {
		f.stack.mbedtls = peers.FindMbedTLS()
	}
	if f.stack.programs == "" {
		f.stack.programs = peers.FindMbedTLSPrograms()
	}
	if f.stack.openssl == "" {
		f.stack.openssl = peers.FindOpenSSL()
	}
	prototype, err := peers.NewPrototype(f.stack.pocClient, f.stack.pocServer, f.stack.pocVerifier)
	if err != nil {
		return nil, usage("%w", err)
	}
	stacks := []peers.Peer{peers.InProcess{}, peers.Command{Path: self}, peers.CryptoTLS{},
		peers.MbedTLS{Path: f.stack.mbedtls, Evidence: self + " evidence serve"}, peers.MbedTLSPrograms{Directory: f.stack.programs},
		peers.NewOpenSSL(systemOpenSSL, systemOpenSSL), peers.NextOpenSSL(f.stack.openssl), peers.GnuTLS{Client: "gnutls-cli", Server: "gnutls-serv"}, prototype}
	var known []string
	for _, p := range stacks {
		known = append(known, p.Name())
	}
	for _, name := range f.choice.peers {
		if !slices.Contains(known, name) {
			return nil, usage("no peer is called %q; there are %s", name, strings.Join(known, ", "))
		}
	}
	return stacks, nil
}

// identify says what is known of the stacks that have a part in cases.
func identify(ctx context.Context, stacks []peers.Peer, cases []peers.Case) (list []report.Stack) {
	part := map[string]bool{}
	for i := range cases {
		part[cases[i].Client], part[cases[i].Server] = true, true
	}
	for _, s := range stacks {
		if part[s.Name()] {
			list = append(list, peers.Identify(ctx, s))
		}
	}
	return list
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
