package cases

import (
	"crypto/x509"
	"slices"

	"attls"
	"attls/conformance/scenario"
	"attls/conformance/tamper"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/message"
	"attls/internal/rule"
)

// Schemes and types that no end of TLS 1.3 takes where they are put.
const (
	schemeSHA1  = attls.SignatureScheme(0x0203) // ecdsa_sha1, which is for certificates at most
	typeUnknown = attls.HandshakeType(99)
)

// flightFaults are in the messages after ServerHello.
func flightFaults() []Row {
	list := slices.Concat(serverFlightFaults, clientFlightFaults)
	for _, k := range []attls.MessageKind{attls.KindClientHello, attls.KindServerHello, attls.KindEncryptedExtensions,
		attls.KindCertificateRequest, attls.KindCertificate, attls.KindCertificateVerify} {
		sender := server
		if k == attls.KindClientHello {
			sender = client
		}
		list = append(list, trailing("trailing-"+ID(k.Name()), sender, k))
	}
	list = append(list, trailing("trailing-client-certificate", client, attls.KindCertificate), trailing("trailing-client-certificate-verify", client, attls.KindCertificateVerify))
	return slices.Concat(list, bothWays(signatureFlipped), bothWays(signatureLegacy), bothWays(signatureUnfit), bothWays(verifyMissing),
		greaseReturned(), bodiesFilled(), bothWays(certificateBroken), bothWays(keyUnnegotiated), bothWays(certificateDataEmpty), bothWays(untrusted), bothWays(finishedFlipped), bothWays(finishedLong), bothWays(unknownMessage))
}

// trailing puts an octet behind a message's last field, within its length.
func trailing(name string, sender attls.Role, k attls.MessageKind) Row {
	f := refused(name, "", k.String()+" has an octet after its last field.", attls.FailTrailing, sender.Peer(), k,
		resized(sender, k, func(b []byte) []byte { return append(b, 0) }))
	if sender == client && k != attls.KindClientHello || k == attls.KindCertificateRequest {
		in(mutual)(&f)
	}
	return f
}

// greaseReturned puts a reserved value of the client's, or one that it did not send,
// into each answer of a server.
func greaseReturned() []Row {
	var list []Row
	for _, k := range []attls.MessageKind{attls.KindServerHello, attls.KindHelloRetryRequest, attls.KindEncryptedExtensions, attls.KindCertificate} {
		f := refused("grease-returned-"+ID(k.Name()), rule.GREASERefused, k.String()+" of the server holds an extension of a reserved type (RFC 8701), the client's own if it has sent one.",
			attls.FailUnsolicited, client, k, func(s *scenario.Setup) {
				s.Ends[client].Config.GREASE = true
				s.Tap(server, &greaseEcho{into: k, value: reservedType})
			})
		if k == attls.KindHelloRetryRequest {
			in(retried)(&f)
		}
		list = append(list, f)
	}
	return list
}

// reservedType is an extension of RFC 8701.
const reservedType = attls.ExtensionType(0x5a5a)

// greaseEcho is a tap of a server that sends the client's reserved value back.
type greaseEcho struct {
	handshake.NopTap
	into  attls.MessageKind
	value attls.ExtensionType
}

func (t *greaseEcho) Message(d handshake.Direction, m *message.Raw, p *handshake.Plan) {
	if d == handshake.Received && m.Kind == attls.KindClientHello {
		tamper.WithExtensions(m, func(l extensions.List) extensions.List {
			for i := range l {
				if attls.Grease(uint16(l[i].Type)) {
					t.value = l[i].Type
				}
			}
			return l
		})
	}
	if d != handshake.Sent || m.Kind != t.into {
		return
	}
	add := tamper.Add(t.value)
	if m.Kind != attls.KindCertificate {
		p.Replace = tamper.WithExtensions(m, add)
		return
	}
	var v message.Certificate
	if v.Unmarshal(m.Body()) == nil && len(v.Entries) > 0 {
		v.Entries[0].Extensions = add(v.Entries[0].Extensions)
		p.Replace = v.Append(nil)
	}
}

// Fork implements handshake.Tap.
func (t *greaseEcho) Fork() handshake.Tap {
	f := *t
	return &f
}

