//go:build libfuzzer

package seeds

// eachInput is set in builds for fuzzers in C, which call a target for each input.
const eachInput = true
