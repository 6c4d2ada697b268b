package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"attls"
	"attls/fuzz/campaign"
)

// printApart prints, of a campaign between stacks, the shortest input that tells each two apart, and
// the entries of the lists that it did not need.
func (f *fuzzPeerFlags) printApart(w io.Writer, r *campaign.Report) {
	for _, x := range r.Shortest() {
		a := x.Apart
		fmt.Fprintf(w, "%v and %v are told apart by a connection (%v) in which the %s does this:\n", a.Stacks[0], a.Stacks[1],
			x.Input.Connection, x.Input.Attacker)
		for i := range x.Input.Edits {
			fmt.Fprintf(w, "    %s\n", attls.Printable(x.Input.Edits[i].String()))
		}
		for i := range a.Stacks {
			fmt.Fprintf(w, "    %s %s\n", attls.Printable(a.Stacks[i].String()), attls.Printable(a.Does[i]))
		}
	}
	if r.Unneeded > 0 {
		fmt.Fprintf(w, "%d entries of the lists of known differences were not needed; attls fuzz known %s tries each\n",
			r.Unneeded, f.options())
	}
}

// writeDraft writes new differences as a list of known ones that lacks the reasons, so that nothing
// reads it before somebody has explained them.
func writeDraft(name string, x *campaign.Remote, found []*campaign.Finding) error {
	k := &campaign.Known{Format: campaign.KnownFormat, Peer: x.Family()}
	for _, f := range found {
		if e := f.Draft(x.StackName()); e != nil {
			k.Known = append(k.Known, e)
		}
	}
	return writePage(name, func(w io.Writer) error {
		out := yaml.NewEncoder(w)
		out.SetIndent(2)
		return errors.Join(out.Encode(k), out.Close())
	})
}

// apart runs an input with two stacks.
func (o *replayFlags) apart(c *cobra.Command, in *campaign.Input, file io.Writer) error {
	if o.plant != "" {
		return usage("--plant plants a bug in attls, and this input is about two other stacks")
	}
	x, y, done, err := o.stack.pair(c.Context(), in, o.anyVersion)
	if err != nil {
		return err
	}
	defer done()
	r, err := campaign.ReplayApart(c.Context(), in, x, y, file)
	if err != nil {
		return unavailable(err)
	}
	w := c.OutOrStdout()
	printInput(w, in)
	for i, stack := range []*campaign.Remote{x, y} {
		fmt.Fprintf(w, "\nWith %s:\n", attls.Printable(stack.String()))
		newPainter(w).ladder(o.steps(r.Ends[i].Ladder))
		fmt.Fprintf(w, "%s %s.\n", attls.Printable(stack.String()), attls.Printable(r.Ends[i].Outcome))
	}
	fmt.Fprintf(w, "\nattls %s.\n", attls.Printable(strings.TrimSpace(r.Ends[0].Local)))
	for i := range r.Apart {
		fmt.Fprintf(w, "%s\n", attls.Printable(r.Apart[i].Error()))
		for _, stack := range []*campaign.Remote{x, y} {
			if k := stack.Known.ExplainsApart(&r.Apart[i]); k != nil {
				fmt.Fprintf(w, "  known: %s\n", attls.Printable(k.Explanation()))
				break
			}
		}
	}
	if len(r.Apart) > 0 {
		return failed("%d differences", len(r.Apart))
	}
	fmt.Fprintln(w, "They do the same.")
	return nil
}

