package binder_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"attls"
	"attls/extensions/profile/binder"
)

// lending has an exporter and nothing else.
type lending struct {
	binder.Inputs
	export binder.Exporter
}

func (*lending) Hash() string                             { return "SHA-256" }
func (l *lending) Exporter() binder.Exporter              { return l.export }
func (*lending) Secret(binder.Secret) ([]byte, bool)      { return bytes.Repeat([]byte{1}, 32), true }
func (*lending) RequestContext(attls.Role) ([]byte, bool) { return []byte("context"), true }
func (*lending) Transcript(r binder.Range) ([]byte, bool) { return nil, false }

// TestLentExporter: exporter over exporter_secret is asked of who lends it, under whatever
// name the secret goes, and others are computed.
func TestLentExporter(t *testing.T) {
	program := func(text string) *binder.Program {
		p, errs := binder.Compile([]binder.Definition{{Name: "secret", Text: "exporter_secret"}, {Name: "x", Text: text}}, binder.Variant(0))
		if len(errs) > 0 {
			t.Fatalf("%s: %v", text, errs[0])
		}
		return p
	}
	for _, x := range []struct {
		text, want string // of the value, or of the error
		asked      bool
	}{
		{`exporter(exporter_secret, "label", request_context(role), 32)`, "", true},
		{`exporter(secret, "label", request_context(role), 32)`, "", true},
		{`exporter(main_secret, "label", request_context(role), 32)`, "", false},
		{`hash(concat("a", exporter(exporter_secret, "label", request_context(role), 32)))`, "", true},
		{`exporter(exporter_secret, "label", hash(CH..SH), 32)`, "the transcript has not come", false},
	} {
		asked := false
		in := &lending{export: func(label string, context []byte, length int) ([]byte, error) {
			asked = true
			if label != "label" || string(context) != "context" || length != 32 {
				t.Errorf("%s: %q, %q, %d", x.text, label, context, length)
			}
			return make([]byte, length), nil
		}}
		v, err := program(x.text).Eval("x", attls.RoleServer, in)
		if asked != x.asked || x.want == "" && (err != nil || len(v) != 32) ||
			x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)) {
			t.Errorf("%s: %x, %v, asked: %v", x.text, v, err, asked)
		}
	}
	for name, export := range map[string]binder.Exporter{
		"an error":       func(string, []byte, int) ([]byte, error) { return nil, errors.New("no exporter today") },
		"too few octets": func(_ string, _ []byte, n int) ([]byte, error) { return make([]byte, n-1), nil },
	} {
		if _, err := program(`exporter(exporter_secret, "l", "", 32)`).Eval("x", attls.RoleServer, &lending{export: export}); err == nil {
			t.Errorf("%s is a value", name)
		}
	}
	none, err := program(`exporter(exporter_secret, "l", "", 32)`).Eval("x", attls.RoleServer, &lending{})
	if err != nil || len(none) != 32 {
		t.Errorf("without one: %x, %v", none, err)
	}
}

// TestBeyond: what an exporter does not give is named, for the attester of a role.
func TestBeyond(t *testing.T) {
	for _, x := range []struct {
		text   string
		known  [2]bool
		framed bool
		want   [2][]string // by the attester
	}{
		{text: `exporter(exporter_secret, "l", request_context(role), Hash.length)`},
		{text: `concat(ecdhe, hash(CH..SH), exporter_secret)`, want: [2][]string{{"ecdhe", "a transcript", "exporter_secret"},
			{"ecdhe", "a transcript", "exporter_secret"}}},
		{text: `spki(role)`, known: [2]bool{true, false}, want: [2][]string{nil, {"spki(server)"}}},
		{text: `nonce(role)`, want: [2][]string{{"nonce"}, {"nonce"}}},
		{text: `nonce(role)`, framed: true},
		{text: `per_role(main_secret, "text")`, want: [2][]string{{"main_secret"}, nil}},
		{text: `exporter(exporter_secret, "l", early_secret, 32)`, want: [2][]string{{"early_secret"}, {"early_secret"}}},
	} {
		p, errs := binder.Compile([]binder.Definition{{Name: "inner", Text: x.text}, {Name: "x", Text: "concat(inner, inner)"}}, binder.Variant(0))
		if len(errs) > 0 {
			t.Fatalf("%s: %v", x.text, errs[0])
		}
		for _, role := range attls.Roles() {
			if got := p.Beyond("x", role, x.known, x.framed); !reflect.DeepEqual(got, x.want[role]) {
				t.Errorf("%s for the %v: %q; want %q", x.text, role, got, x.want[role])
			}
		}
		if got := p.Beyond("nothing", attls.RoleClient, x.known, x.framed); got != nil {
			t.Errorf("of what is not defined: %q", got)
		}
	}
}
