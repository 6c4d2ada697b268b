package cases

import (
	"encoding/binary"
	"slices"

	"attls"
	"attls/conformance/scenario"
	"attls/conformance/tamper"
	"attls/extensions"
	"attls/handshake"
	"attls/internal/rule"
	"attls/record"
)

// tolerances are what is unusual and must be taken.
func tolerances() []Row {
	list := []Row{
		taken("unknown-ignored", rule.UnknownIgnored, "ClientHello holds an extension that the server does not know.", server, clientHello(0, tamper.Add(tamper.Unknown))),
		taken("grease", rule.UnknownIgnored, "ClientHello holds reserved values (RFC 8701) as suite, group, share, version and extension.", server,
			func(s *scenario.Setup) { s.Ends[client].Config.GREASE = true }),
		taken("unknown-scheme", "", "signature_algorithms begins with a scheme that nobody knows.", server,
			clientHello(0, tamper.Change(attls.ExtSignatureAlgorithms, unknownFirst(2)))),
		taken("certificate-schemes", "", "ClientHello has signature_algorithms_cert, which begins with a scheme that nobody knows.", server,
			clientHello(0, tamper.Add(attls.ExtSignatureAlgorithmsCert, 0, 4, unknownValue, unknownValue, 4, 3))),
		taken("request-certificate-schemes", "", "CertificateRequest has signature_algorithms_cert, which begins with a scheme that nobody knows.", client,
			serverEdits(attls.KindCertificateRequest, tamper.Add(attls.ExtSignatureAlgorithmsCert, 0, 4, unknownValue, unknownValue, 4, 3)), in(mutual)),
		taken("unknown-group", "", "supported_groups begins with a group that nobody knows.", server, clientHello(0, tamper.Change(attls.ExtSupportedGroups, unknownFirst(2)))),
		taken("unknown-version", "", "supported_versions begins with a version that nobody knows.", server, clientHello(0, tamper.Change(attls.ExtSupportedVersions, unknownFirst(1)))),
		taken("no-share", "", "key_share of ClientHello has an empty list, which asks for a HelloRetryRequest.", server,
			func(s *scenario.Setup) { s.Ends[client].Config.KeyShares = []attls.NamedGroup{} }, in(retried, second)),
		taken("two-shares", "", "key_share of ClientHello has shares of two groups.", server,
			func(s *scenario.Setup) {
				s.Ends[client].Config.KeyShares = []attls.NamedGroup{attls.GroupX25519, attls.GroupX25519MLKEM768}
			}, severalGroups),
		taken("many-shares", "", "key_share of ClientHello has shares of 200 groups that nobody knows after the client's own.", server, clientHello(0, manyShares)),
		taken("padded-hello", "", "ClientHello has 4096 octets of padding (RFC 7685).", server, clientHello(0, tamper.Add(attls.ExtPadding, make([]byte, 4096)...))),
		taken("request-unknown", "", "CertificateRequest holds an extension that the client does not know.", client,
			serverEdits(attls.KindCertificateRequest, tamper.Add(tamper.Unknown)), in(mutual)),
		taken("ticket-unknown", "", "NewSessionTicket holds an extension that the client does not know.", client, func(s *scenario.Setup) {
			s.Resumable(&handshake.ServerSessions{}, &handshake.ClientSessions{})
			s.Ends[server].Config.GREASE = true
		}),
		taken("cookie", "", "HelloRetryRequest holds a cookie and no group.", client, func(*scenario.Setup) {}, in(cookied, firstGroup)),
		taken("name-acknowledged", "", "EncryptedExtensions acknowledges server_name (RFC 6066).", client, func(s *scenario.Setup) { s.Ends[server].Config.AcknowledgeServerName = true }),
		taken("groups-announced", "", "EncryptedExtensions lists the server's groups.", client, func(s *scenario.Setup) { s.Ends[server].Config.AnnounceGroups = true }),
	}
	list = append(list, keyTolerances...)
	for _, of := range []func(attls.Role) Row{moreCCS, noCCS, padding, emptyData, fragments, splinters, apart} {
		list = append(list, bothWays(of)...)
	}
	return list
}

