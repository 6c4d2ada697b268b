package adapter

import (
	"regexp"
	"slices"
	"strings"

	"attls"

	"go.yaml.in/yaml/v3"
)

// conform reads the section conform, whose commands have more variables.
func (p *parser) conform(n *yaml.Node) *Conform {
	c := &Conform{}
	p.vars = Variables()
	defer func() { p.vars = vars }()
	end := func(r attls.Role) func(*yaml.Node) {
		return func(n *yaml.Node) { c.Ends[r] = p.conformEnd(n, r) }
	}
	p.fields(n, "conform", map[string]func(*yaml.Node){
		"client": end(attls.RoleClient),
		"server": end(attls.RoleServer),
		"limits": func(n *yaml.Node) { c.Limits = p.limits(n) },
		"reads":  func(n *yaml.Node) { c.Reads = p.reads(n) },
	})
	if p.err == nil && c.Ends[0] == nil && c.Ends[1] == nil {
		p.fail(n, "conform needs client or server")
	}
	return c
}

func (p *parser) conformEnd(n *yaml.Node, r attls.Role) *ConformEnd {
	e := &ConformEnd{}
	keys := p.endKeys(&e.End, r)
	delete(keys, "types") // which talk does
	delete(keys, "repeats")
	delete(keys, "unseen")     // which is about the matrix
	delete(keys, "never_asks") // which limits say
	keys["talk"] = func(n *yaml.Node) { e.Talk = p.talk(n) }
	keys["closed"] = func(n *yaml.Node) { e.Closed = p.patterns(n, "closed") }
	keys["abrupt"] = func(n *yaml.Node) { e.Abrupt = *p.truth(n, "abrupt") }
	if r == attls.RoleClient {
		keys["resumes_itself"] = func(n *yaml.Node) { e.ResumesItself = *p.truth(n, "resumes_itself") }
	} else {
		keys["own_answer"] = func(n *yaml.Node) { e.OwnAnswer = *p.truth(n, "own_answer") }
		keys["early_unanswered"] = func(n *yaml.Node) { e.EarlyUnanswered = p.condition(n) }
		keys["request_before"] = func(n *yaml.Node) { e.RequestBefore = p.text(n, "request_before") }
		keys["request"] = func(n *yaml.Node) { e.Request = p.text(n, "request") }
	}
	p.fields(n, r.String(), keys)
	p.checkEnd(n, &e.End, r)
	e.mentions = mentioned(e.Command)
	for _, v := range e.Environment {
		e.mentions = append(e.mentions, mentioned([]Word{v.Value})...)
	}
	for i := range e.Talk {
		if w := e.Talk[i].When; w != nil {
			e.mentions = append(e.mentions, w.Name)
		}
	}
	return e
}

// patterns reads a pattern, or a list of at most two.
func (p *parser) patterns(n *yaml.Node, what string) (list []*regexp.Regexp) {
	if n.Kind != yaml.SequenceNode {
		return []*regexp.Regexp{p.pattern(n, what)}
	}
	if len(n.Content) == 0 || len(n.Content) > 2 {
		p.fail(n, "%s is a pattern, or one for each of the two outputs", what)
	}
	for _, x := range p.items(n, what) {
		list = append(list, p.pattern(x, "an element of "+what))
	}
	return list
}

// maxSteps bounds the steps of a conversation.
const maxSteps = 50

// talk reads the steps of a conversation.
func (p *parser) talk(n *yaml.Node) []Step {
	items := p.items(n, "talk")
	if len(items) > maxSteps {
		p.fail(n, "talk has more than %d steps", maxSteps)
		return nil
	}
	list := []Step{}
	for _, x := range items {
		list = append(list, p.step(x))
	}
	return list
}

// plainSteps are the steps that are one word.
var plainSteps = map[string]Act{"close_input": ActCloseInput, "end": ActEnd, "stop": ActStop}

