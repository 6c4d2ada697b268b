package campaign

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"attls"
	"attls/internal/seeds"
)

// GoTarget is the native target of package fuzz whose inputs are handshake messages, which a
// campaign exchanges with Go's fuzzer.
const GoTarget = "FuzzMessage"

// goCorpus is the directory of Go's inputs of GoTarget.
type goCorpus struct {
	dir string

	mu   sync.Mutex
	have map[string]bool // names of files
}

// openGoCorpus makes the directory of GoTarget in another one, as Go's fuzzer has it in its cache.
func openGoCorpus(native string) (*goCorpus, error) {
	g := &goCorpus{dir: filepath.Join(native, GoTarget), have: map[string]bool{}}
	return g, os.MkdirAll(g.dir, 0o755)
}

// add writes the handshake messages that an attacker sent.
func (g *goCorpus) add(r *run) error {
	for i := range r.log {
		x := &r.log[i]
		if x.role != r.attacker || !x.sent || x.raw == nil || len(x.raw) > maxNativeFile {
			continue
		}
		b := seeds.Marshal([]any{x.raw})
		name := seeds.Name(b)
		g.mu.Lock()
		have := g.have[name] || len(g.have) >= maxNative
		g.have[name] = true
		g.mu.Unlock()
		if have {
			continue
		}
		if err := seeds.WriteFile(filepath.Join(g.dir, name), b); err != nil {
			return err
		}
	}
	return nil
}

// read returns the messages in the directory, and the files that hold none, with the reason.
func (g *goCorpus) read() (messages [][]byte, unread []string, err error) {
	files, err := os.ReadDir(g.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	for i, f := range files {
		name := filepath.Join(g.dir, f.Name())
		if i == maxNative {
			unread = append(unread, fmt.Sprintf("%s and what follows: more than %d files", name, maxNative))
			break
		}
		list, err := seeds.ReadFile(name, []string{"[]uint8"})
		if err != nil {
			unread = append(unread, attls.Printable(err.Error()))
			continue
		}
		for _, args := range list {
			if b, ok := args[0].([]byte); ok && len(b) >= 4 && len(b) <= maxNativeFile {
				messages = append(messages, b)
			}
		}
	}
	return messages, unread, nil
}

// openNative opens the corpora of Go's fuzzer.
func (c *campaign) openNative() (err error) {
	if c.native, err = openGoCorpus(c.o.Native); err != nil || !c.o.Resume {
		return err
	}
	var unread []string
	c.messages, unread, err = c.native.read()
	c.report.Unread = append(c.report.Unread, unread...)
	return err
}
