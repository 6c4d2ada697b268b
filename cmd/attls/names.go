package main

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// target is the peer of a client as its user wrote it.
type target struct {
	dial string // for the network: with the zone of an address
	name string // for server_name and the certificate; an IP address without its zone
}

// parseTarget reads HOST[:PORT]; addresses of IPv6 may be in brackets.
func parseTarget(address string) (target, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(address, "["), "]"), ""
	}
	if address == "" {
		return target{}, usage("the address of the server is empty; leave it out for localhost:%d", defaultPort)
	}
	if port == "" {
		port = strconv.Itoa(defaultPort)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return target{}, usage("%q: %q is not a port; 1 to 65535 are possible", address, port)
	}
	if host == "" {
		host = "localhost"
	}
	name, err := hostName(host)
	if err != nil {
		return target{}, err
	}
	dial := name
	if _, err := netip.ParseAddr(host); err == nil {
		dial = host
	} else if local(name) {
		dial = "localhost" // no resolver is asked, which might not know "localhost."
	}
	return target{net.JoinHostPort(dial, port), name}, nil
}

// hostName is a name as it is sent and compared: in A-labels where it is outside
// ASCII (RFC 5891), or an IP address without a zone, which means something on this
// machine only.
func hostName(host string) (string, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.WithZone("").String(), nil
	}
	if strings.IndexFunc(host, func(r rune) bool { return r >= 0x80 }) < 0 {
		return host, nil
	}
	if !utf8.ValidString(host) {
		return "", usage("%q is not the name of a host: it is not UTF-8", host)
	}
	name, err := idna.Lookup.ToASCII(host)
	if err != nil {
		return "", usage("%q is not the name of a host: %v", host, err)
	}
	return name, nil
}

// local reports whether a name of hostName is this machine's for certain.
func local(name string) bool {
	a, err := netip.ParseAddr(name)
	return strings.EqualFold(strings.TrimSuffix(name, "."), "localhost") || err == nil && a.Unmap().IsLoopback()
}
