package learn

import (
	"attls"
	"attls/handshake"
)

// Own makes engines of this project as peers with which the alphabet can be spoken. asks says
// whether a server asks for a certificate in the handshake; under a profile that is the
// profile's affair.
func Own(role attls.Role, a Alphabet, asks handshake.ClientAuthentication) func() End {
	return func() End {
		end := End{&handshake.Config{ClientAuthentication: asks, ServerName: "server",
			Groups:    []attls.NamedGroup{attls.GroupX25519, attls.GroupSecp256r1},
			KeyShares: []attls.NamedGroup{attls.GroupX25519}}, Answerer(role)}
		if a.Attestation != nil {
			end = a.Attestation.End(role)
		}
		end.Config.PostHandshakeAuthentication = a.PostHandshake
		if a.Resumption {
			answerer := *end.Answerer
			answerer.ServerSessions, answerer.ClientSessions = &handshake.ServerSessions{}, &handshake.ClientSessions{}
			end.Config.PSK, end.Config.Tickets, end.Answerer = true, 1, &answerer
		}
		return end
	}
}
