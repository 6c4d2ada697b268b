package lab

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"attls/extensions/profile"
)

func loaded(t *testing.T, name string) *Script {
	t.Helper()
	s, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func profileOf(t *testing.T, name string) *profile.Profile {
	t.Helper()
	p, err := profile.Load(name, profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// cellsOf runs scripts on a profile.
func cellsOf(t *testing.T, o Options, name string) map[string]*Cell {
	t.Helper()
	o.Profiles = append(o.Profiles, profileOf(t, name))
	cells, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*Cell{}
	for _, c := range cells {
		all[c.Key()] = c
	}
	return all
}

// TestEachCapabilityIsNeeded takes each capability from each script and sees it refused,
// at a line of the script and with what to write.
func TestEachCapabilityIsNeeded(t *testing.T) {
	list := regexp.MustCompile(`(?m)^capabilities: \[(.*)\]$`)
	where := regexp.MustCompile(`^[a-z0-9-]+\.yaml:\d+:\d+: `)
	for _, name := range Names() {
		src, err := Source(name)
		if err != nil {
			t.Fatal(err)
		}
		have := loaded(t, name).Capabilities
		for _, taken := range have {
			rest := slices.DeleteFunc(slices.Clone(have), func(c Capability) bool { return c == taken })
			changed := list.ReplaceAll(src, []byte("capabilities: ["+joined(rest)+"]"))
			_, err := Parse(name+".yaml", changed)
			switch {
			case len(rest) == 0 && err != nil: // a script needs one at least
			case err == nil:
				t.Errorf("%s is accepted without %s", name, taken)
			case !strings.Contains(err.Error(), `needs the capability "`+string(taken)+`"`):
				t.Errorf("%s without %s: %v", name, taken, err)
			case !where.MatchString(err.Error()) || !strings.Contains(err.Error(), "write capabilities:"):
				t.Errorf("%s without %s does not say where, or what to write: %v", name, taken, err)
			}
		}
	}
}

// TestScriptsAreRefused gives the loader scripts that cannot work.
func TestScriptsAreRefused(t *testing.T) {
	src, err := Source("relay-leaked-key")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, old, new, want string }{
		{"an unknown verb", "- open: relying_party", "- opne: relying_party", `did you mean "open"?`},
		{"an unknown object", "take: evidence", "take: evidnce", `did you mean "evidence"?`},
		{"an unknown option", "    nonce: nonce", "    nonse: nonce", `did you mean "nonce"?`},
		{"an item that nothing makes", "evidence: evidence", "evidence: stolen", "neither"},
		{"an item that is used too early", "certificate: certificate", "certificate: later", "M has made, seen or was granted"},
		{"a connection that nothing opens", "from: attester\n  - take: evidence", "from: nobody\n  - take: evidence", `names the connection "nobody"`},
		{"a connection that is there twice", "- open: attester", "- open: relying_party", "there is a connection"},
		{"a control of a step that is not there", "present relying_party: {sign", "present relying-party: {sign", `did you mean "present relying_party"?`},
		{"a control without a kind", "    must: refuse\n", "", "write when: accepted and must: refuse"},
		{"no control for an accepted run", "when: accepted", "when: rejected", "no control for a run that is accepted"},
		{"a capability that is none", "[net, tik]", "[net, tiK]", `did you mean "tik"?`},
		{"a setting that is none", "connects_to: attacker", "connects_to: somebody", "write one of right, attacker"},
		{"a security goal that is none", `goals: ["4.1"`, `goals: ["4.11"`, "security goal"},
		{"no conclusion", "conclude: {relying_party: reject}", "conclude: {}", "what the relying party must conclude"},
		{"a key twice", "section: \"3.2\"", "title: again", "appears twice"},
		{"no map", "steps:", "steps: none\nsummary2:", "steps are a list"},
		{"a sign word that is none", "    sign: tik\nconclude", "    sign: theirs\nconclude", "write one of tik, own_key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed := bytes.Replace(src, []byte(c.old), []byte(c.new), 1)
			if bytes.Equal(changed, src) {
				t.Fatalf("the script does not have %q", c.old)
			}
			_, err := Parse("mine.yaml", changed)
			if err == nil {
				t.Fatal("it is accepted")
			}
			want := c.want
			if want == "neither" {
				want = `"stolen" is nothing that M has made, seen or was granted`
			}
			if !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "mine.yaml:") {
				t.Errorf("the error is %v; wanted %q", err, want)
			}
		})
	}
}

