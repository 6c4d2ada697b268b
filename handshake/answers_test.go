package handshake_test

import (
	"fmt"
	"testing"

	"attls"
	"attls/extensions"
)

// TestEmptyBodies: an extension whose body must be empty is decode_error with one,
// in whichever message it is and whether the receiver uses it or not.
func TestEmptyBodies(t *testing.T) {
	ch, second := at{attls.RoleClient, attls.KindClientHello, 0}, at{attls.RoleClient, attls.KindClientHello, 1}
	ee, cr := at{attls.RoleServer, attls.KindEncryptedExtensions, 0}, at{attls.RoleServer, attls.KindCertificateRequest, 0}
	var tests []fieldTest
	for _, test := range []struct {
		at at
		x  attls.ExtensionType
	}{
		{ch, attls.ExtPostHandshakeAuth}, {ch, attls.ExtEarlyData}, {ch, attls.ExtSignedCertificateTimestamp}, {ch, attls.ExtExtendedMainSecret},
		{ch, attls.ExtEncryptThenMAC}, {ch, attls.ExtTransparencyInfo}, {second, attls.ExtPostHandshakeAuth}, {second, attls.ExtEarlyData},
		{ee, attls.ExtServerName}, {cr, attls.ExtStatusRequest}, {cr, attls.ExtSignedCertificateTimestamp}, {cr, attls.ExtTransparencyInfo},
	} {
		for _, b := range [][]byte{{0}, {0, 0}, make([]byte, 300)} {
			edit := func(l extensions.List) extensions.List {
				return append(without(test.x)(l), extensions.Extension{Type: test.x, Body: b})
			}
			tests = append(tests, fieldTest{name: fmt.Sprintf("%v of %d octets in %v", test.x, len(b), test.at), at: test.at, plan: editExtensions(t, edit),
				want: outcome{attls.FailTrailing, attls.AlertDecodeError, test.at.kind, test.x.String()}})
		}
		if test.at == ch { // as it should be, it changes nothing
			tests = append(tests, fieldTest{name: fmt.Sprintf("%v of no octet in %v", test.x, test.at), at: test.at, options: direct,
				plan: editExtensions(t, func(l extensions.List) extensions.List { return with(test.x, nil)(without(test.x)(l)) })})
		}
	}
	runFieldTests(t, full, tests)
}
