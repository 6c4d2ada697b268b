package conformance

import (
	"slices"

	"attls"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/internal/rule"
)

// tlsFault is a breach of a rule of TLS 1.3 itself, about extensions and
// certificates, in a connection without attestation.
type tlsFault struct {
	name    string
	rule    rule.Rule
	does    string
	failure attls.Failure
	rejects attls.Role
	at      attls.MessageKind
	apply   func(*setup)
	set     func(*Scenario)
}

// tlsCases are the cases of TLS 1.3 itself.
func tlsCases() []Case {
	list := make([]Case, 0, len(tlsFaults))
	for i := range tlsFaults {
		k := &tlsFaults[i]
		f := &Fault{Name: k.name, Failure: k.failure, Does: k.does, Scenario: Scenario{Attester: AttestNone},
			rejects: k.rejects, at: k.at, rule: k.rule, apply: k.apply}
		f.expect(nil, profile.AlertAction{Alert: attls.DefaultAlert(k.failure)})
		if k.set != nil {
			k.set(&f.Scenario)
		}
		list = append(list, f.asCase(nil))
	}
	return append(list, Case{Name: "unknown-ignored", Rule: rule.UnknownIgnored, Does: "ClientHello holds an extension that the server does not know.",
		Scenario: Scenario{Attester: AttestNone}, apply: clientHello(0, with(unknownExtension)), judge: good})
}

// serverEdits is a fault in the extensions of a server's message.
func serverEdits(k attls.MessageKind, change func(extensions.List) extensions.List) func(*setup) {
	return func(s *setup) { s.tap(attls.RoleServer, editList(k, 0, change)) }
}

// with adds an extension.
func with(t attls.ExtensionType, body ...byte) func(extensions.List) extensions.List {
	return func(l extensions.List) extensions.List {
		return append(l, extensions.Extension{Type: t, Body: body})
	}
}

// askClient makes the server ask the client for a certificate.
func askClient(a handshake.ClientAuthentication, then func(*setup)) func(*setup) {
	return func(s *setup) {
		s.ends[attls.RoleServer].config.ClientAuthentication = a
		then(s)
	}
}

// editVerify changes the CertificateVerify that an end sends.
func editVerify(role attls.Role, change func(*message.CertificateVerify)) func(*setup) {
	return func(s *setup) {
		s.tap(role, newEdit(func(m *message.Raw, _ int, p *handshake.Plan) {
			var v message.CertificateVerify
			if m.Kind == attls.KindCertificateVerify && v.Unmarshal(m.Body()) == nil {
				v.Signature = slices.Clone(v.Signature)
				change(&v)
				p.Replace = v.Append(nil)
			}
		}))
	}
}

// flipLast changes the last octet of an end's message of a kind.
func flipLast(role attls.Role, k attls.MessageKind) func(*setup) {
	return func(s *setup) {
		s.tap(role, newEdit(func(m *message.Raw, _ int, p *handshake.Plan) {
			if m.Kind == k {
				p.Replace = slices.Clone(m.Bytes)
				p.Replace[len(p.Replace)-1] ^= 1
			}
		}))
	}
}

func drop(t attls.ExtensionType) func(extensions.List) extensions.List {
	return func(l extensions.List) extensions.List {
		return without(l, func(x attls.ExtensionType) bool { return x == t })
	}
}

func clientHello(n int, change func(extensions.List) extensions.List) func(*setup) {
	return func(s *setup) { s.tap(attls.RoleClient, editList(attls.KindClientHello, n, change)) }
}

const (
	client = attls.RoleClient
	server = attls.RoleServer
)

// twice adds an extension that nobody knows, and again.
func twice(l extensions.List) extensions.List {
	return append(l, extensions.Extension{Type: unknownExtension}, extensions.Extension{Type: unknownExtension})
}

