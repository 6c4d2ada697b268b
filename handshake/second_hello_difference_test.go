package handshake

import (
	"slices"
	"testing"
	"time"

	"attls"
	"attls/extensions"
)

// TestSecondHelloDifference names the extension in which a second ClientHello
// differs, and whether it differs by the order alone.
func TestSecondHelloDifference(t *testing.T) {
	list := func(types ...attls.ExtensionType) (l extensions.List) {
		for _, x := range types {
			l = append(l, extensions.Extension{Type: x, Body: []byte{byte(x)}})
		}
		return l
	}
	other := list(1, 2, 3)
	other[1].Body = []byte("another")
	empty := list(1, 2, 3)
	empty[1].Body = nil
	for name, c := range map[string]struct {
		second extensions.List
		t      attls.ExtensionType
		how    comparison
	}{
		"the same list":                          {list(1, 2, 3), 0, sameLists},
		"no list":                                {nil, 1, otherExtension},
		"the last is missing":                    {list(1, 2), 3, otherExtension},
		"the first is missing":                   {list(2, 3), 1, otherExtension},
		"one more at the end":                    {list(1, 2, 3, 4), 4, otherExtension},
		"one more at the beginning":              {list(4, 1, 2, 3), 4, otherExtension},
		"another body":                           {other, 2, otherExtension},
		"a body that became empty":               {empty, 2, otherExtension},
		"two are exchanged":                      {list(1, 3, 2), 3, otherOrder},
		"the reverse order":                      {list(3, 2, 1), 3, otherOrder},
		"exchanged, and one is missing":          {list(2, 1), 3, otherExtension},
		"exchanged, and one takes another place": {list(2, 1, 4), 3, otherExtension},
		"exchanged, and another body":            {slices.Concat(other[1:], other[:1]), 2, otherExtension},
	} {
		t.Run(name, func(t *testing.T) {
			if x, how := difference(list(1, 2, 3), c.second); x != c.t || how != c.how {
				t.Errorf("differs in %v (%d), want %v (%d)", x, how, c.t, c.how)
			}
		})
	}
}

// TestSecondHelloIsLinear compares long lists often enough that a comparison of each
// extension with each would take many minutes. Nothing finer is judged by the clock.
func TestSecondHelloIsLinear(t *testing.T) {
	const length, times = 64000, 100
	first := make(extensions.List, length)
	for i := range first {
		first[i].Type = attls.ExtensionType(i)
	}
	reversed := slices.Clone(first)
	slices.Reverse(reversed)
	for name, second := range map[string]extensions.List{"in the same order": slices.Clone(first), "in reverse order": reversed} {
		t.Run(name, func(t *testing.T) {
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range times {
					difference(first, second)
				}
			}()
			select {
			case <-done:
			case <-time.After(time.Minute):
				t.Errorf("%d comparisons of %d extensions go on", times, length)
			}
		})
	}
}
