package cases

import (
	"fmt"
	"slices"

	"attls"
	"attls/conformance/scenario"
	"attls/conformance/tamper"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/message"
	"attls/internal/rule"
	"attls/record"
)

// sessionFaults are in a connection that brings back the ticket of another one.
var sessionFaults = []Row{
	refused("psk-binder", "", "One bit of the pre-shared key's binder is flipped.", attls.FailBinder, server, attls.KindClientHello,
		resumed(clientHello(0, tamper.Change(attls.ExtPreSharedKey, func(body []byte) []byte {
			body[len(body)-1] ^= 1
			return body
		}))), in(withSession)),
	refused("psk-selected", "", "ServerHello selects the second of one pre-shared key.", attls.FailIllegalParameter, client, attls.KindServerHello,
		resumed(answerFields(attls.KindServerHello, func(v *message.ServerHello) {
			v.Extensions = tamper.SetBody(attls.ExtPreSharedKey, 0, 1)(v.Extensions)
		})), in(withSession)),
	refused("psk-without-share", "", "ServerHello selects a pre-shared key that was offered with (EC)DHE, and lacks key_share.", attls.FailMissingExtension, client, attls.KindServerHello,
		resumed(answerFields(attls.KindServerHello, func(v *message.ServerHello) {
			if _, ok := v.Extensions.Find(attls.ExtPreSharedKey); ok { // not that of the connection before
				v.Extensions = tamper.Remove(attls.ExtKeyShare)(v.Extensions)
			}
		})), in(withSession), anyAlert),
	refused("psk-groups-without-share", rule.HelloComplete, "A client that offers a pre-shared key without (EC)DHE sends supported_groups and no key_share.", attls.FailMissingExtension, server, attls.KindClientHello,
		keyAlone(reboundHello(tamper.Remove(attls.ExtKeyShare))), in(withSession, withoutExchange)),
	refused("psk-share-without-groups", rule.HelloComplete, "A client that offers a pre-shared key without (EC)DHE sends key_share and no supported_groups.", attls.FailMissingExtension, server, attls.KindClientHello,
		keyAlone(reboundHello(tamper.Remove(attls.ExtSupportedGroups))), in(withSession, withoutExchange)),
	refused("psk-unknown-without-schemes", rule.SchemesNeeded, "ClientHello offers a pre-shared key that the server does not know, and lacks signature_algorithms.", attls.FailMissingExtension, server, attls.KindClientHello,
		clientHello(0, func(l extensions.List) extensions.List {
			return tamper.Add(attls.ExtPreSharedKey, pskOffer...)(tamper.Add(attls.ExtPSKKeyExchangeModes, 1, 1)(tamper.Remove(attls.ExtSignatureAlgorithms)(l)))
		})),
	refused("early-data-beyond", rule.EarlyDataBounded, "A client sends early data that the server rejects, and more of it than any was announced.", attls.FailEarlyDataLimit, server, attls.KindNone,
		rejectedEarlyData(4, record.MaxPlaintext), in(withSession), mayPass),
}

// rejectedEarlyData lets a client offer early data with a ticket that does not
// permit it, and send so many records that no key opens after ClientHello.
func rejectedEarlyData(records, octets int) func(*scenario.Setup) {
	offers := func(l extensions.List) bool {
		_, ok := l.Find(attls.ExtPreSharedKey)
		return ok
	}
	return resumed(func(s *scenario.Setup) {
		reboundHello(func(l extensions.List) extensions.List {
			last := len(l) - 1
			if !offers(l) { // the connection that the ticket is of
				return l
			}
			return append(tamper.Add(attls.ExtEarlyData)(slices.Clone(l[:last])), l[last])
		})(s)
		oneRecord(client, atHello, func(r *record.Raw, p *record.Plan) {
			var hello message.ClientHello
			if hello.Unmarshal(r.Payload[4:]) != nil || !offers(hello.Extensions) {
				return
			}
			for range records {
				p.After = append(p.After, record.Raw{Type: attls.ContentTypeApplicationData, Payload: make([]byte, octets)})
			}
		})(s)
	})
}

