package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"attls/conformance/capture"
)

// TestExtcap asks and captures as Wireshark does.
func TestExtcap(t *testing.T) {
	code, out, _ := command(t, "extcap", "--extcap-interfaces", "--extcap-version=4.0")
	if code != exitOK || !strings.Contains(out, "interface {value=attls-demo}{display=attls demo}\n") ||
		!strings.Contains(out, "interface {value=attls-server}") {
		t.Errorf("%d %q", code, out)
	}
	for _, name := range []string{demoInterface, serverInterface} {
		if code, out, _ := command(t, "extcap", "--extcap-interface", name, "--extcap-dlts"); code != exitOK || !strings.HasPrefix(out, "dlt {number=1}") {
			t.Errorf("%d %q", code, out)
		}
		code, out, _ := command(t, "extcap", "--extcap-interface", name, "--extcap-config")
		if code != exitOK || !strings.Contains(out, "{call=--profile}") || !strings.Contains(out, "{value=early-attestation-06}") {
			t.Errorf("%d %q", code, out)
		}
	}
	file := filepath.Join(t.TempDir(), "run.pcapng")
	code, out, errs := command(t, "extcap", "--extcap-interface", demoInterface, "--capture", "--fifo", file,
		"--profile", "tls-attestation-07", "--profile-file", "", "--attester", "both", "--model", "", "--hello-retry=true", "--fail", "")
	if code != exitOK || out != "" {
		t.Fatalf("%d %q %q", code, out, errs)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if c, err := capture.Read(f); err != nil || len(c.Connections) != 1 || len(c.Keys) != 1 {
		t.Errorf("%v %v", c, err)
	}
	for _, args := range [][]string{{}, {"--capture"}, {"--extcap-interface", "eth0", "--extcap-dlts"},
		{"--extcap-interface", demoInterface}, {"--extcap-interface", demoInterface, "--capture"},
		{"--extcap-interface", demoInterface, "--capture", "--fifo", file, "--profile-file", "no such"},
		{"--extcap-interface", demoInterface, "--capture", "--fifo", file, "--attester", "--json"}} {
		if code, _, errs := command(t, append([]string{"extcap"}, args...)...); code == exitOK {
			t.Errorf("%q is taken: %s", args, errs)
		}
	}
}
