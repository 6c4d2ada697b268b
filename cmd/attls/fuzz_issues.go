package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"attls"
	"attls/conformance/claims"
	"attls/fuzz/campaign"
)

type fuzzIssuesFlags struct {
	out   string
	stack fuzzPeerFlags
}

func fuzzIssues() *cobra.Command {
	f := &fuzzIssuesFlags{}
	c := &cobra.Command{
		Use:   "issues DIRECTORY",
		Short: "Write a page for the authors of a stack about each finding",
		Long: `issues replays the findings of a campaign against another stack, and writes a page
(Markdown) and a capture for each that still shows: the rule, what was sent, what came
back, and the command that repeats it. Differences between stacks need --against as well. It
exits 1 if a finding does not show again.`,
		Example: `  attls fuzz run none --peer openssl --time 10m --dir night
  attls fuzz issues night --peer openssl --out issues`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args[0]) },
	}
	c.Flags().StringVarP(&f.out, "out", "o", "issues", "`directory` of the pages")
	f.stack.add(c.Flags())
	f.stack.addAgainst(c.Flags(), "another stack of the differences (may be repeated)")
	return c
}

func (f *fuzzIssuesFlags) run(c *cobra.Command, directory string) error {
	files, err := filepath.Glob(filepath.Join(directory, "findings", "*.yaml"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s: no findings/*.yaml: %w", directory, fs.ErrNotExist)
	}
	if err != nil {
		return unavailable(err)
	}
	remote, against, done, err := f.stack.remotes(c.Context())
	if err != nil {
		return err
	}
	defer done()
	if remote == nil {
		return usage("--peer or --adapter must name the stack that the findings are about")
	}
	if err := os.MkdirAll(f.out, 0o755); err != nil {
		return unavailable(err)
	}
	gone := 0
	for _, file := range files {
		name, err := f.page(c, append([]*campaign.Remote{remote}, against...), file)
		switch {
		case c.Context().Err() != nil:
			return &exitError{exitInterrupted, errors.New("interrupted; the pages so far are in " + f.out)}
		case err != nil:
			gone++
			fmt.Fprintf(c.ErrOrStderr(), "attls: %s: %s\n", attls.Printable(file), attls.Printable(err.Error()))
		default:
			fmt.Fprintln(c.OutOrStdout(), name)
		}
	}
	if gone > 0 {
		return failed("%d of %d findings do not show again", gone, len(files))
	}
	return nil
}

// page writes the page of a finding, and returns its name. The first of the stacks is that of --peer.
func (f *fuzzIssuesFlags) page(c *cobra.Command, stacks []*campaign.Remote, file string) (string, error) {
	in, err := campaign.ReadFile(file)
	if err != nil {
		return "", err
	}
	temporary := filepath.Join(f.out, ".capture")
	capture, err := os.Create(temporary)
	if err != nil {
		return "", err
	}
	defer os.Remove(temporary)
	var page interface {
		FileName() string
		Write(io.Writer) error
	}
	if in.Against != "" {
		page, err = f.apart(c, in, stacks, capture)
	} else {
		page, err = f.alone(c, in, stacks, capture)
	}
	if err = errors.Join(err, capture.Close()); err != nil {
		return "", err
	}
	name := page.FileName()
	if err := in.WriteFile(filepath.Join(f.out, name+".yaml")); err != nil {
		return "", err
	}
	if err := os.Rename(temporary, filepath.Join(f.out, name+".pcapng")); err != nil {
		return "", err
	}
	path := filepath.Join(f.out, name+".md")
	return path, writePage(path, page.Write)
}

// alone is the page of a finding in one stack: that of --peer, or that of --against in which it was found.
func (f *fuzzIssuesFlags) alone(c *cobra.Command, in *campaign.Input, stacks []*campaign.Remote,
	capture io.Writer) (*campaign.Issue, error) {
	remote, option := stacks[0], f.stack.option()
	for i, x := range stacks[1:] {
		if in.Peer == x.String() {
			remote, option = x, "--peer "+shellWord(f.stack.against[i])
		}
	}
	r, err := campaign.ReplayAbroad(c.Context(), in, remote, capture)
	if err != nil {
		return nil, err
	}
	if len(r.Violations) == 0 {
		return nil, errors.New("the stack " + r.Outcome + "; no law is broken")
	}
	page := &campaign.Issue{Input: in, Abroad: r, Stack: remote.String(), Tested: claims.StackVersion()}
	for i := range r.Violations {
		if k := remote.Known.Explains(&r.Violations[i], remote.Version); k != nil && r.Violations[i].Law == in.Law {
			page.Why = k.Why
		}
	}
	page.Capture = page.FileName() + ".pcapng"
	page.Command = "attls fuzz replay " + page.FileName() + ".yaml " + option
	return page, nil
}

// apart is the page of a difference between two stacks.
func (f *fuzzIssuesFlags) apart(c *cobra.Command, in *campaign.Input, stacks []*campaign.Remote,
	capture io.Writer) (*campaign.ApartIssue, error) {
	var two []*campaign.Remote
	var others []string
	for i, x := range stacks {
		if x.String() != in.Peer && x.String() != in.Against {
			continue
		}
		two = append(two, x)
		if i > 0 {
			others = append(others, f.stack.against[i-1])
		}
	}
	if len(two) != 2 || len(others) != 1 {
		return nil, fmt.Errorf("it is about %s and %s; --peer or --adapter and --against must name both, in these versions",
			in.Peer, in.Against)
	}
	r, err := campaign.ReplayApart(c.Context(), in, two[0], two[1], capture)
	if err != nil {
		return nil, err
	}
	if len(r.Apart) == 0 {
		return nil, fmt.Errorf("%v and %v both do the same: the stack %s", two[0], two[1], r.Ends[0].Outcome)
	}
	page := &campaign.ApartIssue{Input: in, Replays: r, Tested: claims.StackVersion()}
	for _, x := range two {
		if page.Known == nil {
			page.Known = x.Known.ExplainsApart(&r.Apart[0])
		}
	}
	page.Capture = page.FileName() + ".pcapng"
	page.Command = "attls fuzz replay " + page.FileName() + ".yaml"
	page.Command += " " + f.stack.option() + " --against " + shellWord(others[0])
	return page, nil
}
