package handshake

import (
	"bytes"
	"slices"

	"attls"
	"attls/extensions"
	"attls/extensions/profile/binder"
	"attls/handshake/message"
	"attls/internal/rule"
	"attls/internal/wire"
	"attls/negotiation"
)

/*
The client, after RFC 8446 appendix A.1. Waits stand in brackets.

	           START <----+
	 [Nonce]     |        |
	 ClientHello |        | HelloRetryRequest
	             v        |
	         WAIT_SH -----+
	             | ServerHello
	             v
	         WAIT_EE
	             | EncryptedExtensions
	             v
	      WAIT_CERT_CR ------------+
	             |                 | CertificateRequest
	             |             WAIT_CERT
	             | Certificate <---+
	             |   [CertificateVerdict] [Appraisal]
	             v
	         WAIT_CV
	             | CertificateVerify
	             v
	       WAIT_FINISHED
	             | Finished
	             |   [Credential] [Evidence] [Signature]
	             | Certificate, CertificateVerify, Finished
	             v
	         CONNECTED

Where a profile adds messages there is WAIT_ADDED in front of the state that waits for
the message of TLS behind them.
*/

// clientStart makes the offer and asks for the nonces that travel in ClientHello.
type clientStart struct{}

func (clientStart) name() string { return "START" }
func (clientStart) due() gate    { return gateNow }

func (s clientStart) step(e *Engine) (state, *attls.Error) {
	if err := e.offerAttestation(); err != nil {
		return nil, err
	}
	e.askNonces(attls.KindClientHello)
	e.askOffers()
	return clientHello{}, nil
}

// clientHello sends the first ClientHello.
type clientHello struct{}

func (clientHello) name() string { return "START" }
func (clientHello) due() gate    { return gateNow }

func (s clientHello) step(e *Engine) (state, *attls.Error) {
	if err := e.takeNonces(); err != nil {
		return nil, err
	}
	psks, err := e.takeOffers()
	if err != nil {
		return nil, err
	}
	c, q := e.cfg, e.cfg.quirks()
	r := e.random
	r.Fill(UseClientRandom, 0, e.nego.random[:])
	e.profile().EmbedRandom(&e.att.fields, e.nego.random[:])
	if !c.NoMiddleboxCompatibility && !q.EmptySessionID {
		e.nego.sessionID = make([]byte, 32)
		r.Fill(UseSessionID, 0, e.nego.sessionID)
	}
	var shares []share
	for i, g := range c.sharesWith(psks) {
		k, err := e.generate(g, i)
		if err != nil {
			return nil, err
		}
		shares = append(shares, k)
	}
	e.startExtensions()
	e.writeOffers(sending{kind: attls.KindClientHello, shares: shares, psks: psks})
	if err := e.profileExtensions(attls.KindClientHello); err != nil {
		return nil, err
	}
	next := clientWaitServerHello{shares: shares, psks: psks}
	next.items = append([]builtExtension(nil), e.ext.items...)
	next.bodies = append([]byte(nil), e.ext.buf...)
	e.ccsAllowed = true
	if err := e.writeClientHello(&next); err != nil {
		return nil, err
	}
	if e.offersEarlyData(psks) {
		return next, e.startEarlyData(&psks[0])
	}
	return next, nil
}

// noCompression is the one legacy_compression_methods of TLS 1.3.
var noCompression = []byte{0}

// writeClientHello sends the ClientHello whose extensions stand in s.
func (e *Engine) writeClientHello(s *clientWaitServerHello) *attls.Error {
	e.ext.buf = append(e.ext.buf[:0], s.bodies...)
	e.ext.items = append(e.ext.items[:0], s.items...)
	suites := wire.Append(make([]byte, 0, 8))
	for _, id := range greased(e, e.cfg.suites(), greaseSuite) {
		suites.Uint16(uint16(id))
	}
	m := &e.scratch.clientHello
	*m = message.ClientHello{LegacyVersion: attls.VersionTLS12, Random: e.nego.random[:],
		SessionID: e.nego.sessionID, CipherSuites: suites.Bytes(), CompressionMethods: noCompression}
	offers, bindersLen := s.psks, 0
	if e.ext.has(attls.ExtPreSharedKey) { // of Config.ExtraExtensions, to go out as it is
		offers = nil
	}
	e.psk.offers = offers
	if len(offers) > 0 {
		e.ext.body(attls.ExtPreSharedKey, func(buf []byte) (b []byte) {
			b, bindersLen = e.appendOffers(buf, offers)
			return b
		})
	}
	if err := e.ext.fits(attls.KindClientHello); err != nil {
		return err
	}
	m.Extensions = e.padded(m)
	e.sent.Forget(attls.RoleClient, attls.KindClientHello) // a second one takes the place of the first
	e.note(attls.RoleClient, attls.KindClientHello, m.Extensions)
	e.flight = m.Append(e.flight[:0])
	if len(offers) > 0 {
		e.fillBinders(e.flight, bindersLen, offers)
	}
	if err := e.send(e.flight); err != nil {
		return err
	}
	e.out.Flush()
	return nil
}

