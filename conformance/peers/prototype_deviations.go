package peers

import (
	"attls"
	"attls/conformance/scenario"
)

// Deviation implements Deviator: what the proof of concept's programs are known to do
// otherwise than RFC 8446 and their own profile have it.
func (p Prototype) Deviation(s *scenario.Scenario, r attls.Role) []Deviant {
	if r == attls.RoleServer {
		own := prototypeVerifierDeviations
		if p.asksVerifier() {
			own = prototypeResultDeviations
		}
		if d := own.of(s); d != nil {
			return d
		}
	}
	return prototypeDeviations.of(s)
}

// prototypeDeviations were seen in the programs of all branches.
var prototypeDeviations = deviations{
	// Its server.
	breaksOff(
		"a client without the profile sends change_cipher_spec, at which the server closes without an alert before it "+
			"could miss the offer (RFC 8446 D.4)", "demanded-by-server"),
	takes("the second ClientHello is not compared with the first (RFC 8446 4.1.2)", "offer-changed"),
	takes("the callback is asked for each CertificateEntry, and the last key counts", "misplaced"),
	// Its client.
	takes("without a CertificateRequest the client goes on and does not attest", "choice-without-request"),
	answers(attls.AlertUnsupportedExtension,
		"an extension in a message where it does not belong is unsupported_extension, not illegal_parameter (RFC 8446 4.2)",
		"wrong-message"),
}

// prototypeVerifierDeviations are those of the verifier that the variant of 2022 has
// built in.
var prototypeVerifierDeviations = deviations{
	takes("the built-in verifier looks at signatures and nonce and compares no reference value", "reference-value"),
	takes("the built-in verifier ignores what follows the tokens", "trailing"),
}

// prototypeResultDeviations are those of a server that asks a Verifier.
var prototypeResultDeviations = deviations{
	answers(attls.AlertUnexpectedMessage,
		"the error of importing an attested key that is not on P-256 is lost, and no CertificateVerify is expected then: "+
			"a client that sends none is let in", "key-type"),
	breaksOff("an attested key that cannot be read ends the connection without an alert", "key-unusable"),
}
