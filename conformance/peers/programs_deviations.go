package peers

import (
	"slices"

	"attls"
	"attls/conformance/scenario"
)

// Deviation implements Deviator.
func (o *OpenSSL) Deviation(s *scenario.Scenario, _ attls.Role) []Deviant {
	return openSSLDeviations.of(s)
}

// openSSLTried are the versions that were tried.
var openSSLTried = history{"3.0.17", "3.0.20", "3.0.22", "3.5.9", "3.6.5"}

var openSSLDeviations = slices.Concat(openSSLTried.all(
	takes(
		"extensions that it does not know are passed over in an answer, reserved ones as well (RFC 8446 4.2, RFC 8701 3.1)",
		"hello-unknown", "retry-unknown", "answer-unknown",
		"grease-returned-server-hello", "grease-returned-hello-retry-request", "grease-returned-encrypted-extensions",
		"grease-returned-certificate"),
	takes("signed_certificate_timestamp in a client's Certificate is passed over, asked for or not (RFC 8446 4.2)",
		"client-certificate-unsolicited"),
	takes("it does not look for an unknown extension that appears twice (RFC 8446 4.2)", "twice-client-hello",
		"request-twice"),
	takes("a context in the CertificateRequest of the handshake is taken and sent back (RFC 8446 4.3.2)",
		"request-context"),
	answers(attls.AlertBadCertificate,
		"an empty cert_data of a server is a certificate that does not parse, bad_certificate, not decode_error (RFC 8446 "+
			"4.4.2)", "certificate-data-empty-server"),
), openSSLTried.seen("3.0.17", "3.0.22",
	answers(attls.AlertIllegalParameter,
		"an empty list of cipher suites is illegal_parameter, not decode_error (RFC 8446 6.2)", "no-suites"),
	answers(attls.AlertIllegalParameter,
		"a change_cipher_spec of another value is illegal_parameter, not unexpected_message (RFC 8446 5)",
		bySender("ccs-value")...),
))

// Deviation implements Deviator.
func (GnuTLS) Deviation(s *scenario.Scenario, _ attls.Role) []Deviant {
	return gnuTLSDeviations.of(s)
}

// gnuTLSTried are the versions that were tried.
var gnuTLSTried = history{"3.7.9", "3.8.9", "3.8.13"}

var gnuTLSDeviations = slices.Concat(gnuTLSTried.seen("3.7.9", "3.7.9",
	takes("it does not look for an extension that appears twice in ServerHello (RFC 8446 4.2)", "twice-server-hello"),
), gnuTLSTried.seen("3.8.9", "3.8.13",
	takes(
		"a change_cipher_spec of another value is dropped like one of the right value, not answered with "+
			"unexpected_message (RFC 8446 5)", bySender("ccs-value")...),
), gnuTLSTried.all(
	takes("it does not look for an extension that appears twice (RFC 8446 4.2)", "twice-client-hello",
		"twice-encrypted-extensions", "request-twice"),
	takes(
		"extensions that it does not know are passed over in an answer, reserved ones as well (RFC 8446 4.2, RFC 8701 3.1)",
		"hello-unknown", "retry-unknown", "answer-unknown",
		"grease-returned-server-hello", "grease-returned-hello-retry-request", "grease-returned-encrypted-extensions"),
	takes("bodies that must be empty are not looked at (RFC 6066 3, RFC 8446 4.2.6, 4.2.10)", "filled-post-handshake-auth",
		"filled-early-data", "filled-server-name"),
	answers(attls.AlertUnsupportedExtension,
		"an extension in a message that the table does not give it is unsupported_extension, not illegal_parameter (RFC "+
			"8446 4.2)", "hello-elsewhere", "elsewhere"),
	answers(attls.AlertHandshakeFailure,
		"what is missing or empty in ClientHello is a thing without anything in common, handshake_failure (RFC 8446 6.2, "+
			"9.2)",
		"no-signature-algorithms", "psk-unknown-without-schemes", "no-groups", "no-version", "empty-groups"),
	answers(attls.AlertHandshakeFailure,
		"a suite or a group that was not offered is a thing without anything in common, handshake_failure, not "+
			"illegal_parameter (RFC 8446 4.1.3, 4.2.8)",
		"suite-not-offered", "retry-suite-not-offered", "retry-group-not-offered"),
	answers(attls.AlertProtocolVersion,
		"a version that was not offered is protocol_version, not illegal_parameter (RFC 8446 4.2.1)", "version"),
	takes("compression methods besides null are passed over (RFC 8446 4.1.2)", "compression"),
	takes("without a protocol in common it goes on without one (RFC 7301 3.2)", "no-common-protocol"),
	takes("the echo of the session id is not compared (RFC 8446 4.1.3)", "session-id", "retry-session-id"),
	takes(
		"a HelloRetryRequest for the group of the share that it has sent is answered with another share of that group "+
			"(RFC 8446 4.2.8)", "retry-same-group"),
	answers(attls.AlertBadRecordMAC,
		"the group of ServerHello is not compared with that of HelloRetryRequest, so that the keys of both ends differ "+
			"(RFC 8446 4.2.8)", "retry-group-changed"),
	takes(
		"the selected protocol is not compared with those that were offered, and of several the first counts (RFC 7301 3.1)",
		"protocol-not-offered", "two-protocols"),
	answers(attls.AlertUnsupportedExtension,
		"CertificateRequest without signature_algorithms is unsupported_extension, not missing_extension (RFC 8446 4.3.2)",
		"request-without-algorithms"),
	answers(attls.AlertDecodeError,
		"Finished in the place of a Certificate is decode_error, not unexpected_message (RFC 8446 4)",
		"no-client-certificate"),
	answers(attls.AlertDecodeError,
		"octets behind ServerHello in its record are decode_error, not unexpected_message (RFC 8446 5.1)",
		"boundary-hello-server"),
	takes("a change_cipher_spec before ClientHello is dropped, not answered with unexpected_message (RFC 8446 5)",
		"ccs-first"),
	answers(attls.AlertBadRecordMAC,
		"a TLSInnerPlaintext without a content type is bad_record_mac at the server, not unexpected_message (RFC 8446 5.4)",
		"no-inner-type-client"),
	breaksOff("gnutls-cli closes without an alert after an error past the handshake", "request-after", "overflow-server",
		"empty-alert-server", "inner-type-server", "no-inner-type-server",
		"boundary-finished-server", "key-update-value-server", "message-late-server", "update-unnegotiated-server"),
	answers(attls.AlertIllegalParameter,
		"a HelloRetryRequest with a cookie and no group is illegal_parameter, although either is enough of a change (RFC "+
			"8446 4.1.4)", "cookie"),
))

// Deviation implements Deviator: what mbedTLS does without our patches.
func (MbedTLSPrograms) Deviation(s *scenario.Scenario, _ attls.Role) []Deviant {
	if d := mbedTLSProgramsDeviations.of(s); d != nil {
		return d
	}
	if s.Fail == "bad-mac-client" || s.Fail == "untrusted-client" {
		return nil // ssl_server2 says which alert it sends, readable or not
	}
	return mbedTLSDeviations.of(s)
}

var mbedTLSProgramsDeviations = mbedTLSTried.all(
	answers(attls.AlertBadRecordMAC,
		"it passes over octets behind the last field of ClientHello and leaves them out of the transcript, so that the "+
			"keys of both ends differ (RFC 8446 6.2)", "trailing-client-hello"),
)
