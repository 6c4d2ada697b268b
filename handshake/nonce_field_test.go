package handshake_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"
	"time"

	"attls"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/negotiation"
)

// fieldProfile is a profile whose nonce for the server is in a field that an RFC defines.
func fieldProfile(t *testing.T, nonce string) *profile.Profile {
	t.Helper()
	p, err := profile.Parse("field.yaml", fmt.Appendf(nil, `profile: field
base: early-attestation-06
bind:
  slots:
    server_attester: {nonce: {%s}}
    client_attester: {nonce: {in: certificate_request.certificate_authorities, as: "CN={nonce}", codec: hex, octets: 32}}
binder:
  define:
    base: null
    key_bound: 'expand_label(zero, "lab", hash(concat(nonce(role), spki(role))), Hash.length)'
  post_handshake: null
switches: {pha_base: null}
`, nonce), profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// fieldPlaces are the fields of ClientHello in which a nonce can be; spelt is how it is there.
var fieldPlaces = []struct {
	name, nonce string
	in          func(ch *message.ClientHello) []byte
	spelt       func([]byte) []byte
}{
	{"server_name", `in: client_hello.server_name, as: "{nonce}.nonce", codec: hex, octets: 16`, extensionOf(attls.ExtServerName),
		func(b []byte) []byte { return append([]byte(hex.EncodeToString(b)), ".nonce"...) }},
	{"server_name without more", `in: client_hello.server_name, codec: base64url, octets: 8..32`, extensionOf(attls.ExtServerName),
		func(b []byte) []byte { return []byte(base64.RawURLEncoding.EncodeToString(b)) }},
	{"ALPN", `in: client_hello.application_layer_protocol_negotiation, as: "v1:{nonce}", codec: base64, octets: 32`, extensionOf(attls.ExtALPN),
		func(b []byte) []byte { return append([]byte("v1:"), base64.StdEncoding.EncodeToString(b)...) }},
	{"ALPN, the octets", `in: client_hello.application_layer_protocol_negotiation, as: "n={nonce}", codec: raw, octets: 250`, extensionOf(attls.ExtALPN),
		func(b []byte) []byte { return append([]byte("n="), b...) }},
	{"certificate_authorities", `in: client_hello.certificate_authorities, as: "O=x,2.5.4.3={nonce}", codec: hex, octets: 32`, extensionOf(attls.ExtCertificateAuthorities),
		func(b []byte) []byte { return []byte(hex.EncodeToString(b)) }},
	{"random", "in: client_hello.random, octets: 32", func(ch *message.ClientHello) []byte { return ch.Random }, slices.Clone[[]byte]},
	{"a part of random", "in: client_hello.random, octets: 24, offset: 8", func(ch *message.ClientHello) []byte { return ch.Random[8:] }, slices.Clone[[]byte]},
}

func extensionOf(t attls.ExtensionType) func(*message.ClientHello) []byte {
	return func(ch *message.ClientHello) []byte {
		x, _ := ch.Extensions.Find(t)
		return x.Body
	}
}

// attestingServer lets a meeting's server attest, its Evidence being the challenge; the client has
// another nonce in each connection.
func (m *meeting) attestingServer(challenges *[][]byte) {
	drawn := byte(0)
	m.answer[attls.RoleServer] = func(w *handshake.Wait, a handshake.Answer) handshake.Answer {
		if w.Kind == handshake.WaitEvidence {
			*challenges = append(*challenges, w.Evidence.Challenge)
			a.Evidence = &negotiation.Evidence{CMW: w.Evidence.Challenge}
		}
		return a
	}
	m.answer[attls.RoleClient] = func(w *handshake.Wait, a handshake.Answer) handshake.Answer {
		switch w.Kind {
		case handshake.WaitNonce:
			drawn++
			a.Nonce = bytes.Repeat([]byte{0xf0 + drawn}, w.Nonce.Default)
			return a
		case handshake.WaitAppraisal:
		default:
			return a
		}
		a.Verdict = &negotiation.Verdict{Failure: attls.FailBinderMismatch}
		if bytes.Equal(w.Appraisal.CMW, w.Appraisal.Challenge) {
			a.Verdict = &negotiation.Verdict{Status: negotiation.StatusAffirming, ValidUntil: m.now.Add(time.Hour)}
		}
		a.Time = m.now
		return a
	}
}

// TestNonceInClientHello: a nonce in a field of an RFC reaches the server, also after a
// HelloRetryRequest; what the field is for stays as it was: the certificate is verified for the
// configured name, sessions belong to that name and are resumed with another nonce, the
// application's protocol is selected, and authorities are those of the configuration.
func TestNonceInClientHello(t *testing.T) {
	scheme := negotiation.Scheme{Model: profile.ModelEvidence, Credential: profile.KindX509, Format: profile.Format{ContentFormat: 263}}
	authority := []byte{0x30, 0x0d, 0x31, 0x0b, 0x30, 0x09, 6, 3, 0x55, 4, 6, 0x13, 2, 'D', 'E'}
	for _, place := range fieldPlaces {
		for _, retry := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, HelloRetryRequest: %v", place.name, retry), func(t *testing.T) {
				p := fieldProfile(t, place.nonce)
				slot := slices.IndexFunc(p.Slots, func(s profile.Slot) bool { return s.Attester == attls.RoleServer })
				m := newMeeting()
				var challenges [][]byte
				m.attestingServer(&challenges)
				var nonces [][]byte
				for i := range 3 {
					seen := &flow{}
					met, resumed := m.mustMeet(t, func(c, s *handshake.Config) {
						c.Profile, s.Profile = p, p
						c.ServerName, c.ALPN, s.ALPN = "host.example", []string{"other", "app"}, []string{"app"}
						c.CertificateAuthorities = [][]byte{authority}
						c.Policy, s.Policy = negotiation.Policy{Accept: []negotiation.Scheme{scheme}, Demand: true}, negotiation.Policy{Produce: []negotiation.Scheme{scheme}}
						s.Retry.Always, c.Tap = retry, seen
					})
					client, server := met.Engine(attls.RoleClient).State(), met.Engine(attls.RoleServer).State()
					if resumed != (i > 0) {
						t.Fatalf("connection %d: resumed: %v", i, resumed)
					}
					if client.ServerName != "host.example" || client.ALPN != "app" || server.ALPN != "app" {
						t.Errorf("names: %q, %q, %q", client.ServerName, client.ALPN, server.ALPN)
					}
					if want := map[bool]string{true: "", false: "host.example"}[p.Slots[slot].Nonce == profile.Place{Message: attls.KindClientHello, Extension: attls.ExtServerName}]; server.ServerName != want {
						t.Errorf("the server is asked for %q, want %q", server.ServerName, want)
					}
					for k, raw := range seen.of(attls.KindClientHello) {
						var ch message.ClientHello
						if err := ch.Unmarshal(raw.Body()); err != nil {
							t.Fatal(err)
						}
						f := p.NewFields()
						for _, x := range ch.Extensions {
							if p.Reads(attls.KindClientHello, x.Type) {
								if err := p.Decode(attls.KindClientHello, attls.RoleClient, x.Type, x.Body, f); err != nil {
									t.Fatal(err)
								}
							}
						}
						p.DecodeRandom(ch.Random, f)
						nonce := f.Nonces[slot]
						if nonce == nil || !bytes.Contains(place.in(&ch), place.spelt(nonce)) {
							t.Fatalf("no nonce in %x", place.in(&ch))
						}
						if k == 0 {
							nonces = append(nonces, nonce)
						} else if !bytes.Equal(nonces[i], nonce) {
							t.Error("the second ClientHello has another nonce")
						}
						if x, _ := ch.Extensions.Find(attls.ExtCertificateAuthorities); !bytes.Contains(x.Body, authority) {
							t.Errorf("authorities: %x", x.Body)
						}
					}
					if nonces[i] == nil || i > 0 && bytes.Equal(nonces[i], nonces[i-1]) {
						t.Errorf("connection %d: nonce %x", i, nonces[i])
					}
				}
				if len(challenges) != 1 {
					t.Errorf("%d Evidences", len(challenges))
				}
			})
		}
	}
}

