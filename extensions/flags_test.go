package extensions_test

import (
	"bytes"
	"slices"
	"testing"

	"attls"
	"attls/extensions"
)

// TestTLSFlags has the examples of draft-ietf-tls-tlsflags section 2, and the last flag.
func TestTLSFlags(t *testing.T) {
	for _, test := range []struct {
		flags []attls.TLSFlag
		body  []byte
	}{
		{[]attls.TLSFlag{0}, []byte{1, 1}},
		{[]attls.TLSFlag{1, 5}, []byte{1, 0x22}},
		{[]attls.TLSFlag{3, 5, 23}, []byte{3, 0x28, 0, 0x80}},
		{[]attls.TLSFlag{attls.MaxTLSFlag}, append(append([]byte{255}, make([]byte, 254)...), 0x80)},
	} {
		if got := extensions.AppendTLSFlags([]byte{9}, test.flags...); !bytes.Equal(got[1:], test.body) || got[0] != 9 {
			t.Errorf("%v is written as %x", test.flags, got)
		}
		f, err := extensions.ParseTLSFlags(test.body)
		if err != nil || !slices.Equal(slices.Collect(f.All()), test.flags) {
			t.Errorf("%x is read as %v, %v", test.body, slices.Collect(f.All()), err)
		}
		if f.Has(2) || f.Has(attls.MaxTLSFlag+1) || !f.Has(test.flags[0]) {
			t.Errorf("%x has flags that it has not", test.body)
		}
	}
	for _, body := range [][]byte{{1, 0}, {3, 1, 0, 0}} {
		if _, err := extensions.ParseTLSFlags(body); err == nil || err.Failure != attls.FailIllegalParameter {
			t.Errorf("%x: %v", body, err)
		}
	}
}
