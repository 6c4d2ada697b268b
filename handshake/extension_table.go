package handshake

import (
	"slices"

	"attls"
	"attls/extensions"
	"attls/internal/rule"
	"attls/internal/wire"
	"attls/negotiation"
	"attls/record"
)

// The extensions of the RFCs, each listed once. A message is written and read in a
// loop over the table: ClientHello and CertificateRequest carry offers, ServerHello,
// HelloRetryRequest, EncryptedExtensions, Certificate and NewSessionTicket answers.
// In which of them an extension may appear is what extensions.RFC8446 says.
// What a profile adds comes after it (profileExtensions, readProfile).

// extensionRow is an extension with what an end does with it. A function that is nil
// is one that the extension has no need of.
type extensionRow struct {
	t attls.ExtensionType
	// last: it is offered after the reserved value that ends the offer (RFC 8701).
	last bool
	// offer appends the body of an offer; nil: it is not offered.
	offer func(e *Engine, s *sending, body []byte) []byte
	// readOffer reads the body of an offer, before anything is chosen.
	readOffer func(o *offers, body []byte) *attls.Error
	// takeOffer uses what was read of an offer, once the message is acceptable.
	takeOffer func(e *Engine, o *offers) *attls.Error
	// answer appends the body of an answer; nil: it is not answered. It is called
	// where the extension was offered.
	answer func(e *Engine, s *sending, body []byte) []byte
	// readAnswer reads the body of an answer, and uses it if nothing else in the
	// message has to be known first.
	readAnswer func(e *Engine, a *answers, body []byte) *attls.Error
	// check refuses a configuration of which the offer or answer could not be sent.
	check func(c *Config) *attls.Error
}

// extensionTable is in the order in which a ClientHello has the extensions; pre_shared_key
// and padding, which depend on all others, are added by writeClientHello.
var extensionTable = [...]extensionRow{
	{t: attls.ExtServerName, offer: offerServerName, readOffer: readServerName, takeOffer: takeServerName,
		answer: answerServerName},
	{t: attls.ExtSupportedGroups, offer: offerGroups, readOffer: readGroups, answer: answerGroups,
		readAnswer: readGroupsAnswer},
	{t: attls.ExtSignatureAlgorithms, offer: offerSchemes, readOffer: readSchemes, takeOffer: takeSchemes},
	{t: attls.ExtSignatureAlgorithmsCert, offer: offerCertSchemes, readOffer: readCertSchemes, takeOffer: takeCertSchemes},
	{t: attls.ExtCertificateAuthorities, offer: offerAuthorities, readOffer: readAuthorities, takeOffer: takeAuthorities},
	{t: attls.ExtALPN, offer: offerALPN, readOffer: readALPN, takeOffer: takeALPN, answer: answerALPN,
		readAnswer: readALPNAnswer},
	{t: attls.ExtRecordSizeLimit, offer: sendRecordSizeLimit, readOffer: readRecordSizeLimit,
		takeOffer: takeRecordSizeLimit,
		answer:    sendRecordSizeLimit, readAnswer: readRecordSizeLimitAnswer, check: checkRecordSizeLimit},
	{t: attls.ExtSupportedVersions, offer: offerVersions, readOffer: readVersions, answer: answerVersion,
		readAnswer: readVersionAnswer},
	{t: attls.ExtKeyShare, offer: offerShares, readOffer: readShares, answer: answerShare, readAnswer: readShareAnswer},
	{t: attls.ExtPSKKeyExchangeModes, offer: offerPSKModes, readOffer: readPSKModes},
	{t: attls.ExtPostHandshakeAuth, offer: offerPostHandshakeAuth},
	{t: attls.ExtStatusRequest, offer: offerStatusRequest, readOffer: readStatusRequest, answer: answerStatus,
		readAnswer: readStatusAnswer},
	{t: attls.ExtSignedCertificateTimestamp, offer: offerSCT, answer: answerSCT, readAnswer: readSCTAnswer},
	{t: attls.ExtCompressCertificate, offer: offerCompression, readOffer: readCompression, takeOffer: takeCompression},
	certificateTypeRow(attls.RoleClient),
	certificateTypeRow(attls.RoleServer),
	{t: attls.ExtTicketRequest, offer: offerTicketRequest, readOffer: readTicketRequest, takeOffer: takeTicketRequest,
		answer: answerTicketRequest, readAnswer: readTicketRequestHint, check: checkTicketRequest},
	{t: attls.ExtTLSFlags, offer: offerFlags, readOffer: readFlags, takeOffer: takeFlags, answer: answerFlags,
		readAnswer: readFlagsAnswer, check: checkFlags},
	{t: attls.ExtCookie, readOffer: readCookie, answer: answerCookie, readAnswer: readCookieAnswer},
	{t: attls.ExtPreSharedKey, readOffer: readPreSharedKeys, answer: answerPreSharedKey,
		readAnswer: readPreSharedKeyAnswer},
	{t: attls.ExtEarlyData, last: true, offer: offerEarlyData, answer: answerEarlyData, readAnswer: readEarlyDataAnswer},
}

