package cases

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"attls"
	"attls/attestation"
	"attls/conformance/claims"
	"attls/conformance/pair"
	"attls/conformance/scenario"
	"attls/conformance/tamper"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/negotiation"
)

// behaviour runs scenarios in a world that never changes: what comes out is a
// function of the profile.
type behaviour struct {
	env  *scenario.Environment
	list []experiment
}

// experiment is a scenario with something changed.
type experiment struct {
	name     string
	scenario scenario.Scenario
	change   func(*scenario.Setup) // nil: nothing
	delay    func(attls.Role, *handshake.Wait) int
	again    bool // the server asks once more after the handshake
}

func newBehaviour(t *testing.T, p *profile.Profile) *behaviour {
	t.Helper()
	env, err := scenario.NewEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	env.Clock = func() time.Time { return scenario.DemoEpoch }
	env.Keep()
	b := &behaviour{env: env}
	for _, s := range everyRun(p, p.ID) {
		b.list = append(b.list, experiment{name: s.String(), scenario: s})
	}
	for _, f := range rejected(p, scenario.Scenario{Profile: p.ID, Compiled: p, Credential: claims.CredentialAttestation}) {
		b.list = append(b.list, experiment{name: f.Scenario.String(), scenario: f.Scenario})
	}
	for _, c := range scenario.Combinations(p) {
		if c.Reason == "" {
			s := scenario.Scenario{Attester: c.Attester, Model: c.Model, Credential: c.Credential}
			b.list = append(b.list, experiments(s)...)
		}
	}
	return b
}

// experiments are what the combinations and the faults leave out.
func experiments(s scenario.Scenario) []experiment {
	retried := s
	retried.HelloRetry = true
	attester := s.Attester.Roles()[0]
	relying := attester.Peer()
	var list []experiment
	add := func(name string, change func(*scenario.Setup)) {
		list = append(list, experiment{name: name + " " + s.String(), scenario: s, change: change})
	}
	list = append(list, experiment{name: retried.String(), scenario: retried})
	list = append(list, experiment{name: "asked again " + s.String(), scenario: s, again: true, change: func(set *scenario.Setup) {
		set.Ends[attls.RoleClient].Config.PostHandshakeAuthentication = true
	}})
	add("nobody vouches for the attester's certificate", func(set *scenario.Setup) { set.Ends[relying].Distrust = true })
	add("two formats, the ends prefer different ones", func(set *scenario.Setup) { preferDifferently(set) })
	add("the server attests to another format than is asked, the client to the right one", func(set *scenario.Setup) {
		set.Ends[attls.RoleServer].Config.Policy.Produce = nil
		for _, s := range set.Ends[attls.RoleClient].Config.Policy.Accept {
			slot := findSlot(set.Profile, attls.RoleServer, s.Model, s.Credential)
			if slot < 0 {
				continue
			}
			if other, ok := otherScheme(set.Profile, slot, s); ok {
				set.Ends[attls.RoleServer].Config.Policy.Produce = []negotiation.Scheme{other}
			}
		}
	})
	add("Evidence offered is for another model than is wanted", func(set *scenario.Setup) {
		policy := &set.Ends[attls.RoleServer].Config.Policy
		policy.Demand = false
		for _, l := range []*[]negotiation.Scheme{&policy.Produce, &policy.Accept} {
			for i, s := range *l {
				(*l)[i] = set.Scheme(1-s.Model, s.Credential)
			}
		}
	})
	if s.Attester == scenario.AttestBoth {
		add("nothing in common for the server, the other model for the client", func(set *scenario.Setup) {
			client, server := &set.Ends[attls.RoleClient].Config.Policy, &set.Ends[attls.RoleServer].Config.Policy
			client.Demand, server.Demand = false, false
			asked := client.Accept[0]
			if other, ok := otherScheme(set.Profile, findSlot(set.Profile, attls.RoleServer, asked.Model, asked.Credential), asked); ok {
				server.Produce = []negotiation.Scheme{other}
			}
			for _, kind := range []profile.CredentialKind{asked.Credential, 1 - asked.Credential} {
				if findSlot(set.Profile, attls.RoleClient, 1-asked.Model, kind) >= 0 {
					client.Produce = []negotiation.Scheme{set.Scheme(1-asked.Model, kind)}
					server.Accept = client.Produce
				}
			}
		})
	}
	add("the server is unwilling", func(set *scenario.Setup) {
		set.Ends[attls.RoleClient].Config.Policy.Demand = false
		set.Ends[attls.RoleServer].Config.Policy = negotiation.Policy{}
	})
	add("the server does not know the profile, and nothing is demanded", func(set *scenario.Setup) {
		set.Ends[attls.RoleClient].Config.Policy.Demand = false
		config := set.Ends[attls.RoleServer].Config
		config.Profile, config.Policy = nil, negotiation.Policy{}
	})
	add("the CMW's type has a parameter", func(set *scenario.Setup) {
		set.Ends[attester].Attester = relabelled{set.Ends[attester].Attester}
	})
	add("the challenge field has 64 octets", func(set *scenario.Setup) {
		set.Ends[attester].Attester = sized{set.Ends[attester].Attester}
	})
	add("a scheme is chosen for a client that offered none", func(set *scenario.Setup) {
		set.Ends[attls.RoleServer].Config.ClientAuthentication = handshake.OptionalClientCertificate
		set.Tap(attls.RoleServer, addChoice(set.Profile, attls.RoleClient))
	})
	add("an element of the offer is of no known sort", func(set *scenario.Setup) {
		set.Tap(attls.RoleClient, tamper.Extensions(attls.KindClientHello, 0, func(l extensions.List) extensions.List {
			for i := range l {
				if _, ok := set.Profile.Extension(l[i].Type); ok && len(l[i].Body) > 4 {
					l[i].Body = slices.Clone(l[i].Body)
					l[i].Body[2] = 0xee
				}
			}
			return l
		}))
	})
	list = append(list, experiment{name: "signature and Evidence are bad, and the verdict is late " + s.String(), scenario: s,
		change: func(set *scenario.Setup) {
			if bad, err := attestation.Spoil("signature", set.Ends[attester].Attester.(*attestation.Software)); err == nil {
				set.Ends[attester].Attester = bad
			}
			set.Tap(attester, tamper.Messages(func(m *message.Raw, _ int, p *handshake.Plan) {
				if m.Kind == attls.KindCertificateVerify {
					p.Replace = slices.Clone(m.Bytes)
					p.Replace[len(p.Replace)-1] ^= 1
				}
			}))
		},
		delay: func(_ attls.Role, w *handshake.Wait) int {
			if w.Kind == handshake.WaitAppraisal {
				return pair.WhenIdle
			}
			return 0
		}})
	return list
}

