package profile

import (
	"strings"

	"attls/extensions/schema"
)

// Override is a key of a profile that says something else than its base.
type Override struct {
	Position schema.Position `json:"position"` // of the key, or of the structure's name
	Path     string          `json:"path"`
	// Base is what the base says, on one line; "" where it says nothing.
	Base string `json:"base"`
}

// Overrides lists what the text of a profile says otherwise than the base that it names,
// in the order of the text, and the name of that base; "": it has none, or what it names cannot be
// read. file is the name of the text in positions.
func Overrides(file string, src []byte) (base string, list []Override) {
	doc, problems := readDocument(file, src)
	if problems.Err() != nil || doc.get("base") == nil {
		return "", nil
	}
	root.respell(doc)
	name := doc.get("base").text
	under, problems := readChain(name)
	if problems.Err() != nil {
		return "", nil
	}
	return name, overrides(doc, under, "", nil)
}

func overrides(doc, base *value, path string, list []Override) []Override {
	for _, e := range doc.entries {
		at := join(path, e.key)
		old := base.get(e.key)
		switch {
		case path == "" && (e.key == "base" || root.find(e.key) != nil && root.find(e.key).meta):
		case at == "types":
			list = typeOverrides(doc, base, list)
		case old.isMap() && e.value.isMap():
			list = overrides(e.value, old, at, list)
		case old.line() != e.value.line():
			list = append(list, Override{e.pos, at, old.line()})
		}
	}
	return list
}

// typeOverrides are the structures that a text defines and that its base has otherwise.
func typeOverrides(doc, base *value, list []Override) []Override {
	text := doc.get("types")
	if text == nil || text.form != formScalar {
		return list
	}
	f, err := schema.Parse([]byte(text.text), text.origin.start())
	if err != nil {
		return list
	}
	old := definitions(base)
	for _, d := range f.Definitions {
		one := schema.File{Definitions: []*schema.Definition{d}}
		if was := old[d.Name]; was != strings.TrimSpace(one.String()) {
			list = append(list, Override{d.Pos, "types." + d.Name, was})
		}
	}
	return list
}
