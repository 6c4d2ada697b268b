package main

import (
	"io"
	"os"
	"path/filepath"
	"runtime/coverage"
	"strconv"

	"attls/fuzz/campaign"
)

// snapshots writes what was run so far of a build with -cover -covermode=atomic, at moments that
// are further and further apart, for attls fuzz report. Another build writes nothing.
type snapshots struct {
	dir  string // of the campaign
	next int    // seconds
	off  bool
}

// take writes a snapshot if it is time for one. The last one counts from the end of the campaign.
func (s *snapshots) take(x campaign.Stats, last bool) {
	seconds := int(x.Elapsed.Seconds())
	if s.off || !last && seconds < max(s.next, 1) {
		return
	}
	s.next = 2 * max(seconds, 1)
	s.off = !coverageTo(filepath.Join(s.dir, "coverage", "raw", strconv.Itoa(seconds)))
}

// coverageTo reports whether a snapshot was written to a directory.
func coverageTo(dir string) bool {
	if coverage.WriteMeta(io.Discard) != nil || os.MkdirAll(dir, 0o755) != nil {
		return false
	}
	return coverage.WriteMetaDir(dir) == nil && coverage.WriteCountersDir(dir) == nil
}
