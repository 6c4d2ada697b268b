package snp

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"attls/attestation"
	"attls/attestation/collateral"
	"attls/attestation/collateral/collateraltest"
	"attls/attestation/tsm"
	"attls/negotiation"

	"github.com/google/go-sev-guest/verify/trust"
)

// kdsBench is a bench whose reports come without certificates, a double that has them,
// and the query.
type kdsBench struct {
	*bench
	double            *collateraltest.Service
	query             attestation.PublisherQuery
	report            []byte
	vcek, chain, list string // URIs
}

func newKDS(t *testing.T) *kdsBench {
	t.Helper()
	b := newBench(t)
	tcb, err := b.device.tcb()
	if err != nil {
		t.Fatal(err)
	}
	k := &kdsBench{bench: b, vcek: collateraltest.URIVCEK(emulatedLine, b.device.Chip, tcb),
		chain: collateraltest.URIChain(emulatedLine), list: collateraltest.URICRL(emulatedLine)}
	k.double = collateraltest.Start(t, collateraltest.KDS(emulatedLine, b.device.Chip, tcb, b.device.Certificates,
		b.policy.CRLs[0]))
	if k.report, err = b.device.report(challenge); err != nil {
		t.Fatal(err)
	}
	if err := b.device.sign(k.report); err != nil {
		t.Fatal(err)
	}
	reading, failure := publisher().Raw(k.report)
	if failure != nil {
		t.Fatal(failure)
	}
	k.query = attestation.PublisherQuery{Getter: &collateral.Client{RootCAs: k.double.RootCAs, Timeout: 5 * time.Second},
		Reading: reading, Service: k.double.URL + "/", At: b.at, Parameters: map[string]string{}}
	return k
}

func (k *kdsBench) fetch(t *testing.T) (*attestation.Published, error) {
	return publisher().Fetch(t.Context(), &k.query)
}