// bodiesFilled puts an octet into extensions whose bodies must be empty.
func bodiesFilled() []Row {
	row := func(name string, x attls.ExtensionType, sender attls.Role, k attls.MessageKind, more ...option) Row {
		apply := serverEdits(k, func(l extensions.List) extensions.List { return tamper.Add(x, 0)(tamper.Remove(x)(l)) })
		if sender == client {
			apply = clientHello(0, func(l extensions.List) extensions.List { return tamper.Add(x, 0)(tamper.Remove(x)(l)) })
		}
		return refused("filled-"+name, rule.BodyEmpty, k.String()+" has an octet in the body of "+x.String()+", which must be empty.", attls.FailTrailing, sender.Peer(), k, apply, more...)
	}
	return []Row{
		row("post-handshake-auth", attls.ExtPostHandshakeAuth, client, attls.KindClientHello, anyAlert),
		row("early-data", attls.ExtEarlyData, client, attls.KindClientHello, anyAlert),
		row("signed-certificate-timestamp", attls.ExtSignedCertificateTimestamp, client, attls.KindClientHello, mayPass),
		row("extended-main-secret", attls.ExtExtendedMainSecret, client, attls.KindClientHello, mayPass),
		row("encrypt-then-mac", attls.ExtEncryptThenMAC, client, attls.KindClientHello, mayPass),
		row("server-name", attls.ExtServerName, server, attls.KindEncryptedExtensions, anyAlert),
		row("request-status-request", attls.ExtStatusRequest, server, attls.KindCertificateRequest, in(mutual), mayPass),
		row("request-signed-certificate-timestamp", attls.ExtSignedCertificateTimestamp, server, attls.KindCertificateRequest, in(mutual), mayPass),
	}
}

// authenticated makes a row of the client one with a certificate of the client.
func authenticated(sender attls.Role, f Row) Row {
	if sender == client {
		in(mutual)(&f)
	}
	return f
}

func signatureFlipped(sender attls.Role) Row {
	return authenticated(sender, refused("signature", rule.SignatureVerified, "One bit of the signature in CertificateVerify is flipped.", attls.FailSignature,
		sender.Peer(), attls.KindCertificateVerify, flipLast(sender, attls.KindCertificateVerify)))
}

func signatureLegacy(sender attls.Role) Row {
	return authenticated(sender, refused("signature-legacy", "", "CertificateVerify names ecdsa_sha1, which was not offered.", attls.FailIllegalParameter,
		sender.Peer(), attls.KindCertificateVerify, verifyFields(sender, func(v *message.CertificateVerify) { v.Scheme = schemeSHA1 })))
}

func signatureUnfit(sender attls.Role) Row {
	return authenticated(sender, refused("signature-unfit", rule.SchemeFits, "CertificateVerify names a scheme that was offered and does not go with the key.", attls.FailIllegalParameter,
		sender.Peer(), attls.KindCertificateVerify, verifyFields(sender, func(v *message.CertificateVerify) { v.Scheme = attls.RSA_PSS_RSAE_SHA256 }), anyAlert))
}

func verifyMissing(sender attls.Role) Row {
	return authenticated(sender, refused("verify-missing", "", "CertificateVerify is left out.", attls.FailUnexpectedMessage,
		sender.Peer(), attls.KindFinished, dropped(sender, attls.KindCertificateVerify)))
}

func certificateBroken(sender attls.Role) Row {
	return authenticated(sender, refused("certificate-broken", "", "The first certificate is not a certificate.", attls.FailBadCertificate,
		sender.Peer(), attls.KindCertificate, certificateFields(sender, func(m *message.Certificate) { m.Entries[0].Data = []byte{0x30, 0x00} }), anyAlert))
}

// keyUnnegotiated shows the key of the certificate in its place, as if the type had been negotiated.
func keyUnnegotiated(sender attls.Role) Row {
	return authenticated(sender, refused("raw-key-unnegotiated", "", "The first entry is the raw public key of the certificate, and the type was not negotiated.", attls.FailBadCertificate,
		sender.Peer(), attls.KindCertificate, certificateFields(sender, func(m *message.Certificate) {
			if c, err := x509.ParseCertificate(m.Entries[0].Data); err == nil {
				m.Entries[0].Data = c.RawSubjectPublicKeyInfo
			}
		}), anyAlert))
}

func certificateDataEmpty(sender attls.Role) Row {
	return authenticated(sender, refused("certificate-data-empty", "", "cert_data of the first entry is empty.", attls.FailDecode,
		sender.Peer(), attls.KindCertificate, certificateFields(sender, func(m *message.Certificate) { m.Entries[0].Data = nil })))
}

func untrusted(sender attls.Role) Row {
	return authenticated(sender, refused("untrusted", rule.ChainTrusted, "The receiver trusts nobody who vouches for the certificate.", attls.FailUnknownCA,
		sender.Peer(), attls.KindCertificate, func(s *scenario.Setup) { s.Ends[sender.Peer()].Distrust = true }, anyAlert))
}

