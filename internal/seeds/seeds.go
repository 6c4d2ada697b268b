// Package seeds gives native fuzz targets their seeds and corpora, and says what they are called
// with. A target begins with Add, and its fuzz function with Input:
//
//	func FuzzX(f *testing.F) {
//		p := seeds.Once(func() *policy { … }) // what all inputs share
//		seeds.Add(f, func() { f.Add([]byte("seed")) })
//		f.Fuzz(func(t *testing.T, b []byte) {
//			seeds.Input(t, b)
//
// The corpus of a target is the file testdata/corpus/NAME, which fuzz/corpora writes. Variables of
// the environment have the inputs of a run written, or those that reach something new; the constants
// below name them.
package seeds

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"
)

// Variables of the environment, each with a directory.
const (
	// WriteVariable has each input that a target is called with written to a file in NAME, in
	// the form of Octets.
	WriteVariable = "ATTLS_WRITE_SEEDS"
	// CandidatesVariable has inputs in files of the form of Marshal, in NAME; they are run after
	// the seeds and without the corpus, in the order of their names.
	CandidatesVariable = "ATTLS_CANDIDATE_SEEDS"
	// KeepVariable has those of the candidates written to the corpus NAME that run code which
	// nothing before them ran. It takes a test that was built with -cover.
	KeepVariable = "ATTLS_KEEP_SEEDS"
)

// MaxInput is the size up to which inputs are candidates for a corpus, in octets of their file.
const MaxInput = 1 << 16

// Directory is where the corpora of a package are, in it.
const Directory = "testdata/corpus"

var (
	once  sync.Map // by type
	state struct {
		sync.Mutex
		candidates map[string]bool
		reached    float64
		writes     string
		keeps      string
	}
)

// Once returns what make returns. Where a target is called for each input, as a fuzzer in C does,
// make is called for the first one alone; elsewhere for each call of the target, as its parts may
// end with the test. A target uses a type once.
func Once[T any](make func() T) T {
	if !eachInput {
		return make()
	}
	key := reflect.TypeFor[T]()
	if v, ok := once.Load(key); ok {
		return v.(T)
	}
	v := make()
	once.Store(key, v)
	return v
}

// Add adds seeds to a target: those that from adds, and its corpus. A fuzzer in C takes them from
// an archive, and from is not called.
func Add(f *testing.F, from func()) {
	f.Helper()
	if eachInput {
		return
	}
	from()
	s := &state
	s.Lock()
	defer s.Unlock()
	s.writes, s.keeps, s.candidates = os.Getenv(WriteVariable), os.Getenv(KeepVariable), nil
	if dir := os.Getenv(CandidatesVariable); dir != "" {
		list, err := candidates(filepath.Join(dir, f.Name()))
		if err != nil {
			f.Fatal(err)
		}
		s.candidates = map[string]bool{}
		for _, args := range list {
			s.candidates[string(Marshal(args))] = true
			f.Add(args...)
		}
	} else {
		list, err := ReadFile(filepath.Join(filepath.FromSlash(Directory), f.Name()), nil)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.Fatal(err)
		}
		for _, args := range list {
			f.Add(args...)
		}
	}
	s.reached = testing.Coverage()
}

// candidates are the inputs in the files of a directory.
func candidates(dir string) (list [][]any, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		one, err := ReadFile(filepath.Join(dir, file.Name()), nil)
		if err != nil {
			return nil, err
		}
		list = append(list, one...)
	}
	return list, nil
}

// maxCorpus bounds the files that are read.
const maxCorpus = 1 << 24

// ReadFile reads a corpus or one input from a regular file, as Unmarshal does. An error names the
// file.
func ReadFile(name string, types []string) ([][]any, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	if info.Size() > maxCorpus {
		return nil, fmt.Errorf("%s: %d octets, more than %d", name, info.Size(), maxCorpus)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	list, err := Unmarshal(b, types)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return list, nil
}

// Input says what a fuzz function was called with: its arguments behind t. It is the first thing
// that the function does.
func Input(t *testing.T, args ...any) {
	if eachInput || state.writes == "" && state.keeps == "" {
		return
	}
	t.Helper()
	input(t, args)
}

func input(t *testing.T, args []any) {
	name := filepath.Dir(filepath.FromSlash(t.Name()))
	if state.writes != "" {
		b := Octets(args)
		dir := filepath.Join(state.writes, name)
		err := os.MkdirAll(dir, 0o755)
		if err == nil {
			err = WriteFile(filepath.Join(dir, Name(b)), b)
		}
		if err != nil {
			t.Error(err)
		}
	}
	if state.keeps == "" {
		return
	}
	b := Marshal(args) // before the target changes them
	t.Cleanup(func() {
		s := &state
		s.Lock()
		defer s.Unlock()
		now := testing.Coverage()
		if now <= s.reached {
			return
		}
		s.reached = now
		if !s.candidates[string(b)] {
			return
		}
		file, err := os.OpenFile(filepath.Join(s.keeps, name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err == nil {
			_, err = file.Write(b)
			err = cmp.Or(err, file.Close())
		}
		if err != nil {
			t.Error(err)
		}
	})
}

// Name is the name of a file for an input, by its contents.
func Name(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b))[:16] }

// WriteFile writes a file next to its place and moves it there, so that an interrupt leaves the
// old one or the new one.
func WriteFile(name string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = cmp.Or(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("%s is left as it was: %w", name, err)
	}
	return nil
}

// Sort puts inputs in the order in which they are tried: small ones first.
func Sort(list [][]any) {
	slices.SortStableFunc(list, func(a, b []any) int {
		x, y := Marshal(a), Marshal(b)
		return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(string(x), string(y)))
	})
}

// ReadTestdata reads a file that a target needs besides its input. Builds for fuzzers in C run
// elsewhere: there it is one of the same name in the directory testdata next to the program.
func ReadTestdata(name string) ([]byte, error) {
	if !eachInput {
		return os.ReadFile(filepath.FromSlash(name))
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(filepath.Dir(program), "testdata", path.Base(name)))
}
