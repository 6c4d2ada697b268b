package profile

import (
	"fmt"
	"strconv"
	"strings"

	"attls"
	"attls/extensions/schema"
)

// rfcField is a field of an RFC in which a nonce may travel.
type rfcField struct {
	place Place
	name  string
	text  string
	most  int // octets of a value, at most
}

// Limits of the fields that RFCs define, in octets.
const (
	randomSize     = 32            // RFC 8446 4.1.2
	mostHostName   = container - 5 // HostName<1..2^16-1>, in a list with its type (RFC 6066 3)
	mostProtocol   = 255           // ProtocolName<1..2^8-1> (RFC 7301 3.1)
	mostAuthority  = container - 4 // DistinguishedName<1..2^16-1> (RFC 8446 4.2.4)
	mostDNSName    = 253           // RFC 1035 2.3.4
	mostDNSLabel   = 63
	mostCommonName = 64 // ub-common-name of RFC 5280 appendix A.1
)

var rfcFields = []rfcField{
	{Place{Message: attls.KindClientHello, Extension: attls.ExtServerName}, "client_hello.server_name",
		"the name of server_name: no host is named", mostHostName},
	{
		Place{Message: attls.KindClientHello, Extension: attls.ExtALPN},
		"client_hello.application_layer_protocol_negotiation",
		"one protocol of ALPN, before those of the application",
		mostProtocol,
	},
	{
		Place{Message: attls.KindClientHello, Extension: attls.ExtCertificateAuthorities},
		"client_hello.certificate_authorities",
		"one name of certificate_authorities, after those of the configuration",
		mostAuthority,
	},
	{Place{Message: attls.KindCertificateRequest, Extension: attls.ExtCertificateAuthorities},
		"certificate_request.certificate_authorities", "likewise, and another nonce in each request", mostAuthority},
	{Place{Message: attls.KindClientHello, Random: true}, "client_hello.random",
		"octets of ClientHello.random; the rest is random", randomSize},
}

// fieldWords are the names of rfcFields.
var fieldWords = func() (w words) {
	for i, f := range rfcFields {
		w = append(w, word{f.name, i, f.text})
	}
	return w
}()

// nonceField reads a nonce that travels in a field of an RFC.
func (c *compiler) nonceField(s *Slot, v *value) {
	in := v.get("in")
	if in == nil {
		c.fail(v.pos, ProblemKey, "the nonce of %s does not say in which field it is", s.Name).Advice =
			"say in: " + strings.Join(fieldWords.names(), ", or ")
		return
	}
	at := &rfcFields[fieldWords.value(in)]
	s.Nonce, s.NoncePath, s.NonceField.Used = at.place, at.name, true
	if !c.nonceOctets(s, v) {
		return
	}
	n := &s.NonceField
	if x := v.get("codec"); x != nil {
		n.Codec = NonceCodec(codecWords.value(x))
	} else if !at.place.Random {
		c.fail(v.pos, ProblemKey, "the nonce of %s has no codec", s.Name).Advice =
			"say codec: " + strings.Join(codecWords.names(), ", or ")
		return
	}
	if x := v.get("selected"); x != nil {
		n.Selectable = selectedWords.value(x) == yes
		if at.place.Extension != attls.ExtALPN || at.place.Random {
			c.fail(x.pos, ProblemValue, "a server selects a protocol of ALPN, and nothing in %s", at.name).Advice = "remove it"
		}
	}
	c.nonceMessage(s, in)
	if at.place.Random {
		c.nonceRandom(s, v)
		return
	}
	if x := v.get("offset"); x != nil {
		c.fail(x.pos, ProblemValue, "only client_hello.random has an offset").Advice = "remove it, or say as"
	}
	if c.nonceTemplate(s, v) {
		c.nonceFits(s, at, v)
	}
	c.nonceAlone(s, in)
}

