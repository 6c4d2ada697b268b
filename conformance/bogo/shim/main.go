// Command shim lets BoringSSL's TLS test runner ("BoGo") drive the engine: the
// runner starts it once a test, and it connects to the runner once for each
// connection of the test.
//
// It exits with 0 when all went as its flags say, with 89 for what it does not
// implement, and with 1 after any failure, of which it prints what the runner may call it.
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

const exitUnimplemented = 89

func main() {
	if slices.Contains(os.Args, "-is-handshaker-supported") {
		fmt.Println("No")
		return
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, describe(err))
		var u unimplemented
		if errors.As(err, &u) {
			os.Exit(exitUnimplemented)
		}
		os.Exit(1)
	}
}

func run(args []string) error {
	initial, resume, retry, err := parse(args)
	if err != nil {
		return err
	}
	s := newShared()
	for i := 0; i <= initial.resumeCount; i++ {
		o := initial
		if i > 0 {
			o = resume
		}
		if err := s.connect(&o, &retry, i > 0); err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		s.passed += time.Duration(o.resumptionDelay) * time.Second
	}
	return nil
}
