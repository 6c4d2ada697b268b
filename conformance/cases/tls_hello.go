package cases

import (
	"bytes"
	"slices"

	"attls"
	"attls/conformance/scenario"
	"attls/conformance/tamper"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/message"
	"attls/internal/rule"
	"attls/internal/wire"
)

// Values that are assigned to nothing, or not in TLS 1.3.
const (
	unknownValue = 0xfe   // either octet of a suite, group, scheme or version
	versionOther = 0x05   // of 0x0305, which is no version
	groupMissing = 0x001e // x448, which this stack does not offer

	unknownGroups = 0x4000 // the first of many groups that are assigned to nothing
)

// unknownFirst puts a value that nobody knows first into a list of two-octet
// values that begins with its length in so many octets.
func unknownFirst(width int) func([]byte) []byte {
	return func(body []byte) []byte {
		list := append([]byte{unknownValue, unknownValue}, body[width:]...)
		return vector(width, list)
	}
}

// vector puts a length of so many octets before octets.
func vector(width int, v []byte) []byte {
	w := wire.Append(nil)
	w.Vector(width, v)
	return w.Bytes()
}

// share is a KeyShareEntry.
func shareOf(g attls.NamedGroup, key []byte) []byte {
	return extensions.AppendKeyShareEntry(nil, g, key)
}

// clientShare is the body of key_share in ClientHello with one entry.
func clientShare(entry []byte) []byte {
	return vector(2, entry)
}

// x25519Size is the length of a share of x25519, in octets.
const x25519Size = 32

// offTheCurve is a share of secp256r1 that is no point of it.
var offTheCurve = append([]byte{4}, bytes.Repeat([]byte{1}, 64)...)

// pskOffer is a pre_shared_key of ClientHello that is well formed and stands for
// no key that anyone has.
var pskOffer = slices.Concat([]byte{0, 11, 0, 5}, []byte("nokey"), []byte{0, 0, 0, 0, 0, 33, 32}, make([]byte, 32))