// nonceOctets reads the bounds of the nonce.
func (c *compiler) nonceOctets(s *Slot, v *value) bool {
	x := v.get("octets")
	if x == nil {
		c.fail(v.pos, ProblemKey, "the nonce of %s does not say its length", s.Name).
			Advice = "say octets: 32, or octets: 8..64"
		return false
	}
	least, most, ranged := strings.Cut(x.text, "..")
	if !ranged {
		most = least
	}
	from, err := strconv.ParseUint(least, 0, 16)
	to, cause := strconv.ParseUint(most, 0, 16)
	if err != nil || cause != nil || from > to || to == 0 {
		c.fail(x.pos, ProblemValue, "octets is a number, or the least and the most as 8..64, not %s", x.text)
		return false
	}
	s.NonceMin, s.NonceMax = int(from), int(to)
	c.nonceDefault(s)
	return true
}

// nonceRandom checks a nonce in ClientHello.random.
func (c *compiler) nonceRandom(s *Slot, v *value) {
	if x := v.get("offset"); x != nil {
		n, _ := parseNumber(x.text)
		s.NonceField.Offset = int(n)
	}
	x := v.get("octets")
	switch end := s.NonceField.Offset + s.NonceMax; {
	case s.NonceMin != s.NonceMax:
		c.fail(x.pos, ProblemValue, "random has no length of its own, so the nonce in it has one length").Advice =
			fmt.Sprintf("say octets: %d", s.NonceMax)
	case end > randomSize:
		c.fail(x.pos, ProblemValue, "%d octets from octet %d on; random has %d", s.NonceMax, s.NonceField.Offset, randomSize)
	}
	if y := v.get("as"); y != nil {
		c.fail(y.pos, ProblemValue, "random is octets and no text").Advice = "remove it, or say offset"
	}
	if y := v.get("codec"); y != nil && s.NonceField.Codec != CodecRaw {
		c.fail(y.pos, ProblemValue, "random is octets; a nonce in it is raw").Advice = "say codec: raw"
	}
	for i := range c.p.Slots {
		o := &c.p.Slots[i]
		if o.Nonce.Random && o.NonceField.Offset < s.NonceField.Offset+s.NonceMax &&
			s.NonceField.Offset < o.NonceField.Offset+o.NonceMax {
			c.fail(x.pos, ProblemValue, "the nonces of %s and %s share octets of random", o.Name, s.Name)
		}
	}
	if y := c.doc.get("nonce", "default"); y != nil {
		c.fail(y.pos, ProblemRule, "with a fixed nonce ClientHello.random would be the same in each connection").Advice =
			"remove it"
	}
	if y := c.doc.get("quirks", "accept_new_random"); y.is("true") {
		c.fail(y.pos, ProblemRule, "the nonce of %s is in random, which so may change with HelloRetryRequest",
			s.Name).Advice =
			"remove it"
	}
}

// nonceTemplate reads the template.
func (c *compiler) nonceTemplate(s *Slot, v *value) bool {
	x, n := v.get("as"), &s.NonceField
	name := s.Nonce.Extension == attls.ExtCertificateAuthorities
	text, pos := nonceMark, v.pos
	switch {
	case x != nil:
		text, pos = x.text, x.pos
	case name:
		c.fail(v.pos, ProblemKey, "the nonce of %s is in an attribute of a name, which is not named", s.Name).Advice =
			`say as: "CN={nonce}"`
		return false
	}
	if strings.Count(text, nonceMark) != 1 {
		c.fail(pos, ProblemValue, "%q has {nonce} %d times; it needs it once", text, strings.Count(text, nonceMark))
		return false
	}
	if !name {
		n.Prefix, n.Suffix, _ = strings.Cut(text, nonceMark)
		return true
	}
	for _, part := range strings.Split(text, ",") {
		kind, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		oid, known := attributeType(strings.TrimSpace(kind))
		if !ok || !known {
			c.fail(pos, ProblemValue, "%q is not an attribute of a name, as CN={nonce}", part)
			return false
		}
		a := NameAttribute{Type: oid, Value: value, Nonce: strings.Contains(value, nonceMark)}
		if a.Nonce {
			n.Prefix, n.Suffix, _ = strings.Cut(value, nonceMark)
			a.Value = ""
		}
		n.Name = append(n.Name, a)
	}
	return true
}

