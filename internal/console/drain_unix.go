//go:build unix

package console

import (
	"os"
	"syscall"
)

// follow reads an output until its end. Each read and what is kept of it are one step under
// the lock, so that drain never misses what was read and is not kept yet.
func follow(r *os.File, s *screen) {
	b := make([]byte, readSize)
	_ = s.outputs[s.output].pipe.Read(func(fd uintptr) (over bool) {
		for {
			switch n, err := s.step(int(fd), b); {
			case err == syscall.EAGAIN:
				return false // wait for more
			case n <= 0:
				return true
			}
		}
	})
}

// readSize is how much is read at a time, in octets; maxDrained bounds the reads of a drain.
const (
	readSize   = 32 << 10
	maxDrained = 64
)

// step reads once and keeps what came.
func (s *screen) step(fd int, b []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, err = syscall.Read(fd, b); err == syscall.EINTR; {
		n, err = syscall.Read(fd, b)
	}
	if n > 0 {
		s.keep(b[:n])
	}
	return n, err
}

// drain reads what both outputs hold: a program that says something on one output has said
// before, on the other, what need not have been read yet.
func (p *Program) drain() {
	b := make([]byte, readSize)
	for i := range p.outputs {
		if p.outputs[i].pipe == nil {
			continue
		}
		_ = p.outputs[i].pipe.Control(func(fd uintptr) {
			for range maxDrained {
				if n, err := (&screen{p, i}).step(int(fd), b); n <= 0 || err != nil {
					return
				}
			}
		})
	}
}
