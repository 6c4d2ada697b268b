package lab

import (
	"context"
	"strings"
	"testing"

	"attls/extensions/profile"
)

// TestFull has each reading, each lax relying party and each stack once, and cells with
// keys of their own that are never stored.
func TestFull(t *testing.T) {
	p := profileOf(t, "early-attestation-07")
	o := Options{Scripts: []*Script{loaded(t, "diversion")}, Profiles: []*profile.Profile{p}}
	passes, err := o.Full(Stacks{playedStack{limit: "it plays"}, nil})
	if err != nil {
		t.Fatal(err)
	}
	readings := 0
	for _, x := range p.Readings {
		readings += len(x.Options) - 1
	}
	if len(passes) != 1+1+len(LaxParties)+1 || len(passes[1].Profiles) != readings || readings == 0 {
		t.Fatalf("%d passes, %d readings; wanted %d", len(passes), len(passes[1].Profiles), readings)
	}
	keys := map[string]bool{}
	for i, pass := range passes {
		cells, err := Run(context.Background(), pass)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cells {
			if keys[c.Key()] {
				t.Errorf("%s appears twice", c.Key())
			}
			keys[c.Key()] = true
			if c.special() != (i > 0) || c.Error != "" {
				t.Errorf("%s: special %v, %s", c.Key(), c.special(), c.Error)
			}
		}
	}
	for _, end := range []string{"/client=played", "/hrr=b", "/V11"} {
		found := false
		for k := range keys {
			found = found || strings.HasSuffix(k, end)
		}
		if !found {
			t.Errorf("no key ends with %s", end)
		}
	}
}

// TestUnknownSecret has a binder over a secret that the attacker does not know.
func TestUnknownSecret(t *testing.T) {
	p, err := profile.Load("early-attestation-01", profile.Options{Readings: map[string]string{"schedule": "figure"}})
	if err != nil {
		t.Fatal(err)
	}
	cells, err := Run(context.Background(), Options{Scripts: []*Script{loaded(t, "relay-verbatim-own-key")},
		Profiles: []*profile.Profile{p}})
	if err != nil {
		t.Fatal(err)
	}
	said := 0
	for _, c := range cells {
		if c.Error != "" {
			t.Errorf("%s: %s", c.Key(), c.Error)
		}
		if strings.Contains(c.Inapplicable, "shared secret of the key exchange") {
			said++
		}
	}
	if said != 1 {
		t.Errorf("%d cells say that the attacker does not know a secret; wanted the one with Evidence", said)
	}
}

// TestUndefinedBinder has a reading under which honest ends cannot connect: no attack is
// run then, and the reason is the profile's own.
func TestUndefinedBinder(t *testing.T) {
	p, err := profile.Load("early-attestation-01", profile.Options{Readings: map[string]string{"public_key": "certificate"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"diversion", "rehost"} {
		cells, err := Run(context.Background(), Options{Scripts: []*Script{loaded(t, name)}, Profiles: []*profile.Profile{p}})
		if err != nil {
			t.Fatal(err)
		}
		said := 0
		for _, c := range cells {
			if c.Error != "" {
				t.Errorf("%s: %s", c.Key(), c.Error)
			}
			if strings.Contains(c.Inapplicable, "acknowledges (context_bound)") && c.Result == nil {
				said++
			}
		}
		if said == 0 {
			t.Errorf("%s: no cell says that the binder cannot be computed", name)
		}
	}
}
