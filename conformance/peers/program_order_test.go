package peers

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"attls/conformance/claims"
	"attls/internal/fifo"
)

// pipe makes a named pipe, which nobody writes to.
func pipe(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip(err)
	}
	name := filepath.Join(t.TempDir(), "pipe")
	if err := fifo.Make(name, 0o600); err != nil {
		t.Skip(err)
	}
	return name
}

// TestChildLivesOn: a program has ended although a child of its has not, and
// holds its output.
func TestChildLivesOn(t *testing.T) {
	name := pipe(t)
	p, err := start(t.Context(), 1, "sh", "-c", `echo "listening on here" >&2; (read line < "$0") & echo '{"role":"parent"}'`, name)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := p.Claims(); err != nil || c.Role != "parent" {
		t.Errorf("%+v, %v", c, err)
	}
	p.Stop()
	if f, err := os.OpenFile(name, os.O_RDWR, 0); err != nil { // lets the child go
		t.Error(err)
	} else {
		f.Close()
	}
}

// TestClaimsInTurn: the claims of a server's first connection are there before
// its second one, since a program may print those of two that overlap in any order.
func TestClaimsInTurn(t *testing.T) {
	name := pipe(t)
	p, err := start(t.Context(), 2, "sh", "-c", `echo "listening on here" >&2; echo '{"role":"first"}'; read line < "$0"; echo '{"role":"second"}'`, name)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	role := func(c claims.Claims, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return c.Role
	}
	if got := role(p.Claims()); got != "first" {
		t.Errorf("the first claims are %q", got)
	}
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", `echo > "$0"`, name).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := role(p.Claims()); got != "second" {
		t.Errorf("the second claims are %q", got)
	}
	if _, err := p.Claims(); err == nil {
		t.Error("there are claims of a third connection")
	}
}
