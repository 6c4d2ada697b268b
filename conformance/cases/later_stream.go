package cases

import (
	"slices"

	"attls"
	"attls/conformance/scenario"
	"attls/conformance/tamper"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/authenticator"
	"attls/handshake/exported"
	"attls/handshake/message"
	"attls/internal/rule"
)

// streamRows are about requests and authenticators in the connection that they belong to, so that
// they can be sent to other stacks as well. RFC 9261 without a connection is in authenticatorRows.
var streamRows = []Row{
	later("sent-twice", rule.AuthenticatorContext, "The attester sends its authenticator twice.",
		Reject{Failure: attls.FailRequestContext}, trySentTwice),
	later("of-another-connection", rule.SignatureVerified, "The attester makes its authenticator with the handshake context of another connection, or direction.",
		Reject{Failure: attls.FailSignature}, tryOtherConnection),
	later("finished-key", rule.FinishedVerified, "The attester makes Finished with another key than that of its role.",
		Reject{Failure: attls.FailFinished}, tryFinishedKey),
	later("refusal-key", "", "The attester makes the empty authenticator with another key than that of its role.",
		Reject{Failure: attls.FailFinished}, tryRefusalKey),
	later("of-another-request", "", "The attester changes the context in its Certificate.",
		Reject{Failure: attls.FailRequestContext}, tryOtherRequest),
	later("extension-unasked", rule.ExtensionSolicited, "The authenticator has an extension that the request lacks.",
		Reject{Failure: attls.FailUnsolicited}, tryExtensionUnasked),
	later("extension-unknown", rule.ExtensionKnown, "The authenticator has an unknown extension.",
		Reject{Failure: attls.FailUnsolicited}, tryExtensionUnknown),
	later("followed", rule.AuthenticatorMessages, "A message follows Finished in the authenticator.",
		Reject{Failure: attls.FailUnexpectedMessage}, tryFollowed),
	later("cut", "", "The frame with the authenticator has the half of it.",
		Reject{Failure: attls.FailDecode}, tryAuthenticatorCut),
	later("data-first", "", "The attester sends application data before it has answered, although the profile forbids that.",
		Reject{Failure: attls.FailUnexpectedMessage}, tryDataFirst),
	later("evidence-again", "", "The attester answers a second request, of another key generation, with the Evidence for the first.",
		Reject{Failure: attls.FailBinderMismatch}, tryEvidenceAgain),
	later("frame-type", "", "A frame has a type that there is not.", Reject{Failure: attls.FailDecode}, tryFrameType),
	later("frame-empty", "", "A frame is empty.", Reject{Failure: attls.FailDecode}, tryFrameEmpty),
	later("request-returned", rule.AuthenticatorDirection, "The attester does not answer, and sends a request such as the relying party sends.",
		Reject{Failure: attls.FailUnexpectedMessage}, tryRequestReturned),
	later("request-of-the-other-role", rule.AuthenticatorDirection, "The request is the message of the other role.",
		Reject{Failure: attls.FailUnexpectedMessage}, tryRequestOfOther),
	later("request-sent-twice", rule.AuthenticatorContext, "The relying party sends its request twice.",
		Reject{Failure: attls.FailRequestContext}, tryRequestTwice),
	later("request-without-schemes", rule.RequestAlgorithms, "The request has no signature_algorithms.",
		Reject{Failure: attls.FailMissingExtension}, tryRequestWithoutSchemes),
	later("request-extension", rule.ExtensionInPlace, "The request has key_share.",
		Reject{Failure: attls.FailWrongMessage}, tryRequestExtension),
}

// frames writes and reads the frames of the profile.
func (c *Context) frames() *exported.Frames { return exported.NewFrames(&c.Profile.Authenticator, 0) }

// sends changes what an end sends of a content, with its frame, and expects what the other does.
func sends(from attls.Role, at attls.MessageKind, what exported.Content, change func([]byte) []byte) *Change {
	return &Change{Expect: Reject{By: from.Peer(), At: at}, Apply: func(s *scenario.Setup) {
		s.Ends[from].Exported.Sent = func(c exported.Content, framed []byte) []byte {
			if c != what {
				return framed
			}
			return change(framed)
		}
	}}
}

