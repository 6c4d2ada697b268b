package peers

import (
	"context"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/handshake"
	"attls/internal/console"
)

// OpenSSL is the program openssl, as s_client and s_server.
type OpenSSL struct {
	name    string
	path    string
	version func() (text string, number int)
}

// FindOpenSSL returns the path of another openssl than the system's: the one that
// ATTLS_OPENSSL names, or the one that conformance/openssl/fetch.sh has fetched;
// empty if there is none.
func FindOpenSSL() string {
	if path := os.Getenv("ATTLS_OPENSSL"); path != "" {
		return path
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	path := filepath.Join(cache, "attls", "openssl", "trixie", "openssl")
	if modified(path).IsZero() {
		return ""
	}
	return path
}

// nextOpenSSL is the name of an openssl beside the system's that is missing.
const nextOpenSSL = "openssl-3.5"

// NextOpenSSL makes a peer of an openssl other than the system's, named after its
// version.
func NextOpenSSL(path string) *OpenSSL {
	o := NewOpenSSL(nextOpenSSL, path)
	if _, number := o.version(); path != "" && number > 0 {
		o.name = fmt.Sprintf("openssl-%d.%d", number/100, number%100)
	}
	return o
}

// NewOpenSSL makes a peer of a program; path may be that of a script that runs it.
func NewOpenSSL(name, path string) *OpenSSL {
	return &OpenSSL{name: name, path: path, version: sync.OnceValues(func() (string, int) {
		text, err := versionOf(context.Background(), path, "version")
		if err != nil {
			return "", 0
		}
		return text, opensslNumber(text)
	})}
}

var opensslVersion = regexp.MustCompile(`^OpenSSL (\d+)\.(\d+)`)

// opensslNumber is 305 for version 3.5; 0 when the text is of another program.
func opensslNumber(text string) int {
	m := opensslVersion.FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	return 100*major + minor
}

// The versions that brought something.
const (
	opensslFirst       = 300 // all that is asked of it here
	opensslCompression = 302 // of certificates
	opensslRawKeys     = 302
	opensslMLKEM       = 305 // ML-KEM and its hybrids
)

// Name implements Peer: it is what grids, pages and flags call the stack.
func (o *OpenSSL) Name() string { return o.name }

// Missing implements Peer.
func (o *OpenSSL) Missing() string {
	if o.path == "" {
		return "conformance/openssl/fetch.sh has not fetched another openssl"
	}
	if reason := missingProgram(o.path, o.name); reason != "" {
		return reason
	}
	if text, number := o.version(); number < opensslFirst {
		return fmt.Sprintf("%s is not OpenSSL 3 (it says %q)", o.path, text)
	}
	return ""
}

// Identify implements Identifier.
func (o *OpenSSL) Identify(ctx context.Context) (version, where string, err error) {
	version, err = versionOf(ctx, o.path, "version")
	return version, o.path, err
}

var hybrids = []string{"X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024"}

// Limit implements Peer.
func (o *OpenSSL) Limit(s *scenario.Scenario, r attls.Role) string {
	_, number := o.version()
	switch {
	case s.Profile != "":
		return "openssl has no extensions of applications with a content of their own"
	case s.Resumption != "":
		return adapterLimit
	case s.RawPublicKeys && number > 0 && number < opensslRawKeys:
		return "OpenSSL has no raw public keys before 3.2"
	case number > 0 && number < opensslMLKEM && slices.Contains(hybrids, s.Group):
		return "OpenSSL has no ML-KEM before 3.5"
	case s.Cookie && r == attls.RoleServer:
		return "s_server sends a cookie only with -stateless, which fails over TCP"
	}
	return ""
}

// Start implements Peer.
func (o *OpenSSL) Start(ctx context.Context, t *Task) (Process, error) {
	messages := filepath.Join(t.Directory, t.Role.String()+"-messages")
	args, err := o.arguments(t, messages)
	if err != nil {
		return nil, err
	}
	p, err := console.Start(ctx, nil, o.path, args...)
	if err != nil {
		return nil, err
	}
	address, talk := "", conversation(ask)
	if t.Role == attls.RoleServer {
		talk = answer
		if address, err = listensAt(ctx, p, regexp.MustCompile(`ACCEPT (127\.0\.0\.1:\d+)`)); err != nil {
			return nil, err
		}
	}
	text, _ := o.version()
	return follow(ctx, p, address, talk, func(printed string) (claims.Claims, error) {
		c := newClaims(o.name, text, t.Role)
		return c, readOpenSSL(&c, t.Role, printed, messages)
	}), nil
}

// listensAt waits until a server says where it listens.
func listensAt(ctx context.Context, p *console.Program, pattern *regexp.Regexp) (string, error) {
	m, err := p.Await(ctx, pattern)
	if err != nil {
		p.Stop()
		return "", fmt.Errorf("it did not listen: %w: %s", err, p.Printed())
	}
	return m[1], nil
}

func (o *OpenSSL) arguments(t *Task, messages string) ([]string, error) {
	s := &t.Scenario
	trust, err := opensslTrust(t)
	if err != nil {
		return nil, err
	}
	args := []string{"s_client", "-connect", t.Address, "-servername", serverName}
	if t.Role == attls.RoleServer {
		args = []string{"s_server", "-accept", "127.0.0.1:0", "-naccept", "1"}
		if s.ClientCertificate {
			args = append(args, "-Verify", "1")
		}
	}
	args = append(append(args, trust...), "-tls1_3", "-cert", t.certificate(), "-key", t.key(), "-keylogfile", t.keyLog(),
		"-msg", "-msgfile", messages, "-keymatexport", claims.ExporterLabel, "-keymatexportlen",
		strconv.Itoa(claims.ExporterSize))
	if _, number := o.version(); number >= opensslCompression {
		// so that we can read the Certificate messages that it shows
		args = append(args, "-no_tx_cert_comp", "-no_rx_cert_comp")
	}
	if s.Suite != "" {
		args = append(args, "-ciphersuites", s.Suite)
		if s.Suite == attls.TLS_AES_128_CCM_8_SHA256.String() { // too weak for any other level
			args = append(args, "-cipher", "DEFAULT:@SECLEVEL=0")
		}
	}
	if g := groups(s, t.Role); g != nil {
		args = append(args, "-groups", strings.Join(g, ":"))
	}
	if s.ALPN != "" {
		args = append(args, "-alpn", s.ALPN)
	}
	return args, nil
}

// opensslTrust says how an end verifies the other. s_client takes a raw public key
// that a TLSA record names (RFC 7671 section 5.1); s_server verifies none.
func opensslTrust(t *Task) ([]string, error) {
	if !t.Scenario.RawPublicKeys {
		args := []string{"-CAfile", t.authority(), "-verify_return_error"}
		if t.Role == attls.RoleClient {
			args = append(args, "-verify_hostname", serverName)
		}
		return args, nil
	}
	args := []string{"-enable_server_rpk"}
	if t.Scenario.ClientCertificate {
		args = append(args, "-enable_client_rpk")
	}
	if t.Role == attls.RoleServer {
		return args, nil
	}
	blob, err := os.ReadFile(t.peerKey())
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(blob)
	if block == nil {
		return nil, fmt.Errorf("%s holds no key", t.peerKey())
	}
	return append(args, "-verify_return_error", "-dane_tlsa_domain", serverName, "-dane_tlsa_rrdata",
		"3 1 1 "+keyName(block.Bytes)), nil
}

// What openssl says in words, a server and a client with different ones.
var (
	opensslSuite    = regexp.MustCompile(`(?:CIPHER is|Cipher is) (TLS_\w+)`)
	opensslALPN     = regexp.MustCompile(`(?:ALPN protocol:|ALPN protocols selected:) (\S+)`)
	opensslGroup    = regexp.MustCompile(`(?:Negotiated TLS1\.3 group: |Server Temp Key: (?:ECDH, )?)(\w+)`)
	opensslExported = regexp.MustCompile(`Keying material: ([0-9A-F]+)`)
	opensslError    = regexp.MustCompile(`(?m)^[0-9A-F]+:(error:.*)$`)
)

// readOpenSSL makes claims of what openssl printed, and of the messages that it
// wrote to a file.
func readOpenSSL(c *claims.Claims, role attls.Role, printed, messages string) error {
	seen := &shown{role: role}
	if err := seen.readOpenSSL(messages); err != nil {
		return err
	}
	seen.claim(c)
	c.Exporter = strings.ToLower(said(printed, opensslExported))
	c.Unclaimed = []string{"transcript_hash"}
	if complaint := said(printed, opensslError); complaint != "" {
		fail(c, errors.New(complaint))
	} else if !seen.closed[handshake.Sent] {
		fail(c, errors.New("it did not send close_notify"))
	}
	group := said(printed, opensslGroup)
	if group == "prime256v1" { // as X9.62 calls it
		group = attls.GroupSecp256r1.String()
	}
	return errors.Join(settle("suite", &c.Suite, said(printed, opensslSuite)),
		settle("application protocol", &c.ALPN, said(printed, opensslALPN)),
		settle("group", &c.Group, group))
}

// opensslMessage heads a message in the file of -msgfile. Its octets follow, in
// lines that begin with a space.
var opensslMessage = regexp.MustCompile(`^(<<<|>>>) TLS 1\.\d, (Handshake|Alert) \[length [0-9a-f]+\]`)

func (s *shown) readOpenSSL(file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var head []string
	var octets []byte
	end := func() {
		if head == nil {
			return
		}
		d, t := handshake.Received, attls.ContentTypeHandshake
		if head[1] == ">>>" {
			d = handshake.Sent
		}
		if head[2] == "Alert" {
			t = attls.ContentTypeAlert
		}
		s.add(d, t, octets)
	}
	for line := range strings.Lines(string(content)) {
		if strings.HasPrefix(line, " ") {
			b, err := hex.DecodeString(strings.Join(strings.Fields(line), ""))
			if err != nil {
				return fmt.Errorf("a message that openssl shows: %w", err)
			}
			octets = append(octets, b...)
			continue
		}
		end()
		head, octets = opensslMessage.FindStringSubmatch(line), nil
	}
	end()
	return nil
}
