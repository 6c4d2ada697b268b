package handshake_test

import (
	"errors"
	"strings"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/handshake"
)

// TestServerNames: a dot at the end is not sent and not compared, an address is not
// sent, and what is not the name of a host is refused before anything is sent.
func TestServerNames(t *testing.T) {
	long := strings.Repeat(strings.Repeat("a", 49)+".", 5)
	for name, want := range map[string]string{
		"localhost":           "localhost",
		"localhost.":          "localhost",
		"xn--bcher-kva.test.": "xn--bcher-kva.test",
		"_service.example":    "_service.example",
		"192.0.2.1":           "",
		"2001:db8::1":         "",
		"[2001:db8::1]":       "",
		"fe80::1%eth0":        "",
		"":                    "",
		long + "abc":          long + "abc",
		long + "abc.":         long + "abc",
	} {
		p, err := pair.New(direct(func(c, s *handshake.Config) { c.ServerName = name }))
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		p.Run()
		if got := p.Engine(attls.RoleServer).State().ServerName; got != want {
			t.Errorf("%q is sent as %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{".", "..", "a..b", ".a", "a..", long + "abcd", strings.Repeat("a", 64) + ".test", "bücher.test", "a b", "a\x00b", "a/b", "user@host", "host:443", "a\nb"} {
		err := (&handshake.Config{ServerName: name}).Check()
		var e *attls.Error
		if !errors.As(err, &e) || e.Failure != attls.FailConfiguration || e.Field != "Config.ServerName" {
			t.Errorf("%q: %v", name, err)
		}
	}
}
