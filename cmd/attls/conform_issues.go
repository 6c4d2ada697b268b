package main

import (
	"io"
	"os"
	"path/filepath"

	"attls/conformance/report"
)

// captures is the directory in which connections are recorded; empty: none is.
func (f *conformFlags) captures() string {
	if f.pcap == "" {
		return f.issues
	}
	return f.pcap
}

// writeIssues writes a page for each kind of failure and deviation, and keeps the captures that
// the pages are about.
func (f *conformFlags) writeIssues(r *report.Report) error {
	if f.issues == "" {
		return nil
	}
	issues := r.Issues()
	program := func(run *report.Run) string {
		return shellWords(append(f.environmentOf(run.Client, run.Server), "attls"))
	}
	kept := map[string]bool{}
	for k := range issues {
		i := &issues[k]
		kept[i.Run.Capture] = true
		capture := i.Run.Capture
		if capture != "" && f.pcap != "" {
			if relative, err := filepath.Rel(f.issues, capture); err == nil {
				capture = relative
			}
		}
		page := func(w io.Writer) error { return r.WriteIssue(i, program(i.Run), capture, w) }
		if err := writePage(filepath.Join(f.issues, i.FileName(k+1)+".md"), page); err != nil {
			return err
		}
	}
	if f.pcap != "" {
		return nil
	}
	for k := range r.Runs {
		run := &r.Runs[k]
		if run.Capture == "" || kept[run.Capture] {
			continue
		}
		if err := os.Remove(run.Capture); err != nil {
			return err
		}
		run.Capture = ""
	}
	return nil
}