// TestUnknownItemIsAnError gives the runner a step that the loader would refuse.
func TestUnknownItemIsAnError(t *testing.T) {
	s := *loaded(t, "relay-leaked-key")
	s.Steps = slices.Clone(s.Steps)
	last := *s.Steps[len(s.Steps)-1]
	last.With = Settings{"certificate": {Text: "certificate"}, "evidence": {Text: "stolen"}, "sign": {Text: tikKey}}
	s.Steps[len(s.Steps)-1] = &last
	p := profileOf(t, "early-attestation-07")
	list, err := combinations(p)
	if err != nil {
		t.Fatal(err)
	}
	r, err := execute(context.Background(), &s, s.Steps, []map[string]Settings{s.Parties}, p, list[0],
		runOptions{granted: s.Capabilities})
	if err != nil {
		t.Fatal(err)
	}
	if r.Outcome != Unmounted || r.Step != len(s.Steps) || !strings.Contains(r.Detail, `neither made, seen nor derived "stolen"`) {
		t.Errorf("the run ended so: %s", r)
	}
}

// TestAttackThatStalls takes a message that never comes.
func TestAttackThatStalls(t *testing.T) {
	src, err := Source("relay-leaked-key")
	if err != nil {
		t.Fatal(err)
	}
	src = bytes.Replace(src, []byte("- take: evidence\n"), []byte("- take: certificate_request\n    from: attester\n  - take: evidence\n"), 1)
	src = bytes.Replace(src, []byte("    sign: tik\nconclude"), []byte("    sign: tik\n    messages: [certificate_request]\nconclude"), 1)
	s, err := Parse("mine.yaml", src)
	if err != nil {
		t.Fatal(err)
	}
	c := cellsOf(t, Options{Scripts: []*Script{s}}, "early-attestation-07")["relay-leaked-key/early-attestation-07/server/evidence/x509"]
	if c.Result == nil || c.Result.Outcome != Unmounted || c.Result.Step != 5 ||
		!strings.Contains(c.Result.Detail, "nothing of the kind has come on the connection attester") {
		t.Errorf("the run ended so: %+v", c.Result)
	}
}

// TestControlThatFails gives an attack controls that cannot end as they must.
func TestControlThatFails(t *testing.T) {
	src, err := Source("relay-leaked-key")
	if err != nil {
		t.Fatal(err)
	}
	src = bytes.Replace(src, []byte("change: {present relying_party: {sign: own_key}}"), []byte("change: {}"), 1)
	src = bytes.Replace(src, []byte("    without: [tik]\n"), nil, 1)
	src = bytes.Replace(src, []byte("change: {present relying_party: {evidence: fresh}}"), []byte("change: {}"), 1)
	s, err := Parse("mine.yaml", src)
	if err != nil {
		t.Fatal(err)
	}
	for key, c := range cellsOf(t, Options{Scripts: []*Script{s}}, "early-attestation-07") {
		if !strings.Contains(c.Error, "the control (") {
			t.Errorf("%s has a control that changes nothing, and the error %q", key, c.Error)
		}
	}
}

