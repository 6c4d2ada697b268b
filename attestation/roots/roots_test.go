package roots

import "testing"

// TestAll: the rows are complete and can be told apart.
func TestAll(t *testing.T) {
	for _, f := range All().All() {
		t.Log(f.Name, f.Types)
	}
}
