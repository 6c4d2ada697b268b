package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"attls/conformance/claims"
	"attls/conformance/wireshark"
	"attls/extensions/profile"
)

// The interfaces that Wireshark lists.
const (
	demoInterface   = "attls-demo"
	serverInterface = "attls-server"
)

// extcapInterfaces are the interfaces; their options are flags of the commands behind them.
func extcapInterfaces() []wireshark.Interface {
	common := []wireshark.Option{
		{Flag: "profile", Display: "Profile", Kind: wireshark.Selector, Default: defaultProfile, Values: profile.Names()},
		{Flag: "profile-file", Display: "or a file", Kind: wireshark.Text,
			Tooltip: "a profile of yours, in YAML or compiled"},
		{Flag: "attester", Display: "Attester", Kind: wireshark.Selector, Values: []string{"", "client", "server", "both"}},
		{Flag: "model", Display: "Model", Kind: wireshark.Selector, Values: []string{"", "evidence", "results"}},
		{Flag: "credential", Display: "Credential", Kind: wireshark.Selector, Values: []string{"", "attestation", "x509"}},
		{Flag: "hello-retry", Display: "HelloRetryRequest", Kind: wireshark.Switch},
	}
	return []wireshark.Interface{
		{Name: demoInterface, Display: "attls demo", Options: append(slices.Clone(common),
			wireshark.Option{Flag: "group", Display: "Group", Kind: wireshark.Text,
				Tooltip: "key exchange group, by its IANA name"},
			wireshark.Option{Flag: "fail", Display: "Fault", Kind: wireshark.Text,
				Tooltip: "the id of a fault, as attls demo --fail help lists them"})},
		{Name: serverInterface, Display: "attls server", Options: append(slices.Clone(common),
			wireshark.Option{Flag: "bind", Display: "Address", Kind: wireshark.Text, Default: "127.0.0.1"},
			wireshark.Option{Flag: "port", Display: "Port", Kind: wireshark.Number, Default: fmt.Sprint(defaultPort)})},
	}
}

type extcapFlags struct {
	interfaces, dlts, config, capture bool
	name, fifo                        string
	values                            map[string]*string
	retry                             bool
}

func extcapCommand() *cobra.Command {
	f := &extcapFlags{values: map[string]*string{}}
	c := &cobra.Command{
		Use:   "extcap",
		Short: "Be an interface of Wireshark: the demonstration, or a server",
		Long: `extcap is for Wireshark, which starts it: it lists "attls demo" and "attls server"
among Wireshark's interfaces, with their options in its dialogue, and streams the
connections with their secrets, so that Wireshark shows them decrypted.

Wireshark looks for programs in a folder (Help, About, Folders: Personal Extcap path).
Put a script there that runs "attls extcap"; see docs/wireshark.md.`,
		Example: `  attls extcap --extcap-interfaces
  attls extcap --extcap-interface attls-demo --extcap-config
  attls extcap --extcap-interface attls-demo --capture --fifo run.pcapng`,
		Args: cobra.NoArgs,
		// A field of the dialogue that is left empty is a flag with an empty value.
		PersistentPreRunE: func(*cobra.Command, []string) error { return nil },
		RunE:              func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	flags := c.Flags()
	flags.BoolVar(&f.interfaces, "extcap-interfaces", false, "list the interfaces")
	flags.BoolVar(&f.dlts, "extcap-dlts", false, "list the link types of the interface")
	flags.BoolVar(&f.config, "extcap-config", false, "list the options of the interface")
	flags.BoolVar(&f.capture, "capture", false, "capture from the interface")
	flags.StringVar(&f.name, "extcap-interface", "", "the interface: "+demoInterface+" or "+serverInterface)
	flags.StringVar(&f.fifo, "fifo", "", "the pipe, or a file, to write pcapng to")
	for _, name := range []string{"extcap-version", "extcap-capture-filter", "extcap-control-in", "extcap-control-out",
		"extcap-reload-option"} {
		flags.String(name, "", "given by Wireshark, and not used")
		_ = flags.MarkHidden(name) // the flag is there
	}
	flags.BoolVar(&f.retry, "hello-retry", false, "option of the interface")
	for _, i := range extcapInterfaces() {
		for _, o := range i.Options {
			if o.Kind != wireshark.Switch && flags.Lookup(o.Flag) == nil {
				f.values[o.Flag] = flags.String(o.Flag, "", "option of the interface: "+o.Display)
			}
		}
	}
	return c
}

func (f *extcapFlags) run(c *cobra.Command) error {
	out := c.OutOrStdout()
	all := extcapInterfaces()
	if f.interfaces {
		_, err := fmt.Fprint(out, wireshark.Interfaces(claims.Release, "attls help extcap", all))
		return unavailable(err)
	}
	at := slices.IndexFunc(all, func(i wireshark.Interface) bool { return i.Name == f.name })
	switch {
	case at < 0:
		return usage("--extcap-interface %q: the interfaces are %s and %s", f.name, demoInterface, serverInterface)
	case f.dlts:
		_, err := fmt.Fprint(out, wireshark.LinkTypes())
		return unavailable(err)
	case f.config:
		_, err := fmt.Fprint(out, all[at].Config())
		return unavailable(err)
	case !f.capture:
		return usage("say --extcap-interfaces, --extcap-dlts, --extcap-config or --capture; Wireshark does")
	case f.fifo == "":
		return usage("--capture needs --fifo")
	}
	return f.start(c, &all[at])
}

// start runs the command behind an interface, which writes to the pipe.
func (f *extcapFlags) start(c *cobra.Command, i *wireshark.Interface) error {
	name, args := demoCommand(), []string{"--quiet", "--pcap", f.fifo}
	if i.Name == serverInterface {
		name, args = serverCommand(), []string{"--echo", "--pcap", f.fifo}
	}
	for _, o := range i.Options {
		value := ""
		if v := f.values[o.Flag]; v != nil {
			value = strings.TrimSpace(*v)
		}
		switch {
		case o.Kind == wireshark.Switch:
			args = append(args, fmt.Sprintf("--%s=%t", o.Flag, f.retry))
		case value == "":
		case o.Flag == "profile-file":
			args = append(args, "--profile="+value) // after the other, so that it counts
		default:
			args = append(args, "--"+o.Flag+"="+value)
		}
	}
	ctx, cancel := context.WithCancelCause(c.Context())
	defer cancel(nil)
	go watchReader(ctx, f.fifo, cancel)
	name.SetArgs(args)
	name.SetContext(ctx)
	name.SetIn(strings.NewReader(""))
	name.SetOut(io.Discard) // Wireshark takes the standard output for answers,
	name.SetErr(io.Discard) // and standard error for what went wrong, which is the error of this command
	name.SilenceUsage, name.SilenceErrors = true, true
	err := name.ExecuteContext(ctx)
	if cause := context.Cause(ctx); errors.Is(cause, errReaderGone) {
		return unavailable(fmt.Errorf("%s: %w", f.fifo, cause))
	}
	return err
}

// errReaderGone ends a capture that nobody reads any more.
var errReaderGone = errors.New("the program that reads the capture has closed it")