// keyTolerances are ClientHellos that leave out what a pre-shared key makes
// unnecessary.
var keyTolerances = []Row{
	taken("psk-without-schemes", rule.SchemesOptional, "A client that offers a pre-shared key with (EC)DHE sends no signature_algorithms.", server,
		resumed(reboundHello(tamper.Remove(attls.ExtSignatureAlgorithms))), in(withSession)),
	taken("psk-without-schemes-retried", rule.SchemesOptional, "A client that offers a pre-shared key with (EC)DHE sends no signature_algorithms and an empty list of shares.", server,
		resumed(func(s *scenario.Setup) {
			s.Ends[client].Config.KeyShares = []attls.NamedGroup{}
			reboundHello(tamper.Remove(attls.ExtSignatureAlgorithms))(s)
		}), in(withSession, second, retried)),
	taken("early-data-rejected", rule.EarlyDataSkipped, "A client offers early data with a ticket that does not permit it, and sends some.", server,
		rejectedEarlyData(3, 300), in(withSession)),
	taken("psk-without-exchange", "", "A client that offers a pre-shared key without (EC)DHE sends neither supported_groups nor key_share.", server,
		keyAlone(reboundHello(func(l extensions.List) extensions.List {
			return tamper.Remove(attls.ExtSupportedGroups)(tamper.Remove(attls.ExtKeyShare)(l))
		})), in(withSession, withoutExchange)),
}

// keyAlone is resumed without a key exchange.
func keyAlone(apply func(*scenario.Setup)) func(*scenario.Setup) {
	return resumed(func(s *scenario.Setup) {
		for _, role := range attls.Roles() {
			s.Ends[role].Config.PSKModes = []attls.PSKKeyExchangeMode{attls.PSKOnly}
		}
		apply(s)
	})
}

// reboundHello is a fault in the extensions of every ClientHello that offers a
// key, with binders that go with it.
func reboundHello(change func(extensions.List) extensions.List) func(*scenario.Setup) {
	return tapped(client, func(m *message.Raw, _ int, p *handshake.Plan) {
		if m.Kind != attls.KindClientHello {
			return
		}
		p.Rebind = true
		p.Replace = tamper.WithExtensions(m, func(l extensions.List) extensions.List {
			if _, ok := l.Find(attls.ExtPreSharedKey); ok { // not that of the connection before
				return change(l)
			}
			return l
		})
	})
}

func withSession(s *scenario.Scenario) {
	s.Resumption, s.Group = scenario.ResumeWithDHE, attls.GroupX25519.String()
}

func withoutExchange(s *scenario.Scenario) { s.Resumption = scenario.ResumePSKOnly }

// resumed gives both ends the session of a connection before. Ends whose other end
// is another program make that connection themselves.
func resumed(apply func(*scenario.Setup)) func(*scenario.Setup) {
	return func(s *scenario.Setup) {
		servers, clients := &handshake.ServerSessions{}, &handshake.ClientSessions{}
		if session, err := s.Earlier(servers); err == nil { // without one, the fault does nothing, which is noticed
			clients.Put(session)
		}
		s.Resumable(servers, clients)
		apply(s)
	}
}

// tlsChecks are looks at good connections of TLS 1.3 itself.
var tlsChecks = []Row{
	seen("resumed-name", rule.NameUnanswered, "A server that resumes a session does not acknowledge server_name.",
		resumed(func(s *scenario.Setup) { s.Ends[server].Config.AcknowledgeServerName = true }),
		soundAnd(resumedAnswer(func(l extensions.List) error {
			if _, ok := l.Find(attls.ExtServerName); ok {
				return fmt.Errorf("EncryptedExtensions has server_name")
			}
			return nil
		}))),
	seen("resumed-type", rule.TypeRepeated, "A server that resumes a session tells the type of its certificate where the client has offered types.",
		resumed(func(*scenario.Setup) {}),
		soundAnd(resumedAnswer(func(l extensions.List) error {
			if b, _ := l.Get(attls.ExtServerCertificateType); !slices.Equal(b, []byte{byte(attls.CertificateRawPublicKey)}) {
				return fmt.Errorf("EncryptedExtensions has server_certificate_type %x", b)
			}
			return nil
		})), in(rawKeys)),
}

// seen is a row of TLS 1.3 itself about what must be seen of a connection.
func seen(id string, r rule.Rule, does string, apply func(*scenario.Setup), judge func(*scenario.Result) error, more ...option) Row {
	row := Row{ID: id, Rule: string(r), Does: does, Plain: true, Expect: Observe{}, Try: func(*Context) *Change { return observing(apply, judge) }}
	for _, o := range more {
		o(&row)
	}
	return row
}

// resumedAnswer judges EncryptedExtensions of a resumed connection.
func resumedAnswer(judge func(extensions.List) error) func(*scenario.Result) error {
	return func(r *scenario.Result) error {
		if sentBy(r, server, attls.KindCertificate) != nil {
			return fmt.Errorf("the connection was not resumed")
		}
		s := sentBy(r, server, attls.KindEncryptedExtensions)
		if s == nil {
			return fmt.Errorf("there is no EncryptedExtensions")
		}
		m, err := message.ParseRaw(s.Bytes())
		if err != nil {
			return err
		}
		var v message.EncryptedExtensions
		if err := v.Unmarshal(m.Body()); err != nil {
			return err
		}
		return judge(v.Extensions)
	}
}
