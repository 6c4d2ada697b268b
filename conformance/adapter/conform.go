package adapter

import (
	"regexp"
	"slices"

	"attls"
)

// Conform is how a stack takes part in the cases of "attls conform", which look at each
// connection closely.
type Conform struct {
	Limits []Limit
	// Ends are indexed by role; nil: the stack is not that end.
	Ends  [2]*ConformEnd
	Reads Reads
}

// ConformEnd is how a program is an end of one connection, or of several.
type ConformEnd struct {
	End
	// Talk is its part in a conversation; nil: the usual one of its role.
	Talk []Step
	// EarlyUnanswered is where the server takes 0-RTT data and does not answer it; nil: nowhere.
	EarlyUnanswered *Condition
	// OwnAnswer says that the server answers with what it likes, not with what it received,
	// and Request is what it must be asked then; empty: anything. RequestBefore is what it
	// must be asked in a connection that another one follows; empty: Request.
	OwnAnswer              bool
	Request, RequestBefore string
	// Closed match what a server, or a client that resumes by itself, prints at the end of a
	// connection, after which another one follows: one pattern, or one for each output. Nil: the
	// conversation shows it.
	Closed []*regexp.Regexp
	// Abrupt says that the end ends connections without close_notify.
	Abrupt bool
	// ResumesItself says that the client makes both connections of a case with resumption in
	// one process.
	ResumesItself bool

	mentions []string // variables
}

// Unanswered reports whether a server of a release takes 0-RTT data and does not answer it.
func (e *ConformEnd) Unanswered(version string) bool {
	return e.EarlyUnanswered != nil && e.EarlyUnanswered.holds(Values{"version": version})
}

// Mentions reports whether the command depends on a variable.
func (e *ConformEnd) Mentions(variable string) bool { return slices.Contains(e.mentions, variable) }

// Act is what is done in a Step.
type Act uint8

// The acts.
const (
	ActType       Act = iota // a text is typed
	ActAwait                 // what matches is awaited
	ActCloseInput            // the program's input is closed
	ActEnd                   // the program's end is awaited
	ActStop                  // the program is stopped, whether the steps before it succeeded or not
)

// Step is a part of a conversation with a program.
type Step struct {
	Act  Act
	Text string // of ActType
	// Pattern is what ActAwait awaits, and Fails what says that it will not come; its first
	// group says why.
	Pattern, Fails *regexp.Regexp
	// When is a condition without which the step is left out; nil: there is none.
	When *Condition
	// Standard looks at the standard output alone.
	Standard bool
	// Sends and Receives say that the step shows that application data went.
	Sends, Receives bool
}

// Asked is what a client sends and a server sends back.
const Asked = "Is this channel bound to what was attested?\n"

// Limit is something that a stack, or its programs, cannot do.
type Limit struct {
	Why  string
	When Feature
	Line int // in the file
}

// Wanted is what a case asks of an end.
type Wanted struct {
	Role                     attls.Role
	Suite, Group, Resumption string
	Has                      []string // names of features
	Version                  string   // of the stack; empty: unknown
}

// features are what a case may ask for beyond suites, groups and tickets.
var features = []string{"cookie", "raw_public_keys", "client_certificate", "hello_retry", "alpn", "key_update",
	"early_data"}

// Feature is a pattern of what a case asks for. An empty field is any.
type Feature struct {
	Roles                       []attls.Role
	Suites, Groups, Resumptions []string
	With, Without               []string // all of these features, and none of those
	Since, Before               string   // releases
}

// Matches reports whether a case asks for the feature of the release in question. Of a
// stack of an unknown release nothing is said that holds in some only.
func (f *Feature) Matches(w *Wanted) bool {
	among := func(list []string, s string) bool { return list == nil || slices.Contains(list, s) }
	if f.Roles != nil && !slices.Contains(f.Roles, w.Role) || !among(f.Suites, w.Suite) || !among(f.Groups, w.Group) ||
		!among(f.Resumptions, w.Resumption) {
		return false
	}
	for _, name := range f.With {
		if !slices.Contains(w.Has, name) {
			return false
		}
	}
	for _, name := range f.Without {
		if slices.Contains(w.Has, name) {
			return false
		}
	}
	return (f.Since == "" || Since(w.Version, f.Since)) && (f.Before == "" || before(w.Version, f.Before))
}

// Names are what a stack calls things, by their names in IANA's registries: the first is
// used in commands, and all are understood.
type Names struct{ Suites, Groups, Schemes map[string][]string }

// Shown is what the stack calls a thing.
func Shown(names map[string][]string, name string) string {
	if list := names[name]; list != nil {
		return list[0]
	}
	return name
}

// Read is the name of what a stack calls so.
func Read(names map[string][]string, shown string) string {
	for name, list := range names {
		if slices.Contains(list, shown) {
			return name
		}
	}
	return shown
}

// Reads is how claims are read out of what programs say.
type Reads struct {
	// Says are patterns by what they say (see readsOf); their first group is the value.
	Says map[string]*regexp.Regexp
	// Messages is how octets of messages are shown; nil: they are not.
	Messages *Messages
	// PeerCertificate says that the first PEM block that is printed is the peer's certificate
	// or raw public key.
	PeerCertificate bool
	// CloseNotify says that an end without an error has shown that it sent close_notify.
	CloseNotify bool
}

// readsOf are what patterns of Reads may say.
var readsOf = []string{"suite", "group", "alpn", "exporter", "hello_retry", "resumed", "early_accepted",
	"early_rejected", "own_signature",
	"peer_signature", "alert_sent", "alert_received", "error"}

// Messages is how a program shows the octets of handshake messages and alerts.
type Messages struct {
	File string // with placeholders; empty: they are printed
	// Head matches the line before them. A group called sent or received says by matching
	// which way they went, and one called alert that they are an alert.
	Head *regexp.Regexp
	// Octets matches a line of them; its first group is them, in hexadecimal with spaces.
	Octets *regexp.Regexp
}

// Fault is which faults a deviation is about, and what the stack does instead.
type Fault struct {
	Names []string
	When  Feature
	// Accepts says that the stack takes what it must refuse, NoAlert that it ends without
	// an alert; otherwise it sends Alert.
	Accepts, NoAlert bool
	Alert            attls.AlertDescription
}
