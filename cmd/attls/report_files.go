package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"attls/conformance/report"
)

// reportFiles are the files that a report is written to.
type reportFiles struct {
	json, junit, html string
	resultFiles[*report.Report]
}

// resultFiles are files that a result is written to, once there is one.
type resultFiles[T any] struct{ open []openOutput[T] }

// resultFile is a file that was asked for; an empty name: it was not.
type resultFile[T any] struct {
	name  string
	write func(T, io.Writer) error
}

type openOutput[T any] struct {
	*os.File
	write func(T, io.Writer) error
}

func (f *reportFiles) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.json, "json", "",
		"write the results with both ends' claims to this `file`, as JSON that attls conform merge reads")
	flags.StringVar(&f.junit, "junit", "", "write the results to this `file`, as JUnit's XML")
	flags.StringVar(&f.html, "html", "",
		"write a page to look at to this `file`: matrix, messages, claims, rules that were broken")
}

func (f *reportFiles) create() error {
	return f.resultFiles.create(resultFile[*report.Report]{f.json, (*report.Report).Write},
		resultFile[*report.Report]{f.junit, (*report.Report).WriteJUnit},
		resultFile[*report.Report]{f.html, (*report.Report).WriteHTML})
}

// create opens the files, so that one that cannot be written is known before the
// work. What is in them stays until there is a result.
func (f *resultFiles[T]) create(all ...resultFile[T]) error {
	for _, wanted := range all {
		if wanted.name == "" {
			continue
		}
		file, err := os.OpenFile(wanted.name, os.O_WRONLY|os.O_CREATE, 0o666)
		if err != nil {
			return errors.Join(err, f.close())
		}
		f.open = append(f.open, openOutput[T]{file, wanted.write})
	}
	return nil
}

// write writes and closes all files.
func (f *resultFiles[T]) write(r T) error {
	var errs []error
	for _, file := range f.open {
		errs = append(errs, file.truncate(), file.write(r, file))
	}
	return errors.Join(append(errs, f.close())...)
}

// page says where the page is that somebody can open now.
func (p *painter) page(html string) {
	if html == "" {
		return
	}
	path, err := filepath.Abs(html)
	if err != nil {
		path = html
	}
	p.line("Page to open in a browser: ", path)
}

// truncate empties a file; a pipe has nothing to empty.
func (f openOutput[T]) truncate() error {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	return f.Truncate(0)
}

func (f *resultFiles[T]) close() error {
	var errs []error
	for _, file := range f.open {
		errs = append(errs, file.Close())
	}
	f.open = nil
	return errors.Join(errs...)
}
