package main

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"

	"attls"
	"attls/conformance/capture"
	"attls/conformance/scenario"
	"attls/internal/private"
)

// captureFile is the pcapng file of --pcap; nil where there is none.
type captureFile struct {
	file   *os.File
	writer *capture.Writer
}

// openedCaptures are the names of captures that were opened: a pipe that was, and has no
// reader, had one.
var openedCaptures sync.Map

// createCapture begins a file that only its owner can read: it holds the secrets
// of the connections. No name, no file.
func createCapture(name string) (*captureFile, error) {
	if name == "" {
		return nil, nil
	}
	file, err := private.Create(name)
	if err != nil {
		return nil, unavailable(err)
	}
	openedCaptures.Store(name, true)
	w, err := capture.NewWriter(file, nil)
	if err != nil {
		file.Close()
		return nil, unavailable(err)
	}
	if info, err := file.Stat(); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
		if err := w.Flush(); err != nil { // the reader of a pipe does not come back
			file.Close()
			return nil, unavailable(err)
		}
	}
	return &captureFile{file, w}, nil
}

func (f *captureFile) close() error {
	if f == nil {
		return nil
	}
	return unavailable(errors.Join(f.writer.Flush(), f.file.Close()))
}

// option records a run.
func (f *captureFile) option() []scenario.Option {
	if f == nil {
		return nil
	}
	return []scenario.Option{scenario.Capture(f.writer)}
}

// conn records a connection of an endpoint.
func (f *captureFile) conn(c net.Conn, local attls.Role) net.Conn {
	if f == nil {
		return c
	}
	return f.writer.Conn(c, local)
}

// keyLog adds the capture to a key log that may be nil.
func (f *captureFile) keyLog(other io.Writer) io.Writer {
	if other == nil {
		return f.writer.KeyLog()
	}
	return io.MultiWriter(other, f.writer.KeyLog())
}
