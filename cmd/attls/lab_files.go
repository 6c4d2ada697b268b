package main

import (
	"maps"
	"os"
	"slices"

	"attls/conformance/lab"
)

// scripts reads the attacks that the flags choose.
func (f *labFlags) scripts(args []string, o *lab.Options) error {
	names := slices.Concat(f.attacks, args)
	if len(names) == 0 {
		names = lab.Names()
	}
	for _, name := range names {
		s, err := lab.Load(name)
		if err != nil {
			if os.IsNotExist(err) || os.IsPermission(err) {
				return unavailable(err)
			}
			return usage("%w", err)
		}
		var others []string
		for _, x := range o.Scripts {
			others = append(others, x.Name)
		}
		o.Scripts = append(o.Scripts, s)
		if slices.Contains(others, s.Name) {
			return usage("two attacks are called %q; give the one in %s another name, in its first line", s.Name, name)
		}
		if !slices.Contains(lab.Names(), name) {
			o.Foreign = append(o.Foreign, s.Name)
			f.add(lab.File{Attack: s.Name, Given: name, Text: s.Text})
		}
	}
	return nil
}

// add takes a profile or an attack of the user's into the report.
func (f *labFlags) add(file lab.File) {
	for _, r := range slices.Sorted(maps.Keys(f.readings)) {
		if file.Profile != "" {
			file.Readings += " --reading " + r + "=" + f.readings[r]
		}
	}
	f.files = append(f.files, file)
}
