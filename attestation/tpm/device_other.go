//go:build !unix

package tpm

import (
	"errors"

	"github.com/google/go-tpm/tpm2/transport"
)

// ErrNoEmulator says that the program which emulates a TPM is not there.
var ErrNoEmulator = errors.New("swtpm, which emulates a TPM, does not run on this system")

func emulator() (*TPM, error) { return nil, ErrNoEmulator }

func openDevice(string) (transport.TPMCloser, error) {
	return nil, errors.New("the TPM of this system cannot be used; Unix devices and sockets can")
}