var tlsFaults = []tlsFault{
	{"answer-unknown", rule.ExtensionKnown, "EncryptedExtensions holds an extension that nobody knows.", attls.FailUnsolicited, client, attls.KindEncryptedExtensions,
		serverEdits(attls.KindEncryptedExtensions, with(unknownExtension)), nil},
	{"answer-unsolicited", rule.ExtensionSolicited, "EncryptedExtensions answers max_fragment_length, which was not offered.", attls.FailUnsolicited, client, attls.KindEncryptedExtensions,
		serverEdits(attls.KindEncryptedExtensions, with(attls.ExtMaxFragmentLength, 1)), nil},
	{"certificate-unsolicited", rule.ExtensionSolicited, "Certificate holds signed_certificate_timestamp, which was not offered.", attls.FailUnsolicited, client, attls.KindCertificate,
		func(s *setup) {
			s.tap(server, editCertificate(func(m *message.Certificate) {
				m.Entries[0].Extensions = with(attls.ExtSignedCertificateTimestamp, 0, 3, 0, 1, 7)(m.Entries[0].Extensions)
			}))
		}, nil},
	{"elsewhere", rule.ExtensionInPlace, "EncryptedExtensions holds key_share.", attls.FailWrongMessage, client, attls.KindEncryptedExtensions,
		serverEdits(attls.KindEncryptedExtensions, with(attls.ExtKeyShare)), nil},
	{"twice.client_hello", rule.ExtensionOnce, "ClientHello holds an extension twice.", attls.FailDuplicateExtension, server, attls.KindClientHello, clientHello(0, twice), nil},
	{"psk-not-last", rule.PSKLast, "An extension follows pre_shared_key.", attls.FailIllegalParameter, server, attls.KindClientHello,
		clientHello(0, func(l extensions.List) extensions.List {
			return with(unknownExtension)(with(attls.ExtPreSharedKey)(l))
		}), nil},
	{"no-signature-algorithms", rule.HelloComplete, "ClientHello lacks signature_algorithms.", attls.FailMissingExtension, server, attls.KindClientHello,
		clientHello(0, drop(attls.ExtSignatureAlgorithms)), nil},
	{"share-unlisted", rule.ShareListed, "ClientHello has a share of a group that supported_groups lacks.", attls.FailIllegalParameter, server, attls.KindClientHello,
		clientHello(0, func(l extensions.List) extensions.List {
			return with(attls.ExtSupportedGroups, 0, 2, 0, 30)(drop(attls.ExtSupportedGroups)(l))
		}), nil},
	{"second-hello", rule.HelloRepeated, "The second ClientHello has another extension than the first.", attls.FailRetryMismatch, server, attls.KindClientHello,
		clientHello(1, with(unknownExtension)), func(s *Scenario) { s.HelloRetry = true }},
	{"cookie-dropped", rule.HelloRepeated, "The second ClientHello lacks the cookie.", attls.FailRetryMismatch, server, attls.KindClientHello,
		clientHello(1, drop(attls.ExtCookie)), func(s *Scenario) { s.HelloRetry, s.Cookie = true, true }},
	{"retry-unchanged", rule.RetryNeeded, "HelloRetryRequest asks for nothing.", attls.FailRetryUnchanged, client, attls.KindHelloRetryRequest,
		serverEdits(attls.KindHelloRetryRequest, func(l extensions.List) extensions.List {
			return drop(attls.ExtCookie)(drop(attls.ExtKeyShare)(l))
		}), func(s *Scenario) { s.HelloRetry = true }},
	{"version", rule.VersionOffered, "ServerHello selects a version that was not offered.", attls.FailIllegalParameter, client, attls.KindServerHello,
		serverEdits(attls.KindServerHello, func(l extensions.List) extensions.List {
			return with(attls.ExtSupportedVersions, 3, 5)(drop(attls.ExtSupportedVersions)(l))
		}), nil},
	{"request-without-algorithms", rule.RequestAlgorithms, "CertificateRequest lacks signature_algorithms.", attls.FailMissingExtension, client, attls.KindCertificateRequest,
		askClient(handshake.OptionalClientCertificate, serverEdits(attls.KindCertificateRequest, drop(attls.ExtSignatureAlgorithms))), nil},
	{"request-context", rule.RequestContext, "CertificateRequest of the handshake has a context.", attls.FailIllegalParameter, client, attls.KindCertificateRequest,
		askClient(handshake.OptionalClientCertificate, func(s *setup) {
			s.tap(server, newEdit(func(m *message.Raw, _ int, p *handshake.Plan) {
				var v message.CertificateRequest
				if m.Kind == attls.KindCertificateRequest && v.Unmarshal(m.Body()) == nil {
					v.Context = []byte{7}
					p.Replace = v.Append(nil)
				}
			}))
		}), nil},
	{"certificate-context", rule.ContextEmpty, "The server's Certificate has a context.", attls.FailIllegalParameter, client, attls.KindCertificate,
		func(s *setup) {
			s.tap(server, editCertificate(func(m *message.Certificate) { m.Context = []byte{7} }))
		}, nil},
	{"certificate-empty", rule.CertificateShown, "The server's Certificate is empty.", attls.FailDecode, client, attls.KindCertificate,
		func(s *setup) {
			s.tap(server, editCertificate(func(m *message.Certificate) { m.Entries = nil }))
		}, nil},
	{"client-certificate-empty", rule.CertificateRequired, "The client's Certificate is empty and the server requires one.", attls.FailCertificateRequired, server, attls.KindCertificate,
		askClient(handshake.RequireClientCertificate, func(s *setup) {
			s.tap(client, editCertificate(func(m *message.Certificate) { m.Entries = nil }))
			s.tap(client, dropMessage(attls.KindCertificateVerify))
		}), nil},
	{"untrusted.server", rule.ChainTrusted, "Nobody vouches for the server's certificate.", attls.FailUnknownCA, client, attls.KindCertificate,
		func(s *setup) { s.ends[client].distrust = true }, nil},
	{"untrusted.client", rule.ChainTrusted, "Nobody vouches for the client's certificate.", attls.FailUnknownCA, server, attls.KindCertificate,
		askClient(handshake.RequireClientCertificate, func(s *setup) { s.ends[server].distrust = true }), nil},
	{"signature-not-offered", rule.SchemeOffered, "CertificateVerify uses a scheme that the client does not accept.", attls.FailIllegalParameter, client, attls.KindCertificateVerify,
		func(s *setup) {
			s.ends[client].config.SignatureSchemes = []attls.SignatureScheme{attls.ED25519}
			s.tap(client, editList(attls.KindClientHello, 0, func(l extensions.List) extensions.List {
				return with(attls.ExtSignatureAlgorithms, 0, 2, 4, 3)(drop(attls.ExtSignatureAlgorithms)(l))
			}))
		}, nil},
	{"signature-unfit", rule.SchemeFits, "CertificateVerify names a scheme that does not go with the key.", attls.FailIllegalParameter, client, attls.KindCertificateVerify,
		editVerify(server, func(v *message.CertificateVerify) { v.Scheme = attls.ED25519 }), nil},
	{"signature.server", rule.SignatureVerified, "One bit of the server's signature is flipped.", attls.FailSignature, client, attls.KindCertificateVerify, flipLast(server, attls.KindCertificateVerify), nil},
	{"signature.client", rule.SignatureVerified, "One bit of the client's signature is flipped.", attls.FailSignature, server, attls.KindCertificateVerify,
		askClient(handshake.RequireClientCertificate, flipLast(client, attls.KindCertificateVerify)), nil},
	{"finished.server", rule.FinishedVerified, "One bit of the server's Finished is flipped.", attls.FailFinished, client, attls.KindFinished, flipLast(server, attls.KindFinished), nil},
	{"finished.client", rule.FinishedVerified, "One bit of the client's Finished is flipped.", attls.FailFinished, server, attls.KindFinished, flipLast(client, attls.KindFinished), nil},
	{"protocol-not-offered", rule.ALPNOffered, "EncryptedExtensions selects a protocol that was not offered.", attls.FailIllegalParameter, client, attls.KindEncryptedExtensions,
		serverEdits(attls.KindEncryptedExtensions, func(l extensions.List) extensions.List {
			return with(attls.ExtALPN, 0, 3, 2, 'n', 'o')(drop(attls.ExtALPN)(l))
		}), func(s *Scenario) { s.ALPN = "yes" }},
}
