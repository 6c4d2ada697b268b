package nitro

import (
	"context"
	"errors"
	"fmt"
	"os"

	"attls/attestation"

	"github.com/hf/nsm"
	"github.com/hf/nsm/request"
)

// module is the Nitro Secure Module of the enclave in which this program runs.
type module struct {
	path    string
	options nsm.Options // of tests; zero: the device at path
}

// Make implements attestation.Maker.
func (m *module) Make(_ context.Context, q *attestation.Question) (document []byte, err error) {
	if err := fits(q); err != nil {
		return nil, err
	}
	defer func() { // the library trusts the device
		if p := recover(); p != nil {
			document, err = nil, fmt.Errorf("%s: %v", m.path, p)
		}
	}()
	o := m.options
	if o.Open == nil {
		o = nsm.DefaultOptions
		o.Open = func() (nsm.FileDescriptor, error) { return os.Open(m.path) }
	}
	s, err := nsm.OpenSession(o)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }() // what it answered is read
	r, err := s.Send(&request.Attestation{Nonce: q.Field, PublicKey: q.SPKI})
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", m.path, err)
	case r.Error != "":
		return nil, fmt.Errorf("%s: %s", m.path, r.Error)
	case r.Attestation == nil || len(r.Attestation.Document) == 0:
		return nil, errors.New(m.path + ": the answer has no attestation document")
	}
	return r.Attestation.Document, nil
}
