package authenticators

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"attls"
)

// Schema names the shape of a Report.
const Schema = "attls-authenticators/1"

// The outcomes of a Result.
const (
	Passed  = "passed"
	Failed  = "failed"
	Skipped = "skipped" // a stack is not here
)

// Result is what a case came to between two stacks.
type Result struct {
	Client  string `json:"client"`
	Server  string `json:"server"`
	Suite   string `json:"suite"`
	Case    string `json:"case"`
	Asker   string `json:"asker"` // or the end that checks
	Outcome string `json:"outcome"`
	Reason  string `json:"reason,omitempty"`
}

// Name identifies a result in a report.
func (r *Result) Name() string {
	return strings.Join([]string{r.Client + "-" + r.Server, r.Suite, r.Case, r.Asker}, "/")
}

// Report is what a set of runs came to.
type Report struct {
	Schema  string    `json:"schema"`
	Stacks  []Version `json:"stacks"`
	Results []Result  `json:"results"`
}

// Version is what is known of a stack.
type Version struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Missing string `json:"missing,omitempty"`
}

// Count counts the results of an outcome.
func (r *Report) Count(outcome string) (n int) {
	for i := range r.Results {
		if r.Results[i].Outcome == outcome {
			n++
		}
	}
	return n
}

// Suites are those that are run by default, one for each hash.
func Suites() []attls.CipherSuite {
	return []attls.CipherSuite{attls.TLS_AES_128_GCM_SHA256, attls.TLS_AES_256_GCM_SHA384}
}

// Choice is what is run.
type Choice struct {
	Stacks []Stack
	Suites []attls.CipherSuite // nil: Suites()
	// Chosen says which results are wanted. Nil: all.
	Chosen func(*Result) bool
	// Pair says which stacks meet. Nil: all.
	Pair func(client, server string) bool
	// Timeout bounds a connection and all that is done over it. 0: a minute.
	Timeout time.Duration
	// Each is told of each result. It may be nil.
	Each func(*Result)
}

// List are the results that there will be, without outcomes.
func (c *Choice) List() (list []Result) {
	for _, client := range c.Stacks {
		for _, server := range c.Stacks {
			if c.Pair == nil || c.Pair(client.Name(), server.Name()) {
				list = append(list, c.between(client, server)...)
			}
		}
	}
	return list
}

func (c *Choice) suites() []attls.CipherSuite {
	if c.Suites == nil {
		return Suites()
	}
	return c.Suites
}

// between are the results of two stacks.
func (c *Choice) between(client, server Stack) (list []Result) {
	for _, suite := range c.suites() {
		for i := range cases {
			if cases[i].updates != nil && !(updates(client) && updates(server)) {
				continue
			}
			for _, asker := range cases[i].roles() {
				r := Result{Client: client.Name(), Server: server.Name(), Suite: suite.String(), Case: cases[i].Name,
					Asker: asker.String()}
				if c.Chosen == nil || c.Chosen(&r) {
					list = append(list, r)
				}
			}
		}
	}
	return list
}

func (k *Case) roles() []attls.Role {
	if k.askers == nil {
		return []attls.Role{attls.RoleClient, attls.RoleServer}
	}
	return k.askers
}

// Run runs what was chosen, between each two stacks.
func Run(ctx context.Context, c *Choice) *Report {
	r := &Report{Schema: Schema, Results: []Result{}}
	for _, s := range c.Stacks {
		v := Version{Name: s.Name(), Missing: s.Missing()}
		if v.Missing == "" {
			var err error
			if v.Version, err = s.Version(ctx); err != nil {
				v.Missing = fmt.Sprintf("its version cannot be asked for: %v", err)
			}
		}
		r.Stacks = append(r.Stacks, v)
	}
	for i, client := range c.Stacks {
		for k, server := range c.Stacks {
			if c.Pair != nil && !c.Pair(client.Name(), server.Name()) {
				continue
			}
			results := c.between(client, server)
			missing := ""
			for _, v := range []Version{r.Stacks[i], r.Stacks[k]} {
				if v.Missing != "" {
					missing = v.Name + ": " + v.Missing
				}
			}
			if missing == "" {
				c.meet(ctx, client, server, results)
			}
			for i := range results {
				if missing != "" {
					results[i].Outcome, results[i].Reason = Skipped, missing
				}
				if c.Each != nil {
					c.Each(&results[i])
				}
			}
			r.Results = append(r.Results, results...)
		}
	}
	return r
}

