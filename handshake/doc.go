// Package handshake is the sans-I/O engine of TLS 1.3 (RFC 8446), client and
// server: one struct per state, the transcript, the key schedule, events,
// waits and taps. It holds no socket, clock, goroutine or global.
//
// An Engine is fed with Reserve and Commit, tells what happened through Next,
// asks for everything slow (a credential, a signature, Evidence, a verdict)
// through named waits that are answered with Answer or Fail, and hands its
// octets out with Output and Wrote. What a draft revision adds is data: the
// engine follows a compiled profile.Profile and knows none by name.
package handshake
