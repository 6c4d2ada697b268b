package handshake

import (
	"bytes"
	"slices"

	"attls"
	"attls/extensions"
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
	         WAIT_ADDED               (only when a profile adds a message)
	             |   [Appraisal]
	             v
	       WAIT_FINISHED
	             | Finished
	             |   [Credential] [Evidence] [Signature]
	             | Certificate, CertificateVerify, added message, Finished
	             v
	         CONNECTED
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
	e.greaseExtension(greaseExtension)
	e.clientExtensions(shares)
	e.greaseExtension(greaseLastExtension)
	early := e.offersEarlyData(psks)
	if early {
		e.ext.add(attls.ExtEarlyData, nil)
	}
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
	if early {
		return next, e.startEarlyData(&psks[0])
	}
	return next, nil
}

// clientExtensions adds RFC 8446's own extensions of a ClientHello.
func (e *Engine) clientExtensions(shares []share) {
	c, b := e.cfg, &e.ext
	// RFC 6066 section 3: a literal address is no HostName.
	if name := c.serverName(); name != "" && !isAddress(name) {
		b.body(attls.ExtServerName, func(buf []byte) []byte { return extensions.AppendServerName(buf, name) })
	}
	b.body(attls.ExtSupportedGroups, func(buf []byte) []byte {
		return extensions.AppendUint16s(buf, greased(e, c.groups(), greaseGroup))
	})
	b.body(attls.ExtSignatureAlgorithms, func(buf []byte) []byte { return extensions.AppendUint16s(buf, c.signatureSchemes()) })
	if c.SignatureSchemesCert != nil {
		b.body(attls.ExtSignatureAlgorithmsCert, func(buf []byte) []byte { return extensions.AppendUint16s(buf, c.SignatureSchemesCert) })
	}
	if len(c.CertificateAuthorities) > 0 {
		b.body(attls.ExtCertificateAuthorities, func(buf []byte) []byte {
			return extensions.AppendCertificateAuthorities(buf, c.CertificateAuthorities)
		})
	}
	if len(c.ALPN) > 0 {
		b.body(attls.ExtALPN, func(buf []byte) []byte { return extensions.AppendALPN(buf, c.ALPN) })
	}
	if c.RecordSizeLimit != 0 {
		b.body(attls.ExtRecordSizeLimit, func(buf []byte) []byte { return extensions.AppendRecordSizeLimit(buf, c.RecordSizeLimit) })
	}
	b.body(attls.ExtSupportedVersions, func(buf []byte) []byte {
		return extensions.AppendSupportedVersions(buf, greased(e, offeredVersions, greaseVersion))
	})
	b.body(attls.ExtKeyShare, func(buf []byte) []byte { return e.appendShares(buf, shares) })
	if c.PSK {
		b.body(attls.ExtPSKKeyExchangeModes, func(buf []byte) []byte { return extensions.AppendPSKKeyExchangeModes(buf, c.pskModes()) })
	}
	if c.PostHandshakeAuthentication {
		b.add(attls.ExtPostHandshakeAuth, nil)
	}
	e.requestStatus()
	e.offerCompression()
	e.offerCertificateTypes()
}

