package vectors

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"attls/extensions/profile"
)

// TestVectors: there is a vector for each role, model and credential, with binders that
// are not empty, and twice the same octets come out.
func TestVectors(t *testing.T) {
	for _, name := range []string{"early-attestation-00", "early-attestation-06", "tls-attestation-07", "mbedtls-poc"} {
		p, err := profile.Load(name, profile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		first, second := t.TempDir(), t.TempDir()
		n, err := Write(first, p)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Write(second, p); err != nil || again != n || n < 20 {
			t.Errorf("%s: %d files, then %d, %v", name, n, again, err)
		}
		files, _ := filepath.Glob(filepath.Join(first, "*.json"))
		if len(files) != n {
			t.Errorf("%s: %d of %d files have a name of their own", name, len(files), n)
		}
		sound := 0
		for _, f := range files {
			a, _ := os.ReadFile(f)
			b, _ := os.ReadFile(filepath.Join(second, filepath.Base(f)))
			if !bytes.Equal(a, b) {
				t.Errorf("%s: %s differs from one run to the next", name, filepath.Base(f))
			}
			var v Vector
			if err := json.Unmarshal(a, &v); err != nil {
				t.Fatal(err)
			}
			if v.Format != Format || v.Profile != p.ID || len(v.Messages) == 0 || v.Wire.Client == "" {
				t.Errorf("%s: %s is empty", name, filepath.Base(f))
			}
			if v.Reject != nil {
				if v.Reject.By == "" || v.Reject.Failure == "" {
					t.Errorf("%s: %s says nothing of what follows", name, filepath.Base(f))
				}
				continue
			}
			sound++
			for _, b := range v.Binders {
				if b.Value == "" || b.Tree == nil || len(b.Tree.Parts) == 0 {
					t.Errorf("%s: %s has no binder of the %s", name, filepath.Base(f), b.Attester)
				}
			}
			if v.Model == "evidence" && len(v.Binders) == 0 || v.Inputs["spki server"] == "" || len(v.Secrets) == 0 {
				t.Errorf("%s: %s lacks inputs", name, filepath.Base(f))
			}
		}
		if sound < 2 {
			t.Errorf("%s: %d sound connections", name, sound)
		}
	}
}
