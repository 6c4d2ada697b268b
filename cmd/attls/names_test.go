package main

import (
	"crypto/tls"
	"strings"
	"testing"
)

// TestTargets reads what a user may write for a peer.
func TestTargets(t *testing.T) {
	for address, want := range map[string]target{
		"localhost":             {"localhost:4433", "localhost"},
		"localhost:1":           {"localhost:1", "localhost"},
		"localhost:":            {"localhost:4433", "localhost"},
		":1":                    {"localhost:1", "localhost"},
		"example.com.:443":      {"example.com.:443", "example.com."},
		"192.0.2.1":             {"192.0.2.1:4433", "192.0.2.1"},
		"::1":                   {"[::1]:4433", "::1"},
		"[::1]":                 {"[::1]:4433", "::1"},
		"[::1]:443":             {"[::1]:443", "::1"},
		"[fe80::1%eth0]:443":    {"[fe80::1%eth0]:443", "fe80::1"},
		"fe80::1%eth0":          {"[fe80::1%eth0]:4433", "fe80::1"},
		"bücher.example:443":    {"xn--bcher-kva.example:443", "xn--bcher-kva.example"},
		"BÜCHER.example":        {"xn--bcher-kva.example:4433", "xn--bcher-kva.example"},
		"例え。テスト":                {"xn--r8jz45g.xn--zckzah:4433", "xn--r8jz45g.xn--zckzah"},
		"xn--bcher-kva.example": {"xn--bcher-kva.example:4433", "xn--bcher-kva.example"},
	} {
		if got, err := parseTarget(address); err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", address, got, err, want)
		}
	}
	for _, address := range []string{"a\u202eb.example", "é\x00", "\xff\xfe.example", "ü" + strings.Repeat("a", 70) + ".example", ".", "a..b", "localhost..:1", strings.Repeat("a.", 130) + "b"} {
		code, _, stderr := command(t, "client", "--profile", "none", address)
		if code != exitUsage || !strings.Contains(stderr, "host") && !strings.Contains(stderr, "label") {
			t.Errorf("%q: exit code %d, %s", address, code, stderr)
		}
		if code, _, stderr = command(t, "client", "--profile", "none", "--servername", address, "localhost:1"); code != exitUsage {
			t.Errorf("--servername %q: exit code %d, %s", address, code, stderr)
		}
	}
	for name, want := range map[string]bool{"localhost": true, "localhost.": true, "::1": true, "127.8.8.8": true, "::ffff:127.0.0.1": true, "192.0.2.1": false, "localhost.example": false} {
		if local(name) != want {
			t.Errorf("%s: local is %v", name, !want)
		}
	}
}

// TestTrailingDot: a server of crypto/tls refuses a name with a dot at its end.
func TestTrailingDot(t *testing.T) {
	names := make(chan string, 2)
	address := other(t, func(c *tls.Conn) { names <- c.ConnectionState().ServerName; c.Close() })
	port := strings.TrimPrefix(address, "localhost")
	for _, args := range [][]string{{"localhost." + port}, {"--servername", "localhost.", "127.0.0.1" + port}} {
		if code, _, stderr := command(t, append([]string{"client", "-q", "--profile", "none"}, args...)...); code != exitOK {
			t.Fatalf("%v: exit code %d, %s", args, code, stderr)
		}
		if name := <-names; name != "localhost" {
			t.Errorf("%v: server_name is %q", args, name)
		}
	}
}
