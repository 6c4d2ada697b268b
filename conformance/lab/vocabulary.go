package lab

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"attls/extensions/profile"
	"attls/extensions/schema"
)

// verb is one word of the attacker, with what it is about, its options, and what it
// takes to do it.
type verb struct {
	on      []string // nil: the name of a connection
	options map[string][]string
	// needs are the capabilities that the step takes, each with the words of the step that
	// take it.
	needs func(s *Step, forwarded func(string) bool) map[Capability]string
	// uses are the options whose texts name items.
	uses []string
	// barrier: all steps before it are done first, and those after it wait for it.
	barrier bool
	does    func(r *run, s *Step) (bool, error)
}

// Names of things that M has without a step.
const (
	ownKey = "own_key" // M's own
	tikKey = "tik"     // granted
)

// taken are the things that can be taken from a connection. Those in the clear can be
// read by anyone on the path.
var taken = map[string]bool{ // whether it is in the clear
	"client_hello": true, "server_hello": true, "random": true, "encrypted_extensions": false,
	"certificate_request": false, "certificate_message": false, "certificate_verify": false, "finished": false,
	"nonce": false, "certificate": false, "evidence": false, "application_data": false,
	"request": false, "authenticator": false,
}

// verbs are all of them. They are set in init, since what they do refers to them.
var verbs map[string]*verb

func init() {
	verbs = map[string]*verb{
		"open": {
			on: partyNames[:4],
			options: map[string][]string{"id": nil, "as": nil, "nonce": nil, "random": nil, "hello": nil, "request": nil,
				"secret": {"hs"},
				"attest": {"no"}, "shows": {"certified"}, "profile": profile.Names()},
			needs: func(s *Step, _ func(string) bool) map[Capability]string {
				return needs(CapNet, "open: "+s.On, s.With["secret"].Text == "hs", CapHS, "secret: hs",
					s.With["shows"].Text == "certified", CapLTK, "shows: certified")
			},
			uses: []string{"nonce", "random", "hello", "request"},
			does: (*run).open,
		},
		"forward": {
			on: []string{"both"},
			options: map[string][]string{"id": nil, "as": nil, "drop": nil, "set": nil,
				"to": {"1", "2"}, "hold": {"requests"}},
			needs: func(s *Step, _ func(string) bool) map[Capability]string {
				return needs(CapNet, "forward: both", s.With["to"].Text == "2", CapTEE2, "to: 2")
			},
			does: (*run).forward,
		},
		"take": {
			on: sortedKeys(taken),
			options: map[string][]string{"id": nil, "as": nil, "from": nil, "secret": {"hs", "ap"}, "only": {"end_entity"},
				"of": {"client", "server"}},
			needs: func(s *Step, forwarded func(string) bool) map[Capability]string {
				n := map[Capability]string{CapNet: "take: " + s.On}
				if !forwarded(s.With["from"].Text) {
					return n // M is an end of it
				}
				switch {
				case taken[s.On]:
				case s.With["secret"].Text == "ap":
					n[CapAP] = "secret: ap"
				default:
					n[CapHS] = "take: " + s.On + " of a connection that M only forwards"
				}
				return n
			},
			does: (*run).take,
		},
		"make": {
			on: []string{"evidence", "certificate"},
			options: map[string][]string{"id": nil, "as": nil,
				"by":  {"tee2", "oracle", "ak", "nobody", "authority", "self", "attester"},
				"key": {tikKey, ownKey}, "names": {"tik"}, "challenge": {"whole", "beginning"},
				"token": {"made_up"}},
			needs: func(s *Step, _ func(string) bool) map[Capability]string {
				n := map[Capability]string{}
				by := s.With["by"].Text
				switch by {
				case "tee2", "oracle", "ak":
					n[Capability(by)] = "by: " + by
				case "authority":
					n[CapLTK] = "by: authority"
				}
				if s.With["key"].Text == tikKey && s.On == "evidence" {
					n[CapTIK] = "key: tik"
				}
				return n
			},
			does: (*run).make,
		},
		"present": {
			options: map[string][]string{"id": nil, "certificate": nil, "evidence": nil, "sign": {tikKey, ownKey},
				"messages": nil, "nonce": nil, "authenticator": nil},
			needs: func(s *Step, forwarded func(string) bool) map[Capability]string {
				n := map[Capability]string{}
				if s.With["sign"].Text == tikKey {
					n[CapTIK] = "sign: tik"
				}
				if forwarded(s.On) && s.With["authenticator"].Text == "" { // which is made with the exporter
					n[CapHS] = "present: " + s.On + ", a connection of the honest parties"
				}
				return n
			},
			uses: []string{"certificate", "evidence", "messages", "nonce", "authenticator"},
			does: (*run).present,
		},
		"request": {
			on:      []string{"authentication", "key_update", "extended_key_update", "data"},
			options: map[string][]string{"id": nil, "from": nil, "by": partyNames[:4]},
			needs:   func(*Step, func(string) bool) map[Capability]string { return nil },
			barrier: true,
			does:    (*run).request,
		},
		"happen": {
			on:      sortedKeys(happenings),
			options: map[string][]string{"id": nil},
			needs:   func(*Step, func(string) bool) map[Capability]string { return nil },
			barrier: true,
			does:    (*run).happen,
		},
		"take_over": {
			options: map[string][]string{"id": nil, "secret": {"ap", "none"}},
			needs: func(s *Step, _ func(string) bool) map[Capability]string {
				return needs(CapNet, "take_over: "+s.On, s.With["secret"].Text != "none", CapAP, "take_over: "+s.On)
			},
			barrier: true,
			does:    (*run).takeOver,
		},
		"leave": {
			options: map[string][]string{"id": nil},
			needs:   func(*Step, func(string) bool) map[Capability]string { return nil },
			barrier: true,
			does:    (*run).leave,
		},
	}
}

