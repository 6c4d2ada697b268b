package workbench

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"attls/conformance/lab"
)

// unbound is a profile whose Evidence is bound to nothing of the connection but a key.
const unbound = "profile: mine\nbase: early-attestation-06\n" + `binder:
  define:
    base: null
    key_bound: 'hash(spki(role))'
  post_handshake: null
switches: {pha_base: null}
`

// TestAttacks: an attack that a change of the binder lets succeed is marked, and one that
// ends as under the base is not.
func TestAttacks(t *testing.T) {
	e := New()
	list := ask[[]Attack](t, e, "attacks", Request{})
	if len(list) < 20 || !slices.ContainsFunc(list, func(a Attack) bool { return a.Name == "relay-leaked-key" }) {
		t.Fatalf("%+v", list)
	}
	for text, want := range map[string]bool{changed: false, unbound: true} {
		changes := false
		for _, c := range ask[[]Cell](t, e, "attack", Request{Text: text, Name: "relay-leaked-key"}) {
			if !c.OK || c.Base == "" || c.Changed != (c.Base != c.Told) {
				t.Errorf("%+v", c)
			}
			changes = changes || c.Changed && c.Outcome == string(lab.Accepted)
			if c.Outcome == inapplicable {
				continue
			}
			m := ask[Mounted](t, e, "cell", Request{Text: text, Name: "relay-leaked-key", Cell: c.Key})
			if m.Told != c.Told || m.Detail == nil || len(m.Detail.Events) == 0 || m.Cell.Control == nil ||
				strings.Contains(c.Key, "/evidence/") && len(m.Inputs) == 0 {
				t.Errorf("%s: %+v", c.Key, m)
			}
		}
		if changes != want {
			t.Errorf("outcomes changed: %t, expected %t, under\n%s", changes, want, text)
		}
	}
}

// TestAttackRequests: what is asked for is one of the scripts and one of its cells; a name
// is never a file.
func TestAttackRequests(t *testing.T) {
	e := New()
	for _, r := range []Request{{Text: changed}, {Text: changed, Name: "./relay.yaml"}, {Text: changed, Name: "/etc/passwd"},
		{Text: "x", Name: "relay-leaked-key"}, {Text: changed, Name: "relay-leaked-key", Cell: "relay-leaked-key/x"}, {Name: "relay-leaked-key", Cell: "x"}} {
		in, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, method := range []string{"attack", "cell"} {
			if method == "attack" && r.Cell != "" && r.Text != "" {
				continue // an attack without cells
			}
			if reply := e.Call(method, in); reply.Error == "" || reply.Broken {
				t.Errorf("%s %+v: %+v", method, r, reply)
			}
		}
	}
	_ = lab.Accepted
}
