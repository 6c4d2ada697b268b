package profile

import (
	"regexp"
	"slices"
	"sort"
	"strings"

	"attls/extensions/schema"
)

// The keys of a switch that are no readings.
var switchWords = map[string]string{
	"amb":     "id of the ambiguity in the text",
	"default": "the reading that holds unless another is chosen at run time",
	"why":     "why that is the default",
}

// A $name stands for the value of a switch's chosen reading; where the readings
// are maps, $name.part for one of its values.
var reference = regexp.MustCompile(`\$[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?`)

// Bounds of what switches put into a profile, counted before it is put there.
const (
	maxExpanded = 1 << 13 // octets of one text
	maxReadings = 1 << 8  // keys in all switches: each reading is compiled on its own
	maxInserted = 1 << 15 // values and octets of all readings, each as often as it is used
)

// expander puts the chosen readings in the places of their switches.
type expander struct {
	readings map[string]*value // by switch
	used     map[string]bool   // switches
	deleted  map[string]schema.Position
	inserted int // against maxInserted
	problems schema.Problems
}

// readSwitches takes the switches out of a document and settles the readings.
func readSwitches(doc *value, chosen map[string]string) (*expander, []Reading) {
	x := &expander{readings: map[string]*value{}, used: map[string]bool{}}
	var list []Reading
	names := make([]string, 0, 8)
	readings := 0
	for _, e := range doc.under("switches") {
		names = append(names, e.key)
		if readings += len(e.value.entries); readings > maxReadings {
			x.problems = append(x.problems, problem(e.pos, ProblemSwitch, "more than %d readings and words of switches",
				maxReadings))
			break
		}
		if r, ok := x.readSwitch(e, chosen); ok {
			list = append(list, r)
		}
	}
	unknown := make([]string, 0, len(chosen))
	for name := range chosen {
		if !slices.Contains(names, name) {
			unknown = append(unknown, name)
		}
	}
	sort.Strings(unknown)
	for _, name := range unknown {
		x.problems = append(x.problems, nearest(problem(given, ProblemSwitch, "%s has no switch %s", nameOf(doc), name),
			name, names))
	}
	doc.remove("switches")
	return x, list
}

func (x *expander) readSwitch(e *entry, chosen map[string]string) (Reading, bool) {
	r := Reading{Switch: e.key}
	if e.value.form != formMap {
		x.problems = append(x.problems, problem(e.value.pos, ProblemSwitch,
			"a switch is a map of amb, default, why and readings"))
		return r, false
	}
	var def *value
	for _, k := range e.value.entries {
		if _, meta := switchWords[k.key]; !meta {
			r.Options = append(r.Options, k.key)
			continue
		}
		if k.value.form != formScalar {
			x.problems = append(x.problems, problem(k.value.pos, ProblemSwitch, "%s is a text", k.key))
			return r, false
		}
		switch k.key {
		case "amb":
			r.AMB = k.value.text
		case "why":
			r.Why = k.value.text
		case "default":
			r.Default, def = k.value.text, k.value
		}
	}
	switch {
	case def == nil:
		x.problems = append(x.problems, problem(e.pos, ProblemSwitch, "the switch %s has no default", e.key))
		return r, false
	case len(r.Options) < 2:
		x.problems = append(x.problems, problem(e.pos, ProblemSwitch, "the switch %s has %d readings; it needs two at least",
			e.key, len(r.Options)))
		return r, false
	case !slices.Contains(r.Options, r.Default):
		x.problems = append(x.problems, nearest(problem(def.pos, ProblemSwitch, "%s is not a reading of %s", r.Default,
			e.key), r.Default, r.Options))
		return r, false
	}
	r.Chosen = r.Default
	if c, ok := chosen[e.key]; ok {
		r.Chosen = c
		if !slices.Contains(r.Options, c) {
			x.problems = append(x.problems, nearest(problem(e.pos, ProblemSwitch, "%s is not a reading of %s, which has %s", c,
				e.key, strings.Join(r.Options, ", ")), c, r.Options))
			return r, false
		}
	}
	x.readings[e.key] = e.value.get(r.Chosen)
	return r, true
}

