//go:build unix

package main

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// watchReader ends a capture into a pipe when the pipe has no reader any more, which writing
// would notice with the next connection only. A file has no reader.
func watchReader(ctx context.Context, pipe string, end context.CancelCauseFunc) {
	if info, err := os.Stat(pipe); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return
	}
	for { // the capture itself waits for a reader
		if _, opened := openedCaptures.Load(pipe); opened {
			break
		}
		if ctx.Err() != nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	w, err := os.OpenFile(pipe, os.O_WRONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ENXIO) {
		end(errReaderGone)
	}
	if err != nil {
		return
	}
	defer w.Close()
	raw, err := w.SyscallConn()
	if err != nil {
		return
	}
	const patience = 200 // ms, after which the context counts
	for ctx.Err() == nil {
		n := 0
		err := raw.Control(func(fd uintptr) {
			n, err = unix.Poll([]unix.PollFd{{Fd: int32(fd)}}, patience) // errors are told without being asked for
		})
		if n > 0 {
			end(errReaderGone)
			return
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
