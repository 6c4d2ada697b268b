//go:build unix

// Package fifo makes named pipes for tests of what reads and writes files.
package fifo

import "syscall"

// Make makes a named pipe with the permissions perm, from which umask takes some.
func Make(name string, perm uint32) error { return syscall.Mkfifo(name, perm) }
