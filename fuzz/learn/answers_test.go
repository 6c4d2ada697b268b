package learn

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

// ending cancels its run in the middle of a word, as an interrupt does; what it answers then is wrong.
type ending struct {
	toy
	at     int
	cancel context.CancelFunc
}

func (s *ending) Step(x string) (string, error) {
	y, err := s.toy.Step(x)
	if s.queries == s.at {
		s.cancel()
		return "killed", nil
	}
	return y, err
}

// TestAnswersGoOn: an interrupted run goes on with what was answered, and asks no more words than one
// that is not interrupted; what programs say that were ended with the run is not kept.
func TestAnswersGoOn(t *testing.T) {
	_, whole, err := Learn(t.Context(), &toy{m: deep(3)}, Options{Seed: 1, Words: 50})
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{1, 5, 20, whole.Queries} {
		ctx, cancel := context.WithCancel(t.Context())
		answers := NewAnswers(deep(3).Inputs)
		_, first, err := Learn(ctx, &ending{toy{m: deep(3)}, at, cancel}, Options{Seed: 1, Words: 50, Answers: answers})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("%d: %v", at, err)
		}
		var b bytes.Buffer
		if err := answers.Write(&b, "toy"); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "killed") {
			t.Errorf("%d: an answer of the interrupt is kept: %s", at, &b)
		}
		back, err := ReadAnswers(&b, "toy", deep(3).Inputs)
		if err != nil {
			t.Fatal(err)
		}
		m, second, err := Learn(t.Context(), &toy{m: deep(3)}, Options{Seed: 1, Words: 50, Answers: back})
		if err != nil || first.Queries != at-1 || first.Queries+second.Queries != whole.Queries {
			t.Errorf("%d: %d and then %d words instead of %d, %v", at, first.Queries, second.Queries, whole.Queries, err)
			continue
		}
		if list, err := Diff(deep(3), m); err != nil || len(list) > 0 {
			t.Errorf("%d: %v, %v", at, list, err)
		}
	}
}

// TestAnswersFiles: files that are not those of this peer, or contradict themselves, are refused with the reason.
func TestAnswersFiles(t *testing.T) {
	const head = `{"format":"attls-answers 1","of":"toy","inputs":["a","b"],"words":`
	for text, want := range map[string]string{
		``: "unexpected end", `[]`: "cannot unmarshal", head + `[]} x`: "invalid character",
		`{"format":"attls-answers 0"}`:                                      "attls-answers 0",
		`{"format":"attls-answers 1","of":"\u001b[2J","inputs":["a","b"]}`:  "are those of",
		`{"format":"attls-answers 1","of":"toy","inputs":["a"]}`:            "other inputs",
		head + `[{"word":[0],"out":[]}]}`:                                   "0 answers",
		head + `[{"word":[2],"out":["x"]}]}`:                                "has input 2",
		head + `[{"word":[-1],"out":["x"]}]}`:                               "has input -1",
		head + `[{"word":[0],"out":["x"],"over":[2]}]}`:                     "is over after 2",
		head + `[{"word":[0,1],"out":["x","y"],"over":[1]}]}`:               "two ways",
		head + `[{"word":[0],"out":["x"]},{"word":[0,1],"out":["y","z"]}]}`: "two ways",
	} {
		_, err := ReadAnswers(strings.NewReader(text), "toy", []string{"a", "b"})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%s: %v; want %q", text, err, want)
		}
	}
	// A zero value knows nothing.
	a := &Answers{Inputs: []string{"a", "b"}}
	if _, ok := a.Known([]string{"a"}); ok {
		t.Error("a zero value knows an answer")
	}
	if err := a.Write(&bytes.Buffer{}, ""); err != nil {
		t.Error(err)
	}
	if _, _, err := Learn(t.Context(), &toy{m: deep(2)}, Options{Words: 5, Answers: a}); err != nil {
		t.Error(err)
	}
	if _, _, err := Learn(t.Context(), &toy{m: deep(2)}, Options{Answers: NewAnswers([]string{"c"})}); err == nil {
		t.Error("answers to other inputs are taken")
	}
}

// TestOthersDoNotMatter: the words that are asked do not depend on how many answer at the same time.
func TestOthersDoNotMatter(t *testing.T) {
	var files []string
	for _, n := range []int{0, 3} {
		o := Options{Seed: 3, Words: 100, Answers: NewAnswers(deep(4).Inputs)}
		for range n {
			o.Others = append(o.Others, &toy{m: deep(4)})
		}
		if _, _, err := Learn(t.Context(), &toy{m: deep(4)}, o); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := o.Answers.Write(&b, "toy"); err != nil {
			t.Fatal(err)
		}
		files = append(files, b.String())
	}
	if !slices.Equal(files[:1], files[1:]) {
		t.Error("other words were asked")
	}
}
