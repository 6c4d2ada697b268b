package peers

import (
	"context"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/handshake"
	"attls/internal/console"
)

// MbedTLSPrograms is mbedTLS without our patches, as its own ssl_client2 and
// ssl_server2.
type MbedTLSPrograms struct{ Directory string }

// FindMbedTLSPrograms returns the directory that ATTLS_MBEDTLS_PROGRAMS names, or
// the one of the programs that programs.sh has built; empty if there
// is none.
func FindMbedTLSPrograms() string {
	if directory := os.Getenv("ATTLS_MBEDTLS_PROGRAMS"); directory != "" {
		return directory
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	found, _ := filepath.Glob(filepath.Join(cache, "attls", "mbedtls", "*-unpatched", "programs", "ssl", "ssl_server2"))
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return modified(a).Compare(modified(b)) }))
}

// Name implements Peer: it is what grids, pages and flags call the stack.
func (MbedTLSPrograms) Name() string { return "mbedtls-unpatched" }

// Missing implements Peer.
func (m MbedTLSPrograms) Missing() string {
	if m.Directory == "" {
		return "conformance/mbedtls/programs.sh has not built ssl_client2 and ssl_server2"
	}
	return or(missingProgram(m.program(attls.RoleClient), "ssl_client2"),
		missingProgram(m.program(attls.RoleServer), "ssl_server2"))
}

func (m MbedTLSPrograms) program(r attls.Role) string {
	if r == attls.RoleClient {
		return filepath.Join(m.Directory, "ssl_client2")
	}
	return filepath.Join(m.Directory, "ssl_server2")
}

// Identify implements Identifier.
func (m MbedTLSPrograms) Identify(ctx context.Context) (version, where string, err error) {
	where = m.program(attls.RoleClient)
	version, err = versionOf(ctx, where, "build_version=1")
	return version, where, err
}

// Limit implements Peer.
func (m MbedTLSPrograms) Limit(s *scenario.Scenario, r attls.Role) string {
	if s.Profile != "" {
		return "ssl_client2 and ssl_server2 have no extensions of applications"
	}
	if s.RawPublicKeys {
		return "mbedTLS has no raw public keys without our patches"
	}
	if s.Resumption != "" && !s.EarlyData {
		return adapterLimit
	}
	return MbedTLS{}.Limit(s, r)
}

// OwnAnswer implements Answerer: ssl_server2 sends a page.
func (MbedTLSPrograms) OwnAnswer(bool) (own bool, request string) { return true, "" }

// EarlyUnanswered implements Answerer: there is no 0-RTT data.
func (MbedTLSPrograms) EarlyUnanswered() bool { return false }

// Start implements Peer.
func (m MbedTLSPrograms) Start(ctx context.Context, t *Task) (Process, error) {
	read := func(printed string) (claims.Claims, error) {
		c := newClaims(m.Name(), "", t.Role)
		return c, readMbedTLS(&c, t.Role, printed)
	}
	args := m.arguments(t)
	run := func(host, port string) (*console.Program, error) {
		return console.Start(ctx, nil, m.program(t.Role), append(args, "server_addr="+host, "server_port="+port)...)
	}
	if t.Role == attls.RoleServer {
		p, address, err := console.StartServer(ctx, mbedTLSWaits.String(), `mbedtls_net_bind returned`,
			func(port string) (*console.Program, error) {
				return run("127.0.0.1", port)
			})
		if err != nil {
			return nil, err
		}
		return follow(ctx, p, address, serveMbedTLS(p, p.Mark()), read), nil
	}
	host, port, err := net.SplitHostPort(t.Address)
	if err != nil {
		return nil, err
	}
	p, err := run(host, port)
	if err != nil {
		return nil, err
	}
	return follow(ctx, p, "", askMbedTLS(p, t.OwnAnswer), read), nil
}

// mbedTLSDumps is the level of debugging at which the programs show what records
// hold.
const mbedTLSDumps = "debug_level=4"

func (m MbedTLSPrograms) arguments(t *Task) []string {
	s := &t.Scenario
	args := []string{mbedTLSDumps, "force_version=tls13", "tickets=0", "ca_file=" + t.authority(),
		"crt_file=" + t.certificate(), "key_file=" + t.key(),
		"exp_label=" + claims.ExporterLabel, "exp_len=" + strconv.Itoa(claims.ExporterSize)}
	switch {
	case t.Role == attls.RoleClient:
		args = append(args, "server_name="+serverName, "auth_mode=required")
	case s.ClientCertificate:
		args = append(args, "auth_mode=required")
	default:
		args = append(args, "auth_mode=none")
	}
	if s.Suite != "" {
		args = append(args, "force_ciphersuite="+mbedTLSSuite(s.Suite))
	}
	if g := groups(s, t.Role); g != nil {
		args = append(args, "groups="+strings.Join(g, ","))
	}
	if s.ALPN != "" {
		args = append(args, "alpn="+s.ALPN)
	}
	return args
}

// mbedTLSSuite is how mbedTLS calls a cipher suite: TLS_AES_128_GCM_SHA256 is
// TLS1-3-AES-128-GCM-SHA256.
func mbedTLSSuite(name string) string {
	return "TLS1-3-" + strings.ReplaceAll(strings.TrimPrefix(name, "TLS_"), "_", "-")
}

