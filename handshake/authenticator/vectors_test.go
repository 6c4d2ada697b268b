package authenticator

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"testing"

	"attls"
	"attls/handshake/message"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The values of Fizz's tests (facebookincubator/fizz, ExportedAuthenticatorTest.cpp). Its
// requests have no header, and this is how they enter the hash.
const (
	fizzRequest  = "14303132333435363738396162636465666768696a0008000d000400020403"
	fizzFinished = "b523548c421b05f7f3c33276fbdd5266ba2df103796d7d483368259860a648f2"
	fizzEmpty    = "1400002011fae4bcdf4673b6dfb276d886c4cd1c5b0920da961643f062d1d4a6062115b1"
)

// TestPublishedVectors computes what another implementation has published.
func TestPublishedVectors(t *testing.T) {
	key := []byte("12345678901234567890123456789012")
	context := []byte("0123456789abcdefghij")
	c, err := New(&Config{Role: attls.RoleClient, Version: attls.VersionTLS13, HandshakeComplete: true, Hash: crypto.SHA256,
		Export: func(string, []byte, int) ([]byte, error) { return key, nil }})
	if err != nil {
		t.Fatal(err)
	}
	k, failure := c.keysOf(attls.RoleServer)
	if failure != nil {
		t.Fatal(failure)
	}
	request := unhex(t, fizzRequest)
	finished := message.Finished{VerifyData: c.mac(k, c.emptyTranscript(k, request, context))}
	if got := finished.Append(nil); !bytes.Equal(got, unhex(t, fizzEmpty)) {
		t.Errorf("the empty authenticator is %x", got)
	}
	// A Certificate without entries, and a signature that is the word "signature".
	verify := message.CertificateVerify{Scheme: attls.ECDSA_SECP256R1_SHA256, Signature: []byte("signature")}
	out := writer{transcript: c.suite.New()}
	for _, b := range [][]byte{k.context, request, emptyCertificate(nil), verify.Append(nil)} {
		out.octets = b
		out.add(0)
	}
	if got := c.mac(k, out.transcript.Sum(nil)); !bytes.Equal(got, unhex(t, fizzFinished)) {
		t.Errorf("verify_data is %x", got)
	}
	c.open = []*asked{{context: context, raw: request}}
	if _, err := c.Open(unhex(t, fizzEmpty)); !Refused(err) || c.Outstanding() != 0 {
		t.Errorf("the empty authenticator: %v", err)
	}
}
