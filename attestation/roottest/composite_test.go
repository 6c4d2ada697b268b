package roottest

import (
	"bytes"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/attestation"
	"attls/extensions/profile"
	"attls/negotiation"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// machine is a composite of the software root of trust and the stranger's.
type machine struct {
	attester *attestation.CompositeAttester
	verifier *attestation.Verifier
	request  negotiation.EvidenceRequest
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	clock := func() time.Time { return noon }
	table, err := attestation.NewFormats(append(attestation.SoftwareFormats(), Stranger())...)
	if err == nil {
		table, err = table.WithComposite()
	}
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{
		attester: &attestation.CompositeAttester{},
		verifier: &attestation.Verifier{Table: table, Clock: clock, Policies: map[string]attestation.Policy{}},
	}
	for label, name := range map[string]string{"firmware": attestation.EAT, "enclave": "stranger"} {
		f, err := table.Named(name)
		if err != nil {
			t.Fatal(err)
		}
		e, err := f.Emulate(t.Context(), attestation.EmulatorOptions{Seed: []byte(label), Clock: clock})
		if err != nil {
			t.Fatal(err)
		}
		m.attester.Parts = append(m.attester.Parts, attestation.AttesterPart{Label: label, Attester: e.Attester, Format: f})
		m.verifier.Endorsements = append(m.verifier.Endorsements, e.Endorsements...)
		m.verifier.References = append(m.verifier.References, e.References...)
		if e.Policy != nil {
			m.verifier.Policies[name] = e.Policy
		}
	}
	m.request = negotiation.EvidenceRequest{
		Scheme:    m.attester.Schemes()[0],
		Challenge: challenge(32),
		SPKI:      key(t, "tik"),
		KeyBound:  true,
	}
	return m
}

func (m *machine) make(t *testing.T) []byte {
	t.Helper()
	ev, err := m.attester.Attest(t.Context(), &m.request)
	if err != nil {
		t.Fatal(err)
	}
	return ev.CMW
}

// knows tells the verifier that the devices are of one machine.
func (m *machine) knows(t *testing.T, payload []byte) {
	t.Helper()
	c, failure := m.verifier.Table.Inspect(payload, profile.ModelEvidence)
	if failure != nil {
		t.Fatal(failure)
	}
	instances := map[string][]byte{}
	for _, p := range c.Reading.Parts {
		instances[p.Format.Name] = p.Reading.Instance
	}
	m.verifier.Machines = []attestation.Machine{{Name: "host 7", Instances: instances}}
}

// TestComposite: all parts must be affirming, hold the challenge, agree on the key, and
// be shown to be of one machine.
func TestComposite(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(t *testing.T, m *machine) []byte
		want   attls.Failure
		status string
		says   string
	}{
		{"parts of a machine that the verifier knows", func(t *testing.T, m *machine) []byte {
			b := m.make(t)
			m.knows(t, b)
			return b
		}, "", negotiation.StatusAffirming, ""},
		{"parts that nothing shows to be of one machine", func(t *testing.T, m *machine) []byte { return m.make(t) },
			attls.FailAppraisal, negotiation.StatusWarning, "of the same machine as that of"},
		{"a machine with another device", func(t *testing.T, m *machine) []byte {
			b := m.make(t)
			m.knows(t, b)
			m.verifier.Machines[0].Instances["stranger"] = []byte("another")
			return b
		}, attls.FailAppraisal, negotiation.StatusWarning, "of the same machine as that of"},
		{"a part that no policy judges", func(t *testing.T, m *machine) []byte {
			b := m.make(t)
			m.knows(t, b)
			m.verifier.Policies = nil
			return b
		}, attls.FailAppraisal, negotiation.StatusContraindicated, "no policy"},
		{"a part of another challenge", func(t *testing.T, m *machine) []byte {
			right := m.make(t)
			m.knows(t, right)
			m.request.Challenge = bytes.Repeat([]byte{1}, 32)
			return swap(t, right, m.make(t), "enclave")
		}, attls.FailBinderMismatch, negotiation.StatusContraindicated, "enclave: report_data is"},
		{"a part that names another key", func(t *testing.T, m *machine) []byte {
			right := m.make(t)
			m.knows(t, right)
			m.request.SPKI = key(t, "another")
			return swap(t, right, m.make(t), "firmware")
		}, attls.FailTIKMismatch, negotiation.StatusContraindicated, ""},
		{"a spoilt part", func(t *testing.T, m *machine) []byte {
			b := m.make(t)
			m.knows(t, b)
			at := bytes.Index(b, strangerMeasurement())
			b[at] ^= 1
			return b
		}, attls.FailAppraisal, negotiation.StatusContraindicated, "no trusted key verifies"},
		{"a part of a type that is not known", func(t *testing.T, m *machine) []byte {
			c := parse(t, m.make(t))
			for i := range c.Members {
				if c.Members[i].Label == "enclave" {
					c.Members[i].CMW.Format = profile.Format{MediaType: "application/octet-stream"}
				}
			}
			return encode(t, c)
		}, attls.FailFormatMismatch, "", "enclave.type: a part of no known format"},
		{"a part that says it is a result", func(t *testing.T, m *machine) []byte {
			c := parse(t, m.make(t))
			for i := range c.Members {
				if c.Members[i].Label == "enclave" {
					c.Members[i].CMW.Indicator = attestation.IndAttestationResults
				}
			}
			return encode(t, c)
		}, attls.FailFormatMismatch, "", "ind is 8"},
		{"one part alone", func(t *testing.T, m *machine) []byte {
			b := m.make(t)
			c := parse(t, b)
			c.Members = c.Members[:1]
			return encode(t, c)
		}, attls.FailMalformedCMW, "", "two records or more"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMachine(t)
			payload := test.change(t, m)
			m.request.Challenge, m.request.SPKI = challenge(32), key(t, "tik")
			v := appraise(t, m.verifier, &m.request, payload)
			if v.Failure != test.want || !strings.Contains(v.Reason, test.says) || test.status != "" && v.Status != test.status {
				t.Errorf("%q, %s (%s), want %q, %s and %q; %+v", v.Failure, v.Status, v.Reason, test.want,
					test.status, test.says, v.Checks)
			}
			if test.want == "" {
				affirmed(t, v, noon)
			}
		})
	}
}