// What the programs say.
var (
	mbedTLSWaits    = regexp.MustCompile(`Waiting for a remote connection`)
	mbedTLSSuiteIs  = regexp.MustCompile(`\[ Ciphersuite is (\S+) \]`)
	mbedTLSALPN     = regexp.MustCompile(`\[ Application Layer Protocol is (\S+) \]`)
	mbedTLSExported = regexp.MustCompile(`Exporting key of length \d+ with label "[^"]*": 0x([0-9A-F]+)`)
	mbedTLSFailed   = regexp.MustCompile(`! (mbedtls_\w+ returned -?0x[0-9a-fA-F]+)`)
	mbedTLSReason   = regexp.MustCompile(`Last error was: (.*)`)
	mbedTLSWritten  = regexp.MustCompile(` (\d+) bytes written in \d+ fragments\n\n`)
	mbedTLSRead     = regexp.MustCompile(` (\d+) bytes read\n\n`)
	mbedTLSAlert    = regexp.MustCompile(`(?:(send alert) level=|got an alert message, type: \[)(\d+)(?: message=|:)(\d+)`)
)

// askMbedTLS waits for the end of ssl_client2, which sends a request of its own
// and closes after the answer.
func askMbedTLS(p *console.Program, otherAnswer bool) conversation {
	return func(ctx context.Context) (sent, received int64, err error) {
		if err := p.Wait(ctx); err != nil {
			return 0, 0, err
		}
		printed := string(p.Printed())
		request, answer := exchanged(printed, mbedTLSWritten), exchanged(printed, mbedTLSRead)
		if !otherAnswer && answer != request {
			return int64(len(request)), int64(len(answer)), errors.New("what came back is not what it sent")
		}
		return int64(len(request)), int64(len(answer)), nil
	}
}

// serveMbedTLS waits until ssl_server2 waits for another connection, as it did
// when it had printed so many octets, and stops it.
func serveMbedTLS(p *console.Program, before console.Mark) conversation {
	return func(ctx context.Context) (sent, received int64, err error) {
		_, err = p.AwaitAfter(ctx, before, mbedTLSWaits)
		p.Stop()
		printed := string(p.Printed())
		request := exchanged(printed, mbedTLSRead)
		if err == nil && request == "" {
			err = errors.New(or(said(printed, mbedTLSFailed), "it has read nothing"))
		}
		return int64(len(exchanged(printed, mbedTLSWritten))), int64(len(request)), err
	}
}

// exchanged is the application data that follows its announcement.
func exchanged(printed string, announced *regexp.Regexp) string {
	m := announced.FindStringSubmatchIndex(printed)
	if m == nil {
		return ""
	}
	n, err := strconv.Atoi(printed[m[2]:m[3]])
	if err != nil || n > len(printed)-m[1] {
		return ""
	}
	return printed[m[1] : m[1]+n]
}

// readMbedTLS makes claims of what one of the programs printed.
func readMbedTLS(c *claims.Claims, role attls.Role, printed string) error {
	seen := &shown{role: role}
	if err := seen.readMbedTLS(printed); err != nil {
		return err
	}
	seen.claim(c)
	c.Exporter = strings.ToLower(said(printed, mbedTLSExported))
	c.Unclaimed = []string{"transcript_hash"}
	if complaint := said(printed, mbedTLSFailed); complaint != "" {
		if reason := said(printed, mbedTLSReason); reason != "" {
			complaint += ": " + reason
		}
		fail(c, errors.New(complaint))
	}
	suite := said(printed, mbedTLSSuiteIs)
	for _, name := range mbedTLSSuites {
		if name != "" && mbedTLSSuite(name) == suite {
			suite = name
		}
	}
	return errors.Join(settle("suite", &c.Suite, suite),
		settle("application protocol", &c.ALPN, said(printed, mbedTLSALPN)))
}

// mbedTLSDump heads the octets of a record, which follow in lines of sixteen;
// mbedTLSNames are what those dumps are called that hold messages.
var (
	mbedTLSDump  = regexp.MustCompile(`\|4\| dumping '([^']+)' \(\d+ bytes\)`)
	mbedTLSLine  = regexp.MustCompile(`\|4\| [0-9a-f]{4,}:  ((?:[0-9a-f]{2} )+)`)
	mbedTLSNames = map[string]struct {
		direction handshake.Direction
		record    bool // the octets are a whole record, of which only one in plaintext matters
	}{
		"input record from network":      {handshake.Received, true},
		"input payload after decrypt":    {handshake.Received, false},
		"output record sent to network":  {handshake.Sent, true},
		"before encrypt: output payload": {handshake.Sent, false},
	}
)

func (s *shown) readMbedTLS(printed string) error {
	for _, m := range mbedTLSAlert.FindAllStringSubmatch(printed, -1) {
		code, err := strconv.ParseUint(m[3], 10, 8)
		if err != nil {
			return err
		}
		d := handshake.Received
		if m[1] != "" {
			d = handshake.Sent
		}
		s.alert(d, attls.AlertDescription(code))
	}
	var name string
	var octets []byte
	for line := range strings.Lines(printed) {
		if m := mbedTLSLine.FindStringSubmatch(line); m != nil {
			b, err := hex.DecodeString(strings.ReplaceAll(m[1], " ", ""))
			if err != nil {
				return err
			}
			octets = append(octets, b...)
			continue
		}
		if m := mbedTLSDump.FindStringSubmatch(line); m != nil || octets != nil {
			s.dumped(name, octets)
			name, octets = "", nil
			if m != nil {
				name = m[1]
			}
		}
	}
	s.dumped(name, octets)
	return nil
}

// dumped takes what was dumped under a name. The content type of a record that was
// protected is not said; an alert has two octets.
func (s *shown) dumped(name string, octets []byte) {
	dump, ok := mbedTLSNames[name]
	if !ok {
		return
	}
	if dump.record {
		if len(octets) < recordHeaderLen || attls.ContentType(octets[0]) != attls.ContentTypeHandshake {
			return
		}
		octets = octets[recordHeaderLen:]
	}
	if len(octets) != 2 {
		s.record(dump.direction, octets)
	}
}
