package handshake_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"attls"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/negotiation"
)

// choiceIn is a profile whose choices are in a message of the server, and with them a nonce for the
// client, if that is asked for.
func choiceIn(t *testing.T, kind string, nonce bool) *profile.Profile {
	t.Helper()
	text := `profile: choice
base: early-attestation-06
types: |
  struct {
      select (Handshake.msg_type) {
          case client_hello:
              AttestationScheme server_attester_schemes<0..2^16-1>;
              AttestationScheme client_attester_schemes<0..2^16-1>;
          case KIND:
              NONCE
              AttestationScheme chosen_server_scheme<0..2^8-1>;
              AttestationScheme chosen_client_scheme<0..2^8-1>;
          case certificate:
              opaque cmw_payload<1..2^24-1>;
      };
  } remoteAttestation;
extensions:
  remoteAttestation:
    encrypted_extensions: null
    certificate_request: null
    KIND: {offered_by: [client_hello]}
    certificate: {offered_by: {server: [client_hello], client: [KIND]}}
bind:
  slots:
    server_attester: {choice: KIND.remoteAttestation.chosen_server_scheme}
    client_attester: {choice: KIND.remoteAttestation.chosen_client_schemeBOUND}
after: {post_handshake: {client_authentication: false, choice: null}}
binder:
  post_handshake: null
  define: {key_bound: 'expand_label(base, "lab", hash(per_role(concat(FRESH, spki(role)), spki(role))), Hash.length)'}
switches: {pha_base: null, pha_choice: null}
`
	with := []string{"NONCE", "", "BOUND", "", "FRESH", `""`, "KIND", kind}
	if nonce {
		with = []string{"NONCE", "opaque nonce<0..64>;", "BOUND", ", nonce: KIND.remoteAttestation.nonce", "FRESH", "nonce(role)", "KIND", kind}
	}
	text = strings.NewReplacer(with...).Replace(text)
	p, err := profile.Parse("choice.yaml", []byte(strings.ReplaceAll(text, "KIND", kind)), profile.Options{})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return p
}

// TestChoiceInHello: a choice in ServerHello or HelloRetryRequest, which then is sent, holds for the
// handshake, whatever else asks for a HelloRetryRequest. The second ClientHello repeats the offer. A
// session is resumed without a choice, and where the key is refused the server chooses again.
func TestChoiceInHello(t *testing.T) {
	scheme := negotiation.Scheme{Model: profile.ModelEvidence, Credential: profile.KindX509, Format: profile.Format{ContentFormat: 263}}
	for _, kind := range []attls.MessageKind{attls.KindServerHello, attls.KindHelloRetryRequest} {
		for name, change := range map[string]func(c, s *handshake.Config){
			"one group":    nil,
			"always":       func(_, s *handshake.Config) { s.Retry.Always = true },
			"with cookie":  func(_, s *handshake.Config) { s.Retry = handshake.Retry{Always: true, Cookie: true} },
			"no share":     func(_, s *handshake.Config) { s.Groups = []attls.NamedGroup{attls.GroupSecp256r1} },
			"not resumed":  func(_, s *handshake.Config) { s.PSK, s.Tickets = false, 0 },
			"a key alone":  func(c, s *handshake.Config) { c.PSKModes, s.PSKModes = eitherMode, eitherMode },
			"another hash": func(c, s *handshake.Config) { s.CipherSuites = []attls.CipherSuite{attls.TLS_AES_256_GCM_SHA384} },
		} {
			for _, nonce := range []bool{false, true} {
				t.Run(fmt.Sprintf("%v, %s, nonce: %v", kind, name, nonce), func(t *testing.T) {
					p := choiceIn(t, kind.Name(), nonce)
					m := newMeeting()
					var challenges [][]byte
					m.attestingServer(&challenges)
					for i := range 3 {
						seen := &flow{}
						met, resumed := m.mustMeet(t, func(c, s *handshake.Config) {
							c.Profile, s.Profile, c.Tap, c.CanAuthenticate = p, p, seen, true
							c.Policy, s.Policy = negotiation.Policy{Accept: []negotiation.Scheme{scheme}, Demand: true}, negotiation.Policy{Produce: []negotiation.Scheme{scheme}}
							if change != nil && i > 0 {
								change(c, s)
							}
						})
						if name == "one group" && resumed != (i > 0) || resumed && len(challenges) > i {
							t.Errorf("connection %d: resumed: %v, %d Evidences", i, resumed, len(challenges))
						}
						if !resumed && len(met.Engine(attls.RoleClient).State().Attestation) == 0 {
							t.Errorf("connection %d: nobody attested", i)
						}
						if kind == attls.KindHelloRetryRequest && !resumed && len(seen.of(kind)) != 1 {
							t.Errorf("connection %d: %d HelloRetryRequests", i, len(seen.of(kind)))
						}
						for k, raw := range seen.of(kind) {
							var v message.ServerHello
							if err := v.Unmarshal(raw.Body()); err != nil {
								t.Fatal(err)
							}
							if _, answered := v.Extensions.Find(p.Extensions[0].Type); answered == resumed {
								t.Errorf("connection %d, %v %d: answered: %v, resumed: %v", i, kind, k, answered, resumed)
							}
						}
						hellos := seen.of(attls.KindClientHello)
						if len(hellos) == 2 && !bytes.Equal(offerIn(t, p, hellos[0]), offerIn(t, p, hellos[1])) {
							t.Error("the second ClientHello has another offer")
						}
					}
				})
			}
		}
	}
}

