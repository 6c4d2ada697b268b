package conformance

import (
	"testing"

	"attls/extensions/profile"
)

// TestCases runs every case of every profile: with its rule in force it must
// pass, with the rule off it must fail.
func TestCases(t *testing.T) {
	for _, name := range profile.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prove(t, Cases(load(t, name)))
		})
	}
	t.Run("TLS 1.3", func(t *testing.T) { prove(t, Cases(nil)) })
}

func prove(t *testing.T, cases []Case) {
	for _, c := range cases {
		if err := c.Run(); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		} else if err := c.RunWithoutRule(); err == nil {
			t.Errorf("%s passes without %s", c.Name, c.Rule)
		}
	}
}
