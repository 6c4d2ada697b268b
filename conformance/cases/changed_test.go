package cases

import (
	"context"
	"path/filepath"
	"testing"

	"attls/conformance/scenario"
	"attls/extensions/profile"
)

// changedDrafts are drafts changed as authors propose it.
const changedDrafts = "../../extensions/profile/testdata/changed/*.yaml"

// TestChangedDrafts runs the whole grid of each changed draft: it loads, lints without an
// error, and whatever it allows is attested while each fault is rejected.
func TestChangedDrafts(t *testing.T) {
	files, err := filepath.Glob(changedDrafts)
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			if err := profile.Lint(file).Err(); err != nil {
				t.Fatal(err)
			}
			list, err := All().Grid(scenario.Scenario{Profile: file})
			if err != nil {
				t.Fatal(err)
			}
			allowed := 0
			for _, r := range All().RunGrid(context.Background(), list, 2, nil) {
				if r.Error != "" {
					t.Errorf("%s: %s", r.String(), r.Error)
				}
				if r.Kind == GridAllowed {
					allowed++
				}
			}
			if allowed == 0 {
				t.Error("it allows nothing")
			}
		})
	}
}
