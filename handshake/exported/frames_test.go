package exported

import (
	"bytes"
	"testing"

	"attls/extensions/profile"
)

// TestFrames writes frames and reads them back, cut at every octet.
func TestFrames(t *testing.T) {
	answer := []byte{11, 0, 0, 1, 7, 15, 0, 0, 1, 8, 20, 0, 0, 1, 9}
	for _, r := range []profile.AuthenticatorRules{
		{Framing: profile.FramingTyped, Request: 1, Answer: 2, Data: 3, LengthOctets: 4}, {Data: -1, Framing: profile.FramingMessages}} {
		f := NewFrames(&r, 0)
		var all []byte
		for _, x := range []struct {
			c      Content
			octets []byte
		}{{ContentRequest, []byte{13, 0, 0, 1, 5}}, {ContentAnswer, answer}} {
			framed, err := f.Append(nil, x.c, x.octets)
			if err != nil {
				t.Fatal(err)
			}
			for n := range framed {
				if _, _, took, err := f.Next(framed[:n]); took != 0 || err != nil {
					t.Errorf("%d octets of %d are taken for a frame of %d: %v", n, len(framed), took, err)
				}
			}
			all = append(all, framed...)
		}
		c, octets, n, err := f.Next(all)
		if c != ContentRequest || len(octets) != 5 || err != nil {
			t.Errorf("the first frame is %v of %d octets: %v", c, len(octets), err)
		}
		if c, octets, m, err := f.Next(all[n:]); c != ContentAnswer || !bytes.Equal(octets, answer) || n+m != len(all) || err != nil {
			t.Errorf("the second frame is %v of %d octets: %v", c, len(octets), err)
		}
		if _, _, _, err := f.Next([]byte{99, 0, 0, 0, 1, 2}); err == nil {
			t.Error("a frame of an unknown kind is accepted")
		}
	}
	if _, _, _, err := NewFrames(&profile.AuthenticatorRules{}, 16).Next([]byte{11, 1, 0, 0}); err == nil {
		t.Error("an authenticator without bound is waited for")
	}
}
