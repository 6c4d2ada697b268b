package message

import (
	"bytes"
	"testing"

	"attls"
)

// TestMessagesComeBackAsTheyWereWritten: what Append writes has a header that ParseRaw
// takes, and reads as what was written.
func TestMessagesComeBackAsTheyWereWritten(t *testing.T) {
	compressed := CompressedCertificate{Algorithm: 2, UncompressedLength: 70000, Compressed: []byte("small")}
	verify := CertificateVerify{Scheme: attls.ED25519, Signature: []byte("signature")}
	finished := Finished{VerifyData: []byte("mac")}
	for kind, test := range map[attls.MessageKind]struct {
		raw  []byte
		same func(body []byte) (bool, *attls.Error)
	}{
		attls.KindCompressedCertificate: {compressed.Append(nil), func(body []byte) (bool, *attls.Error) {
			var m CompressedCertificate
			err := m.Unmarshal(body)
			return m.Algorithm == compressed.Algorithm && m.UncompressedLength == compressed.UncompressedLength &&
				bytes.Equal(m.Compressed, compressed.Compressed), err
		}},
		attls.KindCertificateVerify: {verify.Append(nil), func(body []byte) (bool, *attls.Error) {
			var m CertificateVerify
			err := m.Unmarshal(body)
			return m.Scheme == verify.Scheme && bytes.Equal(m.Signature, verify.Signature), err
		}},
		attls.KindFinished: {finished.Append(nil), func(body []byte) (bool, *attls.Error) {
			var m Finished
			err := m.Unmarshal(body)
			return bytes.Equal(m.VerifyData, finished.VerifyData), err
		}},
		attls.KindEndOfEarlyData: {EndOfEarlyData{}.Append(nil), func(body []byte) (bool, *attls.Error) { return len(body) == 0, nil }},
	} {
		t.Run(kind.String(), func(t *testing.T) {
			m, err := ParseRaw(test.raw)
			if err != nil || m.Kind != kind {
				t.Fatalf("%v, %v", m.Kind, err)
			}
			if same, err := test.same(m.Body()); !same || err != nil {
				t.Errorf("reads differently, %v", err)
			}
			for _, length := range []int{0, headerLen - 1, len(test.raw) - 1} {
				if _, err := ParseRaw(test.raw[:length]); length < len(test.raw) && err == nil {
					t.Errorf("%d octets of it are a message", length)
				}
			}
		})
	}
}

// TestHelloRetryRequestIsToldByItsRandom: RFC 8446 section 4.1.3.
func TestHelloRetryRequestIsToldByItsRandom(t *testing.T) {
	retry := append([]byte{byte(attls.TypeServerHello), 0, 0, 34, 3, 3}, HelloRetryRequestRandom[:]...)
	if m, err := ParseRaw(retry); err != nil || m.Kind != attls.KindHelloRetryRequest {
		t.Errorf("%v, %v", m.Kind, err)
	}
	retry[len(retry)-1] ^= 1
	if m, err := ParseRaw(retry); err != nil || m.Kind != attls.KindServerHello {
		t.Errorf("with another random %v, %v", m.Kind, err)
	}
}

// TestEndWritesTheLengthFromItsMark: a message may stand behind others.
func TestEndWritesTheLengthFromItsMark(t *testing.T) {
	b, mark := Begin([]byte("before"), attls.TypeFinished)
	b = End(append(b, make([]byte, 0x010203)...), mark)
	if head := b[len("before"):][:headerLen]; !bytes.Equal(head, []byte{byte(attls.TypeFinished), 1, 2, 3}) {
		t.Errorf("header %x", head)
	}
}

// TestOverlongIsOneOctetTooMany for each type whose grammar has an end.
func TestOverlongIsOneOctetTooMany(t *testing.T) {
	for kind, limit := range longest {
		if err := Overlong(byte(kind), limit); err != nil {
			t.Errorf("%v of %d octets: %v", kind, limit, err)
		}
		if err := Overlong(byte(kind), limit+1); err == nil || err.Failure != attls.FailDecode {
			t.Errorf("%v of %d octets: %v", kind, limit+1, err)
		}
	}
	if err := Overlong(0xfe, 1<<24-1); err != nil {
		t.Errorf("an unknown type: %v", err)
	}
}