// helloFaults are in the first ClientHello.
var helloFaults = []Row{
	refused("twice-client-hello", rule.ExtensionOnce, "ClientHello holds an extension twice.", attls.FailDuplicateExtension, server, attls.KindClientHello, clientHello(0, tamper.AddTwice), anyAlert),
	refused("psk-not-last", rule.PSKLast, "An extension follows pre_shared_key.", attls.FailIllegalParameter, server, attls.KindClientHello,
		clientHello(0, func(l extensions.List) extensions.List {
			return tamper.Add(tamper.Unknown)(tamper.Add(attls.ExtPreSharedKey, pskOffer...)(tamper.Add(attls.ExtPSKKeyExchangeModes, 1, 1)(l)))
		})),
	refused("psk-without-modes", "", "pre_shared_key goes without psk_key_exchange_modes.", attls.FailMissingExtension, server, attls.KindClientHello,
		clientHello(0, tamper.Add(attls.ExtPreSharedKey, pskOffer...)), anyAlert),
	refused("no-signature-algorithms", rule.HelloComplete, "ClientHello lacks signature_algorithms.", attls.FailMissingExtension, server, attls.KindClientHello,
		clientHello(0, tamper.Remove(attls.ExtSignatureAlgorithms))),
	refused("no-groups", "", "ClientHello has key_share and lacks supported_groups.", attls.FailMissingExtension, server, attls.KindClientHello,
		clientHello(0, tamper.Remove(attls.ExtSupportedGroups))),
	refused("no-key-share", "", "ClientHello has supported_groups and lacks key_share.", attls.FailMissingExtension, server, attls.KindClientHello,
		clientHello(0, tamper.Remove(attls.ExtKeyShare))),
	refused("share-unlisted", rule.ShareListed, "ClientHello has a share of a group that supported_groups lacks.", attls.FailIllegalParameter, server, attls.KindClientHello,
		clientHello(0, tamper.Change(attls.ExtKeyShare, func(body []byte) []byte {
			return clientShare(append(slices.Clone(body[2:]), shareOf(groupMissing, make([]byte, 56))...))
		})), mayPass),
	refused("share-twice", "", "ClientHello has two shares of one group.", attls.FailIllegalParameter, server, attls.KindClientHello,
		clientHello(0, tamper.Change(attls.ExtKeyShare, func(body []byte) []byte { return clientShare(append(slices.Clone(body[2:]), body[2:]...)) })), mayPass),
	refused("share-short", "", "The share of x25519 has 31 octets.", attls.FailIllegalParameter, server, attls.KindClientHello,
		clientHello(0, tamper.SetBody(attls.ExtKeyShare, clientShare(shareOf(attls.GroupX25519, make([]byte, x25519Size-1)))...)), anyAlert),
	refused("share-zero", "", "The share of x25519 is all zeros, and so would be the shared secret.", attls.FailIllegalParameter, server, attls.KindClientHello,
		clientHello(0, tamper.SetBody(attls.ExtKeyShare, clientShare(shareOf(attls.GroupX25519, make([]byte, x25519Size)))...)), anyAlert),
	refused("share-off-curve", "", "The share of secp256r1 is not a point of the curve.", attls.FailIllegalParameter, server, attls.KindClientHello,
		clientHello(0, tamper.SetBody(attls.ExtKeyShare, clientShare(shareOf(attls.GroupSecp256r1, offTheCurve))...)), in(second), anyAlert),
	refused("compression", "", "ClientHello offers a compression method besides null.", attls.FailIllegalParameter, server, attls.KindClientHello,
		helloFields(0, func(v *message.ClientHello) { v.CompressionMethods = []byte{1, 0} })),
	refused("no-version", "", "ClientHello lacks supported_versions, and the server knows only TLS 1.3.", attls.FailVersion, server, attls.KindClientHello,
		clientHello(0, tamper.Remove(attls.ExtSupportedVersions))),
	refused("no-common-version", "", "supported_versions of ClientHello lacks TLS 1.3.", attls.FailVersion, server, attls.KindClientHello,
		clientHello(0, tamper.SetBody(attls.ExtSupportedVersions, 2, 3, versionOther))),
	refused("no-common-suite", "", "ClientHello lists no cipher suite that the server knows.", attls.FailSuite, server, attls.KindClientHello,
		helloFields(0, func(v *message.ClientHello) { v.CipherSuites = []byte{0x13, unknownValue} })),
	refused("no-common-group", "", "ClientHello lists no group that the server knows.", attls.FailGroup, server, attls.KindClientHello,
		clientHello(0, func(l extensions.List) extensions.List {
			return tamper.SetBody(attls.ExtKeyShare, 0, 0)(tamper.SetBody(attls.ExtSupportedGroups, 0, 2, unknownValue, unknownValue)(l))
		}), anyAlert),
	refused("no-common-scheme", "", "ClientHello lists no signature scheme that goes with the server's certificate.", attls.FailSignatureScheme, server, attls.KindNone,
		clientHello(0, tamper.SetBody(attls.ExtSignatureAlgorithms, 0, 2, unknownValue, unknownValue)), anyAlert),
	refused("no-common-protocol", "", "ClientHello lists no application protocol that the server knows.", attls.FailALPN, server, attls.KindClientHello,
		clientHello(0, tamper.SetBody(attls.ExtALPN, 0, 3, 2, 'n', 'o')), in(withProtocol)),
	refused("no-suites", "", "The list of cipher suites in ClientHello is empty.", attls.FailDecode, server, attls.KindClientHello,
		helloFields(0, func(v *message.ClientHello) { v.CipherSuites = nil })),
	refused("odd-suites", "", "The list of cipher suites in ClientHello ends in half a suite.", attls.FailDecode, server, attls.KindClientHello,
		helloFields(0, func(v *message.ClientHello) { v.CipherSuites = append(slices.Clone(v.CipherSuites), 0x13) })),
	refused("empty-groups", "", "supported_groups has an empty list.", attls.FailDecode, server, attls.KindClientHello,
		clientHello(0, tamper.SetBody(attls.ExtSupportedGroups, 0, 0))),
	refused("empty-schemes", "", "signature_algorithms has an empty list.", attls.FailDecode, server, attls.KindClientHello,
		clientHello(0, tamper.SetBody(attls.ExtSignatureAlgorithms, 0, 0))),
	refused("long-session-id", "", "legacy_session_id has 33 octets.", attls.FailDecode, server, attls.KindClientHello,
		helloFields(0, func(v *message.ClientHello) { v.SessionID = make([]byte, 33) })),
	refused("hello-legacy-version", "", "legacy_version of ClientHello is 0x0304 (RFC 9846 4.2.2).", attls.FailVersion, server, attls.KindClientHello,
		helloFields(0, func(v *message.ClientHello) { v.LegacyVersion = attls.VersionTLS13 })),
	refused("cut-share", "", "key_share of ClientHello ends within an entry.", attls.FailDecode, server, attls.KindClientHello,
		clientHello(0, tamper.Change(attls.ExtKeyShare, func(body []byte) []byte { return body[:len(body)-1] }))),
}

