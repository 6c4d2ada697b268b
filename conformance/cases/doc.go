// Package cases is the table of what an end can do wrong or unusually, with what the
// other end must make of it, and of what a sound connection must show. demo --fail,
// the grid of a profile, conform --faults, the registry behind SPEC.md and the fuzz
// targets read it.
//
// A Fault must be rejected, by whom, at which message and with which alert, or,
// where Takes is set, must be accepted. A Case is a Fault or a check, with the rule
// that it is about.
package cases