// manyShares lists 200 groups that nobody knows, and sends a share of each.
func manyShares(l extensions.List) extensions.List {
	var groups, shares []byte
	for i := range 200 {
		g := attls.NamedGroup(unknownGroups + i)
		groups = binary.BigEndian.AppendUint16(groups, uint16(g))
		shares = append(shares, shareOf(g, []byte{7})...)
	}
	longer := func(more []byte) func([]byte) []byte {
		return func(body []byte) []byte { return clientShare(append(body[2:], more...)) }
	}
	return tamper.Change(attls.ExtKeyShare, longer(shares))(tamper.Change(attls.ExtSupportedGroups, longer(groups))(l))
}

func moreCCS(sender attls.Role) Row {
	return taken("more-ccs", "", "Two further change_cipher_spec follow the hello.", sender.Peer(), oneRecord(sender, atHello, func(_ *record.Raw, p *record.Plan) {
		ccs := record.Raw{Type: attls.ContentTypeChangeCipherSpec, Payload: []byte{1}}
		p.After = []record.Raw{ccs, ccs}
	}))
}

func noCCS(sender attls.Role) Row {
	return taken("no-ccs", "", "No change_cipher_spec is sent.", sender.Peer(), func(s *scenario.Setup) { s.Ends[sender].Config.NoMiddleboxCompatibility = true })
}

// paddedTo is a length that most messages are far from.
const paddedTo = 1000

func padding(sender attls.Role) Row {
	return taken("padding", "", "Protected records are padded to a multiple of 1000 octets.", sender.Peer(), func(s *scenario.Setup) { s.Ends[sender].Config.PadTo = paddedTo })
}

func emptyData(sender attls.Role) Row {
	return taken("empty-data", "", "A record of application data without content precedes the first.", sender.Peer(),
		recordBefore(sender, atApplication, attls.ContentTypeApplicationData))
}

// fragmentSize cuts every message of the handshake.
const fragmentSize = 64

func fragments(sender attls.Role) Row {
	return taken("fragments", "", "No record has more than 64 octets of content, the hello's included, and each message begins a record.", sender.Peer(), func(s *scenario.Setup) {
		s.Ends[sender].Config.MaxFragment, s.Ends[sender].Config.MessagesPerRecord = fragmentSize, 1
	})
}

// splinterSize cuts the header of a handshake message.
const splinterSize = 3

func splinters(sender attls.Role) Row {
	return taken("splinters", "", "No record has more than 3 octets of content, so that the header of a message spreads over two.", sender.Peer(), func(s *scenario.Setup) { s.Ends[sender].Config.MaxFragment = splinterSize })
}

// apart: a client without a certificate has only Finished to send.
func apart(sender attls.Role) Row {
	return authenticated(sender, taken("apart", "", "Each handshake message has a record of its own.", sender.Peer(), everyRecord(sender, func(r *record.Raw, _ int, p *record.Plan) {
		if r.Type != attls.ContentTypeHandshake {
			return
		}
		messages := cutMessages(r.Payload)
		last := len(messages) - 1
		for _, m := range messages[:last] {
			p.Before = append(p.Before, record.Raw{Type: r.Type, Payload: m})
		}
		p.Replace = messages[last]
	})))
}

// cutMessages cuts a record's payload into its handshake messages; the last one
// may be incomplete.
func cutMessages(b []byte) (list [][]byte) {
	b = slices.Clone(b)
	for len(b) > 4 {
		n := min(len(b), 4+int(b[1])<<16+int(b[2])<<8+int(b[3]))
		list, b = append(list, b[:n]), b[n:]
	}
	if len(b) > 0 || len(list) == 0 {
		list = append(list, b)
	}
	return list
}