// answerFaults are in ServerHello.
var answerFaults = []Row{
	refused("version", rule.VersionOffered, "ServerHello selects a version that was not offered.", attls.FailIllegalParameter, client, attls.KindServerHello,
		serverEdits(attls.KindServerHello, tamper.SetBody(attls.ExtSupportedVersions, 3, versionOther))),
	refused("version-old", "", "ServerHello lacks supported_versions, and the client knows only TLS 1.3.", attls.FailVersion, client, attls.KindServerHello,
		serverEdits(attls.KindServerHello, tamper.Remove(attls.ExtSupportedVersions))),
	refused("answer-legacy-version", "", "legacy_version of ServerHello is 0x0304 (RFC 9846 4.2.3).", attls.FailVersion, client, attls.KindServerHello,
		answerFields(attls.KindServerHello, func(v *message.ServerHello) { v.LegacyVersion = attls.VersionTLS13 })),
	refused("suite-not-offered", "", "ServerHello selects a cipher suite that was not offered.", attls.FailIllegalParameter, client, attls.KindServerHello,
		answerFields(attls.KindServerHello, func(v *message.ServerHello) { v.CipherSuite = 0x1300 | unknownValue })),
	refused("session-id", "", "ServerHello does not echo the session id.", attls.FailIllegalParameter, client, attls.KindServerHello,
		answerFields(attls.KindServerHello, func(v *message.ServerHello) { v.SessionID = bytes.Repeat([]byte{7}, 32) })),
	refused("compressed", "", "ServerHello selects a compression method.", attls.FailIllegalParameter, client, attls.KindServerHello,
		answerFields(attls.KindServerHello, func(v *message.ServerHello) { v.CompressionMethod = 1 }), anyAlert),
	refused("group-not-offered", "", "ServerHello has a share of a group that was not offered.", attls.FailIllegalParameter, client, attls.KindServerHello,
		serverEdits(attls.KindServerHello, tamper.SetBody(attls.ExtKeyShare, shareOf(groupMissing, make([]byte, 56))...))),
	refused("group-without-share", "", "ServerHello has a share of a group for which the client sent none.", attls.FailIllegalParameter, client, attls.KindServerHello,
		serverEdits(attls.KindServerHello, tamper.SetBody(attls.ExtKeyShare, shareOf(attls.GroupSecp384r1, append([]byte{4}, make([]byte, 96)...))...))),
	refused("answer-share-short", "", "The server's share of x25519 has 31 octets.", attls.FailIllegalParameter, client, attls.KindServerHello,
		serverEdits(attls.KindServerHello, tamper.SetBody(attls.ExtKeyShare, shareOf(attls.GroupX25519, make([]byte, x25519Size-1))...)), in(firstGroup), anyAlert),
	refused("answer-share-zero", "", "The server's share of x25519 is all zeros, and so would be the shared secret.", attls.FailIllegalParameter, client, attls.KindServerHello,
		serverEdits(attls.KindServerHello, tamper.SetBody(attls.ExtKeyShare, shareOf(attls.GroupX25519, make([]byte, x25519Size))...)), in(firstGroup), anyAlert),
	refused("answer-share-off-curve", "", "The server's share of secp256r1 is not a point of the curve.", attls.FailIllegalParameter, client, attls.KindServerHello,
		serverEdits(attls.KindServerHello, tamper.SetBody(attls.ExtKeyShare, shareOf(attls.GroupSecp256r1, offTheCurve)...)), in(second), anyAlert),
	refused("answer-without-share", "", "ServerHello lacks key_share, and no pre-shared key was offered.", attls.FailMissingExtension, client, attls.KindServerHello,
		serverEdits(attls.KindServerHello, tamper.Remove(attls.ExtKeyShare)), anyAlert),
	refused("key-not-offered", "", "ServerHello selects a pre-shared key, and none was offered.", attls.FailUnsolicited, client, attls.KindServerHello,
		serverEdits(attls.KindServerHello, tamper.Add(attls.ExtPreSharedKey, 0, 0))),
	refused("hello-unknown", rule.ExtensionKnown, "ServerHello holds an extension that nobody knows.", attls.FailUnsolicited, client, attls.KindServerHello,
		serverEdits(attls.KindServerHello, tamper.Add(tamper.Unknown))),
	refused("hello-elsewhere", rule.ExtensionInPlace, "ServerHello holds server_name, which belongs into EncryptedExtensions.", attls.FailWrongMessage, client, attls.KindServerHello,
		serverEdits(attls.KindServerHello, tamper.Add(attls.ExtServerName))),
	refused("twice-server-hello", "", "ServerHello holds key_share twice.", attls.FailDuplicateExtension, client, attls.KindServerHello,
		serverEdits(attls.KindServerHello, func(l extensions.List) extensions.List {
			x, _ := l.Find(attls.ExtKeyShare)
			return append(l, *x)
		}), anyAlert),
}

