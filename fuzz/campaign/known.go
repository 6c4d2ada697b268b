package campaign

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"attls"
	"attls/conformance/adapter"
)

// KnownFormat is the version of files of known findings.
const KnownFormat = "attls-fuzz-known 1"

// Known is a list of findings of one stack that are explained. What is not in it is new.
type Known struct {
	Format string        `yaml:"format"`
	Peer   string        `yaml:"peer"`
	Known  []*KnownEntry `yaml:"known"`
}

// KnownEntry explains the findings of a law in whose text Says appears.
type KnownEntry struct {
	Law  string `yaml:"law"`
	Says string `yaml:"says"`
	// Role is the end that the stack is; "": either.
	Role string `yaml:"role,omitempty"`
	// First and Last are releases; empty: every one.
	First string `yaml:"first,omitempty"`
	Last  string `yaml:"last,omitempty"`
	Why   string `yaml:"why"`
	// Count is how many causes it explained.
	Count int `yaml:"-"`
}

// maxKnown bounds the entries of a list.
const maxKnown = 1000

// ReadKnown reads a list of known findings.
func ReadKnown(r io.Reader) (*Known, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("more than %d octets", maxFile)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	k := &Known{}
	if err := d.Decode(k); err != nil {
		return nil, err
	}
	switch {
	case k.Format != KnownFormat:
		return nil, &VersionError{k.Format, KnownFormat}
	case k.Peer == "":
		return nil, fmt.Errorf("peer: the name of the stack is missing")
	case len(k.Known) > maxKnown:
		return nil, fmt.Errorf("known: %d entries; at most %d are read", len(k.Known), maxKnown)
	}
	for i, e := range k.Known {
		if err := e.check(); err != nil {
			return nil, fmt.Errorf("known[%d].%w", i, err)
		}
	}
	return k, nil
}

func (e *KnownEntry) check() error {
	switch {
	case e == nil || e.Why == "":
		return fmt.Errorf("why: an entry needs a reason")
	case len(strings.TrimSpace(e.Says)) < minSays:
		return fmt.Errorf("says: %q; at least %d letters, since an entry must not explain everything",
			attls.Printable(e.Says), minSays)
	case !lawKnown(e.Law):
		return fmt.Errorf("law: no law is called %q; attls fuzz list names them", attls.Printable(e.Law))
	case e.Role != "" && e.Role != attls.RoleClient.String() && e.Role != attls.RoleServer.String():
		return fmt.Errorf("role: %q; it is client or server", attls.Printable(e.Role))
	case (e.First == "") != (e.Last == ""):
		return fmt.Errorf("first: an entry has first and last, or neither")
	}
	return nil
}

// minSays is the shortest text of an entry.
const minSays = 8

func lawKnown(name string) bool {
	for _, l := range Laws() {
		if l[0] == name {
			return true
		}
	}
	return false
}

// ReadKnownFile reads a list of known findings from a file.
func ReadKnownFile(name string) (*Known, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	k, err := ReadKnown(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return k, nil
}

// Explains returns the entry for a finding of a release; nil: it is new.
func (k *Known) Explains(v *Violation, version string) *KnownEntry {
	if k == nil {
		return nil
	}
	for _, e := range k.Known {
		d := adapter.Deviation{First: e.First, Last: e.Last}
		if e.Law == v.Law && (e.Role == "" || e.Role == v.Role.String()) && strings.Contains(v.Says, e.Says) &&
			d.Expected(version) {
			return e
		}
	}
	return nil
}

//go:embed known/*.yaml
var knownFiles embed.FS

// KnownOf is the list that is compiled in for a stack; nil: there is none.
func KnownOf(stack string) (*Known, error) {
	f, err := knownFiles.Open("known/" + strings.ReplaceAll(stack, "/", "-") + ".yaml")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadKnown(f)
}
