package handshake_test

import (
	"bytes"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
	"attls/handshake"
)

// TestExporter: both ends get the same, bound to label, context and length
// (RFC 8446 section 7.5).
func TestExporter(t *testing.T) {
	p, _ := established(t, nil)
	export := func(r attls.Role, label, context string, n int) []byte {
		b, err := p.Engine(r).Export(label, []byte(context), n)
		if err != nil || len(b) != n {
			t.Fatalf("%d octets, %v", len(b), err)
		}
		return b
	}
	want := export(attls.RoleClient, "EXPORTER-a", "context", 48)
	if !bytes.Equal(want, export(attls.RoleServer, "EXPORTER-a", "context", 48)) {
		t.Error("the ends export different values")
	}
	for name, other := range map[string][]byte{"label": export(attls.RoleClient, "EXPORTER-b", "context", 48),
		"context": export(attls.RoleClient, "EXPORTER-a", "", 48), "length": export(attls.RoleClient, "EXPORTER-a", "context", 49)[:48]} {
		if bytes.Equal(other, want) {
			t.Errorf("another %s makes no difference", name)
		}
	}
	for _, bad := range []struct {
		label string
		n     int
	}{{string(make([]byte, 250)), 32}, {"a", 255*32 + 1}, {"a", -1}} {
		if _, err := p.Engine(attls.RoleClient).Export(bad.label, nil, bad.n); err == nil {
			t.Errorf("%d octets under a label of %d are exported", bad.n, len(bad.label))
		}
	}
	if _, err := p.Engine(attls.RoleClient).ExportNamed("handshake", "a", nil, 32); err == nil {
		t.Error("an exporter that no profile defines")
	}
	early, err := handshake.NewClient(&handshake.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := early.Export("a", nil, 32); err == nil {
		t.Error("a value before there is a secret")
	}
}

// TestNamedExporter uses an exporter of a profile's inside the handshake.
func TestNamedExporter(t *testing.T) {
	program, errs := binder.Compile([]binder.Definition{{Name: "hs", Text: `derive_secret(handshake_secret, "h exp master", CH..SH)`}}, binder.VariantRFC8446)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	with := &profile.Profile{ID: "exporter", Binder: profile.BinderRules{Program: program, Exporters: map[string]string{"handshake": "hs"}}}
	o := direct(func(c, s *handshake.Config) { c.Profile, s.Profile = with, with })
	p, failure := pair.New(o)
	if failure != nil {
		t.Fatal(failure)
	}
	client := p.Engine(attls.RoleClient)
	if _, err := client.ExportNamed("handshake", "label", []byte("context"), 32); err == nil {
		t.Error("a value before ServerHello")
	}
	for ok := true; ok && client.StateName() != "WAIT_CV"; {
		_, ok = p.Step()
	}
	inside, failure := client.ExportNamed("handshake", "label", []byte("context"), 32)
	if failure != nil {
		t.Fatal(failure)
	}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	for _, r := range []attls.Role{attls.RoleClient, attls.RoleServer} {
		if b, err := p.Engine(r).ExportNamed("handshake", "label", []byte("context"), 32); err != nil || !bytes.Equal(b, inside) {
			t.Errorf("the %v exports %x, %v; want %x", r, b, err, inside)
		}
		if b, _ := p.Engine(r).Export("label", []byte("context"), 32); bytes.Equal(b, inside) {
			t.Error("it is the value of RFC 8446's exporter")
		}
	}
}