// firstAnswers are written before the others, in this order.
var firstAnswers = map[attls.MessageKind][]attls.ExtensionType{
	attls.KindServerHello: {attls.ExtKeyShare, attls.ExtPreSharedKey},
	attls.KindEncryptedExtensions: {attls.ExtServerName, attls.ExtALPN, attls.ExtSupportedGroups, attls.ExtRecordSizeLimit,
		attls.ExtEarlyData},
}

// exchanged is what the extensions of the RFCs have told the two ends.
type exchanged struct {
	serverName   string
	alpn         string
	nonceName    string                  // ALPN name that carries a nonce, where a server selects it
	peerSchemes  []attls.SignatureScheme // of the peer's signature_algorithms
	peerCert     []attls.SignatureScheme // of its signature_algorithms_cert
	authorities  [][]byte
	recordLimit  uint16                   // what the peer accepts; 0: no limit announced
	compressor   CertificateCompressor    // for our Certificate; nil: none
	wantsTickets *extensions.TicketCounts // by a client; nil: it did not ask
	// updatesOffered: the client offers extended key update, which this server accepts.
	updatesOffered bool
	// laterOffered: the client sets the flag of the profile about authenticators;
	// laterAgreed: both ends do.
	laterOffered, laterAgreed bool
}

// offers are the extensions of a ClientHello or CertificateRequest, read once. They
// are views of the message.
type offers struct {
	messageExtensions
	name        []byte
	groups      extensions.Uint16s
	schemes     extensions.Uint16s
	certSchemes extensions.Uint16s
	authorities extensions.Vectors16
	protocols   extensions.ProtocolNames
	recordLimit uint16
	versions    extensions.Uint16s
	shares      extensions.KeyShares
	modes       []byte
	compression extensions.Uint16s
	types       [2][]byte // by the role that shows the certificate
	cookie      []byte
	keys        extensions.PSKOffer
	tickets     extensions.TicketCounts
	flags       extensions.Flags
}

// answers are the extensions of a message that answers, read once.
type answers struct {
	messageExtensions
	version      uint16
	group        attls.NamedGroup // of HelloRetryRequest
	share        extensions.KeyShareEntry
	cookie       []byte
	identity     uint16
	maxEarlyData uint32 // of NewSessionTicket
	ocsp, sct    []byte // of a CertificateEntry
}

// sending is what an extension is made of beside the configuration and the state.
type sending struct {
	kind       attls.MessageKind
	shares     []share          // of a client
	psks       []PSK            // that a client offers
	group      attls.NamedGroup // that HelloRetryRequest asks for; 0: none
	cookie     []byte           // of HelloRetryRequest
	share      []byte           // of a server; nil: the key does without
	credential *Credential      // of a Certificate
	session    *Session         // of a NewSessionTicket
}

// server_name

func offerServerName(e *Engine, s *sending, b []byte) []byte {
	name := e.cfg.serverName()
	if s.kind != attls.KindClientHello || name == "" || isAddress(name) {
		// RFC 6066 section 3: a literal address is not a HostName
		return nil
	}
	return extensions.AppendServerName(b, name)
}

func readServerName(o *offers, body []byte) (err *attls.Error) {
	o.name, err = extensions.ParseServerName(body)
	return err
}

// takeServerName takes no name that carries a nonce: it names no host, and another one
// comes with the next connection.
func takeServerName(e *Engine, o *offers) *attls.Error {
	if e.nego.serverName = string(o.name); e.profile().IsNonce(o.kind, attls.ExtServerName, o.name) {
		e.nego.serverName = ""
	}
	return nil
}

func answerServerName(e *Engine, _ *sending, b []byte) []byte {
	if !e.cfg.AcknowledgeServerName || e.nego.serverName == "" || e.resumes() && e.obeys(rule.NameUnanswered) {
		return nil
	}
	return b
}

// supported_groups

func offerGroups(e *Engine, _ *sending, b []byte) []byte {
	return extensions.AppendUint16s(b, greased(e, e.cfg.groups(), greaseGroup))
}

