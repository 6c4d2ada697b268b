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
