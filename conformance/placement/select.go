package placement

import (
	"slices"

	"attls"
)

// With adds to a choice of cases what is needed to judge them: the controls, an extension that
// nobody knows, and the other cases of the same extensions, which show whether a stack
// knows them.
func With(all, chosen []Case) (list []Case) {
	wanted := map[attls.ExtensionType]bool{}
	for i := range chosen {
		if !chosen[i].control() {
			wanted[chosen[i].Extension] = true
		}
	}
	for i := range all {
		c := &all[i]
		if c.control() || c.entry.free() || wanted[c.Extension] {
			list = append(list, *c)
		}
	}
	return list
}

// Only keeps the results of chosen cases, and the controls that failed.
func Only(results []Result, chosen []Case) (list []Result) {
	names := map[string]bool{}
	for i := range chosen {
		names[chosen[i].Name()] = true
	}
	return slices.DeleteFunc(slices.Clone(results), func(r Result) bool { return !names[r.Name()] })
}