// expand replaces every $name in a value. A reading that is null deletes the
// key or the element that names it.
func (x *expander) expand(v *value) *value {
	switch v.form {
	case formScalar:
		return x.scalar(v)
	case formList:
		out := &value{form: formList, pos: v.pos}
		for _, i := range v.items {
			if i = x.expand(i); i.form != formNull {
				out.items = append(out.items, i)
			}
		}
		return out
	case formMap:
		out := &value{form: formMap, pos: v.pos}
		for _, e := range v.entries {
			if n := x.expand(e.value); n.form != formNull {
				out.entries = append(out.entries, &entry{e.key, e.pos, n})
			}
		}
		return out
	}
	return v
}

// refers reports whether the whole value is a reference.
func (v *value) refers() bool {
	return v.form == formScalar && v.text != "" && reference.FindString(v.text) == v.text
}

func (x *expander) scalar(v *value) *value {
	if v.refers() {
		if r := x.resolve(v, v.text); r != nil {
			return r
		}
		return &value{form: formNull, pos: v.pos}
	}
	if !strings.Contains(v.text, "$") {
		return v
	}
	size := len(v.text)
	text := reference.ReplaceAllStringFunc(v.text, func(name string) string {
		if size > maxExpanded {
			return name
		}
		r := x.resolve(v, name)
		if r == nil {
			return name
		}
		if size += len(r.text); size > maxExpanded {
			x.problems = append(x.problems, problem(v.pos, ProblemSwitch,
				"with the readings of its switches the text has more than %d octets", maxExpanded))
			return name
		}
		if r.form != formScalar {
			x.problems = append(x.problems, problem(v.pos, ProblemSwitch, "%s is %s and is used inside a text", name, r.form))
			return name
		}
		return r.text
	})
	return &value{form: formScalar, pos: v.pos, text: text}
}

// resolve finds the value of a reference.
func (x *expander) resolve(v *value, name string) *value {
	name, part, _ := strings.Cut(name[1:], ".")
	r, ok := x.readings[name]
	if !ok {
		known := make([]string, 0, len(x.readings))
		for n := range x.readings {
			known = append(known, n)
		}
		sort.Strings(known)
		if at, ok := x.deleted[name]; ok {
			x.problems = append(x.problems, problem(at, ProblemSwitch,
				"the switch %s is deleted here, and $%s is still used at %s", name, name, placeWords(v.pos)).
				Advise("give that key another value or null, or leave the switch"))
			return nil
		}
		x.problems = append(x.problems, nearest(problem(v.pos, ProblemSwitch, "no switch is named %s", name), name, known))
		return nil
	}
	x.used[name] = true
	if part == "" {
		return x.insert(v, r)
	}
	e := r.entry(part)
	if e == nil {
		x.problems = append(x.problems, problem(v.pos, ProblemSwitch, "the reading of %s in force has no part %s",
			name, part))
		return nil
	}
	return x.insert(v, e.value)
}

// insert counts a reading against the bound of all.
func (x *expander) insert(v, r *value) *value {
	if x.inserted > maxInserted {
		return nil
	}
	if x.inserted += r.weight(); x.inserted > maxInserted {
		x.problems = append(x.problems, problem(v.pos, ProblemSwitch,
			"switches put more than %d values and octets into the profile", maxInserted))
		return nil
	}
	return r
}

// weight is how many values and octets a value has.
func (v *value) weight() int {
	n := 1 + len(v.text)
	for _, i := range v.items {
		n += i.weight()
	}
	for _, e := range v.entries {
		n += len(e.key) + e.value.weight()
	}
	return n
}

// unused reports switches that nothing refers to.
func (x *expander) unused(list []Reading, switches *value) {
	for _, r := range list {
		if !x.used[r.Switch] {
			x.problems = append(x.problems, problem(switches.entry(r.Switch).pos, ProblemSwitch,
				"nothing in the profile says $%s, so the switch changes nothing", r.Switch))
		}
	}
}
