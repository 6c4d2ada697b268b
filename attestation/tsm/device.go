package tsm

import (
	"context"
	"fmt"
	"time"

	"github.com/google/go-configfs-tsm/configfs/configfsi"
	"github.com/google/go-configfs-tsm/configfs/linuxtsm"
	"github.com/google/go-configfs-tsm/report"
	"go.yaml.in/yaml/v3"
)

// Client is access to configfs-tsm: that of the kernel, or one in place of it.
type Client = configfsi.Client

// Open is access to the kernel's configfs-tsm. The error says what is missing on a
// machine that has none.
func Open() (Client, error) {
	c, err := linuxtsm.MakeClient()
	if err != nil {
		return nil, fmt.Errorf("this machine has no configfs-tsm: %w", err)
	}
	return c, nil
}

// Request is what a report is asked for.
type Request struct {
	// Provider is the one that must answer, without a line feed.
	Provider string
	// Challenge is the inblob of at most 64 octets, which the Evidence will hold.
	Challenge []byte
	// Privilege is the level (VMPL) that the report is for; nil: the kernel's choice.
	Privilege *uint
	// Aux asks for the auxblob as well.
	Aux bool
}

// attempts is how often a report is asked for that another process disturbs.
const attempts = 4

// Get asks for a report. It returns when the context ends, although the kernel may
// still be busy then.
func Get(ctx context.Context, c Client, q *Request) (*Report, error) {
	type answer struct {
		report *Report
		err    error
	}
	done := make(chan answer, 1)
	go func() {
		r, err := get(ctx, c, q)
		done <- answer{r, err}
	}()
	select {
	case a := <-done:
		return a.report, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("the TSM report: %w", ctx.Err())
	}
}

func get(ctx context.Context, c Client, q *Request) (*Report, error) {
	request := &report.Request{InBlob: q.Challenge, GetAuxBlob: q.Aux}
	if q.Privilege != nil {
		request.Privilege = &report.Privilege{Level: *q.Privilege}
	}
	for i := 1; ; i++ {
		response, err := report.Get(c, request)
		switch {
		case err == nil:
			r := &Report{Provider: response.Provider, Out: response.OutBlob, Aux: response.AuxBlob}
			if failure := r.check(); failure != nil {
				return nil, failure
			}
			if failure := r.From(q.Provider); failure != nil {
				return nil, failure
			}
			return r, nil
		case i == attempts || report.GetGenerationErr(err) == nil:
			return nil, fmt.Errorf("the TSM report: %w", err)
		}
		select {
		case <-time.After(time.Duration(i) * 10 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("the TSM report: %w", ctx.Err())
		}
	}
}

// Source is the member `source` of the section `device` in an attester's file, for
// formats that have an emulator as well.
type Source string

// The sources of Evidence.
const (
	Emulator Source = "emulator"     // keys in the file; also where there is no source
	Kernel   Source = "configfs-tsm" // the platform that this machine is
)

// UnmarshalYAML reads one of the sources.
func (s *Source) UnmarshalYAML(n *yaml.Node) error {
	switch v := Source(n.Value); v {
	case Emulator, Kernel:
		*s = v
		return nil
	}
	return fmt.Errorf("line %d: there is no source %q; there are %s, %s", n.Line, n.Value, Emulator, Kernel)
}
