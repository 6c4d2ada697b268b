package peers

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// sourceTree makes what build.sh takes for the sources of mbedTLS.
func sourceTree(t *testing.T, version, config string, generated bool) string {
	t.Helper()
	tree := filepath.Join(t.TempDir(), "mbed tls")
	files := map[string]string{
		"include/mbedtls/build_info.h":     `#define MBEDTLS_VERSION_STRING         "` + version + "\"\n",
		"include/mbedtls/mbedtls_config.h": config,
	}
	if generated {
		files["library/error.c"] = ""
	}
	for name, content := range files {
		name = filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

// What build.sh cannot build, it refuses with a reason, and leaves nothing.
func TestBuildRefusesSources(t *testing.T) {
	for _, tool := range []string{"bash", "patch", "gcc", "make", "tar", "bzip2", "sha256sum"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	const plain = "//#define MBEDTLS_SSL_EARLY_DATA\n"
	for _, test := range []struct {
		name, tree string
		want       []string
	}{
		{"not mbedTLS", t.TempDir(), []string{"is not a source tree of mbedTLS 3.6"}},
		{"no directory", filepath.Join(t.TempDir(), "none"), []string{"--src needs a directory"}},
		{"another version", sourceTree(t, "4.0.0", plain, true), []string{"is mbedTLS 4.0.0", "3.6"}},
		{"patched", sourceTree(t, "3.6.6", plain+"//#define MBEDTLS_SSL_CUSTOM_EXTENSIONS\n", true), []string{"MBEDTLS_SSL_CUSTOM_EXTENSIONS already"}},
		{"not generated", sourceTree(t, "3.6.6", plain, false), []string{"library/error.c", "make generated_files"}},
		{"patches do not apply", sourceTree(t, "3.6.6", plain, true), []string{"0001-custom-extensions.patch does not apply", "include/mbedtls/ssl.h"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			cache := filepath.Join(t.TempDir(), "a cache")
			cmd := exec.Command("bash", "../mbedtls/build.sh", "--src", test.tree)
			cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+cache)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("it accepts the tree:\n%s", out)
			}
			for _, want := range test.want {
				if !strings.Contains(string(out), want) {
					t.Errorf("it does not say %q:\n%s", want, out)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(cache, "attls", "mbedtls", "*")); len(left) > 0 {
				t.Errorf("it leaves %v", left)
			}
		})
	}
}

var (
	comments   = regexp.MustCompile(`(?s)/\*.*?\*/|"(?:[^"\\\n]|\\.)*"`)
	definition = regexp.MustCompile(`(?m)^(?:const struct draft (\w+) = |(?:const |struct |enum |unsigned )?\w+ \*?(\w+)\()`)
	words      = regexp.MustCompile(`\w+`)
)

// neededFiles says of each C file which others define what it uses.
func neededFiles(sources map[string]string) map[string][]string {
	home := map[string]string{}
	for name, text := range sources {
		for _, m := range definition.FindAllStringSubmatch(text, -1) {
			home[m[1]+m[2]] = name
		}
	}
	needs := map[string][]string{}
	for name, text := range sources {
		for _, word := range words.FindAllString(text, -1) {
			if at := home[word]; at != "" && at != name && !slices.Contains(needs[name], at) {
				needs[name] = append(needs[name], at)
			}
		}
		slices.Sort(needs[name])
	}
	return needs
}

// circle is a way from a file back to one on the way; nil if there is none.
func circle(needs map[string][]string, way ...string) []string {
	for _, next := range needs[way[len(way)-1]] {
		if slices.Contains(way, next) {
			return append(way, next)
		}
		if found := circle(needs, append(slices.Clone(way), next)...); found != nil {
			return found
		}
	}
	return nil
}

// No file of the mbedTLS peer needs one that needs it.
func TestMbedTLSPeerHasNoCircle(t *testing.T) {
	names, err := filepath.Glob("../mbedtls/peer/*.c")
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sources[filepath.Base(name)] = comments.ReplaceAllString(string(text), "")
	}
	needs := neededFiles(sources)
	// That definitions are found at all: what each of these needs is known.
	for name, want := range map[string]string{
		"main.c": "end.c", "end.c": "session.c", "session.c": "evidence.c", "evidence.c": "command.c", "options.c": "early.c", "resume.c": "background.c",
		"failure.c": "codepoints.c", "early.c": "choice.c", "claims.c": "names.c",
	} {
		if !slices.Contains(needs[name], want) {
			t.Errorf("%s needs %v, not %s", name, needs[name], want)
		}
	}
	for _, name := range names {
		if way := circle(needs, filepath.Base(name)); way != nil {
			t.Fatalf("a circle: %s", strings.Join(way, " → "))
		}
	}
}