// TestFetch: what the service has lets a report be judged that came without
// certificates, and its root is not trusted by that.
func TestFetch(t *testing.T) {
	k := newKDS(t)
	p, err := k.fetch(t)
	if err != nil {
		t.Fatal(err)
	}
	d := t.TempDir()
	if err := collateral.Write(d, p.Files); err != nil {
		t.Fatal(err)
	}
	var members = map[string][]string{}
	for _, f := range p.Files {
		members[f.Member] = append(members[f.Member], f.Name)
	}
	root := members[""]
	if len(root) != 1 || len(members[memberCertificates]) != 2 || len(members[memberCRLs]) != 1 || p.Until != notAfter {
		t.Errorf("%q until %v", members, p.Until)
	}
	if !slices.ContainsFunc(p.Notes, func(s string) bool { return strings.Contains(s, "it has no name here") }) {
		t.Errorf("%q", p.Notes)
	}
	anchors, err := os.ReadFile(filepath.Join(d, root[0]))
	if err != nil {
		t.Fatal(err)
	}
	judge := func(anchor string) *negotiation.Verdict {
		t.Helper()
		text := anchor + "certificate_files: [" + strings.Join(members[memberCertificates], ", ") +
			"]\ncrl_files: [" + strings.Join(members[memberCRLs], ", ") + "]\nminimum_tcb: {snp: 1}\n"
		s, err := attestation.NewSection(filepath.Join(d, "verifier.yaml"), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		read, err := policyOf(s)
		if err != nil {
			t.Fatal(err)
		}
		own := k.policy
		k.policy = read.(Policy)
		k.policy.Measurements = own.Measurements
		defer func() { k.policy = own }()
		return k.judge(t, k.tsm(t, &tsm.Report{Provider: Provider + "\n", Out: k.report}))
	}
	trusted := "trust_anchors: |\n  " + strings.ReplaceAll(strings.TrimSpace(string(anchors)), "\n", "\n  ") + "\n"
	if v := judge(trusted); v.Status != negotiation.StatusAffirming {
		t.Errorf("%v: %s %v", v.Status, v.Reason, v.Checks)
	}
	if v := judge("vendor_roots: [amd-milan]\n"); v.Failure == "" || !strings.Contains(v.Reason, "by any trusted roots") {
		t.Errorf("%v: %s", v.Status, v.Reason)
	}
}

// TestFetchLies: answers that are well-formed and not what was asked for.
func TestFetchLies(t *testing.T) {
	other, err := emulate(t.Context(), attestation.EmulatorOptions{Seed: []byte("another")})
	if err != nil {
		t.Fatal(err)
	}
	foreign := other.Device.(*device).Certificates
	vcek := func(change func(k *kdsBench)) func(*testing.T, *kdsBench) {
		return func(t *testing.T, k *kdsBench) {
			change(k)
			k.reissue(t, func(*x509.Certificate) {})
			k.double.Change(k.vcek, func(a *collateraltest.Answer) { a.Body = k.device.Certificates[0].Raw })
		}
	}
	body := func(uri func(k *kdsBench) string, b ...byte) func(*testing.T, *kdsBench) {
		return func(_ *testing.T, k *kdsBench) {
			k.double.Change(uri(k), func(a *collateraltest.Answer) { a.Body = b })
		}
	}
	atVCEK := func(k *kdsBench) string { return k.vcek }
	atChain := func(k *kdsBench) string { return k.chain }
	atCRL := func(k *kdsBench) string { return k.list }
	crl := func(from, until time.Time, revoked ...int64) func(*testing.T, *kdsBench) {
		return func(t *testing.T, k *kdsBench) {
			k.crl(t, from, until, revoked...)
			k.double.Change(k.list, func(a *collateraltest.Answer) { a.Body = k.policy.CRLs[0].Raw })
		}
	}
	for name, test := range map[string]struct {
		lie  func(t *testing.T, k *kdsBench)
		says string
	}{
		"the certificate of another chip": {vcek(func(k *kdsBench) {
			k.device.Chip = bytes.Repeat([]byte{7}, 64)
		}), "another chip, 0707"},
		"the certificate for another TCB": {vcek(func(k *kdsBench) { k.device.TCB["snp"] = 1 }), "is for the TCB"},
		"by another ASK":                  {body(atVCEK, foreign[0].Raw...), "another chip"},
		"not a certificate":               {body(atVCEK, []byte("<html>")...), "not a certificate"},
		"an ASK instead":                  {body(atVCEK, foreign[1].Raw...), "not a VCEK certificate"},
		"a chain that is cut": {body(atChain, collateraltest.PEM(foreign[1])...),
			"not the two certificates of an ASK and an ARK: 1"},
		"a chain that is cut inside": {body(atChain, collateraltest.PEM(foreign[1], foreign[2])[:900]...), "not the two"},
		"another chain":              {body(atChain, collateraltest.PEM(foreign[1], foreign[2])...), "the ASK did not sign"},
		"a chain the wrong way":      {body(atChain, collateraltest.PEM(foreign[2], foreign[1])...), "does not sign itself"},
		"AMD's own chain of another line": {body(atChain, trust.AskArkGenoaVcekBytes...),
			`the certificates of "SEV-Genoa"; asked was for "SEV-Milan"`},
		"an expired CRL":        {crl(notBefore, now), "the CRL of"},
		"a CRL of the future":   {crl(now.Add(time.Hour), notAfter), "the CRL of"},
		"a CRL with the ASK":    {crl(notBefore, notAfter, 2), "was revoked"},
		"a CRL of another root": {body(atCRL, other.Policy.(Policy).CRLs[0].Raw...), "no CRL is signed by"},
		"not a CRL":             {body(atCRL, []byte("<html>")...), "CRLs are one in DER"},
		"no certificate of a chip": {func(_ *testing.T, k *kdsBench) {
			k.double.Misbehave(k.vcek, collateraltest.Status(404))
		}, "404 Not Found"},
		"a service that is huge":   {func(_ *testing.T, k *kdsBench) { k.double.Misbehave(k.list, collateraltest.Huge) }, "more than"},
		"a service that is closed": {func(_ *testing.T, k *kdsBench) { k.double.Misbehave(k.list, collateraltest.Closed) }, "the answer ends"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKDS(t)
			test.lie(t, k)
			if p, err := k.fetch(t); err == nil || !strings.Contains(err.Error(), test.says) ||
				!strings.Contains(err.Error(), k.double.URL) {
				t.Errorf("%v, %v; expected %q", p, err, test.says)
			}
		})
	}
}

