package peers

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"attls"
	"attls/conformance/adapter"
	"attls/conformance/cases"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/handshake"
)

// Adapted is a stack as the section conform of an adapter describes it.
type Adapted struct {
	*adapter.Adapter
	find func() *adapter.Stack
}

// NewAdapted makes a peer of an adapter that has a section conform. paths are paths of
// programs by their names, which count before the file's.
func NewAdapted(a *adapter.Adapter, paths map[string]string) (*Adapted, error) {
	p := &Adapted{Adapter: a, find: sync.OnceValue(func() *adapter.Stack { return a.Find(context.Background(), paths) })}
	table := cases.All()
	for i := range a.Deviations {
		d := &a.Deviations[i]
		if d.Fault == nil {
			continue
		}
		for _, name := range d.Fault.Names {
			if !table.Knows(name) {
				return nil, fmt.Errorf("%s: no fault is called %q", d.Place(), name)
			}
		}
	}
	return p, nil
}

// Name implements Peer: it is what grids, pages and flags call the stack.
func (p *Adapted) Name() string {
	if p.Named == "" {
		return p.Adapter.Name
	}
	return p.find().Title()
}

// Missing implements Peer.
func (p *Adapted) Missing() string { return p.find().Missing }

// Identify implements Identifier.
func (p *Adapted) Identify(context.Context) (version, where string, err error) {
	return p.find().Says, p.find().Where(), nil
}

// wanted is what a scenario asks of an end.
func (p *Adapted) wanted(s *scenario.Scenario, r attls.Role) adapter.Wanted {
	w := adapter.Wanted{Role: r, Suite: s.Suite, Group: s.Group, Resumption: string(s.Resumption),
		Version: p.find().Version}
	for name, has := range map[string]bool{"cookie": s.Cookie, "raw_public_keys": s.RawPublicKeys,
		"client_certificate": s.ClientCertificate, "hello_retry": s.HelloRetry, "alpn": s.ALPN != "",
		"key_update": s.KeyUpdate != "", "early_data": s.EarlyData} {
		if has {
			w.Has = append(w.Has, name)
		}
	}
	return w
}

// Limit implements Peer.
func (p *Adapted) Limit(s *scenario.Scenario, r attls.Role) string {
	end := p.Conform.Ends[r]
	switch {
	case s.Profile != "":
		return "its programs have no extensions of applications"
	case end == nil:
		return fmt.Sprintf("its adapter has no %v", r)
	}
	w := p.wanted(s, r)
	for i := range p.Conform.Limits {
		if l := &p.Conform.Limits[i]; l.When.Matches(&w) {
			return strings.ReplaceAll(l.Why, "${group}", s.Group)
		}
	}
	for _, need := range needs(s, r, end) {
		if !slices.ContainsFunc(need, end.Mentions) {
			return fmt.Sprintf("its adapter's command for a %v does not use %s", r, strings.Join(need, " or "))
		}
	}
	return ""
}

// needs are the variables on one of each of which a command has to depend.
func needs(s *scenario.Scenario, r attls.Role, end *adapter.ConformEnd) (list [][]string) {
	need := func(wanted bool, variables ...string) {
		if wanted {
			list = append(list, variables)
		}
	}
	client := r == attls.RoleClient
	need(s.Suite != "", "suite")
	need(s.Group != "" && (!client || !s.HelloRetry), "groups", "group")
	need(s.Group != "" && client && s.HelloRetry, "groups")
	need(s.ALPN != "", "alpn")
	need(s.ClientCertificate && !client, "client_certificate")
	need(s.RawPublicKeys, "raw_public_keys")
	need(s.Cookie && !client, "cookie")
	need(s.KeyUpdate == r.String(), "key_update")
	need(s.EarlyData, "early_data")
	need(s.Resumption != "" && client && !end.ResumesItself, "session_out")
	need(s.Resumption != "" && client && end.ResumesItself, "resumption")
	need(s.Resumption != "" && !client, "connections", "resumption")
	return list
}

