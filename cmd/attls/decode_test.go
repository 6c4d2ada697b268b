package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"attls/conformance/dissect"
)

// recorded runs a demonstration and returns the name of its capture.
func recorded(t *testing.T, args ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "run.pcapng")
	if code, _, stderr := command(t, append([]string{"demo", "-q", "--pcap", name}, args...)...); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	return name
}

// TestDecodeDraws holds what a sound and a broken connection must show.
func TestDecodeDraws(t *testing.T) {
	for _, test := range []struct {
		demo, decode []string
		code         int
		want         []string
	}{
		{nil, nil, exitOK, []string{"under early-attestation-06", "ClientHello", "+0.0000 s", "server_attester choice: evidence", "hash(CH..SH)",
			"✓ the payload carries this connection's challenge", "fits these profiles alike", "No rule is seen to be broken."}},
		{[]string{"-p", "tls-attestation-07", "-a", "both"}, []string{"-p", "tls-attestation-07"}, exitOK, []string{"under tls-attestation-07", "Evidence of the client", "Evidence of the server"}},
		{[]string{"--fail", "binder"}, nil, exitFailed, []string{"✗ the payload carries another challenge", "✗ attestation.binder_mismatch",
			"The server broke a rule, with Certificate", "refused it with attestation_failed, as required"}},
		{[]string{"--fail", "misplaced"}, []string{"--hex"}, exitFailed, []string{"attestation.misplaced", "│     010000"}},
		{[]string{"-p", "none"}, nil, exitOK, []string{"without a profile", "Nothing of an embedded profile was found"}},
	} {
		name := recorded(t, test.demo...)
		code, stdout, stderr := command(t, append([]string{"decode", name}, test.decode...)...)
		if code != test.code {
			t.Errorf("%v: exit code %d, want %d: %s", test.demo, code, test.code, stderr)
		}
		for _, want := range test.want {
			if !strings.Contains(stdout, want) {
				t.Errorf("%v: the drawing lacks %q\n%s", test.demo, want, stdout)
			}
		}
		for i, line := range strings.Split(stdout, "\n") {
			if n := len([]rune(line)); n > defaultWidth {
				t.Errorf("%v: line %d has %d columns: %s", test.demo, i+1, n, line)
			}
		}
	}
}

func TestDecodeJSON(t *testing.T) {
	name := recorded(t, "--fail", "not_chosen")
	code, stdout, stderr := command(t, "decode", "--json", "--connection", "1", name)
	var list []dissect.Dissection
	if err := json.Unmarshal([]byte(stdout), &list); err != nil || code != exitFailed || len(list) != 1 {
		t.Fatalf("exit code %d, %v, %s", code, err, stderr)
	}
	if d := list[0]; len(d.Findings) != 1 || d.Findings[0].Failure != "attestation.not_chosen" || d.Ladder[d.Findings[0].Step].What != "Certificate" {
		t.Errorf("%+v", d.Findings)
	}
}

// TestDecodePeer reads a recording of other programs with its key log, and says
// what is missing without it.
func TestDecodePeer(t *testing.T) {
	const files = "../../conformance/capture/testdata/648e-648e"
	code, stdout, stderr := command(t, "decode", files+".pcap", "--keys", files+".keys")
	if code != exitOK || !strings.Contains(stdout, "under mbedtls-poc") || !strings.Contains(stdout, "✓ the payload carries") || !strings.Contains(stdout, "and 104 others") {
		t.Errorf("exit code %d, %s\n%s", code, stderr, stdout)
	}
	code, stdout, _ = command(t, "decode", files+".pcap")
	if code != exitFailed || !strings.Contains(stdout, "protected records") || !strings.Contains(stdout, "there is no key log") {
		t.Errorf("without keys: exit code %d\n%s", code, stdout)
	}
}

