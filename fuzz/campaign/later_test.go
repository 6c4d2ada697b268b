package campaign

import (
	"testing"

	"attls"
	"attls/conformance/scenario"
)

// outcome runs an input of a connection with a bug planted, or without.
func outcome(t *testing.T, x *Target, plant *Plant, in *Input) (*run, []Violation) {
	t.Helper()
	w, err := newWorld()
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSubject(w, x.Name, x.Profile, in.Connection, plant)
	if err != nil {
		t.Fatal(err)
	}
	in.Connection = s.conn
	r, err := s.run(in)
	if err != nil {
		t.Fatal(err)
	}
	return r, in.violations(r)
}

// lawOf is the first law that a list breaks; "": none.
func lawOf(list []Violation) string {
	if len(list) == 0 {
		return ""
	}
	return list[0].Law
}

// TestWhatWasNegotiated: the edits of early data, flags, updates, schemes and sessions do what they
// say, the engine refuses what it has to, and the law notices an end that does not.
func TestWhatWasNegotiated(t *testing.T) {
	all, plain := bugs(t), target(t, TLS)
	ticket, updates := Connection{Resumption: true}, Connection{ExtendedKeyUpdate: true}
	for name, c := range map[string]struct {
		bug      string
		conn     Connection
		attacker string
		edit     Edit
		done     bool // without the bug
		law      string
	}{
		"early data":       {"early-data-skipped", ticket, "client", Edit{Do: "early", Message: "ClientHello", At: 1000}, true, "tolerates"},
		"much early data":  {"early-data-bounded", ticket, "client", Edit{Do: "early", Message: "ClientHello", At: 1 << 16}, false, "early-data"},
		"name":             {"name-resumed", ticket, "client", Edit{Do: "pad", Number: 3, At: 1}, true, "resumed-name"},
		"type":             {"type-resumed", Connection{Resumption: true, RawPublicKeys: true}, "client", Edit{Do: "pad", Number: 3, At: 1}, true, "resumed-type"},
		"forgotten ticket": {"hello-schemes", Connection{Resumption: true, Forgotten: true}, "client", Edit{Do: "extension-remove", Message: "ClientHello", Extension: attls.ExtSignatureAlgorithms}, false, "alert"},
		"scheme":           {"signature-offered", Connection{Ed25519: true}, "server", Edit{Do: "scheme", At: 0x0403}, false, "signature-offered"},
		"flag":             {"flag-proposed", updates, "server", Edit{Do: "extension-body", Message: "EncryptedExtensions", Extension: attls.ExtTLSFlags, Octets: Octets{1, 1}}, false, "flags-proposed"},
		"update's group":   {"update-group", updates, "server", Edit{Do: "flip", Message: "ExtendedKeyUpdate", At: 1}, false, "key-update"},
		"update not due":   {"update-due", updates, "client", Edit{Do: "insert", Message: "ExtendedKeyUpdate", Octets: Octets{0xea, 0, 0, 1, 2}}, false, "key-update"},
		"KeyUpdate":        {"update-replaces", updates, "client", Edit{Do: "record", Number: 3, At: 22, Octets: Octets{24, 0, 0, 1, 0}}, false, "key-update"},
	} {
		t.Run(name, func(t *testing.T) {
			in := &Input{Format: Format, Connection: c.conn, Attacker: c.attacker, Edits: []Edit{c.edit}}
			honest := in.role().Peer()
			r, broken := outcome(t, plain, nil, in)
			if fine := r.done[honest] && r.errs[honest] == nil; len(broken) > 0 || fine != c.done {
				t.Errorf("without the bug: %v, done %v, %v", broken, r.done, r.errs[honest])
			}
			if _, broken := outcome(t, plain, all[c.bug], in); lawOf(broken) != c.law {
				t.Errorf("with %s: %v", c.bug, broken)
			}
		})
	}
}

// TestReissues: each way to issue a certificate again applies to some profile, and what it breaks
// is refused.
func TestReissues(t *testing.T) {
	all := bugs(t)
	applied := map[string]bool{}
	for _, name := range []string{"deployed-client-random", "deployed-interoperable-ra-tls", "deployed-tinfoil"} {
		x := target(t, name)
		c := x.Connections[0]
		attester := attls.RoleServer
		if scenario.Attesters(c.Attester) == scenario.AttestClient {
			attester = attls.RoleClient
		}
		for _, how := range reissueKinds {
			in := x.input(c, attester)
			in.Edits = []Edit{{Do: "reissue", Message: "Certificate", Answer: how.How}}
			r, broken := outcome(t, x, nil, in)
			if len(broken) > 0 {
				t.Errorf("%s, %s: %v", name, how.How, broken)
			}
			for _, d := range r.ledger {
				applied[d.reissued] = applied[d.reissued] || d.reissued != ""
			}
		}
	}
	for _, how := range reissueKinds {
		if !applied[how.How] && how.How != "a critical field" { // every profile that comes along takes either
			t.Errorf("%s applies to no profile", how.How)
		}
	}
	for bug, how := range map[string]string{"certificate-field-once": "a field twice",
		"certificate-field-bound": "another value", "certificate-names-numbered": "names in another order"} {
		x := target(t, all[bug].Profile)
		in := x.input(x.Connections[0], all[bug].Role.Peer())
		in.Edits = []Edit{{Do: "reissue", Message: "Certificate", Answer: how}}
		if _, broken := outcome(t, x, all[bug], in); len(broken) == 0 {
			t.Errorf("%s is not noticed", bug)
		}
	}
}

// TestFrames: what changes in a frame is refused, and an end that does not refuse it is noticed.
func TestFrames(t *testing.T) {
	all := bugs(t)
	for bug, at := range map[string]int{"frame-members": memberTwice, "frame-constant": memberOther,
		"frame-defined": memberOther} {
		x := target(t, all[bug].Profile)
		found, changed := false, 0
		w, err := newWorld()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range x.Connections {
			attacker := all[bug].Role.Peer()
			sound, err := newSubject(w, x.Name, x.Profile, c, nil)
			if err != nil {
				t.Fatal(err)
			}
			planted, err := newSubject(w, x.Name, x.Profile, c, all[bug])
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range x.Profile.Frames {
				for _, field := range x.Profile.Objects[f.Object].Fields {
					in := x.input(c, attacker)
					in.Edits = []Edit{{Do: "frame", Message: f.Name, Path: field.Name, At: at}}
					in.Connection = sound.conn
					r, err := sound.run(in)
					if err != nil {
						t.Fatal(err)
					}
					if broken := in.violations(r); len(broken) > 0 {
						t.Errorf("%s, %v, %v: %v", x.Name, c, &in.Edits[0], broken)
					}
					changed += len(r.frames.changed)
					if r, err = planted.run(in); err != nil {
						t.Fatal(err)
					}
					found = found || lawOf(in.violations(r)) == "frame-members"
				}
			}
		}
		if !found || changed == 0 {
			t.Errorf("%s is not noticed in %d changed frames", bug, changed)
		}
	}
}
