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
	case s.Cookie && r == attls.RoleServer:
		return "mbedTLS sends no cookie"
	}
	return ""
}

// Start implements Peer.
func (m MbedTLS) Start(ctx context.Context, t *Task) (Process, error) {
	args := append(common(t), "--attester-cmd", m.Evidence, "--appraiser-cmd", m.Evidence)
	if t.Scenario.Model == conformance.ModelResults {
		args = append(args, "--verifier", attestation.DemoVerifier)
	}
	if t.Role == attls.RoleServer {
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
