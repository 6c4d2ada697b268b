package cases

import (
	"attls"
	"attls/conformance/scenario"
	"attls/conformance/tamper"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/message"
)

const (
	client = attls.RoleClient
	server = attls.RoleServer
)

// by lets an end send, or derive, what a tap makes of it.
func by(sender attls.Role, t handshake.Tap) func(*scenario.Setup) {
	return func(s *scenario.Setup) { s.Tap(sender, t.Fork()) }
}

// tapped is a fault that decides on each message of its sender.
func tapped(sender attls.Role, change func(m *message.Raw, n int, p *handshake.Plan)) func(*scenario.Setup) {
	return by(sender, tamper.Messages(change))
}

// serverEdits is a fault in the extensions of a server's message.
func serverEdits(k attls.MessageKind, change func(extensions.List) extensions.List) func(*scenario.Setup) {
	return by(server, tamper.Extensions(k, 0, change))
}

// clientHello is a fault in the extensions of ClientHello n.
func clientHello(n int, change func(extensions.List) extensions.List) func(*scenario.Setup) {
	return by(client, tamper.Extensions(attls.KindClientHello, n, change))
}

// helloFields is a fault in the fields of ClientHello n.
func helloFields(n int, change func(*message.ClientHello)) func(*scenario.Setup) {
	return by(client, tamper.ClientHello(n, change))
}

// answerFields is a fault in the fields of ServerHello or HelloRetryRequest.
func answerFields(k attls.MessageKind, change func(*message.ServerHello)) func(*scenario.Setup) {
	return by(server, tamper.ServerHello(k, change))
}

// requestFields is a fault in the fields of CertificateRequest.
func requestFields(change func(*message.CertificateRequest)) func(*scenario.Setup) {
	return by(server, tamper.CertificateRequest(change))
}

// certificateFields is a fault in the fields of an end's first Certificate.
func certificateFields(sender attls.Role, change func(*message.Certificate)) func(*scenario.Setup) {
	return by(sender, tamper.Certificate(change))
}

// verifyFields is a fault in the fields of an end's CertificateVerify.
func verifyFields(sender attls.Role, change func(*message.CertificateVerify)) func(*scenario.Setup) {
	return by(sender, tamper.CertificateVerify(change))
}

// flipLast inverts the last bit of an end's messages of a kind.
func flipLast(sender attls.Role, k attls.MessageKind) func(*scenario.Setup) {
	return by(sender, tamper.FlipLast(k))
}

// resized gives an end's messages of a kind another body, with the length that fits it.
func resized(sender attls.Role, k attls.MessageKind, body func([]byte) []byte) func(*scenario.Setup) {
	return by(sender, tamper.Body(k, body))
}

// before sends a message before an end's messages of a kind.
func before(sender attls.Role, k attls.MessageKind, inserted ...byte) func(*scenario.Setup) {
	return by(sender, tamper.Before(k, inserted...))
}

// again sends an end's messages of a kind twice.
func again(sender attls.Role, k attls.MessageKind) func(*scenario.Setup) {
	return by(sender, tamper.Repeat(k))
}

// dropped leaves out an end's messages of some kinds.
func dropped(sender attls.Role, kinds ...attls.MessageKind) func(*scenario.Setup) {
	return by(sender, tamper.Drop(kinds...))
}
