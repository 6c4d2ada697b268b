package main

import (
	"os"
	"slices"
	"strings"

	"attls/conformance/adapter"
)

// variablesOf are the variables of the environment that name programs of stacks which no
// adapter describes.
var variablesOf = map[string][]string{
	"mbedtls":           {"ATTLS_MBEDTLS_PEER"},
	"mbedtls-compiled":  {"ATTLS_MBEDTLS_PEER"},
	"mbedtls-unpatched": {"ATTLS_MBEDTLS_PROGRAMS"},
	"poc":               {"ATTLS_POC_CLIENT", "ATTLS_POC_SERVER", "ATTLS_POC_VERIFIER"},
}

// environmentOf are the variables that are set here and name programs of stacks, as a shell
// has them before a command: without them the command would find other programs, or none.
func (f *conformFlags) environmentOf(stacks ...string) (words []string) {
	adapters, _, err := f.loadAdapters()
	if err != nil {
		return nil // files that were read before
	}
	return setFor(adapters, stacks...)
}

func setFor(adapters []*adapter.Adapter, stacks ...string) (words []string) {
	add := func(name string) {
		value := os.Getenv(name)
		if strings.ContainsRune(value, os.PathSeparator) {
			value = absolute(value)
		}
		if word := name + "=" + value; value != "" && !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	for _, s := range stacks {
		for _, name := range variablesOf[s] {
			add(name)
		}
		for _, a := range adapters {
			if !a.Calls(s) {
				continue
			}
			for i := range a.Programs {
				if name := a.Programs[i].Environment; name != "" {
					add(name)
				}
			}
		}
	}
	return words
}
