package binder

// Program is a compiled set of definitions; it is immutable.
type Program struct{}
