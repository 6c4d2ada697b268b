package snp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"attls"
	"attls/attestation"
	"attls/attestation/roottest"
	"attls/attestation/tsm"
	"attls/extensions/profile"
	"attls/internal/seeds"
	"attls/negotiation"

	"github.com/google/go-configfs-tsm/configfs/configfsi"
	"github.com/google/go-configfs-tsm/configfs/faketsm"
	"github.com/google/go-sev-guest/abi"
	"github.com/google/go-sev-guest/kds"
	"github.com/google/go-sev-guest/verify/testdata"
	"github.com/google/uuid"
	"go.yaml.in/yaml/v3"
)

func TestRoot(t *testing.T) { roottest.Run(t, Format(), roottest.Options{Flips: 300}) }

var (
	challenge = bytes.Repeat([]byte{0xa5}, 64)
	now       = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	seed      = []byte("seed")
)

// emulation is the one guest of these tests: its RSA key takes a while.
var emulation = sync.OnceValues(func() (*attestation.Emulation, error) {
	return emulate(context.Background(), attestation.EmulatorOptions{Seed: seed})
})

// bench is an emulated guest, its policy, and what it is asked.
type bench struct {
	device  *device
	policy  Policy
	request negotiation.EvidenceRequest
	at      time.Time
}

func newBench(t testing.TB) *bench {
	t.Helper()
	e, err := emulation()
	if err != nil {
		t.Fatal(err)
	}
	d, p := *e.Device.(*device), e.Policy.(Policy)
	d.TCB, p.MinimumTCB, p.Measurements = maps.Clone(d.TCB), maps.Clone(p.MinimumTCB), maps.Clone(p.Measurements)
	p.Certificates = nil // the reports of these tests come with theirs
	return &bench{&d, p, negotiation.EvidenceRequest{
		Scheme: negotiation.Scheme{
			Format: profile.Format{MediaType: tsm.MediaTypeCBOR}, Credential: profile.KindX509,
		},
		Challenge: challenge, SPKI: []byte("a key"), KeyBound: true}, now}
}

// evidence makes the value of the CMW.
func (b *bench) evidence(t testing.TB) []byte { return b.changed(t, func([]byte) {}) }

// changed signs the report after a change.
func (b *bench) changed(t testing.TB, change func([]byte)) []byte {
	t.Helper()
	r, err := b.device.report(challenge)
	if err != nil {
		t.Fatal(err)
	}
	change(r)
	if err := b.device.sign(r); err != nil {
		t.Fatal(err)
	}
	return b.wrapped(t, r)
}

func (b *bench) wrapped(t testing.TB, r []byte) []byte {
	t.Helper()
	return b.tsm(t, &tsm.Report{Provider: Provider + "\n", Out: r, Aux: b.device.table()})
}