// TestDecodeEndpoints reads what both ends of a connection record by themselves.
func TestDecodeEndpoints(t *testing.T) {
	directory := t.TempDir()
	files := []string{filepath.Join(directory, "server.pcapng"), filepath.Join(directory, "client.pcapng")}
	s := start(t, "-q", "--echo", "--max-connections", "1", "--profile", "tls-attestation-07", "--pcap", files[0])
	if code, _, stderr := command(t, "client", "-q", "--profile", "tls-attestation-07", "--pcap", files[1], s.address); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if code := s.wait(t); code != exitOK {
		t.Fatalf("the server's exit code is %d", code)
	}
	for _, name := range files {
		code, stdout, stderr := command(t, "decode", name, "--profile", "tls-attestation-07")
		if code != exitOK || !strings.Contains(stdout, "✓ the payload carries") {
			t.Errorf("%s: exit code %d, %s\n%s", name, code, stderr, stdout)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	name := recorded(t)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	cut, text, empty := filepath.Join(t.TempDir(), "cut.pcapng"), filepath.Join(t.TempDir(), "text"), filepath.Join(t.TempDir(), "empty")
	for file, b := range map[string][]byte{cut: whole[:len(whole)-400], text: []byte("not a capture"), empty: nil} {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"/no/such/file"}, exitUnavailable, "no such file"},
		{[]string{text}, exitUnavailable, "neither pcap nor pcapng"},
		{[]string{cut}, exitFailed, "announces"},
		{[]string{name, "-n", "2"}, exitUsage, "holds 1"},
		{[]string{name, "-k", text}, exitOK, "text:1: passed over: its second field is not a ClientHello.random"}, // RFC 9850 section 2
		{[]string{name, "-k", "/no/such/keys"}, exitUnavailable, "no such file"},
		{[]string{name, "-k", filepath.Dir(text)}, exitUnavailable, "is a directory"},
		{[]string{filepath.Dir(text)}, exitUnavailable, "is a directory"},
		{[]string{empty}, exitUnavailable, "the file is empty"},
		{[]string{name, "-p", "no-such-draft"}, exitUsage, "no-such-draft"},
	} {
		code, stdout, stderr := command(t, append([]string{"decode"}, test.args...)...)
		if code != test.code || !strings.Contains(stderr, test.want) {
			t.Errorf("%v: exit code %d, want %d, %q: %s", test.args, code, test.code, test.want, stderr)
		}
		if test.args[0] == cut && !strings.Contains(stdout, "ClientHello") {
			t.Errorf("a file that was cut shows nothing: %s", stdout)
		}
	}
}

// TestDecodeStandardInput reads a capture from standard input, gzipped or not.
func TestDecodeStandardInput(t *testing.T) {
	whole, err := os.ReadFile(recorded(t))
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write(whole)
	w.Close()
	for name, b := range map[string][]byte{"pcapng": whole, "gzip": packed.Bytes()} {
		var stdout, stderr bytes.Buffer
		if code := run(context.Background(), []string{"decode", "-"}, bytes.NewReader(b), &stdout, &stderr); code != exitOK || !strings.Contains(stdout.String(), "No rule is seen to be broken.") {
			t.Errorf("%s: exit code %d, %s\n%s", name, code, &stderr, &stdout)
		}
	}
}

// TestDecodeSaysWhatItPassedOver expects it on standard error, and the rest of
// the file all the same.
func TestDecodeSaysWhatItPassedOver(t *testing.T) {
	const files = "../../conformance/capture/testdata/648e-648e"
	log, err := os.ReadFile(files + ".keys")
	if err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, append([]byte("junk\r"), append(bytes.ReplaceAll(log, []byte("\n"), []byte("\r")), "CLIENT_TRA"...)...), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := command(t, "decode", files+".pcap", "--keys", keys)
	if code != exitOK || !strings.Contains(stdout, "✓ the payload carries") || !strings.Contains(stderr, keys+":1: passed over: it has 1 fields") || !strings.Contains(stderr, keys+":6: passed over") {
		t.Errorf("exit code %d, %s\n%s", code, stderr, stdout)
	}
	name := recorded(t)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	// An interface of a link type that is not read, and a packet of it.
	whole = append(whole, 1, 0, 0, 0, 20, 0, 0, 0, 147, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0,
		6, 0, 0, 0, 36, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4, 36, 0, 0, 0)
	if err := os.WriteFile(name, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = command(t, "decode", name, "--json")
	var list []dissect.Dissection
	if err := json.Unmarshal([]byte(stdout), &list); err != nil || code != exitOK || len(list) != 1 || !strings.Contains(stderr, "Left out: packets of link type 147, which is not read here (1).") {
		t.Errorf("exit code %d, %v, %s", code, err, stderr)
	}
}
