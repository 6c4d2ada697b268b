package claims

import (
	"attls"
	"fmt"
	"strconv"
	"strings"
)

// Agreement is one thing that both ends of a connection know, as each claims it.
type Agreement struct {
	What   string `json:"what"`
	Client string `json:"client,omitempty"` // "": the end does not say
	Server string `json:"server,omitempty"`
}

// Differs reports whether both ends say it and say different things.
func (a *Agreement) Differs() bool { return a.Client != a.Server && a.Client != "" && a.Server != "" }

// Agreements compares what both ends claim, in the order of docs/claims.md. What
// neither says is left out.
func Agreements(client, server *Claims) []Agreement {
	var list agreements
	list.add("profile", client.Profile, server.Profile)
	list.add("protocol", client.Protocol, server.Protocol)
	list.add("cipher suite", client.Suite, server.Suite)
	list.add("group", client.Group, server.Group)
	list.add("HelloRetryRequest", strconv.FormatBool(client.HelloRetry), strconv.FormatBool(server.HelloRetry))
	list.add("ALPN", client.ALPN, server.ALPN)
	list.add("server name", client.ServerName, server.ServerName)
	list.add("transcript hash (to ServerHello)", client.TranscriptHash, server.TranscriptHash)
	list.add("signature of the client", client.OwnSignature, server.PeerSignature)
	list.add("signature of the server", client.PeerSignature, server.OwnSignature)
	list.add("key of the client", client.OwnKey, server.PeerKey)
	list.add("key of the server", client.PeerKey, server.OwnKey)
	for _, attester := range attls.Roles() {
		list.attestation(attester.String(), client, server)
	}
	list.add("alert of the client", alertText(client.AlertSent), alertText(server.AlertReceived))
	list.add("alert of the server", alertText(client.AlertReceived), alertText(server.AlertSent))
	if client.State != "failed" && server.State != "failed" {
		list.add("octets of the client", fmt.Sprint(client.DataSent), fmt.Sprint(server.DataReceived))
		list.add("octets of the server", fmt.Sprint(client.DataReceived), fmt.Sprint(server.DataSent))
	}
	return list
}

type agreements []Agreement

func (l *agreements) add(what, client, server string) {
	if client != "" || server != "" {
		*l = append(*l, Agreement{what, client, server})
	}
}

func (l *agreements) attestation(attester string, client, server *Claims) {
	c, s := client.of(attester), server.of(attester)
	if c == nil && s == nil {
		return
	}
	what := "attestation of the " + attester
	if c == nil || s == nil { // they disagree about whether there is one
		l.add(what, schemeText(c), schemeText(s))
		return
	}
	l.add(what+": model", c.Model, s.Model)
	l.add(what+": credential", c.Credential, s.Credential)
	l.add(what+": scheme", c.Scheme, s.Scheme)
	l.add(what+": format", c.Format, s.Format)
	l.add(what+": verifier", c.Verifier, s.Verifier)
	l.add(what+": nonce", c.Nonce, s.Nonce)
	l.add(what+": challenge", c.Challenge, s.Challenge)
	l.add(what+": payload", c.Payload, s.Payload)
	l.add(what+": octets", fmt.Sprint(c.Octets), fmt.Sprint(s.Octets))
}

func schemeText(a *AttestationClaim) string {
	if a == nil {
		return "none"
	}
	return strings.Join([]string{a.Model, a.Credential, a.Scheme}, ", ")
}

// of is the claim about an attester, or nil.
func (c *Claims) of(attester string) *AttestationClaim {
	for i := range c.Attestation {
		if c.Attestation[i].Attester == attester {
			return &c.Attestation[i]
		}
	}
	return nil
}

func alertText(a *AlertClaim) string {
	if a == nil {
		return ""
	}
	return a.Name
}