// preferDifferently gives both ends two formats in opposite orders.
func preferDifferently(set *scenario.Setup) {
	for _, role := range attls.Roles() {
		policy := &set.Ends[role].Config.Policy
		for _, l := range []*[]negotiation.Scheme{&policy.Produce, &policy.Accept} {
			if len(*l) == 0 {
				continue
			}
			other := (*l)[0]
			other.Format = profile.Format{MediaType: attestation.MediaTypeCWT}
			if *l = append(*l, other); role == attls.RoleServer {
				slices.Reverse(*l)
			}
		}
	}
}

// addChoice adds a choice for a slot that nothing was chosen for.
func addChoice(p *profile.Profile, attester attls.Role) handshake.Tap {
	for i := range p.Slots {
		s := &p.Slots[i]
		if s.Attester != attester {
			continue
		}
		return tamper.Fields(p, s.Choice.Message, 0, attls.RoleServer, func(f *profile.Fields) {
			if e, ok := p.EncodeScheme(i, scenario.DemoScheme(p, s.Models[0], s.Kinds[0])); ok && f.Choices[i] == nil {
				f.Choices[i] = &e
			}
		})
	}
	return nil
}

// relabelled puts a parameter behind the media type of Evidence.
type relabelled struct{ negotiation.Attester }

func (a relabelled) Attest(ctx context.Context, r *negotiation.EvidenceRequest) (*negotiation.Evidence, error) {
	ev, err := a.Attester.Attest(ctx, r)
	if err != nil {
		return nil, err
	}
	ev.CMW = bytes.ReplaceAll(ev.CMW, append([]byte{0x73}, attestation.MediaTypeCWT...), append([]byte{0x77}, attestation.MediaTypeCWT+";a=b"...))
	return ev, nil
}

// sized has a challenge field of 64 octets.
type sized struct{ negotiation.Attester }

func (a sized) Attest(ctx context.Context, r *negotiation.EvidenceRequest) (*negotiation.Evidence, error) {
	placed := *r
	if r.Challenge != nil {
		c, err := attestation.PlaceChallenge(r.Challenge, 64, 64, r.Fit)
		if err != nil {
			return nil, err
		}
		placed.Challenge, placed.Fit = c, profile.FitExact
	}
	return a.Attester.Attest(ctx, &placed)
}

