//go:build !race

package requirements

const raceDetector = false
