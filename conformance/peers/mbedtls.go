package peers

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"attls"
	"attls/attestation"
	"attls/conformance"
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
	if len(found) == 0 {
		return ""
	}
	return slices.MaxFunc(found, func(a, b string) int { return modified(a).Compare(modified(b)) })
}

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
	mbedTLSSuites   = []string{"", "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"}
)

// Limit implements Peer.
func (MbedTLS) Limit(s *conformance.Scenario, r attls.Role) string {
	switch {
	case !slices.Contains(mbedTLSProfiles, s.Profile):
		return "our mbedTLS peer implements early-attestation-06, tls-attestation-07 and mbedtls-poc only"
	case !slices.Contains(mbedTLSGroups, s.Group):
		return "mbedTLS 3.6 has no group " + s.Group
	case !slices.Contains(mbedTLSSuites, s.Suite):
		return "mbedTLS 3.6 has no cipher suite " + s.Suite
	case len(s.CodePoints) > 0:
		return "the code points of our mbedTLS peer are compiled in"
	case len(s.Readings) > 0:
		return "our mbedTLS peer has the default readings only"
	case slices.Contains(unprovoked, s.Fail):
		return "the fault " + s.Fail + " lies in a verdict that our mbedTLS peer does not get"
	case s.Fail == "two_choices" && s.Profile == "tls-attestation-07":
		return "our peer offers one model at a time, so that a second choice is unsupported_extension before it is two choices"
	case s.Cookie && r == attls.RoleServer:
		return "mbedTLS sends no cookie"
	}
	return ""
}

// unprovoked are faults of the rejecting end's own Appraiser.
var unprovoked = []string{"key_unusable", "key-type"}

// ownFaults are faults that lie in the settings of the end that must reject; so
// our peer is set as the fault has it. A later flag wins.
var ownFaults = map[string][]string{
	"attester_unavailable": {"--attester-cmd", "false"},
	"verifier_unreachable": {"--appraiser-cmd", "false"},
	"no_scheme.evidence":   {"--format", "65000"},
	"no_scheme.results":    {"--verifier", "nobody.example"},
	"unwilling":            {"--attester", "none", "--no-require-attestation"},
	"not_chosen":           {"--no-require-attestation"},
}

// Deviation implements Deviator: how mbedTLS 3.6 rejects otherwise than RFC 8446
// and the drafts have it.
func (MbedTLS) Deviation(s *conformance.Scenario) *Deviant {
	switch s.Fail {
	case "code-point":
		return &Deviant{Alert: attls.AlertIllegalParameter,
			Does: "an extension that was not offered and that it does not know is answered with illegal_parameter, not unsupported_extension (RFC 8446 4.2)"}
	case "huge":
		return &Deviant{None: true, Does: "a message of more than 16 KB does not fit its buffer, and it closes without an alert"}
	case "missing":
		if s.Credential == conformance.CredentialAttestation && s.Attester == conformance.AttestClient {
			return &Deviant{Alert: noCertificate,
				Does: "an empty Certificate of a client is answered with no_certificate (41), which TLS 1.3 does not have, not certificate_required"}
		}
	}
	return nil
}

// noCertificate is an alert of SSL 3.0.
const noCertificate attls.AlertDescription = 41

// Start implements Peer.
func (m MbedTLS) Start(ctx context.Context, t *Task) (Process, error) {
	args := append(common(t), "--attester-cmd", m.Evidence, "--appraiser-cmd", m.Evidence)
	if t.Scenario.Model == conformance.ModelResults {
		args = append(args, "--verifier", attestation.DemoVerifier)
	}
	args = append(args, ownFaults[t.Scenario.Fail]...)
	if t.Role == attls.RoleServer {
		if t.Scenario.ClientCertificate {
			args = append(args, "--ask-certificate")
		}
		return start(ctx, true, m.Path, append(args, "--server")...)
	}
	host, port, err := net.SplitHostPort(t.Address)
	if err != nil {
		return nil, err
	}
	return start(ctx, false, m.Path, append(args, "--client", "--host", host, "--port", port)...)
}

func modified(name string) time.Time {
	info, err := os.Stat(name)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
