package handshake_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"attls"
	"attls/handshake"
	"attls/handshake/enginetest"
	"attls/internal/provider"
)

func fill(r handshake.Random, u handshake.Use, n uint32, size int) []byte {
	b := make([]byte, size)
	r.Fill(u, n, b)
	return b
}

// TestRecordedRandom takes draws down, carries them through JSON and gives them
// back in another order.
func TestRecordedRandom(t *testing.T) {
	rec := handshake.RecordRandom(handshake.SystemRandom{})
	type draw struct {
		use  handshake.Use
		n    uint32
		size int
	}
	draws := []draw{{handshake.UseKeyShare, 256, 64}, {handshake.UseClientRandom, 0, 32}, {handshake.UseKeyShare, 0, 32}, {handshake.UseNonce, 3, 0}}
	want := map[draw][]byte{}
	for _, d := range draws {
		want[d] = fill(rec, d.use, d.n, d.size)
	}
	text, err := json.Marshal(rec)
	if err != nil {
		t.Fatal(err)
	}
	var back handshake.RecordedRandom
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	for i := range draws {
		d := draws[len(draws)-1-i]
		if got := fill(&back, d.use, d.n, d.size); !bytes.Equal(got, want[d]) {
			t.Errorf("%v %d: %x, want %x", d.use, d.n, got, want[d])
		}
	}
	if back.Err() != nil || len(back.Draws()) != len(draws) {
		t.Errorf("%v, %d draws", back.Err(), len(back.Draws()))
	}
	again, _ := json.Marshal(&back)
	if !bytes.Equal(again, text) {
		t.Errorf("%s\nis written again as %s", text, again)
	}
	for _, d := range []draw{{handshake.UseCookie, 0, 32}, {handshake.UseKeyShare, 0, 33}} {
		r := handshake.NewRecordedRandom(back.Draws()...)
		if got := fill(r, d.use, d.n, d.size); r.Err() == nil || !bytes.Equal(got, make([]byte, d.size)) {
			t.Errorf("%v %d of %d octets, which is not recorded: %x, %v", d.use, d.n, d.size, got, r.Err())
		}
	}
	for _, bad := range []string{`{}`, `[{"use":"nothing"}]`, `[{"use":"salt","octets":"0"}]`,
		`[{"use":"salt","octets":"00"},{"use":"salt","octets":"01"}]`} {
		if err := json.Unmarshal([]byte(bad), new(handshake.RecordedRandom)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// TestDrawsAreKeyed asks in two orders: what is given depends on use and index alone.
func TestDrawsAreKeyed(t *testing.T) {
	r := enginetest.Random("keyed")
	a, b := fill(r, handshake.UseSalt, 0, 40), fill(r, handshake.UseSalt, 1, 40)
	c := fill(r, handshake.UseNonce, 0, 40)
	if !bytes.Equal(b, fill(r, handshake.UseSalt, 1, 40)) || !bytes.Equal(a, fill(r, handshake.UseSalt, 0, 40)) {
		t.Error("the same draw differs")
	}
	if bytes.Equal(a, b) || bytes.Equal(a, c) || bytes.Equal(b, c) {
		t.Error("two draws are alike")
	}
}

// TestDeterministicSignatures signs twice with the same randomness, under every
// algorithm that a recorded run may use.
func TestDeterministicSignatures(t *testing.T) {
	ecdsaKey := keys["P-256"]()
	message := []byte("signed twice")
	random := func() handshake.Random { return enginetest.Random("salt") }
	for _, s := range []attls.SignatureScheme{attls.ECDSA_SECP256R1_SHA256, attls.ED25519, attls.RSA_PSS_RSAE_SHA256} {
		var made [2][]byte
		for i := range made {
			var err error
			reader := handshake.RandomReader(random(), handshake.UseSalt)
			switch s {
			case attls.ECDSA_SECP256R1_SHA256:
				made[i], err = provider.SignFrom(reader, ecdsaKey, s, message)
			case attls.ED25519:
				made[i], err = provider.SignFrom(reader, enginetest.Credential("x").Signer, s, message)
			default:
				made[i], err = provider.SignFrom(reader, rsaKey(), s, message)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(made[0], made[1]) {
			t.Errorf("%v: two signatures differ", s)
		}
	}
}