func parse(t *testing.T, b []byte) *attestation.CMW {
	t.Helper()
	c, failure := attestation.ParseCMW(b, attestation.Limits{})
	if failure != nil {
		t.Fatal(failure)
	}
	return c
}

func encode(t *testing.T, c *attestation.CMW) []byte {
	t.Helper()
	b, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// swap is a collection with one member of another.
func swap(t *testing.T, into, from []byte, label string) []byte {
	t.Helper()
	c := parse(t, into)
	for _, m := range parse(t, from).Members {
		for i := range c.Members {
			if m.Label == label && c.Members[i].Label == label {
				c.Members[i] = m
			}
		}
	}
	return encode(t, c)
}

// TestCompositeAlone: the key of a credential that is the attestation alone is that of
// the part that names one.
func TestCompositeAlone(t *testing.T) {
	m := newMachine(t)
	m.request.SPKI, m.request.KeyBound = nil, false
	ev, err := m.attester.Attest(t.Context(), &m.request)
	if err != nil {
		t.Fatal(err)
	}
	if ev.Signer == nil {
		t.Fatal("there is no key to sign with")
	}
	m.knows(t, ev.CMW)
	v := appraise(t, m.verifier, &m.request, ev.CMW)
	affirmed(t, v, noon)
	if own, _ := x509.MarshalPKIXPublicKey(ev.Signer.Public()); !bytes.Equal(v.SPKI, own) {
		t.Errorf("the verdict is about the key %x, not %x", v.SPKI, own)
	}
}
