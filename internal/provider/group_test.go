package provider

import (
	"bytes"
	"errors"
	"testing"

	"attls"
)

// failureOf is the failure of an error that came as an interface.
func failureOf(err error) attls.Failure {
	var e *attls.Error
	if !errors.As(err, &e) {
		return ""
	}
	return e.Failure
}

// groupSeeds are octets that make a key of each half of a group.
func groupSeeds(n int) []byte { return bytes.Repeat([]byte{7}, n) }

// TestGroups: both ends of each group have the same secret, the shares have the lengths
// that the texts give, and the same seeds make the same keys.
func TestGroups(t *testing.T) {
	for _, test := range []struct {
		group                  attls.NamedGroup
		client, server, secret int // octets
	}{
		{attls.GroupX25519, 32, 32, 32},
		{attls.GroupSecp256r1, 65, 65, 32},
		{attls.GroupSecp384r1, 97, 97, 48},
		{attls.GroupSecp521r1, 133, 133, 66},
		{attls.GroupX25519MLKEM768, 1216, 1120, 64}, // draft-ietf-tls-ecdhe-mlkem section 4
		{attls.GroupSecP256r1MLKEM768, 1249, 1153, 64},
		{attls.GroupSecP384r1MLKEM1024, 1665, 1665, 80},
	} {
		t.Run(test.group.String(), func(t *testing.T) {
			g, ok := Real().Group(test.group)
			if !ok || g.ID() != test.group {
				t.Fatalf("%v, %v", g, ok)
			}
			k, err := g.Generate(groupSeeds(g.SeedLen()))
			if err != nil {
				t.Fatal(err)
			}
			answer, theirs, err := g.Respond(groupSeeds(g.RespondSeedLen()), k.Share())
			if err != nil {
				t.Fatal(err)
			}
			ours, err := k.Finish(answer)
			if err != nil || !bytes.Equal(ours, theirs) {
				t.Errorf("secrets %x and %x, %v", ours, theirs, err)
			}
			if len(k.Share()) != test.client || len(answer) != test.server || len(ours) != test.secret {
				t.Errorf("shares of %d and %d octets, a secret of %d", len(k.Share()), len(answer), len(ours))
			}
			again, err := g.Generate(groupSeeds(g.SeedLen()))
			if err != nil || !bytes.Equal(again.Share(), k.Share()) {
				t.Errorf("the same seed makes another key, %v", err)
			}
			other := groupSeeds(g.SeedLen())
			other[1]++ // the last octets of ML-KEM make no difference to the share
			if different, err := g.Generate(other); err != nil || bytes.Equal(different.Share(), k.Share()) {
				t.Errorf("another seed makes the same key, %v", err)
			}

			for _, n := range []int{0, g.SeedLen() - 1, g.SeedLen() + 1} {
				if _, err := g.Generate(groupSeeds(n)); !errors.Is(err, ErrSeed) {
					t.Errorf("a seed of %d octets: %v", n, err)
				}
			}
			for _, n := range []int{0, g.RespondSeedLen() - 1, g.RespondSeedLen() + 1} {
				if _, _, err := g.Respond(groupSeeds(n), k.Share()); !errors.Is(err, ErrSeed) {
					t.Errorf("a seed of %d octets for an answer: %v", n, err)
				}
			}
			for _, n := range []int{0, 1, test.server - 1, test.server + 1} {
				share := append(bytes.Clone(answer), 0)[:n]
				if _, err := k.Finish(share); failureOf(err) != attls.FailIllegalParameter {
					t.Errorf("an answer of %d octets: %v", n, err)
				}
			}
			for _, n := range []int{0, 1, test.client - 1, test.client + 1} {
				share := append(bytes.Clone(k.Share()), 0)[:n]
				if _, _, err := g.Respond(groupSeeds(g.RespondSeedLen()), share); failureOf(err) != attls.FailIllegalParameter {
					t.Errorf("a share of %d octets: %v", n, err)
				}
			}
		})
	}
	if _, ok := Real().Group(0x0100); ok {
		t.Error("there is ffdhe2048")
	}
}