// outcome is all octets and claims of one scenario under a profile.
func (b *behaviour) outcome(p *profile.Profile, x experiment) string {
	s := x.scenario
	s.Profile, s.Compiled = p.ID, p
	in, err := scenario.NewInProcess(s, seeded(), scenario.In(b.env), scenario.Find(Find), scenario.Change(x.change))
	if err != nil {
		return err.Error()
	}
	in.Options.Delay = x.delay
	run, err := pair.New(in.Options)
	if err != nil {
		return err.Error()
	}
	run.Run()
	if x.again {
		run.Engine(attls.RoleServer).RequestAuthentication() // it may refuse: that shows as well
		run.Run()
	}
	var out strings.Builder
	for _, role := range attls.Roles() {
		e := run.Engine(role)
		o := claims.Outcome{Err: e.Err()}
		o.AlertSent, o.AlertReceived = in.Traces[role].Alerts()
		c := claims.MakeClaims(p, e.State(), o)
		line, _ := json.Marshal(&c)
		fmt.Fprintf(&out, "%x\n%s\n", run.Wire(role), line)
	}
	return out.String()
}

// alive reports whether some scenario comes out differently; those that concern
// the path are tried first.
func (b *behaviour) alive(old, changed *profile.Profile, path string, before map[string]string) bool {
	list := slices.Clone(b.list)
	concerns := func(x experiment) bool {
		return x.scenario.Fail != "" && strings.Contains(path, x.scenario.Fail)
	}
	slices.SortStableFunc(list, func(x, y experiment) int {
		switch a, b := concerns(x), concerns(y); {
		case a && !b:
			return -1
		case b && !a:
			return 1
		}
		return 0
	})
	for _, x := range list {
		if _, ok := before[x.name]; !ok {
			before[x.name] = b.outcome(old, x)
		}
		if b.outcome(changed, x) != before[x.name] {
			return true
		}
	}
	return false
}

// keyAt finds the entry of the reference for a path; "" stands for a name.
func keyAt(path []string) *profile.Key {
	for _, k := range profile.Keys() {
		want := strings.Split(k.Path, ".")
		if len(want) == len(path) && matches(want, path) {
			return &k
		}
	}
	return nil
}

func matches(want, path []string) bool {
	for i, w := range want {
		switch {
		case w == path[i] || w == "NAME" || w == "MESSAGE":
		case strings.HasPrefix(w, "(") && slices.Contains(strings.Split(strings.Trim(w, "()"), "|"), path[i]):
		default:
			return false
		}
	}
	return true
}

// otherValues are texts that may stand in the place of a scalar.
func otherValues(k *profile.Key, old string) (list []string) {
	if k != nil {
		for _, v := range k.Values {
			if v.Word != old {
				list = append(list, v.Word)
			}
		}
	}
	if n, err := strconv.ParseUint(old, 0, 64); err == nil {
		if strings.HasPrefix(old, "0x") && len(old) > 6 {
			return append(list, old+"08")
		}
		return append(list, strconv.FormatUint(n+1, 10))
	}
	if at := quoted.FindStringIndex(old); at != nil { // a label of the binder
		list = append(list, old[:at[1]-1]+"x"+old[at[1]-1:])
	}
	return append(list, old+"x", "zero")
}

var quoted = regexp.MustCompile(`"[^"]+"`)

// unseen are the values whose change shows in nothing that a single connection
// does, each with the reason. An empty profile means all.
var unseen = []struct{ profile, path, reason string }{
	{"", "profile", "names the profile"},
	{"", "draft", "describes the text"},
	{"", "accepted_flaws", "acknowledges flaws; the loader refuses what is not acknowledged"},
	{"", "types", "its numbers are held by extensions/profile.TestNoDeadKey and the tests of extensions/schema"},
	{"", "after.resumption", "concerns later connections"},
	{"", "binder.exporters", "is asked for by applications: handshake.TestNamedExporter"},
	{"tls-attestation-07", "code_points.certificate_types.attestation", "under certificate_type=implied the number is not sent; under rfc7250 it is"},
	{"early-attestation-06", "binder.claims.tik_pub_hash.value", "under tik_claim=challenge the challenge implies it; under separate it is a claim"},
	{"early-attestation-00", "negotiation.verdict.before", "the payload follows CertificateVerify, so before certificate_verify and before finished are one moment"},
}

func isUnseen(name, path string) bool {
	for _, u := range unseen {
		if (u.profile == "" || u.profile == name) && (path == u.path || strings.HasPrefix(path, u.path+".")) {
			return true
		}
	}
	return false
}