// minimized makes an input smaller with what its flags name, or with attls.
func minimized(ctx context.Context, in *campaign.Input, p *campaign.Plant,
	stack *fuzzPeerFlags) (*campaign.Input, error) {
	if p != nil && (in.Against != "" || stack.peer != "" || stack.adapter != "" || len(stack.against) > 0) {
		return nil, usage("--plant plants a bug in attls, and the honest end is another stack")
	}
	if in.Against != "" || len(stack.against) > 0 {
		x, y, done, err := stack.pair(ctx, in, false)
		if err != nil {
			return nil, err
		}
		defer done()
		return campaign.MinimizeAbroad(ctx, in, x, y)
	}
	remote, done, err := stack.remote(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if remote != nil {
		return campaign.MinimizeAbroad(ctx, in, remote)
	}
	return campaign.Minimize(in, p)
}

func fuzzKnown() *cobra.Command {
	var stack fuzzPeerFlags
	c := &cobra.Command{
		Use:   "known",
		Short: "Replay what the lists of known differences explain",
		Long: `known replays, with two stacks, the input of each entry that explains a difference between
them, and says which entries still show. It exits 1 if one does not: nothing needs it.`,
		Example: `  attls fuzz known --peer openssl --against gnutls
  attls fuzz known --adapter mine.yaml --against openssl --known mine-known.yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			x, against, done, err := stack.remotes(c.Context())
			if err != nil {
				return err
			}
			defer done()
			if len(against) == 0 {
				return usage("--peer or --adapter names one stack, and --against others")
			}
			n, stale := 0, 0
			w := c.OutOrStdout()
			for _, y := range against {
				for _, k := range knownLists(x, y) {
					m, err := k.Check(c.Context(), x, y, func(e *campaign.KnownEntry, wrong string) {
						if wrong == "" {
							fmt.Fprintf(w, "shows: %s\n", attls.Printable(e.Explanation()))
							return
						}
						stale++
						fmt.Fprintf(w, "STALE: %s\n    %s\n", attls.Printable(e.Explanation()), attls.Printable(wrong))
					})
					n += m
					if c.Context().Err() != nil {
						return &exitError{exitInterrupted, errors.New("interrupted")}
					}
					if err != nil {
						return unavailable(err)
					}
				}
			}
			fmt.Fprintf(w, "%d entries, %d of them stale\n", n, stale)
			if stale > 0 {
				return failed("%d entries of the lists of known differences are stale", stale)
			}
			return nil
		},
	}
	stack.add(c.Flags())
	stack.addAgainst(c.Flags(), "another stack (may be repeated)")
	return c
}

// knownLists are the lists of two stacks, each once.
func knownLists(x, y *campaign.Remote) (list []*campaign.Known) {
	for _, k := range []*campaign.Known{x.Known, y.Known} {
		if k != nil && (len(list) == 0 || list[0].Peer != k.Peer) {
			list = append(list, k)
		}
	}
	return list
}

func fuzzFingerprint() *cobra.Command {
	var stack fuzzPeerFlags
	var dir string
	c := &cobra.Command{
		Use:   "fingerprint",
		Short: "Show which inputs tell stacks and versions apart",
		Long: `fingerprint replays inputs with each of the stacks and prints what every one does, only
where two of them differ, and then the fewest inputs that tell all apart that can be told. The
inputs are those of the lists of known differences, and with --dir the findings of a campaign.`,
		Example: `  attls fuzz fingerprint --peer openssl --against openssl-3.5 --against gnutls --role server`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			x, against, done, err := stack.remotes(c.Context())
			if err != nil {
				return err
			}
			defer done()
			if x == nil {
				return usage("--peer or --adapter names a stack, and --against others")
			}
			inputs, err := campaign.KnownInputs()
			if err != nil {
				return err
			}
			if dir != "" {
				more, unread, err := campaign.Findings(dir)
				if err != nil {
					return unavailable(err)
				}
				for _, text := range unread {
					fmt.Fprintln(c.ErrOrStderr(), "attls: "+attls.Printable(text))
				}
				inputs = append(inputs, more...)
			}
			p, err := campaign.Fingerprint(c.Context(), inputs, append([]*campaign.Remote{x}, against...))
			if c.Context().Err() != nil {
				return &exitError{exitInterrupted, errors.New("interrupted")}
			}
			if err != nil {
				return unavailable(err)
			}
			printFingerprint(c.OutOrStdout(), p)
			return nil
		},
	}
	stack.add(c.Flags())
	stack.addAgainst(c.Flags(), "another stack (may be repeated)")
	c.Flags().StringVar(&dir, "dir", "", "add the findings in a `directory`")
	return c
}

func printFingerprint(w io.Writer, p *campaign.Print) {
	row := func(x *campaign.PrintRow) {
		fmt.Fprintf(w, "%v: the %s does this:\n", x.Input.Connection, x.Input.Attacker)
		for i := range x.Input.Edits {
			fmt.Fprintf(w, "  %s\n", attls.Printable(x.Input.Edits[i].String()))
		}
		for i, does := range x.Does {
			fmt.Fprintf(w, "    %-24s %s\n", attls.Printable(p.Stacks[i]), attls.Printable(does))
		}
	}
	for i := range p.Rows {
		row(&p.Rows[i])
	}
	fmt.Fprintf(w, "\nOf %d inputs, %d are answered in more than one way. ", p.Tried, len(p.Rows))
	if len(p.Chosen) > 0 {
		fmt.Fprintf(w, "%d of them are enough:\n", len(p.Chosen))
	} else {
		fmt.Fprintln(w, "Nothing tells these stacks apart.")
	}
	for _, i := range p.Chosen {
		row(&p.Rows[i])
	}
	for _, two := range p.Same {
		fmt.Fprintf(w, "Not told apart: %s and %s\n", attls.Printable(two[0]), attls.Printable(two[1]))
	}
}
