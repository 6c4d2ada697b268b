package handshake_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"attls"
	"attls/handshake"
)

// keyLogLine is a line of a key log as RFC 9850 section 2 has it: three values
// and single spaces.
var keyLogLine = regexp.MustCompile(`^([A-Z0-9_]+) ([0-9a-f]{64}) ((?:[0-9a-f]{2}){32,48})$`)

// logged runs a handshake over TCP and returns the secrets in the key log of an
// end by their labels, and the random that the lines have.
func logged(t *testing.T, role attls.Role, client, server *handshake.Config, trust handshake.Trust) (map[string]string, string) {
	t.Helper()
	var log bytes.Buffer
	[]*handshake.Config{client, server}[role].KeyLog = &log
	a, b := loopback(t)
	c, s := conns(t, a, b, client, server, &handshake.Answerer{Trust: trust}, trusting("server"))
	both(c, s)
	secrets, random := map[string]string{}, ""
	for _, line := range strings.SplitAfter(log.String(), "\n") {
		if line == "" {
			continue
		}
		m := keyLogLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil || !strings.HasSuffix(line, "\n") || random != "" && m[2] != random || secrets[m[1]] != "" {
			t.Fatalf("the line %q in\n%s", line, &log)
		}
		random, secrets[m[1]] = m[2], m[3]
	}
	if client := hex.EncodeToString(c.ConnectionState().ClientRandom); random != client {
		t.Errorf("the log has the random %s, ClientHello %s", random, client)
	}
	return secrets, random
}

// TestKeyLog: both ends log the same secrets under the registered labels, each
// once, in ASCII and without a byte order mark, whatever the cipher suite, and
// after a HelloRetryRequest as well (RFC 9850 sections 2 and 2.1).
func TestKeyLog(t *testing.T) {
	want := []string{"CLIENT_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0", "EXPORTER_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0"}
	for name, test := range map[string]struct {
		suite attls.CipherSuite
		retry bool
		size  int // octets of a secret
	}{
		"SHA-256":           {attls.TLS_AES_128_GCM_SHA256, false, 32},
		"SHA-384":           {attls.TLS_AES_256_GCM_SHA384, false, 48},
		"HelloRetryRequest": {attls.TLS_AES_128_GCM_SHA256, true, 32},
	} {
		t.Run(name, func(t *testing.T) {
			for _, role := range []attls.Role{attls.RoleClient, attls.RoleServer} {
				suites := []attls.CipherSuite{test.suite}
				secrets, _ := logged(t, role, &handshake.Config{CipherSuites: suites},
					&handshake.Config{CipherSuites: suites, Retry: handshake.Retry{Always: test.retry}}, handshake.Trust{InsecureSkipVerify: true})
				if got := slices.Sorted(maps.Keys(secrets)); !slices.Equal(got, want) {
					t.Errorf("the %v logs %q", role, got)
				}
				for label, secret := range secrets {
					if len(secret) != 2*test.size {
						t.Errorf("%s has %d digits", label, len(secret))
					}
				}
			}
		})
	}
}

// TestKeyLogOfAFailedHandshake: a secret is logged when it is derived, so that
// what was sent can be read although the handshake fails (RFC 9850 section 2).
func TestKeyLogOfAFailedHandshake(t *testing.T) {
	for _, role := range []attls.Role{attls.RoleClient, attls.RoleServer} {
		secrets, _ := logged(t, role, &handshake.Config{}, &handshake.Config{}, handshake.Trust{AnyName: true})
		if secrets["SERVER_HANDSHAKE_TRAFFIC_SECRET"] == "" || secrets["CLIENT_HANDSHAKE_TRAFFIC_SECRET"] == "" {
			t.Errorf("the %v logs %v", role, secrets)
		}
		if _, late := secrets["CLIENT_TRAFFIC_SECRET_0"]; late && role == attls.RoleClient {
			t.Errorf("the client, which refuses the certificate, logs %v", secrets)
		}
	}
}

// TestKeyLogOfEarlyData: the early secrets are logged where early data is sent,
// and not by a server that rejects it (RFC 9850 section 2.1).
func TestKeyLogOfEarlyData(t *testing.T) {
	early := []string{"CLIENT_EARLY_TRAFFIC_SECRET ", "EARLY_EXPORTER_SECRET "}
	a := &again{}
	for _, accepts := range []bool{true, false} {
		a.servers.EarlyData = nil
		if accepts {
			a.servers.EarlyData = func(*handshake.EarlyDataRequest) bool { return true }
		}
		a.connect(t, "", nil)
		var client, server bytes.Buffer
		a.connect(t, "early", func(c, s *handshake.Config) { c.KeyLog, s.KeyLog = &client, &server })
		for _, label := range early {
			if n := strings.Count(client.String(), label); n != 1 {
				t.Errorf("accepted: %v; the client logs %s%d times", accepts, label, n)
			}
			if logs := strings.Contains(server.String(), label); logs != accepts {
				t.Errorf("accepted: %v; the server logs %s: %v", accepts, label, logs)
			}
		}
	}
}

// unwritable is a key log that nothing can be written to.
type unwritable struct{}

func (unwritable) Write([]byte) (int, error) { return 0, errors.New("no space left") }

// TestUnwritableKeyLog ends no connection.
func TestUnwritableKeyLog(t *testing.T) {
	a, b := loopback(t)
	c, s := conns(t, a, b, &handshake.Config{KeyLog: unwritable{}}, &handshake.Config{KeyLog: unwritable{}}, trusting(""), trusting("server"))
	if ce, se := both(c, s); ce != nil || se != nil {
		t.Errorf("%v, %v", ce, se)
	}
}
