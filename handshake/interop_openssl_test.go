package handshake_test

import (
	"encoding/hex"
	"io"
	"path/filepath"
	"testing"

	"attls"
	"attls/handshake"
)

// openssl is s_client and s_server. TestOpenSSL has the rest of what they share
// with us.
type openssl struct{}

func TestOpenSSLSessions(t *testing.T) { testStack(t, openssl{}) }

var opensslGroups = map[attls.NamedGroup]string{attls.GroupX25519: "X25519", attls.GroupSecp256r1: "P-256", attls.GroupSecp384r1: "P-384",
	attls.GroupSecp521r1: "P-521"}

func (openssl) lacks(w *wish, theirs attls.Role) string {
	switch {
	case w.raw:
		return "openssl 3.0 has no raw public keys"
	case w.limit != 0:
		return "openssl has no record_size_limit"
	case w.early && w.retry && !w.learned && theirs == attls.RoleServer:
		return "s_server has forgotten a session for early data when the second ClientHello offers it, to s_client as well"
	case w.asked:
		return "TestOpenSSLKeyUpdate does it"
	}
	return ""
}

func (openssl) args(m *encounter) []string {
	args := []string{"-CAfile", m.anchor(), "-verify_return_error", "-tls1_3"}
	if m.theirs != nil {
		cert, key := m.theirs.files(m.t)
		args = append(args, "-cert", cert, "-key", key)
	}
	if m.suite != 0 {
		args = append(args, "-ciphersuites", m.suite.String())
	}
	switch {
	case m.group != 0:
		args = append(args, "-groups", opensslGroups[m.group])
	case m.retry && m.role == attls.RoleClient:
		args = append(args, "-groups", "P-384")
	case m.retry:
		args = append(args, "-groups", "X25519:P-384")
	}
	if m.external {
		args = append(args, "-psk", hex.EncodeToString(externalKey.Secret), "-psk_identity", string(externalKey.Identity))
	}
	return args
}

func (o openssl) serve(m *encounter) string {
	args := append(o.args(m), "-accept", "127.0.0.1:0")
	if m.mutual {
		args = append(args, "-Verify", "1")
	}
	if m.early {
		args = append(args, "-max_early_data", "1024")
		if !m.rejected {
			args = append(args, "-early_data")
		}
	}
	m.program("openssl", append([]string{"s_server"}, args...)...)
	return m.peer.await(`ACCEPT (127\.0\.0\.1:\d+)`)[1]
}

func (o openssl) ask(m *encounter, address string, connection int) {
	args := append(o.args(m), "-connect", address, "-servername", "server", "-verify_hostname", "server")
	session := filepath.Join(m.dir, "session")
	switch {
	case m.resume && connection == 0:
		args = append(args, "-sess_out", session)
	case m.resume:
		m.peer.exit() // which has written the session
		args = append(args, "-sess_in", session)
		if m.early {
			args = append(args, "-early_data", m.file("early", []byte(earlyLine)))
		}
	}
	if m.later {
		args = append(args, "-enable_pha")
	}
	m.program("openssl", append([]string{"s_client"}, args...)...)
}

func (openssl) talk(m *encounter, c *handshake.Conn, connection int) {
	m.t.Helper()
	if m.role == attls.RoleServer {
		if m.later && connection == 0 {
			m.authenticateLater(c)
		}
		m.typed(c, "a line")
		if m.update { // openssl answers with what it writes next
			m.typed(c, "another line")
		}
		return
	}
	m.send(c, "our line\n")
	m.peer.await("our line")
	done := make(chan struct{})
	go func() { // what is read lets us be asked
		defer close(done)
		got := make([]byte, len("their line\n"))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "their line\n" {
			m.t.Errorf("got %q, %v", got, err)
		}
	}()
	if m.later && connection == 0 {
		m.peer.say("c") // typed at once, the next line would be lost with it
		m.peer.await("depth=0 CN = client")
	}
	m.peer.say("their line")
	within(m.t, done, "their line")
}

func (openssl) says(w *wish, theirs attls.Role) []string {
	var list []string
	add := func(when bool, pattern string) {
		if when {
			list = append(list, pattern)
		}
	}
	server := theirs == attls.RoleServer
	add(!server && w.resume, `Reused, TLSv1.3`)
	add(!server && w.early && !w.rejected, `Early data was accepted`)
	add(!server && w.rejected, `Early data was rejected`)
	add(server && w.resume, `Reused session-id`)
	add(server && w.early && !w.rejected, `an early line`)
	add(server && (w.mutual || w.later), `depth=0 CN = client`)
	add(w.suite != 0, w.suite.String())
	return list
}
