//go:build race

package main

// raceDetector is for slowUnderRace.
const raceDetector = true
