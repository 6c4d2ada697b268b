package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// numbers are the flags whose values have bounds that their types do not have.
var numbers = map[string]struct{ least, most int }{
	"at-once":         {1, 1_000_000},
	"idle":            {1, 1_000_000},
	"in-a-row":        {1, 1_000_000},
	"max-connections": {0, math.MaxInt},
	"max-open":        {0, 1 << 20},
	"max-requests":    {0, 1 << 20},
	"opaque":          {0, math.MaxInt},
	"parallel":        {1, math.MaxInt},
	"pad-to":          {0, 1 << 14},
	"port":            {0, 1<<16 - 1},
	"repeats":         {0, math.MaxInt},
	"rounds":          {0, math.MaxInt},
	"split":           {0, math.MaxInt},
}

// companions are the flags that do nothing without one of others, where a command has
// these.
var companions = map[string][]string{
	"binder-inputs":    {"json"},
	"key":              {"cert", "raw-public-key"},
	"issuer-cert":      {"cert"},
	"issuer-key":       {"issuer-cert"},
	"max-early-data":   {"early-data"},
	"demo cookie":      {"hello-retry"},
	"key-update-every": {"extended-key-update"},
	"no-ca-names":      {"ca"},
	"psk-identity":     {"psk"},
	"server pha":       {"commands"},
}

// checkFlags refuses flags that would silently do nothing or something else: an empty
// value, as a script writes it whose variable is not set, would choose the default,
// such as the public demonstration keys.
func checkFlags(c *cobra.Command, _ []string) (failure error) {
	c.Flags().Visit(func(f *pflag.Flag) {
		if failure == nil {
			failure = checkFlag(c, f)
		}
	})
	return failure
}

func checkFlag(c *cobra.Command, f *pflag.Flag) error {
	if isEmpty(f.Value) {
		return usage("--%s has an empty value; leave the flag out for its default", f.Name)
	}
	others := append(companions[f.Name], companions[c.Name()+" "+f.Name]...)
	if len(others) > 0 && c.Flags().Lookup(others[0]) != nil && !slices.ContainsFunc(others, c.Flags().Changed) {
		return usage("--%s does nothing without --%s", f.Name, strings.Join(others, " or --"))
	}
	if n, ok := numbers[f.Name]; ok && f.Value.Type() == "int" {
		value, err := c.Flags().GetInt(f.Name)
		switch {
		case err != nil:
			return err
		case value < n.least || value > n.most:
			return usage("--%s %d: %s", f.Name, value, bounds(n.least, n.most))
		}
	}
	if f.Value.Type() == "duration" {
		value, err := c.Flags().GetDuration(f.Name)
		switch {
		case err != nil:
			return err
		case f.Name == "timeout" && value <= 0 || value < 0:
			return usage("--%s %v: the time must be %s", f.Name, value,
				map[bool]string{true: "longer than 0", false: "0 or longer"}[f.Name == "timeout"])
		}
	}
	return nil
}

func bounds(least, most int) string {
	if most == math.MaxInt {
		return fmt.Sprintf("the least possible value is %d", least)
	}
	return fmt.Sprintf("%d to %d are possible", least, most)
}

// isEmpty reports whether a text, or a part of a list, is empty.
func isEmpty(v pflag.Value) bool {
	if v, ok := v.(pflag.SliceValue); ok {
		return len(v.GetSlice()) == 0 || slices.Contains(v.GetSlice(), "")
	}
	return v.Type() == "string" && v.String() == ""
}
