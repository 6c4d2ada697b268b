package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"attls/conformance/peers"
	"attls/conformance/report"
	"attls/internal/columns"
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
	mbedtls := peers.MbedTLS{Path: f.stack.mbedtls, Evidence: self + " evidence serve"}
	stacks := []peers.Peer{peers.InProcess{}, peers.Command{Path: self}, peers.CryptoTLS{},
		mbedtls, peers.NewInterpreter(mbedtls),
		peers.MbedTLSPrograms{Directory: f.stack.programs},
		peers.NewOpenSSL(systemOpenSSL, systemOpenSSL), peers.NextOpenSSL(f.stack.openssl),
		peers.GnuTLS{Client: "gnutls-cli", Server: "gnutls-serv"}, prototype}
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

// absent is the error of a stack that --peer, a flag with a path, or a variable of the
// environment names and that is not here, or is another program. What a variable names
// counts only where it takes part in cases.
func (f *conformFlags) absent(ctx context.Context, stacks []peers.Peer, cases []peers.Case) error {
	part := map[string]bool{}
	for i := range cases {
		part[cases[i].Client], part[cases[i].Server] = true, true
	}
	for _, s := range stacks {
		by := f.namedBy(s)
		_, interprets := s.(peers.Interpreter) // which the same flag names
		if by == "" ||
			(interprets || strings.HasPrefix(by, "$")) && !part[s.Name()] && !slices.Contains(f.choice.peers, s.Name()) {
			continue
		}
		id := peers.Identify(ctx, s)
		switch {
		case id.Missing != "":
			return unavailable(fmt.Errorf("%s names %s, which is not here: %s", by, s.Name(), id.Missing))
		case by != "--peer" && !peers.HasVersion(id.Version): // our own need not know one
			return unavailable(fmt.Errorf("%s names %s, which does not say what it is; its version is %q", by,
				s.Name(), id.Version))
		}
	}
	return nil
}

// namedBy is the flag or the variable of the environment that names a stack; empty:
// nothing does.
func (f *conformFlags) namedBy(s peers.Peer) string {
	var flags []string
	switch s.(type) {
	case peers.MbedTLS, peers.Interpreter:
		flags = []string{"mbedtls", "ATTLS_MBEDTLS_PEER"}
	case peers.MbedTLSPrograms:
		flags = []string{"mbedtls-programs", "ATTLS_MBEDTLS_PROGRAMS"}
	case *peers.OpenSSL:
		if s.Name() != systemOpenSSL {
			flags = []string{"openssl", "ATTLS_OPENSSL"}
		}
	case peers.Prototype:
		flags = []string{"poc-client", "ATTLS_POC_CLIENT", "poc-server", "ATTLS_POC_SERVER"}
	}
	for i := 0; i < len(flags); i += 2 {
		if f.stack.flags.Changed(flags[i]) {
			return "--" + flags[i]
		}
	}
	for i := 1; i < len(flags); i += 2 {
		if os.Getenv(flags[i]) != "" {
			return "$" + flags[i]
		}
	}
	if slices.Contains(f.choice.peers, s.Name()) {
		return "--peer"
	}
	return ""
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
	width := columns.Longest(names) + 2
	for _, s := range stacks {
		id := peers.Identify(ctx, s)
		if id.Missing != "" {
			p.line(p.in(faint, pad(id.Name, width)+"not here: "+id.Missing))
			continue
		}
		p.line(p.in(bold, pad(id.Name, width)), strings.TrimSpace(id.Version+"  "+id.Where))
	}
}