// offeredVersions are the versions that a client offers.
var offeredVersions = []uint16{attls.VersionTLS13}

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
	if err := e.checkServerVersion(m.Kind, sh); err != nil {
		return nil, err
	}
	if m.Kind == attls.KindHelloRetryRequest && s.retried {
		return nil, attls.Errorf(attls.Violation, attls.FailUnexpectedMessage, "a second HelloRetryRequest").By("RFC 8446 4.1.4")
	}
	if err := e.table.Check(m.Kind, attls.RoleServer, 0, false, sh.Extensions, &e.sent); err != nil {
		return nil, err
	}
	if err := e.checkServerHello(sh); err != nil {
		return nil, err
	}
	e.note(attls.RoleServer, m.Kind, sh.Extensions)
	if m.Kind == attls.KindHelloRetryRequest {
		return s.retry(e, m, sh)
	}
	if err := e.readProfile(m.Kind, sh.Extensions); err != nil {
		return nil, err
	}
	if e.transcript.hash == nil {
		e.transcript.start(e.nego.suite)
	}
	if err := s.selected(e, sh); err != nil {
		return nil, err
	}
	x, ok := sh.Extensions.Find(attls.ExtKeyShare)
	if !ok {
		if e.psk.session == nil || !slices.Contains(e.cfg.pskModes(), attls.PSKOnly) {
			return nil, missing(attls.ExtKeyShare)
		}
		e.nego.group = 0
		e.transcribe(m, attls.RoleServer)
		return clientWaitEncryptedExtensions{}, e.helloKeys(nil)
	}
	if e.psk.session != nil && !slices.Contains(e.cfg.pskModes(), attls.PSKWithDHE) {
		return nil, in(attls.Errorf(attls.Violation, attls.FailIllegalParameter, "a share with a key that was offered without").By("RFC 8446 4.2.9"), x)
	}
	entry, err := extensions.ParseKeyShareEntry(x.Body)
	if err != nil {
		return nil, in(err, x)
	}
	if s.retried && e.nego.group != 0 && entry.Group != e.nego.group {
		return nil, in(attls.Errorf(attls.Violation, attls.FailIllegalParameter,
			"%v, but HelloRetryRequest asked for %v", entry.Group, e.nego.group).By("RFC 8446 4.2.8"), x)
	}
	for _, own := range s.shares {
		if own.group != entry.Group {
			continue
		}
		shared, cause := own.key.Finish(entry.Key)
		if cause != nil {
			return nil, in(asError(cause), x)
		}
		e.nego.group = entry.Group
		e.transcribe(m, attls.RoleServer)
		return clientWaitEncryptedExtensions{}, e.helloKeys(shared)
	}
	return nil, in(attls.Errorf(attls.Violation, attls.FailIllegalParameter, "%v is no group that a share was sent for", entry.Group).By("RFC 8446 4.2.8"), x)
}

// checkServerVersion tells TLS 1.2 servers and downgrades apart (RFC 8446
// sections 4.1.3 and 4.2.1) before anything else is looked at.
func (e *Engine) checkServerVersion(k attls.MessageKind, sh *message.ServerHello) *attls.Error {
	x, ok := sh.Extensions.Find(attls.ExtSupportedVersions)
	switch {
	case ok:
	case k == attls.KindHelloRetryRequest: // no older version has such a message
		return missing(attls.ExtSupportedVersions)
	default:
		tail := sh.Random[24:]
		if bytes.Equal(tail, message.DowngradeTLS12[:]) || bytes.Equal(tail, message.DowngradeTLS11[:]) {
			return attls.Errorf(attls.Violation, attls.FailDowngrade, "the server knows TLS 1.3 and answered an older version").
				Under("random").By("RFC 8446 4.1.3")
		}
		return attls.Errorf(attls.NothingInCommon, attls.FailVersion, "the server answered with version 0x%04x and no supported_versions", sh.LegacyVersion).
			Under("legacy_version").By("RFC 8446 4.2.1")
	}
	v, err := extensions.ParseSelectedVersion(x.Body)
	if err != nil {
		return in(err, x)
	}
	if v != attls.VersionTLS13 && e.obeys(rule.VersionOffered) {
		return in(attls.Errorf(attls.Violation, attls.FailIllegalParameter, "version 0x%04x was not offered", v).By("RFC 8446 4.2.1"), x)
	}
	return nil
}

