//go:build unix && !linux

package process

import (
	"os"
	"syscall"
)

// dieWithUs does nothing: only Linux knows it.
func dieWithUs(*syscall.SysProcAttr) {}

// exited cannot tell: a program is waited for in one step.
func exited(*os.Process) bool { return false }