func readGroups(o *offers, body []byte) (err *attls.Error) {
	o.groups, err = extensions.ParseSupportedGroups(body)
	return err
}

func answerGroups(e *Engine, _ *sending, b []byte) []byte {
	if !e.cfg.AnnounceGroups {
		return nil
	}
	return extensions.AppendUint16s(b, e.cfg.groups())
}

func readGroupsAnswer(_ *Engine, _ *answers, body []byte) *attls.Error {
	_, err := extensions.ParseSupportedGroups(body)
	return err
}

// signature_algorithms and signature_algorithms_cert

func offerSchemes(e *Engine, _ *sending, b []byte) []byte {
	return extensions.AppendUint16s(b, e.cfg.signatureSchemes())
}

func readSchemes(o *offers, body []byte) (err *attls.Error) {
	o.schemes, err = extensions.ParseSignatureAlgorithms(body)
	return err
}

func takeSchemes(e *Engine, o *offers) *attls.Error {
	e.nego.peerSchemes = schemes(o.schemes)
	return nil
}

func offerCertSchemes(e *Engine, _ *sending, b []byte) []byte {
	if e.cfg.SignatureSchemesCert == nil {
		return nil
	}
	return extensions.AppendUint16s(b, e.cfg.SignatureSchemesCert)
}

func readCertSchemes(o *offers, body []byte) (err *attls.Error) {
	o.certSchemes, err = extensions.ParseSignatureAlgorithms(body)
	return err
}

func takeCertSchemes(e *Engine, o *offers) *attls.Error {
	e.nego.peerCert = schemes(o.certSchemes)
	return nil
}

func schemes(l extensions.Uint16s) []attls.SignatureScheme {
	out := make([]attls.SignatureScheme, l.Len())
	for i := range out {
		out[i] = attls.SignatureScheme(l.At(i))
	}
	return out
}

// certificate_authorities

func offerAuthorities(e *Engine, _ *sending, b []byte) []byte {
	if len(e.cfg.CertificateAuthorities) == 0 {
		return nil
	}
	return extensions.AppendCertificateAuthorities(b, e.cfg.CertificateAuthorities)
}

func readAuthorities(o *offers, body []byte) (err *attls.Error) {
	o.authorities, err = extensions.ParseCertificateAuthorities(body)
	return err
}

func takeAuthorities(e *Engine, o *offers) *attls.Error {
	for name := range o.authorities.All() {
		if e.profile().IsNonce(o.kind, attls.ExtCertificateAuthorities, name) {
			continue
		}
		e.nego.authorities = append(e.nego.authorities, slices.Clone(name))
	}
	return nil
}

// application_layer_protocol_negotiation

func offerALPN(e *Engine, _ *sending, b []byte) []byte {
	if len(e.cfg.ALPN) == 0 {
		return nil
	}
	return extensions.AppendALPN(b, e.cfg.ALPN)
}

func readALPN(o *offers, body []byte) (err *attls.Error) {
	o.protocols, err = extensions.ParseALPN(body)
	return err
}

// takeALPN selects a protocol. The name that carries a nonce is none, so that a client with
// no other asks for no protocol; where the profile says so it is selected if no other is.
func takeALPN(e *Engine, o *offers) (err *attls.Error) {
	p := e.profile()
	names := o.protocols.Without(func(name []byte) bool { return p.IsNonce(o.kind, attls.ExtALPN, name) })
	if len(e.cfg.ALPN) > 0 && len(names) > 0 {
		e.nego.alpn, err = negotiation.SelectALPN(e.cfg.ALPN, names)
	}
	if e.nego.alpn == "" {
		for name := range o.protocols.All() {
			if p.SelectsNonce(name) {
				e.nego.nonceName, err = string(name), nil
			}
		}
	}
	return err
}

func answerALPN(e *Engine, _ *sending, b []byte) []byte {
	switch {
	case e.nego.alpn != "":
		return extensions.AppendALPN(b, []string{e.nego.alpn})
	case e.nego.nonceName != "":
		return extensions.AppendALPN(b, []string{e.nego.nonceName})
	}
	return nil
}

