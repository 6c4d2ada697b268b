package peers

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"attls"
	"attls/attestation"
	"attls/conformance/cases"
	"attls/conformance/claims"
	"attls/conformance/scenario"
)

// MbedTLS is our peer on the patched mbedTLS (conformance/mbedtls).
type MbedTLS struct {
	Path string
	// Evidence is the command that makes and judges Evidence: "attls evidence
	// serve".
	Evidence string
}

// FindMbedTLS returns the newest peer that build.sh has built, or the one that
// ATTLS_MBEDTLS_PEER names; empty if there is none.
func FindMbedTLS() string {
	if path := os.Getenv("ATTLS_MBEDTLS_PEER"); path != "" {
		return path
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	found, _ := filepath.Glob(filepath.Join(cache, "attls", "mbedtls", "*-plain", "mbedtls-peer-*"))
	found = slices.DeleteFunc(found, func(name string) bool { return filepath.Ext(name) != "" }) // is being built
	if len(found) == 0 {
		return ""
	}
	return slices.MaxFunc(found, func(a, b string) int { return modified(a).Compare(modified(b)) })
}

// Name implements Peer: it is what grids, pages and flags call the stack.
func (MbedTLS) Name() string { return "mbedtls" }

// Missing implements Peer.
func (m MbedTLS) Missing() string {
	if m.Path == "" {
		return "conformance/mbedtls/build.sh has not built the mbedTLS peer"
	}
	return missingProgram(m.Path, "mbedtls-peer")
}

// Identify implements Identifier.
func (m MbedTLS) Identify(ctx context.Context) (version, where string, err error) {
	version, err = versionOf(ctx, m.Path, "--version")
	return version, m.Path, err
}

// What the peer can do.
var (
	mbedTLSProfiles = []string{"", "early-attestation-06", "tls-attestation-07", "mbedtls-poc"}
	mbedTLSGroups   = []string{"", "x25519", "secp256r1", "secp384r1", "secp521r1", "x448"}
	mbedTLSSuites   = []string{"", "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
		"TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"}
)

// Limit implements Peer.
func (MbedTLS) Limit(s *scenario.Scenario, r attls.Role) string {
	switch {
	case !slices.Contains(mbedTLSProfiles, s.Profile):
		return "our mbedTLS peer implements early-attestation-06, tls-attestation-07 and mbedtls-poc only"
	case !slices.Contains(mbedTLSGroups, s.Group):
		return "mbedTLS 3.6 has no group " + s.Group
	case !slices.Contains(mbedTLSSuites, s.Suite):
		return "mbedTLS 3.6 has no cipher suite " + s.Suite
	case s.KeyUpdate != "":
		return "mbedTLS 3.6 has no KeyUpdate"
	case s.PostHandshake:
		return "mbedTLS 3.6 has no post-handshake authentication"
	case s.EarlyData:
		return "mbedTLS 3.6 is built without 0-RTT"
	case len(s.Readings) > 0:
		return "our mbedTLS peer has the default readings only"
	case s.Fail == "two-choices" && s.Profile == "tls-attestation-07":
		return "our peer offers one model at a time, so that a second choice is unsupported_extension before it is two " +
			"choices"
	case s.Resumption != "" && s.Profile == "mbedtls-poc":
		return "mbedtls-poc has no tickets and therefore no resumption"
	case s.Cookie && r == attls.RoleServer:
		return "mbedTLS sends no cookie"
	}
	return ownKeys(s, r)
}

// ownFaults are faults that lie in the settings of the end that must reject; so
// our peer is set as the fault has it. A later flag wins.
var ownFaults = map[string][]string{
	"attester-unavailable": {"--attester-cmd", "false"},
	"verifier-unreachable": {"--appraiser-cmd", "false"},
	"no-scheme-evidence":   {"--format", "65000"},
	"no-scheme-results":    {"--verifier", "nobody.example"},
	"unwilling":            {"--attester", "none", "--no-require-attestation"},
	"not-chosen":           {"--no-require-attestation"},
	"unaware-server":       {"--profile", "none", "--attester", "none", "--no-require-attestation"},
}

// Deviation implements Deviator: how mbedTLS 3.6 rejects otherwise than RFC 8446
// and the drafts have it. That it refuses a cookie, our patches mend.
func (MbedTLS) Deviation(s *scenario.Scenario, _ attls.Role) []Deviant {
	if s.Injected() == "cookie" {
		return nil
	}
	return mbedTLSDeviations.of(s)
}

// noCertificate is an alert of SSL 3.0.
const noCertificate attls.AlertDescription = 41

// attestsInHandshake reports whether nobody attests in application data, of which the library
// needs no message whole.
func attestsInHandshake(s *scenario.Scenario) bool {
	p, err := s.Load()
	return err != nil || p == nil || len(p.Later) == 0
}

// mbedTLSTried are the versions that were tried.
var mbedTLSTried = history{"3.6.6", "3.6.7"}

// mbedTLSDeviations were found in mbedTLS 3.6.6 and read in its source.
var mbedTLSDeviations = slices.Concat(mbedTLSTried.seen("3.6.6", "3.6.6",
	breaksOff(
		"octets behind a message that must end its record end the connection without an alert (RFC 8446 5.1): "+
			"mbedtls_ssl_read_record returns the error, and nothing behind it sends one",
		bySender("boundary-hello", "boundary-finished")...),
	takes(
		"EncryptedExtensions in the record with ServerHello, without protection, is kept until it is due, and taken "+
			"(RFC 8446 5.1)", "boundary-flight-server"),
	answers(noCertificate,
		"a Certificate in the record with ClientHello, without protection, is kept until it is due, and taken: an empty one "+
			"is then answered as any (RFC 8446 5.1)", "boundary-flight-client"),
	takes(
		"the check of the group in HelloRetryRequest is satisfied by any group in its list that is another one, so that "+
			"it takes one that it did not offer (RFC 8446 4.2.8)", "retry-group-not-offered"),
), mbedTLSTried.all(
	answers(attls.AlertIllegalParameter,
		"an extension that it does not know is illegal_parameter in every message, not unsupported_extension (RFC 8446 "+
			"4.2): the mask of what a message may hold is asked before what was offered",
		"code-point", "hello-unknown", "retry-unknown", "answer-unknown",
		"grease-returned-server-hello", "grease-returned-hello-retry-request", "grease-returned-encrypted-extensions",
		"grease-returned-certificate"),
	takes("bodies that must be empty are not looked at (RFC 6066 3, RFC 8446 4.2.6, 4.2.10)", "filled-post-handshake-auth",
		"filled-early-data", "filled-server-name"),
	takes(
		"with a pre-shared key and no (EC)DHE, either of supported_groups and key_share may be without the other (RFC "+
			"8446 9.2)", "psk-groups-without-share", "psk-share-without-groups"),
	deviation{[]string{"huge"}, attestsInHandshake, Deviant{None: true,
		Does: "a message of more than 16 KB does not fit its buffer, and it closes without an alert"}},
	deviation{[]string{"missing", "client-certificate-empty"}, func(s *scenario.Scenario) bool {
		return s.Profile == "" || s.Credential == claims.CredentialAttestation && s.Attester == scenario.AttestClient
	}, Deviant{Alert: noCertificate,
		Does: "an empty Certificate of a client is answered with no_certificate (41), which TLS 1.3 does not have, not " +
			"certificate_required"}},
	answers(noCertificate,
		"an empty Certificate of a server is answered with no_certificate (41), which TLS 1.3 does not have, not "+
			"decode_error", "certificate-empty"),

	breaksOff(
		"an error of the record layer ends the connection without an alert: mbedtls_ssl_read_record returns it, and "+
			"nothing behind it sends one but for a failed MAC",
		slices.Concat(bySender("overflow-plain", "overflow", "empty-handshake", "empty-alert", "inner-type", "no-inner-type",
			"ccs-value", "unknown-type"))...),
	breaksOff(
		"the header of a handshake message must be in one record, and otherwise the connection ends without an alert (RFC "+
			"8446 5.1)", bySender("splinters")...),
	takes(
		"a protected change_cipher_spec is dropped like an unprotected one, not answered with unexpected_message (RFC "+
			"8446 5)", bySender("protected-ccs")...),
	takes("a change_cipher_spec before ClientHello is dropped, not answered with unexpected_message (RFC 8446 5)",
		"ccs-first"),
	breaksOff("a message that is not due after the handshake, KeyUpdate among them, ends the connection without an alert",
		append(bySender("key-update-value", "message-late", "update-unnegotiated"), "ticket-of-client", "request-after")...),
	breaksOff(
		"between its Finished and the client's, a server's alert is protected with the handshake keys, and the client "+
			"cannot read it (RFC 8446 appendix A.2)", "bad-mac-client", "untrusted-client"),

	breaksOff(
		"a server that is built without 0-RTT does not skip early data (RFC 8446 4.2.10), and its alert, which is "+
			"protected with the handshake keys, cannot be read", "early-data-rejected", "early-data-beyond"),
	takes("it does not look for an extension that appears twice, and the last one counts (RFC 8446 4.2)",
		"twice-client-hello", "twice-server-hello", "twice-encrypted-extensions", "request-twice"),
	takes("it does not look for octets behind the last field of this message (RFC 8446 6.2)", "trailing-server-hello",
		"trailing-certificate-verify", "trailing-client-certificate-verify"),
	breaksOff(
		"it passes over octets behind the last field of ClientHello and leaves them out of the transcript, so that the "+
			"keys of both ends differ (RFC 8446 6.2)", "trailing-client-hello"),
	takes("a list of supported_groups may be empty; the share decides (RFC 8446 4.2.7)", "empty-groups"),
	answers(attls.AlertHandshakeFailure,
		"an empty list is one without anything in common, handshake_failure, not decode_error (RFC 8446 6.2)", "no-suites",
		"empty-schemes"),
	breaksOff(
		"the error of a share that cannot be used is returned without an alert, where illegal_parameter is due (RFC 8446 "+
			"4.2.8.2, 7.4.2)", "share-short", "share-zero", "share-off-curve"),
	breaksOff("where no group is in common it closes without an alert (RFC 8446 4.1.1)", "no-common-group"),
	breaksOff("a session id of more than 32 octets is refused without an alert (RFC 8446 6.2)", "long-session-id"),
	answers(attls.AlertDecryptError,
		"a scheme in CertificateVerify that was not offered is answered as a signature that does not verify, "+
			"decrypt_error (RFC 8446 4.4.3)", bySender("signature-legacy")...),
	answers(attls.AlertIllegalParameter, "a ServerHello of an older version is illegal_parameter, not protocol_version",
		"version-old"),
	answers(attls.AlertHandshakeFailure,
		"a share of another group than its own is handshake_failure, not illegal_parameter (RFC 8446 4.2.8)",
		"group-not-offered", "group-without-share", "retry-group-changed"),
	takes("a HelloRetryRequest that changes nothing is followed by the same ClientHello once more (RFC 8446 4.1.4)",
		"retry-unchanged"),
	answers(attls.AlertUnsupportedExtension,
		"a cookie in HelloRetryRequest is refused as an extension that was not offered, although RFC 8446 4.2 excepts it",
		"cookie"),
	breaksOff("a protocol that was not offered is refused without an alert (RFC 7301 3.1)", "protocol-not-offered"),
	takes("of several protocols in the answer, the first counts (RFC 7301 3.1)", "two-protocols"),
	answers(attls.AlertDecodeError,
		"CertificateRequest without signature_algorithms is decode_error, not missing_extension (RFC 8446 4.3.2)",
		"request-without-algorithms"),
	takes("a context in the CertificateRequest of the handshake is taken and sent back (RFC 8446 4.3.2)",
		"request-context"),
))

// Start implements Peer.
func (m MbedTLS) Start(ctx context.Context, t *Task) (Process, error) {
	evidence := m.Evidence
	if n := t.Scenario.Payload; n > 0 {
		evidence += " --opaque " + strconv.Itoa(n)
	}
	if name := t.Scenario.RootOfTrust; name != "" {
		evidence += " --root-of-trust " + name
	}
	format, err := evidenceType(&t.Scenario)
	if err != nil {
		return nil, err
	}
	args := append(common(t), "--attester-cmd", evidence, "--appraiser-cmd", evidence)
	if format != "" {
		args = append(args, "--format", format)
	}
	if t.Scenario.Model == claims.ModelResults {
		args = append(args, "--verifier", attestation.DemoVerifier)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Scenario.CodePoints)) {
		args = append(args, "--code-point", fmt.Sprintf("%s=%d", name, t.Scenario.CodePoints[name]))
	}
	if t.compiled != "" {
		args = append(args, "--attester-size", strconv.Itoa(scenario.DemoChallengeSize))
	}
	if t.compiled != "" && !t.selfSigned {
		args = append(args, t.issuer()...)
	}
	if n := t.Scenario.Updates(); n > 0 {
		args = append(args, "--extended-key-update", "--key-updates", strconv.Itoa(n))
	}
	if t.Scenario.Reattest {
		args = append(args, "--reattest")
	}
	args = append(args, ownFaults[t.Scenario.Injected()]...)
	if slices.Contains(cases.Lies(), t.Scenario.Fail) {
		args = append(args, "--appraiser-cmd", evidence+" --lie "+t.Scenario.Fail)
	}
	args = append(args, t.flags...)
	if t.Role == attls.RoleServer {
		if t.Scenario.ClientCertificate {
			args = append(args, "--ask-certificate")
		}
		return start(ctx, t.connections(), m.Path, append(args, "--server", "--connections",
			strconv.Itoa(t.connections()))...)
	}
	host, port, err := net.SplitHostPort(t.Address)
	if err != nil {
		return nil, err
	}
	return start(ctx, 0, m.Path, append(args, "--client", "--host", host, "--port", port)...)
}

func modified(name string) time.Time {
	info, err := os.Stat(name)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
