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
	// Environment is that of every program; an end may have more, which counts before it.
	Environment []Variable
	Version     *Question
	// Files are files that Prepared writes into the run's directory: names and contents.
	Files []File
	// Prepare are commands that make what the programs need in the run's directory.
	Prepare [][]Word
	// Ends are indexed by role; nil: the stack is not that end.
	Ends [2]*End
	// Conform is how the stack takes part in the cases of "attls conform"; nil: it does not.
	Conform *Conform
	// Named is what the stack is called where its version is known, with ${release} for the
	// first two numbers of that; empty: Name.
	Named string
	// Tried are the releases that the cases of Conform were run with, the oldest first.
	Tried      []string
	Names      Names
	Deviations []Deviation
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
	// NeverAsks says that a server never asks a client for its certificate.
	NeverAsks bool
	// Unseen are messages of the placement matrix after which the end does the same whether it
	// accepts or refuses them, so that they are not sent.
	Unseen []attls.MessageKind
}

// Variable is one of the environment.
type Variable struct {
	Name  string
	Value Word
}

// Word is an argument of a command, or a part of a command: Then under a condition, once
// for each item of a list, or joined to one argument.
type Word struct {
	Text string
	// When is a condition.
	When *Condition
	// Each is a variable that is a list.
	Each string
	// Join says that Then is one argument, with Between between its parts.
	Join    bool
	Between string
	Then    []Word
}

// Condition is about a variable of the run.
type Condition struct {
	Name  string
	Not   bool
	Value string // empty: the variable is set
	Since string // the least release, of version
}

// Deviation is something that releases of a stack are known to do otherwise than the rules want.
type Deviation struct {
	Does        string
	First, Last string // releases; empty: every one
	// Mended is a release after Last that is known to follow the rule; empty: none is known.
	Mended string
	// Tried are the releases with which it was looked for; nil: those of the adapter.
	Tried []string
	// Upstream is where the stack's authors have been told.
	Upstream string
	// Placement is which findings of a placement matrix it explains, Fault which faults; one
	// of them is nil.
	Placement *PlacementPattern
	Fault     *Fault
	File      string
	Line      int
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
