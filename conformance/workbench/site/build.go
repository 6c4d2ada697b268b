package site

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// enginePackage is the engine's program, as the module has it.
const enginePackage = "conformance/workbench/wasm"

// errNoSource says what to do where there is nothing to build the engine from.
var errNoSource = errors.New("this attls was built without the engine for the browser: run it in its source tree " +
	"with \"go run ./cmd/attls workbench\", or name a folder that \"make workbench\" has written with --engine")

// build has the go command build the engine from the source around the working
// directory. The result is kept in the user's cache, where the go command sees whether
// it is still right.
func build(ctx context.Context, tell func(string)) (Files, error) {
	source, err := sourceTree()
	if err != nil {
		return nil, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	directory := filepath.Join(cache, "attls", "workbench")
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, err
	}
	tell("building the engine for the browser; the first time this takes a minute")
	return Build(ctx, source, directory)
}

// Build builds the engine from the module in source, writes it to a directory and
// returns it. What is in the directory is not built again if nothing has changed.
func Build(ctx context.Context, source, directory string) (Files, error) {
	program := filepath.Join(directory, "attls.wasm")
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=",
		"-o", program, "./"+enginePackage)
	c.Dir = source
	c.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm", "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	wasm, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	glue, err := glueCode(ctx, source)
	if err != nil {
		return nil, err
	}
	packed, err := pack(wasm, filepath.Join(directory, engineFile), program)
	if err != nil {
		return nil, err
	}
	return Files{engineFile: packed, glueFile: glue}, os.WriteFile(filepath.Join(directory, glueFile), glue, 0o644)
}

// pack compresses the engine, unless the file of before is of the same program.
func pack(wasm []byte, name, program string) ([]byte, error) {
	made, err := os.Stat(program)
	if err != nil {
		return nil, err
	}
	if before, err := os.Stat(name); err == nil && before.ModTime().After(made.ModTime()) && before.Size() < maxFile {
		return os.ReadFile(name)
	}
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(wasm); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(name), "packed")
	if err != nil {
		return nil, err
	}
	_, err = f.Write(out.Bytes())
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name) // another attls may be reading it
	}
	return out.Bytes(), err
}

// glueCode is what Go's own distribution runs its programs in browsers with; it belongs to
// the version that builds them.
func glueCode(ctx context.Context, source string) ([]byte, error) {
	c := exec.CommandContext(ctx, "go", "env", "GOROOT")
	c.Dir = source
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	return os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "lib", "wasm", glueFile))
}

// sourceTree is the root of the module around the working directory.
func sourceTree() (string, error) {
	directory, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		mod, err := os.ReadFile(filepath.Join(directory, "go.mod"))
		if err == nil && strings.HasPrefix(string(mod), "module attls\n") {
			if _, err := os.Stat(filepath.Join(directory, enginePackage)); err == nil {
				return directory, nil
			}
		}
		parent := filepath.Dir(directory)
		if parent == directory {
			return "", errNoSource
		}
		directory = parent
	}
}
