package private

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"attls/internal/fifo"
)

// ways are the ways to write a file, and whether what was there stays.
var ways = map[string]struct {
	write  func(name, text string) error
	append bool
}{
	"Create": {func(name, text string) error {
		f, err := Create(name)
		return write(f, err)([]byte(text))
	}, false},
	"Append": {func(name, text string) error {
		f, err := Append(name)
		return write(f, err)([]byte(text))
	}, true},
	"WriteFile": {func(name, text string) error { return WriteFile(name, []byte(text)) }, false},
}

// TestModes: whatever was there before, only the owner can read what is there now.
func TestModes(t *testing.T) {
	for name, way := range ways {
		for before, make := range map[string]func(t *testing.T, dir string) (file string){
			"nothing":  func(t *testing.T, dir string) string { return filepath.Join(dir, "f") },
			"0644":     func(t *testing.T, dir string) string { return old(t, dir, 0o644) },
			"0666":     func(t *testing.T, dir string) string { return old(t, dir, 0o666) },
			"0600":     func(t *testing.T, dir string) string { return old(t, dir, 0o600) },
			"a link":   func(t *testing.T, dir string) string { return link(t, dir, old(t, dir, 0o644)) },
			"two":      func(t *testing.T, dir string) string { return link(t, dir, link(t, dir, old(t, dir, 0o666))) },
			"dangling": func(t *testing.T, dir string) string { return link(t, dir, "nowhere") },
			"a directory without the right to make files": func(t *testing.T, dir string) string {
				file := old(t, dir, 0o644)
				os.Chmod(dir, 0o500)
				t.Cleanup(func() { os.Chmod(dir, 0o700) })
				return file
			},
		} {
			t.Run(name+" over "+before, func(t *testing.T) {
				file := make(t, t.TempDir())
				kept, want := "", "secret"
				if way.append && before != "nothing" && before != "dangling" {
					kept = "old"
				}
				if err := way.write(file, want); err != nil {
					t.Fatal(err)
				}
				info, err := os.Stat(file)
				if err != nil || info.Mode() != 0o600 {
					t.Fatalf("mode %v, %v", info.Mode(), err)
				}
				if b, err := os.ReadFile(file); err != nil || string(b) != kept+want {
					t.Errorf("%q, %v", b, err)
				}
				if info, _ := os.Lstat(file); (before == "a link" || before == "two" || before == "dangling") != (info.Mode()&fs.ModeSymlink != 0) {
					t.Errorf("the name is %v", info.Mode())
				}
				if files, _ := os.ReadDir(filepath.Dir(file)); len(files) > 3 {
					t.Errorf("files are left over: %v", files)
				}
			})
		}
	}
}

func old(t *testing.T, dir string, mode fs.FileMode) string {
	t.Helper()
	name := filepath.Join(dir, "f")
	if err := os.WriteFile(name, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
	return name
}

func link(t *testing.T, dir, to string) string {
	t.Helper()
	name := filepath.Join(dir, "link-to-"+filepath.Base(to))
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestOpenBefore: who had the file open does not see the secret.
func TestOpenBefore(t *testing.T) {
	for _, name := range []string{"Create", "WriteFile"} {
		file := old(t, t.TempDir(), 0o644)
		spy, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer spy.Close()
		if err := ways[name].write(file, "secret"); err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(spy); string(b) != "old" {
			t.Errorf("%s: %q is seen", name, b)
		}
	}
}

// TestSpecial: pipes and devices are written, and nothing else is changed.
func TestSpecial(t *testing.T) {
	for name, way := range ways {
		dir := t.TempDir()
		pipe := filepath.Join(dir, "fifo")
		if err := fifo.Make(pipe, 0o644); err != nil {
			t.Skip(err)
		}
		got := make(chan string, 1)
		go func() {
			b, _ := os.ReadFile(pipe)
			got <- string(b)
		}()
		if err := way.write(pipe, "secret"); err != nil {
			t.Fatal(err)
		}
		if text := <-got; text != "secret" {
			t.Errorf("%s: the pipe carries %q", name, text)
		}
		if info, err := os.Lstat(pipe); err != nil || info.Mode()&fs.ModeNamedPipe == 0 || info.Mode().Perm() != 0o644 {
			t.Errorf("%s: the pipe is %v, %v", name, info, err)
		}
		if err := way.write(link(t, dir, os.DevNull), "secret"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := way.write(dir, "secret"); err == nil {
			t.Errorf("%s: a directory is written", name)
		}
		if err := way.write(filepath.Join(dir, "missing", "f"), "secret"); err == nil {
			t.Errorf("%s: a directory that is not there", name)
		}
		loop := filepath.Join(dir, "loop")
		os.Symlink("loop", loop)
		if err := way.write(loop, "secret"); err == nil {
			t.Errorf("%s: a link to itself", name)
		}
	}
}

// TestRemove: the secrets go, wherever a link has put them, and a device stays.
func TestRemove(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := os.Symlink(target, link); err != nil {
		t.Skip(err)
	}
	if err := WriteFile(link, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Remove(link); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(target); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the secrets are still there: %v", err)
	}
	device := filepath.Join(dir, "device")
	if err := os.Symlink(os.DevNull, device); err != nil {
		t.Fatal(err)
	}
	if err := Remove(device); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(device); err != nil {
		t.Errorf("the device is gone: %v", err)
	}
}