// meet fills in the results of two stacks, with two connections for each suite.
func (c *Choice) meet(ctx context.Context, client, server Stack, results []Result) {
	for _, suite := range c.suites() {
		var mine []*Result
		for i := range results {
			if results[i].Suite == suite.String() {
				mine = append(mine, &results[i])
			}
		}
		if len(mine) > 0 {
			c.connections(ctx, client, server, suite, mine)
		}
	}
}

func (c *Choice) connections(ctx context.Context, client, server Stack, suite attls.CipherSuite, mine []*Result) {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var connections [2]*connection
	for i := range connections {
		var err error
		connections[i], err = connect(ctx, client, server, &Setting{Suite: suite})
		defer connections[i].stop()
		if err != nil {
			for _, r := range mine {
				r.Outcome, r.Reason = Failed, err.Error()
			}
			return
		}
	}
	for _, r := range mine {
		r.Outcome = Passed
		if err := c.runCase(ctx, r, [2]Stack{client, server}, connections); err != nil {
			r.Outcome, r.Reason = Failed, err.Error()
			if ctx.Err() != nil {
				r.Reason = ctx.Err().Error() + ": " + r.Reason
			}
		}
	}
	for role, end := range connections[0].ends {
		if err := end.Close(); err != nil && mine[len(mine)-1].Outcome == Passed {
			mine[len(mine)-1].Outcome = Failed
			mine[len(mine)-1].Reason = fmt.Sprintf("the %v cannot close the connection afterwards: %v", attls.Role(role), err)
		}
	}
}

// connection is one between two stacks.
type connection struct {
	started [2]Starting
	ends    [2]End
}

func (c *connection) stop() {
	for _, s := range c.started {
		if s != nil {
			s.Stop()
		}
	}
}

// connect makes one as a Setting says, but for the roles, the address and the identities.
func connect(ctx context.Context, client, server Stack, like *Setting) (*connection, error) {
	c := &connection{}
	address := ""
	for _, role := range []attls.Role{attls.RoleServer, attls.RoleClient} {
		stack := server
		if role == attls.RoleClient {
			stack = client
		}
		identity, err := NewIdentity(role.String() + ".example")
		if err != nil {
			return c, err
		}
		set := *like
		set.Role, set.Address, set.Identity = role, address, identity
		c.started[role], err = stack.Start(ctx, &set)
		if err != nil {
			c.started[role] = nil
			return c, fmt.Errorf("%s, the %v: %w", stack.Name(), role, err)
		}
		address = c.started[role].Address()
	}
	var errs [2]error
	for _, role := range attls.Roles() {
		if c.ends[role], errs[role] = c.started[role].End(); errs[role] != nil {
			errs[role] = fmt.Errorf("the %v: %w", role, errs[role])
			c.started[role].Stop()
		}
	}
	return c, errors.Join(errs[:]...)
}

// fresh are new authenticators of both ends, by role.
func (c *connection) fresh() (list [2]Authenticators, err error) {
	for _, role := range attls.Roles() {
		if list[role], err = c.ends[role].Authenticators(); err != nil {
			return list, fmt.Errorf("authenticators of the %v: %w", role, err)
		}
	}
	return list, nil
}

func (c *Choice) runCase(ctx context.Context, r *Result, stacks [2]Stack, connections [2]*connection) error {
	asker := attls.RoleClient
	if r.Asker == attls.RoleServer.String() {
		asker = attls.RoleServer
	}
	for i := range cases {
		k := &cases[i]
		for _, role := range k.roles() {
			if k.Name != r.Case || role != asker {
				continue
			}
			if k.updates != nil {
				return runUpdates(ctx, k, r.Suite, asker, stacks)
			}
			list, err := connections[0].fresh()
			if err != nil {
				return err
			}
			ordered := func(c *connection) func() (Authenticators, Authenticators, error) {
				return func() (Authenticators, Authenticators, error) {
					list, err := c.fresh()
					return list[asker], list[asker.Peer()], err
				}
			}
			x := &exchange{name: k.Name, asker: list[asker], peer: list[asker.Peer()], askerRole: asker,
				askerEnd: connections[0].ends[asker], peerEnd: connections[0].ends[asker.Peer()],
				otherEnd:  connections[1].ends[asker],
				elsewhere: ordered(connections[1]), again: ordered(connections[0])}
			return k.run(x)
		}
	}
	return fmt.Errorf("no case is called %s", r.Case)
}
