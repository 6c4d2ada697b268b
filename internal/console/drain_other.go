//go:build !unix

package console

import (
	"io"
	"os"
)

// follow reads an output until its end.
func follow(r *os.File, s *screen) { _, _ = io.Copy(s, r) }

// drain does nothing: a pipe cannot be read without waiting here.
func (p *Program) drain() {}
