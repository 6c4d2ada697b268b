package handshake_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"attls"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/record"
)

// trace is one example of RFC 8448: what its two ends drew, the records they
// sent, what they showed, and the secrets of the key schedule.
type trace struct {
	draws   [2][]handshake.Draw
	records []traceRecord
	shown   [2]struct{ certificate, signature []byte }
	ticket  []byte
	secrets map[handshake.SecretName][]byte
}

type traceRecord struct {
	sender attls.Role
	octets []byte
}

// readTrace reads a file of testdata/rfc8448: lines "name: octets".
func readTrace(t *testing.T, section string) *trace {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "rfc8448", "section"+section+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	tr := &trace{secrets: map[handshake.SecretName][]byte{}}
	for _, line := range strings.Split(strings.ReplaceAll(string(text), "\n ", ""), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		octets, err := hex.DecodeString(strings.TrimSpace(value))
		if err != nil {
			t.Fatalf("section %s, %s: %v", section, name, err)
		}
		tr.add(t, strings.Fields(name), octets)
	}
	return tr
}

func (tr *trace) add(t *testing.T, name []string, octets []byte) {
	t.Helper()
	if len(name) == 1 {
		tr.secrets[handshake.SecretName(name[0])] = octets
		return
	}
	role := attls.RoleClient
	if name[0] == "server" {
		role = attls.RoleServer
	}
	switch name[1] {
	case "record":
		tr.records = append(tr.records, traceRecord{role, octets})
	case "certificate":
		tr.shown[role].certificate = octets
	case "signature":
		tr.shown[role].signature = octets
	case "ticket":
		tr.ticket = octets
	default:
		var d handshake.Draw
		n, err := strconv.ParseUint(name[2], 10, 32)
		if err == nil {
			err = d.Use.UnmarshalText([]byte(name[1]))
		}
		if err != nil {
			t.Fatal(err)
		}
		d.Index, d.Octets = uint32(n), octets
		tr.draws[role] = append(tr.draws[role], d)
	}
}

// sent is everything that a role sends in a trace.
func (tr *trace) sent(r attls.Role) []byte {
	var all []byte
	for _, rec := range tr.records {
		if rec.sender == r {
			all = append(all, rec.octets...)
		}
	}
	return all
}

// traceTap compares the secrets and sends the ticket that our server has none
// of before its application data.
type traceTap struct {
	handshake.NopTap
	t    *testing.T
	tr   *trace
	n    int // secrets that were compared
	role attls.Role
}

func (p *traceTap) Fork() handshake.Tap { return p }

func (p *traceTap) Derived(name handshake.SecretName, secret []byte) []byte {
	if want := p.tr.secrets[name]; want != nil {
		p.n++
		if !bytes.Equal(secret, want) {
			p.t.Errorf("%s is %x, want %x", name, secret, want)
		}
	}
	return secret
}

func (p *traceTap) Record(d handshake.Direction, r *record.Raw, plan *record.Plan) {
	if d == handshake.Sent && r.Type == attls.ContentTypeApplicationData && r.Sequence == 0 && p.role == attls.RoleServer && p.tr.ticket != nil {
		b, mark := message.Begin(nil, attls.TypeNewSessionTicket)
		plan.Before = []record.Raw{{Type: attls.ContentTypeHandshake, Payload: message.End(append(b, p.tr.ticket...), mark)}}
	}
}

