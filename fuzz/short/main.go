// Command short runs every fuzz target of a package for a short time, one after
// the other, and stops at the first finding.
//
//	go run ./fuzz/short [-time 10s] [package ...]
//
// Without packages it is ./fuzz. The exit status is that of the target that
// failed; its input is then in the package's testdata/fuzz.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

func main() {
	each := flag.Duration("time", 10*time.Second, "how long each target runs")
	flag.Parse()
	packages := flag.Args()
	if len(packages) == 0 {
		packages = []string{"./fuzz"}
	}
	for _, p := range packages {
		if err := run(p, *each); err != nil {
			fmt.Fprintln(os.Stderr, "short:", err)
			os.Exit(1)
		}
	}
}

// run fuzzes the targets of one package.
func run(pkg string, each time.Duration) error {
	out, err := exec.Command("go", "test", "-list", "^Fuzz", pkg).Output()
	if err != nil {
		return fmt.Errorf("listing the targets of %s: %w", pkg, err)
	}
	n := 0
	for _, name := range strings.Fields(string(out)) {
		if !strings.HasPrefix(name, "Fuzz") {
			continue
		}
		n++
		fmt.Printf("%s %s\n", pkg, name)
		c := exec.Command("go", "test", "-run", "^$", "-fuzz", "^"+name+"$", "-fuzztime", each.String(), pkg)
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		if err := c.Run(); err != nil {
			return fmt.Errorf("%s of %s: %w", name, pkg, err)
		}
	}
	if n == 0 {
		return fmt.Errorf("%s has no fuzz target", pkg)
	}
	return nil
}
