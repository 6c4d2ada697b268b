package profile

import (
	"reflect"
	"testing"

	"attls"
)

// TestNoneAddsNothing: the profile of a connection without one has nothing to say
// of any message, failure or session.
func TestNoneAddsNothing(t *testing.T) {
	p := None()
	f := p.NewFields()
	for k := attls.KindNone; k <= attls.KindUnknown; k++ {
		for _, sender := range attls.Roles() {
			if list, err := p.Encode(k, sender, f); err != nil || len(list) > 0 {
				t.Errorf("%v of the %v: %v, %v", k, sender, list, err)
			}
		}
	}
	if a := p.AlertFor(attls.FailAppraisal); a != (AlertAction{Alert: attls.DefaultAlert(attls.FailAppraisal)}) {
		t.Errorf("alert %v", a)
	}
	if !p.Resumption.ExternalPSK {
		t.Error("an external key does not start a connection")
	}
	rest := *p
	rest.Resumption.ExternalPSK = false
	if !reflect.DeepEqual(rest, Profile{}) {
		t.Errorf("None is %+v", rest)
	}
}
