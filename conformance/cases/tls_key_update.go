package cases

import (
	"slices"

	"attls"
	"attls/conformance/scenario"
	"attls/conformance/tamper"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/message"
	"attls/internal/rule"
)

func withUpdates(s *scenario.Scenario) { s.ExtendedKeyUpdate = true }

// keyUpdateFaults are in tls_flags and in extended key updates.
func keyUpdateFaults() []Row {
	list := []Row{
		refused("flags-unproposed", rule.FlagProposed, "EncryptedExtensions sets a TLS flag that the client did not propose.", attls.FailIllegalParameter, client, attls.KindEncryptedExtensions,
			serverEdits(attls.KindEncryptedExtensions, tamper.SetBody(attls.ExtTLSFlags, extensions.AppendTLSFlags(nil, 0, attls.FlagExtendedKeyUpdate)...)), in(withUpdates)),
		refused("flags-zero", "", "tls_flags in ClientHello sets no flag.", attls.FailIllegalParameter, server, attls.KindClientHello,
			clientHello(0, tamper.SetBody(attls.ExtTLSFlags, 1, 0)), in(withUpdates)),
		refused("flags-trailing", "", "tls_flags in ClientHello ends with a zero octet.", attls.FailIllegalParameter, server, attls.KindClientHello,
			clientHello(0, tamper.SetBody(attls.ExtTLSFlags, 4, 0, 0, 1, 0)), in(withUpdates)),
		refused("update-response-group", rule.UpdateGroup, "key_update_response has a share of another group than the handshake.", attls.FailIllegalParameter, client, attls.KindExtendedKeyUpdate,
			changedUpdate(server, func(m *message.Raw, p *handshake.Plan) { p.Replace = slices.Clone(m.Bytes); p.Replace[6] ^= 1 }), in(withUpdates)),
		refused("update-response-share", "", "key_update_response has a share that is not a public key of the group.", attls.FailIllegalParameter, client, attls.KindExtendedKeyUpdate,
			changedUpdate(server, func(m *message.Raw, p *handshake.Plan) {
				p.Replace = slices.Clone(m.Bytes)
				clear(p.Replace[9:])
			}), in(withUpdates)),
		refused("update-request-twice", rule.UpdateDue, "The initiator sends its key_update_request twice.", attls.FailUnexpectedMessage, server, attls.KindExtendedKeyUpdate,
			changedUpdate(client, onceMore), in(withUpdates)),
		refused("update-response-twice", "", "The responder sends its key_update_response twice.", attls.FailMessageBoundary, client, attls.KindNone,
			changedUpdate(server, onceMore), in(withUpdates)),
		refused("update-request-equal", "", "A key_update_request crosses with one that has the same share.", attls.FailUnexpectedMessage, client, attls.KindExtendedKeyUpdate,
			mirrored, in(withUpdates)),
		refused("update-keys", "", "Behind an update, a server's records are protected under another key.", attls.FailBadRecordMAC, client, attls.KindNone,
			func(s *scenario.Setup) { s.Tap(server, tamper.Secret("SERVER_TRAFFIC_SECRET_1")) }, in(withUpdates)),
	}
	for _, of := range []func(attls.Role) Row{updateEarly, responseUnasked, finishUnasked, subtypeUnknown, requestGroup, requestShare, standardUpdate,
		requestUnnegotiated} {
		list = append(list, bothWays(of)...)
	}
	return list
}

// changedUpdate changes the first ExtendedKeyUpdate that an end sends.
func changedUpdate(sender attls.Role, change func(*message.Raw, *handshake.Plan)) func(*scenario.Setup) {
	return func(s *scenario.Setup) {
		s.Tap(sender, tamper.Messages(func(m *message.Raw, n int, p *handshake.Plan) {
			if m.Kind == attls.KindExtendedKeyUpdate && n == 0 {
				change(m, p)
			}
		}))
	}
}

// onceMore sends a message again behind itself.
func onceMore(m *message.Raw, p *handshake.Plan) { p.After = [][]byte{slices.Clone(m.Bytes)} }

// mirrored has the server answer a request with the same.
func mirrored(s *scenario.Setup) { s.Tap(server, &mirror{}) }

// mirror is a tap that sends the last key_update_request that it has seen in place of a response.
type mirror struct {
	handshake.NopTap
	request []byte
}

