package campaign

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"attls"
	"attls/conformance/adapter"
)

// KnownFormat is the version of files of known findings.
const KnownFormat = "attls-fuzz-known 1"

// Known is a list of findings of one stack that are explained, and of differences between it and other
// stacks. What is not in it is new.
type Known struct {
	Format string        `yaml:"format"`
	Peer   string        `yaml:"peer"`
	Known  []*KnownEntry `yaml:"known"`
}

// KnownEntry explains the findings of a law in whose text Says appears. With Against it explains
// differences between the list's stack and those that it names.
type KnownEntry struct {
	Law string `yaml:"law"`
	// Says is a part of the finding's text; of a difference, of what attls does.
	Says string `yaml:"says,omitempty"`
	// Does is a part of what the list's stack does where two differ, and Edits of what the attacker
	// did, as Apart.Edits has it.
	Does  string `yaml:"does,omitempty"`
	Edits string `yaml:"edits,omitempty"`
	// Against are the stacks that do otherwise; empty: the entry is about one stack.
	Against []KnownAgainst `yaml:"against,omitempty"`
	// Right says which of the two does what the RFC wants: peer, against, both or neither.
	Right string `yaml:"right,omitempty"`
	// Shows is an input that shows the difference.
	Shows *KnownInput `yaml:"shows,omitempty"`
	// Role is the end that the stack is; "": either.
	Role string `yaml:"role,omitempty"`
	// First and Last are releases; empty: every one.
	First string `yaml:"first,omitempty"`
	Last  string `yaml:"last,omitempty"`
	Why   string `yaml:"why"`
	// Count is how many causes it explained.
	Count int `yaml:"-"`
}

// KnownAgainst is a stack, by its name in an adapter, that does otherwise than a list's.
type KnownAgainst struct {
	Stack string `yaml:"stack"`
	// First and Last are releases; empty: every one.
	First string `yaml:"first,omitempty"`
	Last  string `yaml:"last,omitempty"`
	// Does is a part of what it does; empty: anything else.
	Does string `yaml:"does,omitempty"`
}

// KnownInput is an input in a list, of the target TLS.
type KnownInput struct {
	Connection Connection `yaml:"connection,omitempty"`
	Attacker   string     `yaml:"attacker"`
	Edits      []Edit     `yaml:"edits"`
}

// Input is the input that shows the entry; nil: there is none.
func (e *KnownEntry) Input() *Input {
	if e.Shows == nil {
		return nil
	}
	return &Input{Format: Format, Connection: e.Shows.Connection, Attacker: e.Shows.Attacker, Edits: e.Shows.Edits}
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
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("a second document follows the list; a file has one list")
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
	case len(e.Against) > 0:
		return e.checkApart()
	case e.Does+e.Edits+e.Right != "" || e.Shows != nil:
		return fmt.Errorf("against: does, edits, right and shows are of an entry about two stacks, and it names none")
	case len(strings.TrimSpace(e.Says)) < minSays:
		return fmt.Errorf("says: %q; at least %d letters, since an entry must not explain everything",
			attls.Printable(e.Says), minSays)
	case !lawKnown(e.Law):
		return fmt.Errorf("law: no law is called %q; attls fuzz list names them", attls.Printable(e.Law))
	}
	return e.checkRange()
}

// checkApart is check for an entry about two stacks.
func (e *KnownEntry) checkApart() error {
	switch {
	case e.Law != lawDifference && e.Law != lawOtherAlert:
		return fmt.Errorf("law: %q; between two stacks it is %s or %s", attls.Printable(e.Law), lawDifference, lawOtherAlert)
	case len(strings.TrimSpace(e.Does)) < minSays:
		return fmt.Errorf("does: %q; at least %d letters of what the stack does", attls.Printable(e.Does), minSays)
	case len(strings.TrimSpace(e.Says)) < minSays && len(strings.TrimSpace(e.Edits)) < minEdits:
		return fmt.Errorf("says: %q; at least %d letters of what attls does or, in edits, %d of what was sent",
			attls.Printable(e.Says), minSays, minEdits)
	case e.Edits == "" && sweeping(e.Says):
		return fmt.Errorf("says: %q; that is what attls does with very much, and an entry without edits must name a rule",
			attls.Printable(e.Says))
	case !slices.Contains([]string{"peer", "against", "both", "neither"}, e.Right):
		return fmt.Errorf("right: %q; it is peer, against, both or neither", attls.Printable(e.Right))
	}
	for i, x := range e.Against {
		switch {
		case x.Stack == "":
			return fmt.Errorf("against[%d].stack: the name of the stack is missing", i)
		case (x.First == "") != (x.Last == ""):
			return fmt.Errorf("against[%d].first: a stack has first and last, or neither", i)
		}
	}
	if in := e.Input(); in != nil {
		if err := in.check(); err != nil {
			return fmt.Errorf("shows.%w", err)
		}
		if len(in.Edits) == 0 {
			return fmt.Errorf("shows.edits: an input without edits shows nothing")
		}
	}
	return e.checkRange()
}