// nonceFits compares what the template makes of the longest nonce with the field.
func (c *compiler) nonceFits(s *Slot, at *rfcField, v *value) {
	n := &s.NonceField
	pos := v.get("octets").pos
	name := at.place.Extension == attls.ExtCertificateAuthorities
	if n.Codec == CodecRaw && (at.place.Extension == attls.ExtServerName || name) {
		c.fail(v.get("codec").pos, ProblemValue, "%s is text, and octets as they are may be none", at.name).Advice =
			"say codec: hex, or base64url"
		return
	}
	longest := len(n.Prefix) + n.Codec.Length(s.NonceMax) + len(n.Suffix)
	size := longest
	if name {
		der, err := n.distinguished(n.Prefix + strings.Repeat("a", n.Codec.Length(s.NonceMax)) + n.Suffix)
		if err != nil {
			c.fail(pos, ProblemValue, "%s is not a name", n.Template())
			return
		}
		size = len(der)
	}
	switch {
	case size > at.most:
		c.fail(pos, ProblemValue, "%s with a nonce of %d octets in %s has %d octets; the field has room for %d", n.Template(),
			s.NonceMax, n.Codec, size, at.most)
	case at.place.Extension == attls.ExtServerName:
		c.hostName(s, pos)
	}
}

// hostName compares a server_name with a nonce with the names that hosts have.
func (c *compiler) hostName(s *Slot, pos schema.Position) {
	n := &s.NonceField
	text := n.Prefix + n.Codec.Encode(make([]byte, s.NonceMax)) + n.Suffix
	why := ""
	switch {
	case len(text) > mostDNSName:
		why = fmt.Sprintf("has %d octets, and a host name %d at most", len(text), mostDNSName)
	case n.Codec == CodecBase64:
		why = "may have the characters + / = of base64, which host names do not have"
	}
	for _, label := range strings.Split(text, ".") {
		switch {
		case why != "":
		case len(label) > mostDNSLabel:
			why = fmt.Sprintf("has a label of %d octets, and a label of a host name has %d at most", len(label), mostDNSLabel)
		case label == "":
			why = "has an empty label"
		}
	}
	for _, r := range n.Prefix + n.Suffix {
		if why == "" && (r >= 0x80 || !strings.ContainsRune("-._", r) && !('0' <= r && r <= '9') &&
			!('a' <= r|0x20 && r|0x20 <= 'z')) {
			why = fmt.Sprintf("has the character %q, which host names do not have", r)
		}
	}
	if why != "" {
		c.flaw("host_name", s.Name, pos, "the server_name %s with a nonce of %d octets %s", n.Template(), s.NonceMax, why)
	}
}

// nonceAlone refuses a second nonce where the first could not be told from it.
func (c *compiler) nonceAlone(s *Slot, in *value) {
	for i := range c.p.Slots {
		o := &c.p.Slots[i]
		if !o.NonceField.Used || o.Nonce != s.Nonce {
			continue
		}
		switch {
		case s.Nonce.Extension == attls.ExtServerName:
			c.fail(in.pos, ProblemPath, "server_name has one name, which holds the nonce of %s", o.Name)
		case o.NonceField.Template() == s.NonceField.Template() || !o.NonceField.Told() || !s.NonceField.Told():
			c.fail(in.pos, ProblemPath, "the nonces of %s and %s cannot be told apart: %s and %s", o.Name, s.Name,
				o.NonceField.Template(), s.NonceField.Template())
		}
	}
}
