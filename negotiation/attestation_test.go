package negotiation

import (
	"testing"

	"attls"
	"attls/extensions/profile"
)

func failure(err *attls.Error) attls.Failure {
	if err == nil {
		return ""
	}
	return err.Failure
}

func twoSlots(r profile.Rules) *profile.Profile {
	return &profile.Profile{ID: "test", Rules: r, Slots: []profile.Slot{
		{Name: "client", Attester: attls.RoleClient}, {Name: "server", Attester: attls.RoleServer}}}
}

// TestChooseWithoutSchemes covers what a server does when it can use nothing:
// a demand must hold even then.
func TestChooseWithoutSchemes(t *testing.T) {
	wire := []Scheme{{Wire: []byte{1}}}
	for _, test := range []struct {
		name    string
		rules   profile.Rules
		present bool
		offer   []Scheme
		demand  bool
		want    attls.Failure
	}{
		{"client takes no part", profile.Rules{OfferAtLeast: 1}, false, nil, false, ""},
		{"client takes no part, demand", profile.Rules{OfferAtLeast: 1}, false, nil, true, attls.FailDemandedByServer},
		{"empty lists", profile.Rules{OfferAtLeast: 1}, true, nil, false, attls.FailNothingOffered},
		{"empty lists that may be", profile.Rules{}, true, nil, false, ""},
		{"unwilling", profile.Rules{UnwillingAbort: true}, true, wire, false, attls.FailUnwilling},
		{"unwilling is fine", profile.Rules{}, true, wire, false, ""},
		{"unwilling, demand", profile.Rules{}, true, wire, true, attls.FailDemandedByServer},
	} {
		p := twoSlots(test.rules)
		offered := NewSlots(p)
		offered.Present[0], offered.Offers[0] = test.present, test.offer
		if _, err := Choose(p, offered, Policy{Demand: test.demand}); failure(err) != test.want {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func TestNullChoice(t *testing.T) {
	null := &Scheme{Wire: []byte{0}}
	p := twoSlots(profile.Rules{NoSchemeThen: profile.ThenNullChoice, NullChoice: null})
	chosen, err := Choose(p, NewSlots(p), Policy{})
	if err != nil || chosen.Choices[0] != null {
		t.Fatalf("%v, %v", chosen.Choices, err)
	}
	if slot, s := ChosenFor(p, chosen, attls.RoleClient); slot != -1 || s != nil {
		t.Errorf("the null choice counts as slot %d, %v", slot, s)
	}
}

func TestCheckAnswers(t *testing.T) {
	s := &Scheme{Wire: []byte{1}}
	strict := profile.Rules{OnePerAttester: true, ClientChoiceNeedsRequest: true, AnswerNoneAbort: true}
	for _, test := range []struct {
		name           string
		client, server *Scheme
		request        bool
		demand         bool
		want           attls.Failure
	}{
		{"none", nil, nil, false, false, attls.FailChoiceNone},
		{"server", nil, s, false, true, ""},
		{"client", s, nil, true, false, ""},
		{"client without request", s, nil, false, false, attls.FailChoiceWithoutRequest},
		{"demanded", s, nil, true, true, attls.FailDemandedByClient},
	} {
		p := twoSlots(strict)
		offered, chosen := NewSlots(p), NewSlots(p)
		offered.Offers[0] = []Scheme{*s}
		chosen.Choices = []*Scheme{test.client, test.server}
		if err := CheckAnswers(p, offered, chosen, Policy{Demand: test.demand}, test.request); failure(err) != test.want {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
	p := twoSlots(strict)
	offered := NewSlots(p)
	offered.Offers[1] = []Scheme{*s}
	if got, err := CheckChoice(p, offered, 1, s); err != nil || got == nil {
		t.Error(err)
	}
	if _, err := CheckChoice(p, offered, 1, &Scheme{Wire: []byte{2}}); failure(err) != attls.FailChoiceNotOffered {
		t.Errorf("a scheme that was not offered: %v", err)
	}
	p.Slots[1].Attester = attls.RoleClient
	chosen := NewSlots(p)
	chosen.Choices = []*Scheme{s, s}
	if err := CheckAnswers(p, offered, chosen, Policy{}, true); failure(err) != attls.FailTwoChoices {
		t.Errorf("two choices: %v", err)
	}
}
