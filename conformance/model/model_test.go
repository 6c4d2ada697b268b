package model

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"attls"
	"attls/extensions/profile"
	"attls/internal/seeds"
)

var update = flag.Bool("update", false, "write the models in testdata again")

func load(t *testing.T, name string) *profile.Profile {
	t.Helper()
	p, err := profile.Load(name, profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func generate(t *testing.T, p *profile.Profile, o Options) string {
	t.Helper()
	text, err := Generate(p, o)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestModelsAreWhatTheyWere compares whole models with files; -update writes them.
func TestModelsAreWhatTheyWere(t *testing.T) {
	for _, c := range []struct {
		profile string
		o       Options
	}{
		{"early-attestation-06", Options{Attester: attls.RoleServer, Goal: GoalG3, Capabilities: []Capability{TIK, HS}}},
		{"tls-attestation-07", Options{Attester: attls.RoleClient, Goal: GoalFreshness, Capabilities: []Capability{TIK, TEE2, Oracle}}},
	} {
		got := generate(t, load(t, c.profile), c.o)
		file := filepath.Join("testdata", c.profile+"."+string(c.o.Goal)+".pv")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s differs from %s; go test -update ./conformance/model writes it again", c.profile, file)
		}
	}
}

// slotOf is the first slot in which an end attests with Evidence.
func slotOf(p *profile.Profile, attester attls.Role) *profile.Slot {
	for i := range p.Slots {
		if p.Slots[i].Attester == attester && slices.Contains(p.Slots[i].Models, profile.ModelEvidence) {
			return &p.Slots[i]
		}
	}
	return nil
}

// TestEachProfileHasModels makes a model of each goal for each end that attests, under no
// capability and under all, with and without the binder, and looks at each as a text.
func TestEachProfileHasModels(t *testing.T) {
	made := 0
	for _, name := range profile.Names() {
		p := load(t, name)
		for _, attester := range []attls.Role{attls.RoleServer, attls.RoleClient} {
			for _, goal := range Goals {
				for _, capabilities := range [][]Capability{nil, Capabilities} {
					o := Options{Attester: attester, Goal: goal.Goal, Capabilities: capabilities}
					text, err := Generate(p, o)
					if reason := expectedRefusal(p, &o); reason != "" {
						var refusal *Refusal
						if !errors.As(err, &refusal) || !strings.Contains(err.Error(), reason) {
							t.Errorf("%s, %s, %s: %v, not a refusal with %q", name, attester, goal.Goal, err, reason)
						}
						continue
					}
					if err != nil {
						t.Errorf("%s, %s, %s: %v", name, attester, goal.Goal, err)
						continue
					}
					made++
					look(t, name, string(text))
					o.NoBinder = true
					mutant := generate(t, p, o)
					look(t, name, mutant)
					if strings.Contains(mutant, "letfun b_") || mutant == string(text) {
						t.Errorf("%s, %s, %s: the mutant has a binder", name, attester, goal.Goal)
					}
				}
			}
		}
	}
	if made < 500 {
		t.Errorf("%d models were made", made)
	}
}

func expectedRefusal(p *profile.Profile, o *Options) string {
	slot := slotOf(p, o.Attester)
	switch {
	case slot == nil:
		return "no slot has the attesting " + o.Attester.String()
	case o.Goal == GoalNegotiation && slot.Always:
		return "nothing is offered"
	}
	return ""
}

// TestKindsOfModels makes models of Results, of each credential and of a pinned platform.
func TestKindsOfModels(t *testing.T) {
	alone := profile.KindAlone
	for _, c := range []struct {
		profile string
		o       Options
		has     string // or a part of the refusal
		refused bool
	}{
		{"early-attestation-06", Options{Attester: attls.RoleServer, Model: profile.ModelResults}, "spki(server_key)", false},
		{"tls-attestation-07", Options{Attester: attls.RoleServer, Credential: &alone}, "attested_certificate(ev, none)", false},
		{"early-attestation-06", Options{Attester: attls.RoleServer, Credential: &alone}, "credential alone", true},
		{"early-attestation-00", Options{Attester: attls.RoleClient}, "attestation_message(ev)", false},
		{"early-attestation-06", Options{Attester: attls.RoleServer, Pinned: true}, "let host(=m) = w in (* policy *)", false},
		{"early-attestation-06", Options{Attester: attls.RoleServer, Pinned: true, Goal: GoalMachine}, "by its policy", true},
		{"deployed-dstack", Options{Attester: attls.RoleServer, Model: profile.ModelResults}, "with results", true},
		{"mbedtls-poc", Options{Attester: attls.RoleClient}, "(* the same in each connection *)", false},
		{"early-attestation-06", Options{Goal: "love"}, `"love" is not a goal`, true},
		{"deployed-flashbots-attested-tls", Options{Attester: attls.RoleServer}, "not_before_seconds(cert_dates)", false},
		{"early-attestation-06", Options{Capabilities: []Capability{Weak}}, "reduc forall x: scalar; exp(bad, x) = bad", false},
	} {
		text, err := Generate(load(t, c.profile), c.o)
		switch {
		case c.refused && (err == nil || !strings.Contains(err.Error(), c.has)):
			t.Errorf("%s, %+v: %v, not a refusal with %q", c.profile, c.o, err, c.has)
		case !c.refused && err != nil:
			t.Errorf("%s, %+v: %v", c.profile, c.o, err)
		case !c.refused:
			look(t, c.profile, string(text))
			if !strings.Contains(string(text), c.has) {
				t.Errorf("%s, %+v: %q is not in the model", c.profile, c.o, c.has)
			}
		}
	}
}

// TestCapabilitiesChangeTheModel sees that each capability adds something to it.
func TestCapabilitiesChangeTheModel(t *testing.T) {
	p := load(t, "early-attestation-06")
	plain := generate(t, p, Options{})
	for _, c := range Capabilities[1:] {
		text := generate(t, p, Options{Capabilities: []Capability{c}})
		_, with, _ := strings.Cut(text, "free net")
		_, without, _ := strings.Cut(plain, "free net")
		if with == without {
			t.Errorf("%s changes nothing but the heading", c)
		}
	}
	for _, g := range Goals[1:] {
		if generate(t, p, Options{Goal: g.Goal}) == plain {
			t.Errorf("%s has the model of %s", g.Goal, GoalBinding)
		}
	}
}

const changed = `profile: changed
base: early-attestation-06
draft: {revision: changed}
binder:
  define:
    base: '%'
`

// TestChangedBinderChangesTheModel translates every function and value of the language,
// and texts that would end a comment or are the name of something else in the model.
func TestChangedBinderChangesTheModel(t *testing.T) {
	p := load(t, "early-attestation-06")
	before := generate(t, p, Options{})
	for _, c := range []struct{ expr, has string }{
		{`expand_label(zero, "attestation base", hash(CH..<SH), Hash.length)`, "hash(t_CH)"},
		{`derive_secret(early_secret, "e exp master", CH..EE)`, "derive_secret(extract(zero, zero), l_e_exp_master, t_EE)"},
		{`derive_secret(handshake_secret, "derived", "")`, "derive_secret(hs, l_derived, empty)"},
		{`derive_secret(main_secret, "*) process 0 (*", CH..SH)`, `(* "* ) process 0 ( *" *)`},
		{`derive_secret(zero, "é λ", CH..SH)`, `(* "\u00e9 \u03bb" *)`},
		{`hash(concat("a b", "a_b", "a.b"))`, "hash((l_a_b, l_a_b_2, l_a_b_3))"},
		{`hash(concat(0x00ff0a, "net", "process"))`, "l_net, l_process"},
		{`hash(cbor_map(1: spki(role), "x": cbor_array(1, len(certificate(role)))))`,
			"cbor_map(((n_1, spki(client_key)), (l_x, cbor_array((n_1, len(client_cert))))))"},
		{`hash(per_role(digest("SHA-384", nothing), pad_left(ecdhe, 200)))`, "hash(digest(l_SHA_384, b_nothing()))"},
		{`hash(within(ecdhe, 32, 133))`, "hash(dhe)"},
		{`hash(concat(hex("a"), base64("b"), base64url("c"), pad_right("d", 2), point(role), cut(hash(CH..SH), 0, 8)))`,
			"point(client_key), cut(hash(t_SH), n_0, n_8)"},
		{`exporter(handshake_secret, "l", request_context(role), Hash.length)`, "exporter(hs, l_l, empty, hash_length)"},
	} {
		source := strings.Replace(changed, "%", strings.ReplaceAll(c.expr, "'", "''"), 1)
		if strings.Contains(c.expr, "nothing") {
			source = strings.Replace(source, "  define:\n", "  define:\n    nothing: '\"\"'\n", 1)
		}
		q, err := profile.Parse("changed.yaml", []byte(source), profile.Options{})
		if err != nil {
			t.Errorf("%s: %v", c.expr, err)
			continue
		}
		text := generate(t, q, Options{})
		look(t, c.expr, text)
		if text == before || !strings.Contains(text, c.has) {
			t.Errorf("%s: %q is not in the model:\n%s", c.expr, c.has, between(text, "The binder", "What ends do"))
		}
	}
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

func TestGoalsAndCapabilitiesByName(t *testing.T) {
	for word, want := range map[string]Goal{"binding": GoalBinding, "4.1": GoalBinding, "G3": GoalG3, "g3": GoalG3,
		"ID-crisis: secrecy": GoalSecrecy, "4.6": "", "": ""} {
		if g, ok := FindGoal(word); g != want || ok != (want != "") {
			t.Errorf("%q is %q", word, g)
		}
	}
	if set, err := ParseCapabilities("hs, tik,tik"); err != nil || !slices.Equal(set, []Capability{Net, TIK, HS}) {
		t.Errorf("%v, %v", set, err)
	}
	if _, err := ParseCapabilities("tik,magic"); err == nil || !strings.Contains(err.Error(), `"magic" is not a capability`) {
		t.Errorf("%v", err)
	}
	for _, r := range Goals {
		if f := strings.Count(r.query, "("); f != strings.Count(r.query, ")") || !strings.HasSuffix(r.query, ".") {
			t.Errorf("the query of %s is not complete", r.Goal)
		}
	}
}

// reserved are the words of ProVerif's language, and what models use of its library.
var reserved = strings.Fields(`channel const data else equation event fun forall free if in inj let letfun name new
	otherwise out private process query reduc then type bitstring bool true attacker nat`)

// look checks a model as a text: comments and parentheses are closed, and each name is
// declared before or where it is used, and no name twice at the top.
func look(t *testing.T, what, text string) {
	t.Helper()
	plain, ok := withoutComments(text)
	if !ok {
		t.Errorf("%s: a comment is not closed, or one is closed that was not opened:\n%s", what, text)
		return
	}
	tokens := tokenize(plain)
	depth := 0
	declared, top := map[string]bool{}, map[string]bool{}
	for _, w := range reserved {
		declared[w] = true
	}
	inLet := false
	for i, x := range tokens {
		switch x {
		case "(":
			depth++
		case ")":
			depth--
		}
		if depth < 0 {
			t.Errorf("%s: a parenthesis is closed that was not opened", what)
			return
		}
		if x == "let" {
			inLet = true
		} else if inLet && x == "=" && i > 0 && tokens[i-1] != "(" && tokens[i-1] != "," {
			inLet = false
		}
		if !unicode.IsLetter(rune(x[0])) || slices.Contains(reserved, x) {
			continue
		}
		previous, next := "", ""
		if i > 0 {
			previous = tokens[i-1]
		}
		if i+1 < len(tokens) {
			next = tokens[i+1]
		}
		switch {
		case slices.Contains([]string{"fun", "const", "free", "type", "letfun", "event", "reduc"}, previous) && depth == 0 &&
			!declared[x] || previous == "," && depth == 0 && !declared[x]:
			if top[x] {
				t.Errorf("%s: %s is declared twice", what, x)
			}
			top[x], declared[x] = true, true
		case next == ":", inLet && previous != "=", previous == "=" && declared[x]:
			declared[x] = true
		case next == "(" && i > 1 && tokens[i-1] == ";":
			declared[x] = true // a destructor
		case !declared[x]:
			t.Errorf("%s: %s is not declared", what, x)
			declared[x] = true
		}
	}
	if depth != 0 {
		t.Errorf("%s: a parenthesis is not closed", what)
	}
	if !strings.Contains(plain, "\nprocess\n") || strings.Count(plain, "\nquery ") != 2 {
		t.Errorf("%s: a model has one process and two queries", what)
	}
}

func withoutComments(s string) (string, bool) {
	var out strings.Builder
	depth := 0
	for i := 0; i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], "(*"):
			depth++
			i++
		case strings.HasPrefix(s[i:], "*)"):
			depth--
			i++
			if depth < 0 {
				return "", false
			}
		case depth == 0:
			out.WriteByte(s[i])
		}
	}
	return out.String(), depth == 0
}

