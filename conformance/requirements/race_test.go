//go:build race

package requirements

// raceDetector leaves out what runs in one goroutine, where the detector only
// costs time.
const raceDetector = true