func finishedFlipped(sender attls.Role) Row {
	return refused("finished", rule.FinishedVerified, "One bit of Finished is flipped.", attls.FailFinished,
		sender.Peer(), attls.KindFinished, flipLast(sender, attls.KindFinished))
}

func finishedLong(sender attls.Role) Row {
	return refused("finished-long", "", "Finished has an octet more than the hash.", attls.FailDecode,
		sender.Peer(), attls.KindFinished, resized(sender, attls.KindFinished, func(b []byte) []byte { return append(b, 0) }), anyAlert)
}

func unknownMessage(sender attls.Role) Row {
	return refused("unknown-message", "", "A handshake message of an unknown type precedes Finished.", attls.FailUnexpectedMessage,
		sender.Peer(), attls.KindUnknown, before(sender, attls.KindFinished, tamper.Message(typeUnknown, nil)...))
}

var serverFlightFaults = []Row{
	refused("answer-unknown", rule.ExtensionKnown, "EncryptedExtensions holds an extension that nobody knows.", attls.FailUnsolicited, client, attls.KindEncryptedExtensions,
		serverEdits(attls.KindEncryptedExtensions, tamper.Add(tamper.Unknown))),
	refused("certificate-type-unsolicited", rule.ExtensionSolicited, "EncryptedExtensions selects a raw public key for the server, and the client has offered no types of certificates.", attls.FailUnsolicited, client, attls.KindEncryptedExtensions,
		serverEdits(attls.KindEncryptedExtensions, tamper.Add(attls.ExtServerCertificateType, byte(attls.CertificateRawPublicKey)))),
	refused("answer-unsolicited", rule.ExtensionSolicited, "EncryptedExtensions answers max_fragment_length, which was not offered.", attls.FailUnsolicited, client, attls.KindEncryptedExtensions,
		serverEdits(attls.KindEncryptedExtensions, tamper.Add(attls.ExtMaxFragmentLength, 1))),
	refused("elsewhere", rule.ExtensionInPlace, "EncryptedExtensions holds key_share.", attls.FailWrongMessage, client, attls.KindEncryptedExtensions,
		serverEdits(attls.KindEncryptedExtensions, tamper.Add(attls.ExtKeyShare))),
	refused("twice-encrypted-extensions", rule.ExtensionOnce, "EncryptedExtensions holds the answer to server_name twice.", attls.FailDuplicateExtension, client, attls.KindEncryptedExtensions,
		serverEdits(attls.KindEncryptedExtensions, func(l extensions.List) extensions.List {
			return tamper.Add(attls.ExtServerName)(tamper.Add(attls.ExtServerName)(tamper.Remove(attls.ExtServerName)(l)))
		}), anyAlert),
	refused("protocol-not-offered", rule.ALPNOffered, "EncryptedExtensions selects a protocol that was not offered.", attls.FailIllegalParameter, client, attls.KindEncryptedExtensions,
		serverEdits(attls.KindEncryptedExtensions, func(l extensions.List) extensions.List {
			return tamper.Add(attls.ExtALPN, 0, 3, 2, 'n', 'o')(tamper.Remove(attls.ExtALPN)(l))
		}), in(withProtocol), anyAlert),
	refused("two-protocols", "", "EncryptedExtensions selects two protocols.", attls.FailDecode, client, attls.KindEncryptedExtensions,
		serverEdits(attls.KindEncryptedExtensions, func(l extensions.List) extensions.List {
			return tamper.Add(attls.ExtALPN, 0, 8, 3, 'y', 'e', 's', 3, 'y', 'e', 's')(tamper.Remove(attls.ExtALPN)(l))
		}), in(withProtocol), anyAlert),
	refused("request-without-algorithms", rule.RequestAlgorithms, "CertificateRequest lacks signature_algorithms.", attls.FailMissingExtension, client, attls.KindCertificateRequest,
		serverEdits(attls.KindCertificateRequest, tamper.Remove(attls.ExtSignatureAlgorithms)), in(mutual)),
	refused("request-context", rule.RequestContext, "CertificateRequest of the handshake has a context.", attls.FailIllegalParameter, client, attls.KindCertificateRequest,
		requestFields(func(v *message.CertificateRequest) { v.Context = []byte{7} }), in(mutual), anyAlert),
	refused("request-twice", "", "CertificateRequest holds an extension twice.", attls.FailDuplicateExtension, client, attls.KindCertificateRequest,
		serverEdits(attls.KindCertificateRequest, tamper.AddTwice), in(mutual), anyAlert),
	refused("request-again", "", "CertificateRequest is sent twice.", attls.FailUnexpectedMessage, client, attls.KindCertificateRequest,
		again(server, attls.KindCertificateRequest), in(mutual)),
	refused("request-late", "", "CertificateRequest comes after Certificate.", attls.FailUnexpectedMessage, client, attls.KindCertificateRequest, requestLate, in(mutual)),
	refused("certificate-unsolicited", rule.ExtensionSolicited, "Certificate holds signed_certificate_timestamp, which was not offered.", attls.FailUnsolicited, client, attls.KindCertificate,
		certificateFields(server, timestamped)),
	refused("certificate-context", rule.ContextEmpty, "The server's Certificate has a context.", attls.FailIllegalParameter, client, attls.KindCertificate,
		certificateFields(server, func(m *message.Certificate) { m.Context = []byte{7} }), anyAlert),
	refused("certificate-empty", rule.CertificateShown, "The server's Certificate is empty.", attls.FailDecode, client, attls.KindCertificate,
		certificateFields(server, func(m *message.Certificate) { m.Entries = nil })),
	refused("certificate-again", "", "The server sends its Certificate twice.", attls.FailUnexpectedMessage, client, attls.KindCertificate, again(server, attls.KindCertificate)),
	refused("no-encrypted-extensions", "", "EncryptedExtensions is left out.", attls.FailUnexpectedMessage, client, attls.KindCertificate, dropped(server, attls.KindEncryptedExtensions)),
	refused("no-certificate", "", "The server sends CertificateVerify and no Certificate.", attls.FailUnexpectedMessage, client, attls.KindCertificateVerify, dropped(server, attls.KindCertificate)),
	refused("no-authentication", "", "The server sends neither Certificate nor CertificateVerify.", attls.FailUnexpectedMessage, client, attls.KindFinished,
		dropped(server, attls.KindCertificate, attls.KindCertificateVerify)),
	refused("signature-not-offered", rule.SchemeOffered, "CertificateVerify uses a scheme that the client does not accept.", attls.FailIllegalParameter, client, attls.KindCertificateVerify,
		func(s *scenario.Setup) {
			s.Ends[client].Config.SignatureSchemes = []attls.SignatureScheme{attls.ED25519}
			s.Tap(client, tamper.Extensions(attls.KindClientHello, 0, tamper.SetBody(attls.ExtSignatureAlgorithms, 0, 2, 4, 3)))
		}),
}

