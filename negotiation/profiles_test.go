package negotiation

import (
	"slices"
	"testing"

	"attls"
	"attls/extensions/profile"
)

// TestOwnScheme: what was chosen is spoken of in the chooser's own words, even
// where a profile gives several formats one number.
func TestOwnScheme(t *testing.T) {
	p, err := profile.Load("tls-attestation-00", profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	mine := Scheme{Format: profile.Format{MediaType: "application/eat+cwt"}}
	offered, failed := Offer(p, Policy{Produce: []Scheme{{Format: profile.Format{ContentFormat: 263}}}}, true)
	if failed != nil {
		t.Fatal(failed)
	}
	chosen, failed := Choose(p, offered, Policy{Accept: []Scheme{mine}})
	if failed != nil {
		t.Fatal(failed)
	}
	slot := slices.IndexFunc(p.Slots, func(s profile.Slot) bool { return s.Attester == attls.RoleClient })
	if c := chosen.Choices[slot]; c == nil || c.Format != mine.Format {
		t.Errorf("%+v", c)
	}
	if s, failed := CheckChoice(p, offered, slot, chosen.Choices[slot]); failed != nil || s.Format.ContentFormat != 263 {
		t.Errorf("%+v, %v", s, failed)
	}
}

// TestFirst: a profile may want one scheme first.
func TestFirst(t *testing.T) {
	p, err := profile.Load("mbedtls-poc", profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	one, other := Scheme{Format: profile.Format{ContentFormat: 1}}, Scheme{Format: profile.Format{ContentFormat: 263}}
	offered, failed := Offer(p, Policy{Produce: []Scheme{other, one}}, true)
	if failed != nil || offered.Offers[0][0].Format != one.Format || len(offered.Offers[0]) != 2 {
		t.Errorf("%+v, %v", offered.Offers, failed)
	}
	if _, failed := Offer(p, Policy{Produce: []Scheme{other}}, true); failed == nil {
		t.Error("an offer without that scheme passes")
	}
}
