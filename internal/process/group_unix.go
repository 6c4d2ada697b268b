//go:build unix

package process

import (
	"os"
	"os/exec"
	"syscall"
)

// Own gives a program that has not been started a group of its own.
func Own(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithUs(c.SysProcAttr)
}

// terminate asks a program and all that it has started to end.
func terminate(p *os.Process) error { return syscall.Kill(-p.Pid, syscall.SIGTERM) }

// killGroup ends what is left of the group of a program that has ended. A group without
// processes is an error, which is none.
func killGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }

// runs reports whether a program has not been waited for.
func runs(p *os.Process) bool { return p.Signal(syscall.Signal(0)) == nil }
