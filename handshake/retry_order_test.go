package handshake_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake"
)

// toFront moves an extension to the front of a list.
func toFront(x attls.ExtensionType) func(extensions.List) extensions.List {
	return func(l extensions.List) extensions.List {
		i := slices.IndexFunc(l, func(e extensions.Extension) bool { return e.Type == x })
		moved := l[i]
		return append(extensions.List{moved}, slices.Delete(slices.Clone(l), i, i+1)...)
	}
}

// TestReorderedHello: a second ClientHello with the extensions of the first in
// another order is refused with an error that says so, and a switch accepts it.
// wolfSSL moves supported_versions to the front.
func TestReorderedHello(t *testing.T) {
	wolfSSL := toFront(attls.ExtSupportedVersions)
	edits := func(list ...func(extensions.List) extensions.List) func(extensions.List) extensions.List {
		return func(l extensions.List) extensions.List {
			for _, f := range list {
				l = f(l)
			}
			return l
		}
	}
	type change = func(s *handshake.Config)
	quirk := func(s *handshake.Config) {
		s.Profile = &profile.Profile{ID: "quirks", Quirks: profile.Quirks{AcceptReorderedHello: true}}
	}
	config := func(s *handshake.Config) { s.AcceptReorderedHello = true }
	const k = attls.KindClientHello
	mismatch := func(field string) outcome {
		return outcome{attls.FailRetryMismatch, attls.AlertIllegalParameter, k, field}
	}
	for name, test := range map[string]struct {
		edit   func(extensions.List) extensions.List
		change change
		want   outcome
		order  bool // the error says that it is the order
	}{
		"supported_versions at the front":                  {edit: wolfSSL, want: mismatch("supported_versions"), order: true},
		"key_share at the front":                           {edit: toFront(attls.ExtKeyShare), want: mismatch("key_share"), order: true},
		"all the other way round":                          {edit: func(l extensions.List) extensions.List { slices.Reverse(l); return l }, want: mismatch("extensions"), order: true},
		"the order and a body":                             {edit: edits(wolfSSL, inPlace(attls.ExtRecordSizeLimit, 0, 99)), want: mismatch("record_size_limit")},
		"the cookie at the front":                          {edit: toFront(attls.ExtCookie)},
		"padding in between":                               {edit: edits(with(attls.ExtPadding, make([]byte, 9)), toFront(attls.ExtPadding))},
		"supported_versions at the front, accepted":        {edit: wolfSSL, change: config},
		"supported_versions at the front, by the quirk":    {edit: wolfSSL, change: quirk},
		"all the other way round, accepted":                {edit: func(l extensions.List) extensions.List { slices.Reverse(l); return l }, change: config},
		"accepted, and a body":                             {edit: edits(wolfSSL, inPlace(attls.ExtRecordSizeLimit, 0, 99)), change: config, want: mismatch("record_size_limit")},
		"accepted, and one extension more":                 {edit: edits(wolfSSL, with(0x4a4b, nil)), change: config, want: mismatch("extensions")},
		"accepted, and one less":                           {edit: edits(wolfSSL, without(attls.ExtRecordSizeLimit)), change: config, want: mismatch("record_size_limit")},
		"accepted, and the cookie is missing":              {edit: edits(wolfSSL, without(attls.ExtCookie)), change: config, want: mismatch("cookie")},
		"accepted by the quirk, and the offer has changed": {edit: edits(wolfSSL, inPlace(attls.ExtSupportedGroups, 0, 2, 0, 23)), change: quirk, want: mismatch("supported_groups")},
	} {
		for _, stateless := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/stateless %v", name, stateless), func(t *testing.T) {
				o := full(func(c, s *handshake.Config) {
					if test.change != nil {
						test.change(s)
					}
					if stateless {
						s.Retry.Secrets = [][32]byte{{1}}
					}
				})
				want := test.want
				if stateless && !strings.Contains(name, "cookie") && want.failure != "" {
					want.field = "" // which the cookie does not keep
				}
				if stateless && name == "accepted, and the cookie is missing" {
					t.Skip("without a cookie it is a first ClientHello")
				}
				hit := false
				o.Client.Tap = &planTap{at: at{attls.RoleClient, k, 1}, plan: editExtensions(t, test.edit), hit: &hit}
				p, err := pair.New(o)
				if err != nil {
					t.Fatal(err)
				}
				runErr := p.Run()
				if !hit {
					t.Fatal("there was no second ClientHello")
				}
				checkOutcome(t, p, attls.RoleServer, runErr, want)
				if e := p.Engine(attls.RoleServer).Err(); e != nil && strings.Contains(e.Error(), "order") != test.order {
					t.Errorf("%v\nnames the order: %v, want %v", e, !test.order, test.order)
				}
			})
		}
	}
}