// firstGroup leaves x25519 as the group; second is one that a client offers after
// it where a HelloRetryRequest is to come.
func firstGroup(s *scenario.Scenario) { s.Group = "x25519" }
func second(s *scenario.Scenario)     { s.Group = "secp256r1" }

// retryFaults are in HelloRetryRequest and in what follows it.
var retryFaults = []Row{
	refused("retry-unchanged", rule.RetryNeeded, "HelloRetryRequest asks for nothing.", attls.FailRetryUnchanged, client, attls.KindHelloRetryRequest,
		serverEdits(attls.KindHelloRetryRequest, func(l extensions.List) extensions.List {
			return tamper.Remove(attls.ExtCookie)(tamper.Remove(attls.ExtKeyShare)(l))
		}), in(retried)),
	refused("retry-without-version", "", "HelloRetryRequest lacks supported_versions.", attls.FailMissingExtension, client, attls.KindHelloRetryRequest,
		serverEdits(attls.KindHelloRetryRequest, tamper.Remove(attls.ExtSupportedVersions)), in(retried), anyAlert),
	refused("retry-version", rule.VersionOffered, "HelloRetryRequest selects a version that was not offered.", attls.FailIllegalParameter, client, attls.KindHelloRetryRequest,
		serverEdits(attls.KindHelloRetryRequest, tamper.SetBody(attls.ExtSupportedVersions, 3, versionOther)), in(retried)),
	refused("retry-same-group", "", "HelloRetryRequest asks for the group for which the client sent a share.", attls.FailIllegalParameter, client, attls.KindHelloRetryRequest,
		serverEdits(attls.KindHelloRetryRequest, askedAgain), in(retried, second)),
	refused("retry-group-not-offered", "", "HelloRetryRequest asks for a group that was not offered.", attls.FailIllegalParameter, client, attls.KindHelloRetryRequest,
		serverEdits(attls.KindHelloRetryRequest, tamper.SetBody(attls.ExtKeyShare, 0, groupMissing)), in(retried)),
	refused("retry-suite-not-offered", "", "HelloRetryRequest selects a cipher suite that was not offered.", attls.FailIllegalParameter, client, attls.KindHelloRetryRequest,
		answerFields(attls.KindHelloRetryRequest, func(v *message.ServerHello) { v.CipherSuite = 0x1300 | unknownValue }), in(retried)),
	refused("retry-session-id", "", "HelloRetryRequest does not echo the session id.", attls.FailIllegalParameter, client, attls.KindHelloRetryRequest,
		answerFields(attls.KindHelloRetryRequest, func(v *message.ServerHello) { v.SessionID = bytes.Repeat([]byte{7}, 32) }), in(retried)),
	refused("retry-unknown", rule.ExtensionKnown, "HelloRetryRequest holds an extension that nobody knows.", attls.FailUnsolicited, client, attls.KindHelloRetryRequest,
		serverEdits(attls.KindHelloRetryRequest, tamper.Add(tamper.Unknown)), in(retried)),
	refused("retry-twice", "", "The second ClientHello is answered with HelloRetryRequest once more.", attls.FailUnexpectedMessage, client, attls.KindHelloRetryRequest,
		retryAgain, in(retried)),
	refused("retry-suite-changed", "", "ServerHello selects another cipher suite than HelloRetryRequest did.", attls.FailIllegalParameter, client, attls.KindServerHello,
		answerFields(attls.KindServerHello, func(v *message.ServerHello) { v.CipherSuite = otherSuite(v.CipherSuite) }), in(retried)),
	refused("retry-group-changed", "", "ServerHello has a share of another group than HelloRetryRequest asked for.", attls.FailIllegalParameter, client, attls.KindServerHello,
		serverEdits(attls.KindServerHello, tamper.SetBody(attls.ExtKeyShare, shareOf(attls.GroupX25519, bytes.Repeat([]byte{9}, x25519Size))...)), in(retried, second)),
	refused("second-hello", rule.HelloRepeated, "The second ClientHello has another extension than the first.", attls.FailRetryMismatch, server, attls.KindClientHello,
		clientHello(1, tamper.Add(tamper.Unknown)), in(retried), mayPass),
	refused("second-suites", rule.HelloRepeated, "The second ClientHello lists another cipher suite first.", attls.FailRetryMismatch, server, attls.KindClientHello,
		helloFields(1, func(v *message.ClientHello) {
			v.CipherSuites = append([]byte{0x13, unknownValue}, v.CipherSuites...)
		}), in(retried), mayPass),
	refused("second-share", "", "The second ClientHello has no share of the group that was asked for.", attls.FailRetryMismatch, server, attls.KindClientHello,
		clientHello(1, tamper.SetBody(attls.ExtKeyShare, clientShare(shareOf(attls.GroupX25519, bytes.Repeat([]byte{9}, x25519Size)))...)), in(retried, second), anyAlert),
	refused("second-key", rule.HelloRepeated, "The second ClientHello offers a pre-shared key, and the first has offered none.", attls.FailRetryMismatch, server, attls.KindClientHello,
		func(s *scenario.Setup) {
			modes := tamper.Add(attls.ExtPSKKeyExchangeModes, 1, 1)
			clientHello(0, modes)(s)
			clientHello(1, func(l extensions.List) extensions.List {
				return tamper.Add(attls.ExtPreSharedKey, pskOffer...)(modes(l))
			})(s)
		}, in(retried), mayPass),
	refused("second-reordered", rule.RetryOrder, "The second ClientHello has supported_versions before all other extensions, as wolfSSL sends it.", attls.FailRetryMismatch, server, attls.KindClientHello,
		clientHello(1, versionsFirst), in(retried), mayPass),
	refused("cookie-dropped", rule.HelloRepeated, "The second ClientHello lacks the cookie.", attls.FailRetryMismatch, server, attls.KindClientHello,
		clientHello(1, tamper.Remove(attls.ExtCookie)), in(retried, cookied), anyAlert),
}

