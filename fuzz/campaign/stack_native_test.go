package campaign

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// nativeProgram is a program that was built for a fuzzer, or the test skips.
func nativeProgram(t *testing.T, engine string, tools ...string) string {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not here", tool)
		}
	}
	program := findTarget(engine + "-config-mode")
	if program == "" {
		t.Skipf("conformance/mbedtls/targets.sh %s --mode has built no program", engine)
	}
	return program
}

// natively runs a program of a fuzzer in a directory, and returns what it printed.
func natively(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "ATTLS_FUZZ_DIR="+filepath.Join(dir, "target", "0"), "AFL_NO_UI=1", "AFL_SKIP_CPUFREQ=1",
		"AFL_NO_AFFINITY=1", "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1", "AFL_FAST_CAL=1")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(name), err, out[max(0, len(out)-2000):])
	}
	return string(out)
}

// harvest makes a directory with a target and a few seeds, as attls fuzz run --native does.
func harvest(t *testing.T) (dir string, o StackOptions) {
	t.Helper()
	dir = t.TempDir()
	sent, err := NativeSeeds("mbedtls-server", filepath.Join(dir, "checks"), filepath.Join(dir, "mode"))
	if err != nil {
		t.Fatal(err)
	}
	o = StackOptions{Target: "mbedtls-server", Program: stackProgram(t, false), Executions: 1, Seed: 3, Dir: dir}
	n := 0
	o.Sent = func(variant int, s StackSent) {
		if n++; n <= 4 {
			sent(variant, s)
		}
	}
	if _, err := RunStack(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return dir, o
}

// names are the files of a directory.
func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Type().IsRegular() {
			list = append(list, filepath.Join(dir, f.Name()))
		}
	}
	return list
}

// TestNativeLibFuzzer: libFuzzer takes the seeds of a campaign and adds to them, without a
// complaint of a sanitizer, and a campaign takes the messages in what it added.
func TestNativeLibFuzzer(t *testing.T) {
	program := nativeProgram(t, "libfuzzer", "clang")
	dir, o := harvest(t)
	mode := filepath.Join(dir, "mode")
	seeds := names(t, mode)
	natively(t, dir, program, "-runs=60", "-seed=1", mode)
	if more := names(t, mode); len(seeds) == 0 || len(more) <= len(seeds) {
		t.Errorf("%d inputs of %d seeds", len(more), len(seeds))
	}
	list, err := ReadNative(NativeCorpora(dir)...)
	if err != nil || len(list) < 2 {
		t.Fatalf("%d messages, %v", len(list), err)
	}
	o.Messages, o.Resume, o.Sent = list, true, nil
	if r, err := RunStack(t.Context(), o); err != nil || len(r.Found) > 0 || len(r.Unread) > 0 {
		t.Errorf("%v: %+v", err, r)
	}
}

// TestNativeAFL: AFL++ takes the seeds as well, and its queue is read by a campaign and run by
// libFuzzer's program.
func TestNativeAFL(t *testing.T) {
	program := nativeProgram(t, "afl", "afl-fuzz")
	dir, _ := harvest(t)
	natively(t, dir, "afl-fuzz", "-V", "1", "-i", "mode", "-o", "afl", program)
	corpora := NativeCorpora(dir)
	queue := filepath.Join(dir, "afl", "default", "queue")
	if !slices.Contains(corpora, queue) {
		t.Fatalf("corpora: %v", corpora)
	}
	list, err := ReadNative(queue)
	if err != nil || len(list) < 2 {
		t.Errorf("%d messages in the queue, %v", len(list), err)
	}
	if other := findTarget("libfuzzer-config-mode"); other != "" {
		natively(t, dir, other, names(t, queue)[:2]...)
	}
}

// TestNativeCorporaThatAreNotThere: directories that are missing are empty corpora.
func TestNativeCorporaThatAreNotThere(t *testing.T) {
	if list, err := ReadNative(NativeCorpora(t.TempDir())...); err != nil || len(list) > 0 {
		t.Errorf("%d messages, %v", len(list), err)
	}
}
