package profile

import (
	"fmt"
	"io"
	"strings"

	"attls"
	"attls/extensions/profile/binder"
)

// Meaning is a word with what it means.
type Meaning struct {
	Word    string `json:"word"`
	Meaning string `json:"meaning,omitempty"`
}

// Key is one key of a profile, for a reference.
type Key struct {
	Path     string    `json:"path"` // NAME is a name that the profile chooses, MESSAGE a message
	Form     string    `json:"form"`
	Meaning  string    `json:"meaning"`
	Values   []Meaning `json:"values,omitempty"`
	Metadata bool      `json:"metadata,omitempty"` // changes neither the wire nor a verdict
}

// Keys lists all keys of a profile, out of the table by which the loader
// checks them.
func Keys() []Key { return root.list("", false, nil) }

func (k *key) list(path string, meta bool, out []Key) []Key {
	meta = meta || k.meta
	if path != "" && k.text != "" {
		x := Key{Path: path, Form: k.describe(), Meaning: k.text, Metadata: meta}
		for _, w := range k.words {
			x.Values = append(x.Values, Meaning{w.name, w.text})
		}
		out = append(out, x)
	}
	for _, c := range k.keys {
		out = c.list(join(path, c.name), meta, out)
	}
	if k.each != nil && k.form&formMap != 0 && !k.free {
		name := "NAME"
		switch {
		case k == extensionKey:
			name = "MESSAGE"
		case k.names != nil:
			name = "(" + strings.Join(k.names(), "|") + ")"
		}
		out = k.each.list(join(path, name), meta, out)
	}
	return out
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// describe says what stands under a key.
func (k *key) describe() string {
	if k.form != formScalar {
		return k.form.String()
	}
	switch {
	case k.words != nil:
		return "one of " + strings.Join(k.words.names(), ", ")
	case k.scalar == scalarNumber:
		return "a number"
	case k.scalar == scalarOctets:
		return "0x and hexadecimal octets"
	}
	return "a text"
}

// Causes lists the causes that a profile gives alerts, with the alert that each
// has otherwise.
func Causes() []Meaning {
	var list []Meaning
	for _, f := range attls.AttestationFailures {
		list = append(list, Meaning{strings.TrimPrefix(string(f), "attestation."), attls.DefaultAlert(f).String()})
	}
	return list
}

// Reference is everything that a profile can contain.
type Reference struct {
	Messages []string  `json:"messages"` // what MESSAGE in a path can be
	Keys     []Key     `json:"keys"`
	Switch   []Meaning `json:"switch"` // the keys of a switch that are not readings
	Gaps     []Meaning `json:"gaps"`   // where messages can be added, and who sends them there
	Flaws    []Meaning `json:"flaws"`  // of accepted_flaws
	Causes   []Meaning `json:"causes"` // with the alert of each that a profile does not name
	Binder   []Meaning `json:"binder"` // words of the binder language
}

// MakeReference collects the reference out of the tables of the loader.
func MakeReference() Reference {
	r := Reference{Messages: messageNames(), Keys: Keys(), Causes: Causes()}
	for _, name := range sortedKeys(switchWords) {
		r.Switch = append(r.Switch, Meaning{name, switchWords[name]})
	}
	for i := range Gaps {
		r.Gaps = append(r.Gaps, Meaning{Gaps[i].where(), Gaps[i].who()})
	}
	for _, f := range flawWords {
		r.Flaws = append(r.Flaws, Meaning{f.name, f.text})
	}
	for _, x := range binder.Words() {
		r.Binder = append(r.Binder, Meaning{x.Usage, x.Meaning})
	}
	return r
}

// WriteReference writes the reference as Markdown.
func WriteReference(w io.Writer) error {
	r := MakeReference()
	var b strings.Builder
	b.WriteString(
		"# Keys of a profile\n\nWritten by `attls profile reference --markdown`.\n\nNAME is a name that the profile " +
			"chooses. MESSAGE is one of " +
			strings.Join(r.Messages, ", ") + ". Keys marked ° change neither the wire nor a verdict.\n\n")
	for _, k := range r.Keys {
		fmt.Fprintf(&b, "* `%s`%s (%s): %s\n", k.Path, k.Mark(), k.Form, k.Meaning)
		for _, v := range k.Values {
			if v.Meaning != "" {
				fmt.Fprintf(&b, "  * `%s`: %s\n", v.Word, v.Meaning)
			}
		}
	}
	for _, part := range []struct {
		title string
		words []Meaning
		last  string
	}{
		{"Keys of a switch", r.Switch,
			"* any other key is a reading, with the value of `$NAME`; null deletes the key that says `$NAME`, and " +
				"`$NAME.PART` takes one value of a reading that is a map\n"},
		{"Places for added messages", r.Gaps, noPlaces},
		{"Flaws that a profile may acknowledge", r.Flaws, ""},
		{"Causes and the alert of each that the profile does not name", r.Causes, ""},
		{"Binder language", r.Binder, ""},
	} {
		fmt.Fprintf(&b, "\n## %s\n\n", part.title)
		for _, m := range part.words {
			fmt.Fprintf(&b, "* `%s`: %s\n", m.Word, m.Meaning)
		}
		b.WriteString(part.last)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Mark is the sign of a key that changes neither the wire nor a verdict.
func (k *Key) Mark() string {
	if k.Metadata {
		return "°"
	}
	return ""
}