func (b *bench) tsm(t testing.TB, r *tsm.Report) []byte {
	t.Helper()
	v, err := r.Encode(profile.Format{MediaType: tsm.MediaTypeCBOR})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (b *bench) judge(t *testing.T, value []byte) *negotiation.Verdict {
	t.Helper()
	return roottest.Judge(t, Format(), b.policy, b.at, &b.request, value)
}

// put writes a number into a field.
func put(name string, v uint64) func(*testing.T, *bench) []byte {
	return func(t *testing.T, b *bench) []byte {
		return b.changed(t, func(r []byte) {
			copy((&report{octets: r}).field(name), binary.LittleEndian.AppendUint64(nil, v))
		})
	}
}

// octet changes one octet of the report before it is signed.
func octet(i int, v byte) func(*testing.T, *bench) []byte {
	return func(t *testing.T, b *bench) []byte { return b.changed(t, func(r []byte) { r[i] ^= v }) }
}

// with changes what judges.
func with(change func(*bench)) func(*testing.T, *bench) []byte {
	return func(t *testing.T, b *bench) []byte {
		v := b.evidence(t)
		change(b)
		return v
	}
}

// authority is the ASK of the bench with its key, and the root's.
func (b *bench) authority(t *testing.T) (ask *x509.Certificate, askKey, rootKey crypto.Signer) {
	t.Helper()
	rsa, err := askKeyOnce()
	if err != nil {
		t.Fatal(err)
	}
	ec, err := deriveKey(seed, "sev-snp root")
	if err != nil {
		t.Fatal(err)
	}
	return b.device.Certificates[1], rsa, ec
}

var askKeyOnce = sync.OnceValues(func() (crypto.Signer, error) { return deriveRSA(seed, "sev-snp signing key") })

// reissue makes another VCEK for the same key.
func (b *bench) reissue(t *testing.T, change func(*x509.Certificate)) {
	t.Helper()
	ask, key, _ := b.authority(t)
	b.device.Certificates = slices.Clone(b.device.Certificates)
	b.device.Certificates[0] = b.issue(t, ask, key, change)
}

func (b *bench) issue(t *testing.T, issuer *x509.Certificate, key crypto.Signer,
	change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	extensions, err := b.device.extensions()
	if err != nil {
		t.Fatal(err)
	}
	x := &x509.Certificate{Subject: amd("SEV-VCEK"), SignatureAlgorithm: x509.SHA384WithRSAPSS,
		ExtraExtensions: extensions,
		SerialNumber:    big.NewInt(3), NotBefore: notBefore, NotAfter: notAfter}
	change(x)
	der, err := x509.CreateCertificate(rand.Reader, x, issuer, b.device.Key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	x, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// crl makes a CRL of the root.
func (b *bench) crl(t *testing.T, from, until time.Time, revoked ...int64) {
	t.Helper()
	_, _, key := b.authority(t)
	list := &x509.RevocationList{Number: big.NewInt(2), ThisUpdate: from, NextUpdate: until}
	for _, n := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: big.NewInt(n), RevocationTime: from})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, b.device.Certificates[2], key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := attestation.ParseCRLs(der)
	if err != nil {
		t.Fatal(err)
	}
	b.policy.CRLs = c
}

// vlek signs with a key of a cloud provider instead.
func (b *bench) vlek(t *testing.T) []byte {
	t.Helper()
	_, askKey, rootKey := b.authority(t)
	root := b.device.Certificates[2]
	asvk, err := certify(&x509.Certificate{Subject: amd("SEV-VLEK-" + emulatedLine), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign},
		4, askKey.Public(), root, rootKey)
	if err != nil {
		t.Fatal(err)
	}
	vlek := b.issue(t, asvk, askKey, func(x *x509.Certificate) {
		x.Subject = amd("SEV-VLEK")
		x.ExtraExtensions = slices.DeleteFunc(x.ExtraExtensions,
			func(e pkix.Extension) bool { return e.Id.Equal(kds.OidHwid) || e.Id.Equal(kds.OidProductName1) })
		for id, text := range map[string]string{kds.OidProductName1.String(): emulatedLine,
			kds.OidCspID.String(): "a cloud"} {
			oid := kds.OidProductName1
			if id == kds.OidCspID.String() {
				oid = kds.OidCspID
			}
			v, err := asn1.MarshalWithParams(text, "ia5")
			if err != nil {
				t.Fatal(err)
			}
			x.ExtraExtensions = append(x.ExtraExtensions, pkix.Extension{Id: oid, Value: v})
		}
	})
	r, err := b.device.report(challenge)
	if err != nil {
		t.Fatal(err)
	}
	r[0x48] = 1 << 2 // SIGNING_KEY: VLEK
	if err := b.device.sign(r); err != nil {
		t.Fatal(err)
	}
	table := &abi.CertTable{Entries: []abi.CertTableEntry{{GUID: uuid.MustParse(abi.VlekGUID), RawCert: vlek.Raw},
		{GUID: uuid.MustParse(abi.AskGUID), RawCert: asvk.Raw}}}
	return b.tsm(t, &tsm.Report{Provider: Provider + "\n", Out: r, Aux: table.Marshal()})
}

// TestRefused: what is wrong with a report, or with what a policy expects, has its own
// failure.
func TestRefused(t *testing.T) {
	for _, test := range []struct {
		name  string
		value func(*testing.T, *bench) []byte
		want  attls.Failure
		text  string
	}{
		{"REPORT_DATA of another connection", octet(0x50, 1), attls.FailBinderMismatch, "REPORT_DATA"},
		{"the challenge of 32 octets is right and the tail is not zero",
			with(func(b *bench) {
				b.request.Challenge, b.request.Fit = challenge[:32],
					profile.FitPadRight
			}), attls.FailBinderMismatch, "REPORT_DATA"},
		{"a guest that the host may debug", put("POLICY", emulatedPolicy|1<<19), attls.FailAppraisal, "debug"},
		{"a guest with a migration agent", put("POLICY", emulatedPolicy|1<<18), attls.FailAppraisal, "migration-agent"},
		{"a guest that may use CXL", put("POLICY", emulatedPolicy|1<<21), attls.FailAppraisal, "cxl"},
		{"a guest with SMT, where only others are accepted",
			with(func(b *bench) { b.policy.GuestPolicy = []string{"cxl"} }), attls.FailAppraisal, "smt"},
		{"bit 17 of the policy is 0", put("POLICY", 1<<16), attls.FailAppraisal, "reserved"},
		{"a reserved bit of the policy is 1", put("POLICY", emulatedPolicy|1<<26), attls.FailAppraisal, ""},
		{"VMPL 2", put("VMPL", 2), attls.FailAppraisal, "VMPL 2"},
		{"VMPL 2 where 1 is the highest", func(t *testing.T, b *bench) []byte {
			one := attestation.Whole(1)
			b.policy.VMPL = &one
			return put("VMPL", 2)(t, b)
		}, attls.FailAppraisal, "VMPL 2"},
		{"VMPL 0xffffffff, a report of the host", put("VMPL", 0xffffffff), attls.FailAppraisal, "VMPL"},
		{"a TCB other than that of the VCEK", put("REPORTED_TCB", 3), attls.FailAppraisal, "TCB"},
		{"a TCB with a level above 127 and a VCEK for zero", func(t *testing.T, b *bench) []byte {
			b.device.TCB = map[string]attestation.Whole{}
			b.reissue(t, func(*x509.Certificate) {})
			b.policy.MinimumTCB = map[string]attestation.Whole{"tee": 200}
			return b.changed(t, func(r []byte) {
				for _, name := range []string{"REPORTED_TCB", "CURRENT_TCB", "COMMITTED_TCB"} {
					(&report{octets: r}).field(name)[1] = 200
				}
			})
		}, attls.FailAppraisal, "TCB"},
		{"CHIP_ID other than the VCEK's", octet(0x1a0, 1), attls.FailAppraisal, "HWID"},
		{"CHIP_ID is zero and the host says that it does not mask it", func(t *testing.T, b *bench) []byte {
			b.policy.Instances = nil
			return b.changed(t, func(r []byte) { clear(r[0x1a0:0x1e0]) })
		}, attls.FailAppraisal, "CHIP_ID"},
		{"CHIP_ID is masked where the policy lists chips", func(t *testing.T, b *bench) []byte {
			return b.changed(t, func(r []byte) { clear(r[0x1a0:0x1e0]); r[0x48] = 2 })
		}, attls.FailAppraisal, "does not list the chip"},
		{"another chip than those of the policy",
			with(func(b *bench) {
				b.policy.Instances = []attestation.Octets{make([]byte,
					64)}
			}), attls.FailAppraisal, "does not list the chip"},
		{"a TCB below the minimum", with(func(b *bench) { b.policy.MinimumTCB["snp"]++ }), attls.FailAppraisal,
			"snp has the level 22"},
		{"firmware that is not committed", put("COMMITTED_TCB", 0), attls.FailAppraisal, "COMMITTED_TCB"},
		{"a firmware version that is not committed", octet(0x1ec, 1), attls.FailAppraisal, "committed build"},
		{"another guest", octet(0x90, 1), attls.FailAppraisal, "measurement"},
		{"HOST_DATA other than the reference value",
			with(func(b *bench) { b.policy.Measurements["host_data"] = []attestation.Octets{challenge[:32]} }),
			attls.FailAppraisal, "host_data"},
		{"a chain under the roots of AMD",
			with(func(b *bench) {
				b.policy.TrustAnchors, b.policy.VendorRoots = nil, []string{"amd-milan",
					"amd-genoa"}
			}), attls.FailAppraisal, "does not verify"},
		{"no trust anchors", with(func(b *bench) { b.policy.TrustAnchors = nil }), attls.FailAppraisal,
			"no trust anchor"},
		{"the zero policy", with(func(b *bench) { b.policy = Policy{} }), attls.FailAppraisal, ""},
		{"an ASK as the trust anchor", with(func(b *bench) { b.policy.TrustAnchors = b.device.Certificates[1:2] }),
			attls.FailAppraisal, "no trust anchor"},
		{"certificates that have expired", with(func(b *bench) { b.at = notAfter.Add(time.Hour) }), attls.FailAppraisal,
			"expired"},
		{"certificates that do not hold yet", with(func(b *bench) { b.at = notBefore.Add(-time.Hour) }),
			attls.FailAppraisal, "not yet valid"},
		{"a VCEK that has expired", func(t *testing.T, b *bench) []byte {
			b.reissue(t, func(x *x509.Certificate) { x.NotAfter = now.Add(-time.Hour) })
			return b.evidence(t)
		}, attls.FailAppraisal, "expired"},
		{"a VCEK with the signature PKCS #1", func(t *testing.T, b *bench) []byte {
			b.reissue(t, func(x *x509.Certificate) { x.SignatureAlgorithm = x509.SHA384WithRSA })
			return b.evidence(t)
		}, attls.FailAppraisal, "PSS"},
		{"a VCEK with an extension that AMD does not use", func(t *testing.T, b *bench) []byte {
			b.reissue(t, func(x *x509.Certificate) {
				x.ExtraExtensions = append(x.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3},
					Value: []byte{5, 0}})
			})
			return b.evidence(t)
		}, attls.FailAppraisal, "1.2.3"},
		{"the certificate of a chip as VCEK and ASK", func(t *testing.T, b *bench) []byte {
			b.device.Certificates = attestation.Certificates{b.device.Certificates[0], b.device.Certificates[0]}
			return b.evidence(t)
		}, attls.FailAppraisal, "no trust anchor"},
		{"a signature by another key", func(t *testing.T, b *bench) []byte {
			k, err := deriveKey(seed, "another key")
			if err != nil {
				t.Fatal(err)
			}
			b.device.Key.Signer = k
			return b.evidence(t)
		}, attls.FailAppraisal, "signature verification"},
		{"no certificate", func(t *testing.T, b *bench) []byte {
			b.device.Certificates = nil
			return b.evidence(t)
		}, attls.FailAppraisal, "without a VCEK"},
		{"SIGNING_KEY none", put("SIGNER_INFO", 7<<2), attls.FailAppraisal, "None"},
		{"a SIGNING_KEY that is reserved", put("SIGNER_INFO", 3<<2), attls.FailAppraisal, "SIGNER_INFO"},
		{"the signature algorithm 2", put("SIGNATURE_ALGO", 2), attls.FailAppraisal, "SIGNATURE_ALGO"},
		{"version 1", put("VERSION", 1), attls.FailAppraisal, "version"},
		{"version 9", put("VERSION", 9), attls.FailAppraisal, "version"},
		{"octets that must be zero", octet(0x4c, 1), attls.FailAppraisal, ""},
		{"octets after the signature in the report", func(t *testing.T, b *bench) []byte {
			r, err := b.device.report(challenge)
			if err != nil {
				t.Fatal(err)
			}
			r[0x4a0-1] = 1
			if err := b.device.sign(r); err != nil {
				t.Fatal(err)
			}
			return b.wrapped(t, r)
		}, attls.FailAppraisal, ""},
		{"a VLEK where the policy wants a VCEK", func(t *testing.T, b *bench) []byte { return b.vlek(t) },
			attls.FailAppraisal, "vlek"},
		{"a VCEK where the policy wants a VLEK", with(func(b *bench) { b.policy.KeyProvenance = []string{"vlek"} }),
			attls.FailAppraisal, "vcek"},
		{"no CRL", with(func(b *bench) { b.policy.CRLs = nil }), attls.FailAppraisal, "no CRL"},
		{"a CRL that has expired", func(t *testing.T, b *bench) []byte {
			b.crl(t, notBefore, now.Add(-time.Hour))
			return b.evidence(t)
		}, attls.FailAppraisal, "holds from"},
		{"a CRL of the future", func(t *testing.T, b *bench) []byte {
			b.crl(t, now.Add(time.Hour), notAfter)
			return b.evidence(t)
		}, attls.FailAppraisal, "holds from"},
		{"an ASK that was revoked", func(t *testing.T, b *bench) []byte {
			b.crl(t, notBefore.Add(time.Hour), notAfter, 2)
			return b.evidence(t)
		}, attls.FailAppraisal, "was revoked"},
		{"a CRL of somebody else", func(t *testing.T, b *bench) []byte {
			e, err := emulate(t.Context(), attestation.EmulatorOptions{Seed: []byte("another seed")})
			if err != nil {
				t.Fatal(err)
			}
			b.policy.CRLs = e.Policy.(Policy).CRLs
			return b.evidence(t)
		}, attls.FailAppraisal, "no CRL is signed"},
		{"a key that nothing attests", with(func(b *bench) { b.request.KeyBound = false }), attls.FailAppraisal,
			"nothing in this Evidence attests the key"},
		{"a report of 1185 octets", func(t *testing.T, b *bench) []byte {
			r, err := b.device.report(challenge)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.device.sign(r); err != nil {
				t.Fatal(err)
			}
			return b.wrapped(t, append(r, 0))
		}, attls.FailMalformedCMW, "1185 octets"},
		{"a report of 1183 octets", func(t *testing.T, b *bench) []byte { return b.wrapped(t, make([]byte, 1183)) },
			attls.FailMalformedCMW, "1183 octets"},
		{"a TSM report of TDX", func(t *testing.T, b *bench) []byte {
			return b.tsm(t, &tsm.Report{Provider: "tdx_guest\n", Out: make([]byte, 1184)})
		}, attls.FailFormatMismatch, ""},
		{"the answer of a service", func(t *testing.T, b *bench) []byte {
			return b.tsm(t, &tsm.Report{Provider: Provider, Out: make([]byte, 1184), ServiceProvider: "svsm"})
		}, attls.FailMalformedCMW, "svsm"},
		{"a table of certificates that ends too early", func(t *testing.T, b *bench) []byte {
			return b.tsm(t, &tsm.Report{Provider: Provider, Out: make([]byte, 1184), Aux: b.device.table()[:1000]})
		}, attls.FailMalformedCMW, "auxblob"},
		{"a certificate that is none", func(t *testing.T, b *bench) []byte {
			table := &abi.CertTable{Entries: []abi.CertTableEntry{{GUID: uuid.MustParse(abi.VcekGUID),
				RawCert: []byte{0x30, 0}}}}
			return b.tsm(t, &tsm.Report{Provider: Provider, Out: make([]byte, 1184), Aux: table.Marshal()})
		}, attls.FailMalformedCMW, "auxblob"},
		{"two VCEKs", func(t *testing.T, b *bench) []byte {
			entry := abi.CertTableEntry{GUID: uuid.MustParse(abi.VcekGUID), RawCert: b.device.Certificates[0].Raw}
			table := &abi.CertTable{Entries: []abi.CertTableEntry{entry, entry}}
			return b.tsm(t, &tsm.Report{Provider: Provider, Out: make([]byte, 1184), Aux: table.Marshal()})
		}, attls.FailMalformedCMW, "twice"},
		{"a table whose offset and length overflow", func(t *testing.T, b *bench) []byte {
			aux := b.device.table()
			binary.LittleEndian.PutUint32(aux[20:], 0xffffffff)
			return b.tsm(t, &tsm.Report{Provider: Provider, Out: make([]byte, 1184), Aux: aux})
		}, attls.FailMalformedCMW, "auxblob"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			v := b.judge(t, test.value(t, b))
			if failure, reason := v.Refusal(b.at); failure != test.want || !strings.Contains(reason, test.text) {
				t.Errorf("%s (%s), want %s and %q; %+v", failure, reason, test.want, test.text, v.Checks)
			}
		})
	}
}

