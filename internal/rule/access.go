package rule

import (
	"fmt"
	"reflect"
)

// What follows is reached from inside the module alone: the packages that own the
// types register, when they are initialized, how a rule is turned off in them, and no
// exported function does it. Without is called only by what proves cases and by taps
// that must write what the grammar forbids.

var (
	// Obeys reports whether a rule is in force under a *profile.Profile, which may be
	// nil. Package profile sets it.
	Obeys func(profile any, r Rule) bool
	// RunInMemory runs a *scenario.Setup with a rule turned off at both ends, and
	// returns a *scenario.Result. The setup keeps no trace of that. Package scenario
	// sets it.
	RunInMemory func(setup any, r Rule) (result any, err error)

	without = map[reflect.Type]any{}
)

// Register says how values of a type are copied with a rule turned off.
func Register[T any](copy func(T, Rule) T) { without[reflect.TypeFor[T]()] = copy }

// Without returns a copy of a value of a registered type in which a rule is not
// enforced. The value itself keeps enforcing it.
func Without[T any](x T, r Rule) T {
	copy, ok := without[reflect.TypeFor[T]()].(func(T, Rule) T)
	if !ok {
		panic(fmt.Sprintf("rule: nothing is registered for %T", x)) // a mistake in this module
	}
	return copy(x, r)
}