// padded returns the extensions of a ClientHello, with padding where the
// configuration wants it (RFC 7685).
func (e *Engine) padded(m *message.ClientHello) extensions.List {
	m.Extensions = e.ext.list(e.cfg.ExtensionOrder)
	const low, high, header = 256, 512, 4
	if e.cfg.PadClientHello {
		if n := len(m.Append(nil)); n >= low && n < high {
			e.ext.add(attls.ExtPadding, make([]byte, max(0, high-n-header)))
			m.Extensions = e.ext.list(e.cfg.ExtensionOrder)
		}
	}
	return keysLast(m.Extensions)
}

// keysLast moves pre_shared_key to the end, where it must stand (RFC 8446
// section 4.2.11), whatever order is configured.
func keysLast(l extensions.List) extensions.List {
	for i := range l {
		if l[i].Type == attls.ExtPreSharedKey {
			x := l[i]
			copy(l[i:], l[i+1:])
			l[len(l)-1] = x
			break
		}
	}
	return l
}

// clientWaitServerHello takes ServerHello or HelloRetryRequest.
type clientWaitServerHello struct {
	shares []share
	// The extensions of ClientHello as sent, for the second one.
	items   []builtExtension
	bodies  []byte
	psks    []PSK // on offer
	retried bool
}

func (clientWaitServerHello) name() string { return "WAIT_SH" }
func (clientWaitServerHello) due() gate    { return gateNone }

func (s clientWaitServerHello) receive(e *Engine, m *message.Raw) (state, *attls.Error) {
	if m.Kind != attls.KindServerHello && m.Kind != attls.KindHelloRetryRequest {
		return nil, unexpected(m, s)
	}
	sh := &e.scratch.serverHello
	if err := sh.Unmarshal(m.Body()); err != nil {
		return nil, err
	}
	a := &e.scratch.answers
	*a = answers{messageExtensions: extensionsOf(m.Kind, sh.Extensions)}
	if err := a.readBodies(e, attls.ExtSupportedVersions); err != nil {
		return nil, err
	}
	if err := e.checkServerVersion(a, sh); err != nil {
		return nil, err
	}
	if m.Kind == attls.KindHelloRetryRequest && s.retried {
		return nil, attls.Errorf(attls.Violation, attls.FailUnexpectedMessage, "a second HelloRetryRequest").
			By("RFC 8446 4.1.4")
	}
	if err := e.table.Check(m.Kind, attls.RoleServer, 0, false, sh.Extensions, &e.sent); err != nil {
		return nil, err
	}
	if err := e.checkServerHello(sh); err != nil {
		return nil, err
	}
	if err := a.readBodies(e); err != nil {
		return nil, err
	}
	e.note(attls.RoleServer, m.Kind, sh.Extensions)
	if err := e.readProfile(m.Kind, sh.Extensions); err != nil {
		return nil, err
	}
	if m.Kind == attls.KindHelloRetryRequest {
		return s.retry(e, m, a)
	}
	if e.transcript.hash == nil {
		e.transcript.start(e.nego.suite)
	}
	if err := s.selected(e, a); err != nil {
		return nil, err
	}
	return s.share(e, m, a)
}

