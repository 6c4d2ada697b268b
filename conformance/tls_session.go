package conformance

import (
	"attls"
	"attls/handshake"
	"attls/handshake/message"
)

// sessionFaults are in a connection that brings back the ticket of another one.
var sessionFaults = []tlsFault{
	refused("psk-binder", "", "One bit of the pre-shared key's binder is flipped.", attls.FailBinder, server, attls.KindClientHello,
		resumed(clientHello(0, replace(attls.ExtPreSharedKey, func(body []byte) []byte {
			body[len(body)-1] ^= 1
			return body
		}))), in(withSession)),
	refused("psk-selected", "", "ServerHello selects the second of one pre-shared key.", attls.FailIllegalParameter, client, attls.KindServerHello,
		resumed(answerFields(attls.KindServerHello, func(v *message.ServerHello) {
			v.Extensions = becomes(attls.ExtPreSharedKey, 0, 1)(v.Extensions)
		})), in(withSession)),
	refused("psk-without-share", "", "ServerHello selects a pre-shared key that was offered with (EC)DHE, and lacks key_share.", attls.FailMissingExtension, client, attls.KindServerHello,
		resumed(answerFields(attls.KindServerHello, func(v *message.ServerHello) {
			if _, ok := v.Extensions.Find(attls.ExtPreSharedKey); ok { // not that of the connection before
				v.Extensions = drop(attls.ExtKeyShare)(v.Extensions)
			}
		})), in(withSession), anyAlert),
}

func withSession(s *Scenario) { s.Resumption, s.Group = ResumeWithDHE, attls.GroupX25519.String() }

// resumed gives both ends the session of a connection before. Ends whose other end
// is another program make that connection themselves.
func resumed(apply func(*setup)) func(*setup) {
	return func(s *setup) {
		servers, clients := &handshake.ServerSessions{}, &handshake.ClientSessions{}
		if session, err := s.earlier(servers); err == nil { // without one, the fault does nothing, which is noticed
			clients.Put(session)
		}
		s.resumable(servers, clients)
		apply(s)
	}
}
