// Package exported attests after the handshake, in exported authenticators (RFC 9261), as a
// profile with slots of the phase authenticator says: draft-fossati-seat-expat and what
// preceded it. The relying party, of either role, asks with an extension in a request; the
// attester answers with Evidence, or Attestation Results, in the first CertificateEntry;
// the relying party validates and appraises.
//
// A Session makes and takes the octets and carries nothing: it needs an
// authenticator.Connection and what binders ask of a connection. A Conn carries them in the
// application data of a handshake.Conn, in the framing of the profile, and keeps
// application data back until the verdict where the profile says so.
//
// A failed authenticator is an error to the application. Whether it ends the connection is
// the profile's after.authenticator.failed.
package exported