func (p *parser) step(n *yaml.Node) (s Step) {
	if n.Kind == yaml.ScalarNode {
		act, ok := plainSteps[n.Value]
		if !ok {
			p.fail(n, "%q is not a step; there are type, await, %s", n.Value, strings.Join(sorted(plainSteps), ", "))
		}
		return Step{Act: act}
	}
	acts := 0
	p.fields(n, "a step", map[string]func(*yaml.Node){
		"type": func(n *yaml.Node) {
			acts++
			text := p.text(n, "type")
			s.Act, s.Text = ActType, strings.ReplaceAll(text, "${question}", Asked)
			s.Sends = s.Text != text
		},
		"await": func(n *yaml.Node) {
			acts++
			s.Act = ActAwait
			s.Pattern, s.Receives = p.asks(n, "await")
		},
		"when":     func(n *yaml.Node) { s.When = p.condition(n) },
		"fails":    func(n *yaml.Node) { s.Fails, _ = p.asks(n, "fails") },
		"standard": func(n *yaml.Node) { s.Standard = *p.truth(n, "standard") },
		"echoes":   func(n *yaml.Node) { s.Sends = *p.truth(n, "echoes") },
	})
	if p.err == nil && (acts != 1 || s.Act == ActType && (s.Fails != nil || s.Standard)) {
		p.fail(n, "a step is type, or await with, if you like, fails, standard and echoes")
	}
	return s
}

// asks reads a pattern that may hold ${question}, and says whether it does.
func (p *parser) asks(n *yaml.Node, what string) (*regexp.Regexp, bool) {
	asked := *n
	asked.Value = strings.ReplaceAll(n.Value, "${question}", regexp.QuoteMeta(strings.TrimSpace(Asked)))
	return p.pattern(&asked, what), asked.Value != n.Value
}

// limits reads what the stack cannot do.
func (p *parser) limits(n *yaml.Node) (list []Limit) {
	for _, x := range p.items(n, "limits") {
		l := Limit{Line: x.Line}
		keys := p.feature(&l.When)
		keys["why"] = func(n *yaml.Node) { l.Why = p.text(n, "why") }
		p.fields(x, "a limit", keys)
		if p.err == nil && l.Why == "" {
			p.fail(x, "a limit needs why, a sentence")
		}
		list = append(list, l)
	}
	return list
}

// feature are the keys of a pattern of what cases ask for.
func (p *parser) feature(f *Feature) map[string]func(*yaml.Node) {
	known := func(to *[]string, what string, ok func(string) bool) func(*yaml.Node) {
		return func(n *yaml.Node) {
			for _, x := range p.items(n, what) {
				if s := p.text(x, "an element of "+what); !ok(s) {
					p.fail(x, "%q is not known among %s", s, what)
				} else {
					*to = append(*to, s)
				}
			}
		}
	}
	return map[string]func(*yaml.Node){
		"roles":  func(n *yaml.Node) { f.Roles = p.roles(n) },
		"suites": known(&f.Suites, "suites", func(s string) bool { _, ok := attls.SuiteByName(s); return ok }),
		"groups": known(&f.Groups, "groups", func(s string) bool { _, ok := attls.GroupByName(s); return ok }),
		"resumption": func(n *yaml.Node) {
			f.Resumptions = p.texts(n, "resumption", []string{"psk_dhe_ke", "psk_ke", "refused", "unattested"})
		},
		"with":    func(n *yaml.Node) { f.With = p.texts(n, "with", features) },
		"without": func(n *yaml.Node) { f.Without = p.texts(n, "without", features) },
		"since":   p.release(&f.Since, "since"),
		"before":  p.release(&f.Before, "before"),
	}
}

