package tpm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// TPM is a TPM 2.0 that can be reached: a device of the kernel, or a socket of a
// program. Its uses follow each other: a TPM has few places for keys, and they are empty
// after each use. It is safe for concurrent use.
type TPM struct {
	name  string
	kind  kind
	open  func() (link, error)
	busy  chan struct{}
	limit time.Duration
	kept  link // of a link that is not opened anew for each use
}

// kind is how a TPM is reached.
type kind int

const (
	kindDevice kind = iota
	kindSocket
	kindEmulator
)

// link carries single commands.
type link interface {
	send(ctx context.Context, command []byte) ([]byte, error)
	io.Closer
}

const (
	// useLimit bounds one use of a TPM, which is a few commands, from the moment at
	// which it is free: a discrete TPM makes an RSA key in many seconds.
	useLimit = time.Minute
	// maxAnswer bounds the answer to a command, in octets, as the kernel does.
	maxAnswer = 4096
	headerLen = 10 // octets: tag, size, response code
)

// Variables of the environment that name the TPM of keys in PEM files, as the provider
// of OpenSSL and tpm2-tools read them, and the TPM where none is set.
const (
	DefaultPath = "/dev/tpmrm0"
	EnvOpenSSL  = "TPM2OPENSSL_TCTI"
	EnvTools    = "TPM2TOOLS_TCTI"
)

// Locate names a TPM: by the path of a device or of a Unix socket, or as the tools of the
// TSS do it, device:PATH or swtpm:path=PATH. An empty text is what the environment names,
// else DefaultPath. Nothing is opened yet.
func Locate(text string) (*TPM, error) {
	for _, name := range []string{EnvOpenSSL, EnvTools} {
		if text == "" {
			text = os.Getenv(name)
		}
	}
	if text == "" {
		text = DefaultPath
	}
	kind, path, tcti := strings.Cut(text, ":")
	switch {
	case !tcti:
		info, err := os.Stat(text)
		if err != nil {
			return nil, fmt.Errorf("the TPM: %w", err)
		}
		if info.Mode()&os.ModeSocket != 0 {
			return atSocket(text), nil
		}
		return atDevice(text), nil
	case kind == "device":
		return atDevice(path), nil
	case kind == "swtpm" && strings.HasPrefix(path, "path="):
		return atSocket(strings.TrimPrefix(path, "path=")), nil
	}
	return nil, fmt.Errorf("%q does not name a TPM: a path, device:PATH or swtpm:path=PATH does", text)
}

func newTPM(name string, kind kind, open func() (link, error)) *TPM {
	return &TPM{name: name, kind: kind, open: open, busy: make(chan struct{}, 1), limit: useLimit}
}

// atDevice is a TPM behind a device file. The kernel's resource manager (/dev/tpmrm0)
// empties it when the file is closed.
func atDevice(path string) *TPM {
	return newTPM(path, kindDevice, func() (link, error) {
		t, err := openDevice(path)
		if err != nil {
			return nil, err
		}
		return &blocking{TPMCloser: t, idle: make(chan struct{}, 1)}, nil
	})
}

// atSocket is a program such as swtpm, which takes one connection after the other.
func atSocket(path string) *TPM {
	return newTPM(path, kindSocket, func() (link, error) { return dialing(path), nil })
}

// String is the path, or what there is in its place.
func (t *TPM) String() string { return t.name }

// blocking is a transport whose reads cannot be interrupted. A command that is given up
// goes on until the device answers, and the next one waits for it.
type blocking struct {
	transport.TPMCloser
	idle chan struct{}
}

func (b *blocking) send(ctx context.Context, command []byte) ([]byte, error) {
	select {
	case b.idle <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	type answer struct {
		octets []byte
		err    error
	}
	done := make(chan answer, 1)
	go func() {
		var a answer
		defer func() {
			if p := recover(); p != nil {
				a.err = fmt.Errorf("the transport gives up: %v", p)
			}
			<-b.idle
			done <- a
		}()
		a.octets, a.err = b.Send(command)
	}()
	select {
	case a := <-done:
		return a.octets, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// dialing is the path of a socket, which is dialled for each command: another program
// may have its turn between two of them.
type dialing string

func (path dialing) send(ctx context.Context, command []byte) ([]byte, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", string(path))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return exchange(ctx, c, command)
}

func (dialing) Close() error { return nil }

// stream is one connection for all commands.
type stream struct {
	net.Conn
	spoiled error
}

func (s *stream) send(ctx context.Context, command []byte) ([]byte, error) {
	if s.spoiled != nil { // an answer may still come, which nobody should take for the next one
		return nil, s.spoiled
	}
	b, err := exchange(ctx, s.Conn, command)
	if err != nil {
		s.spoiled = fmt.Errorf("an earlier command had no answer: %w", err)
	}
	return b, err
}

// exchange writes a command and reads its answer.
func exchange(ctx context.Context, c net.Conn, command []byte) ([]byte, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	b, err := func() ([]byte, error) {
		if _, err := c.Write(command); err != nil {
			return nil, err
		}
		b := make([]byte, headerLen, maxAnswer)
		if _, err := io.ReadFull(c, b); err != nil {
			return nil, fmt.Errorf("the answer: %w", err)
		}
		n := binary.BigEndian.Uint32(b[2:])
		if n < headerLen || n > maxAnswer {
			return nil, fmt.Errorf("an answer of %d octets; it has %d to %d", n, headerLen, maxAnswer)
		}
		if _, err := io.ReadFull(c, b[headerLen:n]); err != nil {
			return nil, fmt.Errorf("the answer: %w", err)
		}
		return b[:n], nil
	}()
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return b, err
}

// bound is a link within a context, as go-tpm wants it.
type bound struct {
	ctx context.Context
	link
}

// Send implements transport.TPM. A command that the TPM could not begin is sent again
// (TPM 2.0 Library, Part 2, 6.6.3, TPM_RC_RETRY).
func (b bound) Send(command []byte) ([]byte, error) {
	for i := 1; ; i++ {
		answer, err := b.send(b.ctx, command)
		if err != nil {
			return nil, err
		}
		if len(answer) < headerLen || len(answer) > maxAnswer {
			return nil, fmt.Errorf("an answer of %d octets; it has %d to %d", len(answer), headerLen, maxAnswer)
		}
		if i == maxTries || tpm2.TPMRC(binary.BigEndian.Uint32(answer[6:])) != tpm2.TPMRCRetry {
			return answer, nil
		}
	}
}

// maxTries is how often a command is sent to a TPM that answers TPM_RC_RETRY.
const maxTries = 10

// use runs commands when the TPM is free, within the time limit. What go-tpm makes of
// the answers ends here, panics included.
func (t *TPM) use(ctx context.Context, f func(transport.TPM) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the TPM at %s: an answer that cannot be read: %v", t.name, p)
		}
	}()
	select {
	case t.busy <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("the TPM at %s is in use: %w", t.name, ctx.Err())
	}
	defer func() { <-t.busy }()
	limited, cancel := context.WithTimeout(ctx, t.limit)
	defer cancel()
	l := t.kept
	if l == nil {
		if l, err = t.open(); err != nil {
			return fmt.Errorf("the TPM at %s: %w", t.name, err)
		}
		if s, ok := l.(*stream); ok {
			t.kept = s
		} else {
			defer l.Close()
		}
	}
	if err := f(bound{limited, l}); err != nil {
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			err = fmt.Errorf("no answer within %v", t.limit)
		}
		return fmt.Errorf("the TPM at %s: %w", t.name, err)
	}
	return nil
}
