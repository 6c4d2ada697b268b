package peers

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
)

// CryptoTLS is Go's crypto/tls, for plain TLS.
type CryptoTLS struct{}

// Name implements Peer: it is what grids, pages and flags call the stack.
func (CryptoTLS) Name() string { return "crypto/tls" }

// Missing implements Peer: nothing has to be installed.
func (CryptoTLS) Missing() string { return "" }

// Identify implements Identifier.
func (CryptoTLS) Identify(context.Context) (version, where string, err error) {
	return runtime.Version(), "", nil
}

// Limit implements Peer.
func (CryptoTLS) Limit(s *scenario.Scenario, r attls.Role) string {
	switch {
	case s.Profile != "":
		return "crypto/tls has no extensions of applications"
	case s.KeyUpdate == r.String():
		return "crypto/tls does not let its user begin a KeyUpdate"
	case s.EarlyData:
		return "crypto/tls has 0-RTT for QUIC alone"
	case s.RawPublicKeys:
		return "crypto/tls has no raw public keys"
	case s.Suite != "":
		return "crypto/tls does not let its user choose a cipher suite of TLS 1.3"
	case s.HelloRetry && r == attls.RoleClient && (s.Group == "x25519" || strings.Contains(string(s.Group), "MLKEM")):
		return "crypto/tls orders groups itself, hybrid ones first, and sends a share of x25519 with X25519MLKEM768"
	case s.Cookie && r == attls.RoleServer:
		return "crypto/tls sends no cookie"
	case s.Resumption == scenario.ResumePSKOnly:
		return "crypto/tls resumes with (EC)DHE only"
	}
	return ""
}

// Deviation implements Deviator.
func (CryptoTLS) Deviation(s *scenario.Scenario, _ attls.Role) []Deviant {
	return cryptoTLSDeviations.of(s)
}

// cryptoTLSTried are the versions of Go that were tried.
var cryptoTLSTried = history{"1.26", "1.26.8"}

var cryptoTLSDeviations = cryptoTLSTried.all(
	takes("extensions that it does not know or did not ask for are ignored in every message (RFC 8446 4.2)",
		"hello-unknown", "hello-elsewhere", "retry-unknown", "answer-unknown", "answer-unsolicited",
		"certificate-type-unsolicited", "elsewhere",
		"certificate-unsolicited", "client-certificate-unsolicited",
		"grease-returned-server-hello", "grease-returned-hello-retry-request", "grease-returned-encrypted-extensions",
		"grease-returned-certificate"),
	takes("the body of post_handshake_auth is not looked at (RFC 8446 4.2.6)", "filled-post-handshake-auth"),
	takes("it does not look for an extension that appears twice in CertificateRequest (RFC 8446 4.2)", "request-twice"),
	takes("pre_shared_key without psk_key_exchange_modes is passed over where sessions are turned off (RFC 8446 4.2.9)",
		"psk-without-modes"),
	breaksOff("a session id of more than 32 octets is echoed, and it is the client that gives up (RFC 8446 4.1.2)",
		"long-session-id"),
	takes("a ClientHello without key_share is answered as one with an empty list of shares (RFC 8446 9.2)",
		"no-key-share"),
	takes(
		"a protected change_cipher_spec is dropped like an unprotected one, not answered with unexpected_message (RFC "+
			"8446 5)", bySender("protected-ccs")...),
	answers(attls.AlertDecodeError, "what it finds while it parses a message or a record is decode_error, whatever it is",
		append(bySender("ccs-value", "key-update-value"), "psk-not-last", "request-after")...),
	answers(attls.AlertHandshakeFailure,
		"what is missing in a hello is a thing without anything in common, handshake_failure", "no-groups", "no-suites",
		"request-without-algorithms"),
	answers(attls.AlertProtocolVersion,
		"a version that was not offered is protocol_version, not illegal_parameter (RFC 8446 4.2.1)", "version",
		"retry-version"),
	takes("legacy_version of ClientHello is not looked at where supported_versions is there (RFC 9846 4.2.2)",
		"hello-legacy-version"),
	answers(attls.AlertIllegalParameter,
		"a ServerHello whose legacy_version is not 0x0303 is illegal_parameter, not protocol_version (RFC 9846 4.2.3)",
		"answer-legacy-version"),
	answers(attls.AlertIllegalParameter,
		"a pre-shared key that was not offered is illegal_parameter, not unsupported_extension (RFC 8446 4.2)",
		"key-not-offered"),
	answers(attls.AlertUnsupportedExtension,
		"early_data, which it has for QUIC alone, is refused instead of skipped (RFC 8446 4.2.10)", "early-data-rejected"),
	breaksOff(
		"a first record that is not a handshake record is taken for another protocol, and it closes without an alert",
		append(bySender("unknown-type"), "ccs-first")...),
)

// Start implements Peer.
func (CryptoTLS) Start(ctx context.Context, t *Task) (Process, error) {
	config, err := cryptoTLSConfig(t)
	if err != nil {
		return nil, err
	}
	if t.Resumes {
		if err := bringBackCryptoTLS(config, t.session()); err != nil {
			return nil, err
		}
	}
	return startHere(ctx, t, func(_ context.Context, nc net.Conn, keyLog io.Writer) (claims.Claims, error) {
		config.KeyLogWriter = keyLog
		claims := exchangeCryptoTLS(nc, config, t)
		if !t.keeps() {
			return claims, nil
		}
		return claims, keepCryptoTLS(config, t.session())
	})
}

// oneSession is a tls.ClientSessionCache that holds the last session.
type oneSession struct{ state *tls.ClientSessionState }

