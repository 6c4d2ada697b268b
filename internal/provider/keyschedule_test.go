package provider

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"testing"

	"attls"
)

// sequence returns n octets that count up from a start.
func sequence(start, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(start + i)
	}
	return b
}

// TestKDF compares with the standard library, one KDF for all calls.
func TestKDF(t *testing.T) {
	for i := range suites {
		s := &suites[i]
		k := s.KDF()
		// A key shorter than a block, of a block, and longer.
		for _, n := range []int{0, 1, s.HashLen, 64, 65, 128, 129, 300} {
			key, message := sequence(1, n), sequence(7, 200)
			mac := hmac.New(s.New, key)
			mac.Write(message)
			if got := k.Extract([]byte{9}, key, message); !bytes.Equal(got, mac.Sum([]byte{9})) {
				t.Errorf("%v: Extract with a salt of %d octets differs from HMAC", s.ID, n)
			}
		}
		secret, context := sequence(3, s.HashLen), sequence(5, 255)
		for _, length := range []int{1, s.HashLen, s.HashLen + 1, 3 * s.HashLen, 255 * s.HashLen} {
			for _, c := range [][]byte{nil, context} {
				info := append([]byte{byte(length >> 8), byte(length), 16}, "tls13 c hs label"...)
				info = append(append(info, byte(len(c))), c...)
				want, err := hkdf.Expand(s.New, secret, string(info), length)
				if err != nil {
					t.Fatal(err)
				}
				if got := k.ExpandLabel(nil, secret, "tls13 ", "c hs label", c, length); !bytes.Equal(got, want) {
					t.Errorf("%v: %d octets with a context of %d differ from HKDF-Expand", s.ID, length, len(c))
				}
			}
		}
		long := sequence(11, 200)
		want, err := hkdf.Expand(s.New, long, string([]byte{0, 5, 2, 'a', 'b', 1, 'c'}), 5)
		if got := k.ExpandLabel(nil, long, "a", "b", []byte("c"), 5); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: a secret longer than a block: %x, want %x, %v", s.ID, got, want, err)
		}
		finished := hmac.New(s.New, k.ExpandLabel(nil, secret, "tls13 ", "finished", nil, s.HashLen))
		finished.Write(context)
		if got := s.FinishedMAC(nil, secret, context); !bytes.Equal(got, finished.Sum(nil)) {
			t.Errorf("%v: FinishedMAC", s.ID)
		}
		h := s.New()
		h.Write(context)
		if got := k.Hash(nil, context); !bytes.Equal(got, h.Sum(nil)) {
			t.Errorf("%v: Hash", s.ID)
		}
	}
}

// TestKDFAllocates checks that deriving allocates nothing.
func TestKDFAllocates(t *testing.T) {
	s, _ := Real().Suite(attls.TLS_AES_256_GCM_SHA384)
	k, secret, context := s.KDF(), sequence(3, s.HashLen), sequence(5, s.HashLen)
	n := testing.AllocsPerRun(10, func() {
		var a, b [maxHash]byte
		k.Extract(a[:0], secret, context)
		k.ExpandLabel(b[:0], a[:], "tls13 ", "key", b[:s.HashLen], s.HashLen)
		k.FinishedMAC(b[:0], a[:], context)
		k.Hash(a[:0], context)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
