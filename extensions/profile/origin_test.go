package profile

import "testing"

// TestOrigin: the line of a field, of an extension and of an added message under its own name and under
// that of its kind.
func TestOrigin(t *testing.T) {
	p, err := Load("testdata/changed/timed-evidence.yaml", Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		message, field string
		line           int
	}{
		{"client_hello", "extensions.freshness.nonce", 10},
		{"added message", "timed_evidence.version", 12},
		{"timed_evidence", "lifetime", 13},
		{"timed_evidence", "", 19},
		{"added message", "other.version", 0},
	} {
		at, known := p.Origin(test.message, test.field)
		if known != (test.line > 0) || known && at.Line != test.line {
			t.Errorf("%s, %s: %v, %v", test.message, test.field, at, known)
		}
	}
}