// TestSample runs every attack on two profiles: every control ends as expected, and the
// outcomes are those that are stored.
func TestSample(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	known, err := ReadStored("")
	if err != nil {
		t.Fatal(err)
	}
	ran := map[string]bool{}
	for _, name := range []string{"early-attestation-07", "deployed-dstack", "tls-attestation-00", "seat-expat-04"} {
		cells := cellsOf(t, Options{Scripts: all}, name)
		for key, c := range cells {
			if c.Error != "" {
				t.Errorf("%s: %s", key, c.Error)
			}
			if told := known.Outcome(key); told != c.Told() {
				t.Errorf("%s: stored is %q; now it is %q", key, told, c.Told())
			}
			ran[c.Attack] = ran[c.Attack] || c.Inapplicable == ""
		}
	}
	for _, s := range all {
		if !ran[s.Name] && !strings.HasSuffix(s.Name, "-readings") {
			t.Errorf("%s was not run", s.Name)
		}
	}
}

// TestStoredIsWhole compares the keys of the stored outcomes with the scripts and profiles
// that there are.
func TestStoredIsWhole(t *testing.T) {
	known, err := ReadStored("")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Names() {
		for _, p := range profile.Names() {
			if len(known.Outcomes[name][p]) == 0 && !(name == "reflection" || loaded(t, name).Attesters[0] == "client" || len(loaded(t, name).Attesters) == 1) {
				t.Errorf("nothing is stored of %s under %s", name, p)
			}
		}
	}
	for name := range known.Outcomes {
		if !slices.Contains(Names(), name) {
			t.Errorf("the stored attack %s is no script", name)
		}
	}
}

// TestRunsRepeat runs a cell twice.
func TestRunsRepeat(t *testing.T) {
	o := Options{Scripts: []*Script{loaded(t, "relay-verbatim")}}
	first, again := cellsOf(t, o, "early-attestation-07"), cellsOf(t, o, "early-attestation-07")
	for key, c := range first {
		if c.Inapplicable == "" && (c.Result.Recording == "" || c.Result.Recording != again[key].Result.Recording) {
			t.Errorf("%s was recorded as %s and as %s", key, c.Result.Recording, again[key].Result.Recording)
		}
	}
}

// TestDetails looks at what a page shows of a run, and at its capture.
func TestDetails(t *testing.T) {
	cells := cellsOf(t, Options{Scripts: []*Script{loaded(t, "relay-leaked-key")}, Detailed: true}, "early-attestation-07")
	d := cells["relay-leaked-key/early-attestation-07/server/evidence/x509"].Result.Detailed
	switch {
	case len(d.Binders) != 2 || d.Binders[0].Value == d.Binders[1].Value:
		t.Errorf("the binders are %+v", d.Binders)
	case d.Differs == nil || d.Differs.Expected == d.Differs.Attested || !strings.Contains(d.Differs.Expr, "CH..SH"):
		t.Errorf("they differ first in %+v", d.Differs)
	case !slices.ContainsFunc(d.Events, func(f Flow) bool { return f.From == "attacker" && len(f.Copied) > 0 }):
		t.Error("no message of the attacker's says what was copied")
	case slices.ContainsFunc(d.Done, func(s DoneStep) bool { return !s.Done || s.Text == "" }):
		t.Errorf("the steps are %+v", d.Done)
	}
	var b bytes.Buffer
	if err := d.WriteCapture(&b); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b.Bytes(), []byte("SERVER_HANDSHAKE_TRAFFIC_SECRET ")) || b.Len() < 4000 {
		t.Errorf("the capture has %d octets and no secrets", b.Len())
	}
}