// reads reads how claims are made of what programs print.
func (p *parser) reads(n *yaml.Node) Reads {
	r := Reads{Says: map[string]*regexp.Regexp{}}
	keys := map[string]func(*yaml.Node){
		"messages":         func(n *yaml.Node) { r.Messages = p.messages(n) },
		"peer_certificate": func(n *yaml.Node) { r.PeerCertificate = *p.truth(n, "peer_certificate") },
		"close_notify":     func(n *yaml.Node) { r.CloseNotify = *p.truth(n, "close_notify") },
	}
	for _, name := range readsOf {
		keys[name] = func(n *yaml.Node) {
			r.Says[name] = p.pattern(n, name)
			if p.err == nil && r.Says[name].NumSubexp() < 1 {
				p.fail(n, "the pattern of %s has no group", name)
			}
		}
	}
	p.fields(n, "reads", keys)
	if p.err == nil && r.CloseNotify && r.Messages == nil {
		p.fail(n, "close_notify is seen in messages, of which nothing is said")
	}
	return r
}

func (p *parser) messages(n *yaml.Node) *Messages {
	m := &Messages{}
	p.fields(n, "messages", map[string]func(*yaml.Node){
		"file":   func(n *yaml.Node) { m.File = p.word(n, "file").Text },
		"head":   func(n *yaml.Node) { m.Head = p.pattern(n, "head") },
		"octets": func(n *yaml.Node) { m.Octets = p.pattern(n, "octets") },
	})
	switch {
	case p.err != nil:
	case m.Head == nil || m.Octets == nil:
		p.fail(n, "messages needs head and octets")
	case m.Octets.NumSubexp() < 1:
		p.fail(n, "the pattern of octets has no group")
	case m.Head.SubexpIndex("sent") < 0 && m.Head.SubexpIndex("received") < 0:
		p.fail(n, "the pattern of head has neither a group called sent nor one called received")
	}
	return m
}

// namesOf reads what a stack calls things.
func (p *parser) namesOf(n *yaml.Node) (out Names) {
	p.fields(n, "names", map[string]func(*yaml.Node){
		"suites": func(n *yaml.Node) {
			out.Suites = p.calls(n, "suites", func(s string) bool { _, ok := attls.SuiteByName(s); return ok })
		},
		"groups": func(n *yaml.Node) {
			out.Groups = p.calls(n, "groups", func(s string) bool { _, ok := attls.GroupByName(s); return ok })
		},
		"schemes": func(n *yaml.Node) {
			out.Schemes = p.calls(n, "schemes", func(s string) bool { _, ok := attls.SignatureSchemeByName(s); return ok })
		},
	})
	return out
}

func (p *parser) calls(n *yaml.Node, what string, known func(string) bool) map[string][]string {
	out := map[string][]string{}
	if n.Kind != yaml.MappingNode {
		p.fail(n, "%s must be a mapping of IANA's names to the stack's", what)
		return out
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case !known(k.Value):
			p.fail(k, "%q is not one of IANA's %s", k.Value, what)
		case v.Kind == yaml.ScalarNode:
			out[k.Value] = []string{p.text(v, "a name")}
		default:
			if out[k.Value] = p.texts(v, "names", nil); len(out[k.Value]) == 0 {
				p.fail(v, "%s has no name", k.Value)
			}
		}
	}
	return out
}

// named reads the name of a stack by its version.
func (p *parser) named(n *yaml.Node) string {
	s := p.text(n, "named")
	if p.err == nil && !nameOf.MatchString(strings.ReplaceAll(s, "${release}", "1")) {
		p.fail(n, "named is a name that may hold ${release}, not %q", s)
	}
	return s
}

// tried reads releases, in their order.
func (p *parser) tried(n *yaml.Node) (list []string) {
	for _, x := range p.items(n, "tried") {
		var r string
		p.release(&r, "an element of tried")(x)
		if k := len(list); k > 0 && p.err == nil && slices.Compare(release(list[k-1]), release(r)) >= 0 {
			p.fail(x, "%s is not newer than %s; tried has the oldest first", r, list[k-1])
		}
		list = append(list, r)
	}
	return list
}
