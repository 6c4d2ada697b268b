package peers

import (
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"attls/conformance"
)

// TestClaimsInTurn: the claims of a server's first connection are there before
// its second one, since a program may print those of two that overlap in any order.
func TestClaimsInTurn(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip(err)
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Skip(err)
	}
	p, err := start(t.Context(), 2, "sh", "-c", `echo "listening on here" >&2; echo '{"role":"first"}'; read line < "$0"; echo '{"role":"second"}'`, fifo)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	role := func(c conformance.Claims, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return c.Role
	}
	if got := role(p.Claims()); got != "first" {
		t.Errorf("the first claims are %q", got)
	}
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", `echo > "$0"`, fifo).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := role(p.Claims()); got != "second" {
		t.Errorf("the second claims are %q", got)
	}
	if _, err := p.Claims(); err == nil {
		t.Error("there are claims of a third connection")
	}
}
