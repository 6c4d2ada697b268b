package tdx

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"attls/attestation"
	"attls/attestation/collateral"
	"attls/attestation/collateral/collateraltest"
	"attls/negotiation"
)

// pcsBench is a bench, a double that has its collateral, and the query.
type pcsBench struct {
	*bench
	double *collateraltest.Service
	query  attestation.PublisherQuery
	info   string // URI of the TCB info
}

// answersOf are what a service says with collateral of an emulator.
func answersOf(t *testing.T, a *authority, w answers) map[string]collateraltest.Answer {
	t.Helper()
	c, err := a.collateral(w)
	if err != nil {
		t.Fatal(err)
	}
	return collateraltest.PCS(hex.EncodeToString(fmspc), c.TCBInfo[0], c.QEIdentity, c.IssuerChain[0], c.IssuerChain[1],
		a.platform, c.CRLs[0], c.CRLs[1])
}

func newPCS(t *testing.T) *pcsBench {
	t.Helper()
	b := newBench(t)
	p := &pcsBench{bench: b, info: collateraltest.URITCBInfo(hex.EncodeToString(fmspc))}
	p.double = collateraltest.Start(t, answersOf(t, b.authority, answers{}))
	x, err := b.device.quote(b.device.body(challenge), b.device.report())
	if err != nil {
		t.Fatal(err)
	}
	reading, failure := publisher().Raw(x)
	if failure != nil {
		t.Fatal(failure)
	}
	p.query = attestation.PublisherQuery{Getter: &collateral.Client{RootCAs: p.double.RootCAs, Timeout: 5 * time.Second},
		Reading: reading, Service: p.double.URL, At: b.at, Parameters: map[string]string{}}
	return p
}

func (p *pcsBench) fetch(t *testing.T) (*attestation.Published, error) {
	return publisher().Fetch(t.Context(), &p.query)
}

// TestFetch: a quote is judged by what the service has, and its root is not trusted by
// that.
func TestFetch(t *testing.T) {
	p := newPCS(t)
	published, err := p.fetch(t)
	if err != nil {
		t.Fatal(err)
	}
	d := t.TempDir()
	if err := collateral.Write(d, published.Files); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range published.Files {
		if f.Member != memberCollateral {
			t.Errorf("%s: %q", f.Name, f.Member)
		}
		names = append(names, f.Name)
	}
	if published.Until != notAfter || len(names) != 5 {
		t.Errorf("%q until %v", names, published.Until)
	}
	judge := func(anchor string) *negotiation.Verdict {
		t.Helper()
		s, err := attestation.NewSection(filepath.Join(d, "verifier.yaml"),
			[]byte(anchor+"collateral_files: ["+strings.Join(names, ", ")+"]\n"))
		if err != nil {
			t.Fatal(err)
		}
		read, err := policyOf(s)
		if err != nil {
			t.Fatal(err)
		}
		own := p.policy
		p.policy = read.(Policy)
		p.policy.Measurements = own.Measurements
		defer func() { p.policy = own }()
		return p.judge(t, p.evidence(t))
	}
	root := strings.TrimSpace(string(collateraltest.PEM(p.authority.root)))
	if v := judge("trust_anchors: |\n  " + strings.ReplaceAll(root, "\n", "\n  ") + "\n"); v.Status !=
		negotiation.StatusAffirming {
		t.Errorf("%v: %s %v", v.Status, v.Reason, v.Checks)
	}
	if v := judge("vendor_roots: [intel-sgx]\n"); v.Failure == "" || !strings.Contains(v.Reason, "does not verify") {
		t.Errorf("%v: %s", v.Status, v.Reason)
	}
}

