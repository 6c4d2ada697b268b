package workbench

import (
	"fmt"
	"testing"
)

func TestPhases(t *testing.T) {
	e := New()
	for name, c := range map[string]struct {
		request Request
		want    string
	}{
		"plain": {Request{Text: "base: early-attestation-06\n"}, "[Handshake Application data Close]"},
		"post-handshake": {Request{Text: "base: early-attestation-06\n", PostHandshake: true},
			"[Handshake Application data Post-handshake authentication Application data Close]"},
		"key update": {Request{Text: "base: early-attestation-06\n", KeyUpdate: true},
			"[Handshake Application data Extended Key Update Application data Close]"},
		"authenticators": {Request{Text: "base: seat-expat-04\n", Attester: "both", Reattest: true, KeyUpdate: true},
			"[Handshake Exported authenticators, in application data Extended Key Update Application data " +
				"Exported authenticators, in application data Close]"},
		"refused": {Request{Text: "base: early-attestation-06\n", Fail: "binder"}, "[Handshake]"},
	} {
		t.Run(name, func(t *testing.T) {
			r := ask[Run](t, e, "run", c.request)
			var got []string
			for _, p := range r.Phases {
				got = append(got, p.Name)
			}
			if !r.OK || fmt.Sprint(got) != c.want {
				t.Errorf("%s: %s", r.Outcome, got)
			}
		})
	}
}

// TestLaterChoices: what cannot happen after the handshake is said, and refused.
func TestLaterChoices(t *testing.T) {
	e := New()
	for base, c := range map[string]struct{ later, again bool }{
		"early-attestation-06": {true, false}, "tls-attestation-09": {false, false}, "seat-expat-04": {false, true},
	} {
		text := "profile: mine\nbase: " + base + "\n"
		p := ask[Check](t, e, "check", Request{Text: text}).Profile
		if (p.NoPostHandshake == "") != c.later || (p.NoReattest == "") != c.again {
			t.Errorf("%s: %+v", base, p)
		}
		in := fmt.Sprintf(`{"text": %q, "post_handshake": true}`, text)
		if reply := e.Call("run", []byte(in)); (reply.Error == "") != c.later {
			t.Errorf("%s: %q", base, reply.Error)
		}
	}
}
