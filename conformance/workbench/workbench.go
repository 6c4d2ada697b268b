// Package workbench is the engine behind the page of "attls workbench": what the page
// asks, and what it is answered, in JSON. It compiles for browsers too (package
// conformance/workbench/wasm), opens no file, and keeps between two calls only keys,
// the profiles that it has compiled last, and runs of embedded ones.
package workbench

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"attls"
	"attls/conformance/lab"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/extensions/schema"
	"attls/handshake"
)

// FileName is the name of the profile in the editor, in positions and messages.
const FileName = "profile.yaml"

// Request is what the page asks about: a profile as text, and the choices above it. The
// zero value of a field leaves the choice to the engine.
type Request struct {
	Text       string             `json:"text"`
	Readings   map[string]string  `json:"readings,omitempty"`
	CodePoints map[string]uint64  `json:"code_points,omitempty"`
	Attester   scenario.Attesters `json:"attester,omitempty"`
	Model      string             `json:"model,omitempty"`
	Credential string             `json:"credential,omitempty"`
	Group      string             `json:"group,omitempty"`
	HelloRetry bool               `json:"hello_retry,omitempty"`
	Root       string             `json:"root_of_trust,omitempty"`
	// What happens after the handshake.
	PostHandshake bool   `json:"post_handshake,omitempty"`
	KeyUpdate     bool   `json:"extended_key_update,omitempty"`
	Reattest      bool   `json:"reattest,omitempty"`
	Fail          string `json:"fail,omitempty"`
	// Name is a profile, or an attack of the laboratory, and Cell one of its cells; Kind is one of the
	// downloads; Other is a second text to compare with, and OtherReadings are of what is compared with.
	Name          string            `json:"name,omitempty"`
	Cell          string            `json:"cell,omitempty"`
	Kind          string            `json:"kind,omitempty"`
	Other         string            `json:"other,omitempty"`
	OtherReadings map[string]string `json:"other_readings,omitempty"`
}

// Reply is the answer to a request: a result, or what went wrong.
type Reply struct {
	Result any    `json:"result,omitempty"`
	Error  string `json:"error,omitempty"`
	// Broken says that the engine met a mistake of its own and must be started again.
	Broken bool `json:"broken,omitempty"`
}

// Engine answers requests, one at a time.
type Engine struct {
	env    *scenario.Environment // nil: nothing was run yet
	loaded []loaded              // the latest last
	bases  []baseRun
	stored *lab.Stored // nil: no attack was run yet
}

// loaded is a profile that was compiled before.
type loaded struct {
	key string
	p   *profile.Profile
}

// maxLoaded bounds how many are kept: the profile, its base, and those before a change.
const maxLoaded = 6

// keep returns what was compiled for a key, or compiles it.
func (e *Engine) keep(of []any, compile func() (*profile.Profile, error)) (*profile.Profile, error) {
	text, err := json.Marshal(of)
	if err != nil {
		return nil, err
	}
	key := string(text)
	for _, l := range e.loaded {
		if l.key == key {
			return l.p, nil
		}
	}
	p, err := compile()
	if err == nil {
		if len(e.loaded) == maxLoaded {
			e.loaded = e.loaded[1:]
		}
		e.loaded = append(e.loaded, loaded{key, p})
	}
	return p, err
}

// embedded loads an embedded profile.
func (e *Engine) embedded(name string, o profile.Options) (*profile.Profile, error) {
	if profile.IsFile(name) {
		return nil, fmt.Errorf("%s is a file, which a page cannot read; put its text into the profile", name)
	}
	return e.keep([]any{"embedded", name, o}, func() (*profile.Profile, error) { return profile.Load(name, o) })
}

// parse compiles a text.
func (e *Engine) parse(file, text string, o profile.Options) (*profile.Profile, error) {
	return e.keep([]any{file, text, o}, func() (*profile.Profile, error) { return profile.Parse(file, []byte(text), o) })
}

// New makes an engine. Its keys and its time are fixed, so that two runs differ only in
// what the profiles say.
func New() *Engine { return &Engine{} }

// environment is that of all runs. It is made with the first one, since a page has more urgent
// things to do when it is opened.
func (e *Engine) environment() (*scenario.Environment, error) {
	var err error
	if e.env == nil {
		e.env, err = scenario.NewFixedEnvironment()
	}
	return e.env, err
}

// methods are what can be asked.
var methods = map[string]func(*Engine, *Request) (any, error){
	"begin":    typed((*Engine).begin),
	"text":     (*Engine).text,
	"check":    typed((*Engine).check),
	"lint":     (*Engine).lint,
	"run":      typed((*Engine).run),
	"faults":   (*Engine).faults,
	"fault":    (*Engine).fault,
	"attacks":  typed((*Engine).attacks),
	"attack":   typed((*Engine).attack),
	"cell":     typed((*Engine).cell),
	"diff":     typed((*Engine).diff),
	"download": (*Engine).download,
	"try":      (*Engine).try,
}

// typed is a method whose result has a type of its own.
func typed[T any](method func(*Engine, *Request) (T, error)) func(*Engine, *Request) (any, error) {
	return func(e *Engine, r *Request) (any, error) { return method(e, r) }
}

// Call answers a request. It does not panic: what would is told as Broken.
func (e *Engine) Call(method string, request []byte) (reply Reply) {
	defer func() {
		if p := recover(); p != nil {
			reply = Reply{Error: fmt.Sprintf("a mistake in attls, please report it: %v\n%s", p, place(debug.Stack())),
				Broken: true}
		}
	}()
	f, ok := methods[method]
	if !ok {
		return Reply{Error: fmt.Sprintf("nothing is called %q", method)}
	}
	var r Request
	if err := json.Unmarshal(request, &r); err != nil {
		return Reply{Error: err.Error()}
	}
	result, err := f(e, &r)
	if err != nil {
		return Reply{Error: err.Error()}
	}
	return Reply{Result: result}
}

