package profile

import (
	"strings"

	"attls"
	"attls/extensions/schema"
)

// Change is one thing that two profiles say differently; what one of them does
// not say is "".
type Change struct {
	Section string `json:"section"`
	Path    string `json:"path"`
	A       string `json:"a"`
	B       string `json:"b"`
}

// Octets is how many octets the extensions (or the added message) of a profile
// take in a message besides the payload of the credential; -1 where there is no
// such combination. One scheme is offered, of content format 263 or of the
// Verifier v.example, and nonces have their default length. An extension of an RFC that
// carries a nonce counts as if it had nothing else.
type Octets struct {
	Attester   string `json:"attester"`
	Model      string `json:"model"`
	Credential string `json:"credential"`
	Message    string `json:"message"`
	A          int    `json:"a"`
	B          int    `json:"b"`
}

// Difference is what Diff finds.
type Difference struct {
	Changes []Change `json:"changes"`
	Octets  []Octets `json:"octets"`
}

// sections name what the keys of a profile are about, in the order of a Diff.
var sections = []struct{ key, name string }{
	{"code_points", "code points"}, {"types", "structures"}, {"extensions", "placement"}, {"messages", "messages"},
	{"x509", "certificate fields"},
	{"bind", "meaning"}, {"negotiation", "rules"}, {"nonce", "rules"}, {"binder", "binder"}, {"alerts", "alerts"},
	{"after", "after the handshake"}, {"quirks", "quirks"}, {"accepted_flaws", "accepted flaws"},
}

// Diff compares two profiles as their readings settle them: structures, code
// points, placement, meaning, rules, binder, alerts, and the octets of messages.
func Diff(a, b *Profile) Difference {
	var d Difference
	for _, s := range sections {
		if s.key == "types" {
			d.structures(s.name, a.settled, b.settled)
			continue
		}
		d.compare(s.name, s.key, a.settled.get(s.key), b.settled.get(s.key))
	}
	d.readings(a, b)
	d.octets(a, b)
	return d
}

func (d *Difference) change(section, path, a, b string) {
	if a != b {
		d.Changes = append(d.Changes, Change{section, path, a, b})
	}
}

// compare goes down two values as long as both are maps.
func (d *Difference) compare(section, path string, a, b *value) {
	if a == nil && b == nil {
		return
	}
	if !a.isMap() || !b.isMap() {
		d.change(section, path, a.line(), b.line())
		return
	}
	for _, e := range a.entries {
		d.compare(section, path+"."+e.key, e.value, b.get(e.key))
	}
	for _, e := range b.entries {
		if a.entry(e.key) == nil {
			d.compare(section, path+"."+e.key, nil, e.value)
		}
	}
}

func (v *value) isMap() bool { return v != nil && v.form == formMap }

// line is a value on one line.
func (v *value) line() string {
	if v == nil {
		return ""
	}
	switch v.form {
	case formScalar:
		return v.text
	case formList:
		var items []string
		for _, x := range v.items {
			items = append(items, x.line())
		}
		return "[" + strings.Join(items, ", ") + "]"
	case formMap:
		var items []string
		for _, e := range v.entries {
			items = append(items, e.key+": "+e.value.line())
		}
		return "{" + strings.Join(items, ", ") + "}"
	}
	return "null"
}

func (d *Difference) structures(section string, a, b *value) {
	x, y := definitions(a), definitions(b)
	for _, name := range sortedKeys(x) {
		d.change(section, "types."+name, x[name], y[name])
	}
	for _, name := range sortedKeys(y) {
		if _, ok := x[name]; !ok {
			d.change(section, "types."+name, "", y[name])
		}
	}
}

// definitions are the printed structures by name.
func definitions(doc *value) map[string]string {
	m := map[string]string{}
	for _, x := range doc.structures().Definitions {
		one := schema.File{Definitions: []*schema.Definition{x}}
		m[x.Name] = strings.TrimSpace(one.String())
	}
	return m
}