func tokenize(s string) (list []string) {
	for i := 0; i < len(s); {
		j := i
		for j < len(s) && identifier(rune(s[j])) {
			j++
		}
		if j == i {
			j++
		}
		if x := s[i:j]; strings.TrimSpace(x) != "" {
			list = append(list, x)
		}
		i = j
	}
	return list
}

// TestLookFindsDefects sees the checker of these tests fail.
func TestLookFindsDefects(t *testing.T) {
	good := generate(t, load(t, "early-attestation-06"), Options{})
	for _, c := range []struct{ old, new string }{
		{"letfun b_base(", "letfun b_other("},
		{"out(net, sh);", "out(net, (sh);"},
		{"(* The system *)", "(* The system"},
		{"\nprocess\n", "\n"},
	} {
		bad := strings.Replace(good, c.old, c.new, 1)
		if bad == good {
			t.Fatalf("%q is not in the model", c.old)
		}
		probe := &testing.T{}
		look(probe, "", bad)
		if !probe.Failed() {
			t.Errorf("%q in the place of %q is not found", c.new, c.old)
		}
	}
}

func FuzzGenerate(f *testing.F) {
	seeds.Add(f, func() {
		f.Add([]byte(strings.Replace(changed, "%", `hash(CH..SH)`, 1)))
	})
	f.Fuzz(func(t *testing.T, source []byte) {
		seeds.Input(t, source)
		p, err := profile.Parse("fuzz.yaml", source, profile.Options{})
		if err != nil {
			return
		}
		for _, a := range []attls.Role{attls.RoleServer, attls.RoleClient} {
			text, err := Generate(p, Options{Attester: a})
			if err != nil {
				continue
			}
			if plain, ok := withoutComments(string(text)); !ok || !bytes.Contains([]byte(plain), []byte("process")) {
				t.Fatal("a comment is not closed")
			}
		}
	})
}

// TestPageNamesAll compares docs/proverif.md with the goals and capabilities.
func TestPageNamesAll(t *testing.T) {
	page, err := os.ReadFile("../../docs/proverif.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range Goals {
		if !strings.Contains(string(page), "`"+string(g.Goal)+"`") {
			t.Errorf("the page does not have goal %s", g.Goal)
		}
	}
	for _, c := range Capabilities[1:] {
		if !strings.Contains(string(page), "\n| `"+string(c)+"` |") {
			t.Errorf("the page does not have capability %s", c)
		}
	}
}