// TestFetchLies: answers that are well-formed and not what was asked for.
func TestFetchLies(t *testing.T) {
	foreign, err := newAuthority([]byte("another"))
	if err != nil {
		t.Fatal(err)
	}
	p := newPCS(t)
	info, identity, pck, root := p.info, collateraltest.URIIdentity, collateraltest.URIPCKCRL, collateraltest.URIRootCRL
	type answer = collateraltest.Answer
	header := func(uri, name string, list ...*x509.Certificate) func(*testing.T, *pcsBench) {
		return func(_ *testing.T, p *pcsBench) {
			p.double.Change(uri, func(a *answer) { a.Header[name] = collateraltest.Chain(list...) })
		}
	}
	body := func(uri, old, other string) func(*testing.T, *pcsBench) {
		return func(t *testing.T, p *pcsBench) {
			p.double.Change(uri, func(a *answer) {
				if !bytes.Contains(a.Body, []byte(old)) {
					t.Fatalf("%s has no %q", uri, old)
				}
				a.Body = bytes.Replace(a.Body, []byte(old), []byte(other), 1)
			})
		}
	}
	// from takes one answer, or all, of other collateral.
	from := func(a *authority, w answers, uris ...string) func(*testing.T, *pcsBench) {
		return func(t *testing.T, p *pcsBench) {
			for uri, x := range answersOf(t, a, w) {
				for _, wanted := range uris {
					if uri == wanted {
						p.double.Change(uri, func(a *answer) { *a = x })
					}
				}
			}
		}
	}
	own := p.authority
	expired := answers{next: now}
	for name, test := range map[string]struct {
		lie  func(*testing.T, *pcsBench)
		says string
	}{
		"another FMSPC":                     {body(info, `"fmspc":"e0`, `"fmspc":"e1`), "for the FMSPC e10000000000; asked was for e00000000000"},
		"a TCB info for SGX":                {body(info, `"id":"TDX"`, `"id":"SGX"`), `for "SGX"`},
		"a TCB info that is changed":        {body(info, `"UpToDate"`, `"Revoked"`), "did not sign it"},
		"a TCB info with another signature": {body(info, `"signature":"`, `"signature":"0`), "did not sign it"},
		"no TCB info":                       {body(info, `tcbInfo`, `tcbOutfo`), "not a TCB info"},
		"the identity of another enclave":   {body(identity, `"TD_QE"`, `"QVE"`), "not of TD_QE"},
		"expired statements":                {from(own, expired, info), "it holds from"},
		"an expired identity":               {from(own, expired, identity), "it holds from"},
		"expired PCK CRL":                   {from(own, expired, pck), "the CRL of"},
		"expired CRL of the root":           {from(own, expired, root), "the CRL of"},
		"a PCK that is revoked":             {from(own, answers{revoked: map[string]int64{namePlatform: 3}}, pck), "was revoked"},
		"an authority that is revoked":      {from(own, answers{revoked: map[string]int64{nameRoot: 2}}, root), "was revoked"},
		"a signer that is revoked":          {from(own, answers{revoked: map[string]int64{nameRoot: 4}}, root), "was revoked"},
		"the CRL of another root":           {from(foreign, answers{}, root), "no CRL is signed by"},
		"all of another vendor":             {from(foreign, answers{}, info, identity, pck, root), "the root is not that of the quote"},
		"one of another vendor":             {from(foreign, answers{}, identity), "another root than that of the other answers"},
		"a chain of one":                    {header(info, "TCB-Info-Issuer-Chain", own.tcb), "has 1 certificates; an issuer chain has 2"},
		"a chain of three":                  {header(info, "TCB-Info-Issuer-Chain", own.tcb, own.root, own.root), "has 3 certificates"},
		"a chain the wrong way":             {header(info, "TCB-Info-Issuer-Chain", own.root, own.tcb), `the certificate of "Intel SGX Root CA"`},
		"another signer":                    {header(info, "TCB-Info-Issuer-Chain", own.platform, own.root), `"Intel SGX TCB Signing" is expected`},
		"another root for the signer":       {header(info, "TCB-Info-Issuer-Chain", own.tcb, foreign.root), "did not sign the certificate"},
		"a chain that is cut": {func(_ *testing.T, p *pcsBench) {
			p.double.Change(info, func(a *answer) { a.Header["TCB-Info-Issuer-Chain"] = a.Header["TCB-Info-Issuer-Chain"][:900] })
		}, "an issuer chain has 2"},
		"no chain": {func(_ *testing.T, p *pcsBench) {
			p.double.Change(pck, func(a *answer) { a.Header = nil })
		}, "Sgx-Pck-Crl-Issuer-Chain is missing"},
		"a chain that is not encoded": {func(_ *testing.T, p *pcsBench) {
			p.double.Change(identity, func(a *answer) { a.Header["SGX-Enclave-Identity-Issuer-Chain"] = "%zz" })
		}, "cannot be read"},
		"no CRL":        {body(pck, "\x30", "\x31"), "CRLs are one in DER"},
		"unknown FMSPC": {func(_ *testing.T, p *pcsBench) { p.double.Misbehave(info, collateraltest.Status(404)) }, "404 Not Found"},
		"slow": {func(_ *testing.T, p *pcsBench) {
			p.query.Getter = &collateral.Client{RootCAs: p.double.RootCAs, Timeout: 100 * time.Millisecond}
			p.double.Misbehave(pck, collateraltest.Slow)
		}, "no complete answer after"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPCS(t)
			test.lie(t, p)
			got, err := p.fetch(t)
			if test.says == "" {
				if err != nil {
					t.Error(err)
				}
			} else if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), p.double.URL) {
				t.Errorf("%v, %v; expected %q", got, err, test.says)
			}
		})
	}
}

