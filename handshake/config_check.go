package handshake

import (
	"slices"
	"time"

	"attls"
	"attls/extensions/profile"
	"attls/negotiation"
	"attls/record"
)

// What a Config and an Answerer hold is checked before anything is sent: a value
// that would be passed over in silence, or that would fail only once a peer has
// connected, is a mistake of whoever wrote it.

const (
	// maxVector is the length of the longest vectors of an extension's body.
	maxVector = 1<<16 - 1
	// minRotate bounds how many keys TicketKeys has to keep.
	minRotate = time.Minute
)

// onlyNil reports whether an interface was set to a pointer that is nil.
func onlyNil(v any) bool { return v != nil && isNil(v) }

// checkNumbers refuses numbers that have no meaning.
func (c *Config) checkNumbers() *attls.Error {
	for _, n := range [...]struct {
		field string
		value int
		most  int // 0: any
	}{
		{"MaxCertificates", c.MaxCertificates, 0}, {"PadTo", c.PadTo, record.MaxPlaintext},
		{"AttesterSize", c.AttesterSize, 0}, {"AppraiserSize", c.AppraiserSize, 0},
		{"Limits.MaxHandshakeMessage", c.Limits.MaxHandshakeMessage, 0}, {"Limits.MaxRecord", c.Limits.MaxRecord, 0},
		{"Limits.MaxEmptyRecords", c.Limits.MaxEmptyRecords, 0},
		{"Limits.MaxChangeCipherSpec", c.Limits.MaxChangeCipherSpec, 0},
		{"Limits.MaxWarningAlerts", c.Limits.MaxWarningAlerts, 0},
	} {
		switch {
		case n.value < 0:
			return badField("Config."+n.field, "%d is negative", n.value)
		case n.most > 0 && n.value > n.most:
			return badField("Config."+n.field, "%d; at most %d is possible", n.value, n.most)
		}
	}
	switch {
	case c.ClientAuthentication > RequireClientCertificate:
		return badField("Config.ClientAuthentication", "%d has no meaning", c.ClientAuthentication)
	case c.Retry.CookieSize > maxCookie:
		return badField("Config.Retry.CookieSize", "%d octets; the limit is %d", c.Retry.CookieSize, maxCookie)
	case c.Retry.CookieSize != 0 && c.Retry.stateless():
		return badField("Config.Retry.CookieSize", "with Retry.Secrets the length of a cookie follows from its content")
	}
	return nil
}

// checkLists refuses lists that cannot be sent, or in which a value appears twice.
func (c *Config) checkLists() *attls.Error {
	twice := func(field string, v any) *attls.Error { return badField("Config."+field, "%v appears twice", v) }
	if s, is := duplicate(c.SignatureSchemes); is {
		return twice("SignatureSchemes", s)
	}
	if s, is := duplicate(c.SignatureSchemesCert); is {
		return twice("SignatureSchemesCert", s)
	}
	if c.SignatureSchemesCert != nil && len(c.SignatureSchemesCert) == 0 {
		return badField("Config.SignatureSchemesCert", "a list without a scheme; nil sends none")
	}
	if m, is := duplicate(c.PSKModes); is {
		return twice("PSKModes", m)
	}
	if p, is := duplicate(c.ALPN); is {
		return twice("ALPN", p)
	}
	if x, is := duplicate(c.ExtensionOrder); is {
		return twice("ExtensionOrder", x)
	}
	for _, role := range bothRoles {
		field := "ServerCertificateTypes"
		if role == attls.RoleClient {
			field = "ClientCertificateTypes"
		}
		list := c.configuredTypes(role)
		if t, is := duplicate(list); is {
			return twice(field, t)
		}
		if list != nil && len(list) == 0 {
			return badField("Config."+field, "a list without a type; nil is X.509")
		}
		for _, t := range list {
			if t != attls.CertificateX509 && t != attls.CertificateRawPublicKey {
				return badField("Config."+field, "%v is not implemented", t)
			}
		}
	}
	return c.checkLengths()
}

// checkLengths refuses what does not fit into the extension that carries it.
func (c *Config) checkLengths() *attls.Error {
	total := 0
	for _, name := range c.ALPN {
		if len(name) == 0 || len(name) > 255 {
			return badField("Config.ALPN", "protocol name of %d octets; RFC 7301 allows 1 to 255", len(name))
		}
		total += 1 + len(name)
	}
	if total > maxVector-2 {
		return badField("Config.ALPN", "%d octets of protocol names; an extension holds %d", total, maxVector-2)
	}
	total = 0
	for i, name := range c.CertificateAuthorities {
		if len(name) == 0 {
			return badField("Config.CertificateAuthorities", "name %d is empty", i).By("RFC 8446 4.2.4")
		}
		total += 2 + len(name)
	}
	if total > maxVector-2 {
		return badField("Config.CertificateAuthorities", "%d octets of names; an extension holds %d", total, maxVector-2)
	}
	for i, x := range c.ExtraExtensions {
		switch {
		case slices.ContainsFunc(c.ExtraExtensions[:i], func(y profile.RawExtension) bool { return x.Type == y.Type }):
			return badField("Config.ExtraExtensions", "%v appears twice", x.Type).By("RFC 8446 4.2")
		case len(x.Body) > maxVector:
			return badField("Config.ExtraExtensions", "%v has %d octets; an extension holds %d", x.Type, len(x.Body), maxVector)
		}
	}
	return nil
}

