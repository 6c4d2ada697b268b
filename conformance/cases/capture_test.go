package cases

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/conformance/capture"
	"attls/conformance/scenario"
)

// ticking is a clock that begins in 2026 and moves a millisecond at each look.
func ticking() func() time.Time {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return func() time.Time {
		now = now.Add(time.Millisecond)
		return now
	}
}

// recordRun runs a scenario and returns its capture file.
func recordRun(t testing.TB, s scenario.Scenario) ([]byte, scenario.Result) {
	t.Helper()
	var file bytes.Buffer
	w, err := capture.NewWriter(&file, ticking())
	if err != nil {
		t.Fatal(err)
	}
	result := scenario.Run(context.Background(), s, scenario.Capture(w), scenario.Find(Find))
	if result.Err != nil {
		t.Fatal(result.Err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes(), result
}

// TestCaptureReadsBack compares what a capture holds with what went over the
// network and with the ladder that the ends saw.
func TestCaptureReadsBack(t *testing.T) {
	for _, s := range []scenario.Scenario{
		{Profile: "early-attestation-06"},
		{Profile: "tls-attestation-07", HelloRetry: true},
		{Profile: "mbedtls-poc", Suite: "TLS_AES_256_GCM_SHA384"},
		{Profile: "early-attestation-06", Fail: "binder"},
		{Suite: "TLS_CHACHA20_POLY1305_SHA256"},
	} {
		t.Run(s.String(), func(t *testing.T) {
			file, result := recordRun(t, s)
			connections, keys, err := capture.ReadFile(bytes.NewReader(file))
			if err != nil || len(connections) != 1 || len(keys) != 1 {
				t.Fatalf("%d connections, secrets of %d, %v", len(connections), len(keys), err)
			}
			c := connections[0]
			var sent [2][]byte
			for _, p := range c.Pieces {
				sent[p.Sender] = append(sent[p.Sender], p.Data...)
			}
			for _, role := range attls.Roles() {
				if !bytes.Equal(sent[role], result.Sent[role]) {
					t.Errorf("the %v sent %d octets, the capture has %d", role, len(result.Sent[role]), len(sent[role]))
				}
			}
			items, failure := c.Open(keys)
			if failure != nil || c.Lost != 0 {
				t.Fatalf("%v; %d octets lost", failure, c.Lost)
			}
			got := map[string]int{}
			for _, i := range items {
				if i.Type == attls.ContentTypeHandshake {
					got[i.Sender.String()+" "+i.Message.Kind.String()]++
				}
				if i.Time.Year() != 2026 {
					t.Errorf("%v at %v", i.Type, i.Time)
				}
			}
			want := map[string]int{}
			for _, step := range result.Ladder {
				if step.Bytes() != nil {
					what := step.What
					if step.Kind == attls.KindAdded {
						what = attls.KindUnknown.String()
					}
					want[step.From+" "+what]++
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("captured %v\nseen %v", got, want)
			}
		})
	}
}

// TestCaptureIsDecryptedByTshark lets Wireshark's dissector open a capture with
// nothing but the file.
func TestCaptureIsDecryptedByTshark(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed")
	}
	file, _ := recordRun(t, scenario.Scenario{Profile: "early-attestation-06", Group: "secp256r1"})
	name := filepath.Join(t.TempDir(), "run.pcapng")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tshark, "-r", name, "-o", "tcp.try_heuristic_first:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-T", "fields",
		"-e", "tls.handshake.type", "-e", "_ws.expert.message").Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	types := map[string]int{}
	for _, line := range strings.Split(string(out), "\n") {
		list, expert, _ := strings.Cut(line, "\t")
		for _, n := range strings.Split(list, ",") {
			types[n]++
		}
		if strings.Contains(expert, "hecksum") {
			t.Errorf("tshark complains: %s", expert)
		}
	}
	// ClientHello, ServerHello, EncryptedExtensions, Certificate, CertificateVerify, two Finished.
	for n, want := range map[string]int{"1": 1, "2": 1, "8": 1, "11": 1, "15": 1, "20": 2} {
		if types[n] != want {
			t.Errorf("handshake type %s: %d times, want %d; all: %v", n, types[n], want, types)
		}
	}
}
