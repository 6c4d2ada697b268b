package adapter

import (
	"embed"
	"regexp"
	"slices"
	"strings"

	"attls"
)

// Adapter is a stack as a file describes it.
type Adapter struct {
	Name  string
	About string
	// Install says how a user gets the programs.
	Install string
	// BuiltIn is the name of a stack that this module brings, where the file has no programs.
	BuiltIn string
	// Programs are what commands call by ${name}.
	Programs []Program
	Version  *Question
	// Files are files that Prepared writes into the run's directory: names and contents.
	Files []File
	// Prepare are commands that make what the programs need in the run's directory.
	Prepare [][]Word
	// Ends are indexed by role; nil: the stack is not that end.
	Ends       [2]*End
	Deviations []Deviation

	file string
}

// Program is a program of a stack.
type Program struct {
	Name string
	// Path is a name in the PATH, or a path.
	Path string
	// Environment is a variable that names another path; empty: none does.
	Environment string
}

// File is a file that a stack needs.
type File struct{ Name, Text string }

// Question is a command whose output says something.
type Question struct {
	Command []Word
	Is      *regexp.Regexp // its first group is the answer
}

// End is how a program is an end of connections.
type End struct {
	Command     []Word
	Environment []Variable
	// Types is typed into the program once it has started, or as soon as it listens.
	Types string
	// Repeats says that a client connects again as soon as its connection has ended.
	Repeats bool
	// Listens matches what a server prints once it listens; its first group is the port,
	// where it has one. A server without a group gets a free ${port}.
	Listens *regexp.Regexp
	// Taken matches what a server prints whose port was taken.
	Taken *regexp.Regexp
	// Listening says that the server prints nothing, and listens as soon as its port accepts.
	Listening bool
}

// Variable is one of the environment.
type Variable struct {
	Name  string
	Value Word
}

// Word is an argument of a command, or a part of a command that is used on a condition.
type Word struct {
	Text string
	// When is a condition; then the word is Then, and Text is not used.
	When *Condition
	Then []Word
}

// Condition is about a variable of the run.
type Condition struct {
	Name  string
	Not   bool
	Value string // empty: the variable is set
}

// Deviation is something that releases of a stack are known to do otherwise than the rules want.
type Deviation struct {
	Does        string
	First, Last string // releases; empty: every one
	// Mended is a release after Last that is known to follow the rule; empty: none is known.
	Mended string
	// Upstream is where the stack's authors have been told.
	Upstream  string
	Placement *PlacementPattern
	Line      int // in the file
}

// PlacementPattern is which findings of a placement matrix a deviation explains. An empty
// field is any.
type PlacementPattern struct {
	Kinds      []string
	Roles      []attls.Role
	Messages   []attls.MessageKind
	Extensions []string // names
	Known      *bool    // whether the stack knows the extension
	Asked      *bool
	Bodies     []string
	Alerts     []string // with which it refuses
}

// vars are the variables that a run of a program may have, with what they are.
var vars = map[string]string{
	"address":     "a client's: where the server listens, host and port",
	"host":        "the host of address, or where a server is to listen",
	"port":        "the port of address, or where a server is to listen",
	"name":        "the name in the server's certificate",
	"certificate": "the end's certificate, PEM",
	"key":         "the end's private key, PEM (PKCS #8)",
	"authority":   "the certificate that vouches for both, PEM",
	"directory":   "the run's directory, where prepare makes files",
	"keylog":      "where secrets are to be written in the NSS form",
	"version":     "what the version's pattern found; in conditions only",
	"role":        "client or server",
}

// Variables lists the variables, with what they are.
func Variables() map[string]string { return vars }

//go:embed adapters/*.yaml
var files embed.FS

// Builtin returns the adapters that are compiled in, by name.
func Builtin() []*Adapter {
	entries, err := files.ReadDir("adapters")
	if err != nil {
		panic(err) // it is compiled in
	}
	var list []*Adapter
	for _, e := range entries {
		blob, err := files.ReadFile("adapters/" + e.Name())
		if err != nil {
			panic(err)
		}
		a, err := Parse(e.Name(), blob)
		if err != nil {
			panic(err) // a test parses each
		}
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b *Adapter) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Source is the text of a compiled-in adapter; nil: there is none of that name.
func Source(name string) []byte {
	blob, err := files.ReadFile("adapters/" + name + ".yaml")
	if err != nil {
		return nil
	}
	return blob
}