// TestX25519 takes the keys of RFC 7748 section 6.1.
func TestX25519(t *testing.T) {
	alice := unhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
	bob := unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
	g := x25519Group{}
	k, err := g.Generate(alice)
	if err != nil || !bytes.Equal(k.Share(), unhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")) {
		t.Fatalf("%x, %v", k.Share(), err)
	}
	share, secret, err := g.Respond(bob, k.Share())
	if err != nil || !bytes.Equal(share, unhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")) ||
		!bytes.Equal(secret, unhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")) {
		t.Errorf("%x, %x, %v", share, secret, err)
	}
}

// TestForbiddenPoints: shares that are not points, or that give a secret that everybody
// knows (RFC 8446 sections 4.2.8.2 and 7.4.2).
func TestForbiddenPoints(t *testing.T) {
	p256 := func(change func([]byte)) []byte {
		k, err := secp256r1.Generate(groupSeeds(32))
		if err != nil {
			t.Fatal(err)
		}
		share := bytes.Clone(k.Share())
		change(share)
		return share
	}
	one := make([]byte, 32)
	one[0] = 1
	for name, test := range map[string]struct {
		group attls.NamedGroup
		share []byte
	}{
		"x25519, zero":                      {attls.GroupX25519, make([]byte, 32)},
		"x25519, one":                       {attls.GroupX25519, one},
		"x25519, a point of order 8":        {attls.GroupX25519, unhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")},
		"secp256r1, off the curve":          {attls.GroupSecp256r1, p256(func(b []byte) { b[64] ^= 1 })},
		"secp256r1, compressed":             {attls.GroupSecp256r1, p256(func(b []byte) { b[0] = 2 })},
		"secp256r1, compressed and short":   {attls.GroupSecp256r1, p256(func(b []byte) { b[0] = 2 })[:33]},
		"secp256r1, a coordinate too large": {attls.GroupSecp256r1, append([]byte{4}, bytes.Repeat([]byte{0xff}, 64)...)},
		"secp256r1, infinity":               {attls.GroupSecp256r1, make([]byte, 65)},
	} {
		t.Run(name, func(t *testing.T) {
			g, _ := Real().Group(test.group)
			if _, _, err := g.Respond(groupSeeds(g.RespondSeedLen()), test.share); failureOf(err) != attls.FailIllegalParameter {
				t.Errorf("a server: %v", err)
			}
			k, err := g.Generate(groupSeeds(g.SeedLen()))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := k.Finish(test.share); failureOf(err) != attls.FailIllegalParameter {
				t.Errorf("a client: %v", err)
			}
		})
	}
}

// TestScalars: a seed that is not a scalar of the curve makes no key, and the bits of one
// for secp521r1 that no scalar has do not count.
func TestScalars(t *testing.T) {
	for _, g := range []nistGroup{secp256r1, secp384r1} {
		for _, octet := range []byte{0, 0xff} {
			if _, err := g.Generate(bytes.Repeat([]byte{octet}, g.SeedLen())); !errors.Is(err, ErrSeed) {
				t.Errorf("%v of octets %x: %v", g.ID(), octet, err)
			}
			if _, _, err := g.Respond(bytes.Repeat([]byte{octet}, g.SeedLen()), nil); !errors.Is(err, ErrSeed) {
				t.Errorf("%v of octets %x, answering: %v", g.ID(), octet, err)
			}
		}
	}
	low := groupSeeds(66)
	low[0] = 0
	high := bytes.Clone(low)
	high[0] = 0xfe
	a, err := secp521r1.Generate(low)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := secp521r1.Generate(high); err != nil || !bytes.Equal(a.Share(), b.Share()) {
		t.Errorf("bits above the order make another key, %v", err)
	}
}

// TestHybridParts: a share or an answer whose parts are wrong, each for itself, and the
// order of the parts (draft-ietf-tls-ecdhe-mlkem section 4).
func TestHybridParts(t *testing.T) {
	g, _ := Real().Group(attls.GroupX25519MLKEM768)
	k, err := g.Generate(groupSeeds(g.SeedLen()))
	if err != nil {
		t.Fatal(err)
	}
	curve, err := x25519Group{}.Generate(groupSeeds(32))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(k.Share()[1184:], curve.Share()) {
		t.Error("X25519 is not the second part of X25519MLKEM768")
	}
	nist, _ := Real().Group(attls.GroupSecP256r1MLKEM768)
	point, err := secp256r1.Generate(groupSeeds(32))
	if err != nil {
		t.Fatal(err)
	}
	other, err := nist.Generate(groupSeeds(nist.SeedLen()))
	if err != nil || !bytes.Equal(other.Share()[:65], point.Share()) {
		t.Errorf("secp256r1 is not the first part of SecP256r1MLKEM768, %v", err)
	}
	answer, _, err := g.Respond(groupSeeds(g.RespondSeedLen()), k.Share())
	if err != nil {
		t.Fatal(err)
	}
	spoilt := func(b []byte, from, to int, octet byte) []byte {
		b = bytes.Clone(b)
		for i := from; i < to; i++ {
			b[i] = octet
		}
		return b
	}
	if _, _, err := g.Respond(groupSeeds(g.RespondSeedLen()), spoilt(k.Share(), 1184, 1216, 0)); failureOf(err) != attls.FailIllegalParameter {
		t.Errorf("a share with a point of small order: %v", err)
	}
	if _, _, err := g.Respond(groupSeeds(g.RespondSeedLen()), spoilt(k.Share(), 0, 1152, 0xff)); failureOf(err) != attls.FailIllegalParameter {
		t.Errorf("an encapsulation key with coefficients that are not reduced: %v", err)
	}
	if _, err := k.Finish(spoilt(answer, 1088, 1120, 0)); failureOf(err) != attls.FailIllegalParameter {
		t.Errorf("an answer with a point of small order: %v", err)
	}
	if _, _, err := nist.Respond(groupSeeds(nist.RespondSeedLen()), spoilt(other.Share(), 1, 65, 0xff)); failureOf(err) != attls.FailIllegalParameter {
		t.Errorf("a share with no point of the curve: %v", err)
	}
	if _, err := other.Finish(spoilt(make([]byte, 1153), 0, 65, 0xff)); failureOf(err) != attls.FailIllegalParameter {
		t.Errorf("an answer with no point of the curve: %v", err)
	}
}