// TestFetchParameters: a quote or flags say what is asked for.
func TestFetchParameters(t *testing.T) {
	p := newPCS(t)
	reading := p.query.Reading
	kind := hex.EncodeToString(fmspc)
	other := collateraltest.Start(t, map[string]collateraltest.Answer{})
	for name, test := range map[string]struct {
		reading    *attestation.Reading
		parameters map[string]string
		asked      int
		says       string
	}{
		"flags":                          {nil, map[string]string{askFMSPC: strings.ToUpper(kind)}, 4, ""},
		"both":                           {reading, map[string]string{askFMSPC: kind, askCA: "platform"}, 4, ""},
		"nothing":                        {nil, nil, 0, "a quote says it too"},
		"another kind":                   {reading, map[string]string{askFMSPC: "000000000000"}, 0, "the Evidence says " + kind},
		"half of it":                     {nil, map[string]string{askFMSPC: "0000"}, 0, "6 octets"},
		"another authority":              {nil, map[string]string{askFMSPC: kind, askCA: "root"}, 0, "neither platform nor processor"},
		"an authority that there is not": {nil, map[string]string{askFMSPC: kind, askCA: "processor"}, 3, "404"},
		"the CRL of the root elsewhere":  {reading, map[string]string{askRootCRL: other.URL + "/crl"}, 3, "/crl: the answer is 404"},
		"another format":                 {&attestation.Reading{}, nil, 0, "a reading of type"},
	} {
		before := len(p.double.Asked())
		p.query.Reading, p.query.Parameters = test.reading, test.parameters
		_, err := p.fetch(t)
		if n := len(p.double.Asked()) - before; n != test.asked || (err == nil) != (test.says == "") ||
			err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %d questions, %v", name, n, err)
		}
	}
}

// TestFetchGenuine: the genuine quote says what is asked for, and answers of an emulator
// are not for it.
func TestFetchGenuine(t *testing.T) {
	p := newPCS(t)
	reading, failure := publisher().Raw(sample)
	if failure != nil {
		t.Fatal(failure)
	}
	p.query.Reading = reading
	_, err := p.fetch(t)
	if asked := p.double.Asked(); err == nil || len(asked) != 1 || asked[0] != collateraltest.URITCBInfo("50806f000000") {
		t.Errorf("%v after %q", err, asked)
	}
}

// TestVersion5 refuses quotes of version 5 with a sentence.
func TestVersion5(t *testing.T) {
	x := bytes.Clone(sample)
	x[0] = 5
	if _, failure := publisher().Raw(x); failure == nil || !strings.Contains(failure.Detail,
		"a quote of version 5; only version 4 is read") {
		t.Error(failure)
	}
}
