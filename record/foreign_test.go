package record

import (
	"strings"
	"testing"

	"attls"
)

// TestForeign: the error of a connection that is not TLS says what it looks like,
// however the octets are divided.
func TestForeign(t *testing.T) {
	for octets, want := range map[string]string{
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n":                   "PROXY protocol",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c":                   "PROXY protocol, version 2",
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n":                        "HTTP without TLS",
		"HTTP/1.1 400 Bad Request\r\n":                             "HTTP",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                         "HTTP/2",
		"SSH-2.0-OpenSSH_9.2\r\n":                                  "SSH",
		"220 mail.example ESMTP\r\n":                               "SMTP",
		"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10\x01\x00\x80": "SSLv2",
		"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x01\x00\x80": "SSLv2",
		"what is this\r\n":                                         `begin with "what is this"`,
		"\x81\x82\x83\x84\x85\x86":                                 "content type 129",
	} {
		r := NewReader(Settings{})
		n := copy(r.Reserve(len(octets)), octets)
		r.Commit(n)
		_, _, err := r.Next()
		if err == nil || err.Failure != attls.FailUnexpectedRecord || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", octets, err, want)
		}
		r = NewReader(Settings{})
		for i := range len(octets) { // an octet at a time: less may be known
			copy(r.Reserve(1), octets[i:i+1])
			r.Commit(1)
			if _, _, err = r.Next(); err != nil {
				break
			}
		}
		if err == nil || err.Failure != attls.FailUnexpectedRecord {
			t.Errorf("%q an octet at a time: %v", octets, err)
		}
	}
}
