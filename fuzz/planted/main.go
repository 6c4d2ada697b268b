//go:build attls_planted

// Planted serves ends of TLS with planted bugs on the loopback interface, so that fuzzers
// and testers other than attls fuzz can be measured with the bugs of its score. It is in no
// ordinary build: go build -tags attls_planted ./fuzz/planted.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"attls"
	"attls/conformance/claims"
	"attls/fuzz/campaign"
	"attls/internal/columns"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "planted: "+attls.PrintableLines(err.Error()))
		os.Exit(1)
	}
}

func command() *cobra.Command {
	c := &cobra.Command{Use: "planted", SilenceUsage: true, SilenceErrors: true, Args: cobra.NoArgs,
		Short: "Ends of TLS with planted bugs, for tools that are to find them",
		Long: `planted is an end of TLS of which one rule is not in force, as "attls fuzz score" plants
it. It listens and connects on the loopback interface alone.`,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.CompletionOptions.DisableDefaultCmd = true
	c.AddCommand(listCommand(), serveCommand(), connectCommand(), adapterCommand(), &cobra.Command{Use: "authority", Args: cobra.NoArgs,
		Short: "Print the certificate of who vouches for the ends, and whom they trust, as PEM",
		RunE: func(c *cobra.Command, _ []string) error {
			b, err := campaign.Authority()
			if err != nil {
				return err
			}
			_, err = c.OutOrStdout().Write(b)
			return err
		}}, &cobra.Command{Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), "planted "+claims.StackVersion())
			return err
		}})
	return c
}

// bug is a line of planted list --json.
type bug struct {
	Name    string `json:"name"`
	Role    string `json:"role"`
	Profile string `json:"profile"` // none: TLS 1.3 alone
	Text    string `json:"text"`
	// Hidden says why no peer can see the bug; empty: one can.
	Hidden string `json:"hidden,omitempty"`
	// Unserved says why the bug cannot be served; empty: it can.
	Unserved string `json:"unserved,omitempty"`
}

// bugs are all of them.
func bugs() ([]bug, error) {
	all, err := campaign.Plants()
	if err != nil {
		return nil, err
	}
	list := make([]bug, len(all))
	for i, p := range all {
		list[i] = bug{Name: p.Name, Role: p.Role.String(), Profile: p.Profile, Text: p.Text, Hidden: p.Hidden}
		if p.Profile == "" {
			list[i].Profile = campaign.TLS
		}
		if _, err := p.End(nil, false); err != nil {
			list[i].Unserved = err.Error()
		}
	}
	return list, nil
}

func listCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{Use: "list", Short: "List the bugs: name, end, profile, and why no peer sees it", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := bugs()
			if err != nil {
				return err
			}
			w := c.OutOrStdout()
			if asJSON {
				e := json.NewEncoder(w)
				e.SetIndent("", " ")
				return e.Encode(all)
			}
			for _, b := range all {
				note := ""
				switch {
				case b.Hidden != "":
					note = "hidden: " + b.Hidden
				case b.Unserved != "":
					note = "not served: " + b.Unserved
				}
				line := columns.Pad(b.Name, 32) + columns.Pad(b.Role, 8) + columns.Pad(b.Profile, 32) + note
				if _, err := fmt.Fprintln(w, strings.TrimRight(line, " ")); err != nil {
					return err
				}
			}
			return nil
		}}
	c.Flags().BoolVar(&asJSON, "json", false, "print a list of objects: name, role, profile, text, hidden, unserved")
	return c
}

// limits are those of everything that runs.
type limits struct {
	role                string
	sound               bool
	connections, atOnce int
	time, each          time.Duration
}

func (l *limits) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&l.role, "role", "", "which end has the bug: client or server (default: as planted list says)")
	f.BoolVar(&l.sound, "sound", false, "the same end with every rule in force, for comparison")
	f.IntVar(&l.connections, "connections", 10000, "how many connections each bug gets")
	f.DurationVar(&l.time, "time", time.Hour, "when to end")
	f.DurationVar(&l.each, "each", 10*time.Second, "how long one connection may take")
}

// end prepares an end that a command runs which is for ends of a role.
func (l *limits) end(name string, want attls.Role) (*campaign.Planted, error) {
	p, err := l.either(name)
	if err == nil && p.Role != want {
		return nil, fmt.Errorf("the bug %s is one of a %v: planted serve is for bugs of servers, planted connect for those of "+
			"clients, and --role plants it in the other end", name, p.Role)
	}
	return p, err
}

// most bounds the numbers of connections.
const most = 1 << 30

// either prepares an end of whatever role.
func (l *limits) either(name string) (*campaign.Planted, error) {
	if l.connections < 1 || l.connections > most || l.time <= 0 || l.each <= 0 {
		return nil, fmt.Errorf("--connections, --time and --each are more than 0, and there are at most %d connections", most)
	}
	if l.role == "" {
		return campaign.NewPlanted(name, nil, l.sound)
	}
	for _, r := range attls.Roles() {
		if r.String() == l.role {
			return campaign.NewPlanted(name, &r, l.sound)
		}
	}
	return nil, fmt.Errorf("--role %q: it is client or server", attls.Printable(l.role))
}

// title names an end in what is printed.
func title(p *campaign.Planted) string {
	if p.Sound {
		return fmt.Sprintf("%s (sound) %v", p.Plant.Name, p.Role)
	}
	return fmt.Sprintf("%s %v", p.Plant.Name, p.Role)
}

// tally counts how connections of an end went.
type tally struct{ made, whole, broken int }

func (t *tally) print(w io.Writer, p *campaign.Planted) {
	fmt.Fprintf(w, "%s: %d connections, %d to their end, %d that failed\n", title(p), t.made, t.whole, t.broken)
}
