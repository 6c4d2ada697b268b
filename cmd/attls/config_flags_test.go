package main

import (
	"reflect"
	"strings"
	"testing"

	"attls/handshake"
	"attls/handshake/exported"
)

// TestErrorsNameFlags: what the library refuses is told in the words of the command.
func TestErrorsNameFlags(t *testing.T) {
	for _, w := range []struct {
		args string
		says string
	}{
		{"client --record-size-limit 10", "--record-size-limit: 10 is below"},
		{"server --record-size-limit 10", "--record-size-limit: 10 is below"},
		{"client --groups x25519,x25519", "--groups: x25519 appears twice"},
		{"client --suites TLS_AES_128_GCM_SHA256,TLS_AES_128_GCM_SHA256", "--suites: TLS_AES_128_GCM_SHA256 appears twice"},
		{"client --groups x25519 --key-shares secp256r1", "--key-shares: secp256r1 is not among --groups"},
		{"server --sigalgs ed25519,ed25519", "--sigalgs: ed25519 appears twice"},
		{"server --pad-to 99999", "--pad-to 99999"},
	} {
		code, _, stderr := command(t, strings.Fields(w.args)...)
		if code != exitUsage || !strings.Contains(stderr, w.says) || strings.Contains(stderr, "Config.") {
			t.Errorf("attls %s: %d, %s; want %q", w.args, code, stderr, w.says)
		}
	}
}

// TestFieldsOfFlagsExist: each name in the table is a field of a Config.
func TestFieldsOfFlagsExist(t *testing.T) {
	has := func(at reflect.Type, name string) bool {
		for part := range strings.SplitSeq(name, ".") {
			f, ok := at.FieldByName(part)
			if !ok {
				return false
			}
			at = f.Type
		}
		return true
	}
	for name := range configFlags {
		if !has(reflect.TypeFor[handshake.Config](), name) && !has(reflect.TypeFor[exported.Config](), name) {
			t.Errorf("no Config has %s", name)
		}
	}
	if got := inFlags("Config.Other: x"); got != "Config.Other: x" {
		t.Errorf("a field without a flag: %s", got)
	}
}
