package claims

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
)

func TestCommit(t *testing.T) {
	settings := func(kv ...string) *debug.BuildInfo {
		info := &debug.BuildInfo{}
		for i := 0; i < len(kv); i += 2 {
			info.Settings = append(info.Settings, debug.BuildSetting{Key: kv[i], Value: kv[i+1]})
		}
		return info
	}
	for name, row := range map[string]struct {
		told string
		info *debug.BuildInfo
		want string
	}{
		"a build that records nothing":                     {"", nil, ""},
		"a build outside a repository":                     {"", settings("GOOS", "linux"), ""},
		"a clean tree":                                     {"", settings("vcs.revision", "abc", "vcs.modified", "false"), "abc"},
		"a tree with changes":                              {"", settings("vcs.modified", "true", "vcs.revision", "abc"), "abc+dirty"},
		"what the linker was told comes first":             {"def", settings("vcs.revision", "abc", "vcs.modified", "true"), "def"},
		"changes to a commit that the build does not know": {"", settings("vcs.modified", "true"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := commitOf(row.told, row.info); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
}

// TestRelease: the newest release of the CHANGELOG is the one that attls version prints.
func TestRelease(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "\n## v")
	if first, _, _ := strings.Cut(after, " "); "v"+first != Release {
		t.Errorf("CHANGELOG.md begins with v%s, attls version prints %s", first, Release)
	}
}