// TestEveryValueShows changes each value of the four designs in turn: either the
// loader refuses the change, or a scenario of the battery sends other octets or
// claims another verdict.
func TestEveryValueShows(t *testing.T) {
	oneGoroutine(t)
	for _, name := range replayed {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc := settled(t, name)
			old := compile(t, name, doc)
			b := newBehaviour(t, old)
			before := map[string]string{}
			walkScalars(doc, nil, func(path []string, n *yaml.Node) {
				full := strings.Join(path, ".")
				k := keyAt(path)
				if isUnseen(name, full) || k != nil && k.Metadata {
					return
				}
				text := n.Value
				defer func() { n.Value = text }()
				for _, other := range otherValues(k, text) {
					n.Value = other
					out, err := yaml.Marshal(doc)
					if err != nil {
						t.Fatal(err)
					}
					changed, err := profile.Parse(name+".yaml", out, profile.Options{})
					if err != nil {
						continue
					}
					if !b.alive(old, changed, full, before) {
						t.Errorf("%s: %s changed to %s shows nowhere", full, text, other)
					}
				}
			})
		})
	}
}

// TestEveryReadingShows takes each reading of each ambiguity that is not the
// default: some scenario of the battery must come out differently.
func TestEveryReadingShows(t *testing.T) {
	oneGoroutine(t)
	for _, name := range replayed {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old := load(t, name)
			b := newBehaviour(t, old)
			before := map[string]string{}
			for _, r := range old.Readings {
				for _, option := range r.Options {
					reading := r.Switch + "=" + option
					if option == r.Default {
						continue
					}
					changed, err := profile.Load(name, profile.Options{Readings: map[string]string{r.Switch: option}})
					if err != nil {
						t.Fatal(err)
					}
					// The readings stand in the claims; only what they do counts.
					changed.Readings = old.Readings
					if !b.alive(old, changed, r.Switch, before) {
						t.Errorf("%s shows nowhere", reading)
					}
				}
			}
		})
	}
}

func oneGoroutine(t *testing.T) {
	if raceDetector {
		t.Skip("it runs in one goroutine: nothing for the race detector")
	}
}

// settled is a profile's text without a base and without switches, the default
// readings in their place.
func settled(t *testing.T, name string) *yaml.Node {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(load(t, name).Source()), &doc); err != nil {
		t.Fatal(err)
	}
	root := doc.Content[0]
	readings := map[string]*yaml.Node{}
	if switches := member(root, "switches"); switches != nil {
		for i := 0; i+1 < len(switches.Content); i += 2 {
			body := switches.Content[i+1]
			readings["$"+switches.Content[i].Value] = member(body, member(body, "default").Value)
		}
	}
	for _, key := range []string{"base", "switches"} {
		for i := 0; i+1 < len(root.Content); i += 2 {
			if root.Content[i].Value == key {
				root.Content = slices.Delete(root.Content, i, i+2)
				break
			}
		}
	}
	replaceScalars(root, readings)
	return root
}

func compile(t *testing.T, name string, doc *yaml.Node) *profile.Profile {
	t.Helper()
	src, err := yaml.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	p, err := profile.Parse(name+".yaml", src, profile.Options{})
	if err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	return p
}

func member(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// replaceScalars puts readings in the place of switches: $switch, a part of one,
// $switch.part, and switches within an expression. null deletes a key.
func replaceScalars(n *yaml.Node, with map[string]*yaml.Node) {
	for name, r := range with {
		if n.Kind != yaml.ScalarNode || !strings.Contains(n.Value, name) {
			continue
		}
		whole := n.Value == name
		if r.Kind != yaml.ScalarNode {
			for i := 0; i+1 < len(r.Content); i += 2 {
				part := name + "." + r.Content[i].Value
				if n.Value == part {
					*n = *r.Content[i+1]
				}
				n.Value = strings.ReplaceAll(n.Value, part, r.Content[i+1].Value)
			}
		} else {
			n.Value = regexp.MustCompile(regexp.QuoteMeta(name)+`\b`).ReplaceAllLiteralString(n.Value, r.Value)
		}
		if whole {
			*n = *r
		}
	}
	for i := 0; i < len(n.Content); i++ {
		replaceScalars(n.Content[i], with)
		if n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i].Tag == "!!null" {
			n.Content = slices.Delete(n.Content, i-1, i+1)
			i -= 2
		}
	}
}

// walkScalars visits every scalar with the keys that lead to it.
func walkScalars(n *yaml.Node, path []string, visit func([]string, *yaml.Node)) {
	switch n.Kind {
	case yaml.ScalarNode:
		visit(path, n)
	case yaml.SequenceNode:
		for _, c := range n.Content {
			walkScalars(c, path, visit)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			walkScalars(n.Content[i+1], append(slices.Clip(path), n.Content[i].Value), visit)
		}
	}
}
