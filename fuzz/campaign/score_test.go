package campaign

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// tries are trials that found something after so many connections, -1: that found nothing.
func tries(connections ...int64) (list []Try) {
	for i, n := range connections {
		t := Try{Seed: 1 + uint64(i)*1000, Found: n >= 0, Connections: n, Seconds: float64(n) / 1000}
		if n < 0 {
			t.Connections, t.Seconds = 5000, 5
		}
		list = append(list, t)
	}
	return list
}

// TestInterval: the interval of a median is that of order statistics, and fewer than six trials
// have none.
func TestInterval(t *testing.T) {
	for _, c := range []struct {
		tries []Try
		want  Spread
	}{
		{tries(9, 1, 2, 8, 3, 7, 4, 6, 5, -1), Spread{5.5, 2, 9}},
		{tries(9, 1, 2, 8, 3, 7, -1, -1, -1, -1), Spread{8.5, 2, -1}},
		{tries(1, 2, 3, -1, -1, -1), Spread{-1, 1, -1}},
		{tries(3, 1, 2, 4, 5), Spread{3, 0, -1}},
		{tries(3, -1, -1), Spread{-1, 0, -1}},
		{tries(7), Spread{7, 0, -1}},
		{nil, Spread{-1, -1, -1}},
	} {
		b := BugScore{Tries: c.tries}
		if b.settle(); b.Connections != c.want {
			t.Errorf("%v: %v, not %v", c.tries, b.Connections, c.want)
		}
	}
}

// TestMannWhitney: P is that of counting by hand, ties included.
func TestMannWhitney(t *testing.T) {
	inf := math.Inf(1)
	rising := func(from float64) (list []float64) {
		for i := range 10 {
			list = append(list, from+float64(i))
		}
		return list
	}
	for _, c := range []struct {
		a, b      []float64
		faster, p float64
	}{
		{rising(0), rising(10), 1, 2.0 / 184756}, // of C(20, 10) divisions, this one and its mirror image
		{rising(10), rising(0), 0, 2.0 / 184756},
		{[]float64{1, 2, 4}, []float64{3, 5, 6, 7}, 11.0 / 12, 4.0 / 35},
		{[]float64{1, inf}, []float64{inf, inf}, 0.75, 1},
		{[]float64{5, 5}, []float64{5, 5}, 0.5, 1},
		{[]float64{1, 1, 1, 1}, []float64{2, 2, 2, 2}, 1, 2.0 / 70},
	} {
		if faster, p := mannWhitney(c.a, c.b); math.Abs(faster-c.faster) > 1e-9 || math.Abs(p-c.p) > 1e-9 {
			t.Errorf("%v, %v: A12 %v, P %v, not %v, %v", c.a, c.b, faster, p, c.faster, c.p)
		}
	}
	list := []Compared{{P: 0.04}, {P: 0.01}, {P: 0.03}}
	if holm(list); math.Abs(list[0].Holm-0.06) > 1e-9 || math.Abs(list[1].Holm-0.03) > 1e-9 || list[2].Holm != list[0].Holm {
		t.Errorf("%+v", list)
	}
}

// scoreOf is one with bugs of these trials.
func scoreOf(kind string, bugs map[string][]Try) *Score {
	s := &Score{Kind: kind, Connections: 5000, Seed: 1, Trials: 4, Drawn: 20, Sound: 1}
	for _, name := range []string{"a", "b", "c"} {
		if bugs[name] != nil {
			b := BugScore{Name: name, Role: "server", Tries: bugs[name]}
			b.settle()
			s.Bugs = append(s.Bugs, b)
		}
	}
	return s
}

// TestCompare: what one campaign alone detects is told, and campaigns whose trials were bounded
// otherwise, or that tried other bugs, are not compared.
func TestCompare(t *testing.T) {
	one := scoreOf("terms", map[string][]Try{"a": tries(1, 2, 3, 4), "b": tries(7), "c": tries(-1)})
	two := scoreOf("octets", map[string][]Try{"a": tries(50, 60, -1, -1), "b": tries(-1), "c": tries(-1)})
	x, err := Compare(one, two)
	if err != nil || x.Unit != "connections" || x.Both != 1 || x.None != 1 || fmt.Sprint(x.OnlyA, x.OnlyB) != "[b] []" ||
		len(x.Bugs) != 1 || x.Bugs[0].Faster != 1 || math.Abs(x.Bugs[0].P-2.0/70) > 1e-9 {
		t.Errorf("%+v, %v", x, err)
	}
	longer := scoreOf("octets", map[string][]Try{"a": tries(1)})
	longer.Connections *= 2
	for name, other := range map[string]*Score{"another bound": longer, "no bug in common": scoreOf("octets", nil)} {
		if x, err := Compare(one, other); err == nil {
			t.Errorf("%s: %+v", name, x)
		}
	}
	var svg bytes.Buffer
	if err := WriteSVG(&svg, one, two); err != nil || !strings.Contains(svg.String(), "terms: 2 of 3") ||
		!strings.Contains(svg.String(), "octets: 1 of 3") || strings.Contains(svg.String(), "NaN") {
		t.Errorf("%v: %s", err, svg.String())
	}
	for _, few := range [][]*Score{{}, {{Kind: "terms", Seconds: 0.001}}, {{Kind: "terms", Connections: 1}}} {
		svg.Reset()
		if err := WriteSVG(&svg, few...); err != nil || strings.Contains(svg.String(), "NaN") || strings.Contains(svg.String(), "Inf") {
			t.Errorf("%v: %s", err, svg.String())
		}
	}
}