func (t *mirror) Message(d handshake.Direction, m *message.Raw, p *handshake.Plan) {
	switch {
	case m.Kind != attls.KindExtendedKeyUpdate:
	case d == handshake.Received && isSubtype(m, attls.KeyUpdateRequest):
		t.request = slices.Clone(m.Bytes)
	case d == handshake.Sent && isSubtype(m, attls.KeyUpdateResponse):
		p.Replace = t.request
	}
}

func (t *mirror) Fork() handshake.Tap { f := *t; return &f }

// updateBefore puts an ExtendedKeyUpdate before the first application data of an end.
func updateBefore(sender attls.Role, m message.ExtendedKeyUpdate) func(*scenario.Setup) {
	return recordBefore(sender, atApplication, attls.ContentTypeHandshake, m.Append(nil)...)
}

func ofUpdate(id string, r rule.Rule, does string, f attls.Failure, sender attls.Role, m message.ExtendedKeyUpdate,
	more ...option) Row {
	return refused(id, r, does, f, sender.Peer(), attls.KindExtendedKeyUpdate, updateBefore(sender, m), more...)
}

// aShare has the length of an X25519 share.
var aShare = slices.Repeat([]byte{9}, 32)

func updateEarly(sender attls.Role) Row {
	m := message.ExtendedKeyUpdate{Type: attls.KeyUpdateRequest, Group: attls.GroupX25519, Key: aShare}
	return refused("update-early", "", "key_update_request comes before Finished.", attls.FailUnexpectedMessage, sender.Peer(), attls.KindExtendedKeyUpdate,
		recordBefore(sender, atFlight, attls.ContentTypeHandshake, m.Append(nil)...), in(withUpdates, withX25519))
}

func responseUnasked(sender attls.Role) Row {
	return ofUpdate("update-response-unasked", rule.UpdateDue, "key_update_response comes without a request.", attls.FailUnexpectedMessage, sender,
		message.ExtendedKeyUpdate{Type: attls.KeyUpdateResponse, Group: attls.GroupX25519, Key: aShare}, in(withUpdates))
}

func finishUnasked(sender attls.Role) Row {
	return ofUpdate("update-finish-unasked", rule.UpdateDue, "key_update_finish comes without a response.", attls.FailUnexpectedMessage, sender,
		message.ExtendedKeyUpdate{Type: attls.KeyUpdateFinish}, in(withUpdates))
}

func subtypeUnknown(sender attls.Role) Row {
	return refused("update-subtype", "", "ExtendedKeyUpdate has the subtype 3.", attls.FailUnexpectedMessage, sender.Peer(), attls.KindExtendedKeyUpdate,
		recordBefore(sender, atApplication, attls.ContentTypeHandshake, tamper.Message(attls.TypeExtendedKeyUpdate, []byte{3})...), in(withUpdates))
}

func requestGroup(sender attls.Role) Row {
	return ofUpdate("update-request-group", rule.UpdateGroup, "key_update_request has a share of another group than the handshake.", attls.FailIllegalParameter, sender,
		message.ExtendedKeyUpdate{Type: attls.KeyUpdateRequest, Group: attls.GroupSecp256r1, Key: aShare}, in(withUpdates, withX25519))
}

func requestShare(sender attls.Role) Row {
	return ofUpdate("update-request-share", "", "key_update_request has a share that is not a public key of the group.", attls.FailIllegalParameter, sender,
		message.ExtendedKeyUpdate{Type: attls.KeyUpdateRequest, Group: attls.GroupX25519, Key: make([]byte, 32)}, in(withUpdates, withX25519))
}

func withX25519(s *scenario.Scenario) { s.Group = attls.GroupX25519.String() }

func standardUpdate(sender attls.Role) Row {
	return refused("update-standard", rule.UpdateReplaces, "KeyUpdate comes although extended key update was negotiated.", attls.FailUnexpectedMessage, sender.Peer(), attls.KindKeyUpdate,
		recordBefore(sender, atApplication, attls.ContentTypeHandshake, tamper.Message(attls.TypeKeyUpdate, []byte{0})...), in(withUpdates))
}

func requestUnnegotiated(sender attls.Role) Row {
	return ofUpdate("update-unnegotiated", "", "key_update_request comes although extended key update was not negotiated.", attls.FailUnexpectedMessage, sender,
		message.ExtendedKeyUpdate{Type: attls.KeyUpdateRequest, Group: attls.GroupX25519, Key: aShare})
}