// share completes the key exchange with the share of ServerHello, or does without one.
func (s clientWaitServerHello) share(e *Engine, m *message.Raw, a *answers) (state, *attls.Error) {
	illegal := func(section, format string, args ...any) (state, *attls.Error) {
		return nil, a.place(attls.Errorf(attls.Violation, attls.FailIllegalParameter, format, args...).
			By("RFC 8446 "+section), attls.ExtKeyShare)
	}
	theirs := a.share
	switch {
	case !a.has(attls.ExtKeyShare):
		if e.psk.session == nil || !slices.Contains(e.cfg.pskModes(), attls.PSKOnly) {
			return nil, missing(attls.ExtKeyShare)
		}
		e.nego.group = 0
		e.transcribe(m, attls.RoleServer)
		return e.gap(binder.PointAfterSH, clientWaitEncryptedExtensions{}), e.helloKeys(nil)
	case e.psk.session != nil && !slices.Contains(e.cfg.pskModes(), attls.PSKWithDHE):
		return illegal("4.2.9", "a share with a key that was offered without")
	case s.retried && e.nego.group != 0 && theirs.Group != e.nego.group:
		return illegal("4.2.8", "%v, but HelloRetryRequest asked for %v", theirs.Group, e.nego.group)
	}
	for _, own := range s.shares {
		if own.group != theirs.Group {
			continue
		}
		shared, cause := own.key.Finish(theirs.Key)
		if cause != nil {
			return nil, a.place(asError(cause), attls.ExtKeyShare)
		}
		e.nego.group = theirs.Group
		e.transcribe(m, attls.RoleServer)
		return e.gap(binder.PointAfterSH, clientWaitEncryptedExtensions{}), e.helloKeys(shared)
	}
	return illegal("4.2.8", "no share was sent for the group %v", theirs.Group)
}

// checkServerVersion tells TLS 1.2 servers and downgrades apart (RFC 8446
// sections 4.1.3 and 4.2.1) before anything else is looked at.
func (e *Engine) checkServerVersion(a *answers, sh *message.ServerHello) *attls.Error {
	switch {
	case a.has(attls.ExtSupportedVersions):
	case a.kind == attls.KindHelloRetryRequest: // no older version has such a message
		return missing(attls.ExtSupportedVersions)
	default:
		tail := sh.Random[24:]
		if bytes.Equal(tail, message.DowngradeTLS12[:]) || bytes.Equal(tail, message.DowngradeTLS11[:]) {
			return attls.Errorf(attls.Violation, attls.FailDowngrade, "the server knows TLS 1.3 and answered an older version").
				Under("random").By("RFC 8446 4.1.3")
		}
		return attls.Errorf(attls.NothingInCommon, attls.FailVersion,
			"the server answered with version 0x%04x and no supported_versions", sh.LegacyVersion).
			Under("legacy_version").By("RFC 8446 4.2.1")
	}
	if v := a.version; v != attls.VersionTLS13 && e.obeys(rule.VersionOffered) {
		return a.place(attls.Errorf(attls.Violation, attls.FailIllegalParameter, "version 0x%04x was not offered", v).
			By("RFC 8446 4.2.1"), attls.ExtSupportedVersions)
	}
	return nil
}

// checkServerHello checks the fields that ServerHello and HelloRetryRequest share.
func (e *Engine) checkServerHello(sh *message.ServerHello) *attls.Error {
	illegal := func(field, rule, format string, args ...any) *attls.Error {
		return attls.Errorf(attls.Violation, attls.FailIllegalParameter, format, args...).Under(field).By("RFC 8446 " + rule)
	}
	if sh.LegacyVersion != attls.VersionTLS12 {
		return attls.Errorf(attls.Violation, attls.FailVersion, "0x%04x instead of 0x0303", sh.LegacyVersion).
			Under("legacy_version").By("RFC 9846 4.2.3")
	}
	if !bytes.Equal(sh.SessionID, e.nego.sessionID) {
		return illegal("legacy_session_id_echo", "4.1.3", "is not the session id that was sent")
	}
	if sh.CompressionMethod != 0 {
		return illegal("legacy_compression_method", "4.1.3", "%d instead of 0", sh.CompressionMethod)
	}
	if e.nego.suite != nil {
		if sh.CipherSuite != e.nego.suite.ID {
			return illegal("cipher_suite", "4.1.4", "%v, but HelloRetryRequest chose %v", sh.CipherSuite, e.nego.suite.ID)
		}
		return nil
	}
	if !slices.Contains(e.cfg.suites(), sh.CipherSuite) {
		return illegal("cipher_suite", "4.1.3", "%v was not offered", sh.CipherSuite)
	}
	e.nego.suite, _ = e.prov.Suite(sh.CipherSuite)
	return nil
}

