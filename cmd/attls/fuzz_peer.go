package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"attls"
	"attls/conformance/adapter"
	"attls/fuzz/campaign"
)

// fuzzPeerFlags name the stack that is the honest end.
type fuzzPeerFlags struct {
	peer, adapter, role string
	known               string
}

func (f *fuzzPeerFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.peer, "peer", "",
		"stack that is hunted, by the `name` of its adapter (see docs/adapters.md); empty: attls, in memory")
	flags.StringVar(&f.adapter, "adapter", "", "stack that is hunted, as a `file` describes it")
	flags.StringVar(&f.role, "role", "both", "with --peer or --adapter: what the stack is: server, client or both")
	flags.StringVar(&f.known, "known", "", "with --peer or --adapter: `file` with findings that are explained")
}

// option is the flag that names the stack.
func (f *fuzzPeerFlags) option() string {
	if f.adapter != "" {
		return "--adapter " + shellWord(f.adapter)
	}
	return "--peer " + shellWord(f.peer)
}

// remote finds the stack; nil: attls is hunted. The caller calls done when it is over.
func (f *fuzzPeerFlags) remote(ctx context.Context) (x *campaign.Remote, done func(), err error) {
	done = func() {}
	a, err := f.chosen()
	if err != nil || a == nil {
		return nil, done, err
	}
	placed := new(conformFlags).placedStack(ctx, a, true)
	if placed.missing != "" {
		return nil, done, unavailable(fmt.Errorf("%s: %s", a.Name, attls.Printable(placed.missing)))
	}
	x = &campaign.Remote{Name: placed.name, Version: placed.version}
	for _, r := range attls.Roles() {
		if (f.role == "both" || f.role == r.String()) && (a.BuiltIn != "" || a.Ends[r] != nil) {
			x.Roles = append(x.Roles, r)
		}
	}
	if len(x.Roles) == 0 {
		return nil, done, usage("--role %s: %s is not that end", f.role, attls.Printable(a.Name))
	}
	if f.known != "" {
		if x.Known, err = campaign.ReadKnownFile(f.known); err != nil {
			return nil, done, usage("--known: %w", err)
		}
		if x.Known.Peer != x.Name {
			return nil, done, usage("--known %s: it is about %q, and the stack is %q", f.known, attls.Printable(x.Known.Peer),
				attls.Printable(x.Name))
		}
	} else if x.Known, err = campaign.KnownOf(x.Name); err != nil {
		return nil, done, err
	}
	directory, err := os.MkdirTemp("", "attls-fuzz-")
	if err != nil {
		return nil, done, unavailable(err)
	}
	done = func() { _ = os.RemoveAll(directory) }
	if x.Stack, err = placed.open(ctx, directory); err != nil {
		done()
		return nil, func() {}, unavailable(err)
	}
	return x, done, nil
}

// chosen is the adapter that the flags name; nil: they name none.
func (f *fuzzPeerFlags) chosen() (*adapter.Adapter, error) {
	switch {
	case !slices.Contains([]string{"client", "server", "both"}, f.role):
		return nil, usage("--role %q: it is server, client or both", f.role)
	case f.peer != "" && f.adapter != "":
		return nil, usage("--peer and --adapter both name a stack")
	case f.adapter != "":
		a, err := adapter.Load(f.adapter)
		if err != nil {
			return nil, usage("%w", err)
		}
		return a, nil
	case f.peer == "" && (f.known != "" || f.role != "both"):
		return nil, usage("--known and --role go with --peer or --adapter")
	case f.peer == "":
		return nil, nil
	}
	var names []string
	for _, a := range adapter.Builtin() {
		if a.Name == f.peer {
			return a, nil
		}
		names = append(names, a.Name)
	}
	return nil, usage("--peer: no adapter is called %q; there are %s", f.peer, strings.Join(names, ", "))
}
