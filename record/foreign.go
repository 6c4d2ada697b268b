package record

import (
	"bytes"
	"fmt"
)

// maxShown is how many octets of what is not TLS an error shows.
const maxShown = 32

// proxyV2 begins the binary header of the PROXY protocol, version 2.
const proxyV2 = "\r\n\r\n\x00\r\nQUIT\n"

// beginnings are how other protocols begin.
var beginnings = []struct{ prefix, name string }{
	{"PROXY", "the PROXY protocol: a proxy puts its header before the octets of TLS, and there is nobody to take it away"},
	{proxyV2,
		"the PROXY protocol, version 2: a proxy puts its header before the octets of TLS, and there is nobody to take it " +
			"away"},
	{"SSH-", "SSH"},
	{"HTTP/", "HTTP without TLS, a response"},
	{"GET ", "HTTP without TLS"}, {"POST ", "HTTP without TLS"}, {"PUT ", "HTTP without TLS"},
	{"HEAD ", "HTTP without TLS"},
	{"OPTIONS ", "HTTP without TLS"}, {"DELETE ", "HTTP without TLS"}, {"CONNECT ", "HTTP without TLS"},
	{"PATCH ", "HTTP without TLS"},
	{"PRI * HTTP/2", "HTTP/2 without TLS"},
	{"220 ", "SMTP or FTP without TLS"}, {"EHLO ", "SMTP without TLS"}, {"* OK", "IMAP without TLS"},
	{"+OK", "POP3 without TLS"},
}

// foreign says what octets look like that begin with no content type of TLS.
func foreign(in []byte) string {
	for _, b := range beginnings {
		n := min(len(in), len(b.prefix))
		if n >= 4 && string(in[:n]) == b.prefix[:n] || n >= 3 && n == len(b.prefix) && string(in[:n]) == b.prefix {
			return "it looks like " + b.name
		}
	}
	// SSLv2: two octets of length, the first bit set, then the type of CLIENT-HELLO
	// and a version (RFC 6101 appendix E).
	if len(in) >= 5 && in[0]&0x80 != 0 && in[2] == 1 && (in[3] == 3 || in[3] == 0 && in[4] == 2) {
		return "it looks like a ClientHello of SSLv2, which RFC 8446 appendix D.5 forbids"
	}
	shown := in[:min(len(in), maxShown)]
	if line, _, _ := bytes.Cut(shown, []byte("\r")); len(line) > 0 && printable(line) {
		return fmt.Sprintf("its octets begin with %q", line)
	}
	return ""
}
