package main

import (
	"fmt"
	"strings"

	"attls/extensions/profile"
)

// later adds what a profile says of exported authenticators.
func (d *profileDetail) later(p *profile.Profile) {
	for _, x := range p.LaterExtensions {
		var where []string
		for _, l := range x.Placements {
			where = append(where, l.Message.String())
		}
		d.Extensions = append(d.Extensions, fmt.Sprintf("%s (0x%04x) in %s of exported authenticators", x.Name,
			uint16(x.Type), strings.Join(where, ", ")))
	}
	for i := range p.Later {
		d.Slots = append(d.Slots, laterSlotText(p, &p.Later[i]))
	}
	if len(p.Later) > 0 {
		d.After = laterRules(&p.Authenticator)
	}
}

// laterSlotText says where an attester of exported authenticators attests.
func laterSlotText(p *profile.Profile, s *profile.LaterSlot) string {
	var models []string
	for _, m := range s.Models {
		models = append(models, m.String())
	}
	asked := "each request asks"
	if !s.Silent {
		x, _ := extensionName(p, s)
		asked = fmt.Sprintf("%s in %v asks", x, s.Offer.Message)
	}
	around := ""
	if s.Object >= 0 {
		around = fmt.Sprintf(" inside the object %s", p.Objects[s.Object].Name)
	}
	return fmt.Sprintf("%s: the %v attests with %s in exported authenticators; %s, and the first "+
		"CertificateEntry carries the payload in %s%s, at most %d octets", s.Name, s.Attester, strings.Join(models, " or "),
		asked,
		s.Path, around, s.MaxPayload)
}

func extensionName(p *profile.Profile, s *profile.LaterSlot) (string, bool) {
	for _, x := range p.LaterExtensions {
		if x.Type == s.Offer.Extension {
			return x.Name, true
		}
	}
	return s.Offer.Extension.String(), false
}

// laterRules are the rules of after.authenticator.
func laterRules(r *profile.AuthenticatorRules) []string {
	framing := "requests and authenticators are sent as they are, and application data behind them"
	switch {
	case r.Repeats():
		framing = fmt.Sprintf("frames of a type octet (%d request, %d authenticator, %d application data) and a length "+
			"of %d octets", r.Request, r.Answer, r.Data, r.LengthOctets)
	case r.Framing == profile.FramingTyped:
		framing = fmt.Sprintf("frames of a type octet (%d request, %d authenticator) and a length of %d octets, and "+
			"application data without frames behind them", r.Request, r.Answer, r.LengthOctets)
	}
	data := "application data waits for the verdict"
	if !r.Waits() {
		data = "application data may come before the verdict"
	}
	context := fmt.Sprintf("certificate_request_context is random, %d octets", r.ContextOctets)
	if r.NonceContext {
		context = fmt.Sprintf("certificate_request_context is a nonce of the Verifier, or %d random octets", r.ContextOctets)
	}
	failed := "a failure ends the connection with an alert"
	if r.Report {
		failed = "a failure is reported to the application, which decides"
	}
	list := []string{framing, data, context, failed}
	if r.FlagName != "" {
		list = append(list, fmt.Sprintf("both ends set the TLS flag %s (%d) in the handshake", r.FlagName, r.Flag))
	}
	return list
}
