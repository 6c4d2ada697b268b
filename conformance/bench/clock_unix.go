//go:build unix

package bench

import (
	"syscall"
	"time"
)

// processorTime is what the process has used of its processors so far. Other
// processes on the machine do not count in it, and work that goes on in another
// goroutine does, such as crypto/tls's second end and collecting garbage.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return time.Since(start)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
