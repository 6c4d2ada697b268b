package peers

import (
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"attls"
	"attls/conformance/adapter"
	"attls/conformance/claims"
	"attls/handshake"
)

// read makes claims of what a program printed, and of what it wrote to the file of messages.
// A connection that another one follows need not show its close_notify: the file may lag behind.
func (p *Adapted) read(c *claims.Claims, role attls.Role, printed, file string, followed bool) error {
	r := &p.Conform.Reads
	says := func(name string) string {
		if r.Says[name] == nil {
			return ""
		}
		return said(printed, r.Says[name])
	}
	seen := &shown{role: role}
	if r.Messages != nil {
		text := file
		if r.Messages.File == "" {
			text = printed
		}
		if err := seen.readMessages(r.Messages, text); err != nil {
			return err
		}
	}
	for d, name := range map[handshake.Direction]string{handshake.Sent: "alert_sent",
		handshake.Received: "alert_received"} {
		code, err := strconv.ParseUint(says(name), 10, 8)
		if err == nil {
			seen.alert(d, attls.AlertDescription(code))
		} else if says(name) != "" {
			return fmt.Errorf("%s is %q, not the number of an alert", name, says(name))
		}
	}
	seen.claim(c)
	c.Unclaimed = p.unclaimed()
	c.Exporter = strings.ToLower(says("exporter"))
	c.HelloRetry = c.HelloRetry || says("hello_retry") != ""
	c.Resumed = c.Resumed || says("resumed") != ""
	early := ""
	switch {
	case says("early_accepted") != "":
		early = handshake.EarlyDataAccepted.String()
	case says("early_rejected") != "":
		early = handshake.EarlyDataRejected.String()
	}
	if complaint := says("error"); complaint != "" {
		fail(c, errors.New(complaint))
	} else if r.CloseNotify && !followed && !seen.closed[handshake.Sent] {
		fail(c, errors.New("it did not send close_notify"))
	}
	names := &p.Names
	group := adapter.Read(names.Groups, says("group"))
	if r.Messages != nil && seen.resumed && seen.group == 0 {
		group = "" // it is the session's
	}
	if c.Resumed && group == "" && r.Messages == nil { // some programs do not print it then
		c.Unclaimed = append(c.Unclaimed, claimGroup.member)
	}
	err := errors.Join(settle("suite", &c.Suite, adapter.Read(names.Suites, says("suite"))),
		settle("early data", &c.EarlyData, early),
		settle("application protocol", &c.ALPN, says("alpn")),
		settle("group", &c.Group, group),
		settle("own signature", &c.OwnSignature, adapter.Read(names.Schemes, says("own_signature"))),
		settle("peer's signature", &c.PeerSignature, adapter.Read(names.Schemes, says("peer_signature"))))
	if err == nil && r.PeerCertificate {
		err = shownPeer(c, printed)
	}
	return err
}

// unclaimed are the members of claims that nothing in the adapter reads.
func (p *Adapted) unclaimed() []string {
	r := &p.Conform.Reads
	list := []string{"transcript_hash"}
	for _, m := range []struct {
		member   string
		messages bool // the messages say it
		also     bool
	}{{"suite", true, false}, {"group", true, false}, {"alpn", true, false}, {"exporter", false, false},
		{"hello_retry", true, false}, {"resumed", true, false}, {"psk_mode", true, false},
		{"peer_key", true, r.PeerCertificate}, {"own_key", true, false},
		{"peer_signature", true, false}, {"own_signature", true, false},
		{"peer_certificate_type", true, r.PeerCertificate}, {"own_certificate_type", true, false}} {
		if r.Says[m.member] == nil && !(m.messages && r.Messages != nil) && !m.also {
			list = append(list, m.member)
		}
	}
	if r.Messages == nil && r.Says["early_accepted"] == nil && r.Says["early_rejected"] == nil {
		list = append(list, claimEarly.member)
	}
	return list
}

// shownPeer reads the peer's certificate or raw public key, the first of the blocks that are
// printed.
func shownPeer(c *claims.Claims, printed string) error {
	block, _ := pem.Decode([]byte(printed))
	if block == nil {
		return nil
	}
	kind := attls.CertificateX509
	if block.Type == "PUBLIC KEY" {
		kind = attls.CertificateRawPublicKey
	}
	key, err := keyOf(kind, block.Bytes)
	if err != nil {
		return fmt.Errorf("the certificate that it shows: %w", err)
	}
	c.PeerKey, c.PeerType = keyName(key), kind.String()
	return nil
}

// readMessages reads the octets of messages in the form of an adapter.
func (s *shown) readMessages(m *adapter.Messages, text string) error {
	var head []string
	var octets []byte
	group := func(name string) bool {
		i := m.Head.SubexpIndex(name)
		return i >= 0 && head[i] != ""
	}
	end := func() {
		if head == nil {
			return
		}
		d, t := handshake.Received, attls.ContentTypeHandshake
		if group("sent") || m.Head.SubexpIndex("sent") < 0 && !group("received") {
			d = handshake.Sent
		}
		if group("alert") {
			t = attls.ContentTypeAlert
		}
		s.add(d, t, octets)
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if found := m.Octets.FindStringSubmatch(line); found != nil {
			b, err := hex.DecodeString(strings.Join(strings.Fields(found[1]), ""))
			if err != nil {
				return fmt.Errorf("a message that the program shows: %w", err)
			}
			octets = append(octets, b...)
			continue
		}
		end()
		head, octets = m.Head.FindStringSubmatch(line), nil
	}
	end()
	return nil
}
