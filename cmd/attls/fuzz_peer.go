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
	against             []string
}

// addAgainst adds the flag of the stacks that are compared.
func (f *fuzzPeerFlags) addAgainst(flags *pflag.FlagSet, role string) {
	flags.StringArrayVar(&f.against, "against", nil, "with --peer or --adapter: "+role+
		", by the `name` of its adapter or as a file")
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
		return "--adapter " + shellWord(anywhere(f.adapter))
	}
	return "--peer " + shellWord(f.peer)
}

// options are the flags that name all stacks.
func (f *fuzzPeerFlags) options() string {
	text := f.option()
	for _, name := range f.against {
		text += " --against " + shellWord(name)
	}
	return text
}

// remotes finds the stack and those that it is compared with; nil: attls is hunted. The caller calls
// done when it is over.
func (f *fuzzPeerFlags) remotes(ctx context.Context) (x *campaign.Remote, against []*campaign.Remote, done func(),
	err error) {
	x, over, err := f.remote(ctx)
	all := []func(){over}
	done = func() {
		for _, f := range all {
			f()
		}
	}
	if err != nil || x == nil {
		if err == nil && len(f.against) > 0 {
			err = usage("--against goes with --peer or --adapter")
		}
		return nil, nil, done, err
	}
	have := []string{x.String()}
	for _, name := range f.against {
		other := fuzzPeerFlags{peer: name, role: f.role, known: ""}
		if _, builtIn := builtInAdapter(name); !builtIn {
			if _, err := os.Stat(name); err == nil || strings.ContainsAny(name, "./") {
				other.peer, other.adapter = "", name
			}
		}
		y, over, err := other.remote(ctx)
		if err != nil {
			done()
			return nil, nil, func() {}, fmt.Errorf("--against: %w", err)
		}
		all = append(all, over)
		if slices.Contains(have, y.String()) {
			done()
			return nil, nil, func() {}, usage("--against %s: that is %s once more", attls.Printable(name),
				attls.Printable(y.String()))
		}
		have = append(have, y.String())
		if f.known != "" { // the file takes the place of all that is compiled in
			y.Known = nil
		}
		against = append(against, y)
	}
	return x, against, done, nil
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
		return nil, done, usage("--role %s: the adapter of %s has no such end", f.role, attls.Printable(a.Name))
	}
	if f.known != "" {
		if x.Known, err = campaign.ReadKnownFile(f.known); err != nil {
			return nil, done, usage("--known: %w", err)
		}
		if x.Known.Peer != x.Name && x.Known.Peer != x.Family() {
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
	a, ok := builtInAdapter(f.peer)
	if ok {
		return a, nil
	}
	var names []string
	for _, a := range adapter.Builtin() {
		names = append(names, a.Name)
	}
	return nil, usage("--peer: no adapter is called %q; there are %s", f.peer, strings.Join(names, ", "))
}

// builtInAdapter is the adapter of a name that comes with attls.
func builtInAdapter(name string) (*adapter.Adapter, bool) {
	for _, a := range adapter.Builtin() {
		if a.Name == name {
			return a, true
		}
	}
	return nil, false
}

// pair finds the two stacks of an input in which they differ: those of the flags, or else those that it
// names. The caller calls done when it is over.
func (f *fuzzPeerFlags) pair(ctx context.Context, in *campaign.Input, anyVersion bool) (x, y *campaign.Remote,
	done func(), err error) {
	flags := *f
	said := []string{in.Peer, in.Against}
	if flags.peer == "" && flags.adapter == "" && len(flags.against) == 0 {
		for i, name := range said {
			name, _, _ = strings.Cut(name, " ")
			if _, ok := builtInAdapter(name); !ok {
				return nil, nil, func() {}, usage("the input is about %s and %s, and no adapter is called %q; "+
					"--adapter and --against name the two",
					attls.Printable(in.Peer), attls.Printable(in.Against), attls.Printable(name))
			}
			if i == 0 {
				flags.peer = name
			} else {
				flags.against = []string{name}
			}
		}
	}
	if len(flags.against) != 1 {
		return nil, nil, func() {}, usage("the input is about %s and %s: --peer or --adapter names one, and "+
			"--against the other", attls.Printable(in.Peer), attls.Printable(in.Against))
	}
	x, against, done, err := flags.remotes(ctx)
	if err != nil {
		return nil, nil, done, err
	}
	if x == nil {
		return nil, nil, done, usage("--peer or --adapter must name a stack")
	}
	y = against[0]
	have := []string{x.String(), y.String()}
	slices.Sort(said)
	slices.Sort(have)
	if !anyVersion && in.Law != "" && !slices.Equal(said, have) {
		done()
		return nil, nil, func() {}, unavailable(fmt.Errorf("the input is about %s, and here are %s; "+
			"--any-version runs it nevertheless", attls.Printable(strings.Join(said, " and ")),
			attls.Printable(strings.Join(have, " and "))))
	}
	return x, y, done, nil
}
