// Package placement tests in which messages a TLS stack takes which extension: each code
// point of IANA's registry of extensions, in each message that holds extensions, with an
// empty, a well-formed and a malformed body. It makes the cases from the registry, sends
// one in a connection, and judges what came back: whether the extension was accepted, with
// which alert it was refused, and what followed the alert.
package placement
