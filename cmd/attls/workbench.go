package main

import (
	"fmt"
	"net"
	"os/exec"
	"runtime"

	"github.com/spf13/cobra"

	"attls/conformance/workbench/site"
)

func workbenchCommand() *cobra.Command {
	var export, engine string
	var noOpen bool
	c := &cobra.Command{
		Use:   "workbench",
		Short: "Edit and run profiles in the browser",
		Long: `workbench opens a page in which a profile is text at the left, and at the right what
its change does: the messages, the binder with its values, octets, the verdict, each
compared with the base of the profile. The engine runs in the page; nothing is sent
anywhere. With --export it writes the page to a folder that any static host serves.

The engine for the browser is in releases. Otherwise the go command builds it from the
source, in which attls has to run, and keeps it in the user's cache.`,
		Example: `  attls workbench
  attls workbench --no-open
  attls workbench --export public`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			tell := func(text string) { fmt.Fprintln(c.ErrOrStderr(), "attls: "+text) }
			files, err := site.Load(c.Context(), engine, tell)
			if err != nil {
				return unavailable(err)
			}
			if export != "" {
				return unavailable(files.Export(export))
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return unavailable(err)
			}
			address := fmt.Sprintf("http://%s/", l.Addr())
			fmt.Fprintln(c.OutOrStdout(), address)
			if !noOpen {
				browse(address)
			}
			return unavailable(files.Serve(c.Context(), l))
		},
	}
	c.Flags().StringVar(&export, "export", "", "write the page to this `directory` instead of serving it")
	c.Flags().StringVar(&engine, "engine", "",
		"take the engine from this `directory`, which \"make workbench\" has written")
	c.Flags().BoolVar(&noOpen, "no-open", false, "do not open a browser")
	return c
}

// browse opens the user's browser, if there is one; the address is printed in any case.
func browse(address string) {
	name, args := "xdg-open", []string{address}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", address}
	}
	if c := exec.Command(name, args...); c.Start() == nil {
		go func() { _ = c.Wait() }()
	}
}
