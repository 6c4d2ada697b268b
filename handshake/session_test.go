package handshake_test

import (
	"testing"

	"attls"
	"attls/handshake"
)

// TestSessionVersion: the first octet of a stored session is its version, and what an
// unknown version means nobody knows.
func TestSessionVersion(t *testing.T) {
	b := (&handshake.Session{Identity: []byte("ticket"), Secret: make([]byte, 32), Suite: attls.TLS_AES_128_GCM_SHA256}).Marshal()
	own := b[0]
	if _, err := handshake.ParseSession(b); err != nil {
		t.Fatal(err)
	}
	for _, version := range []byte{0, 1, own + 1, own + 2, 0x7f, 0x80, 0xff} {
		b[0] = version
		if s, err := handshake.ParseSession(b); err == nil || err.Failure != attls.FailDecode || s != nil {
			t.Errorf("a session of version %d is read: %v", version, err)
		}
	}
}
