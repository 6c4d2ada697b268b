package campaign

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"sync"

	"go.yaml.in/yaml/v3"

	"attls"
)

// PlantedFormat is the version of tables of planted bugs.
const PlantedFormat = "attls-fuzz-planted 1"

//go:embed planted/mbedtls.yaml
var plantedTable []byte

// StackBug is a bug that is planted in a C program that conformance/mbedtls/targets.sh builds
// with --planted.
type StackBug struct {
	// Number is what ATTLS_PLANTED has for it.
	Number int    `yaml:"number"`
	Name   string `yaml:"name"`
	// Side is the end that has it: client or server.
	Side string `yaml:"side"`
	// Kind is authentication, memory or protocol.
	Kind string `yaml:"kind"`
	// Law is the one that is expected to see it.
	Law   string `yaml:"law,omitempty"`
	Place string `yaml:"place"`
	Wrong string `yaml:"wrong"`
	// Hidden says why no peer can see it; "": a peer can.
	Hidden string `yaml:"hidden,omitempty"`
}

// Target is the target whose honest end has the bug.
func (b *StackBug) Target() string { return "mbedtls-" + b.Side }

// StackBugs lists the planted bugs of the C program.
func StackBugs() ([]StackBug, error) {
	list, err := stackBugs()
	return slices.Clone(list), err
}

var stackBugs = sync.OnceValues(func() ([]StackBug, error) { return readStackBugs(plantedTable) })

func readStackBugs(b []byte) ([]StackBug, error) {
	var t struct {
		Format string     `yaml:"format"`
		Bugs   []StackBug `yaml:"bugs"`
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&t); err != nil {
		return nil, err
	}
	if t.Format != PlantedFormat {
		return nil, &VersionError{t.Format, PlantedFormat}
	}
	for i := range t.Bugs {
		if err := t.Bugs[i].check(); err != nil {
			return nil, fmt.Errorf("bugs[%d], %q: %w", i, t.Bugs[i].Name, err)
		}
		if slices.ContainsFunc(t.Bugs[:i], func(o StackBug) bool {
			return o.Name == t.Bugs[i].Name || o.Number == t.Bugs[i].Number
		}) {
			return nil, fmt.Errorf("bugs[%d]: %q or %d is there twice", i, t.Bugs[i].Name, t.Bugs[i].Number)
		}
	}
	return t.Bugs, nil
}

func (b *StackBug) check() error {
	switch {
	case b.Number < 1 || b.Name == "" || b.Place == "" || b.Wrong == "":
		return errors.New("number, name, place or wrong is missing")
	case b.Side != attls.RoleClient.String() && b.Side != attls.RoleServer.String():
		return fmt.Errorf("side %q; it is client or server", b.Side)
	case b.Kind != "authentication" && b.Kind != "memory" && b.Kind != "protocol":
		return fmt.Errorf("kind %q; it is authentication, memory or protocol", b.Kind)
	case (b.Law == "") != (b.Hidden != ""):
		return errors.New("it has a law if a peer can see it, and a reason if none can")
	}
	return nil
}