// TestAccepted: what a policy allows expressly is affirmed.
func TestAccepted(t *testing.T) {
	three := attestation.Whole(3)
	for _, test := range []struct {
		name  string
		value func(*testing.T, *bench) []byte
	}{
		{"as it is", func(t *testing.T, b *bench) []byte { return b.evidence(t) }},
		{"any chip", with(func(b *bench) { b.policy.Instances = nil })},
		{"debug", func(t *testing.T, b *bench) []byte {
			b.policy.Debug = true
			return put("POLICY", emulatedPolicy|1<<19)(t, b)
		}},
		{"a migration agent", func(t *testing.T, b *bench) []byte {
			b.policy.GuestPolicy = []string{"smt", "migration-agent"}
			return put("POLICY", emulatedPolicy|1<<18)(t, b)
		}},
		{"VMPL 3", func(t *testing.T, b *bench) []byte {
			b.policy.VMPL = &three
			return put("VMPL", 3)(t, b)
		}},
		{"a VLEK", func(t *testing.T, b *bench) []byte {
			b.policy.KeyProvenance = []string{"vcek", "vlek"}
			return b.vlek(t)
		}},
		{"a masked CHIP_ID", func(t *testing.T, b *bench) []byte {
			b.policy.Instances = nil
			return b.changed(t, func(r []byte) { clear(r[0x1a0:0x1e0]); r[0x48] = 2 })
		}},
		{"a report of version 5", put("VERSION", 5)},
		{"a report of version 2, whose product line the VCEK says", func(t *testing.T, b *bench) []byte {
			return b.changed(t, func(r []byte) { r[0] = 2; clear(r[0x188:0x18b]) })
		}},
		{"certificates of the policy", func(t *testing.T, b *bench) []byte {
			b.policy.Certificates = b.device.Certificates[:2]
			b.device.Certificates = nil
			return b.evidence(t)
		}},
		{"HOST_DATA with its reference value",
			with(func(b *bench) { b.policy.Measurements["host_data"] = []attestation.Octets{make([]byte, 32)} })},
		{"entries of the table that are not certificates", func(t *testing.T, b *bench) []byte {
			table := &abi.CertTable{}
			if err := table.Unmarshal(b.device.table()); err != nil {
				t.Fatal(err)
			}
			table.Entries = append(table.Entries, abi.CertTableEntry{GUID: uuid.MustParse(abi.ExtraPlatformInfoGUID),
				RawCert: make([]byte, 8)})
			r, err := b.device.report(challenge)
			if err == nil {
				err = b.device.sign(r)
			}
			if err != nil {
				t.Fatal(err)
			}
			return b.tsm(t, &tsm.Report{Provider: Provider, Out: r, Aux: table.Marshal()})
		}},
		{"a key that nothing attests, where the policy accepts it",
			with(func(b *bench) { b.request.KeyBound, b.policy.UnattestedKey = false, true })},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			v := b.judge(t, test.value(t, b))
			if failure, reason := v.Refusal(now); failure != "" {
				t.Errorf("%s (%s); %+v", failure, reason, v.Checks)
			}
		})
	}
}

