//go:build race

package profile

// raceDetector leaves out what counts memory: the detector allocates itself.
const raceDetector = true