func readALPNAnswer(e *Engine, _ *answers, body []byte) *attls.Error {
	name, err := extensions.ParseALPNSelected(body)
	if err != nil {
		return err
	}
	illegal := func(by, format string, args ...any) *attls.Error {
		return attls.Errorf(attls.Violation, attls.FailIllegalParameter, format, args...).By(by)
	}
	if len(name) == 2 && attls.Grease(wire.Uint16(name)) && e.obeys(rule.GREASERefused) {
		return illegal("RFC 8701 3.1", "protocol %x is a reserved value, which is sent to be ignored", name)
	}
	if e.sentAsNonce(attls.ExtALPN, name) {
		if !e.profile().SelectsNonce(name) && e.obeys(rule.NonceUnselected) {
			return illegal(e.profile().ID, "protocol %q carries the nonce, and no protocol has this name", name)
		}
		return nil // no protocol of the application is selected
	}
	if !slices.Contains(e.cfg.ALPN, string(name)) && e.obeys(rule.ALPNOffered) {
		return illegal("RFC 7301 3.1", "protocol %q was not offered", name)
	}
	e.nego.alpn = string(name)
	return nil
}

// record_size_limit

// sendRecordSizeLimit is the offer and the answer alike: each end announces its own limit.
func sendRecordSizeLimit(e *Engine, _ *sending, b []byte) []byte {
	if e.cfg.RecordSizeLimit == 0 {
		return nil
	}
	return extensions.AppendRecordSizeLimit(b, e.cfg.RecordSizeLimit)
}

func readRecordSizeLimit(o *offers, body []byte) (err *attls.Error) {
	o.recordLimit, err = extensions.ParseRecordSizeLimit(body)
	return err
}

func takeRecordSizeLimit(e *Engine, o *offers) *attls.Error {
	e.limitRecords(o.recordLimit)
	return nil
}

func readRecordSizeLimitAnswer(e *Engine, _ *answers, body []byte) *attls.Error {
	n, err := extensions.ParseRecordSizeLimit(body)
	if err != nil {
		return err
	}
	e.limitRecords(n)
	e.enforceRecordLimit()
	return nil
}

func checkRecordSizeLimit(c *Config) *attls.Error {
	switch n := c.RecordSizeLimit; {
	case n > record.MaxPlaintext+1:
		return badField("Config.RecordSizeLimit", "%d is above the %d octets that a record of TLS 1.3 holds", n,
			record.MaxPlaintext+1).By("RFC 8449 4")
	case n != 0 && n < 64:
		return badField("Config.RecordSizeLimit", "%d is below the 64 octets of RFC 8449 section 4", n)
	}
	return nil
}

// limitRecords obeys the peer's record_size_limit, which counts the content
// type octet (RFC 8449 section 4).
func (e *Engine) limitRecords(n uint16) {
	e.nego.recordLimit = n
	e.out.SetMaxPlaintext(min(int(n)-1, record.MaxPlaintext, e.cfg.maxFragment()))
}

// enforceRecordLimit holds the peer to our own limit, once both ends have sent
// the extension: a server that does not know it may send records of full size.
func (e *Engine) enforceRecordLimit() { e.in.SetMaxRecord(int(e.cfg.RecordSizeLimit) - 1) }

// supported_versions

// offeredVersions are the versions that a client offers.
var offeredVersions = []uint16{attls.VersionTLS13}

func offerVersions(e *Engine, _ *sending, b []byte) []byte {
	return extensions.AppendSupportedVersions(b, greased(e, offeredVersions, greaseVersion))
}

func readVersions(o *offers, body []byte) (err *attls.Error) {
	o.versions, err = extensions.ParseSupportedVersions(body)
	return err
}

func answerVersion(_ *Engine, _ *sending, b []byte) []byte {
	return extensions.AppendSelectedVersion(b, attls.VersionTLS13)
}

func readVersionAnswer(_ *Engine, a *answers, body []byte) (err *attls.Error) {
	a.version, err = extensions.ParseSelectedVersion(body)
	return err
}

// key_share

func offerShares(e *Engine, s *sending, b []byte) []byte { return e.appendShares(b, s.shares) }

func readShares(o *offers, body []byte) (err *attls.Error) {
	o.shares, err = extensions.ParseKeyShares(body)
	return err
}

func answerShare(e *Engine, s *sending, b []byte) []byte {
	switch {
	case s.group != 0:
		return extensions.AppendSelectedGroup(b, s.group)
	case s.share != nil:
		return extensions.AppendKeyShareEntry(b, e.nego.group, s.share)
	}
	return nil
}

func readShareAnswer(_ *Engine, a *answers, body []byte) (err *attls.Error) {
	if a.kind == attls.KindHelloRetryRequest {
		a.group, err = extensions.ParseSelectedGroup(body)
	} else {
		a.share, err = extensions.ParseKeyShareEntry(body)
	}
	return err
}

// psk_key_exchange_modes and pre_shared_key

func offerPSKModes(e *Engine, _ *sending, b []byte) []byte {
	if !e.cfg.PSK {
		return nil
	}
	return extensions.AppendPSKKeyExchangeModes(b, e.cfg.pskModes())
}