// TestResumedAfterRetry: what a server chose before a HelloRetryRequest that had nothing to say of it is
// forgotten when the second ClientHello resumes a session, in which nobody attests.
func TestResumedAfterRetry(t *testing.T) {
	p, err := profile.Load("../extensions/profile/testdata/changed/choices-in-hellos.yaml", profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	scheme := negotiation.Scheme{Model: profile.ModelEvidence, Credential: profile.KindX509, Format: profile.Format{ContentFormat: 263}}
	m := newMeeting()
	var challenges [][]byte
	m.attestingServer(&challenges)
	m.answer[attls.RoleClient], m.answer[attls.RoleServer] = m.answer[attls.RoleServer], m.answer[attls.RoleClient]
	for i := range 2 {
		met, resumed := m.mustMeet(t, func(c, s *handshake.Config) {
			c.Profile, s.Profile, c.CanAuthenticate, s.Retry.Always = p, p, true, true
			c.Policy, s.Policy = negotiation.Policy{Produce: []negotiation.Scheme{scheme}}, negotiation.Policy{Accept: []negotiation.Scheme{scheme}, Demand: true}
		})
		if resumed != (i > 0) || len(met.Engine(attls.RoleServer).State().Attestation) != 1-i {
			t.Errorf("connection %d: resumed: %v, attested: %v", i, resumed, met.Engine(attls.RoleServer).State().Attestation)
		}
	}
}

// eitherMode are the key exchange modes with which a key may do without a share.
var eitherMode = []attls.PSKKeyExchangeMode{attls.PSKWithDHE, attls.PSKOnly}

// offerIn is the profile's extension of a ClientHello.
func offerIn(t *testing.T, p *profile.Profile, raw message.Raw) []byte {
	t.Helper()
	var ch message.ClientHello
	if err := ch.Unmarshal(raw.Body()); err != nil {
		t.Fatal(err)
	}
	x, _ := ch.Extensions.Find(p.Extensions[0].Type)
	return x.Body
}

// TestRetryCannotForget: a server that keeps no state between the two ClientHellos would forget what
// HelloRetryRequest has answered.
func TestRetryCannotForget(t *testing.T) {
	p := choiceIn(t, "hello_retry_request", false)
	p.Binder.Program = nil // which is refused as well
	c := &handshake.Config{Profile: p, Retry: handshake.Retry{Secrets: [][32]byte{{1}}}}
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "answers in HelloRetryRequest, which a cookie does not carry") {
		t.Error(err)
	}
}
