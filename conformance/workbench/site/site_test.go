package site

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func sample(t *testing.T) Files {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{engineFile, glueFile, beginFile} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := Load(context.Background(), dir, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestHandler(t *testing.T) {
	files := sample(t)
	for _, c := range []struct {
		method, host, path string
		status             int
	}{
		{"GET", "127.0.0.1:1", "/", 200}, {"GET", "localhost:1", "/page.js", 200}, {"HEAD", "[::1]:1", "/attls.wasm.gz", 200},
		{"GET", "127.0.0.1", "/../site.go", 404}, {"GET", "127.0.0.1:1", "/page/page.js", 404},
		{"POST", "127.0.0.1:1", "/", 405}, {"PUT", "127.0.0.1:1", "/page.js", 405},
		{"GET", "rebound.example", "/", 403}, {"GET", "127.0.0.1.example:1", "/", 403}, {"GET", "", "/", 403},
	} {
		r := httptest.NewRequest(c.method, "http://x/", nil)
		r.Host, r.URL.Path = c.host, c.path
		w := httptest.NewRecorder()
		files.Handler().ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s %s at %q: %d, expected %d", c.method, c.path, c.host, w.Code, c.status)
		}
		if p := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(p, Policy) {
			t.Errorf("the policy is %q", p)
		}
	}
}

// TestPolicy: the page has the policy inside, without which a static host would serve it
// without one, and nothing in it that the policy would refuse.
func TestPolicy(t *testing.T) {
	for _, want := range []string{"default-src 'none'", "connect-src 'self'", "form-action 'none'", "base-uri 'none'"} {
		if !strings.Contains(Policy, want) {
			t.Errorf("the policy lacks %s", want)
		}
	}
	if strings.Contains(Policy, "unsafe-inline") || strings.Contains(Policy, "http") || strings.Contains(Policy, "*") {
		t.Error("the policy is too wide")
	}
	html := string(sample(t)["index.html"])
	if !strings.Contains(html, `content="`+Policy+`"`) {
		t.Error("the page does not have the policy")
	}
	for _, inline := range []string{"<style", "style=", "onclick=", "javascript:", "http://", "https://"} {
		if strings.Contains(html, inline) {
			t.Errorf("the page has %s", inline)
		}
	}
}

// TestScriptsWriteText: nothing of a profile becomes markup.
func TestScriptsWriteText(t *testing.T) {
	for name, b := range sample(t) {
		for _, bad := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function",
			"XMLHttpRequest", "WebSocket", "sendBeacon", "EventSource", "RTCPeerConnection"} {
			if strings.HasSuffix(name, ".js") && strings.Contains(string(b), bad) {
				t.Errorf("%s has %s", name, bad)
			}
		}
	}
}

func TestExport(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "site")
	files := sample(t)
	if err := files.Export(dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(got) != string(want) {
			t.Errorf("%s: %d octets, %v", name, len(got), err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := files.Export(file); err == nil {
		t.Error("a file is taken for a folder")
	}
}

func TestNoEngine(t *testing.T) {
	if _, err := Load(context.Background(), t.TempDir(), nil); err == nil {
		t.Error("a folder without an engine is taken")
	}
	t.Chdir(t.TempDir())
	if embedded == nil {
		if _, err := Load(context.Background(), "", func(string) {}); err == nil || !strings.Contains(err.Error(), "make workbench") {
			t.Errorf("outside the source: %v", err)
		}
	}
}
