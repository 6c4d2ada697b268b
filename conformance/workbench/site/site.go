// Package site is the page of "attls workbench": its files, the engine for the browser,
// and what serves both or writes them to a folder.
package site

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"attls/conformance/workbench"
)

//go:embed page
var page embed.FS

// Policy is the content security policy of the page, in a header where it is served and in
// the page itself. It loads its own files and sends nothing to any other place.
const Policy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src data:; " +
	"connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'"

// The files of the engine.
const (
	engineFile = "attls.wasm.gz"
	glueFile   = "wasm_exec.js" // of the Go release that built the engine
	beginFile  = "begin.json"   // what the page shows before the engine is there
)

// Files are the files of the page by name.
type Files map[string][]byte

// pageFiles are the files that this package has.
func pageFiles() (Files, error) {
	files := Files{}
	entries, err := page.ReadDir("page")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		b, err := page.ReadFile("page/" + e.Name())
		if err != nil {
			return nil, err
		}
		files[e.Name()] = bytes.ReplaceAll(b, []byte("{{CSP}}"), []byte(Policy))
	}
	return files, nil
}

// Load puts the page together with an engine: the one in a directory, where one is named;
// else the one in this program, where it was built with it; else one that the go command
// builds from the source, in which the working directory must be. tell is told what takes
// time.
func Load(ctx context.Context, directory string, tell func(string)) (Files, error) {
	files, err := pageFiles()
	if err != nil {
		return nil, err
	}
	engine := embedded
	switch {
	case directory != "":
		engine, err = read(os.DirFS(directory))
	case engine == nil:
		engine, err = build(ctx, tell)
	}
	if err != nil {
		return nil, err
	}
	for name, b := range engine {
		files[name] = b
	}
	if files[beginFile] == nil {
		files[beginFile], err = begin()
	}
	return files, err
}

// begin is what the engine says first.
func begin() ([]byte, error) {
	r := workbench.New().Call("begin", []byte("{}"))
	if r.Error != "" {
		return nil, errors.New(r.Error)
	}
	return json.Marshal(r.Result)
}

// maxFile bounds a file of the engine, in octets.
const maxFile = 64 << 20

func read(from fs.FS) (Files, error) {
	files := Files{}
	for _, name := range []string{engineFile, glueFile, beginFile} {
		info, err := fs.Stat(from, name)
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() || info.Size() > maxFile {
			return nil, fmt.Errorf("%s is not a file of at most %d octets", name, maxFile)
		}
		if files[name], err = fs.ReadFile(from, name); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// Export writes the page to a folder, which any static host can serve. The folder is
// created; files of these names are replaced.
func (f Files) Export(directory string) error {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	for name, b := range f {
		if err := os.WriteFile(filepath.Join(directory, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Handler serves the files, and nothing else, to programs of this machine: a request
// under another name than that of the loopback interface is refused, since it comes
// from a page of somebody else.
func (f Files) Handler() http.Handler {
	tags := map[string]string{}
	for name, b := range f {
		tags[name] = fmt.Sprintf("%q", fmt.Sprintf("%x", sha256.Sum256(b)))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", Policy+"; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache") // a browser asks whether its copy is still right
		name := strings.TrimPrefix(r.URL.Path, "/")
		if name == "" {
			name = "index.html"
		}
		b, ok := f[name]
		switch {
		case !loopback(r.Host):
			http.Error(w, "this page is for the machine that it runs on", http.StatusForbidden)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			http.Error(w, "this page is only read", http.StatusMethodNotAllowed)
		case !ok:
			http.Error(w, "there is no such file", http.StatusNotFound)
		default:
			h.Set("Content-Type", contentType(name))
			h.Set("ETag", tags[name])
			if name == engineFile {
				h.Set("Content-Encoding", "gzip")
			}
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
		}
	})
}

func contentType(name string) string {
	switch path.Ext(name) {
	case ".gz":
		return "application/wasm" // as it is after its encoding
	case ".js":
		return "text/javascript; charset=utf-8"
	}
	return mime.TypeByExtension(path.Ext(name))
}

func loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Serve answers on a listener until the context ends.
func (f Files) Serve(ctx context.Context, l net.Listener) error {
	s := &http.Server{Handler: f.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute,
		WriteTimeout: time.Minute, MaxHeaderBytes: 1 << 14}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
