package workbench

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestReady opens the page as somebody does who starts "attls workbench", and says when what was
// there. ATTLS_OPENED opens it so many times.
func TestReady(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("ATTLS_OPENED"))
	if err != nil || n < 1 {
		n = 1
	}
	var p *tab
	for range n {
		p = open(t, "", large)
		p.until("measured.warm")
		t.Logf("milliseconds: %v", ask[map[string]float64](p, "measured"))
	}
	if same := ask[bool](p, `Promise.all([engine.ask("begin", {}), fetch("begin.json").then((r) => r.json())]).then(([a, b]) => {
		delete a.about.version; delete b.about.version; return JSON.stringify(a) === JSON.stringify(b); })`); !same {
		t.Error("what is stored with the page is not what its engine says")
	}
}

// TestStaticHost: what --export writes works on a server that knows nothing of it. Without the engine,
// the page can still be read and written in, and says what is missing.
func TestStaticHost(t *testing.T) {
	if chromium == nil {
		t.Skip(missing)
	}
	dir := t.TempDir()
	c := exec.Command(program, "workbench", "--export", dir)
	c.Dir = root
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(server.Close)
	p := openAt(t, server.URL+"/", "", large)
	p.edit(changed)
	p.until("lastRun && lastRun.ok && lastRun.scenario.profile === 'mine' && $('ladder').textContent.includes('0xff07')")

	if err := os.Remove(filepath.Join(dir, "attls.wasm.gz")); err != nil {
		t.Fatal(err)
	}
	p = openAt(t, server.URL+"/", "", large)
	p.until("lastRun && lastRun.ok && engine.failed")
	if s := ask[string](p, "$('status').textContent"); !strings.Contains(s, "cannot be loaded") || !strings.Contains(s, "404") {
		t.Errorf("the status is %q", s)
	}
	ask[bool](p, "editor.value += '# more\\n', editor.dispatchEvent(new Event('input')), true")
	p.until("$('problems').textContent.includes('cannot be loaded') && state.text.endsWith('# more\\n') && engine.restarts === 0")
	p.forget()
}
