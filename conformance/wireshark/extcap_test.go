package wireshark_test

import (
	"strings"
	"testing"

	"attls/conformance/wireshark"
)

// TestSentences: no value ends a sentence of the protocol, or a line.
func TestSentences(t *testing.T) {
	hostile := "x}{value=y}\n\x1b[0m"
	i := wireshark.Interface{Name: "a", Display: hostile, Options: []wireshark.Option{
		{Flag: "profile", Display: hostile, Tooltip: hostile, Kind: wireshark.Selector, Default: "two",
			Values: []string{"", hostile, "two"}},
		{Flag: "hello-retry", Display: "HelloRetryRequest", Kind: wireshark.Switch},
	}}
	list := wireshark.Interfaces("1.0", hostile, []wireshark.Interface{i})
	config := i.Config()
	if n := strings.Count(list, "\n"); n != 2 {
		t.Errorf("%d lines: %q", n, list)
	}
	if n := strings.Count(config, "\n"); n != 5 {
		t.Errorf("%d lines: %q", n, config)
	}
	if strings.Contains(list+config, "}{value=y}") || strings.Contains(list+config, "\x1b") {
		t.Errorf("%q%q", list, config)
	}
	if !strings.Contains(config, "value {arg=0}{value=two}{display=two}{default=true}\n") ||
		!strings.Contains(config, "arg {number=1}{call=--hello-retry}{display=HelloRetryRequest}{type=boolflag}\n") {
		t.Errorf("%q", config)
	}
	if !strings.HasPrefix(wireshark.LinkTypes(), "dlt {number=1}") {
		t.Error(wireshark.LinkTypes())
	}
}
