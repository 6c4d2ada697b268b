package handshake_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/negotiation"
	"attls/record"
)

// TestConfigFields: a value that has no meaning, contradicts another one or does
// not fit on the wire is refused before anything is sent, with the field's name.
func TestConfigFields(t *testing.T) {
	for field, list := range map[string][]handshake.Config{
		"MaxCertificates":            {{MaxCertificates: -1}},
		"PadTo":                      {{PadTo: -1}, {PadTo: math.MaxInt}},
		"AttesterSize":               {{AttesterSize: -1}},
		"AppraiserSize":              {{AppraiserSize: math.MinInt}},
		"Limits.MaxHandshakeMessage": {{Limits: record.Settings{MaxHandshakeMessage: -1}}},
		"Limits.MaxRecord":           {{Limits: record.Settings{MaxRecord: -1}}},
		"Limits.MaxEmptyRecords":     {{Limits: record.Settings{MaxEmptyRecords: -1}}},
		"Limits.MaxChangeCipherSpec": {{Limits: record.Settings{MaxChangeCipherSpec: -1}}},
		"Limits.MaxWarningAlerts":    {{Limits: record.Settings{MaxWarningAlerts: -1}}},
		"MaxFragment":                {{MaxFragment: -1}, {MaxFragment: math.MaxInt}},
		"MessagesPerRecord":          {{MessagesPerRecord: -1}},
		"Tickets":                    {{PSK: true, Tickets: -1}, {PSK: true, Tickets: math.MaxInt}},
		"RecordSizeLimit":            {{RecordSizeLimit: 63}, {RecordSizeLimit: 16386}, {RecordSizeLimit: math.MaxUint16}},
		"ClientAuthentication":       {{ClientAuthentication: 3}},
		"Retry.CookieSize":           {{Retry: handshake.Retry{CookieSize: math.MaxUint16}}, {Retry: handshake.Retry{CookieSize: 8, Secrets: [][32]byte{{1}}}}},
		"SignatureSchemes":           {{SignatureSchemes: []attls.SignatureScheme{}}, {SignatureSchemes: []attls.SignatureScheme{attls.ED25519, attls.ED25519}}},
		"SignatureSchemesCert":       {{SignatureSchemesCert: []attls.SignatureScheme{}}, {SignatureSchemesCert: []attls.SignatureScheme{attls.ED25519, attls.ED25519}}},
		"ALPN":                       {{ALPN: []string{""}}, {ALPN: []string{"a", "a"}}, {ALPN: manyNames(300)}},
		"CertificateAuthorities":     {{CertificateAuthorities: [][]byte{{}}}, {CertificateAuthorities: [][]byte{make([]byte, 1<<16)}}},
		"ServerCertificateTypes":     {{ServerCertificateTypes: []attls.CertificateType{}}, {ServerCertificateTypes: []attls.CertificateType{2, 2}}, {ServerCertificateTypes: []attls.CertificateType{77}}},
		"ClientCertificateTypes":     {{ClientCertificateTypes: []attls.CertificateType{}}, {ClientCertificateTypes: []attls.CertificateType{0, 0}}, {ClientCertificateTypes: []attls.CertificateType{1}}},
		"PSKModes":                   {{PSK: true, PSKModes: []attls.PSKKeyExchangeMode{}}, {PSKModes: []attls.PSKKeyExchangeMode{1, 1}}, {PSKModes: []attls.PSKKeyExchangeMode{7}}},
		"ExtensionOrder":             {{ExtensionOrder: []attls.ExtensionType{10, 10}}},
		"ExtraExtensions": {{ExtraExtensions: []profile.RawExtension{{Type: 0xfe01}, {Type: 0xfe01}}},
			{ExtraExtensions: []profile.RawExtension{{Type: 0xfe01, Body: make([]byte, 1<<16)}}}},
		"Random":                 {{Random: (*handshake.SystemRandom)(nil)}},
		"KeyLog":                 {{KeyLog: (*bytes.Buffer)(nil)}},
		"CertificateCompression": {{CertificateCompression: []handshake.CertificateCompressor{nil}}},
	} {
		for i := range list {
			err := list[i].Check()
			var e *attls.Error
			if !errors.As(err, &e) || e.Failure != attls.FailConfiguration || e.Field != "Config."+field {
				t.Errorf("%s, case %d: %v", field, i, err)
			}
			if _, err := handshake.NewServer(&list[i]); err == nil {
				t.Errorf("%s, case %d: a server is made", field, i)
			}
		}
	}
	if _, err := handshake.NewClient(nil); err == nil {
		t.Error("a client is made without a Config")
	}
	for sentence, c := range map[string]*handshake.Config{
		"the greatest numbers":       {PadTo: record.MaxPlaintext, RecordSizeLimit: 16385, MaxFragment: record.MaxPlaintext, PSK: true, Tickets: 64, MaxEarlyData: math.MaxUint32},
		"the smallest numbers":       {RecordSizeLimit: 64, MaxFragment: 1, MaxCertificates: 1, Retry: handshake.Retry{CookieSize: 1}},
		"raw public keys and X.509":  {ServerCertificateTypes: []attls.CertificateType{2, 0}, ClientCertificateTypes: []attls.CertificateType{0, 2}},
		"a name of 255 octets":       {ALPN: manyNames(1)},
		"modes that nobody asks for": {PSKModes: []attls.PSKKeyExchangeMode{0, 1}},
	} {
		if err := c.Check(); err != nil {
			t.Errorf("%s: %v", sentence, err)
		}
	}
}

