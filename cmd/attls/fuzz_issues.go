package main

import (
	"errors"
	"fmt"
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
back, and the command that repeats it. It exits 1 if a finding does not show again.`,
		Example: `  attls fuzz run none --peer openssl --time 10m --dir night
  attls fuzz issues night --peer openssl --out issues`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args[0]) },
	}
	c.Flags().StringVarP(&f.out, "out", "o", "issues", "`directory` of the pages")
	f.stack.add(c.Flags())
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
	remote, done, err := f.stack.remote(c.Context())
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
		name, err := f.page(c, remote, file)
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

// page writes the page of a finding, and returns its name.
func (f *fuzzIssuesFlags) page(c *cobra.Command, remote *campaign.Remote, file string) (string, error) {
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
	r, err := campaign.ReplayAbroad(c.Context(), in, remote, capture)
	if err = errors.Join(err, capture.Close()); err != nil {
		return "", err
	}
	if len(r.Violations) == 0 {
		return "", errors.New("the stack " + r.Outcome + "; no law is broken")
	}
	page := &campaign.Issue{Input: in, Abroad: r, Stack: remote.String(), Tested: claims.StackVersion()}
	for i := range r.Violations {
		if k := remote.Known.Explains(&r.Violations[i], remote.Version); k != nil && r.Violations[i].Law == in.Law {
			page.Why = k.Why
		}
	}
	name := page.FileName()
	page.Capture = name + ".pcapng"
	page.Command = "attls fuzz replay " + name + ".yaml " + f.stack.option()
	if err := in.WriteFile(filepath.Join(f.out, name+".yaml")); err != nil {
		return "", err
	}
	if err := os.Rename(temporary, filepath.Join(f.out, page.Capture)); err != nil {
		return "", err
	}
	path := filepath.Join(f.out, name+".md")
	return path, writePage(path, page.Write)
}
