// Command corpora keeps the corpora of the native fuzz targets: testdata/corpus/NAME in the
// directory of each. It runs in the source tree.
//
//	go run ./fuzz/corpora list
//	go run ./fuzz/corpora grow --time 30s [--from DIRECTORY] [--octets DIRECTORY] [TARGET...]
//	go run ./fuzz/corpora check [TARGET...]
//	go run ./fuzz/corpora unpack [--octets] DIRECTORY [TARGET...]
//
// A target is the name of a function, or a directory and it: FuzzEngine, attestation/cca/FuzzRead.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const usage = `usage: go run ./fuzz/corpora COMMAND [FLAGS] [TARGET...]

  list                 print the native targets, with the types of their arguments
  grow                 fuzz each target for --time, and write a corpus: of the old one, of
                       what Go's fuzzer has in its cache, and of the inputs in --from and
                       --octets, those that run code which smaller ones do not
  check                run the corpora, and compare the code that they run with fuzz/testdata/coverage.txt
  unpack DIRECTORY     write each corpus to DIRECTORY/PACKAGE_NAME, a file for each input

A TARGET is FuzzNAME or PACKAGE/FuzzNAME; without one, all are meant.
`

// errUsage is a command line that is not understood.
var errUsage = errors.New("see go run ./fuzz/corpora help")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Stdout, os.Args[1:])
	switch {
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "corpora:", err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "corpora:", err)
		os.Exit(1)
	}
}

// directories collects a flag that is repeated.
type directories []string

func (d *directories) String() string { return strings.Join(*d, " ") }
func (d *directories) Set(s string) error {
	*d = append(*d, s)
	return nil
}

func run(ctx context.Context, w io.Writer, args []string) error {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		fmt.Fprint(w, usage)
		return nil
	}
	root, err := findRoot()
	if err != nil {
		return err
	}
	t := &tree{root: root, w: w}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	var from, octets directories
	var long time.Duration
	asOctets := false
	switch args[0] {
	case "grow":
		flags.DurationVar(&long, "time", 0, "how long to fuzz each target")
		flags.Var(&from, "from", "directory with inputs in Go's format, in NAME or PACKAGE_NAME")
		flags.Var(&octets, "octets", "directory with inputs of libFuzzer, in PACKAGE_NAME")
	case "unpack":
		flags.BoolVar(&asOctets, "octets", false, "in libFuzzer's form")
	case "list", "check":
	default:
		return fmt.Errorf("no command is called %q; %w", args[0], errUsage)
	}
	if err := flags.Parse(args[1:]); err != nil {
		return fmt.Errorf("%s: %w; %w", args[0], err, errUsage)
	}
	names := flags.Args()
	if args[0] == "unpack" {
		if len(names) == 0 {
			return fmt.Errorf("unpack: a directory is missing; %w", errUsage)
		}
		names = names[1:]
	}
	if long < 0 {
		return fmt.Errorf("--time is not negative; %w", errUsage)
	}
	targets, err := t.choose(names)
	if err != nil {
		return err
	}
	switch args[0] {
	case "list":
		for _, x := range targets {
			fmt.Fprintf(w, "%s(%s)\n", x.Path(), strings.Join(x.Types, ", "))
		}
		return nil
	case "grow":
		return t.grow(ctx, targets, long, from, octets)
	case "check":
		return t.check(ctx, targets)
	}
	return t.unpack(targets, flags.Arg(0), asOctets)
}

// findRoot finds the directory of the module.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(b), "module attls\n") {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("not in the source tree of attls")
		}
		dir = up
	}
}
