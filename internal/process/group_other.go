//go:build !unix

package process

import (
	"os"
	"os/exec"
)

// Own does nothing: there are no groups.
func Own(*exec.Cmd) {}

func terminate(p *os.Process) error { return p.Kill() }

func killGroup(*os.Process) {}

// exited cannot tell: a program is waited for in one step.
func exited(*os.Process) bool { return false }

func runs(*os.Process) bool { return false } // it was killed at once
