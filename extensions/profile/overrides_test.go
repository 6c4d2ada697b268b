package profile

import "testing"

func TestOverrides(t *testing.T) {
	const text = `profile: mine
base: early-attestation-06
draft: {date: 2030-01-01}
code_points:
  extensions: {remoteAttestation: 0xFF07}
negotiation: {choose: {order: client}}
alerts: {missing: close}
types: |
  struct { opaque cmw_payload<1..2^16-1>; uint8 more; } AddedByMine;
`
	base, list := Overrides("mine.yaml", []byte(text))
	if base != "early-attestation-06" {
		t.Errorf("the base is %q", base)
	}
	want := map[string]struct {
		line int
		base string
	}{
		"code_points.extensions.remoteAttestation": {5, "0xFF06"}, "negotiation.choose.order": {6, "$choice_order"},
		"alerts.missing": {7, "$missing"}, "types.AddedByMine": {9, ""},
	}
	for _, o := range list {
		w, ok := want[o.Path]
		if !ok || o.Position.Line != w.line || o.Base != w.base {
			t.Errorf("%s: line %d, base %q; expected %+v", o.Path, o.Position.Line, o.Base, w)
		}
		delete(want, o.Path)
	}
	for path := range want {
		t.Errorf("%s is not listed", path)
	}
	for _, text := range []string{"", "base: [x]", "base: nothing", "\x00", "base: early-attestation-06\ntypes: 'struct {'", "types: null\nbase: early-attestation-06"} {
		if _, list := Overrides("mine.yaml", []byte(text)); len(list) > 1 {
			t.Errorf("%q overrides %v", text, list)
		}
	}
}
