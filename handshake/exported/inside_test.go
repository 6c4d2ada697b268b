package exported_test

import (
	"bytes"
	"errors"
	"testing"

	"attls"
	"attls/extensions/profile"
	"attls/handshake/exported"
)

// insideBoth lets a client attest in the object of Cocos as well.
const insideBoth = `
profile: inside-both
base: deployed-cocos
extensions:
  cmw_attestation:
    certificate_request: {body: Empty}
    certificate: {offered_by: {client: [certificate_request]}}
bind:
  slots:
    client_evidence:
      attester: client
      phase: authenticator
      models: evidence
      offer: certificate_request.cmw_attestation
      carried_in: certificate.cmw_attestation.cmw
      inside: Payload.evidence
`

// TestInside: payloads inside an object, of each end and of both, and data behind them; an
// object that is another on its way is refused, whatever the Evidence says.
func TestInside(t *testing.T) {
	p, err := profile.Parse("both.yaml", []byte(insideBoth), profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for who, attest := range map[string][2]bool{"client": {client: true}, "server": {server: true}, "both": {true, true}} {
		t.Run(who, func(t *testing.T) {
			objects := [2]int{}
			e := connect(t, p, attest, func(role attls.Role, c *exported.Config) {
				c.Frame = func(name string, octets []byte) []byte {
					if name == "Payload" && bytes.Contains(octets, []byte(`"exporter_label":"Attestation"`)) {
						objects[role]++
					}
					return octets
				}
			})
			check(t, e.both(func(role attls.Role, c *exported.Conn) error { return say(c, role) }))
			for _, role := range attls.Roles() {
				if (objects[role] == 1) != attest[role] {
					t.Errorf("the %v has sent %d objects", role, objects[role])
				}
			}
		})
	}
	for _, attester := range attls.Roles() {
		for _, x := range []struct {
			name, old, new string
			want           attls.Failure
		}{
			{"another label", `"exporter_label":"Attestation"`, `"exporter_label":"Another"`, attls.FailIllegalParameter},
			{"another binding", `"binding":"`, `"binding":"AAAA`, attls.FailBinderMismatch},
			{"another hash", `"aik_pub_hash":"`, `"aik_pub_hash":"AAAA`, attls.FailBinderMismatch},
			{"no Evidence", `"evidence":`, `"results":`, attls.FailDecode},
			{"no object", `{`, `[`, attls.FailDecode},
			{"something behind it", `"version":1}`, `"version":1}{}`, attls.FailDecode},
		} {
			t.Run(attester.String()+", "+x.name, func(t *testing.T) {
				attest := [2]bool{}
				attest[attester] = true
				e := connect(t, p, attest, func(role attls.Role, c *exported.Config) {
					c.Frame = func(_ string, octets []byte) []byte {
						changed := bytes.Replace(octets, []byte(x.old), []byte(x.new), 1)
						if bytes.Equal(changed, octets) {
							t.Errorf("%s is not changed", octets)
						}
						return changed
					}
				})
				errs := e.both(func(role attls.Role, c *exported.Conn) error { return say(c, role) })
				var named *attls.Error
				if !errors.As(errs[attester.Peer()], &named) || named.Failure != x.want || named.Message != attls.KindCertificate {
					t.Errorf("%v; want %s", errs[attester.Peer()], x.want)
				}
				if n, err := e.conns[attester.Peer()].Read(make([]byte, 100)); n > 0 || err == nil {
					t.Errorf("%d octets were read, %v", n, err)
				}
			})
		}
	}
}
