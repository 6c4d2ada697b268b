package handshake_test

import (
	"bytes"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/handshake"
	"attls/handshake/enginetest"
	"attls/handshake/message"
)

// TestStatus carries OCSP responses and SCTs beside certificates, both ways.
func TestStatus(t *testing.T) {
	with := func(c *handshake.Credential) *handshake.Credential {
		d := *c
		d.OCSP, d.SCT = []byte("ocsp"), []byte{0, 3, 0, 1, 7}
		return &d
	}
	for _, asked := range []bool{true, false} {
		o := direct(func(c, s *handshake.Config) {
			c.RequestOCSP, c.RequestSCT, s.RequestOCSP, s.RequestSCT = asked, asked, asked, asked
		})
		o.Answer = [2]pair.Answer{enginetest.Answer(with(clientCredential)), enginetest.Answer(with(serverCredential))}
		p, err := pair.New(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Run(); err != nil {
			t.Fatal(err)
		}
		for _, r := range []attls.Role{attls.RoleClient, attls.RoleServer} {
			s := p.Engine(r).State()
			if got := string(s.PeerOCSP) == "ocsp" && bytes.Equal(s.PeerSCT, []byte{0, 3, 0, 1, 7}); got != asked || !asked && (s.PeerOCSP != nil || s.PeerSCT != nil) {
				t.Errorf("asked %v: the %v has OCSP %q, SCT %x", asked, r, s.PeerOCSP, s.PeerSCT)
			}
		}
	}
}

// TestStatusFields sends malformed and unsolicited status.
func TestStatusFields(t *testing.T) {
	ct := at{attls.RoleServer, attls.KindCertificate, 0}
	ch := at{attls.RoleClient, attls.KindClientHello, 0}
	asks := func(c, s *handshake.Config) { c.RequestOCSP, c.RequestSCT = true, true }
	for name, test := range map[string]struct {
		at     at
		x      attls.ExtensionType
		body   []byte
		change func(c, s *handshake.Config)
		want   attls.Failure
	}{
		"OCSP":                        {ct, attls.ExtStatusRequest, []byte{1, 0, 0, 1, 9}, asks, ""},
		"unsolicited OCSP":            {ct, attls.ExtStatusRequest, []byte{1, 0, 0, 1, 9}, nil, attls.FailUnsolicited},
		"unsolicited SCT":             {ct, attls.ExtSignedCertificateTimestamp, []byte{0, 3, 0, 1, 7}, nil, attls.FailUnsolicited},
		"OCSP of another type":        {ct, attls.ExtStatusRequest, []byte{2, 0, 0, 1, 9}, asks, attls.FailDecode},
		"empty OCSP":                  {ct, attls.ExtStatusRequest, []byte{1, 0, 0, 0}, asks, attls.FailDecode},
		"OCSP with more":              {ct, attls.ExtStatusRequest, []byte{1, 0, 0, 1, 9, 9}, asks, attls.FailTrailing},
		"empty SCT list":              {ct, attls.ExtSignedCertificateTimestamp, []byte{0, 0}, asks, attls.FailDecode},
		"empty SCT":                   {ct, attls.ExtSignedCertificateTimestamp, []byte{0, 2, 0, 0}, asks, attls.FailDecode},
		"malformed request":           {ch, attls.ExtStatusRequest, []byte{1, 0, 1}, nil, attls.FailDecode},
		"request for SCT with a body": {ch, attls.ExtSignedCertificateTimestamp, []byte{0}, nil, attls.FailTrailing},
		"other status type":           {ch, attls.ExtStatusRequest, []byte{2}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			plan := func(m *message.Raw, p *handshake.Plan) {
				editExtensions(t, body(test.x, test.body...))(m, p)
				p.Reparse = true
			}
			if test.want != "" {
				want := outcome{test.want, attls.DefaultAlert(test.want), test.at.kind, test.x.String()}
				disturb(t, direct(test.change), test.at, plan, want)
				return
			}
			hit := false
			o := direct(test.change)
			tap := &planTap{at: test.at, hit: &hit, plan: plan}
			if test.at.sender == attls.RoleClient {
				o.Client.Tap = tap
			} else {
				o.Server.Tap = tap
			}
			p, err := pair.New(o)
			if err != nil {
				t.Fatal(err)
			}
			p.Run()
			if err := p.Engine(test.at.sender.Peer()).Err(); err != nil && err.Failure != attls.FailPeerAlert {
				t.Error(err)
			}
		})
	}
}
