package adapter

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"attls"
)

// talking is a stack whose client is a script of sh, and how its conversation ended.
func talking(t *testing.T, script, talk string) (printed string, sent, received int64, err error) {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	a, err := Parse("f", []byte("adapter: x\nprograms: {sh: "+sh+"}\nconform:\n  client:\n    command: [\"${sh}\", -c, \""+script+"\"]\n"+talk))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e := a.Conform.Ends[attls.RoleClient]
	r, err := a.Find(ctx, nil).Start(ctx, &e.End, Values{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Stop()
	sent, received, err = r.Talk(ctx, e, attls.RoleClient, true)
	return string(r.Printed()), sent, received, err
}

// TestTalk: what a conversation shows of the data that went.
func TestTalk(t *testing.T) {
	n := int64(len(Asked))
	for name, w := range map[string]struct {
		script, talk, says string
		sent, received     int64
	}{
		"the usual one":             {"cat", "", "", n, n},
		"nothing comes back":        {"read x; echo no", "", "the program has ended", 0, 0},
		"its end is a status":       {"cat; exit 3", "", "exit status 3", n, n},
		"an echo":                   {"echo 'got: Is this channel bound to what was attested?'; cat", "    talk: [{await: 'got: ${question}', echoes: true}, stop]", "", n, n},
		"what fails":                {"echo 'error: the reason'; cat", "    talk: [{await: never, fails: '(?m)^error: (.*)$'}, {type: a}, stop]", "the reason", 0, 0},
		"a step that is not wanted": {"read x; test $x = hello", "    talk: [{type: \"no\\n\", when: key_update}, {type: \"hello\\n\"}, end]", "", 0, 0},
		"another text":              {"read x; test $x = hello", "    talk: [{type: \"hello\\n\"}, end]", "", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			printed, sent, received, err := talking(t, w.script, w.talk)
			if (err == nil) != (w.says == "") || err != nil && !strings.Contains(err.Error(), w.says) || sent != w.sent || received != w.received {
				t.Errorf("%d sent, %d received, %v: %s", sent, received, err, printed)
			}
		})
	}
}

// TestTwoConnections: a client that makes two connections in one process has no input closed
// between them, and what it prints is told apart.
func TestTwoConnections(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	a, err := Parse("f", []byte("adapter: x\nprograms: {sh: "+sh+"}\nconform:\n  client:\n    command: [\"${sh}\", -c, \"echo one; echo again; echo err >&2; echo over >&2; read x; echo two; echo $x\"]\n"+
		"    resumes_itself: true\n    closed: [again, over]\n    talk: [{type: \"${question}\", when: asks}, {await: \"${question}\", when: \"!first\"}, close_input, end]\n"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e := a.Conform.Ends[attls.RoleClient]
	if !e.ResumesItself || len(e.Closed) != 2 {
		t.Fatalf("%+v", e)
	}
	r, err := a.Find(ctx, nil).Start(ctx, &e.End, Values{"first": "yes"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Stop()
	sent, received, err := r.Talk(ctx, e, attls.RoleClient, false)
	texts, to := r.Until([2]int{}, e.Closed)
	if err != nil || sent != 0 || received != 0 || texts != [2]string{"one\nagain", "err\nover"} {
		t.Fatalf("%d, %d, %v, %q", sent, received, err, texts)
	}
	r.Set("first", "")
	r.Set("asks", "yes")
	sent, received, err = r.Talk(ctx, e, attls.RoleClient, true)
	texts, _ = r.Until(to, nil)
	if n := int64(len(Asked)); err != nil || sent != n || received != n || !strings.HasPrefix(texts[0], "\ntwo\n") || texts[1] != "\n" {
		t.Errorf("%d, %d, %v, %q", sent, received, err, texts)
	}
}

// TestEarlyTalk: what a client has sent as 0-RTT data counts once the answer is there.
func TestEarlyTalk(t *testing.T) {
	e := &ConformEnd{Talk: []Step{{Act: ActType, Text: Asked, Sends: true, When: &Condition{Name: "asks"}}}}
	r := &Running{values: Values{EarlyAccepted: "yes"}}
	if sent, _, _ := r.Talk(t.Context(), e, attls.RoleClient, true); sent != 0 {
		t.Errorf("%d octets without an answer", sent)
	}
	e.Talk = append(e.Talk, Step{Act: ActCloseInput + 100, Receives: true})
	if sent, received, err := r.Talk(t.Context(), e, attls.RoleClient, true); sent != int64(len(Asked)) || received != sent || err != nil {
		t.Errorf("%d sent, %d received, %v", sent, received, err)
	}
}

// TestUnanswered: in which releases a server does not answer 0-RTT data.
func TestUnanswered(t *testing.T) {
	e := &ConformEnd{EarlyUnanswered: &Condition{Name: "version", Since: "3.8", Not: true}}
	if !e.Unanswered("3.7.9") || e.Unanswered("3.8.1") || (&ConformEnd{}).Unanswered("3.7.9") {
		t.Error("a release is told wrongly")
	}
}

// TestCounts: a conversation in which nothing shows that data went.
func TestCounts(t *testing.T) {
	for name, w := range map[string]struct {
		talk           []Step
		sent, received bool
	}{
		"usual":    {nil, true, true},
		"nothing":  {[]Step{{Act: ActEnd}}, false, false},
		"answered": {[]Step{{Act: ActAwait, Receives: true}, {Act: ActEnd}}, false, true},
	} {
		if sent, received := (&ConformEnd{Talk: w.talk}).Counts(); sent != w.sent || received != w.received {
			t.Errorf("%s: %v, %v", name, sent, received)
		}
	}
}

// TestTyped: of a program that has closed its input, everything that it says until its end
// is there when nothing can be typed any more.
func TestTyped(t *testing.T) {
	printed, _, _, err := talking(t, "exec 0<&-; echo closed; sleep 0.1; echo the reason; exit 1", "    talk: [{await: closed}, {type: \"${question}\"}]")
	if err == nil || !strings.Contains(printed, "the reason") {
		t.Errorf("%v after %q", err, printed)
	}
}
