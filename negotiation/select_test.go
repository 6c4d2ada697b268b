package negotiation

import (
	"slices"
	"testing"
	"time"

	"attls"
	"attls/extensions"
	"attls/extensions/profile"
)

// offered is a list of numbers as a ClientHello has it.
func offered[T ~uint16](list ...T) extensions.Uint16s {
	return extensions.Uint16s(extensions.AppendUint16s(nil, list)[2:])
}

// TestSelectSuite: the server's order counts unless it follows the client's.
func TestSelectSuite(t *testing.T) {
	const a, b, c = attls.TLS_AES_128_GCM_SHA256, attls.TLS_AES_256_GCM_SHA384, attls.TLS_CHACHA20_POLY1305_SHA256
	for name, test := range map[string]struct {
		prefs, offer []attls.CipherSuite
		clientOrder  bool
		want         attls.CipherSuite
	}{
		"our first, if it is offered":                {[]attls.CipherSuite{a, b}, []attls.CipherSuite{b, a}, false, a},
		"our second otherwise":                       {[]attls.CipherSuite{a, b}, []attls.CipherSuite{c, b}, false, b},
		"the client's first, if it is ours":          {[]attls.CipherSuite{a, b}, []attls.CipherSuite{b, a}, true, b},
		"the client's second otherwise":              {[]attls.CipherSuite{a, b}, []attls.CipherSuite{c, a}, true, a},
		"none in common":                             {[]attls.CipherSuite{a}, []attls.CipherSuite{b, 0x0a0a}, false, 0},
		"none in common, in the order of the client": {[]attls.CipherSuite{a}, []attls.CipherSuite{b}, true, 0},
		"nothing is enabled":                         {nil, []attls.CipherSuite{a}, false, 0},
		"nothing is offered":                         {[]attls.CipherSuite{a}, nil, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := SelectSuite(test.prefs, offered(test.offer...), test.clientOrder)
			if got != test.want || (failure(err) == attls.FailSuite) != (test.want == 0) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// TestSelectGroup: a group with a share is taken before one that costs a
// HelloRetryRequest, unless the best is wanted.
func TestSelectGroup(t *testing.T) {
	const x, p, q = attls.GroupX25519, attls.GroupSecp256r1, attls.GroupSecp384r1
	for name, test := range map[string]struct {
		prefs, supported, shares []attls.NamedGroup
		best                     bool
		want                     attls.NamedGroup
	}{
		"our first, with a share":                     {[]attls.NamedGroup{x, p}, []attls.NamedGroup{p, x}, []attls.NamedGroup{p, x}, false, x},
		"our second, which alone has a share":         {[]attls.NamedGroup{x, p}, []attls.NamedGroup{x, p}, []attls.NamedGroup{p}, false, p},
		"our first without a share, if it is to be":   {[]attls.NamedGroup{x, p}, []attls.NamedGroup{x, p}, []attls.NamedGroup{p}, true, x},
		"our first without a share, if there is none": {[]attls.NamedGroup{x, p}, []attls.NamedGroup{p, x}, nil, false, x},
		"a share of a group that is not supported":    {[]attls.NamedGroup{x, p}, []attls.NamedGroup{p}, []attls.NamedGroup{x}, false, p},
		"none in common":                              {[]attls.NamedGroup{x}, []attls.NamedGroup{p, q}, []attls.NamedGroup{p}, false, 0},
		"none in common, although the best is wanted": {[]attls.NamedGroup{x}, []attls.NamedGroup{p}, []attls.NamedGroup{p}, true, 0},
		"none that the client supports":               {[]attls.NamedGroup{x}, nil, nil, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := SelectGroup(test.prefs, offered(test.supported...), test.best, func(g attls.NamedGroup) bool { return slices.Contains(test.shares, g) })
			if got != test.want || (failure(err) == attls.FailGroup) != (test.want == 0) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// TestSelectSignatureScheme: the first scheme of the key that the peer accepts.
func TestSelectSignatureScheme(t *testing.T) {
	const a, b, c = attls.RSA_PSS_RSAE_SHA256, attls.RSA_PSS_RSAE_SHA384, attls.ED25519
	for name, test := range map[string]struct {
		own, peer []attls.SignatureScheme
		want      attls.SignatureScheme
	}{
		"the order of the key counts": {[]attls.SignatureScheme{a, b}, []attls.SignatureScheme{b, a}, a},
		"the one in common":           {[]attls.SignatureScheme{a, b}, []attls.SignatureScheme{c, b}, b},
		"none in common":              {[]attls.SignatureScheme{a, b}, []attls.SignatureScheme{c}, 0},
		"a key that signs nothing":    {nil, []attls.SignatureScheme{c}, 0},
		"a peer that accepts nothing": {[]attls.SignatureScheme{a}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := SelectSignatureScheme(test.own, test.peer)
			if got != test.want || (failure(err) == attls.FailSignatureScheme) != (test.want == 0) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// TestSelectALPN: the first of ours that the client lists (RFC 7301 section 3.2).
func TestSelectALPN(t *testing.T) {
	for name, test := range map[string]struct {
		prefs, offer []string
		want         string
	}{
		"our order counts":       {[]string{"h2", "http/1.1"}, []string{"http/1.1", "h2"}, "h2"},
		"the one in common":      {[]string{"h2", "http/1.1"}, []string{"foo", "http/1.1"}, "http/1.1"},
		"none in common":         {[]string{"h2"}, []string{"h3"}, ""},
		"a name that begins one": {[]string{"h2"}, []string{"h2c", "h"}, ""},
		"nothing of ours":        {nil, []string{"h2"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := extensions.ParseALPN(extensions.AppendALPN(nil, test.offer))
			if err != nil {
				t.Fatal(err)
			}
			got, err := SelectALPN(test.prefs, list)
			if got != test.want || (failure(err) == attls.FailALPN) != (test.want == "") {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

const (
	cert = attls.CertificateX509
	raw  = attls.CertificateRawPublicKey
	own  = attls.CertificateType(0xe0) // of a profile
)

// TestOfferCertificateTypes: X.509 alone is not said (RFC 7250 section 4.1), and what the
// attestation needs comes first.
func TestOfferCertificateTypes(t *testing.T) {
	for name, test := range map[string]struct{ added, own, want []attls.CertificateType }{
		"nothing is configured":                   {nil, nil, nil},
		"X.509 alone is configured":               {nil, []attls.CertificateType{cert}, nil},
		"raw public keys":                         {nil, []attls.CertificateType{raw}, []attls.CertificateType{raw}},
		"both, in the order of the configuration": {nil, []attls.CertificateType{raw, cert}, []attls.CertificateType{raw, cert}},
		"a type of the attestation":               {[]attls.CertificateType{own}, nil, []attls.CertificateType{own, cert}},
		"X.509 for the attestation":               {[]attls.CertificateType{cert}, nil, []attls.CertificateType{cert}},
		"no type twice":                           {[]attls.CertificateType{raw, own}, []attls.CertificateType{cert, raw}, []attls.CertificateType{raw, own, cert}},
	} {
		t.Run(name, func(t *testing.T) {
			added := slices.Clone(test.added)
			if got := OfferCertificateTypes(added, test.own); !slices.Equal(got, test.want) || (got == nil) != (test.want == nil) {
				t.Errorf("%v, not %v", got, test.want)
			}
			if !slices.Equal(added, test.added) {
				t.Error("it changes what it was given")
			}
		})
	}
}

// TestSelectCertificateType: the first of the client's that is one of ours, or the one
// that the attestation needs.
func TestSelectCertificateType(t *testing.T) {
	needs := func(c attls.CertificateType) *attls.CertificateType { return &c }
	for name, test := range map[string]struct {
		offer  []byte
		own    []attls.CertificateType
		needed *attls.CertificateType
		want   attls.CertificateType
		fails  bool
	}{
		"no offer, nothing configured":          {nil, nil, nil, cert, false},
		"no offer, and only raw keys are here":  {nil, []attls.CertificateType{raw}, nil, 0, true},
		"an offer of X.509 alone":               {[]byte{0}, nil, nil, cert, false},
		"the client's order counts":             {[]byte{2, 0}, []attls.CertificateType{cert, raw}, nil, raw, false},
		"an unknown type is passed over":        {[]byte{99, 0}, nil, nil, cert, false},
		"none in common":                        {[]byte{2}, nil, nil, 0, true},
		"the one that the attestation needs":    {[]byte{2, 0xe0}, []attls.CertificateType{raw}, needs(own), own, false},
		"and it was not offered":                {[]byte{2, 0}, []attls.CertificateType{raw}, needs(own), 0, true},
		"the attestation needs X.509, no offer": {nil, []attls.CertificateType{raw}, needs(cert), cert, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := SelectCertificateType(test.offer, test.own, test.needed)
			if got != test.want || (failure(err) == attls.FailCertificateType) != test.fails {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// TestCheckCertificateType: an answer must have been offered, and silence means X.509.
func TestCheckCertificateType(t *testing.T) {
	answers := func(c attls.CertificateType) *attls.CertificateType { return &c }
	for name, test := range map[string]struct {
		offer  []attls.CertificateType
		answer *attls.CertificateType
		want   attls.CertificateType
		fails  attls.Failure
	}{
		"neither says anything":                 {nil, nil, cert, ""},
		"an answer of X.509 to silence":         {nil, answers(cert), cert, ""},
		"an answer of another type to silence":  {nil, answers(raw), 0, attls.FailIllegalParameter},
		"what was offered":                      {[]attls.CertificateType{cert, raw}, answers(raw), raw, ""},
		"what was not offered":                  {[]attls.CertificateType{raw}, answers(own), 0, attls.FailIllegalParameter},
		"silence, where X.509 was offered":      {[]attls.CertificateType{raw, cert}, nil, cert, ""},
		"silence, where X.509 was not offered":  {[]attls.CertificateType{raw}, nil, 0, attls.FailCertificateType},
		"an answer of X.509 that nobody wanted": {[]attls.CertificateType{raw}, answers(cert), 0, attls.FailIllegalParameter},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := CheckCertificateType(test.offer, test.answer)
			if got != test.want || failure(err) != test.fails {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// TestResumptionRules: what each rule of a profile makes of a session.
func TestResumptionRules(t *testing.T) {
	type rules = profile.Resumption
	for name, test := range map[string]struct {
		rules    *rules // nil: no profile
		standing Standing
		external bool
		resumes  bool
		fails    attls.Failure
	}{
		"no profile":                                {nil, StandingExpired, false, true, ""},
		"no profile, an external key":               {nil, StandingHolds, true, true, ""},
		"a verdict that holds":                      {&rules{Accept: "within_validity"}, StandingHolds, false, true, ""},
		"a verdict that is due again":               {&rules{Accept: "within_validity"}, StandingDue, false, true, ""},
		"a verdict that has expired":                {&rules{Accept: "within_validity"}, StandingExpired, false, false, ""},
		"a verdict that has expired, with an abort": {&rules{Accept: "within_validity", Refused: "abort"}, StandingExpired, false, false, attls.FailResumptionRefused},
		"due again, where that counts":              {&rules{Accept: "unless_due"}, StandingDue, false, false, ""},
		"expired, where due again counts":           {&rules{Accept: "unless_due"}, StandingExpired, false, false, ""},
		"holding, where due again counts":           {&rules{Accept: "unless_due"}, StandingHolds, false, true, ""},
		"never":                                     {&rules{Accept: "never"}, StandingHolds, false, false, ""},
		"never, with an abort":                      {&rules{Accept: "never", Refused: "abort"}, StandingHolds, false, false, attls.FailResumptionRefused},
		"an external key that may be":               {&rules{Accept: "never", ExternalPSK: true}, StandingHolds, true, true, ""},
		"an external key that may not":              {&rules{}, StandingHolds, true, false, ""},
		"an external key that may not, with abort":  {&rules{Refused: "abort"}, StandingHolds, true, false, attls.FailResumptionRefused},
	} {
		t.Run(name, func(t *testing.T) {
			p := profile.None()
			if test.rules != nil {
				p = &profile.Profile{ID: "test", Resumption: *test.rules}
			}
			if got, err := AcceptResumption(p, test.standing, test.external); got != test.resumes || failure(err) != test.fails {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// TestTicketRules: early data and tickets, with and without a profile.
func TestTicketRules(t *testing.T) {
	with := func(r profile.Resumption) *profile.Profile { return &profile.Profile{Resumption: r} }
	for name, test := range map[string]struct{ got, want bool }{
		"early data without a profile":       {AllowEarlyData(profile.None(), StandingExpired), true},
		"early data":                         {AllowEarlyData(with(profile.Resumption{EarlyData: "allow"}), StandingExpired), true},
		"early data never":                   {AllowEarlyData(with(profile.Resumption{EarlyData: "never"}), StandingHolds), false},
		"early data while the verdict holds": {AllowEarlyData(with(profile.Resumption{EarlyData: "within_validity"}), StandingHolds), true},
		"early data after it":                {AllowEarlyData(with(profile.Resumption{EarlyData: "within_validity"}), StandingExpired), false},
		"tickets without a profile":          {AllowTickets(profile.None()), true},
		"tickets":                            {AllowTickets(with(profile.Resumption{Tickets: "within_validity"})), true},
		"tickets never":                      {AllowTickets(with(profile.Resumption{Tickets: "never"})), false},
		"tickets that are kept":              {KeepTickets(profile.None()) && KeepTickets(with(profile.Resumption{})), true},
		"tickets that are discarded":         {KeepTickets(with(profile.Resumption{Received: "discard"})), false},
		"tickets bounded without a profile":  {TicketsWithinValidity(profile.None()), false},
		"tickets bounded":                    {TicketsWithinValidity(with(profile.Resumption{Tickets: "within_validity"})), true},
		"tickets not bounded":                {TicketsWithinValidity(with(profile.Resumption{Tickets: "allow"})), false},
		"a ticket's lifetime of seven days":  {MaxTicketLifetime == 7*24*time.Hour, true},
	} {
		if test.got != test.want {
			t.Errorf("%s: %v", name, test.got)
		}
	}
}

// TestNothingInCommon: how far a slot without a common scheme reaches, by the profile.
func TestNothingInCommon(t *testing.T) {
	for name, test := range map[string]struct {
		then         profile.NoSchemeThen
		scope        profile.NoSchemeScope
		evidence     bool // another slot chose Evidence
		results      bool // another slot chose a Result
		failedResult bool // what failed was a Result
		want         attls.Failure
	}{
		"each slot for itself":                               {profile.ThenAbort, profile.ScopeSlot, true, true, false, attls.FailNoSchemeEvidence},
		"each slot for itself, Results":                      {profile.ThenAbort, profile.ScopeSlot, true, true, true, attls.FailNoSchemeResults},
		"the model, and it was chosen elsewhere":             {profile.ThenAbort, profile.ScopeModel, true, false, false, ""},
		"the model, and only the other was chosen":           {profile.ThenAbort, profile.ScopeModel, false, true, false, attls.FailNoSchemeEvidence},
		"all, and anything was chosen":                       {profile.ThenAbort, profile.ScopeAll, false, true, false, ""},
		"all, and nothing was chosen":                        {profile.ThenAbort, profile.ScopeAll, false, false, true, attls.FailNoSchemeResults},
		"nothing in common is not a failure in this profile": {profile.ThenOmit, profile.ScopeSlot, false, false, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := &profile.Profile{ID: "test", Rules: profile.Rules{NoSchemeThen: test.then, NoScheme: test.scope}}
			var bad, chosen [2]bool
			model := profile.ModelEvidence
			if test.failedResult {
				model = profile.ModelResults
			}
			bad[model] = true
			chosen[profile.ModelEvidence], chosen[profile.ModelResults] = test.evidence, test.results
			if got := failure(noScheme(p, bad, chosen)); got != test.want {
				t.Errorf("%q, not %q", got, test.want)
			}
		})
	}
}
