// Package attestation fills and reads the credential of an attested
// connection: Conceptual Message Wrappers (CMW), key and platform attestation
// tokens (KAT, PAT) as Entity Attestation Tokens, and Attestation Results as
// EAT Attestation Results (EAR). It knows nothing of TLS: what it is asked
// comes as negotiation.EvidenceRequest and negotiation.AppraisalRequest.
//
// Software is a root of trust made of keys in memory; it implements
// negotiation.Attester. Verifier holds endorsed keys, reference values and
// trusted verifiers; it implements negotiation.Appraiser. Demo makes the two
// fit each other; LoadSoftware and LoadVerifier read them from files. Command
// lets a program take the place of either, and Serve is such a program's half.
// Spoil makes Evidence that must be refused.
//
// # Formats
//
// A negotiated application/eat+cwt (content format 263) is answered with a
// collection of a KAT and a PAT, each a record of that type; no text says
// whether a collection may answer it, and here it may when every member has the
// negotiated type. Every token is verified and hashed over its original octets.
// Results are a record of application/eat+jwt (264) whatever the scheme says,
// since a results scheme names a Verifier and no format.
//
// What arrives is read strictly: one item and nothing after it, no duplicate keys,
// limits on size, nesting and members. CBOR need not be deterministic; the octets
// that arrived are what is hashed and verified. Whatever a token restricts (dates,
// audience, critical header parameters, the algorithm) is enforced or refused;
// docs/evidence.md lists the rules.
package attestation