// content takes the frame off octets, which is one.
func (c *Context) content(framed []byte) []byte {
	_, octets, _, err := c.frames().Next(framed)
	if err != nil {
		return nil
	}
	return octets
}

// inFrame puts octets into a frame.
func (c *Context) inFrame(what exported.Content, octets []byte) []byte {
	framed, err := c.frames().Append(nil, what, octets)
	if err != nil {
		return nil
	}
	return framed
}

// typed reports whether frames have a type and a length.
func (c *Context) typed() bool { return c.Profile.Authenticator.Framing == profile.FramingTyped }

// requestKind is the request to the attester.
func (c *Context) requestKind() attls.MessageKind {
	if c.Attester == attls.RoleServer {
		return attls.KindClientCertificateRequest
	}
	return attls.KindCertificateRequest
}

func trySentTwice(c *Context) *Change {
	if !c.Profile.Authenticator.Repeats() {
		return nil // what follows is application data
	}
	return sends(c.Attester, attls.KindCertificate, exported.ContentAnswer, func(framed []byte) []byte {
		return slices.Concat(framed, framed)
	})
}

// derives has the attester derive another value for its authenticators.
func (c *Context) derives(at attls.MessageKind, ofClient, ofServer string) *Change {
	label := ofServer
	if c.Attester == attls.RoleClient {
		label = ofClient
	}
	return &Change{Expect: Reject{By: c.Attester.Peer(), At: at}, Apply: func(s *scenario.Setup) {
		s.Tap(c.Attester, tamper.Secret(handshake.SecretName(label)))
	}}
}

func tryOtherConnection(c *Context) *Change {
	return c.derives(attls.KindCertificateVerify, authenticator.LabelClientContext, authenticator.LabelServerContext)
}

func tryFinishedKey(c *Context) *Change {
	return c.derives(attls.KindFinished, authenticator.LabelClientFinished, authenticator.LabelServerFinished)
}

func tryRefusalKey(c *Context) *Change {
	change := tryFinishedKey(c)
	refuse, key := tryRefused(c).Apply, change.Apply
	change.Apply = func(s *scenario.Setup) {
		refuse(s)
		key(s)
	}
	return change
}

// shows changes Certificate of the attester.
func (c *Context) shows(at attls.MessageKind, change func(*message.Certificate)) *Change {
	return &Change{Expect: Reject{By: c.Attester.Peer(), At: at}, Apply: func(s *scenario.Setup) {
		s.Tap(c.Attester, c.tapCertificate(change))
	}}
}

// tryOtherRequest: under a context for which nobody has asked, a server's authenticator is one
// that answers no request, so that its extensions would have to be in ClientHello, and nothing is
// signed over a request.
func tryOtherRequest(c *Context) *Change {
	change := c.shows(attls.KindCertificate, func(ct *message.Certificate) {
		ct.Context = slices.Clone(ct.Context)
		ct.Context[len(ct.Context)-1] ^= 1
	})
	switch {
	case c.Attester == attls.RoleClient:
	case c.Profile.Later[c.laterSlot()].Every:
		change.Expect = Reject{By: attls.RoleClient, At: attls.KindCertificateVerify, Failure: attls.FailSignature}
	default:
		change.Expect = Reject{By: attls.RoleClient, At: attls.KindCertificate, Failure: attls.FailUnsolicited}
	}
	return change
}

func (c *Context) showsExtension(t attls.ExtensionType, body []byte) *Change {
	return c.shows(attls.KindCertificate, func(ct *message.Certificate) {
		ct.Entries[0].Extensions = append(slices.Clone(ct.Entries[0].Extensions), extensions.Extension{Type: t, Body: body})
	})
}

func tryExtensionUnasked(c *Context) *Change {
	return c.showsExtension(attls.ExtSignedCertificateTimestamp, sct)
}

func tryExtensionUnknown(c *Context) *Change { return c.showsExtension(0xff7e, nil) }

