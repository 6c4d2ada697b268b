//go:build race

package main

// raceDetector leaves out what runs in one goroutine, where the detector only
// costs time.
const raceDetector = true