// TestUnchecked: what a policy does not say is not appraised; the verdict says so and
// is not affirming.
func TestUnchecked(t *testing.T) {
	for text, change := range map[string]func(*Policy){
		"no CRL":                                func(p *Policy) { p.CRLs = nil },
		"lists no minimum_tcb":                  func(p *Policy) { p.MinimumTCB = nil },
		"has no reference value of measurement": func(p *Policy) { delete(p.Measurements, "measurement") },
	} {
		t.Run(text, func(t *testing.T) {
			b := newBench(t)
			change(&b.policy)
			if failure, reason := b.judge(t, b.evidence(t)).Refusal(now); failure != attls.FailAppraisal ||
				!strings.Contains(reason, text) {
				t.Errorf("%s (%s)", failure, reason)
			}
		})
	}
}

// TestSameSeed: two programs that emulate from one seed trust each other.
func TestSameSeed(t *testing.T) {
	b := newBench(t)
	e, err := emulate(t.Context(), attestation.EmulatorOptions{Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	b.device = e.Device.(*device)
	if failure, reason := b.judge(t, b.evidence(t)).Refusal(now); failure != "" {
		t.Errorf("%s (%s)", failure, reason)
	}
}

// TestGenuine: the report of a Milan that the library carries verifies under AMD's root
// where the policy names it, and is refused for what it allows.
func TestGenuine(t *testing.T) {
	vcek, err := x509.ParseCertificate(testdata.VcekBytes)
	if err != nil {
		t.Fatal(err)
	}
	r := &report{octets: testdata.AttestationBytes[:abi.ReportSize]}
	sample := func(t *testing.T) *bench {
		b := newBench(t)
		b.request.Challenge = r.field("REPORT_DATA")
		b.device.Certificates = attestation.Certificates{vcek}
		b.policy = Policy{VendorRoots: []string{"amd-milan"}, Debug: true,
			MinimumTCB:   map[string]attestation.Whole{"snp": 1},
			Measurements: map[string][]attestation.Octets{"measurement": {r.field("MEASUREMENT")}}}
		b.at = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
		return b
	}
	for _, test := range []struct {
		name   string
		change func(*bench)
		want   attls.Failure
		text   string
	}{
		{"debug accepted, without AMD's CRL", func(*bench) {}, attls.FailAppraisal, "no CRL"},
		{"debug not accepted", func(b *bench) { b.policy.Debug = false }, attls.FailAppraisal, "debug"},
		{"another challenge", func(b *bench) { b.request.Challenge = challenge }, attls.FailBinderMismatch,
			"REPORT_DATA"},
		{"AMD not named", func(b *bench) {
			b.policy.VendorRoots, b.policy.TrustAnchors = nil,
				newBench(t).policy.TrustAnchors
		}, attls.FailAppraisal, "no trust anchor"},
		{"another product line of AMD", func(b *bench) { b.policy.VendorRoots = []string{"amd-genoa"} },
			attls.FailAppraisal, "does not verify"},
		{"after the end of its VCEK", func(b *bench) { b.at = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC) },
			attls.FailAppraisal, "expired"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := sample(t)
			test.change(b)
			v := b.judge(t, b.wrapped(t, r.octets))
			if failure, reason := v.Refusal(b.at); failure != test.want || !strings.Contains(reason, test.text) {
				t.Errorf("%s (%s), want %s and %q; %+v", failure, reason, test.want, test.text, v.Checks)
			}
		})
	}
	t.Run("every check succeeds", func(t *testing.T) {
		b := sample(t)
		for _, c := range b.judge(t, b.wrapped(t, r.octets)).Checks {
			if !c.OK && c.Name != "revocation" {
				t.Errorf("%s: %s", c.Name, c.Text)
			}
		}
	})
}