// needs is a map of capabilities to the words that take them.
func needs(c Capability, why string, more ...any) map[Capability]string {
	n := map[Capability]string{c: why}
	for i := 0; i+2 < len(more); i += 3 {
		if more[i].(bool) {
			n[more[i+1].(Capability)] = more[i+2].(string)
		}
	}
	return n
}

// happenings are what the world does between steps, M or not.
var happenings = map[string]string{
	"platform_degraded":        "from now on the attester's platform measures what the Verifier does not accept",
	"platform_restored":        "the attester's platform is again as it was",
	"reference_revoked":        "the Verifier withdraws the reference values of the attester's platform",
	"second_reference_revoked": "the second Verifier withdraws the reference values of the attester's platform",
	"two_hours_pass":           "the clock goes on by two hours",
}

// check refuses a script that cannot work.
func (r *reader) check(s *Script) {
	r.checkSteps(s, s.Steps, s.Capabilities)
	if len(r.problems) > 0 {
		return
	}
	for _, c := range s.Controls {
		changed, granted, ok := r.controlled(s, c)
		if ok {
			r.checkSteps(s, changed, granted)
		}
	}
}

// controlled are the steps of a control, and what it grants.
func (r *reader) controlled(s *Script, c *Control) (steps []*Step, granted []Capability, ok bool) {
	before := len(r.problems)
	known := make([]string, len(s.Steps))
	for i, step := range s.Steps {
		known[i] = step.ID
	}
	for _, id := range append(sortedKeys(c.Change), c.Drop...) {
		if !slices.Contains(known, id) {
			advice := "the steps are " + strings.Join(known, ", ")
			if near := schema.Nearest(id, known); near != "" {
				advice = fmt.Sprintf("did you mean %q?", near)
			}
			r.problem(c.pos, schema.ProblemUnknownName, fmt.Sprintf("the control changes the step %q, which is not there", id),
				advice)
		}
	}
	for _, cap := range c.Without {
		if !slices.Contains(s.Capabilities, cap) {
			r.problem(c.pos, schema.ProblemParameter, fmt.Sprintf("the control takes %q away, which the script does not grant",
				cap), "")
		}
	}
	for id, with := range c.Change {
		i := slices.Index(known, id)
		if i < 0 {
			continue
		}
		for name, v := range with {
			if values, ok := verbs[s.Steps[i].Verb].options[name]; !ok {
				r.problem(v.pos, schema.ProblemUnknownName, fmt.Sprintf("%q is not an option of %s", name, s.Steps[i].Verb),
					"the options are "+strings.Join(sortedKeys(verbs[s.Steps[i].Verb].options), ", "))
			} else if values != nil && v.Text != "" && !slices.Contains(values, v.Text) {
				r.problem(v.pos, schema.ProblemUnknownName, fmt.Sprintf("%q is not a value of %s", v.Text, name),
					"write one of "+strings.Join(values, ", "))
			}
		}
	}
	if len(r.problems) > before {
		return nil, nil, false
	}
	steps, granted = c.apply(s)
	return steps, granted, true
}

