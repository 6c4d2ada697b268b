//go:build unix && !linux

package process

import "syscall"

// dieWithUs does nothing: only Linux knows it.
func dieWithUs(*syscall.SysProcAttr) {}
