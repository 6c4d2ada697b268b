package handshake

import (
	"bytes"
	"slices"

	"attls"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
	"attls/handshake/message"
	"attls/internal/rule"
	"attls/negotiation"
)

/*
The server, after RFC 8446 appendix A.2. Waits stand in brackets.

	           START <----+
	 ClientHello |        | HelloRetryRequest
	             v        |
	          RECVD_CH ---+
	             |   [Credential] [Nonce], a nonce in HelloRetryRequest before that
	             | ServerHello, EncryptedExtensions, CertificateRequest
	             |   [Evidence] [Signature]
	             | Certificate, CertificateVerify, Finished
	             v
	    +--- NEGOTIATED ----+
	    |                   | a certificate was requested
	    |               WAIT_CERT
	    |                   | Certificate
	    |                   |   [CertificateVerdict] [Appraisal]
	    |                WAIT_CV
	    |                   | CertificateVerify
	    +------> WAIT_FINISHED
	                 | Finished
	             CONNECTED

Where a profile adds messages there is WAIT_ADDED in front of the state that waits for
the message of TLS behind them.
*/

// serverWaitClientHello takes ClientHello; after a HelloRetryRequest it holds
// the first one.
type serverWaitClientHello struct {
	first  []byte // body of ClientHello1; nil before
	cookie []byte
}

func (s serverWaitClientHello) name() string {
	if s.first != nil {
		return "WAIT_CH2"
	}
	return "START"
}
func (serverWaitClientHello) due() gate { return gateNone }

func (s serverWaitClientHello) receive(e *Engine, m *message.Raw) (state, *attls.Error) {
	if m.Kind != attls.KindClientHello {
		return nil, unexpected(m, s)
	}
	ch := &e.scratch.clientHello
	if err := e.parsed(ch.Unmarshal(m.Body())); err != nil {
		return nil, err
	}
	o := &e.scratch.offers
	*o = offers{messageExtensions: extensionsOf(m.Kind, ch.Extensions)}
	if err := o.readBodies(attls.ExtSupportedVersions); err != nil {
		return nil, err
	}
	if err := e.checkClientVersion(ch, o); err != nil {
		return nil, err
	}
	if err := e.table.Check(m.Kind, attls.RoleClient, 0, false, ch.Extensions, &e.sent); err != nil {
		return nil, err
	}
	if len(ch.CompressionMethods) != 1 || ch.CompressionMethods[0] != 0 {
		return nil, attls.Errorf(attls.Violation, attls.FailIllegalParameter, "must be the one octet 0").
			Under("legacy_compression_methods").By("RFC 8446 4.1.2")
	}
	switch {
	case s.first != nil:
		if err := e.enforce(rule.HelloRepeated, s.checkSecond(e, ch, o)); err != nil {
			return nil, err
		}
		e.in.SkipUndecryptable(0)
	case o.has(attls.ExtCookie) && e.cfg.Retry.stateless(): // another engine has sent HelloRetryRequest
		if err := e.resumeRetry(ch, o); err != nil {
			return nil, err
		}
		copy(e.nego.random[:], ch.Random)
		e.note(attls.RoleClient, m.Kind, ch.Extensions)
		e.ccsAllowed = true
		e.in.SkipUndecryptable(0)
	default:
		copy(e.nego.random[:], ch.Random)
		e.nego.sessionID = append([]byte(nil), ch.SessionID...)
		id, err := negotiation.SelectSuite(e.cfg.suites(), ch.CipherSuites, e.cfg.ClientSuites)
		if err != nil {
			return nil, err.Under("cipher_suites")
		}
		e.nego.suite, _ = e.prov.Suite(id)
		e.note(attls.RoleClient, m.Kind, ch.Extensions)
		e.ccsAllowed = true
		e.in.SkipUndecryptable(0)
		e.transcript.start(e.nego.suite)
	}
	if err := e.enforce(rule.HelloComplete, completeHello(o, e.obeys(rule.SchemesOptional))); err != nil {
		return nil, err
	}
	if err := o.readBodies(); err != nil {
		return nil, err
	}
	offer, err := e.offeredKeys(o, m.Bytes)
	if err != nil {
		return nil, err
	}
	if e.att.retried { // what HelloRetryRequest has answered needs certificates
		offer = nil
	}
	mode, _ := e.pskMode()
	g, theirs, lacking := e.selectGroup(o)
	if lacking != nil && !(e.keyAlone(offer) && (lacking.Failure == attls.FailMissingExtension ||
		lacking.Failure == attls.FailGroup)) {
		return nil, lacking
	}
	keyOnly := lacking != nil || offer != nil && mode == attls.PSKOnly // the key may do without a share
	retry := theirs == nil && !keyOnly || e.cfg.Retry.Always
	answers := !e.nego.retried && e.answersInRetry(nil)
	if !e.nego.retried && retry && !answers {
		e.transcribe(m, attls.RoleClient)
		return s.retry(e, m, g, theirs != nil)
	}
	if answers && retry {
		offer = nil // or the answers could no longer be sent if the key were refused
	} else if theirs == nil && !keyOnly {
		return nil, noShare(g)
	}
	e.nego.group = g
	if err := e.readClientHello(o, offer != nil); err != nil {
		return nil, err
	}
	share := bytes.Clone(theirs)
	e.transcribe(m, attls.RoleClient)
	if offer != nil {
		e.askKey(offer)
		next := serverSelectPSK{share: share, offer: offer, group: g, lacking: lacking, answers: answers}
		if (theirs == nil && lacking == nil || answers) && !e.nego.retried {
			next.hello = bytes.Clone(m.Bytes)
		}
		return next, nil
	}
	next := serverNegotiate{share: share}
	if answers {
		next.hello, next.retry = bytes.Clone(m.Bytes), retry
	}
	return next, nil
}

