package profile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHeader: the headers that our C programs are built with are those of the
// profiles.
func TestHeader(t *testing.T) {
	files, err := filepath.Glob("../../conformance/mbedtls/peer/codepoints/*.h")
	if err != nil || len(files) == 0 {
		t.Fatal("no headers", err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		p, err := Load(name[:len(name)-len(".h")], Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != Header(p) {
			t.Errorf("%s is not what \"attls profile header\" writes", file)
		}
	}
	p, err := Load("early-attestation-00", Options{CodePoints: map[string]uint64{"messages.attestation": 0xe7}})
	if err != nil {
		t.Fatal(err)
	}
	const want = "\n#define EARLY_ATTESTATION_00_MESSAGE_ATTESTATION 231\n"
	if h := Header(p); !strings.Contains(h, want) {
		t.Errorf("%q lacks %q", h, want)
	}
}
