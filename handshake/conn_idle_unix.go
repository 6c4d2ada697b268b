//go:build unix

package handshake

import (
	"io"
	"net"
	"os"
	"syscall"
)

// idleReader reads from a socket of the operating system and holds no buffer while
// there is nothing to read.
type idleReader struct {
	c   *Conn
	raw syscall.RawConn
	try func(fd uintptr) bool // attempt, made once

	n   int // what the last attempt has read
	err error
}

// newIdleReader returns nil where the net.Conn is not known to be a socket itself:
// what wraps one may have a Read of its own.
func newIdleReader(c *Conn) *idleReader {
	var socket syscall.Conn
	switch nc := c.nc.(type) {
	case *net.TCPConn:
		socket = nc
	case *net.UnixConn:
		if nc.LocalAddr().Network() != "unix" { // datagrams are not a stream
			return nil
		}
		socket = nc
	default:
		return nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil
	}
	r := &idleReader{c: c, raw: raw}
	r.try = r.attempt
	return r
}

// attempt reads without blocking; false: there is nothing to read.
func (r *idleReader) attempt(fd uintptr) bool {
	room := r.c.reader.Reserve(r.c.readSize)
	for {
		r.n, r.err = syscall.Read(int(fd), room)
		switch r.err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			r.c.reader.Release()
			return false
		}
		r.c.adjust(r.n, len(room))
		return true
	}
}

// read is as Read of the net.Conn, into what Reserve gives.
func (r *idleReader) read() (int, error) {
	r.n, r.err = 0, nil
	err := r.raw.Read(r.try)
	switch {
	case err != nil: // a deadline, or the socket is closed
		if failed, ok := err.(*net.OpError); ok {
			failed.Op = "read" // it says "raw-read"
		}
		return 0, err
	case r.err != nil:
		return 0, &net.OpError{Op: "read", Net: r.c.nc.LocalAddr().Network(), Source: r.c.nc.LocalAddr(),
			Addr: r.c.nc.RemoteAddr(),
			Err:  os.NewSyscallError("read", r.err)}
	case r.n == 0:
		return 0, io.EOF
	}
	return r.n, nil
}