// noShare is the error of a second ClientHello without the share that was asked for.
func noShare(g attls.NamedGroup) *attls.Error {
	return attls.Errorf(attls.Violation, attls.FailRetryMismatch, "no share of %v, which HelloRetryRequest asked for", g).
		Under("extensions.key_share").By("RFC 8446 4.1.2")
}

// checkClientVersion refuses clients without TLS 1.3 (RFC 8446 section 4.2.1).
func (e *Engine) checkClientVersion(ch *message.ClientHello, o *offers) *attls.Error {
	if !o.has(attls.ExtSupportedVersions) {
		return attls.Errorf(attls.NothingInCommon, attls.FailVersion,
			"the client offers versions up to 0x%04x and no supported_versions", ch.LegacyVersion).
			Under("legacy_version").By("RFC 8446 4.2.1")
	}
	if !o.versions.Contains(attls.VersionTLS13) {
		return o.place(attls.Errorf(attls.NothingInCommon, attls.FailVersion, "TLS 1.3 is not offered").By("RFC 8446 4.2.1"),
			attls.ExtSupportedVersions)
	}
	if ch.LegacyVersion != attls.VersionTLS12 {
		return attls.Errorf(attls.Violation, attls.FailVersion, "0x%04x instead of 0x0303", ch.LegacyVersion).
			Under("legacy_version").By("RFC 9846 4.2.2")
	}
	return nil
}

// completeHello refuses a ClientHello that lacks an extension which RFC 8446
// section 9.2 demands of it. With a pre-shared key a client may do without
// signature_algorithms, where that suffices, and without a key exchange.
func completeHello(o *offers, keySuffices bool) *attls.Error {
	key, groups, shares := o.has(attls.ExtPreSharedKey), o.has(attls.ExtSupportedGroups), o.has(attls.ExtKeyShare)
	switch {
	case !groups && (shares || !key):
		return missing(attls.ExtSupportedGroups)
	case groups && !shares:
		return missing(attls.ExtKeyShare)
	case !(key && keySuffices) && !o.has(attls.ExtSignatureAlgorithms):
		return missing(attls.ExtSignatureAlgorithms)
	}
	return nil
}

