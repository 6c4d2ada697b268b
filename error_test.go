package attls

import (
	"errors"
	"testing"
)

// TestErrorText: the prefix stands once, an alert has one name.
func TestErrorText(t *testing.T) {
	alert := func(a AlertDescription, name string, cause error) *Error {
		e := Errorf(FromPeer, FailPeerAlert, "no")
		e.Alert, e.HasAlert, e.AlertName, e.Err = a, true, name, cause
		return e
	}
	for _, test := range []struct {
		err  *Error
		want string
	}{
		{alert(AlertDecodeError, "", nil), "attls: no [peer.alert, alert decode_error]"},
		{alert(226, "", nil), "attls: no [peer.alert, alert 226]"},
		{alert(226, "attestation_failed", nil), "attls: no [peer.alert, alert attestation_failed]"},
		{alert(226, "", Errorf(Local, FailInternal, "why").In(KindFinished)), "attls: no: Finished: why [internal] [peer.alert, alert 226]"},
		{alert(226, "", errors.New("why")), "attls: no: why [peer.alert, alert 226]"},
	} {
		if got := test.err.Error(); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}
