package adapter

import (
	"regexp"
	"slices"
	"strconv"
)

var releaseIn = regexp.MustCompile(`(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?(?:\.(\d{1,6}))?([a-z]?)`)

// release is a version as numbers that compare; nil where the text has none.
func release(text string) []int {
	m := releaseIn.FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	list := make([]int, 5)
	for i := range 4 {
		list[i], _ = strconv.Atoi(m[i+1]) // at most six digits, or none
	}
	if m[5] != "" {
		list[4] = int(m[5][0])
	}
	return list
}

// Since reports whether a version is a release or a later one; an unknown version is not.
func Since(version, first string) bool {
	v := release(version)
	return v != nil && slices.Compare(v, release(first)) >= 0
}

// before reports whether a version is older than a release; an unknown version is not.
func before(version, first string) bool { return release(version) != nil && !Since(version, first) }

// Holds reports whether a version is one that was seen to deviate.
func (d *Deviation) Holds(version string) bool {
	if d.First == "" {
		return true
	}
	v := release(version)
	return v != nil && slices.Compare(v, release(d.First)) >= 0 && slices.Compare(v, release(d.Last)) <= 0
}

// Expected reports whether a version may deviate: it was seen to, or is newer than any that was
// seen and nothing says that it does not.
func (d *Deviation) Expected(version string) bool {
	if d.Holds(version) {
		return true
	}
	v := release(version)
	return v == nil || d.Mended == "" && slices.Compare(v, release(d.Last)) > 0 ||
		d.Mended != "" && slices.Compare(v, release(d.Last)) > 0 && slices.Compare(v, release(d.Mended)) < 0
}
