package model

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"attls"
)

const fake = "ATTLS_MODEL_FAKE" // what this program does in the place of ProVerif

func TestMain(m *testing.M) {
	switch what := os.Getenv(fake); what {
	case "":
		os.Exit(m.Run())
	case "sleep":
		time.Sleep(time.Minute)
	case "flood":
		line := strings.Repeat("x", 1023) + "\n"
		for range 1 << 12 {
			fmt.Print(line)
		}
	default:
		fmt.Print(what)
		if strings.Contains(what, "Error") {
			os.Exit(2)
		}
	}
}

const (
	reachable = "RESULT not (event(Accepts(a)) && event(Runs(b))) is false.\n"
	attack    = "Derivation\nA more detailed output of the traces is available with\n  set traceDisplay = long.\n\n" +
		"new m: machine creating m_8 at {49} in copy a\n\nnew tik: skey creating tik_3 at {51} in copy a\n\n" +
		"event Presents(host(m_8),m_8,pk(tik_3),ev(1),(client_hello(c),server_hello(s)),e2b(x),h) at {80}\n\n" +
		"event Accepts(host(m_8),m_8,pk(tik_3),ev(1),(client_hello(c),server_hello(s)),e2b(x),h,a,o,s,d) at {39}\n\n" +
		"A trace has been found.\nRESULT event(Accepts(w)) ==> event(Presents(w)) is false.\n"
)

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name, output string
		verdict      Verdict
		reason       string // or a part of the error
	}{
		{"proved", reachable + "RESULT event(A) ==> event(B) is true.\n", Proved, ""},
		{"attack", reachable + attack, AttackFound, ""},
		{"injective", reachable + "RESULT inj-event(A) ==> inj-event(B) is false.\nRESULT (but event(A) ==> event(B) is true.)\n",
			AttackFound, ""},
		{"not decided", reachable + "RESULT event(A) ==> event(B) cannot be proved.\n", NotDecided, "cannot be proved"},
		{"dead", "RESULT not event(A) is true.\nRESULT event(A) ==> event(B) is true.\n", NotDecided, "proves nothing"},
		{"perhaps dead", "RESULT not event(A) cannot be proved.\nRESULT event(A) ==> event(B) is true.\n", NotDecided,
			"not decided whether honest ends"},
		{"one answer", reachable, "", "1 of 2 queries"},
		{"refused", "File \"x\", line 3:\nError: Syntax error.\n", "", "Error: Syntax error."},
		{"another answer", reachable + "RESULT event(A) is perhaps.\n", "", "not known"},
		{"nothing", "", "", "0 of 2 queries"},
	} {
		o, err := Read(c.output)
		switch {
		case c.verdict == "" && (err == nil || !strings.Contains(err.Error(), c.reason)):
			t.Errorf("%s: %v, %v", c.name, o, err)
		case c.verdict != "" && (err != nil || o.Verdict != c.verdict || !strings.Contains(o.Reason, c.reason)):
			t.Errorf("%s: %+v, %v", c.name, o, err)
		}
	}
	o, err := Read(reachable + attack)
	if err != nil {
		t.Fatal(err)
	}
	if a := o.Acceptance; a == nil || a.Expected != "m_8" || a.Key != "m_8" || a.Connection != SameHellos || a.Section() != "3.4" ||
		!strings.HasPrefix(o.Counterexample, "new m: machine") {
		t.Errorf("%+v of %q", a, o.Counterexample)
	}
}

