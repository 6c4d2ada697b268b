package handshake_test

import (
	"fmt"
	"slices"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/message"
)

// TestKeyShareOrder: shares stand in the order of the groups (RFC 8446 section 4.2.8).
func TestKeyShareOrder(t *testing.T) {
	tap := &watch{}
	_, err := handshake.NewClient(&handshake.Config{Tap: tap, KeyShares: []attls.NamedGroup{attls.GroupSecp256r1, attls.GroupX25519}})
	if err != nil {
		t.Fatal(err)
	}
	var ch message.ClientHello
	m := tap.sent(t, attls.KindClientHello)
	if err := ch.Unmarshal(m.Body()); err != nil {
		t.Fatal(err)
	}
	body, _ := ch.Extensions.Get(attls.ExtKeyShare)
	shares, _ := extensions.ParseKeyShares(body)
	var order []attls.NamedGroup
	for g := range shares.All() {
		order = append(order, g)
	}
	if len(order) != 2 || order[0] != attls.GroupX25519 || order[1] != attls.GroupSecp256r1 {
		t.Errorf("shares of %v", order)
	}
}

// TestManyShares: a ClientHello may have shares of any number of groups, known or
// not (RFC 8446 sections 4.2.8 and 9.3).
func TestManyShares(t *testing.T) {
	const most = 9000 // with the list of groups as many as a ClientHello holds
	entry := func(g int) []byte { return []byte{byte(g >> 8), byte(g), 0, 1, 7} }
	vector := func(b []byte) []byte { return append([]byte{byte(len(b) >> 8), byte(len(b))}, b...) }
	// unknown are n groups that nobody knows, and shares of them, before or behind
	// the client's own.
	unknown := func(n int, own bool) func(extensions.List) extensions.List {
		return func(l extensions.List) extensions.List {
			var groups, shares []byte
			for i := range n {
				g := 0x4000 + i
				groups, shares = append(groups, byte(g>>8), byte(g)), append(shares, entry(g)...)
			}
			if own {
				g, _ := l.Get(attls.ExtSupportedGroups)
				s, _ := l.Get(attls.ExtKeyShare)
				groups, shares = append(groups, g[2:]...), append(shares, s[2:]...)
			}
			return inPlace(attls.ExtSupportedGroups, vector(groups)...)(inPlace(attls.ExtKeyShare, vector(shares)...)(slices.Clone(l)))
		}
	}
	twice := func(n int) func(extensions.List) extensions.List {
		return func(l extensions.List) extensions.List {
			l = unknown(n, true)(l)
			s, _ := l.Get(attls.ExtKeyShare)
			return inPlace(attls.ExtKeyShare, vector(append(slices.Clone(s[2:]), entry(0x4000)...))...)(l)
		}
	}
	unlisted := func(n int) func(extensions.List) extensions.List {
		return func(l extensions.List) extensions.List {
			l = unknown(n, true)(l)
			s, _ := l.Get(attls.ExtKeyShare)
			return inPlace(attls.ExtKeyShare, vector(append(slices.Clone(s[2:]), entry(0x3fff)...))...)(l)
		}
	}
	const k = attls.KindClientHello
	first := at{attls.RoleClient, k, 0}
	refused := illegal(k, "key_share")
	test := func(name string, edit func(extensions.List) extensions.List, want outcome) fieldTest {
		return fieldTest{name: name, at: first, plan: editExtensions(t, edit), want: want}
	}
	var tests []fieldTest
	for _, n := range []int{7, 8, 9, 31, 32, 33, 246, most} {
		of := fmt.Sprintf("%d unknown groups", n)
		tests = append(tests, test(of+" and a known one", unknown(n, true), outcome{}),
			test(of+" alone", unknown(n, false), outcome{attls.FailGroup, attls.AlertHandshakeFailure, k, "supported_groups"}),
			test(of+", one of them twice", twice(n), refused), test(of+" and one that is not listed", unlisted(n), refused))
	}
	runFieldTests(t, func(change func(c, s *handshake.Config)) pair.Options {
		o := direct(change)
		o.Server.Limits.MaxHandshakeMessage = 1 << 18
		return o
	}, tests)
}

// TestShareOrder: that shares are in the order of supported_groups is a
// client's duty, which a server need not check (RFC 8446 section 4.2.8), and this
// one does not.
func TestShareOrder(t *testing.T) {
	disturb(t, direct(func(c, s *handshake.Config) {
		c.Groups = []attls.NamedGroup{attls.GroupX25519, attls.GroupSecp256r1}
		c.KeyShares, s.Groups = c.Groups, []attls.NamedGroup{attls.GroupSecp256r1}
	}), at{attls.RoleClient, attls.KindClientHello, 0}, editExtensions(t, func(l extensions.List) extensions.List {
		b, _ := l.Get(attls.ExtKeyShare)
		shares, _ := extensions.ParseKeyShares(b)
		var reversed []byte
		for g, key := range shares.All() {
			reversed = append(extensions.AppendKeyShareEntry(nil, g, key), reversed...)
		}
		return inPlace(attls.ExtKeyShare, append(slices.Clone(b[:2]), reversed...)...)(l)
	}), outcome{})
}
