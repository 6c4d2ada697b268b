package peers

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/internal/console"
)

// GnuTLS is gnutls-cli and gnutls-serv, by their paths.
type GnuTLS struct{ Client, Server string }

// Name implements Peer: it is what grids, pages and flags call the stack.
func (GnuTLS) Name() string { return "gnutls" }

// Missing implements Peer.
func (g GnuTLS) Missing() string {
	return or(missingProgram(g.Client, "gnutls-cli"), missingProgram(g.Server, "gnutls-serv"))
}

// Identify implements Identifier.
func (g GnuTLS) Identify(ctx context.Context) (version, where string, err error) {
	version, err = versionOf(ctx, g.Client, "--version")
	return version, g.Client, err
}

var gnutlsGroups = []string{"", "x25519", "secp256r1", "secp384r1", "secp521r1", "x448"}

// Limit implements Peer.
func (GnuTLS) Limit(s *scenario.Scenario, r attls.Role) string {
	switch {
	case s.Profile != "":
		return "gnutls-cli and gnutls-serv have no extensions of applications"
	case s.Resumption != "":
		return adapterLimit
	case !slices.Contains(gnutlsGroups, s.Group):
		return "GnuTLS 3.7 and 3.8 as Debian has them have no group " + s.Group
	case s.Cookie && r == attls.RoleServer:
		return "gnutls-serv sends no cookie over TCP"
	}
	return ""
}

// gnutlsLevel is the level of its debugging output that tells of a
// HelloRetryRequest and of alerts.
const gnutlsLevel = "5"

// Start implements Peer.
func (g GnuTLS) Start(ctx context.Context, t *Task) (Process, error) {
	read := func(printed string) (claims.Claims, error) {
		c := newClaims(g.Name(), "", t.Role)
		return c, readGnuTLS(&c, printed)
	}
	args := g.arguments(t)
	run := func(path string, more ...string) (*console.Program, error) {
		return console.Start(ctx, []string{"SSLKEYLOGFILE=" + t.keyLog()}, path, append(args, more...)...)
	}
	if t.Role == attls.RoleServer {
		p, address, err := console.StartServer(ctx, `listening on IPv4 .*\.\.\.done`, `bind\(\) failed`,
			func(port string) (*console.Program, error) {
				return run(g.Server, "--port", port)
			})
		if err != nil {
			return nil, err
		}
		return follow(ctx, p, address, watchGnuTLS, read), nil
	}
	host, port, err := net.SplitHostPort(t.Address)
	if err != nil {
		return nil, err
	}
	p, err := run(g.Client, "--port", port, host)
	if err != nil {
		return nil, err
	}
	return follow(ctx, p, "", ask, read), nil
}

func (g GnuTLS) arguments(t *Task) []string {
	s := &t.Scenario
	args := []string{"--debug", gnutlsLevel, "--priority", gnutlsPriority(t), "--keymatexport", claims.ExporterLabel,
		"--keymatexportsize", strconv.Itoa(claims.ExporterSize)}
	if s.ALPN != "" {
		args = append(args, "--alpn", s.ALPN)
	}
	if s.RawPublicKeys {
		args = append(args, "--rawpkfile", t.ownPublicKey(), "--rawpkkeyfile", t.key())
	} else {
		args = append(args, "--x509cafile", t.authority(), "--x509certfile", t.certificate(), "--x509keyfile", t.key())
	}
	switch {
	case t.Role == attls.RoleClient && s.RawPublicKeys:
		// It knows no other way to take a raw public key than to take any.
		return append(args, "--print-cert", "--single-key-share", "--sni-hostname", serverName, "--insecure")
	case s.RawPublicKeys && s.ClientCertificate:
		return append(args, "--echo", "--require-client-cert")
	case t.Role == attls.RoleClient:
		// Two shares would spare a HelloRetryRequest.
		return append(args, "--print-cert", "--single-key-share", "--sni-hostname", serverName,
			"--verify-hostname", serverName)
	case s.ClientCertificate:
		return append(args, "--echo", "--require-client-cert", "--verify-client-cert")
	}
	return append(args, "--echo", "--disable-client-cert")
}

// gnutlsPriority is the priority string of an end.
func gnutlsPriority(t *Task) string {
	p := "NORMAL:-VERS-ALL:+VERS-TLS1.3"
	if s := t.Scenario.Suite; s != "" {
		p += ":-CIPHER-ALL:+" + gnutlsCipher(s)
	}
	if t.Scenario.RawPublicKeys {
		// Of the client too, although it may not be asked: gnutls-serv refuses an
		// offer that it has nothing for.
		p += ":-CTYPE-SRV-ALL:+CTYPE-SRV-RAWPK:-CTYPE-CLI-ALL:+CTYPE-CLI-RAWPK"
	}
	if g := groups(&t.Scenario, t.Role); g != nil {
		p += ":-GROUP-ALL"
		for _, name := range g {
			p += ":+GROUP-" + strings.ToUpper(name)
		}
	}
	return p
}

