// Package conformance holds the rooms in which connections are run, described and
// judged. It has no code of its own:
//
//   - scenario: a connection as data, the runner of two ends, recordings, the
//     demonstration's authority and root of trust
//   - claims: what an end says of a connection, and whether two ends agree
//   - trace: the messages of a connection as a ladder
//   - tamper: changes of messages, records and secrets, as taps
//   - cases: the table of faults, tolerances and checks, and the grid of a profile
//   - requirements: the registry behind SPEC.md
//   - peers, report: other stacks, and the pages about runs with them
//   - authenticators: exported authenticators over connections of other stacks, whose
//     exporters the programs of the folder exporters lend
//   - pair: two engines in one goroutine, step by step
//   - capture, dissect: recordings of any stack, explained
//   - wireshark: dissectors of profiles for Wireshark
//   - workbench: the page of "attls workbench", and its engine for browsers
//   - bench: measurements, compared with crypto/tls and the bare primitives
//   - bogo, mbedtls, openssl: what it takes to meet those stacks
package conformance