// timestamped puts signed_certificate_timestamp into the first entry.
func timestamped(m *message.Certificate) {
	m.Entries[0].Extensions = tamper.Add(attls.ExtSignedCertificateTimestamp, 0, 3, 0, 1, 7)(m.Entries[0].Extensions)
}

// requestLate moves CertificateRequest behind Certificate.
func requestLate(s *scenario.Setup) {
	var request []byte
	s.Tap(server, tamper.Messages(func(m *message.Raw, _ int, p *handshake.Plan) {
		switch m.Kind {
		case attls.KindCertificateRequest:
			request = slices.Clone(m.Bytes)
			p.Drop = true
		case attls.KindCertificate:
			p.After = [][]byte{request}
		}
	}))
}

// emptyCertificate is a Certificate without context and entries.
var emptyCertificate = tamper.Message(attls.TypeCertificate, []byte{0, 0, 0, 0})

var clientFlightFaults = []Row{
	refused("client-certificate-empty", rule.CertificateRequired, "The client's Certificate is empty and the server requires one.", attls.FailCertificateRequired, server, attls.KindCertificate,
		func(s *scenario.Setup) {
			s.Tap(client, tamper.Certificate(func(m *message.Certificate) { m.Entries = nil }))
			s.Tap(client, tamper.Drop(attls.KindCertificateVerify))
		}, in(mutual)),
	refused("client-certificate-unsolicited", rule.ExtensionSolicited, "The client's Certificate holds signed_certificate_timestamp, which was not asked for.", attls.FailUnsolicited, server, attls.KindCertificate,
		certificateFields(client, timestamped), in(mutual)),
	refused("client-certificate-context", rule.ContextEmpty, "The context of the client's Certificate is not that of the request.", attls.FailIllegalParameter, server, attls.KindCertificate,
		certificateFields(client, func(m *message.Certificate) { m.Context = []byte{7} }), in(mutual), anyAlert),
	refused("no-client-certificate", "", "The client sends Finished in the place of the Certificate that it was asked for.", attls.FailUnexpectedMessage, server, attls.KindFinished,
		dropped(client, attls.KindCertificate, attls.KindCertificateVerify), in(mutual)),
	refused("certificate-unasked", "", "The client sends a Certificate that nobody asked for.", attls.FailUnexpectedMessage, server, attls.KindCertificate,
		before(client, attls.KindFinished, emptyCertificate...)),
}
