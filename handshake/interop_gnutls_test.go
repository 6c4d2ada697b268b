package handshake_test

import (
	"encoding/hex"
	"net"
	"testing"

	"attls"
	"attls/handshake"
)

// gnutls is gnutls-cli and gnutls-serv. The server is in its echo mode.
type gnutls struct{}

func TestGnuTLS(t *testing.T) { testStack(t, gnutls{}) }

var gnutlsSuites = map[attls.CipherSuite]string{attls.TLS_AES_128_GCM_SHA256: "AES-128-GCM", attls.TLS_AES_256_GCM_SHA384: "AES-256-GCM",
	attls.TLS_CHACHA20_POLY1305_SHA256: "CHACHA20-POLY1305", attls.TLS_AES_128_CCM_SHA256: "AES-128-CCM", attls.TLS_AES_128_CCM_8_SHA256: "AES-128-CCM-8"}

var gnutlsGroups = map[attls.NamedGroup]string{attls.GroupX25519: "X25519", attls.GroupSecp256r1: "SECP256R1",
	attls.GroupSecp384r1: "SECP384R1", attls.GroupSecp521r1: "SECP521R1"}

func (gnutls) lacks(w *wish, theirs attls.Role) string {
	switch {
	case w.asked && theirs == attls.RoleServer:
		return "gnutls-serv has no command for KeyUpdate"
	case w.rejected && !w.retry && theirs == attls.RoleServer:
		return "gnutls-serv cannot announce early data and refuse it"
	case w.early && w.retry && !w.learned:
		return "neither end of GnuTLS goes on when HelloRetryRequest refuses early data, not with openssl either"
	case w.later && w.resume && theirs == attls.RoleClient:
		return "gnutls-cli leaves the first connection before it could be asked"
	}
	return ""
}

// priority is the priority string of a wish.
func (gnutls) priority(m *encounter) string {
	p := "NORMAL:-VERS-ALL:+VERS-TLS1.3"
	if m.suite != 0 {
		p += ":-CIPHER-ALL:+" + gnutlsSuites[m.suite]
	}
	switch {
	case m.group != 0:
		p += ":-GROUP-ALL:+GROUP-" + gnutlsGroups[m.group]
	case m.retry && m.role == attls.RoleClient:
		p += ":-GROUP-ALL:+GROUP-SECP384R1"
	case m.retry:
		p += ":-GROUP-ALL:+GROUP-X25519:+GROUP-SECP384R1"
	}
	if m.raw {
		p += ":-CTYPE-SRV-ALL:+CTYPE-SRV-RAWPK"
		if m.mutual {
			p += ":-CTYPE-CLI-ALL:+CTYPE-CLI-RAWPK"
		}
	}
	if m.external {
		p += ":-KX-ALL:+ECDHE-PSK"
	}
	return p
}

// args are the arguments that both programs understand.
func (g gnutls) args(m *encounter) []string {
	args := []string{"--priority", g.priority(m), "--x509cafile", m.anchor()}
	if m.theirs != nil {
		cert, key := m.theirs.files(m.t)
		if m.raw {
			args = append(args, "--rawpkfile", m.file("key.pub", pemBlock("PUBLIC KEY", m.theirs.cert.RawSubjectPublicKeyInfo)), "--rawpkkeyfile", key)
		} else {
			args = append(args, "--x509certfile", cert, "--x509keyfile", key)
		}
	}
	if m.limit != 0 {
		args = append(args, "--recordsize", "1024")
	}
	return args
}

func (g gnutls) serve(m *encounter) string {
	args := append(g.args(m), "--echo")
	switch {
	case m.mutual:
		args = append(args, "--require-client-cert")
	default:
		args = append(args, "--disable-client-cert")
	}
	if m.early {
		args = append(args, "--earlydata", "--maxearlydata", "1024")
	}
	if m.external {
		args = append(args, "--pskpasswd", m.file("keys", []byte(string(externalKey.Identity)+":"+hex.EncodeToString(externalKey.Secret)+"\n")))
	}
	return m.serveAt("gnutls-serv", `listening on IPv4 .*\.\.\.done`, `bind\(\) failed`, func(port string) []string { return append(args, "--port", port) })
}

func (g gnutls) ask(m *encounter, address string, connection int) {
	if connection > 0 {
		return // one program makes both connections
	}
	_, port, _ := net.SplitHostPort(address)
	args := append(g.args(m), "--port", port, "--sni-hostname", "server", "--verify-hostname", "server")
	if m.raw {
		args = append(args, "--insecure") // it knows no other way to accept a raw public key
	}
	if m.retry {
		args = append(args, "--single-key-share")
	}
	if m.resume {
		args = append(args, "--resume", "--waitresumption")
	}
	if m.early {
		args = append(args, "--earlydata", m.file("early", []byte(earlyLine)))
	}
	if m.later {
		args = append(args, "--post-handshake-auth")
	}
	if m.asked {
		args = append(args, "--inline-commands")
	}
	if m.external {
		args = append(args, "--pskusername", string(externalKey.Identity), "--pskkey", hex.EncodeToString(externalKey.Secret))
	}
	m.program("gnutls-cli", append(args, "127.0.0.1")...)
}

func (gnutls) talk(m *encounter, c *handshake.Conn, connection int) {
	m.t.Helper()
	first := connection == 0
	switch {
	case m.role == attls.RoleServer && m.resume && first: // it closes by itself once it has a ticket
		if n, err := c.Read(make([]byte, 1)); n != 0 {
			m.failed("%d octets, %v", n, err)
		}
		return
	case m.role == attls.RoleServer:
		if m.later {
			m.authenticateLater(c)
		}
		if m.asked {
			m.peer.say("^rekey^")
		}
		m.typed(c, "a line")
		return
	case m.later && first: // no data may follow before gnutls-serv has the answer
		m.send(c, "**REAUTH**\n")
		m.expect(c, "Successfully executed command\n")
	}
	m.send(c, m.line()+"\n")
	m.expect(c, m.line()+"\n")
}

func (gnutls) says(w *wish, theirs attls.Role) []string {
	var list []string
	add := func(when bool, pattern string) {
		if when {
			list = append(list, pattern)
		}
	}
	server := theirs == attls.RoleServer
	add(w.resume, `This is a resumed session`)
	add(!server && (w.mutual || w.later), `Successfully sent 1 certificate`)
	add(server && w.mutual && !w.raw, `Subject: CN=client`)
	add(w.raw, `Raw Public Key`)
	add(w.external, `Connected as 'attls'`)
	add(w.suite != 0, `\(`+gnutlsSuites[w.suite]+`\)`)
	return list
}
