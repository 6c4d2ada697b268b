package profile

import (
	"os"
	"strings"
	"testing"

	"attls"
)

// TestEveryRequestAsks: with offer any, a request asks without an extension, or with an empty
// one where the carrier has a place in it.
func TestEveryRequestAsks(t *testing.T) {
	for reading, silent := range map[string]bool{"silent": true, "empty": false} {
		p := mustLoad(t, "exported-attestation-02", Options{Readings: map[string]string{"request": reading}})
		for i := range p.Later {
			x, err := p.LaterOffer(i)
			if s := &p.Later[i]; err != nil || !s.Every || s.Silent != silent || (x.Type == s.Extension) == silent {
				t.Errorf("%s: %+v asks with %+v, %v", reading, s, x, err)
			}
		}
		if p.Authenticator.FlagName != "CMW_Attestation" || p.Authenticator.Flag != 17 {
			t.Errorf("%+v", p.Authenticator)
		}
		row, _ := p.LaterExtension(p.Later[0].Extension)
		if row.In(attls.KindCertificate) == nil || (row.In(attls.KindCertificateRequest) == nil) != silent {
			t.Errorf("%s: %+v", reading, row)
		}
	}
}

// TestLaterMistakes edits a profile of authenticators wrongly and wants to be told where and how.
func TestLaterMistakes(t *testing.T) {
	whole, err := os.ReadFile("profiles/exported-attestation-01.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct{ name, old, new, at, want string }{
		{"flag without a number", "flag: CMW_Attestation}", "flag: CMW_Atestation}", "CMW_Atestation}", "code_points.flags has no number for CMW_Atestation; did you mean CMW_Attestation?"},
		{"flag beyond the registry", "CMW_Attestation: 17", "CMW_Attestation: 2040", "2040", "CMW_Attestation is 2040; the registry ends at 2039"},
		{"flag of another", "CMW_Attestation: 17", "CMW_Attestation: 16", "16}", "CMW_Attestation has the number 16 of extended_key_update"},
		{"flag that nobody names", "  authenticator: {flag: CMW_Attestation}", "  authenticator: {}", "CMW_Attestation: 17", "nothing in the profile uses the number of CMW_Attestation; remove it"},
		{"offer of another message", "server_attester: {offer: any}", "server_attester: {offer: certificate_request.cmw_attestation}", "certificate_request.cmw_attestation}", "certificate_request.cmw_attestation: the server is asked in client_certificate_request, not in certificate_request"},
	} {
		text := string(whole)
		if !strings.Contains(text, m.old) {
			t.Errorf("%s: the profile has no %q", m.name, m.old)
			continue
		}
		text = strings.Replace(text, m.old, m.new, 1)
		_, err := Parse("edited.yaml", []byte(text), Options{})
		if err == nil {
			t.Errorf("%s: is accepted", m.name)
			continue
		}
		if want := "edited.yaml:" + place(t, text, m.at) + ": " + m.want; !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got %s\nwant %s", m.name, err, want)
		}
	}
}
