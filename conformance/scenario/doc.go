// Package scenario runs connections that are written down as data. A Scenario says
// who attests how under which profile; Run connects its two ends and says what
// each of them claims, with the ladder of messages between them. Combinations says
// which scenarios a profile allows and, for the others, why not; both follow from
// the compiled profile's slots and credentials, never from its name.
//
// What goes wrong on purpose in a run is an Injection. The table of them is in
// conformance/cases; a program may bring its own.
//
// The package also holds what demonstrations need: an authority, a root of
// trust and recordings that replay octet for octet.
package scenario
