package campaign

import (
	"go/build"
	"slices"
	"testing"
)

// TestPlantedEndsNeedATag: no ordinary build, for whatever system, has what serves planted
// bugs to others.
func TestPlantedEndsNeedATag(t *testing.T) {
	for _, system := range []string{"linux", "darwin", "windows", "js"} {
		for directory, files := range map[string][]string{".": {"planted.go"}, "../planted": {"main.go", "run.go"}} {
			c := build.Default
			c.GOOS, c.BuildTags = system, []string{"attls_workbench"} // of releases
			if p, _ := c.ImportDir(directory, 0); p == nil || directory != "." && len(p.GoFiles)+len(p.TestGoFiles) > 0 ||
				slices.Contains(p.GoFiles, "planted.go") {
				t.Errorf("%s, %s: the ordinary build has %v", system, directory, p)
			}
			c.BuildTags = append(c.BuildTags, "attls_planted")
			p, err := c.ImportDir(directory, 0)
			for _, name := range files {
				if err != nil || !slices.Contains(p.GoFiles, name) {
					t.Errorf("%s: the tag does not add %s: %v", directory, name, err)
				}
			}
		}
	}
}
