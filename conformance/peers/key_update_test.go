package peers

import (
	"strings"
	"testing"

	"attls"
	"attls/conformance/scenario"
)

// unlimited is a stack that is asked to do what it cannot.
type unlimited struct{ CryptoTLS }

func (unlimited) Limit(*scenario.Scenario, attls.Role) string { return "" }

// TestKeyUpdate: either end begins, and the other one answers; an end that does not begin, or
// does not answer, is found out.
func TestKeyUpdate(t *testing.T) {
	own, other := InProcess{}.Name(), CryptoTLS{}.Name()
	for _, w := range []struct {
		client, server, begins string
		status, says           string
	}{
		{own, own, "client", Passed, ""},
		{own, own, "server", Passed, ""},
		{own, other, "client", Passed, ""},
		{other, own, "server", Passed, ""},
		{own, other, "server", Limit, "begin a KeyUpdate"},
		{own, "unlimited", "server", Failed, "no KeyUpdate before it"},
		{"unlimited", own, "client", Failed, "no KeyUpdate before it"},
	} {
		c := Case{w.client, w.server, scenario.Scenario{Attester: scenario.AttestNone, Group: "x25519", KeyUpdate: w.begins}}
		r := Run(t.Context(), c, map[string]Peer{own: InProcess{}, other: CryptoTLS{}, "unlimited": unlimited{}}, Settings{})
		if r.Status != w.status || !strings.Contains(r.Reason, w.says) {
			t.Errorf("%s: %s: %s", c.String(), r.Status, r.Reason)
		}
	}
	p := builtin(t, "openssl")
	if reason := p.Missing(); reason != "" {
		t.Skip(reason)
	}
	for _, pair := range with(p.Name()) {
		for _, role := range roles {
			c := between(pair, scenario.Scenario{Attester: scenario.AttestNone, Group: "x25519", KeyUpdate: role.String()})
			r := Run(t.Context(), c, map[string]Peer{own: InProcess{}, p.Name(): p}, Settings{})
			if r.Status != Passed && !(r.Status == Limit && c.Server == p.Name() && role == attls.RoleServer) {
				t.Errorf("%s: %s: %s", c.String(), r.Status, r.Reason)
			}
		}
	}
}