// selectGroup chooses the group; the share is nil when the client sent none for it.
func (e *Engine) selectGroup(o *offers) (attls.NamedGroup, []byte, *attls.Error) {
	switch {
	case !o.has(attls.ExtSupportedGroups):
		return 0, nil, missing(attls.ExtSupportedGroups)
	case !o.has(attls.ExtKeyShare):
		return 0, nil, missing(attls.ExtKeyShare)
	}
	groups, shares := o.groups, o.shares
	if g, ok := shares.Beyond(groups); ok && e.obeys(rule.ShareListed) {
		return 0, nil, o.place(attls.Errorf(attls.Violation, attls.FailIllegalParameter,
			"a share of %v, which supported_groups lacks", g).By("RFC 8446 4.2.8"), attls.ExtKeyShare)
	}
	if e.nego.retried && e.nego.group != 0 {
		theirs, _ := shares.Find(e.nego.group)
		if n := shares.Len(); n != 1 {
			return 0, nil, o.place(attls.Errorf(attls.Violation, attls.FailRetryMismatch, "%d shares after HelloRetryRequest",
				n).By("RFC 8446 4.1.2"), attls.ExtKeyShare)
		}
		if theirs == nil { // a key alone would do without one, and yet nothing else was asked for
			return 0, nil, noShare(e.nego.group)
		}
		return e.nego.group, theirs, nil
	}
	g, err := negotiation.SelectGroup(e.cfg.groups(), groups, e.cfg.Retry.Preferred, func(g attls.NamedGroup) bool {
		_, ok := shares.Find(g)
		return ok
	})
	if err != nil {
		return 0, nil, o.place(err, attls.ExtSupportedGroups)
	}
	theirs, _ := shares.Find(g)
	return g, theirs, nil
}

// retry sends HelloRetryRequest.
func (s serverWaitClientHello) retry(e *Engine, m *message.Raw, g attls.NamedGroup,
	haveShare bool) (state, *attls.Error) {
	if e.in.InMessage() { // the client cannot know yet how it goes on
		return nil, attls.Errorf(attls.Violation, attls.FailMessageBoundary,
			"more handshake data follows the first ClientHello").By("RFC 8446 2.1")
	}
	next := serverWaitClientHello{first: append([]byte(nil), m.Body()...)}
	if haveShare && e.cfg.Retry.Always { // another group if there is one, a cookie otherwise
		if other, ok := e.groupWithoutShare(&e.scratch.offers); ok {
			g, haveShare = other, false
		}
	}
	if haveShare {
		g = 0
	}
	e.nego.group = g
	switch {
	case e.cfg.Retry.stateless():
		next.cookie = e.sealCookie(&e.scratch.clientHello, g, e.transcript.sum(nil))
	case e.cfg.Retry.Cookie || g == 0: // without a group there must be a cookie, or nothing would change
		next.cookie = make([]byte, e.cfg.Retry.cookieSize())
		e.random.Fill(UseCookie, 0, next.cookie)
	}
	e.nego.retried = true
	e.transcript.retry(m.Bytes)
	hrr, err := e.helloRetryRequest(g, next.cookie)
	if err != nil {
		return nil, err
	}
	e.note(attls.RoleServer, attls.KindHelloRetryRequest, hrr.Extensions)
	if err := e.write(&hrr); err != nil {
		return nil, err
	}
	e.out.Flush()
	if len(e.nego.sessionID) > 0 {
		e.sendCCS()
	}
	if e.sent.Has(attls.RoleClient, attls.KindClientHello, attls.ExtEarlyData) {
		e.skipEarlyData(nil) // until the second ClientHello
	}
	return next, nil
}

// groupWithoutShare finds a group in common for which no share was sent.
func (e *Engine) groupWithoutShare(o *offers) (attls.NamedGroup, bool) {
	for _, g := range e.cfg.groups() {
		if _, sent := o.shares.Find(g); !sent && o.groups.Contains(uint16(g)) {
			return g, true
		}
	}
	return 0, false
}

// mayChange lists what RFC 8446 section 4.1.2 lets the second ClientHello change:
// key_share only when HelloRetryRequest named a group.
func (e *Engine) mayChange(t attls.ExtensionType) bool {
	switch t {
	case attls.ExtKeyShare:
		return e.nego.group != 0
	case attls.ExtEarlyData, attls.ExtCookie, attls.ExtPreSharedKey, attls.ExtPadding:
		return true
	}
	return false
}

// sameExtensions compares the extensions that the second ClientHello may not
// change. What a profile's extension does is the profile's to judge; where it
// accepts the change, the comparison goes on without the extension.
func (e *Engine) sameExtensions(first, second extensions.List) *attls.Error {
	var passed []attls.ExtensionType
	fixed := func(l extensions.List) (out extensions.List) {
		for _, x := range l {
			if !e.mayChange(x.Type) && !slices.Contains(passed, x.Type) {
				out = append(out, x)
			}
		}
		return out
	}
	for {
		t, how := difference(fixed(first), fixed(second))
		if how != otherExtension {
			return e.sameOrder(first, second)
		}
		if x, ok := e.profile().Extension(t); ok {
			if err := e.attestationFailure(attls.FailOfferChanged, "differs from the first ClientHello"); err != nil {
				return err.Under("extensions." + x.Name)
			}
			passed = append(passed, t)
			continue
		}
		return changed("extensions." + t.String())
	}
}