// checkHolders refuses interfaces that hold a nil pointer.
func (c *Config) checkHolders() *attls.Error {
	switch {
	case onlyNil(c.Random):
		return badField("Config.Random", "a nil %T", c.Random)
	case onlyNil(c.KeyLog):
		return badField("Config.KeyLog", "a nil %T", c.KeyLog)
	case onlyNil(c.Tap):
		return badField("Config.Tap", "a nil %T", c.Tap)
	}
	for i, a := range c.CertificateCompression {
		if isNil(a) {
			return badField("Config.CertificateCompression", "entry %d is nil", i)
		}
	}
	return nil
}

// Check refuses what cannot work, as Client and Server do, and names the field.
func (a *Answerer) Check() error { return asGoError(a.check()) }

func (a *Answerer) check() *attls.Error {
	for i, c := range a.Credentials {
		switch {
		case c == nil:
			return badField("Answerer.Credentials", "credential %d is nil", i)
		case len(c.Chain) == 0:
			return badField("Answerer.Credentials", "credential %d has no certificate", i)
		case isNil(c.Signer):
			return badField("Answerer.Credentials", "credential %d has no private key", i)
		}
	}
	for i, c := range a.Trust.Anchors {
		if c == nil {
			return badField("Answerer.Trust.Anchors", "anchor %d is nil", i)
		}
	}
	if a.Trust.AcceptAttested && a.Trust.InsecureSkipVerify {
		return badField("Answerer.Trust", "InsecureSkipVerify accepts what AcceptAttested would refuse; choose one")
	}
	for k, d := range a.Timeouts {
		if d < 0 {
			return badField("Answerer.Timeouts", "%v for the %v wait is negative", d, k)
		}
	}
	switch {
	case onlyNil(a.Attester):
		return badField("Answerer.Attester", "a nil %T", a.Attester)
	case onlyNil(a.Appraiser):
		return badField("Answerer.Appraiser", "a nil %T", a.Appraiser)
	}
	if h := a.ServerSessions; h != nil {
		if err := h.check(); err != nil {
			return err
		}
	}
	if h := a.ClientSessions; h != nil {
		return h.check()
	}
	return nil
}

func (h *ServerSessions) check() *attls.Error {
	switch {
	case h.Lifetime < 0:
		return badField("ServerSessions.Lifetime", "%v is negative", h.Lifetime)
	case h.MaxSkew < 0:
		return badField("ServerSessions.MaxSkew", "%v is negative", h.MaxSkew)
	case h.Keys.Rotate != 0 && h.Keys.Rotate < minRotate:
		return badField("TicketKeys.Rotate", "%v is below %v; every key is kept as long as a ticket may live",
			h.Keys.Rotate, minRotate)
	}
	return checkExternal("ServerSessions.External", h.External)
}

func (c *ClientSessions) check() *attls.Error {
	switch {
	case c.Max < 0:
		return badField("ClientSessions.Max", "%d is negative", c.Max)
	case c.Offer < 0:
		return badField("ClientSessions.Offer", "%d is negative", c.Offer)
	}
	return checkExternal("ClientSessions.External", c.External)
}

// checkExternal refuses external keys that could not be offered or found.
func checkExternal(field string, keys []*Session) *attls.Error {
	for i, s := range keys {
		switch {
		case s == nil:
			return badField(field, "key %d is nil", i)
		case !s.External:
			return badField(field, "key %d does not have External set, and would be used as a ticket is", i).
				By("RFC 8446 4.2.11.2")
		case len(s.Identity) == 0 || len(s.Identity) > maxOffered:
			return badField(field, "key %d has an identity of %d octets; 1 to %d are possible", i, len(s.Identity), maxOffered)
		case len(s.Secret) == 0:
			return badField(field, "key %d has no Secret", i)
		}
	}
	return nil
}

// Check refuses what cannot work, as NewClient and NewServer do, and names the
// field. The Config may not change afterwards.
func (c *Config) Check() error {
	if err := c.check(); err != nil {
		return err
	}
	return nil
}

