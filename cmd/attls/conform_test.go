package main

import (
	"strings"
	"testing"
)

// TestConformPeers: a stack's cases are those in which it is the client or the
// server, and a name that no stack has is a wrong flag.
func TestConformPeers(t *testing.T) {
	for _, test := range []struct {
		args []string
		ends []string // of which each case has one
	}{
		{[]string{"--peer", "crypto/tls"}, []string{"crypto/tls"}},
		{[]string{"--peer", "crypto/tls,mbedtls"}, []string{"crypto/tls", "mbedtls"}},
		{[]string{"--peer", "crypto/tls", "--peer", "mbedtls", "--full"}, []string{"crypto/tls", "mbedtls"}},
	} {
		code, stdout, stderr := command(t, append([]string{"conform", "--list"}, test.args...)...)
		if code != exitOK {
			t.Fatalf("%v: exit code %d, %s", test.args, code, stderr)
		}
		clients, servers := 0, 0
		for line := range strings.Lines(stdout) {
			client, rest, _ := strings.Cut(line, ">")
			found := false
			for _, end := range test.ends {
				if client == end {
					clients, found = clients+1, true
				}
				if strings.HasPrefix(rest, end+"/") {
					servers, found = servers+1, true
				}
			}
			if !found {
				t.Errorf("%v lists %s", test.args, line)
			}
		}
		if clients == 0 || servers == 0 {
			t.Errorf("%v: %d cases as client, %d as server", test.args, clients, servers)
		}
	}
	code, _, stderr := command(t, "conform", "--peer", "crypto/tls,nobody")
	if code != exitUsage || !strings.Contains(stderr, `no peer is called "nobody"; there are attls, `) || !strings.Contains(stderr, "mbedtls") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

// TestConformListPeers: every stack has a line, with its version or the reason
// why it is missing.
func TestConformListPeers(t *testing.T) {
	t.Setenv("ATTLS_MBEDTLS_PEER", "/nonexistent/mbedtls-peer")
	code, stdout, stderr := command(t, "conform", "--list-peers")
	for _, want := range []string{"attls ", "crypto/tls     go1", "mbedtls        not here: ", "/nonexistent/mbedtls-peer"} {
		if code != exitOK || !strings.Contains(stdout, want) {
			t.Errorf("exit code %d: %q lacks %q; %s", code, stdout, want, stderr)
		}
	}
}
