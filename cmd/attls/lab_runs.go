package main

import (
	"fmt"
	"sync"

	"github.com/spf13/cobra"

	"attls/conformance/lab"
	"attls/conformance/peers"
)

// peer is the stack that an honest end may have.
func (f *labFlags) peer() peers.Laboratory {
	path := f.mbedtls
	if path == "" {
		path = peers.FindMbedTLS()
	}
	return peers.NewLaboratory(path)
}

// stacks are those of the honest ends.
func (f *labFlags) stacks() (s lab.Stacks, err error) {
	if s, err = lab.ParseStacks(f.stack, f.peer()); err != nil {
		return s, usage("--stack %w", err)
	}
	for _, x := range s {
		if x == nil {
			continue
		}
		if reason := x.Missing(); reason != "" {
			return s, unavailable(fmt.Errorf("--stack %s: %s", f.stack, reason))
		}
	}
	return s, nil
}

// passes are the runs of the matrix that the flags ask for.
func (f *labFlags) passes(c *cobra.Command, o lab.Options) ([]lab.Options, error) {
	if !f.full {
		return []lab.Options{o}, nil
	}
	if o.Lax != "" || o.Stacks != (lab.Stacks{}) {
		return nil, usage("--full has each lax relying party and each stack; omit --lax and --stack")
	}
	peer := f.peer()
	var stacks []lab.Stacks
	if reason := peer.Missing(); reason != "" {
		fmt.Fprintf(c.ErrOrStderr(), "runs with %s are skipped: %s\n", peer.Name(), reason)
	} else {
		stacks = []lab.Stacks{{peer, nil}, {nil, peer}, {peer, peer}}
	}
	passes, err := o.Full(stacks...)
	if err != nil {
		return nil, usage("%w", err)
	}
	return passes, nil
}

// cells runs the passes, with progress.
func (f *labFlags) cells(c *cobra.Command, passes []lab.Options) (all []*lab.Cell, err error) {
	for _, o := range passes {
		var p *progress
		var one sync.Mutex
		o.Count = func(n int) { p = newProgress(c.ErrOrStderr(), n, "not as expected") }
		o.Progress = func(x *lab.Cell) {
			one.Lock()
			defer one.Unlock()
			p.step(x.Key(), x.Error != "")
		}
		cells, err := lab.Run(c.Context(), o)
		if p != nil {
			p.clear()
		}
		if err != nil {
			if c.Context().Err() != nil {
				return nil, &exitError{exitInterrupted, err}
			}
			return nil, usage("%w", err)
		}
		all = append(all, cells...)
	}
	if len(all) == 0 {
		return nil, usage("the flags choose no cell: no attack is for these profiles and capabilities")
	}
	return all, nil
}