// sameOrder refuses a second ClientHello in which the extensions that are in both
// are in another order. Padding may be anywhere.
func (e *Engine) sameOrder(first, second extensions.List) *attls.Error {
	if e.acceptsReordered() {
		return nil
	}
	a, b := inBoth(first, second), inBoth(second, first)
	for i := range a {
		if a[i] != b[i] {
			return reordered("extensions."+b[i].String(), "%v is where the first has %v", b[i], a[i])
		}
	}
	return nil
}

// inBoth lists the types of a ClientHello's extensions that another one has too.
func inBoth(l, other extensions.List) (list []attls.ExtensionType) {
	there := make(map[attls.ExtensionType]bool, len(other))
	for i := range other {
		there[other[i].Type] = true
	}
	for i := range l {
		if t := l[i].Type; there[t] && t != attls.ExtPadding {
			list = append(list, t)
		}
	}
	return list
}

// acceptsReordered reports whether the order of extensions may change with
// HelloRetryRequest.
func (e *Engine) acceptsReordered() bool {
	return e.cfg.AcceptReorderedHello || e.cfg.quirks().AcceptReorderedHello || !e.obeys(rule.RetryOrder)
}

// comparison is how two lists of extensions differ.
type comparison uint8

const (
	sameLists      comparison = iota
	otherOrder                // the same extensions with the same bodies, in another order
	otherExtension            // one is missing, new or has another body
)

// difference finds the extension by which two lists differ first. It takes the
// lists in step, in time linear in their length: a ClientHello of 64 KB can have
// 16,000 extensions.
func difference(first, second extensions.List) (attls.ExtensionType, comparison) {
	n := 0
	for n < len(first) && n < len(second) && first[n].Type == second[n].Type {
		if !bytes.Equal(first[n].Body, second[n].Body) {
			return first[n].Type, otherExtension
		}
		n++
	}
	first, second = first[n:], second[n:]
	if len(first) == 0 && len(second) == 0 {
		return 0, sameLists
	}
	bodies := make(map[attls.ExtensionType][]byte, len(second))
	for _, x := range second {
		bodies[x.Type] = x.Body
	}
	for _, x := range first {
		body, kept := bodies[x.Type]
		if !kept || !bytes.Equal(body, x.Body) {
			return x.Type, otherExtension
		}
		delete(bodies, x.Type)
	}
	for _, x := range second {
		if _, added := bodies[x.Type]; added {
			return x.Type, otherExtension
		}
	}
	return second[0].Type, otherOrder
}

// checkSecond compares the second ClientHello with the first, field by field.
func (s serverWaitClientHello) checkSecond(e *Engine, ch *message.ClientHello, o *offers) *attls.Error {
	var first message.ClientHello
	if err := first.Unmarshal(s.first); err != nil {
		return err
	}
	switch {
	case first.LegacyVersion != ch.LegacyVersion:
		return changed("legacy_version")
	case !bytes.Equal(first.Random, ch.Random) && !e.cfg.quirks().AcceptNewRandom:
		return changed("random")
	case !bytes.Equal(first.SessionID, ch.SessionID):
		return changed("legacy_session_id")
	case !bytes.Equal(first.CipherSuites, ch.CipherSuites):
		return changed("cipher_suites")
	}
	if err := e.sameExtensions(first.Extensions, ch.Extensions); err != nil {
		return err
	}
	if o.has(attls.ExtEarlyData) {
		return changed("extensions.early_data")
	}
	if o.has(attls.ExtPreSharedKey) { // it may be left out or be made anew, and not be added
		if _, before := first.Extensions.Find(attls.ExtPreSharedKey); !before {
			return changed("extensions.pre_shared_key")
		}
	}
	if err := o.readBodies(attls.ExtCookie); err != nil {
		return err
	}
	switch has := o.has(attls.ExtCookie); {
	case has != (s.cookie != nil):
		return changed("extensions.cookie").By("RFC 8446 4.2.2")
	case has && !bytes.Equal(o.cookie, s.cookie):
		return o.place(attls.Errorf(attls.Violation, attls.FailRetryMismatch, "is not the cookie that was sent").
			By("RFC 8446 4.2.2"), attls.ExtCookie)
	}
	return nil
}

