// Package conformance runs attested connections and judges them: scenarios as
// data, what each end claims afterwards, the ladder of messages, faults with
// the alert that must follow, recordings that replay octet for octet, and the
// registry of requirements behind SPEC.md.
//
// A Scenario says who attests how under which profile. Combinations says which
// scenarios a profile allows and, for the others, why not; both follow from the
// compiled profile's slots and credentials, never from its name.
package conformance