// Deviation implements Deviator.
func (p *Adapted) Deviation(s *scenario.Scenario, r attls.Role) (list []Deviant) {
	id := cases.ID(s.Injected())
	w := p.wanted(s, r)
	for i := range p.Deviations {
		d := &p.Deviations[i]
		if d.Fault == nil || !d.Fault.When.Matches(&w) ||
			!slices.ContainsFunc(d.Fault.Names, func(f string) bool { return cases.ID(f) == id }) {
			continue
		}
		tried := p.Tried
		if d.Tried != nil {
			tried = d.Tried
		}
		if d.Mended != "" {
			tried = append(slices.Clone(tried), d.Mended)
		}
		list = append(list, Deviant{Does: d.Does, Alert: d.Fault.Alert, None: d.Fault.NoAlert, Accepts: d.Fault.Accepts,
			Upstream: d.Upstream, Releases: Releases{d.First, d.Last, tried}})
	}
	return list
}

// OwnAnswer implements Answerer.
func (p *Adapted) OwnAnswer(last bool) (own bool, request string) {
	e := p.Conform.Ends[attls.RoleServer]
	switch {
	case e == nil:
		return false, ""
	case !last && e.RequestBefore != "":
		return e.OwnAnswer, e.RequestBefore
	}
	return e.OwnAnswer, e.Request
}

// EarlyUnanswered implements Answerer.
func (p *Adapted) EarlyUnanswered() bool {
	e := p.Conform.Ends[attls.RoleServer]
	return e != nil && e.Unanswered(p.find().Version)
}

// ResumesItself implements Resumer.
func (p *Adapted) ResumesItself() bool {
	e := p.Conform.Ends[attls.RoleClient]
	return e != nil && e.ResumesItself
}

// EndsAbruptly implements Abrupt.
func (p *Adapted) EndsAbruptly(r attls.Role) bool {
	e := p.Conform.Ends[r]
	return e != nil && e.Abrupt
}

// Start implements Peer.
func (p *Adapted) Start(ctx context.Context, t *Task) (Process, error) {
	stack, end := p.find(), p.Conform.Ends[t.Role]
	values, err := p.values(t)
	if err != nil {
		return nil, err
	}
	if err := stack.Prepared(ctx, values); err != nil {
		return nil, err
	}
	running, err := p.run(ctx, stack, end, t, values)
	if err != nil {
		return nil, err
	}
	return p.follow(ctx, running, t, stack.File(p.Conform.Reads.Messages, values)), nil
}

// follow follows a program through its connections.
func (p *Adapted) follow(ctx context.Context, running *adapter.Running, t *Task, file string) *several {
	end := p.Conform.Ends[t.Role]
	n := t.connections()
	if t.Role == attls.RoleClient && !end.ResumesItself {
		n = 1
	}
	s := &several{talker: running, address: running.Address, claims: make(chan claimed, n), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		defer close(s.claims)
		before, outputs := [2]int{}, [2]int{} // octets printed, and in the file; of each output
		for i := range n {
			if i > 0 && t.Role == attls.RoleClient {
				running.Set("first", "")
				running.Set("asks", isSet(!earlyAccepted(&t.Scenario)))
				running.Set(adapter.EarlyAccepted, isSet(earlyAccepted(&t.Scenario)))
			}
			sent, received, err := running.Talk(ctx, end, t.Role, i == n-1)
			c := newClaims(p.Name(), p.find().Says, t.Role)
			printed := running.Printed()
			if end.ResumesItself && n > 1 { // the next connection may be in it
				var ends []*regexp.Regexp
				if i < n-1 {
					ends = end.Closed
				}
				var texts [2]string
				texts, outputs = running.Until(outputs, ends)
				printed, before[0] = []byte(texts[0]+texts[1]), 0
			}
			failure := p.make(&c, t.Role, printed, file, i < n-1, &before)
			c.DataSent, c.DataReceived = sent, received
			if t.Role == attls.RoleClient && i < n-1 && received == 0 { // it may connect for the ticket alone
				c.Unclaimed = append(c.Unclaimed, claimSent.member, claimReceived.member)
			}
			if err != nil {
				fail(&c, fmt.Errorf("%w%s", err, last(string(running.Printed()))))
			}
			s.claims <- claimed{c, failure}
		}
	}()
	return s
}

