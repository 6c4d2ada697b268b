package provider

import (
	"bytes"
	"encoding/hex"
	"sync"
	"testing"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// The packet vectors are those of RFC 3610 section 8; the others, for the nonce
// that TLS uses, were computed with OpenSSL.
var ccmVectors = []struct {
	name                            string
	tag                             int
	key, nonce, ad, plain, ciphered string
}{
	{"RFC 3610 packet vector 1", 8, "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf", "00000003020100a0a1a2a3a4a5", "0001020304050607", "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e", "588c979a61c663d2f066d0c2c0f989806d5f6b61dac38417e8d12cfdf926e0"},
	{"RFC 3610 packet vector 2", 8, "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf", "00000004030201a0a1a2a3a4a5", "0001020304050607", "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "72c91a36e135f8cf291ca894085c87e3cc15c439c9e43a3ba091d56e10400916"},
	{"RFC 3610 packet vector 3", 8, "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf", "00000005040302a0a1a2a3a4a5", "0001020304050607", "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20", "51b1e5f44a197d1da46b0f8e2d282ae871e838bb64da8596574adaa76fbd9fb0c5"},
	{"RFC 3610 packet vector 4", 8, "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf", "00000006050403a0a1a2a3a4a5", "000102030405060708090a0b", "0c0d0e0f101112131415161718191a1b1c1d1e", "a28c6865939a9a79faaa5c4c2a9d4a91cdac8c96c861b9c9e61ef1"},
	{"RFC 3610 packet vector 7", 10, "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf", "00000009080706a0a1a2a3a4a5", "0001020304050607", "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e", "0135d1b2c95f41d5d1d4fec185d166b8094e999dfed96c048c56602c97acbb7490"},
	{"twelve octets of nonce, nothing", 16, "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf", "00000003020100a0a1a2a3a4", "", "", "275fb23770d5e0de7906c5022a900df2"},
	{"twelve octets of nonce, one octet", 16, "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf", "00000003020100a0a1a2a3a4", "1703030011", "42", "77cd9f4c0e6443194fb805696f664f6c68"},
	{"twelve octets of nonce, blocks", 16, "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf", "00000003020100a0a1a2a3a4", "000102030405060708090a0b0c0d0e0f1011", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445", "3534e71085ff8b0580633afc7dedae67b942d46b02bda4e7d76719b534bbe1a77b76355d2e5dfb7290088044eb29dcaba309feec99e0a4a836539e532b44398f33d5aae5c28676e21dcf3980cd718fe96c7af0a6eda7"},
	{"twelve octets of nonce, nothing", 8, "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf", "00000003020100a0a1a2a3a4", "", "", "dd84b497871fc425"},
	{"twelve octets of nonce, one octet", 8, "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf", "00000003020100a0a1a2a3a4", "1703030011", "42", "77289328df03a7c37d"},
	{"twelve octets of nonce, blocks", 8, "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf", "00000003020100a0a1a2a3a4", "000102030405060708090a0b0c0d0e0f1011", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445", "3534e71085ff8b0580633afc7dedae67b942d46b02bda4e7d76719b534bbe1a77b76355d2e5dfb7290088044eb29dcaba309feec99e0a4a836539e532b44398f33d5aae5c286ae53c3e8cd4dbd0d"},
}

// TestCCM holds AES-CCM against vectors, in place and not, and changes each octet.
func TestCCM(t *testing.T) {
	for _, v := range ccmVectors {
		nonce, ad, plain, want := unhex(v.nonce), unhex(v.ad), unhex(v.plain), unhex(v.ciphered)
		a, err := newCCM(v.tag, len(nonce))(unhex(v.key))
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Seal(nil, nonce, plain, ad); !bytes.Equal(got, want) {
			t.Errorf("%s: sealed %x, want %x", v.name, got, want)
		}
		room := append(make([]byte, 0, 200), plain...)
		if got := a.Seal(room[:0], nonce, room, ad); !bytes.Equal(got, want) {
			t.Errorf("%s: sealed in place %x, want %x", v.name, got, want)
		}
		room = append(room[:0], want...)
		if got, err := a.Open(room[:0], nonce, room, ad); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: opened %x, %v", v.name, got, err)
		}
		for i := range want {
			bad := bytes.Clone(want)
			bad[i] ^= 1
			if _, err := a.Open(nil, nonce, bad, ad); err == nil {
				t.Errorf("%s: opens with another octet %d", v.name, i)
			}
		}
		if _, err := a.Open(nil, nonce, want[:v.tag-1], ad); err == nil {
			t.Errorf("%s: opens without a whole tag", v.name)
		}
		if _, err := a.Open(nil, nonce, want, append(ad, 0)); err == nil {
			t.Errorf("%s: opens with other additional data", v.name)
		}
	}
}

// TestAEADsAreShared lets two goroutines use one AEAD of each suite at once, as
// forks of an engine do.
func TestAEADsAreShared(t *testing.T) {
	for _, s := range suites {
		t.Run(s.ID.String(), func(t *testing.T) {
			a, err := s.AEAD(make([]byte, s.KeyLen))
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for g := range 2 {
				wg.Go(func() {
					nonce, plain := make([]byte, a.NonceSize()), bytes.Repeat([]byte{byte(g)}, 1000)
					for i := range 500 {
						nonce[0] = byte(i)
						sealed := a.Seal(nil, nonce, plain, nonce[:5])
						if got, err := a.Open(nil, nonce, sealed, nonce[:5]); err != nil || !bytes.Equal(got, plain) {
							t.Errorf("record %d of goroutine %d: %v", i, g, err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// TestCCMAllocations protects a record without allocating. It takes many runs, since a
// sync.Pool under the race detector drops some of what it is given.
func TestCCMAllocations(t *testing.T) {
	a, err := newCCM(16, 12)(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	nonce, ad, room := make([]byte, 12), make([]byte, 5), make([]byte, 1000, 1100)
	if n := testing.AllocsPerRun(500, func() {
		sealed := a.Seal(room[:0], nonce, room, ad)
		if _, err := a.Open(sealed[:0], nonce, sealed, ad); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
