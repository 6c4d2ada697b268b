//go:build race

package conformance

// raceDetector leaves out what runs in one goroutine, where the detector only
// costs time.
const raceDetector = true