// check refuses what cannot work before anything is sent.
func (c *Config) check() *attls.Error {
	if c == nil {
		return badField("Config", "is nil")
	}
	bad := func(field, format string, args ...any) *attls.Error {
		return badField("Config."+field, format, args...)
	}
	for _, check := range [...]func(*Config) *attls.Error{
		(*Config).checkHolders, (*Config).checkNumbers, (*Config).checkLists} {
		if err := check(c); err != nil {
			return err
		}
	}
	if len(c.suites()) == 0 {
		return bad("CipherSuites", "no cipher suite is enabled")
	}
	if len(c.groups()) == 0 {
		return bad("Groups", "no group is enabled")
	}
	if len(c.signatureSchemes()) == 0 {
		return bad("SignatureSchemes", "no signature scheme is enabled")
	}
	if s, twice := duplicate(c.suites()); twice {
		return bad("CipherSuites", "%v appears twice", s)
	}
	if g, twice := duplicate(c.groups()); twice {
		return bad("Groups", "%v appears twice", g)
	}
	if g, twice := duplicate(c.KeyShares); twice {
		return bad("KeyShares", "%v appears twice", g)
	}
	pr := c.provider()
	for _, s := range c.suites() {
		if _, ok := pr.Suite(s); !ok {
			return bad("CipherSuites", "%v is not implemented", s)
		}
	}
	for _, g := range c.groups() {
		if _, ok := pr.Group(g); !ok {
			return bad("Groups", "%v is not implemented", g)
		}
	}
	for _, g := range c.keyShares() {
		if !slices.Contains(c.groups(), g) {
			return bad("KeyShares", "%v is not among Groups", g)
		}
	}
	for i := range extensionTable {
		if check := extensionTable[i].check; check != nil {
			if err := check(c); err != nil {
				return err
			}
		}
	}
	for i, a := range c.CertificateCompression {
		if slices.ContainsFunc(c.CertificateCompression[:i], func(b CertificateCompressor) bool {
			return a.Algorithm() == b.Algorithm()
		}) {
			return bad("CertificateCompression", "algorithm %d appears twice", a.Algorithm())
		}
	}
	for _, m := range c.PSKModes {
		if m != attls.PSKOnly && m != attls.PSKWithDHE {
			return bad("PSKModes", "%v is not implemented", m)
		}
	}
	if c.PSK && len(c.pskModes()) == 0 {
		return bad("PSKModes", "no mode goes with the pre-shared keys")
	}
	if c.Tickets < 0 || c.Tickets > maxTickets {
		return bad("Tickets", "%d; 0 to %d are possible", c.Tickets, maxTickets)
	}
	if !c.PSK && (c.Tickets > 0 || c.MaxEarlyData > 0) {
		return bad("PSK", "tickets and early data need it")
	}
	if c.Profile == nil && (c.Policy.Demand || len(c.Policy.Produce) > 0 || len(c.Policy.Accept) > 0) {
		return bad("Policy", "attestation is configured, and there is no Profile under which it could take place")
	}
	if field, s := c.unexpressed(); s != nil {
		if len(c.Profile.Slots) == 0 && len(c.Profile.Later) > 0 {
			return bad("Policy."+field, "profile %s attests after the handshake, in exported authenticators, which "+
				"package handshake/exported carries", c.Profile.ID)
		}
		return bad("Policy."+field, "profile %s has no list with room for %s with the credential %s", c.Profile.ID,
			s.Model, s.Credential)
	}
	if c.Policy.Demand && len(c.Policy.Accept) == 0 {
		return bad("Policy.Demand", "the peer must attest, and Policy.Accept has nothing that could be appraised")
	}
	if c.Retry.stateless() && c.profile().Binder.Program != nil {
		return bad("Retry.Secrets", "profile %s binds to the first ClientHello's octets, which a cookie does not carry",
			c.Profile.ID)
	}
	for i := range c.profile().Slots {
		if c.Retry.stateless() && c.profile().AnswersInRetry(i) {
			return bad("Retry.Secrets",
				"profile %s answers in HelloRetryRequest, which a cookie does not carry to the second ClientHello",
				c.Profile.ID)
		}
	}
	if c.MaxFragment < 0 || c.MaxFragment > record.MaxPlaintext {
		return bad("MaxFragment", "%d octets; a record holds 1 to %d", c.MaxFragment, record.MaxPlaintext)
	}
	if c.MessagesPerRecord < 0 {
		return bad("MessagesPerRecord", "%d messages", c.MessagesPerRecord)
	}
	if err := checkServerName(c.ServerName); err != nil {
		return err.Under("Config.ServerName")
	}
	_, err := c.placement()
	return err
}

// unexpressed is the first scheme of a list of the policy of which no slot of the
// profile can express any; nil: there is none.
func (c *Config) unexpressed() (field string, _ *negotiation.Scheme) {
	cannot := func(list []negotiation.Scheme) bool {
		return len(list) > 0 && !slices.ContainsFunc(list, c.expresses)
	}
	switch {
	case cannot(c.Policy.Produce):
		return "Produce", &c.Policy.Produce[0]
	case cannot(c.Policy.Accept):
		return "Accept", &c.Policy.Accept[0]
	}
	return "", nil
}

// expresses reports whether some slot of the profile can express a scheme.
func (c *Config) expresses(s negotiation.Scheme) bool {
	for i := range c.profile().Slots {
		if _, ok := c.profile().EncodeScheme(i, s); ok {
			return true
		}
	}
	return false
}

// duplicate returns a value that stands twice in a list.
func duplicate[T comparable](list []T) (T, bool) {
	for i, v := range list {
		if slices.Contains(list[:i], v) {
			return v, true
		}
	}
	var none T
	return none, false
}