// TestLaxParties takes each check away and sees the outcome of an attack flip, with a control that
// ends as it must on both sides.
func TestLaxParties(t *testing.T) {
	untested := map[Lax]bool{}
	for _, l := range LaxParties {
		untested[l.ID] = true
	}
	for _, c := range []struct {
		lax                   Lax
		attack, profile, cell string
	}{
		{LaxNever, "relay-leaked-key", "early-attestation-07", "server/evidence/x509"},
		{LaxEmpty, "empty-expectation", "early-attestation-07", "server/evidence/x509"},
		{LaxEnvelope, "relay-leaked-key", "early-attestation-07", "server/evidence/x509"},
		{LaxAbsent, "without-attestation", "early-attestation-07", "server/evidence/x509"},
		{LaxOtherLabel, "reflection", "tls-attestation-09", "both/evidence/x509"},
		{LaxMachine, "diversion-pinned", "early-attestation-07", "server/evidence/x509"},
		{LaxOneOf, "second-appraisal", "early-attestation-07", "server/evidence/x509"},
		{LaxKey, "oracle-possession-checked", "early-attestation-07", "client/evidence/x509"},
		{LaxStatus, "diversion-pinned", "early-attestation-07", "client/evidence/x509"},
		{LaxFirstOctets, "truncated-challenge", "tls-attestation-09", "client/evidence/x509"},
		{LaxEcho, "replay-leaked-key", "tls-attestation-00", "server/results/attestation"},
	} {
		delete(untested, c.lax)
		script := []*Script{loaded(t, c.attack)}
		key := c.attack + "/" + c.profile + "/" + c.cell
		strict := cellsOf(t, Options{Scripts: script}, c.profile)[key]
		lax := cellsOf(t, Options{Scripts: script, Lax: c.lax}, c.profile)[key+"/"+string(c.lax)]
		if strict == nil || lax == nil {
			t.Errorf("there is no cell %s", key)
			continue
		}
		if strict.Result.Outcome != Rejected || lax.Result == nil || lax.Result.Outcome != Accepted {
			t.Errorf("%s: %v without and %v with %s", key, strict.Result, lax.Result, c.lax)
		}
		if strict.Error+lax.Error != "" {
			t.Errorf("%s: %s %s", key, strict.Error, lax.Error)
		}
	}
	for l := range untested {
		t.Errorf("no attack's outcome flips with %s", l)
	}
}

// TestQuestionsAreCurrent compares docs/questions.md with new runs.
func TestQuestionsAreCurrent(t *testing.T) {
	var b bytes.Buffer
	if err := WriteQuestions(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile("../../docs/questions.md")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(have, b.Bytes()) {
		return
	}
	now, then := strings.Split(b.String(), "\n"), strings.Split(string(have), "\n")
	for i := range min(len(now), len(then)) {
		if now[i] != then[i] {
			t.Fatalf("docs/questions.md is old; run attls lab questions > docs/questions.md\nline %d is %s\nnow it is %s", i+1, then[i], now[i])
		}
	}
	t.Fatal("docs/questions.md is old; run attls lab questions > docs/questions.md")
}

// TestForeignOutcomes gives the stored outcomes a cell that differs: of this program, of a
// file of somebody's, and of a lax relying party.
func TestForeignOutcomes(t *testing.T) {
	known := &Stored{Outcomes: map[string]map[string]map[string]string{"a": {"p": {"server/evidence/x509": "accepted"}}}}
	cell := Cell{Attack: "a", Profile: "p", Combo: Combination{Attester: "server", Model: "evidence", Credential: "x509"}, Result: &Result{Outcome: Unmounted, Step: 2}}
	foreign, lax, other := cell, cell, cell
	foreign.foreign, lax.Lax, other.Profile = true, LaxNever, "q"
	if list := known.Changes([]*Cell{&cell, &foreign, &lax, &other}); len(list) != 1 || list[0] != &cell {
		t.Errorf("%d changes", len(list))
	}
	if err := known.Acknowledge([]*Cell{&cell}, " "); err == nil {
		t.Error("a change needs no reason")
	}
	if err := known.Acknowledge([]*Cell{&cell}, "another engine"); err != nil || len(known.Changes([]*Cell{&cell})) != 0 || known.Acknowledged[0].Count != 1 {
		t.Errorf("after the acknowledgement: %v, %+v", err, known)
	}
}
