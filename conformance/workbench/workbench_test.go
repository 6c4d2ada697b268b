package workbench

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"attls/attestation/roots"
	"attls/conformance/capture"
	"attls/extensions/profile"
)

const changed = `profile: mine
base: early-attestation-06
code_points: {extensions: {remoteAttestation: 0xFF07}}
binder:
  define:
    key_bound: 'expand_label(base, "attestation!", hash(spki(role)), Hash.length)'
`

// ask calls a method as the page does, by JSON.
func ask[T any](t *testing.T, e *Engine, method string, r Request) T {
	t.Helper()
	in, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	reply := e.Call(method, in)
	if reply.Error != "" {
		t.Fatalf("%s: %s", method, reply.Error)
	}
	out, err := json.Marshal(reply.Result)
	if err != nil {
		t.Fatal(err)
	}
	var v T
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatalf("%s: %v\n%s", method, err, out)
	}
	return v
}

func TestCheck(t *testing.T) {
	e := New()
	c := ask[Check](t, e, "check", Request{Text: changed})
	if c.Base != "early-attestation-06" || len(c.Overrides) != 2 || c.Profile == nil || c.Profile.ID != "mine" ||
		c.Problems.Err() != nil {
		t.Errorf("%+v", c)
	}
	if c = ask[Check](t, e, "check", Request{Text: changed + "bnider: {}\n"}); len(c.Problems) != 1 ||
		c.Problems[0].Pos.Line != 7 || c.Profile != nil {
		t.Errorf("%+v", c.Problems)
	}
	// A reading that the text no longer has does not take the choices away.
	c = ask[Check](t, e, "check", Request{Text: changed, Readings: map[string]string{"gone": "x"}})
	if c.Problems.Err() == nil || c.Profile == nil {
		t.Errorf("%+v", c)
	}
}

// TestRunBesideBase: the same random octets and keys on both sides, so that what differs is
// the change.
func TestRunBesideBase(t *testing.T) {
	e := New()
	r := ask[map[string]any](t, e, "run", Request{Text: changed})
	base, ok := r["base"].(map[string]any)
	if r["ok"] != true || !ok || base["ok"] != true || r["base_name"] != "early-attestation-06" {
		t.Fatalf("%v", r)
	}
	key := func(side map[string]any) any { return side["server"].(map[string]any)["own_key"] }
	if key(r) == nil || key(r) != key(base) {
		t.Errorf("other keys: %v and %v", key(r), key(base))
	}
	challenge := func(side map[string]any) any {
		return side["binders"].([]any)[0].(map[string]any)["value"]
	}
	if challenge(r) == challenge(base) {
		t.Error("the challenge is that of the base")
	}
	same := ask[map[string]any](t, e, "run", Request{Text: "profile: same\nbase: early-attestation-06\n"})
	if challenge(same) != challenge(same["base"].(map[string]any)) || challenge(same) != challenge(base) {
		t.Error("a profile that changes nothing has another challenge than its base")
	}
}

func TestFaults(t *testing.T) {
	e := New()
	list := ask[[]Fault](t, e, "faults", Request{Text: changed})
	if len(list) < 30 {
		t.Fatalf("%d faults", len(list))
	}
	for _, f := range list[:5] {
		if o := ask[FaultOutcome](t, e, "fault", Request{Text: changed, Fail: f.Name}); !o.OK {
			t.Errorf("%s: %s", f.Name, o.Outcome)
		}
	}
}

func TestDownloads(t *testing.T) {
	e := New()
	for _, kind := range Downloads {
		d := ask[Download](t, e, "download", Request{Text: changed, Kind: kind})
		if len(d.Data) == 0 || !strings.HasPrefix(d.Name, "mine.") {
			t.Errorf("%s: %q, %d octets", kind, d.Name, len(d.Data))
		}
		switch kind {
		case "whole", "compiled":
			if _, err := profile.Parse(d.Name, d.Data, profile.Options{}); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		case "pcapng":
			f, err := capture.Read(bytes.NewReader(d.Data))
			if err != nil || len(f.Connections) != 1 {
				t.Errorf("%v, %v", f, err)
			}
		}
	}
	if n := fileName("../\x00é/con."); n != ".._____con." && strings.ContainsAny(n, "/\x00") {
		t.Error(n)
	}
}

// TestBadRequests: nothing that a page, or a link, can send does more than be refused.
func TestBadRequests(t *testing.T) {
	e := New()
	big := base64.StdEncoding.EncodeToString(make([]byte, profile.MaxFile))
	for _, method := range []string{"check", "lint", "run", "faults", "fault", "diff", "download", "text", "nothing"} {
		for _, r := range []Request{{}, {Text: big}, {Text: "base: ../../etc/passwd"}, {Text: changed, Attester: "x", Kind: "x",
			Fail: "x", Other: "[", Name: "/etc/passwd"}, {Text: changed, Group: "x"}, {Text: "\xff\x00"}} {
			in, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			reply := e.Call(method, in)
			if reply.Broken {
				t.Errorf("%s %+v: %s", method, r, reply.Error)
			}
			if bad := r.Kind == "x" && method != "check" && method != "lint" && method != "faults"; bad && reply.Error == "" {
				t.Errorf("%s %.100v is not refused", method, r)
			}
		}
	}
	for _, text := range []string{"", "{", "[]", `{"text": 1}`} {
		if reply := e.Call("check", []byte(text)); reply.Error == "" {
			t.Errorf("%q is not refused", text)
		}
	}
	if reply := e.Call("try", []byte(`{"kind": "panic"}`)); !reply.Broken || !strings.Contains(reply.Error, "on purpose") {
		t.Errorf("a panic: %+v", reply)
	}
}

// TestRoots: each root of trust is offered, or it is said why not; those that are run.
func TestRoots(t *testing.T) {
	e := New()
	offered := map[string]bool{}
	for _, r := range ask[Begin](t, e, "begin", Request{}).About.Roots {
		offered[r.Name] = true
		if r.Absent != "" {
			continue
		}
		run := ask[map[string]any](t, e, "run", Request{Text: changed, Root: r.Name})
		if run["ok"] != true || run["base_error"] != nil {
			t.Errorf("%s: %v %v", r.Name, run["outcome"], run["base_error"])
		}
	}
	for _, f := range roots.All().All() {
		if f.Emulate != nil && !offered[f.Name] {
			t.Errorf("%s is not offered, and it is not said why", f.Name)
		}
	}
}
