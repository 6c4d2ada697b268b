package campaign

// demands say what a law demands, in a sentence for the page of a finding.
var demands = map[string]string{
	"peer-key": "CertificateVerify proves that the peer holds the key of the certificate that it " +
		"shows.",
	"signature": "The signature of CertificateVerify is checked against the transcript and the key in " +
		"the peer's certificate; if it does not fit, the handshake ends with decrypt_error.",
	"finished": "The verify_data of Finished is compared with the one that the receiver computes; if " +
		"they differ, the handshake ends with decrypt_error.",
	"transcript": "Finished covers every handshake message in the order in which it was sent, so both " +
		"ends must have seen the same.",
	"certificate-trusted": "A certificate that no trusted authority vouches for must not authenticate its peer.",
	"client-certificate": "A server that requires a certificate refuses an empty Certificate with " +
		"certificate_required.",
	"extension-once": "A block of extensions must not have two of the same type.",
	"extension-known": "An answer must not have an extension that the receiver did not offer; it is refused " +
		"with unsupported_extension.",
	"extension-in-place": "An extension that the receiver recognizes, in a message for which it is not " +
		"specified, is refused with illegal_parameter.",
	"extension-solicited": "An answer must not have an extension for which the receiver did not ask; it is " +
		"refused with unsupported_extension.",
	"extension-empty": "The extension has no body in this message; octets in it are a message that cannot be " +
		"parsed, which is refused with decode_error.",
	"message-order": "Handshake messages come in one order; any other is refused with unexpected_message.",
	"message-boundary": "Handshake messages must not share a record with messages under other keys: what " +
		"follows the last message before a change of keys in its record is refused with " +
		"unexpected_message.",
	"psk-last": "pre_shared_key is the last extension of a ClientHello; the server checks it and " +
		"refuses another place with illegal_parameter.",
	"hello-complete": "A ClientHello of TLS 1.3 has supported_versions, and either pre_shared_key with " +
		"psk_key_exchange_modes or both signature_algorithms and supported_groups; " +
		"supported_groups and key_share come together. Otherwise it is refused with " +
		"missing_extension.",
	"schemes-needed": "A server that authenticates with a certificate refuses a ClientHello without " +
		"signature_algorithms with missing_extension.",
	"key-share-listed": "Each KeyShareEntry is of another group, which supported_groups lists. A server may " +
		"check this, and refuses with illegal_parameter then.",
	"compression": "legacy_compression_methods of a ClientHello of TLS 1.3 is exactly one zero octet; " +
		"anything else is refused with illegal_parameter.",
	"hello-repeated": "The second ClientHello is the first one but for what HelloRetryRequest asked to " +
		"change; a server that sees another difference refuses it with illegal_parameter.",
	"retry-order": "The second ClientHello is the first one but for what HelloRetryRequest asked to " +
		"change, in the same order.",
	"server-hello": "ServerHello answers with a version, cipher suite, compression method and session id " +
		"that the client offered; otherwise the client refuses it with illegal_parameter.",
	"retry-needed": "A HelloRetryRequest that would not change the ClientHello is refused with " +
		"illegal_parameter.",
	"retry-once": "A client refuses a second HelloRetryRequest in one connection with " +
		"unexpected_message.",
	"alpn-offered": "The server chooses exactly one protocol, and one that the client offered.",
	"request": "A CertificateRequest has signature_algorithms, and its context is empty in the " +
		"handshake.",
	"certificate": "The context of a Certificate is that of the request, and empty in the handshake and " +
		"where nothing was requested.",
	"signature-offered": "The algorithm of CertificateVerify is one that the receiver offered; otherwise it is " +
		"refused with illegal_parameter.",
	"signature-fits": "The algorithm of CertificateVerify fits the key in the certificate; " +
		"RSASSA-PKCS1-v1_5, SHA-1 and others that are for certificates alone do not occur in it.",
	"empty-message":  "A message that has no fields has no octets; others are refused with decode_error.",
	"flags-proposed": "An answer has only flags that the other end proposed.",
	"early-data":     "A server takes 0-RTT data only where it accepted the first PSK and early_data.",
	"resumed-name":   "A session is not resumed under another name than the one that it was made for.",
	"resumed-type": "A session is not resumed with other certificate types than those of its first " +
		"handshake.",
	"key-update": "Extended key updates follow the order of the draft: a request, a response, and new " +
		"keys on each side.",
	"later-signature": "The signature of CertificateVerify after the handshake is checked against the " +
		"transcript and the key in the certificate.",
	"later-finished": "The verify_data of Finished after the handshake is compared with the one that the " +
		"server computes.",
	"later-transcript": "Post-handshake authentication covers the handshake, the request and the messages of " +
		"the answer.",
	"later-request": "The context of a post-handshake request is new in its connection, and the answer has " +
		"the same one.",
	"later-trusted":    "A certificate that no trusted authority vouches for must not authenticate its peer.",
	"later-extensions": "The certificate of an answer has only extensions for which the request asked.",
	"later-asked": "A server asks for a certificate after the handshake only where the client offered " +
		"post_handshake_auth; otherwise the client refuses with unexpected_message.",
	"proof-order": "An authenticator is Certificate, CertificateVerify and Finished, or Finished alone, " +
		"and nothing follows.",
	"proof-signature": "The signature of an authenticator is checked against its transcript and the key in " +
		"its certificate.",
	"proof-finished": "The Finished of an authenticator is compared with the one that the receiver " +
		"computes.",
	"proof-transcript": "An authenticator covers its request and the connection's exported secrets.",
	"proof-context":    "A context is used for one authenticator of a connection.",
	"proof-scheme": "The algorithm of an authenticator is one of the request, or one that the receiver " +
		"offered.",
	"proof-trusted": "A certificate that no trusted authority vouches for must not authenticate its peer.",
	"proof-extensions": "The certificate of an authenticator has only extensions for which the request or the " +
		"hello asked.",
	"proof-request": "A request of an authenticator is of the type for its role, and has " +
		"signature_algorithms.",
	"proof-answer": "An authenticator answers the request that was sent, with its context.",
	"binder": "The binder of a PSK is checked before the PSK is used; if it does not fit, the " +
		"handshake ends with decrypt_error.",
	"record": "Records keep the bounds of their types and lengths, and what cannot be authenticated " +
		"is refused with bad_record_mac.",
	"alert-once":      "A fatal alert ends the connection: nothing follows it.",
	"ticket-lifetime": "ticket_lifetime is at most 604,800 seconds.",
	"message-end": "A message has nothing after its last field; otherwise it is refused with " +
		"decode_error.",
}

// demandOf is the sentence of a law, with its source.
func demandOf(law string) string {
	source := sourceOf(law)
	if text := demands[law]; text != "" {
		return source + ": " + text
	}
	return source
}
