package handshake_test

import (
	"errors"
	"testing"

	"attls"
	"attls/extensions/profile"
	"attls/handshake"
)

// Each of these extensions is within its bounds; together they are not.
func TestExtensionsThatDoNotFitTheirMessageAreNotSent(t *testing.T) {
	many := []profile.RawExtension{{Type: 0x7a7a, Body: make([]byte, 40000)}, {Type: 0x7a7b, Body: make([]byte, 40000)}}
	names := [][]byte{make([]byte, 32000), make([]byte, 33500)}
	for name, test := range map[string]struct {
		change func(client, server *handshake.Config)
		fails  attls.Role
		in     attls.MessageKind
	}{
		"ClientHello":         {func(c, _ *handshake.Config) { c.ExtraExtensions = many }, attls.RoleClient, attls.KindClientHello},
		"EncryptedExtensions": {func(_, s *handshake.Config) { s.ExtraExtensions = many }, attls.RoleServer, attls.KindEncryptedExtensions},
		"CertificateRequest":  {func(_, s *handshake.Config) { s.CertificateAuthorities = names }, attls.RoleServer, attls.KindCertificateRequest},
	} {
		t.Run(name, func(t *testing.T) {
			var got *attls.Error
			p, err := newMeeting().meet(t, func(c, s *handshake.Config) {
				s.ClientAuthentication = handshake.RequireClientCertificate
				test.change(c, s)
			})
			if p != nil && p.Engine(test.fails) != nil {
				got = p.Engine(test.fails).Err()
			} else {
				errors.As(err, &got)
			}
			if got == nil || got.Failure != attls.FailTooLarge || got.Message != test.in || got.Alert != attls.AlertInternalError {
				t.Errorf("%v (%v)", got, err)
			}
		})
	}
}