// TestScoreFile: a file is read as it was written, and what cannot be one is refused.
func TestScoreFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "score.json")
	f := &ScoreFile{Version: "devel"}
	f.Put(scoreOf("terms", map[string][]Try{"a": tries(1, 2, 3, -1)}))
	f.Put(scoreOf("terms", map[string][]Try{"a": tries(1, 2, 3, 4)}))
	if err := f.WriteFile(name); err != nil {
		t.Fatal(err)
	}
	back, err := ReadScoreFile(name)
	if err != nil || len(back.Scores) != 1 || back.Scores[0].Bugs[0].Found != 4 || back.Scores[0].Bugs[0].Connections.Median != 2.5 {
		t.Errorf("%+v, %v", back, err)
	}
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var version *VersionError
	for what, c := range map[string]struct{ from, to string }{
		"another version":      {ScoreFormat, "attls-fuzz-score 9"},
		"cut":                  {"\n}\n", ""},
		"a negative number":    {`"connections": 3`, `"connections": -3`},
		"another kind":         {`"kind": "terms"`, `"kind": "other"`},
		"no name":              {`"name": "a"`, `"name": ""`},
		"trials of the hidden": {`"role"`, `"hidden": "x", "role"`},
		"null":                 {`"scores": [`, `"scores": [null,`},
		"something after it":   {"\n}\n", "\n}\n{}"},
		"a negative bound": {`"connections": 5000,
   "seed"`, `"connections": -1,
   "seed"`},
		"a seed twice": {`"seed": 1001`, `"seed": 1`},
		"too long":     {"\n}\n", strings.Repeat(" ", maxScoreFile) + "}"},
	} {
		if !bytes.Contains(good, []byte(c.from)) {
			t.Fatalf("%s: %q is not in %s", what, c.from, good)
		}
		if err := os.WriteFile(name, bytes.Replace(good, []byte(c.from), []byte(c.to), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		if x, err := ReadScoreFile(name); err == nil || errors.As(err, &version) != (what == "another version") {
			t.Errorf("%s: %+v, %v", what, x, err)
		}
	}
}

// TestScoreGoesOn: an interrupt keeps the trials that were made; the others are made later, and
// come to the same as without the interrupt. A trial that cannot be made is told.
func TestScoreGoesOn(t *testing.T) {
	o := ScoreOptions{Kind: "terms", Trials: 2, Executions: 300, Seed: 3, Bugs: []string{"signature-verified", "finished-verified"}}
	whole, err := Measure(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cut := o
	cut.Each = func(BugScore, *Score) { cancel() }
	part, err := Measure(ctx, cut)
	if err != nil || part.Missing != 3 || part.Sound == 0 {
		t.Fatalf("%+v, %v", part, err)
	}
	made := 0
	rest := o
	rest.Have, rest.Each = part, func(BugScore, *Score) { made++ }
	if err := part.Continues(&rest); err != nil {
		t.Error(err)
	}
	again, err := Measure(t.Context(), rest)
	if err != nil || made != 3 || again.Missing != 0 {
		t.Fatalf("%d trials; %+v, %v", made, again, err)
	}
	if a, b := timeless(t, whole), timeless(t, again); a != b {
		t.Errorf("%s\nis not\n%s", b, a)
	}
	for _, change := range []func(*ScoreOptions){
		func(o *ScoreOptions) { o.Seed++ }, func(o *ScoreOptions) { o.Executions++ }, func(o *ScoreOptions) { o.Drawn = 3 },
	} {
		other := o
		if change(&other); part.Continues(&other) == nil {
			t.Errorf("%+v goes on with %+v", other, part)
		}
	}
	s := scoreOf("terms", map[string][]Try{"a": {}})
	s.Bugs[0].Tries = nil
	s.try(t.Context(), &ScoreOptions{}, func(string, uint64) (*Report, error) { return nil, errors.New("no program") })
	if s.Bugs[0].Failed != "no program" || s.Missing != 4 {
		t.Errorf("%+v", s)
	}
}

// signed are octets in a text; they depend on signatures, which are not the same twice.
var signed = regexp.MustCompile(`[0-9a-f]{16}…`)

// timeless is a score without what depends on the clock and on signatures.
func timeless(t *testing.T, s *Score) string {
	for i := range s.Bugs {
		for k := range s.Bugs[i].Tries {
			s.Bugs[i].Tries[k].Seconds = 0
		}
		s.Bugs[i].Says = signed.ReplaceAllString(s.Bugs[i].Says, "")
		s.Bugs[i].settle()
	}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