func (e *KnownEntry) checkRange() error {
	switch {
	case e.Role != "" && e.Role != attls.RoleClient.String() && e.Role != attls.RoleServer.String():
		return fmt.Errorf("role: %q; it is client or server", attls.Printable(e.Role))
	case (e.First == "") != (e.Last == ""):
		return fmt.Errorf("first: an entry has first and last, or neither")
	}
	return nil
}

// minSays is the shortest text of an entry, and minEdits of its edits: the name of an operation.
const (
	minSays  = 8
	minEdits = 4
)

// sweeping reports whether a text is a part of what attls does with inputs that have nothing in common.
func sweeping(says string) bool {
	all := []string{"refuses with ", "completes the handshake", "waits for more", "is asked something else"}
	return slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, strings.TrimLeft(says, " ")) })
}

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
		if len(e.Against) == 0 && e.Law == v.Law && (e.Role == "" || e.Role == v.Role.String()) &&
			strings.Contains(v.Says, e.Says) && d.Expected(version) {
			return e
		}
	}
	return nil
}

// ExplainsApart returns the entry for a difference between the list's stack and another; nil: it is
// new, or about other stacks.
func (k *Known) ExplainsApart(a *Apart) *KnownEntry {
	if k == nil {
		return nil
	}
	for _, e := range k.Known {
		if e.explains(k.Peer, a) {
			return e
		}
	}
	return nil
}

// explains reports whether the entry of a list about a stack explains a difference.
func (e *KnownEntry) explains(peer string, a *Apart) bool {
	if e.Law != a.Law || e.Role != "" && e.Role != a.Role.String() || !strings.Contains(a.Own, e.Says) ||
		!strings.Contains(a.Edits, e.Edits) {
		return false
	}
	for i := range a.Stacks {
		if !stackNamed(peer, e.First, e.Last, a.Stacks[i]) || !strings.Contains(a.Does[i], e.Does) {
			continue
		}
		if slices.ContainsFunc(e.Against, func(x KnownAgainst) bool {
			return stackNamed(x.Stack, x.First, x.Last, a.Stacks[1-i]) && strings.Contains(a.Does[1-i], x.Does)
		}) {
			return true
		}
	}
	return false
}

// Between reports whether an entry is about two stacks, whatever they do.
func (k *Known) Between(e *KnownEntry, a, b StackName) bool {
	return slices.ContainsFunc(e.Against, func(x KnownAgainst) bool {
		return stackNamed(k.Peer, e.First, e.Last, a) && stackNamed(x.Stack, x.First, x.Last, b) ||
			stackNamed(k.Peer, e.First, e.Last, b) && stackNamed(x.Stack, x.First, x.Last, a)
	})
}

var newerAdapter = regexp.MustCompile(`-\d[\d.]*$`)

// stackFamily is the name of a stack without the release that the names of some adapters end with:
// entries have releases of their own.
func stackFamily(name string) string { return newerAdapter.ReplaceAllString(name, "") }

// stackNamed reports whether a name with releases is that of a stack.
func stackNamed(name, first, last string, s StackName) bool {
	d := adapter.Deviation{First: first, Last: last}
	return (name == s.Name || name == stackFamily(s.Name)) && d.Holds(s.Version)
}

//go:embed known/*.yaml
var knownFiles embed.FS

// KnownOf is the list that is compiled in for a stack, or for the stack of which its name is that of a
// release; nil: there is none.
func KnownOf(stack string) (*Known, error) {
	f, err := knownFiles.Open("known/" + strings.ReplaceAll(stackFamily(stack), "/", "-") + ".yaml")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadKnown(f)
}
