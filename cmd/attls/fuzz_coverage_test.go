package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"attls/fuzz/campaign"
)

// TestSnapshotsOfAnotherBuild: a build that does not count what it runs leaves no directory, and
// is not asked again.
func TestSnapshotsOfAnotherBuild(t *testing.T) {
	if testing.CoverMode() != "" {
		t.Skip("this build counts what it runs")
	}
	s := &snapshots{dir: t.TempDir()}
	s.take(campaign.Stats{Elapsed: time.Minute}, true)
	if _, err := os.Stat(filepath.Join(s.dir, "coverage")); err == nil || !s.off {
		t.Errorf("%v, %+v", err, s)
	}
}
