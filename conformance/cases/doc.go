// Package cases is the table of what an end can do wrong or unusually, with what the
// other end must make of it, and of what a sound connection must show. demo --fail,
// the grid of a profile, conform --faults, the registry behind SPEC.md and the fuzz
// targets read it, and a program can add rows of its own (see the example).
//
// A Row is one such thing, for all profiles; a Case is a row in one scenario under one
// profile. What must follow is to Reject, with a failure, at a message and with an
// alert, to Accept, or something to Observe.
package cases