func readPSKModes(o *offers, body []byte) (err *attls.Error) {
	o.modes, err = extensions.ParsePSKKeyExchangeModes(body)
	return err
}

func readPreSharedKeys(o *offers, body []byte) (err *attls.Error) {
	o.keys, err = extensions.ParsePreSharedKeyOffer(body)
	return err
}

func answerPreSharedKey(e *Engine, _ *sending, b []byte) []byte {
	if e.psk.session == nil {
		return nil
	}
	return extensions.AppendPreSharedKeySelected(b, uint16(e.psk.index))
}

func readPreSharedKeyAnswer(_ *Engine, a *answers, body []byte) (err *attls.Error) {
	a.identity, err = extensions.ParsePreSharedKeySelected(body)
	return err
}

// ticket_request

func offerTicketRequest(e *Engine, _ *sending, b []byte) []byte {
	if e.cfg.RequestTickets == nil {
		return nil
	}
	return extensions.AppendTicketRequest(b, *e.cfg.RequestTickets)
}

func readTicketRequest(o *offers, body []byte) (err *attls.Error) {
	o.tickets, err = extensions.ParseTicketRequest(body)
	return err
}

func takeTicketRequest(e *Engine, o *offers) *attls.Error {
	counts := o.tickets
	e.nego.wantsTickets = &counts
	return nil
}

// answerTicketRequest says how many tickets are expected. A server that issues none to
// anybody does not know the extension.
func answerTicketRequest(e *Engine, _ *sending, b []byte) []byte {
	if !e.cfg.PSK {
		return nil
	}
	n := 0
	if _, usable := e.pskMode(); usable && negotiation.AllowTickets(e.cfg.profile()) && !e.negotiatesUpdates() {
		n = e.tickets()
	}
	return extensions.AppendTicketRequestHint(b, uint8(n))
}

// readTicketRequestHint checks the hint; tickets are taken as they come.
func readTicketRequestHint(_ *Engine, _ *answers, body []byte) *attls.Error {
	_, err := extensions.ParseTicketRequestHint(body)
	return err
}

func checkTicketRequest(c *Config) *attls.Error {
	if c.RequestTickets != nil && !c.PSK {
		return badField("Config.RequestTickets", "tickets are not kept without PSK")
	}
	return nil
}

// tickets is how many tickets a server issues after the handshake.
func (e *Engine) tickets() int {
	switch r := e.nego.wantsTickets; {
	case r == nil:
		return e.cfg.Tickets
	case e.resumes():
		return min(e.cfg.Tickets, int(r.Resumption))
	default:
		return min(e.cfg.Tickets, int(r.New))
	}
}

// post_handshake_auth

func offerPostHandshakeAuth(e *Engine, _ *sending, b []byte) []byte {
	if !e.cfg.PostHandshakeAuthentication {
		return nil
	}
	return b
}

// cookie, which a client sends back in its second ClientHello (clientWaitServerHello.retry)

func readCookie(o *offers, body []byte) (err *attls.Error) {
	o.cookie, err = extensions.ParseCookie(body)
	return err
}

func answerCookie(_ *Engine, s *sending, b []byte) []byte {
	if s.cookie == nil {
		return nil
	}
	return extensions.AppendCookie(b, s.cookie)
}

func readCookieAnswer(_ *Engine, a *answers, body []byte) (err *attls.Error) {
	a.cookie, err = extensions.ParseCookie(body)
	return err
}

// early_data

func offerEarlyData(e *Engine, s *sending, b []byte) []byte {
	if !e.offersEarlyData(s.psks) {
		return nil
	}
	return b
}

func answerEarlyData(e *Engine, s *sending, b []byte) []byte {
	switch {
	case s.kind == attls.KindNewSessionTicket && s.session.MaxEarlyData > 0:
		return extensions.AppendEarlyDataMax(b, s.session.MaxEarlyData)
	case s.kind == attls.KindEncryptedExtensions && e.early.status == EarlyDataAccepted:
		return b
	}
	return nil
}

func readEarlyDataAnswer(e *Engine, a *answers, body []byte) (err *attls.Error) {
	if a.kind == attls.KindNewSessionTicket {
		a.maxEarlyData, err = extensions.ParseEarlyDataMax(body)
		return err
	}
	if e.early.status != EarlyDataOpen { // offered once, and not again after HelloRetryRequest
		return attls.Errorf(attls.Violation, attls.FailUnsolicited, "was not offered").By("RFC 8446 4.2.10")
	}
	return nil
}