// TestSections matches counterexamples to kinds of attacks.
func TestSections(t *testing.T) {
	const (
		platform = "new m: machine creating m_8 at {1} in copy a\nnew tik: skey creating tik_3 at {2} in copy a\n" +
			"new m: machine creating m_9 at {1} in copy a_1\nnew tik: skey creating tik_4 at {2} in copy a_1\n"
		presented = "event Presents(host(m_8),m_8,pk(tik_3),ev,(ch(1),sh(1)),x,h) at {3}\n"
	)
	accepted := func(name, m, key, hellos string) string {
		return "event Accepts(" + name + "," + m + ",pk(" + key + "),ev," + hellos + ",x,h,a,o,s,d) at {4}\n"
	}
	for _, c := range []struct{ trace, section, says string }{
		{platform + presented + accepted("host(m_8)", "m_8", "tik_3", "(ch(1),sh(1))"), "3.4", "both hellos are the same"},
		{platform + presented + accepted("host(m_8)", "m_8", "tik_3", "(ch(1),sh(2))"), "3.3", "ServerHello is another"},
		{platform + presented + accepted("host(m_8)", "m_8", "tik_3", "(ch(2),sh(1))"), "3.2", "another connection"},
		{platform + presented + accepted("host(m_9)", "m_8", "tik_3", "(ch(1),sh(1))"), "3.1", "expects platform m_9"},
		{platform + presented + accepted("host(a_1)", "m_8", "tik_3", "(ch(1),sh(1))"), "3.1", "expects another host accepts"},
		{platform + accepted("host(m_8)", "rented", "tik_3", "(ch(1),sh(1))"), "3.5", "Evidence of the attacker"},
		{platform + accepted("host(m_8)", "m_8", "tik_3", "(ch(1),sh(1))"), "3.6", "no honest end"},
		{platform + presented + accepted("mallory", "m_8", "a_1", "(ch(1),sh(1))"), "", "under a key of the attacker"},
		{platform + presented + strings.Repeat(accepted("host(m_8)", "m_8", "tik_3", "(ch(2),sh(1))"), 2), "3.7", ""},
	} {
		a := readAcceptance(c.trace)
		if a == nil || a.Section() != c.section || !strings.Contains(a.String(), c.says) {
			t.Errorf("%+v is %q: %s", a, c.section, c.trace)
		}
	}
	for _, bad := range []string{"", "event Accepts(", "event Accepts(a,b)", "event Accepts(((((", "event Accepts)("} {
		if a := readAcceptance(bad); a != nil {
			t.Errorf("%q is %+v", bad, a)
		}
	}
}

func TestRunIsBounded(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		does    string
		limits  Limits
		verdict Verdict
		reason  string
	}{
		{reachable + attack, Limits{}, AttackFound, ""},
		{"sleep", Limits{Time: 50 * time.Millisecond}, NotDecided, "no answer within 50ms"},
		{"flood", Limits{Output: 4096}, NotDecided, "more than 4096 octets"},
		{"Error: Syntax error.", Limits{}, "", "Syntax error"},
	} {
		t.Setenv(fake, c.does)
		o, err := Run(context.Background(), self, []byte("model"), c.limits)
		if c.verdict == "" {
			if err == nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("%.20s: %v", c.does, err)
			}
			continue
		}
		if err != nil || o.Verdict != c.verdict || !strings.Contains(o.Reason, c.reason) {
			t.Errorf("%.20s: %+v, %v", c.does, o, err)
		}
	}
	cancelled, stop := context.WithCancel(context.Background())
	stop()
	if _, err := Run(cancelled, self, nil, Limits{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := Run(context.Background(), self+".missing", nil, Limits{}); err == nil {
		t.Error("a program that does not exist was run")
	}
	t.Setenv(fake, "Proverif 2.05. Cryptographic protocol verifier\n")
	if v, err := Version(context.Background(), self); err != nil || v != "2.05" {
		t.Errorf("version %q, %v", v, err)
	}
	t.Setenv(fake, "another program\n")
	if v, err := Version(context.Background(), self); err == nil {
		t.Errorf("version %q", v)
	}
}

// TestProVerif runs the program: a proof, the same without the binder, and an attack with
// its kind.
func TestProVerif(t *testing.T) {
	program, err := Find()
	if err != nil {
		t.Skip(err)
	}
	for _, c := range []struct {
		profile string
		o       Options
		want    Verdict
		section string
	}{
		{"deployed-dstack", Options{Attester: attls.RoleServer}, Proved, ""},
		{"deployed-dstack", Options{Attester: attls.RoleServer, NoBinder: true}, AttackFound, ""},
		{"deployed-dstack", Options{Attester: attls.RoleServer, Goal: GoalMachine}, AttackFound, "3.1"},
	} {
		o, err := Run(context.Background(), program, []byte(generate(t, load(t, c.profile), c.o)), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if o.Verdict != c.want || o.Acceptance != nil && o.Acceptance.Section() != c.section {
			t.Errorf("%s, %s: %s %s, %v", c.profile, c.o.Goal, o.Verdict, o.Reason, o.Acceptance)
		}
	}
}
