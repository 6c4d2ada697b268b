//go:build unix

package attestation

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// ownGroup has a command run in a process group of its own, which cancellation
// kills whole. end kills what is left of it once the command has returned.
func ownGroup(cmd *exec.Cmd) (end func()) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	kill := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Cancel = func() error {
		if err := kill(); errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		} else if err != nil {
			return errors.Join(err, cmd.Process.Kill())
		}
		return nil
	}
	return func() {
		if cmd.Process != nil {
			_ = kill() // an error says that nobody is left
		}
	}
}