func earlyAccepted(s *scenario.Scenario) bool {
	return s.EarlyOutcome() == handshake.EarlyDataAccepted.String()
}

// isSet is the value of a variable that is set or not.
func isSet(has bool) string {
	if has {
		return "yes"
	}
	return ""
}

// make makes claims of what has come since the connection before.
func (p *Adapted) make(c *claims.Claims, r attls.Role, printed []byte, file string, followed bool,
	before *[2]int) error {
	var shown []byte
	if file != "" {
		var err error
		if shown, err = os.ReadFile(file); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	err := p.read(c, r, string(printed[min(before[0], len(printed)):]), string(shown[min(before[1], len(shown)):]),
		followed)
	*before = [2]int{len(printed), len(shown)}
	sent, received := p.Conform.Ends[r].Counts()
	if !sent {
		c.Unclaimed = append(c.Unclaimed, claimSent.member)
	}
	if !received {
		c.Unclaimed = append(c.Unclaimed, claimReceived.member)
	}
	return err
}

// several is a program that makes one connection or several.
type several struct {
	talker
	address string
	claims  chan claimed
	done    chan struct{}
}

func (s *several) Address() string { return s.address }

func (s *several) Claims() (claims.Claims, error) {
	c, ok := <-s.claims
	if !ok {
		return c.claims, errors.New("it makes no further connection")
	}
	return c.claims, c.err
}

func (s *several) Stop() {
	s.talker.Stop()
	<-s.done
}

func (p *Adapted) run(ctx context.Context, s *adapter.Stack, e *adapter.ConformEnd, t *Task,
	values adapter.Values) (*adapter.Running, error) {
	if t.Role == attls.RoleServer {
		return s.Listen(ctx, &e.End, values)
	}
	var err error
	if values["host"], values["port"], err = net.SplitHostPort(t.Address); err != nil {
		return nil, err
	}
	values["address"] = t.Address
	return s.Start(ctx, &e.End, values)
}

// values are what the commands of an end are filled with.
func (p *Adapted) values(t *Task) (adapter.Values, error) {
	s, role := &t.Scenario, t.Role.String()
	own := filepath.Join(t.Directory, role+"-own")
	if err := os.MkdirAll(own, 0o700); err != nil {
		return nil, err
	}
	v := adapter.Values{"name": serverName, "certificate": t.certificate(), "key": t.key(), "authority": t.authority(),
		"directory": own, "keylog": t.keyLog(), "version": p.find().Version, "role": role,
		"suite": s.Suite, "group": s.Group, "groups": strings.Join(groups(s, t.Role), ","), "alpn": s.ALPN,
		"resumption": string(s.Resumption), "connections": strconv.Itoa(t.connections()),
		"exporter_label": claims.ExporterLabel, "exporter_size": strconv.Itoa(claims.ExporterSize),
		"own_public_key": t.ownPublicKey(), "peer_public_key": t.peerKey(), "messages": filepath.Join(own, "messages")}
	for name, has := range map[string]bool{"client_certificate": s.ClientCertificate,
		"raw_public_keys": s.RawPublicKeys, "hello_retry": s.HelloRetry, "cookie": s.Cookie,
		"key_update": s.KeyUpdate == role} {
		v[name] = isSet(has)
	}
	if t.keeps() {
		v["session_out"] = t.session()
	}
	client, itself := t.Role == attls.RoleClient, p.Conform.Ends[t.Role].ResumesItself
	early := client && t.Resumes && earlyAccepted(s)
	v["first"] = isSet(client && itself && t.keeps())
	v["asks"], v[adapter.EarlyAccepted] = isSet(client && !early && v["first"] == ""), isSet(early)
	if t.Resumes && client {
		v["session_in"] = t.session()
	}
	switch {
	case s.EarlyData && !client:
		v["early_data"] = "yes"
	case s.EarlyData && (t.Resumes || itself):
		v["early_data"] = t.earlyData()
	}
	blob, err := os.ReadFile(t.peerKey())
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(blob)
	if block == nil {
		return nil, fmt.Errorf("%s holds no key", t.peerKey())
	}
	v["peer_key"] = keyName(block.Bytes)
	return v, nil
}