// place keeps the first lines of a stack.
func place(stack []byte) string {
	lines := strings.SplitN(string(stack), "\n", 20)
	return strings.Join(lines[:len(lines)-1], "\n")
}

// load compiles the profile of a request.
func (e *Engine) load(r *Request) (*profile.Profile, error) {
	return e.parse(FileName, r.Text, profile.Options{Readings: r.Readings, CodePoints: r.CodePoints})
}

// scenario is the run that a request asks for.
func (r *Request) scenario(p *profile.Profile) scenario.Scenario {
	s := scenario.Scenario{Profile: p.ID, Compiled: p, Readings: r.Readings, CodePoints: r.CodePoints,
		Attester: r.Attester, Model: r.Model, Credential: r.Credential, Group: r.Group, HelloRetry: r.HelloRetry,
		RootOfTrust: r.Root, PostHandshake: r.PostHandshake, ExtendedKeyUpdate: r.KeyUpdate, Reattest: r.Reattest,
		Fail: r.Fail}
	if s.PostHandshake && s.Attester == "" {
		s.Attester = scenario.AttestClient // a server does not authenticate again
	}
	return s
}

// draw is the randomness of every run.
func draw() scenario.Option {
	var random [2]handshake.Random
	for _, role := range attls.Roles() {
		random[role] = handshake.SeededRandom{Seed: sha256.Sum256([]byte("attls workbench, " + role.String()))}
	}
	return scenario.Draw(random)
}

// text is a profile to begin with, which changes an embedded one.
func (e *Engine) text(r *Request) (any, error) {
	return profile.New("mine", r.Name)
}

// Check is what can be said of a text at once.
type Check struct {
	Problems  schema.Problems    `json:"problems"`
	Base      string             `json:"base,omitempty"`
	Overrides []profile.Override `json:"overrides"`
	Profile   *Summary           `json:"profile,omitempty"` // nil where it does not load
}

// Summary is what a profile offers to choose from.
type Summary struct {
	ID           string                 `json:"id"`
	Combinations []scenario.Combination `json:"combinations"`
	Readings     []profile.Reading      `json:"readings"`
	CodePoints   map[string]uint64      `json:"code_points"`
	Names        []string               `json:"names"` // extensions, messages, slots and definitions
	// NoPostHandshake and NoReattest say why that cannot be asked for; "": it can.
	NoPostHandshake string `json:"no_post_handshake,omitempty"`
	NoReattest      string `json:"no_reattest,omitempty"`
}

// check says what keeps a text from loading with the choices made; it is quicker than lint.
func (e *Engine) check(r *Request) (*Check, error) {
	l := &Check{Problems: schema.Problems{}, Overrides: []profile.Override{}}
	var overrides []profile.Override
	l.Base, overrides = profile.Overrides(FileName, []byte(r.Text))
	l.Overrides = append(l.Overrides, overrides...)
	p, err := e.load(r)
	if err != nil {
		var problems schema.Problems
		if !errors.As(err, &problems) {
			return nil, err
		}
		l.Problems = append(l.Problems, problems...)
		// The choices may be those of a text that has changed since.
		if p, err = e.load(&Request{Text: r.Text}); err != nil {
			return l, nil
		}
	}
	l.Problems = append(l.Problems, p.Warnings...)
	l.Profile = summary(p)
	return l, nil
}

// lint says everything that can be said of a text, under every reading.
func (e *Engine) lint(r *Request) (any, error) {
	return append(schema.Problems{}, profile.LintText(FileName, []byte(r.Text))...), nil
}

// notLater says why no client of a combination attests after the handshake.
func notLater(p *profile.Profile, c scenario.Combination) string {
	if c.Reason != "" {
		return c.Reason
	}
	s := scenario.Scenario{}.With(c)
	s.Attester = scenario.AttestClient
	return s.NotLater(p)
}

func summary(p *profile.Profile) *Summary {
	s := &Summary{ID: p.ID, Combinations: scenario.Combinations(p), Readings: p.Readings, CodePoints: p.Numbers()}
	if !slices.ContainsFunc(s.Combinations, func(c scenario.Combination) bool { return notLater(p, c) == "" }) {
		s.NoPostHandshake = notLater(p, s.Combinations[0])
	}
	if len(p.Later) == 0 {
		s.NoReattest = p.ID + " has no attestation in exported authenticators, which can be asked for again."
	}
	for _, x := range p.Extensions {
		s.Names = append(s.Names, x.Name)
	}
	for _, m := range p.Messages {
		s.Names = append(s.Names, m.Name)
	}
	for i := range p.Slots {
		s.Names = append(s.Names, p.Slots[i].Name)
	}
	if p.Binder.Program != nil {
		s.Names = append(s.Names, p.Binder.Program.Names()...)
	}
	return s
}

// try does on purpose what a profile may make the engine do by a mistake, for tests of
// the page: it panics, or does not end.
func (e *Engine) try(r *Request) (any, error) {
	switch r.Kind {
	case "panic":
		panic("on purpose")
	case "loop":
		for n := 0; ; n++ {
			if n < 0 {
				return n, nil
			}
		}
	case "recursion":
		return recurse(1), nil
	}
	return nil, fmt.Errorf("nothing is tried by %q", r.Kind)
}

// recurse does not end either, and takes room; its result is what keeps it from being a loop.
func recurse(n int) int { return recurse(n+1) + n } //nolint:staticcheck // it is meant