func (o *oneSession) Get(string) (*tls.ClientSessionState, bool)  { return o.state, o.state != nil }
func (o *oneSession) Put(_ string, state *tls.ClientSessionState) { o.state = state }

// sessionFile is what keepCryptoTLS writes.
type sessionFile struct{ Ticket, State []byte }

// keepCryptoTLS writes a client's session; without a ticket, nothing.
func keepCryptoTLS(config *tls.Config, file string) error {
	state, ok := config.ClientSessionCache.Get("")
	if !ok {
		return nil
	}
	ticket, session, err := state.ResumptionState()
	if err != nil {
		return err
	}
	f := sessionFile{Ticket: ticket}
	if f.State, err = session.Bytes(); err != nil {
		return err
	}
	blob, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return os.WriteFile(file, blob, 0o600)
}

// bringBackCryptoTLS lets a client resume the session in a file.
func bringBackCryptoTLS(config *tls.Config, file string) error {
	var f sessionFile
	blob, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(blob, &f)
	}
	if err != nil {
		return err
	}
	session, err := tls.ParseSessionState(f.State)
	if err != nil {
		return err
	}
	state, err := tls.NewResumptionState(f.Ticket, session)
	if err != nil {
		return err
	}
	config.ClientSessionCache.Put("", state)
	return nil
}

func cryptoTLSConfig(t *Task) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(t.certificate(), t.key())
	if err != nil {
		return nil, err
	}
	blob, err := os.ReadFile(t.authority())
	if err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS13, ServerName: serverName, RootCAs: x509.NewCertPool(),
		Certificates: []tls.Certificate{cert}, SessionTicketsDisabled: t.Scenario.Resumption == "",
		ClientSessionCache: &oneSession{}}
	if t.Scenario.Resumption == scenario.ResumeRefused {
		c.UnwrapSession = func([]byte, tls.ConnectionState) (*tls.SessionState, error) { return nil, nil }
	}
	c.RootCAs.AppendCertsFromPEM(blob)
	if t.Scenario.ClientCertificate {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, c.RootCAs
	}
	numbers, err := groupNumbers(groups(&t.Scenario, t.Role))
	for _, g := range numbers {
		c.CurvePreferences = append(c.CurvePreferences, tls.CurveID(g))
	}
	if t.Scenario.ALPN != "" {
		c.NextProtos = []string{t.Scenario.ALPN}
	}
	return c, err
}

func exchangeCryptoTLS(nc net.Conn, config *tls.Config, t *Task) claims.Claims {
	defer nc.Close()
	role := t.Role
	claimed := newClaims("crypto/tls", runtime.Version(), role)
	claimed.Unclaimed = []string{"transcript_hash", "peer_signature", "own_signature"}
	var c *tls.Conn
	var err error
	own := &config.Certificates[0]
	shown := role == attls.RoleServer
	if role == attls.RoleServer {
		c = tls.Server(nc, config)
		claimed.DataReceived, err = io.Copy(c, c)
		claimed.DataSent = claimed.DataReceived
		err = errors.Join(err, c.CloseWrite())
	} else {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			shown = true
			return own, nil
		}
		c = tls.Client(nc, config)
		claimed.DataSent, claimed.DataReceived, err = askCryptoTLS(c, t.OwnAnswer)
	}
	if err != nil {
		claimed.State = "failed"
		claimed.Error = &claims.ErrorClaim{Class: class(err).String(), Failure: "crypto/tls", Detail: err.Error()}
	}
	s := c.ConnectionState()
	claimed.Suite, claimed.Group = attls.CipherSuite(s.CipherSuite).String(), attls.NamedGroup(s.CurveID).String()
	claimed.HelloRetry, claimed.ALPN = s.HelloRetryRequest, s.NegotiatedProtocol
	if claimed.Resumed = s.DidResume; claimed.Resumed {
		claimed.PSKMode = attls.PSKWithDHE.String()
	}
	if len(s.PeerCertificates) > 0 {
		claimed.PeerKey, claimed.PeerType = keyName(s.PeerCertificates[0].RawSubjectPublicKeyInfo),
			attls.CertificateX509.String()
	}
	if shown && !s.DidResume {
		claimed.OwnKey, claimed.OwnType = keyName(own.Leaf.RawSubjectPublicKeyInfo), attls.CertificateX509.String()
	}
	if s.HandshakeComplete {
		if value, err := s.ExportKeyingMaterial(claims.ExporterLabel, nil, claims.ExporterSize); err == nil {
			claimed.Exporter = hex.EncodeToString(value)
		}
	}
	return claimed
}

// class is whose fault an error is: the peer's where it sent an alert.
func class(err error) attls.Class {
	var remote *net.OpError
	if errors.As(err, &remote) && remote.Op == "remote error" {
		return attls.FromPeer
	}
	return attls.Local
}

// keyName names a key as claims do, by its DER SubjectPublicKeyInfo.
func keyName(spki []byte) string {
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:])
}

// askCryptoTLS is a client's part of the conversation.
func askCryptoTLS(c *tls.Conn, ownAnswer bool) (sent, received int64, err error) {
	n, err := io.WriteString(c, question)
	if err != nil {
		return int64(n), 0, err
	}
	if ownAnswer {
		received, err = io.Copy(io.Discard, c)
		return int64(n), received, errors.Join(err, c.CloseWrite())
	}
	answer := make([]byte, len(question))
	m, err := io.ReadFull(c, answer)
	if err == nil && string(answer) != question {
		err = errors.New("what came back is not what was sent")
	}
	if err == nil {
		err = c.CloseWrite()
	}
	if err == nil {
		_, err = io.Copy(io.Discard, c)
	}
	return int64(n), int64(m), err
}
