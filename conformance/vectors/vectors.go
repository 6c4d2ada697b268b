// Package vectors writes test vectors of a profile, for an implementation in
// another language: sound connections with everything that a challenge is computed from,
// and connections in which one thing is wrong, with the alert that must follow.
package vectors

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"attls"
	"attls/conformance/cases"
	"attls/conformance/claims"
	"attls/conformance/pair"
	"attls/conformance/scenario"
	"attls/conformance/trace"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
	"attls/handshake"
)

// Format names the format of a Vector.
const Format = "attls-vector/1"

// Vector is one connection. Octets are in hexadecimal.
type Vector struct {
	Format     string `json:"format"`
	Profile    string `json:"profile"`
	Attester   string `json:"attester"`
	Model      string `json:"model"`
	Credential string `json:"credential"`
	HelloRetry bool   `json:"hello_retry,omitempty"`
	Suite      string `json:"suite,omitempty"`
	Group      string `json:"group,omitempty"`
	// Messages are the handshake messages in the order in which they came, with their
	// headers.
	Messages []Message `json:"messages"`
	// Secrets are those of the key schedule, as the client derived them.
	Secrets []Secret `json:"secrets,omitempty"`
	// Inputs are the other values that expressions of binders read, by the node of the
	// compiled profile, as "spki server".
	Inputs map[string]string `json:"inputs,omitempty"`
	// Binders are the challenges, each with all values on the way to it.
	Binders []scenario.Binder `json:"binders,omitempty"`
	// Wire are the octets that each end put on the network.
	Wire Wire `json:"wire"`
	// Reject says what is wrong and what must follow; nil: the connection is sound.
	Reject *Reject `json:"reject,omitempty"`
}

// Message is a handshake message.
type Message struct {
	From   string             `json:"from"`
	Name   string             `json:"name"`
	Octets string             `json:"octets"`
	Fields []trace.FieldValue `json:"fields,omitempty"` // that mean something to attestation
}

// Secret is a named secret.
type Secret struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Wire is what both ends sent.
type Wire struct {
	Client string `json:"client"`
	Server string `json:"server"`
}

// Reject is a fault and its consequence.
type Reject struct {
	Name    string `json:"name"`
	Does    string `json:"does"`
	By      string `json:"by"`           // the end that must reject
	At      string `json:"at,omitempty"` // the message at which it does
	Failure string `json:"failure"`
	// Alert is nil where the connection is closed without one; AnyAlert says that the
	// text names none.
	Alert    *claims.AlertClaim `json:"alert"`
	AnyAlert bool               `json:"any_alert,omitempty"`
}

// Write writes the vectors of a profile to a directory, a file for each connection: every
// combination of attester, model and credential that the profile allows, with and without
// a HelloRetryRequest, and every fault that must be rejected, except with RSA keys, whose
// signatures are random. The same profile gives the same octets. It returns how many files there are.
func Write(directory string, p *profile.Profile) (int, error) {
	env, err := scenario.NewFixedEnvironment()
	if err != nil {
		return 0, err
	}
	w := &writer{directory: directory, p: p, env: env}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return 0, err
	}
	for _, c := range scenario.Combinations(p) {
		if c.Reason != "" {
			continue
		}
		s := scenario.Scenario{Profile: p.ID, Compiled: p}.With(c)
		for _, s.HelloRetry = range []bool{false, true} {
			if err := w.connection(s, nil); err != nil {
				return w.files, err
			}
		}
	}
	faults := cases.All().Faults(p, scenario.Scenario{Profile: p.ID, Compiled: p})
	for i := range faults {
		f := &faults[i]
		if f.Rejects == "" || f.PerReading() {
			continue
		}
		s := f.Where()
		s.Compiled = p
		if err := w.connection(s, f); err != nil {
			return w.files, err
		}
	}
	return w.files, nil
}

type writer struct {
	directory string
	p         *profile.Profile
	env       *scenario.Environment
	files     int
}