// versionsFirst moves supported_versions to the front.
func versionsFirst(l extensions.List) extensions.List {
	x, ok := l.Find(attls.ExtSupportedVersions)
	if !ok {
		return l
	}
	return append(extensions.List{*x}, tamper.Remove(attls.ExtSupportedVersions)(l)...)
}

// otherSuite is another suite of the same hash, or of the other one.
func otherSuite(s attls.CipherSuite) attls.CipherSuite {
	if s == attls.TLS_AES_128_GCM_SHA256 {
		return attls.TLS_CHACHA20_POLY1305_SHA256
	}
	return attls.TLS_AES_128_GCM_SHA256
}

// askedAgain asks for x25519, of which a client sends a share at once.
func askedAgain(l extensions.List) extensions.List {
	return tamper.Add(attls.ExtKeyShare, extensions.AppendSelectedGroup(nil, attls.GroupX25519)...)(tamper.Remove(attls.ExtKeyShare)(l))
}

// retryAgain sends the HelloRetryRequest in ServerHello's place.
func retryAgain(s *scenario.Setup) {
	var first []byte
	s.Tap(server, tamper.Messages(func(m *message.Raw, _ int, p *handshake.Plan) {
		switch m.Kind {
		case attls.KindHelloRetryRequest:
			first = slices.Clone(m.Bytes)
		case attls.KindServerHello:
			p.Replace = first
		}
	}))
}
