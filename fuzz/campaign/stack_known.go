package campaign

import (
	"slices"
	"strings"

	"attls"
)

// stackKnown are violations of mbedTLS 3.6 that are known, with what it does. Anything else
// is a finding. conformance/peers has the same as deviations.
var stackKnown = []struct {
	role      attls.Role
	law, says string // says is a part of the text; "": any
	reason    string
	edit      string // only after an edit that begins so; "": any
}{
	{attls.RoleClient, "alert", "refused CertificateVerify with the alert decrypt_error", schemeAlert, ""},
	{attls.RoleServer, "alert", "refused CertificateVerify with the alert decrypt_error", schemeAlert, ""},
	{attls.RoleClient, "alert", "refused Certificate with the alert no_certificate",
		"an empty Certificate is answered with no_certificate, which TLS 1.3 does not have", ""},
	{attls.RoleClient, "alpn-offered", "is not one name", "of several protocols in the answer, the first counts", ""},
	{attls.RoleClient, "extension-once", "", twiceTaken, ""},
	{attls.RoleServer, "extension-once", "", twiceTaken, ""},
	{attls.RoleClient, "extension-empty", "in CertificateRequest", requestUnread, ""},
	{attls.RoleClient, "extension-in-place", "in CertificateRequest", requestUnread, ""},
	{attls.RoleClient, "extension-empty", "server_name in EncryptedExtensions",
		"the body of server_name in EncryptedExtensions is not looked at", ""},
	{attls.RoleServer, "extension-empty", "in ClientHello", "bodies that must be empty are not looked at", ""},
	{attls.RoleClient, "request", "with a context",
		"a context in the CertificateRequest of the handshake is taken and sent back", ""},
	{attls.RoleClient, "message-end", "of ServerHello", serverHelloEnd, ""},
	{attls.RoleClient, "message-end", "of HelloRetryRequest", serverHelloEnd, ""},
	{attls.RoleClient, "retry-needed", "changes nothing",
		"a HelloRetryRequest that changes nothing is followed by the same ClientHello", ""},
	{attls.RoleClient, "retry-needed", "which it did not offer",
		"a HelloRetryRequest for any group of its list but the one it sent is taken", ""},
	{attls.RoleClient, "signature", "octets after a signature", signatureEnd, ""},
	{attls.RoleServer, "signature", "octets after a signature", signatureEnd, ""},
	{attls.RoleClient, "signature-fits", "under ecdsa_secp", curveUncompared, ""},
	{attls.RoleServer, "signature-fits", "under ecdsa_secp", curveUncompared, ""},
	{attls.RoleServer, "key-share-listed", "",
		"key shares are not compared with supported_groups, or with each other", ""},
	{attls.RoleServer, "hello-repeated", "the extension", helloUncompared, ""},
	{attls.RoleServer, "hello-repeated", "legacy_version or random", helloUncompared, ""},
	{attls.RoleServer, "hello-repeated", "legacy_session_id", helloUncompared, ""},
	{attls.RoleServer, "hello-repeated", "cipher_suites", helloUncompared, ""},
	{attls.RoleServer, "retry-order", "", helloUncompared, ""},
	{attls.RoleClient, "message-boundary", "behind ServerHello", boundaryKept, ""},
	{attls.RoleServer, "message-boundary", "behind ClientHello", boundaryKept, ""},
	{attls.RoleClient, "transcript", "transcript is another one", boundaryKept, "append ServerHello"},
	{attls.RoleServer, "transcript", "transcript is another one", boundaryKept, "append ClientHello"},
	{attls.RoleServer, "transcript", "transcript is another one", "octets after the last field of ClientHello are " +
		"passed over, and are left out of the transcript", "extend ClientHello"},
	{attls.RoleServer, "tolerates", "Verification of the message MAC failed",
		"it was built without early data, and does not pass over what comes", "early ClientHello"},
}

const (
	schemeAlert = "a scheme in CertificateVerify that was not offered is answered as a signature that does not verify, " +
		"with decrypt_error"
	twiceTaken      = "it does not look for an extension that appears twice"
	requestUnread   = "extensions of CertificateRequest that it does not use are not looked at"
	helloUncompared = "the second ClientHello is not compared with the first"
	serverHelloEnd  = "octets after the extensions of ServerHello and HelloRetryRequest are not looked at"
	boundaryKept    = "a message behind a hello in its record is kept until one is due, and taken without protection"
	curveUncompared = "the curve of a key is not compared with that of the scheme of CertificateVerify"
	signatureEnd    = "octets after the signature of a CertificateVerify are not looked at"
)

// known is why a violation is not a finding; "": it is one.
func (v *Violation) known(in *Input) string {
	for _, k := range stackKnown {
		if k.law == v.Law && k.role == v.Role && strings.Contains(v.Says, k.says) &&
			slices.ContainsFunc(in.Edits, func(e Edit) bool { return strings.HasPrefix(e.String(), k.edit) }) {
			return k.reason
		}
	}
	return ""
}