// connection makes one connection and writes what there is to know of it.
func (w *writer) connection(s scenario.Scenario, f *cases.Case) error {
	v, err := w.run(s)
	if err != nil {
		return fmt.Errorf("%v: %w", s, err)
	}
	if f != nil { // some need a key whose signatures nobody can repeat
		again, err := w.run(s)
		if err != nil || again.Wire != v.Wire {
			return err
		}
	}
	name := strings.Join([]string{v.Attester, v.Model, v.Credential}, "-")
	if v.HelloRetry {
		name += "-hello_retry"
	}
	if f != nil {
		name = "reject-" + f.ID
		v.Reject = &Reject{f.ID, f.Does, f.Rejects, f.At, string(f.Failure), f.Alert, f.AnyAlert}
	}
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}
	w.files++
	return os.WriteFile(filepath.Join(w.directory, name+".json"), append(text, '\n'), 0o644)
}

func (w *writer) run(s scenario.Scenario) (*Vector, error) {
	var random [2]handshake.Random
	for _, role := range attls.Roles() {
		random[role] = handshake.SeededRandom{Seed: sha256.Sum256([]byte("attls vectors, " + role.String()))}
	}
	in, err := scenario.NewInProcess(s, random, scenario.In(w.env), scenario.Find(cases.Find))
	if err != nil {
		return nil, err
	}
	in.Traces[attls.RoleClient].KeepSecrets = true
	both, err := pair.New(in.Options)
	if err != nil {
		return nil, err
	}
	_ = both.Run() // how it ends, the vector says
	client := both.Engine(attls.RoleClient)
	state := client.State()
	v := &Vector{Format: Format, Profile: w.p.ID, Attester: string(s.Attester), Model: s.Model, Credential: s.Credential,
		HelloRetry: s.HelloRetry, Wire: Wire{hex.EncodeToString(both.Wire(attls.RoleClient)),
			hex.EncodeToString(both.Wire(attls.RoleServer))}}
	ended := claims.MakeClaims(w.p, state, claims.Outcome{Err: client.Err()})
	v.Suite, v.Group = ended.Suite, ended.Group
	for _, step := range trace.Ladder(in.Traces[attls.RoleClient], in.Traces[attls.RoleServer]) {
		if step.Raw == "" {
			continue
		}
		m := Message{From: step.From, Name: step.What, Octets: step.Raw}
		for i := range step.Extensions {
			m.Fields = append(m.Fields, step.Extensions[i].Fields...)
		}
		v.Messages = append(v.Messages, m)
	}
	for _, x := range in.Traces[attls.RoleClient].Secrets() {
		v.Secrets = append(v.Secrets, Secret{x.Name, x.Value})
	}
	inputs := client.Inputs()
	v.Inputs = valuesOf(inputs)
	for _, role := range s.Attester.Roles() {
		m, err := scenario.ParseModel(s.Model)
		if err != nil {
			return nil, err
		}
		k, err := scenario.ParseCredential(s.Credential)
		if err != nil {
			return nil, err
		}
		if name := w.p.Binder.Challenge[m][k]; name != "" {
			v.Binders = append(v.Binders, *scenario.MakeBinder(role, name, w.p.Binder.Program.Explain(name, role, inputs)))
		}
	}
	return v, nil
}

// valuesOf are the values of the handshake that are no secrets of the key schedule.
func valuesOf(in binder.Inputs) map[string]string {
	m := map[string]string{}
	add := func(name string, value []byte, ok bool) {
		if ok {
			m[name] = hex.EncodeToString(value)
		}
	}
	for _, role := range attls.Roles() {
		for name, get := range map[string]func(attls.Role) ([]byte, bool){"spki": in.SPKI, "certificate": in.Certificate,
			"nonce": in.Nonce, "request_context": in.RequestContext} {
			value, ok := get(role)
			add(name+" "+role.String(), value, ok)
		}
	}
	return m
}