// readings tells the ambiguities that one text has and the other does not, and
// those that are read differently.
func (d *Difference) readings(a, b *Profile) {
	chosen := func(p *Profile) map[string]string {
		m := map[string]string{}
		for _, r := range p.Readings {
			m[r.Switch] = r.Chosen
		}
		return m
	}
	x, y := chosen(a), chosen(b)
	for _, name := range sortedKeys(x) {
		d.change("readings", "switches."+name, x[name], y[name])
	}
	for _, name := range sortedKeys(y) {
		if _, ok := x[name]; !ok {
			d.change("readings", "switches."+name, "", y[name])
		}
	}
}

func (d *Difference) octets(a, b *Profile) {
	for _, r := range []attls.Role{attls.RoleServer, attls.RoleClient} {
		for _, m := range []Model{ModelEvidence, ModelResults} {
			for _, k := range []CredentialKind{KindAlone, KindX509} {
				x, y := a.sizes(r, m, k), b.sizes(r, m, k)
				for _, message := range sizedMessages {
					n, in := x[message]
					if !in {
						n = -1
					}
					o, also := y[message]
					if !also {
						o = -1
					}
					if in || also {
						d.Octets = append(d.Octets, Octets{r.String(), m.String(), k.String(), message, n, o})
					}
				}
			}
		}
	}
}

var sizedMessages = []string{
	"ClientHello",
	"HelloRetryRequest",
	"ServerHello",
	"EncryptedExtensions",
	"CertificateRequest",
	"Certificate",
	"added message",
}

// sizes are the octets of a profile in each message of a run; nil when it has
// no such combination.
func (p *Profile) sizes(attester attls.Role, m Model, k CredentialKind) map[string]int {
	want := Scheme{Model: m, Credential: k, Format: Format{ContentFormat: 263}}
	if m == ModelResults {
		want.Verifier = []byte("v.example")
	}
	for i := range p.Slots {
		slot := &p.Slots[i]
		s, ok := p.EncodeScheme(i, want)
		if slot.Attester != attester || slot.PostHandshake || !ok {
			continue
		}
		f := p.NewFields()
		f.Offered[i], f.Offers[i], f.Choices[i] = true, []Scheme{s}, &s
		if slot.Nonce.Message != attls.KindNone {
			f.Nonces[i] = make([]byte, slot.NonceDefault)
		}
		return p.measure(f, attester, k)
	}
	return nil
}

func (p *Profile) measure(f *Fields, attester attls.Role, k CredentialKind) map[string]int {
	sizes := map[string]int{}
	count := func(kind attls.MessageKind, sender attls.Role, f *Fields) {
		list, err := p.Encode(kind, sender, f)
		nonces, cause := p.Embed(kind, f, func(attls.ExtensionType) []byte { return nil })
		if list = append(list, nonces...); err != nil || cause != nil || len(list) == 0 {
			return
		}
		for _, x := range list {
			sizes[kind.String()] += 4 + len(x.Body)
		}
		sizes[kind.String()] -= len(f.Payload)
	}
	offer, answer, payload := *f, *f, *p.NewFields()
	offer.Choices = payload.Choices
	answer.Offered = payload.Offered
	payload.Payload = []byte{0}
	count(attls.KindClientHello, attls.RoleClient, &offer)
	count(attls.KindHelloRetryRequest, attls.RoleServer, &answer)
	count(attls.KindServerHello, attls.RoleServer, &answer)
	count(attls.KindEncryptedExtensions, attls.RoleServer, &answer)
	count(attls.KindCertificateRequest, attls.RoleServer, &answer)
	c, ok := p.Credential(k)
	switch {
	case !ok:
	case c.Carrier == CarrierExtension:
		count(attls.KindCertificate, attester, &payload)
	case c.Carrier == CarrierMessage:
		if b, err := p.EncodeMessage(c.Message, attester, &payload); err == nil {
			sizes["added message"] = 4 + len(b) - len(payload.Payload)
		}
	}
	return sizes
}
