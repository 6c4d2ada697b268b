// Package attestation fills and reads the credential of an attested
// connection: Conceptual Message Wrappers (CMW), key and platform attestation
// tokens (KAT, PAT) as Entity Attestation Tokens, and Attestation Results as
// EAT Attestation Results (EAR). It knows nothing of TLS: what it is asked
// comes as negotiation.EvidenceRequest and negotiation.AppraisalRequest.
//
// Software is a root of trust made of keys in memory; it implements
// negotiation.Attester. Verifier holds endorsed keys, reference values and
// trusted verifiers; it implements negotiation.Appraiser.
package attestation
