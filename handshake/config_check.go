package handshake

import (
	"reflect"
	"slices"
	"time"

	"attls"
	"attls/extensions/profile"
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

// badField is the error about a field.
func badField(field, format string, args ...any) *attls.Error {
	return attls.Errorf(attls.Local, attls.FailConfiguration, format, args...).Under(field)
}

// isNil reports whether an interface holds nothing, or a pointer, function or map that is nil.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map:
		return r.IsNil()
	}
	return false
}

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
		{"Limits.MaxEmptyRecords", c.Limits.MaxEmptyRecords, 0}, {"Limits.MaxChangeCipherSpec", c.Limits.MaxChangeCipherSpec, 0},
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
	case c.RecordSizeLimit > record.MaxPlaintext+1:
		return badField("Config.RecordSizeLimit", "%d is above the %d octets that a record of TLS 1.3 holds", c.RecordSizeLimit, record.MaxPlaintext+1).By("RFC 8449 4")
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
	case onlyNil(c.Provider):
		return badField("Config.Provider", "a nil %T", c.Provider)
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
		return badField("TicketKeys.Rotate", "%v is below %v; every key is kept as long as a ticket may live", h.Keys.Rotate, minRotate)
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
			return badField(field, "key %d does not have External set, and would be used as a ticket is", i).By("RFC 8446 4.2.11.2")
		case len(s.Identity) == 0 || len(s.Identity) > maxOffered:
			return badField(field, "key %d has an identity of %d octets; 1 to %d are possible", i, len(s.Identity), maxOffered)
		case len(s.Secret) == 0:
			return badField(field, "key %d has no Secret", i)
		}
	}
	return nil
}
