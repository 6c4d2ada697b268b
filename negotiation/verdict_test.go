package negotiation

import (
	"strings"
	"testing"
	"time"

	"attls"
	"attls/extensions/profile"
)

// TestRefusal: only a verdict that says so itself accepts, and only until its end.
func TestRefusal(t *testing.T) {
	now := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		verdict Verdict
		now     time.Time
		want    attls.Failure
		says    string
	}{
		"nothing is said":                        {Verdict{}, now, attls.FailAppraisal, "no status"},
		"a reason alone":                         {Verdict{Reason: "looks well"}, now, attls.FailAppraisal, "looks well"},
		"affirming":                              {Verdict{Status: StatusAffirming}, now, "", ""},
		"affirming, without the time":            {Verdict{Status: StatusAffirming}, time.Time{}, "", ""},
		"affirming, for another hour":            {Verdict{Status: StatusAffirming, ValidUntil: now.Add(time.Hour)}, now, "", ""},
		"affirming, until this moment":           {Verdict{Status: StatusAffirming, ValidUntil: now}, now, attls.FailAppraisal, "2030-01-01T12:00:00Z"},
		"affirming, until a moment ago":          {Verdict{Status: StatusAffirming, ValidUntil: now.Add(-1)}, now, attls.FailAppraisal, "was valid until"},
		"affirming until a time nobody can tell": {Verdict{Status: StatusAffirming, ValidUntil: now}, time.Time{}, attls.FailAppraisal, "what time it is"},
		"a warning":                              {Verdict{Status: StatusWarning}, now, attls.FailAppraisal, "the status is warning"},
		"contraindicated":                        {Verdict{Status: StatusContraindicated, Reason: "revoked"}, now, attls.FailAppraisal, "revoked"},
		"none":                                   {Verdict{Status: StatusNone}, now, attls.FailAppraisal, "none"},
		"another word":                           {Verdict{Status: "Affirming"}, now, attls.FailAppraisal, "Affirming"},
		"affirming, with a failure":              {Verdict{Status: StatusAffirming, Failure: attls.FailFormatMismatch, Reason: "no CBOR"}, now, attls.FailFormatMismatch, "no CBOR"},
	} {
		t.Run(name, func(t *testing.T) {
			got, reason := test.verdict.Refusal(test.now)
			if got != test.want || !strings.Contains(reason, test.says) || got == "" && reason != "" {
				t.Errorf("%q, %q; want %q, %q", got, reason, test.want, test.says)
			}
		})
	}
}

// TestAccepts: a scheme is the policy's where its octets, model and credential are, and
// the format and the Verifier that it names.
func TestAccepts(t *testing.T) {
	p, err := profile.Load("early-attestation-06", profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	own := Scheme{Model: profile.ModelEvidence, Credential: profile.KindX509, Format: profile.Format{ContentFormat: 263}}
	other := Scheme{Model: profile.ModelEvidence, Credential: profile.KindX509, Format: profile.Format{ContentFormat: 60}}
	const server = attls.RoleServer
	var wire Scheme
	for i := range p.Slots {
		if e, ok := p.EncodeScheme(i, own); ok && p.Slots[i].Attester == server {
			wire = e
		}
	}
	if wire.Wire == nil {
		t.Fatal("no slot of the server takes the scheme")
	}
	changed := func(change func(*Scheme)) *Scheme {
		s := wire
		change(&s)
		return &s
	}
	for name, test := range map[string]struct {
		accept []Scheme
		self   attls.Role
		scheme *Scheme
		want   bool
	}{
		"the same":                      {[]Scheme{own}, attls.RoleClient, &wire, true},
		"one of two":                    {[]Scheme{other, own}, attls.RoleClient, &wire, true},
		"without a format":              {[]Scheme{own}, attls.RoleClient, changed(func(s *Scheme) { s.Format = profile.Format{} }), true},
		"nothing is accepted":           {nil, attls.RoleClient, &wire, false},
		"another is accepted":           {[]Scheme{other}, attls.RoleClient, &wire, false},
		"what a server attests itself":  {[]Scheme{own}, attls.RoleServer, changed(func(s *Scheme) { s.Wire = []byte{0xff} }), false},
		"other octets":                  {[]Scheme{own}, attls.RoleClient, changed(func(s *Scheme) { s.Wire = []byte{0xff} }), false},
		"another model":                 {[]Scheme{own}, attls.RoleClient, changed(func(s *Scheme) { s.Model = profile.ModelResults }), false},
		"another credential":            {[]Scheme{own}, attls.RoleClient, changed(func(s *Scheme) { s.Credential = profile.KindAlone }), false},
		"another format, same octets":   {[]Scheme{own}, attls.RoleClient, changed(func(s *Scheme) { s.Format = profile.Format{ContentFormat: 60} }), false},
		"another Verifier, same octets": {[]Scheme{own}, attls.RoleClient, changed(func(s *Scheme) { s.Verifier = []byte("nobody") }), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Accepts(p, Policy{Accept: test.accept}, test.self, test.scheme); got != test.want {
				t.Error(got)
			}
		})
	}
}
