package suggest

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"challenge", "claims", "define"}
	for word, want := range map[string]string{
		"chalenge": "; did you mean challenge?",
		"claim":    "; did you mean claims?",
		"defines":  "; did you mean define?",
		"xyzzy":    "",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}