// retry answers a HelloRetryRequest with the second ClientHello.
func (s clientWaitServerHello) retry(e *Engine, m *message.Raw, a *answers) (state, *attls.Error) {
	if e.in.InMessage() { // the server cannot know yet how it goes on
		return nil, attls.Errorf(attls.Violation, attls.FailMessageBoundary, "more handshake data follows").
			By("RFC 8446 4.1.4")
	}
	next := clientWaitServerHello{retried: true, shares: s.shares, psks: e.keepHash(s.psks),
		items:  append([]builtExtension(nil), s.items...),
		bodies: append([]byte(nil), s.bodies...)}
	changed := false
	if g := a.group; a.has(attls.ExtKeyShare) {
		illegal := func(format string) (state, *attls.Error) {
			return nil, a.place(attls.Errorf(attls.Violation, attls.FailIllegalParameter, format, g).By("RFC 8446 4.2.8"),
				attls.ExtKeyShare)
		}
		switch {
		case !slices.Contains(e.cfg.groups(), g):
			return illegal("%v was not offered")
		case slices.ContainsFunc(s.shares, func(own share) bool { return own.group == g }):
			return illegal("a share of %v was sent already")
		}
		k, err := e.generate(g, len(s.shares))
		if err != nil {
			return nil, err
		}
		next.shares = []share{k}
		next.replace(attls.ExtKeyShare, extensions.AppendKeyShares(nil,
			[]extensions.KeyShareEntry{{Group: g, Key: k.key.Share()}}))
		e.nego.group, changed = g, true
	}
	if a.has(attls.ExtCookie) {
		next.replace(attls.ExtCookie, extensions.AppendCookie(nil, a.cookie))
		changed = true
	}
	if !changed && e.obeys(rule.RetryNeeded) {
		return nil, attls.Errorf(attls.Violation, attls.FailRetryUnchanged, "it would change nothing in ClientHello").
			By("RFC 8446 4.1.4")
	}
	e.nego.retried = true
	e.transcript.start(e.nego.suite)
	e.transcript.retry(e.transcript.first)
	e.transcribe(m, attls.RoleServer)
	if e.early.status == EarlyDataOpen { // RFC 8446 section 4.1.2
		next.items = slices.DeleteFunc(next.items, func(x builtExtension) bool { return x.t == attls.ExtEarlyData })
		e.rejectEarly()
		e.out.ClearKey()
	}
	e.sendCCS()
	return next, e.writeClientHello(&next)
}

// replace changes the body of an extension of ClientHello or adds it.
func (s *clientWaitServerHello) replace(t attls.ExtensionType, body []byte) {
	start := len(s.bodies)
	s.bodies = append(s.bodies, body...)
	item := builtExtension{t, start, len(s.bodies)}
	for i := range s.items {
		if s.items[i].t == t {
			s.items[i] = item
			return
		}
	}
	s.items = append(s.items, item)
}

// clientWaitEncryptedExtensions takes EncryptedExtensions.
type clientWaitEncryptedExtensions struct{}

func (clientWaitEncryptedExtensions) name() string { return "WAIT_EE" }
func (clientWaitEncryptedExtensions) due() gate    { return gateNone }

func (s clientWaitEncryptedExtensions) receive(e *Engine, m *message.Raw) (state, *attls.Error) {
	if m.Kind != attls.KindEncryptedExtensions {
		return nil, unexpected(m, s)
	}
	ee := &e.scratch.encrypted
	if err := e.parsed(ee.Unmarshal(m.Body())); err != nil {
		return nil, err
	}
	if err := e.table.Check(m.Kind, attls.RoleServer, 0, false, ee.Extensions, &e.sent); err != nil {
		return nil, err
	}
	a := &e.scratch.answers
	*a = answers{messageExtensions: extensionsOf(m.Kind, ee.Extensions)}
	if err := a.readBodies(e); err != nil {
		return nil, err
	}
	e.note(attls.RoleServer, m.Kind, ee.Extensions)
	if err := e.readProfile(m.Kind, ee.Extensions); err != nil {
		return nil, err
	}
	if err := e.checkEarlyData(a.has(attls.ExtEarlyData)); err != nil {
		return nil, err
	}
	e.transcribe(m, attls.RoleServer)
	if e.psk.session != nil { // the key authenticates the server (RFC 8446 section 2.2)
		if err := e.checkNoChoice(); err != nil {
			return nil, err
		}
		if err := e.checkLaterType(); err != nil {
			return nil, err
		}
		if err := e.checkRepeatedType(); err != nil {
			return nil, err
		}
		e.reverify()
		return waitFinished{}, nil
	}
	return e.gap(binder.PointAfterEE, clientWaitCertificateOrRequest{}), nil
}

// clientWaitCertificateOrRequest takes CertificateRequest or Certificate.
type clientWaitCertificateOrRequest struct{}

