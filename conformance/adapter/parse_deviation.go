package adapter

import (
	"regexp"
	"strconv"

	"attls"

	"go.yaml.in/yaml/v3"
)

// releaseOf is what First and Last of a deviation look like.
var releaseOf = regexp.MustCompile(`^\d+(\.\d+){0,3}[a-z]?$`)

func (p *parser) deviations(n *yaml.Node) (list []Deviation) {
	for _, x := range p.items(n, "deviations") {
		d := Deviation{File: p.file, Line: x.Line}
		var f Fault
		shows := false
		p.fields(x, "a deviation", map[string]func(*yaml.Node){
			"does":      func(n *yaml.Node) { d.Does = p.text(n, "does") },
			"first":     p.release(&d.First, "first"),
			"last":      p.release(&d.Last, "last"),
			"mended":    p.release(&d.Mended, "mended"),
			"tried":     func(n *yaml.Node) { d.Tried = p.tried(n) },
			"upstream":  func(n *yaml.Node) { d.Upstream = p.text(n, "upstream") },
			"placement": func(n *yaml.Node) { d.Placement = p.placement(n) },
			"faults":    func(n *yaml.Node) { f.Names = p.texts(n, "faults", nil) },
			"shows":     func(n *yaml.Node) { shows = true; p.shows(n, &f) },
			"when": func(n *yaml.Node) {
				p.fields(n, "when", p.feature(&f.When))
			},
		})
		if f.Names != nil {
			d.Fault = &f
		}
		if p.err == nil && (d.Does == "" || (d.Placement == nil) == (d.Fault == nil)) {
			p.fail(x, "a deviation needs does, and placement or faults")
		}
		if p.err == nil && shows != (d.Fault != nil) {
			p.fail(x, "a deviation in faults shows accepted, no alert, or the name of an alert")
		}
		if p.err == nil && d.Mended != "" && d.Last == "" {
			p.fail(x, "mended is a release after last, which is missing")
		}
		if p.err == nil && (d.First == "") != (d.Last == "") {
			p.fail(x, "a deviation has first and last, or neither")
		}
		list = append(list, d)
	}
	return list
}

// release reads a version.
func (p *parser) release(to *string, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if *to = p.text(n, what); !releaseOf.MatchString(*to) {
			p.fail(n, "%s must be a version such as 3.5.9, not %q", what, *to)
		}
	}
}

// shows reads what a stack does with a fault.
func (p *parser) shows(n *yaml.Node, f *Fault) {
	switch s := p.text(n, "shows"); s {
	case "accepted":
		f.Accepts = true
	case "no alert":
		f.NoAlert = true
	default:
		var ok bool
		if f.Alert, ok = attls.AlertByName(s); !ok {
			p.fail(n, "shows is accepted, no alert, or the name of an alert, not %q", s)
		}
	}
}

// The words of a pattern of findings, which package placement gives meaning.
var (
	placementKinds = []string{"crash", "accepted", "refused", "no answer", "after an alert", "wrong alert", "no alert"}
	placementBody  = []string{"empty", "well-formed", "malformed"}
)

func (p *parser) placement(n *yaml.Node) *PlacementPattern {
	m := &PlacementPattern{}
	p.fields(n, "placement", map[string]func(*yaml.Node){
		"kinds":      func(n *yaml.Node) { m.Kinds = p.texts(n, "kinds", placementKinds) },
		"bodies":     func(n *yaml.Node) { m.Bodies = p.texts(n, "bodies", placementBody) },
		"extensions": func(n *yaml.Node) { m.Extensions = p.texts(n, "extensions", nil) },
		"alerts":     func(n *yaml.Node) { m.Alerts = p.texts(n, "alerts", nil) },
		"asked":      func(n *yaml.Node) { m.Asked = p.truth(n, "asked") },
		"known":      func(n *yaml.Node) { m.Known = p.truth(n, "known") },
		"roles":      func(n *yaml.Node) { m.Roles = p.roles(n) },
		"messages":   func(n *yaml.Node) { m.Messages = p.messageKinds(n, "messages") },
	})
	return m
}

// messageKinds reads a list of messages.
func (p *parser) messageKinds(n *yaml.Node, what string) (list []attls.MessageKind) {
	for _, x := range p.items(n, what) {
		k, ok := attls.KindByName(p.text(x, "a message"))
		if !ok {
			p.fail(x, "no message is called %q", x.Value)
		}
		list = append(list, k)
	}
	return list
}

func (p *parser) roles(n *yaml.Node) (list []attls.Role) {
	for _, s := range p.texts(n, "roles", []string{"client", "server"}) {
		list = append(list, map[string]attls.Role{"client": attls.RoleClient, "server": attls.RoleServer}[s])
	}
	return list
}

// Place is where a deviation is in its file.
func (d *Deviation) Place() string { return d.File + ":" + strconv.Itoa(d.Line) }
