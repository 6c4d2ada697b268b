package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"attls/conformance/adapter"
	"attls/conformance/peers"
	"attls/conformance/report"
	"attls/internal/columns"
)

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
	prototype, err := peers.NewPrototype(f.stack.pocClient, f.stack.pocServer, f.stack.pocVerifier)
	if err != nil {
		return nil, usage("%w", err)
	}
	mbedtls := peers.MbedTLS{Path: f.stack.mbedtls, Evidence: self + " evidence serve"}
	stacks := []peers.Peer{peers.InProcess{}, peers.Command{Path: self}, peers.CryptoTLS{},
		mbedtls, peers.NewInterpreter(mbedtls),
		peers.MbedTLSPrograms{Directory: f.stack.programs}, prototype}
	adapted, err := f.adapted()
	if err != nil {
		return nil, err
	}
	for _, a := range adapted {
		stacks = append(stacks, a)
	}
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

// adapted are the stacks of adapters with a section conform: those that come with attls,
// and those of --adapter, of which one takes the place of one that has its name.
func (f *conformFlags) adapted() (list []*peers.Adapted, err error) {
	adapters, named, err := f.loadAdapters()
	if err != nil {
		return nil, err
	}
	f.named = map[string]bool{}
	for _, a := range adapters {
		if a.Conform == nil {
			if named[a.Name] {
				return nil, usage("the adapter %s has no section conform, so that only --placement can use it", a.Name)
			}
			continue
		}
		p, err := peers.NewAdapted(a, f.programPaths(a))
		if err != nil {
			return nil, usage("%w", err)
		}
		if list = append(list, p); named[a.Name] {
			f.named[p.Name()] = true
		}
	}
	return list, nil
}

// loadAdapters are all adapters, and which of them --adapter names.
func (f *conformFlags) loadAdapters() (list []*adapter.Adapter, named map[string]bool, err error) {
	list, named = adapter.Builtin(), map[string]bool{}
	for _, file := range f.adapters {
		a, err := adapter.Load(file)
		if err != nil {
			return nil, nil, usage("%w", err)
		}
		list = slices.DeleteFunc(list, func(b *adapter.Adapter) bool { return b.Name == a.Name })
		list = append(list, a)
		named[a.Name] = true
	}
	return list, named, nil
}

// programPaths are the paths that flags give the programs of an adapter.
func (f *conformFlags) programPaths(a *adapter.Adapter) map[string]string {
	if a.Name == nextOpenSSL && f.stack.openssl != "" {
		return map[string]string{"openssl": f.stack.openssl}
	}
	return nil
}

// nextOpenSSL is the adapter of the openssl that --openssl names.
const nextOpenSSL = "openssl-3.5"

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
		case by != "--peer" && by != "--adapter" && !peers.HasVersion(id.Version): // our own need not know one
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
	switch s := s.(type) {
	case peers.MbedTLS, peers.Interpreter:
		flags = []string{"mbedtls", "ATTLS_MBEDTLS_PEER"}
	case peers.MbedTLSPrograms:
		flags = []string{"mbedtls-programs", "ATTLS_MBEDTLS_PROGRAMS"}
	case *peers.Adapted:
		if s.Adapter.Name == nextOpenSSL {
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
	switch {
	case slices.Contains(f.choice.peers, s.Name()):
		return "--peer"
	case f.named[s.Name()]:
		return "--adapter"
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