// TestNonceAsProtocol: the ALPN name that carries a nonce is nobody's protocol. A client that has no
// other asks for none; where the profile says so a server without another one selects it.
func TestNonceAsProtocol(t *testing.T) {
	scheme := negotiation.Scheme{Model: profile.ModelEvidence, Credential: profile.KindX509, Format: profile.Format{ContentFormat: 263}}
	for _, test := range []struct {
		name           string
		selected       string
		client, server []string
		plain          bool // the server does not know the profile
		want           string
		failure        attls.Failure
		answered       bool
	}{
		{name: "no protocol at the client", server: []string{"app"}},
		{name: "no protocol at all"},
		{name: "a protocol in common", client: []string{"app"}, server: []string{"app"}, want: "app", answered: true},
		{name: "none in common", client: []string{"other"}, server: []string{"app"}, failure: attls.FailALPN},
		{name: "selected", selected: ", selected: if_no_other", server: []string{"app"}, answered: true},
		{name: "selected, none in common", selected: ", selected: if_no_other", client: []string{"other"}, server: []string{"app"}, answered: true},
		{name: "another is selected", selected: ", selected: if_no_other", client: []string{"app"}, server: []string{"app"}, want: "app", answered: true},
		{name: "a server without the profile", plain: true, client: []string{"app"}, server: []string{"app"}, want: "app", answered: true},
		{name: "a server without the profile, none in common", plain: true, server: []string{"app"}, failure: attls.FailALPN},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := fieldProfile(t, `in: client_hello.application_layer_protocol_negotiation, as: "v1:{nonce}", codec: hex, octets: 32`+test.selected)
			m := newMeeting()
			var challenges [][]byte
			m.attestingServer(&challenges)
			w := &watch{}
			met, err := m.meet(t, func(c, s *handshake.Config) {
				c.Profile, c.ALPN, s.ALPN, s.Tap = p, test.client, test.server, w
				c.Policy = negotiation.Policy{Accept: []negotiation.Scheme{scheme}}
				if !test.plain {
					s.Profile, s.Policy = p, negotiation.Policy{Produce: []negotiation.Scheme{scheme}}
				}
			})
			if test.failure != "" {
				if e := met.Engine(attls.RoleServer).Err(); e == nil || e.Failure != test.failure {
					t.Errorf("%v, want %s", e, test.failure)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range attls.Roles() {
				if got := met.Engine(r).State().ALPN; got != test.want {
					t.Errorf("the %v has the protocol %q", r, got)
				}
			}
			var ee message.EncryptedExtensions
			raw := w.sent(t, attls.KindEncryptedExtensions)
			if err := ee.Unmarshal(raw.Body()); err != nil {
				t.Fatal(err)
			}
			x, answered := ee.Extensions.Find(attls.ExtALPN)
			if answered != test.answered {
				t.Errorf("ALPN is answered: %v", answered)
			}
			if test.selected != "" && test.want == "" {
				if name, err := extensions.ParseALPNSelected(x.Body); err != nil || !bytes.HasPrefix(name, []byte("v1:")) {
					t.Errorf("%q, %v", name, err)
				}
			}
		})
	}
}