// fake is a kernel whose guest is the emulated one.
func fake(t *testing.T, b *bench, provider string) tsm.Client {
	t.Helper()
	sub := faketsm.ReportV7(0)
	read := sub.ReadAttr
	sub.ReadAttr = func(e *faketsm.ReportEntry, attr string) ([]byte, error) {
		switch attr {
		case "provider":
			return []byte(provider), nil
		case "auxblob":
			return b.device.table(), nil
		case "outblob":
			r, err := b.device.report(e.InAttrs["inblob"].Value)
			if err != nil {
				return nil, err
			}
			return r, b.device.sign(r)
		}
		return read(e, attr)
	}
	return &faketsm.Client{Subsystems: map[string]configfsi.Client{"report": sub}}
}

// TestKernel: a guest asks configfs-tsm for its reports.
func TestKernel(t *testing.T) {
	b := newBench(t)
	q := &attestation.Question{Type: b.request.Scheme.Format, Field: challenge}
	v, err := (&guest{client: fake(t, b, Provider+"\n")}).Make(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if failure, reason := b.judge(t, v).Refusal(now); failure != "" {
		t.Errorf("%s (%s)", failure, reason)
	}
	if _, err := (&guest{client: fake(t, b, "tdx_guest\n")}).Make(t.Context(), q); err == nil {
		t.Error("the report of another root of trust is taken")
	}
}

// TestFiles: sections that could not work are refused where they are wrong.
func TestFiles(t *testing.T) {
	const root = "vendor_roots: [amd-milan]\n"
	dir := t.TempDir()
	b := newBench(t)
	write := func(name string, v []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), v, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("amd.crl", b.policy.CRLs[0].Raw)
	write("text", []byte("text"))
	for _, test := range []struct{ name, text, want string }{
		{"sound", root, ""},
		{"a file with a CRL", root + "crl_files: [amd.crl]\n", ""},
		{"no anchors", "debug: enabled\n", "policy.yaml:1: there are no trust anchors"},
		{"an unknown root", "vendor_roots: [amd]\n",
			`policy.yaml:1: there is no "amd"; there are amd-genoa, amd-milan`},
		{"an unknown kind of key", root + "key_provenance: [vek]\n", `policy.yaml:2: there is no "vek"`},
		{"an unknown permission", root + "guest_policy: [all]\n", `policy.yaml:2: there is no "all"`},
		{"a VMPL that does not exist", root + "vmpl: 4\n", "policy.yaml:2: vmpl: 4"},
		{"a chip that is too short", root + "instances: ['00']\n", "policy.yaml:2: a CHIP_ID of 1 octets"},
		{"an unknown component", root + "minimum_tcb: {ucode: 1}\n", "policy.yaml:2: minimum_tcb: ucode"},
		{"a level that does not exist", root + "minimum_tcb: {snp: 256}\n", "policy.yaml:2: minimum_tcb: snp: 256"},
		{"an unknown measurement", root + "measurements: {launch: ['00']}\n",
			`policy.yaml:2: nothing that is measured is called "launch"`},
		{"a measurement that is too short", root + "measurements: {measurement: ['00']}\n",
			"policy.yaml:2: measurement: 1 octets"},
		{"no file", root + "crl_files: [none]\n", "policy.yaml:2: crl_files"},
		{"a file that is no CRL", root + "crl_files: [text]\n", "policy.yaml:2: text: CRLs are"},
		{"an unknown member", root + "root: [x]\n", "policy.yaml:2"},
		{"an empty list", root + "instances: []\n", "policy.yaml:2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := attestation.NewSection(filepath.Join(dir, "policy.yaml"), []byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := policyOf(s); (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(),
				test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	for member, change := range map[string]func(*device){
		"configfs-tsm": func(d *device) { *d = device{Source: tsm.Kernel} },
		"measurement":  func(d *device) { d.Measurement = nil },
		"chip":         func(d *device) { d.Chip = d.Chip[1:] },
		"host_data":    func(d *device) { d.HostData = make([]byte, 31) },
		"key":          func(d *device) { d.Key.Signer = nil },
		"certificates": func(d *device) { d.Certificates = d.Certificates[1:] },
		"policy":       func(d *device) { d.Policy = 0 },
		"vmpl":         func(d *device) { d.VMPL = 4 },
		"tcb":          func(d *device) { d.TCB["snp"] = 128 },
		"key is":       func(d *device) { d.Source = tsm.Kernel },
	} {
		t.Run("device: "+member, func(t *testing.T) {
			if _, err := os.Stat("/sys/kernel/config/tsm/report"); err == nil && member == "configfs-tsm" {
				t.Skip("this machine has configfs-tsm")
			}
			d := *newBench(t).device
			change(&d)
			text, err := yaml.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			s, err := attestation.NewSection("device.yaml", text)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := open(t.Context(), attestation.DeviceOptions{Section: s}); err == nil ||
				!strings.Contains(err.Error(), strings.TrimSuffix(member, " is")) {
				t.Errorf("%v", err)
			}
		})
	}
}

// FuzzRead: no octets make the reader or the judge panic, and no others than those that
// were signed verify.
func FuzzRead(f *testing.F) {
	b := seeds.Once(func() *bench { return newBench(f) })
	v := seeds.Once(func() []byte { return b.evidence(f) })
	seeds.Add(f, func() { f.Add(v) })
	f.Fuzz(func(t *testing.T, value []byte) {
		seeds.Input(t, value)
		got, failure := read(&attestation.CMW{Format: profile.Format{MediaType: tsm.MediaTypeCBOR}, Value: value})
		if failure != nil {
			return
		}
		got.Fields()
		r := got.Statement.(*report)
		proto, failure := r.proto()
		if failure != nil {
			return
		}
		if _, failure = b.policy.signed(&attestation.Appraisal{At: now}, r, proto); failure == nil && !bytes.Contains(v,
			r.octets[:0x2a0]) {
			t.Errorf("verifies: %x", value)
		}
	})
}

// TestSample: the TSM report (JSON or CBOR) in the file that ATTLS_SNP_REPORT names, from
// a real machine, verifies under AMD's roots. Nothing is known of its guest, so that
// debugging and the VMPL are as they are.
func TestSample(t *testing.T) {
	name := os.Getenv("ATTLS_SNP_REPORT")
	if name == "" {
		t.Skip("ATTLS_SNP_REPORT names no file with a TSM report")
	}
	value, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	if bytes.HasPrefix(value, []byte("{")) {
		b.request.Scheme.Format.MediaType = tsm.MediaTypeJSON
	}
	got, failure := read(&attestation.CMW{Format: b.request.Scheme.Format, Value: value})
	if failure != nil {
		t.Fatal(failure)
	}
	r := got.Statement.(*report)
	highest := attestation.Whole(maxVMPL)
	b.request.Challenge = r.field("REPORT_DATA")
	b.policy = Policy{VendorRoots: []string{"amd-milan", "amd-genoa"}, KeyProvenance: []string{"vcek", "vlek"},
		GuestPolicy: permissions, VMPL: &highest, Debug: true}
	for _, x := range []*x509.Certificate{r.chain.vcek, r.chain.vlek} {
		if x != nil {
			b.at = x.NotBefore.Add(time.Hour)
		}
	}
	for _, c := range b.judge(t, value).Checks {
		t.Logf("%v %s: %s", c.OK, c.Name, c.Text)
		if !c.OK && !strings.HasPrefix(c.Text, "not checked") {
			t.Errorf("%s: %s", c.Name, c.Text)
		}
	}
}
