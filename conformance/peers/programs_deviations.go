package peers

import (
	"attls"
	"attls/conformance/scenario"
)

// Deviation implements Deviator: what mbedTLS does without our patches.
func (MbedTLSPrograms) Deviation(s *scenario.Scenario, _ attls.Role) []Deviant {
	if d := mbedTLSProgramsDeviations.of(s); d != nil {
		return d
	}
	if s.Fail == "bad-mac-client" || s.Fail == "untrusted-client" {
		return nil // ssl_server2 says which alert it sends, readable or not
	}
	return mbedTLSDeviations.of(s)
}

var mbedTLSProgramsDeviations = mbedTLSTried.all(
	answers(attls.AlertBadRecordMAC,
		"it passes over octets behind the last field of ClientHello and leaves them out of the transcript, so that the "+
			"keys of both ends differ (RFC 8446 6.2)", "trailing-client-hello"),
)