// checkServerHello checks the fields that ServerHello and HelloRetryRequest share.
func (e *Engine) checkServerHello(sh *message.ServerHello) *attls.Error {
	illegal := func(field, rule, format string, args ...any) *attls.Error {
		return attls.Errorf(attls.Violation, attls.FailIllegalParameter, format, args...).Under(field).By("RFC 8446 " + rule)
	}
	if sh.LegacyVersion != attls.VersionTLS12 {
		return attls.Errorf(attls.Violation, attls.FailVersion, "0x%04x instead of 0x0303", sh.LegacyVersion).Under("legacy_version").By("RFC 9846 4.2.3")
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
func (s clientWaitServerHello) retry(e *Engine, m *message.Raw, hrr *message.ServerHello) (state, *attls.Error) {
	if e.in.InMessage() { // the server cannot know yet how it goes on
		return nil, attls.Errorf(attls.Violation, attls.FailMessageBoundary, "more handshake data follows").By("RFC 8446 4.1.4")
	}
	next := clientWaitServerHello{retried: true, shares: s.shares, psks: e.keepHash(s.psks), items: append([]builtExtension(nil), s.items...),
		bodies: append([]byte(nil), s.bodies...)}
	changed := false
	if x, ok := hrr.Extensions.Find(attls.ExtKeyShare); ok {
		g, err := extensions.ParseSelectedGroup(x.Body)
		if err != nil {
			return nil, in(err, x)
		}
		if !slices.Contains(e.cfg.groups(), g) {
			return nil, in(attls.Errorf(attls.Violation, attls.FailIllegalParameter, "%v was not offered", g).By("RFC 8446 4.2.8"), x)
		}
		for _, own := range s.shares {
			if own.group == g {
				return nil, in(attls.Errorf(attls.Violation, attls.FailIllegalParameter, "a share of %v was sent already", g).By("RFC 8446 4.2.8"), x)
			}
		}
		k, err := e.generate(g, len(s.shares))
		if err != nil {
			return nil, err
		}
		next.shares = []share{k}
		next.replace(attls.ExtKeyShare, extensions.AppendKeyShares(nil, []extensions.KeyShareEntry{{Group: g, Key: k.key.Share()}}))
		e.nego.group, changed = g, true
	}
	if x, ok := hrr.Extensions.Find(attls.ExtCookie); ok {
		if _, err := extensions.ParseCookie(x.Body); err != nil {
			return nil, in(err, x)
		}
		next.replace(attls.ExtCookie, x.Body)
		changed = true
	}
	if !changed && e.obeys(rule.RetryNeeded) {
		return nil, attls.Errorf(attls.Violation, attls.FailRetryUnchanged, "it would change nothing in ClientHello").By("RFC 8446 4.1.4")
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
	for i := range ee.Extensions {
		x := &ee.Extensions[i]
		if err := e.readEncryptedExtension(x); err != nil {
			return nil, in(err, x)
		}
	}
	e.note(attls.RoleServer, m.Kind, ee.Extensions)
	if err := e.readProfile(m.Kind, ee.Extensions); err != nil {
		return nil, err
	}
	_, early := ee.Extensions.Find(attls.ExtEarlyData)
	if err := e.checkEarlyData(early); err != nil {
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
	return clientWaitCertificateOrRequest{}, nil
}

// readEncryptedExtension reads an answer to one of RFC 8446's extensions.
func (e *Engine) readEncryptedExtension(x *extensions.Extension) *attls.Error {
	switch x.Type {
	case attls.ExtALPN:
		name, err := extensions.ParseALPNSelected(x.Body)
		if err != nil {
			return err
		}
		if len(name) == 2 && attls.Grease(wire.Uint16(name)) && e.obeys(rule.GREASERefused) {
			return attls.Errorf(attls.Violation, attls.FailIllegalParameter, "protocol %x is a reserved value, which is sent to be ignored", name).By("RFC 8701 3.1")
		}
		if !slices.Contains(e.cfg.ALPN, string(name)) && e.obeys(rule.ALPNOffered) {
			return attls.Errorf(attls.Violation, attls.FailIllegalParameter, "protocol %q was not offered", name).By("RFC 7301 3.1")
		}
		e.nego.alpn = string(name)
	case attls.ExtSupportedGroups:
		_, err := extensions.ParseSupportedGroups(x.Body)
		return err
	case attls.ExtRecordSizeLimit:
		n, err := extensions.ParseRecordSizeLimit(x.Body)
		if err != nil {
			return err
		}
		e.limitRecords(n)
		e.enforceRecordLimit()
	case attls.ExtClientCertificateType, attls.ExtServerCertificateType:
		return e.readCertificateType(x)
	case attls.ExtEarlyData:
		if e.early.status != EarlyDataOpen { // offered once, and not again after HelloRetryRequest
			return attls.Errorf(attls.Violation, attls.FailUnsolicited, "was not offered").By("RFC 8446 4.2.10")
		}
	}
	return nil
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
		return waitCertificate{}, e.checkAnswers()
	case e.certificateKind(m):
		if err := e.checkAnswers(); err != nil {
			return nil, err
		}
		return waitCertificate{}.receive(e, m)
	}
	return nil, unexpected(m, s)
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
		return attls.Errorf(attls.Violation, attls.FailIllegalParameter, "%d octets; it is empty in the handshake", len(cr.Context)).
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
	x, ok := l.Find(attls.ExtSignatureAlgorithms)
	if !ok {
		return e.enforce(rule.RequestAlgorithms, missingBy(attls.ExtSignatureAlgorithms, "RFC 8446 4.3.2"))
	}
	list, err := extensions.ParseSignatureAlgorithms(x.Body)
	if err != nil {
		return in(err, x)
	}
	e.nego.peerSchemes = schemes(list)
	return e.readCertificateWishes(attls.KindCertificateRequest, l)
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
