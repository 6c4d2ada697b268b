package dissect

import (
	"attls"
	"attls/handshake/authenticator"
	"attls/handshake/exported"
	"attls/handshake/message"
)

// findPlain finds requests and authenticators of RFC 9261 that no profile frames: each is the
// whole of what a record of application data holds. What else a record holds is the
// application's, so that nothing is taken for one that is not of its form from end to end.
func (d *dissector) findPlain() {
	if d.p != nil && len(d.p.Later) > 0 {
		return // its flag is not set
	}
	asked := [2]int{} // requests of an end that nothing has answered
	for i := range d.items {
		item := &d.items[i]
		if item.Type != attls.ContentTypeApplicationData || item.Sealed || item.Early {
			continue
		}
		s := sent{frame: frame{octets: item.Bytes}, from: item.Sender, step: -1}
		s.messages = messagesOf(s.frame)
		switch {
		case isRequest(s.messages, item.Sender):
			s.content = exported.ContentRequest
			asked[item.Sender]++
		case isAuthenticator(s.messages, asked[item.Sender.Peer()] > 0):
			s.content = exported.ContentAnswer
			asked[item.Sender.Peer()]--
		default:
			continue
		}
		if d.exported == nil {
			d.exported, d.plain = map[int][]sent{}, true
			d.note("Application data has requests and authenticators of RFC 9261, each in a record of its own.")
		}
		d.exported[i] = []sent{s}
	}
}

// isRequest reports whether messages are a request of an end.
func isRequest(list []message.Raw, own attls.Role) bool {
	if len(list) != 1 {
		return false
	}
	m := &list[0]
	if own == attls.RoleServer {
		return m.Kind == attls.KindCertificateRequest && parse[message.CertificateRequest](m) != nil
	}
	return m.Kind == attls.KindClientCertificateRequest && parse[message.ClientCertificateRequest](m) != nil
}

// isAuthenticator reports whether messages are an authenticator, or after a request the empty one.
func isAuthenticator(list []message.Raw, asked bool) bool {
	last := len(list) - 1
	if last < 0 || list[last].Kind != attls.KindFinished {
		return false
	}
	if last == 0 {
		return asked
	}
	return last == 2 && list[0].Kind == attls.KindCertificate && parse[message.Certificate](&list[0]) != nil &&
		list[1].Kind == attls.KindCertificateVerify && parse[message.CertificateVerify](&list[1]) != nil
}

// offered is what a server may put into an authenticator that nobody has asked for; nil under a
// profile, which attests on request only.
func (d *dissector) offered() *authenticator.ClientHello {
	if !d.plain {
		return nil
	}
	for i := len(d.items) - 1; i >= 0; i-- {
		if m := &d.items[i].Message; m.Kind == attls.KindClientHello {
			ch, err := authenticator.ParseClientHello(m.Bytes)
			if err != nil {
				return nil
			}
			return ch
		}
	}
	return nil
}
