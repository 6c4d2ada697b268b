package attestation

import (
	"context"
	"fmt"

	"attls/negotiation"

	"go.yaml.in/yaml/v3"
)

// rootFile is the file of an Attester that names its root of trust. The file of a
// software root of trust need not.
type rootFile struct {
	RootOfTrust string      `yaml:"root_of_trust"`
	Device      any         `yaml:"device"`
	Relays      []relayFile `yaml:"relays,omitempty"`
}

// LoadAttester reads an Attester from a file: that of the root of trust which the
// member root_of_trust names, made of its device or of the keys of its emulator. A
// file without the member is that of a software root of trust, as LoadSoftware reads
// it.
func LoadAttester(ctx context.Context, name string, table Formats) (negotiation.Attester, *Format, error) {
	var top yaml.Node
	doc, err := readFile(name, &top)
	if err != nil {
		return nil, nil, err
	}
	root := doc.root.Content[0]
	if child(root, "root_of_trust") == nil {
		f, err := table.Named(EAT)
		if err != nil {
			return nil, nil, err
		}
		s, err := LoadSoftware(name)
		return s, f, err
	}
	section := &Section{doc, root, "the file"}
	var file rootFile
	if err := section.Decode(&file); err != nil {
		return nil, nil, err
	}
	f, err := table.Named(file.RootOfTrust)
	if err != nil {
		return nil, nil, section.Fail("root_of_trust", "%v", err)
	}
	device := child(root, "device")
	if device == nil || f.Open == nil {
		return nil, nil, section.Fail("root_of_trust",
			"%s needs a section device with what it is made of, and a program that can make its Evidence", f.Name)
	}
	a, err := f.Open(ctx, DeviceOptions{Section: &Section{doc, device, "device"}})
	if err != nil {
		return nil, nil, doc.located(device, err)
	}
	var relays []Relay
	for _, r := range file.Relays {
		v, err := LoadVerifier(section.File(r.Verifier), table)
		if err != nil {
			return nil, nil, err
		}
		relays = append(relays, Relay{[]byte(r.Identity), v})
	}
	if relays == nil {
		return a, f, nil
	}
	relaying, ok := WithRelays(a, relays)
	if !ok {
		return nil, nil, section.Fail("relays", "the Attester of %s relays no results", f.Name)
	}
	return relaying, f, nil
}

// WithRelays is an Attester that relays the results of Verifiers; false where it
// cannot.
func WithRelays(a negotiation.Attester, relays []Relay) (negotiation.Attester, bool) {
	switch a := a.(type) {
	case *Root:
		with := *a
		with.Relays = relays
		return &with, true
	case *Software:
		with := *a
		with.Relays = relays
		return &with, true
	case *CompositeAttester:
		with := *a
		with.Relays = relays
		return &with, true
	}
	return a, false
}

// File writes the Attester of an emulation as LoadAttester reads it. The results of the
// verifiers in relays, by identity, are looked for in the files named there. The file
// holds private keys, which prove nothing.
func (e *Emulation) File(name string, relays map[string]string) ([]byte, error) {
	f := rootFile{RootOfTrust: name, Device: e.Device}
	if e.Device == nil {
		return nil, fmt.Errorf("the emulator of %s cannot be written to a file", name)
	}
	for identity, file := range relays {
		f.Relays = append(f.Relays, relayFile{identity, file})
	}
	return yaml.Marshal(f)
}
