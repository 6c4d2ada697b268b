package roottest

import "testing"

// TestStranger runs the suite on a root of trust of somebody outside.
func TestStranger(t *testing.T) { Run(t, Stranger(), Options{}) }