// manyNames are protocol names of 255 octets.
func manyNames(n int) (list []string) {
	for i := range n {
		list = append(list, strings.Repeat("a", 253)+string(rune('a'+i/26))+string(rune('a'+i%26)))
	}
	return list
}

type nothing struct{ attesting }

// TestAnswererFields is TestConfigFields for what answers the waits.
func TestAnswererFields(t *testing.T) {
	key := func(change func(*handshake.Session)) []*handshake.Session {
		s := &handshake.Session{External: true, Identity: []byte("key"), Secret: []byte("secret"), Suite: attls.TLS_AES_128_GCM_SHA256}
		change(s)
		return []*handshake.Session{s}
	}
	credential := func(change func(*handshake.Credential)) []*handshake.Credential {
		c := *serverCredential
		change(&c)
		return []*handshake.Credential{&c}
	}
	var none *nothing
	cases := map[string][]*handshake.Answerer{
		"Answerer.Credentials": {{Credentials: []*handshake.Credential{nil}}, {Credentials: credential(func(c *handshake.Credential) { c.Chain = nil })},
			{Credentials: credential(func(c *handshake.Credential) { c.Signer = nil })}},
		"Answerer.Trust":          {{Trust: handshake.Trust{AcceptAttested: true, InsecureSkipVerify: true}}},
		"Answerer.Timeouts":       {{Timeouts: map[handshake.WaitKind]time.Duration{handshake.WaitEvidence: -1}}},
		"Answerer.Attester":       {{Attester: negotiation.Attester(none)}},
		"Answerer.Appraiser":      {{Appraiser: negotiation.Appraiser(none)}},
		"ServerSessions.Lifetime": {{ServerSessions: &handshake.ServerSessions{Lifetime: -1}}},
		"ServerSessions.MaxSkew":  {{ServerSessions: &handshake.ServerSessions{MaxSkew: -1}}},
		"TicketKeys.Rotate":       {{ServerSessions: &handshake.ServerSessions{Keys: handshake.TicketKeys{Rotate: -1}}}, {ServerSessions: &handshake.ServerSessions{Keys: handshake.TicketKeys{Rotate: 1}}}},
		"ClientSessions.Max":      {{ClientSessions: &handshake.ClientSessions{Max: -1}}},
		"ClientSessions.Offer":    {{ClientSessions: &handshake.ClientSessions{Offer: -1}}},
		"ServerSessions.External": nil,
		"ClientSessions.External": nil,
		"Answerer.Trust.Anchors":  {{Trust: handshake.Trust{Anchors: append(handshake.Trust{}.Anchors, nil)}}},
	}
	for _, keys := range [][]*handshake.Session{{nil}, key(func(s *handshake.Session) { s.External = false }), key(func(s *handshake.Session) { s.Identity = nil }),
		key(func(s *handshake.Session) { s.Secret = nil }), key(func(s *handshake.Session) { s.Identity = make([]byte, 1<<16) })} {
		cases["ServerSessions.External"] = append(cases["ServerSessions.External"], &handshake.Answerer{ServerSessions: &handshake.ServerSessions{External: keys}})
		cases["ClientSessions.External"] = append(cases["ClientSessions.External"], &handshake.Answerer{ClientSessions: &handshake.ClientSessions{External: keys}})
	}
	for field, list := range cases {
		for i, a := range list {
			var e *attls.Error
			if err := a.Check(); !errors.As(err, &e) || e.Failure != attls.FailConfiguration || e.Field != field {
				t.Errorf("%s, case %d: %v", field, i, err)
			}
			nc, _ := loopback(t)
			if err := handshake.Client(nc, &handshake.Config{ServerName: "server"}, a).Handshake(); !errors.As(err, &e) || e.Field != field {
				t.Errorf("%s, case %d: the connection says %v", field, i, err)
			}
		}
	}
	nc, _ := loopback(t)
	if err := handshake.Server(nc, nil, nil).Handshake(); err == nil {
		t.Error("a connection without a Config")
	}
	if _, err := handshake.NewCredential(serverCredential.Chain, nil); err == nil {
		t.Error("a credential without a private key")
	}
	if _, err := handshake.NewRawCredential(nil); err == nil {
		t.Error("a raw public key without a private key")
	}
	clients := &handshake.ClientSessions{Max: -1}
	clients.Put(&handshake.Session{Lifetime: 1})
}

// TestKeysOfNobody: the holder of sessions gives a key that is none.
func TestKeysOfNobody(t *testing.T) {
	for sentence, psk := range map[string]handshake.PSK{
		"without a session": {},
		"without a secret":  {Session: &handshake.Session{Identity: []byte("key"), Suite: attls.TLS_AES_128_GCM_SHA256, External: true}},
	} {
		for _, role := range []attls.Role{attls.RoleClient, attls.RoleServer} {
			m := newMeeting()
			m.mustMeet(t, nil)
			m.answer[role] = func(w *handshake.Wait, a handshake.Answer) handshake.Answer {
				if w.Kind == handshake.WaitPSK {
					a.PSKs = []handshake.PSK{psk}
				}
				return a
			}
			met, _ := m.meet(t, nil)
			if err := met.Engine(role).Err(); err == nil || err.Failure != attls.FailConfiguration {
				t.Errorf("%s, %v: %v", sentence, role, err)
			}
		}
	}
}
