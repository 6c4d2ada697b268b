// Package learn learns the state machine of a TLS 1.3 peer as a Mealy machine: L* over a
// mapper that speaks any message at any time, with the keys and the transcript that the
// peer must have. A learned machine is compared with others and drawn.
package learn
