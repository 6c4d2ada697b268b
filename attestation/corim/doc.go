// Package corim reads and writes Concise Reference Integrity Manifests
// (draft-ietf-rats-corim): reference values and attestation keys of roots of trust, as
// the policy of a verifier's file has them. What a manifest says and a policy cannot
// say is refused with its place in the manifest, and so is a merge after which the
// policy would accept more than the policy before and the manifest do; what a policy
// says and a manifest cannot say is listed.
package corim