// readClientHello reads the rest of an acceptable ClientHello.
func (e *Engine) readClientHello(o *offers, keyOffered bool) *attls.Error {
	if !o.has(attls.ExtSignatureAlgorithms) && o.has(attls.ExtPreSharedKey) && !keyOffered && e.obeys(rule.SchemesNeeded) {
		return noSchemes() // otherwise completeHello has found it
	}
	if err := e.takeOffersOf(o); err != nil {
		return err
	}
	return e.readProfile(attls.KindClientHello, o.list)
}

// serverNegotiate chooses attestation schemes and asks for what the flight needs.
type serverNegotiate struct {
	share []byte
	// The first ClientHello, where the profile answers in HelloRetryRequest; retry says that
	// it is sent for the group or by configuration, whatever was chosen.
	hello []byte
	retry bool
}

func (serverNegotiate) name() string { return "RECVD_CH" }
func (serverNegotiate) due() gate    { return gateNow }

func (s serverNegotiate) step(e *Engine) (state, *attls.Error) {
	if e.psk.session == nil { // with a key there is no credential to choose for
		if !e.att.retried {
			if err := e.chooseAttestation(); err != nil {
				return nil, err
			}
			if answers := e.answersInRetry(e.att.chosen.Choices); s.hello != nil && (s.retry || answers) {
				e.att.retried = answers
				e.askNonces(attls.KindHelloRetryRequest)
				return serverRetry{hello: s.hello, haveShare: s.share != nil}, nil
			}
		}
		if err := e.agreeCertificateTypes(); err != nil {
			return nil, err
		}
	} else {
		e.att.chosen = negotiation.NewSlots(e.profile()) // before a HelloRetryRequest
		e.agreeLaterType()
	}
	for _, k := range nonceMessages {
		e.askNonces(k)
	}
	if e.needsCertificate() {
		e.askCredential()
	}
	return serverHello{share: s.share}, nil
}

// answersInRetry reports whether HelloRetryRequest says something of one of the choices; of any
// that there can be, where none are given.
func (e *Engine) answersInRetry(choices []*profile.Scheme) bool {
	p := e.profile()
	for i := range p.Slots {
		if p.AnswersInRetry(i) && (choices == nil || choices[i] != nil) {
			return true
		}
	}
	return false
}

// serverRetry sends the HelloRetryRequest that answers the offer, with a cookie where no other
// group is asked for. The second ClientHello repeats the offer, so that what was chosen holds.
type serverRetry struct {
	hello     []byte
	haveShare bool
}

func (serverRetry) name() string { return "RECVD_CH" }
func (serverRetry) due() gate    { return gateNow }

func (s serverRetry) step(e *Engine) (state, *attls.Error) {
	if err := e.takeNonces(); err != nil {
		return nil, err
	}
	m, err := message.ParseRaw(s.hello)
	if err != nil {
		return nil, err
	}
	ch, o := &e.scratch.clientHello, &e.scratch.offers
	if err := ch.Unmarshal(m.Body()); err != nil {
		return nil, err
	}
	*o = offers{messageExtensions: extensionsOf(m.Kind, ch.Extensions)}
	if err := o.readBodies(); err != nil {
		return nil, err
	}
	return serverWaitClientHello{}.retry(e, &m, e.nego.group, s.haveShare)
}

// nonceMessages are the messages in which a server sends a nonce: all of one
// flight, so that all nonces are asked for at once.
var nonceMessages = [...]attls.MessageKind{attls.KindServerHello, attls.KindEncryptedExtensions,
	attls.KindCertificateRequest, attls.KindAdded}

// serverHello sends ServerHello.
type serverHello struct{ share []byte }

func (serverHello) name() string { return "RECVD_CH" }
func (serverHello) due() gate    { return gateNow }