func (clientWaitCertificateOrRequest) name() string { return "WAIT_CERT_CR" }
func (clientWaitCertificateOrRequest) due() gate    { return gateNone }

func (s clientWaitCertificateOrRequest) receive(e *Engine, m *message.Raw) (state, *attls.Error) {
	switch {
	case m.Kind == attls.KindCertificateRequest:
		if err := e.receiveRequest(m); err != nil {
			return nil, err
		}
		next := e.gap(binder.PointAfterCR, clientWaitCertificate{})
		if _, last := next.(clientWaitCertificate); last {
			return waitCertificate{}, e.checkAnswers()
		}
		return next, nil
	case e.certificateKind(m) || m.Kind == attls.KindAdded:
		next := e.gap(binder.PointAfterCR, clientWaitCertificate{})
		if _, last := next.(clientWaitCertificate); last && m.Kind == attls.KindAdded {
			return nil, unexpected(m, s)
		}
		return next.receive(e, m)
	}
	return nil, unexpected(m, s)
}

// clientWaitCertificate takes Certificate, with which the server's parameters are
// complete.
type clientWaitCertificate struct{}

func (clientWaitCertificate) name() string { return "WAIT_CERT" }
func (clientWaitCertificate) due() gate    { return gateNone }

func (s clientWaitCertificate) receive(e *Engine, m *message.Raw) (state, *attls.Error) {
	if !e.certificateKind(m) {
		return nil, unexpected(m, s)
	}
	if err := e.checkAnswers(); err != nil {
		return nil, err
	}
	return waitCertificate{}.receive(e, m)
}

// receiveRequest reads a CertificateRequest of the handshake.
func (e *Engine) receiveRequest(m *message.Raw) *attls.Error {
	cr := &e.scratch.request
	if err := cr.Unmarshal(m.Body()); err != nil {
		return err
	}
	if err := e.table.Check(m.Kind, attls.RoleServer, 0, false, cr.Extensions, &e.sent); err != nil {
		return err
	}
	if len(cr.Context) != 0 && e.obeys(rule.RequestContext) {
		return attls.Errorf(attls.Violation, attls.FailIllegalParameter, "%d octets; it is empty in the handshake",
			len(cr.Context)).
			Under("certificate_request_context").By("RFC 8446 4.3.2")
	}
	if err := e.readRequest(cr.Extensions); err != nil {
		return err
	}
	e.nego.requested = true
	e.note(attls.RoleServer, m.Kind, cr.Extensions)
	if err := e.readProfile(m.Kind, cr.Extensions); err != nil {
		return err
	}
	e.transcribe(m, attls.RoleServer)
	return nil
}

// readRequest reads the RFCs' extensions of a CertificateRequest.
func (e *Engine) readRequest(l extensions.List) *attls.Error {
	o := &e.scratch.offers
	*o = offers{messageExtensions: extensionsOf(attls.KindCertificateRequest, l)}
	if err := o.readBodies(); err != nil {
		return err
	}
	if !o.has(attls.ExtSignatureAlgorithms) {
		return e.enforce(rule.RequestAlgorithms, missingBy(attls.ExtSignatureAlgorithms, "RFC 8446 4.3.2"))
	}
	return e.takeOffersOf(o)
}

// clientFlight begins the client's second flight, once the verdicts on the
// server that must come before it are there.
type clientFlight struct{}

func (clientFlight) name() string { return "SEND_FLIGHT" }
func (clientFlight) due() gate    { return gateFinished }

func (s clientFlight) step(e *Engine) (state, *attls.Error) {
	e.take(WaitCertificateVerdict) // of a resumed chain
	if err := e.checkDemand(gateFinished); err != nil {
		return nil, err
	}
	e.sendCCS()
	if err := e.endEarlyData(); err != nil {
		return nil, err
	}
	if !e.nego.requested {
		return sendFinished{}, nil
	}
	return proveStart{}, nil
}

// checkAnswers runs once the server's parameters are complete.
func (e *Engine) checkAnswers() *attls.Error {
	if e.att.answered {
		return nil
	}
	e.att.answered = true
	e.takeAlways(e.nego.requested, false, e.att.fields.Nonces, e.att.chosen)
	if err := e.checkCertificateTypes(); err != nil {
		return err
	}
	p := e.profile()
	err := negotiation.CheckAnswers(p, e.att.offered, e.att.chosen, e.cfg.Policy, e.nego.requested)
	if err != nil && e.tolerated(err.Failure) {
		return nil
	}
	return err
}
