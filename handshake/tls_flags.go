package handshake

import (
	"slices"

	"attls"
	"attls/extensions"
	"attls/internal/rule"
)

// tls_flags

// proposedFlags are the flags that a client of this configuration sets.
func (c *Config) proposedFlags() (list []attls.TLSFlag) {
	if c.ExtendedKeyUpdate != nil {
		list = append(list, c.ExtendedKeyUpdate.flag())
	}
	if r := &c.profile().Authenticator; r.FlagName != "" {
		list = append(list, r.Flag)
	}
	return list
}

func offerFlags(e *Engine, s *sending, b []byte) []byte {
	list := e.cfg.proposedFlags()
	if len(list) == 0 || s.kind != attls.KindClientHello {
		return nil
	}
	return extensions.AppendTLSFlags(b, list...)
}

func readFlags(o *offers, body []byte) (err *attls.Error) {
	o.flags, err = extensions.ParseTLSFlags(body)
	return err
}

func takeFlags(e *Engine, o *offers) *attls.Error {
	if e.role == attls.RoleServer {
		r := &e.profile().Authenticator
		e.nego.laterOffered = r.FlagName != "" && o.flags.Has(r.Flag)
		e.nego.updatesOffered = e.cfg.ExtendedKeyUpdate != nil && o.flags.Has(e.cfg.ExtendedKeyUpdate.flag())
	}
	return nil
}

func answerFlags(e *Engine, s *sending, b []byte) []byte {
	if s.kind != attls.KindEncryptedExtensions {
		return nil
	}
	var list []attls.TLSFlag
	if e.nego.updatesOffered && e.nego.group != 0 {
		e.agreeOnUpdates()
		list = append(list, e.cfg.ExtendedKeyUpdate.flag())
	}
	if e.nego.laterOffered {
		e.nego.laterAgreed = true
		list = append(list, e.profile().Authenticator.Flag)
	}
	if len(list) == 0 {
		return nil
	}
	return extensions.AppendTLSFlags(b, list...)
}

func readFlagsAnswer(e *Engine, a *answers, body []byte) *attls.Error {
	flags, err := extensions.ParseTLSFlags(body)
	if err != nil || a.kind == attls.KindNewSessionTicket { // which answers nothing
		return err
	}
	proposed := e.cfg.proposedFlags()
	if len(proposed) == 0 { // what was offered is of Config.ExtraExtensions
		return nil
	}
	for f := range flags.All() {
		if a.kind != attls.KindEncryptedExtensions || !slices.Contains(proposed, f) {
			if !e.obeys(rule.FlagProposed) {
				continue
			}
			return attls.Errorf(attls.Violation, attls.FailIllegalParameter, "%v was not proposed for this message", f).
				Under("flags").By("draft-ietf-tls-tlsflags 3")
		}
	}
	if a.kind != attls.KindEncryptedExtensions {
		return nil
	}
	if u := e.cfg.ExtendedKeyUpdate; u != nil && (flags.Has(u.flag()) || !e.obeys(rule.FlagProposed)) {
		e.agreeOnUpdates()
	}
	r := &e.profile().Authenticator
	e.nego.laterAgreed = r.FlagName != "" && flags.Has(r.Flag)
	return nil
}

func checkFlags(c *Config) *attls.Error {
	u := c.ExtendedKeyUpdate
	if u == nil {
		return nil
	}
	if u.Flag > attls.MaxTLSFlag {
		return badField("Config.ExtendedKeyUpdate.Flag", "%d is above %d", uint16(u.Flag), uint16(attls.MaxTLSFlag))
	}
	if u.MaxPeerUpdates < 0 {
		return badField("Config.ExtendedKeyUpdate.MaxPeerUpdates", "%d is negative", u.MaxPeerUpdates)
	}
	if r := &c.profile().Authenticator; r.FlagName != "" && r.Flag == u.flag() {
		return badField("Config.ExtendedKeyUpdate.Flag", "%v is the flag %s of profile %s as well", u.flag(), r.FlagName,
			c.profile().ID)
	}
	for _, m := range c.profile().Messages {
		if m.Type == attls.TypeExtendedKeyUpdate {
			return badField("Config.ExtendedKeyUpdate", "profile %s adds a message with its number, %d", c.profile().ID,
				uint8(m.Type))
		}
	}
	return nil
}
