//go:build !linux

package nitro

import (
	"context"
	"fmt"

	"attls/attestation"
)

// module is the Nitro Secure Module, which is a device of Linux.
type module struct{ path string }

// Make implements attestation.Maker.
func (m *module) Make(context.Context, *attestation.Question) ([]byte, error) {
	return nil, fmt.Errorf("%s: Nitro Secure Modules are devices of Linux alone", m.path)
}
