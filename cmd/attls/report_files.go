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
	open              []reportFile
}

type reportFile struct {
	*os.File
	write func(*report.Report, io.Writer) error
}

func (f *reportFiles) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.json, "json", "",
		"write the results with both ends' claims to this `file`, as JSON that attls conform merge reads")
	flags.StringVar(&f.junit, "junit", "", "write the results to this `file`, as JUnit's XML")
	flags.StringVar(&f.html, "html", "",
		"write a page to look at to this `file`: matrix, messages, claims, rules that were broken")
}

// create opens the files, so that one that cannot be written is known before the
// work. What is in them stays until there is a report.
func (f *reportFiles) create() error {
	for _, wanted := range []struct {
		name  string
		write func(*report.Report, io.Writer) error
	}{{f.json, (*report.Report).Write}, {f.junit, (*report.Report).WriteJUnit}, {f.html, (*report.Report).WriteHTML}} {
		if wanted.name == "" {
			continue
		}
		file, err := os.OpenFile(wanted.name, os.O_WRONLY|os.O_CREATE, 0o666)
		if err != nil {
			return errors.Join(err, f.close())
		}
		f.open = append(f.open, reportFile{file, wanted.write})
	}
	return nil
}

// write writes and closes all files.
func (f *reportFiles) write(r *report.Report) error {
	var errs []error
	for _, file := range f.open {
		errs = append(errs, file.truncate(), file.write(r, file))
	}
	return errors.Join(append(errs, f.close())...)
}

// page says where the page is that somebody can open now.
func (p *painter) page(f *reportFiles) {
	if f.html == "" {
		return
	}
	path, err := filepath.Abs(f.html)
	if err != nil {
		path = f.html
	}
	p.line("Page to open in a browser: ", path)
}

// truncate empties a file; a pipe has nothing to empty.
func (f reportFile) truncate() error {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	return f.Truncate(0)
}

func (f *reportFiles) close() error {
	var errs []error
	for _, file := range f.open {
		errs = append(errs, file.Close())
	}
	f.open = nil
	return errors.Join(errs...)
}
