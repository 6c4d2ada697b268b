package peers

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
)

// idle is a stack whose connections last until their context ends.
type idle struct {
	started chan struct{}
	stopped *int // how often Stop was called; nil: not counted
}

func (idle) Name() string                                { return "idle" }
func (idle) Missing() string                             { return "" }
func (idle) Limit(*scenario.Scenario, attls.Role) string { return "" }
func (idle) Identify(context.Context) (v, w string, e error) {
	return "", "", errors.New("it does not say")
}
func (p idle) Start(ctx context.Context, _ *Task) (Process, error) {
	if p.started != nil {
		p.started <- struct{}{}
	}
	return idling{ctx, p.stopped}, nil
}

type idling struct {
	ctx     context.Context
	stopped *int
}

func (idling) Address() string { return "" }
func (p idling) Claims() (claims.Claims, error) {
	<-p.ctx.Done()
	return claims.Claims{}, p.ctx.Err()
}
func (p idling) Stop() {
	if p.stopped != nil {
		*p.stopped++
	}
}

func idleCases(n int) (cases []Case) {
	for i := range n {
		cases = append(cases, Case{"idle", "idle", scenario.Scenario{Group: strconv.Itoa(i)}})
	}
	return cases
}

// TestTimeout: a case that takes too long fails with that reason.
func TestTimeout(t *testing.T) {
	results := RunAll(t.Context(), idleCases(2), []Peer{idle{}}, Settings{Timeout: time.Millisecond}, func(*Result) {})
	if len(results) != 2 {
		t.Fatalf("%d results", len(results))
	}
	for _, r := range results {
		if r.Status != Failed || !strings.HasPrefix(r.Reason, "the case took longer than 1ms") {
			t.Errorf("%s: %s", r.Status, r.Reason)
		}
	}
}

// TestInterrupt: where the context ends, what is under way is stopped and has no
// result, and what was done has one.
func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	started, stopped := make(chan struct{}), 0
	cases := append([]Case{{"nobody", "idle", scenario.Scenario{}}}, idleCases(3)...)
	go func() {
		<-started
		<-started // both ends of the second case
		cancel()
	}()
	seen := 0
	results := RunAll(ctx, cases, []Peer{idle{started, &stopped}}, Settings{Parallel: 1}, func(*Result) { seen++ })
	if len(results) != 1 || results[0].Client != "nobody" || seen != 1 {
		t.Errorf("%d results, %d handed on", len(results), seen)
	}
	if stopped != 2 {
		t.Errorf("%d ends were stopped", stopped)
	}
}

// TestIdentify: a stack whose version cannot be had is not missing.
func TestIdentify(t *testing.T) {
	if id := Identify(t.Context(), idle{}); id.Missing != "" || !strings.Contains(id.Version, "does not say") {
		t.Errorf("%+v", id)
	}
	if id := Identify(t.Context(), Command{Path: "go"}); !filepath.IsAbs(id.Where) { // found in the PATH
		t.Errorf("%+v", id)
	}
	if id := Identify(t.Context(), MbedTLS{}); id.Missing == "" || id.Version != "" {
		t.Errorf("%+v", id)
	}
	if id := Identify(t.Context(), CryptoTLS{}); !strings.HasPrefix(id.Version, "go") {
		t.Errorf("%+v", id)
	}
}

// TestDistinct: no two cases have the same name, by which they are chosen,
// divided and merged.
func TestDistinct(t *testing.T) {
	for _, full := range []bool{false, true} {
		o := Defaults()
		o.Full, o.Faults = full, true
		cases, err := Cases(o)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, c := range cases {
			if seen[c.String()] {
				t.Errorf("two cases are called %s", c.String())
			}
			seen[c.String()] = true
		}
	}
}
