package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"attls/conformance/dissect"
)

// decoded runs a demonstration and decodes its capture, changed as a test says.
func decoded(t *testing.T, demo, decode []string, change func([]byte) []byte) *dissect.Dissection {
	t.Helper()
	file := filepath.Join(t.TempDir(), "run.pcapng")
	command(t, append([]string{"demo", "-q", "--pcap", file}, demo...)...)
	if change != nil {
		b, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(file, change(b), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	_, out, stderr := command(t, append(append([]string{"decode", "--json"}, decode...), file)...)
	var list []*dissect.Dissection
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 {
		t.Fatalf("%v, %s%s", err, out, stderr)
	}
	return list[0]
}

// TestDecodeExported: requests and authenticators in application data are found, validated
// and compared, under the profile, framing and readings of the run, and per key epoch.
func TestDecodeExported(t *testing.T) {
	for _, x := range []struct {
		demo, decode []string
		profile      string
		attested     int
		epochs       []uint64
		comparison   dissect.Comparison
		failures     []string
	}{
		{[]string{"--profile", "seat-expat-04", "--attester", "both", "--reattest", "--extended-key-update"}, nil,
			"seat-expat-04", 4, []uint64{0, 0, 1, 1}, dissect.Equal, nil},
		{[]string{"--profile", "seat-expat-00"}, nil, "seat-expat-00", 1, nil, dissect.Equal, nil},
		{[]string{"--profile", "seat-expat-01"}, nil, "seat-expat-01", 1, nil, dissect.Equal, nil},
		{[]string{"--profile", "seat-expat-02"}, []string{"--profile", "seat-expat-02"}, "seat-expat-02", 1, nil, dissect.Equal, nil},
		{[]string{"--profile", "exported-attestation-02"}, []string{"--profile", "exported-attestation-02"}, "exported-attestation-02", 1, nil, "", nil},
		{[]string{"--profile", "seat-expat-04", "--model", "results"}, []string{"--profile", "seat-expat-04"}, "seat-expat-04", 1, nil, dissect.NotComparing, nil},
		{[]string{"--profile", "seat-expat-04", "--reading", "framing=messages", "--attester", "both"},
			[]string{"--profile", "seat-expat-04", "--reading", "framing=messages"}, "seat-expat-04", 2, nil, dissect.Equal, nil},
		{[]string{"--profile", "seat-expat-04", "--reading", "framing=application"},
			[]string{"--profile", "seat-expat-04", "--reading", "framing=application"}, "seat-expat-04", 1, nil, dissect.Equal, nil},
		{[]string{"--profile", "seat-expat-04", "--fail", "binder"}, []string{"--profile", "seat-expat-04"}, "seat-expat-04", 1, nil, dissect.Different,
			[]string{"attestation.binder_mismatch"}},
		{[]string{"--profile", "seat-expat-04", "--fail", "second-entry"}, []string{"--profile", "seat-expat-04"}, "seat-expat-04", 0, nil, "",
			[]string{"attestation.misplaced"}},
		{[]string{"--profile", "seat-expat-04", "--fail", "truncated"}, []string{"--profile", "seat-expat-04"}, "seat-expat-04", 1, nil, dissect.NotComparing,
			[]string{"attestation.malformed_cmw"}},
		{[]string{"--profile", "deployed-cocos"}, nil, "deployed-cocos", 1, nil, dissect.Equal, nil},
		{[]string{"--profile", "deployed-cocos", "--fail", "frame-defined"}, []string{"--profile", "deployed-cocos"}, "deployed-cocos", 0, nil, "",
			[]string{"attestation.binder_mismatch"}},
		{[]string{"--profile", "seat-expat-04"}, []string{"--profile", "early-attestation-06"}, "early-attestation-06", 0, nil, "", nil},
	} {
		t.Run(strings.Join(x.demo, " "), func(t *testing.T) {
			t.Parallel()
			d := decoded(t, x.demo, x.decode, nil)
			if d.Profile != x.profile || len(d.Attestation) != x.attested {
				t.Fatalf("%s, %d attestations, %q", d.Profile, len(d.Attestation), d.Notes)
			}
			for i, a := range d.Attestation {
				if a.Phase != "authenticator" || a.RequestContext == "" || x.comparison != "" && a.Comparison != x.comparison ||
					x.epochs != nil && a.Epoch != x.epochs[i] {
					t.Errorf("%+v", a)
				}
			}
			var failures []string
			for _, f := range d.Findings {
				failures = append(failures, f.Failure)
				silent := x.profile == "deployed-cocos" // an end of it that refuses only closes
				if (f.Answered == nil) != silent || (f.Alert == nil) != silent || !silent && f.Answered.Code != f.Alert.Code || f.Step < 0 {
					t.Errorf("%+v", f)
				}
			}
			if strings.Join(failures, " ") != strings.Join(x.failures, " ") {
				t.Errorf("%q, %q", failures, d.Notes)
			}
		})
	}
}

// TestDecodeExportedWithout: without the exporter's secret authenticators are shown and
// nothing is computed.
func TestDecodeExportedWithout(t *testing.T) {
	d := decoded(t, []string{"--profile", "seat-expat-04"}, []string{"--profile", "seat-expat-04"}, func(b []byte) []byte {
		return bytes.ReplaceAll(b, []byte("EXPORTER_SECRET "), []byte("EXPORTED_SECRET "))
	})
	if len(d.Attestation) != 1 || d.Attestation[0].Comparison != dissect.NotComparing || d.Attestation[0].Binder != nil ||
		len(d.Findings) > 0 || !strings.Contains(strings.Join(d.Notes, " "), "EXPORTER_SECRET") {
		t.Errorf("%+v, %+v, %q", d.Attestation, d.Findings, d.Notes)
	}
}