// apply are the steps of the control, and the capabilities that are granted in it.
func (c *Control) apply(s *Script) (steps []*Step, granted []Capability) {
	steps = append(steps, c.Add...)
	for _, step := range s.Steps {
		if slices.Contains(c.Drop, step.ID) {
			continue
		}
		if with := c.Change[step.ID]; with != nil {
			changed := *step
			changed.With = maps.Clone(step.With)
			for name, v := range with {
				if v.Text == "" && v.List == nil && v.Map == nil {
					delete(changed.With, name)
					continue
				}
				changed.With[name] = v
			}
			step = &changed
		}
		steps = append(steps, step)
	}
	for _, cap := range s.Capabilities {
		if !slices.Contains(c.Without, cap) {
			granted = append(granted, cap)
		}
	}
	return steps, append(granted, c.With...)
}

// checkSteps refuses what takes a capability that is not granted, and what uses an item
// or a connection that no step before makes.
func (r *reader) checkSteps(s *Script, steps []*Step, granted []Capability) {
	forwarded, names, items := map[string]bool{}, []string{}, []string{"own"}
	for _, step := range steps {
		v := verbs[step.Verb]
		for cap, why := range v.needs(step, func(name string) bool { return forwarded[name] }) {
			if !slices.Contains(granted, cap) {
				r.problem(step.pos, schema.ProblemParameter,
					fmt.Sprintf("%q needs the capability %q, which is not granted here", why, cap),
					fmt.Sprintf("write capabilities: [%s, %s], or another step", joined(granted), cap))
			}
		}
		connection := func(text, what string) {
			if !slices.Contains(names, text) {
				r.problem(step.pos, schema.ProblemUnknownName, fmt.Sprintf("%s names the connection %q, which no step before opens",
					what, text), "the connections so far are "+strings.Join(names, ", "))
			}
		}
		switch step.Verb {
		case "open", "forward":
			name := step.connection()
			if slices.Contains(names, name) {
				r.problem(step.pos, schema.ProblemDuplicate, fmt.Sprintf("there is a connection %q already", name),
					"name this one with as: NAME")
			}
			names, forwarded[name] = append(names, name), step.Verb == "forward"
		case "take":
			connection(step.With["from"].Text, "from")
			items = append(items, step.item())
		case "make":
			items = append(items, step.item())
		case "present", "leave", "take_over":
			connection(step.On, step.Verb)
		case "request":
			connection(step.With["from"].Text, "from")
		}
		for _, option := range v.uses {
			for _, name := range step.With[option].names() {
				if slices.Contains(items, name) {
					continue
				}
				later := slices.ContainsFunc(steps, func(o *Step) bool {
					return (o.Verb == "take" || o.Verb == "make") && o.item() == name
				})
				if later && step.Verb == "open" { // which waits until it is there
					continue
				}
				r.problem(step.With[option].pos, schema.ProblemUnknownName,
					fmt.Sprintf("%s: %q is nothing that M has made, seen or was granted by then", option, name),
					"M has "+strings.Join(items, ", ")+"; take or make it in a step before")
			}
		}
	}
}

// names are the items that a value names.
func (v Value) names() (list []string) {
	if v.Text != "" {
		list = append(list, v.Text)
	}
	list = append(list, v.List...)
	for _, k := range sortedKeys(v.Map) {
		list = append(list, v.Map[k])
	}
	return list
}

// connection is the name of what an open or forward begins.
func (s *Step) connection() string {
	if as := s.With["as"].Text; as != "" {
		return as
	}
	return s.On
}

// item is the name of what a take or make gives.
func (s *Step) item() string {
	if as := s.With["as"].Text; as != "" {
		return as
	}
	return s.On
}

func joined(list []Capability) string {
	parts := make([]string, len(list))
	for i, c := range list {
		parts[i] = string(c)
	}
	return strings.Join(parts, ", ")
}

// predicates reads what a profile must have for a script to apply.
func (r *reader) predicates(n *yaml.Node) (list []*Predicate) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	for _, c := range items {
		p, not := r.text(c), false
		if rest, ok := strings.CutPrefix(p, "not "); ok {
			p, not = rest, true
		}
		known, ok := predicates[p]
		if !ok {
			r.oneOf(c, "predicate", p, sortedKeys(predicates))
			continue
		}
		list = append(list, &Predicate{Name: p, Not: not, known: known})
	}
	return list
}
