package handshake_test

import (
	"fmt"
	"testing"

	"attls/handshake"
)

// TestNames: each value of a type that is printed has its own name, for whoever reads a
// trace or an error.
func TestNames(t *testing.T) {
	for _, test := range []struct {
		value fmt.Stringer
		want  string
	}{
		{handshake.EventNone, "none"},
		{handshake.EventWait, "wait"},
		{handshake.EventDone, "done"},
		{handshake.EventData, "data"},
		{handshake.EventTicket, "ticket"},
		{handshake.EventKeyUpdate, "key update"},
		{handshake.EventVerdict, "verdict"},
		{handshake.EventEarlyData, "early data"},
		{handshake.EventAuthenticated, "authenticated"},
		{handshake.EventPostHandshake, "post-handshake"},
		{handshake.EventClosed, "closed"},
		{handshake.EventError, "error"},

		{handshake.WaitNonce, "Nonce"},
		{handshake.WaitCredential, "Credential"},
		{handshake.WaitSignature, "Signature"},
		{handshake.WaitEvidence, "Evidence"},
		{handshake.WaitCertificateVerdict, "CertificateVerdict"},
		{handshake.WaitAppraisal, "Appraisal"},
		{handshake.WaitPSK, "PSK"},
		{handshake.WaitEarlyData, "EarlyDataDecision"},
		{handshake.WaitTicket, "Ticket"},

		{handshake.BlocksFlight, "flight"},
		{handshake.BlocksHandshake, "handshake"},
		{handshake.BlocksData, "application data"},
		{handshake.BlocksNothing, "nothing"},

		{handshake.EarlyDataNone, "none"},
		{handshake.EarlyDataOpen, "open"},
		{handshake.EarlyDataAccepted, "accepted"},
		{handshake.EarlyDataRejected, "rejected"},
	} {
		if got := test.value.String(); got != test.want {
			t.Errorf("%T %d is called %q, not %q", test.value, test.value, got, test.want)
		}
	}
}
