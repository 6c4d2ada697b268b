// Package trace keeps the messages of a connection and draws them as a ladder. A
// Trace is a handshake.Tap that changes nothing; what it keeps is bounded.
package trace
