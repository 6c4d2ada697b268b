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