// TestFetchParameters: a report or flags say what is asked for.
func TestFetchParameters(t *testing.T) {
	k := newKDS(t)
	tcb, _ := k.device.tcb()
	chip := strings.ToUpper(hex.EncodeToString(k.device.Chip))
	all := map[string]string{askProduct: "milan", askChip: chip, askTCB: fmt.Sprint(tcb)}
	less := func(name, value string) map[string]string {
		out := map[string]string{}
		for k, v := range all {
			out[k] = v
		}
		if out[name] = value; value == "" {
			delete(out, name)
		}
		return out
	}
	none := func(change func(r []byte)) *attestation.Reading {
		r := bytes.Clone(k.report)
		change(r)
		reading, failure := publisher().Raw(r)
		if failure != nil {
			t.Fatal(failure)
		}
		return reading
	}
	for name, test := range map[string]struct {
		reading    *attestation.Reading
		parameters map[string]string
		asked      int
		says       string
	}{
		"all flags":           {nil, all, 3, ""},
		"the product line":    {nil, map[string]string{askProduct: "Milan"}, 2, ""},
		"both":                {k.query.Reading, all, 3, ""},
		"nothing":             {nil, nil, 0, "product is missing"},
		"another product":     {k.query.Reading, map[string]string{askProduct: "Genoa"}, 0, "the Evidence says Milan, and Genoa"},
		"no product":          {nil, less(askProduct, "Rome"), 0, `no product line "Rome"; there are Genoa, Milan`},
		"Turin":               {nil, less(askProduct, "Turin"), 0, "reports of AMD Turin are read and not judged"},
		"half a chip":         {nil, less(askChip, "00"), 0, "64 octets"},
		"no TCB":              {nil, less(askTCB, ""), 0, "number of 64 bits"},
		"another key":         {nil, less(askKey, "vxek"), 0, "neither vcek nor vlek"},
		"version 2":           {none(func(r []byte) { r[0] = 2; clear(r[0x188:0x18b]) }), nil, 0, "version 2 does not say it"},
		"version 2 with flag": {none(func(r []byte) { r[0] = 2; clear(r[0x188:0x18b]) }), map[string]string{askProduct: "Milan"}, 3, ""},
		"a masked chip":       {none(func(r []byte) { clear(r[0x1a0:0x1e0]) }), nil, 2, ""},
		"signed by none":      {none(func(r []byte) { r[0x48] = 7 << 2 }), nil, 0, "neither a VCEK nor a VLEK"},
		"a Turin report":      {none(func(r []byte) { r[0x188], r[0x189] = 0x1a, 2 }), nil, 0, "AMD Turin"},
		"another format":      {&attestation.Reading{}, nil, 0, "a reading of type"},
	} {
		before := len(k.double.Asked())
		k.query.Reading, k.query.Parameters = test.reading, test.parameters
		p, err := k.fetch(t)
		if n := len(k.double.Asked()) - before; n != test.asked || (err == nil) != (test.says == "") ||
			err != nil && !strings.Contains(err.Error(), test.says) || err == nil && len(p.Files) != test.asked+1 {
			t.Errorf("%s: %d questions, %v", name, n, err)
		}
	}
}

// TestFetchVLEK: the certificates of AMD for VLEKs are known by name.
func TestFetchVLEK(t *testing.T) {
	k := newKDS(t)
	k.query.Reading, k.query.Parameters = nil, map[string]string{askProduct: "Milan", askKey: "vlek"}
	k.double.Change("/vlek/v1/Milan/cert_chain", func(a *collateraltest.Answer) { a.Body = trust.AskArkMilanVlekBytes })
	k.double.Change("/vlek/v1/Milan/crl", func(a *collateraltest.Answer) { a.Body = k.policy.CRLs[0].Raw })
	if _, err := k.fetch(t); err == nil || !strings.Contains(err.Error(), `no CRL is signed by "CN=ARK-Milan`) {
		t.Error(err)
	}
}

// TestTurin: what is not judged says so, and its fields have their own layout.
func TestTurin(t *testing.T) {
	b := newBench(t)
	value := b.changed(t, asTurin)
	if v := b.judge(t, value); v.Failure == "" || !strings.Contains(v.Reason, "reports of AMD Turin are read and not judged") {
		t.Errorf("%v: %s", v.Status, v.Reason)
	}
	r, err := b.device.report(challenge)
	if err != nil {
		t.Fatal(err)
	}
	asTurin(r)
	reading, failure := publisher().Raw(r)
	if failure != nil {
		t.Fatal(failure)
	}
	got := map[string]string{}
	for _, f := range reading.Fields() {
		got[f.Name] = f.Text
	}
	for name, want := range map[string]string{"fmc": "1", "bootloader": "2", "tee": "3", "snp": "4", "microcode": "5"} {
		if got["REPORTED_TCB."+name] != want {
			t.Errorf("%s: %s", name, got["REPORTED_TCB."+name])
		}
	}
}

// asTurin makes a report one of Turin.
func asTurin(r []byte) {
	r[0x00], r[0x188], r[0x189] = 5, 0x1a, 0x02
	copy(r[0x180:], []byte{1, 2, 3, 4, 0, 0, 0, 5})
}