// reframes changes an authenticator inside of its frame.
func (c *Context) reframes(at attls.MessageKind, change func([]byte) []byte) *Change {
	if !c.typed() {
		return nil
	}
	return sends(c.Attester, at, exported.ContentAnswer, func(framed []byte) []byte {
		return c.inFrame(exported.ContentAnswer, change(slices.Clone(c.content(framed))))
	})
}

func tryFollowed(c *Context) *Change {
	return c.reframes(attls.KindNone, func(octets []byte) []byte { return (&message.KeyUpdate{}).Append(octets) })
}

func tryAuthenticatorCut(c *Context) *Change {
	return c.reframes(attls.KindCertificate, func(octets []byte) []byte { return octets[:len(octets)/2] })
}

func tryDataFirst(c *Context) *Change {
	if r := &c.Profile.Authenticator; !r.Repeats() || !r.Waits() {
		return nil
	}
	return sends(c.Attester, attls.KindNone, exported.ContentAnswer, func(framed []byte) []byte {
		return append(c.inFrame(exported.ContentData, []byte("early")), framed...)
	})
}

func tryEvidenceAgain(c *Context) *Change {
	if !c.Profile.Authenticator.Repeats() {
		return nil
	}
	change := tryOtherContext(c)
	if change == nil {
		return nil
	}
	c.Scenario.Reattest, c.Scenario.ExtendedKeyUpdate, c.Scenario.KeyUpdates = true, true, 1
	change.Apply = func(s *scenario.Setup) {
		end := s.Ends[c.Attester]
		end.Attester = recalling{end.Attester, new([]byte)}
	}
	return change
}

func tryFrameType(c *Context) *Change {
	if !c.typed() {
		return nil
	}
	return sends(c.Attester, attls.KindNone, exported.ContentAnswer, func(framed []byte) []byte {
		framed[0] = 0xee
		return framed
	})
}

func tryFrameEmpty(c *Context) *Change {
	if !c.typed() {
		return nil
	}
	return sends(c.Attester, attls.KindNone, exported.ContentAnswer, func(framed []byte) []byte {
		empty := framed[:1+c.Profile.Authenticator.LengthOctets]
		clear(empty[1:])
		return empty
	})
}

// tryRequestReturned sends a request such as the relying party itself sends.
func tryRequestReturned(c *Context) *Change {
	schemes := extensions.List{{Type: attls.ExtSignatureAlgorithms, Body: []byte{0, 2, 4, 3}}}
	context := slices.Repeat([]byte{7}, 32)
	octets := (&message.CertificateRequest{Context: context, Extensions: schemes}).Append(nil)
	if c.Attester == attls.RoleServer {
		octets[0] = byte(attls.TypeClientCertificateRequest)
	}
	return sends(c.Attester, attls.KindNone, exported.ContentAnswer, func([]byte) []byte {
		return c.inFrame(exported.ContentRequest, octets)
	})
}

func tryRequestOfOther(c *Context) *Change {
	other := map[attls.Role]attls.HandshakeType{attls.RoleServer: attls.TypeCertificateRequest,
		attls.RoleClient: attls.TypeClientCertificateRequest}[c.Attester]
	return sends(c.Attester.Peer(), attls.KindNone, exported.ContentRequest, func(framed []byte) []byte {
		octets := slices.Clone(c.content(framed))
		octets[0] = byte(other)
		return c.inFrame(exported.ContentRequest, octets)
	})
}

func tryRequestTwice(c *Context) *Change {
	if !c.Profile.Authenticator.Repeats() {
		return nil
	}
	return sends(c.Attester.Peer(), c.requestKind(), exported.ContentRequest, func(framed []byte) []byte {
		return slices.Concat(framed, framed)
	})
}

func (c *Context) asks(edit func(extensions.List) extensions.List) *Change {
	return &Change{Expect: Reject{By: c.Attester, At: c.requestKind()}, Apply: c.editsRequest(edit)}
}

func tryRequestWithoutSchemes(c *Context) *Change {
	return c.asks(strippedOf(attls.ExtSignatureAlgorithms))
}

func tryRequestExtension(c *Context) *Change {
	return c.asks(func(l extensions.List) extensions.List {
		return append(slices.Clone(l), extensions.Extension{Type: attls.ExtKeyShare})
	})
}
