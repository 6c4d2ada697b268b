// Package documents holds tests of the documents: code in them is code that tests
// run, links lead somewhere, and README.md fits on one screen.
package documents
