// Command shim lets BoringSSL's TLS test runner ("BoGo") drive the engine: the
// runner starts it once a test, and it connects to the runner once for each
// connection of the test.
//
// It exits with 0 when all went as its flags say, with 89 for what it does not
// implement, and with 1 after any failure, whose failure name, message, field
// and alert it prints for the runner to compare.
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"attls"
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
	var s shared
	for i := 0; i <= initial.resumeCount; i++ {
		o := initial
		if i > 0 {
			o = resume
		}
		if err := s.connect(&o, &retry, i > 0); err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
	}
	return nil
}

// describe adds to an error the parts that the configuration of the run
// translates the runner's names of errors to.
func describe(err error) string {
	var e *attls.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	return fmt.Sprintf("%v\nfailure=%s alert=%v message=%v field=%s.", err, e.Failure, e.Alert, e.Message, e.Field)
}
