//go:build !unix

// Package fifo makes named pipes for tests of what reads and writes files.
package fifo

import "errors"

// Make returns errors.ErrUnsupported: this system has no pipes with the name of a file.
func Make(string, uint32) error { return errors.ErrUnsupported }
