package handshake_test

import (
	"encoding/hex"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"attls"
	"attls/handshake"
)

// nss is tstclnt and selfserv of NSS. The server answers one request in a
// connection, and the client sends a request out of a file where it connects twice.
type nss struct {
	all       *testing.T
	databases map[*identity]string
}

func TestNSS(t *testing.T) { testStack(t, nss{t, map[*identity]string{}}) }

var nssSuites = map[attls.CipherSuite]string{attls.TLS_AES_128_GCM_SHA256: ":1301", attls.TLS_AES_256_GCM_SHA384: ":1302",
	attls.TLS_CHACHA20_POLY1305_SHA256: ":1303"}

var nssGroups = map[attls.NamedGroup]string{attls.GroupX25519: "x25519", attls.GroupSecp256r1: "P256", attls.GroupSecp384r1: "P384",
	attls.GroupSecp521r1: "P521"}

const nssRequest = "GET / HTTP/1.0\r\n\r\n"

func (nss) lacks(w *wish, theirs attls.Role) string {
	switch {
	case w.raw:
		return "NSS has no raw public keys"
	case w.asked:
		return "neither tstclnt nor selfserv has a command for KeyUpdate"
	case w.suite != 0 && nssSuites[w.suite] == "":
		return "NSS has no such suite"
	case w.limit != 0:
		return "tstclnt and selfserv do not announce record_size_limit"
	case w.early && !w.rejected && theirs == attls.RoleServer:
		return "selfserv refuses early data in its first seconds, as it cannot know what it took before"
	case w.later && w.resume && theirs == attls.RoleClient:
		return "tstclnt sends what is in its file and leaves before it could be asked"
	case w.suite != 0 && w.resume && theirs == attls.RoleClient:
		return "tstclnt has used up its list of suites when it connects again"
	case w.external && theirs == attls.RoleServer:
		return "selfserv does not use its external key, not even with tstclnt"
	}
	return ""
}

// database makes a certificate database for an identity, once, and returns its name.
func (n nss) database(m *encounter) string {
	t := m.t
	t.Helper()
	if dir, ok := n.databases[m.theirs]; ok {
		return dir
	}
	dir := "sql:" + n.all.TempDir()
	run := func(name string, args ...string) {
		t.Helper()
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skip(name + " is not installed")
		}
		if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	run("certutil", "-N", "-d", dir, "--empty-password")
	run("certutil", "-A", "-d", dir, "-n", "authority", "-t", "CT,C,", "-i", m.anchor())
	if m.theirs != nil {
		cert, key := m.theirs.files(t)
		bag := filepath.Join(m.dir, "own.p12")
		run("openssl", "pkcs12", "-export", "-in", cert, "-inkey", key, "-name", "own", "-passout", "pass:", "-out", bag)
		run("pk12util", "-i", bag, "-d", dir, "-W", "")
	}
	n.databases[m.theirs] = dir
	return dir
}

func (n nss) args(m *encounter) []string {
	args := []string{"-d", n.database(m), "-V", "tls1.3:tls1.3", "-v"}
	if !m.external {
		args = append(args, "-u")
	}
	if m.theirs != nil {
		args = append(args, "-n", "own")
	}
	if m.suite != 0 {
		args = append(args, "-c", nssSuites[m.suite])
	}
	switch {
	case m.group != 0:
		args = append(args, "-I", nssGroups[m.group])
	case m.retry && m.role == attls.RoleClient:
		args = append(args, "-I", "P384")
	case m.retry:
		args = append(args, "-I", "x25519,P384")
	}
	if m.early {
		args = append(args, "-Z")
	}
	if m.later {
		args = append(args, "-E")
	}
	if m.external {
		args = append(args, "-z", "0x"+hex.EncodeToString(externalKey.Secret)+":"+string(externalKey.Identity))
	}
	return args
}

func (n nss) serve(m *encounter) string {
	args := n.args(m)
	switch {
	case m.mutual:
		args = append(args, "-r", "-r")
	case m.later:
		args = append(args, "-r", "-r", "-r", "-r")
	}
	return m.serveAt("selfserv", `About to call accept`, `PR_Bind`, func(port string) []string { return append(args, "-p", port) })
}

func (n nss) ask(m *encounter, address string, connection int) {
	if connection > 0 {
		return // one program makes both connections
	}
	_, port, _ := net.SplitHostPort(address)
	args := append(n.args(m), "-h", "127.0.0.1", "-p", port, "-a", "server")
	if m.resume {
		args = append(args, "-L", "2", "-A", m.file("request", []byte(earlyLine)))
	}
	m.program("tstclnt", args...)
}

func (nss) talk(m *encounter, c *handshake.Conn, connection int) {
	m.t.Helper()
	switch {
	case m.role == attls.RoleClient:
		m.send(c, nssRequest)
		answer, err := io.ReadAll(c)
		if err != nil || !strings.Contains(string(answer), "200 OK") {
			m.failed("got %q, %v", answer, err)
		}
	case m.resume:
		if connection == 0 || !m.early || m.rejected {
			m.expect(c, earlyLine)
		}
		m.send(c, "a line\n")
	case m.external: // tstclnt ends when the server has shown no certificate
	default:
		if m.later {
			m.authenticateLater(c)
		}
		m.typed(c, "a line")
		if m.update { // NSS answers with what it writes next
			m.typed(c, "another line")
		}
	}
}

func (nss) says(w *wish, theirs attls.Role) []string {
	var list []string
	add := func(when bool, pattern string) {
		if when {
			list = append(list, pattern)
		}
	}
	server := theirs == attls.RoleServer
	add(server && w.resume, `1 stateless resumes`)
	add(server && (w.mutual || w.later), `Subject: CN=client\n.*\n.*Certificate Validated`)
	add(!server && w.resume, `1 cache hits`)
	// tstclnt says "Early data rejected" only when it has written some before our
	// answer came, which is a matter of time; our side knows in either case.
	add(!server && w.external, `Signature Scheme: none`)
	return list
}
