package handshake

import (
	"net/netip"
	"strings"

	"attls"
)

// Lengths of a DNS name in octets, without the dot at its end (RFC 1035 section 2.3.4).
const (
	maxHostName = 253
	maxLabel    = 63
)

// isAddress reports whether a name is an IP literal, which is not sent as
// server_name (RFC 6066 section 3).
func isAddress(name string) bool {
	_, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]"))
	return err == nil
}

// checkServerName refuses a name that cannot be one of a host. Empty is none.
func checkServerName(name string) *attls.Error {
	bad := func(format string, args ...any) *attls.Error {
		return attls.Errorf(attls.Local, attls.FailConfiguration, format, args...).By("RFC 6066 3")
	}
	if name == "" || isAddress(name) {
		return nil
	}
	name = strings.TrimSuffix(name, ".")
	switch {
	case name == "":
		return bad("a dot alone is not the name of a host")
	case len(name) > maxHostName:
		return bad("%d octets are longer than a host name, which has at most %d", len(name), maxHostName)
	}
	for _, label := range strings.Split(name, ".") {
		switch {
		case label == "":
			return bad("%q has an empty label", name)
		case len(label) > maxLabel:
			return bad("the label %q has %d octets; the limit is %d", label, len(label), maxLabel)
		}
	}
	for i := range len(name) {
		switch b := name[i]; {
		case b >= 0x80:
			return bad("%q is not ASCII; the A-labels of the name (RFC 5890), which begin with \"xn--\", are needed", name)
		case b <= ' ' || b == 0x7f || strings.IndexByte("/:@%[]\\", b) >= 0:
			return bad("%q cannot be the name of a host: it holds %q", name, b)
		}
	}
	return nil
}