func (s serverHello) step(e *Engine) (state, *attls.Error) {
	if err := e.takeNonces(); err != nil {
		return nil, err
	}
	if e.needsCertificate() {
		if err := e.takeCredential(); err != nil {
			return nil, err
		}
		if e.own.credential == nil {
			return nil, attls.Errorf(attls.Local, attls.FailCertificateUnknown, "there is no certificate to show").
				By("RFC 8446 4.4.2")
		}
	}
	e.decideEarlyData()
	var ours, shared []byte
	if s.share != nil {
		var err *attls.Error
		if ours, shared, err = e.respond(e.nego.group, s.share); err != nil {
			return nil, err
		}
	}
	e.random.Fill(UseServerRandom, 0, e.scratch.random[:])
	e.ext.reset()
	e.writeAnswers(sending{kind: attls.KindServerHello, share: ours})
	if err := e.profileExtensions(attls.KindServerHello); err != nil {
		return nil, err
	}
	sh := &e.scratch.serverHello
	*sh = message.ServerHello{LegacyVersion: attls.VersionTLS12, Random: e.scratch.random[:],
		SessionID: e.nego.sessionID, CipherSuite: e.nego.suite.ID, Extensions: e.ext.list(e.cfg.ExtensionOrder)}
	e.note(attls.RoleServer, attls.KindServerHello, sh.Extensions)
	if err := e.write(sh); err != nil {
		return nil, err
	}
	e.out.Flush()
	if len(e.nego.sessionID) > 0 {
		e.sendCCS()
	}
	if err := e.helloKeys(shared); err != nil {
		return nil, err
	}
	return e.fill(binder.PointAfterSH, serverEncrypted{}), nil
}

// serverEncrypted sends EncryptedExtensions.
type serverEncrypted struct{}

func (serverEncrypted) name() string { return "RECVD_CH" }
func (serverEncrypted) due() gate    { return gateNow }

func (serverEncrypted) step(e *Engine) (state, *attls.Error) {
	if err := e.sendEncryptedExtensions(); err != nil {
		return nil, err
	}
	if e.psk.session != nil {
		return sendFinished{}, nil
	}
	return e.fill(binder.PointAfterEE, serverRequest{}), nil
}

// serverRequest sends CertificateRequest.
type serverRequest struct{}

func (serverRequest) name() string { return "RECVD_CH" }
func (serverRequest) due() gate    { return gateNow }

func (serverRequest) step(e *Engine) (state, *attls.Error) {
	if err := e.sendRequest(); err != nil {
		return nil, err
	}
	return e.fill(binder.PointAfterCR, proveStart{}), nil
}

// resumes reports whether the connection resumes a session of another one: with
// an external key it does not (RFC 8446 section 2.2).
func (e *Engine) resumes() bool { return e.psk.session != nil && !e.psk.session.External }

func (e *Engine) sendEncryptedExtensions() *attls.Error {
	e.startExtensions()
	e.writeAnswers(sending{kind: attls.KindEncryptedExtensions})
	if q := e.cfg.quirks(); q.RestrictEncryptedExtensions {
		kept := e.ext.items[:0]
		for _, x := range e.ext.items {
			if slices.Contains(q.EncryptedExtensionsOnly, x.t) {
				kept = append(kept, x)
			}
		}
		e.ext.items = kept
	}
	// A client sends early data before it knows the limit, which so holds from the
	// handshake keys on.
	if e.cfg.RecordSizeLimit != 0 && e.ext.has(attls.ExtRecordSizeLimit) && e.early.status != EarlyDataAccepted {
		e.enforceRecordLimit()
	}
	if err := e.profileExtensions(attls.KindEncryptedExtensions); err != nil {
		return err
	}
	m := &e.scratch.encrypted
	if err := e.ext.fits(attls.KindEncryptedExtensions); err != nil {
		return err
	}
	m.Extensions = e.ext.list(e.cfg.ExtensionOrder)
	e.note(attls.RoleServer, attls.KindEncryptedExtensions, m.Extensions)
	return e.write(m)
}

// sendRequest sends CertificateRequest where a client's credential is wanted.
func (e *Engine) sendRequest() *attls.Error {
	if !e.requests() {
		return nil
	}
	e.nego.requested = true
	e.requestExtensions()
	if err := e.profileExtensions(attls.KindCertificateRequest); err != nil {
		return err
	}
	if err := e.ext.fits(attls.KindCertificateRequest); err != nil {
		return err
	}
	m := message.CertificateRequest{Extensions: e.ext.list(e.cfg.ExtensionOrder)}
	e.note(attls.RoleServer, attls.KindCertificateRequest, m.Extensions)
	return e.write(&m)
}

// requestExtensions are the RFCs' extensions of a CertificateRequest.
func (e *Engine) requestExtensions() {
	e.ext.reset()
	e.writeOffers(sending{kind: attls.KindCertificateRequest})
}