// gnutlsCipher is how GnuTLS calls a cipher suite: TLS_AES_128_GCM_SHA256 is
// AES-128-GCM.
func gnutlsCipher(suite string) string {
	name := strings.TrimPrefix(suite, "TLS_")
	return strings.ReplaceAll(name[:max(0, strings.LastIndex(name, "_"))], "_", "-")
}

var (
	gnutlsEcho = regexp.MustCompile(`received cmd: ` + asked.String())
	// it has answered, and freed the session
	gnutlsClosed = regexp.MustCompile(`Close notify - was received(?s:.*)Epoch #\d+ freed`)
	gnutlsOver   = regexp.MustCompile(gnutlsEcho.String() + `|(?m:^(Error(?: in handshake)?: .*)$)(?s:.*)Epoch #\d+ freed`)
)

// watchGnuTLS waits until gnutls-serv has sent the question back and the client
// has closed; then the server is stopped, which would wait for other clients.
func watchGnuTLS(ctx context.Context, p *console.Program) (sent, received int64, err error) {
	defer p.Stop()
	m, err := p.Await(ctx, gnutlsOver)
	if err == nil && m[1] != "" {
		err = errors.New(m[1])
	}
	if err != nil {
		return 0, 0, err
	}
	_, err = p.Await(ctx, gnutlsClosed)
	return int64(len(question)), int64(len(question)), err
}

// What the programs say. The description is that of gnutls_session_get_desc:
// version and type of the certificate, key exchange with its group, signature of
// the server, cipher.
var (
	gnutlsDescription = regexp.MustCompile(`- Description: \(TLS1\.3-[^)]+\)-\(ECDHE-(\w+)\)-\([\w-]+\)-\(([\w-]+)\)`)
	gnutlsALPN        = regexp.MustCompile(`- Application protocol: (\S+)`)
	gnutlsExported    = regexp.MustCompile(`- Key material: ([0-9a-f]+)`)
	gnutlsRetry       = regexp.MustCompile(`HELLO RETRY REQUEST .*was (received|queued)`)
	gnutlsSigns       = regexp.MustCompile(`signing TLS 1\.3 handshake data: using (\S+)`)
	gnutlsVerifies    = regexp.MustCompile(`verifying TLS 1\.3 handshake data using (\S+)`)
	gnutlsAlert       = regexp.MustCompile(`(Sending )?Alert\[2\|(\d+)\]`)
	gnutlsComplaint   = regexp.MustCompile(`(?m:^)(?:\*\*\* Fatal error|Error(?: in handshake)?): (.*)`)
)

// readGnuTLS makes claims of what one of the programs printed.
func readGnuTLS(c *claims.Claims, printed string) error {
	c.Unclaimed = []string{"transcript_hash", "own_key", "own_certificate_type"}
	c.HelloRetry = said(printed, gnutlsRetry) != ""
	c.ALPN, c.Exporter = said(printed, gnutlsALPN), said(printed, gnutlsExported)
	for _, m := range gnutlsAlert.FindAllStringSubmatch(printed, -1) {
		code, err := strconv.ParseUint(m[2], 10, 8)
		if err != nil {
			return err
		}
		to := &c.AlertReceived
		if m[1] != "" {
			to = &c.AlertSent
		}
		if a := attls.AlertDescription(code); *to == nil {
			*to = alertClaim(&a)
		}
	}
	if complaint := said(printed, gnutlsComplaint); complaint != "" {
		fail(c, errors.New(complaint))
	}
	d := gnutlsDescription.FindStringSubmatch(printed)
	if d == nil {
		return nil // the handshake failed
	}
	c.Group = gnutlsName(d[1], gnutlsGroups)
	for _, suite := range mbedTLSSuites { // all that there are
		if suite != "" && gnutlsCipher(suite) == d[2] {
			c.Suite = suite
		}
	}
	c.OwnSignature, c.PeerSignature = gnutlsScheme(said(printed, gnutlsSigns)), gnutlsScheme(said(printed, gnutlsVerifies))
	return gnutlsPeer(c, printed)
}

// gnutlsName finds a name that GnuTLS writes in capitals.
func gnutlsName(name string, among []string) string {
	for _, n := range among {
		if strings.EqualFold(n, name) {
			return n
		}
	}
	return name
}

// gnutlsScheme is a signature scheme by its name in GnuTLS, such as
// ECDSA-SECP256R1-SHA256 or EdDSA-Ed25519.
func gnutlsScheme(name string) string {
	return strings.TrimPrefix(strings.ReplaceAll(strings.ToLower(name), "-", "_"), "eddsa_")
}

// gnutlsPeer reads the peer's certificate or raw public key, the first of the
// blocks that are printed.
func gnutlsPeer(c *claims.Claims, printed string) error {
	block, _ := pem.Decode([]byte(printed))
	if block == nil {
		return nil
	}
	kind := attls.CertificateX509
	if block.Type == "PUBLIC KEY" {
		kind = attls.CertificateRawPublicKey
	}
	key, err := keyOf(kind, block.Bytes)
	if err != nil {
		return fmt.Errorf("the certificate that it shows: %w", err)
	}
	c.PeerKey, c.PeerType = keyName(key), kind.String()
	return nil
}