// octets reads hexadecimal digits that the test itself holds.
func octets(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

var (
	oidECPublicKey = octets("2a8648ce3d0201")
	allGroups      = octets("0012001d00170018001901000101010201030104")
	// The schemes of every ClientHello; CertificateRequest has the same.
	traceSchemes = []attls.SignatureScheme{0x0403, 0x0503, 0x0603, 0x0203, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0201, 0x0402, 0x0502, 0x0602, 0x0202}
)

// configuration is that of one end of a trace. The client of the traces offers
// things that we do not implement (finite field groups, SHA-1, PKCS #1 v1.5);
// they go in as extra extensions.
func (tr *trace) configuration(r attls.Role, section string) *handshake.Config {
	c := &handshake.Config{
		Random:                   handshake.NewRecordedRandom(tr.draws[r]...),
		CipherSuites:             []attls.CipherSuite{attls.TLS_AES_128_GCM_SHA256, attls.TLS_CHACHA20_POLY1305_SHA256, attls.TLS_AES_256_GCM_SHA384},
		Groups:                   []attls.NamedGroup{attls.GroupX25519, attls.GroupSecp256r1, attls.GroupSecp384r1, attls.GroupSecp521r1},
		RecordSizeLimit:          0x4001,
		NoMiddleboxCompatibility: section != "7",
	}
	groups := profile.RawExtension{Type: attls.ExtSupportedGroups, Body: allGroups}
	if r == attls.RoleServer {
		c.ExtraExtensions = []profile.RawExtension{groups}
		c.AcknowledgeServerName = true
		c.SignatureSchemes = traceSchemes
		c.ExtensionOrder = []attls.ExtensionType{attls.ExtSupportedGroups, attls.ExtRecordSizeLimit, attls.ExtServerName,
			attls.ExtKeyShare, attls.ExtCookie, attls.ExtSupportedVersions}
		if section == "5" {
			c.Groups = []attls.NamedGroup{attls.GroupSecp256r1}
			c.ExtraExtensions[0].Body = octets("000600170018001d")
			c.Retry = handshake.Retry{Cookie: true, CookieSize: 0x72}
		}
		if section == "6" {
			c.ClientAuthentication = handshake.RequireClientCertificate
		}
		return c
	}
	c.ServerName = "server"
	c.PadClientHello = true
	c.ExtraExtensions = []profile.RawExtension{groups, {Type: attls.ExtRenegotiationInfo, Body: []byte{0}},
		{Type: attls.ExtSignatureAlgorithms, Body: octets("001e040305030603020308040805080604010501060102010402050206020202")},
		{Type: attls.ExtPSKKeyExchangeModes, Body: []byte{1, 1}}}
	c.ExtensionOrder = []attls.ExtensionType{attls.ExtServerName, attls.ExtRenegotiationInfo, attls.ExtSupportedGroups, attls.ExtSessionTicket,
		attls.ExtKeyShare, attls.ExtSupportedVersions, attls.ExtSignatureAlgorithms, attls.ExtCookie, attls.ExtPSKKeyExchangeModes,
		attls.ExtRecordSizeLimit, attls.ExtPadding}
	switch section {
	case "3":
		c.ExtraExtensions = append(c.ExtraExtensions, profile.RawExtension{Type: attls.ExtSessionTicket})
	case "5":
		c.Groups = c.Groups[:3]
		c.ExtraExtensions[0].Body = octets("0006001d00170018")
	}
	return c
}

// answer gives what the trace's end showed.
func (tr *trace) answer(w *handshake.Wait) handshake.Answer {
	switch w.Kind {
	case handshake.WaitCredential:
		der := tr.shown[w.Credential.Role].certificate
		scheme := attls.RSA_PSS_RSAE_SHA256
		if bytes.Contains(der, oidECPublicKey) {
			scheme = attls.ECDSA_SECP256R1_SHA256
		}
		return handshake.Answer{Credential: &handshake.Credential{Chain: [][]byte{der}, Schemes: []attls.SignatureScheme{scheme}}}
	case handshake.WaitSignature:
		return handshake.Answer{Signature: tr.shown[w.Signature.Role].signature}
	}
	return handshake.Answer{}
}

// play runs one end against the records of the other. Once the handshake is
// complete and all else was received, it writes data and closes.
func (tr *trace) play(t *testing.T, e *handshake.Engine, data []byte) (sent, received, ticket []byte) {
	t.Helper()
	wrote := false
	write := func() {
		if e.Done() && !wrote {
			wrote = true
			if data != nil {
				if err := e.Write(data); err != nil {
					t.Fatal(err)
				}
			}
			e.CloseNotify()
		}
	}
	take := func() {
		for ev, ok := e.Next(); ok; ev, ok = e.Next() {
			switch ev.Kind {
			case handshake.EventWait:
				e.Answer(ev.Wait.ID, tr.answer(ev.Wait))
			case handshake.EventData:
				received = append(received, ev.Data...)
			case handshake.EventTicket:
				ticket = append(ticket, ev.Data...)
			case handshake.EventError:
				t.Fatal(ev.Err)
			}
		}
		sent = append(sent, e.Output()...)
		e.Wrote(len(e.Output()))
	}
	take()
	for _, rec := range tr.records {
		if rec.sender == e.Role() {
			continue
		}
		copy(e.Reserve(len(rec.octets)), rec.octets)
		e.Commit(len(rec.octets))
		take()
		write()
		take()
	}
	return sent, received, ticket
}

// TestRFC8448 plays the examples of RFC 8448 in both roles; every octet that
// is sent and every secret must be the trace's.
func TestRFC8448(t *testing.T) {
	var data []byte
	for i := range byte(50) {
		data = append(data, i)
	}
	for _, section := range []string{"3", "5", "6", "7"} {
		for _, role := range []attls.Role{attls.RoleClient, attls.RoleServer} {
			t.Run("section "+section+", "+role.String(), func(t *testing.T) {
				tr := readTrace(t, section)
				c := tr.configuration(role, section)
				tap := &traceTap{t: t, tr: tr, role: role}
				c.Tap = tap
				make := handshake.NewClient
				if role == attls.RoleServer {
					make = handshake.NewServer
				}
				e, err := make(c)
				if err != nil {
					t.Fatal(err)
				}
				var toSend []byte
				if section == "3" {
					toSend = data
				}
				sent, received, ticket := tr.play(t, e, toSend)
				if want := tr.sent(role); !bytes.Equal(sent, want) {
					t.Errorf("sent %x\nwant %x", sent, want)
				}
				if !bytes.Equal(received, toSend) {
					t.Errorf("received %x", received)
				}
				if role == attls.RoleClient && !bytes.Equal(ticket, tr.ticket) {
					t.Errorf("ticket %x, want %x", ticket, tr.ticket)
				}
				if tap.n != len(tr.secrets) {
					t.Errorf("%d secrets were derived, the trace has %d", tap.n, len(tr.secrets))
				}
				if err := c.Random.(*handshake.RecordedRandom).Err(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
