package main

import (
	"strings"
	"testing"
	"time"
)

func TestInterval(t *testing.T) {
	for text, want := range map[string]interval{
		"30s": {time: 30 * time.Second}, "1h30m": {time: 90 * time.Minute}, "1GB": {octets: 1e9}, "500MB": {octets: 5e8},
		"64KiB": {octets: 65536}, "7B": {octets: 7}, "3kB": {octets: 3000},
	} {
		var got interval
		want.text = text
		if err := got.Set(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0s", "-3s", "1us", "0B", "-1GB", "1.5GB", "GB", "10", "99999999999GB", "1TB", "1 GB"} {
		var got interval
		if err := got.Set(text); err == nil || got.given() {
			t.Errorf("%q is taken as %+v", text, got)
		}
	}
}

// TestDemoExtendedKeyUpdate: demo draws an update, replay repeats it, and decode opens what
// was sent under the new keys.
func TestDemoExtendedKeyUpdate(t *testing.T) {
	dir := t.TempDir()
	record, pcap := dir+"/run.json", dir+"/run.pcapng"
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"demo", "--extended-key-update", "--group", "secp256r1", "--record", record, "--pcap", pcap},
			[]string{"extended_key_update", "key_update_request, secp256r1 of 65 octets", "key_update_response", "key_update_finish", "key epoch 1"}},
		{[]string{"replay", record}, []string{"key_update_finish", "Replayed octet for octet"}},
		{[]string{"decode", pcap}, []string{"key_update_finish", "close_notify", "No rule is seen to be broken"}},
	} {
		code, out, errs := command(t, test.args...)
		if code != 0 {
			t.Fatalf("%v: exit code %d, %s", test.args, code, errs)
		}
		for _, want := range test.want {
			if !strings.Contains(out, want) {
				t.Errorf("%v prints no %q:\n%s", test.args, want, out)
			}
		}
	}
}
