//go:build unix

package tpm

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"

	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
)

func openDevice(path string) (transport.TPMCloser, error) { return linuxtpm.Open(path) }

// program is the emulator.
const program = "swtpm"

// ErrNoEmulator says that the program which emulates a TPM is not there.
var ErrNoEmulator = errors.New("swtpm, which emulates a TPM, is not installed (on Debian it is the package swtpm)")

// emulator is a swtpm of this process, which is started at the first command. It has a
// TPM with new seeds, and ends when its connection is closed: with this process, however
// that ends, or with the last use of the TPM.
func emulator() (*TPM, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, ErrNoEmulator
	}
	return newTPM(program, kindEmulator, func() (link, error) { return start(path) }), nil
}

// cleaner runs the emulator and removes its directory, also after this process was
// killed.
const cleaner = `directory=$1; shift; "$@"; rm -rf -- "$directory"`

func start(path string) (link, error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(pair[0])
	syscall.CloseOnExec(pair[1])
	ours, theirs := os.NewFile(uintptr(pair[0]), "TPM"), os.NewFile(uintptr(pair[1]), "swtpm")
	defer ours.Close()
	defer theirs.Close()
	c, err := net.FileConn(ours)
	if err != nil {
		return nil, err
	}
	directory, err := os.MkdirTemp("", "attls-swtpm-")
	if err != nil {
		c.Close()
		return nil, err
	}
	// The first of ExtraFiles is descriptor 3.
	p := exec.Command("/bin/sh", "-c", cleaner, "sh", directory, path, "socket", "--tpm2", "--tpmstate", "dir="+directory,
		"--fd", "3", "--flags", "not-need-init,startup-clear", "--log", "level=0")
	p.ExtraFiles = []*os.File{theirs}
	// An interrupt at the terminal is for us alone: the directory must be removed.
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.Start(); err != nil {
		c.Close()
		os.RemoveAll(directory)
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	go func() { _ = p.Wait() }()
	return &stream{Conn: c}, nil
}
