package handshake_test

import (
	"bytes"
	"testing"

	"attls"
	"attls/handshake"
	"attls/internal/seeds"
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

// TestParseSession reads every beginning of a session.
func TestParseSession(t *testing.T) {
	s := &handshake.Session{Identity: []byte("id"), Secret: []byte("secret"), ALPN: "attls", Attestation: &handshake.AttestedPeer{Status: "x"}}
	b := s.Marshal()
	for i := range b {
		if _, err := handshake.ParseSession(b[:i]); err == nil {
			t.Errorf("%d of %d octets are a session", i, len(b))
		}
	}
	if got, err := handshake.ParseSession(b); err != nil || !bytes.Equal(got.Marshal(), b) {
		t.Errorf("%+v, %v", got, err)
	}
}

// FuzzParseSession reads any octets as a session; what it takes, it writes again.
func FuzzParseSession(f *testing.F) {
	seeds.Add(f, func() {
		f.Add((&handshake.Session{}).Marshal())
		f.Add((&handshake.Session{Identity: []byte("id"), Secret: []byte("secret"), ALPN: "attls", Chain: [][]byte{{1}, {2, 3}},
			Attestation: &handshake.AttestedPeer{Status: "affirming"}}).Marshal())
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		seeds.Input(t, b)
		s, err := handshake.ParseSession(b)
		if err != nil {
			return
		}
		again, err := handshake.ParseSession(s.Marshal())
		if err != nil || !bytes.Equal(again.Marshal(), s.Marshal()) {
			t.Fatalf("%+v, then %+v, %v", s, again, err)
		}
	})
}
